/* SPDX-License-Identifier: MIT */
/*
 * Peer for single tasks: OpenMP's.  The submitters are threads of one team, and the
 * workers the others; while a submitter waits, it runs tasks as well, and when many
 * are waiting the runtime may run one in the very moment it is made.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

struct team {
	int threads;
};

static void *team_start(const struct bench_task_peer *peer, unsigned workers,
			unsigned submitters)
{
	struct team *team = malloc(sizeof(*team));
	int answered = 0;

	if (!team)
		return NULL;
	team->threads = (int)(workers + submitters);
	omp_set_dynamic(0);
#pragma omp parallel num_threads(team->threads) reduction(+ : answered)
	answered = 1;
	if (answered == team->threads)
		return team;
	fprintf(stderr, "%s: can't start %d threads\n", peer->peer.name, team->threads);
	free(team);
	return NULL;
}

static void team_stop(void *arg)
{
	omp_pause_resource_all(omp_pause_hard);
	free(arg);
}

static void team_run(void *arg, unsigned submitters, bench_submitter *body, void *body_arg)
{
	const struct team *team = arg;

#pragma omp parallel num_threads(team->threads)
	{
		unsigned i = (unsigned)omp_get_thread_num();

		/* The others wait at the end of the region, which is where they run tasks. */
		if (i < submitters)
			body(body_arg, i);
	}
}

static int team_stream(void *arg, unsigned submitter, const struct bench_stream *s)
{
	const struct bench_task *in = s->in;
	forkpool_fn *fn = s->fn;
	uint64_t *out = s->out;
	size_t count = s->count, i;

	(void)arg;
	(void)submitter;
	for (i = 0; i < count; i++) {
#pragma omp task firstprivate(fn, in, out, i)
		fn(NULL, &in[i], &out[i]);
		if (i % BENCH_WINDOW == BENCH_WINDOW - 1) {
#pragma omp taskwait
		}
	}
#pragma omp taskwait
	return 0;
}

static uint64_t fib(uint64_t n)
{
	uint64_t a, b;

	if (n < 2)
		return n;
#pragma omp task shared(a)
	a = fib(n - 1);
#pragma omp task shared(b)
	b = fib(n - 2);
#pragma omp taskwait
	return a + b;
}

static int team_fib(void *arg, uint64_t n, uint64_t *ret)
{
	const struct team *team = arg;
	uint64_t value = 0;

#pragma omp parallel num_threads(team->threads)
#pragma omp single
	value = fib(n);
	*ret = value;
	return 0;
}

const struct bench_task_peer bench_omp_task = {
	.peer = { .name = "omp-task" },
	.start = team_start,
	.stop = team_stop,
	.run = team_run,
	.stream = team_stream,
	.fib = team_fib,
};
