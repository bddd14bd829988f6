/* SPDX-License-Identifier: MIT */
/* Runs the items of a claimed chunk; see run.c. */
#ifndef FP_TASK_RUN_H
#define FP_TASK_RUN_H

#include <forkpool.h>

#include "task/claim.h"

struct fp_runner {
	struct fp_claimer claimer;
	forkpool_loop_fn *loop;	/* over the items between two looks at the hints */
	pid_t pid;
	int64_t now;		/* end of the last chunk; 0 = ask the clock */
	bool flush;		/* stdout is this process's own */
};

/*
 * Runs a chunk and finishes it.  False when the pool stops at once: the chunk
 * was left as it stands and no more is to be run.
 */
bool fp_run_chunk(struct fp_runner *r, struct fp_chunk *chunk);

#endif
