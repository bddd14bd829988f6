/* SPDX-License-Identifier: MIT */
/* The checker finds what it is there to find: each kind of damage, one by one. */
#include "task/check.h"

#include <string.h>

#include "bare.h"
#include "test.h"
#include "unit/line.h"

#define WORKERS	3u
#define LANE	4u

/* Worker 0 has done one chunk, 1 runs one, 2 has split one. */
struct scene {
	struct bare b;
	struct fp_chunk done, run, split;
};

static void scene_open(struct scene *s)
{
	const struct fp_job_desc desc = { .fn = 1, .count = 60, .chunk = 10 };
	struct fp_chunk *chunks[] = { &s->done, &s->run, &s->split };
	uint32_t id;

	bare_open(&s->b, WORKERS);
	bare_publish(&s->b, &desc);
	for (id = 0; id < WORKERS; id++) {
		ck_assert(bare_turn(&s->b, id, 0));
		ck_assert(fp_claim(&s->b.claimers[id], chunks[id]));
	}
	fp_claim_finish(&s->b.claimers[0], &s->done);
	ck_assert(fp_claim_split(&s->b.claimers[2], &s->split, s->split.begin + 4));
	bare_check(&s->b);
}

static void scene_finish(struct scene *s)
{
	struct fp_chunk chunk;

	fp_claim_finish(&s->b.claimers[1], &s->run);
	while (bare_turn(&s->b, 0, 0) && fp_claim(&s->b.claimers[0], &chunk))
		fp_claim_finish(&s->b.claimers[0], &chunk);
	ck_assert(bare_done(&s->b));
}

/* With another value in a word the check must fail, and pass when it is back. */
static void expect_found(struct scene *s, fp_a64 *at, uint64_t value)
{
	uint64_t was = fp_load_rlx(at);
	char text[200];

	ck_assert_uint_ne(was, value);
	fp_store_rlx(at, value);
	ck_assert_msg(fp_check(s->b.seg, text, sizeof(text)) == text,
		      "%#llx in place of %#llx passed", (unsigned long long)value,
		      (unsigned long long)was);
	fp_store_rlx(at, was);
	bare_check(&s->b);
}

static uint64_t with_state(uint64_t w, enum fp_word_state state)
{
	return fp_word(fp_word_gen(w), state, fp_word_owner(w), fp_word_end(w));
}

static uint64_t with_owner(uint64_t w, uint64_t owner)
{
	return fp_word(fp_word_gen(w), fp_word_state(w), owner, fp_word_end(w));
}

static uint64_t with_end(uint64_t w, uint64_t end)
{
	return fp_word(fp_word_gen(w), fp_word_state(w), fp_word_owner(w), end);
}

START_TEST(words)
{
	struct scene s;
	uint64_t w;

	scene_open(&s);
	w = fp_load_rlx(s.run.word);
	expect_found(&s, s.run.word, with_state(w, FP_EMPTY));
	expect_found(&s, s.run.word, with_owner(w, WORKERS));
	expect_found(&s, s.run.word, with_owner(w, 0));
	expect_found(&s, s.run.word, with_end(w, 0));
	expect_found(&s, s.run.word, with_end(w, FP_REGION_MAX));
	w = fp_load_rlx(s.done.word);
	expect_found(&s, s.done.word, with_owner(w, FP_OWNER_MASK));
	expect_found(&s, s.done.word + 1, w);
	expect_found(&s, s.done.word + 2, with_end(w, 20));
	w = fp_load_rlx(s.split.word);
	expect_found(&s, s.split.word, with_owner(w, 1));
	expect_found(&s, s.split.word, with_owner(w, fp_word_owner(w) + 1));
	expect_found(&s, s.split.word, with_state(w, FP_RUN));
	bare_close(&s.b);
}
END_TEST

START_TEST(regions)
{
	struct fp_region *sub;
	struct scene s;
	uint32_t id;

	scene_open(&s);
	id = fp_word_owner(fp_load_rlx(s.split.word));
	sub = &s.b.slot.regions[id];
	expect_found(&s, &sub->extent, fp_load_rlx(&sub->extent) + 1);
	expect_found(&s, &sub->low, fp_load_rlx(&sub->low) - 1);
	expect_found(&s, &sub->name, fp_load_rlx(&sub->name) + 1);
	expect_found(&s, &s.b.slot.job->used[id / 64], 0);
	expect_found(&s, &s.b.slot.regions[0].name, 0);
	expect_found(&s, &s.b.slot.regions[2].low, 7);
	expect_found(&s, &s.b.slot.regions[1].extent, fp_tagged(1, 0));
	expect_found(&s, &s.b.slot.root[0], 0);
	expect_found(&s, &s.b.slot.root[1], fp_word(1, FP_DONE, 2, 2));
	bare_close(&s.b);
}
END_TEST

START_TEST(jobs)
{
	struct scene s;
	uint64_t w;

	scene_open(&s);
	expect_found(&s, &s.b.slot.job->word, fp_job_word(s.b.gen, FP_JOB_DONE));
	expect_found(&s, &s.b.slot.job->word, fp_job_word(s.b.gen, FP_JOB_RUN | FP_JOB_DONE));
	expect_found(&s, &s.b.slot.job->word, fp_job_word(s.b.gen, FP_JOB_RUN | 0x40));
	expect_found(&s, &s.b.slot.job->word, fp_job_word(s.b.gen + 1, FP_JOB_RUN));
	scene_finish(&s);
	bare_check(&s.b);
	w = fp_load_rlx(s.split.word);
	expect_found(&s, s.split.word, with_state(w, FP_SPLIT));
	expect_found(&s, s.done.word, with_state(fp_load_rlx(s.done.word), FP_RUN));
	expect_found(&s, s.done.word, 0);
	expect_found(&s, &s.b.slot.root[0], fp_word(s.b.gen, FP_SPLIT, 1, 1));
	bare_close(&s.b);
}
END_TEST

START_TEST(header_and_workers)
{
	struct fp_worker *w;
	char text[200];
	struct scene s;

	scene_open(&s);
	w = fp_segment_worker(s.b.seg, 1);
	expect_found(&s, &s.b.seg->ctl->hungry[0], (uint64_t)1 << WORKERS);
	expect_found(&s, &s.b.seg->ctl->asleep[FP_MAP_WORDS - 1], 1);
	expect_found(&s, &w->base.intent, FP_INTENT_NONE);
	expect_found(&s, &w->base.intent, 1);
	fp_store_rlx(&w->state, FP_WORKER_LEFT + 1);
	ck_assert_ptr_nonnull(fp_check(s.b.seg, text, sizeof(text)));
	fp_store_rlx(&w->state, FP_WORKER_READY);
	s.b.seg->ctl->slot_off += FP_PAGE;
	ck_assert_ptr_nonnull(fp_check(s.b.seg, text, sizeof(text)));
	s.b.seg->ctl->slot_off -= FP_PAGE;
	s.b.seg->ctl->magic = 0;
	ck_assert_ptr_nonnull(fp_check(s.b.seg, text, sizeof(text)));
	s.b.seg->ctl->magic = FP_MAGIC;
	bare_close(&s.b);
}
END_TEST

/* ---- Tasks ------------------------------------------------------------------------------ */

/* Lanes of the host and of worker 1; of the former's tasks one runs, one has ended, others wait. */
struct tasks {
	struct bare b;
	struct line host, crew;
	struct hand hand;
	struct fp_place at[70], child;
	struct fp_taken runs;
};

static void tasks_open(struct tasks *s)
{
	uint32_t i;

	bare_open(&s->b, WORKERS);
	line_open(&s->host, &s->b, LANE);
	line_open(&s->crew, &s->b, fp_crew_lane(WORKERS, 1, 1));
	hand_open(&s->hand, &s->b, 2);
	for (i = 0; i < 70; i++)
		s->at[i] = line_submit(&s->host);
	s->child = line_submit(&s->crew);
	ck_assert_uint_eq(hand_run(&s->hand, &s->host), s->at[0].number);
	ck_assert(hand_take(&s->hand, &s->host, &s->runs));
	bare_check(&s->b);
}

static void tasks_close(struct tasks *s)
{
	line_close(&s->host);
	line_close(&s->crew);
	bare_close(&s->b);
}

static void expect_seen(struct tasks *s, fp_a64 *at, uint64_t value)
{
	uint64_t was = fp_load_rlx(at);
	char text[200];

	ck_assert_uint_ne(was, value);
	fp_store_rlx(at, value);
	ck_assert_msg(fp_check(s->b.seg, text, sizeof(text)) == text, "%#llx in place of %#llx passed",
		      (unsigned long long)value, (unsigned long long)was);
	fp_store_rlx(at, was);
	bare_check(&s->b);
}

static void expect_seen_half(struct tasks *s, fp_a32 *at, uint32_t value)
{
	uint32_t was = fp_load_rlx(at);
	char text[200];

	ck_assert_uint_ne(was, value);
	fp_store_rlx(at, value);
	ck_assert_msg(fp_check(s->b.seg, text, sizeof(text)) == text, "%#x in place of %#x passed", value, was);
	fp_store_rlx(at, was);
	bare_check(&s->b);
}

START_TEST(task_words)
{
	struct tasks s;
	fp_a64 *runs, *waits, *ended, *freed;
	uint32_t gen;

	tasks_open(&s);
	runs = &s.runs.task->word;
	ended = &s.at[0].task->word;
	waits = &s.at[9].task->word;
	freed = &fp_segment_task(s.b.seg, s.child.number + 1)->word;
	gen = fp_task_gen(s.runs.run);
	expect_seen(&s, runs, fp_task_word(gen, FP_TASK_RUN, 0, WORKERS));
	expect_seen(&s, runs, fp_task_word(gen, FP_TASK_RUN, 0, 1));
	expect_seen(&s, runs, fp_task_word(gen + 1, FP_TASK_RUN, 0, 2));
	expect_seen(&s, ended, fp_task_word(gen, FP_TASK_RUN, 0, 2));
	expect_seen(&s, ended, fp_task_word(gen, FP_TASK_DONE, FORKPOOL_ITEM_NOT_RUN + 1, 5));
	expect_seen(&s, ended, fp_task_word(gen, FP_TASK_DONE, FORKPOOL_ITEM_OK, 5) | FP_TASK_CANCEL);
	expect_seen(&s, waits, fp_task_word(gen, FP_TASK_READY, 0, FP_TASK_AGAIN + 1));
	expect_seen(&s, waits, fp_task_word(gen, FP_TASK_READY, 1, 0));
	expect_seen(&s, waits, fp_task_word(gen, FP_TASK_READY, 0, 0) | FP_TASK_CANCEL);
	expect_seen(&s, waits, fp_task_word(gen, (enum fp_task_state)(FP_TASK_DONE + 1), 0, 0));
	expect_seen(&s, freed, fp_task_word(gen, FP_TASK_FREE, 0, 0));
	expect_seen(&s, &fp_segment_worker(s.b.seg, 2)->base.intent, FP_INTENT_NONE);
	expect_seen(&s, &fp_segment_worker(s.b.seg, 0)->base.intent, fp_intent_of_task(1, 0));
	expect_seen(&s, &fp_segment_worker(s.b.seg, 0)->base.intent, fp_intent_of_task(1, 0x1fffff));
	tasks_close(&s);
}
END_TEST

START_TEST(task_pages)
{
	uint32_t page, mine, visit;
	struct fp_task_page *first;
	struct fp_ctl *ctl;
	struct tasks s;

	tasks_open(&s);
	ctl = s.b.seg->ctl;
	page = s.at[0].home->page;
	mine = s.child.home->page;
	first = fp_segment_page(s.b.seg, page);
	visit = s.host.p.visit;
	expect_seen_half(&s, fp_segment_owner(s.b.seg, page), fp_segment_lanes(s.b.seg) + 1);
	expect_seen_half(&s, fp_segment_owner(s.b.seg, page), 0);
	expect_seen_half(&s, fp_segment_owner(s.b.seg, page), LANE + 2);
	expect_seen_half(&s, fp_segment_owner(s.b.seg, mine), LANE + 1);
	expect_seen_half(&s, &first->next, 0);
	expect_seen_half(&s, &first->next, page);
	expect_seen_half(&s, &first->next, mine);
	expect_seen_half(&s, &first->next, FP_TASK_PAGES);
	expect_seen_half(&s, &first->next, UINT32_MAX);
	expect_seen_half(&s, &fp_segment_page(s.b.seg, mine)->next, page);
	expect_seen_half(&s, &first->visit, visit + 2 * FP_VISIT_STEP);
	expect_seen_half(&s, &s.at[3].task->turn, visit + 2 * FP_VISIT_STEP);
	expect_seen_half(&s, &s.host.p.lane->at, 0);
	expect_seen_half(&s, &s.host.p.lane->at, mine);
	expect_seen_half(&s, &s.host.p.lane->epoch, 0);
	expect_seen_half(&s, &ctl->task_pages, s.b.seg->geo.pages + 1);
	expect_seen_half(&s, &ctl->task_pages, page);
	expect_seen(&s, &ctl->host_lanes[0][0], 1);
	expect_seen(&s, &ctl->crew_lanes[1][0], fp_load_rlx(&ctl->crew_lanes[1][0]) | (uint64_t)1 << WORKERS);
	tasks_close(&s);
}
END_TEST

/* Who takes a worker's lane over may die at any of these steps. */
START_TEST(lane_half_taken_over)
{
	struct fp_task_page *page;
	uint32_t past, first, i;
	struct tasks s;
	fp_a32 *turn;

	tasks_open(&s);
	page = fp_segment_page(s.b.seg, s.child.home->page);
	first = s.child.home->page * FP_PAGE_SLOTS;
	past = s.crew.p.visit - FP_LANE_LONG_AGO;
	expect_seen_half(&s, &page->visit, past - 2 * FP_VISIT_STEP);
	fp_store_rlx(&page->visit, past);
	for (i = 1; i < FP_PAGE_SLOTS; i++) {
		bare_check(&s.b);
		turn = &fp_segment_task(s.b.seg, first + i)->turn;
		expect_seen_half(&s, turn, s.crew.p.visit + 2 * FP_VISIT_STEP);
		fp_store_rlx(turn, past);
	}
	bare_check(&s.b);
	tasks_close(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("check");
	TCase *tc = test_case(suite, "damage");

	tcase_add_test(tc, words);
	tcase_add_test(tc, regions);
	tcase_add_test(tc, jobs);
	tcase_add_test(tc, header_and_workers);
	tc = test_case(suite, "tasks");
	tcase_add_test(tc, task_words);
	tcase_add_test(tc, task_pages);
	tcase_add_test(tc, lane_half_taken_over);
	return test_main(suite);
}
