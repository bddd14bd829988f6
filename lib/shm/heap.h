/* SPDX-License-Identifier: MIT */
/* Allocating and freeing in the segment, by one process; see heap.c. */
#ifndef FP_SHM_HEAP_H
#define FP_SHM_HEAP_H

#include <pthread.h>

#include "shm/slab.h"

#define FP_HEAP_ALIGN_MOST	((size_t)1 << 30)

/* One allocating process (or worker thread); its own, never in the segment. */
struct fp_heap {
	struct fp_units units;
	const struct fp_worker *me;	/* whose items allocate; NULL: the host */
	pthread_mutex_t *lock;		/* the host's, whose threads are one owner; else NULL */
	fp_a64 current[FP_SLAB_CLASSES];	/* handles of slabs; 0 = none */
	fp_a32 hint[FP_SLAB_CLASSES];	/* words of theirs to look at first */
	fp_a32 cursor[FP_SLAB_CLASSES];	/* units, where the search for another slab goes on */
};

void fp_heap_open(struct fp_heap *h, const struct fp_heap_place *at, uint32_t id,
		  const struct fp_worker *me);

/*
 * size bytes at a multiple of align (a power of two), with memory.  0, -EINVAL or
 * -ENOMEM.  *zeroed is set when the bytes are known to be zero.
 */
int fp_heap_alloc(struct fp_heap *h, size_t align, size_t size, void **ret, int *zeroed);

/*
 * 0, or -EINVAL: ptr is not what alloc gave, or was freed before.  *pages becomes
 * how many pages became free with it, and only on success.
 */
int fp_heap_free(struct fp_heap *h, const void *ptr, uint64_t *pages);

/* Gives back all empty slabs but those that others keep. */
void fp_heap_trim(struct fp_heap *h);

/* What is in the heap. */
struct fp_heap_count {
	uint64_t runs, slabs, objects;	/* objects: in slabs */
	uint64_t used;			/* units that are not free */
	uint64_t passing;		/* CLAIM, LEAVE and SEAL: somebody is at work there */
	uint64_t idle;			/* pages of free units that have memory */
};
void fp_heap_count(struct fp_units *u, struct fp_heap_count *ret);

#endif
