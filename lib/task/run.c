/* SPDX-License-Identifier: MIT */
/*
 * What.  The loop that everything else exists for: items of one chunk.
 *
 * Usage.  A worker calls fp_run_chunk() for each claim.
 *
 * Invariants.
 * I1 pos names an item before it is started (a plain store), so that a death
 *    tells which; items before it are done.
 * I2 Between strides the worker looks at three hints, `hungry`, `stop` and the
 *    job's CANCEL: after every item, but about every STRIDE_NS where items are
 *    shorter than that.  There it looks too whether it is to leave, and gives the
 *    rest back; where no sub-region is free it says how far it has come
 *    (FP_POS_LEFT) and ends with its claim, which the nursery then gives back.
 * I3 What the items printed is flushed, and what is to be known of them written
 *    down, before the chunk's word leaves RUN.
 * I4 `runs` changes while pos names no item, before the first one: with pos it
 *    names the item to the heap.  What items above it on the stack allocate bears
 *    its name as well: they are part of it (task/nest.c).
 *
 * I5 Items are counted in the last store before the one that ends their chunk, so
 *    that who sees the job done finds them counted.  Those of a chunk that the
 *    worker did not end are counted by the nursery; between the two stores lie a
 *    few instructions, and a death just there counts them twice.
 *
 * Progress.  Nothing here waits.  If the owner dies: proc/recover.c.
 */
#include "task/run.h"

#include <stdio.h>
#include <stdio_ext.h>

#include <forkpool.h>

#include "os/sys.h"
#include "shm/stats.h"
#include "sync/idle.h"
#include "task/cancel.h"
#include "task/limit.h"
#include "task/outcome.h"
#include "task/size.h"

#define STRIDE_NS	4000
#define STRIDE_LEAST	64	/* items; more of them, since the next ones may be dearer, only ... */
#define STRIDE_SHARE	32	/* ... as such a part of a chunk, which is short where others run out of work */
#define STRIDE_MOST	1024
#define SPLIT_RUN_NS	5000	/* a chunk is split no earlier ... */
#define SPLIT_LEFT_NS	3000	/* ... and not for less */
#define RANGE_PARTS	4	/* calls for one chunk of a range, so that it can be split */
#define RANGE_LEAST_NS	2000	/* but none shorter than this */

/* Returns where it ended: behind the first that failed, where that stops the job. */
static uint64_t run_items(const struct fp_runner *r, uint64_t i, uint64_t end)
{
	const struct fp_claimer *c = &r->claimer;
	struct fp_job *job = c->slot.job;
	const struct fp_job_desc *d = &job->desc;
	struct forkpool_batch batch = {
		.fn = (forkpool_fn *)d->fn,
		.arg = d->arg,
		.in_size = d->in_size,
		.out_size = d->out_size,
		.begin = i,
		.end = end,
		.pos = (uint64_t *)&c->frame->pos,
	};
	int code;

	for (; batch.begin < end; batch.begin++) {
		/* Numbers, since a pointer that is NULL must not be stepped, not even by 0. */
		batch.in = d->in_size ? (uintptr_t)d->in + batch.begin * d->in_size : 0;
		batch.out = d->out_size ? (uintptr_t)d->out + batch.begin * d->out_size : 0;
		code = r->loop(&batch);
		if (!code)
			break;
		fp_outcome_record(job, batch.begin, FORKPOOL_ITEM_FAILED, code, r->pid);
		if (d->flags & FP_JOB_STOP)
			return batch.begin + 1;
	}
	return end;
}

static void run_range(struct fp_job *job, struct fp_frame *frame, uint64_t i,
		      uint64_t end, pid_t pid)
{
	forkpool_range_fn *fn = (forkpool_range_fn *)job->desc.fn;
	int code;

	fp_store_rlx(&frame->pos, i);
	code = fn(job->desc.arg, job->desc.begin + i, job->desc.begin + end);
	if (fp_unlikely(code != 0))
		fp_outcome_record(job, i, FORKPOOL_ITEM_FAILED, code, pid);
}

/* Runs [i, to) by the job's kind; returns where it ended. */
static uint64_t run_stride(const struct fp_runner *r, uint64_t i, uint64_t to)
{
	struct fp_job *job = r->claimer.slot.job;

	if (!(job->desc.flags & FP_JOB_RANGE))
		return run_items(r, i, to);
	run_range(job, r->claimer.frame, i, to, r->pid);
	return to;
}

/* Items between two looks at the hints. */
static uint64_t stride_of(const struct fp_claimer *c, const struct fp_chunk *chunk)
{
	struct fp_job *job = c->slot.job;
	uint64_t len = chunk->end - chunk->begin, least, batch;

	if (job->desc.timeout && !(job->desc.flags & FP_JOB_RANGE))
		return 1;
	if (!(job->desc.flags & FP_JOB_RANGE)) {
		least = fp_min(fp_max(len / STRIDE_SHARE, STRIDE_LEAST), STRIDE_MOST);
		return c->cost ? fp_min(fp_max(STRIDE_NS * FP_COST_UNIT / c->cost, 1), least) : 1;
	}
	batch = fp_load_rlx(&c->slot.regions[chunk->region].batch);
	if (batch)
		return batch;
	least = c->cost ? RANGE_LEAST_NS * FP_COST_UNIT / c->cost : 1;
	return fp_max(fp_max(fp_div_up(len, RANGE_PARTS), least), 1);
}

/* Somebody is out of work: is what is left of this chunk worth a split at i? */
static bool worth_split(const struct fp_runner *r, const struct fp_chunk *chunk,
			uint64_t i)
{
	int64_t ran = fp_sys.clock() - r->now;
	uint64_t done = i - chunk->begin;

	return ran > SPLIT_RUN_NS &&
	       (double)ran / (double)done * (double)(chunk->end - i) > SPLIT_LEFT_NS;
}

/* May somebody who is out of work claim from this job? */
static bool wanted_by_others(const struct fp_claimer *c)
{
	const struct fp_segment *seg = c->seg;

	return fp_hungry_any(seg->ctl, seg->geo.workers) ||
	       (c->slot.index >= FP_SLOTS && fp_waiting_any(seg->ctl, seg->geo.workers));
}

/* May the chunk take so long that tasks are asked for between its items? */
static bool takes_long(const struct fp_runner *r, const struct fp_chunk *chunk)
{
	uint64_t len = chunk->end - chunk->begin, cost = r->claimer.cost;

	return r->tasks_wait && len > 1 && (!cost || len > FP_SLICE_NS * FP_COST_UNIT / cost);
}

/* Has it had its slice, while a task waits? */
static bool gives_way(const struct fp_runner *r)
{
	return fp_sys.clock() - r->now > FP_SLICE_NS && r->tasks_wait(r->ctx);
}

/* Is the rest of this chunk better given back at i? */
static bool give_up(const struct fp_runner *r, const struct fp_chunk *chunk, uint64_t i, bool slow)
{
	if (fp_unlikely(slow) && gives_way(r))
		return true;
	if (fp_unlikely(wanted_by_others(&r->claimer)) && worth_split(r, chunk, i))
		return true;
	return fp_unlikely(fp_run_leaves(r, i - chunk->begin));
}

static bool try_split(struct fp_runner *r, struct fp_chunk *chunk, uint64_t i)
{
	struct fp_claimer *c = &r->claimer;
	uint64_t rest = chunk->end - i;

	fp_outcome_ran(c->slot.job, chunk->begin, i, r->pid);
	if (r->flush && __fpending(stdout))
		fflush(stdout);
	if (!fp_claim_split(c, chunk, i))
		return false;
	/* CANCEL-W1: after the SPLIT store, who cancels sees our sub-region, or we see CANCEL; pairs with CANCEL-C1. */
	if (fp_unlikely(fp_load_sc(&c->slot.job->word) & FP_JOB_CANCEL))
		fp_cancel_rest(c, c->slot.index);
	else
		fp_wake_workers(c->seg->ctl, c->seg->geo.workers, rest);
	if (c->slot.index >= FP_SLOTS)
		fp_wake_waiting(c->seg->ctl, c->seg->geo.workers);
	return true;
}

/* Leaves at i with the claim, if that is settled: the items before i are done. */
static bool leave_at(struct fp_runner *r, const struct fp_chunk *chunk, uint64_t i)
{
	if (!fp_run_leaves(r, i - chunk->begin) || !fp_run_leave(r, i - chunk->begin))
		return false;
	fp_store_rlx(&r->claimer.frame->pos, i | FP_POS_LEFT);
	return true;
}

static void measure(struct fp_runner *r, const struct fp_chunk *chunk, uint64_t ran)
{
	struct fp_claimer *c = &r->claimer;
	int64_t end = fp_sys.clock();

	if (ran) {
		c->cost = fp_max((uint64_t)(end - r->now) * FP_COST_UNIT / ran, 1);
		c->last_len = ran;
		fp_store_rlx(&c->slot.regions[chunk->region].cost_hint,
			     fp_tagged(chunk->gen, fp_min(c->cost, ((uint64_t)1 << 42) - 1)));
	}
	r->now = end;
}

/* Runs [i, to), or none of it when the job's deadline has passed; returns where it ended. */
static uint64_t run_limited(struct fp_runner *r, uint64_t i, uint64_t to)
{
	const struct fp_bounds bounds = { r->me, r->claimer.frame, r->outer };
	struct fp_job *job = r->claimer.slot.job;

	if (!fp_limit_begin(&bounds, job->desc.timeout, job->desc.deadline, i)) {
		fp_outcome_skip(job, i);
		return i;
	}
	to = run_stride(r, i, to);
	fp_limit_end(&bounds);
	return to;
}

/*
 * Runs up to the chunk's end, or where it was split (*split), or where
 * stop_on_error, a cancel or the deadline ended it; returns where.
 */
static uint64_t run_strides(struct fp_runner *r, struct fp_chunk *chunk,
			    bool *split, bool *leave)
{
	struct fp_claimer *c = &r->claimer;
	struct fp_job *job = c->slot.job;
	struct fp_ctl *ctl = c->seg->ctl;
	bool stops = job->desc.flags & FP_JOB_STOP, limited = fp_limited(&job->desc);
	uint64_t stride = stride_of(c, chunk), i = chunk->begin, to, begin;
	bool slow = takes_long(r, chunk);

	fp_store_rlx(&c->frame->span, stride);
	fp_store_rlx(&c->frame->limit, 0);
	while (i < chunk->end && !(stops && fp_outcome_stops(job, i))) {
		if (fp_unlikely(fp_cancel_hint(job))) {
			fp_outcome_cancelled(job, i);
			break;
		}
		to = fp_min(stride, chunk->end - i) + i;
		begin = i;
		i = fp_unlikely(limited) ? run_limited(r, i, to) : run_stride(r, i, to);
		if (i == begin)
			break;
		if (fp_unlikely(fp_load_rlx(&ctl->stop) == FP_STOP_NOW)) {
			*leave = true;
			break;
		}
		if (i == chunk->end || !give_up(r, chunk, i, slow))
			continue;
		*split = try_split(r, chunk, i);
		*leave = !*split && leave_at(r, chunk, i);
		if (*split || *leave)
			break;
	}
	return i;
}

FP_TRIP bool fp_run_leave(const struct fp_runner *r, uint64_t more)
{
	fp_a32 *leave = &r->me->leave;
	uint32_t asked = FP_LEAVE_ASKED;

	if (fp_likely(!fp_run_leaves(r, more)))
		return false;
	if (r->max_items && r->ran + more >= r->max_items) {
		/* LEAVE-W2: as LEAVE-W1, asked or not; the nursery only swaps what it has read; pairs with LEAVE-N2. */
		fp_store_sc(leave, FP_LEAVE_TAKEN);
		return true;
	}
	/* LEAVE-W1: from here on the nursery can't take it back; pairs with LEAVE-N2. */
	return fp_cas_sc(leave, &asked, FP_LEAVE_TAKEN) || asked == FP_LEAVE_TAKEN;
}

static void count_claim(struct fp_runner *r)
{
	struct fp_worker_stats *s = &r->me->stats;

	fp_stat_add(&s->claims, 1);
	if (fp_unlikely(r->claimer.failed)) {
		fp_stat_add(&s->failed_claims, r->claimer.failed);
		r->claimer.failed = 0;
	}
}

bool fp_run_chunk(struct fp_runner *r, struct fp_chunk *chunk)
{
	struct fp_claimer *c = &r->claimer;
	bool split = false, leave = false;
	uint64_t at;

	if (!r->now)
		r->now = fp_sys.clock();
	if (!r->nested)
		fp_store_rlx(&r->me->runs, fp_load_rlx(&r->me->runs) + 1);
	count_claim(r);
	at = run_strides(r, chunk, &split, &leave);
	measure(r, chunk, at - chunk->begin);
	r->ran += at - chunk->begin;
	fp_store_rlx(&r->me->chunks, fp_load_rlx(&r->me->chunks) + 1);
	if (leave) {
		fp_stat_add(&r->me->stats.items, at - chunk->begin);
		return false;
	}
	if (!split) {
		fp_outcome_ran(c->slot.job, chunk->begin, at, r->pid);
		if (r->flush && __fpending(stdout))
			fflush(stdout);
		fp_stat_add(&r->me->stats.items, at - chunk->begin);
		fp_claim_finish(c, chunk);
	}
	return true;
}
