/* SPDX-License-Identifier: MIT */
/*
 * What.  Slabs: which objects of a unit are in use is told by bits in its record,
 * in control pages.  There is no list of free objects, so none can be in limbo.
 *
 * Invariants.
 * I1 A bit is set by the slab's owner alone (the host's threads are one owner), by
 *    compare-and-swap with the tag that the slab was made with: in a slab that was
 *    given back meanwhile, by whomever, that fails.
 * I2 A bit is cleared by anybody with fetch_and; who finds it clear already has
 *    freed twice, and changes nothing.
 * I3 A slab is given back only when each of its words has been turned from
 *    {tag, no object} to 0: what was empty word by word can't have been filled.
 *    And never while its owner allocates from it (keep): the owner sets keep and
 *    then looks whether the word still reads SLAB; who retires it sets the word to
 *    SEAL and then looks at keep (SLAB-K4, SLAB-S5).
 * I4 `fresh` is written before the bit it speaks of, and cleared before the note
 *    changes: at the owner's death fresh and in use means allocated in that item.
 *
 *    Only the owner writes them, in the slab that it keeps.
 *
 * Ordering pairs.  SLAB-A1/F1 (allocate, free), SLAB-K1/F2 and K2/F1 (let go, free),
 * SLAB-K4/S5 and S4/K5 (keep, retire), SLAB-S3/F4 (serve on, free).
 *
 * Progress.  Allocating and freeing take a bounded number of steps, but for
 * compare-and-swaps that lose against others who free in the same word.
 *
 * If the owner dies: shm/mend.c.  Its id's next life goes on with its slabs.
 */
#include "shm/slab.h"

#include <errno.h>

/* Up to here every multiple of the grain is a class, then four for each doubling. */
#define LINEAR_CLASSES	8
#define SUB_CLASSES	4

#define RETIRES		100u

#define ABOVE(c) ((c) < LINEAR_CLASSES ? 0 : (c) - LINEAR_CLASSES)
#define SIZE(c)	((c) < LINEAR_CLASSES ? ((c) + 1u) * FP_GRAIN : \
		 (SUB_CLASSES + 1u + ABOVE(c) % SUB_CLASSES) * \
		 (FP_GRAIN * LINEAR_CLASSES / SUB_CLASSES) << ABOVE(c) / SUB_CLASSES)

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

static int class_of(size_t size)
{
	unsigned top;

	if (size <= LINEAR_CLASSES * FP_GRAIN)
		return size ? (int)((size - 1) / FP_GRAIN) : 0;
	top = 63 - (unsigned)__builtin_clzll(size - 1);
	return (int)(LINEAR_CLASSES + (top - 7) * SUB_CLASSES + ((size - 1) >> (top - 2)) % SUB_CLASSES);
}

int fp_slab_class(const struct fp_units *u, size_t align, size_t size)
{
	size_t most = (size_t)1 << (u->shift - 1);
	int class;

	if (size > most || align > most)
		return -1;
	class = class_of(size);
	while (classes[class].size & (align - 1))
		class++;
	return class;
}

uint32_t fp_slab_objects(const struct fp_units *u, uint32_t i, uint32_t class)
{
	return (uint32_t)((uint64_t)fp_unit_bytes(u, i) * classes[class].inverse >> 32);
}

/* ---- The record ------------------------------------------------------------------ */

fp_a64 *fp_slab_words(const struct fp_units *u, uint32_t i)
{
	return (fp_a64 *)(u->records + i * u->record);
}

static fp_a32 *fresh_of(const struct fp_units *u, uint32_t i)
{
	size_t words = ((size_t)1 << u->shift) / FP_GRAIN / FP_SLAB_BITS;

	return (fp_a32 *)(fp_slab_words(u, i) + words);
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

/* I4.  Another item than the last one that allocated here. */
static void renew_note(struct fp_units *u, uint32_t i, uint32_t class, const struct fp_note *note)
{
	struct fp_unit *unit = &u->units[i];
	uint32_t k, n = words_of(u, i, class);

	/* A worker's own words; after its death the nursery sees them in this order. */
	/* SLAB-N1: no note while fresh is cleared; pairs with SLAB-N4. */
	fp_store_rel(&unit->pos, FP_POS_NONE);
	for (k = 0; k < n; k++)
		fp_store_rlx(&fresh_of(u, i)[k], 0);
	fp_store_rlx(&unit->run, note->run);
	/* SLAB-N2: after fresh is clear; pairs with SLAB-N4. */
	fp_store_rel(&unit->pos, note->pos);
}

static void note_object(struct fp_units *u, uint32_t i, uint32_t class, uint32_t k,
			uint32_t bit, const struct fp_note *note)
{
	struct fp_unit *unit = &u->units[i];
	fp_a32 *fresh = &fresh_of(u, i)[k];

	if (fp_load_rlx(&unit->pos) != note->pos || fp_load_rlx(&unit->run) != note->run)
		renew_note(u, i, class, note);
	/* SLAB-N3: after the words got this slab's tag; pairs with SLAB-N5. */
	fp_store_rel(fresh, fp_load_rlx(fresh) | bit);
}

void *fp_slab_take(struct fp_units *u, uint64_t handle, uint32_t class, fp_a32 *hint,
		   const struct fp_note *note)
{
	uint32_t i = (uint32_t)handle, tag = (uint32_t)(handle >> 32);
	uint32_t objects = fp_slab_objects(u, i, class), k = fp_load_rlx(hint);
	fp_a64 *words = fp_slab_words(u, i);
	uint32_t n = (uint32_t)fp_div_up(objects, FP_SLAB_BITS), open, bit;
	uint64_t w;

	for (; k < n; k++) {
		w = fp_load_rlx(&words[k]);
		while (w >> 32 == tag && (open = ~(uint32_t)w & valid(objects, k))) {
			bit = open & -open;
			if (note)
				note_object(u, i, class, k, bit, note);
			/* SLAB-A1: the object, and what its last user did there; pairs with SLAB-F1. */
			if (!fp_cas_sc(&words[k], &w, w | bit))
				continue;
			fp_store_rlx(hint, k);
			return u->at.base + ((size_t)i << u->shift) +
			       (size_t)(k * FP_SLAB_BITS + (uint32_t)__builtin_ctz(bit)) *
			       classes[class].size;
		}
		if (w >> 32 != tag)
			break;
	}
	return NULL;
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
	for (k = 0; k < n; k++)
		fp_store_rlx(&fp_slab_words(u, i)[k], fp_slab_word(tag, 0));
	fp_store_rlx(&unit->pos, FP_POS_NONE);
	fp_store_rlx(&unit->keep, tag);
	fp_units_publish(u, i, FP_UNIT_SLAB, class);
	return 0;
}

static bool has_free(struct fp_units *u, uint32_t i, uint32_t class, uint32_t least)
{
	uint32_t objects = fp_slab_objects(u, i, class), n = words_of(u, i, class), k, sum = 0;
	uint64_t w;

	for (k = 0; k < n && sum < least; k++) {
		w = fp_load_rlx(&fp_slab_words(u, i)[k]);
		if (w >> 32)
			sum += (uint32_t)__builtin_popcount(~(uint32_t)w & valid(objects, k));
	}
	return sum >= least;
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
		      uint32_t to)
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
		    has_free(u, i, class, least) && keep(u, i, w, handle))
			return i;
	}
	return FP_NO_UNIT;
}

/* ---- Giving back --------------------------------------------------------------------- */

uint32_t fp_slab_used(struct fp_units *u, uint32_t i, uint32_t class)
{
	uint32_t n = words_of(u, i, class), k, sum = 0;

	for (k = 0; k < n; k++)
		/* SLAB-K3: who cleared the last bit sees all the others; pairs with SLAB-F1. */
		sum += (uint32_t)__builtin_popcount((uint32_t)fp_load_sc(&fp_slab_words(u, i)[k]));
	return sum;
}

static bool is_empty(struct fp_units *u, uint32_t i, uint32_t class)
{
	uint32_t n = words_of(u, i, class), k;

	for (k = 0; k < n; k++)
		/* SLAB-K2: after keep was looked at or cleared; pairs with SLAB-F1. */
		if ((uint32_t)fp_load_sc(&fp_slab_words(u, i)[k]))
			return false;
	return true;
}

/* Turns {tag, 0} into 0, word by word.  False: one is not empty. */
static bool seal(struct fp_units *u, uint32_t i, uint32_t class)
{
	uint32_t n = words_of(u, i, class), k, tag = fp_load_rlx(&u->units[i].tag);
	fp_a64 *words = fp_slab_words(u, i);
	uint64_t w;

	for (k = 0; k < n; k++) {
		w = fp_slab_word(tag, 0);
		/* SLAB-S1: nothing is allocated here any more; pairs with SLAB-A1. */
		if (fp_load_rlx(&words[k]) && !fp_cas_sc(&words[k], &w, 0))
			return false;
	}
	return true;
}

/* It serves on, as its owner's. */
static void unseal(struct fp_units *u, uint32_t i, uint64_t w)
{
	uint32_t class = fp_unit_class(w), n = words_of(u, i, class), k;
	uint32_t tag = fp_load_rlx(&u->units[i].tag);
	fp_a64 *words = fp_slab_words(u, i);

	for (k = 0; k < n; k++)
		if (!fp_load_rlx(&words[k]))
			/* SLAB-S2: open again; nobody else writes a sealed word; pairs with SLAB-A1. */
			fp_store_sc(&words[k], fp_slab_word(tag, 0));
	/* SLAB-S3: before we look once more whether it is empty; pairs with SLAB-F4. */
	fp_store_sc(&u->units[i].word,
		    fp_unit_word(FP_UNIT_SLAB, fp_unit_value(w) & 0x7ff, class, fp_unit_room(w), 0));
}

static bool is_kept(struct fp_units *u, uint32_t i)
{
	/* SLAB-S5: after SEAL, or after a bit was cleared; pairs with SLAB-K4. */
	return fp_load_sc(&u->units[i].keep) == fp_load_rlx(&u->units[i].tag);
}

void fp_slab_retire_on(struct fp_units *u, uint32_t i)
{
	uint64_t w = fp_load_rlx(&u->units[i].word);

	if (!is_kept(u, i) && seal(u, i, fp_unit_class(w)))
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

	/* SLAB-K1: before we look whether it is empty; pairs with SLAB-F2. */
	fp_cas_sc(&u->units[i].keep, &tag, 0);
	fp_slab_retire(u, i);
}

int fp_slab_give(struct fp_units *u, uint32_t i, uint64_t w, size_t offset)
{
	uint32_t class = fp_unit_class(w), object, bit;
	fp_a64 *word;
	uint64_t was;

	if (class >= FP_SLAB_CLASSES || fp_unit_record(u, i, false))
		return -EINVAL;
	object = (uint32_t)((uint64_t)offset * classes[class].inverse >> 32);
	if (object * classes[class].size != offset || object >= fp_slab_objects(u, i, class))
		return -EINVAL;
	bit = 1u << object % FP_SLAB_BITS;
	word = &fp_slab_words(u, i)[object / FP_SLAB_BITS];
	/* SLAB-F1: after all that its user did there; pairs with SLAB-A1. */
	was = fp_and_sc(word, ~(uint64_t)bit);
	if (!(was & bit))
		return -EINVAL;
	/* SLAB-F2: after the bit, so that either we or who lets go see an empty slab; pairs with SLAB-K1. */
	if ((uint32_t)was == bit && fp_load_sc(&u->units[i].keep) != was >> 32)
		return fp_slab_retire(u, i);
	return 0;
}

void fp_slab_drop_fresh(struct fp_units *u, uint32_t i, uint32_t class, const struct fp_note *note)
{
	struct fp_unit *unit = &u->units[i];
	uint32_t n = words_of(u, i, class), k, tag = fp_load_rlx(&unit->tag), fresh;
	fp_a64 *words = fp_slab_words(u, i);
	uint64_t w;

	/* SLAB-N4: the dead worker's last word on what is fresh; pairs with SLAB-N1 and SLAB-N2. */
	if (fp_load_acq(&unit->pos) != note->pos || fp_load_rlx(&unit->run) != note->run)
		return;
	for (k = 0; k < n; k++) {
		/* SLAB-N5: if it is another slab by now, so its words say; pairs with SLAB-N3. */
		fresh = fp_load_acq(&fresh_of(u, i)[k]);
		w = fp_load_rlx(&words[k]);
		while (w >> 32 == tag && ((uint32_t)w & fresh))
			/* SLAB-F3: as SLAB-F1, but in this slab only; pairs with SLAB-A1. */
			if (fp_cas_sc(&words[k], &w, w & ~(uint64_t)fresh))
				break;
	}
}
