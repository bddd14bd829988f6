/* SPDX-License-Identifier: MIT */
/* Units of the arena: claimed, made blocks, and freed; see units.c. */
#ifndef FP_SHM_UNITS_H
#define FP_SHM_UNITS_H

#include <stddef.h>
#include <sys/types.h>

#include "shm/layout.h"
#include "shm/room.h"

#define FP_NO_UNIT	UINT32_MAX

/* Where a heap lies, and in which file; all sizes and places are multiples of FP_PAGE. */
struct fp_heap_place {
	fp_a64 *limit;		/* units whose table has memory; in the segment */
	char *ctl;		/* table and records: fp_units_ctl_size() bytes */
	char *base;		/* the arena, at a multiple of fp_units_size() */
	size_t size;
	int fd;			/* host: takes memory through it; others: -1 */
	off_t ctl_off, off;	/* of ctl and base in the file */
};

/* One process's (or worker thread's) view; never in the segment. */
struct fp_units {
	struct fp_heap_place at;
	uint32_t id;		/* `by` in words that we write */
	unsigned shift;		/* log2 of a unit */
	uint32_t count;
	uint32_t pages;		/* of a unit */
	size_t record;		/* bytes of a slab's record */
	size_t freed;		/* where in it the freed words are */
	struct fp_unit *units;
	char *records;

	fp_a32 sure;		/* units whose table has memory for all we know */
	fp_a32 low;		/* no free unit of ours lies before it: a hint */
	fp_a32 next;		/* where the search for a run goes on: a hint */

	/* The host's own knowledge, which no worker can falsify; NULL in others. */
	struct fp_room *room;	/* of the arena's pages */
	unsigned char *recorded;	/* units whose record has memory */
};

size_t fp_units_size(size_t arena_size);
size_t fp_units_ctl_size(size_t arena_size);

void fp_units_view(struct fp_units *u, const struct fp_heap_place *at, uint32_t id);

/* The word of unit i; 0 (free) where the table has no memory yet. */
uint64_t fp_unit_look(struct fp_units *u, uint32_t i);
static inline uint64_t fp_unit_load(struct fp_units *u, uint32_t i)
{
	if (fp_unlikely(i >= fp_load_rlx(&u->sure)))
		return fp_unit_look(u, i);
	/* HEAP-P2: with a slab's word its record, with a run's its note; pairs with HEAP-P1. */
	return fp_load_acq(&u->units[i].word);
}

/* Units that there are words for now. */
uint32_t fp_units_limit(struct fp_units *u);

/* Bytes of the arena in unit i: the last one may be short. */
size_t fp_unit_bytes(const struct fp_units *u, uint32_t i);

/* The first unit behind what begins at i, if it is a run; else i + 1. */
uint32_t fp_unit_behind(const struct fp_units *u, uint32_t i, uint64_t w);

/* Makes sure that unit i's record may be touched. 0 or -ENOMEM. */
int fp_unit_record(struct fp_units *u, uint32_t i, bool make);

/*
 * Claims units for `size` bytes at a multiple of align, with memory.  The first
 * one's word is CLAIM until the caller publishes it.  *fresh: all zeros.
 * FP_NO_UNIT: none to be had.
 */
uint32_t fp_units_claim(struct fp_units *u, size_t size, size_t align, bool *fresh);

/* CLAIM -> RUN or SLAB; the note has been written. */
void fp_units_publish(struct fp_units *u, uint32_t i, enum fp_unit_kind kind, uint32_t class);

/* RUN -> LEAVE; false when somebody else was faster.  The caller then clears. */
bool fp_units_leave(struct fp_units *u, uint32_t i, uint64_t w);

/* Frees the units of a CLAIM, LEAVE or SEAL that is ours, or a dead process's. */
void fp_units_clear(struct fp_units *u, uint32_t i);

/* Free -> CLAIM of one unit, to give back its memory; false: it is not free. */
bool fp_unit_hold(struct fp_units *u, uint32_t i, uint64_t w);

/* Ours: sets which pages have memory, and nothing else. */
void fp_unit_set_room(struct fp_units *u, uint32_t i, uint32_t room);

#endif
