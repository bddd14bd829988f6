/* SPDX-License-Identifier: MIT */
/* A job as the host makes, watches and awaits it; see job.c. */
#ifndef FP_TASK_JOB_H
#define FP_TASK_JOB_H

#include <linux/futex.h>

#include "os/sys.h"
#include "shm/segment.h"

/* So often who spins looks at what he waits for, between two looks at the clock. */
#define FP_SPIN_LOOKS	16

/* The most items of one job. */
uint64_t fp_job_max(const struct fp_geometry *geo);

/*
 * Fills the slot for generation gen and makes it visible; desc->count is at
 * least 1 and at most fp_job_max().  gen is larger than
 * any before in this slot, and its low FP_GEN_BITS are not 0.
 */
void fp_job_publish(const struct fp_segment *seg, uint32_t slot, uint64_t gen,
		    const struct fp_job_desc *desc);

/* The generation after gen, with no zero in the low bits; clears the logs when those wrap. */
uint64_t fp_job_next_gen(const struct fp_segment *seg, uint32_t slot, uint64_t gen);

/*
 * Waits until the job is done: 0.  -ECANCELED: it was abandoned, or is gone from
 * the slot; -EOWNERDEAD: life ended; -ETIMEDOUT: the deadline passed.  Looks on
 * for spin ns before it sleeps.
 */
int fp_job_wait(const struct fp_segment *seg, uint32_t slot, uint64_t gen,
		int64_t deadline, int64_t spin);

/* The same at once; -EAGAIN: not done. */
int fp_job_poll(const struct fp_segment *seg, uint32_t slot, uint64_t gen);

/*
 * What to sleep on, together with other words, until the job is done: its end
 * wakes whoever does.  False when there is nothing to wait for any more.
 */
bool fp_job_arm(const struct fp_segment *seg, uint32_t slot, uint64_t gen,
		struct fp_wait *ret);

/* Items settled so far; a snapshot, of a job of count items. */
uint64_t fp_job_progress(const struct fp_segment *seg, uint32_t slot,
			 uint64_t gen, uint64_t count);

/* The first item that is not ok, below count: true, its index and outcome. */
bool fp_job_first(const struct fp_segment *seg, uint32_t slot, uint64_t count,
		  uint64_t *index, int *outcome);

/* Has the nursery, or the last worker thread, ended? */
static inline bool fp_life_ended(struct fp_ctl *ctl)
{
	/* LIFE-L1: what the dead wrote is visible; pairs with LIFE-L2. */
	return fp_load_acq(&ctl->life) & FUTEX_OWNER_DIED;
}

#endif
