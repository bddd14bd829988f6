/* SPDX-License-Identifier: MIT */
/* The public calls on shared memory. */
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include <forkpool.h>

#include "engine/pool.h"

/*
 * Who allocates?  0, or a positive errno; *heap is a worker's, or NULL: the caller
 * is the host, or runs its items inline.
 */
static int find_heap(const struct forkpool *pool, struct fp_heap **heap)
{
	enum fp_caller caller = pool ? fp_pool_caller(pool) : FP_CALLER_CHILD;

	if (caller == FP_CALLER_CHILD)
		return EINVAL;
	*heap = caller == FP_CALLER_WORKER && pool->mode != FORKPOOL_INLINE ? &fp_self->heap : NULL;
	return 0;
}

/* Whose slabs the caller keeps, where it is known at once; else NULL. */
static inline struct fp_heap *heap_at_hand(const struct forkpool *pool)
{
	enum fp_caller caller = fp_likely(pool) ? fp_pool_caller(pool) : FP_CALLER_CHILD;

	if (fp_unlikely(caller == FP_CALLER_CHILD))
		return NULL;
	if (caller == FP_CALLER_WORKER && pool->mode != FORKPOOL_INLINE)
		return &fp_self->heap;
	return fp_shares_seat(&pool->arena->shares);
}

static __attribute__((noinline)) void *allocate(struct forkpool *pool, size_t align, size_t size, int *zeroed)
{
	struct fp_heap *heap;
	int err = find_heap(pool, &heap);
	void *p;

	if (!err)
		err = heap ? -fp_heap_alloc(heap, align, size, &p, zeroed)
			   : -fp_arena_alloc(pool->arena, align, size, &p, zeroed);
	if (!err)
		return p;
	errno = err;
	return NULL;
}

void *forkpool_shm_alloc(struct forkpool *pool, size_t size)
{
	struct fp_heap *heap = heap_at_hand(pool);
	void *p = fp_likely(heap) ? fp_heap_quick(heap, size) : NULL;

	return fp_likely(p) ? p : allocate(pool, alignof(max_align_t), size, NULL);
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

/* Not in the slab where the caller allocated last. */
static __attribute__((noinline)) void free_elsewhere(struct forkpool *pool, void *ptr)
{
	struct fp_heap *heap;
	uint64_t pages;

	if (!ptr || find_heap(pool, &heap))
		return;
	if (heap)
		fp_heap_free(heap, ptr, &pages);
	else
		fp_arena_free(pool->arena, ptr);
}

void forkpool_shm_free(struct forkpool *pool, void *ptr)
{
	struct fp_heap *heap = heap_at_hand(pool);

	if (fp_unlikely(!heap || !fp_heap_quick_free(heap, ptr)))
		free_elsewhere(pool, ptr);
}

int forkpool_shm_owns(struct forkpool *pool, const void *ptr)
{
	return pool && ptr && fp_segment_owns(&pool->crew.seg, ptr, 1);
}
