/* SPDX-License-Identifier: MIT */
/* Blocking maps; see map.c. */
#ifndef FP_ENGINE_MAP_H
#define FP_ENGINE_MAP_H

#include "engine/pool.h"

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
	struct forkpool_status *status;
	size_t *first_failure;
	void (*on_progress)(size_t done, size_t count, void *user);
	void *user;
	int64_t timeout;		/* ns for an item; 0 = none */
	int64_t deadline;		/* on the monotonic clock; 0 = none */
};

/* Runs it on the pool's workers and waits.  0, or the call's error. */
int fp_map_run(struct forkpool *pool, const struct fp_map *map);

/* The error that a call returns for an item's outcome. */
int fp_map_error(int outcome);

#endif
