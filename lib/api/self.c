/* SPDX-License-Identifier: MIT */
/* The public calls inside a worker. */
#include <forkpool.h>

#include "engine/pool.h"
#include "task/limit.h"
#include "task/nest.h"

struct forkpool *forkpool_current(void)
{
	return fp_self ? fp_self->crew->pool : NULL;
}

unsigned forkpool_worker_id(void)
{
	return fp_self ? fp_self->id : 0;
}

/* Inline there is no job in the segment, and terminate is all that can come between. */
int forkpool_cancelled(void)
{
	struct fp_runner *r;

	if (!fp_self)
		return 0;
	if (fp_self->crew->pool->mode == FORKPOOL_INLINE)
		return fp_load_rlx(&fp_self->crew->pool->state) == FP_POOL_TERMINATED;
	r = fp_self->top;
	/* What it descends from may end, and its flags with it: what was 1 stays 1. */
	if (r->tag && r->cancelled == r->tag)
		return 1;
	if (r->task ? fp_nest_task_cancelled(r->claimer.seg, r->number)
		    : r->claimer.slot.job && fp_nest_cancelled(r->claimer.seg, r->claimer.slot.index)) {
		r->cancelled = r->tag;
		return 1;
	}
	return fp_limit_passed(fp_self->shared) ||
	       fp_load_rlx(&fp_self->crew->seg.ctl->stop) == FP_STOP_NOW;
}

void *forkpool_worker_state(void)
{
	return fp_self ? fp_self->state : NULL;
}
