/* SPDX-License-Identifier: MIT */
/* The host's handle on a pool, and its life; see pool.c. */
#ifndef FP_ENGINE_POOL_H
#define FP_ENGINE_POOL_H

#include <pthread.h>
#include <semaphore.h>
#include <urcu/lfstack.h>

#include <forkpool.h>

#include "proc/spawn.h"
#include "proc/worker.h"
#include "shm/arena.h"

enum fp_pool_state { FP_POOL_OPEN, FP_POOL_CLOSED, FP_POOL_TERMINATED };

/* What a pool is to be, with defaults filled in. */
struct fp_pool_config {
	uint32_t workers;
	int mode;
	size_t arena_size;		/* 0 = the default */
	int (*worker_init)(void *arg, unsigned id, void **state);
	void (*worker_exit)(void *arg, unsigned id, void *state);
	void *worker_arg;
	forkpool_loop_fn *loop;
	bool huge_pages;
	int backing;			/* FORKPOOL_BACKING_... */
};

/* A job slot from the host's side. */
struct fp_host_slot {
	struct cds_lfs_node node;	/* on pool->slots while free */
	uint32_t index;
	fp_a32 taken;			/* its room in the segment has been taken */
	uint64_t gen;			/* of its last job */
};

struct forkpool {
	struct fp_crew crew;
	int mode;
	uint64_t *token;		/* a page of its own that reads 0 in forked children */
	struct fp_arena *arena;
	int64_t spin;			/* ns a waiting thread looks on before it sleeps */

	fp_a32 state;			/* enum fp_pool_state */
	fp_a32 inside;			/* futex: threads inside a map */

	struct cds_lfs_stack slots;	/* free ones */
	sem_t free_slots;		/* how many */
	struct fp_host_slot host_slots[FP_SLOTS];

	pthread_mutex_t ending;		/* who ends the workers */
	bool ended;

	struct fp_spawn spawn;		/* FORKPOOL_PROCESSES */

	pthread_t *threads;		/* FORKPOOL_THREADS */
	struct fp_self *selves;
	uint32_t started;		/* threads that exist */
	fp_a32 left;			/* threads that have left */

	pthread_mutex_t serial;		/* FORKPOOL_INLINE: one item at a time; recursive */
	struct fp_self self;
};

/* Who calls, and may they? */
enum fp_caller { FP_CALLER_HOST, FP_CALLER_WORKER, FP_CALLER_CHILD };
enum fp_caller fp_pool_caller(const struct forkpool *pool);

int fp_pool_create(struct forkpool **ret, const struct fp_pool_config *config);
int fp_pool_close(struct forkpool *pool);
int fp_pool_terminate(struct forkpool *pool);
int fp_pool_join(struct forkpool *pool, int64_t timeout);
void fp_pool_destroy(struct forkpool *pool);

/* Destroys in a child that the host forked: local memory and descriptors only. */
void fp_pool_forget(struct forkpool *pool);

/* Around each map: 0, or why none may start. */
int fp_pool_enter(struct forkpool *pool);
void fp_pool_leave(struct forkpool *pool);

/* A slot to hold, waiting while all are in use; 0 or -errno. */
int fp_pool_take_slot(struct forkpool *pool, struct fp_host_slot **ret);
void fp_pool_give_slot(struct forkpool *pool, struct fp_host_slot *slot);

/* Waits until no worker can write to the segment any more. */
void fp_pool_await_end(struct forkpool *pool);

#endif
