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
 * yet.  NULL: too deep, or no memory.
 */
struct fp_frame *fp_nest_push(const struct fp_segment *seg, uint32_t id, uint32_t depth);

/* Back to depth frames. */
void fp_nest_pop(const struct fp_segment *seg, uint32_t id, uint32_t depth);

/*
 * Does the job gen that a slot has descend from job `top_gen` of slot `top`: was
 * it published by an item of that, or of one that descends from it?
 */
bool fp_nest_descends(const struct fp_segment *seg, uint32_t slot, uint64_t gen,
		      uint32_t top, uint64_t top_gen);

/* Was the job in a slot cancelled, or one that it descends from?  A hint. */
bool fp_nest_cancelled(const struct fp_segment *seg, uint32_t slot);

/* The job of a dead worker's item that still runs, in *slot or the first one behind it; false: there is none. */
bool fp_nest_orphans(const struct fp_segment *seg, uint32_t id, uint32_t *slot, uint64_t *gen);

/* Cancels the jobs of a dead worker's items. */
void fp_nest_orphan(const struct fp_segment *seg, uint32_t id);

/* Gives back what the item in frame d of a dead worker held.  False: not yet, a job of it still runs. */
bool fp_nest_release(const struct fp_segment *seg, uint32_t id, uint32_t d);

#endif
