/* SPDX-License-Identifier: MIT */
/*
 * What.  A map inside an item: published in a nested slot, where idle workers
 * find it, and run by the item's own worker as well, until it is done.
 *
 * Usage.  By a worker, inside an item.  With nothing to share (one item), inline,
 * in a hook, and where no slot or no memory is to be had, the caller runs it alone.
 *
 * Invariants.
 * I1 While it waits the worker runs chunks of the map, then of what descends from
 *    it, and nothing else (task/nest.c, I4).
 * I2 When it returns, no worker reads or writes the arrays any more, unless the
 *    pool is being terminated; then what was allocated for it stays allocated.
 * I3 The items' limits end no later than that of the item which maps, so that a
 *    worker that is killed for that one is not kept waiting for by its items.
 *
 * Ordering pairs.  IDLE-S1/IDLE-W2 (asleep and published), JOB-W3/JOB-D1 (asleep
 * and done).
 *
 * Progress.  What it waits for is at work in other workers, none of which waits
 * for anything below it.
 *
 * If the owner dies: task/nest.c and proc/recover.c.
 */
#include "engine/nest.h"

#include <errno.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/descend.h"
#include "engine/piece.h"
#include "engine/serial.h"
#include "os/sys.h"
#include "shm/stats.h"
#include "sync/idle.h"
#include "task/job.h"
#include "task/limit.h"
#include "task/nest.h"

#define LOOKS		8	/* fruitless looks between two yields */

struct nest {
	struct fp_self *self;
	const struct fp_map *map;
	struct fp_piece piece;
	struct fp_runner runner;
	uint32_t tag;			/* of the item that maps */
	bool is_task;			/* what was found is not a chunk but this: */
	struct fp_taken task;
	int64_t report_at;
};

/* ---- Work ------------------------------------------------------------------------------ */

static bool claim_own(struct nest *n, struct fp_chunk *chunk)
{
	struct fp_claimer *c = &n->runner.claimer;

	return fp_claimer_open(c, n->piece.slot) && fp_claim(c, chunk);
}

/* A task that an item of the map, or of what descends from it, has submitted. */
static bool claim_task(struct nest *n)
{
	uint32_t kinds = fp_load_rlx(&n->self->crew->seg.ctl->kinds);

	n->is_task = (kinds & FP_KIND_ANY_TASK) &&
		     fp_descend_find(n->self, &n->runner, n->tag, &n->task);
	return n->is_task;
}

static bool find_work(struct nest *n, struct fp_chunk *chunk)
{
	n->is_task = false;
	return claim_own(n, chunk) || fp_descend_chunk(&n->runner, n->tag, chunk) || claim_task(n);
}

static void run_found(struct nest *n, struct fp_chunk *chunk)
{
	if (n->is_task)
		fp_descend_run(n->self, &n->runner, &n->task);
	else
		fp_descend_run_chunk(n->self, &n->runner, chunk);
}

/* ---- Waiting --------------------------------------------------------------------------- */

static uint64_t job_word(const struct nest *n)
{
	/* JOB-D3: as JOB-D2; pairs with JOB-D1. */
	return fp_load_sc(&fp_segment_slot(&n->self->crew->seg, n->piece.slot).job->word);
}

static bool is_stopping(const struct nest *n)
{
	/* CTL-S3: sc, as part of the last look before sleep; pairs with CTL-S1. */
	return fp_load_sc(&n->self->crew->seg.ctl->stop) == FP_STOP_NOW;
}

static bool is_over(const struct nest *n)
{
	return !(job_word(n) & FP_JOB_RUN) || is_stopping(n);
}

static void maybe_report(struct nest *n)
{
	const struct fp_map *m = n->map;

	if (!m->on_progress || fp_sys.clock() < n->report_at)
		return;
	m->on_progress(fp_piece_progress(&n->piece), m->count, m->user);
	n->report_at = fp_deadline(FP_PROGRESS_NS);
}

/* Asks to be woken at the end; false when that has come. */
static bool ask_to_be_woken(struct nest *n, uint32_t *seen)
{
	struct fp_job *job = fp_segment_slot(&n->self->crew->seg, n->piece.slot).job;
	uint64_t w = job_word(n);

	/* JOB-W3: as JOB-W1; pairs with JOB-D1. */
	while ((w & FP_JOB_RUN) && !(w & FP_JOB_WAITER) &&
	       !fp_cas_sc(&job->word, &w, w | FP_JOB_WAITER))
		;
	*seen = (uint32_t)w | FP_JOB_WAITER;
	return w & FP_JOB_RUN;
}

static bool park_or_find(struct nest *n, struct fp_chunk *chunk)
{
	struct fp_ctl *ctl = n->self->crew->seg.ctl;
	uint32_t id = n->self->id, ticket = fp_nest_park_prepare(ctl, id), seen;
	fp_a64 *word = &fp_segment_slot(&n->self->crew->seg, n->piece.slot).job->word;
	bool found = find_work(n, chunk);

	if (found || is_stopping(n) || !ask_to_be_woken(n, &seen))
		fp_nest_park_cancel(ctl, id);
	else {
		/* The low half comes first: only little-endian machines are known here. */
		fp_nest_park(ctl, id, ticket, (fp_a32 *)word, seen,
			     n->map->on_progress ? n->report_at : FP_FOREVER);
		fp_stat_add(&n->self->shared->stats.wakeups, 1);
	}
	return found;
}

static bool spin_for_work(struct nest *n, struct fp_chunk *chunk)
{
	int64_t spin = (int64_t)fp_load_rlx(&n->self->crew->seg.ctl->spin);
	int64_t until = fp_deadline(spin);
	int i;

	while (spin > 0 && fp_sys.clock() < until) {
		for (i = 0; i < LOOKS; i++) {
			if (is_over(n))
				return false;
			if (find_work(n, chunk))
				return true;
			fp_pause();
		}
		fp_sys.yield();
	}
	return false;
}

/* More of it to run, by the time that others may have run it all. */
static bool await_work(struct nest *n, struct fp_chunk *chunk)
{
	struct fp_ctl *ctl = n->self->crew->seg.ctl;
	bool found = find_work(n, chunk);

	if (found || is_over(n))
		return found;
	fp_waiting_set(ctl, n->self->id);
	fp_stats_turn(&n->self->shared->stats, FP_DOING_WAITS, fp_sys.clock());
	while (!found && !is_over(n)) {
		found = spin_for_work(n, chunk) || (!is_over(n) && park_or_find(n, chunk));
		maybe_report(n);
	}
	fp_waiting_clear(ctl, n->self->id);
	n->runner.now = fp_sys.clock();
	fp_stats_turn(&n->self->shared->stats, FP_DOING_ITEMS, n->runner.now);
	return found;
}

/* Until it is done: 0.  Or the pool stops. */
static int run_until_done(struct nest *n)
{
	struct fp_chunk chunk;

	while (!is_over(n)) {
		if (await_work(n, &chunk))
			run_found(n, &chunk);
		maybe_report(n);
	}
	return job_word(n) & FP_JOB_RUN ? -FORKPOOL_ECANCELED : 0;
}

/* ---- The map --------------------------------------------------------------------------- */

/* The limits of the items: the map's own, and what the item that maps has left. */
static void inherit_limits(const struct fp_self *self, struct fp_map *m)
{
	uint64_t outer = fp_load_rlx(&self->shared->limit);

	if (outer && outer < (uint64_t)FP_FOREVER)
		m->deadline = m->deadline ? fp_earlier(m->deadline, (int64_t)outer) : (int64_t)outer;
}

static int finish(struct nest *n, int err)
{
	const struct fp_map *m = n->map;
	struct fp_failure failure = { 0 };

	if (err) {
		/* Others may still write to an array in the segment. */
		if (n->piece.st.own_status)
			fp_map_mark(m, 0, FORKPOOL_ITEM_CANCELLED);
		return err;
	}
	fp_piece_gather(&n->piece, 0, true, &failure);
	fp_stage_free(n->piece.pool, &n->piece.st);
	if (m->on_progress)
		m->on_progress(m->count, m->count, m->user);
	if (!failure.failed)
		return 0;
	if (m->first_failure)
		*m->first_failure = m->begin + failure.index;
	return fp_map_error(failure.outcome);
}

/* In a new frame; the slot is held and the arrays are there. */
static int run_in(struct nest *n, struct fp_frame *frame)
{
	struct fp_self *self = n->self;
	int err;

	fp_descend_open(self, &n->runner, frame);
	n->tag = self->top->tag;
	n->piece.parent = fp_self_parent(self);
	n->report_at = fp_deadline(FP_PROGRESS_NS);
	self->depth++;
	fp_piece_start(&n->piece, 0, n->map->count);
	err = run_until_done(n);
	self->depth--;
	fp_nest_pop(&self->crew->seg, self->id, self->depth);
	return finish(n, err);
}

/* 0; -EAGAIN: no slot; -ENOMEM: no memory. */
static int take(struct nest *n)
{
	const struct fp_segment *seg = &n->self->crew->seg;
	struct fp_piece *p = &n->piece;

	if (!fp_nest_take(seg, n->self->id, n->self->depth - 1, &p->slot))
		return -EAGAIN;
	p->gen = FP_JOB_GEN(fp_load_rlx(&fp_segment_slot(seg, p->slot).job->word));
	return 0;
}

/* *alone: it could not be shared, and nothing was run. */
static int share(struct fp_self *self, struct forkpool *pool, const struct fp_map *map,
		 bool *alone)
{
	const struct fp_segment *seg = &self->crew->seg;
	struct nest n = { .self = self, .map = map, .piece = { .pool = pool, .map = map } };
	struct fp_frame *frame;
	int err = take(&n);

	*alone = true;
	if (err)
		return err;
	err = fp_stage_all(pool, map, &n.piece.st);
	frame = err ? NULL : fp_nest_push(seg, self->id, self->depth, &self->frame_room);
	if (frame) {
		*alone = false;
		err = run_in(&n, frame);
	} else if (!err) {
		fp_stage_free(pool, &n.piece.st);
		err = -ENOMEM;
	}
	if (!is_stopping(&n))
		fp_nest_give(seg, n.piece.slot);
	return err;
}

/* Alone; who counts the items, if anybody. */
static int run_alone(const struct fp_self *self, const struct fp_map *map, bool own)
{
	return fp_serial_run(map, own ? &fp_segment_worker(&self->crew->seg, self->id)->stats : NULL);
}

static int run(struct fp_self *self, struct forkpool *pool, const struct fp_map *map)
{
	struct fp_map m = *map;
	/* In a process that an item forked the control words are not mapped. */
	bool own = getpid() == self->runner.pid, shared = own && self->in_item;
	bool alone;
	int err;

	if (!shared && m.limited)
		return -ENOTSUP;
	if (!shared || m.count < (m.limited || m.retries || m.lasting ? 1u : 2u))
		return run_alone(self, map, own);
	m.level = self->level;
	inherit_limits(self, &m);
	err = share(self, pool, &m, &alone);
	return alone && !m.limited ? run_alone(self, map, own) : err;
}

int fp_nest_run(struct forkpool *pool, const struct fp_map *map)
{
	struct fp_self *self = fp_self;
	int err;

	if (self->level + 1 >= FP_DEPTH)
		return -ELOOP;
	self->level++;
	err = run(self, pool, map);
	self->level--;
	return err;
}
