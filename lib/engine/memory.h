/* SPDX-License-Identifier: MIT */
/* Memory in the arena for what the library copies there. */
#ifndef FP_ENGINE_MEMORY_H
#define FP_ENGINE_MEMORY_H

#include "engine/pool.h"

/* Is the caller an item of this pool, in a worker?  Else it is the program, or runs its items itself. */
static inline bool fp_by_worker(const struct forkpool *pool)
{
	return fp_self && fp_self->crew->pool == pool && pool->mode != FORKPOOL_INLINE;
}

/* From the heap of whoever calls: a host thread, or an item's worker.  0 or -ENOMEM. */
int fp_memory_alloc(struct forkpool *pool, size_t size, void **ret);
void fp_memory_free(struct forkpool *pool, void *p);

#endif
