/* SPDX-License-Identifier: MIT */
/*
 * What.  Recovery of tasks: the intent names the slot, the slot's word says what is
 * to be done.
 *
 *	word                          what the nursery does
 *	other generation, READY,
 *	RUN by another                nothing: there was no claim
 *	RUN, its own, pos none        READY again: it never began
 *	RUN, its own, pos 0           READY again while it has retries left, else DONE
 *	                              as crashed, exited, timed out, cancelled
 *	DONE                          tells who waits, once more
 *
 * `span` may name the task before that, of which the same is told.
 *
 * Usage.  By the nursery, as proc/recover.c.
 *
 * Invariants.
 * I1 A slot that was made READY again may lie behind every cursor: the lane's epoch
 *    is raised after the store, so that all workers look at all its slots again.
 * I2 A child of a dead item that another worker runs goes on, with CANCEL in its
 *    word; if it uses memory that the dead item allocated, the item, and those
 *    below it, are settled after it.  It waits for nothing but what it has submitted
 *    itself, which lies in frames above, so no ring closes.
 * I3 A child of a dead item is never made READY again.  What an item that has ended
 *    had submitted and left is nobody's child: it goes on, or waits for a worker.
 * I4 Numbers and pages read from the segment are checked before use.
 *
 * Ordering pairs.  SALV-R1/TASK-N2 (ready again), SALV-R2/TASK-X2 (flags), TASK-D1 in
 * the dead worker's place.
 *
 * If the owner (the nursery) dies: the pool is broken.  Models: tests/models/lane.pml, family.pml.
 */
#include "proc/salvage.h"

#include <string.h>

#include <forkpool.h>

#include "task/full.h"
#include "task/take.h"

static bool is_number(const struct fp_crew *crew, uint32_t number)
{
	uint32_t page = number / FP_PAGE_SLOTS;

	return page > 0 && page < crew->seg.geo.pages && number % FP_PAGE_SLOTS &&
	       page < fp_load_rlx(&crew->seg.ctl->task_pages) &&
	       fp_load_rlx(fp_segment_owner(&crew->seg, page));
}

/* The lane of a page, by its id; or none. */
static uint32_t lane_of(const struct fp_crew *crew, uint32_t number)
{
	return fp_load_rlx(fp_segment_owner(&crew->seg, number / FP_PAGE_SLOTS)) - 1;
}

static bool is_lane_of(const struct fp_crew *crew, uint32_t lane, uint32_t id)
{
	return lane >= FP_HOST_LANES && lane < fp_segment_lanes(&crew->seg) &&
	       (lane - FP_HOST_LANES) % crew->seg.geo.workers == id;
}

bool fp_wreck_read(const struct fp_crew *crew, uint32_t id, uint32_t d, struct fp_wreck *ret)
{
	struct fp_frame *frame = fp_segment_frame(&crew->seg, id, d);
	/* SALV-I1: the worker's last intent there; pairs with TASK-C1. */
	uint64_t intent = fp_load_acq(&frame->intent);

	ret->frame = frame;
	ret->number = fp_intent_task(intent);
	if (intent == FP_INTENT_NONE || !(intent & FP_INTENT_TASK) || !is_number(crew, ret->number))
		return false;
	ret->task = fp_segment_task(&crew->seg, ret->number);
	/* SALV-W1: with what the dead wrote before it; pairs with TASK-D1. */
	ret->word = fp_load_sc(&ret->task->word);
	ret->held = fp_task_state(ret->word) == FP_TASK_RUN && fp_task_who(ret->word) == id &&
		    fp_task_gen(ret->word) == fp_intent_task_gen(intent);
	ret->started = ret->held && fp_load_rlx(&frame->pos) != FP_POS_NONE;
	return true;
}

void fp_salvage_tell(const struct fp_crew *crew, const struct fp_wreck *w)
{
	uint64_t before = fp_load_rlx(&w->frame->span);

	if ((before & FP_INTENT_TASK) && is_number(crew, fp_intent_task(before)))
		fp_task_told(&crew->seg, fp_intent_task(before));
	if (fp_task_state(w->word) == FP_TASK_DONE)
		fp_task_told(&crew->seg, w->number);
}

/* ---- Families -------------------------------------------------------------------------- */

/* Does that frame of a worker hold a chunk of the job? */
static bool holds_job(const struct fp_crew *crew, uint32_t id, uint32_t d, uint64_t parent)
{
	uint32_t slot;
	uint64_t gen;

	return d < fp_segment_depth(&crew->seg, id) && fp_recover_job(crew, id, d, &slot, &gen) &&
	       parent == fp_parent(gen, slot);
}

/* Was it submitted by an item of worker id that has not ended?  Of a chunk, by any of its items. */
static bool is_child(const struct fp_crew *crew, uint32_t number, uint32_t id)
{
	const struct fp_task_ext *ext = fp_task_ext(fp_segment_task(&crew->seg, number));
	uint64_t parent = ext ? fp_load_rlx(&ext->parent) : 0, w;

	if (!parent || !is_lane_of(crew, lane_of(crew, number), id))
		return false;
	if (!(parent & FP_PARENT_TASK))
		return holds_job(crew, id, fp_load_rlx(&ext->frame) % FP_DEPTH, parent);
	if (!is_number(crew, fp_parent_task(parent)))
		return false;
	/* SALV-P1: what it is now; pairs with TASK-D1. */
	w = fp_load_acq(&fp_segment_task(&crew->seg, fp_parent_task(parent))->word);
	return fp_task_gen(w) == fp_parent_task_gen(parent) && fp_task_state(w) == FP_TASK_RUN &&
	       fp_task_who(w) == id;
}

/* ---- Settling ------------------------------------------------------------------------- */

static bool is_orphan(const struct fp_crew *crew, const struct fp_wreck *w, uint32_t id)
{
	return is_child(crew, w->number, id) || (w->word & FP_TASK_FLAGS);
}

bool fp_salvage_again(const struct fp_crew *crew, const struct fp_wreck *w,
		      const struct fp_death *death)
{
	const struct fp_task_ext *ext = fp_task_ext(w->task);

	if (!w->held || is_orphan(crew, w, death->id))
		return false;
	if (!w->started)
		return true;
	if (death->outcome == FORKPOOL_ITEM_TIMED_OUT || death->outcome == FORKPOOL_ITEM_CANCELLED)
		return false;
	return ext && fp_load_rlx(&ext->attempts) < ext->retries;
}

/* False: it was flagged meanwhile, as one to cancel. */
static bool run_again(const struct fp_crew *crew, const struct fp_wreck *w)
{
	uint64_t word = w->word, ready = fp_task_word(fp_task_gen(word), FP_TASK_READY, 0, FP_TASK_AGAIN);
	uint32_t lane = lane_of(crew, w->number), attempts;
	struct fp_task_ext *ext = fp_task_ext(w->task);

	attempts = ext ? fp_load_rlx(&ext->attempts) : 0;
	if (w->started && ext)
		fp_store_rlx(&ext->attempts, attempts + 1);
	/* SALV-R2: as TASK-R1, and not over a flag; pairs with TASK-C1 and TASK-X2. */
	if (!fp_cas_sc(&w->task->word, &word, ready)) {
		if (ext)
			fp_store_rlx(&ext->attempts, attempts);
		return false;
	}
	if (lane < fp_segment_lanes(&crew->seg))
		/* SALV-R1: after the word (I1); pairs with TASK-N2. */
		fp_add_sc(&fp_segment_lane(&crew->seg, lane)->epoch, 1);
	return true;
}

static void end(const struct fp_crew *crew, const struct fp_wreck *w, const struct fp_death *death)
{
	struct fp_task_ext *ext = fp_task_ext(w->task);
	bool orphan = is_orphan(crew, w, death->id);
	int outcome = w->started && !orphan ? death->outcome : FORKPOOL_ITEM_CANCELLED, code = death->code;

	if (w->started && ext)
		fp_store_rlx(&ext->attempts, fp_load_rlx(&ext->attempts) + 1);
	memcpy(w->task->room, &code, sizeof(code));
	/* SALV-D1: as TASK-D1, in the dead worker's place, and before the asks; pairs with TASK-E1 and TASK-W2. */
	fp_store_sc(&w->task->word, fp_task_word(fp_task_gen(w->word), FP_TASK_DONE, outcome,
						 w->started ? (uint32_t)death->pid : 0));
	fp_task_told(&crew->seg, w->number);
	fp_task_room(&crew->seg, w->number);
}

void fp_salvage(const struct fp_crew *crew, const struct fp_wreck *w, const struct fp_death *death)
{
	struct fp_wreck now = *w;

	if (!w->held)
		return;
	if (fp_salvage_again(crew, w, death)) {
		if (run_again(crew, w))
			return;
		now.word |= FP_TASK_CANCEL;
	}
	end(crew, &now, death);
}

/* ---- Children --------------------------------------------------------------------------- */

/* Is what submitted it to be killed?  Then so is the task, for that one ends before the nursery looks. */
static uint64_t kill_of(const struct fp_crew *crew, const struct fp_task_ext *ext)
{
	uint64_t parent = ext ? fp_load_rlx(&ext->parent) : 0, w;

	if (!(parent & FP_PARENT_TASK) || !is_number(crew, fp_parent_task(parent)))
		return 0;
	w = fp_load_rlx(&fp_segment_task(&crew->seg, fp_parent_task(parent))->word);
	return fp_task_gen(w) == fp_parent_task_gen(parent) ? w & FP_TASK_KILL : 0;
}

/* The frames, from the first on, that are settled after the task; 0 = none. */
static uint32_t let_go(const struct fp_crew *crew, uint32_t number, uint32_t id)
{
	struct fp_task *t = fp_segment_task(&crew->seg, number);
	const struct fp_task_ext *ext;
	/* SALV-C1: with the word the task; pairs with TASK-R1. */
	uint64_t w = fp_load_acq(&t->word);

	if ((fp_task_state(w) != FP_TASK_READY && fp_task_state(w) != FP_TASK_RUN) ||
	    !is_child(crew, number, id))
		return 0;
	if (fp_task_state(w) == FP_TASK_READY &&
	    fp_task_cancel(&crew->seg, number, fp_task_gen(w), FORKPOOL_ITEM_CANCELLED))
		return 0;
	/* SALV-C2: as SALV-C1, when it was claimed meanwhile; pairs with TASK-C1. */
	w = fp_load_acq(&t->word);
	if (fp_task_state(w) != FP_TASK_RUN || fp_task_who(w) == id)
		return 0;
	ext = fp_task_ext(t);
	if (!fp_task_flag(&crew->seg, number, fp_task_gen(w), FP_TASK_CANCEL | kill_of(crew, ext)))
		return 0;
	return ext && (fp_load_rlx(&t->flags) & FP_TASK_FAR) ? fp_load_rlx(&ext->frame) % FP_DEPTH + 1 : 0;
}

uint32_t fp_salvage_children(const struct fp_crew *crew, uint32_t id)
{
	uint32_t pages = (uint32_t)fp_min(fp_load_rlx(&crew->seg.ctl->task_pages), crew->seg.geo.pages);
	uint32_t page, i, barred = 0;

	for (page = 1; page < pages; page++) {
		if (!is_lane_of(crew, fp_load_rlx(fp_segment_owner(&crew->seg, page)) - 1, id))
			continue;
		for (i = 1; i < FP_PAGE_SLOTS; i++)
			barred = (uint32_t)fp_max(barred, let_go(crew, page * FP_PAGE_SLOTS + i, id));
	}
	return barred;
}
