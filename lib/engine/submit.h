/* SPDX-License-Identifier: MIT */
/* Tasks handed to the workers; see submit.c. */
#ifndef FP_ENGINE_SUBMIT_H
#define FP_ENGINE_SUBMIT_H

#include "engine/lines.h"

/* Tasks as asked for, checked, with defaults filled in. */
struct fp_spec {
	uintptr_t fn;
	const void *in;			/* of the first */
	size_t in_size, out_size;
	size_t count;
	void *arg;
	size_t arg_size;		/* 0: arg is handed on as it is */
	uint32_t prio;			/* from 0, the highest, on */
	uint32_t retries;
	int64_t timeout;		/* ns; 0 = none */
	int64_t deadline;		/* on the monotonic clock; 0 = none */
	bool dont_wait;
	void (*on_done)(struct forkpool_job *job, void *user);
	void *user;
	bool shared;			/* a group waits for them as well */
	/* Of an item that submits: itself, items around, its frame; else 0. */
	uint64_t parent;
	uint32_t level, frame;
};

/*
 * Submits as many as there is room for, and, but with dont_wait, waits for room for
 * the others.  How many; or an error, if none.  ret NULL: nobody will ask.
 */
int64_t fp_submit(struct forkpool *pool, const struct fp_spec *spec, struct forkpool_job **ret);

/* Wakes workers for the last n tasks of a line: some sleep. */
void fp_submit_wake_for(struct forkpool *pool, struct fp_line *line, uint64_t n);

/* fp_submit() in a pool without workers. */
int64_t fp_submit_inline(struct forkpool *pool, const struct fp_spec *spec, struct forkpool_job **ret);

/* Waits until the caller may submit one more, of a priority. */
int fp_submit_room(struct forkpool *pool, uint32_t prio);

#endif
