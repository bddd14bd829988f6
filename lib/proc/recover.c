/* SPDX-License-Identifier: MIT */
/*
 * What.  Recovery: one word, the intent, says where to look; the claim word it
 * names says what is to be done.
 *
 *	claim word                     what the nursery does
 *	other generation, or not its   nothing: there was no claim
 *	RUN, its own, pos none         the whole chunk becomes a sub-region
 *	RUN, its own, pos left at i    items before i are done; the rest becomes a
 *	                               sub-region
 *	RUN, its own, pos in the chunk items before pos are done; the one at pos is
 *	                               crashed, or again if it has retries left, or
 *	                               done if its error is written down already, or
 *	                               timed out, if that is why it was killed; the
 *	                               rest becomes a sub-region, or opens the one
 *	                               it lies in anew
 *	SPLIT                          nothing: the sub-region is published
 *	DONE                           walks up, and wakes the waiters and the host's
 *	                               event loop once more
 *
 * So for each frame, from the top down; before that the jobs of its items are
 * cancelled, and before an item is settled they have ended (task/nest.c, I5).
 * Then what lies open of cancelled jobs is settled (task/cancel.c).
 *
 * A sub-region made here is one of the nursery's spares.  Where the claim itself
 * lies in a spare, and is all that is not DONE there, that spare serves again in
 * place: its parent's word stays, its generation and content change.  Else items
 * that crash one after the other would nest spare in spare until none is left.
 *
 * Usage.  By the nursery only, after waitid() has reported the death, before
 * the id is used again.
 *
 * Invariants.
 * I1 pos counts only where intent and claim word agree and the word is RUN by
 *    the dead worker: a pos left over from a chunk before would lose items.
 * I2 The outcome is written down before the store that returns the rest.
 * I3 Each index that is read from the segment is checked before use.
 * I4 The intent is cleared before the id is used again: a region opened in place
 *    leaves the dead worker's word as it was, under the old generation.
 *
 * If the owner (the nursery) dies: the pool is broken; nothing is to be mended.
 * Model: tests/models/claimlog.pml.
 */
#include "proc/recover.h"

#include <signal.h>
#include <stdlib.h>

#include <forkpool.h>

#include "proc/salvage.h"
#include "shm/mend.h"
#include "shm/stats.h"
#include "task/cancel.h"
#include "task/claim.h"
#include "task/due.h"
#include "task/nest.h"
#include "task/outcome.h"

struct fp_attempt {
	uint64_t job;		/* generation and slot */
	uint64_t index;
	unsigned n;
};

/* What an intent points at. */
struct claim {
	struct fp_frame *frame;
	struct fp_slot slot;
	uint32_t tops, region, index;
	uint64_t jobgen;
	fp_a64 *at;
	uint64_t word;
	bool held;		/* RUN by this worker, in a region that exists */
};

/* ---- Attempts ------------------------------------------------------------------------ */

/* The entry of an item, made if need be; newest first, since a bad item crashes again soon.  NULL: no memory. */
static struct fp_attempt *attempt_of(struct fp_attempts *a, uint64_t job, uint64_t index)
{
	struct fp_attempt *list;
	size_t i, room;

	for (i = a->n; i-- > 0;)
		if (a->list[i].job == job && a->list[i].index == index)
			return &a->list[i];
	if (a->n == a->room) {
		room = a->room ? 2 * a->room : 64;
		list = realloc(a->list, room * sizeof(*list));
		if (!list)
			return NULL;
		a->list = list;
		a->room = room;
	}
	a->list[a->n] = (struct fp_attempt){ .job = job, .index = index };
	return &a->list[a->n++];
}

/* Forgets what belongs to older jobs of a slot. */
static void forget_older(struct fp_attempts *a, uint64_t job)
{
	size_t i, kept = 0;

	for (i = 0; i < a->n; i++)
		if (a->list[i].job % FP_ALL_SLOTS != job % FP_ALL_SLOTS || a->list[i].job == job)
			a->list[kept++] = a->list[i];
	a->n = kept;
}

/* ---- Reading the intent ----------------------------------------------------------------- */

static bool region_exists(const struct fp_crew *crew, const struct claim *c)
{
	uint64_t name = fp_load_rlx(&c->slot.regions[c->region].name);

	return fp_word_gen(name) == fp_word_gen(c->word) &&
	       fp_region_named(&crew->seg, &c->slot, c->tops, c->region);
}

/* False when the intent points at nothing of its generation. */
static bool read_claim(const struct fp_crew *crew, uint32_t id, uint32_t d, struct claim *c)
{
	struct fp_frame *frame = fp_segment_frame(&crew->seg, id, d);
	/* REC-I1: the worker's last intent there, in one word; pairs with CLAIM-C1. */
	uint64_t intent = fp_load_acq(&frame->intent);
	uint32_t slot = fp_intent_slot(intent);
	uint64_t jobword;

	if (intent == FP_INTENT_NONE || (intent & FP_INTENT_TASK) || slot >= FP_ALL_SLOTS ||
	    fp_intent_region(intent) >= crew->seg.geo.ids)
		return false;
	c->frame = frame;
	c->slot = fp_segment_slot(&crew->seg, slot);
	/* REC-J1: the job as it is now; pairs with JOB-P1. */
	jobword = fp_load_acq(&c->slot.job->word);
	c->jobgen = FP_JOB_GEN(jobword);
	c->tops = fp_load_rlx(&c->slot.job->tops);
	c->region = fp_intent_region(intent);
	c->index = fp_intent_index(intent);
	c->at = fp_claim_word(&crew->seg, &c->slot, c->tops, c->region, c->index);
	if (!c->at)
		return false;
	/* REC-W1: what the dead wrote before it is visible; pairs with CLAIM-F1. */
	c->word = fp_load_sc(c->at);
	c->held = fp_word_state(c->word) == FP_RUN && fp_word_owner(c->word) == id &&
		  (jobword & FP_JOB_RUN) && region_exists(crew, c);
	return fp_word_gen(c->word) == fp_intent_gen(intent);
}

static void finish_again(const struct fp_crew *crew, const struct claim *c)
{
	fp_walk(&crew->seg, &c->slot, c->tops, c->jobgen, c->region, fp_word_gen(c->word));
	fp_job_wake(c->slot.job);
	fp_due_slot_again(&crew->seg, &c->slot);
}

/* ---- Settling a claim ---------------------------------------------------------------------- */

/* The chunk [begin, end), its suspect [pos, to), and what is given back. */
struct verdict {
	uint64_t begin, end;
	uint64_t pos, to;
	uint64_t from;		/* the rest starts here */
	uint64_t batch;
	bool started;		/* there is a suspect */
	bool lost;		/* and it has not ended */
};

static void find_suspect(const struct claim *c, struct verdict *v)
{
	struct fp_job *job = c->slot.job;
	bool left;
	uint64_t low = fp_load_rlx(&c->slot.regions[c->region].low);
	uint64_t start = c->index ? fp_word_end(fp_load_rlx(c->at - 1)) : 0;
	uint64_t span = job->desc.flags & FP_JOB_RANGE ? fp_load_rlx(&c->frame->span) : 1;

	v->begin = low + start;
	v->end = fp_min(low + fp_word_end(c->word), job->desc.count);
	v->pos = fp_load_rlx(&c->frame->pos);
	left = v->pos != FP_POS_NONE && (v->pos & FP_POS_LEFT);
	v->pos &= left ? ~FP_POS_LEFT : FP_POS_NONE;
	v->started = !left && v->pos >= v->begin && v->pos < v->end;
	v->lost = false;
	v->to = v->started ? v->pos + fp_min(fp_max(span, 1), v->end - v->pos) : v->begin;
	v->from = left && v->pos > v->begin && v->pos < v->end ? v->pos : v->begin;
	v->batch = fp_load_rlx(&c->slot.regions[c->region].batch);
}

/* Attempts of an item in runs of its map before this job, if there were any: they lost other workers. */
static unsigned attempts_before(const struct fp_job *job, uint64_t index, pid_t pid)
{
	const struct forkpool_status *st = job->desc.status ? &job->desc.status[index] : NULL;

	return st && st->worker != pid ? (unsigned)fp_min(st->attempts, job->desc.retries) : 0;
}

/* Judges a suspect of one item that may run again.  False: no memory. */
static bool judge_retry(const struct claim *c, struct fp_attempts *attempts,
			const struct fp_death *d, struct verdict *v)
{
	struct fp_job *job = c->slot.job;
	uint64_t key = c->jobgen * FP_ALL_SLOTS + c->slot.index;
	struct fp_attempt *a;

	forget_older(attempts, key);
	a = attempt_of(attempts, key, v->pos);
	if (!a)
		return false;
	if (!a->n)
		a->n = attempts_before(job, v->pos, d->pid);
	v->batch = 1;
	if (++a->n <= job->desc.retries) {
		fp_outcome_again(job, v->pos, a->n, d->pid);
		v->from = v->pos;
		return true;
	}
	fp_outcome_again(job, v->pos, a->n, d->pid);
	fp_outcome_record(job, v->pos, d->outcome, d->code, d->pid);
	v->from = v->to;
	v->batch = 0;
	return true;
}

static bool judge(const struct claim *c, struct fp_attempts *attempts,
		  const struct fp_death *d, struct verdict *v)
{
	struct fp_job *job = c->slot.job;
	bool again = job->desc.retries && d->outcome != FORKPOOL_ITEM_TIMED_OUT &&
		     d->outcome != FORKPOOL_ITEM_CANCELLED;

	if (!v->started)
		return true;
	fp_outcome_ran(job, v->begin, v->pos, d->pid);
	if (fp_outcome_failed(job, v->pos, d->pid)) {
		v->from = v->to;
		return true;
	}
	v->lost = true;
	if (again && v->to - v->pos == 1)
		return judge_retry(c, attempts, d, v);
	if (again) {
		/* A range with many items: halved free of charge, to find the guilty one. */
		v->from = v->pos;
		v->batch = (v->to - v->pos) / 2;
		return true;
	}
	fp_outcome_record(job, v->pos, d->outcome, d->code, d->pid);
	v->from = v->to;
	return true;
}

/* What its worker did not live to count; one that left in order has counted. */
static void count(const struct fp_crew *crew, const struct fp_death *d, const struct verdict *v)
{
	struct fp_worker *w = fp_segment_worker(&crew->seg, d->id);
	struct fp_tally *tally = &crew->seg.ctl->tally;

	if (!v->started)
		return;
	if (fp_load_rlx(&w->state) != FP_WORKER_LEFT)
		fp_stat_add(&w->stats.items, (v->lost ? v->pos : v->to) - v->begin);
	if (!v->lost)
		return;
	if (d->outcome == FORKPOOL_ITEM_TIMED_OUT)
		fp_stat_add(&tally->timeouts, 1);
	/* A range that is halved runs again as well, but is charged to nobody. */
	if (v->from == v->pos && v->to - v->pos == 1)
		fp_stat_add(&tally->retries, 1);
}

/* Is the claim in a spare, and the only one there that is not DONE? */
static bool reopens(const struct fp_crew *crew, const struct claim *c)
{
	uint32_t spares = fp_first_sub(&crew->seg.geo, crew->seg.geo.workers), k;
	uint64_t gen = fp_word_gen(c->word), w;

	if (c->region < spares || fp_word_end(c->word) !=
	    fp_tagged_value(fp_load_rlx(&c->slot.regions[c->region].extent)))
		return false;
	for (k = 1; k <= c->index; k++) {
		/* REC-W2: what has been settled there is visible to whoever claims it anew; pairs with CLAIM-F1. */
		w = fp_load_sc(c->at - k);
		if (fp_word_gen(w) != gen || fp_word_state(w) != FP_DONE)
			return false;
	}
	return true;
}

static void give_back(const struct fp_crew *crew, const struct claim *c,
		      uint32_t sub, const struct verdict *v)
{
	uint64_t gen = fp_word_gen(c->word), end = fp_word_end(c->word);
	uint64_t name = fp_load_rlx(&c->slot.regions[sub].name);
	bool again = sub == c->region;
	const struct fp_sub rest = {
		.parent = again ? fp_name_parent(name) : c->region,
		.index = again ? fp_name_index(name) : c->index,
		.low = v->from,
		.len = v->end - v->from,
		.batch = v->batch,
	};

	if (v->from >= v->end) {
		/* REC-F1: as CLAIM-F1, in the dead worker's place; pairs with CLAIM-F2. */
		fp_swap_sc(c->at, fp_word(gen, FP_DONE, fp_word_owner(c->word), end));
		finish_again(crew, c);
		return;
	}
	fp_sub_fill(&crew->seg, &c->slot, c->tops, sub, &rest);
	if (!again)
		/* REC-P1: as CLAIM-P4, in the dead worker's place; pairs with CLAIM-C4. */
		fp_store_sc(c->at, fp_word(gen, FP_SPLIT, sub, end));
}

/* What the dead worker allocated in an item that has not ended is freed, before anybody can know how it ended. */
static void mend_heap(const struct fp_crew *crew, uint32_t id, bool lost)
{
	const struct fp_heap_place place = fp_segment_heap(&crew->seg, false);
	const struct fp_note note = fp_note_of(fp_segment_worker(&crew->seg, id), id);
	struct fp_units units;

	fp_units_view(&units, &place, FP_HEAP_NURSERY);
	fp_heap_mend(&units, id, lost ? &note : NULL);
}

/* What is done for a frame of a dead worker before its outcome can be known. */
static void mend(const struct fp_crew *crew, uint32_t id, uint32_t d, bool lost)
{
	/* Items above the first frame allocate in the name of that one's (task/run.c, I4). */
	if (d == 0)
		mend_heap(crew, id, lost);
}

/* How the item in a frame ended, seen from the worker's end. */
static struct fp_death death_in(const struct fp_crew *crew, const struct fp_death *death,
				uint32_t d)
{
	struct fp_death own = *death;
	uint64_t limit;
	uint32_t k;

	if (death->outcome != FORKPOOL_ITEM_TIMED_OUT || (!death->limit && d >= death->frame))
		return own;
	for (k = 0; k <= d && death->limit; k++) {
		limit = fp_load_rlx(&fp_segment_frame(&crew->seg, death->id, k)->limit);
		if (limit && limit <= death->limit)
			return own;
	}
	own.outcome = FORKPOOL_ITEM_CRASHED;
	own.code = SIGKILL;
	return own;
}

static enum fp_recovered recover_task(const struct fp_crew *crew, const struct fp_wreck *w,
				      const struct fp_death *death, uint32_t d)
{
	struct fp_tally *tally = &crew->seg.ctl->tally;
	struct fp_wreck now = *w;

	fp_salvage_tell(crew, w);
	mend(crew, death->id, d, w->started);
	/* That took its time: it may have been cancelled meanwhile. */
	now.word |= fp_load_rlx(&w->task->word) & FP_TASK_FLAGS;
	if (w->started && fp_salvage_again(crew, &now, death))
		fp_stat_add(&tally->retries, 1);
	else if (w->started && death->outcome == FORKPOOL_ITEM_TIMED_OUT)
		fp_stat_add(&tally->timeouts, 1);
	fp_salvage(crew, &now, death);
	if (!w->held)
		return FP_RECOVERED_IDLE;
	return w->started ? FP_RECOVERED_ITEM : FP_RECOVERED_CLAIM;
}

static enum fp_recovered recover_frame(const struct fp_crew *crew, struct fp_attempts *attempts,
				       const struct fp_death *death, uint32_t d)
{
	const struct fp_geometry *geo = &crew->seg.geo;
	const struct fp_death own = death_in(crew, death, d);
	struct fp_wreck wreck;
	struct verdict v;
	struct claim c;
	uint32_t sub;
	bool any;

	if (fp_wreck_read(crew, death->id, d, &wreck))
		return recover_task(crew, &wreck, &own, d);
	any = read_claim(crew, death->id, d, &c);

	if (any && fp_word_state(c.word) == FP_DONE)
		finish_again(crew, &c);
	if (!any || !c.held) {
		mend(crew, death->id, d, false);
		return FP_RECOVERED_IDLE;
	}
	sub = reopens(crew, &c) ? c.region
		: fp_sub_find(&crew->seg, &c.slot, c.tops, c.jobgen,
			      fp_first_sub(geo, geo->workers), geo->spares);
	if (!sub)
		return FP_RECOVERED_LATER;
	find_suspect(&c, &v);
	if (!judge(&c, attempts, &own, &v))
		return FP_RECOVERED_LATER;
	count(crew, &own, &v);
	mend(crew, death->id, d, v.lost);
	give_back(crew, &c, sub, &v);
	return v.started ? FP_RECOVERED_ITEM : FP_RECOVERED_CLAIM;
}

/* From the top frame down; what has been settled is not counted any more, so it may be called again. */
static enum fp_recovered recover(const struct fp_crew *crew, struct fp_attempts *attempts,
				 const struct fp_death *death)
{
	const struct fp_segment *seg = &crew->seg;
	uint32_t d = fp_segment_depth(seg, death->id);
	enum fp_recovered r;
	uint32_t barred;

	fp_nest_orphan(seg, death->id);
	barred = fp_salvage_children(crew, death->id);
	while (d-- > 0) {
		if (!fp_nest_release(seg, death->id, d) || d < barred)
			return FP_RECOVERED_LATER;
		r = recover_frame(crew, attempts, death, d);
		if (r == FP_RECOVERED_LATER || d == 0)
			return r;
		/* What was given back there may be of a job that was just cancelled. */
		fp_cancel_rests(seg);
		fp_nest_pop(seg, death->id, d);
	}
	return FP_RECOVERED_IDLE;
}

enum fp_recovered fp_recover_dead(const struct fp_crew *crew,
				  struct fp_attempts *attempts,
				  const struct fp_death *death)
{
	enum fp_recovered r = recover(crew, attempts, death);

	/* What was given back, by it or by us, may be a cancelled job's. */
	fp_cancel_rests(&crew->seg);
	return r;
}

void fp_recover_stopped(const struct fp_crew *crew, uint32_t id)
{
	uint32_t d = fp_segment_depth(&crew->seg, id);
	struct fp_wreck wreck;
	struct claim c;

	while (d-- > 0)
		if (fp_wreck_read(crew, id, d, &wreck))
			fp_salvage_tell(crew, &wreck);
		else if (read_claim(crew, id, d, &c) && fp_word_state(c.word) == FP_DONE)
			finish_again(crew, &c);
	fp_cancel_rests(&crew->seg);
}

bool fp_recover_busy(const struct fp_crew *crew, uint32_t id)
{
	struct fp_wreck wreck;
	struct claim c;

	if (fp_wreck_read(crew, id, 0, &wreck))
		return wreck.held;
	return read_claim(crew, id, 0, &c) && c.held;
}

bool fp_recover_job(const struct fp_crew *crew, uint32_t id, uint32_t d, uint32_t *slot,
		    uint64_t *gen)
{
	struct claim c;

	if (!read_claim(crew, id, d, &c) || !c.held)
		return false;
	*slot = c.slot.index;
	*gen = c.jobgen;
	return true;
}

bool fp_recover_held(const struct fp_crew *crew, uint32_t id, struct fp_elem *ret)
{
	struct fp_wreck wreck;

	if (fp_wreck_read(crew, id, 0, &wreck)) {
		*ret = (struct fp_elem){ true, wreck.number, fp_task_gen(wreck.word) };
		return wreck.held;
	}
	ret->task = false;
	return fp_recover_job(crew, id, 0, &ret->at, &ret->gen);
}

bool fp_recover_runs(const struct fp_crew *crew, uint32_t id, const struct fp_elem *what)
{
	struct fp_elem in;

	return fp_recover_held(crew, id, &in) && fp_nest_below(&crew->seg, &in, what);
}
