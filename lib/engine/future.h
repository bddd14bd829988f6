/* SPDX-License-Identifier: MIT */
/* Tasks as their submitter's process knows them: asked, waited for, given up; see future.c. */
#ifndef FP_ENGINE_FUTURE_H
#define FP_ENGINE_FUTURE_H

#include <errno.h>

#include "engine/handle.h"
#include "engine/lines.h"

/* A task that a handle named; valid while the pool lives. */
struct fp_ref {
	struct forkpool *pool;
	struct fp_desk *desk;
	struct fp_future *future;
	struct fp_task *task;
	uint32_t index, number, gen, serial;
};

/* Of a handle that names no task that the caller may ask for: is it somebody else's? */
bool fp_ref_is_foreign(const struct forkpool_job *job);

/* The task of a handle, of a pool and with a desk that it names: true, if there still is one. */
static inline bool fp_ref_fill(struct forkpool *pool, struct fp_desk *desk, const struct forkpool_job *job,
			       struct fp_ref *ret)
{
	uint32_t number = fp_handle_index(job);

	ret->pool = pool;
	ret->desk = desk;
	ret->number = number;
	ret->serial = fp_handle_serial_of(job);
	ret->index = number % FP_PAGE_SLOTS;
	ret->future = &desk->futures[ret->index];
	/* FUTURE-S1: the task as it was submitted; pairs with FUTURE-S2. */
	if (fp_unlikely(fp_load_acq(&ret->future->serial) != ret->serial || !ret->serial))
		return false;
	/* TASK-H2: before one more look at the handle, where it may be freed meanwhile; pairs with TASK-H1. */
	ret->gen = fp_load_acq(&desk->home.gens[ret->index]);
	ret->task = fp_segment_task(&pool->crew.seg, number);
	return true;
}

/* The task of a handle: 0; -EINVAL: there is none; -EDEADLK: it is not the caller's to ask for. */
static inline int fp_ref_get(const struct forkpool_job *job, struct fp_ref *ret)
{
	struct forkpool *pool = fp_likely(fp_handle_is_task(job)) ? fp_handle_pool(job) : NULL;
	struct fp_desk *desk = fp_likely(pool) ? fp_desk_of(pool, fp_handle_index(job) / FP_PAGE_SLOTS) : NULL;

	if (fp_unlikely(!desk))
		return fp_ref_is_foreign(job) ? -EDEADLK : -EINVAL;
	/* Still the same: so the generation is that of this handle's task. */
	return fp_ref_fill(pool, desk, job, ret) && fp_load_rlx(&ret->future->serial) == ret->serial ? 0 : -EINVAL;
}

/* The job of a task that was just submitted. */
static inline struct forkpool_job *fp_ref_make(struct forkpool *pool, const struct fp_place *at)
{
	struct fp_future *f = &fp_container(at->home, struct fp_desk, home)->futures[at->index];
	uint32_t serial = f->last_serial = fp_handle_serial_after(f->last_serial);

	/* FUTURE-S2: from here on the handle is found; pairs with FUTURE-S1. */
	fp_store_rel(&f->serial, serial);
	return fp_handle_make_task(pool, at->number, serial);
}

/* The task's word, if it has ended; 0: not yet. */
static inline uint64_t fp_future_word(const struct fp_ref *r)
{
	/* TASK-E2: what the task left behind; pairs with TASK-D1. */
	uint64_t w = fp_load_acq(&r->task->word);

	return fp_task_state(w) == FP_TASK_DONE && fp_task_gen(w) == r->gen ? w : 0;
}

/* Has it ended?  *result is then what a wait returns. */
bool fp_future_ended(const struct fp_ref *r, int *result);

/* By a host thread.  0 and *result, or -ETIMEDOUT, -EINVAL (it was freed meanwhile). */
int fp_future_wait(const struct fp_ref *r, int64_t deadline, int *result);

/* What its function left in out; and what of that is the user's. */
const void *fp_future_output(const struct fp_ref *r);
const void *fp_future_result(const struct fp_ref *r);

int fp_future_status(const struct fp_ref *r, size_t index, struct forkpool_status *ret);
void fp_future_cancel(const struct fp_ref *r);
int fp_future_kill(const struct fp_ref *r);
void fp_future_free(const struct fp_ref *r);

/* Sets an ask, and tells whether the task has not ended: then who ends it sees the ask. */
bool fp_future_ask(const struct fp_ref *r, enum fp_ask ask);

/* What is left of a task that has ended and that nobody asks for (struct fp_producer). */
void fp_future_freed(void *ctx, struct fp_home *home, uint32_t index);

/* For all tasks of this process that have not ended: cancels what is queued. */
void fp_futures_cancel(struct forkpool *pool);

/* Asks one of them, of those that items did not submit, to raise ctl->done at its end; false: there is none. */
bool fp_futures_ask(struct forkpool *pool);

/* Of all submitters, items too: tasks that are READY, by priority from the highest. */
void fp_futures_queued(const struct forkpool *pool, uint64_t queued[FP_PRIOS]);

#endif
