/* SPDX-License-Identifier: MIT */
/* The host's handle on a pool, and its life; see pool.c. */
#ifndef FP_ENGINE_POOL_H
#define FP_ENGINE_POOL_H

#include <pthread.h>
#include <urcu/lfstack.h>
#include <urcu/wfcqueue.h>

#include <forkpool.h>

#include "proc/spawn.h"
#include "proc/worker.h"
#include "shm/arena.h"

enum fp_pool_state { FP_POOL_OPEN, FP_POOL_CLOSED, FP_POOL_TERMINATED };

/* What a pool is to be, with defaults filled in. */
struct fp_pool_config {
	uint32_t workers, max_workers;
	uint64_t max_items;		/* of a worker; 0 = no limit */
	int mode;
	size_t arena_size;		/* 0 = the default */
	int (*worker_init)(void *arg, unsigned id, void **state);
	void (*worker_exit)(void *arg, unsigned id, void *state);
	void *worker_arg;
	int pin;			/* FORKPOOL_PIN_... */
	int64_t spin;			/* of workers; 0 = the library chooses, -1 = none */
	const int *keep_fds;		/* the caller's */
	size_t keep_fds_count;
	forkpool_loop_fn *loop;
	int64_t grace;			/* 0 = the default */
	void (*log)(void *log_arg, int level, const char *text);
	void *log_arg;
	uint32_t queue_depth;		/* 0 = the default */
	bool huge_pages;
	int backing;			/* FORKPOOL_BACKING_... */
	bool dispatch_thread;
};

/* A job slot from the host's side. */
struct fp_host_slot {
	struct cds_lfs_node node;	/* on pool->slots while free */
	uint32_t index;
	fp_a32 taken;			/* its room in the segment has been taken */
	uint64_t gen;			/* of its last job */
	struct fp_async *_Atomic async;	/* the unfinished async job that holds it; NULL */
};

/* Callbacks that are due, and who asks for them (dispatch.c). */
struct fp_dispatch {
	struct cds_wfcq_head head;	/* of struct fp_due */
	struct cds_wfcq_tail tail;
	fp_a64 pushed, taken;		/* ever */
	_Atomic int poll_fd;		/* what forkpool_event_fd() returns; -1 = not asked for yet */
	pthread_mutex_t lock;		/* who makes poll_fd, or writes the next one */
	int end_fd;			/* in poll_fd, until the pool's end has been seen; -1 */
	fp_a32 stop;			/* the helper is to end */
	bool has_helper;
	pthread_t helper;
};

struct forkpool {
	struct fp_crew crew;
	int mode;
	uint64_t *token;		/* a page of its own that reads 0 in forked children */
	struct fp_arena *arena;
	fp_a64 spin;			/* ns a waiting thread looks on before it sleeps, as int64_t; fp_idle_may_spin() */
	int64_t worker_spin;		/* the user's wish for workers */
	unsigned *cpus;			/* what crew.cpus points to */
	int *keep;			/* and crew.keep */

	void (*log)(void *log_arg, int level, const char *text);	/* the user's; may be NULL */
	void *log_arg;
	fp_a64 log_taken;		/* the nursery's records handed on */
	fp_a32 broken_said;

	fp_a32 state;			/* enum fp_pool_state */
	fp_a32 inside;			/* maps and async jobs that have not been gathered */
	fp_a32 event;			/* futex of watchers (slots.c) */
	fp_a32 watchers;

	struct cds_lfs_stack slots;	/* free ones */
	fp_a32 free_slots;		/* how many */
	struct fp_host_slot host_slots[FP_SLOTS];

	uint64_t handle;		/* what handles of its jobs begin with (handle.c); 0 = none yet */
	struct fp_async_table *asyncs;
	struct fp_lines *lines;		/* where threads submit tasks */
	uint64_t lines_serial;		/* lines->serial, at hand */
	struct fp_desk *_Atomic *desks;	/* what is known of tasks, by page; see lines.h */

	struct fp_dispatch dispatch;

	pthread_mutex_t ending;		/* who ends the workers */
	bool ended;

	pthread_mutex_t resizing;	/* who changes the next two */
	uint32_t workers;		/* in force now */
	uint32_t resizes;		/* the last one's number */

	struct fp_spawn spawn;		/* FORKPOOL_PROCESSES */

	pthread_t *threads;		/* FORKPOOL_THREADS */
	struct fp_self *selves;
	uint32_t started;		/* threads that exist */
	fp_a32 left;			/* threads that have left */

	pthread_mutex_t serial;		/* FORKPOOL_INLINE: one item at a time; recursive */
	struct fp_self self;
};

/* Who calls, and may they?  A child reads 0 for the token. */
#define FP_POOL_TOKEN	1
enum fp_caller { FP_CALLER_HOST, FP_CALLER_WORKER, FP_CALLER_CHILD };
static inline enum fp_caller fp_pool_caller(const struct forkpool *pool)
{
	if (fp_self && fp_self->crew->pool == pool)
		return FP_CALLER_WORKER;
	return *pool->token == FP_POOL_TOKEN ? FP_CALLER_HOST : FP_CALLER_CHILD;
}

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

/* Terminated or broken; and what a job that it left unfinished returns. */
bool fp_pool_over(struct forkpool *pool);
int fp_pool_end_error(struct forkpool *pool);

/* How long workers and waiters look on before they sleep, with so many workers. */
void fp_pool_set_spin(struct forkpool *pool, uint32_t workers);

/* Waits until no worker can write to the segment any more.  0 or -ETIMEDOUT. */
int fp_pool_await_end(struct forkpool *pool, int64_t deadline);

/* Has that come?  Never inline. */
bool fp_pool_has_ended(struct forkpool *pool);

/* A new descriptor that can be read from when it has; -ESRCH: there is none, or no need for one; or -errno. */
int fp_pool_end_fd(struct forkpool *pool);

#endif
