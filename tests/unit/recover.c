/* SPDX-License-Identifier: MIT */
/*
 * Recovery, state by state: a worker is brought to a point by hand, "dies"
 * there, and others finish the job.
 */
#include "proc/recover.h"

#include <stdlib.h>
#include <string.h>

#include <forkpool.h>

#include "bare.h"
#include "task/outcome.h"
#include "test.h"

#define COUNT	40u
#define PID	4711
#define SIGNAL	9

struct scene {
	struct bare b;
	struct fp_attempts attempts;
	struct fp_job_desc desc;
	struct forkpool_status status[COUNT];
	unsigned ran[COUNT];
	struct fp_chunk chunk;		/* of worker 0 */
};

static void scene_open(struct scene *s, uint32_t workers, struct fp_job_desc desc)
{
	memset(s, 0, sizeof(*s));
	s->desc = desc;
	s->desc.fn = 1;
	s->desc.count = COUNT;
	s->desc.status = s->status;
	bare_open(&s->b, workers);
	bare_publish(&s->b, &s->desc);
}

static void scene_close(struct scene *s)
{
	ck_assert(bare_done(&s->b));
	bare_close(&s->b);
	free(s->attempts.list);
}

/* Worker id claims; false when there is nothing left. */
static bool claim(struct scene *s, uint32_t id, struct fp_chunk *chunk)
{
	return bare_turn(&s->b, id, 0) && fp_claim(&s->b.claimers[id], chunk);
}

/* Worker 0 runs its chunk up to item `at`, which it is in the middle of. */
static void run_to(struct scene *s, uint64_t at)
{
	uint64_t i;

	for (i = s->chunk.begin; i <= at; i++) {
		fp_store_rlx(&s->b.claimers[0].frame->pos, i);
		s->ran[i]++;
	}
}

static enum fp_recovered die(struct scene *s, uint32_t id)
{
	const struct fp_death death = {
		.id = id,
		.pid = PID,
		.outcome = FORKPOOL_ITEM_CRASHED,
		.code = SIGNAL,
	};
	enum fp_recovered r = fp_recover_dead(&s->b.crew, &s->attempts, &death);

	if (r != FP_RECOVERED_LATER)
		fp_store_rlx(&s->b.claimers[id].frame->intent, FP_INTENT_NONE);
	bare_check(&s->b);
	return r;
}

/* Worker id claims, runs and finishes a chunk. */
static bool run_chunk(struct scene *s, uint32_t id)
{
	struct fp_chunk chunk;
	uint64_t i;

	if (!claim(s, id, &chunk))
		return false;
	for (i = chunk.begin; i < chunk.end; i++)
		s->ran[i]++;
	fp_outcome_ran(s->b.slot.job, chunk.begin, chunk.end, PID + 1);
	fp_claim_finish(&s->b.claimers[id], &chunk);
	return true;
}

/* The last worker runs all that is left. */
static void finish(struct scene *s)
{
	while (run_chunk(s, s->b.seg->geo.workers - 1))
		;
	ck_assert(bare_done(&s->b));
}

/* All items are ok and ran once, but [begin, end), which did not end. */
static void expect_all_but(struct scene *s, uint64_t begin, uint64_t end)
{
	uint64_t i;

	for (i = 0; i < COUNT; i++) {
		bool lost = i >= begin && i < end;

		ck_assert_msg(lost || s->ran[i] == 1, "item %d ran %u times", (int)i, s->ran[i]);
		ck_assert_msg(s->ran[i] <= 1, "item %d ran %u times", (int)i, s->ran[i]);
		if (i == begin && lost)
			continue;
		ck_assert_int_eq(s->status[i].outcome, FORKPOOL_ITEM_OK);
	}
}

static void expect_first(struct scene *s, uint64_t index, int outcome)
{
	uint64_t first;
	int how;

	if (outcome == FORKPOOL_ITEM_OK) {
		ck_assert(!fp_job_first(s->b.seg, BARE_SLOT, COUNT, &first, &how));
		return;
	}
	ck_assert(fp_job_first(s->b.seg, BARE_SLOT, COUNT, &first, &how));
	ck_assert_uint_eq(first, index);
	ck_assert_int_eq(how, outcome);
	if (s->desc.flags & FP_JOB_RANGE)
		return;
	ck_assert_int_eq(s->status[index].outcome, outcome);
	ck_assert_int_eq(s->status[index].code, SIGNAL);
	ck_assert_int_eq(s->status[index].worker, PID);
}

/* ---- Without retries ------------------------------------------------------------------- */

START_TEST(death_without_a_claim)
{
	struct scene s;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 10 });
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_IDLE);
	finish(&s);
	expect_first(&s, 0, FORKPOOL_ITEM_OK);
	scene_close(&s);
}
END_TEST

START_TEST(death_before_the_first_item)
{
	struct scene s;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 10 });
	ck_assert(claim(&s, 0, &s.chunk));
	ck_assert(fp_recover_busy(&s.b.crew, 0));
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_CLAIM);
	ck_assert(!fp_recover_busy(&s.b.crew, 0));
	finish(&s);
	expect_all_but(&s, 0, 0);
	expect_first(&s, 0, FORKPOOL_ITEM_OK);
	scene_close(&s);
}
END_TEST

/* At each item of the chunk in turn, the first and the last among them. */
START_TEST(death_in_an_item)
{
	struct scene s;
	uint64_t i;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 10 });
	ck_assert(claim(&s, 0, &s.chunk));
	run_to(&s, s.chunk.begin + (uint64_t)_i);
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
	finish(&s);
	i = s.chunk.begin + (uint64_t)_i;
	expect_all_but(&s, i, i + 1);
	expect_first(&s, i, FORKPOOL_ITEM_CRASHED);
	ck_assert_uint_eq(s.status[i].attempts, 1);
	ck_assert_uint_eq(s.status[s.chunk.begin].attempts, 1);
	scene_close(&s);
}
END_TEST

/* Worker 0 holds a chunk; all others are done. */
static void open_last(struct scene *s, uint64_t items)
{
	struct fp_chunk chunk;

	scene_open(s, 2, (struct fp_job_desc){ .chunk = items });
	ck_assert(claim(s, 0, &s->chunk));
	while (claim(s, 1, &chunk))
		fp_claim_finish(&s->b.claimers[1], &chunk);
}

START_TEST(death_in_the_last_item_completes_the_job)
{
	struct scene s;

	open_last(&s, 20);
	run_to(&s, s.chunk.end - 1);
	ck_assert(!bare_done(&s.b));
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
	expect_first(&s, s.chunk.end - 1, FORKPOOL_ITEM_CRASHED);
	scene_close(&s);
}
END_TEST

/* pos of a chunk before, in this chunk's place by its number: it must not count. */
START_TEST(left_over_positions_do_not_count)
{
	struct scene s;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 10 });
	ck_assert(claim(&s, 0, &s.chunk));
	fp_store_rlx(&s.b.claimers[0].frame->pos, s.chunk.end + 1);
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_CLAIM);
	finish(&s);
	expect_all_but(&s, 0, 0);
	scene_close(&s);
}
END_TEST

/* ---- Half-way through other things ----------------------------------------------------------- */

START_TEST(stale_intents_do_nothing)
{
	struct scene s;
	uint64_t intent;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 10 });
	ck_assert(claim(&s, 0, &s.chunk));
	intent = fp_load_rlx(&s.b.claimers[0].frame->intent);
	fp_claim_finish(&s.b.claimers[0], &s.chunk);
	finish(&s);
	memset(s.ran, 0, sizeof(s.ran));
	bare_publish(&s.b, &s.desc);
	ck_assert(claim(&s, 1, &s.chunk));
	/* Of the job before; and of this one, but claimed by another. */
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_IDLE);
	fp_store_rlx(&s.b.claimers[0].frame->intent,
		     fp_load_rlx(&s.b.claimers[1].frame->intent));
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_IDLE);
	ck_assert_uint_ne(intent, fp_load_rlx(&s.b.claimers[1].frame->intent));
	fp_claim_finish(&s.b.claimers[1], &s.chunk);
	finish(&s);
	scene_close(&s);
}
END_TEST

/* What a hostile worker may leave there: nothing breaks. */
START_TEST(wild_intents_do_nothing)
{
	struct scene s;
	int i;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 10 });
	ck_assert(claim(&s, 1, &s.chunk));
	for (i = 0; i < 100000; i++) {
		uint64_t w = bare_random(&s.b.seed, UINT64_MAX);
		const struct fp_death death = { .id = 0, .pid = PID };

		/* Slots without a job have no room in the file. */
		w = (w & ~((uint64_t)0x3f << 26)) | (uint64_t)BARE_SLOT << 26;
		fp_store_rlx(&s.b.claimers[0].frame->intent, w);
		fp_recover_stopped(&s.b.crew, 0);
		ck_assert_int_eq(fp_recover_dead(&s.b.crew, &s.attempts, &death),
				 FP_RECOVERED_IDLE);
	}
	fp_store_rlx(&s.b.claimers[0].frame->intent, FP_INTENT_NONE);
	fp_claim_finish(&s.b.claimers[1], &s.chunk);
	finish(&s);
	scene_close(&s);
}
END_TEST

/* Dead between the DONE store and the walk, with the last chunk of all. */
static void leave_done(struct scene *s)
{
	uint64_t w;

	open_last(s, 10);
	w = fp_load_rlx(s->chunk.word);
	fp_store_sc(s->chunk.word, fp_word(s->chunk.gen, FP_DONE, 0, fp_word_end(w)));
	ck_assert(!bare_done(&s->b));
}

START_TEST(done_intents_complete_the_job)
{
	struct scene s;

	leave_done(&s);
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_IDLE);
	scene_close(&s);
	leave_done(&s);
	fp_recover_stopped(&s.b.crew, 0);
	scene_close(&s);
}
END_TEST

/* Dead in a split: after the sub-region was filled, before it was published. */
START_TEST(death_before_a_split_is_published)
{
	struct fp_sub sub = { .len = 5 };
	struct scene s;
	uint32_t id;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 10 });
	ck_assert(claim(&s, 0, &s.chunk));
	run_to(&s, s.chunk.begin + 4);
	sub.parent = s.chunk.region;
	sub.index = s.chunk.index;
	sub.low = s.chunk.begin + 5;
	id = fp_sub_find(s.b.seg, &s.b.slot, s.b.claimers[0].tops, s.b.gen,
			 fp_first_sub(&s.b.seg->geo, 0), s.b.seg->geo.own);
	ck_assert_uint_ne(id, 0);
	fp_sub_fill(s.b.seg, &s.b.slot, s.b.claimers[0].tops, id, &sub);
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
	finish(&s);
	expect_all_but(&s, s.chunk.begin + 4, s.chunk.begin + 5);
	scene_close(&s);
}
END_TEST

START_TEST(death_after_a_split_is_published)
{
	struct scene s;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 10 });
	ck_assert(claim(&s, 0, &s.chunk));
	run_to(&s, s.chunk.begin + 4);
	ck_assert(fp_claim_split(&s.b.claimers[0], &s.chunk, s.chunk.begin + 5));
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_IDLE);
	finish(&s);
	expect_all_but(&s, 0, 0);
	scene_close(&s);
}
END_TEST

/* ---- Retries -------------------------------------------------------------------------------------- */

START_TEST(retries_are_counted)
{
	const unsigned retries = 2;
	struct scene s;
	unsigned n;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 40, .retries = retries });
	for (n = 0; n <= retries; n++) {
		ck_assert(claim(&s, 0, &s.chunk));
		ck_assert_uint_eq(s.chunk.begin, n ? 3 : 0);
		fp_store_rlx(&s.b.claimers[0].frame->pos, 3);
		ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
	}
	expect_first(&s, 3, FORKPOOL_ITEM_CRASHED);
	ck_assert_uint_eq(s.status[3].attempts, retries + 1);
	finish(&s);
	for (n = 0; n < COUNT; n++)
		ck_assert_uint_eq(s.ran[n], n > 3);
	scene_close(&s);
}
END_TEST

START_TEST(retry_can_succeed)
{
	struct scene s;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 40, .retries = 1 });
	ck_assert(claim(&s, 0, &s.chunk));
	run_to(&s, 7);
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
	s.ran[7] = 0;
	finish(&s);
	expect_all_but(&s, 0, 0);
	expect_first(&s, 0, FORKPOOL_ITEM_OK);
	ck_assert_uint_eq(s.status[7].attempts, 2);
	scene_close(&s);
}
END_TEST

/* A map that is gone on with in a job of its own: what its status says was used up before. */
START_TEST(attempts_of_an_earlier_run_count)
{
	const unsigned retries = 3;
	struct scene s;
	unsigned n;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 40, .retries = retries });
	s.status[3] = (struct forkpool_status){ FORKPOOL_ITEM_CANCELLED, 0, 2, PID + 2 };
	for (n = 2; n <= retries; n++) {
		ck_assert(claim(&s, 0, &s.chunk));
		fp_store_rlx(&s.b.claimers[0].frame->pos, 3);
		ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
		ck_assert_uint_eq(s.status[3].attempts, n + 1);
	}
	expect_first(&s, 3, FORKPOOL_ITEM_CRASHED);
	finish(&s);
	scene_close(&s);
}
END_TEST

/* It had ended, and was noted, but its chunk was not given back: that attempt is the one at hand. */
START_TEST(a_noted_attempt_counts_once)
{
	struct scene s;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 40, .retries = 1 });
	ck_assert(claim(&s, 0, &s.chunk));
	run_to(&s, 7);
	fp_outcome_ran(s.b.slot.job, 0, 8, PID);
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
	finish(&s);
	expect_first(&s, 0, FORKPOOL_ITEM_OK);
	ck_assert_uint_eq(s.status[7].attempts, 2);
	scene_close(&s);
}
END_TEST

/* A job's attempts are not those of the job before in the same slot. */
START_TEST(attempts_belong_to_a_job)
{
	struct scene s;
	int i;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 40, .retries = 1 });
	for (i = 0; i < 5; i++) {
		ck_assert(claim(&s, 0, &s.chunk));
		fp_store_rlx(&s.b.claimers[0].frame->pos, 0);
		ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
		finish(&s);
		expect_first(&s, 0, FORKPOOL_ITEM_OK);
		memset(s.status, 0, sizeof(s.status));
		bare_publish(&s.b, &s.desc);
	}
	ck_assert_uint_eq(s.attempts.n, 1);
	finish(&s);
	scene_close(&s);
}
END_TEST

/* ---- Ranges ----------------------------------------------------------------------------------------- */

START_TEST(range_crashes_as_a_whole)
{
	struct scene s;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 20, .flags = FP_JOB_RANGE });
	ck_assert(claim(&s, 0, &s.chunk));
	fp_store_rlx(&s.b.claimers[0].frame->span, 5);
	run_to(&s, s.chunk.begin + 5);
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
	finish(&s);
	expect_all_but(&s, s.chunk.begin + 5, s.chunk.begin + 10);
	ck_assert_uint_eq(s.ran[s.chunk.begin + 9], 0);
	expect_first(&s, s.chunk.begin + 5, FORKPOOL_ITEM_CRASHED);
	scene_close(&s);
}
END_TEST

/* How a worker runs the guilty item's range: in parts of the region's batch. */
static void run_range(struct scene *s, uint64_t guilty)
{
	struct fp_frame *frame = s->b.claimers[0].frame;
	uint64_t batch = fp_load_rlx(&s->b.slot.regions[s->chunk.region].batch);
	uint64_t at = s->chunk.begin, span, i;

	span = batch ? batch : 16;
	fp_store_rlx(&frame->span, span);
	for (; at + span <= guilty; at += span)
		for (i = at; i < at + span; i++)
			s->ran[i]++;
	fp_store_rlx(&frame->pos, at);
}

START_TEST(range_is_halved_to_the_guilty_item)
{
	const uint64_t guilty = (uint64_t)_i;
	struct scene s;
	int deaths = 0;

	scene_open(&s, 1, (struct fp_job_desc){ .chunk = COUNT, .flags = FP_JOB_RANGE,
						.retries = 1 });
	s.desc.status = NULL;
	s.b.slot.job->desc.status = NULL;
	while (claim(&s, 0, &s.chunk) && s.chunk.begin <= guilty && guilty < s.chunk.end) {
		run_range(&s, guilty);
		ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
		ck_assert_int_lt(++deaths, 10);
	}
	/* 16, 8, 4, 2, 1 and once more; fewer where a short end is met. */
	ck_assert_int_ge(deaths, 2);
	fp_recover_dead(&s.b.crew, &s.attempts, &(struct fp_death){ .id = 0, .pid = PID });
	finish(&s);
	expect_first(&s, guilty, FORKPOOL_ITEM_CRASHED);
	expect_all_but(&s, guilty, guilty + 1);
	scene_close(&s);
}
END_TEST

/* ---- No spare left ------------------------------------------------------------------------------------ */

/* Deaths one inside the other, far more than there are spares. */
START_TEST(one_bad_item_after_the_other)
{
	struct scene s;
	uint64_t i;

	scene_open(&s, 1, (struct fp_job_desc){ .chunk = COUNT, .retries = 100 });
	for (i = 0; i < 4000; i++) {
		ck_assert(claim(&s, 0, &s.chunk));
		fp_store_rlx(&s.b.claimers[0].frame->pos, s.chunk.begin);
		ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
	}
	ck_assert_uint_eq(s.chunk.begin, 39);
	finish(&s);
	for (i = 0; i < 39; i++)
		ck_assert_int_eq(s.status[i].outcome, FORKPOOL_ITEM_CRASHED);
	scene_close(&s);
}
END_TEST

/* Long regions, whose chunks have long rests, whose chunks have rests again. */
START_TEST(rests_of_rests)
{
	struct scene s;
	int i;

	scene_open(&s, 1, (struct fp_job_desc){ .chunk = 0 });
	s.desc.count = FP_REGION_MAX;
	s.desc.status = NULL;
	finish(&s);
	bare_publish(&s.b, &s.desc);
	for (i = 0; i < 5000; i++) {
		ck_assert(claim(&s, 0, &s.chunk));
		fp_store_rlx(&s.b.claimers[0].frame->pos, s.chunk.begin);
		ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
	}
	while (claim(&s, 0, &s.chunk))
		fp_claim_finish(&s.b.claimers[0], &s.chunk);
	scene_close(&s);
}
END_TEST

/* All spares hold something: the claim waits, and is settled when one is free. */
START_TEST(without_a_spare_later)
{
	struct fp_geometry *geo;
	struct scene s;
	uint32_t n;

	scene_open(&s, 2, (struct fp_job_desc){ .chunk = 10 });
	geo = &s.b.crew.seg.geo;
	geo->spares = 3;
	for (n = 0; n < geo->spares; n++) {
		ck_assert(claim(&s, 0, &s.chunk));
		ck_assert_uint_le(s.chunk.region, geo->tops);
		ck_assert_int_eq(die(&s, 0), FP_RECOVERED_CLAIM);
	}
	ck_assert(claim(&s, 0, &s.chunk));
	run_to(&s, s.chunk.begin + 2);
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_LATER);
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_LATER);
	ck_assert_uint_eq(s.attempts.n, 0);
	expect_first(&s, 0, FORKPOOL_ITEM_OK);
	run_chunk(&s, 1);
	ck_assert_int_eq(die(&s, 0), FP_RECOVERED_ITEM);
	finish(&s);
	expect_all_but(&s, s.chunk.begin + 2, s.chunk.begin + 3);
	scene_close(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recover");
	TCase *tc = test_case(suite, "once");

	tcase_add_test(tc, death_without_a_claim);
	tcase_add_test(tc, death_before_the_first_item);
	tcase_add_loop_test(tc, death_in_an_item, 0, 10);
	tcase_add_test(tc, death_in_the_last_item_completes_the_job);
	tcase_add_test(tc, left_over_positions_do_not_count);
	tc = test_case(suite, "half-way");
	tcase_add_test(tc, stale_intents_do_nothing);
	tcase_add_test(tc, wild_intents_do_nothing);
	tcase_add_test(tc, done_intents_complete_the_job);
	tcase_add_test(tc, death_before_a_split_is_published);
	tcase_add_test(tc, death_after_a_split_is_published);
	tc = test_case(suite, "retries");
	tcase_add_test(tc, retries_are_counted);
	tcase_add_test(tc, retry_can_succeed);
	tcase_add_test(tc, attempts_of_an_earlier_run_count);
	tcase_add_test(tc, a_noted_attempt_counts_once);
	tcase_add_test(tc, attempts_belong_to_a_job);
	tc = test_case(suite, "ranges");
	tcase_add_test(tc, range_crashes_as_a_whole);
	tcase_add_loop_test(tc, range_is_halved_to_the_guilty_item, 0, 16);
	tc = test_case(suite, "spares");
	tcase_add_test(tc, one_bad_item_after_the_other);
	tcase_add_test(tc, rests_of_rests);
	tcase_add_test(tc, without_a_spare_later);
	return test_main(suite);
}
