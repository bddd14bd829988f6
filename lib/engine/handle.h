/* SPDX-License-Identifier: MIT */
/* What a program holds of a job: numbers, never followed as a pointer; see handle.c. */
#ifndef FP_ENGINE_HANDLE_H
#define FP_ENGINE_HANDLE_H

#include "engine/pool.h"

#define FP_HANDLE_JOBS		((uint32_t)1 << 20)	/* jobs of maps of a pool that have not been freed */
#define FP_HANDLE_SERIALS	(((uint32_t)1 << 22) - 1)	/* from 1 on */

/* Enters a pool, so that handles of its jobs are found; -EMFILE: too many pools. */
int fp_handle_add(struct forkpool *pool);

/* Its handles are void from now on; also of a pool that was never added. */
void fp_handle_remove(struct forkpool *pool);

/* A serial number for a new job: not 0, unlike those of many before it, whatever pool they were in. */
uint32_t fp_handle_serial(void);

struct forkpool_job *fp_handle_make(const struct forkpool *pool, uint32_t index,
				    uint32_t serial);

/*
 * Takes a handle apart: the pool that it names, if there is such a pool and the
 * caller is of the process that made it, else NULL.
 */
struct forkpool *fp_handle_find(const struct forkpool_job *job, uint32_t *index,
				uint32_t *serial);

/* The same for single tasks, whose index is their slot's number. */
struct forkpool_job *fp_handle_make_task(const struct forkpool *pool, uint32_t number,
					 uint32_t serial);
struct forkpool *fp_handle_task(const struct forkpool_job *job, uint32_t *number,
				uint32_t *serial);
bool fp_handle_is_task(const struct forkpool_job *job);

#endif
