/* SPDX-License-Identifier: MIT */
/* An item may run in the program itself, and map on a pool whose worker it is not: then the program allocates. */
#include "engine/memory.h"

int fp_memory_alloc(struct forkpool *pool, size_t size, void **ret)
{
	return fp_by_worker(pool) ? fp_heap_alloc(&fp_self->heap, FP_LINE, size, ret, NULL)
				  : fp_arena_alloc(pool->arena, FP_LINE, size, ret, NULL);
}

void fp_memory_free(struct forkpool *pool, void *p)
{
	uint64_t pages;

	if (fp_by_worker(pool))
		fp_heap_free(&fp_self->heap, p, &pages);
	else
		fp_arena_free(pool->arena, p);
}
