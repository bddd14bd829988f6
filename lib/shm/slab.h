/* SPDX-License-Identifier: MIT */
/*
 * Small objects: slabs of FP_SLAB_PAGES pages, each cut into objects of one size.
 *
 * What is free is written in records of our own, never in the slabs, where a
 * worker could scribble on it.  Slabs are aligned to their size, so the record
 * of an address is found by a division.  The caller brings the lock, and the
 * pages.
 */
#ifndef FP_SHM_SLAB_H
#define FP_SHM_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"

#define FP_SLAB_PAGES	16u
#define FP_SLAB_SIZE	(FP_SLAB_PAGES * FP_PAGE)
#define FP_SLAB_GRAIN	16u	/* the smallest object, and the least alignment */
#define FP_SLAB_CLASSES	24
#define FP_SLAB_WORDS	(FP_SLAB_SIZE / FP_SLAB_GRAIN / 64)

struct fp_slab {
	uint32_t size;		/* of an object; 0: no slab here */
	uint32_t class;
	uint32_t free_count;
	uint32_t prev, next;	/* among those of a class that have free objects */
	uint32_t hint;		/* no word before this one has a free object */
	uint64_t free[FP_SLAB_WORDS];
};

struct fp_slabs {
	struct fp_slab *table;	/* by (address - base) / FP_SLAB_SIZE */
	size_t count;
	uintptr_t base;
	uint32_t open[FP_SLAB_CLASSES];	/* first of the list of a class */
};

/* For addresses in [base, base + size); 0 or -errno. */
int fp_slabs_init(struct fp_slabs *s, const void *base, size_t size);
void fp_slabs_fini(struct fp_slabs *s);

/* The class for such objects; -1: too large, take pages. */
int fp_slab_class(size_t align, size_t size);

/* An object of a slab that is there; NULL: none is free, add a slab. */
void *fp_slab_take(struct fp_slabs *s, int class);

/* FP_SLAB_PAGES pages, aligned to their size, become a slab. */
void fp_slab_add(struct fp_slabs *s, int class, void *pages);

/* The slab around ptr; NULL if there is none. */
struct fp_slab *fp_slab_find(struct fp_slabs *s, const void *ptr);

/*
 * 0, or -EINVAL: ptr is no object that is in use.  *empty becomes the pages of
 * the slab if this was its last object: it is no slab any more, free the pages.
 */
int fp_slab_give(struct fp_slabs *s, struct fp_slab *slab, void *ptr,
		 void **empty);

#endif
