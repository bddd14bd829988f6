/* SPDX-License-Identifier: MIT */
/* Maps as asked for, and those that wait; see map.c. */
#ifndef FP_ENGINE_MAP_H
#define FP_ENGINE_MAP_H

#include "engine/pool.h"

#define FP_PROGRESS_NS	((int64_t)100000000)	/* between two calls of on_progress */
#define FP_KEEP_MOST	((size_t)1 << 16)	/* items whose status is kept unasked */

/* A map as asked for, checked, with defaults filled in. */
struct fp_map {
	uintptr_t fn;
	bool range;
	const void *in;
	void *out;
	size_t in_size, out_size;
	size_t count;
	size_t begin;			/* ranges */
	void *arg;
	size_t arg_size;		/* 0: arg is handed on as it is */
	uint64_t chunk;
	uint32_t retries;
	bool stop_on_error;
	bool dont_wait;			/* for a slot */
	bool keep_status;		/* the status array is kept after the job, wanted or not */
	bool may_be_cancelled;
	bool lasting;			/* status, in the segment, goes on from an earlier run, and outlives this one's worker */
	struct forkpool_status *status;
	size_t *first_failure;
	void (*on_progress)(size_t done, size_t count, void *user);
	void (*on_done)(struct forkpool_job *job, void *user);
	void *user;
	uint32_t level;			/* items around it */
	uint32_t prio;			/* from 0, the highest, on */
	bool limited;			/* it has limits of its own, and none just from the item that maps */
	int64_t timeout;		/* ns for an item; 0 = none */
	int64_t deadline;		/* on the monotonic clock; 0 = none */
};

/* Runs it on the pool's workers and waits.  0, or the call's error. */
int fp_map_run(struct forkpool *pool, const struct fp_map *map);

/* The error that a call returns for an item's outcome. */
int fp_map_error(int outcome);

/* The status, where it is wanted, of items from `from` on that were never started. */
void fp_map_mark(const struct fp_map *map, size_t from, int outcome);

#endif
