/* SPDX-License-Identifier: MIT */
/*
 * What.  A submitter that has as many unfinished tasks as it may have sleeps until
 * some have ended; here is the side of those who end them.
 *
 * Usage.  The submitter stores in `wanted` how many are to end, counts its unfinished
 * tasks once more, and sleeps on `room` (engine/submit.c).  Who has ended a task of a
 * host's lane calls fp_lane_room().
 *
 * Invariants.
 * I1 Each end takes one off `wanted`, and who takes the last raises `room` and wakes.
 * I2 `wanted` is a guess: fewer may be left to end by then.  So a worker that finds no
 *    work wakes all who want room; so does, in its lane, who ends a task that no worker
 *    has.  And after a death or a stop, which may lie between the last one taken off and
 *    the wake-up, the nursery wakes whoever may sleep, whatever `wanted` says.
 *
 * Ordering pairs.  LANE-W2/LANE-W1 (the end, the ask), LANE-W3/LANE-W1, LANE-R1/LANE-R2.
 *
 * Progress.  A failed swap means that another one was taken off.  If the owner dies:
 * I2.  Model: tests/models/room.pml.
 */
#include "task/full.h"

#include <limits.h>

#include "os/sys.h"

static void wake_submitter(struct fp_lane *lane)
{
	/* LANE-R1: before the wake; pairs with LANE-R2. */
	fp_add_sc(&lane->room, 1);
	fp_sys.futex_wake(&lane->room, INT_MAX);
}

FP_TRIP void fp_lane_room_wanted(struct fp_lane *lane, uint32_t wanted, bool at_once)
{
	uint32_t left;

	while (wanted) {
		left = at_once ? 0 : wanted - 1;
		/* LANE-W3: each end counts; nobody wakes for an ask that comes later; pairs with LANE-W1. */
		if (!fp_cas_sc(&lane->wanted, &wanted, left))
			continue;
		if (!left)
			wake_submitter(lane);
		return;
	}
}

void fp_task_room(const struct fp_segment *seg, uint32_t number)
{
	uint32_t lane = fp_load_rlx(fp_segment_owner(seg, number / FP_PAGE_SLOTS)) - 1;

	if (lane < FP_HOST_LANES)
		fp_lane_room(fp_segment_lane(seg, lane), true);
}

static void each_lane(const struct fp_segment *seg, void (*visit)(struct fp_lane *lane))
{
	uint64_t left;
	uint32_t p, i;

	for (p = 0; p < FP_PRIOS; p++)
		for (i = 0; i < FP_HOST_LANES / 64; i++)
			for (left = fp_load_rlx(&seg->ctl->host_lanes[p][i]); left; left &= left - 1)
				visit(fp_segment_lane(seg, i * 64 + (uint32_t)__builtin_ctzll(left)));
}

static void room_at_once(struct fp_lane *lane)
{
	fp_lane_room(lane, true);
}

FP_TRIP void fp_lanes_room(const struct fp_segment *seg)
{
	each_lane(seg, room_at_once);
}

void fp_lanes_room_again(const struct fp_segment *seg)
{
	each_lane(seg, wake_submitter);
}
