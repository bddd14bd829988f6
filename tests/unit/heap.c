/* SPDX-License-Identifier: MIT */
/* The heap between processes: notes, deaths at each state, and words that somebody scribbled on. */
#include "shm/mend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "area.h"
#include "os/sys.h"
#include "test.h"

#define WORKERS	2u

/* A host, and two workers that die when a test says so. */
struct scene {
	struct area x;
	struct fp_worker workers[WORKERS];
	struct fp_heap heaps[WORKERS];
	struct fp_units nursery;
};

static void scene_open(struct scene *s, size_t size)
{
	struct fp_heap_place other;
	uint32_t id;

	memset(s, 0, sizeof(*s));
	area_open(&s->x, size);
	other = s->x.place;
	other.fd = -1;
	for (id = 0; id < WORKERS; id++)
		fp_heap_open(&s->heaps[id], &other, id, &s->workers[id]);
	fp_units_view(&s->nursery, &other, FP_HEAP_NURSERY);
}

static void scene_check(struct scene *s)
{
	char text[200];
	const char *bad = fp_heap_check(&s->nursery, WORKERS, text, sizeof(text));

	ck_assert_msg(!bad, "%s", bad);
}

static void scene_close(struct scene *s)
{
	uint32_t id;

	scene_check(s);
	for (id = 0; id < WORKERS; id++)
		fp_heap_forget(&s->heaps[id]);
	area_close(&s->x);
}

static void *give(struct fp_heap *h, size_t size)
{
	void *p = NULL;

	ck_assert_int_eq(fp_heap_alloc(h, 16, size, &p, NULL), 0);
	memset(p, 0x5a, size);
	return p;
}

static int drop(struct fp_heap *h, void *p)
{
	uint64_t pages;

	return fp_heap_free(h, p, &pages);
}

/* The item that a worker is in. */
static void in_item(struct scene *s, uint32_t id, uint64_t runs, uint64_t pos)
{
	fp_store_rlx(&s->workers[id].runs, runs);
	fp_store_rlx(&s->workers[id].base.pos, pos);
}

static void die(struct scene *s, uint32_t id, bool lost)
{
	const struct fp_note note = fp_note_of(&s->workers[id], id);
	const struct fp_heap_place place = s->heaps[id].units->at;

	fp_heap_forget(&s->heaps[id]);
	fp_heap_mend(&s->nursery, id, lost ? &note : NULL);
	scene_check(s);
	fp_heap_open(&s->heaps[id], &place, id, &s->workers[id]);
}

static struct fp_heap_count counted(struct scene *s)
{
	struct fp_heap_count c;

	fp_heap_count(&s->nursery, &c);
	return c;
}

static const size_t sizes[] = { 1, 16, 100, 500, 4096, 20000, 32768, 32769, 70000, 1 << 20 };
#define SIZES	(sizeof(sizes) / sizeof(sizes[0]))

/* What earlier items and others allocated stays; what this one did goes. */
START_TEST(a_lost_item_loses_what_it_allocated)
{
	void *kept[SIZES], *others[SIZES], *freed;
	struct fp_heap_count before;
	struct scene s;
	size_t i, k;

	scene_open(&s, 64 * MIB);
	in_item(&s, 1, 5, 8);
	for (i = 0; i < SIZES; i++)
		others[i] = give(&s.heaps[1], sizes[i]);
	in_item(&s, 0, 5, 7);
	for (i = 0; i < SIZES; i++)
		kept[i] = give(&s.heaps[0], sizes[i]);
	in_item(&s, 0, 5, 8);
	before = counted(&s);
	for (k = 0; k < 3; k++)
		for (i = 0; i < SIZES; i++)
			give(&s.heaps[0], sizes[i]);
	freed = give(&s.heaps[0], 100);
	ck_assert_int_eq(drop(&s.heaps[1], freed), 0);
	die(&s, 0, true);
	ck_assert_uint_eq(counted(&s).runs, before.runs);
	ck_assert_uint_eq(counted(&s).objects, before.objects);
	for (i = 0; i < SIZES; i++) {
		ck_assert_int_eq(drop(&s.heaps[1], kept[i]), 0);
		ck_assert_int_eq(drop(&s.heaps[0], others[i]), 0);
	}
	ck_assert_uint_eq(counted(&s).objects, 0);
	die(&s, 1, true);
	ck_assert_uint_eq(counted(&s).used, 0);
	scene_close(&s);
}
END_TEST

START_TEST(an_item_that_has_ended_keeps_it)
{
	struct scene s;
	void *p[SIZES];
	size_t i;

	scene_open(&s, 64 * MIB);
	in_item(&s, 0, 1, 0);
	for (i = 0; i < SIZES; i++)
		p[i] = give(&s.heaps[0], sizes[i]);
	die(&s, 0, false);
	/* The same index in another chunk. */
	in_item(&s, 0, 2, 0);
	die(&s, 0, true);
	for (i = 0; i < SIZES; i++)
		ck_assert_int_eq(fp_arena_free(s.x.arena, p[i]), 0);
	ck_assert_uint_eq(counted(&s).used, 0);
	scene_close(&s);
}
END_TEST

/* Hooks: in no item. */
START_TEST(outside_of_items_nothing_is_lost)
{
	struct scene s;
	void *p[SIZES];
	size_t i;

	scene_open(&s, 64 * MIB);
	in_item(&s, 0, 0, FP_POS_NONE);
	for (i = 0; i < SIZES; i++)
		p[i] = give(&s.heaps[0], sizes[i]);
	in_item(&s, 0, 0, 0);
	die(&s, 0, true);
	for (i = 0; i < SIZES; i++)
		ck_assert_int_eq(drop(&s.heaps[1], p[i]), 0);
	ck_assert_uint_eq(counted(&s).used, 0);
	scene_close(&s);
}
END_TEST

/* Nothing of what others freed is lost, wherever the owner is killed while it takes that over. */
START_TEST(a_harvest_cut_short_loses_nothing)
{
	enum { N = 40 };
	struct fp_units *dead;
	struct scene s;
	uint32_t slab, k;
	char *p[N];
	int i;

	scene_open(&s, 64 * MIB);
	dead = s.heaps[0].units;
	in_item(&s, 0, 1, 0);
	for (i = 0; i < N; i++)
		p[i] = give(&s.heaps[0], 100);
	slab = (uint32_t)((p[0] - s.x.base) / WALL);
	for (i = 0; i < N - 1; i++)
		ck_assert_int_eq(drop(&s.heaps[1], p[i]), 0);
	ck_assert_int_eq(drop(&s.heaps[0], p[0]), -EINVAL);
	ck_assert_uint_eq(counted(&s).objects, 1);
	/* The first word as between the two steps, the next one as before. */
	fp_store_rlx(&fp_slab_record(dead, slab)->own[0], 0);
	ck_assert_uint_eq(counted(&s).objects, 1);
	ck_assert_int_eq(drop(&s.heaps[1], p[0]), -EINVAL);
	in_item(&s, 0, 1, 1);
	die(&s, 0, true);
	ck_assert_uint_eq(counted(&s).objects, 1);
	/* All but one can be had again. */
	for (k = 0; k + 1 < WALL / 112; k++)
		ck_assert_uint_eq((uint32_t)(((char *)give(&s.heaps[0], 100) - s.x.base) / WALL), slab);
	ck_assert_uint_eq(counted(&s).objects, WALL / 112);
	scene_close(&s);
}
END_TEST

/* What an item allocated before it let the slab go is still known when it allocates there again. */
START_TEST(a_slab_that_is_taken_again_loses_nothing)
{
	enum { N = 80, MORE = 400 };
	char *p[N], *q;
	struct scene s;
	int i, again = 0;

	scene_open(&s, 64 * MIB);
	in_item(&s, 0, 1, 0);
	for (i = 0; i < N; i++)
		p[i] = give(&s.heaps[0], 4096);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(drop(&s.heaps[1], p[i]), 0);
	for (i = 0; i < MORE; i++) {
		q = give(&s.heaps[0], 4096);
		again += ((uintptr_t)q ^ (uintptr_t)p[0]) < WALL;
	}
	ck_assert_int_gt(again, 0);
	die(&s, 0, true);
	ck_assert_uint_eq(counted(&s).used, 0);
	scene_close(&s);
}
END_TEST

/* Each state in which a death may leave a unit. */
START_TEST(half_done_work_is_mended)
{
	struct fp_units *dead;
	struct scene s;
	uint32_t i, slab;
	bool fresh;
	void *p;

	scene_open(&s, 64 * MIB);
	dead = s.heaps[0].units;
	i = fp_units_claim(dead, 5 * WALL, 1, &fresh);
	ck_assert(fresh);
	fp_store_rlx(&dead->units[i + 4].word, 0);	/* not claimed yet */
	die(&s, 0, true);
	ck_assert_uint_eq(counted(&s).used, 0);

	p = give(&s.heaps[1], 4 * WALL);
	i = (uint32_t)(((char *)p - s.x.base) / WALL);
	ck_assert(fp_units_leave(dead, i, fp_unit_load(dead, i)));
	ck_assert_int_eq(drop(&s.heaps[1], p), -EINVAL);
	fp_store_rlx(&dead->units[i + 3].word, 0);	/* free already, and taken again */
	ck_assert_uint_eq(fp_units_claim(s.heaps[1].units, WALL, 1, &fresh), i + 3);
	fp_units_publish(s.heaps[1].units, i + 3, FP_UNIT_RUN, 0);
	die(&s, 0, true);
	ck_assert_uint_eq(counted(&s).used, 1);
	ck_assert_int_eq(drop(&s.heaps[1], s.x.base + (i + 3) * WALL), 0);

	p = give(&s.heaps[1], 100);
	slab = (uint32_t)(((char *)p - s.x.base) / WALL);
	for (i = 0; i < 2; i++) {	/* in use, then empty */
		uint64_t w = fp_unit_load(dead, slab);

		fp_store_rlx(&dead->units[slab].keep, 0);
		fp_store_rlx(&dead->units[slab].word,
			     fp_unit_word(FP_UNIT_SEAL, 0, fp_unit_class(w), fp_unit_room(w), 1));
		if (i)
			ck_assert_int_eq(drop(&s.heaps[1], p), 0);
		die(&s, 0, true);
		ck_assert_uint_eq(counted(&s).used, !i);
	}
	/* Its owner finds that it is gone. */
	ck_assert_ptr_nonnull(give(&s.heaps[1], 100));
	scene_close(&s);
}
END_TEST

/* The owner's next life goes on with its slabs. */
START_TEST(slabs_serve_the_next_life)
{
	struct scene s;
	uint64_t units;
	int i, k;

	scene_open(&s, 64 * MIB);
	give(&s.heaps[0], 64);
	for (i = 0; i < 200; i++) {
		in_item(&s, 0, (uint64_t)i, 3);
		for (k = 0; k < 10; k++)
			give(&s.heaps[0], 64);
		die(&s, 0, i % 2);
	}
	units = counted(&s).used;
	ck_assert_uint_le(units, 2);
	ck_assert_uint_eq(counted(&s).objects, 1 + 100 * 10);
	scene_close(&s);
}
END_TEST

/* Nothing that any word may hold makes the host crash or write elsewhere. */
START_TEST(the_host_believes_no_word)
{
	enum { N = 64 };
	uint32_t state = 1, round, i, units;
	void *p[N], *q;
	struct scene s;
	int zeroed;

	for (round = 0; round < 300; round++) {
		scene_open(&s, round % 2 ? 8 * MIB : MIB);
		units = s.nursery.count;
		for (i = 0; i < N; i++)
			p[i] = give(i % 2 ? &s.heaps[0] : &s.heaps[1], (size_t)(i * i * 4 + 1));
		for (i = 0; i < 1 + round % 40; i++) {
			uint64_t value = (uint64_t)rand_r(&state) << 33 ^ (uint64_t)rand_r(&state) << 11 ^
					 (uint64_t)rand_r(&state);
			fp_a64 *words = (fp_a64 *)s.x.place.ctl;
			size_t n = i % 2 ? units * 4 : s.x.ctl_size / 8;

			fp_store_rlx(&words[(size_t)rand_r(&state) % n], value >> (round % 3 * 20));
			if (round % 7 == 0)
				fp_store_rlx(&s.x.limit, value);
		}
		for (i = 0; i < N; i++)
			fp_arena_free(s.x.arena, p[i]);
		for (i = 0; i < 200; i++)
			if (!fp_arena_alloc(s.x.arena, 16, (size_t)(i * i * 3), &q, &zeroed)) {
				ck_assert(fp_inside(s.x.base, s.x.size, q, (size_t)(i * i * 3)));
				memset(q, 1, (size_t)(i * i * 3));
				fp_arena_free(s.x.arena, q);
			}
		fp_arena_largest(s.x.arena);
		for (i = 0; i < WORKERS; i++)
			fp_heap_forget(&s.heaps[i]);
		area_close(&s.x);
	}
}
END_TEST

static void expect_found(struct scene *s, fp_a64 *at, uint64_t value)
{
	uint64_t was = fp_load_rlx(at);
	char text[200];

	fp_store_rlx(at, value);
	ck_assert_msg(fp_heap_check(&s->nursery, WORKERS, text, sizeof(text)) == text,
		      "%#llx in place of %#llx passed", (unsigned long long)value,
		      (unsigned long long)was);
	fp_store_rlx(at, was);
	scene_check(s);
}

START_TEST(the_check_finds_damage)
{
	struct scene s;
	struct fp_unit *units;
	uint32_t slab, run, last;

	scene_open(&s, 64 * MIB);
	units = s.nursery.units;
	slab = (uint32_t)(((char *)give(&s.heaps[0], 100) - s.x.base) / WALL);
	run = (uint32_t)(((char *)give(&s.heaps[1], 3 * WALL) - s.x.base) / WALL);
	scene_check(&s);
	expect_found(&s, &units[run].word, fp_unit_word(FP_UNIT_RUN, 1, 0, 0xffff, 4));
	expect_found(&s, &units[run].word, fp_unit_word(FP_UNIT_RUN, 1, 0, 0xffff, 2));
	expect_found(&s, &units[run].word, fp_unit_word(FP_UNIT_RUN, 1, 0, 0xffff, 0));
	expect_found(&s, &units[run].word, fp_unit_word(FP_UNIT_RUN, WORKERS, 0, 0xffff, 3));
	expect_found(&s, &units[run].word, fp_unit_word(FP_UNIT_FREE, 0, 0, 0xffff, 0));
	expect_found(&s, &units[run + 1].word, fp_unit_word(FP_UNIT_FREE, 0, 0, 0xffff, 0));
	expect_found(&s, &units[run + 1].word, fp_unit_word(FP_UNIT_BODY, 1, 0, 0xffff, slab));
	expect_found(&s, &units[run + 5].word, fp_unit_word(FP_UNIT_FREE, 1, 0, 0, 0));
	expect_found(&s, &units[run + 5].word, fp_unit_word(FP_UNIT_CLAIM, 1, 0, 0, 0));
	expect_found(&s, &units[run + 5].word, fp_unit_word(FP_UNIT_KINDS, 1, 0, 0, 1));
	expect_found(&s, &units[slab].word, fp_unit_word(FP_UNIT_SLAB, 0, 63, 0xffff, 0));
	expect_found(&s, &units[slab].word, fp_unit_word(FP_UNIT_SLAB, 0, 6, 0xfffe, 0));
	expect_found(&s, &fp_slab_freed(&s.nursery, slab)[0], fp_freed_word(77, 1));
	expect_found(&s, &fp_slab_freed(&s.nursery, slab)[1], 0);
	last = fp_slab_objects(&s.nursery, slab, fp_unit_class(fp_unit_load(&s.nursery, slab))) / FP_SLAB_BITS;
	expect_found(&s, &fp_slab_record(&s.nursery, slab)->own[last], fp_own_word(0, 1u << 31));
	scene_close(&s);
}
END_TEST

static int no_populate(void *addr, size_t len, int advice)
{
	return advice == 23 ? -EINVAL : fp_sys_real.advise(addr, len, advice);
}

/* An old kernel, or a full file system: what has memory already, and no more. */
START_TEST(without_new_memory_workers_use_what_there_is)
{
	struct scene s;
	void *p = NULL, *q = &q;

	scene_open(&s, 64 * MIB);
	fp_sys.advise = no_populate;
	ck_assert_int_eq(fp_heap_alloc(&s.heaps[0], 16, WALL, &q, NULL), -ENOMEM);
	ck_assert_int_eq(fp_heap_alloc(&s.heaps[0], 16, 10, &q, NULL), -ENOMEM);
	ck_assert_ptr_eq(q, &q);
	scene_check(&s);
	ck_assert_int_eq(fp_arena_alloc(s.x.arena, 16, MIB, &p, NULL), 0);
	ck_assert_int_eq(fp_arena_free(s.x.arena, p), 0);
	ck_assert_int_eq(fp_heap_alloc(&s.heaps[0], 16, MIB, &q, NULL), 0);
	memset(q, 1, MIB);
	ck_assert_int_eq(drop(&s.heaps[0], q), 0);
	ck_assert_int_eq(fp_heap_alloc(&s.heaps[0], 16, 2 * MIB, &q, NULL), -ENOMEM);
	ck_assert_uint_eq(counted(&s).passing, 0);
	fp_sys = fp_sys_real;
	scene_close(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("heap");
	TCase *tc = test_case(suite, "heap");

	tcase_add_test(tc, a_lost_item_loses_what_it_allocated);
	tcase_add_test(tc, an_item_that_has_ended_keeps_it);
	tcase_add_test(tc, outside_of_items_nothing_is_lost);
	tcase_add_test(tc, a_harvest_cut_short_loses_nothing);
	tcase_add_test(tc, a_slab_that_is_taken_again_loses_nothing);
	tcase_add_test(tc, half_done_work_is_mended);
	tcase_add_test(tc, slabs_serve_the_next_life);
	tcase_add_test(tc, the_host_believes_no_word);
	tcase_add_test(tc, the_check_finds_damage);
	tcase_add_test(tc, without_new_memory_workers_use_what_there_is);
	return test_main(suite);
}
