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

static inline uint64_t fp_note_run(const struct fp_worker *me, uint32_t id)
{
	return fp_load_rlx(&me->runs) << 11 | id;
}

static inline struct fp_note fp_note_of(const struct fp_worker *me, uint32_t id)
{
	return (struct fp_note){ fp_note_run(me, id), fp_load_rlx(&me->base.pos) };
}

/*
 * A slab that we keep, to allocate from it: private to the worker, or to the
 * thread of the host.  Zeros: none.
 */
struct fp_kept {
	uint64_t handle;	/* {tag:32, unit:32} */
	struct fp_slab *slab;
	fp_a64 *freed;
	char *base;		/* its first object */
	size_t span;		/* bytes of all its objects */
	uint32_t size, inverse, objects;
	uint32_t k, valid;	/* the word where we allocate; its bits that stand for objects */
	uint32_t from, to;	/* no other words have fresh bits */
	struct fp_note note;	/* as in the slab */
};

/* Up to here every multiple of the grain is a class, then four for each doubling. */
#define FP_LINEAR_CLASSES	8u
#define FP_SUB_CLASSES		4u

/* The class for so many bytes at the least alignment; not all of them are there. */
static inline uint32_t fp_slab_class_of(size_t size)
{
	uint32_t top;

	if (size <= FP_LINEAR_CLASSES * FP_GRAIN)
		return size ? (uint32_t)(size - 1) / FP_GRAIN : 0;
	top = 63 - (uint32_t)__builtin_clzll(size - 1);
	return FP_LINEAR_CLASSES + (top - 7) * FP_SUB_CLASSES +
	       (uint32_t)((size - 1) >> (top - 2)) % FP_SUB_CLASSES;
}

/* The class for such objects; -1: too large, take units. */
int fp_slab_class(const struct fp_units *u, size_t align, size_t size);
size_t fp_slab_size(uint32_t class);

/* Objects of the slab that unit i is, or would be. */
uint32_t fp_slab_objects(const struct fp_units *u, uint32_t i, uint32_t class);

/* {tag:32, unit:32}: which slab of this unit is meant. */
uint64_t fp_slab_handle(struct fp_units *u, uint32_t i);

/* ---- Allocating ------------------------------------------------------------ */

/* From here on the fresh objects are those of the item in the note. */
void fp_slab_renew(struct fp_kept *s, const struct fp_note *note);

/* To the next word; false: that was the last one. */
bool fp_slab_advance(struct fp_kept *s);

/* An object of a slab that we keep; NULL: none is free in this word. */
static inline void *fp_slab_take(struct fp_kept *s)
{
	uint64_t own = fp_load_rlx(&s->slab->own[s->k]);
	uint32_t open = s->valid & ~(uint32_t)own & ~(uint32_t)fp_load_rlx(&s->freed[s->k]), bit;

	if (fp_unlikely(!open))
		return NULL;
	bit = open & -open;
	/* SLAB-A1: after the note, and after freed got this slab's tag; pairs with SLAB-N4 and SLAB-N5. */
	fp_store_rel(&s->slab->own[s->k], own | fp_own_word(bit, bit));
	return s->base + (size_t)(s->k * FP_SLAB_BITS + (uint32_t)__builtin_ctz(bit)) * s->size;
}

/* The claimed unit i becomes a slab of ours, which we keep.  0 or -ENOMEM. */
int fp_slab_make(struct fp_units *u, uint32_t i, uint32_t class);

/*
 * A slab of ours of that class with so many free objects (at least 1), of the
 * units [from, to): kept from here on; FP_NO_UNIT.  Not one that is kept already,
 * but for `mine`.
 */
uint32_t fp_slab_find(struct fp_units *u, uint32_t class, uint32_t least, uint32_t from,
		      uint32_t to, uint64_t mine);

/* Allocates in the slab i, which is kept, from its first word on. */
void fp_slab_adopt(struct fp_units *u, uint32_t i, uint32_t class, struct fp_kept *s);

/* From its first word on again, if so many are free; false: fewer are. */
bool fp_slab_again(struct fp_units *u, uint32_t class, uint32_t least, struct fp_kept *s);

/* ---- Freeing ---------------------------------------------------------------- */

/*
 * In the slab that we keep, where nobody else writes `own`, and nobody gives it back.
 * false: no object that is in use is there.
 */
static inline bool fp_slab_put(struct fp_kept *s, size_t offset)
{
	uint32_t object = (uint32_t)((uint64_t)offset * s->inverse >> 32);
	uint32_t k = object / FP_SLAB_BITS, bit = 1u << object % FP_SLAB_BITS;
	uint64_t own;

	if (fp_unlikely(object * s->size != offset || offset >= s->span))
		return false;
	own = fp_load_rlx(&s->slab->own[k]);
	if (fp_unlikely(!((uint32_t)own & ~(uint32_t)fp_load_rlx(&s->freed[k]) & bit)))
		return false;
	/* SLAB-F5: after all that we did there; pairs with SLAB-N5. */
	fp_store_rel(&s->slab->own[k], own & ~(uint64_t)bit);
	return true;
}

/* Is that what we keep? */
static inline bool fp_slab_is_kept(const struct fp_kept *s, uint32_t i)
{
	return (uint32_t)s->handle == i && s->handle;
}

/*
 * 0, 1: with it the slab was given back; -EINVAL: no object that is in use is
 * there.  w is the word of unit i; kept, by class, is what we keep (NULL: nothing).
 */
int fp_slab_give(struct fp_units *u, uint32_t i, uint64_t w, size_t offset, struct fp_kept *kept);

/* Gives the slab back, if it is empty and its owner does not keep it; true: done. */
bool fp_slab_retire(struct fp_units *u, uint32_t i);

/* Goes on where a dead process was retiring one. */
void fp_slab_retire_on(struct fp_units *u, uint32_t i);

/* Its owner will not allocate here any more, for the time being. */
void fp_slab_let_go(struct fp_units *u, uint64_t handle);

/* For the nursery: frees what the item allocated, if it is the one in the note. */
void fp_slab_drop_fresh(struct fp_units *u, uint64_t handle, uint32_t class,
			const struct fp_note *note);

/* Objects in use. */
uint32_t fp_slab_used(struct fp_units *u, uint32_t i, uint32_t class);

struct fp_slab *fp_slab_record(const struct fp_units *u, uint32_t i);
fp_a64 *fp_slab_freed(const struct fp_units *u, uint32_t i);

#endif
