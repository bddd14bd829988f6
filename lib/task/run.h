/* SPDX-License-Identifier: MIT */
/* Runs the items of a claimed chunk; see run.c. */
#ifndef FP_TASK_RUN_H
#define FP_TASK_RUN_H

#include <forkpool.h>

#include "task/claim.h"

/* A chunk gives way to tasks, and tasks to chunks, after so long. */
#define FP_SLICE_NS	((int64_t)1000000)

struct fp_runner {
	struct fp_claimer claimer;
	struct fp_worker *me;
	uint64_t outer;		/* limit of the items below on the stack; 0 = none */
	bool nested;		/* below there is an item, which waits */
	forkpool_loop_fn *loop;	/* over the items between two looks at the hints */
	pid_t pid;
	int64_t now;		/* end of the last chunk; 0 = ask the clock */
	bool flush;		/* stdout is this process's own */
	bool (*tasks_wait)(void *ctx);	/* for this worker, in its first frame; NULL: not asked */
	void *ctx;
	bool roams;		/* leaves a lane where many are, since it has found tasks in others (proc/serve.c) */
	bool left;		/* has left one, in this search */
	uint64_t ran;		/* items of the chunks before, over this worker's life */
	uint64_t max_items;	/* once it has run so many it leaves; 0 = never */
	uint64_t untold;	/* intent of the last task, whose waiters were not told yet (task/take.c); or NONE */
	struct fp_lane *lane;	/* of the host, that it came from; NULL = none */
	struct fp_task *task;	/* at work, with its number; NULL: a chunk is */
	uint32_t number;
	uint32_t open;		/* tasks that it submitted and did not free */
	uint32_t tag;		/* the item's, or chunk's, for what it publishes (task/nest.h) */
	uint32_t cancelled;	/* the tag of one that has seen that it is cancelled */
};

/*
 * Runs a chunk and finishes it.  False when the pool stops at once, or the worker
 * leaves: the chunk was left as it stands and no more is to be run.
 */
bool fp_run_chunk(struct fp_runner *r, struct fp_chunk *chunk);

/*
 * Is this worker to leave, with `more` items run beside those of the chunks
 * before?  A hint until fp_run_leave() has said so.
 */
static inline bool fp_run_leaves(const struct fp_runner *r, uint64_t more)
{
	return !r->nested && (fp_load_rlx(&r->me->leave) != FP_LEAVE_NO ||
			      (r->max_items && r->ran + more >= r->max_items));
}

/* With `more` items run beside those of the chunks before: true when it leaves, which then is settled. */
bool fp_run_leave(const struct fp_runner *r, uint64_t more);

#endif
