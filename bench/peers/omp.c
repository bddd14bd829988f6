/* SPDX-License-Identifier: MIT */
/*
 * Peers: OpenMP's loop schedules, and its task loops, also for maps in maps.  The threads
 * belong to the runtime: starting makes it create them, stopping makes it give
 * them up.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { STATIC, DYNAMIC, CHUNKS, GUIDED, TASKS, NESTED };

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

/* Whoever knows that items are cheap names a chunk. */
static void chunks_run(const struct team *team, const struct bench_job *job)
{
	const size_t in_size = job->in_size, out_size = job->out_size;
	const size_t chunk = bench_chunk(job->count, (unsigned)team->threads);
	const char *in = job->in;
	char *out = job->out;
	forkpool_fn *fn = job->fn;
	size_t count = job->count, i;

#pragma omp parallel for schedule(dynamic, chunk) num_threads(team->threads)
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

/* Left alone, a task loop has no more tasks than threads; so it is told how many. */
static void tasks_run(const struct team *team, const struct bench_job *job)
{
	const size_t in_size = job->in_size, out_size = job->out_size;
	const int tasks = team->threads * BENCH_CHUNKS;
	const char *in = job->in;
	char *out = job->out;
	forkpool_fn *fn = job->fn;
	size_t count = job->count, i;

#pragma omp parallel num_threads(team->threads)
#pragma omp single
#pragma omp taskloop num_tasks(tasks)
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
	static void (*const run[])(const struct team *team, const struct bench_job *job) = {
		[STATIC] = static_run, [DYNAMIC] = dynamic_run, [CHUNKS] = chunks_run,
		[GUIDED] = guided_run, [TASKS] = tasks_run, [NESTED] = nested_run,
	};
	const struct team *team = arg;

	if (job->range)
		range_run(team, job);
	else
		run[team->schedule](team, job);
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

const struct bench_peer bench_omp_chunks = {
	.name = "omp-dyn-chunk",
	.flags = BENCH_VARIANT,
	.variant = CHUNKS,
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

const struct bench_peer bench_omp_tasks = {
	.name = "omp-taskloop",
	.flags = BENCH_VARIANT,
	.variant = TASKS,
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
