/* SPDX-License-Identifier: MIT */
/*
 * What.  Slabs: which objects of a unit are in use is told by bits in its record,
 * in control pages.  There is no list of free objects, so none can be in limbo.
 *
 * Usage.  A worker, or a thread of the host, keeps at most one slab of each size
 * and allocates there; anybody frees.  Of the host's threads one at a time looks
 * for a slab.
 *
 * Invariants.
 * I1 An object is in use when `used` is set and `freed` is not.  `own` (fresh and
 *    used) is written by who keeps the slab alone, with plain stores, so neither
 *    allocating nor freeing there takes a locked instruction.
 * I2 Everybody else frees by setting `freed` with fetch_or; who finds it set, or
 *    `used` clear, has freed twice, and changes nothing.  Who keeps the slab
 *    clears `used` of what was freed, and only then `freed`: cut short between
 *    the two the object is free, though not to be had before the next harvest.
 *    For the same reason nothing is allocated where `freed` is set.
 * I3 A slab is given back only when it is empty and its owner does not keep it: the
 *    owner sets keep and then looks whether the word still reads SLAB; who retires
 *    it sets the word to SEAL, and then looks at keep and at the objects (SLAB-K4,
 *    SLAB-S5).  What is empty then stays so, since only who keeps it allocates.
 * I4 `fresh` is written with `used`, in one store, and cleared before the note
 *    changes: at the owner's death fresh and in use means allocated in that item.
 * I5 `freed` bears the slab's tag: the nursery, which competes with others who free
 *    the same objects, give the slab back and make another one, swaps it from that.
 *
 * Ordering pairs.  SLAB-A1/N5 (allocate, drop), SLAB-F1/H1 (free, harvest),
 * SLAB-K1/F2 and K2/F1 (let go, free), SLAB-K4/S5 and S4/K5 (keep, retire),
 * SLAB-S3/F4 (serve on, free).
 *
 * Progress.  Allocating and freeing take a bounded number of steps.
 *
 * If the owner dies: shm/mend.c.  Its id's next life goes on with its slabs.
 */
#include "shm/slab.h"

#include <errno.h>

#define RETIRES		100u

#define ABOVE(c) ((c) < FP_LINEAR_CLASSES ? 0 : (c) - FP_LINEAR_CLASSES)
#define SIZE(c)	((c) < FP_LINEAR_CLASSES ? ((c) + 1u) * FP_GRAIN : \
		 (FP_SUB_CLASSES + 1u + ABOVE(c) % FP_SUB_CLASSES) * \
		 (FP_GRAIN * FP_LINEAR_CLASSES / FP_SUB_CLASSES) << ABOVE(c) / FP_SUB_CLASSES)

/* A division by the size is a multiplication: exact up to the size of a unit. */
#define CLASS(c)	{ SIZE(c), (uint32_t)((((uint64_t)1 << 32) + SIZE(c) - 1) / SIZE(c)) }
#define CLASSES_4(c)	CLASS((c)), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)

static const struct { uint32_t size, inverse; } classes[FP_SLAB_CLASSES] = {
	CLASSES_4(0), CLASSES_4(4), CLASSES_4(8), CLASSES_4(12), CLASSES_4(16),
	CLASSES_4(20), CLASSES_4(24), CLASSES_4(28), CLASSES_4(32), CLASSES_4(36),
};

size_t fp_slab_size(uint32_t class)
{
	return classes[class].size;
}

int fp_slab_class(const struct fp_units *u, size_t align, size_t size)
{
	size_t most = (size_t)1 << (u->shift - 1);
	int class;

	if (size > most || align > most)
		return -1;
	class = (int)fp_slab_class_of(size);
	while (fp_unlikely(classes[class].size & (align - 1)))
		class++;
	return class;
}

uint32_t fp_slab_objects(const struct fp_units *u, uint32_t i, uint32_t class)
{
	return (uint32_t)((uint64_t)fp_unit_bytes(u, i) * classes[class].inverse >> 32);
}

/* ---- The record ------------------------------------------------------------------ */

struct fp_slab *fp_slab_record(const struct fp_units *u, uint32_t i)
{
	return (struct fp_slab *)(u->records + i * u->record);
}

fp_a64 *fp_slab_freed(const struct fp_units *u, uint32_t i)
{
	return (fp_a64 *)(u->records + i * u->record + u->freed);
}

static uint32_t words_of(const struct fp_units *u, uint32_t i, uint32_t class)
{
	return (uint32_t)fp_div_up(fp_slab_objects(u, i, class), FP_SLAB_BITS);
}

/* The bits of word k that stand for an object. */
static uint32_t valid(uint32_t objects, uint32_t k)
{
	uint32_t left = objects - k * FP_SLAB_BITS;

	return left >= FP_SLAB_BITS ? UINT32_MAX : (1u << left) - 1;
}

uint64_t fp_slab_handle(struct fp_units *u, uint32_t i)
{
	/* HEAP-H3: before the word that the caller looks at next; pairs with HEAP-P1. */
	return (uint64_t)fp_load_acq(&u->units[i].tag) << 32 | i;
}

/* ---- Allocating -------------------------------------------------------------------- */

/* I4.  A worker's own words; after its death the nursery sees them in this order. */
void fp_slab_renew(struct fp_kept *s, const struct fp_note *note)
{
	struct fp_slab *slab = s->slab;
	uint32_t k;

	/* SLAB-N1: no note while fresh is cleared; pairs with SLAB-N4. */
	fp_store_rel(&slab->pos, FP_POS_NONE);
	for (k = s->from; k <= s->to; k++)
		/* SLAB-N3: after the note is void; pairs with SLAB-N4. */
		fp_store_rel(&slab->own[k], fp_own_word(0, (uint32_t)fp_load_rlx(&slab->own[k])));
	/* SLAB-N6: after fresh is clear; pairs with SLAB-N4. */
	fp_store_rel(&slab->run, note->run);
	/* SLAB-N2: the last of all; pairs with SLAB-N4. */
	fp_store_rel(&slab->pos, note->pos);
	s->note = *note;
	s->from = s->to = s->k;
}

bool fp_slab_advance(struct fp_kept *s)
{
	if ((s->k + 1) * FP_SLAB_BITS >= s->objects)
		return false;
	s->k++;
	s->valid = valid(s->objects, s->k);
	s->to = (uint32_t)fp_max(s->to, s->k);
	return true;
}

/* From the first word on; any of them may have fresh bits. */
static void rewind_words(struct fp_kept *s)
{
	s->k = s->from = 0;
	s->to = (uint32_t)fp_div_up(s->objects, FP_SLAB_BITS) - 1;
	s->valid = valid(s->objects, 0);
}

int fp_slab_make(struct fp_units *u, uint32_t i, uint32_t class)
{
	struct fp_unit *unit = &u->units[i];
	uint32_t k, n = words_of(u, i, class), tag;

	if (n == 0 || fp_unit_record(u, i, true))
		return -ENOMEM;
	/* Another one than before, so that who still has the old one fails; 0 is for none. */
	tag = fp_load_rlx(&unit->tag) + 1;
	tag += tag == 0;
	fp_store_rlx(&unit->tag, tag);
	for (k = 0; k < n; k++) {
		fp_store_rlx(&fp_slab_freed(u, i)[k], fp_freed_word(tag, 0));
		fp_store_rlx(&fp_slab_record(u, i)->own[k], 0);
	}
	fp_store_rlx(&fp_slab_record(u, i)->pos, FP_POS_NONE);
	fp_store_rlx(&unit->keep, tag);
	fp_units_publish(u, i, FP_UNIT_SLAB, class);
	return 0;
}

/* Of word k: the objects that are in use. */
static uint32_t in_use(struct fp_units *u, uint32_t i, uint32_t k)
{
	/* SLAB-K3: who cleared the last bit sees all the others; pairs with SLAB-F1. */
	uint32_t freed = (uint32_t)fp_load_sc(&fp_slab_freed(u, i)[k]);

	return (uint32_t)fp_load_rlx(&fp_slab_record(u, i)->own[k]) & ~freed;
}

uint32_t fp_slab_used(struct fp_units *u, uint32_t i, uint32_t class)
{
	uint32_t n = words_of(u, i, class), k, sum = 0;

	for (k = 0; k < n; k++)
		sum += (uint32_t)__builtin_popcount(in_use(u, i, k));
	return sum;
}

static bool has_free(struct fp_units *u, uint32_t i, uint32_t class, uint32_t least)
{
	uint32_t objects = fp_slab_objects(u, i, class), n = words_of(u, i, class), k, sum = 0;

	for (k = 0; k < n && sum < least; k++)
		sum += (uint32_t)__builtin_popcount(~in_use(u, i, k) & valid(objects, k));
	return sum >= least;
}

/* I2.  In a slab that we keep: what others have freed can be had again. */
static void harvest(struct fp_kept *s)
{
	uint32_t n = (uint32_t)fp_div_up(s->objects, FP_SLAB_BITS), k, freed;
	fp_a64 *own = s->slab->own;

	for (k = 0; k < n; k++) {
		/* SLAB-H1: with what its last user did there; pairs with SLAB-F1. */
		freed = (uint32_t)fp_load_acq(&s->freed[k]);
		if (!freed)
			continue;
		fp_store_rlx(&own[k], fp_load_rlx(&own[k]) & ~(uint64_t)freed);
		/* SLAB-H2: after `used`; pairs with SLAB-N5. */
		fp_and_sc(&s->freed[k], ~(uint64_t)freed);
	}
}

void fp_slab_adopt(struct fp_units *u, uint32_t i, uint32_t class, struct fp_kept *s)
{
	*s = (struct fp_kept){
		.handle = fp_slab_handle(u, i),
		.slab = fp_slab_record(u, i),
		.freed = fp_slab_freed(u, i),
		.base = u->at.base + ((size_t)i << u->shift),
		.span = (size_t)fp_slab_objects(u, i, class) * classes[class].size,
		.size = classes[class].size,
		.inverse = classes[class].inverse,
		.objects = fp_slab_objects(u, i, class),
		/* If that is the item at work, it has allocated here before, and what is fresh stays so. */
		.note = { fp_load_rlx(&fp_slab_record(u, i)->run), fp_load_rlx(&fp_slab_record(u, i)->pos) },
	};
	rewind_words(s);
	harvest(s);
}

bool fp_slab_again(struct fp_units *u, uint32_t class, uint32_t least, struct fp_kept *s)
{
	if (!has_free(u, (uint32_t)s->handle, class, least))
		return false;
	rewind_words(s);
	harvest(s);
	return true;
}

static bool is_kept(struct fp_units *u, uint32_t i)
{
	/* SLAB-S5: after SEAL, or after a bit was set in freed; pairs with SLAB-K4. */
	return fp_load_sc(&u->units[i].keep) == fp_load_rlx(&u->units[i].tag);
}

/* I3.  Never over the keep of a slab that was made here later. */
static void set_keep(struct fp_unit *unit, uint32_t tag)
{
	uint32_t was = fp_load_rlx(&unit->keep);

	while (was < tag)
		/* SLAB-K4: before we look whether it is ours still; pairs with SLAB-S5. */
		if (fp_cas_sc(&unit->keep, &was, tag))
			break;
}

/* Makes it the one we allocate from; false: somebody is giving it back. */
static bool keep(struct fp_units *u, uint32_t i, uint64_t w, uint64_t handle)
{
	set_keep(&u->units[i], (uint32_t)(handle >> 32));
	/* SLAB-K5: after keep; who seals it later will see that; pairs with SLAB-S4. */
	if (fp_load_sc(&u->units[i].word) == w)
		return true;
	/* For our sake it may be open again, and empty. */
	fp_slab_let_go(u, handle);
	return false;
}

uint32_t fp_slab_find(struct fp_units *u, uint32_t class, uint32_t least, uint32_t from,
		      uint32_t to, uint64_t mine)
{
	uint64_t handle, w;
	uint32_t i, next;

	for (i = from; i < to; i = next) {
		/* Before the word: if that says that the slab is ours, so is the tag. */
		handle = fp_slab_handle(u, i);
		w = fp_unit_load(u, i);
		next = fp_unit_behind(u, i, w);
		if (fp_unit_kind(w) == FP_UNIT_SLAB && fp_unit_by(w) == u->id &&
		    fp_unit_class(w) == class && !fp_unit_record(u, i, false) &&
		    (handle == mine || !is_kept(u, i)) && has_free(u, i, class, least) &&
		    keep(u, i, w, handle))
			return i;
	}
	return FP_NO_UNIT;
}

/* ---- Giving back --------------------------------------------------------------------- */

static bool is_empty(struct fp_units *u, uint32_t i, uint32_t class)
{
	uint32_t n = words_of(u, i, class), k;

	for (k = 0; k < n; k++)
		if (in_use(u, i, k))
			return false;
	return true;
}

/* It serves on, as its owner's. */
static void unseal(struct fp_units *u, uint32_t i, uint64_t w)
{
	/* SLAB-S3: before we look once more whether it is empty; pairs with SLAB-F4. */
	fp_store_sc(&u->units[i].word, fp_unit_word(FP_UNIT_SLAB, fp_unit_value(w) & 0x7ff,
						    fp_unit_class(w), fp_unit_room(w), 0));
}

/* I3.  Sealed, not kept and empty: nobody can allocate here any more. */
void fp_slab_retire_on(struct fp_units *u, uint32_t i)
{
	uint64_t w = fp_load_rlx(&u->units[i].word);

	if (!is_kept(u, i) && is_empty(u, i, fp_unit_class(w)))
		fp_units_clear(u, i);
	else
		unseal(u, i, w);
}

bool fp_slab_retire(struct fp_units *u, uint32_t i)
{
	uint64_t w, sealed;
	uint32_t class, tries;

	/* Each time somebody else must have been at it; a scribbled tag keeps us no longer than this. */
	for (tries = 0; tries < RETIRES; tries++) {
		/* SLAB-F4: not SLAB: who has sealed it looks again; pairs with SLAB-S3. */
		w = fp_load_sc(&u->units[i].word);
		class = fp_unit_class(w);
		if (fp_unit_kind(w) != FP_UNIT_SLAB || class >= FP_SLAB_CLASSES ||
		    fp_unit_record(u, i, false) || is_kept(u, i) || !is_empty(u, i, class))
			return false;
		sealed = fp_unit_word(FP_UNIT_SEAL, u->id, class, fp_unit_room(w), fp_unit_by(w));
		/* SLAB-S4: ours to give back; pairs with SLAB-K5. */
		if (!fp_cas_sc(&u->units[i].word, &w, sealed))
			return false;
		fp_slab_retire_on(u, i);
		if (fp_unit_kind(fp_load_rlx(&u->units[i].word)) != FP_UNIT_SLAB)
			return true;
	}
	return false;
}

void fp_slab_let_go(struct fp_units *u, uint64_t handle)
{
	uint32_t i = (uint32_t)handle, tag = (uint32_t)(handle >> 32);

	/* SLAB-K1: after what we did there, and before we look whether it is empty; pairs with SLAB-F2. */
	fp_cas_sc(&u->units[i].keep, &tag, 0);
	fp_slab_retire(u, i);
}

static int give_other(struct fp_units *u, uint32_t i, uint32_t k, uint32_t bit)
{
	fp_a64 *own = &fp_slab_record(u, i)->own[k];
	uint64_t was;

	if (!((uint32_t)fp_load_rlx(own) & bit))
		return -EINVAL;
	/* SLAB-F1: after all that its user did there; pairs with SLAB-H1. */
	was = fp_or_sc(&fp_slab_freed(u, i)[k], bit);
	if ((uint32_t)was & bit)
		return -EINVAL;
	/* SLAB-F2: after the bit, so that either we or who lets go see an empty slab; pairs with SLAB-K1. */
	if (fp_load_sc(&u->units[i].keep) == was >> 32)
		return 0;
	/* And after keep: what was allocated until the slab was let go. */
	if ((uint32_t)fp_load_rlx(own) & ~((uint32_t)was | bit))
		return 0;
	return fp_slab_retire(u, i);
}

int fp_slab_give(struct fp_units *u, uint32_t i, uint64_t w, size_t offset, struct fp_kept *kept)
{
	uint32_t class = fp_unit_class(w), object;

	if (class >= FP_SLAB_CLASSES || fp_unit_record(u, i, false))
		return -EINVAL;
	if (kept && fp_slab_is_kept(&kept[class], i))
		return fp_slab_put(&kept[class], offset) ? 0 : -EINVAL;
	object = (uint32_t)((uint64_t)offset * classes[class].inverse >> 32);
	if (object * classes[class].size != offset || object >= fp_slab_objects(u, i, class))
		return -EINVAL;
	return give_other(u, i, object / FP_SLAB_BITS, 1u << object % FP_SLAB_BITS);
}

void fp_slab_drop_fresh(struct fp_units *u, uint64_t handle, uint32_t class,
			const struct fp_note *note)
{
	uint32_t i = (uint32_t)handle, tag = (uint32_t)(handle >> 32), n = words_of(u, i, class);
	struct fp_slab *slab = fp_slab_record(u, i);
	fp_a64 *freed = fp_slab_freed(u, i);
	uint32_t k, lost;
	uint64_t own, f;

	/* SLAB-N4: the dead worker's last word on what is fresh; pairs with SLAB-N1, SLAB-N2, SLAB-N3 and SLAB-N6. */
	if (fp_load_acq(&slab->pos) != note->pos || fp_load_rlx(&slab->run) != note->run)
		return;
	for (k = 0; k < n; k++) {
		/* SLAB-N5: if it is another slab's by now, so freed says; pairs with SLAB-A1. */
		own = fp_load_acq(&slab->own[k]);
		f = fp_load_rlx(&freed[k]);
		while (f >> 32 == tag && (lost = (uint32_t)(own >> 32 & own) & ~(uint32_t)f))
			/* SLAB-F3: as SLAB-F1, but in this slab only; pairs with SLAB-H1. */
			if (fp_cas_sc(&freed[k], &f, f | lost))
				break;
	}
}
