/* SPDX-License-Identifier: MIT */
/* The public calls on shared memory. */
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include <forkpool.h>

#include "engine/pool.h"

/* May this caller allocate?  0 or a positive errno. */
static int check_caller(const struct forkpool *pool)
{
	if (!pool || fp_pool_caller(pool) == FP_CALLER_CHILD)
		return EINVAL;
	return 0;
}

/* The heap of a worker; NULL: the caller is the host, or runs its items inline. */
static struct fp_heap *worker_heap(const struct forkpool *pool)
{
	if (pool->mode == FORKPOOL_INLINE || fp_pool_caller(pool) != FP_CALLER_WORKER)
		return NULL;
	return &fp_self->heap;
}

static void *allocate(struct forkpool *pool, size_t align, size_t size, int *zeroed)
{
	int err = check_caller(pool);
	struct fp_heap *heap;
	void *p = NULL;

	if (!err) {
		heap = worker_heap(pool);
		err = heap ? -fp_heap_alloc(heap, align, size, &p, zeroed)
			   : -fp_arena_alloc(pool->arena, align, size, &p, zeroed);
	}
	if (!err)
		return p;
	errno = err;
	return NULL;
}

void *forkpool_shm_alloc(struct forkpool *pool, size_t size)
{
	return allocate(pool, alignof(max_align_t), size, NULL);
}

void *forkpool_shm_calloc(struct forkpool *pool, size_t n, size_t size)
{
	size_t bytes;
	int zeroed = 0;
	void *p;

	if (fp_mul_overflows(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	p = allocate(pool, alignof(max_align_t), bytes, &zeroed);
	if (p && !zeroed)
		memset(p, 0, bytes);
	return p;
}

void *forkpool_shm_aligned_alloc(struct forkpool *pool, size_t align, size_t size)
{
	return allocate(pool, align, size, NULL);
}

void forkpool_shm_free(struct forkpool *pool, void *ptr)
{
	struct fp_heap *heap;
	uint64_t pages;

	if (!ptr || check_caller(pool))
		return;
	heap = worker_heap(pool);
	if (heap)
		fp_heap_free(heap, ptr, &pages);
	else
		fp_arena_free(pool->arena, ptr);
}

int forkpool_shm_owns(struct forkpool *pool, const void *ptr)
{
	return pool && ptr && fp_segment_owns(&pool->crew.seg, ptr, 1);
}
