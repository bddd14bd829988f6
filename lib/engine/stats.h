/* SPDX-License-Identifier: MIT */
/* A pool's figures; see stats.c. */
#ifndef FP_ENGINE_STATS_H
#define FP_ENGINE_STATS_H

#include "engine/pool.h"

/* May this caller read them?  Not in a child, where the control words are not mapped. */
bool fp_stats_readable(const struct forkpool *pool);

/* Of the pool; of worker id, which must be below the most that there may be.  sz is left alone. */
void fp_stats_pool(struct forkpool *pool, struct forkpool_stats *ret);
void fp_stats_worker(struct forkpool *pool, uint32_t id, struct forkpool_worker_stats *ret);

#endif
