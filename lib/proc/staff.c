/* SPDX-License-Identifier: MIT */
/*
 * What.  How many workers are wanted, and who is to leave: the nursery's part of
 * forkpool_resize().  Ids below `wanted` are started, and started again after a
 * death; a worker with a higher one is asked to leave, by a word of its own.
 *
 * Usage.  The host sends an order with a number, one at a time, and waits until
 * `resized` bears it.  A smaller pool is answered at once.  For a larger one the
 * nursery starts the workers; the host watches their states, and says so when
 * all are ready (fp_staff_grown); whatever comes first, that or a worker that
 * does not come up (fp_staff_failed), is the answer.
 *
 * Invariants.
 * I1 Each order gets one answer, from the nursery, unless the nursery dies.
 * I2 A worker leaves only if its `leave` was ASKED (or it has run its share of
 *    items), and it says so by a swap to TAKEN; the nursery takes ASKED back by a
 *    swap to NO.  So either it stays for good, or it is gone and its id started
 *    anew.
 * I3 A worker that leaves holds no claim: it gives back what is left of its
 *    chunk, or runs it to the end.
 *
 * Ordering pairs.  LEAVE-N1/LEAVE-W3 (asked and asleep), LEAVE-N2/LEAVE-W1 (taken
 * back or taken up), RESIZE-N1/RESIZE-H2 (the answer).
 *
 * Progress.  The nursery waits for nobody; the host waits for workers that start.
 *
 * If the owner dies.  A worker that dies with the word ASKED or TAKEN has left.
 * The nursery: the pool is broken.
 */
#include "proc/staff.h"

#include <limits.h>

#include <forkpool.h>

#include "os/sys.h"
#include "sync/idle.h"

/* Takes back what was asked, or asks. */
static void ask(fp_a32 *leave, enum fp_leave from, enum fp_leave to)
{
	uint32_t is = from;

	/* LEAVE-N1: before the wake-up, so that a sleeper's last look sees it; pairs with LEAVE-W3. */
	/* LEAVE-N2: fails where the worker has taken it up; pairs with LEAVE-W1. */
	fp_cas_sc(leave, &is, to);
}

static void set_wanted(struct fp_staff *staff, uint32_t workers)
{
	const struct fp_segment *seg = &staff->crew->seg;
	uint32_t id;

	staff->wanted = workers;
	fp_store_rlx(&seg->ctl->crew, workers);
	for (id = 0; id < seg->geo.workers; id++) {
		struct fp_worker *w = fp_segment_worker(seg, id);

		if (id < workers)
			ask(&w->leave, FP_LEAVE_ASKED, FP_LEAVE_NO);
		else
			ask(&w->leave, FP_LEAVE_NO, FP_LEAVE_ASKED);
	}
	fp_wake_all(seg->ctl, seg->geo.workers);
}

/* Wakes who waits for workers, or for the answer. */
static void tell(struct fp_ctl *ctl)
{
	/* RESIZE-N2: after what there is to see; pairs with RESIZE-H3. */
	fp_add_sc(&ctl->started, 1);
	fp_sys.futex_wake(&ctl->started, INT_MAX);
}

static void answer(struct fp_staff *staff, uint32_t number, int err)
{
	struct fp_ctl *ctl = staff->crew->seg.ctl;

	fp_store_rlx(&ctl->resize_error, err);
	/* RESIZE-N1: after the error; pairs with RESIZE-H2. */
	fp_store_rel(&ctl->resized, number);
	tell(ctl);
}

void fp_staff_init(struct fp_staff *staff, const struct fp_crew *crew)
{
	*staff = (struct fp_staff){ .crew = crew, .wanted = crew->workers };
}

void fp_staff_resize(struct fp_staff *staff, uint32_t number, uint32_t workers)
{
	if (workers > staff->wanted) {
		staff->before = staff->wanted;
		staff->number = number;
	}
	set_wanted(staff, workers);
	if (staff->number)
		/* Workers that were to leave, and now stay, start no more. */
		tell(staff->crew->seg.ctl);
	else
		answer(staff, number, 0);
}

void fp_staff_grown(struct fp_staff *staff, uint32_t number)
{
	if (staff->number != number)
		return;
	staff->number = 0;
	answer(staff, number, 0);
}

bool fp_staff_failed(struct fp_staff *staff, uint32_t id, int err)
{
	uint32_t number = staff->number;

	if (!number || id < staff->before)
		return false;
	staff->number = 0;
	set_wanted(staff, staff->before);
	answer(staff, number, err);
	return true;
}

void fp_staff_gone(struct fp_staff *staff, uint32_t id)
{
	/* LEAVE-N3: so that nothing is taken back from the dead; pairs with RESIZE-H4. */
	fp_store_rel(&fp_segment_worker(&staff->crew->seg, id)->leave, FP_LEAVE_TAKEN);
}

void fp_staff_close(struct fp_staff *staff)
{
	uint32_t number = staff->number;

	staff->number = 0;
	if (number)
		answer(staff, number, -FORKPOOL_ECLOSED);
}
