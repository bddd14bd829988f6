/* SPDX-License-Identifier: MIT */
/* The host's allocator in the segment: what it hands out, takes and gives back. */
#include "shm/arena.h"

#include <sys/wait.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "area.h"
#include "os/sys.h"
#include "test.h"

#define KEPT		(64 * MIB)	/* what the arena keeps of freed memory */
#define GRAIN		16

static void *area_alloc(struct area *x, size_t size)
{
	void *p = NULL;

	ck_assert_int_eq(fp_arena_alloc(x->arena, GRAIN, size, &p, NULL), 0);
	ck_assert(fp_inside(x->base, x->size, p, size));
	return p;
}

/* After all has been freed, the arena is one piece again. */
static void area_check_whole(struct area *x)
{
	void *p;

	ck_assert_uint_eq(fp_arena_largest(x->arena), x->size);
	p = area_alloc(x, x->size);
	ck_assert_ptr_eq(p, x->base);
	ck_assert_uint_eq(fp_arena_largest(x->arena), 0);
	ck_assert_uint_eq(area_taken(x), x->size);
	ck_assert_int_eq(fp_arena_free(x->arena, p), 0);
	ck_assert_uint_eq(area_taken(x), fp_min(x->size, KEPT));
}

/* ---- Arguments ------------------------------------------------------------ */

static int create_at(struct fp_arena **a, char *base, size_t size, off_t off)
{
	const struct fp_heap_place at = {
		.ctl = (char *)(uintptr_t)(2 * GIB), .base = base, .size = size, .off = off,
	};

	return fp_arena_create(a, &at);
}

START_TEST(create_refuses_what_is_not_made_of_pages)
{
	struct fp_arena *old = (struct fp_arena *)&old, *a = old;
	char *base = (char *)(uintptr_t)GIB;

	ck_assert_int_eq(create_at(&a, base, 0, 0), -EINVAL);
	ck_assert_int_eq(create_at(&a, base, FP_PAGE + 1, 0), -EINVAL);
	ck_assert_int_eq(create_at(&a, base, FP_PAGE, 1), -EINVAL);
	ck_assert_int_eq(create_at(&a, base + 1, FP_PAGE, 0), -EINVAL);
	ck_assert_int_eq(create_at(&a, base + FP_PAGE, 64 * MIB, 0), -EINVAL);
	ck_assert_int_eq(create_at(&a, base, SIZE_MAX - FP_PAGE + 1, 0), -EINVAL);
	ck_assert_ptr_eq(a, old);
	fp_arena_destroy(NULL);
}
END_TEST

static int maps_left;

static int map_some(void **ret, void *hint, size_t len, int prot, int flags,
		    int fd, off_t off)
{
	if (maps_left-- == 0)
		return -ENOMEM;
	return fp_sys_real.map(ret, hint, len, prot, flags, fd, off);
}

START_TEST(create_fails_whole)
{
	struct fp_arena *a;
	char *base = (char *)(uintptr_t)GIB;
	int tries = 0;

	fp_sys.map = map_some;
	do
		maps_left = tries++;
	while (create_at(&a, base, MIB, 0) == -ENOMEM);
	ck_assert_int_gt(tries, 1);
	fp_arena_destroy(a);
	fp_sys = fp_sys_real;
}
END_TEST

START_TEST(alloc_refuses_what_makes_no_sense)
{
	size_t bad_aligns[] = { 0, 3, 24, 2 * GIB, (size_t)1 << 63 };
	size_t too_large[] = { 4 * MIB + 1, 1024 * GIB, SIZE_MAX, SIZE_MAX - 4095 };
	void *p = &p;
	struct area x;
	int zeroed = 7;

	area_open(&x, 4 * MIB);
	for (size_t i = 0; i < sizeof(bad_aligns) / sizeof(size_t); i++)
		ck_assert_int_eq(fp_arena_alloc(x.arena, bad_aligns[i], 8, &p,
						&zeroed), -EINVAL);
	for (size_t i = 0; i < sizeof(too_large) / sizeof(size_t); i++)
		ck_assert_int_eq(fp_arena_alloc(x.arena, 1, too_large[i], &p,
						&zeroed), -ENOMEM);
	ck_assert_ptr_eq(p, &p);
	ck_assert_int_eq(zeroed, 7);
	ck_assert_uint_eq(area_taken(&x), 0);
	area_close(&x);
}
END_TEST

START_TEST(free_refuses_what_alloc_did_not_give)
{
	size_t sizes[] = { 0, 16, 48, 2048, 2049, FP_PAGE, 40 * KIB };
	struct area x;
	char *p;

	area_open(&x, 4 * MIB);
	ck_assert_int_eq(fp_arena_free(x.arena, NULL), -EINVAL);
	ck_assert_int_eq(fp_arena_free(x.arena, &x), -EINVAL);
	ck_assert_int_eq(fp_arena_free(x.arena, x.base - 1), -EINVAL);
	ck_assert_int_eq(fp_arena_free(x.arena, x.base + x.size), -EINVAL);
	ck_assert_int_eq(fp_arena_free(x.arena, x.base), -EINVAL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(size_t); i++) {
		p = area_alloc(&x, sizes[i]);
		ck_assert_int_eq(fp_arena_free(x.arena, p + 1), -EINVAL);
		ck_assert_int_eq(fp_arena_free(x.arena, p + 8), -EINVAL);
		ck_assert_int_eq(fp_arena_free(x.arena, p + FP_PAGE), -EINVAL);
		ck_assert_int_eq(fp_arena_free(x.arena, p), 0);
		ck_assert_int_eq(fp_arena_free(x.arena, p), -EINVAL);
	}
	area_check_whole(&x);
	area_close(&x);
}
END_TEST

/* The rest behind a slab's last object is nobody's. */
START_TEST(free_refuses_the_rest_of_a_slab)
{
	struct area x;
	char *p;

	area_open(&x, 4 * MIB);
	p = area_alloc(&x, 48);
	ck_assert_int_eq(fp_arena_free(x.arena, p + 64 * KIB / 48 * 48), -EINVAL);
	ck_assert_int_eq(fp_arena_free(x.arena, p + 48), -EINVAL);
	ck_assert_int_eq(fp_arena_free(x.arena, p), 0);
	area_close(&x);
}
END_TEST

/* ---- Places --------------------------------------------------------------- */

START_TEST(every_alignment_is_kept)
{
	size_t sizes[] = { 1, 100, 3000, 70 * KIB };
	void *first, *second;
	struct area x;

	area_open(&x, 4 * GIB);
	for (size_t align = 1; align <= GIB; align *= 2)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(size_t); i++) {
			ck_assert_int_eq(fp_arena_alloc(x.arena, align, sizes[i],
							&first, NULL), 0);
			ck_assert_int_eq(fp_arena_alloc(x.arena, align, sizes[i],
							&second, NULL), 0);
			ck_assert_uint_eq((uintptr_t)first % align, 0);
			ck_assert_uint_eq((uintptr_t)second % align, 0);
			ck_assert(!fp_overlap(first, sizes[i], second, sizes[i]));
			ck_assert_int_eq(fp_arena_free(x.arena, first), 0);
			ck_assert_int_eq(fp_arena_free(x.arena, second), 0);
		}
	ck_assert_uint_eq(fp_arena_largest(x.arena), x.size);
	area_close(&x);
}
END_TEST

START_TEST(all_pages_can_be_had_one_by_one)
{
	size_t count = 3 * MIB / FP_PAGE;
	char *pages[3 * MIB / FP_PAGE];
	struct area x;
	void *p;

	area_open(&x, 3 * MIB);
	for (size_t i = 0; i < count; i++)
		pages[i] = area_alloc(&x, FP_PAGE);
	ck_assert_int_eq(fp_arena_alloc(x.arena, 1, 1, &p, NULL), -ENOMEM);
	for (size_t i = 0; i < count; i += 2)
		ck_assert_int_eq(fp_arena_free(x.arena, pages[i]), 0);
	ck_assert_uint_eq(fp_arena_largest(x.arena), FP_PAGE);
	ck_assert_int_eq(fp_arena_alloc(x.arena, 1, FP_PAGE + 1, &p, NULL), -ENOMEM);
	/* No slab fits, so a small object gets a page. */
	p = area_alloc(&x, 1);
	ck_assert_int_eq(fp_arena_free(x.arena, p), 0);
	for (size_t i = 1; i < count; i += 2)
		ck_assert_int_eq(fp_arena_free(x.arena, pages[i]), 0);
	area_check_whole(&x);
	area_close(&x);
}
END_TEST

/* A hole that is just large enough is found, though its bin has smaller ones. */
START_TEST(exact_holes_are_found)
{
	size_t sizes[] = { 9, 10, 11, 17, 19, 33, 39, 65, 79 };
	size_t n = sizeof(sizes) / sizeof(size_t), sum = n;
	char *blocks[9], *walls[9];
	struct area x;

	for (size_t i = 0; i < n; i++)
		sum += sizes[i];
	area_open(&x, sum * FP_PAGE);
	for (size_t i = 0; i < n; i++) {
		blocks[i] = area_alloc(&x, sizes[i] * FP_PAGE);
		walls[i] = area_alloc(&x, FP_PAGE);
	}
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(fp_arena_free(x.arena, blocks[i]), 0);
	for (size_t i = n; i-- > 0;)
		ck_assert_ptr_eq(area_alloc(&x, sizes[i] * FP_PAGE), blocks[i]);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(fp_arena_free(x.arena, walls[i]), 0);
		ck_assert_int_eq(fp_arena_free(x.arena, blocks[i]), 0);
	}
	area_check_whole(&x);
	area_close(&x);
}
END_TEST

/* ---- Many ----------------------------------------------------------------- */

#define LIVE_MAX	1500

struct block {
	unsigned char *ptr;
	size_t size;
	unsigned char tag;
};

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static size_t random_size(uint32_t *state)
{
	static const size_t limits[] = {
		32, 200, 200, 2100, 2100, 5000, 64 * KIB, 300 * KIB,
	};

	return next_random(state) % limits[next_random(state) % 8];
}

static bool all_are(const unsigned char *p, size_t size, unsigned char byte)
{
	return !size || (*p == byte && !memcmp(p, p + 1, size - 1));
}

static bool block_fill(struct fp_arena *arena, struct block *b, uint32_t *state)
{
	size_t align = (size_t)1 << next_random(state) % 14;
	int zeroed = 0;
	void *ptr;

	b->size = random_size(state);
	if (fp_arena_alloc(arena, align, b->size, &ptr, &zeroed))
		return false;
	b->ptr = ptr;
	b->tag = next_random(state) | 1;
	ck_assert_uint_eq((uintptr_t)ptr % align, 0);
	if (zeroed)
		ck_assert(all_are(b->ptr, b->size, 0));
	memset(b->ptr, b->tag, b->size);
	return true;
}

/* Nobody has written on it meanwhile. */
static void block_drop(struct fp_arena *arena, struct block *b)
{
	ck_assert(all_are(b->ptr, b->size, b->tag));
	ck_assert_int_eq(fp_arena_free(arena, b->ptr), 0);
	b->ptr = NULL;
}

static void blocks_churn(struct fp_arena *arena, int count, uint32_t seed)
{
	struct block *live = calloc(LIVE_MAX, sizeof(*live)), *b;
	uint32_t state = seed;

	for (int i = 0; i < count; i++) {
		b = &live[next_random(&state) % LIVE_MAX];
		if (b->ptr)
			block_drop(arena, b);
		else if (!block_fill(arena, b, &state))
			b->ptr = NULL;
	}
	for (int i = 0; i < LIVE_MAX; i++)
		if (live[i].ptr)
			block_drop(arena, &live[i]);
	free(live);
}

START_TEST(random_blocks_do_not_meet)
{
	struct area x;

	area_open(&x, 48 * MIB);
	blocks_churn(x.arena, 100000, 12345);
	area_check_whole(&x);
	area_close(&x);
}
END_TEST

/* So full that many calls fail. */
START_TEST(random_blocks_in_a_narrow_arena)
{
	struct area x;

	area_open(&x, 4 * MIB + FP_PAGE);
	blocks_churn(x.arena, 30000, 777);
	area_check_whole(&x);
	area_close(&x);
}
END_TEST

struct churner {
	struct fp_arena *arena;
	uint32_t seed;
	pthread_t thread;
};

static void *churn(void *arg)
{
	struct churner *c = arg;

	blocks_churn(c->arena, 5000, c->seed);
	return NULL;
}

START_TEST(threads_share_an_arena)
{
	struct churner c[4];
	struct area x;

	area_open(&x, 64 * MIB);
	for (int i = 0; i < 4; i++) {
		c[i] = (struct churner){ .arena = x.arena, .seed = 99 + i };
		ck_assert_int_eq(pthread_create(&c[i].thread, NULL, churn, &c[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(c[i].thread, NULL);
	area_check_whole(&x);
	area_close(&x);
}
END_TEST

/* ---- Room ----------------------------------------------------------------- */

START_TEST(room_is_there_before_the_pointer)
{
	struct area x;
	int zeroed = 0;
	void *p;

	area_open(&x, 64 * MIB);
	ck_assert_uint_eq(area_taken(&x), 0);
	ck_assert_int_eq(fp_arena_alloc(x.arena, 1, 20 * MIB + 1, &p, &zeroed), 0);
	ck_assert_uint_eq(area_taken(&x), 20 * MIB + FP_PAGE);
	ck_assert_int_eq(zeroed, 1);
	memset(p, 1, FP_PAGE);
	ck_assert_int_eq(fp_arena_free(x.arena, p), 0);
	ck_assert_uint_eq(area_taken(&x), 20 * MIB + FP_PAGE);
	ck_assert_int_eq(fp_arena_alloc(x.arena, 1, 30 * MIB, &p, &zeroed), 0);
	ck_assert_int_eq(zeroed, 0);
	ck_assert_uint_eq(area_taken(&x), 30 * MIB);
	ck_assert_int_eq(fp_arena_free(x.arena, p), 0);
	area_close(&x);
}
END_TEST

START_TEST(freed_memory_is_kept_up_to_a_limit)
{
	struct area x;
	void *a, *b;

	area_open(&x, 256 * MIB);
	a = area_alloc(&x, 50 * MIB);
	b = area_alloc(&x, 60 * MIB);
	ck_assert_uint_eq(area_taken(&x), 110 * MIB);
	ck_assert_int_eq(fp_arena_free(x.arena, a), 0);
	ck_assert_uint_eq(area_taken(&x), 110 * MIB);
	ck_assert_int_eq(fp_arena_free(x.arena, b), 0);
	ck_assert_uint_eq(area_taken(&x), KEPT);
	a = area_alloc(&x, 128 * MIB);
	ck_assert_uint_eq(area_taken(&x), 128 * MIB);
	ck_assert_int_eq(fp_arena_free(x.arena, a), 0);
	ck_assert_uint_eq(area_taken(&x), KEPT);
	area_close(&x);
}
END_TEST

/* What maps need is kept, up to a part of the arena, and until they need less. */
START_TEST(memory_of_maps_is_kept)
{
	struct area x;
	void *a, *b;
	int i;

	area_open(&x, GIB);
	/* As if all had been used before: units behind the first ones are as near. */
	fp_store_rlx(&x.limit, x.size / fp_units_size(x.size));
	fp_arena_expect(x.arena, 120 * MIB);
	a = area_alloc(&x, 100 * MIB);
	b = area_alloc(&x, 20 * MIB);
	ck_assert_int_eq(fp_arena_free(x.arena, a), 0);
	ck_assert_int_eq(fp_arena_free(x.arena, b), 0);
	ck_assert_uint_eq(area_taken(&x), 120 * MIB);
	ck_assert_ptr_eq(area_alloc(&x, 100 * MIB), a);
	ck_assert_ptr_eq(area_alloc(&x, 20 * MIB), b);
	ck_assert_uint_eq(area_taken(&x), 120 * MIB);
	ck_assert_int_eq(fp_arena_free(x.arena, b), 0);
	ck_assert_int_eq(fp_arena_free(x.arena, a), 0);
	fp_arena_expect(x.arena, GIB);
	a = area_alloc(&x, 200 * MIB);
	ck_assert_int_eq(fp_arena_free(x.arena, a), 0);
	ck_assert_uint_eq(area_taken(&x), x.size / 8);
	for (i = 0; i < 20; i++)
		fp_arena_expect(x.arena, 0);
	ck_assert_int_eq(fp_arena_free(x.arena, area_alloc(&x, MIB)), 0);
	ck_assert_uint_eq(area_taken(&x), KEPT);
	area_close(&x);
}
END_TEST

static int calls_left;		/* until one fails; < 0: none does */
static int calls_every;		/* and then each so many */
static long calls_refused;

static int allocate_some(int fd, off_t off, off_t len)
{
	if (calls_left >= 0 && calls_left-- == 0) {
		calls_left = calls_every ? calls_every - 1 : -1;
		calls_refused++;
		return -ENOSPC;
	}
	return fp_sys_real.allocate(fd, off, len);
}

/* Fails at each piece of a large block in turn, and again after the purge. */
START_TEST(a_failed_block_leaves_nothing_behind)
{
	struct area x;
	void *old, *wall, *p;
	int n = 0, err;

	area_open(&x, 128 * MIB);
	old = area_alloc(&x, 4 * MIB);
	wall = area_alloc(&x, WALL);
	ck_assert_int_eq(fp_arena_free(x.arena, old), 0);
	fp_sys.allocate = allocate_some;
	do {
		calls_left = n;
		calls_every = 1;
		p = &p;
		err = fp_arena_alloc(x.arena, 1, 60 * MIB, &p, NULL);
		calls_left = -1;
		if (err) {
			ck_assert_int_eq(err, -ENOMEM);
			ck_assert_ptr_eq(p, &p);
			ck_assert_uint_eq(area_taken(&x), WALL);
		}
		n++;
	} while (err);
	ck_assert_int_eq(n, 9);
	ck_assert_int_eq(fp_arena_free(x.arena, p), 0);
	ck_assert_int_eq(fp_arena_free(x.arena, wall), 0);
	area_check_whole(&x);
	area_close(&x);
}
END_TEST

/* What was kept goes back before the block fails, and is not counted any more. */
START_TEST(a_failed_block_takes_what_was_kept)
{
	struct area x;
	void *p;

	area_open(&x, 128 * MIB);
	p = area_alloc(&x, 8 * MIB);
	ck_assert_int_eq(fp_arena_free(x.arena, p), 0);
	fp_sys.allocate = allocate_some;
	calls_left = 0;
	calls_every = 1;
	ck_assert_int_eq(fp_arena_alloc(x.arena, 1, 60 * MIB, &p, NULL), -ENOMEM);
	calls_left = -1;
	ck_assert_uint_eq(area_taken(&x), 0);
	p = area_alloc(&x, KEPT + 4 * MIB);
	ck_assert_int_eq(fp_arena_free(x.arena, p), 0);
	ck_assert_uint_eq(area_taken(&x), KEPT);
	area_close(&x);
}
END_TEST

START_TEST(random_blocks_while_room_fails)
{
	struct area x;

	for (int every = 1; every < 8; every++) {
		area_open(&x, 16 * MIB);
		fp_sys.allocate = allocate_some;
		calls_left = 3;
		calls_every = every;
		calls_refused = 0;
		blocks_churn(x.arena, 4000, 4242 + every);
		ck_assert_int_gt(calls_refused, 0);
		calls_left = -1;
		area_check_whole(&x);
		area_close(&x);
	}
}
END_TEST

static off_t room_total;

static int allocate_within(int fd, off_t off, off_t len)
{
	struct stat st;

	if (fstat(fd, &st) || st.st_blocks * 512 + len > room_total)
		return -ENOSPC;
	return fp_sys_real.allocate(fd, off, len);
}

/* Kept memory serves the next block, wherever that lies. */
START_TEST(kept_memory_does_not_fill_the_file_system)
{
	struct area x;
	void *a, *wall, *b;

	area_open(&x, 128 * MIB);
	fp_sys.allocate = allocate_within;
	room_total = (off_t)(40 * MIB + x.ctl_size);
	a = area_alloc(&x, 32 * MIB);
	wall = area_alloc(&x, WALL);
	ck_assert_int_eq(fp_arena_free(x.arena, a), 0);
	b = area_alloc(&x, 36 * MIB);
	ck_assert_int_eq(fp_arena_alloc(x.arena, 1, 8 * MIB, &a, NULL), -ENOMEM);
	ck_assert_uint_eq(area_taken(&x), 36 * MIB + WALL);
	ck_assert_int_eq(fp_arena_free(x.arena, b), 0);
	ck_assert_int_eq(fp_arena_free(x.arena, wall), 0);
	area_close(&x);
}
END_TEST

/* Nor does what is kept for maps, which is more. */
START_TEST(memory_of_maps_goes_to_who_needs_it)
{
	struct area x;
	void *a, *wall, *b;

	area_open(&x, GIB);
	fp_sys.allocate = allocate_within;
	room_total = (off_t)(130 * MIB + x.ctl_size);
	fp_arena_expect(x.arena, 120 * MIB);
	a = area_alloc(&x, 120 * MIB);
	wall = area_alloc(&x, WALL);
	ck_assert_int_eq(fp_arena_free(x.arena, a), 0);
	ck_assert_uint_eq(area_taken(&x), 120 * MIB + WALL);
	b = area_alloc(&x, 124 * MIB);
	ck_assert_uint_eq(area_taken(&x), 124 * MIB + WALL);
	ck_assert_int_eq(fp_arena_free(x.arena, b), 0);
	ck_assert_int_eq(fp_arena_free(x.arena, wall), 0);
	area_close(&x);
}
END_TEST

static int punch_nothing(int fd, off_t off, off_t len)
{
	(void)fd;
	(void)off;
	(void)len;
	return -EIO;
}

/* Then the memory stays ours, and is not said to be zero. */
START_TEST(memory_that_can_not_be_given_back_is_kept)
{
	int zeroed = 7;
	struct area x;
	void *p;

	area_open(&x, 96 * MIB);
	fp_sys.punch = punch_nothing;
	p = area_alloc(&x, 96 * MIB);
	memset((char *)p + 90 * MIB, 1, FP_PAGE);
	ck_assert_int_eq(fp_arena_free(x.arena, p), 0);
	ck_assert_uint_eq(area_taken(&x), 96 * MIB);
	ck_assert_int_eq(fp_arena_alloc(x.arena, 1, 96 * MIB, &p, &zeroed), 0);
	ck_assert_int_eq(zeroed, 0);
	fp_sys.punch = fp_sys_real.punch;
	ck_assert_int_eq(fp_arena_free(x.arena, p), 0);
	area_check_whole(&x);
	area_close(&x);
}
END_TEST

/* In a child with a mount of its own: 1 if that can't be had here. */
static int tmpfs_child(void)
{
	struct area x;
	size_t count = 0;
	void *p;

	if (unshare(CLONE_NEWNS) ||
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
	    mount("fp", "/mnt", "tmpfs", 0, "size=2m"))
		return 1;
	area_map(&x, fp_sys.tmpfile("/mnt"), 16 * MIB);
	while (!fp_arena_alloc(x.arena, 1, 24 * KIB, &p, NULL)) {
		memset(p, 1, 24 * KIB);
		count++;
	}
	/* Two to a unit, and what is left. */
	if (count < (2 * MIB - x.ctl_size) / WALL * 2 || fp_arena_free(x.arena, p))
		return 2;
	if (fp_arena_alloc(x.arena, 1, 24 * KIB, &p, NULL))
		return 3;
	area_close(&x);
	return 0;
}

START_TEST(a_full_tmpfs_is_an_error)
{
	siginfo_t info = { 0 };
	pid_t pid = fork();

	if (pid == 0)
		_exit(tmpfs_child());
	ck_assert_int_eq(waitid(P_PID, pid, &info, WEXITED), 0);
	ck_assert_int_eq(info.si_code, CLD_EXITED);
	ck_assert_int_le(info.si_status, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("arena");
	TCase *tc = test_case(suite, "arguments");

	tcase_add_test(tc, create_refuses_what_is_not_made_of_pages);
	tcase_add_test(tc, create_fails_whole);
	tcase_add_test(tc, alloc_refuses_what_makes_no_sense);
	tcase_add_test(tc, free_refuses_what_alloc_did_not_give);
	tcase_add_test(tc, free_refuses_the_rest_of_a_slab);

	tc = test_case(suite, "places");
	tcase_add_test(tc, every_alignment_is_kept);
	tcase_add_test(tc, all_pages_can_be_had_one_by_one);
	tcase_add_test(tc, exact_holes_are_found);

	tc = test_case(suite, "many");
	tcase_add_test(tc, random_blocks_do_not_meet);
	tcase_add_test(tc, random_blocks_in_a_narrow_arena);
	tcase_add_test(tc, threads_share_an_arena);

	tc = test_case(suite, "room");
	tcase_add_test(tc, room_is_there_before_the_pointer);
	tcase_add_test(tc, freed_memory_is_kept_up_to_a_limit);
	tcase_add_test(tc, memory_of_maps_is_kept);
	tcase_add_test(tc, a_failed_block_leaves_nothing_behind);
	tcase_add_test(tc, a_failed_block_takes_what_was_kept);
	tcase_add_test(tc, random_blocks_while_room_fails);
	tcase_add_test(tc, kept_memory_does_not_fill_the_file_system);
	tcase_add_test(tc, memory_of_maps_goes_to_who_needs_it);
	tcase_add_test(tc, memory_that_can_not_be_given_back_is_kept);
	tcase_add_test(tc, a_full_tmpfs_is_an_error);
	return test_main(suite);
}
