/* SPDX-License-Identifier: MIT */
/* What a program holds of a job: numbers, never followed as a pointer; see handle.c. */
#ifndef FP_ENGINE_HANDLE_H
#define FP_ENGINE_HANDLE_H

#include "engine/pool.h"

#define FP_HANDLE_JOBS		((uint32_t)1 << 20)	/* jobs of maps of a pool that have not been freed */
#define FP_HANDLE_SERIALS	(((uint32_t)1 << 22) - 1)	/* from 1 on */

/* A place in the table of this process's pools. */
struct fp_handle_entry {
	fp_a64 first;			/* what handles of its jobs begin with; 0 = no pool */
	struct forkpool *_Atomic pool;
};

#define FP_HANDLE_POOLS		1024u
#define FP_HANDLE_TASK		((uint64_t)1 << 43)
extern struct fp_handle_entry fp_handles[FP_HANDLE_POOLS];

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
static inline bool fp_handle_is_task(const struct forkpool_job *job)
{
	return (uintptr_t)job & FP_HANDLE_TASK;
}

static inline struct forkpool_job *fp_handle_make_task(const struct forkpool *pool, uint32_t number,
						       uint32_t serial)
{
	return (struct forkpool_job *)(uintptr_t)(pool->handle | FP_HANDLE_TASK |
						  (uint64_t)number << 22 | serial);
}

/* The serial number behind one. */
static inline uint32_t fp_handle_serial_after(uint32_t serial)
{
	serial = (serial + 1) & FP_HANDLE_SERIALS;
	return serial + !serial;
}

static inline uint32_t fp_handle_index(const struct forkpool_job *job)
{
	return (uint32_t)((uintptr_t)job >> 22) & (((uint32_t)1 << 21) - 1);
}

static inline uint32_t fp_handle_serial_of(const struct forkpool_job *job)
{
	return (uint32_t)(uintptr_t)job & FP_HANDLE_SERIALS;
}

/* The pool that a handle names, of whatever kind; NULL as above. */
static inline struct forkpool *fp_handle_pool(const struct forkpool_job *job)
{
	uint64_t h = (uintptr_t)job;
	const struct fp_handle_entry *e = &fp_handles[h >> 54];
	struct forkpool *pool;

	/* HANDLE-P4: of this generation, so what the place holds is this pool; pairs with HANDLE-P3. */
	if (fp_unlikely(fp_load_acq(&e->first) != h >> 44 || !h))
		return NULL;
	/* HANDLE-P5: the pool as it was made; pairs with HANDLE-P1. */
	pool = fp_load_acq(&e->pool);
	return fp_likely(pool && fp_pool_caller(pool) != FP_CALLER_CHILD) ? pool : NULL;
}

#endif
