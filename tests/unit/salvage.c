/* SPDX-License-Identifier: MIT */
/*
 * Recovery of tasks, row by row: a worker is brought to a point by hand, "dies"
 * there, and the nursery's part is played.  And with whatever a hostile worker may
 * have left in the segment.
 */
#include "proc/salvage.h"

#include "task/check.h"
#include "task/full.h"
#include "task/nest.h"
#include "unit/line.h"

#define WORKERS	4u
#define LANE	2u	/* the host's */
#define PID	4711
#define SIGNAL	9

static struct bare b;
static struct line host, crew;	/* lanes of the host, and of worker 0 */
static struct hand hands[WORKERS];
static struct fp_attempts attempts;

static void scene_open(void)
{
	uint32_t i;

	bare_open(&b, WORKERS);
	for (i = 0; i < WORKERS; i++)
		hand_open(&hands[i], &b, i);
	line_open(&host, &b, LANE);
	line_open(&crew, &b, fp_crew_lane(WORKERS, 1, 0));
	memset(&attempts, 0, sizeof(attempts));
}

static void scene_close(void)
{
	line_close(&host);
	line_close(&crew);
	free(attempts.list);
	bare_close(&b);
}

/* As the host, with so many retries. */
static struct fp_place submit(struct line *l, uint32_t retries)
{
	struct fp_place at = line_ready(l);

	line_extend(at.task)->retries = retries;
	fp_lane_show(&at);
	return at;
}

static enum fp_recovered die(uint32_t id, int outcome)
{
	const struct fp_death death = { .id = id, .pid = PID, .outcome = outcome, .code = SIGNAL };
	enum fp_recovered r = fp_recover_dead(&b.crew, &attempts, &death);

	if (r != FP_RECOVERED_LATER) {
		fp_store_rlx(&hands[id].r.claimer.frame->intent, FP_INTENT_NONE);
		hand_open(&hands[id], &b, id);
	}
	bare_check(&b);
	return r;
}

static void expect_state(const struct fp_place *at, enum fp_task_state state, int outcome, uint32_t who)
{
	uint64_t w = fp_load_sc(&at->task->word);

	ck_assert_msg(w == fp_task_word(at->gen, state, outcome, who), "the word is %#llx",
		      (unsigned long long)w);
}

static uint32_t epoch_of(const struct line *l)
{
	return fp_load_rlx(&l->p.lane->epoch);
}

static void take(uint32_t id, const struct line *l, const struct fp_place *at, struct fp_taken *ret)
{
	ck_assert(hand_take(&hands[id], l, ret));
	ck_assert_uint_eq(ret->number, at->number);
}

static void begin(uint32_t id)
{
	fp_store_rlx(&hands[id].r.claimer.frame->pos, 0);
}

/* ---- The table ------------------------------------------------------------------------- */

START_TEST(an_intent_without_a_claim)
{
	struct fp_place at = submit(&host, 0), other = submit(&host, 0);
	struct fp_frame *frame = hands[0].r.claimer.frame;
	struct fp_taken t;
	uint32_t epoch = epoch_of(&host);

	/* It lies there still; another one runs it; it is another generation's. */
	fp_store_rlx(&frame->intent, fp_intent_of_task(at.gen, at.number));
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_IDLE);
	expect_state(&at, FP_TASK_READY, 0, 0);
	take(1, &host, &at, &t);
	fp_store_rlx(&frame->intent, fp_intent_of_task(at.gen, at.number));
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_IDLE);
	expect_state(&at, FP_TASK_RUN, 0, 1);
	fp_take_run(&hands[1].r, &t);
	take(2, &host, &other, &t);
	fp_store_rlx(&frame->intent, fp_intent_of_task(other.gen - 1, other.number));
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_IDLE);
	expect_state(&other, FP_TASK_RUN, 0, 2);
	ck_assert_uint_eq(epoch_of(&host), epoch);
	fp_take_run(&hands[2].r, &t);
}
END_TEST

/* Whether it has retries or not, and however often: nothing of it has begun. */
START_TEST(a_claim_that_has_not_begun)
{
	struct fp_place at = submit(&host, 0);
	uint32_t epoch = epoch_of(&host), i;
	struct fp_taken t;

	for (i = 0; i < 5; i++) {
		take(i % 2, &host, &at, &t);
		ck_assert(fp_recover_busy(&b.crew, i % 2));
		ck_assert_int_eq(die(i % 2, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_CLAIM);
		expect_state(&at, FP_TASK_READY, 0, FP_TASK_AGAIN);
		ck_assert_uint_eq(epoch_of(&host), epoch + 1 + i);
	}
	ck_assert_uint_eq(fp_load_rlx(&fp_task_ext(at.task)->attempts), 0);
	ck_assert_uint_eq(hand_run(&hands[3], &host), at.number);
	expect_state(&at, FP_TASK_DONE, FORKPOOL_ITEM_OK, 1003);
}
END_TEST

START_TEST(a_task_that_had_begun)
{
	static const int outcomes[] = { FORKPOOL_ITEM_CRASHED, FORKPOOL_ITEM_EXITED,
					FORKPOOL_ITEM_TIMED_OUT, FORKPOOL_ITEM_CANCELLED };
	struct fp_place at = _i % 2 ? line_submit(&host) : submit(&host, 0);
	struct fp_taken t;
	int code;

	take(0, &host, &at, &t);
	begin(0);
	ck_assert_int_eq(die(0, outcomes[_i / 2]), FP_RECOVERED_ITEM);
	expect_state(&at, FP_TASK_DONE, outcomes[_i / 2], PID);
	memcpy(&code, at.task->room, sizeof(code));
	ck_assert_int_eq(code, SIGNAL);
	/* Once more, as after a nursery that looks twice: nothing changes. */
	die(0, FORKPOOL_ITEM_EXITED);
	expect_state(&at, FP_TASK_DONE, outcomes[_i / 2], PID);
}
END_TEST

START_TEST(a_task_with_retries)
{
	struct fp_place at = submit(&host, 3);
	struct fp_taken t;
	uint32_t i;

	for (i = 1; i <= 4; i++) {
		take(i % WORKERS, &host, &at, &t);
		begin(i % WORKERS);
		ck_assert_int_eq(die(i % WORKERS, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_ITEM);
		ck_assert_uint_eq(fp_load_rlx(&fp_task_ext(at.task)->attempts), i);
		if (i < 4)
			expect_state(&at, FP_TASK_READY, 0, FP_TASK_AGAIN);
	}
	expect_state(&at, FP_TASK_DONE, FORKPOOL_ITEM_CRASHED, PID);
}
END_TEST

/* Time that has run out is not to be had again; nor is what was cancelled. */
START_TEST(what_retries_are_not_for)
{
	struct fp_place at = submit(&host, 3), cancelled = submit(&host, 3);
	struct fp_taken t;

	take(0, &host, &at, &t);
	begin(0);
	die(0, FORKPOOL_ITEM_TIMED_OUT);
	expect_state(&at, FP_TASK_DONE, FORKPOOL_ITEM_TIMED_OUT, PID);
	take(1, &host, &cancelled, &t);
	begin(1);
	fp_or_sc(&cancelled.task->word, FP_TASK_CANCEL);
	die(1, FORKPOOL_ITEM_CRASHED);
	ck_assert_int_eq(fp_task_state(fp_load_sc(&cancelled.task->word)), FP_TASK_DONE);
}
END_TEST

/* Flagged between the nursery's look and its swap: it does not run again, whether it had begun or not. */
START_TEST(cancelled_behind_the_look)
{
	const struct fp_death death = { .pid = PID, .outcome = FORKPOOL_ITEM_CRASHED, .code = SIGNAL };
	struct fp_place at = submit(&host, 3);
	struct fp_wreck wreck;
	struct fp_taken t;

	take(0, &host, &at, &t);
	if (_i)
		begin(0);
	ck_assert(fp_wreck_read(&b.crew, 0, 0, &wreck));
	ck_assert(fp_task_flag(b.seg, at.number, at.gen, FP_TASK_CANCEL));
	fp_salvage(&b.crew, &wreck, &death);
	expect_state(&at, FP_TASK_DONE, FORKPOOL_ITEM_CANCELLED, _i ? PID : 0);
	ck_assert_uint_eq(fp_load_rlx(&fp_task_ext(at.task)->attempts), (uint32_t)_i);
	ck_assert(!fp_task_flag(b.seg, at.number, at.gen, FP_TASK_KILL));
}
END_TEST

/* Those who wait for any are told of the last task, and of the one before. */
START_TEST(who_waits_is_told)
{
	struct fp_place at = submit(&host, 0), next = submit(&host, 0);
	struct fp_frame *frame = hands[0].r.claimer.frame;
	struct fp_taken t;
	uint32_t done;

	fp_or_sc(&at.task->asks, FP_ASK_ANY);
	ck_assert_uint_eq(hand_run(&hands[0], &host), at.number);
	done = fp_load_rlx(&b.seg->ctl->done);
	/* Dead behind the store, before anybody was told. */
	die(0, FORKPOOL_ITEM_CRASHED);
	ck_assert_uint_eq(fp_load_rlx(&b.seg->ctl->done), done + 1);
	expect_state(&at, FP_TASK_DONE, FORKPOOL_ITEM_OK, 1000);
	/* Dead behind the next claim. */
	take(0, &host, &next, &t);
	fp_store_rlx(&frame->span, fp_intent_of_task(at.gen, at.number));
	die(0, FORKPOOL_ITEM_CRASHED);
	ck_assert_uint_eq(fp_load_rlx(&b.seg->ctl->done), done + 2);
	expect_state(&next, FP_TASK_READY, 0, FP_TASK_AGAIN);
	/* Stopped there: told as well, and not taken away. */
	take(1, &host, &next, &t);
	fp_store_rlx(&hands[1].r.claimer.frame->span, fp_intent_of_task(at.gen, at.number));
	fp_recover_stopped(&b.crew, 1);
	ck_assert_uint_eq(fp_load_rlx(&b.seg->ctl->done), done + 3);
	expect_state(&next, FP_TASK_RUN, 0, 1);
	fp_take_run(&hands[1].r, &t);
}
END_TEST

/* ---- Children ------------------------------------------------------------------------------- */

/* The item of one task has submitted another. */
static void make_child(const struct fp_place *child, const struct fp_place *parent)
{
	struct fp_task_ext *ext = fp_task_ext(child->task);

	if (!ext)
		ext = line_extend(child->task);
	fp_store_rlx(&ext->parent, fp_parent_of_task(parent->gen, parent->number));
}

START_TEST(children_of_the_dead)
{
	struct fp_place at = submit(&host, 1), child[4];
	struct fp_taken t, theirs, ended;
	uint32_t i;

	take(0, &host, &at, &t);
	begin(0);
	for (i = 0; i < 4; i++) {
		child[i] = submit(&crew, 2);
		make_child(&child[i], &at);
	}
	take(1, &crew, &child[0], &ended);
	fp_take_run(&hands[1].r, &ended);
	take(2, &crew, &child[1], &theirs);
	begin(2);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_ITEM);
	expect_state(&at, FP_TASK_READY, 0, FP_TASK_AGAIN);
	expect_state(&child[0], FP_TASK_DONE, FORKPOOL_ITEM_OK, 1001);
	ck_assert_uint_eq(fp_load_rlx(&child[1].task->word),
			  fp_task_word(child[1].gen, FP_TASK_RUN, 0, 2) | FP_TASK_CANCEL);
	expect_state(&child[2], FP_TASK_DONE, FORKPOOL_ITEM_CANCELLED, 0);
	expect_state(&child[3], FP_TASK_DONE, FORKPOOL_ITEM_CANCELLED, 0);
	/* Whoever runs it dies as well: it never runs again, whatever its retries. */
	ck_assert_int_eq(die(2, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_ITEM);
	ck_assert_int_eq(fp_task_state(fp_load_sc(&child[1].task->word)), FP_TASK_DONE);
	ck_assert_uint_eq(hand_run(&hands[3], &host), at.number);
	ck_assert_uint_eq(hand_run(&hands[3], &crew), 0);
}
END_TEST

/* It dies before the nursery has looked whom to kill: whom it waits for, elsewhere, is found by its own flag. */
START_TEST(a_kill_goes_on_to_children)
{
	struct fp_place at = submit(&host, 0), child;
	struct fp_taken t;

	take(0, &host, &at, &t);
	begin(0);
	child = submit(&crew, 0);
	make_child(&child, &at);
	take(1, &crew, &child, &t);
	begin(1);
	ck_assert(fp_task_flag(b.seg, at.number, at.gen, FP_TASK_FLAGS));
	die(0, FORKPOOL_ITEM_CRASHED);
	expect_state(&at, FP_TASK_DONE, FORKPOOL_ITEM_CANCELLED, PID);
	ck_assert_uint_eq(fp_load_rlx(&child.task->word) & FP_TASK_FLAGS, FP_TASK_FLAGS);
}
END_TEST

/* What an item that has ended has left waits for a worker, or runs, as before. */
START_TEST(what_the_ended_left)
{
	struct fp_place before = submit(&host, 0), at = submit(&host, 0), left[2];
	struct fp_taken t;
	uint32_t i;

	take(0, &host, &before, &t);
	begin(0);
	for (i = 0; i < 2; i++) {
		left[i] = submit(&crew, 2);
		make_child(&left[i], &before);
	}
	fp_take_run(&hands[0].r, &t);
	take(0, &host, &at, &t);
	begin(0);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_ITEM);
	for (i = 0; i < 2; i++)
		ck_assert_uint_eq(hand_run(&hands[1], &crew), left[i].number);
}
END_TEST

/* Its memory is the dead one's: that is settled when it has ended. */
START_TEST(a_child_with_memory_of_the_dead)
{
	struct fp_place at = submit(&host, 1), child;
	struct fp_taken t, theirs;

	take(0, &host, &at, &t);
	begin(0);
	child = line_ready(&crew);
	make_child(&child, &at);
	child.task->flags |= FP_TASK_IN_FAR;
	fp_lane_show(&child);
	take(2, &crew, &child, &theirs);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_LATER);
	expect_state(&at, FP_TASK_RUN, 0, 0);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_LATER);
	ck_assert_uint_eq(fp_load_rlx(&fp_task_ext(at.task)->attempts), 0);
	fp_take_run(&hands[2].r, &theirs);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_ITEM);
	expect_state(&at, FP_TASK_READY, 0, FP_TASK_AGAIN);
	hand_run(&hands[1], &host);
}
END_TEST

/* What a worker ran for itself in a frame above goes with its parent; what it ran for another does not. */
START_TEST(frames_above)
{
	struct fp_place at = submit(&host, 0), own = submit(&crew, 5), others;
	struct line theirs;
	struct fp_taken t;
	struct hand above;
	uint32_t room = 1;

	make_child(&own, &at);
	line_open(&theirs, &b, fp_crew_lane(WORKERS, 1, 3));
	others = submit(&theirs, 1);
	take(0, &host, &at, &t);
	begin(0);
	memset(&above, 0, sizeof(above));
	above.r = hands[0].r;
	above.r.untold = FP_INTENT_NONE;
	fp_store_rlx(&fp_segment_worker(b.seg, 0)->depth, 1);
	above.r.claimer.frame = fp_nest_push(b.seg, 0, 1, &room);
	ck_assert_ptr_nonnull(above.r.claimer.frame);
	ck_assert(hand_take(&above, _i ? &theirs : &crew, &t));
	fp_store_rlx(&above.r.claimer.frame->pos, 0);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_ITEM);
	expect_state(&at, FP_TASK_DONE, FORKPOOL_ITEM_CRASHED, PID);
	if (_i)
		expect_state(&others, FP_TASK_READY, 0, FP_TASK_AGAIN);
	ck_assert_int_eq(fp_task_state(fp_load_sc(&own.task->word)), FP_TASK_DONE);
	line_close(&theirs);
}
END_TEST

/* Memory of an item in a frame above: that frame is settled after it too, in every round. */
START_TEST(a_grandchild_with_memory_of_the_dead)
{
	struct fp_place at = submit(&host, 0), child = submit(&crew, 0), grand;
	struct fp_taken t, theirs;
	struct hand above;
	uint32_t room = 1;
	int i;

	make_child(&child, &at);
	take(0, &host, &at, &t);
	begin(0);
	memset(&above, 0, sizeof(above));
	above.r = hands[0].r;
	above.r.untold = FP_INTENT_NONE;
	fp_store_rlx(&fp_segment_worker(b.seg, 0)->depth, 1);
	above.r.claimer.frame = fp_nest_push(b.seg, 0, 1, &room);
	ck_assert_ptr_nonnull(above.r.claimer.frame);
	ck_assert(hand_take(&above, &crew, &t));
	fp_store_rlx(&above.r.claimer.frame->pos, 0);
	grand = line_ready(&crew);
	make_child(&grand, &child);
	fp_store_rlx(&fp_task_ext(grand.task)->frame, fp_nest_tag(7, 1));
	grand.task->flags |= FP_TASK_IN_FAR;
	fp_lane_show(&grand);
	take(2, &crew, &grand, &theirs);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_LATER);
		expect_state(&child, FP_TASK_RUN, 0, 0);
		expect_state(&at, FP_TASK_RUN, 0, 0);
	}
	fp_take_run(&hands[2].r, &theirs);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED), FP_RECOVERED_ITEM);
	expect_state(&at, FP_TASK_DONE, FORKPOOL_ITEM_CRASHED, PID);
	ck_assert_int_eq(fp_task_state(fp_load_sc(&child.task->word)), FP_TASK_DONE);
}
END_TEST

/* ---- Hostile values ------------------------------------------------------------------------------ */

static uint64_t random_word(uint64_t *seed)
{
	uint64_t w = bare_random(seed, UINT64_MAX);

	switch (bare_random(seed, 6)) {
	case 0:
		return w;
	case 1:
		return w | FP_INTENT_TASK | (uint64_t)1 << 63;
	case 2:
		return fp_intent_of_task((uint32_t)w & 3, (uint32_t)(w >> 20) & 0x1fffff);
	case 3:
		return fp_intent_of_task((uint32_t)w & 3, (uint32_t)(w >> 20) & 127);
	case 4:
		return fp_task_word((uint32_t)w & 3, (enum fp_task_state)(w >> 8 & 3), 0, (uint32_t)w >> 16 & 3);
	default:
		return w & 0xffff;
	}
}

/* Of the nursery nothing but what lies in the segment is changed, and it comes to an end. */
START_TEST(whatever_lies_there)
{
	uint32_t step, i, pages;
	uint64_t seed = 4242 + (uint64_t)_i;
	struct fp_ctl *ctl = b.seg->ctl;

	for (i = 0; i < 100; i++)
		submit(i % 2 ? &host : &crew, i % 3);
	pages = fp_load_rlx(&ctl->task_pages);
	for (step = 0; step < 400; step++) {
		const struct fp_death death = { (uint32_t)bare_random(&seed, WORKERS), PID,
						1 + (int)bare_random(&seed, 5), SIGNAL, 0, 0 };
		struct fp_worker *w = fp_segment_worker(b.seg, death.id);
		struct fp_task *t = fp_segment_task(b.seg, FP_PAGE_SLOTS + (uint32_t)bare_random(&seed, 128));

		fp_store_rlx(&w->base.intent, random_word(&seed));
		fp_store_rlx(&w->base.span, random_word(&seed));
		fp_store_rlx(&w->base.pos, bare_random(&seed, 2) ? FP_POS_NONE : random_word(&seed));
		fp_store_rlx(&t->word, random_word(&seed));
		fp_store_rlx(&t->turn, (uint32_t)random_word(&seed));
		t->flags = (uint8_t)random_word(&seed);
		fp_store_rlx(fp_segment_owner(b.seg, (uint32_t)bare_random(&seed, 6)), (uint32_t)random_word(&seed));
		fp_store_rlx(&fp_segment_page(b.seg, 1 + (uint32_t)bare_random(&seed, 4))->next, (uint32_t)random_word(&seed));
		/* Where there are fewer, as well as where there are more than can be. */
		fp_store_rlx(&ctl->task_pages, bare_random(&seed, 4) ? pages : (uint32_t)bare_random(&seed, 8));
		fp_recover_dead(&b.crew, &attempts, &death);
		fp_recover_stopped(&b.crew, death.id);
		fp_recover_busy(&b.crew, death.id);
		fp_lanes_room(b.seg);
	}
	/* Numbers beyond the pages that there are, with every page there might be. */
	fp_store_rlx(&ctl->task_pages, UINT32_MAX);
	fp_store_rlx(&fp_segment_worker(b.seg, 0)->base.intent, fp_intent_of_task(1, 0x1fffff));
	fp_store_rlx(&fp_segment_worker(b.seg, 0)->base.span, fp_intent_of_task(1, 0x1fffe0));
	ck_assert(!fp_recover_busy(&b.crew, 0));
	fp_recover_stopped(&b.crew, 0);
	fp_store_rlx(&ctl->task_pages, pages);
}
END_TEST

/* The segment is unsound behind it: nothing checks it. */
static void wreck_close(void)
{
	line_close(&host);
	line_close(&crew);
	free(attempts.list);
	free(b.claimers);
	fp_segment_destroy(b.seg);
}

int main(void)
{
	Suite *suite = suite_create("salvage");
	TCase *tc = test_case(suite, "rows");

	tcase_add_checked_fixture(tc, scene_open, scene_close);
	tcase_add_test(tc, an_intent_without_a_claim);
	tcase_add_test(tc, a_claim_that_has_not_begun);
	tcase_add_loop_test(tc, a_task_that_had_begun, 0, 8);
	tcase_add_test(tc, a_task_with_retries);
	tcase_add_test(tc, what_retries_are_not_for);
	tcase_add_loop_test(tc, cancelled_behind_the_look, 0, 2);
	tcase_add_test(tc, who_waits_is_told);
	tcase_add_test(tc, children_of_the_dead);
	tcase_add_test(tc, a_kill_goes_on_to_children);
	tcase_add_test(tc, what_the_ended_left);
	tcase_add_test(tc, a_grandchild_with_memory_of_the_dead);
	tcase_add_test(tc, a_child_with_memory_of_the_dead);
	tcase_add_loop_test(tc, frames_above, 0, 2);
	tc = test_case(suite, "hostile");
	tcase_add_checked_fixture(tc, scene_open, wreck_close);
	tcase_add_loop_test(tc, whatever_lies_there, 0, 20);
	return test_main(suite);
}
