/* SPDX-License-Identifier: MIT */
/*
 * What.  The control words of the shared heap, as they lie in the segment; a part
 * of layout.h.  doc/design/heap.md tells the protocol.
 *
 *	struct fp_unit [units]          one for each unit of the arena
 *	record [units], each:		used while the unit is a slab
 *		struct fp_slab		its owner's words
 *		fp_a64 freed		everybody's
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
	 * The note: in which item of the worker `by` a run was allocated.  Written by
	 * `by` alone; read by the nursery when it is dead.
	 */
	fp_a64 run;		/* {the worker's runs:53, its id:11} */
	fp_a64 pos;		/* the item, FP_POS_NONE: in none */
	fp_a32 keep;		/* = tag: the slab's owner allocates here; set and cleared by it, or for it when dead */
	fp_a32 tag;		/* of the slab; raised by whoever makes one */
};

_Static_assert(sizeof(struct fp_unit) == 32, "units do not straddle lines");

/*
 * A slab's record.  An object is in use when its owner's word says `used` and the
 * word of the same number in `freed` does not say that it was freed.
 *
 * What the owner writes, with plain stores and only while it keeps the slab; read
 * by whoever frees, and by the nursery.  The note is as in struct fp_unit, and
 * speaks of the objects that are fresh.
 */
struct fp_slab {
	fp_a64 run, pos;
	_Alignas(64) fp_a64 own[];	/* {fresh:32, used:32} for each 32 objects */
};

_Static_assert(sizeof(struct fp_slab) == 64, "the note has its own line");

/*
 * What everybody writes, in other lines: {tag:32, freed:32}.  A bit is set by
 * fetch_or by whoever frees the object, but the owner while it keeps the slab;
 * cleared by the owner, after `used`.
 */
#define FP_SLAB_BITS	32u
#define FP_GRAIN	16u		/* the smallest object, and the least alignment */

static inline uint64_t fp_freed_word(uint32_t tag, uint32_t bits)
{
	return (uint64_t)tag << 32 | bits;
}

static inline uint64_t fp_own_word(uint32_t fresh, uint32_t used)
{
	return (uint64_t)fresh << 32 | used;
}

#endif
