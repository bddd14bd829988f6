/* SPDX-License-Identifier: MIT */
/* Jobs of either kind, one or several, asked and waited for; see several.c. */
#ifndef FP_ENGINE_SEVERAL_H
#define FP_ENGINE_SEVERAL_H

#include "engine/async.h"
#include "engine/future.h"

/* A job that a handle named: a map, held until put, or a task. */
struct fp_any {
	struct fp_async *map;		/* NULL: a task */
	struct fp_ref task;
};

/* The task of a handle as fp_ref_get() finds it, if it is the caller's: in a worker, the item's. */
int fp_ref_get_inside(const struct forkpool_job *job, struct fp_ref *ret);
static inline int fp_ref_get_own(const struct forkpool_job *job, struct fp_ref *ret)
{
	return fp_unlikely(fp_self) ? fp_ref_get_inside(job, ret) : fp_ref_get(job, ret);
}

/* 0; -EINVAL, -EDEADLK: not the caller's to ask for; -EPERM: a worker asks for a map. */
int fp_any_get(const struct forkpool_job *job, struct fp_any *ret);
void fp_any_put(struct fp_any *j);

/* 0 and the job's own result; -ETIMEDOUT. */
int fp_any_wait(struct fp_any *j, int64_t deadline, int *result);

/* The index of one that is done, the lowest; or why not. */
int fp_wait_any(struct forkpool_job *const *jobs, size_t n, int64_t deadline);

/* 0, or the result of the first that is not ok. */
int fp_wait_all(struct forkpool_job *const *jobs, size_t n, int64_t deadline);

#endif
