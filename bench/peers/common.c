/* SPDX-License-Identifier: MIT */
/* What several peers need. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

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
	const char *in = job->in + first * job->in_size;
	char *out = job->out + first * job->out_size;
	size_t i;

	for (i = 0; i < count; i++) {
		job->fn(NULL, in, out);
		in += job->in_size;
		out += job->out_size;
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
