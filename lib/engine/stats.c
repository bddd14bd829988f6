/* SPDX-License-Identifier: MIT */
/*
 * What.  A pool's figures, put together from what workers and nursery count in the
 * segment.
 *
 * Usage.  Any thread of the host, and workers: everything here only reads.
 *
 * Invariants.
 * I1 What is read from the segment is taken for a number and nothing else: nothing
 *    is found by it, and no loop ends by it.
 * I2 The host looks at the words of those slots only whose room it has taken itself;
 *    a worker, which does not know, at those that were ever in use.
 *
 * Progress.  Nothing here waits.
 *
 * If the owner dies: shm/stats.c.
 */
#include "engine/stats.h"

#include "engine/future.h"

#include <unistd.h>

#include "os/sys.h"
#include "shm/stats.h"
#include "task/job.h"

bool fp_stats_readable(const struct forkpool *pool)
{
	switch (fp_pool_caller(pool)) {
	case FP_CALLER_HOST:
		return true;
	case FP_CALLER_WORKER:
		/* Else an item has forked, and this is its child. */
		return getpid() == fp_self->runner.pid;
	case FP_CALLER_CHILD:
		break;
	}
	return false;
}

/* ---- A worker ----------------------------------------------------------------------- */

/* All workers are: nobody says so of each when the nursery was killed. */
static bool all_gone(const struct forkpool *pool)
{
	return pool->mode != FORKPOOL_INLINE && fp_life_ended(pool->crew.seg.ctl);
}

static int state_of(uint32_t state, pid_t pid, enum fp_doing doing)
{
	if (!pid)
		return FORKPOOL_WORKER_NONE;
	if (state == FP_WORKER_STARTING)
		return FORKPOOL_WORKER_STARTING;
	if (state != FP_WORKER_READY)
		return FORKPOOL_WORKER_NONE;
	switch (doing) {
	case FP_DOING_ITEMS:
		return FORKPOOL_WORKER_BUSY;
	case FP_DOING_IDLE:
		return FORKPOOL_WORKER_IDLE;
	case FP_DOING_WAITS:
		return FORKPOOL_WORKER_WAITING;
	case FP_DOING_NOTHING:
		break;
	}
	return FORKPOOL_WORKER_NONE;
}

void fp_stats_worker(struct forkpool *pool, uint32_t id, struct forkpool_worker_stats *ret)
{
	const struct fp_worker *w = fp_segment_worker(&pool->crew.seg, id);
	/* STATS-H1: with READY the worker's pid, and that it has begun to count its times; pairs with CTL-W1. */
	uint32_t state = fp_load_acq(&w->state);
	bool gone = all_gone(pool);
	pid_t pid = gone ? 0 : (pid_t)fp_load_rlx(&w->pid);
	/* Time 0: no period goes on. */
	struct fp_stats_times times = fp_stats_times(&w->stats, gone ? 0 : fp_sys.clock());

	ret->items = fp_load_rlx(&w->stats.items);
	ret->tasks = fp_load_rlx(&w->stats.tasks);
	ret->claims = fp_load_rlx(&w->stats.claims);
	ret->failed_claims = fp_load_rlx(&w->stats.failed_claims);
	ret->wakeups = fp_load_rlx(&w->stats.wakeups);
	ret->busy_ns = times.busy_ns;
	ret->idle_ns = times.idle_ns;
	ret->state = state_of(state, pid, times.doing);
	ret->pid = ret->state == FORKPOOL_WORKER_NONE ? 0 : pid;
	ret->state_ns = ret->state == FORKPOOL_WORKER_NONE ? 0 : times.for_ns;
}

/* ---- The pool ----------------------------------------------------------------------- */

static void add_worker(struct forkpool *pool, uint32_t id, struct forkpool_stats *sum)
{
	struct forkpool_worker_stats w;

	fp_stats_worker(pool, id, &w);
	sum->items += w.items;
	sum->tasks += w.tasks;
	sum->claims += w.claims;
	sum->failed_claims += w.failed_claims;
	sum->wakeups += w.wakeups;
	/* Not as they are: what was written there may be anything. */
	sum->busy_ns = (int64_t)((uint64_t)sum->busy_ns + (uint64_t)w.busy_ns);
	sum->idle_ns = (int64_t)((uint64_t)sum->idle_ns + (uint64_t)w.idle_ns);
	sum->workers += w.state != FORKPOOL_WORKER_NONE;
	sum->busy += w.state == FORKPOOL_WORKER_BUSY;
}

/* May the words of a slot of the host be looked at (I2)? */
static bool has_room(const struct forkpool *pool, uint32_t slot)
{
	if (fp_pool_caller(pool) == FP_CALLER_WORKER)
		return fp_load_rlx(&pool->crew.seg.ctl->active[0]) >> slot & 1;
	return fp_load_rlx(&pool->host_slots[slot].taken);
}

static unsigned count_maps(const struct forkpool *pool)
{
	unsigned n = 0;
	uint32_t i;

	for (i = 0; i < FP_SLOTS; i++)
		n += has_room(pool, i) &&
		     (fp_load_rlx(&fp_segment_slot(&pool->crew.seg, i).job->word) & FP_JOB_RUN);
	return n;
}

static unsigned count_nested(const struct fp_ctl *ctl)
{
	unsigned n = 0;
	uint32_t i;

	for (i = 0; i < FP_NESTED; i++)
		n += fp_load_rlx(&ctl->nest[i].holder) != 0;
	return n;
}

void fp_stats_pool(struct forkpool *pool, struct forkpool_stats *ret)
{
	const struct fp_ctl *ctl = pool->crew.seg.ctl;
	uint32_t id;

	*ret = (struct forkpool_stats){
		.sz = ret->sz,
		.deaths = fp_load_rlx(&ctl->tally.deaths),
		.kills = fp_load_rlx(&ctl->tally.kills),
		.replaced = fp_load_rlx(&ctl->tally.replaced),
		.retries = fp_load_rlx(&ctl->tally.retries),
		.timeouts = fp_load_rlx(&ctl->tally.timeouts),
		.nested_maps = count_nested(ctl),
	};
	for (id = 0; id < pool->crew.seg.geo.workers; id++)
		add_worker(pool, id, ret);
	fp_futures_queued(pool, ret->queued);
	/* Inline a map has no slot, and one runs at a time. */
	ret->maps = pool->mode == FORKPOOL_INLINE ? ret->busy : count_maps(pool);
}
