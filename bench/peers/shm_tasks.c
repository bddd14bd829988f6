/* SPDX-License-Identifier: MIT */
/*
 * Peers for single tasks: the shared-memory pool that one writes first.  A ring of
 * tasks under a lock, a semaphore that counts them; and the same for the results
 * of each submitter.  Rings have room for all that may be unfinished.  A submitter
 * whose ring is full lets half of it end first, so that the two sides seldom wake
 * each other.  No recovery: a worker that dies takes its work along.
 *
 * fork-task: the same rings, but a single small process takes from them, and it forks
 * a child for each task, as many at a time as there are workers.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { WORKERS, FORK };

/* No function sends a worker home. */
struct work {
	forkpool_fn *fn;
	size_t index;
	unsigned submitter;
	struct bench_task task;
};

struct result {
	size_t index;
	uint64_t out;
	int err;
};

#define LINE		128	/* bytes; two lines, for processors that fetch pairs */

/* One submitter's, which no other touches. */
struct results {
	_Alignas(LINE) pthread_mutex_t lock;	/* guards all below */
	sem_t filled;
	size_t head, tail;
	struct result ring[BENCH_WINDOW];
};

/* What host and workers share. */
struct shared {
	pthread_mutex_t lock;		/* guards head, tail, ring */
	sem_t filled;
	sem_t children;			/* that may be forked beside those that run */
	size_t head, tail;
	struct work ring[BENCH_SUBMITTERS_MAX * BENCH_WINDOW];
	struct results results[BENCH_SUBMITTERS_MAX];
};

#define RING		(BENCH_SUBMITTERS_MAX * BENCH_WINDOW)

struct pool {
	struct shared *shared;
	unsigned workers;
	pid_t pid[];
};

static void sem_take(sem_t *sem)
{
	while (sem_wait(sem) && errno == EINTR)
		;
}

static void work_push(struct shared *s, const struct work *work)
{
	pthread_mutex_lock(&s->lock);
	s->ring[s->tail++ % RING] = *work;
	pthread_mutex_unlock(&s->lock);
	sem_post(&s->filled);
}

static void work_pop(struct shared *s, struct work *ret)
{
	sem_take(&s->filled);
	pthread_mutex_lock(&s->lock);
	*ret = s->ring[s->head++ % RING];
	pthread_mutex_unlock(&s->lock);
}

static void result_push(struct results *r, struct result result)
{
	pthread_mutex_lock(&r->lock);
	r->ring[r->tail++ % BENCH_WINDOW] = result;
	pthread_mutex_unlock(&r->lock);
	sem_post(&r->filled);
}

static struct result result_pop(struct results *r)
{
	struct result result;

	sem_take(&r->filled);
	pthread_mutex_lock(&r->lock);
	result = r->ring[r->head++ % BENCH_WINDOW];
	pthread_mutex_unlock(&r->lock);
	return result;
}

static void work_run(struct shared *s, const struct work *work)
{
	struct result result = { .index = work->index };

	work->fn(NULL, &work->task, &result.out);
	result_push(&s->results[work->submitter], result);
}

static void worker_run(void *arg)
{
	struct shared *s = arg;
	struct work work;

	for (work_pop(s, &work); work.fn; work_pop(s, &work))
		work_run(s, &work);
}

struct child {
	struct shared *shared;
	struct work work;
};

static void child_run(void *arg)
{
	const struct child *child = arg;

	work_run(child->shared, &child->work);
	sem_post(&child->shared->children);
}

static void forker_run(void *arg)
{
	struct child child = { .shared = arg };
	struct shared *s = arg;

	/* Nobody asks how a child has ended: the system does away with it by itself. */
	signal(SIGCHLD, SIG_IGN);
	for (work_pop(s, &child.work); child.work.fn; work_pop(s, &child.work)) {
		struct result failed = { .index = child.work.index };

		sem_take(&s->children);
		failed.err = (int)bench_worker_fork(child_run, &child);
		if (failed.err < 0) {
			result_push(&s->results[child.work.submitter], failed);
			sem_post(&s->children);
		}
	}
	/* Returns when no child is left. */
	wait(NULL);
}

static int pool_stream(void *arg, unsigned submitter, const struct bench_stream *stream)
{
	struct shared *s = ((struct pool *)arg)->shared;
	size_t sent = 0, collected = 0;
	int err = 0;

	while (collected < stream->count) {
		for (; sent < stream->count && sent - collected < BENCH_WINDOW; sent++) {
			const struct work work = { stream->fn, sent, submitter, stream->in[sent] };

			work_push(s, &work);
		}
		for (; collected < sent &&
		       (sent == stream->count || sent - collected > BENCH_WINDOW / 2);
		     collected++) {
			struct result result = result_pop(&s->results[submitter]);

			stream->out[result.index] = result.out;
			err = err ? err : result.err;
		}
	}
	return err;
}

/* ---- Start and stop -------------------------------------------------------------------- */

static void pool_stop(void *arg)
{
	struct pool *pool = arg;
	const struct work home = { .fn = NULL };
	unsigned i;

	for (i = 0; i < pool->workers; i++)
		work_push(pool->shared, &home);
	for (i = 0; i < pool->workers; i++)
		waitpid(pool->pid[i], NULL, 0);
	munmap(pool->shared, sizeof(*pool->shared));
	free(pool);
}

static struct shared *shared_map(unsigned children)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attr;
	unsigned i;

	if (s == MAP_FAILED)
		return NULL;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->lock, &attr);
	sem_init(&s->filled, 1, 0);
	sem_init(&s->children, 1, children);
	for (i = 0; i < BENCH_SUBMITTERS_MAX; i++) {
		pthread_mutex_init(&s->results[i].lock, &attr);
		sem_init(&s->results[i].filled, 1, 0);
	}
	return s;
}

static void *pool_start(const struct bench_task_peer *peer, unsigned workers,
			unsigned submitters)
{
	const int forks = peer->peer.variant == FORK;
	const unsigned processes = forks ? 1 : workers;
	struct pool *pool = calloc(1, sizeof(*pool) + processes * sizeof(pool->pid[0]));

	(void)submitters;
	if (!pool)
		goto fail;
	pool->shared = shared_map(workers);
	if (!pool->shared)
		goto fail;
	for (; pool->workers < processes; pool->workers++) {
		pid_t pid = bench_worker_fork(forks ? forker_run : worker_run, pool->shared);

		if (pid < 0) {
			pool_stop(pool);
			pool = NULL;
			goto fail;
		}
		pool->pid[pool->workers] = pid;
	}
	return pool;
fail:
	free(pool);
	fprintf(stderr, "%s: can't start %u workers\n", peer->peer.name, workers);
	return NULL;
}

const struct bench_task_peer bench_shm_task = {
	.peer = { .name = "shm-task", .flags = BENCH_PROCESSES | BENCH_PER_ITEM,
		  .variant = WORKERS },
	.start = pool_start,
	.stop = pool_stop,
	.stream = pool_stream,
};

const struct bench_task_peer bench_fork_task = {
	.peer = { .name = "fork-task", .flags = BENCH_PROCESSES | BENCH_FORKS,
		  .variant = FORK },
	.start = pool_start,
	.stop = pool_stop,
	.stream = pool_stream,
};
