/* SPDX-License-Identifier: MIT */
/*
 * Peers: GLib's GThreadPool with threads of its own.  What is pushed is a number for
 * a piece of a loop, and the address of a slot for a single task, so that nothing is
 * allocated but what GLib itself does.
 */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>

#include "peers.h"

struct pool {
	GThreadPool *threads;
	unsigned workers;
	GMutex lock;			/* guards ready and ended */
	GCond changed;
	unsigned ready;
	int ended;
	/* Of maps. */
	int chunked;
	struct bench_job job;
	size_t chunk;
	gint left;			/* pieces not yet done */
};

/* ---- Start and stop --------------------------------------------------------------------- */

/* Each thread waits for all the others, so every one must come. */
static void thread_greet(struct pool *pool)
{
	g_mutex_lock(&pool->lock);
	pool->ready++;
	g_cond_broadcast(&pool->changed);
	while (pool->ready < pool->workers)
		g_cond_wait(&pool->changed, &pool->lock);
	g_mutex_unlock(&pool->lock);
}

static void pool_stop(void *arg)
{
	struct pool *pool = arg;

	g_thread_pool_free(pool->threads, FALSE, TRUE);
	g_mutex_clear(&pool->lock);
	g_cond_clear(&pool->changed);
	free(pool);
}

/* Pushing the pool itself asks for a greeting. */
static int pool_greet(struct pool *pool)
{
	unsigned i;

	for (i = 0; i < pool->workers; i++)
		if (!g_thread_pool_push(pool->threads, pool, NULL))
			return -1;
	g_mutex_lock(&pool->lock);
	while (pool->ready < pool->workers)
		g_cond_wait(&pool->changed, &pool->lock);
	g_mutex_unlock(&pool->lock);
	return 0;
}

static struct pool *pool_new(const struct bench_peer *peer, unsigned workers, GFunc run)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	GError *error = NULL;

	if (!pool)
		goto fail;
	pool->chunked = peer->variant;
	pool->workers = workers;
	g_mutex_init(&pool->lock);
	g_cond_init(&pool->changed);
	/* Exclusive: its threads start now, and no other pool has a part in them. */
	pool->threads = g_thread_pool_new(run, pool, (gint)workers, TRUE, &error);
	if (!error && !pool_greet(pool))
		return pool;
	/* Threads that did start would use the pool: it is left to them. */
	g_clear_error(&error);
fail:
	fprintf(stderr, "%s: can't start %u threads\n", peer->name, workers);
	return NULL;
}

/* ---- Maps --------------------------------------------------------------------------------- */

static void piece_run(gpointer data, gpointer arg)
{
	struct pool *pool = arg;
	size_t first, left;

	if (data == arg) {
		thread_greet(pool);
		return;
	}
	first = (GPOINTER_TO_SIZE(data) - 1) * pool->chunk;
	left = pool->job.count - first;
	bench_items_run(&pool->job, first, left < pool->chunk ? left : pool->chunk);
	if (!g_atomic_int_dec_and_test(&pool->left))
		return;
	g_mutex_lock(&pool->lock);
	pool->ended = 1;
	g_cond_signal(&pool->changed);
	g_mutex_unlock(&pool->lock);
}

static void *map_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	(void)shared;
	return pool_new(peer, workers, piece_run);
}

static int pool_map(void *arg, const struct bench_job *job)
{
	struct pool *pool = arg;
	size_t pieces, i;

	if (!job->count)
		return 0;
	pool->job = *job;
	pool->chunk = pool->chunked ? bench_chunk(job->count, pool->workers) : 1;
	pieces = (job->count + pool->chunk - 1) / pool->chunk;
	if (pieces > G_MAXINT)
		return -EOVERFLOW;
	pool->ended = 0;
	g_atomic_int_set(&pool->left, (gint)pieces);
	/* A push can't fail where all threads run already; what NULL stands for is not pushed. */
	for (i = 0; i < pieces; i++)
		g_thread_pool_push(pool->threads, GSIZE_TO_POINTER(i + 1), NULL);
	g_mutex_lock(&pool->lock);
	while (!pool->ended)
		g_cond_wait(&pool->changed, &pool->lock);
	g_mutex_unlock(&pool->lock);
	return 0;
}

const struct bench_peer bench_glib_item = {
	.name = "glib-item",
	.flags = BENCH_PER_ITEM,
	.variant = 0,
	.start = map_start,
	.map = pool_map,
	.stop = pool_stop,
};

const struct bench_peer bench_glib_chunk = {
	.name = "glib-chunk",
	.flags = BENCH_VARIANT,
	.variant = 1,
	.start = map_start,
	.map = pool_map,
	.stop = pool_stop,
};

/* ---- Single tasks ---------------------------------------------------------------------------- */

struct slot {
	forkpool_fn *fn;
	const struct bench_task *in;
	uint64_t *out;
	uint32_t done;
};

static void slot_run(gpointer data, gpointer arg)
{
	struct slot *slot = data;

	if (data == arg) {
		thread_greet(arg);
		return;
	}
	slot->fn(NULL, slot->in, slot->out);
	bench_flag_raise(&slot->done);
}

static void *task_start(const struct bench_task_peer *peer, unsigned workers,
			unsigned submitters)
{
	(void)submitters;
	return pool_new(&peer->peer, workers, slot_run);
}

static int pool_stream(void *arg, unsigned submitter, const struct bench_stream *s)
{
	struct pool *pool = arg;
	struct slot slots[BENCH_WINDOW];
	size_t i;

	(void)submitter;
	for (i = 0; i < s->count; i++) {
		struct slot *slot = &slots[i % BENCH_WINDOW];

		/* Who must wait lets half of its window end, so that the sides seldom meet. */
		if (i >= BENCH_WINDOW && !bench_flag_raised(&slot->done)) {
			bench_flag_await(&slots[(i + BENCH_WINDOW / 2) % BENCH_WINDOW].done);
			bench_flag_await(&slot->done);
		}
		*slot = (struct slot){ s->fn, &s->in[i], &s->out[i], 0 };
		g_thread_pool_push(pool->threads, slot, NULL);
	}
	for (i = s->count < BENCH_WINDOW ? 0 : s->count - BENCH_WINDOW; i < s->count; i++)
		bench_flag_await(&slots[i % BENCH_WINDOW].done);
	return 0;
}

const struct bench_task_peer bench_glib_task = {
	.peer = { .name = "glib-task" },
	.start = task_start,
	.stop = pool_stop,
	.stream = pool_stream,
};
