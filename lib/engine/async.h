/* SPDX-License-Identifier: MIT */
/* Jobs that do not block their caller; see async.c. */
#ifndef FP_ENGINE_ASYNC_H
#define FP_ENGINE_ASYNC_H

#include "engine/map.h"
#include "os/sys.h"

struct fp_async;

/* Of the pool as a whole: the table of its async jobs. */
int fp_async_create(struct forkpool *pool);
void fp_async_destroy(struct forkpool *pool);		/* never created is fine */

/*
 * Publishes a map and returns.  0, or why not; between fp_pool_enter() and, on
 * failure only, fp_pool_leave().
 */
int fp_async_submit(struct forkpool *pool, const struct fp_map *map,
		    struct forkpool_job **ret);

/* The job of a handle, held until fp_async_put(); NULL when there is none. */
struct fp_async *fp_async_get(const struct forkpool_job *job);
void fp_async_put(struct fp_async *a);

/* Until a deadline, or (0) just looks: 0 and the job's own result in *result, or -ETIMEDOUT. */
int fp_async_wait_until(struct fp_async *a, int64_t deadline, int *result);

/* What to sleep on until it ends; false: it has, or is being gathered. */
bool fp_async_arm_one(struct fp_async *a, struct fp_wait *ret);
struct forkpool *fp_async_pool(const struct fp_async *a);

/* An item's status; -EAGAIN: not done; -ENODATA: not known. */
int fp_async_status(struct fp_async *a, size_t index, struct forkpool_status *ret);

void fp_async_cancel(struct fp_async *a);

/* Cancels it, and kills the workers that still run it.  -ENOTSUP without processes. */
int fp_async_kill(struct fp_async *a);

/* The handle is void from now on; an unfinished job runs on. */
void fp_async_free(const struct forkpool_job *job);

/* Gathers what has ended, or only what nobody has a handle of; how many there were. */
unsigned fp_async_reap(struct forkpool *pool, bool detached);

/* The same for a set of slots, which may be empty. */
void fp_async_reap_slots(struct forkpool *pool, uint64_t slots);

/*
 * Adds to list, from *n on, what to sleep on until an unfinished job ends.  False
 * when one of them has ended by now.
 */
bool fp_async_arm(struct forkpool *pool, struct fp_wait *list, unsigned *n);

#endif
