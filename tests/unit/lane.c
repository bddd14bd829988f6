/* SPDX-License-Identifier: MIT */
/* Lanes: where a submitter puts its tasks, and that every cursor finds them. */
#include "task/lane.h"

#include <errno.h>

#include "unit/hands.h"

static uint32_t state_at(const struct fp_place *at)
{
	return fp_task_state(fp_load_sc(&at->task->word));
}

/* ---- Places ------------------------------------------------------------------------------ */

/* The last visit of a place's page. */
static uint32_t visit_of(const struct fp_place *at)
{
	return fp_load_rlx(&fp_segment_page(b.seg, at->home->page)->visit);
}

START_TEST(places_come_one_behind_the_other)
{
	struct fp_place at, first;
	uint32_t i;

	line_open(&l, &b, LANE);
	first = line_submit(&l);
	ck_assert_uint_eq(first.index, 1);
	ck_assert_uint_eq(first.gen, 1);
	for (i = 2; i <= PLACES; i++) {
		at = line_submit(&l);
		ck_assert_uint_eq(at.number, first.number + i - 1);
	}
	ck_assert_uint_eq(l.p.pages, 1);
	ck_assert_uint_eq(l.p.used, PLACES);
	at = line_submit(&l);
	ck_assert_ptr_ne(at.home, first.home);
	ck_assert_uint_eq(l.p.pages, 2);
	bare_check(&b);
}
END_TEST

START_TEST(a_page_with_what_is_ready_is_not_filled)
{
	struct fp_place at[PLACES], other;
	uint32_t i;

	line_open(&l, &b, LANE);
	for (i = 0; i < PLACES; i++)
		at[i] = line_submit(&l);
	/* All but one have ended and are free; yet none of these places is filled while that is ready. */
	for (i = 0; i < PLACES - 1; i++)
		ck_assert_uint_eq(hand_run(&hands[0], &l), at[i].number);
	for (i = 0; i < PLACES - 1; i++)
		fp_lane_give(at[i].home, at[i].index);
	other = line_submit(&l);
	ck_assert_ptr_ne(other.home, at[0].home);
	ck_assert_uint_eq(visit_of(&other), visit_of(&at[0]) + FP_VISIT_STEP);
	/* Once it has been claimed they are. */
	ck_assert_uint_eq(hand_run(&hands[0], &l), at[PLACES - 1].number);
	for (i = 1; i < PLACES; i++)
		line_submit(&l);
	ck_assert_ptr_eq(line_submit(&l).home, at[0].home);
	ck_assert_uint_eq(l.p.pages, 2);
	bare_check(&b);
}
END_TEST

/* Nothing waits in it, but nothing is free: all have ended and are asked for. */
START_TEST(a_full_page_is_passed_over)
{
	struct fp_place at[4][PLACES];
	uint32_t i, k;

	line_open(&l, &b, LANE);
	for (k = 0; k < 3; k++)
		for (i = 0; i < PLACES; i++) {
			at[k][i] = line_submit(&l);
			ck_assert_uint_eq(hand_run(&hands[0], &l), at[k][i].number);
		}
	ck_assert_uint_eq(l.p.pages, 3);
	at[3][0] = line_submit(&l);
	/* Two were passed over, and a new one came before the third, to be filled later. */
	ck_assert_uint_eq(l.p.pages, 4);
	for (i = 0; i < PLACES; i++) {
		ck_assert_uint_eq(fp_load_rlx(&at[0][i].task->turn), visit_of(&at[0][i]) | FP_TURN_BARE);
		ck_assert_uint_eq(fp_load_rlx(&at[1][i].task->turn), visit_of(&at[1][i]) | FP_TURN_BARE);
	}
	ck_assert_uint_eq(visit_of(&at[3][0]), visit_of(&at[1][0]) + FP_VISIT_STEP);
	ck_assert_uint_gt(visit_of(&at[0][0]), visit_of(&at[2][0]));
	ck_assert_uint_eq(hand_run(&hands[0], &l), at[3][0].number);
	ck_assert_uint_eq(hand_run(&hands[1], &l), 0);
	for (i = 1; i < PLACES; i++)
		at[3][i] = line_submit(&l);
	fp_lane_give(at[2][7].home, at[2][7].index);
	at[0][0] = line_submit(&l);
	ck_assert_uint_eq(at[0][0].number, at[2][7].number);
	for (i = 0; i < PLACES; i++)
		ck_assert_uint_ne(hand_run(&hands[1], &l), 0);
	bare_check(&b);
}
END_TEST

START_TEST(what_was_given_up_comes_back)
{
	struct fp_place at[PLACES];
	uint32_t i, round;

	line_open(&l, &b, LANE);
	for (round = 1; round < 5; round++) {
		for (i = 0; i < PLACES; i++) {
			at[i] = line_submit(&l);
			ck_assert_uint_eq(at[i].gen, round);
			line_give_up(&at[i]);
		}
		while (hand_run(&hands[round % WORKERS], &l))
			;
	}
	ck_assert_uint_eq(l.p.pages, 1);
	ck_assert_uint_eq(l.freed, 3 * PLACES);
	/* What is given up and has not ended stays. */
	for (i = 0; i < PLACES; i++) {
		at[i] = line_submit(&l);
		line_give_up(&at[i]);
	}
	line_submit(&l);
	ck_assert_uint_eq(l.freed, 4 * PLACES);
	ck_assert_uint_eq(l.p.pages, 2);
	bare_check(&b);
}
END_TEST

START_TEST(counting)
{
	uint32_t i;

	line_open(&l, &b, LANE);
	for (i = 0; i < 100; i++)
		line_submit(&l);
	ck_assert_uint_eq(l.p.used, 100);
	for (i = 0; i < 40; i++)
		ck_assert_uint_ne(hand_run(&hands[0], &l), 0);
	ck_assert_uint_eq(l.p.used, 100);
	fp_lane_count(&l.p);
	ck_assert_uint_eq(l.p.used, 60);
}
END_TEST

/* What nobody has begun yet: from the last one back, on the current page. */
START_TEST(backlog)
{
	uint32_t i;

	line_open(&l, &b, LANE);
	ck_assert_uint_eq(fp_lane_backlog(&l.p, 9), 0);
	for (i = 1; i <= 5; i++) {
		line_submit(&l);
		ck_assert_uint_eq(fp_lane_backlog(&l.p, 9), i);
		ck_assert_uint_eq(fp_lane_backlog(&l.p, 2), i < 2 ? i : 2);
	}
	hand_run(&hands[0], &l);
	ck_assert_uint_eq(fp_lane_backlog(&l.p, 9), 4);
	for (i = 0; i < 4; i++)
		hand_run(&hands[1], &l);
	ck_assert_uint_eq(fp_lane_backlog(&l.p, 9), 0);
	line_submit(&l);
	ck_assert_uint_eq(fp_lane_backlog(&l.p, 9), 1);
}
END_TEST

START_TEST(without_memory)
{
	struct fp_place at;
	uint32_t i, pages;

	memset(&l, 0, sizeof(l));
	line_open(&l, &b, LANE);
	for (i = 0; i < PLACES; i++)
		line_submit(&l);
	l.poor = true;
	pages = fp_load_rlx(&b.seg->ctl->task_pages);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(fp_lane_place(&l.p, &at), -ENOMEM);
	/* The page that it had taken is nobody's again. */
	ck_assert_uint_le(fp_load_rlx(&b.seg->ctl->task_pages), pages + 1);
	l.poor = false;
	at = line_submit(&l);
	ck_assert_uint_eq(at.home->page, pages);
	for (i = 0; i < PLACES + 1; i++)
		ck_assert_uint_ne(hand_run(&hands[0], &l), 0);
	bare_check(&b);
}
END_TEST

/* ---- Cursors ------------------------------------------------------------------------------- */

START_TEST(in_the_order_of_submission)
{
	struct fp_place at[300];
	uint32_t i;

	line_open(&l, &b, LANE);
	/* A cursor that was there before. */
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
	for (i = 0; i < 300; i++) {
		at[i] = line_submit(&l);
		if (i % 3 == 0)
			ck_assert_uint_eq(hand_run(&hands[0], &l), at[i / 3].number);
	}
	for (i = 100; i < 300; i++)
		ck_assert_uint_eq(hand_run(&hands[0], &l), at[i].number);
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
	ck_assert_uint_eq(hand_run(&hands[1], &l), 0);
}
END_TEST

START_TEST(a_batch_is_shown_with_its_first)
{
	struct fp_place at[20];
	uint32_t i;

	line_open(&l, &b, LANE);
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
	for (i = 0; i < 20; i++)
		at[i] = line_ready(&l);
	for (i = 20; i-- > 1;) {
		fp_lane_show(&at[i]);
		ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
	}
	fp_lane_show(&at[0]);
	for (i = 0; i < 20; i++)
		ck_assert_uint_eq(hand_run(&hands[0], &l), at[i].number);
}
END_TEST

/* Longer than the ring, so that pages are passed over before it is shown. */
START_TEST(a_batch_that_goes_round)
{
	struct fp_place at[256];
	uint32_t i, n = 0;

	line_open(&l, &b, LANE);
	ck_assert_uint_eq(hand_run(&hands[1], &l), 0);
	for (i = 0; i < 256; i++) {
		at[i] = line_ready(&l);
		/* Who comes meanwhile finds some of it, and must find the rest as well. */
		if (i % 50 == 49)
			n += hand_run(&hands[1], &l) != 0;
	}
	for (i = 256; i-- > 0;)
		fp_lane_show(&at[i]);
	while (hand_run(&hands[1], &l))
		n++;
	ck_assert_uint_eq(n, 256);
	bare_check(&b);
}
END_TEST

/* A worker's first look, while the submitter is in the middle of a batch: nothing of it is begun before it is shown. */
START_TEST(a_batch_that_is_half_shown)
{
	struct fp_place at[PLACES + 9];
	const uint32_t n = _i ? PLACES + 9 : 20;
	uint32_t i;

	line_open(&l, &b, LANE);
	for (i = 0; i < n; i++)
		at[i] = line_ready(&l);
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
	for (i = n; i-- > 1;) {
		fp_lane_show(&at[i]);
		ck_assert_uint_eq(hand_run(&hands[i % WORKERS], &l), 0);
	}
	fp_lane_show(&at[0]);
	for (i = 0; i < n; i++)
		ck_assert_uint_eq(hand_run(&hands[i % 2], &l), at[i].number);
	bare_check(&b);
}
END_TEST

/* What is READY again is found beside a batch that is not shown. */
START_TEST(again_beside_a_batch)
{
	struct fp_place hidden[3], first;
	struct fp_taken t;
	uint32_t i;

	line_open(&l, &b, LANE);
	first = line_submit(&l);
	ck_assert(hand_take(&hands[0], &l, &t));
	for (i = 0; i < 3; i++)
		hidden[i] = line_ready(&l);
	/* In the nursery's place. */
	fp_store_sc(&t.task->word, fp_task_word(fp_task_gen(t.run), FP_TASK_READY, 0, FP_TASK_AGAIN));
	fp_add_sc(&l.p.lane->epoch, 1);
	ck_assert_uint_eq(hand_run(&hands[1], &l), first.number);
	ck_assert_uint_eq(hand_run(&hands[1], &l), 0);
	for (i = 3; i-- > 0;)
		fp_lane_show(&hidden[i]);
	for (i = 0; i < 3; i++)
		ck_assert_uint_eq(hand_run(&hands[1], &l), hidden[i].number);
}
END_TEST

/* A slow cursor stands before a slot that was filled anew, a lap later, and is not shown yet. */
START_TEST(refilled_before_a_slow_cursor)
{
	struct fp_place at[PLACES], again[2];
	uint32_t i;

	line_open(&l, &b, LANE);
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
	for (i = 0; i < PLACES; i++) {
		at[i] = line_submit(&l);
		ck_assert_uint_eq(hand_run(&hands[i ? 1 : 0], &l), at[i].number);
		fp_lane_give(at[i].home, at[i].index);
	}
	again[0] = line_submit(&l);
	again[1] = line_ready(&l);
	ck_assert_uint_eq(again[1].number, at[1].number);
	ck_assert_uint_eq(hand_run(&hands[0], &l), again[0].number);
	ck_assert_uint_eq(hand_run(&hands[0], &l), 0);
	fp_lane_show(&again[1]);
	ck_assert_uint_eq(hand_run(&hands[0], &l), again[1].number);
}
END_TEST

START_TEST(what_is_ready_again_is_found_again)
{
	struct fp_taken t;
	uint32_t i;

	line_open(&l, &b, LANE);
	for (i = 0; i < 10; i++)
		line_submit(&l);
	ck_assert(hand_take(&hands[0], &l, &t));
	while (hand_run(&hands[1], &l))
		;
	/* In the nursery's place. */
	fp_store_sc(&t.task->word, fp_task_word(fp_task_gen(t.run), FP_TASK_READY, 0, FP_TASK_AGAIN));
	ck_assert_uint_eq(hand_run(&hands[1], &l), 0);
	fp_add_sc(&l.p.lane->epoch, 1);
	ck_assert_uint_eq(hand_run(&hands[1], &l), t.number);
	ck_assert_uint_eq(hand_run(&hands[1], &l), 0);
	line_submit(&l);
	ck_assert_uint_ne(hand_run(&hands[1], &l), 0);
}
END_TEST

START_TEST(a_peek_claims_nothing)
{
	struct fp_place at;

	line_open(&l, &b, LANE);
	ck_assert(!fp_take_peek(b.seg, &hands[0].at, LANE));
	at = line_submit(&l);
	ck_assert(fp_take_peek(b.seg, &hands[0].at, LANE));
	ck_assert(fp_take_peek(b.seg, &hands[0].at, LANE));
	ck_assert_uint_eq(state_at(&at), FP_TASK_READY);
	ck_assert_uint_eq(hand_run(&hands[0], &l), at.number);
	ck_assert(!fp_take_peek(b.seg, &hands[0].at, LANE));
}
END_TEST

/* A worker looks at all slots, and stops on its way; when it goes on the submitter has come round. */
START_TEST(lapped_during_a_scan)
{
	struct fp_place at[2 * PLACES], more;
	struct fp_taken t, late;
	uint32_t i, n = 0;

	line_open(&l, &b, LANE);
	for (i = 0; i < 2 * PLACES; i++) {
		at[i] = line_submit(&l);
		if (i == PLACES + 9)
			ck_assert(hand_take(&hands[3], &l, &late));
		else
			ck_assert_uint_eq(hand_run(&hands[1], &l), at[i].number);
	}
	for (i = 0; i < 2 * PLACES; i++)
		if (i != PLACES + 9)
			fp_lane_give(at[i].home, at[i].index);
	/* The submitter is on the first page; who ran the late one on the second dies. */
	for (i = 0; i < 3; i++) {
		line_submit(&l);
		hand_run(&hands[1], &l);
	}
	fp_store_sc(&late.task->word, fp_task_word(fp_task_gen(late.run), FP_TASK_READY, 0, FP_TASK_AGAIN));
	fp_add_sc(&l.p.lane->epoch, 1);
	fp_store_rlx(&hands[3].r.claimer.frame->intent, FP_INTENT_NONE);
	ck_assert(hand_take(&hands[0], &l, &t));
	ck_assert_uint_eq(t.number, late.number);
	/* Meanwhile it fills the second page, where the scan has been, and enters the first anew. */
	do {
		more = line_submit(&l);
		if (more.home == at[0].home)
			hand_run(&hands[1], &l);
		else
			n++;
	} while (n < PLACES - 1);
	for (i = 1; i < FP_PAGE_SLOTS; i++)
		if (!(at[0].home->free >> i & 1))
			fp_lane_give(at[0].home, i);
	more = line_submit(&l);
	ck_assert_ptr_eq(more.home, at[0].home);
	fp_take_run(&hands[0].r, &t);
	for (i = 0; hand_run(&hands[0], &l); i++)
		;
	ck_assert_uint_eq(i, n + 1);
	ck_assert_uint_eq(l.p.pages, 2);
}
END_TEST

/* The submitter has stopped while it passed a page over: the turns are new, the visit is not. */
START_TEST(a_visit_that_is_about_to_begin)
{
	struct fp_place at[PLACES];
	uint32_t i, k;

	line_open(&l, &b, LANE);
	for (i = 0; i < PLACES; i++)
		at[i] = line_submit(&l);
	for (k = 0; k < 10; k++)
		ck_assert_uint_eq(hand_run(&hands[0], &l), at[k].number);
	for (i = 0; i < PLACES - 3; i++)
		fp_store_rlx(&at[i].task->turn, (visit_of(&at[0]) + FP_VISIT_STEP) | FP_TURN_BARE);
	for (; k < 20; k++)
		ck_assert_uint_eq(hand_run(&hands[0], &l), at[k].number);
	for (; k < PLACES; k++)
		ck_assert_uint_eq(hand_run(&hands[1], &l), at[k].number);
	for (i = 0; i < WORKERS; i++)
		ck_assert_uint_eq(hand_run(&hands[i], &l), 0);
}
END_TEST

/* A ring that leads nowhere, or out of the segment, holds nobody for long. */
START_TEST(broken_rings)
{
	static const uint32_t bad[] = { 0, 1, 2, 60000, FP_TASK_PAGES, UINT32_MAX };
	struct fp_place at[100];
	uint32_t i, k, page;

	line_open(&l, &b, LANE);
	for (i = 0; i < 100; i++)
		at[i] = line_submit(&l);
	for (i = 0; i < 100; i++)
		hand_run(&hands[0], &l);
	page = at[50].home->page;
	for (k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		uint32_t was = fp_load_rlx(&fp_segment_page(b.seg, page)->next);

		fp_store_rlx(&fp_segment_page(b.seg, page)->next, bad[k]);
		for (i = 0; i < 3; i++) {
			fp_add_sc(&l.p.lane->epoch, 1);
			hand_run(&hands[i], &l);
			hand_run(&hands[i], &l);
		}
		fp_store_rlx(&fp_segment_page(b.seg, page)->next, was);
		was = fp_load_rlx(&l.p.lane->at);
		fp_store_rlx(&l.p.lane->at, bad[k]);
		fp_add_sc(&l.p.lane->epoch, 1);
		hand_run(&hands[0], &l);
		fp_store_rlx(&l.p.lane->at, was);
	}
	fp_add_sc(&l.p.lane->epoch, 1);
	at[0] = line_submit(&l);
	ck_assert_uint_eq(hand_run(&hands[3], &l), at[0].number);
}
END_TEST

/* ---- A dead worker's lane --------------------------------------------------------------------- */

/*
 * Two have died while they took it over, both with the visit put back, and some of the turns, which
 * were those of places never used: whoever does it at last counts from the newest of all that.
 */
START_TEST(a_lane_is_taken_over_at_last)
{
	uint32_t id = fp_crew_lane(WORKERS, 1, 2), first, newest, i;
	struct fp_place at;

	line_open(&l, &b, id);
	at = line_submit(&l);
	fp_task_cancel(b.seg, at.number, at.gen, FORKPOOL_ITEM_CANCELLED);
	first = at.number / FP_PAGE_SLOTS * FP_PAGE_SLOTS;
	newest = l.p.visit - FP_LANE_LONG_AGO;
	line_close(&l);
	fp_store_rlx(&fp_segment_page(b.seg, first / FP_PAGE_SLOTS)->visit, newest - FP_LANE_LONG_AGO);
	for (i = 1; i < FP_PAGE_SLOTS; i++)
		fp_store_rlx(&fp_segment_task(b.seg, first + i)->turn, i < 5 ? newest - FP_LANE_LONG_AGO : newest);
	bare_check(&b);
	line_open(&l, &b, id);
	ck_assert_uint_eq(l.p.visit, newest + FP_VISIT_STEP);
	for (i = 1; i < FP_PAGE_SLOTS; i++)
		ck_assert_uint_eq(fp_load_rlx(&fp_segment_task(b.seg, first + i)->turn) & ~FP_TURN_BARE, l.p.visit);
	bare_check(&b);
}
END_TEST

START_TEST(a_lane_is_taken_over)
{
	uint32_t id = fp_crew_lane(WORKERS, 1, 2), pages, i, n;
	struct fp_place at[70], other;
	struct fp_taken running;

	line_open(&l, &b, id);
	for (i = 0; i < 70; i++)
		at[i] = line_submit(&l);
	ck_assert(hand_take(&hands[0], &l, &running));
	for (i = 0; i < 5; i++)
		hand_run(&hands[1], &l);
	pages = l.p.pages;
	/* One that was taken and is not linked. */
	other = at[69];
	fp_store_sc(fp_segment_owner(b.seg, fp_load_rlx(&b.seg->ctl->task_pages)), id + 1);
	ck_assert_int_eq(fp_segment_take_room(b.seg, fp_segment_page(b.seg, fp_load_rlx(&b.seg->ctl->task_pages)),
					      FP_PAGE, true), 0);
	fp_add_sc(&b.seg->ctl->task_pages, 1);
	for (i = 0; i < 70; i++)
		fp_task_cancel(b.seg, at[i].number, 1, FORKPOOL_ITEM_CANCELLED);
	line_close(&l);
	line_open(&l, &b, id);
	ck_assert_uint_eq(l.p.pages, pages + 1);
	bare_check(&b);
	/* A cursor that begins before the first task there, one that comes later, and one of before. */
	ck_assert_uint_eq(hand_run(&hands[2], &l), 0);
	for (n = 0; n < 300; n++) {
		other = line_submit(&l);
		ck_assert_uint_ne(other.number, running.number);
		ck_assert_uint_eq(hand_run(&hands[n % 3 + 1], &l), other.number);
		line_give_up(&other);
	}
	ck_assert_uint_eq(l.p.pages, pages + 1);
	/* What ran all the while ends, and its place is used again. */
	fp_take_run(&hands[0].r, &running);
	for (n = 0, i = 0; n < 300 && !i; n++) {
		other = line_submit(&l);
		i = other.number == running.number;
		hand_run(&hands[1], &l);
		line_give_up(&other);
	}
	ck_assert_uint_eq(i, 1);
	bare_check(&b);
}
END_TEST

/* ---- At random --------------------------------------------------------------------------------- */

#define UNDER_WAY	600u
#define STEPS		3000u

struct model {
	struct fp_place at[UNDER_WAY];
	uint32_t n;
	struct fp_taken held[WORKERS];
	bool holds[WORKERS];
};

static void random_submit(struct model *m, uint64_t *seed)
{
	uint32_t n = bare_random(seed, 8) ? (uint32_t)bare_random(seed, 4) + 1
					  : (uint32_t)bare_random(seed, 250), i;

	for (i = 0; i < n && m->n + i < UNDER_WAY; i++) {
		m->at[m->n + i] = line_ready(&l);
		if (!bare_random(seed, 200) && !m->holds[0])
			m->holds[0] = hand_take(&hands[0], &l, &m->held[0]);
	}
	for (n = i; i-- > 0;)
		fp_lane_show(&m->at[m->n + i]);
	m->n += n;
}

static void random_worker(struct model *m, uint32_t id, uint64_t *seed)
{
	uint32_t n = (uint32_t)bare_random(seed, 40);

	if (m->holds[id] && bare_random(seed, 10)) {
		fp_take_run(&hands[id].r, &m->held[id]);
	} else if (m->holds[id]) {
		/* It dies; and another begins. */
		fp_store_sc(&m->held[id].task->word, fp_task_word(fp_task_gen(m->held[id].run),
								  FP_TASK_READY, 0, FP_TASK_AGAIN));
		fp_add_sc(&l.p.lane->epoch, 1);
		fp_store_rlx(&hands[id].r.claimer.frame->intent, FP_INTENT_NONE);
		if (bare_random(seed, 2))
			hand_open(&hands[id], &b, id);
	}
	m->holds[id] = false;
	while (n-- && hand_run(&hands[id], &l))
		;
	m->holds[id] = bare_random(seed, 3) && hand_take(&hands[id], &l, &m->held[id]);
}

/* Some of what has ended is freed, by its submitter or by others. */
static void random_free(struct model *m, uint64_t *seed)
{
	uint32_t i, kept = 0;

	for (i = 0; i < m->n; i++) {
		bool ended = state_at(&m->at[i]) == FP_TASK_DONE;

		if (ended && bare_random(seed, 2))
			fp_lane_give(m->at[i].home, m->at[i].index);
		else if (bare_random(seed, 10) == 0)
			line_give_up(&m->at[i]);
		else
			m->at[kept++] = m->at[i];
	}
	m->n = kept;
}

static uint32_t ready_in_all(void)
{
	uint32_t pages = fp_load_rlx(&b.seg->ctl->task_pages), page, i, n = 0;

	for (page = 1; page < pages; page++)
		for (i = 1; i < FP_PAGE_SLOTS; i++)
			n += fp_task_state(fp_load_sc(&fp_segment_task(b.seg, page * FP_PAGE_SLOTS + i)->word)) ==
			     FP_TASK_READY;
	return n;
}

/* Whatever came before, one worker finds all that there is, whoever it is. */
START_TEST(one_cursor_finds_everything)
{
	static const uint32_t visits[] = { 0, 0x7fffffe0u, 0xffffffe0u };
	uint64_t seed = 77 + (uint64_t)_i;
	static struct model m;
	uint32_t step, id, n, ready;

	memset(&m, 0, sizeof(m));
	ck_assert_int_eq(line_open_at(&l, &b, LANE, visits[_i % 3]), 0);
	for (step = 0; step < STEPS; step++) {
		id = (uint32_t)bare_random(&seed, WORKERS);
		switch (bare_random(&seed, 4)) {
		case 0:
			random_submit(&m, &seed);
			break;
		case 1:
			random_free(&m, &seed);
			break;
		default:
			random_worker(&m, id, &seed);
		}
		if (bare_random(&seed, 20))
			continue;
		/* Its own first: a claim is one at a time. */
		if (m.holds[id])
			fp_take_run(&hands[id].r, &m.held[id]);
		m.holds[id] = false;
		ready = ready_in_all();
		for (n = 0; n < ready && hand_run(&hands[id], &l); n++)
			;
		ck_assert_msg(n == ready && !ready_in_all(), "seed %d, step %u: worker %u finds %u of %u", _i,
			      step, id, n, ready);
		bare_check(&b);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lane");
	TCase *tc = test_case(suite, "places");

	tcase_add_checked_fixture(tc, scene_open, scene_close);
	tcase_add_test(tc, places_come_one_behind_the_other);
	tcase_add_test(tc, a_page_with_what_is_ready_is_not_filled);
	tcase_add_test(tc, a_full_page_is_passed_over);
	tcase_add_test(tc, what_was_given_up_comes_back);
	tcase_add_test(tc, counting);
	tcase_add_test(tc, backlog);
	tcase_add_test(tc, without_memory);
	tc = test_case(suite, "cursors");
	tcase_add_checked_fixture(tc, scene_open, scene_close);
	tcase_add_test(tc, in_the_order_of_submission);
	tcase_add_test(tc, a_batch_is_shown_with_its_first);
	tcase_add_test(tc, a_batch_that_goes_round);
	tcase_add_loop_test(tc, a_batch_that_is_half_shown, 0, 2);
	tcase_add_test(tc, again_beside_a_batch);
	tcase_add_test(tc, refilled_before_a_slow_cursor);
	tcase_add_test(tc, what_is_ready_again_is_found_again);
	tcase_add_test(tc, a_peek_claims_nothing);
	tcase_add_test(tc, lapped_during_a_scan);
	tcase_add_test(tc, a_visit_that_is_about_to_begin);
	tcase_add_test(tc, broken_rings);
	tcase_add_test(tc, a_lane_is_taken_over);
	tcase_add_test(tc, a_lane_is_taken_over_at_last);
	tc = test_case(suite, "random");
	tcase_add_checked_fixture(tc, scene_open, scene_close);
	tcase_add_loop_test(tc, one_cursor_finds_everything, 0, 30);
	return test_main(suite);
}
