/* SPDX-License-Identifier: MIT */
/*
 * Which pages of the arena belong together, and which are free.
 *
 * The page map has one entry for each page.  The first page of an extent holds
 * its kind and length, so the map can be walked from extent to extent; the last
 * page of a free one does so too, so that what is freed behind it finds it.  All
 * other entries are FP_PAGE_INSIDE.  Two free extents are never neighbours.
 *
 * Free extents hang in bins by length, four for each power of two; a bitmap
 * names the bins that are not empty, so a fitting one is found in a few steps.
 *
 * The caller brings the lock.
 */
#ifndef FP_SHM_EXTENT_H
#define FP_SHM_EXTENT_H

#include <stdbool.h>
#include <stdint.h>

#define FP_NO_PAGE		UINT32_MAX
#define FP_EXTENT_BINS		128
#define FP_EXTENT_WORDS		(FP_EXTENT_BINS / 64)

enum fp_page_kind {
	FP_PAGE_INSIDE,		/* as the kernel's fresh zeros say */
	FP_PAGE_FREE,
	FP_PAGE_USED,
	FP_PAGE_LEAVING,	/* freed, but not yet with the free ones */
};

struct fp_page {
	uint32_t kind;
	uint32_t len;
	uint32_t prev, next;	/* in the bin; first page of a free extent only */
};

struct fp_extents {
	struct fp_page *pages;
	uint32_t count;
	uint64_t base;		/* address of page 0, in pages */
	uint64_t used_bins[FP_EXTENT_WORDS];
	uint32_t bins[FP_EXTENT_BINS];
};

/* COUNT pages, all free; 0 or -errno. */
int fp_extents_init(struct fp_extents *e, uint64_t base, uint32_t count);
void fp_extents_fini(struct fp_extents *e);

/* N pages (at least 1) at a multiple of ALIGN pages; FP_NO_PAGE if there is no such place. */
uint32_t fp_extents_take(struct fp_extents *e, uint64_t n, uint64_t align);

/*
 * Freeing has two steps, so that memory can be given back in between without
 * the lock.  leave says how many pages there are; 0: no used extent begins at
 * FIRST.
 */
uint32_t fp_extents_leave(struct fp_extents *e, uint32_t first);
void fp_extents_give(struct fp_extents *e, uint32_t first);

/* Pages in the largest free extent. */
uint32_t fp_extents_largest(struct fp_extents *e);

#endif
