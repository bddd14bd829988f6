/* SPDX-License-Identifier: MIT */
/*
 * What.  The host's allocator of user data in the segment.  Large blocks are
 * extents of pages (extent.c), small ones objects in slabs (slab.c) that lie in
 * extents of their own; memory for them is taken in the file before they are
 * handed out (room.c).
 *
 * Invariants.
 * I1. No word of ours lies in the arena, and no byte of the arena is read or
 *     written here: what a worker scribbles can't mislead the host.
 * I2. Every page of a used extent is taken in the file.
 * I3. idle counts the pages that are taken and not in use; but for those that
 *     could not be given back it is at most IDLE_MAX.
 *
 * Locking.  One mutex guards all, but that the holder of an extent (used, or
 * leaving) takes and gives back its room without: those calls are slow, and
 * others need not wait for them.  The mutex orders the holders of a page, one
 * after the other.
 */
#include "shm/arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/bits.h"
#include "shm/extent.h"
#include "shm/room.h"
#include "shm/slab.h"

#define ALIGN_MAX	((size_t)1 << 30)

/* Freed memory that is kept for the next allocation. */
#define IDLE_MAX	((64u << 20) / FP_PAGE)

struct fp_arena {
	pthread_mutex_t lock;
	char *base;
	size_t size;
	uint32_t idle;
	struct fp_extents extents;
	struct fp_room room;
	struct fp_slabs slabs;
};

/* ---- Create and destroy ---------------------------------------------------- */

static int parts_init(struct fp_arena *a, int fd, off_t off)
{
	uint32_t count = a->size / FP_PAGE;
	int err = fp_extents_init(&a->extents, (uintptr_t)a->base / FP_PAGE, count);

	if (!err)
		err = fp_room_init(&a->room, fd, off, count);
	if (!err)
		err = fp_slabs_init(&a->slabs, a->base, a->size);
	return err;
}

int fp_arena_create(struct fp_arena **ret, int fd, off_t off, void *base,
		    size_t size)
{
	struct fp_arena *a;
	int err;

	if (!size || size / FP_PAGE >= FP_NO_PAGE || off < 0 ||
	    (size | off | (uintptr_t)base) % FP_PAGE)
		return -EINVAL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	pthread_mutex_init(&a->lock, NULL);
	a->base = base;
	a->size = size;
	err = parts_init(a, fd, off);
	if (err) {
		fp_arena_destroy(a);
		return err;
	}
	*ret = a;
	return 0;
}

/*
 * Walks no list and takes no lock: a child that the program forked may come here
 * while the thread that held the lock exists no more.
 */
void fp_arena_destroy(struct fp_arena *a)
{
	if (!a)
		return;
	fp_slabs_fini(&a->slabs);
	fp_room_fini(&a->room);
	fp_extents_fini(&a->extents);
	free(a);
}

/* ---- Pages ----------------------------------------------------------------- */

static void *page_address(const struct fp_arena *a, uint32_t page)
{
	return a->base + (size_t)page * FP_PAGE;
}

/* Addresses for n pages; *taken becomes how many of them have memory. */
static uint32_t pages_reserve(struct fp_arena *a, uint64_t n, uint64_t align,
			      uint32_t *taken)
{
	uint32_t first;

	pthread_mutex_lock(&a->lock);
	first = fp_extents_take(&a->extents, n, align);
	if (first != FP_NO_PAGE) {
		*taken = fp_room_count(&a->room, first, n);
		a->idle -= *taken;
	}
	pthread_mutex_unlock(&a->lock);
	return first;
}

/* Gives back the memory of all free pages. */
static void idle_purge(struct fp_arena *a)
{
	const struct fp_page *pages = a->extents.pages;

	pthread_mutex_lock(&a->lock);
	for (uint32_t p = 0; a->idle && p < a->extents.count; p += pages[p].len)
		if (pages[p].kind == FP_PAGE_FREE)
			a->idle -= fp_room_drop(&a->room, p, pages[p].len);
	pthread_mutex_unlock(&a->lock);
}

/* Before the file system counts as full, what we keep for later goes back. */
static int pages_populate(struct fp_arena *a, uint32_t first, uint32_t n)
{
	if (!fp_room_take(&a->room, first, n))
		return 0;
	idle_purge(a);
	return fp_room_take(&a->room, first, n);
}

/* What was reserved is not wanted after all. */
static void pages_cancel(struct fp_arena *a, uint32_t first, uint32_t taken)
{
	pthread_mutex_lock(&a->lock);
	fp_extents_leave(&a->extents, first);
	fp_extents_give(&a->extents, first);
	a->idle += taken;
	pthread_mutex_unlock(&a->lock);
}

static int pages_alloc(struct fp_arena *a, uint64_t n, uint64_t align,
		       void **ret, int *fresh)
{
	uint32_t taken, first = pages_reserve(a, n, align, &taken);

	if (first == FP_NO_PAGE)
		return -ENOMEM;
	if (taken < n && pages_populate(a, first, n)) {
		pages_cancel(a, first, taken);
		return -ENOMEM;
	}
	*ret = page_address(a, first);
	*fresh = !taken;
	return 0;
}

/*
 * How many of n pages that become free are too many to keep.  They count as gone
 * at once, so that threads that free at the same time don't all give them back.
 */
static uint32_t idle_add(struct fp_arena *a, uint32_t n)
{
	uint32_t excess = 0;

	a->idle += n;
	if (a->idle > IDLE_MAX)
		excess = fp_min(a->idle - IDLE_MAX, n);
	a->idle -= excess;
	return excess;
}

/* Called with the lock, which it lets go while the kernel is at work. */
static int pages_free(struct fp_arena *a, void *ptr)
{
	uint32_t first = ((char *)ptr - a->base) / FP_PAGE, n = 0, excess;

	if ((uintptr_t)ptr % FP_PAGE == 0)
		n = fp_extents_leave(&a->extents, first);
	if (!n)
		return -EINVAL;
	excess = idle_add(a, n);
	if (excess) {
		pthread_mutex_unlock(&a->lock);
		excess -= fp_room_drop(&a->room, first + n - excess, excess);
		pthread_mutex_lock(&a->lock);
		a->idle += excess;
	}
	fp_extents_give(&a->extents, first);
	return 0;
}

/* ---- Small objects ---------------------------------------------------------- */

static int small_alloc(struct fp_arena *a, int class, void **ret)
{
	void *pages = NULL, *object;
	int err, fresh;

	pthread_mutex_lock(&a->lock);
	object = fp_slab_take(&a->slabs, class);
	pthread_mutex_unlock(&a->lock);
	if (!object) {
		err = pages_alloc(a, FP_SLAB_PAGES, FP_SLAB_PAGES, &pages, &fresh);
		if (err)
			return err;
		pthread_mutex_lock(&a->lock);
		fp_slab_add(&a->slabs, class, pages);
		object = fp_slab_take(&a->slabs, class);
		pthread_mutex_unlock(&a->lock);
	}
	*ret = object;
	return 0;
}

/* ---- What others call -------------------------------------------------------- */

int fp_arena_alloc(struct fp_arena *a, size_t align, size_t size, void **ret,
		   int *zeroed)
{
	int class, fresh = 0, err = -ENOMEM;

	if (!align || align & (align - 1) || align > ALIGN_MAX)
		return -EINVAL;
	if (size > a->size)
		return -ENOMEM;
	class = fp_slab_class(align, size);
	if (class >= 0)
		err = small_alloc(a, class, ret);
	/* Where no slab fits any more, a page may. */
	if (err)
		err = pages_alloc(a, fp_max(fp_div_up(size, FP_PAGE), 1),
				  fp_div_up(align, FP_PAGE), ret, &fresh);
	if (!err && zeroed)
		*zeroed = fresh;
	return err;
}

int fp_arena_free(struct fp_arena *a, void *ptr)
{
	struct fp_slab *slab;
	void *pages = NULL;
	int err = 0;

	if (!fp_inside(a->base, a->size, ptr, 1))
		return -EINVAL;
	pthread_mutex_lock(&a->lock);
	slab = fp_slab_find(&a->slabs, ptr);
	if (slab)
		err = fp_slab_give(&a->slabs, slab, ptr, &pages);
	else
		pages = ptr;
	if (pages)
		err = pages_free(a, pages);
	pthread_mutex_unlock(&a->lock);
	return err;
}

size_t fp_arena_largest(struct fp_arena *a)
{
	size_t pages;

	pthread_mutex_lock(&a->lock);
	pages = fp_extents_largest(&a->extents);
	pthread_mutex_unlock(&a->lock);
	return pages * FP_PAGE;
}
