/* SPDX-License-Identifier: MIT */
/*
 * What.  Nested jobs: an item publishes a job in a slot of the segment, runs
 * chunks of it like any other worker, and waits for the rest.  While it waits its
 * worker runs what descends from the item, and nothing else, so a worker holds
 * a stack of claims, one for each frame.
 *
 *	frame 0   chunk of the host's job, item 7: waits for job A
 *	frame 1   chunk of A, item 2: waits for job B
 *	frame 2   chunk of B, or of what an item of B has published
 *
 * Usage.  The worker: fp_nest_take(), fp_nest_push(), publish, claim and run in
 * the new frame, fp_nest_pop(), fp_nest_give().  The nursery, for a dead worker:
 * fp_nest_orphan(), then from the top frame down fp_nest_release() and what
 * proc/recover.c does for a claim.
 *
 * Invariants.
 * I1 A slot is taken by a compare-and-swap of its holder from 0, by a worker, and
 *    given back by the holder, or by the nursery once the holder is proven dead;
 *    never while its job's word says RUN.  Only the holder publishes in it.
 * I2 The generation of a slot's last job is the one in its word: whoever takes the
 *    slot next goes on from there, also after a death before the publication.
 * I3 A frame's intent and position are void before `depth` counts it; so what the
 *    nursery reads in a counted frame is this life's.
 * I4 What is above an item on a stack descends from it: nobody waits for an item
 *    below its own, and a death costs nobody but the item's descendants.
 * I5 The item in frame d of the dead is settled after all jobs that it had
 *    published are over: until then their items write to memory that is freed
 *    with it.  Those jobs are cancelled first; they end because what they wait
 *    for is at work in workers that live, or was in a higher frame, or is the
 *    work of another dead worker, whose frames above are settled in the same way.
 *
 * Ordering pairs.  NEST-T1/NEST-T2 (a slot changes hands), NEST-D1/NEST-D2 (frames).
 *
 * Progress.  Taking is lock-free; nobody waits for a slot: without one the item
 * runs its map itself.
 *
 * If the owner dies.  Holding a slot: the nursery gives it back (I5).  A void
 * frame: nothing.  Model: tests/models/nest.pml.
 */
#include "task/nest.h"

#include "os/sys.h"
#include "task/cancel.h"

#define FRAMES_A_PAGE	(FP_PAGE / sizeof(struct fp_frame))

/* ---- Slots -------------------------------------------------------------------------- */

static uint32_t holder_of(uint32_t id, uint32_t d)
{
	return d << 16 | (id + 1);
}

static uint32_t holder_id(uint32_t holder)
{
	return (holder & 0xffff) - 1;
}

static bool runs(const struct fp_segment *seg, uint32_t slot)
{
	/* NEST-J1: over: all that its items did comes before what is done with the slot next; pairs with JOB-D1. */
	return fp_load_acq(&fp_segment_slot(seg, slot).job->word) & FP_JOB_RUN;
}

static void set_holder(struct fp_nest *nest, uint32_t holder)
{
	/* NEST-T2: after all that was done with the slot; pairs with NEST-T1. */
	fp_store_rel(&nest->holder, holder);
}

/* Before Linux 5.14 there is none for a worker. */
static bool take_room(const struct fp_segment *seg, uint32_t i)
{
	struct fp_nest *nest = &seg->ctl->nest[i];
	char *at = (char *)seg->ctl + seg->geo.nest_off + i * seg->geo.nest_stride;

	if (fp_load_rlx(&nest->room))
		return true;
	if (fp_sys.advise(at, seg->geo.nest_stride, MADV_POPULATE_WRITE))
		return false;
	fp_store_rlx(&nest->room, 1);
	return true;
}

bool fp_nest_take(const struct fp_segment *seg, uint32_t id, uint32_t d, uint32_t *slot)
{
	/* Where this worker found one at this depth before, since that is in its cache. */
	uint32_t start = id * 4 + d, k, i, nobody;

	for (k = 0; k < FP_NESTED; k++) {
		struct fp_nest *nest = &seg->ctl->nest[i = (start + k) % FP_NESTED];

		nobody = 0;
		/* NEST-T1: what its last holder did with it; pairs with NEST-T2. */
		if (fp_load_rlx(&nest->holder) || !fp_cas_sc(&nest->holder, &nobody, holder_of(id, d)))
			continue;
		*slot = FP_SLOTS + i;
		if (take_room(seg, i) && !runs(seg, *slot))
			return true;
		set_holder(nest, 0);
		return false;
	}
	return false;
}

void fp_nest_give(const struct fp_segment *seg, uint32_t slot)
{
	set_holder(&seg->ctl->nest[slot - FP_SLOTS], 0);
}

/* ---- Frames ------------------------------------------------------------------------- */

static void set_depth(const struct fp_segment *seg, uint32_t id, uint32_t depth)
{
	/* NEST-D2: a frame is void before it counts, and after it counts no more; pairs with NEST-D1. */
	fp_store_rel(&fp_segment_worker(seg, id)->depth, depth);
}

struct fp_frame *fp_nest_push(const struct fp_segment *seg, uint32_t id, uint32_t depth,
			      uint32_t *room)
{
	struct fp_frame *f;

	if (depth >= FP_DEPTH)
		return NULL;
	f = fp_segment_frame(seg, id, depth);
	if (fp_unlikely(depth >= *room)) {
		if (fp_sys.advise((void *)((uintptr_t)f & ~(uintptr_t)(FP_PAGE - 1)), FP_PAGE,
				  MADV_POPULATE_WRITE))
			return NULL;
		*room = (uint32_t)((depth / FRAMES_A_PAGE + 1) * FRAMES_A_PAGE);
	}
	fp_store_rlx(&f->pos, FP_POS_NONE);
	fp_store_rlx(&f->intent, FP_INTENT_NONE);
	fp_store_rlx(&f->limit, 0);
	set_depth(seg, id, depth + 1);
	return f;
}

void fp_nest_pop(const struct fp_segment *seg, uint32_t id, uint32_t depth)
{
	set_depth(seg, id, depth);
}

/* ---- Descent ------------------------------------------------------------------------ */

#define CHAIN_MOST	(2 * FP_DEPTH)

static struct fp_elem elem_of(uint64_t parent)
{
	if (parent & FP_PARENT_TASK)
		return (struct fp_elem){ true, fp_parent_task(parent), fp_parent_task_gen(parent) };
	return (struct fp_elem){ false, fp_parent_slot(parent), fp_parent_gen(parent) };
}

static bool in_bounds(const struct fp_segment *seg, const struct fp_elem *e)
{
	if (e->task)
		return e->at / FP_PAGE_SLOTS > 0 && e->at / FP_PAGE_SLOTS < seg->geo.pages &&
		       e->at / FP_PAGE_SLOTS < fp_load_rlx(&seg->ctl->task_pages) &&
		       e->at % FP_PAGE_SLOTS;
	return e->at < FP_ALL_SLOTS;
}

static uint64_t parent_of_task(const struct fp_segment *seg, const struct fp_elem *e)
{
	struct fp_task *t = fp_segment_task(seg, e->at);
	const struct fp_task_ext *ext;
	/* NEST-U2: with the word the task; pairs with TASK-R1. */
	uint64_t w = fp_load_acq(&t->word);

	if (fp_task_gen(w) != e->gen || fp_task_state(w) == FP_TASK_DONE)
		return 0;
	ext = fp_task_ext(t);
	return ext ? fp_load_rlx(&ext->parent) : 0;
}

static uint64_t parent_of_job(const struct fp_segment *seg, const struct fp_elem *e)
{
	struct fp_job *job = fp_segment_slot(seg, e->at).job;
	/* NEST-U3: before the look whose it is; pairs with JOB-P1. */
	uint64_t parent = fp_load_acq(&job->parent);

	/* NEST-U1: the parent is that job's, if it is still there; pairs with JOB-P1. */
	return FP_JOB_GEN(fp_load_acq(&job->word)) == e->gen && e->at >= FP_SLOTS ? parent : 0;
}

/*
 * To what the item that published this one is an item of; false at the host's, or
 * where something else stands in the place by now.  What runs has ancestors that
 * run: they wait.
 */
static bool step_up(const struct fp_segment *seg, struct fp_elem *e)
{
	uint64_t parent = e->task ? parent_of_task(seg, e) : parent_of_job(seg, e);

	*e = elem_of(parent);
	return parent && in_bounds(seg, e);
}

bool fp_nest_below(const struct fp_segment *seg, const struct fp_elem *from, const struct fp_elem *top)
{
	struct fp_elem e = *from;
	uint32_t most = CHAIN_MOST;

	do
		if (e.task == top->task && e.at == top->at && e.gen == top->gen)
			return true;
	while (most-- && step_up(seg, &e));
	return false;
}

/* Was it published by that item of worker id? */
static bool published_by(const struct fp_segment *seg, const struct fp_elem *e, uint32_t id, uint32_t tag)
{
	const struct fp_task_ext *ext;
	uint32_t lane;

	if (!e->task)
		return e->at >= FP_SLOTS &&
		       fp_load_rlx(&seg->ctl->nest[e->at - FP_SLOTS].holder) == holder_of(id, tag % FP_DEPTH);
	lane = fp_load_rlx(fp_segment_owner(seg, e->at / FP_PAGE_SLOTS)) - 1;
	if (lane < FP_HOST_LANES || (lane - FP_HOST_LANES) % seg->geo.workers != id)
		return false;
	ext = fp_task_ext(fp_segment_task(seg, e->at));
	return ext && fp_load_rlx(&ext->frame) == tag;
}

static bool descends_from(const struct fp_segment *seg, struct fp_elem e, uint32_t id, uint32_t tag)
{
	uint32_t most = CHAIN_MOST;

	do
		if (published_by(seg, &e, id, tag))
			return true;
	while (most-- && step_up(seg, &e));
	return false;
}

bool fp_nest_task_descends(const struct fp_segment *seg, uint32_t number, uint32_t gen,
			   uint32_t id, uint32_t tag)
{
	return descends_from(seg, (struct fp_elem){ true, number, gen }, id, tag);
}

bool fp_nest_job_descends(const struct fp_segment *seg, uint32_t slot, uint64_t gen,
			  uint32_t id, uint32_t tag)
{
	return descends_from(seg, (struct fp_elem){ false, slot, gen }, id, tag);
}

/* The very task: the one that submitted what is left behind by it may have ended, and its place be another's. */
static bool has_flag(const struct fp_segment *seg, const struct fp_elem *e, uint64_t flag)
{
	uint64_t w = fp_load_rlx(&fp_segment_task(seg, e->at)->word);

	return fp_task_gen(w) == e->gen && (w & flag);
}

bool fp_nest_to_kill(const struct fp_segment *seg, struct fp_elem *e)
{
	uint32_t most = CHAIN_MOST;

	do
		if (e->task && has_flag(seg, e, FP_TASK_KILL))
			return true;
	while (most-- && step_up(seg, e));
	return false;
}

static bool is_cancelled(const struct fp_segment *seg, const struct fp_elem *e)
{
	uint64_t w;

	if (e->task)
		return has_flag(seg, e, FP_TASK_CANCEL);
	w = fp_load_rlx(&fp_segment_slot(seg, e->at).job->word);
	return FP_JOB_GEN(w) == e->gen && (w & FP_JOB_RUN) && (w & FP_JOB_CANCEL);
}

static bool any_cancelled(const struct fp_segment *seg, struct fp_elem e)
{
	uint32_t most = CHAIN_MOST;

	do
		if (is_cancelled(seg, &e))
			return true;
	while (most-- && step_up(seg, &e));
	return false;
}

bool fp_nest_cancelled(const struct fp_segment *seg, uint32_t slot)
{
	uint64_t w = fp_load_rlx(&fp_segment_slot(seg, slot).job->word);

	return any_cancelled(seg, (struct fp_elem){ false, slot, FP_JOB_GEN(w) });
}

bool fp_nest_task_cancelled(const struct fp_segment *seg, uint32_t number)
{
	uint64_t w = fp_load_rlx(&fp_segment_task(seg, number)->word);

	return any_cancelled(seg, (struct fp_elem){ true, number, fp_task_gen(w) });
}

/* ---- After a death ------------------------------------------------------------------ */

static bool holds(const struct fp_segment *seg, uint32_t id, uint32_t i)
{
	uint32_t holder = fp_load_rlx(&seg->ctl->nest[i].holder);

	return holder && holder_id(holder) == id && fp_load_rlx(&seg->ctl->nest[i].room);
}

void fp_nest_orphan(const struct fp_segment *seg, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < FP_NESTED; i++)
		if (holds(seg, id, i))
			fp_job_cancel(seg, FP_SLOTS + i, 0);
}

bool fp_nest_orphans(const struct fp_segment *seg, uint32_t id, uint32_t *slot, uint64_t *gen)
{
	uint64_t w;

	for (*slot = *slot < FP_SLOTS ? FP_SLOTS : *slot; *slot < FP_ALL_SLOTS; ++*slot) {
		if (!holds(seg, id, *slot - FP_SLOTS))
			continue;
		/* NEST-J2: as NEST-J1; pairs with JOB-P1. */
		w = fp_load_acq(&fp_segment_slot(seg, *slot).job->word);
		*gen = FP_JOB_GEN(w);
		if (w & FP_JOB_RUN)
			return true;
	}
	return false;
}

bool fp_nest_release(const struct fp_segment *seg, uint32_t id, uint32_t d)
{
	bool all = true;
	uint32_t i;

	for (i = 0; i < FP_NESTED; i++) {
		struct fp_nest *nest = &seg->ctl->nest[i];

		if (fp_load_rlx(&nest->holder) != holder_of(id, d))
			continue;
		if (fp_load_rlx(&nest->room) && runs(seg, FP_SLOTS + i))
			all = false;
		else
			set_holder(nest, 0);
	}
	return all;
}
