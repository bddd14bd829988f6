/* SPDX-License-Identifier: MIT */
/*
 * What.  Which units of the arena are free, and runs of them, claimed unit by
 * unit by any process; no lock, and no list.
 *
 * Usage.  Host threads and workers at any time, each process through its own
 * struct fp_units; the nursery for the dead (shm/mend.c).
 *
 * Invariants.
 * I1 A unit leaves FREE by compare-and-swap alone, the first one of a run first.
 *    So a BODY of run h stands only while h is CLAIM, RUN or LEAVE.
 * I2 A run is freed from its end, its first unit last; so whoever takes over from
 *    a dead process (CLAIM and LEAVE name it) finds all that is still to be freed.
 * I3 `room` of a word is set after the memory was taken, and cleared before it is
 *    given back.  Only the host gives back, and believes of all this only what it
 *    did itself (struct fp_room): a scribbled word costs it a call to the kernel.
 * I4 Units from `limit` on are free, and their words have no memory yet.
 *
 * Ordering pairs.  HEAP-C1/C3 (claim, free), HEAP-P1/P2 (publish, look up),
 * HEAP-L1/L2 (limit).
 *
 * Progress.  A claim fails only where somebody else's succeeded meanwhile; it
 * searches on, and gives up after a few passes.  Nobody waits.
 *
 * If the owner dies: shm/mend.c.  Model: tests/models/heap.pml.
 */
#include "shm/units.h"

#include <errno.h>

#include "os/sys.h"

#define LARGE		((size_t)4 << 20)	/* arenas from here on have large units */
#define LARGE_SHIFT	16
#define SMALL_SHIFT	12
#define TABLE_STEP	(FP_PAGE / sizeof(struct fp_unit))	/* units of one page of the table */
#define PASSES		4	/* searches, while others are faster */
#define LARGE_RUN	((size_t)1 << 20)	/* its memory is worth more than a search */

/* ---- Where things lie --------------------------------------------------------- */

static unsigned shift_of(size_t size)
{
	return size >= LARGE ? LARGE_SHIFT : SMALL_SHIFT;
}

size_t fp_units_size(size_t size)
{
	return (size_t)1 << shift_of(size);
}

/* The owner's words first; everybody's lie in lines of their own. */
static size_t own_size(unsigned shift)
{
	size_t words = ((size_t)1 << shift) / FP_GRAIN / FP_SLAB_BITS;

	return fp_round_up(sizeof(struct fp_slab) + words * sizeof(fp_a64), FP_LINE);
}

static size_t record_size(unsigned shift)
{
	size_t words = ((size_t)1 << shift) / FP_GRAIN / FP_SLAB_BITS;

	return fp_round_up(own_size(shift) + words * sizeof(fp_a64), FP_LINE);
}

static size_t table_size(size_t size)
{
	return fp_round_up(fp_div_up(size, fp_units_size(size)) * sizeof(struct fp_unit),
			   FP_PAGE);
}

size_t fp_units_ctl_size(size_t size)
{
	return fp_round_up(table_size(size) + fp_div_up(size, fp_units_size(size)) *
			   record_size(shift_of(size)), FP_PAGE);
}

void fp_units_view(struct fp_units *u, const struct fp_heap_place *at, uint32_t id)
{
	*u = (struct fp_units){
		.at = *at,
		.id = id,
		.shift = shift_of(at->size),
		.count = (uint32_t)fp_div_up(at->size, fp_units_size(at->size)),
		.pages = (uint32_t)(fp_units_size(at->size) / FP_PAGE),
		.record = record_size(shift_of(at->size)),
		.freed = own_size(shift_of(at->size)),
		.units = (struct fp_unit *)at->ctl,
		.records = at->ctl + table_size(at->size),
	};
}

size_t fp_unit_bytes(const struct fp_units *u, uint32_t i)
{
	return fp_min((size_t)1 << u->shift, u->at.size - ((size_t)i << u->shift));
}

/* ---- Memory for control words --------------------------------------------------- */

/* The host takes it through the file; others, who have no descriptor, by populating. */
static int take_ctl(struct fp_units *u, char *from, size_t len)
{
	char *begin = from - (uintptr_t)from % FP_PAGE;
	char *end = (char *)fp_round_up((uintptr_t)from + len, FP_PAGE);
	int err;

	if (u->at.fd >= 0)
		err = fp_sys.allocate(u->at.fd, u->at.ctl_off + (begin - u->at.ctl), end - begin);
	else
		err = fp_sys.advise(begin, (size_t)(end - begin), MADV_POPULATE_WRITE);
	return err ? -ENOMEM : 0;
}

/* Makes sure that the words before unit `to` may be touched. */
static int make_sure(struct fp_units *u, uint32_t to)
{
	uint32_t sure = fp_load_rlx(&u->sure);

	if (to <= sure)
		return 0;
	if (take_ctl(u, (char *)&u->units[sure], (to - sure) * sizeof(struct fp_unit)))
		return -ENOMEM;
	while (sure < to && !fp_cas_sc(&u->sure, &sure, to)) /* HEAP-S1: threads of the host; pairs with itself. */
		;
	return 0;
}

uint32_t fp_units_limit(struct fp_units *u)
{
	/* HEAP-L2: the words before it have memory; pairs with HEAP-L1. */
	uint64_t limit = fp_load_acq(u->at.limit);
	uint32_t n = (uint32_t)fp_min(limit, u->count);

	/* Whether it is true the host finds out itself; to others it is as good as their own word. */
	if (u->at.fd >= 0)
		return make_sure(u, n) ? fp_load_rlx(&u->sure) : n;
	fp_store_rlx(&u->sure, n);
	return n;
}

/* More words, for n units more.  False: there are no more, or no memory. */
static bool raise_limit(struct fp_units *u, uint64_t n)
{
	uint64_t was = fp_min(fp_load_rlx(u->at.limit), u->count);
	uint64_t to = fp_min(fp_round_up(was + n, TABLE_STEP), u->count);

	if (to <= was)
		return false;
	if (u->at.fd >= 0 ? make_sure(u, (uint32_t)to)
			  : take_ctl(u, (char *)&u->units[was], (to - was) * sizeof(struct fp_unit)))
		return false;
	while (was < to)
		/* HEAP-L1: after their memory; pairs with HEAP-L2. */
		if (fp_cas_sc(u->at.limit, &was, to))
			break;
	return true;
}

int fp_unit_record(struct fp_units *u, uint32_t i, bool make)
{
	/* With its first tag it has had memory, which stays: only the host doubts that. */
	if (u->recorded ? u->recorded[i] : !make || fp_load_rlx(&u->units[i].tag))
		return 0;
	if (take_ctl(u, u->records + i * u->record, u->record))
		return -ENOMEM;
	if (u->recorded)
		u->recorded[i] = 1;
	return 0;
}

/* ---- Looking ---------------------------------------------------------------------- */

uint64_t fp_unit_look(struct fp_units *u, uint32_t i)
{
	if (i >= fp_units_limit(u))
		return 0;
	/* HEAP-P3: as HEAP-P2; pairs with HEAP-P1. */
	return fp_load_acq(&u->units[i].word);
}

/* Units of what begins at i, however wrong the word may be. */
static uint32_t length(const struct fp_units *u, uint32_t i, uint64_t w)
{
	uint32_t len = fp_unit_value(w);

	return len && len <= u->count - i ? len : 1;
}

uint32_t fp_unit_behind(const struct fp_units *u, uint32_t i, uint64_t w)
{
	return i + (fp_unit_kind(w) == FP_UNIT_RUN ? length(u, i, w) : 1);
}

static uint32_t pages_in(const struct fp_units *u, uint64_t pages, uint32_t k)
{
	return (uint32_t)fp_min(pages - (uint64_t)k * u->pages, u->pages);
}

static uint32_t mask_of(uint32_t pages)
{
	return (1u << pages) - 1;
}

struct want {
	uint64_t pages;
	uint32_t n;		/* units */
	uint64_t align;		/* in units */
	bool roomy;		/* only where there is memory already */
};

static bool suits(const struct fp_units *u, const struct want *q, uint64_t w, uint32_t k)
{
	uint32_t mask = mask_of(pages_in(u, q->pages, k));

	return fp_unit_kind(w) == FP_UNIT_FREE &&
	       (!q->roomy || (fp_unit_room(w) & mask) == mask);
}

static uint64_t aligned(const struct fp_units *u, uint64_t i, uint64_t align)
{
	uint64_t base = (uintptr_t)u->at.base >> u->shift;

	return i + (-(base + i) & (align - 1));
}

/* The first place from `from` on; FP_NO_UNIT. */
static uint32_t find(struct fp_units *u, const struct want *q, uint64_t from, uint32_t limit)
{
	uint64_t i = aligned(u, from, q->align);
	uint32_t k;
	uint64_t w = 0;

	while (i + q->n <= limit &&
	       q->pages <= (u->at.size >> 12) - i * u->pages) {
		for (k = 0; k < q->n; k++) {
			/* HEAP-C4: free as its last holder left it; pairs with HEAP-C3. */
			w = fp_load_acq(&u->units[i + k].word);
			if (!suits(u, q, w, k))
				break;
		}
		if (k == q->n)
			return (uint32_t)i;
		i = aligned(u, fp_unit_behind(u, (uint32_t)(i + k), w), q->align);
	}
	return FP_NO_UNIT;
}

/* ---- Claiming ----------------------------------------------------------------------- */

static bool claim_one(struct fp_units *u, uint32_t i, enum fp_unit_kind kind, uint32_t value)
{
	uint64_t w = fp_load_rlx(&u->units[i].word);

	/* HEAP-C1: ours from here on; pairs with HEAP-C3. */
	return fp_unit_kind(w) == FP_UNIT_FREE &&
	       fp_cas_sc(&u->units[i].word, &w,
			 fp_unit_word(kind, u->id, 0, fp_unit_room(w), value));
}

/* I1: the first unit first; where one is taken, all go back. */
static bool claim_run(struct fp_units *u, uint32_t i, uint32_t n)
{
	uint32_t k;

	if (!claim_one(u, i, FP_UNIT_CLAIM, n))
		return false;
	for (k = 1; k < n; k++)
		if (!claim_one(u, i + k, FP_UNIT_BODY, i)) {
			fp_units_clear(u, i);
			return false;
		}
	return true;
}

static uint32_t search(struct fp_units *u, const struct want *q, uint32_t from)
{
	uint32_t limit = fp_units_limit(u), i;

	for (i = find(u, q, from, limit); i != FP_NO_UNIT; i = find(u, q, i + 1, limit))
		if (claim_run(u, i, q->n))
			break;
	return i;
}

/*
 * Single units are packed at the low end; runs go on where the last one ended, or
 * where a large one has been freed: the next one gets its memory.
 */
static uint32_t claim(struct fp_units *u, const struct want *q)
{
	fp_a32 *hint = q->n == 1 ? &u->low : &u->next;
	uint32_t i = search(u, q, fp_load_rlx(hint)), pass, was;

	for (pass = 0; i == FP_NO_UNIT && pass < PASSES; pass++) {
		i = search(u, q, 0);
		was = (uint32_t)fp_min(fp_load_rlx(u->at.limit), u->count);
		if (i == FP_NO_UNIT && !q->roomy && raise_limit(u, q->n + q->align - 1))
			i = search(u, q, was > q->n ? was - q->n : 0);
	}
	if (i != FP_NO_UNIT)
		fp_store_rlx(hint, i + q->n);
	return i;
}

/* ---- Memory for units ----------------------------------------------------------------- */

void fp_unit_set_room(struct fp_units *u, uint32_t i, uint32_t room)
{
	uint64_t w = fp_load_rlx(&u->units[i].word);

	fp_store_rlx(&u->units[i].word,
		     fp_unit_word(fp_unit_kind(w), fp_unit_by(w), fp_unit_class(w), room,
				  fp_unit_value(w)));
}

static uint32_t missing(struct fp_units *u, const struct want *q, uint32_t i, uint32_t k)
{
	return mask_of(pages_in(u, q->pages, k)) &
	       ~fp_unit_room(fp_load_rlx(&u->units[i + k].word));
}

/* What the host knows itself of a unit's pages. */
static uint32_t known_room(const struct fp_units *u, uint32_t i)
{
	uint32_t first = i * u->pages, k, room = 0;

	for (k = 0; k < u->pages && first + k < u->room->count; k++)
		room |= fp_room_count(u->room, first + k, 1) << k;
	return room;
}

static int take_as_host(struct fp_units *u, const struct want *q, uint32_t i)
{
	int err = fp_room_take(u->room, i * u->pages, (uint32_t)q->pages);
	uint32_t k;

	/* After a failure memory that others took may be gone as well. */
	for (k = 0; k < q->n; k++)
		fp_unit_set_room(u, i + k, known_room(u, i + k));
	return err;
}

static int take_as_other(struct fp_units *u, const struct want *q, uint32_t i)
{
	uint32_t k, mask;
	int err;

	for (k = 0; k < q->n; k++) {
		mask = missing(u, q, i, k);
		if (!mask)
			continue;
		err = fp_sys.advise(u->at.base + ((size_t)(i + k) << u->shift),
				    (size_t)pages_in(u, q->pages, k) * FP_PAGE,
				    MADV_POPULATE_WRITE);
		if (err)
			return err;
		fp_unit_set_room(u, i + k, mask | fp_unit_room(fp_load_rlx(&u->units[i + k].word)));
	}
	return 0;
}

static bool any_room(struct fp_units *u, const struct want *q, uint32_t i)
{
	uint32_t k;

	for (k = 0; k < q->n; k++)
		if (fp_unit_room(fp_load_rlx(&u->units[i + k].word)) & mask_of(pages_in(u, q->pages, k)))
			return true;
	return u->room && fp_room_count(u->room, i * u->pages, (uint32_t)q->pages);
}

static bool take_memory(struct fp_units *u, const struct want *q, uint32_t i, bool *fresh)
{
	*fresh = !any_room(u, q, i);
	if (!(u->room ? take_as_host(u, q, i) : take_as_other(u, q, i)))
		return true;
	fp_units_clear(u, i);
	return false;
}

uint32_t fp_units_claim(struct fp_units *u, size_t size, size_t align, bool *fresh)
{
	struct want q = {
		.pages = fp_max(fp_div_up(size, FP_PAGE), 1),
		.align = fp_max(align >> u->shift, 1),
	};
	uint32_t i;

	if (q.pages > u->at.size / FP_PAGE)
		return FP_NO_UNIT;
	q.n = (uint32_t)fp_div_up(q.pages, u->pages);
	i = claim(u, &q);
	if (i != FP_NO_UNIT && take_memory(u, &q, i, fresh))
		return i;
	/* The host has ways of its own to make room. */
	if (i == FP_NO_UNIT || u->room)
		return FP_NO_UNIT;
	q.roomy = true;
	i = claim(u, &q);
	*fresh = false;
	return i;
}

void fp_units_publish(struct fp_units *u, uint32_t i, enum fp_unit_kind kind, uint32_t class)
{
	uint64_t w = fp_load_rlx(&u->units[i].word);

	/* HEAP-P1: after its note, memory, and record; pairs with HEAP-P2. */
	fp_store_sc(&u->units[i].word,
		    fp_unit_word(kind, u->id, class, fp_unit_room(w),
				 kind == FP_UNIT_RUN ? fp_unit_value(w) : 0));
}

/* ---- Freeing ------------------------------------------------------------------------------ */

bool fp_units_leave(struct fp_units *u, uint32_t i, uint64_t w)
{
	/* HEAP-C2: one of all who free it; pairs with HEAP-P1. */
	return fp_cas_sc(&u->units[i].word, &w,
			 fp_unit_word(FP_UNIT_LEAVE, u->id, 0, fp_unit_room(w), fp_unit_value(w)));
}

bool fp_unit_hold(struct fp_units *u, uint32_t i, uint64_t w)
{
	/* HEAP-C5: as HEAP-C1; pairs with HEAP-C3. */
	return fp_unit_kind(w) == FP_UNIT_FREE &&
	       fp_cas_sc(&u->units[i].word, &w,
			 fp_unit_word(FP_UNIT_CLAIM, u->id, 0, fp_unit_room(w), 1));
}

static void set_free(struct fp_units *u, uint32_t i, uint64_t w)
{
	/* HEAP-C3: after all that its holder did there; pairs with HEAP-C1, HEAP-C4 and HEAP-C5. */
	fp_store_sc(&u->units[i].word, fp_unit_word(FP_UNIT_FREE, 0, 0, fp_unit_room(w), 0));
}

static void lower(fp_a32 *hint, uint32_t i)
{
	if (i < fp_load_rlx(hint))
		fp_store_rlx(hint, i);
}

/* I2.  A word that is no part of the run is left alone: the claim may not have come that far. */
void fp_units_clear(struct fp_units *u, uint32_t i)
{
	uint64_t head = fp_load_rlx(&u->units[i].word), w;
	uint32_t n = fp_unit_kind(head) == FP_UNIT_SEAL ? 1 : length(u, i, head);
	uint32_t limit = fp_units_limit(u);
	bool large = (size_t)n << u->shift >= LARGE_RUN;

	while (n-- > 1) {
		if (i + n >= limit)
			continue;
		w = fp_load_rlx(&u->units[i + n].word);
		if (fp_unit_kind(w) == FP_UNIT_BODY && fp_unit_value(w) == i)
			set_free(u, i + n, w);
	}
	set_free(u, i, head);
	lower(&u->low, i);
	if (large)
		lower(&u->next, i);
}
