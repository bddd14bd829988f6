/* SPDX-License-Identifier: MIT */
/*
 * What.  A task from its submitter's side, from submission until it is freed.
 *
 * Usage.  Any thread of the process that submitted it; in a worker, the item.
 *
 * Invariants.
 * I1 A handle names a slot and a serial number; the future beside the slot knows
 *    the serial of the handle that is valid now.  It becomes 0 once, when the job
 *    is freed: by a swap, or a store of the only one who may.
 * I2 Generation, places and sizes are the process's own knowledge; of the segment
 *    only the word and the result are read, and the word only says how it ended.
 * I3 A place is used again by the submitter alone: what others give up it finds in
 *    `given_up`, and takes when the task has ended.
 * I4 Once the pool has ended (all workers are gone) a task that is not DONE never
 *    will be, so the answer is the same in every call.
 * I5 A place comes free when its task has ended, and its worker may not have told yet:
 *    then it finds the asks of the next task, and wakes nobody.  So where others than
 *    who frees it may sleep for it, they are woken before.
 *
 * Ordering pairs.  FUTURE-S1/FUTURE-S2 (handle), TASK-W1/TASK-D2 (asks).
 *
 * Progress.  A wait waits for the task, or the pool's end.
 *
 * If the owner dies: with the process everything here ends.  Of a worker's tasks:
 * proc/salvage.c.
 */
#include "engine/future.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>

#include <forkpool.h>

#include "engine/callback.h"
#include "engine/errand.h"
#include "engine/handle.h"
#include "engine/map.h"
#include "engine/memory.h"
#include "engine/submit.h"
#include "os/sys.h"
#include "sync/idle.h"
#include "task/job.h"
#include "task/take.h"

#define LOOKS		64u	/* before anything else is tried */
#define GAP_FEW		32u	/* pauses between two of them: as many as tasks behind, ... */
#define GAP_PART	4u	/* ... and of more of these a part */
#define GAP_MOST	256u
#define CANCEL_TRIES	64u

/* ---- Handles -------------------------------------------------------------------------- */

bool fp_ref_is_foreign(const struct forkpool_job *job)
{
	const struct forkpool *pool = fp_handle_is_task(job) ? fp_handle_pool(job) : NULL;

	/* A worker finds no desks but its own. */
	return pool && fp_self && fp_self->crew->pool == pool &&
	       !fp_desk_of(pool, fp_handle_index(job) / FP_PAGE_SLOTS);
}

/* ---- Its end ---------------------------------------------------------------------------- */

static int result_of(uint64_t w)
{
	return fp_task_outcome(w) == FORKPOOL_ITEM_OK ? 0 : fp_map_error(fp_task_outcome(w));
}

static bool is_freed(const struct fp_ref *r)
{
	return fp_load_rlx(&r->future->serial) != r->serial;
}

/* The pool has ended, or its nursery: true when all workers are gone, with the answer. */
static bool over(const struct fp_ref *r, int64_t deadline, int *result)
{
	uint64_t w;

	if (!fp_pool_over(r->pool) || fp_pool_await_end(r->pool, deadline))
		return false;
	w = fp_future_word(r);
	*result = w ? result_of(w) : fp_pool_end_error(r->pool);
	return true;
}

bool fp_future_ended(const struct fp_ref *r, int *result)
{
	uint64_t w = fp_future_word(r);

	if (fp_likely(w)) {
		*result = result_of(w);
		return true;
	}
	return over(r, 0, result);
}

/* ---- Waiting ------------------------------------------------------------------------------ */

/*
 * How long to leave a task alone between two looks: as long as the tasks that we
 * submitted behind it may take, or with many of these a part of that.  Each look takes
 * the line away from the worker that is about to write it; who looks all the time with a
 * full window behind makes each of its tasks take three times as long, and so stays behind it.
 */
static uint32_t gap_of(const struct fp_ref *r)
{
	const struct fp_home *home = &r->desk->home;
	const struct fp_producer *lane = home->owner;
	uint32_t behind;

	if (!fp_line_is_mine(r->pool, lane))
		return 1;
	behind = (lane->visit - home->visit) / FP_VISIT_STEP * (FP_PAGE_SLOTS - 1) + lane->index - r->index;
	behind = fp_min(behind, lane->used);
	return fp_max(fp_min(behind / GAP_PART, GAP_MOST), fp_max(fp_min(behind, GAP_FEW), 1));
}

static bool look_on(const struct fp_ref *r, uint32_t gap)
{
	uint32_t i;

	for (i = 1; i <= fp_max(LOOKS, gap); i++) {
		fp_pause();
		if (i % gap == 0 && fp_future_word(r))
			return true;
	}
	return false;
}

static bool spin_for(const struct fp_ref *r, int64_t spin)
{
	const struct fp_segment *seg = &r->pool->crew.seg;
	uint32_t gap = gap_of(r);
	int64_t until;

	if (look_on(r, gap))
		return true;
	if (!fp_idle_may_spin(seg->ctl, seg->geo.workers, spin))
		return false;
	until = fp_idle_spin_end(spin);
	do {
		if (look_on(r, gap))
			return true;
		/* The worker we wait for may have been put on this very CPU. */
		fp_sys.yield();
	} while (fp_sys.clock() < until && fp_idle_may_spin(seg->ctl, seg->geo.workers, spin));
	return false;
}

/* By its word: has the task not ended, and is no other one there, since it was freed meanwhile? */
static bool goes_on(const struct fp_ref *r, uint64_t w)
{
	return fp_task_state(w) != FP_TASK_DONE && fp_task_gen(w) == r->gen;
}

bool fp_future_ask(const struct fp_ref *r, enum fp_ask ask)
{
	/* TASK-W1: the ask before the look at the word; pairs with TASK-D2. */
	fp_or_sc(&r->task->asks, (uint8_t)ask);
	/* TASK-W2: after the ask; pairs with TASK-D1. */
	return goes_on(r, fp_load_sc(&r->task->word));
}

/* 0: look again; or -ETIMEDOUT. */
static int sleep_on(const struct fp_ref *r, int64_t deadline)
{
	struct fp_ctl *ctl = r->pool->crew.seg.ctl;
	uint32_t life = fp_load_rlx(&ctl->life);
	uint64_t w;
	int err;

	if (life & FUTEX_OWNER_DIED)
		return 0;
	if (!fp_future_ask(r, FP_ASK_WAITER))
		return 0;
	w = fp_load_rlx(&r->task->word);
	if (!goes_on(r, w))
		return 0;
	err = fp_sys.futex_wait_two((fp_a32 *)&r->task->word, (uint32_t)w, &ctl->life, life, deadline);
	if (fp_life_ended(ctl))
		/* The kernel wakes one; that one wakes the rest. */
		fp_sys.futex_wake(&ctl->life, INT32_MAX);
	return err == -ETIMEDOUT ? err : 0;
}

/* The job's own deadline: what has not begun by then never does. */
static void expire(const struct fp_ref *r)
{
	if (r->future->deadline && fp_sys.clock() >= r->future->deadline)
		fp_task_cancel(&r->pool->crew.seg, r->number, r->gen, FORKPOOL_ITEM_NOT_RUN);
}

int fp_future_wait(const struct fp_ref *r, int64_t deadline, int *result)
{
	int64_t spin = deadline ? (int64_t)fp_load_rlx(&r->pool->spin) : 0, own = r->future->deadline;
	int64_t until;

	while (!fp_future_ended(r, result)) {
		if (is_freed(r))
			return -EINVAL;
		if (own)
			expire(r);
		if (fp_pool_over(r->pool))
			return over(r, deadline, result) ? 0 : -ETIMEDOUT;
		if (deadline == 0 || (deadline != FP_FOREVER && fp_sys.clock() >= deadline))
			return fp_future_ended(r, result) ? 0 : -ETIMEDOUT;
		if (spin_for(r, spin))
			continue;
		spin = 0;
		until = own > 0 && own > fp_sys.clock() ? fp_earlier(own, deadline) : deadline;
		sleep_on(r, until);
	}
	return 0;
}

/* ---- What is asked -------------------------------------------------------------------------- */

const void *fp_future_output(const struct fp_ref *r)
{
	uint64_t w = fp_future_word(r);

	return w && fp_task_outcome(w) == FORKPOOL_ITEM_OK ? r->future->out : NULL;
}

const void *fp_future_result(const struct fp_ref *r)
{
	return r->future->errand ? NULL : fp_future_output(r);
}

int fp_future_status(const struct fp_ref *r, size_t index, struct forkpool_status *ret)
{
	const struct fp_task_ext *ext = fp_task_ext(r->task);
	uint64_t w;
	int unused = 0;

	if (index && !r->future->errand)
		return -EINVAL;
	if (!fp_future_ended(r, &unused))
		return -EAGAIN;
	if (r->future->errand) {
		fp_errand_gather(r, unused);
		return fp_errand_status(r, index, ret);
	}
	w = fp_future_word(r);
	*ret = (struct forkpool_status){ .outcome = w ? fp_task_outcome(w) : FORKPOOL_ITEM_CANCELLED };
	if (!w)
		return 0;
	ret->worker = (pid_t)fp_task_who(w);
	ret->attempts = (ext ? fp_load_rlx(&ext->attempts) : 0);
	if (ret->outcome == FORKPOOL_ITEM_OK || ret->outcome == FORKPOOL_ITEM_FAILED)
		ret->attempts++;
	else if (!ext)
		ret->attempts = ret->worker ? 1 : 0;
	if (ret->outcome == FORKPOOL_ITEM_FAILED || ret->outcome == FORKPOOL_ITEM_CRASHED ||
	    ret->outcome == FORKPOOL_ITEM_EXITED)
		memcpy(&ret->code, r->task->room, sizeof(ret->code));
	return 0;
}

/*
 * A group is cancelled while holders of its members free them, and a job killed while another
 * thread frees it; their places are used for other tasks, whose generation is another one.
 * Each further try is behind a claim or a death in between, if the word is in order.
 */
void fp_future_cancel(const struct fp_ref *r)
{
	const struct fp_segment *seg = &r->pool->crew.seg;
	unsigned tries = CANCEL_TRIES;

	while (tries-- && goes_on(r, fp_load_rlx(&r->task->word)) &&
	       !fp_task_cancel(seg, r->number, r->gen, FORKPOOL_ITEM_CANCELLED) &&
	       !fp_task_flag(seg, r->number, r->gen, FP_TASK_CANCEL))
		;
}

int fp_future_kill(const struct fp_ref *r)
{
	if (r->pool->mode != FORKPOOL_PROCESSES)
		return -ENOTSUP;
	fp_future_cancel(r);
	if (!fp_task_flag(&r->pool->crew.seg, r->number, r->gen, FP_TASK_FLAGS))
		return 0;
	if (fp_by_worker(r->pool))
		fp_worker_kill(fp_self);
	else
		fp_spawn_kill_tasks(&r->pool->spawn);
	return 0;
}

/* ---- Giving up ------------------------------------------------------------------------------- */

/* Whoever ended it may look at the asks when they are those of the next task there (I5). */
static void wake_others(struct fp_task *t)
{
	/* TASK-W3: after the look at the word; pairs with TASK-W1. */
	if (fp_load_sc(&t->asks) & FP_ASK_WAITER)
		fp_sys.futex_wake((fp_a32 *)&t->word, INT32_MAX);
}

void fp_future_freed(void *ctx, struct fp_home *home, uint32_t index)
{
	struct fp_line *line = ctx;
	struct fp_future *f = &fp_container(home, struct fp_desk, home)->futures[index];

	if (fp_unlikely(f->others))
		wake_others(fp_segment_task(&line->pool->crew.seg, home->page * FP_PAGE_SLOTS + index));
	if (fp_unlikely(f->errand))
		fp_errand_free(f->errand);
	f->errand = NULL;
	if (fp_unlikely(f->far))
		fp_memory_free(line->pool, f->far);
	f->far = NULL;
}

/* So that it need not look for it when it ends. */
static void freed_by_item(const struct fp_ref *r)
{
	const struct fp_task_ext *ext = fp_task_ext(r->task);
	struct fp_runner *item = fp_self->top;

	if (item && item->open && ext && fp_load_rlx(&ext->frame) == item->tag)
		item->open--;
}

void fp_future_free(const struct fp_ref *r)
{
	struct fp_home *home = &r->desk->home;
	bool mine = fp_line_is_mine(r->pool, home->owner);
	uint32_t serial = r->serial;

	if (fp_unlikely(fp_by_worker(r->pool)) && mine)
		freed_by_item(r);
	if (fp_likely(mine))
		/* As in fp_future_free_quick(). */
		fp_store_rlx(&r->future->serial, 0);
	/* FUTURE-S3: once; pairs with FUTURE-S1. */
	else if (!fp_cas_sc(&r->future->serial, &serial, 0))
		return;
	/* What is in the queue of callbacks keeps its place. */
	if (fp_unlikely(r->future->others & FP_OTHERS_CALL) && !fp_callback_drop(&r->desk->calls[r->index]))
		return;
	if (fp_likely(mine && fp_future_word(r))) {
		fp_future_freed(home->owner->ctx, home, r->index);
		fp_lane_give(home, r->index);
		return;
	}
	/* TASK-G2: with all that was done with the job; pairs with TASK-G1. */
	fp_or_sc(&home->given_up, (uint32_t)1 << r->index);
}

/* ---- All of them -------------------------------------------------------------------------------- */

/* Calls back for each slot of this process (or its host threads) whose task has not ended; true if there is one. */
static bool each_unfinished(struct forkpool *pool, bool of_items, void *ctx,
			    void (*visit)(struct forkpool *pool, uint32_t number, uint64_t w, void *ctx))
{
	uint32_t pages = fp_load_rlx(&pool->lines->desks_used), page, i, number;
	const struct fp_desk *desk;
	bool any = false;
	uint64_t w;

	for (page = 1; page < pages; page++) {
		desk = fp_desk_of(pool, page);
		if (!desk || (!of_items && desk->home.owner->id >= FP_HOST_LANES))
			continue;
		for (i = 1; i < FP_PAGE_SLOTS; i++) {
			number = page * FP_PAGE_SLOTS + i;
			/* TASK-E3: as TASK-E2; pairs with TASK-D1. */
			w = fp_load_sc(&fp_segment_task(&pool->crew.seg, number)->word);
			if (fp_task_state(w) != FP_TASK_READY && fp_task_state(w) != FP_TASK_RUN)
				continue;
			any = true;
			visit(pool, number, w, ctx);
		}
	}
	return any;
}

static void cancel_one(struct forkpool *pool, uint32_t number, uint64_t w, void *unused)
{
	(void)unused;
	fp_task_cancel(&pool->crew.seg, number, fp_task_gen(w), FORKPOOL_ITEM_CANCELLED);
}

void fp_futures_cancel(struct forkpool *pool)
{
	each_unfinished(pool, true, NULL, cancel_one);
}

static void note_last(struct forkpool *pool, uint32_t number, uint64_t w, void *ctx)
{
	*(struct fp_ref *)ctx = (struct fp_ref){
		.pool = pool,
		.number = number,
		.gen = fp_task_gen(w),
		.task = fp_segment_task(&pool->crew.seg, number),
	};
}

bool fp_futures_ask(struct forkpool *pool)
{
	struct fp_ref last;

	/*
	 * One that ends before it was asked tells nobody, and the next one was not asked.  Not those of
	 * items, where workers are threads: an item may use the place again before the ask is looked at.
	 */
	while (each_unfinished(pool, false, &last, note_last))
		if (fp_future_ask(&last, FP_ASK_ANY))
			return true;
	return false;
}

void fp_futures_queued(const struct forkpool *pool, uint64_t queued[FP_PRIOS])
{
	const struct fp_segment *seg = &pool->crew.seg;
	uint32_t pages = (uint32_t)fp_min(fp_load_rlx(&seg->ctl->task_pages), seg->geo.pages), page, i;
	uint32_t prio;

	for (prio = 0; prio < FP_PRIOS; prio++)
		queued[prio] = 0;
	for (page = 1; page < pages; page++) {
		prio = fp_lane_prio(seg, fp_load_rlx(fp_segment_owner(seg, page)));
		for (i = 1; i < FP_PAGE_SLOTS && prio < FP_PRIOS; i++)
			queued[prio] += fp_task_state(fp_load_rlx(&fp_segment_task(seg, page * FP_PAGE_SLOTS + i)->word)) ==
					FP_TASK_READY;
	}
}
