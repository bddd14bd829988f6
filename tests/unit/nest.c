/* SPDX-License-Identifier: MIT */
/* Nested slots, frames and descent, and the recovery of a worker with a stack of items. */
#include "task/nest.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include <forkpool.h>

#include "bare.h"
#include "os/sys.h"
#include "proc/recover.h"
#include "task/cancel.h"
#include "test.h"

static uint32_t room = 1;

static bool is_below(const struct fp_segment *seg, uint32_t slot, uint64_t gen, uint32_t top,
		     uint64_t top_gen)
{
	return fp_nest_below(seg, &(struct fp_elem){ false, slot, gen },
			     &(struct fp_elem){ false, top, top_gen });
}

#define WORKERS	3u
#define COUNT	4u
#define PID	4711

static struct bare b;
static struct fp_sys real;
static struct fp_attempts attempts;

static void setup(void)
{
	real = fp_sys;
	attempts = (struct fp_attempts){ 0 };
	bare_open(&b, WORKERS);
}

static void teardown(void)
{
	fp_sys = real;
	free(attempts.list);
	bare_close(&b);
}

static int no_memory(void *addr, size_t len, int advice)
{
	(void)addr;
	(void)len;
	(void)advice;
	return -EFAULT;
}

static uint32_t holder(uint32_t slot)
{
	return fp_load_rlx(&b.seg->ctl->nest[slot - FP_SLOTS].holder);
}

/* A slot for the item in frame d of worker id, with a job whose parent is as told; its generation. */
static uint64_t nest(uint32_t id, uint32_t d, uint64_t parent, struct forkpool_status *status,
		     uint32_t *slot)
{
	const struct fp_job_desc desc = {
		.fn = 1, .count = COUNT, .chunk = COUNT, .parent = parent, .status = status,
	};
	uint64_t gen;

	ck_assert(fp_nest_take(b.seg, id, d, slot));
	gen = fp_job_next_gen(b.seg, *slot, FP_JOB_GEN(fp_load_rlx(&fp_segment_slot(b.seg, *slot).job->word)));
	fp_job_publish(b.seg, *slot, gen, &desc);
	return gen;
}

static uint64_t publish_outer(struct forkpool_status *status, uint32_t retries)
{
	const struct fp_job_desc desc = {
		.fn = 1, .count = COUNT, .chunk = COUNT, .status = status, .retries = retries,
	};

	return bare_publish(&b, &desc);
}

/* Worker id claims all of a slot's job, in a frame, and is in the middle of item pos. */
static void run_to(uint32_t id, uint32_t d, uint32_t slot, uint64_t pos, struct fp_chunk *chunk)
{
	struct fp_claimer c = {
		.seg = b.seg, .id = id, .frame = fp_segment_frame(b.seg, id, d),
	};

	ck_assert(fp_claimer_open(&c, slot));
	ck_assert(fp_claim(&c, chunk));
	fp_store_rlx(&c.frame->pos, pos);
}

static void finish(uint32_t id, uint32_t d, uint32_t slot, const struct fp_chunk *chunk)
{
	struct fp_claimer c = {
		.seg = b.seg, .id = id, .frame = fp_segment_frame(b.seg, id, d),
		.slot = fp_segment_slot(b.seg, slot),
	};

	c.run = fp_load_rlx(&c.slot.job->word);
	c.tops = fp_load_rlx(&c.slot.job->tops);
	fp_claim_finish(&c, chunk);
}

static enum fp_recovered die(uint32_t id, int outcome, uint64_t limit)
{
	const struct fp_death death = {
		.id = id, .pid = PID, .outcome = outcome, .limit = limit,
		.code = outcome == FORKPOOL_ITEM_CRASHED ? SIGSEGV : 0,
	};

	return fp_recover_dead(&b.crew, &attempts, &death);
}

/* ---- Slots and frames ------------------------------------------------------------------- */

START_TEST(as_many_slots_as_there_are)
{
	bool seen[FP_NESTED] = { false };
	uint32_t slot = 0, i;

	for (i = 0; i < FP_NESTED; i++) {
		ck_assert(fp_nest_take(b.seg, i % WORKERS, i % 7, &slot));
		ck_assert(slot >= FP_SLOTS && slot < FP_ALL_SLOTS && !seen[slot - FP_SLOTS]);
		seen[slot - FP_SLOTS] = true;
	}
	ck_assert(!fp_nest_take(b.seg, 0, 0, &slot));
	fp_nest_give(b.seg, FP_SLOTS + 17);
	ck_assert(fp_nest_take(b.seg, 0, 0, &slot));
	ck_assert_uint_eq(slot, FP_SLOTS + 17);
	for (i = 0; i < FP_NESTED; i++)
		fp_nest_give(b.seg, FP_SLOTS + i);
}
END_TEST

START_TEST(no_slot_without_memory)
{
	uint32_t slot, i;

	fp_sys.advise = no_memory;
	ck_assert(!fp_nest_take(b.seg, 1, 0, &slot));
	for (i = 0; i < FP_NESTED; i++)
		ck_assert_uint_eq(holder(FP_SLOTS + i), 0);
	fp_sys = real;
	ck_assert(fp_nest_take(b.seg, 1, 0, &slot));
	fp_nest_give(b.seg, slot);
	/* What has memory once keeps it. */
	fp_sys.advise = no_memory;
	ck_assert(fp_nest_take(b.seg, 1, 0, &slot));
	fp_nest_give(b.seg, slot);
}
END_TEST

START_TEST(frames_up_to_the_bound)
{
	struct fp_frame *f;
	uint32_t d;

	ck_assert_uint_eq(fp_segment_depth(b.seg, 1), 1);
	fp_sys.advise = no_memory;
	ck_assert_ptr_null(fp_nest_push(b.seg, 1, 1, &room));
	ck_assert_uint_eq(fp_segment_depth(b.seg, 1), 1);
	fp_sys = real;
	for (d = 1; d < FP_DEPTH; d++) {
		f = fp_nest_push(b.seg, 1, d, &room);
		ck_assert_ptr_eq(f, fp_segment_frame(b.seg, 1, d));
		ck_assert_uint_eq(fp_segment_depth(b.seg, 1), d + 1);
		ck_assert(fp_load_rlx(&f->pos) == FP_POS_NONE && fp_load_rlx(&f->intent) == FP_INTENT_NONE);
		fp_store_rlx(&f->pos, d);
		fp_store_rlx(&f->intent, ~(uint64_t)0);
	}
	ck_assert_ptr_null(fp_nest_push(b.seg, 1, FP_DEPTH, &room));
	/* The neighbours' are theirs. */
	ck_assert_uint_eq(fp_load_rlx(&fp_segment_frame(b.seg, 0, 0)->pos), FP_POS_NONE);
	ck_assert_uint_eq(fp_load_rlx(&fp_segment_frame(b.seg, 2, 0)->pos), FP_POS_NONE);
	f = fp_nest_push(b.seg, 1, 1, &room);
	ck_assert(fp_load_rlx(&f->pos) == FP_POS_NONE && fp_load_rlx(&f->intent) == FP_INTENT_NONE);
	fp_nest_pop(b.seg, 1, 1);
	ck_assert_uint_eq(fp_segment_depth(b.seg, 1), 1);
	/* Whatever a worker writes there. */
	fp_store_rlx(&fp_segment_worker(b.seg, 1)->depth, FP_DEPTH + 1);
	ck_assert_uint_eq(fp_segment_depth(b.seg, 1), 1);
	fp_store_rlx(&fp_segment_worker(b.seg, 1)->depth, 1);
}
END_TEST

START_TEST(descent_and_cancel)
{
	uint64_t outer = publish_outer(NULL, 0), gens[2];
	struct fp_chunk chunk;
	uint32_t slots[2];

	gens[0] = nest(0, 0, fp_parent(outer, BARE_SLOT), NULL, &slots[0]);
	gens[1] = nest(1, 0, fp_parent(gens[0], slots[0]), NULL, &slots[1]);
	ck_assert(is_below(b.seg, slots[0], gens[0], BARE_SLOT, outer));
	ck_assert(is_below(b.seg, slots[1], gens[1], BARE_SLOT, outer));
	ck_assert(is_below(b.seg, slots[1], gens[1], slots[0], gens[0]));
	ck_assert(!is_below(b.seg, slots[0], gens[0], slots[1], gens[1]));
	ck_assert(!is_below(b.seg, slots[1], gens[1], slots[0], gens[0] + 1));
	ck_assert(!is_below(b.seg, slots[1], gens[1] + 1, BARE_SLOT, outer));
	/* A ring, that a worker made, has an end. */
	fp_store_rlx(&fp_segment_slot(b.seg, slots[0]).job->parent, fp_parent(gens[1], slots[1]));
	ck_assert(!is_below(b.seg, slots[1], gens[1], BARE_SLOT, outer));
	ck_assert(!fp_nest_cancelled(b.seg, slots[1]));
	fp_store_rlx(&fp_segment_slot(b.seg, slots[0]).job->parent, fp_parent(outer, BARE_SLOT));

	ck_assert(!fp_nest_cancelled(b.seg, slots[1]));
	run_to(2, 0, slots[0], 0, &chunk);
	fp_job_cancel(b.seg, slots[0], gens[0]);
	ck_assert(fp_nest_cancelled(b.seg, slots[1]));
	ck_assert(!fp_nest_cancelled(b.seg, BARE_SLOT));
	/* As long as that runs. */
	finish(2, 0, slots[0], &chunk);
	ck_assert(!fp_nest_cancelled(b.seg, slots[1]));
	fp_job_cancel(b.seg, slots[1], gens[1]);
	fp_job_cancel(b.seg, BARE_SLOT, outer);
	fp_nest_give(b.seg, slots[0]);
	fp_nest_give(b.seg, slots[1]);
}
END_TEST

/* ---- Recovery ----------------------------------------------------------------------------- */

/* Killed after it has taken a slot, before it publishes: also where the regions are made already. */
START_TEST(a_slot_without_a_job)
{
	struct forkpool_status status[COUNT] = { { 0 } };
	struct fp_chunk chunk;
	uint32_t slot;

	publish_outer(status, 0);
	run_to(0, 0, BARE_SLOT, 0, &chunk);
	ck_assert(fp_nest_take(b.seg, 0, 0, &slot));
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED, 0), FP_RECOVERED_ITEM);
	ck_assert_uint_eq(holder(slot), 0);
	ck_assert_int_eq(status[0].outcome, FORKPOOL_ITEM_CRASHED);
	run_to(1, 0, BARE_SLOT, COUNT - 1, &chunk);
	ck_assert_uint_eq(chunk.begin, 1);
	finish(1, 0, BARE_SLOT, &chunk);
	ck_assert(bare_done(&b));
}
END_TEST

/* Worker 0 is in an item of its own map; what it had not begun never is. */
START_TEST(a_stack_of_two)
{
	struct forkpool_status outer[COUNT] = { { 0 } }, inner[COUNT] = { { 0 } };
	uint64_t gen = publish_outer(outer, 0);
	struct fp_chunk chunk;
	uint32_t slot;

	run_to(0, 0, BARE_SLOT, 1, &chunk);
	nest(0, 0, fp_parent(gen, BARE_SLOT), inner, &slot);
	ck_assert_ptr_nonnull(fp_nest_push(b.seg, 0, 1, &room));
	run_to(0, 1, slot, 2, &chunk);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED, 0), FP_RECOVERED_ITEM);
	ck_assert_int_eq(inner[2].outcome, FORKPOOL_ITEM_CRASHED);
	ck_assert_int_eq(outer[1].outcome, FORKPOOL_ITEM_CRASHED);
	ck_assert_int_eq(outer[1].code, SIGSEGV);
	ck_assert_uint_eq(fp_load_rlx(&fp_segment_slot(b.seg, slot).job->word) & (FP_JOB_RUN | FP_JOB_CANCEL),
			  FP_JOB_CANCEL);
	ck_assert_uint_eq(holder(slot), 0);
	run_to(1, 0, BARE_SLOT, COUNT - 1, &chunk);
	ck_assert_uint_eq(chunk.begin, 2);
	finish(1, 0, BARE_SLOT, &chunk);
	ck_assert(bare_done(&b));
}
END_TEST

/* Worker 1 helps, and lives: until it is done, the item that maps is not settled. */
START_TEST(not_before_its_items_have_ended)
{
	struct forkpool_status outer[COUNT] = { { 0 } };
	uint64_t gen = publish_outer(outer, 0), left;
	uint32_t slot, orphan = 0;
	struct fp_chunk chunk, helped;

	run_to(0, 0, BARE_SLOT, 1, &chunk);
	nest(0, 0, fp_parent(gen, BARE_SLOT), NULL, &slot);
	ck_assert_ptr_nonnull(fp_nest_push(b.seg, 0, 1, &room));
	run_to(1, 0, slot, 0, &helped);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED, 0), FP_RECOVERED_LATER);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED, 0), FP_RECOVERED_LATER);
	ck_assert_int_eq(outer[1].outcome, FORKPOOL_ITEM_OK);
	ck_assert_uint_ne(holder(slot), 0);
	ck_assert(fp_nest_orphans(b.seg, 0, &orphan, &left));
	ck_assert_uint_eq(orphan, slot);
	ck_assert(fp_nest_cancelled(b.seg, slot));
	finish(1, 0, slot, &helped);
	orphan = 0;
	ck_assert(!fp_nest_orphans(b.seg, 0, &orphan, &left));
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED, 0), FP_RECOVERED_ITEM);
	ck_assert_int_eq(outer[1].outcome, FORKPOOL_ITEM_CRASHED);
	ck_assert_uint_eq(holder(slot), 0);
	run_to(2, 0, BARE_SLOT, COUNT - 1, &chunk);
	finish(2, 0, BARE_SLOT, &chunk);
	ck_assert(bare_done(&b));
}
END_TEST

/* Both workers of a map die; the helper is settled first, whoever is asked about first. */
START_TEST(helper_and_owner)
{
	struct forkpool_status outer[COUNT] = { { 0 } };
	uint64_t gen = publish_outer(outer, 0);
	struct fp_chunk chunk;
	uint32_t slot;

	run_to(0, 0, BARE_SLOT, 0, &chunk);
	nest(0, 0, fp_parent(gen, BARE_SLOT), NULL, &slot);
	run_to(1, 0, slot, 3, &chunk);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED, 0), FP_RECOVERED_LATER);
	ck_assert_int_eq(die(1, FORKPOOL_ITEM_CRASHED, 0), FP_RECOVERED_ITEM);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_CRASHED, 0), FP_RECOVERED_ITEM);
	run_to(2, 0, BARE_SLOT, COUNT - 1, &chunk);
	finish(2, 0, BARE_SLOT, &chunk);
	ck_assert(bare_done(&b));
}
END_TEST

/* Which of the two was killed for its limit: the inner one (0), or the outer one, and so both. */
START_TEST(whose_limit_it_was)
{
	struct forkpool_status outer[COUNT] = { { 0 } }, inner[COUNT] = { { 0 } };
	uint64_t gen = publish_outer(outer, 1), passed = _i ? 900 : 500;
	struct fp_chunk chunk;
	uint32_t slot;

	run_to(0, 0, BARE_SLOT, 1, &chunk);
	fp_store_rlx(&fp_segment_frame(b.seg, 0, 0)->limit, 900);
	nest(0, 0, fp_parent(gen, BARE_SLOT), inner, &slot);
	ck_assert_ptr_nonnull(fp_nest_push(b.seg, 0, 1, &room));
	run_to(0, 1, slot, 2, &chunk);
	fp_store_rlx(&fp_segment_frame(b.seg, 0, 1)->limit, 500);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_TIMED_OUT, passed), FP_RECOVERED_ITEM);
	ck_assert_int_eq(inner[2].outcome, FORKPOOL_ITEM_TIMED_OUT);
	/* The innocent one has a retry left; one that has timed out has none. */
	run_to(1, 0, BARE_SLOT, COUNT - 1, &chunk);
	ck_assert_uint_eq(chunk.begin, _i ? 2 : 1);
	ck_assert_int_eq(outer[1].outcome, _i ? FORKPOOL_ITEM_TIMED_OUT : FORKPOOL_ITEM_CANCELLED);
	finish(1, 0, BARE_SLOT, &chunk);
	while (!bare_done(&b)) {
		run_to(2, 0, BARE_SLOT, COUNT - 1, &chunk);
		finish(2, 0, BARE_SLOT, &chunk);
	}
}
END_TEST

/* A worker that leaves in the middle of a chunk loses nothing, and no item is blamed. */
START_TEST(left_in_the_middle)
{
	struct forkpool_status outer[COUNT] = { { 0 } };
	struct fp_chunk chunk;

	publish_outer(outer, 0);
	run_to(0, 0, BARE_SLOT, 3 | FP_POS_LEFT, &chunk);
	ck_assert_int_eq(die(0, FORKPOOL_ITEM_EXITED, 0), FP_RECOVERED_CLAIM);
	run_to(1, 0, BARE_SLOT, 3, &chunk);
	ck_assert_uint_eq(chunk.begin, 3);
	ck_assert_uint_eq(chunk.end, COUNT);
	finish(1, 0, BARE_SLOT, &chunk);
	ck_assert(bare_done(&b));
	ck_assert_int_eq(outer[3].outcome, FORKPOOL_ITEM_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nest");
	TCase *tc = test_case(suite, "slots");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, as_many_slots_as_there_are);
	tcase_add_test(tc, no_slot_without_memory);
	tcase_add_test(tc, frames_up_to_the_bound);
	tcase_add_test(tc, descent_and_cancel);
	tc = test_case(suite, "recovery");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_slot_without_a_job);
	tcase_add_test(tc, a_stack_of_two);
	tcase_add_test(tc, not_before_its_items_have_ended);
	tcase_add_test(tc, helper_and_owner);
	tcase_add_loop_test(tc, whose_limit_it_was, 0, 2);
	tcase_add_test(tc, left_in_the_middle);
	return test_main(suite);
}
