/* SPDX-License-Identifier: MIT */
/* Jobs that are to end early; see cancel.c. */
#ifndef FP_TASK_CANCEL_H
#define FP_TASK_CANCEL_H

#include "task/claim.h"

/*
 * The job of generation gen is cancelled: what nobody has claimed never starts,
 * and is settled here and now.  It ends when the chunks that run have ended.
 * Nothing happens to a job that is over; gen 0: whichever job is there.  By the
 * host, or by the nursery for a job whose publisher is dead.
 */
void fp_job_cancel(const struct fp_segment *seg, uint32_t slot, uint64_t gen);

/* Cancelled, and nobody is to wait for its end: the workers leave.  By the host. */
void fp_job_abandon(const struct fp_segment *seg, uint32_t slot);

/* After its end: had the job been cancelled before? */
bool fp_job_cancelled(const struct fp_segment *seg, uint32_t slot);

/* Settles what is unclaimed of the slot's job if that is cancelled, else does nothing. */
void fp_cancel_rest(struct fp_claimer *c, uint32_t slot);

/* The same for all jobs, by the nursery, in the place of workers that may be dead. */
void fp_cancel_rests(const struct fp_segment *seg);

/* Is the job cancelled?  A hint between items. */
static inline bool fp_cancel_hint(const struct fp_job *job)
{
	return fp_load_rlx(&job->word) & FP_JOB_CANCEL;
}

#endif
