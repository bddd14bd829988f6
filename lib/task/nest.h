/* SPDX-License-Identifier: MIT */
/* Jobs that items publish, and the stacks of claims that come of it; see nest.c. */
#ifndef FP_TASK_NEST_H
#define FP_TASK_NEST_H

#include "task/claim.h"

/*
 * A free nested slot with memory, held from then on for the item in frame d of
 * worker id.  False: there is none.
 */
bool fp_nest_take(const struct fp_segment *seg, uint32_t id, uint32_t d, uint32_t *slot);

/* Its job is over, or was never published. */
void fp_nest_give(const struct fp_segment *seg, uint32_t slot);

/*
 * One more frame for worker id, which has depth of them: nothing is claimed there
 * yet.  *room: frames that are known to have memory, at first 1.  NULL: too deep, or no
 * memory.
 */
struct fp_frame *fp_nest_push(const struct fp_segment *seg, uint32_t id, uint32_t depth,
			      uint32_t *room);

/* Back to depth frames. */
void fp_nest_pop(const struct fp_segment *seg, uint32_t id, uint32_t depth);

/* A job or a task, by its slot, or its number, and its generation. */
struct fp_elem {
	bool task;
	uint32_t at;
	uint64_t gen;
};

/* Is e that, or does it descend from it? */
bool fp_nest_below(const struct fp_segment *seg, const struct fp_elem *e, const struct fp_elem *top);

/*
 * Does a task, or a nested job, that has not ended descend from an item of worker id:
 * was it published by that, or by what it has published?  gen: the task's or job's;
 * tag: the item's, {number:22, frame:10}.
 */
bool fp_nest_task_descends(const struct fp_segment *seg, uint32_t number, uint32_t gen,
			   uint32_t id, uint32_t tag);
bool fp_nest_job_descends(const struct fp_segment *seg, uint32_t slot, uint64_t gen,
			  uint32_t id, uint32_t tag);

static inline uint32_t fp_nest_tag(uint32_t number, uint32_t frame)
{
	return number * FP_DEPTH | frame;
}

/* Is *e, or what it descends from, a task that an item wants to be killed?  That is then *e. */
bool fp_nest_to_kill(const struct fp_segment *seg, struct fp_elem *e);

/* Was the task, or what it descends from, cancelled?  A hint. */
bool fp_nest_task_cancelled(const struct fp_segment *seg, uint32_t number);

/* Was the job in a slot cancelled, or one that it descends from?  A hint. */
bool fp_nest_cancelled(const struct fp_segment *seg, uint32_t slot);

/* The job of a dead worker's item that still runs, in *slot or the first one behind it; false: there is none. */
bool fp_nest_orphans(const struct fp_segment *seg, uint32_t id, uint32_t *slot, uint64_t *gen);

/* Cancels the jobs of a dead worker's items. */
void fp_nest_orphan(const struct fp_segment *seg, uint32_t id);

/* Gives back what the item in frame d of a dead worker held.  False: not yet, a job of it still runs. */
bool fp_nest_release(const struct fp_segment *seg, uint32_t id, uint32_t d);

#endif
