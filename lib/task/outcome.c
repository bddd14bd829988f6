/* SPDX-License-Identifier: MIT */
/*
 * What.  Outcomes.  Ok is the default and costs nothing; what is not ok lowers
 * the job's word `first` and, where the job wants it, fills the item's status.
 *
 * Invariants.
 * I1 Only who holds the item's claim, or the nursery for a dead holder, writes
 *    here, and before the word of the chunk becomes DONE or SPLIT.
 * I2 Everything is idempotent: it may be written once more by the nursery for a
 *    worker that died in the middle.
 *
 * If the owner dies.  What is written stays true; the rest the nursery adds.
 */
#include "task/outcome.h"

#include <forkpool.h>

_Static_assert(offsetof(struct forkpool_status, worker) ==
	       offsetof(struct forkpool_status, attempts) + sizeof(unsigned),
	       "attempts and worker are one word");

static void lower_first(struct fp_job *job, uint64_t index, int outcome)
{
	uint64_t mine = fp_first(index, outcome);
	uint64_t was = fp_load_rlx(&job->first);

	while (mine < was)
		/* OUT-F1: published to the host by JOB-D1, to others as a hint; pairs with OUT-F2. */
		if (fp_cas_sc(&job->first, &was, mine))
			return;
}

void fp_outcome_record(struct fp_job *job, uint64_t index, int outcome,
		       int code, pid_t pid)
{
	if (job->desc.status) {
		struct forkpool_status *st = &job->desc.status[index];

		fp_outcome_ran(job, index, index + 1, pid);
		st->code = code;
		st->outcome = outcome;
	}
	lower_first(job, index, outcome);
}

void fp_outcome_cancelled(struct fp_job *job, uint64_t index)
{
	lower_first(job, index, FORKPOOL_ITEM_CANCELLED);
}

/*
 * attempts and worker lie side by side and are stored at once, after all else: a
 * death between two stores would count the attempt once more, or leave the item
 * as it was before.
 */
static void count_attempt(struct forkpool_status *st, pid_t pid)
{
	struct __attribute__((packed, may_alias)) both {
		volatile uint64_t word;
	} *at = (struct both *)((char *)st + offsetof(struct forkpool_status, attempts));
	const union {
		struct { unsigned attempts; pid_t worker; } part;
		uint64_t word;
	} now = { .part = { st->attempts + 1, pid } };

	at->word = now.word;
}

void fp_outcome_ran(struct fp_job *job, uint64_t begin, uint64_t end, pid_t pid)
{
	struct forkpool_status *st;
	uint64_t i;

	if (!job->desc.status)
		return;
	for (i = begin; i < end; i++) {
		st = &job->desc.status[i];
		if (st->worker == pid)
			continue;
		st->outcome = FORKPOOL_ITEM_OK;
		count_attempt(st, pid);
	}
}

void fp_outcome_again(struct fp_job *job, uint64_t index, unsigned n, pid_t pid)
{
	if (!job->desc.status)
		return;
	job->desc.status[index].attempts = n;
	job->desc.status[index].worker = pid;
	/* Until it runs again, which may not come about; then the host says why. */
	job->desc.status[index].outcome = FORKPOOL_ITEM_CANCELLED;
}

void fp_outcome_skip(struct fp_job *job, uint64_t index)
{
	lower_first(job, index, FORKPOOL_ITEM_NOT_RUN);
}

bool fp_outcome_failed(struct fp_job *job, uint64_t index, pid_t pid)
{
	const struct forkpool_status *st = job->desc.status ? &job->desc.status[index] : NULL;
	bool noted = st && st->worker == pid && st->outcome == FORKPOOL_ITEM_FAILED;

	if (noted)
		lower_first(job, index, FORKPOOL_ITEM_FAILED);
	return noted || fp_load_rlx(&job->first) == fp_first(index, FORKPOOL_ITEM_FAILED);
}

bool fp_outcome_stops(struct fp_job *job, uint64_t index)
{
	/* OUT-F2: a stale value only runs an item that might have been spared; pairs with OUT-F1. */
	return index > fp_load_acq(&job->first) >> 8;
}
