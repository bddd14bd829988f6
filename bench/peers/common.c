/* SPDX-License-Identifier: MIT */
/* What several peers need. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "peers.h"

/*
 * Turns that a thread spins for a flag, some 20 us, and after how many it lets others
 * run: who is to raise the flag may have been put on this very CPU.
 */
#define FLAG_SPIN	700
#define FLAG_YIELD	50

#define PAGE		((size_t)4096)

/* Turns of a spinning loop between two looks whether somebody else wants the CPU. */
#define SPIN_YIELD	1024

size_t bench_chunk(size_t count, unsigned workers)
{
	size_t chunk = count / ((size_t)workers * BENCH_CHUNKS);

	return chunk ? chunk : 1;
}

size_t bench_width(size_t count)
{
	size_t n = 1;

	while ((n + 1) * (n + 1) * (n + 1) <= count)
		n++;
	return n;
}

void bench_items_run(const struct bench_job *job, size_t first, size_t count)
{
	/* Read once: a job may lie in a line that other workers write to. */
	const size_t in_size = job->in_size, out_size = job->out_size;
	const char *in = job->in + first * in_size;
	char *out = job->out + first * out_size;
	forkpool_fn *fn = job->fn;
	size_t i;

	for (i = 0; i < count; i++) {
		fn(NULL, in, out);
		in += in_size;
		out += out_size;
	}
}

pid_t bench_worker_fork(void (*fn)(void *arg), void *arg)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid)
		return pid;
	prctl(PR_SET_NAME, "bench-worker");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		fn(arg);
	_exit(0);
}

/* ---- Submitting threads --------------------------------------------------------- */

struct submitter {
	bench_submitter *body;
	void *arg;
	unsigned index;
};

static void *submitter_main(void *arg)
{
	const struct submitter *s = arg;

	s->body(s->arg, s->index);
	return NULL;
}

void bench_submitters_run(unsigned submitters, bench_submitter *body, void *arg)
{
	struct submitter all[BENCH_SUBMITTERS_MAX];
	pthread_t thread[BENCH_SUBMITTERS_MAX];
	unsigned i;

	for (i = 1; i < submitters; i++) {
		all[i] = (struct submitter){ body, arg, i };
		/* Those that run already would wait for this one for ever. */
		if (pthread_create(&thread[i], NULL, submitter_main, &all[i])) {
			fprintf(stderr, "can't start %u submitters\n", submitters);
			_exit(1);
		}
	}
	body(arg, 0);
	for (i = 1; i < submitters; i++)
		pthread_join(thread[i], NULL);
}

/* ---- Waiting ---------------------------------------------------------------------- */

void bench_spin(unsigned turn)
{
	if (turn % SPIN_YIELD == SPIN_YIELD - 1)
		sched_yield();
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

void bench_word_wait(const uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

void bench_word_wake(const uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* ---- Flags of threads --------------------------------------------------------------- */

enum { PENDING, RAISED, ASLEEP };

void bench_flag_raise(uint32_t *flag)
{
	/* FLAG-D1: what the flag stands for before it; pairs with FLAG-D2. */
	if (__atomic_exchange_n(flag, RAISED, __ATOMIC_ACQ_REL) == ASLEEP)
		bench_word_wake(flag);
}

int bench_flag_raised(const uint32_t *flag)
{
	/* FLAG-D2: the flag before what it stands for; pairs with FLAG-D1. */
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE) == RAISED;
}

void bench_flag_await(uint32_t *flag)
{
	uint32_t pending = PENDING;
	unsigned i;

	for (i = 0; i < FLAG_SPIN; i++) {
		if (bench_flag_raised(flag))
			return;
		if (i % FLAG_YIELD == FLAG_YIELD - 1)
			sched_yield();
		bench_spin(i);
	}
	__atomic_compare_exchange_n(flag, &pending, ASLEEP, 0, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
	while (!bench_flag_raised(flag))
		bench_word_wait(flag, ASLEEP);
}

/* ---- Memory of processes -------------------------------------------------------------- */

static size_t pages(size_t size)
{
	return (size + PAGE - 1) & ~(PAGE - 1);
}

int bench_arena_open(struct bench_arena *arena, size_t bytes, unsigned pieces)
{
	size_t size = pages(bytes) + pieces * PAGE;
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return -errno;
	/* Big arrays in huge pages, where the system gives them to who asks. */
	madvise(base, size, MADV_HUGEPAGE);
	*arena = (struct bench_arena){ .base = base, .size = size };
	return 0;
}

void *bench_arena_alloc(struct bench_arena *arena, size_t size)
{
	char *p = arena->base + arena->used;

	if (pages(size) > arena->size - arena->used)
		return NULL;
	arena->used += pages(size);
	return p;
}

void bench_arena_close(struct bench_arena *arena)
{
	munmap(arena->base, arena->size);
}
