/* SPDX-License-Identifier: MIT */
/* A submitter whose lane is full, and those who end its tasks; see full.c. */
#ifndef FP_TASK_FULL_H
#define FP_TASK_FULL_H

#include "shm/segment.h"

/* What fp_lane_room() does where somebody wants room: `wanted` is not 0. */
void fp_lane_room_wanted(struct fp_lane *lane, uint32_t wanted, bool at_once);

/* After a task of a lane has ended: wakes its submitter if that waits for room and enough have; or (at_once) anyway. */
static inline void fp_lane_room(struct fp_lane *lane, bool at_once)
{
	/* LANE-W2: after a locked instruction that follows the end of a task; pairs with LANE-W1. */
	uint32_t wanted = fp_load_sc(&lane->wanted);

	if (fp_unlikely(wanted))
		fp_lane_room_wanted(lane, wanted, at_once);
}

/* At once, for the lane of a task, by its number, that did not end in a worker's hands. */
void fp_task_room(const struct fp_segment *seg, uint32_t number);

/* For all lanes that are in use: wakes submitters without room; or (again) whoever may sleep there, after a death or a stop. */
void fp_lanes_room(const struct fp_segment *seg);
void fp_lanes_room_again(const struct fp_segment *seg);

#endif
