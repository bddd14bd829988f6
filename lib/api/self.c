/* SPDX-License-Identifier: MIT */
/* The public calls inside a worker. */
#include <forkpool.h>

#include "proc/worker.h"

struct forkpool *forkpool_current(void)
{
	return fp_self ? fp_self->crew->pool : NULL;
}

unsigned forkpool_worker_id(void)
{
	return fp_self ? fp_self->id : 0;
}

void *forkpool_worker_state(void)
{
	return fp_self ? fp_self->state : NULL;
}
