/* SPDX-License-Identifier: MIT */
/* A cursor that is far behind leaps over what others have claimed, and over nothing else. */
#include "task/take.h"

#include "unit/hands.h"

/* Puts n tasks into a new line; the first is run by one worker, those up to `taken` by another. */
static void line_of(struct fp_place *at, uint32_t n, uint32_t taken)
{
	uint32_t i;

	line_open(&l, &b, LANE);
	for (i = 0; i < n; i++)
		at[i] = line_submit(&l);
	ck_assert_uint_eq(hand_run(&hands[0], &l), at[0].number);
	for (i = 1; i < taken; i++)
		ck_assert_uint_eq(hand_run(&hands[1], &l), at[i].number);
}

/* Behind what was claimed in order all is claimed: it isn't looked at. */
START_TEST(leaps_to_the_front)
{
	struct fp_place at[PLACES];

	line_of(at, PLACES, 20);
	/* As no word ever is, to show who reads it. */
	fp_store_sc(&at[11].task->word, fp_task_word(at[11].gen, FP_TASK_READY, 0, 0));
	ck_assert_uint_eq(hand_run(&hands[0], &l), at[20].number);
}
END_TEST

/* Whole pages, too. */
START_TEST(leaps_over_pages)
{
	struct fp_place at[4 * PLACES];
	uint32_t i;

	line_of(at, 4 * PLACES, 3 * PLACES + 5);
	for (i = 3 * PLACES + 5; i < 4 * PLACES; i++)
		ck_assert_uint_eq(hand_run(&hands[i % 2], &l), at[i].number);
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
}
END_TEST

/* Anything can be cancelled, in any order. */
START_TEST(what_was_cancelled_says_nothing)
{
	struct fp_place at[PLACES];
	uint32_t i;

	line_of(at, PLACES, 9);
	for (i = 12; i < PLACES; i++)
		ck_assert(fp_task_cancel(b.seg, at[i].number, at[i].gen,
					 i % 2 ? FORKPOOL_ITEM_CANCELLED : FORKPOOL_ITEM_NOT_RUN));
	for (i = 9; i < 12; i++)
		ck_assert_uint_eq(hand_run(&hands[0], &l), at[i].number);
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
}
END_TEST

/* Nor does what was claimed a lap ago, and passed by the submitter since. */
START_TEST(what_was_passed_says_nothing)
{
	struct fp_place at[2][PLACES], again[11];
	uint32_t i, k;

	line_open(&l, &b, LANE);
	for (k = 0; k < 2; k++)
		for (i = 0; i < PLACES; i++) {
			at[k][i] = line_submit(&l);
			ck_assert_uint_eq(hand_run(&hands[0], &l), at[k][i].number);
		}
	for (i = 0; i < 10; i++)
		fp_lane_give(at[0][i].home, at[0][i].index);
	for (i = 0; i < 11; i++)
		again[i] = line_submit(&l);
	ck_assert_uint_eq(again[9].number, at[0][9].number);
	ck_assert_uint_eq(fp_load_rlx(&at[0][12].task->turn), fp_load_rlx(&again[0].task->turn) | FP_TURN_BARE);
	for (i = 0; i < 8; i++)
		ck_assert_uint_eq(hand_run(&hands[1], &l), again[i].number);
	for (; i < 11; i++)
		ck_assert_uint_eq(hand_run(&hands[0], &l), again[i].number);
	ck_assert_uint_eq(hand_run(&hands[1], &l), 0);
	bare_check(&b);
}
END_TEST

/* Its worker has died; of the visit in which cursors are it would be leapt over in order. */
START_TEST(what_is_ready_again_is_not_leapt_over)
{
	struct fp_place at[PLACES];
	uint32_t i;

	line_of(at, PLACES, 20);
	fp_store_sc(&at[10].task->word, fp_task_word(at[10].gen, FP_TASK_READY, 0, FP_TASK_AGAIN));
	fp_add_sc(&l.p.lane->epoch, 1);
	ck_assert_uint_eq(hand_run(&hands[0], &l), at[10].number);
	for (i = 20; i < PLACES; i++)
		ck_assert_uint_eq(hand_run(&hands[i % WORKERS], &l), at[i].number);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("leap");
	TCase *tc = test_case(suite, "leaps");

	tcase_add_checked_fixture(tc, scene_open, scene_close);
	tcase_add_test(tc, leaps_to_the_front);
	tcase_add_test(tc, leaps_over_pages);
	tcase_add_test(tc, what_was_cancelled_says_nothing);
	tcase_add_test(tc, what_was_passed_says_nothing);
	tcase_add_test(tc, what_is_ready_again_is_not_leapt_over);
	return test_main(suite);
}
