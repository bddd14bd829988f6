/* SPDX-License-Identifier: MIT */
/*
 * Peers: the shared-memory pool that one writes first: a ring under a lock in
 * memory shared by fork, one semaphore that counts what it holds and one that
 * counts its room.  No recovery: a worker that dies takes its work along.
 *
 * fork: the same ring, but a single process takes from it, and it forks a child for
 * each item, as many at a time as there are workers.  It is a small process, forked
 * before the host had any array, so that its forks are as cheap as they can be.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peers.h"

enum { ITEM, CHUNK, FORK };

#define RING		1024

/* A count of 0 sends a worker home. */
struct piece {
	size_t first, count;
};

/* What host and workers share. */
struct shared {
	pthread_mutex_t lock;		/* guards ring, head, tail, left, err */
	sem_t filled, room;		/* what the ring holds, what it could take */
	sem_t ready, finished;
	sem_t children;			/* that may be forked beside those that run */
	struct bench_job job;
	size_t left;			/* items not yet done */
	int err;
	unsigned head, tail;
	struct piece ring[RING];
};

struct pool {
	int kind;
	unsigned workers;		/* processes that take from the ring */
	struct bench_arena arena;
	struct shared *shared;
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

static void piece_end(struct shared *s, const struct piece *piece, int err)
{
	int last;

	pthread_mutex_lock(&s->lock);
	s->left -= piece->count;
	s->err = s->err ? s->err : err;
	last = !s->left;
	pthread_mutex_unlock(&s->lock);
	if (last)
		sem_post(&s->finished);
}

static void worker_run(void *arg)
{
	struct shared *s = arg;
	struct piece piece;

	sem_post(&s->ready);
	while ((piece = piece_pop(s)).count) {
		bench_items_run(&s->job, piece.first, piece.count);
		piece_end(s, &piece, 0);
	}
}

struct child {
	struct shared *shared;
	struct piece piece;
};

static void child_run(void *arg)
{
	const struct child *child = arg;

	bench_items_run(&child->shared->job, child->piece.first, child->piece.count);
	piece_end(child->shared, &child->piece, 0);
	sem_post(&child->shared->children);
}

static void forker_run(void *arg)
{
	struct child child = { .shared = arg };
	struct shared *s = arg;
	pid_t pid;

	/* Nobody asks how a child has ended: the system does away with it by itself. */
	signal(SIGCHLD, SIG_IGN);
	sem_post(&s->ready);
	while ((child.piece = piece_pop(s)).count) {
		sem_take(&s->children);
		pid = bench_worker_fork(child_run, &child);
		if (pid < 0) {
			piece_end(s, &child.piece, (int)pid);
			sem_post(&s->children);
		}
	}
	/* Returns when no child is left. */
	wait(NULL);
}

static int pool_map(void *arg, const struct bench_job *job)
{
	struct pool *pool = arg;
	struct shared *s = pool->shared;
	size_t chunk = pool->kind == CHUNK ? bench_chunk(job->count, pool->workers) : 1;
	size_t i;

	if (!job->count)
		return 0;
	s->job = *job;
	s->left = job->count;
	s->err = 0;
	for (i = 0; i < job->count; i += chunk) {
		size_t rest = job->count - i;

		piece_push(s, (struct piece){ i, rest < chunk ? rest : chunk });
	}
	sem_take(&s->finished);
	return s->err;
}

static void *pool_alloc(void *arg, size_t size)
{
	return bench_arena_alloc(&((struct pool *)arg)->arena, size);
}

static void pool_stop(void *arg)
{
	struct pool *pool = arg;
	unsigned i;

	for (i = 0; i < pool->workers; i++)
		piece_push(pool->shared, (struct piece){ 0, 0 });
	for (i = 0; i < pool->workers; i++)
		waitpid(pool->pid[i], NULL, 0);
	bench_arena_close(&pool->arena);
	free(pool);
}

static int shared_setup(struct pool *pool, unsigned children, size_t arrays)
{
	pthread_mutexattr_t attr;
	struct shared *s;
	int err = bench_arena_open(&pool->arena, sizeof(*s) + arrays, 3);

	if (err)
		return err;
	s = pool->shared = bench_arena_alloc(&pool->arena, sizeof(*s));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->lock, &attr);
	sem_init(&s->filled, 1, 0);
	sem_init(&s->room, 1, RING);
	sem_init(&s->ready, 1, 0);
	sem_init(&s->finished, 1, 0);
	sem_init(&s->children, 1, children);
	return 0;
}

static void *pool_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	const int kind = peer->variant;
	const unsigned processes = kind == FORK ? 1 : workers;
	struct pool *pool = calloc(1, sizeof(*pool) + processes * sizeof(pool->pid[0]));
	unsigned i;

	if (!pool)
		goto fail;
	pool->kind = kind;
	if (shared_setup(pool, workers, shared))
		goto fail;
	for (; pool->workers < processes; pool->workers++) {
		pid_t pid = bench_worker_fork(kind == FORK ? forker_run : worker_run,
					      pool->shared);

		if (pid < 0) {
			pool_stop(pool);
			pool = NULL;
			goto fail;
		}
		pool->pid[pool->workers] = pid;
	}
	for (i = 0; i < processes; i++)
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
	.variant = ITEM,
	.start = pool_start,
	.map = pool_map,
	.alloc = pool_alloc,
	.stop = pool_stop,
};

const struct bench_peer bench_shm_chunk = {
	.name = "shm-chunk",
	.flags = BENCH_PROCESSES | BENCH_VARIANT,
	.variant = CHUNK,
	.start = pool_start,
	.map = pool_map,
	.alloc = pool_alloc,
	.stop = pool_stop,
};

const struct bench_peer bench_fork = {
	.name = "fork",
	.flags = BENCH_PROCESSES | BENCH_FORKS,
	.variant = FORK,
	.start = pool_start,
	.map = pool_map,
	.alloc = pool_alloc,
	.stop = pool_stop,
};
