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
	const struct fp_claimer *c;

	if (!fp_self)
		return 0;
	if (fp_self->crew->pool->mode == FORKPOOL_INLINE)
		return fp_load_rlx(&fp_self->crew->pool->state) == FP_POOL_TERMINATED;
	c = &fp_self->top->claimer;
	return (c->slot.job && fp_nest_cancelled(c->seg, c->slot.index)) || fp_limit_passed(fp_self->shared) ||
	       fp_load_rlx(&fp_self->crew->seg.ctl->stop) == FP_STOP_NOW;
}

void *forkpool_worker_state(void)
{
	return fp_self ? fp_self->state : NULL;
}
