/* SPDX-License-Identifier: MIT */
/* What is written down about items that are not ok; see outcome.c. */
#ifndef FP_TASK_OUTCOME_H
#define FP_TASK_OUTCOME_H

#include "shm/layout.h"

#define FP_FIRST_NONE	UINT64_MAX

/* Writes down that item `index` ended with outcome and code in process pid. */
void fp_outcome_record(struct fp_job *job, uint64_t index, int outcome,
		       int code, pid_t pid);

/* Item `index` is never started: its job was cancelled. */
void fp_outcome_cancelled(struct fp_job *job, uint64_t index);

/* Items [begin, end) have run in process pid: counts an attempt for each.  Idempotent. */
void fp_outcome_ran(struct fp_job *job, uint64_t begin, uint64_t end, pid_t pid);

/* Item `index` lost its worker pid in attempt number n and will run again. */
void fp_outcome_again(struct fp_job *job, uint64_t index, unsigned n, pid_t pid);

/* Item `index` is not begun: the job's deadline has passed. */
void fp_outcome_skip(struct fp_job *job, uint64_t index);

/*
 * Had item `index` returned an error in process pid before that died?  Then it
 * has ended; makes sure that all of it is written down.
 */
bool fp_outcome_failed(struct fp_job *job, uint64_t index, pid_t pid);

/* Is item `index` behind one that is not ok?  (For a job with stop_on_error.) */
bool fp_outcome_stops(struct fp_job *job, uint64_t index);

#endif
