/* SPDX-License-Identifier: MIT */
/*
 * Peer: the shared-memory pool that one writes first: a ring under a lock in
 * memory shared by fork, one semaphore that counts what it holds and one that
 * counts its room.  No recovery: a worker that dies takes its work along.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define RING		1024
#define ALIGN		4096

/* A count of 0 sends a worker home. */
struct piece {
	size_t first, count;
};

/* What host and workers share; the arrays lie behind it. */
struct shared {
	pthread_mutex_t lock;		/* guards ring, head, tail, left */
	sem_t filled, room;		/* what the ring holds, what it could take */
	sem_t ready, finished;
	struct bench_job job;
	size_t left;			/* items not yet done */
	unsigned head, tail;
	struct piece ring[RING];
};

struct pool {
	int chunked;
	unsigned workers;
	struct shared *shared;
	size_t size, used;		/* bytes of the mapping */
	pid_t pid[];
};

static void sem_take(sem_t *sem)
{
	while (sem_wait(sem) && errno == EINTR)
		;
}

static void piece_push(struct shared *s, struct piece piece)
{
	sem_take(&s->room);
	pthread_mutex_lock(&s->lock);
	s->ring[s->tail++ % RING] = piece;
	pthread_mutex_unlock(&s->lock);
	sem_post(&s->filled);
}

static struct piece piece_pop(struct shared *s)
{
	struct piece piece;

	sem_take(&s->filled);
	pthread_mutex_lock(&s->lock);
	piece = s->ring[s->head++ % RING];
	pthread_mutex_unlock(&s->lock);
	sem_post(&s->room);
	return piece;
}

static void worker_run(void *arg)
{
	struct shared *s = arg;
	struct piece piece;
	int last;

	sem_post(&s->ready);
	while ((piece = piece_pop(s)).count) {
		bench_items_run(&s->job, piece.first, piece.count);
		pthread_mutex_lock(&s->lock);
		s->left -= piece.count;
		last = !s->left;
		pthread_mutex_unlock(&s->lock);
		if (last)
			sem_post(&s->finished);
	}
}

static int pool_map(void *arg, const struct bench_job *job)
{
	struct pool *pool = arg;
	struct shared *s = pool->shared;
	size_t chunk = pool->chunked ? bench_chunk(job->count, pool->workers) : 1;
	size_t i;

	if (!job->count)
		return 0;
	s->job = *job;
	s->left = job->count;
	for (i = 0; i < job->count; i += chunk) {
		size_t rest = job->count - i;

		piece_push(s, (struct piece){ i, rest < chunk ? rest : chunk });
	}
	sem_take(&s->finished);
	return 0;
}

static void *pool_alloc(void *arg, size_t size)
{
	struct pool *pool = arg;
	char *p = (char *)pool->shared + pool->used;

	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (size > pool->size - pool->used)
		return NULL;
	pool->used += size;
	return p;
}

static void pool_stop(void *arg)
{
	struct pool *pool = arg;
	unsigned i;

	for (i = 0; i < pool->workers; i++)
		piece_push(pool->shared, (struct piece){ 0, 0 });
	for (i = 0; i < pool->workers; i++)
		waitpid(pool->pid[i], NULL, 0);
	munmap(pool->shared, pool->size);
	free(pool);
}

static struct shared *shared_map(size_t size)
{
	pthread_mutexattr_t attr;
	struct shared *s = mmap(NULL, size, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (s == MAP_FAILED)
		return NULL;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->lock, &attr);
	sem_init(&s->filled, 1, 0);
	sem_init(&s->room, 1, RING);
	sem_init(&s->ready, 1, 0);
	sem_init(&s->finished, 1, 0);
	return s;
}

static void *pool_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	struct pool *pool = calloc(1, sizeof(*pool) + workers * sizeof(pool->pid[0]));
	unsigned i;

	if (!pool)
		goto fail;
	pool->chunked = peer->variant;
	pool->used = (sizeof(*pool->shared) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	/* Each of the two arrays may be rounded up. */
	pool->size = pool->used + shared + 2 * ALIGN;
	pool->shared = shared_map(pool->size);
	if (!pool->shared)
		goto fail;
	for (; pool->workers < workers; pool->workers++) {
		pool->pid[pool->workers] = bench_worker_fork(worker_run, pool->shared);
		if (pool->pid[pool->workers] < 0) {
			pool_stop(pool);
			pool = NULL;
			goto fail;
		}
	}
	for (i = 0; i < workers; i++)
		sem_take(&pool->shared->ready);
	return pool;
fail:
	free(pool);
	fprintf(stderr, "%s: can't start %u workers\n", peer->name, workers);
	return NULL;
}

const struct bench_peer bench_shm_item = {
	.name = "shm-item",
	.flags = BENCH_PROCESSES | BENCH_PER_ITEM,
	.variant = 0,
	.start = pool_start,
	.map = pool_map,
	.alloc = pool_alloc,
	.stop = pool_stop,
};

const struct bench_peer bench_shm_chunk = {
	.name = "shm-chunk",
	.flags = BENCH_PROCESSES | BENCH_VARIANT,
	.variant = 1,
	.start = pool_start,
	.map = pool_map,
	.alloc = pool_alloc,
	.stop = pool_stop,
};
