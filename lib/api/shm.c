/* SPDX-License-Identifier: MIT */
/* The public calls on shared memory. */
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include <forkpool.h>

#include "engine/pool.h"

#define ALIGN_MOST	((size_t)1 << 30)

/* May this caller allocate?  0 or a positive errno. */
static int check_caller(const struct forkpool *pool)
{
	if (!pool)
		return EINVAL;
	switch (fp_pool_caller(pool)) {
	case FP_CALLER_HOST:
		return 0;
	case FP_CALLER_WORKER:
		return ENOSYS;
	case FP_CALLER_CHILD:
		break;
	}
	return EINVAL;
}

static void *allocate(struct forkpool *pool, size_t align, size_t size, int *zeroed)
{
	int err = check_caller(pool);
	void *p = NULL;

	if (!err && (align == 0 || (align & (align - 1)) || align > ALIGN_MOST))
		err = EINVAL;
	if (!err)
		err = -fp_arena_alloc(pool->arena, align, size, &p, zeroed);
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
	if (ptr && check_caller(pool) == 0)
		fp_arena_free(pool->arena, ptr);
}

int forkpool_shm_owns(struct forkpool *pool, const void *ptr)
{
	return pool && ptr && fp_segment_owns(&pool->crew.seg, ptr, 1);
}
