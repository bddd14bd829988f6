/* SPDX-License-Identifier: MIT */
#include "bare.h"

#include <stdlib.h>
#include <string.h>

#include "task/check.h"
#include "task/size.h"
#include "test.h"

#define ARENA	((size_t)1 << 20)

void bare_open(struct bare *b, uint32_t workers)
{
	uint32_t id;

	memset(b, 0, sizeof(*b));
	b->seg = &b->crew.seg;
	b->crew.workers = workers;
	b->seed = 1;
	ck_assert_int_eq(fp_segment_create(b->seg, workers, ARENA, NULL), 0);
	ck_assert_int_eq(fp_segment_take_slot(b->seg, BARE_SLOT), 0);
	b->slot = fp_segment_slot(b->seg, BARE_SLOT);
	b->claimers = calloc(workers, sizeof(*b->claimers));
	ck_assert_ptr_nonnull(b->claimers);
	for (id = 0; id < workers; id++) {
		b->claimers[id] = (struct fp_claimer){
			.seg = b->seg,
			.frame = fp_segment_frame(b->seg, id, 0),
			.id = id,
		};
		fp_store_rlx(&b->claimers[id].frame->pos, FP_POS_NONE);
	}
}

void bare_close(struct bare *b)
{
	bare_check(b);
	free(b->claimers);
	fp_segment_destroy(b->seg);
}

uint64_t bare_publish(struct bare *b, const struct fp_job_desc *desc)
{
	b->gen = fp_job_next_gen(b->seg, BARE_SLOT, b->gen);
	fp_job_publish(b->seg, BARE_SLOT, b->gen, desc);
	return b->gen;
}

bool bare_done(const struct bare *b)
{
	return fp_load_sc(&b->slot.job->word) == fp_job_word(b->gen, FP_JOB_DONE);
}

void bare_check(const struct bare *b)
{
	char text[200];
	const char *bad = fp_check(b->seg, text, sizeof(text));

	ck_assert_msg(!bad, "%s", bad);
}

uint64_t bare_random(uint64_t *seed, uint64_t n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed % n;
}

bool bare_turn(struct bare *b, uint32_t id, uint64_t cost_ns)
{
	struct fp_claimer *c = &b->claimers[id];

	if (!fp_claimer_open(c, BARE_SLOT))
		return false;
	c->cost = cost_ns * FP_COST_UNIT;
	return true;
}

uint64_t bare_word(const struct bare *b, uint32_t id)
{
	uint64_t intent = fp_load_rlx(&b->claimers[id].frame->intent);
	fp_a64 *at = fp_claim_word(b->seg, &b->slot, fp_load_rlx(&b->slot.job->tops),
				   fp_intent_region(intent), fp_intent_index(intent));

	ck_assert_ptr_nonnull(at);
	return fp_load_sc(at);
}
