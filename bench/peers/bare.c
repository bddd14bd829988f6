/* SPDX-License-Identifier: MIT */
/*
 * No pool: two processes that answer each other through a cache line each way, as
 * what the machine itself takes for a round trip.
 *
 * spin-bare: both spin.  The worker sleeps while others are measured.
 * futex-wake: the worker sleeps in the kernel and never spins; who asks wakes it,
 * yields once, since the kernel most likely puts it on the same CPU, and spins for
 * the answer: one wake-up.
 * futex-bare: both sleep and neither spins: two wake-ups, one after the other.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { SPIN, WAKE, BARE };

/* Turns without a pause: an answer that comes as soon as it can is seen as soon. */
#define SPIN_TIGHT	256
#define LINE		128	/* bytes; two lines, for processors that fetch pairs */

/* turn counts round trips; in a line, so that asking and answering move one each. */
struct question {
	_Alignas(LINE) atomic_uint turn;
	forkpool_fn *fn;		/* NULL sends the worker home */
	struct bench_task task;
};

struct answer {
	_Alignas(LINE) atomic_uint turn;
	uint64_t out;
};

struct shared {
	struct question question;
	struct answer answer;
	_Alignas(LINE) atomic_uint active;	/* the worker spins */
};

struct pair {
	int kind;
	pid_t pid;
	unsigned turn;
	struct shared *shared;
};

/* A futex is a plain word to the kernel. */
static const uint32_t *word(const atomic_uint *turn)
{
	return (const uint32_t *)(const void *)turn;
}

/* Until *turn is VALUE: asleep, or spinning. */
static void turn_await(const atomic_uint *turn, unsigned value, int asleep)
{
	unsigned now, n;

	for (n = 0;; n++) {
		/* BARE-T2: the turn before what it stands for; pairs with BARE-T1. */
		now = atomic_load_explicit(turn, memory_order_acquire);
		if (now == value)
			return;
		if (asleep)
			bench_word_wait(word(turn), now);
		else if (n > SPIN_TIGHT)
			bench_spin(n);
	}
}

static void turn_give(atomic_uint *turn, unsigned value, int wake)
{
	/* BARE-T1: what the turn stands for before it; pairs with BARE-T2. */
	atomic_store_explicit(turn, value, memory_order_release);
	if (wake)
		bench_word_wake(word(turn));
}

static void worker_run(void *arg)
{
	const struct pair *pair = arg;
	struct shared *s = pair->shared;
	struct bench_task task;
	forkpool_fn *fn;
	uint64_t out;
	unsigned turn;

	for (turn = 1;; turn++) {
		if (pair->kind == SPIN)
			turn_await(&s->active, 1, 1);
		turn_await(&s->question.turn, turn, pair->kind != SPIN);
		/* A line that the other side spins on is touched once, not for long. */
		task = s->question.task;
		fn = s->question.fn;
		if (!fn)
			return;
		fn(NULL, &task, &out);
		s->answer.out = out;
		turn_give(&s->answer.turn, turn, pair->kind == BARE);
	}
}

static void pair_ask(struct pair *pair, forkpool_fn *fn)
{
	pair->shared->question.fn = fn;
	turn_give(&pair->shared->question.turn, ++pair->turn, pair->kind != SPIN);
}

static int pair_call(void *arg, forkpool_fn *fn, const struct bench_task *in, uint64_t *out)
{
	struct pair *pair = arg;

	pair->shared->question.task = *in;
	pair_ask(pair, fn);
	if (pair->kind == WAKE)
		sched_yield();
	turn_await(&pair->shared->answer.turn, pair->turn, pair->kind == BARE);
	*out = pair->shared->answer.out;
	return 0;
}

/* A worker that spins starts to with the first question, and sleeps after the last one. */
static void pair_run(void *arg, unsigned submitters, bench_submitter *body, void *body_arg)
{
	struct pair *pair = arg;
	const struct bench_task nothing = { 0, 0 };
	uint64_t out;

	turn_give(&pair->shared->active, 1, 1);
	bench_submitters_run(submitters, body, body_arg);
	/* It looks at this only between two questions: one more takes it there. */
	turn_give(&pair->shared->active, 0, 0);
	pair_call(pair, bench_empty, &nothing, &out);
}

static void pair_stop(void *arg)
{
	struct pair *pair = arg;

	turn_give(&pair->shared->active, 1, 1);
	pair_ask(pair, NULL);
	waitpid(pair->pid, NULL, 0);
	munmap(pair->shared, sizeof(*pair->shared));
	free(pair);
}

static void *pair_start(const struct bench_task_peer *peer, unsigned workers,
			unsigned submitters)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	void *shared = mmap(NULL, sizeof(*pair->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)workers;
	(void)submitters;
	if (pair && shared != MAP_FAILED) {
		pair->kind = peer->peer.variant;
		pair->shared = shared;
		pair->pid = bench_worker_fork(worker_run, pair);
		if (pair->pid > 0)
			return pair;
	}
	if (shared != MAP_FAILED)
		munmap(shared, sizeof(*pair->shared));
	free(pair);
	fprintf(stderr, "%s: can't start a process\n", peer->peer.name);
	return NULL;
}

const struct bench_task_peer bench_spin_bare = {
	.peer = { .name = "spin-bare", .flags = BENCH_PROCESSES | BENCH_BARE | BENCH_SPINS,
		  .variant = SPIN },
	.start = pair_start,
	.stop = pair_stop,
	.run = pair_run,
	.call = pair_call,
};

const struct bench_task_peer bench_futex_wake = {
	.peer = { .name = "futex-wake", .flags = BENCH_PROCESSES | BENCH_BARE,
		  .variant = WAKE },
	.start = pair_start,
	.stop = pair_stop,
	.call = pair_call,
};

const struct bench_task_peer bench_futex_bare = {
	.peer = { .name = "futex-bare", .flags = BENCH_PROCESSES | BENCH_BARE,
		  .variant = BARE },
	.start = pair_start,
	.stop = pair_stop,
	.call = pair_call,
};
