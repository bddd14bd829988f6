/* SPDX-License-Identifier: MIT */
/*
 * What.  Mends the heap after a worker's death, and checks it.
 *
 *	the word of a unit names the dead     what is done
 *	CLAIM    nothing was handed out        all of it becomes free
 *	LEAVE    it was freed                  the rest of it becomes free
 *	SEAL     a slab that was empty         it is given back, or serves on
 *	RUN      its note is the lost item's   it is freed
 *	SLAB     its note is the lost item's   the fresh objects are freed; in any case
 *	                                       it goes back if it is empty, and
 *	                                       else to the next life of the id
 *	a slab of somebody else's              it goes back if it is empty, and not kept
 *
 * Usage.  By the nursery: after waitid() has reported the death, before what the
 * item did is settled (so whoever waits for the job finds it done), and before
 * the id is used again.
 *
 * Invariants.
 * I1 Nobody but the dead wrote to a word in CLAIM, LEAVE and SEAL that names it,
 *    so the nursery may do so without compare-and-swap.
 * I2 All of it may be done again from the start.
 *
 * If the owner (the nursery) dies: the pool is broken; what is left is lost until
 * the pool is destroyed, and misleads nobody.
 */
#include "shm/mend.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- After a death -------------------------------------------------------------- */

static void free_lost_run(struct fp_units *u, uint32_t i, uint64_t w, const struct fp_note *note)
{
	struct fp_unit *unit = &u->units[i];

	if (note && fp_load_rlx(&unit->pos) == note->pos &&
	    fp_load_rlx(&unit->run) == note->run && fp_units_leave(u, i, w))
		fp_units_clear(u, i);
}

/* Also one that somebody else is just giving back: its objects are the dead one's all the same. */
static bool is_slab_of(uint64_t w, uint32_t id)
{
	if (fp_unit_class(w) >= FP_SLAB_CLASSES)
		return false;
	return (fp_unit_kind(w) == FP_UNIT_SLAB && fp_unit_by(w) == id) ||
	       (fp_unit_kind(w) == FP_UNIT_SEAL && fp_unit_value(w) == id);
}

static void mend_unit(struct fp_units *u, uint32_t i, uint64_t w, const struct fp_note *note)
{
	switch (fp_unit_kind(w)) {
	case FP_UNIT_CLAIM:
	case FP_UNIT_LEAVE:
		fp_units_clear(u, i);
		break;
	case FP_UNIT_SEAL:
		if (fp_unit_class(w) < FP_SLAB_CLASSES)
			fp_slab_retire_on(u, i);
		break;
	case FP_UNIT_RUN:
		free_lost_run(u, i, w, note);
		break;
	default:
		break;
	}
}

void fp_heap_mend(struct fp_units *u, uint32_t id, const struct fp_note *note)
{
	uint32_t i, limit = fp_units_limit(u);
	uint64_t handle, w;

	for (i = 0; i < limit; i++) {
		/* Before the word: if that says that it is the dead one's, so is the tag. */
		handle = fp_slab_handle(u, i);
		w = fp_unit_load(u, i);
		if (note && is_slab_of(w, id))
			fp_slab_drop_fresh(u, handle, fp_unit_class(w), note);
		if (fp_unit_by(w) == id)
			mend_unit(u, i, w, note);
		if (is_slab_of(w, id))
			fp_slab_let_go(u, handle);
		else if (fp_unit_kind(w) == FP_UNIT_SLAB || fp_unit_kind(w) == FP_UNIT_SEAL)
			/* The dead may have freed the last object, and not come to look; or sealed it when somebody did. */
			fp_slab_retire(u, i);
	}
}

/* ---- Checking --------------------------------------------------------------------- */

struct look {
	struct fp_units *u;
	uint32_t workers, limit;
	char *text;
	size_t size;
};

__attribute__((format(printf, 4, 5)))
static bool wrong(const struct look *l, uint32_t i, uint64_t w, const char *format, ...)
{
	va_list args;
	int n = snprintf(l->text, l->size, "unit %u (%#llx): ", i, (unsigned long long)w);

	va_start(args, format);
	if (n >= 0 && (size_t)n < l->size)
		vsnprintf(l->text + n, l->size - (size_t)n, format, args);
	va_end(args);
	return false;
}

static bool owner_exists(const struct look *l, uint32_t by)
{
	return by < l->workers || by == FP_HEAP_HOST || by == FP_HEAP_NURSERY;
}

/* The units of a run are its own. */
static bool run_sound(const struct look *l, uint32_t i, uint64_t w)
{
	uint32_t n = fp_unit_value(w), k;
	uint64_t body;

	if (n == 0 || n > l->limit - i)
		return wrong(l, i, w, "a run of %u units", n);
	for (k = 1; k < n; k++) {
		body = fp_unit_load(l->u, i + k);
		if (fp_unit_kind(body) != FP_UNIT_BODY || fp_unit_value(body) != i)
			return wrong(l, i, w, "unit %u is not in this run", i + k);
	}
	return true;
}

/* And a unit inside a run has one. */
static bool body_sound(const struct look *l, uint32_t i, uint64_t w)
{
	uint32_t first = fp_unit_value(w);
	uint64_t head = first < i ? fp_unit_load(l->u, first) : 0;
	enum fp_unit_kind kind = fp_unit_kind(head);

	if ((kind != FP_UNIT_RUN && kind != FP_UNIT_CLAIM && kind != FP_UNIT_LEAVE) ||
	    fp_unit_value(head) <= i - first)
		return wrong(l, i, w, "in no run");
	return true;
}

static bool slab_sound(const struct look *l, uint32_t i, uint64_t w)
{
	uint32_t class = fp_unit_class(w), tag = fp_load_rlx(&l->u->units[i].tag), k, objects;
	fp_a64 *own = fp_slab_record(l->u, i)->own, *freed = fp_slab_freed(l->u, i);
	uint32_t pages = (uint32_t)(fp_unit_bytes(l->u, i) / FP_PAGE);

	if (class >= FP_SLAB_CLASSES || fp_slab_objects(l->u, i, class) == 0)
		return wrong(l, i, w, "no such class");
	if (fp_unit_room(w) != (1u << pages) - 1)
		return wrong(l, i, w, "a slab without all its memory");
	objects = fp_slab_objects(l->u, i, class);
	for (k = 0; k * FP_SLAB_BITS < objects; k++) {
		uint64_t f = fp_load_rlx(&freed[k]);
		uint32_t bits = (uint32_t)f | (uint32_t)fp_load_rlx(&own[k]);
		uint32_t left = objects - k * FP_SLAB_BITS;

		if (left < FP_SLAB_BITS && bits >> left)
			return wrong(l, i, w, "word %u has too many objects", k);
		if (f >> 32 != tag)
			return wrong(l, i, w, "word %u has another tag", k);
	}
	return true;
}

static bool unit_sound(const struct look *l, uint32_t i, uint64_t w)
{
	switch (fp_unit_kind(w)) {
	case FP_UNIT_FREE:
		if (fp_unit_by(w) || fp_unit_class(w) || fp_unit_value(w))
			return wrong(l, i, w, "free, but for something");
		return true;
	case FP_UNIT_RUN:
		return run_sound(l, i, w);
	case FP_UNIT_BODY:
		return body_sound(l, i, w);
	case FP_UNIT_SLAB:
	case FP_UNIT_SEAL:
		return slab_sound(l, i, w);
	case FP_UNIT_CLAIM:
	case FP_UNIT_LEAVE:
		if (fp_unit_value(w) == 0 || fp_unit_value(w) > l->u->count - i)
			return wrong(l, i, w, "no such length");
		return true;
	case FP_UNIT_KINDS:
		break;
	}
	return wrong(l, i, w, "of no kind");
}

const char *fp_heap_check(struct fp_units *u, uint32_t workers, char *text, size_t size)
{
	struct look l = { .u = u, .workers = workers, .text = text, .size = size };
	uint64_t w;
	uint32_t i;

	l.limit = fp_units_limit(u);
	for (i = 0; i < l.limit; i++) {
		w = fp_unit_load(u, i);
		if (fp_unit_kind(w) != FP_UNIT_FREE && !owner_exists(&l, fp_unit_by(w)))
			wrong(&l, i, w, "no owner %u", fp_unit_by(w));
		else if (unit_sound(&l, i, w))
			continue;
		/* Changed meanwhile: then it says nothing. */
		if (fp_unit_load(u, i) == w)
			return text;
	}
	return NULL;
}
