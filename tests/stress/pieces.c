/* SPDX-License-Identifier: MIT */
/*
 * A blocking map of a private array that is eight times as large as the arena:
 * it goes through in pieces, in place.  FORKPOOL_TORTURE=1 makes it 2 GiB through
 * 256 MiB.
 */
#include "test.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <forkpool.h>

#define MIB		((size_t)1 << 20)
#define ARENA		(8 * MIB)
#define ARENA_TORTURE	(256 * MIB)
#define TIMES		8
#define WORKERS		2

struct item {
	uint64_t index, words[31];
};

static uint64_t word_of(uint64_t index, unsigned k)
{
	return (index + 1) * 0x9e3779b97f4a7c15u ^ k;
}

static int fill(void *arg, const void *in, void *out)
{
	uint64_t index = ((const struct item *)in)->index;
	struct item *item = out;
	unsigned k;

	(void)arg;
	item->index = ~index;
	for (k = 0; k < 31; k++)
		item->words[k] = word_of(index, k);
	return 0;
}

static bool is_filled(const struct item *item, uint64_t index)
{
	unsigned k;

	for (k = 0; k < 31; k++)
		if (item->words[k] != word_of(index, k))
			return false;
	return item->index == ~index;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

START_TEST(far_larger_than_the_arena)
{
	const char *torture = getenv("FORKPOOL_TORTURE");
	size_t arena = torture && atoi(torture) ? ARENA_TORTURE : ARENA, size = TIMES * arena, i;
	size_t count = size / sizeof(struct item);
	FORKPOOL_OPTS(opts, .workers = WORKERS, .arena_size = arena);
	struct item *items = malloc(size);
	struct forkpool *pool;
	double begin;

	ck_assert_ptr_nonnull(items);
	for (i = 0; i < count; i++)
		items[i].index = i;
	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	begin = seconds();
	ck_assert_int_eq(FORKPOOL_MAP(pool, fill, items, items, count), 0);
	printf("%zu MiB through %zu MiB: %.2f s\n", size / MIB, arena / MIB, seconds() - begin);
	for (i = 0; i < count; i++)
		if (!is_filled(&items[i], i))
			ck_abort_msg("item %zu is not as its function left it", i);
	forkpool_destroy(pool);
	free(items);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pieces");
	TCase *tc = test_case(suite, "pieces");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, far_larger_than_the_arena);
	return test_main(suite);
}
