/* SPDX-License-Identifier: MIT */
/* A worker's side of limits in time; see limit.c. */
#ifndef FP_TASK_LIMIT_H
#define FP_TASK_LIMIT_H

#include "shm/layout.h"

static inline bool fp_limited(const struct fp_job_desc *d)
{
	return d->timeout || d->deadline;
}

/*
 * Around what one limit holds for: an item, or several where only the job has a
 * deadline; pos is the first.  False: the job's deadline has passed, nothing is
 * to be started.
 */
struct fp_bounds {
	struct fp_worker *me;
	struct fp_frame *frame;		/* the item's */
	uint64_t outer;			/* limit of the items below it on the stack; 0 = none */
};
bool fp_limit_begin(const struct fp_bounds *b, int64_t timeout, int64_t deadline, uint64_t pos);
void fp_limit_end(const struct fp_bounds *b);

/* Goes no further while the worker is condemned: for ever, if the verdict stands. */
void fp_limit_boundary(struct fp_worker *me);

/* Has the limit of what this worker runs passed?  For code inside the item. */
bool fp_limit_passed(const struct fp_worker *me);

#endif
