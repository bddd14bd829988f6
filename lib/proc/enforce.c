/* SPDX-License-Identifier: MIT */
/*
 * What.  The nursery's side of limits in time: a worker whose item has run past
 * its limit is flagged; after the pool's grace it is condemned, looked at once
 * more, and killed or let go.  A worker that is stopped counts as at work.
 *
 * Usage.  Who publishes a job with limits says so in `watched`, and then on the
 * control socket, if it is the host, or by a SIGCHLD, for which we look.  So does a
 * worker that begins a task whose limit lies before our next look (`lookout`).  In
 * each turn fp_enforce_jobs(), then fp_enforce_worker() for each worker that
 * lives; both say when the next turn is due.  fp_enforce_kill() when the host
 * asks for it.
 *
 * Invariants.
 * I1 A worker is killed only if, after `condemned` was stored, it was still
 *    found at work on the very item (limit) or job (claim word).  Whatever it
 *    does until the signal arrives, it does not begin another item: task/limit.c,
 *    I2.  So no stop and no wait for one is needed, and whether it is stopped
 *    already, or masks signals, does not matter.
 * I2 Who is condemned and not killed is let go at once.
 * I3 A limit that lies closer than the next look can only belong to an item
 *    that was not begun when we looked last: the next look comes no later than
 *    the job's timeout after this one.
 *
 * Progress.  Nothing here waits.
 *
 * If the owner (the nursery) dies: the pool is broken, all workers die.
 * Model: tests/models/condemn.pml.
 */
#include "proc/enforce.h"

#include <limits.h>
#include <signal.h>

#include <forkpool.h>

#include "os/sys.h"
#include "proc/recover.h"
#include "proc/salvage.h"

#define LOOK_LEAST	((int64_t)1000000)	/* between two looks that no known limit asks for */

/* ---- When to look ----------------------------------------------------------------------- */

/* FP_FOREVER: the slot has no job with limits any more. */
static int64_t next_look(struct fp_job *job, int64_t now)
{
	int64_t timeout = (int64_t)fp_load_rlx(&job->timeout);
	int64_t deadline = (int64_t)fp_load_rlx(&job->deadline);
	int64_t next = FP_FOREVER;

	/* LIMIT-J1: the host's word came after the job was published; pairs with JOB-P1. */
	if (!(fp_load_acq(&job->word) & FP_JOB_RUN))
		return FP_FOREVER;
	if (timeout > 0)
		next = fp_after(now, timeout > LOOK_LEAST ? timeout : LOOK_LEAST);
	if (deadline > 0)
		next = fp_earlier(next, deadline > now ? deadline : fp_after(now, LOOK_LEAST));
	return next;
}

static void take_news(const struct fp_crew *crew, struct fp_watched *watched)
{
	fp_a64 *news = crew->seg.ctl->watched;
	uint32_t i;

	for (i = 0; i < FP_SLOT_MAP; i++)
		if (fp_load_rlx(&news[i]))
			/* LIMIT-J3: with the bit the job as published; pairs with LIMIT-J2 and LIMIT-J4. */
			watched->slots[i] |= fp_swap_sc(&news[i], 0);
}

int64_t fp_enforce_jobs(const struct fp_crew *crew, struct fp_watched *watched, int64_t now)
{
	int64_t next = FP_FOREVER, look;
	uint64_t left;
	uint32_t i, bit;

	take_news(crew, watched);
	for (i = 0; i < FP_SLOT_MAP; i++)
		for (left = watched->slots[i]; left; left &= left - 1) {
			bit = (uint32_t)__builtin_ctzll(left);
			look = next_look(fp_segment_slot(&crew->seg, i * 64 + bit).job, now);
			if (look == FP_FOREVER)
				watched->slots[i] &= ~((uint64_t)1 << bit);
			next = fp_earlier(next, look);
		}
	return next;
}

bool fp_enforce_tasks(const struct fp_crew *crew)
{
	return fp_load_rlx(&crew->seg.ctl->limited);
}

int64_t fp_enforce_plan(const struct fp_crew *crew, int64_t next)
{
	int64_t limit;
	uint32_t id;

	/* LIMIT-K2: before the look at the limits; who begins a task looks here after it has stored his; pairs with LIMIT-K1. */
	fp_store_sc(&crew->seg.ctl->lookout, (uint64_t)next);
	for (id = 0; id < crew->seg.geo.workers; id++) {
		/* LIMIT-K3: after LIMIT-K2; pairs with LIMIT-B1. */
		limit = (int64_t)fp_load_sc(&fp_segment_worker(&crew->seg, id)->limit);
		if (limit > 0 && limit < next && fp_load_rlx(&fp_segment_worker(&crew->seg, id)->expired) != (uint64_t)limit)
			next = limit;
	}
	return next;
}

/* ---- Condemn ------------------------------------------------------------------------------ */

static void condemn(struct fp_worker *w)
{
	/* LIMIT-N2: before the look whether it is still at it (I1); pairs with LIMIT-E2. */
	fp_store_sc(&w->condemned, 1);
}

static void acquit(struct fp_worker *w)
{
	/* LIMIT-N4: who is parked, or about to be, goes on; pairs with LIMIT-E2. */
	fp_store_sc(&w->condemned, 0);
	fp_sys.futex_wake(&w->condemned, INT_MAX);
}

/* The verdict stands; a child that we may not kill (it changed its user) goes on. */
static bool execute(struct fp_worker *w, pid_t pid, struct fp_charge *charge, int outcome,
		    uint64_t passed)
{
	if (fp_sys.kill(pid, SIGKILL)) {
		acquit(w);
		return false;
	}
	charge->outcome = outcome;
	charge->passed = passed;
	return true;
}

/* Kills it for a job, if it holds a claim of that. */
static void execute_for_job(const struct fp_crew *crew, uint32_t id, pid_t pid,
			    struct fp_charge *charge, const struct fp_elem *what)
{
	struct fp_worker *w = fp_segment_worker(&crew->seg, id);

	condemn(w);
	if (!fp_recover_runs(crew, id, what))
		acquit(w);
	else
		execute(w, pid, charge, FORKPOOL_ITEM_CANCELLED, 0);
}

/* ---- Limits --------------------------------------------------------------------------------- */

/* Past its limit and the grace: killed, or let go if it has come to the item's end. */
static int64_t judge(struct fp_worker *w, pid_t pid, struct fp_charge *charge, int64_t now)
{
	condemn(w);
	/* LIMIT-N3: after LIMIT-N2; the same limit, so the same item (I1); pairs with LIMIT-E1. */
	if (fp_load_sc(&w->limit) != charge->limit) {
		acquit(w);
		return fp_after(now, LOOK_LEAST);
	}
	return execute(w, pid, charge, FORKPOOL_ITEM_TIMED_OUT, charge->limit)
		       ? FP_FOREVER : fp_after(now, LOOK_LEAST);
}

/* In time, of a job or a task; 0 = none. */
struct limits {
	int64_t timeout, deadline;
};

/* What a worker's top frame holds, and its limits.  False: nothing that has any. */
static bool held_limits(const struct fp_crew *crew, uint32_t id, uint32_t top, struct fp_elem *what,
			struct limits *ret)
{
	const struct fp_task_ext *ext;
	struct fp_wreck wreck;
	struct fp_job *job;

	if (fp_wreck_read(crew, id, top, &wreck)) {
		ext = wreck.held ? fp_task_ext(wreck.task) : NULL;
		if (!ext)
			return false;
		*what = (struct fp_elem){ true, wreck.number, fp_task_gen(wreck.word) };
		*ret = (struct limits){ ext->timeout, ext->deadline };
		return true;
	}
	what->task = false;
	if (!fp_recover_job(crew, id, top, &what->at, &what->gen))
		return false;
	job = fp_segment_slot(&crew->seg, what->at).job;
	ret->timeout = (int64_t)fp_load_rlx(&job->timeout);
	ret->deadline = (int64_t)fp_load_rlx(&job->deadline);
	return true;
}

/* Still in that frame, and before what it held there is at an end? */
static bool holds_still(const struct fp_crew *crew, uint32_t id, uint32_t top, const struct fp_elem *what)
{
	struct limits unused;
	struct fp_elem now;

	return fp_segment_depth(&crew->seg, id) - 1 == top && held_limits(crew, id, top, &now, &unused) &&
	       now.task == what->task && now.at == what->at && now.gen == what->gen;
}

/*
 * Stopped where no limit is stored, before an item or behind one, with a claim
 * of a job or a task with limits in its top frame: what it holds would stay unfinished
 * for as long as it is stopped, and what waits for that in the frames below.  It has as
 * much time as an item.
 */
static int64_t judge_stopped(const struct fp_crew *crew, uint32_t id, pid_t pid,
			     struct fp_charge *charge, int64_t now)
{
	uint32_t top = fp_segment_depth(&crew->seg, id) - 1;
	struct fp_worker *w = fp_segment_worker(&crew->seg, id);
	struct fp_elem what = { .task = false };
	int64_t due = FP_FOREVER;
	struct limits limits;

	if (!held_limits(crew, id, top, &what, &limits))
		return FP_FOREVER;
	if (limits.timeout > 0)
		due = fp_after(charge->stopped, limits.timeout);
	if (limits.deadline > 0)
		due = fp_earlier(due, limits.deadline);
	due = fp_after(due, crew->grace);
	if (due > now)
		return due;
	charge->frame = top;
	condemn(w);
	if (!holds_still(crew, id, top, &what)) {
		acquit(w);
		return fp_after(now, LOOK_LEAST);
	}
	return execute(w, pid, charge, FORKPOOL_ITEM_TIMED_OUT, 0) ? FP_FOREVER : fp_after(now, LOOK_LEAST);
}

int64_t fp_enforce_worker(const struct fp_crew *crew, uint32_t id, pid_t pid,
			  struct fp_charge *charge, int64_t now)
{
	struct fp_worker *w = fp_segment_worker(&crew->seg, id);
	/* LIMIT-N1: with it the item's pos; pairs with LIMIT-B1. */
	uint64_t limit = fp_load_acq(&w->limit);
	int64_t kill_at;

	if (charge->outcome != FORKPOOL_ITEM_OK || limit > INT64_MAX)
		return FP_FOREVER;
	if (limit == 0)
		return charge->stopped ? judge_stopped(crew, id, pid, charge, now) : FP_FOREVER;
	if ((int64_t)limit > now)
		return (int64_t)limit;
	if (charge->limit != limit) {
		charge->limit = limit;
		charge->since = now;
		fp_store_rlx(&w->expired, limit);
	}
	kill_at = fp_after(charge->since, crew->grace);
	return kill_at > now ? kill_at : judge(w, pid, charge, now);
}

/* ---- Killed jobs ------------------------------------------------------------------------------ */

void fp_enforce_kill(const struct fp_crew *crew, uint32_t id, pid_t pid,
		     struct fp_charge *charge, const struct fp_elem *what)
{
	if (charge->outcome == FORKPOOL_ITEM_OK && fp_recover_runs(crew, id, what))
		execute_for_job(crew, id, pid, charge, what);
}
