/* SPDX-License-Identifier: MIT */
/* Tasks as their submitter's process knows them: asked, waited for, given up; see future.c. */
#ifndef FP_ENGINE_FUTURE_H
#define FP_ENGINE_FUTURE_H

#include "engine/lines.h"

/* A task that a handle named; valid while the pool lives. */
struct fp_ref {
	struct forkpool *pool;
	struct fp_desk *desk;
	struct fp_future *future;
	struct fp_task *task;
	uint32_t index, number, gen, serial;
};

/* The task of a handle: 0; -EINVAL: there is none; -EDEADLK: it is not the caller's to ask for. */
int fp_ref_get(const struct forkpool_job *job, struct fp_ref *ret);

/* The job of a task that was just submitted. */
struct forkpool_job *fp_ref_make(struct forkpool *pool, const struct fp_place *at);

/* Has it ended?  *result is then what a wait returns. */
bool fp_future_ended(const struct fp_ref *r, int *result);

/* By a host thread.  0 and *result, or -ETIMEDOUT, -EINVAL (it was freed meanwhile). */
int fp_future_wait(const struct fp_ref *r, int64_t deadline, int *result);

const void *fp_future_result(const struct fp_ref *r);
int fp_future_status(const struct fp_ref *r, struct forkpool_status *ret);
void fp_future_cancel(const struct fp_ref *r);
int fp_future_kill(const struct fp_ref *r);
void fp_future_free(const struct fp_ref *r);

/* Sets an ask, and tells whether the task has not ended. */
bool fp_future_ask(const struct fp_ref *r, enum fp_ask ask);

/* What is left of a task that has ended and that nobody asks for (struct fp_producer). */
void fp_future_freed(void *ctx, struct fp_home *home, uint32_t index);

/* For all tasks of this process that have not ended: cancels what is queued; how many there are. */
void fp_futures_cancel(struct forkpool *pool);
size_t fp_futures_unfinished(struct forkpool *pool, uint32_t *number);

#endif
