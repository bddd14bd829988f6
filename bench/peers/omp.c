/* SPDX-License-Identifier: MIT */
/*
 * Peer: OpenMP's loop schedules, and its task loops for maps in maps.  The threads
 * belong to the runtime: starting makes it create them, stopping makes it give
 * them up.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { STATIC, DYNAMIC, GUIDED, NESTED };

struct team {
	int schedule;
	int threads;
};

static void *team_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	struct team *team = malloc(sizeof(*team));
	int answered = 0;

	(void)shared;
	if (!team)
		return NULL;
	*team = (struct team){ peer->variant, (int)workers };
	omp_set_dynamic(0);
#pragma omp parallel num_threads(team->threads) reduction(+ : answered)
	answered = 1;
	if (answered == team->threads)
		return team;
	fprintf(stderr, "%s: can't start %u threads\n", peer->name, workers);
	free(team);
	return NULL;
}

static void team_stop(void *arg)
{
	/* Hard: the threads end, so that the next start pays for new ones. */
	omp_pause_resource_all(omp_pause_hard);
	free(arg);
}

/* Each thread gets one equal part, as schedule(static) gives it. */
static void range_run(const struct team *team, const struct bench_job *job)
{
#pragma omp parallel num_threads(team->threads)
	{
		size_t n = (size_t)omp_get_num_threads();
		size_t i = (size_t)omp_get_thread_num();

		job->range(job->arg, job->count * i / n, job->count * (i + 1) / n);
	}
}

static void static_run(const struct team *team, const struct bench_job *job)
{
	const size_t in_size = job->in_size, out_size = job->out_size;
	const char *in = job->in;
	char *out = job->out;
	forkpool_fn *fn = job->fn;
	size_t count = job->count, i;

#pragma omp parallel for schedule(static) num_threads(team->threads)
	for (i = 0; i < count; i++)
		fn(NULL, in + i * in_size, out + i * out_size);
}

static void dynamic_run(const struct team *team, const struct bench_job *job)
{
	const size_t in_size = job->in_size, out_size = job->out_size;
	const char *in = job->in;
	char *out = job->out;
	forkpool_fn *fn = job->fn;
	size_t count = job->count, i;

#pragma omp parallel for schedule(dynamic) num_threads(team->threads)
	for (i = 0; i < count; i++)
		fn(NULL, in + i * in_size, out + i * out_size);
}

static void guided_run(const struct team *team, const struct bench_job *job)
{
	const size_t in_size = job->in_size, out_size = job->out_size;
	const char *in = job->in;
	char *out = job->out;
	forkpool_fn *fn = job->fn;
	size_t count = job->count, i;

#pragma omp parallel for schedule(guided) num_threads(team->threads)
	for (i = 0; i < count; i++)
		fn(NULL, in + i * in_size, out + i * out_size);
}

/* As maps inside items: a task loop for each, three levels deep. */
static void nested_run(const struct team *team, const struct bench_job *job)
{
	const size_t in_size = job->in_size, out_size = job->out_size;
	const size_t n = bench_width(job->count);
	const char *in = job->in;
	char *out = job->out;
	forkpool_fn *fn = job->fn;
	size_t i, k, m;

#pragma omp parallel num_threads(team->threads)
#pragma omp single
#pragma omp taskloop private(k, m)
	for (i = 0; i < n; i++) {
#pragma omp taskloop private(m) firstprivate(i)
		for (k = 0; k < n; k++) {
#pragma omp taskloop firstprivate(i, k)
			for (m = 0; m < n; m++) {
				const size_t item = (i * n + k) * n + m;

				fn(NULL, in + item * in_size, out + item * out_size);
			}
		}
	}
}

static int team_map(void *arg, const struct bench_job *job)
{
	const struct team *team = arg;

	if (job->range)
		range_run(team, job);
	else if (team->schedule == NESTED)
		nested_run(team, job);
	else if (team->schedule == STATIC)
		static_run(team, job);
	else if (team->schedule == DYNAMIC)
		dynamic_run(team, job);
	else
		guided_run(team, job);
	return 0;
}

const struct bench_peer bench_omp_static = {
	.name = "omp-static",
	.flags = BENCH_RANGES,
	.variant = STATIC,
	.start = team_start,
	.map = team_map,
	.stop = team_stop,
};

const struct bench_peer bench_omp_dynamic = {
	.name = "omp-dynamic",
	.flags = BENCH_VARIANT,
	.variant = DYNAMIC,
	.start = team_start,
	.map = team_map,
	.stop = team_stop,
};

const struct bench_peer bench_omp_guided = {
	.name = "omp-guided",
	.flags = BENCH_VARIANT,
	.variant = GUIDED,
	.start = team_start,
	.map = team_map,
	.stop = team_stop,
};

const struct bench_peer bench_omp_nested = {
	.name = "omp-nested",
	.flags = BENCH_VARIANT | BENCH_NESTED,
	.variant = NESTED,
	.start = team_start,
	.map = team_map,
	.stop = team_stop,
};
