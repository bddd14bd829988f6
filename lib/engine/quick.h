/* SPDX-License-Identifier: MIT */
/*
 * What.  The common calls on single tasks, for the public functions to inline: a host
 * thread submits small tasks, without options, through a line that it has already;
 * they end well; it frees them itself.  All else is false here, with nothing done, and
 * the caller goes the long way (submit.h, future.h), which does the same in that case.
 *
 * Usage.  A task takes some hundred instructions of its submitter, and those are what
 * bounds a stream of tasks: nothing here has its address taken, so that all stays in
 * registers.
 *
 * Ordering pairs.  As in submit.c and future.c.
 */
#ifndef FP_ENGINE_QUICK_H
#define FP_ENGINE_QUICK_H

#include <string.h>

#include "engine/future.h"
#include "engine/submit.h"
#include "os/sys.h"
#include "sync/fence.h"
#include "sync/idle.h"
#include "task/job.h"

#define FP_QUICK	static inline __attribute__((always_inline))

#define FP_SMALL_MOST	(FP_TASK_ROOM / 2 - 17)	/* bytes of in and of out that fit in any case: all bits below 32 */
#define FP_PRIO_NORMAL	1u

/* ---- Submission ------------------------------------------------------------------------- */

/* Is the pool open?  Then close waits until busy is 0 again. */
FP_QUICK bool fp_submit_begin(struct fp_line *line)
{
	struct forkpool *pool = line->pool;

	fp_store_rlx(&line->busy, 1);
	fp_fence_light(pool->crew.seg.ctl);
	/* LINE-B1: after busy, by the light fence; pairs with LINE-B2. */
	if (fp_likely(fp_load_acq(&pool->state) == FP_POOL_OPEN && !fp_life_ended(pool->crew.seg.ctl)))
		return true;
	/* LINE-B3: as LINE-B4; pairs with LINE-B2. */
	fp_store_rel(&line->busy, 0);
	return false;
}

FP_QUICK void fp_submit_end(struct fp_line *line)
{
	/* LINE-B4: after the tasks are shown; pairs with LINE-B2. */
	fp_store_rel(&line->busy, 0);
}

/* After n tasks were shown. */
FP_QUICK void fp_submit_wake(struct forkpool *pool, struct fp_line *line, uint64_t n)
{
	const struct fp_segment *seg = &pool->crew.seg;

	fp_fence_light(seg->ctl);
	if (fp_unlikely(fp_asleep_any(seg->ctl, seg->geo.workers)))
		fp_submit_wake_for(pool, line, n);
}

FP_QUICK void fp_copy_small(void *to, const void *from, size_t size)
{
	/* Sizes that need no call. */
	if (size == 16)
		memcpy(to, from, 16);
	else if (size == 8)
		memcpy(to, from, 8);
	else
		memcpy(to, from, size);
}

/* Argument, sizes and in; at most FP_SMALL_MOST bytes of in and of out. */
FP_QUICK void fp_fill_small(struct fp_task *t, struct fp_future *f, void *arg, const void *in,
			    size_t in_size, size_t out_size)
{
	/* By constants: a division by a variable would take as long as all else here. */
	size_t out = out_size < 16 ? fp_round_up(in_size, 8) : fp_round_up(in_size, 16);

	t->arg = arg;
	t->in_at = in_size ? (uint8_t)offsetof(struct fp_task, room) : 0;
	t->out_at = out_size ? (uint8_t)(offsetof(struct fp_task, room) + out) : 0;
	f->out = out_size ? t->room + out : NULL;
	if (in_size)
		fp_copy_small(t->room, in, in_size);
}

FP_QUICK bool fp_submit_quick(struct forkpool *pool, uintptr_t fn, const void *in, size_t in_size,
			      size_t out_size, struct forkpool_job **ret)
{
	struct fp_line *line = fp_line_at_hand(pool, FP_PRIO_NORMAL);
	struct fp_future *f;
	struct fp_place at;

	if (fp_unlikely(!line || line->lane.used >= line->depth || pool->mode == FORKPOOL_INLINE ||
			(in_size | out_size) > FP_SMALL_MOST || !fp_lane_is_next_free(&line->lane) ||
			!fp_submit_begin(line)))
		return false;
	fp_lane_use_next(&line->lane, &at);
	f = &fp_container(at.home, struct fp_desk, home)->futures[at.index];
	at.task->fn = fn;
	fp_store_rlx(&at.task->flags, 0);
	fp_store_rlx(&at.task->asks, 0);
	f->deadline = 0;
	f->others = 0;
	f->errand = NULL;
	fp_fill_small(at.task, f, NULL, in, in_size, out_size);
	fp_lane_ready(&at);
	*ret = fp_ref_make(pool, &at);
	fp_lane_show(&at);
	fp_submit_end(line);
	fp_submit_wake(pool, line, 1);
	return true;
}

/* ---- The end ------------------------------------------------------------------------------ */

/* The task of a handle. */
FP_QUICK bool fp_ref_quick(const struct forkpool_job *job, struct fp_ref *ret)
{
	struct forkpool *pool = fp_likely(!fp_self && fp_handle_is_task(job)) ? fp_handle_pool(job) : NULL;
	struct fp_desk *desk = fp_likely(pool) ? fp_desk_of(pool, fp_handle_index(job) / FP_PAGE_SLOTS) : NULL;

	return fp_likely(desk) && fp_likely(fp_ref_fill(pool, desk, job, ret));
}

/* It has ended well. */
FP_QUICK bool fp_future_is_ok(const struct fp_ref *r)
{
	uint64_t w = fp_future_word(r);

	return fp_likely(w && fp_task_outcome(w) == FORKPOOL_ITEM_OK);
}

/*
 * Who has woken a worker for it lets that run first: the kernel has most likely put
 * it on this CPU, where it waits until we look on no more.  Has it ended well then?
 */
FP_QUICK bool fp_future_yield(const struct fp_ref *r)
{
	const struct fp_producer *lane = r->desk->home.owner;
	struct fp_line *line = fp_line_at_hand(r->pool, lane->prio);

	if (!line || &line->lane != lane || !line->woke)
		return false;
	line->woke = false;
	fp_sys.yield();
	return fp_future_is_ok(r);
}

FP_QUICK bool fp_future_free_quick(const struct fp_ref *r)
{
	struct fp_home *home = &r->desk->home;
	struct fp_future *f = r->future;
	const struct fp_line *line = fp_line_at_hand(r->pool, home->owner->prio);

	if (fp_unlikely(!line || &line->lane != home->owner || f->others || f->far || f->errand ||
			!fp_future_word(r)))
		return false;
	/* No locked instruction: it would wait for the lines of the tasks submitted last. */
	fp_store_rlx(&f->serial, 0);
	fp_lane_give(home, r->index);
	return true;
}

#endif
