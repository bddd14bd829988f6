/* SPDX-License-Identifier: MIT */
/*
 * The claim log: whoever claims, splits and finishes in whatever order, each
 * item is claimed once, and the last one who finishes completes the job.
 */
#include "task/cancel.h"
#include "task/claim.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "os/sys.h"
#include "test.h"

#define JOBS	60		/* of the tests with threads */
#define ITEMS	700

/* A worker that the test plays: at most one chunk at a time. */
struct hand {
	struct fp_chunk chunk;
	bool busy;
};

static unsigned char *counts;	/* claims of each item of the job */

static void count_items(uint64_t begin, uint64_t end)
{
	uint64_t i;

	for (i = begin; i < end; i++)
		counts[i]++;
}

static void expect_once(uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		ck_assert_msg(counts[i] == 1, "item %llu of %llu: %d times",
			      (unsigned long long)i, (unsigned long long)n, counts[i]);
}

/* Splits now and then, finishes, and returns how many items were settled. */
static uint64_t settle(struct bare *b, uint32_t id, struct hand *h, unsigned split)
{
	struct fp_chunk *c = &h->chunk;
	uint64_t len = c->end - c->begin, at;

	h->busy = false;
	if (split && len > 1 && bare_random(&b->seed, 100) < split) {
		at = c->begin + 1 + bare_random(&b->seed, len - 1);
		if (fp_claim_split(&b->claimers[id], c, at)) {
			ck_assert_uint_eq(c->end, at);
			count_items(c->begin, at);
			return at - c->begin;
		}
	}
	count_items(c->begin, c->end);
	fp_claim_finish(&b->claimers[id], c);
	return len;
}

/* Plays all workers in random order until the job is done. */
static void play(struct bare *b, uint64_t n, unsigned split)
{
	uint32_t workers = b->seg->geo.workers, id;
	struct hand *hands = calloc(workers, sizeof(*hands));
	uint64_t done = 0;

	memset(counts, 0, n);
	while (!bare_done(b)) {
		id = (uint32_t)bare_random(&b->seed, workers);
		if (hands[id].busy) {
			done += settle(b, id, &hands[id], split);
			ck_assert_uint_eq(fp_job_progress(b->seg, BARE_SLOT, b->gen, n), done);
		} else if (bare_turn(b, id, bare_random(&b->seed, 3000))) {
			b->claimers[id].last_len = 1 + bare_random(&b->seed, 64);
			hands[id].busy = fp_claim(&b->claimers[id], &hands[id].chunk);
		}
		ck_assert_uint_le(done, n);
	}
	ck_assert_uint_eq(done, n);
	expect_once(n);
	bare_check(b);
	free(hands);
}

static void play_shapes(uint32_t workers, uint64_t most, unsigned split)
{
	struct fp_job_desc desc = { .fn = 1 };
	struct bare b;

	counts = calloc(most, 1);
	bare_open(&b, workers);
	for (desc.count = 1; desc.count <= most; desc.count++) {
		desc.chunk = desc.count % 3 ? 0 : 1 + desc.count % 17;
		bare_publish(&b, &desc);
		play(&b, desc.count, split);
	}
	bare_close(&b);
	free(counts);
}

START_TEST(each_item_is_claimed_once)
{
	static const uint32_t workers[] = { 1, 2, 3, 5, 13, 64, 65, 200 };

	play_shapes(workers[_i], 70, 0);
	play_shapes(workers[_i], 70, 60);
}
END_TEST

/* ---- Splits ------------------------------------------------------------------------------ */

START_TEST(sub_regions_serve_again_within_a_job)
{
	const struct fp_job_desc desc = { .fn = 1, .count = 5000, .chunk = 500 };
	uint32_t first, again = 0, id, q;
	uint64_t before[16];
	struct bare b;

	counts = calloc(desc.count, 1);
	bare_open(&b, 3);
	first = fp_first_sub(&b.seg->geo, 0);
	ck_assert_uint_le(3 * b.seg->geo.own, 16);
	for (q = 0; q < 20; q++) {
		for (id = 0; id < 3 * b.seg->geo.own; id++)
			before[id] = fp_word_gen(b.slot.regions[first + id].name);
		bare_publish(&b, &desc);
		play(&b, desc.count, 90);
		for (id = 0; id < 3 * b.seg->geo.own; id++)
			again += fp_word_gen(b.slot.regions[first + id].name) > before[id] + 1;
	}
	ck_assert_uint_gt(again, 20);
	bare_close(&b);
	free(counts);
}
END_TEST

START_TEST(split_says_no_when_all_subs_are_used)
{
	const struct fp_job_desc desc = { .fn = 1, .count = 100, .chunk = 100 };
	struct fp_chunk chunk, nested;
	struct bare b;
	uint32_t i;

	counts = calloc(desc.count, 1);
	bare_open(&b, 1);
	bare_publish(&b, &desc);
	ck_assert(bare_turn(&b, 0, 0));
	ck_assert(fp_claim(&b.claimers[0], &chunk));
	for (i = 0; i < b.seg->geo.own; i++) {
		ck_assert(fp_claim_split(&b.claimers[0], &chunk, chunk.begin + 1));
		ck_assert(fp_claim(&b.claimers[0], &chunk));
		bare_check(&b);
	}
	nested = chunk;
	ck_assert(!fp_claim_split(&b.claimers[0], &chunk, chunk.begin + 1));
	ck_assert_mem_eq(&chunk, &nested, sizeof(chunk));
	ck_assert(!bare_done(&b));
	fp_claim_finish(&b.claimers[0], &chunk);
	ck_assert(bare_done(&b));
	bare_close(&b);
	free(counts);
}
END_TEST

/* ---- Sizes -------------------------------------------------------------------------------- */

struct piece {
	uint64_t begin, end;
};

static int by_begin(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* Claims everything of a job, one worker after the other: the chunks, in order. */
static size_t claim_all(struct bare *b, struct piece *pieces, size_t room)
{
	struct fp_chunk chunk;
	size_t n = 0;
	uint32_t id = 0;

	while (bare_turn(b, id, 0) && fp_claim(&b->claimers[id], &chunk)) {
		ck_assert_uint_lt(n, room);
		pieces[n++] = (struct piece){ chunk.begin, chunk.end };
		fp_claim_finish(&b->claimers[id], &chunk);
		id = (id + 1) % b->seg->geo.workers;
	}
	ck_assert(bare_done(b));
	qsort(pieces, n, sizeof(*pieces), by_begin);
	return n;
}

static void expect_all(uint32_t workers, uint64_t count, uint64_t chunk)
{
	const struct fp_job_desc desc = { .fn = 1, .count = count, .chunk = chunk };
	const size_t room = 4 * (size_t)FP_TOP_WORDS;
	struct piece *pieces = calloc(room, sizeof(*pieces));
	uint64_t at = 0;
	struct bare b;
	size_t n, i;

	bare_open(&b, workers);
	bare_publish(&b, &desc);
	n = claim_all(&b, pieces, room);
	for (i = 0; i < n; i++) {
		ck_assert_uint_eq(pieces[i].begin, at);
		at = pieces[i].end;
	}
	ck_assert_uint_eq(at, count);
	ck_assert_uint_le(n, FP_TOP_WORDS);
	bare_close(&b);
	free(pieces);
}

START_TEST(huge_jobs)
{
	expect_all(1, FP_REGION_MAX + 5, (uint64_t)1 << 20);
	expect_all(3, FP_REGION_MAX + 5, (uint64_t)1 << 20);
	expect_all(2, 64 * FP_REGION_MAX, (uint64_t)1 << 25);
}
END_TEST

/* Wishes that are too small for the log: it closes with its last word. */
START_TEST(logs_close_exactly)
{
	expect_all(1, FP_TOP_WORDS, 1);
	expect_all(1, FP_TOP_WORDS + 1, 1);
	expect_all(1, 3 * (uint64_t)FP_TOP_WORDS + 1, 1);
	expect_all(7, 3 * (uint64_t)FP_TOP_WORDS + 1, 1);
	expect_all(64, 5 * (uint64_t)FP_TOP_WORDS - 1, 0);
}
END_TEST

/* ---- Generations ---------------------------------------------------------------------------- */

START_TEST(generations_wrap)
{
	const struct fp_job_desc desc = { .fn = 1, .count = 400, .chunk = 40 };
	uint32_t id, i;
	struct bare b;

	counts = calloc(desc.count, 1);
	bare_open(&b, 2);
	b.gen = ((uint64_t)9 << FP_GEN_BITS) - 4;
	for (id = 1 + b.seg->geo.tops; id < b.seg->geo.ids; id++)
		fp_store_rlx(&b.slot.regions[id].name, fp_name(FP_GEN_MASK - 2, 0, 0));
	for (i = 0; i < 10; i++) {
		ck_assert_uint_ne(bare_publish(&b, &desc) & FP_GEN_MASK, 0);
		play(&b, desc.count, 70);
	}
	bare_close(&b);
	free(counts);
}
END_TEST

/* A claimer of an older job gets nothing from a newer one, and harms nothing. */
static void expect_stale(uint64_t gen)
{
	const struct fp_job_desc desc = { .fn = 1, .count = 90, .chunk = 10 };
	struct fp_chunk chunk;
	struct fp_claimer late;
	struct bare b;

	counts = calloc(desc.count, 1);
	bare_open(&b, 2);
	bare_publish(&b, &desc);
	ck_assert(bare_turn(&b, 1, 0));
	ck_assert(fp_claim(&b.claimers[1], &chunk));
	fp_claim_finish(&b.claimers[1], &chunk);
	late = b.claimers[1];
	while (bare_turn(&b, 0, 0) && fp_claim(&b.claimers[0], &chunk))
		fp_claim_finish(&b.claimers[0], &chunk);
	ck_assert(bare_done(&b));
	ck_assert(!fp_claim(&late, &chunk));
	b.gen = gen;
	bare_publish(&b, &desc);
	ck_assert(!fp_claim(&late, &chunk));
	bare_check(&b);
	play(&b, desc.count, 50);
	ck_assert(!fp_claim(&late, &chunk));
	bare_close(&b);
	free(counts);
}

START_TEST(stale_claimers_get_nothing)
{
	expect_stale(1);
	/* Round once: the same short generation as before. */
	expect_stale(FP_GEN_MASK);
}
END_TEST

START_TEST(abandoned_jobs_are_not_claimed)
{
	const struct fp_job_desc desc = { .fn = 1, .count = 90, .chunk = 10 };
	struct fp_chunk chunk;
	struct bare b;

	bare_open(&b, 1);
	bare_publish(&b, &desc);
	ck_assert(bare_turn(&b, 0, 0));
	ck_assert(fp_claim(&b.claimers[0], &chunk));
	fp_job_abandon(b.seg, BARE_SLOT);
	fp_claim_finish(&b.claimers[0], &chunk);
	ck_assert(!fp_claim(&b.claimers[0], &chunk));
	ck_assert(!bare_turn(&b, 0, 0));
	ck_assert_int_eq(fp_job_wait(b.seg, BARE_SLOT, b.gen, 0, 0), -ECANCELED);
	bare_close(&b);
}
END_TEST

/* ---- Threads -------------------------------------------------------------------------------- */

static fp_a32 claims[JOBS + 1][ITEMS];
static fp_a32 over;

struct worker {
	pthread_t thread;
	struct bare *b;
	uint32_t id;
	uint64_t seed;
	uint32_t splits;
};

static void count(const struct fp_claimer *c, uint64_t begin, uint64_t end)
{
	uint64_t i;

	for (i = begin; i < end; i++)
		fp_add_sc(&claims[FP_JOB_GEN(c->run)][i], 1);
}

/* What comes before a split is counted before it: with the split it is settled. */
static void run_chunk(struct worker *w, struct fp_claimer *c, struct fp_chunk *chunk)
{
	uint64_t len = chunk->end - chunk->begin, at = chunk->begin;

	if (len > 1 && bare_random(&w->seed, 2)) {
		at += 1 + bare_random(&w->seed, len - 1);
		count(c, chunk->begin, at);
		if (fp_claim_split(c, chunk, at)) {
			w->splits++;
			return;
		}
	}
	count(c, at, chunk->end);
	fp_claim_finish(c, chunk);
}

/* Never waits for a job to be published, so it meets each in all states. */
static void *work(void *arg)
{
	struct worker *w = arg;
	struct fp_claimer *c = &w->b->claimers[w->id];
	struct fp_chunk chunk;

	while (!fp_load_acq(&over)) {
		if (!bare_turn(w->b, w->id, bare_random(&w->seed, 5000)))
			continue;
		while (fp_claim(c, &chunk))
			run_chunk(w, c, &chunk);
	}
	return NULL;
}

static void expect_claims(uint64_t gen, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < ITEMS; i++)
		ck_assert_msg(fp_load_rlx(&claims[gen][i]) == (i < n),
			      "job %llu, item %llu of %llu: %u times", (unsigned long long)gen,
			      (unsigned long long)i, (unsigned long long)n,
			      fp_load_rlx(&claims[gen][i]));
}

static void run_jobs(struct bare *b)
{
	struct fp_job_desc desc = { .fn = 1 };
	uint64_t gen;
	int i;

	for (i = 0; i < JOBS; i++) {
		desc.count = 1 + bare_random(&b->seed, ITEMS);
		desc.chunk = bare_random(&b->seed, 2) ? 0 : 1 + bare_random(&b->seed, 200);
		gen = bare_publish(b, &desc);
		ck_assert_int_eq(fp_job_wait(b->seg, BARE_SLOT, gen, FP_FOREVER, 0), 0);
		expect_claims(gen, desc.count);
		bare_check(b);
	}
}

START_TEST(threads_claim_once)
{
	const uint32_t n = (uint32_t)_i;
	struct worker workers[16];
	uint32_t splits = 0, i;
	struct bare b;

	memset(claims, 0, sizeof(claims));
	fp_store_rlx(&over, 0);
	bare_open(&b, n);
	fp_store_rlx(&b.seg->ctl->life, 1);
	for (i = 0; i < n; i++) {
		workers[i] = (struct worker){ .b = &b, .id = i, .seed = 77 + i };
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	run_jobs(&b);
	fp_store_rel(&over, 1);
	for (i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		splits += workers[i].splits;
	}
	ck_assert_uint_gt(splits, 0);
	bare_close(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("claim");
	TCase *tc = test_case(suite, "once");

	tcase_add_loop_test(tc, each_item_is_claimed_once, 0, 8);
	tcase_add_test(tc, huge_jobs);
	tcase_add_test(tc, logs_close_exactly);
	tc = test_case(suite, "splits");
	tcase_add_test(tc, sub_regions_serve_again_within_a_job);
	tcase_add_test(tc, split_says_no_when_all_subs_are_used);
	tc = test_case(suite, "generations");
	tcase_add_test(tc, generations_wrap);
	tcase_add_test(tc, stale_claimers_get_nothing);
	tcase_add_test(tc, abandoned_jobs_are_not_claimed);
	tc = test_case(suite, "threads");
	tcase_add_loop_test(tc, threads_claim_once, 1, 5);
	return test_main(suite);
}
