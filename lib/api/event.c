/* SPDX-License-Identifier: MIT */
/* The public calls of event loops. */
#include <errno.h>

#include <forkpool.h>

#include "engine/dispatch.h"

/* May this caller dispatch? */
static int check(struct forkpool *pool)
{
	if (!pool)
		return -EINVAL;
	if (fp_self)
		return -EPERM;
	if (fp_pool_caller(pool) != FP_CALLER_HOST || pool->dispatch.has_helper)
		return -EINVAL;
	return 0;
}

int forkpool_event_fd(struct forkpool *pool)
{
	int err = check(pool);

	return err ? err : fp_dispatch_fd(pool);
}

int forkpool_dispatch(struct forkpool *pool)
{
	int err = check(pool);

	return err ? err : fp_dispatch(pool);
}
