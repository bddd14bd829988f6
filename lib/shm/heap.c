/* SPDX-License-Identifier: MIT */
/*
 * What.  The shared heap as one process uses it: small objects from slabs that it
 * owns (slab.c), larger blocks as runs of units (units.c).
 *
 * Usage.  Workers, and each of the host's threads, through a struct fp_heap of
 * their own (arena.c).
 *
 * Invariants.
 * I1 No word of ours lies in the arena, and no byte of the arena is read or
 *    written here: what anybody scribbles there misleads nobody.
 * I2 `kept` names slabs that are ours, and kept, so that nobody gives them back.
 *    Two threads of the host never keep the same slab.
 * I3 A worker notes in what it allocates which item it is in (struct fp_note).
 *
 * Progress.  The host's threads take a lock to get another slab, no other owner
 * does; nobody waits for another process.
 *
 * If the owner dies: shm/mend.c.
 */
#include "shm/heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS		64u	/* units looked at for a slab before a new one is made */
#define TRIES		8	/* slabs, where others are faster */
#define FREE_PART	8u	/* a slab serves again when this part of it is free */

/* What one keeps before it has allocated: never written.  Who does not allocate pays no page for it. */
static const struct fp_kept nothing[FP_SLAB_CLASSES];

/* Who allocates in no item. */
static const struct fp_worker nobody = { .base = { .pos = FP_POS_NONE } };

void fp_heap_open(struct fp_heap *h, const struct fp_heap_place *at, uint32_t id,
		  const struct fp_worker *me)
{
	memset(h, 0, sizeof(*h));
	fp_units_view(&h->own, at, id);
	h->units = &h->own;
	h->me = me;
	h->last = h->kept = (struct fp_kept *)nothing;
}

void fp_heap_join(struct fp_heap *h, struct fp_units *units, pthread_mutex_t *lock)
{
	memset(h, 0, sizeof(*h));
	h->units = units;
	h->lock = lock;
	h->me = &nobody;
	h->last = h->kept = (struct fp_kept *)nothing;
}

void fp_heap_forget(struct fp_heap *h)
{
	if (h->kept != nothing)
		free(h->kept);
	h->last = h->kept = (struct fp_kept *)nothing;
}

static bool kept_make(struct fp_heap *h)
{
	struct fp_kept *kept = h->kept == nothing ? calloc(FP_SLAB_CLASSES, sizeof(*kept)) : h->kept;

	if (!kept)
		return false;
	h->last = h->kept = kept;
	return true;
}

static void lock(struct fp_heap *h)
{
	if (h->lock)
		pthread_mutex_lock(h->lock);
}

static void unlock(struct fp_heap *h)
{
	if (h->lock)
		pthread_mutex_unlock(h->lock);
}

/* ---- Small objects ------------------------------------------------------------------ */

static uint32_t slab_new(struct fp_heap *h, uint32_t class)
{
	struct fp_units *u = h->units;
	bool fresh;
	uint32_t i = fp_units_claim(u, (size_t)1 << u->shift, 1, &fresh);

	/* The last unit may be short; then it is got for what it has. */
	if (i == FP_NO_UNIT)
		i = fp_units_claim(u, fp_unit_bytes(u, u->count - 1), 1, &fresh);
	if (i != FP_NO_UNIT && fp_slab_make(u, i, class)) {
		fp_units_clear(u, i);
		i = FP_NO_UNIT;
	}
	return i;
}

/* A slab of ours that has got free objects, or a new one; kept. */
static uint32_t slab_next(struct fp_heap *h, uint32_t class, uint32_t least)
{
	struct fp_units *u = h->units;
	uint64_t mine = h->kept[class].handle;
	uint32_t limit = fp_units_limit(u), from = h->cursor[class], to, i;

	if (from >= limit)
		from = 0;
	to = (uint32_t)fp_min(from + LOOKS, limit);
	i = fp_slab_find(u, class, least, from, to, mine);
	h->cursor[class] = i == FP_NO_UNIT ? to : i + 1;
	if (i == FP_NO_UNIT)
		i = slab_new(h, class);
	return i != FP_NO_UNIT ? i : fp_slab_find(u, class, 1, 0, limit, mine);
}

/* What we keep has no free object from here on. */
static bool refill(struct fp_heap *h, uint32_t class)
{
	uint32_t least = (uint32_t)fp_max(fp_slab_objects(h->units, 0, class) / FREE_PART, 1), i;
	struct fp_kept *s;
	uint64_t was;

	if (!kept_make(h))
		return false;
	s = &h->kept[class];
	was = s->handle;
	if (was && fp_slab_again(h->units, class, least, s))
		return true;
	lock(h);
	i = slab_next(h, class, least);
	unlock(h);
	if (i != FP_NO_UNIT)
		fp_slab_adopt(h->units, i, class, s);
	else
		*s = (struct fp_kept){ 0 };
	if (was && was != s->handle)
		fp_slab_let_go(h->units, was);
	return s->handle;
}

static void *small_alloc(struct fp_heap *h, uint32_t class)
{
	const struct fp_note note = fp_note_of(h->me, h->units->id);
	struct fp_kept *s;
	void *p = NULL;
	int i;

	for (i = 0; i < TRIES && !p; i++) {
		s = &h->kept[class];
		if (fp_unlikely(s->note.run != note.run || s->note.pos != note.pos) && s->handle)
			fp_slab_renew(s, &note);
		if (fp_likely(s->handle))
			do
				p = fp_slab_take(s);
			while (!p && fp_slab_advance(s));
		if (fp_unlikely(!p) && !refill(h, class))
			break;
	}
	return p;
}

/* ---- Runs ------------------------------------------------------------------------------ */

static void *run_alloc(struct fp_heap *h, size_t align, size_t size, int *zeroed)
{
	struct fp_units *u = h->units;
	const struct fp_note note = fp_note_of(h->me, u->id);
	bool fresh = false;
	uint32_t i = fp_units_claim(u, size, align, &fresh);

	if (i == FP_NO_UNIT)
		return NULL;
	fp_store_rlx(&u->units[i].run, note.run);
	fp_store_rlx(&u->units[i].pos, note.pos);
	fp_units_publish(u, i, FP_UNIT_RUN, 0);
	if (zeroed)
		*zeroed = fresh;
	return u->at.base + ((size_t)i << u->shift);
}

/* ---- What others call -------------------------------------------------------------------- */

int fp_heap_alloc(struct fp_heap *h, size_t align, size_t size, void **ret, int *zeroed)
{
	void *p = NULL;
	int class;

	if (!align || align & (align - 1) || align > FP_HEAP_ALIGN_MOST)
		return -EINVAL;
	if (size > h->units->at.size)
		return -ENOMEM;
	class = fp_slab_class(h->units, align, size);
	if (class >= 0) {
		p = small_alloc(h, (uint32_t)class);
		if (p && zeroed)
			*zeroed = 0;
	}
	/* Where no slab fits any more, a unit's rest may: the last one is short. */
	if (!p)
		p = run_alloc(h, align, size, zeroed);
	if (!p)
		return -ENOMEM;
	*ret = p;
	return 0;
}

int fp_heap_give(struct fp_units *u, struct fp_kept *kept, const void *ptr, uint64_t *pages)
{
	size_t offset = (uintptr_t)ptr - (uintptr_t)u->at.base;
	size_t within = offset & (((size_t)1 << u->shift) - 1);
	uint32_t i = (uint32_t)(offset >> u->shift);
	uint64_t w;

	if (offset >= u->at.size)
		return -EINVAL;
	w = fp_unit_load(u, i);
	if (fp_likely(fp_unit_kind(w) == FP_UNIT_SLAB || fp_unit_kind(w) == FP_UNIT_SEAL)) {
		int gone = fp_slab_give(u, i, w, within, kept);

		*pages = gone > 0 ? u->pages : 0;
		return gone > 0 ? 0 : gone;
	}
	if (fp_unit_kind(w) != FP_UNIT_RUN || within || !fp_units_leave(u, i, w))
		return -EINVAL;
	*pages = (fp_unit_behind(u, i, w) - i) * (uint64_t)u->pages;
	fp_units_clear(u, i);
	return 0;
}

int fp_heap_free(struct fp_heap *h, const void *ptr, uint64_t *pages)
{
	return fp_heap_give(h->units, h->kept, ptr, pages);
}

void fp_heap_let_go(struct fp_heap *h)
{
	uint64_t was;
	int class;

	for (class = 0; class < FP_SLAB_CLASSES && h->kept != nothing; class++) {
		was = h->kept[class].handle;
		h->kept[class] = (struct fp_kept){ 0 };
		if (was)
			fp_slab_let_go(h->units, was);
	}
}

void fp_heap_trim(struct fp_units *u)
{
	uint32_t i, limit = fp_units_limit(u);
	uint64_t w;

	for (i = 0; i < limit; i = fp_unit_behind(u, i, w)) {
		w = fp_unit_load(u, i);
		if (fp_unit_kind(w) == FP_UNIT_SLAB)
			fp_slab_retire(u, i);
	}
}

static void count_unit(struct fp_units *u, uint32_t i, uint64_t w, struct fp_heap_count *c)
{
	switch (fp_unit_kind(w)) {
	case FP_UNIT_FREE:
		c->idle += (uint32_t)__builtin_popcount(fp_unit_room(w));
		return;
	case FP_UNIT_RUN:
		c->runs++;
		break;
	case FP_UNIT_SLAB:
		c->slabs++;
		if (fp_unit_class(w) < FP_SLAB_CLASSES && !fp_unit_record(u, i, false))
			c->objects += fp_slab_used(u, i, fp_unit_class(w));
		break;
	default:
		c->passing += fp_unit_kind(w) != FP_UNIT_BODY;
	}
	c->used++;
}

void fp_heap_count(struct fp_units *u, struct fp_heap_count *ret)
{
	uint32_t i, limit = fp_units_limit(u);

	*ret = (struct fp_heap_count){ 0 };
	for (i = 0; i < limit; i++)
		count_unit(u, i, fp_unit_load(u, i), ret);
}
