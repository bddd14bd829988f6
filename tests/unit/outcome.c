/* SPDX-License-Identifier: MIT */
/* An item whose error is written down has ended, whatever its worker does next. */
#include "task/outcome.h"

#include <stdlib.h>

#include <forkpool.h>

#include "bare.h"
#include "proc/recover.h"
#include "test.h"

#define COUNT	10u
#define POS	3u
#define CODE	42
#define PID	4711

/* Worker 0 dies right after item POS has failed; bit 0: status wanted, bit 1: retries. */
static void dies_after_failure(int how, bool noted_by_status_only)
{
	struct forkpool_status status[COUNT] = { { 0 } };
	const struct fp_death death = {
		.pid = PID, .outcome = FORKPOOL_ITEM_CRASHED, .code = 9,
	};
	struct fp_job_desc desc = {
		.fn = 1, .count = COUNT, .chunk = COUNT,
		.status = how & 1 ? status : NULL, .retries = how & 2 ? 2 : 0,
	};
	struct fp_attempts attempts = { 0 };
	struct fp_chunk chunk;
	struct bare b;

	bare_open(&b, 1);
	bare_publish(&b, &desc);
	ck_assert(bare_turn(&b, 0, 0) && fp_claim(&b.claimers[0], &chunk));
	fp_store_rlx(&b.claimers[0].frame->pos, POS);
	fp_outcome_record(b.slot.job, POS, FORKPOOL_ITEM_FAILED, CODE, PID);
	if (noted_by_status_only)
		fp_store_rlx(&b.slot.job->first, FP_FIRST_NONE);
	ck_assert_int_eq(fp_recover_dead(&b.crew, &attempts, &death), FP_RECOVERED_ITEM);
	ck_assert_uint_eq(attempts.n, 0);
	ck_assert_uint_eq(fp_load_rlx(&b.slot.job->first), fp_first(POS, FORKPOOL_ITEM_FAILED));
	if (desc.status) {
		ck_assert_int_eq(status[POS].outcome, FORKPOOL_ITEM_FAILED);
		ck_assert_int_eq(status[POS].code, CODE);
		ck_assert_uint_eq(status[POS].attempts, 1);
	}
	ck_assert(bare_turn(&b, 0, 0) && fp_claim(&b.claimers[0], &chunk));
	ck_assert_uint_eq(chunk.begin, POS + 1);
	fp_claim_finish(&b.claimers[0], &chunk);
	ck_assert(bare_done(&b));
	free(attempts.list);
	bare_close(&b);
}

START_TEST(death_after_a_failure)
{
	dies_after_failure(_i, false);
}
END_TEST

START_TEST(death_within_the_record)
{
	dies_after_failure(_i | 1, true);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("outcome");
	TCase *tc = test_case(suite, "failed");

	tcase_add_loop_test(tc, death_after_a_failure, 0, 4);
	tcase_add_loop_test(tc, death_within_the_record, 0, 4);
	return test_main(suite);
}
