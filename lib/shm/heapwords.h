/* SPDX-License-Identifier: MIT */
/*
 * What.  The control words of the shared heap, as they lie in the segment; a part
 * of layout.h.  doc/design/heap.md tells the protocol.
 *
 *	struct fp_unit [units]          one for each unit of the arena
 *	record [units], each:           used while the unit is a slab
 *		fp_a64 words            which objects are in use
 *		fp_a32 fresh            which of them the item in the unit's note made
 *
 * A unit is 64 KiB of the arena, or a page where the arena is small.
 *
 * The unit's word is the truth about it: what it is and who may change that.  It
 * changes by compare-and-swap from FREE, RUN and SLAB; in the other states by
 * `by` alone, or by the nursery once `by` is dead.
 */
#ifndef FP_SHM_HEAPWORDS_H
#define FP_SHM_HEAPWORDS_H

#include "base/atomic.h"
#include "base/bits.h"

/* ---- The unit's word: {kind:3, by:11, class:6, room:16, value:28} ----------- */

enum fp_unit_kind {
	FP_UNIT_FREE,		/* as the kernel's fresh zeros say */
	FP_UNIT_CLAIM,		/* `by` makes a run of `value` units, or a slab */
	FP_UNIT_BODY,		/* inside the run whose first unit is `value` */
	FP_UNIT_RUN,		/* a block of `value` units; `by` allocated it */
	FP_UNIT_LEAVE,		/* the same, and `by` frees it */
	FP_UNIT_SLAB,		/* objects of `class`; `by` allocates from it */
	FP_UNIT_SEAL,		/* an empty slab of owner `value` that `by` gives back */
	FP_UNIT_KINDS,
};

#define FP_HEAP_HOST	2047u	/* `by`, beside the workers' ids */
#define FP_HEAP_NURSERY	2046u
#define FP_ROOM_ALL	0xffffu
#define FP_UNITS_MAX	((uint32_t)1 << 28)

static inline uint64_t fp_unit_word(enum fp_unit_kind kind, uint32_t by, uint32_t class,
				    uint32_t room, uint32_t value)
{
	return (uint64_t)kind << 61 | (uint64_t)by << 50 | (uint64_t)class << 44 |
	       (uint64_t)room << 28 | value;
}

static inline enum fp_unit_kind fp_unit_kind(uint64_t w)
{
	return (enum fp_unit_kind)(w >> 61);
}

static inline uint32_t fp_unit_by(uint64_t w)
{
	return (uint32_t)(w >> 50 & 0x7ff);
}

static inline uint32_t fp_unit_class(uint64_t w)
{
	return (uint32_t)(w >> 44 & 0x3f);
}

/* Which of its pages have memory; more may have, but never fewer. */
static inline uint32_t fp_unit_room(uint64_t w)
{
	return (uint32_t)(w >> 28 & FP_ROOM_ALL);
}

static inline uint32_t fp_unit_value(uint64_t w)
{
	return (uint32_t)(w & (FP_UNITS_MAX - 1));
}

/* ---- A unit and its record -------------------------------------------------- */

struct fp_unit {
	fp_a64 word;
	/*
	 * The note: in which item of the worker `by` a run, or a slab's fresh
	 * objects, were allocated.  Written by `by` alone; read by the nursery
	 * when it is dead.
	 */
	fp_a64 run;		/* {the worker's runs:53, its id:11} */
	fp_a64 pos;		/* the item, FP_POS_NONE: in none */
	fp_a32 keep;		/* = tag: the slab's owner allocates here; set and cleared by it, or for it when dead */
	fp_a32 tag;		/* of the slab's words; raised by whoever makes a slab */
};

_Static_assert(sizeof(struct fp_unit) == 32, "units do not straddle lines");

/*
 * A word of a slab: {tag:32, in use:32}.  The owner sets a bit by
 * compare-and-swap; anybody clears one by fetch_and; who gives the slab back
 * turns each word from {tag, 0} to 0, after which no bit can be set any more.
 */
#define FP_SLAB_BITS	32u
#define FP_GRAIN	16u		/* the smallest object, and the least alignment */

static inline uint64_t fp_slab_word(uint32_t tag, uint32_t bits)
{
	return (uint64_t)tag << 32 | bits;
}

#endif
