/* SPDX-License-Identifier: MIT */
/*
 * Peer: forkpool, with its arrays in the segment, with private arrays that it
 * copies, and with maps inside items.
 */
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

/* ---- Maps in maps ---------------------------------------------------------------- */

/* What an item needs to map in turn; copied with each map, as a program would. */
struct nest {
	forkpool_fn *fn;		/* of the last level */
	size_t width, in_size, out_size;
	unsigned levels;		/* below this map */
};

static int nest_map(struct forkpool *pool, const struct nest *nest, const void *in, void *out);

static int nest_item(void *arg, const void *in, void *out)
{
	struct nest below = *(const struct nest *)arg;

	below.levels--;
	return nest_map(forkpool_current(), &below, in, out) != 0;
}

/* An item of a level is all that lies below it. */
static int nest_map(struct forkpool *pool, const struct nest *nest, const void *in, void *out)
{
	struct nest copy = *nest;
	FORKPOOL_JOB_OPTS(opts, .arg = &copy, .arg_size = sizeof(copy));
	size_t part = 1;
	unsigned level;

	if (!nest->levels)
		return forkpool_map(pool, nest->fn, in, nest->in_size, out, nest->out_size,
				    nest->width, NULL);
	for (level = 0; level < nest->levels; level++)
		part *= nest->width;
	return forkpool_map(pool, nest_item, in, part * nest->in_size, out,
			    part * nest->out_size, nest->width, &opts);
}

static int pool_map_nested(void *pool, const struct bench_job *job)
{
	const struct nest nest = {
		.fn = job->fn, .width = bench_width(job->count), .levels = 2,
		.in_size = job->in_size, .out_size = job->out_size,
	};

	return nest_map(pool, &nest, job->in, job->out);
}

const struct bench_peer bench_forkpool_nested = {
	.name = "forkpool-nested",
	.flags = BENCH_OURS | BENCH_PROCESSES | BENCH_VARIANT | BENCH_NESTED,
	.start = pool_start,
	.map = pool_map_nested,
	.alloc = pool_alloc,
	.stop = pool_stop,
};
