/* SPDX-License-Identifier: MIT */
/* Peer: forkpool, with its arrays in the segment, and with private arrays that it copies. */
#include <stdio.h>

#include "bench.h"

/* Beside the arrays, the segment holds the pool's own tables and rounding. */
#define ARENA_ROOM	((size_t)64 << 20)

static void *pool_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	FORKPOOL_OPTS(opts, .workers = workers);
	struct forkpool *pool;
	int err;

	if (shared)
		opts.arena_size = shared + shared / 8 + ARENA_ROOM;
	err = forkpool_create(&pool, &opts);
	if (err) {
		fprintf(stderr, "%s: forkpool_create: %s\n", peer->name,
			forkpool_strerror(err));
		return NULL;
	}
	return pool;
}

static void pool_stop(void *pool)
{
	forkpool_destroy(pool);
}

static int pool_map(void *pool, const struct bench_job *job)
{
	FORKPOOL_JOB_OPTS(opts, .arg = job->arg, .arg_size = job->arg_size);

	if (job->range)
		return forkpool_for(pool, job->range, 0, job->count, &opts);
	return forkpool_map(pool, job->fn, job->in, job->in_size, job->out,
			    job->out_size, job->count, NULL);
}

static void *pool_alloc(void *pool, size_t size)
{
	return forkpool_shm_alloc(pool, size);
}

const struct bench_peer bench_forkpool = {
	.name = "forkpool",
	.flags = BENCH_OURS | BENCH_PROCESSES | BENCH_RANGES,
	.start = pool_start,
	.map = pool_map,
	.alloc = pool_alloc,
	.stop = pool_stop,
};

const struct bench_peer bench_forkpool_copy = {
	.name = "forkpool-copy",
	.flags = BENCH_OURS | BENCH_PROCESSES | BENCH_COPIES | BENCH_VARIANT,
	.start = pool_start,
	.map = pool_map,
	.stop = pool_stop,
};
