/* SPDX-License-Identifier: MIT */
/* The public calls for figures: arguments checked, structs of any version filled. */
#include <errno.h>

#include <forkpool.h>

#include "api/options.h"
#include "engine/stats.h"

static int check(const struct forkpool *pool, const void *ret, size_t first)
{
	if (!pool || !ret || !fp_stats_readable(pool))
		return -EINVAL;
	return fp_output_check(ret, first);
}

int forkpool_stats(struct forkpool *pool, struct forkpool_stats *ret)
{
	struct forkpool_stats stats = { 0 };
	int err = check(pool, ret, FP_STATS_FIRST);

	if (err)
		return err;
	fp_stats_pool(pool, &stats);
	fp_output_copy(ret, sizeof(stats), &stats);
	return 0;
}

int forkpool_worker_stats(struct forkpool *pool, unsigned id,
			  struct forkpool_worker_stats *ret)
{
	struct forkpool_worker_stats stats = { 0 };
	int err = check(pool, ret, FP_WORKER_STATS_FIRST);

	if (!err && id >= pool->crew.seg.geo.workers)
		err = -EINVAL;
	if (err)
		return err;
	fp_stats_worker(pool, id, &stats);
	fp_output_copy(ret, sizeof(stats), &stats);
	return 0;
}
