/* SPDX-License-Identifier: MIT */
/*
 * What.  The worker's side of a lane: a cursor that follows the submitter round
 * the ring of pages, the claim of a task, its end.
 *
 * Usage.  fp_take_next(), fp_take_run(), again; when there is no next one
 * fp_take_tell().  One frame, one runner; cursors are for the worker's first frame.
 *
 * Invariants.
 * I1 A claim is one swap READY -> RUN.  Before it: pos = none, span = what was run
 *    last, intent = this task.  So a death at any point is not yet a claim, or a RUN
 *    word that the intent points at, or a DONE word whose waiters the nursery tells.
 * I2 The DONE store is no locked instruction.  The next swap, or the exchange in
 *    fp_take_tell(), comes between it and the look at `asks`; who asks sets his bit
 *    by a locked instruction and looks at the word after it.  So one of the two sees
 *    the other.  (A store, a locked instruction, a load: x86 keeps the load behind.
 *    aarch64 has no such instruction, a swap there is no fence; but the store is a
 *    release and the load sequentially consistent, and these two stay in order.)
 * I3 A cursor passes a slot when its turn is that of the cursor's page, and waits
 *    there otherwise.  It has not passed a READY slot but by claiming it, seeing it
 *    claimed, or seeing a later one claimed in order (I7).  Lapped, or when the epoch
 *    changed, it looks at all slots by their words.
 * I4 Page numbers from the segment are bounded before use.
 * I5 While it looks at all slots it leaves those alone that the submitter has shown
 *    since, by the visit where that was when the look began: it goes on from there.
 *    Were it to go on from a later one, or not to leave them, tasks would be missed,
 *    or be begun before those that were submitted first.
 * I6 Nor does it claim what is not shown: it waits there, as it does in order, for
 *    behind it lies what was submitted later.
 * I7 In a lane of the host tasks are claimed in order, by cursors only.  So where one
 *    was claimed everything in front of it was, and a cursor may leap there: on its page,
 *    or, when it was lapped, to the page that `front` names.
 *    One was where the turn says that it was put there in this visit, and the word that
 *    it runs, or has run well; what was cancelled, or runs since an earlier visit, says
 *    nothing.  What is READY again was claimed before, and could be leapt over: the look
 *    at all that follows (I3) claims it wherever it is.
 * I8 Who roams may leave a lane to others before he has seen its end; r->left says so,
 *    and who finds nothing elsewhere comes back and stays (proc/serve.c).  So nobody
 *    sleeps before he has seen that there is no more.
 *
 * Ordering pairs.  TASK-C1/TASK-R1 (the task), TASK-D1/TASK-E1 (its end), TASK-D2/
 * TASK-W1 (asks), TASK-X2/SALV-R2 (flags), TASK-T2/TASK-T1, TASK-V2/TASK-V1 (hints),
 * TASK-T7/TASK-T3.
 *
 * Progress.  A failed swap means that somebody claimed, or cancelled.  The wait for a
 * full page ends by the clock.
 *
 * If the owner dies: proc/salvage.c.  Model: tests/models/lane.pml, done.pml.
 */
#include "task/take.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include <forkpool.h>

#include "os/sys.h"
#include "shm/stats.h"
#include "sync/fence.h"
#include "task/due.h"
#include "task/full.h"
#include "task/limit.h"

#define FILL_NS		((int64_t)3000)	/* that a submitter is given to fill a page */
#define FILL_PAUSES	16u	/* between two looks */
#define HURRIES_MOST	127u	/* pages without */
#define LEAP_AFTER	8u	/* slots that others have taken, in a row */
#define LEAP_LEAST	4u	/* slots that are leapt over at first; twice as many each time */
#define CROWD		8u	/* more, behind which it is left to others */

/* One search in one lane. */
struct search {
	uint64_t word;		/* what was found: READY ... */
	uint32_t number;	/* ... and where */
	uint32_t passed;	/* slots */
	uint32_t crowd;		/* slots that others have taken, since it caught up */
	bool leaves;		/* where it is crowded */
	bool left;		/* has done so */
};

/* ---- Cursors ---------------------------------------------------------------------------- */

static bool is_page(const struct fp_segment *seg, uint32_t page)
{
	return page > 0 && page < seg->geo.pages && page < fp_load_rlx(&seg->ctl->task_pages);
}

static uint32_t next_of(const struct fp_segment *seg, uint32_t page)
{
	/* TASK-L2: with the page its own next; pairs with TASK-L1. */
	return fp_load_acq(&fp_segment_page(seg, page)->next);
}

static uint32_t visit_of(const struct fp_segment *seg, uint32_t page)
{
	/* TASK-V2: the turns of a page that was passed over; pairs with TASK-V1. */
	return fp_load_acq(&fp_segment_page(seg, page)->visit);
}

static bool is_of_host(const struct fp_segment *seg, const struct fp_lane *lane)
{
	return lane < fp_segment_lane(seg, FP_HOST_LANES);
}

/* Newer than where the cursor is? */
static bool is_later(const struct fp_cursor *at, uint32_t visit)
{
	return (int32_t)(visit - at->visit) > 0;
}

/* Looking at all, at this page, unless it was shown since the look began (I5). */
static bool go_on_at(const struct fp_segment *seg, struct fp_cursor *at, uint32_t page)
{
	if (!is_page(seg, page))
		return false;
	at->page = page;
	at->index = page != at->until && is_later(at, visit_of(seg, page)) ? FP_PAGE_SLOTS : 1;
	/* Where the ring doesn't close, as before an adoption has ended: no further in one go. */
	return at->left && --at->left;
}

/* From the page behind the submitter's, once round, to its own. */
static bool look_at_all(const struct fp_segment *seg, struct fp_cursor *at, const struct fp_lane *lane)
{
	/* TASK-A2: with the page its visit; pairs with TASK-A1. */
	uint32_t page = fp_load_acq(&lane->at);

	if (!is_page(seg, page))
		return false;
	/* Before the first look: whatever the submitter shows after it comes in order from there. */
	at->visit = visit_of(seg, page);
	at->until = page;
	at->left = FP_TASK_PAGES;
	return go_on_at(seg, at, next_of(seg, page));
}

/* Was it filled in the cursor's visit, and claimed since?  Then so was all in front of it (I7). */
static bool was_taken(const struct fp_segment *seg, const struct fp_cursor *at, uint32_t index)
{
	struct fp_task *t = fp_segment_task(seg, at->page * FP_PAGE_SLOTS + index);
	uint64_t w;

	/* TASK-T7: with the turn the task that was put there, or a later one; pairs with TASK-T1 and TASK-T3. */
	if (fp_load_acq(&t->turn) != at->visit)
		return false;
	w = fp_load_rlx(&t->word);
	return fp_task_state(w) == FP_TASK_RUN ||
	       (fp_task_state(w) == FP_TASK_DONE && fp_task_outcome(w) == FORKPOOL_ITEM_OK);
}

/*
 * A lap behind: to the end of the last page that somebody went through in order.  The
 * hint lies where all may write: it is a page of this lane, a visit as they are, and
 * later, so that who hops gets on; and whether it is true says the last slot (I7).
 * Else all would have to be looked at, which takes as long as a lap of the submitter.
 */
static bool hop(const struct fp_segment *seg, struct fp_cursor *at, const struct fp_lane *lane)
{
	uint64_t front = fp_load_rlx(&lane->front);
	struct fp_cursor to = *at;

	to.visit = (uint32_t)(front >> 32);
	to.page = (uint32_t)front;
	to.index = FP_PAGE_SLOTS;
	if (!is_of_host(seg, lane) || !is_page(seg, to.page) ||
	    fp_load_rlx(fp_segment_owner(seg, to.page)) != (uint32_t)(lane - fp_segment_lane(seg, 0)) + 1)
		return false;
	if (to.visit % FP_VISIT_STEP || !is_later(at, to.visit) || !was_taken(seg, &to, FP_PAGE_SLOTS - 1))
		return false;
	*at = to;
	return true;
}

/* Lapped.  False as well where that cannot be, since the submitter is where it was: once in a search. */
static bool start_over(const struct fp_segment *seg, struct fp_cursor *at, const struct fp_lane *lane)
{
	uint32_t visit = at->visit;

	return hop(seg, at, lane) || (look_at_all(seg, at, lane) && at->visit != visit);
}

static bool is_full(const struct fp_segment *seg, const struct fp_cursor *at)
{
	struct fp_task *last = fp_segment_task(seg, at->page * FP_PAGE_SLOTS + FP_PAGE_SLOTS - 1);

	return fp_load_rlx(&last->turn) - at->visit <= FP_TURN_BARE;
}

/*
 * A cursor right behind its submitter reads each line while that writes it, and makes
 * both wait for the line to go over and back: each task takes them three times as long,
 * and neither gets away from the other.  So it lets the submitter of a stream fill the
 * page that it has come to.  Who submits one task and waits fills none: the wait is in
 * vain, and then made the more seldom.
 */
static bool await_full(const struct fp_segment *seg, const struct fp_cursor *at)
{
	int64_t until;
	uint32_t i;

	if (is_full(seg, at))
		return true;
	until = fp_deadline(FILL_NS);
	do {
		for (i = 0; i < FILL_PAUSES; i++)
			fp_pause();
		if (is_full(seg, at))
			return true;
	} while (fp_sys.clock() < until);
	return false;
}

static void fall_back(const struct fp_segment *seg, struct fp_cursor *at)
{
	if (at->hurry)
		at->hurry--;
	else if (await_full(seg, at))
		at->hurries = 0;
	else
		at->hurry = at->hurries = fp_min(at->hurries * 2 + 1, HURRIES_MOST);
}

/* All on its page was claimed: for those who are further behind. */
static void say_front(const struct fp_cursor *at, struct fp_lane *lane)
{
	if ((int32_t)(at->visit - (uint32_t)(fp_load_rlx(&lane->front) >> 32)) > 0)
		fp_store_rlx(&lane->front, (uint64_t)at->visit << 32 | at->page);
}

/* Behind the last slot: to the next page, if the submitter has been there. */
static bool turn_page(const struct fp_segment *seg, struct fp_cursor *at, struct fp_lane *lane)
{
	bool host;
	uint32_t next = next_of(seg, at->page), visit;

	if (at->until && at->page == at->until) {
		/* Looked at all; from here on in order. */
		at->until = 0;
		at->index = 1;
		return true;
	}
	if (at->until)
		return go_on_at(seg, at, next);
	if (!is_page(seg, next))
		return false;
	visit = visit_of(seg, next);
	if ((int32_t)(visit - at->visit) > (int32_t)FP_VISIT_STEP)
		return start_over(seg, at, lane);
	if (visit != at->visit + FP_VISIT_STEP)
		return false;
	host = is_of_host(seg, lane);
	if (host)
		say_front(at, lane);
	at->page = next;
	at->visit = visit;
	at->index = 1;
	/* A worker's lane is for who has nothing else to do. */
	if (host)
		fall_back(seg, at);
	return true;
}

/*
 * May the slot be passed?  Else the submitter has not been there in this visit, or
 * is a lap ahead.  A newer turn on a page whose visit is still the cursor's is one
 * of a visit that is about to begin; the submitter may have stopped there.
 */
static bool was_shown(const struct fp_segment *seg, const struct fp_cursor *at, struct fp_task *t,
		      bool *lapped)
{
	/* TASK-T2: with the turn what lies there; pairs with TASK-T1 and TASK-T3. */
	uint32_t turn = fp_load_acq(&t->turn);

	*lapped = (int32_t)(turn - at->visit) > (int32_t)FP_TURN_BARE && visit_of(seg, at->page) != at->visit;
	return (int32_t)(turn - at->visit) >= 0 && !*lapped;
}

/*
 * Looking at all: does the slot come later in order?  It was shown since the look
 * began (with the page's visit: else the submitter is on its way past), or in the
 * visit in which the cursor goes on.
 */
static bool comes_later(const struct fp_segment *seg, const struct fp_cursor *at, struct fp_task *t)
{
	/* TASK-T8: before the page's visit; pairs with TASK-T1 and TASK-T3. */
	uint32_t turn = fp_load_acq(&t->turn);

	if (at->page == at->until && turn - at->visit <= FP_TURN_BARE)
		return true;
	return is_later(at, turn & ~FP_TURN_BARE) && is_later(at, visit_of(seg, at->page));
}

/* READY, but its submitter has not shown it: it is in the middle of a batch. */
static bool is_hidden(const struct fp_segment *seg, const struct fp_cursor *at, struct fp_task *t)
{
	/* TASK-R2: with the word the visit in which it was filled in; pairs with TASK-R1. */
	uint64_t word = fp_load_acq(&t->word);
	/* TASK-T5: before the visit, which an adoption stores first; pairs with TASK-T4. */
	uint32_t turn = fp_load_acq(&t->turn);

	return fp_task_who(word) != FP_TASK_AGAIN && (int32_t)(turn - visit_of(seg, at->page)) < 0;
}

/* What to do about a READY slot. */
enum choice { CLAIM, PASS, AWAIT, LOOK_AT_ALL };

static enum choice choose(const struct fp_segment *seg, const struct fp_cursor *at, struct fp_task *t,
			  uint64_t w)
{
	/* In order: of this visit, or put there a lap later, and not shown yet? */
	if (fp_likely(!at->until))
		return fp_likely(visit_of(seg, at->page) == at->visit) ? CLAIM : LOOK_AT_ALL;
	/* Claimed before, and so all in front of it; in order it would be leapt over (I7). */
	if (fp_task_who(w) == FP_TASK_AGAIN)
		return CLAIM;
	if (comes_later(seg, at, t))
		return PASS;
	if (!is_hidden(seg, at, t))
		return CLAIM;
	return at->page == at->until || is_later(at, visit_of(seg, at->page)) ? PASS : AWAIT;
}

static bool leap(const struct fp_segment *seg, struct fp_cursor *at, uint32_t index)
{
	if (!was_taken(seg, at, index))
		return false;
	at->index = index + 1;
	return true;
}

/*
 * Others have taken so many in a row: it is far behind.  By leaps to where the front
 * is, or a little before; each line in between would be one more that all workers read.
 */
static void catch_up(const struct fp_segment *seg, struct fp_cursor *at)
{
	uint32_t step = LEAP_LEAST;

	while (at->index < FP_PAGE_SLOTS && leap(seg, at, (uint32_t)fp_min(at->index + step, FP_PAGE_SLOTS - 1)))
		step *= 2;
}

/*
 * Passes the slot.  False: the lane is left to others.  Where many look for the next
 * task each reads its line as it is written, and the front moves on no slower than they
 * come up: nobody ever sees that there is no more, and other lanes have nobody.
 */
static bool pass(const struct fp_segment *seg, struct fp_cursor *at, const struct fp_lane *lane, struct search *s)
{
	uint32_t index = at->index++;

	if (at->until || !is_of_host(seg, lane))
		return true;
	if (++s->passed % LEAP_AFTER == 0)
		catch_up(seg, at);
	else if (s->passed > LEAP_AFTER && s->leaves && was_taken(seg, at, index))
		s->left = ++s->crowd == CROWD;
	return !s->left;
}

/* The next READY slot in the cursor's order; the cursor stays on it. */
static FP_TRIP bool seek(const struct fp_segment *seg, struct fp_cursor *at, struct fp_lane *lane,
			 struct search *s)
{
	/* TASK-N2: with the epoch the ring; pairs with TASK-N1. */
	uint32_t epoch = fp_load_acq(&lane->epoch);
	enum choice choice;
	struct fp_task *t;
	uint64_t w;
	bool lapped;

	if (fp_unlikely(epoch != at->epoch)) {
		if (!look_at_all(seg, at, lane))
			return false;
		at->epoch = epoch;
	}
	for (;;) {
		if (at->index >= FP_PAGE_SLOTS) {
			if (!turn_page(seg, at, lane))
				return false;
			/* A whole page, if it goes on in order? */
			if (s->passed >= LEAP_AFTER && !at->until)
				leap(seg, at, FP_PAGE_SLOTS - 1);
			continue;
		}
		s->number = at->page * FP_PAGE_SLOTS + at->index;
		t = fp_segment_task(seg, s->number);
		if (fp_likely(!at->until) && !was_shown(seg, at, t, &lapped)) {
			if (!lapped || !start_over(seg, at, lane))
				return false;
			continue;
		}
		/* TASK-R3: before the page's visit; pairs with TASK-R1. */
		w = fp_load_acq(&t->word);
		choice = fp_task_state(w) == FP_TASK_READY ? choose(seg, at, t, w) : PASS;
		if (fp_likely(choice == CLAIM)) {
			s->word = w;
			return true;
		}
		if (choice == AWAIT || (choice == LOOK_AT_ALL && !start_over(seg, at, lane)))
			return false;
		if (choice == PASS && !pass(seg, at, lane, s))
			return false;
	}
}

/* ---- Claim -------------------------------------------------------------------------------- */

/* Tells of the last task; a locked instruction lies between its end and this. */
static void tell(struct fp_runner *r)
{
	uint32_t number = fp_intent_task(r->untold);

	r->untold = FP_INTENT_NONE;
	fp_task_told(r->claimer.seg, number);
	if (r->lane)
		fp_lane_room(r->lane, false);
}

FP_TRIP bool fp_take(struct fp_runner *r, uint32_t number, uint64_t w, struct fp_taken *ret)
{
	struct fp_frame *frame = r->claimer.frame;
	struct fp_task *t = fp_segment_task(r->claimer.seg, number);
	uint64_t run = fp_task_word(fp_task_gen(w), FP_TASK_RUN, 0, r->claimer.id);

	fp_store_rlx(&frame->pos, FP_POS_NONE);
	fp_store_rlx(&frame->span, r->untold);
	fp_store_rlx(&frame->intent, fp_intent_of_task(fp_task_gen(w), number));
	/* TASK-C1: the task as it was submitted; and the lines above before it (I1); pairs with TASK-R1. */
	if (!fp_cas_sc(&t->word, &w, run)) {
		fp_stat_add(&r->me->stats.failed_claims, 1);
		fp_take_tell(r);
		return false;
	}
	fp_stat_add(&r->me->stats.claims, 1);
	if (r->untold)
		tell(r);
	ret->task = t;
	ret->number = number;
	ret->run = run;
	return true;
}

FP_TRIP bool fp_take_next(struct fp_runner *r, struct fp_cursor *at, uint32_t lane, struct fp_taken *ret)
{
	struct fp_lane *l = fp_segment_lane(r->claimer.seg, lane);
	struct search s = { .leaves = r->roams };

	while (seek(r->claimer.seg, at, l, &s)) {
		at->index++;
		if (fp_take(r, s.number, s.word, ret)) {
			return true;
		}
		/* Lost to another one: there will be more of them here. */
		s.left = s.leaves && is_of_host(r->claimer.seg, l);
		if (s.left)
			break;
	}
	r->left |= s.left;
	return false;
}

bool fp_take_peek(const struct fp_segment *seg, struct fp_cursor *at, uint32_t lane)
{
	struct search s = { 0 };

	return seek(seg, at, fp_segment_lane(seg, lane), &s);
}

/* ---- Run ------------------------------------------------------------------------------------ */

static void *place_of(struct fp_task *t, uint8_t at, uint8_t far)
{
	void *p;

	if (!at)
		return NULL;
	if (fp_likely(!(fp_load_rlx(&t->flags) & far)))
		return (char *)t + at;
	memcpy(&p, (char *)t + at, sizeof(p));
	return p;
}

FP_TRIP int fp_task_call(struct fp_task *t)
{
	forkpool_fn *fn = (forkpool_fn *)t->fn;

	return fn(t->arg, place_of(t, t->in_at, FP_TASK_IN_FAR), place_of(t, t->out_at, FP_TASK_OUT_FAR));
}

static int call(struct fp_runner *r, struct fp_task *t)
{
	fp_store_rlx(&r->claimer.frame->pos, 0);
	return fp_task_call(t);
}

/* If its next look comes too late for the limit that was just stored. */
static void tell_nursery(struct fp_runner *r)
{
	uint64_t limit = fp_load_rlx(&r->me->limit), lookout;

	fp_fence_full();
	/* LIMIT-K1: after the limit, by the fence; pairs with LIMIT-K2. */
	lookout = fp_load_sc(&r->claimer.seg->ctl->lookout);
	if (r->flush && (!lookout || lookout > limit))
		/* To the nursery it is a reason to look, no more. */
		fp_sys.kill(getppid(), SIGCHLD);
}

static int call_limited(struct fp_runner *r, struct fp_task *t, const struct fp_task_ext *ext,
			int *outcome)
{
	const struct fp_bounds bounds = { r->me, r->claimer.frame, r->outer };
	int code;

	if (!fp_limit_begin(&bounds, ext->timeout, ext->deadline, 0)) {
		*outcome = FORKPOOL_ITEM_NOT_RUN;
		return 0;
	}
	tell_nursery(r);
	code = call(r, t);
	fp_limit_end(&bounds);
	return code;
}

static int run(struct fp_runner *r, struct fp_task *t, int *outcome)
{
	const struct fp_task_ext *ext = fp_task_ext(t);

	if (fp_unlikely(ext) && (ext->timeout || ext->deadline))
		return call_limited(r, t, ext, outcome);
	return call(r, t);
}

FP_TRIP void fp_take_run(struct fp_runner *r, const struct fp_taken *taken)
{
	struct fp_task *t = taken->task;
	int outcome = FORKPOOL_ITEM_OK, code;

	if (!r->nested)
		fp_store_rlx(&r->me->runs, fp_load_rlx(&r->me->runs) + 1);
	fp_store_rlx(&r->claimer.frame->limit, 0);
	code = run(r, t, &outcome);
	if (fp_unlikely(code)) {
		outcome = FORKPOOL_ITEM_FAILED;
		memcpy(t->room, &code, sizeof(code));
	}
	r->ran++;
	if (r->flush && __fpending(stdout))
		fflush(stdout);
	fp_store_rlx(&r->me->chunks, fp_load_rlx(&r->me->chunks) + 1);
	fp_stat_add(&r->me->stats.tasks, 1);
	/* TASK-D1: what the task did before it; pairs with TASK-E1 and TASK-W2. */
	fp_store_rel(&t->word, fp_task_word(fp_task_gen(taken->run), FP_TASK_DONE, outcome,
					    (uint32_t)r->pid));
	r->untold = fp_intent_of_task(fp_task_gen(taken->run), taken->number);
}

/* ---- Its end ---------------------------------------------------------------------------------- */

FP_TRIP void fp_take_tell(struct fp_runner *r)
{
	if (!r->untold)
		return;
	/* TASK-D3: the locked instruction of I2, where no claim comes next; pairs with TASK-W1. */
	fp_swap_sc(&r->claimer.frame->span, r->untold);
	tell(r);
	fp_store_rlx(&r->claimer.frame->span, FP_INTENT_NONE);
}

FP_TRIP void fp_task_told(const struct fp_segment *seg, uint32_t number)
{
	struct fp_task *t = fp_segment_task(seg, number);
	/* TASK-D2: after the DONE store, and a locked instruction (I2); pairs with TASK-W1. */
	uint8_t asks = fp_load_sc(&t->asks);

	if (fp_likely(!(asks & (FP_ASK_WAITER | FP_ASK_ANY | FP_ASK_DUE))))
		return;
	/* The low half comes first: only little-endian machines are known here. */
	if (asks & FP_ASK_WAITER)
		fp_sys.futex_wake((fp_a32 *)&t->word, INT_MAX);
	if (asks & FP_ASK_DUE)
		fp_due_task(seg, number);
	if (asks & FP_ASK_ANY) {
		/* TASK-O1: before the wake, so that nobody sleeps on the old value; pairs with TASK-O2. */
		fp_add_sc(&seg->ctl->done, 1);
		fp_sys.futex_wake(&seg->ctl->done, INT_MAX);
	}
}

bool fp_task_cancel(const struct fp_segment *seg, uint32_t number, uint32_t gen, int outcome)
{
	struct fp_task *t = fp_segment_task(seg, number);
	uint64_t w = fp_load_rlx(&t->word);

	do {
		if (fp_task_state(w) != FP_TASK_READY || fp_task_gen(w) != gen)
			return false;
		/* TASK-X1: exactly one of a claim and a cancel; pairs with TASK-C1. */
	} while (!fp_cas_sc(&t->word, &w, fp_task_word(gen, FP_TASK_DONE, outcome, 0)));
	fp_task_told(seg, number);
	fp_task_room(seg, number);
	return true;
}

bool fp_task_flag(const struct fp_segment *seg, uint32_t number, uint32_t gen, uint64_t flag)
{
	struct fp_task *t = fp_segment_task(seg, number);
	uint64_t w = fp_load_rlx(&t->word);

	do {
		if (fp_task_state(w) != FP_TASK_RUN || fp_task_gen(w) != gen)
			return false;
		/* TASK-X2: of this very task, and before it could run again; pairs with SALV-R2. */
	} while (!fp_cas_sc(&t->word, &w, w | flag));
	return true;
}
