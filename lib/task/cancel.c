/* SPDX-License-Identifier: MIT */
/*
 * What.  A job that is cancelled: claims stop, what is unclaimed is settled
 * unrun, running chunks end at the next look between items, and the job is
 * completed by the walk that completes every job.
 *
 * Usage.  The host, and the nursery for jobs of the dead: fp_job_cancel().  A worker that has just published a
 * sub-region: fp_cancel_rest() if the job is cancelled by then.  The nursery,
 * after each death and each stop: fp_cancel_rests().
 *
 * Invariants.
 * I1 Once the word has CANCEL, workers claim nothing of the job; what is left
 *    is claimed by the host, the nursery, or a worker that has just given it
 *    back, by the very steps of a claim, but all of a region at once, and is
 *    finished without being run.  So a word is never taken from a claimer, and
 *    a claim lost to one is a chunk that its owner finishes.
 * I2 Whoever publishes a region looks at the job's word afterwards (CANCEL-W1,
 *    or the nursery's look at every slot); the host looks for regions after it
 *    has set CANCEL.  One of the two sees the other: no region is left open.
 * I3 The first item of what is settled so lowers `first` before its word is
 *    DONE.
 * I4 The host and the nursery claim as FP_NOBODY, without an intent: neither can
 *    die and leave the pool alive.
 *
 * Ordering pairs.  CANCEL-C1 / CANCEL-W1, CANCEL-C1 / CANCEL-N1.
 *
 * Progress.  Each round closes a region or finds that somebody has claimed;
 * rounds are bounded by the number of words, whatever a worker writes there.
 *
 * If the owner dies.  A worker that dies or stops between its SPLIT store and
 * its look, or anywhere in fp_cancel_rest(): the nursery settles its claim and
 * then looks at all slots.  Model: tests/models/claimlog.pml, CAN=1.
 */
#include "task/cancel.h"

#include "task/outcome.h"

void fp_cancel_rest(struct fp_claimer *c, uint32_t slot)
{
	const struct fp_geometry *geo = &c->seg->geo;
	uint64_t most = FP_TOP_WORDS + (uint64_t)geo->ids * FP_SUB_WORDS;
	struct fp_chunk chunk;

	c->rest = true;
	while (most-- && fp_claimer_open(c, slot) && fp_claim(c, &chunk)) {
		fp_outcome_cancelled(c->slot.job, chunk.begin);
		fp_claim_finish(c, &chunk);
	}
	c->rest = false;
}

static void cancel_rest_as_nobody(const struct fp_segment *seg, uint32_t slot)
{
	struct fp_frame none = { 0 };
	struct fp_claimer c = { .seg = seg, .frame = &none, .id = FP_NOBODY };

	fp_cancel_rest(&c, slot);
}

/* Adds flags to the word of a job that is not done; false when it is, or another one is there. */
static bool flag(struct fp_job *job, uint64_t gen, uint64_t flags)
{
	uint64_t w = fp_load_rlx(&job->word);

	while ((w & FP_JOB_RUN) && (!gen || FP_JOB_GEN(w) == gen)) {
		/* CANCEL-C1: before the look for open regions; and nobody falls asleep on the old word; pairs with CANCEL-W1, CANCEL-N1 and JOB-D2. */
		if (!fp_cas_sc(&job->word, &w, w | flags))
			continue;
		if ((flags & FP_JOB_ABANDON) && (w & FP_JOB_WAITER))
			fp_job_wake(job);
		return true;
	}
	return false;
}

void fp_job_cancel(const struct fp_segment *seg, uint32_t slot, uint64_t gen)
{
	if (flag(fp_segment_slot(seg, slot).job, gen, FP_JOB_CANCEL))
		cancel_rest_as_nobody(seg, slot);
}

void fp_job_abandon(const struct fp_segment *seg, uint32_t slot)
{
	flag(fp_segment_slot(seg, slot).job, 0, FP_JOB_CANCEL | FP_JOB_ABANDON);
}

bool fp_job_cancelled(const struct fp_segment *seg, uint32_t slot)
{
	return fp_cancel_hint(fp_segment_slot(seg, slot).job);
}

void fp_cancel_rests(const struct fp_segment *seg)
{
	uint32_t slot, i;
	uint64_t active;

	for (i = 0; i < FP_SLOT_MAP; i++)
		for (active = fp_load_rlx(&seg->ctl->active[i]); active; active &= active - 1) {
			slot = i * 64 + (uint32_t)__builtin_ctzll(active);
			/* CANCEL-N1: after the death of who would have looked, or our own SPLIT store; pairs with CANCEL-C1. */
			if (fp_load_sc(&fp_segment_slot(seg, slot).job->word) & FP_JOB_CANCEL)
				cancel_rest_as_nobody(seg, slot);
		}
}
