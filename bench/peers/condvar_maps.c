/* SPDX-License-Identifier: MIT */
/*
 * Peer: threads, a mutex and condition variables.  The lock guards one job, of which
 * a worker takes the next items, one or a chunk; it takes them and says that those
 * before are done in one hold of the lock.  Workers are woken when a job comes, no
 * more than sleep and can get some of it, and nobody signals with the lock held, which
 * who is woken would have to wait for.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

struct pool {
	int chunked;
	pthread_mutex_t lock;		/* guards all below, but for the threads */
	pthread_cond_t filled, ended;
	struct bench_job job;
	size_t chunk;
	size_t next, left;		/* items not yet taken from, and not yet done */
	size_t sleepers;		/* not yet signalled to */
	unsigned ready;
	int stopping;
	unsigned workers;
	pthread_t thread[];
};

/* Called with the lock held; returns how many items from *FIRST on, 0 when it is time to go. */
static size_t items_take(struct pool *pool, size_t *first)
{
	size_t rest;

	while (pool->next == pool->job.count && !pool->stopping) {
		pool->sleepers++;
		pthread_cond_wait(&pool->filled, &pool->lock);
	}
	if (pool->stopping)
		return 0;
	rest = pool->job.count - pool->next;
	rest = rest < pool->chunk ? rest : pool->chunk;
	*first = pool->next;
	pool->next += rest;
	return rest;
}

static void *worker_main(void *arg)
{
	struct pool *pool = arg;
	size_t first, n;

	pthread_mutex_lock(&pool->lock);
	pool->ready++;
	pthread_cond_signal(&pool->ended);
	while ((n = items_take(pool, &first))) {
		pthread_mutex_unlock(&pool->lock);
		/* The job stays as it is while any of its items is not done. */
		bench_items_run(&pool->job, first, n);
		pthread_mutex_lock(&pool->lock);
		pool->left -= n;
		if (!pool->left) {
			pthread_mutex_unlock(&pool->lock);
			pthread_cond_signal(&pool->ended);
			pthread_mutex_lock(&pool->lock);
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Called with the lock held: how many workers to signal to. */
static size_t sleepers_take(struct pool *pool)
{
	size_t pieces = (pool->job.count + pool->chunk - 1) / pool->chunk;
	size_t n = pieces < pool->sleepers ? pieces : pool->sleepers;

	pool->sleepers -= n;
	return n;
}

static int pool_map(void *arg, const struct bench_job *job)
{
	struct pool *pool = arg;
	size_t wake, i;

	pthread_mutex_lock(&pool->lock);
	pool->job = *job;
	pool->chunk = pool->chunked ? bench_chunk(job->count, pool->workers) : 1;
	pool->next = 0;
	pool->left = job->count;
	wake = sleepers_take(pool);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < wake; i++)
		pthread_cond_signal(&pool->filled);
	pthread_mutex_lock(&pool->lock);
	while (pool->left)
		pthread_cond_wait(&pool->ended, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

/* ---- Start and stop -------------------------------------------------------------------- */

static void pool_stop(void *arg)
{
	struct pool *pool = arg;
	unsigned i;

	pthread_mutex_lock(&pool->lock);
	pool->stopping = 1;
	pthread_cond_broadcast(&pool->filled);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->workers; i++)
		pthread_join(pool->thread[i], NULL);
	pthread_cond_destroy(&pool->filled);
	pthread_cond_destroy(&pool->ended);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static void pool_hello(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->ready < pool->workers)
		pthread_cond_wait(&pool->ended, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

static void *pool_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	struct pool *pool = calloc(1, sizeof(*pool) + workers * sizeof(pool->thread[0]));

	(void)shared;
	if (!pool)
		goto fail;
	pool->chunked = peer->variant;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->filled, NULL);
	pthread_cond_init(&pool->ended, NULL);
	for (; pool->workers < workers; pool->workers++)
		if (pthread_create(&pool->thread[pool->workers], NULL, worker_main, pool)) {
			pool_stop(pool);
			goto fail;
		}
	pool_hello(pool);
	return pool;
fail:
	fprintf(stderr, "%s: can't start %u workers\n", peer->name, workers);
	return NULL;
}

const struct bench_peer bench_condvar_item = {
	.name = "condvar-item",
	.flags = BENCH_PER_ITEM,
	.variant = 0,
	.start = pool_start,
	.map = pool_map,
	.stop = pool_stop,
};

const struct bench_peer bench_condvar_chunk = {
	.name = "condvar-chunk",
	.flags = BENCH_VARIANT,
	.variant = 1,
	.start = pool_start,
	.map = pool_map,
	.stop = pool_stop,
};
