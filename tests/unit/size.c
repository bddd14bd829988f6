/* SPDX-License-Identifier: MIT */
/* The length of a chunk: its bounds, and that a log always closes. */
#include "task/size.h"

#include "bare.h"
#include "test.h"

#define ROUNDS	200000
#define GROWTH	8

static struct fp_size any(uint64_t *seed)
{
	return (struct fp_size){
		.rest = 1 + bare_random(seed, (uint64_t)1 << bare_random(seed, 28)),
		.words_left = 1 + (uint32_t)bare_random(seed, 16384),
		.cost = bare_random(seed, (uint64_t)1 << bare_random(seed, 42)),
		.last_len = bare_random(seed, (uint64_t)1 << bare_random(seed, 27)),
		.chunk = bare_random(seed, 4) ? 0 : bare_random(seed, 1 << 20),
		.workers = 1 + (uint32_t)bare_random(seed, 1024),
		.home = bare_random(seed, 2),
	};
}

START_TEST(length_is_in_bounds)
{
	uint64_t seed = 42, len, floor;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		const struct fp_size in = any(&seed);

		len = fp_size_choose(&in);
		floor = fp_div_up(in.rest, in.words_left);
		ck_assert_uint_ge(len, 1);
		ck_assert_uint_le(len, in.rest);
		/* What is left fits the words that are left. */
		ck_assert_uint_ge(len, floor);
		if (in.chunk)
			ck_assert_uint_eq(len, fp_min(fp_max(in.chunk, floor), in.rest));
		else
			ck_assert_uint_le(len, fp_max(floor, GROWTH * fp_max(in.last_len, 1)));
	}
}
END_TEST

START_TEST(unknown_cost_takes_one_item)
{
	const struct fp_size in = { .rest = 1000, .words_left = 1000, .last_len = 50,
				    .workers = 4 };

	ck_assert_uint_eq(fp_size_choose(&in), 1);
}
END_TEST

/* Who has lost swaps takes more at once, but no more than the target, and not where the length was given. */
START_TEST(lost_swaps_lengthen)
{
	struct fp_size in = { .rest = 1000, .words_left = 1000, .last_len = 1000,
			      .cost = 1000 * FP_COST_UNIT, .workers = 10 };

	ck_assert_uint_eq(fp_size_choose(&in), 50);
	in.rest = 20;
	ck_assert_uint_eq(fp_size_choose(&in), 2);
	in.failed = 2;
	ck_assert_uint_eq(fp_size_choose(&in), 8);
	in.rest = 300;
	in.failed = 1000;
	ck_assert_uint_eq(fp_size_choose(&in), 50);
	in.chunk = 3;
	ck_assert_uint_eq(fp_size_choose(&in), 3);
}
END_TEST

/* Claims to the end of a region, with costs that jump: how many words it took. */
static uint32_t close_log(uint64_t len, uint32_t words, uint64_t *seed)
{
	struct fp_size in = { .rest = len, .workers = 3 };
	uint32_t used = 0;
	uint64_t got;

	while (in.rest) {
		ck_assert_uint_lt(used, words);
		in.words_left = words - used++;
		in.cost = bare_random(seed, 1 << 20);
		got = fp_size_choose(&in);
		in.last_len = got;
		in.rest -= got;
	}
	return used;
}

START_TEST(logs_close)
{
	uint64_t seed = 7, len;

	for (len = 1; len <= 300; len++) {
		close_log(len, 1, &seed);
		close_log(len, 2, &seed);
		close_log(len, 64, &seed);
	}
	close_log((uint64_t)1 << 27, 64, &seed);
	close_log(((uint64_t)1 << 27) - 1, 16384, &seed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("size");
	TCase *tc = test_case(suite, "bounds");

	tcase_add_test(tc, length_is_in_bounds);
	tcase_add_test(tc, unknown_cost_takes_one_item);
	tcase_add_test(tc, lost_swaps_lengthen);
	tcase_add_test(tc, logs_close);
	return test_main(suite);
}
