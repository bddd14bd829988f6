/* SPDX-License-Identifier: MIT */
/*
 * Peer: processes on POSIX message queues.  All workers take pieces of the loop from
 * one queue and answer on another; a message is a piece's bounds, as one of the items
 * would not fit, and the arrays lie in shared memory.  The host never blocks in a
 * send: when the queue is full, it lets half of it be answered first, so that the two
 * sides wake each other less often.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "peers.h"

enum { ITEM, CHUNK };

/* A count of 0 sends a worker home. */
struct piece {
	size_t first, count;
};

struct pool {
	int chunked;
	unsigned workers;
	unsigned depth;			/* messages that the queue of requests takes */
	int requests, replies;
	struct bench_arena arena;
	struct bench_job *job;		/* shared */
	pid_t pid[];
};

/* The reply to each piece, and at first to none, is the piece itself. */
static void worker_run(void *arg)
{
	const struct pool *pool = arg;
	struct piece piece = { 0, 0 };

	while (!bench_queue_send(pool->replies, &piece, sizeof(piece))) {
		if (bench_queue_receive(pool->requests, &piece, sizeof(piece)) < 0 ||
		    !piece.count)
			return;
		bench_items_run(pool->job, piece.first, piece.count);
	}
}

/* Sends pieces from *NEXT on until the queue is full; returns 0 or a negative error. */
static int pieces_send(struct pool *pool, size_t *next, size_t chunk, size_t *pieces)
{
	size_t count = pool->job->count;

	while (*next < count) {
		size_t n = count - *next < chunk ? count - *next : chunk;
		const struct piece piece = { *next, n };
		int err = bench_queue_offer(pool->requests, &piece, sizeof(piece));

		if (err)
			return err == -EAGAIN ? 0 : err;
		*next += n;
		++*pieces;
	}
	return 0;
}

/* Receives replies until no more than MOST pieces are under way. */
static int pieces_collect(struct pool *pool, size_t most, size_t *pieces)
{
	struct piece piece;
	ssize_t len;

	for (; *pieces > most; --*pieces) {
		len = bench_queue_receive(pool->replies, &piece, sizeof(piece));
		if (len < 0)
			return (int)len;
	}
	return 0;
}

static int pool_map(void *arg, const struct bench_job *job)
{
	struct pool *pool = arg;
	size_t chunk = pool->chunked ? bench_chunk(job->count, pool->workers) : 1;
	size_t next = 0, pieces = 0;
	int err = 0;

	*pool->job = *job;
	while (!err && next < job->count) {
		err = pieces_send(pool, &next, chunk, &pieces);
		/* A full queue means that at least so many are under way. */
		if (!err)
			err = pieces_collect(pool, next < job->count ? pieces - pool->depth / 2
								     : 0, &pieces);
	}
	return err;
}

/* ---- Start and stop -------------------------------------------------------------------- */

static void *pool_alloc(void *arg, size_t size)
{
	return bench_arena_alloc(&((struct pool *)arg)->arena, size);
}

static void pool_free(struct pool *pool)
{
	if (pool->requests >= 0)
		bench_queue_close(pool->requests);
	if (pool->replies >= 0)
		bench_queue_close(pool->replies);
	if (pool->arena.base)
		bench_arena_close(&pool->arena);
	free(pool);
}

static void pool_stop(void *arg)
{
	struct pool *pool = arg;
	const struct piece home = { 0, 0 };
	unsigned i;

	for (i = 0; i < pool->workers; i++)
		bench_queue_send(pool->requests, &home, sizeof(home));
	for (i = 0; i < pool->workers; i++)
		waitpid(pool->pid[i], NULL, 0);
	pool_free(pool);
}

static int pool_open(struct pool *pool, size_t arrays)
{
	unsigned depth;
	int err;

	pool->requests = bench_queue_open(sizeof(struct piece), &pool->depth);
	pool->replies = bench_queue_open(sizeof(struct piece), &depth);
	if (pool->requests < 0 || pool->replies < 0)
		return pool->requests < 0 ? pool->requests : pool->replies;
	err = bench_arena_open(&pool->arena, sizeof(*pool->job) + arrays, 3);
	if (!err)
		pool->job = bench_arena_alloc(&pool->arena, sizeof(*pool->job));
	return err;
}

static int workers_fork(struct pool *pool, unsigned workers)
{
	for (; pool->workers < workers; pool->workers++) {
		pid_t pid = bench_worker_fork(worker_run, pool);

		if (pid < 0)
			return (int)pid;
		pool->pid[pool->workers] = pid;
	}
	return 0;
}

static void *pool_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	struct pool *pool = calloc(1, sizeof(*pool) + workers * sizeof(pool->pid[0]));
	size_t greetings = workers;
	int err = -ENOMEM;

	if (!pool)
		goto fail;
	pool->chunked = peer->variant == CHUNK;
	err = pool_open(pool, shared);
	if (err) {
		pool_free(pool);
		goto fail;
	}
	err = workers_fork(pool, workers);
	if (!err)
		err = pieces_collect(pool, 0, &greetings);
	if (!err)
		return pool;
	pool_stop(pool);
fail:
	fprintf(stderr, "%s: can't start %u workers: %s\n", peer->name, workers,
		strerror(-err));
	return NULL;
}

const struct bench_peer bench_mqueue_item = {
	.name = "mqueue-item",
	.flags = BENCH_PROCESSES | BENCH_PER_ITEM,
	.variant = ITEM,
	.start = pool_start,
	.map = pool_map,
	.alloc = pool_alloc,
	.stop = pool_stop,
};

const struct bench_peer bench_mqueue_chunk = {
	.name = "mqueue-chunk",
	.flags = BENCH_PROCESSES | BENCH_VARIANT,
	.variant = CHUNK,
	.start = pool_start,
	.map = pool_map,
	.alloc = pool_alloc,
	.stop = pool_stop,
};
