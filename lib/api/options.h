/* SPDX-License-Identifier: MIT */
/* Options structs of any version; see options.c. */
#ifndef FP_API_OPTIONS_H
#define FP_API_OPTIONS_H

#include <stddef.h>

#include <forkpool.h>

/*
 * The sizes that the structs had in their first versions, by the fields that were
 * the last ones then.  A field that is appended begins at or behind the sizeof of
 * the version before, since an older program leaves anything in its padding.
 */
#define FP_END_OF(type, field)	(offsetof(type, field) + sizeof(((type *)0)->field))
#define FP_OPTS_FIRST		FP_END_OF(struct forkpool_opts, worker_arg)
#define FP_JOB_OPTS_FIRST	FP_END_OF(struct forkpool_job_opts, user)
#define FP_STATS_FIRST		FP_END_OF(struct forkpool_stats, queued)
#define FP_WORKER_STATS_FIRST	FP_END_OF(struct forkpool_worker_stats, state_ns)

/*
 * Copies a user's options struct into ret, which is of this library's version
 * (known bytes).  opts NULL: all zero.  0; -EINVAL: sz smaller than the first
 * version's; -E2BIG: bytes that this version does not know are not zero.
 */
int fp_options_copy(void *ret, size_t first, size_t known, const void *opts);

/*
 * The other way: a struct that the library fills.  fp_output_check() before anything
 * is done: 0; -EINVAL: sz smaller than the first version's; -E2BIG: absurd.  Then
 * fp_output_copy() fills the user's ret from this library's version (known bytes);
 * what that does not know becomes zero, and sz stays.
 */
int fp_output_check(const void *ret, size_t first);
void fp_output_copy(void *ret, size_t known, const void *from);

#endif
