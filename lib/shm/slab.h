/* SPDX-License-Identifier: MIT */
/* Small objects: a unit cut into objects of one size; see slab.c. */
#ifndef FP_SHM_SLAB_H
#define FP_SHM_SLAB_H

#include <stddef.h>

#include "shm/units.h"

#define FP_SLAB_CLASSES	40	/* the largest is half of a large unit */

/* Which item allocates; pos is FP_POS_NONE outside of items. */
struct fp_note {
	uint64_t run, pos;
};

static inline struct fp_note fp_note_of(const struct fp_worker *me, uint32_t id)
{
	return (struct fp_note){ fp_load_rlx(&me->runs) << 11 | id, fp_load_rlx(&me->base.pos) };
}

size_t fp_slab_size(uint32_t class);

/* The class for such objects; -1: too large, take units. */
int fp_slab_class(const struct fp_units *u, size_t align, size_t size);

/* Objects of the slab that unit i is, or would be. */
uint32_t fp_slab_objects(const struct fp_units *u, uint32_t i, uint32_t class);

/* What a caller's fast path remembers of a slab: {tag:32, unit:32}; 0 = none. */
uint64_t fp_slab_handle(struct fp_units *u, uint32_t i);

/*
 * An object; NULL: none is free, or the slab is no more what it was.  *hint is
 * where the search begins.  note NULL: frees nothing at a death.
 */
void *fp_slab_take(struct fp_units *u, uint64_t handle, uint32_t class, fp_a32 *hint,
		   const struct fp_note *note);

/* The claimed unit i becomes a slab of ours.  0 or -ENOMEM. */
int fp_slab_make(struct fp_units *u, uint32_t i, uint32_t class);

/* Our slab of that class with so many free objects (at least 1), of the units [from, to); FP_NO_UNIT. */
uint32_t fp_slab_find(struct fp_units *u, uint32_t class, uint32_t least, uint32_t from,
		      uint32_t to);

/* 0, 1: with it the slab was given back; -EINVAL: no object that is in use is there.  w is the word of unit i. */
int fp_slab_give(struct fp_units *u, uint32_t i, uint64_t w, size_t offset);

/* Gives the slab back, if it is empty and its owner does not keep it; true: done. */
bool fp_slab_retire(struct fp_units *u, uint32_t i);

/* Goes on where a dead process was retiring one. */
void fp_slab_retire_on(struct fp_units *u, uint32_t i);

/* Its owner will not allocate here any more, for the time being. */
void fp_slab_let_go(struct fp_units *u, uint64_t handle);

/* For the nursery: frees what the item allocated, if it is the one in the note. */
void fp_slab_drop_fresh(struct fp_units *u, uint32_t i, uint32_t class, const struct fp_note *note);

/* Objects in use. */
uint32_t fp_slab_used(struct fp_units *u, uint32_t i, uint32_t class);

fp_a64 *fp_slab_words(const struct fp_units *u, uint32_t i);

#endif
