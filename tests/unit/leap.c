/* SPDX-License-Identifier: MIT */
/* A cursor that is behind leaps over what others have claimed, and over nothing else; where many are, it leaves. */
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

/* ---- A lap behind ------------------------------------------------------------------ */

static struct fp_place run_one(struct hand *hand)
{
	struct fp_place at = line_submit(&l);

	ck_assert_uint_eq(hand_run(hand, &l), at.number);
	fp_lane_give(at.home, at.index);
	return at;
}

/*
 * A ring of two pages.  One worker has run the first task and is two laps behind; a slot
 * of the page that another one has just gone through in order is READY, as it would be
 * only if its worker had died: who looks at all finds it.  Its number.
 */
static uint32_t lap(struct fp_place *next)
{
	struct fp_place at[PLACES + 1];
	uint32_t i, n = 0, past;

	line_of(at, 1, 1);
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);	/* from here on in order */
	for (i = 1; i < PLACES + 1; i++)
		at[i] = line_submit(&l);
	for (i = 1; i < PLACES + 1; i++)
		ck_assert_uint_eq(hand_run(&hands[1], &l), at[i].number);
	for (i = 0; i < PLACES + 1; i++)
		fp_lane_give(at[i].home, at[i].index);
	while (n < 4 * PLACES || at[0].index != 5) {
		at[0] = run_one(&hands[1]);
		n++;
	}
	past = fp_load_rlx(&fp_segment_page(b.seg, at[0].home->page)->next) * FP_PAGE_SLOTS + 7;
	fp_store_sc(&fp_segment_task(b.seg, past)->word, fp_task_word(1, FP_TASK_READY, 0, FP_TASK_AGAIN));
	*next = line_submit(&l);
	return past;
}

static fp_a64 *front(void)
{
	return &l.p.lane->front;
}

START_TEST(hops_to_where_others_are)
{
	struct fp_place next;
	uint32_t past = lap(&next);

	ck_assert_uint_eq((uint32_t)fp_load_rlx(front()), past / FP_PAGE_SLOTS);
	ck_assert_uint_eq(hand_run(&hands[0], &l), next.number);
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
}
END_TEST

/* What anybody may have written there. */
START_TEST(a_wrong_hint_is_found_out)
{
	struct fp_place next;
	uint32_t past = lap(&next);
	uint64_t was = fp_load_rlx(front());
	const uint64_t wrong[] = {
		0, UINT64_MAX, was & ~(uint64_t)UINT32_MAX, was | UINT32_MAX, was + ((uint64_t)FP_VISIT_STEP << 32),
		was - ((uint64_t)FP_VISIT_STEP << 32), (was & ~(uint64_t)UINT32_MAX) | next.home->page,
	};

	fp_store_rlx(front(), wrong[_i]);
	ck_assert_uint_eq(hand_run(&hands[0], &l), past);
	ck_assert_uint_eq(hand_run(&hands[0], &l), next.number);
	/* Put right by who goes on. */
	while (run_one(&hands[0]).index != PLACES)
		;
	run_one(&hands[0]);
	if ((int32_t)(wrong[_i] >> 32) <= (int32_t)(was >> 32))
		ck_assert(fp_load_rlx(front()) != wrong[_i]);
}
END_TEST

/* ---- Crowds -------------------------------------------------------------------------- */

/* To a cursor they are as if others had claimed them, but that it can't leap there. */
static void cancel_all(const struct fp_place *at, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		ck_assert(fp_task_cancel(b.seg, at[i].number, at[i].gen, FORKPOOL_ITEM_CANCELLED));
}

START_TEST(stays_in_the_only_lane)
{
	struct fp_place at[PLACES];

	line_of(at, PLACES, 1);
	cancel_all(at + 1, 24);
	ck_assert_uint_eq(hand_run(&hands[0], &l), at[25].number);
	ck_assert(!hands[0].r.left);
}
END_TEST

START_TEST(leaves_a_crowd_for_another_lane)
{
	static struct line other;
	struct fp_place at[PLACES];

	line_of(at, PLACES, 1);
	line_open(&other, &b, LANE + 1);
	cancel_all(at + 1, 24);
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
	ck_assert(hands[0].r.left);
	/* Where it was it goes on, when it has found nothing elsewhere. */
	hands[0].r.patient = true;
	ck_assert_uint_eq(hand_run(&hands[0], &l), at[25].number);
	line_close(&other);
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
	tcase_add_test(tc, hops_to_where_others_are);
	tcase_add_loop_test(tc, a_wrong_hint_is_found_out, 0, 7);
	tcase_add_test(tc, stays_in_the_only_lane);
	tcase_add_test(tc, leaves_a_crowd_for_another_lane);
	return test_main(suite);
}
