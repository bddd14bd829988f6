/* SPDX-License-Identifier: MIT */
/* Allocating and freeing in the segment, by one process; see heap.c. */
#ifndef FP_SHM_HEAP_H
#define FP_SHM_HEAP_H

#include <pthread.h>

#include "shm/slab.h"

#define FP_QUICK_MOST		((size_t)32 << 10)	/* the largest class; a small arena never has a slab of it */
#define FP_HEAP_ALIGN_MOST	((size_t)1 << 30)

/* One who allocates, a worker or a thread of the host; its own, never in the segment. */
struct fp_heap {
	struct fp_units *units;
	const struct fp_worker *me;	/* whose items allocate */
	pthread_mutex_t *lock;		/* of the host's threads, for slabs that none of them keeps; else NULL */
	struct fp_kept *kept;		/* by class; zeros for all, until the first one */
	struct fp_kept *last;		/* one of them */
	uint32_t cursor[FP_SLAB_CLASSES];	/* units, where the search for another slab goes on */
	struct fp_units own;		/* a worker's, which nobody shares */
};

/* A worker's. */
void fp_heap_open(struct fp_heap *h, const struct fp_heap_place *at, uint32_t id,
		  const struct fp_worker *me);

/* A host thread's; units and lock are those of all threads. */
void fp_heap_join(struct fp_heap *h, struct fp_units *units, pthread_mutex_t *lock);

/*
 * size bytes at a multiple of align (a power of two), with memory.  0, -EINVAL or
 * -ENOMEM.  *zeroed is set when the bytes are known to be zero.
 */
int fp_heap_alloc(struct fp_heap *h, size_t align, size_t size, void **ret, int *zeroed);

/*
 * 0, or -EINVAL: ptr is not what alloc gave, or was freed before.  kept is of
 * whoever frees; NULL: it keeps nothing.  *pages becomes how many pages became
 * free with it, and only on success.
 */
int fp_heap_give(struct fp_units *u, struct fp_kept *kept, const void *ptr, uint64_t *pages);
int fp_heap_free(struct fp_heap *h, const void *ptr, uint64_t *pages);

/* ---- Where a slab is at hand ----------------------------------------------- */

/* size bytes as fp_heap_alloc() gives at the least alignment; NULL: call that. */
static inline void *fp_heap_quick(struct fp_heap *h, size_t size)
{
	struct fp_kept *s;

	if (fp_unlikely(size > FP_QUICK_MOST))
		return NULL;
	s = h->last = &h->kept[fp_slab_class_of(size)];
	if (fp_unlikely(!s->handle || s->note.pos != fp_load_rlx(&h->me->base.pos) ||
			s->note.run != fp_note_run(h->me, h->units->id)))
		return NULL;
	return fp_slab_take(s);
}

/* Frees what lies in the slab where we allocated last; false: call fp_heap_free(). */
static inline bool fp_heap_quick_free(struct fp_heap *h, const void *ptr)
{
	return fp_slab_put(h->last, (uintptr_t)ptr - (uintptr_t)h->last->base);
}

/* ---- More ------------------------------------------------------------------- */

/* Keeps no slab any more. */
void fp_heap_let_go(struct fp_heap *h);

/* Local memory only; what it keeps stays kept. */
void fp_heap_forget(struct fp_heap *h);

/* Gives back all empty slabs but those that somebody keeps. */
void fp_heap_trim(struct fp_units *u);

/* What is in the heap. */
struct fp_heap_count {
	uint64_t runs, slabs, objects;	/* objects: in slabs */
	uint64_t used;			/* units that are not free */
	uint64_t passing;		/* CLAIM, LEAVE and SEAL: somebody is at work there */
	uint64_t idle;			/* pages of free units that have memory */
};
void fp_heap_count(struct fp_units *u, struct fp_heap_count *ret);

#endif
