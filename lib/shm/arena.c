/* SPDX-License-Identifier: MIT */
/*
 * What.  The host's side of the shared heap: its threads allocate, each from a
 * share of its own (shares.c), memory is taken through the file (room.c), and what
 * lies idle is given back.
 *
 * Usage.  Any host thread.
 *
 * Invariants.
 * I1 What the host believes of memory it has taken itself: no word in the segment
 *    can make it touch a page that has none.
 * I2 After a free at most `keep` pages of free units have memory, but for those
 *    that could not be given back, and those that workers freed since.  That is
 *    IDLE_MAX and what maps have needed lately, and never more than keep_most().
 * I3 Memory of a unit is given back only while the host holds its word as CLAIM,
 *    and its `room` is clear.
 *
 * Progress.  The lock is taken to get another slab and to give memory back.
 *
 * If the owner dies.  With the host everything ends.
 */
#include "shm/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "os/sys.h"

/* Freed memory that is kept for the next allocation, in pages. */
#define IDLE_MAX	((64u << 20) / FP_PAGE)

/* The same where maps copy more than that: no more than this, and this part of the arena. */
#define KEEP_MOST	((512u << 20) / FP_PAGE)
#define KEEP_PART	8u

/* Each map that copies less lowers what is kept by this part. */
#define KEEP_DECAY	16u

/* One call gives back so many units at most: large calls hold locks in the kernel for long. */
#define PIECE		128u

/* ---- Create and destroy ---------------------------------------------------- */

static int parts_init(struct fp_arena *a, const struct fp_heap_place *at)
{
	void *recorded;
	int err = fp_room_init(&a->room, at->fd, at->off, (uint32_t)(at->size / FP_PAGE));

	if (!err)
		err = fp_sys.map(&recorded, NULL, a->units.count, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (err)
		return err;
	a->units.room = &a->room;
	a->units.recorded = recorded;
	return 0;
}

int fp_arena_create(struct fp_arena **ret, const struct fp_heap_place *at)
{
	struct fp_arena *a;
	int err;

	if (!at->size || at->off < 0 || at->ctl_off < 0 ||
	    (at->size | (size_t)at->off | (size_t)at->ctl_off | (uintptr_t)at->ctl) % FP_PAGE ||
	    at->size / fp_units_size(at->size) >= FP_UNITS_MAX || at->size / FP_PAGE >= UINT32_MAX ||
	    (uintptr_t)at->base % fp_units_size(at->size))
		return -EINVAL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	pthread_mutex_init(&a->giving, NULL);
	fp_store_rlx(&a->keep, IDLE_MAX);
	fp_units_view(&a->units, at, FP_HEAP_HOST);
	fp_shares_init(&a->shares, &a->units);
	err = parts_init(a, at);
	if (err) {
		fp_arena_destroy(a);
		return err;
	}
	*ret = a;
	return 0;
}

/*
 * Takes no lock: a child that the program forked may come here while the thread
 * that held the lock exists no more.
 */
void fp_arena_destroy(struct fp_arena *a)
{
	if (!a)
		return;
	if (a->units.recorded)
		fp_sys.unmap(a->units.recorded, a->units.count);
	fp_room_fini(&a->room);
	fp_shares_fini(&a->shares);
	free(a);
}

/* ---- Idle memory ------------------------------------------------------------ */

static uint64_t room_of(uint64_t w)
{
	return (uint32_t)__builtin_popcount(fp_unit_room(w));
}

/* The units [i, i + n) are held.  Their pages' memory goes back, if the kernel takes it. */
static bool give_held(struct fp_arena *a, uint32_t i, uint32_t n)
{
	struct fp_units *u = &a->units;
	uint32_t first = i * u->pages, end = (uint32_t)fp_min((i + n) * (uint64_t)u->pages, a->room.count);
	uint16_t before[PIECE];
	uint32_t k;
	bool gone;

	for (k = 0; k < n; k++) {
		before[k] = (uint16_t)fp_unit_room(fp_load_rlx(&u->units[i + k].word));
		fp_unit_set_room(u, i + k, 0);
	}
	gone = fp_room_give(&a->room, first, end - first) == 0;
	for (k = 0; k < n; k++) {
		if (!gone)
			fp_unit_set_room(u, i + k, before[k]);
		fp_units_clear(u, i + k);
	}
	return gone;
}

/* Holds free units that have memory, from the one before `end` downwards; how many. */
static uint32_t hold_some(struct fp_arena *a, uint32_t end, uint64_t pages, uint64_t *held)
{
	struct fp_units *u = &a->units;
	uint32_t n = 0;
	uint64_t w;

	for (*held = 0; n < PIECE && n < end && *held < pages; n++) {
		w = fp_unit_load(u, end - 1 - n);
		if (!fp_unit_room(w) || !fp_unit_hold(u, end - 1 - n, w))
			break;
		*held += room_of(w);
	}
	return n;
}

/* Gives back what free units have, the last ones first, but for `keep` pages. */
static void idle_trim(struct fp_arena *a, uint64_t keep)
{
	struct fp_heap_count count;
	uint64_t held, idle;
	uint32_t end, n;

	pthread_mutex_lock(&a->giving);
	fp_heap_count(&a->units, &count);
	idle = count.idle;
	for (end = fp_units_limit(&a->units); end && idle > keep; end -= n ? n : 1) {
		n = hold_some(a, end, idle - keep, &held);
		if (n && give_held(a, end - n, n))
			idle -= fp_min(held, idle);
	}
	fp_store_rlx(&a->idle, idle);
	pthread_mutex_unlock(&a->giving);
}

/* A guess, since threads may overwrite each other's; the count tells the truth. */
static void idle_add(struct fp_arena *a, uint64_t pages)
{
	uint64_t idle = fp_load_rlx(&a->idle) + pages, keep = fp_load_rlx(&a->keep);

	fp_store_rlx(&a->idle, idle);
	if (idle > keep)
		idle_trim(a, keep);
}

static uint64_t keep_most(const struct fp_arena *a)
{
	return fp_max(fp_min(a->room.count / KEEP_PART, KEEP_MOST), IDLE_MAX);
}

/* Threads may overwrite each other's: then one map more pays for its memory. */
void fp_arena_expect(struct fp_arena *a, size_t size)
{
	uint64_t was = fp_load_rlx(&a->keep);
	/* Beside what was kept before: that may lie where no run fits. */
	uint64_t keep = fp_max(size / FP_PAGE + IDLE_MAX, was - was / KEEP_DECAY);

	keep = fp_min(keep, keep_most(a));
	if (keep != was)
		fp_store_rlx(&a->keep, keep);
}

/* ---- What others call -------------------------------------------------------- */

/* No thread but those that keep slabs has memory that it does not use. */
static void trim(struct fp_arena *a)
{
	fp_shares_let_go(&a->shares);
	fp_heap_trim(&a->units);
}

void fp_arena_trim(struct fp_arena *a)
{
	trim(a);
	idle_trim(a, 0);
}

static int alloc_again(struct fp_arena *a, struct fp_heap *h, size_t align, size_t size,
		       void **ret, int *zeroed)
{
	/* Before the arena, or the file system, counts as full, what is kept for later goes back. */
	fp_arena_trim(a);
	return fp_heap_alloc(h, align, size, ret, zeroed);
}

int fp_arena_alloc(struct fp_arena *a, size_t align, size_t size, void **ret,
		   int *zeroed)
{
	struct fp_heap *h = fp_shares_seat(&a->shares);
	int err;

	if (fp_unlikely(!h)) {
		h = fp_shares_join(&a->shares);
		if (!h)
			return -ENOMEM;
	}
	err = fp_heap_alloc(h, align, size, ret, zeroed);
	if (fp_likely(err != -ENOMEM) || size > a->units.at.size)
		return err;
	return alloc_again(a, h, align, size, ret, zeroed);
}

int fp_arena_free(struct fp_arena *a, void *ptr)
{
	struct fp_heap *h = fp_shares_seat(&a->shares);
	uint64_t pages = 0;
	int err = fp_heap_give(&a->units, h ? h->kept : NULL, ptr, &pages);

	if (pages)
		idle_add(a, pages);
	return err;
}

size_t fp_arena_largest(struct fp_arena *a)
{
	struct fp_units *u = &a->units;
	size_t run = 0, most = 0;
	uint32_t i;

	trim(a);
	for (i = 0; i < u->count; i++) {
		run = fp_unit_kind(fp_unit_load(u, i)) == FP_UNIT_FREE ? run + fp_unit_bytes(u, i) : 0;
		most = fp_max(most, run);
	}
	return most;
}
