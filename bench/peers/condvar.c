/* SPDX-License-Identifier: MIT */
/*
 * Peer for single tasks: threads, a queue under a mutex, and condition variables.
 * A worker takes its share of what the queue holds, up to some tasks, so that the
 * lock is taken less often; who submits signals only if a worker sleeps; a task's
 * end is a flag of its own, so that most waits need no lock.  A submitter that must
 * wait for its oldest task lets half of its window end first, so that the two sides
 * seldom wake each other.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

/* Tasks that a worker takes at a time. */
#define TAKE		32

struct work {
	forkpool_fn *fn;
	const struct bench_task *in;
	uint64_t *out;
	atomic_uint *done;
};

struct pool {
	pthread_mutex_t lock;		/* guards all below, but for room and the threads */
	pthread_cond_t filled, ended;
	unsigned sleepers, waiters;	/* not yet signalled to */
	int stopping;
	size_t head, tail;
	size_t room;			/* a power of two */
	struct work *ring;
	unsigned workers;
	pthread_t thread[];
};

/* ---- The worker -------------------------------------------------------------------- */

/* Called with the lock held; 0 when it is time to go. */
static size_t share_take(struct pool *pool, struct work work[TAKE])
{
	size_t n, i;

	while (pool->head == pool->tail) {
		if (pool->stopping)
			return 0;
		pool->sleepers++;
		pthread_cond_wait(&pool->filled, &pool->lock);
	}
	n = (pool->tail - pool->head + pool->workers - 1) / pool->workers;
	n = n < TAKE ? n : TAKE;
	for (i = 0; i < n; i++)
		work[i] = pool->ring[pool->head++ & (pool->room - 1)];
	return n;
}

static void *worker_main(void *arg)
{
	struct pool *pool = arg;
	struct work work[TAKE];
	size_t n, i;

	pthread_mutex_lock(&pool->lock);
	while ((n = share_take(pool, work))) {
		pthread_mutex_unlock(&pool->lock);
		for (i = 0; i < n; i++) {
			work[i].fn(NULL, work[i].in, work[i].out);
			/* CONDVAR-D1: the result before the flag; pairs with CONDVAR-D2. */
			atomic_store_explicit(work[i].done, 1, memory_order_release);
		}
		pthread_mutex_lock(&pool->lock);
		if (pool->waiters) {
			pool->waiters = 0;
			pthread_mutex_unlock(&pool->lock);
			pthread_cond_broadcast(&pool->ended);
			pthread_mutex_lock(&pool->lock);
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* ---- The submitter -------------------------------------------------------------------- */

static void work_submit(struct pool *pool, struct work work)
{
	int asleep;

	pthread_mutex_lock(&pool->lock);
	pool->ring[pool->tail++ & (pool->room - 1)] = work;
	asleep = pool->sleepers > 0;
	if (asleep)
		pool->sleepers--;
	pthread_mutex_unlock(&pool->lock);
	if (asleep)
		pthread_cond_signal(&pool->filled);
}

static int flag_seen(atomic_uint *done)
{
	/* CONDVAR-D2: the flag before the result; pairs with CONDVAR-D1. */
	return atomic_load_explicit(done, memory_order_acquire) != 0;
}

static void work_await(struct pool *pool, atomic_uint *done)
{
	if (flag_seen(done))
		return;
	pthread_mutex_lock(&pool->lock);
	while (!flag_seen(done)) {
		pool->waiters++;
		pthread_cond_wait(&pool->ended, &pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
}

static int pool_stream(void *arg, unsigned submitter, const struct bench_stream *s)
{
	atomic_uint done[BENCH_WINDOW];
	size_t i;

	(void)submitter;
	for (i = 0; i < s->count; i++) {
		atomic_uint *flag = &done[i % BENCH_WINDOW];

		if (i >= BENCH_WINDOW && !flag_seen(flag)) {
			work_await(arg, &done[(i + BENCH_WINDOW / 2) % BENCH_WINDOW]);
			work_await(arg, flag);
		}
		atomic_store_explicit(flag, 0, memory_order_relaxed);
		work_submit(arg, (struct work){ s->fn, &s->in[i], &s->out[i], flag });
	}
	for (i = s->count < BENCH_WINDOW ? 0 : s->count - BENCH_WINDOW; i < s->count; i++)
		work_await(arg, &done[i % BENCH_WINDOW]);
	return 0;
}

/* ---- Start and stop -------------------------------------------------------------------- */

static void pool_stop(void *arg)
{
	struct pool *pool = arg;
	unsigned i;

	pthread_mutex_lock(&pool->lock);
	pool->stopping = 1;
	pthread_mutex_unlock(&pool->lock);
	pthread_cond_broadcast(&pool->filled);
	for (i = 0; i < pool->workers; i++)
		pthread_join(pool->thread[i], NULL);
	pthread_cond_destroy(&pool->filled);
	pthread_cond_destroy(&pool->ended);
	pthread_mutex_destroy(&pool->lock);
	free(pool->ring);
	free(pool);
}

static void *pool_start(const struct bench_task_peer *peer, unsigned workers,
			unsigned submitters)
{
	struct pool *pool = calloc(1, sizeof(*pool) + workers * sizeof(pool->thread[0]));
	unsigned i;

	if (!pool)
		goto fail;
	for (pool->room = BENCH_WINDOW; pool->room < (size_t)submitters * BENCH_WINDOW;)
		pool->room *= 2;
	pool->ring = calloc(pool->room, sizeof(*pool->ring));
	if (!pool->ring)
		goto fail;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->filled, NULL);
	pthread_cond_init(&pool->ended, NULL);
	/* Its number is part of how work is shared, so it stands before they start. */
	pool->workers = workers;
	for (i = 0; i < workers; i++)
		if (pthread_create(&pool->thread[i], NULL, worker_main, pool)) {
			pool->workers = i;
			pool_stop(pool);
			pool = NULL;
			goto fail;
		}
	return pool;
fail:
	free(pool);
	fprintf(stderr, "%s: can't start %u workers\n", peer->peer.name, workers);
	return NULL;
}

const struct bench_task_peer bench_condvar_task = {
	.peer = { .name = "condvar" },
	.start = pool_start,
	.stop = pool_stop,
	.stream = pool_stream,
};
