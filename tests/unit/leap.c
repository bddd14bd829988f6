/* SPDX-License-Identifier: MIT */
/* A cursor that is behind leaps over what others have claimed, and over nothing else; where many are, it leaves. */
#include "proc/serve.h"
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

static struct fp_task *last_of(uint32_t page)
{
	return fp_segment_task(b.seg, page * FP_PAGE_SLOTS + FP_PAGE_SLOTS - 1);
}

static uint64_t as_if_claimed(uint32_t page, uint32_t visit)
{
	struct fp_task *t = last_of(page);

	fp_store_sc(&t->turn, visit);
	fp_store_sc(&t->word, fp_task_word(1, FP_TASK_DONE, FORKPOOL_ITEM_OK, 1));
	return (uint64_t)visit << 32 | page;
}

/* Even where the slot seems to say so: in another lane, passed over in that visit, or no later than where we are. */
START_TEST(a_hint_may_not_lead_astray)
{
	static struct line other;
	struct fp_place next;
	uint32_t past = lap(&next), visit = (uint32_t)(fp_load_rlx(front()) >> 32), page = past / FP_PAGE_SLOTS, was;
	uint64_t wrong;

	line_open(&other, &b, LANE + 1);
	was = fp_load_rlx(&last_of(other.p.home->page)->turn);
	wrong = _i == 0 ? as_if_claimed(other.p.home->page, visit)
	      : _i == 1 ? as_if_claimed(page, visit | FP_TURN_BARE)
			: as_if_claimed(hands[0].at.page, hands[0].at.visit);
	fp_store_rlx(front(), wrong);
	ck_assert_uint_eq(hand_run(&hands[0], &l), past);
	ck_assert_uint_eq(hand_run(&hands[0], &l), next.number);
	fp_store_sc(&last_of(other.p.home->page)->turn, was);
	line_close(&other);
}
END_TEST

/* ---- Crowds -------------------------------------------------------------------------- */

/*
 * All but the first were claimed while we were away, and where a cursor that has passed
 * so many would leap to there is one that was cancelled, which says nothing; so it sees
 * each.  24 of them; what follows is READY.
 */
static void crowd(struct fp_place *at)
{
	uint32_t i;

	for (i = 1; i < PLACES; i++)
		at[i] = line_submit(&l);
	for (i = 13; i < 25; i += 8)
		ck_assert(fp_task_cancel(b.seg, at[i].number, at[i].gen, FORKPOOL_ITEM_CANCELLED));
	for (i = 1; i < 25; i++)
		if (i % 8 != 5 || i < 13)
			ck_assert_uint_eq(hand_run(&hands[1], &l), at[i].number);
}

static void crowd_of(struct fp_place *at)
{
	line_of(at, 1, 1);
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
	crowd(at);
}

START_TEST(stays_in_a_crowd)
{
	struct fp_place at[PLACES];

	crowd_of(at);
	ck_assert_uint_eq(hand_run(&hands[0], &l), at[25].number);
	ck_assert(!hands[0].r.left);
}
END_TEST

START_TEST(who_roams_leaves_a_crowd)
{
	struct fp_place at[PLACES];

	crowd_of(at);
	hands[0].r.roams = true;
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
	ck_assert(hands[0].r.left);
	hands[0].r.roams = false;
	ck_assert_uint_eq(hand_run(&hands[0], &l), at[25].number);
}
END_TEST

/* What was cancelled is no crowd. */
START_TEST(who_roams_stays_where_nobody_is)
{
	struct fp_place at[PLACES];
	uint32_t i;

	line_of(at, PLACES, 1);
	for (i = 1; i < 25; i++)
		ck_assert(fp_task_cancel(b.seg, at[i].number, at[i].gen, FORKPOOL_ITEM_CANCELLED));
	hands[0].r.roams = true;
	ck_assert_uint_eq(hand_run(&hands[0], &l), at[25].number);
}
END_TEST

/* A worker, as it looks for work. */
static struct fp_crew crew;
static struct fp_self self;

static uint32_t find(void)
{
	struct fp_found found;

	if (!fp_serve_find(&self, &found))
		return 0;
	ck_assert(found.is_task);
	fp_take_run(&self.runner, &found.task);
	return found.task.number;
}

static void self_open(void)
{
	memset(&self, 0, sizeof(self));
	crew = (struct fp_crew){ .seg = *b.seg };
	self.crew = &crew;
	self.shared = fp_segment_worker(b.seg, 0);
	self.runner = hands[0].r;
	self.last_lane = LANE;
	ck_assert_int_eq(fp_serve_init(&self), 0);
}

/* Twice: in the slice, and at its end or behind another kind of work. */
START_TEST(comes_back_from_nowhere)
{
	struct fp_place at[PLACES];

	self_open();
	line_open(&l, &b, LANE);
	at[0] = line_submit(&l);
	ck_assert_uint_eq(find(), at[0].number);
	ck_assert_uint_eq(find(), 0);
	crowd(at);
	self.runner.roams = true;
	if (_i)
		self.runner.untold = at[0].number;
	ck_assert_uint_eq(find(), at[25].number);
	ck_assert(_i || !self.runner.roams);
	fp_serve_fini(&self);
}
END_TEST

START_TEST(goes_where_there_is_more)
{
	static struct line other;
	struct fp_place at[PLACES], next;

	self_open();
	line_open(&l, &b, LANE);
	line_open(&other, &b, LANE + 1);
	at[0] = line_submit(&l);
	ck_assert_uint_eq(find(), at[0].number);
	ck_assert_uint_eq(find(), 0);
	crowd(at);
	next = line_submit(&other);
	self.runner.roams = true;
	ck_assert_uint_eq(find(), next.number);
	ck_assert(self.runner.roams);
	ck_assert_uint_eq(find(), at[25].number);
	ck_assert(self.runner.roams);
	fp_take_tell(&self.runner);
	fp_serve_fini(&self);
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
	tcase_add_loop_test(tc, a_hint_may_not_lead_astray, 0, 3);
	tcase_add_test(tc, stays_in_a_crowd);
	tcase_add_test(tc, who_roams_leaves_a_crowd);
	tcase_add_test(tc, who_roams_stays_where_nobody_is);
	tcase_add_loop_test(tc, comes_back_from_nowhere, 0, 2);
	tcase_add_test(tc, goes_where_there_is_more);
	return test_main(suite);
}
