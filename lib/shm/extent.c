/* SPDX-License-Identifier: MIT */
#include "shm/extent.h"

#include <sys/mman.h>

#include "base/bits.h"
#include "os/sys.h"

#define SUB_BITS	2	/* log2 of the bins for each power of two */

/* ---- Bins ----------------------------------------------------------------- */

static unsigned log2_of(uint64_t n)
{
	return 63 - __builtin_clzll(n);
}

/* The bin in which an extent of N pages hangs. */
static unsigned bin_of(uint64_t n)
{
	unsigned top = log2_of(n);
	uint64_t sub = top < SUB_BITS ? n << (SUB_BITS - top) : n >> (top - SUB_BITS);

	return (top << SUB_BITS) + (sub & ((1 << SUB_BITS) - 1));
}

/* The first bin all of whose extents have at least N pages. */
static unsigned bin_fitting(uint64_t n)
{
	unsigned top = log2_of(n);

	if (top > SUB_BITS)
		n += (1ull << (top - SUB_BITS)) - 1;
	return bin_of(n);
}

/* The first bin from BIN on that is not empty; FP_EXTENT_BINS if none is. */
static unsigned bin_next(const struct fp_extents *e, unsigned bin)
{
	unsigned word = bin / 64;
	uint64_t bits;

	if (bin >= FP_EXTENT_BINS)
		return FP_EXTENT_BINS;
	bits = e->used_bins[word] & (~0ull << bin % 64);
	while (!bits && ++word < FP_EXTENT_WORDS)
		bits = e->used_bins[word];
	return bits ? word * 64 + __builtin_ctzll(bits) : FP_EXTENT_BINS;
}

static void bin_link(struct fp_extents *e, uint32_t first)
{
	unsigned bin = bin_of(e->pages[first].len);
	uint32_t next = e->bins[bin];

	e->pages[first].prev = FP_NO_PAGE;
	e->pages[first].next = next;
	if (next != FP_NO_PAGE)
		e->pages[next].prev = first;
	e->bins[bin] = first;
	e->used_bins[bin / 64] |= 1ull << bin % 64;
}

static void bin_unlink(struct fp_extents *e, uint32_t first)
{
	unsigned bin = bin_of(e->pages[first].len);
	uint32_t prev = e->pages[first].prev, next = e->pages[first].next;

	if (next != FP_NO_PAGE)
		e->pages[next].prev = prev;
	if (prev != FP_NO_PAGE)
		e->pages[prev].next = next;
	else
		e->bins[bin] = next;
	if (e->bins[bin] == FP_NO_PAGE)
		e->used_bins[bin / 64] &= ~(1ull << bin % 64);
}

/* ---- Free extents --------------------------------------------------------- */

static void free_put(struct fp_extents *e, uint32_t first, uint32_t len)
{
	struct fp_page *last = &e->pages[first + len - 1];

	last->kind = FP_PAGE_FREE;
	last->len = len;
	e->pages[first].kind = FP_PAGE_FREE;
	e->pages[first].len = len;
	bin_link(e, first);
}

/* Its pages are nobody's until the caller says whose. */
static uint32_t free_remove(struct fp_extents *e, uint32_t first)
{
	uint32_t len = e->pages[first].len;

	bin_unlink(e, first);
	e->pages[first].kind = FP_PAGE_INSIDE;
	e->pages[first + len - 1].kind = FP_PAGE_INSIDE;
	return len;
}

/* Pages to skip in the free extent at FIRST to reach a multiple of ALIGN. */
static uint64_t free_skip(const struct fp_extents *e, uint32_t first,
			  uint64_t align)
{
	return -(e->base + first) & (align - 1);
}

static bool free_fits(const struct fp_extents *e, uint32_t first, uint64_t n,
		      uint64_t align)
{
	return free_skip(e, first, align) + n <= e->pages[first].len;
}

/*
 * Any extent of a bin that fits in the worst case will do.  Only when there is
 * none are the extents looked at one by one that fit by luck.
 */
static uint32_t free_find(const struct fp_extents *e, uint64_t n, uint64_t align)
{
	unsigned bin = bin_next(e, bin_fitting(n + align - 1));
	uint32_t first;

	if (bin < FP_EXTENT_BINS)
		return e->bins[bin];
	for (bin = bin_next(e, bin_of(n)); bin < FP_EXTENT_BINS;
	     bin = bin_next(e, bin + 1))
		for (first = e->bins[bin]; first != FP_NO_PAGE;
		     first = e->pages[first].next)
			if (free_fits(e, first, n, align))
				return first;
	return FP_NO_PAGE;
}

/* ---- What the arena calls ------------------------------------------------- */

int fp_extents_init(struct fp_extents *e, uint64_t base, uint32_t count)
{
	void *pages;
	int err = fp_sys.map(&pages, NULL, count * sizeof(struct fp_page),
			     PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (err)
		return err;
	*e = (struct fp_extents){ .pages = pages, .count = count, .base = base };
	for (unsigned i = 0; i < FP_EXTENT_BINS; i++)
		e->bins[i] = FP_NO_PAGE;
	free_put(e, 0, count);
	return 0;
}

void fp_extents_fini(struct fp_extents *e)
{
	if (e->pages)
		fp_sys.unmap(e->pages, e->count * sizeof(struct fp_page));
	e->pages = NULL;
}

uint32_t fp_extents_take(struct fp_extents *e, uint64_t n, uint64_t align)
{
	uint32_t first, skip, len;

	if (n > e->count)
		return FP_NO_PAGE;
	first = free_find(e, n, align);
	if (first == FP_NO_PAGE)
		return FP_NO_PAGE;
	skip = free_skip(e, first, align);
	len = free_remove(e, first);
	if (skip)
		free_put(e, first, skip);
	if (len > skip + n)
		free_put(e, first + skip + n, len - skip - n);
	first += skip;
	e->pages[first].kind = FP_PAGE_USED;
	e->pages[first].len = n;
	return first;
}

uint32_t fp_extents_leave(struct fp_extents *e, uint32_t first)
{
	struct fp_page *page = &e->pages[first];

	if (page->kind != FP_PAGE_USED)
		return 0;
	page->kind = FP_PAGE_LEAVING;
	return page->len;
}

void fp_extents_give(struct fp_extents *e, uint32_t first)
{
	uint32_t len = e->pages[first].len, next = first + len, before;

	e->pages[first].kind = FP_PAGE_INSIDE;
	if (next < e->count && e->pages[next].kind == FP_PAGE_FREE)
		len += free_remove(e, next);
	if (first && e->pages[first - 1].kind == FP_PAGE_FREE) {
		before = e->pages[first - 1].len;
		first -= before;
		len += free_remove(e, first);
	}
	free_put(e, first, len);
}

uint32_t fp_extents_largest(struct fp_extents *e)
{
	unsigned bin = 0, top = FP_EXTENT_BINS;
	uint32_t most = 0;

	while ((bin = bin_next(e, bin)) < FP_EXTENT_BINS)
		top = bin++;
	if (top == FP_EXTENT_BINS)
		return 0;
	for (uint32_t p = e->bins[top]; p != FP_NO_PAGE; p = e->pages[p].next)
		most = fp_max(most, e->pages[p].len);
	return most;
}
