/* SPDX-License-Identifier: MIT */
/* A worker's side of lanes: finds tasks, claims, runs, ends them; see take.c. */
#ifndef FP_TASK_TAKE_H
#define FP_TASK_TAKE_H

#include "task/run.h"

/* Where a worker is in a lane; its own. */
struct fp_cursor {
	uint32_t epoch;			/* of the lane, when the cursor was placed */
	uint32_t page, index, visit;	/* the slot to look at next */
	uint32_t until;			/* not 0: looks at every slot of the ring, up to this page */
	uint32_t left;			/* pages to look at, at most, meanwhile */
	uint32_t hurry, hurries;	/* pages to go without waiting until they are full; and how many it were when that was last in vain */
};

/* A task that was claimed. */
struct fp_taken {
	struct fp_task *task;
	uint32_t number;
	uint64_t run;			/* its word: RUN */
};

/* The next task of a lane that is READY, claimed in r's frame.  False: there is none, for now. */
bool fp_take_next(struct fp_runner *r, struct fp_cursor *at, uint32_t lane, struct fp_taken *ret);

/* Would fp_take_next() find one?  Claims nothing. */
bool fp_take_peek(const struct fp_segment *seg, struct fp_cursor *at, uint32_t lane);

/* Claims the task with a number if its word still is w, which says READY. */
bool fp_take(struct fp_runner *r, uint32_t number, uint64_t w, struct fp_taken *ret);

/* Runs it and ends it; its waiters are told by the next claim in r's frame, or fp_take_tell(). */
void fp_take_run(struct fp_runner *r, const struct fp_taken *t);

/* Before anything but the next claim of a task: tells who waits for the last one. */
void fp_take_tell(struct fp_runner *r);

/* Calls its function, no more. */
int fp_task_call(struct fp_task *t);

/* READY -> ended as `outcome`, by who cancels: true when that is what became of it. */
bool fp_task_cancel(const struct fp_segment *seg, uint32_t number, uint32_t gen, int outcome);

/* Flags a task that runs: to be cancelled, or killed.  False: it has ended, or waits for a worker. */
bool fp_task_flag(const struct fp_segment *seg, uint32_t number, uint32_t gen, uint64_t flag);

/* Tells who waits for a task that has ended, in the place of who should have. */
void fp_task_told(const struct fp_segment *seg, uint32_t number);

#endif
