/* SPDX-License-Identifier: MIT */
/*
 * What.  A blocking map: the arrays are brought into the segment where they are
 * not there yet, one job is run for all or, where the arena is too small, for
 * one piece after the other, and the outcomes are gathered.
 *
 * Usage.  Any number of host threads at once, each with a slot of its own.
 *
 * Invariants.
 * I1 When it returns, no worker reads or writes the caller's arrays any more:
 *    the job is done, or all workers have ended.
 * I2 Private outputs are copied back only when a job has ended in order.
 *
 * If the owner dies: with the host everything ends.
 */
#include "engine/map.h"

#include <errno.h>
#include <string.h>

#include <forkpool.h>

#include "os/sys.h"
#include "task/job.h"
#include "task/limit.h"

#define PROGRESS_NS	((int64_t)100000000)

/* What is in the segment for a map, and how many items of it at a time. */
struct staging {
	void *arg;
	char *in, *out;
	struct forkpool_status *status;
	bool own_arg, own_in, own_out, own_status;	/* ours, to be freed */
	uint64_t piece;
};

struct run {
	struct forkpool *pool;
	const struct fp_map *map;
	struct staging st;
	struct fp_host_slot *slot;
	size_t reported;		/* by on_progress */
	bool failed;
	uint64_t first;			/* index of the first item not ok */
	int outcome;			/* and how it ended */
};

int fp_map_error(int outcome)
{
	switch (outcome) {
	case FORKPOOL_ITEM_FAILED:
		return -FORKPOOL_EFAILED;
	case FORKPOOL_ITEM_CRASHED:
	case FORKPOOL_ITEM_EXITED:
		return -FORKPOOL_ECRASHED;
	case FORKPOOL_ITEM_TIMED_OUT:
	case FORKPOOL_ITEM_NOT_RUN:	/* the deadline had passed */
		return -FORKPOOL_ETIMEDOUT;
	}
	return -FORKPOOL_ECANCELED;
}

/* ---- Staging --------------------------------------------------------------------------- */

/* An array that is used in place, or a copy's room for n items.  0 or -ENOMEM. */
static int stage(struct forkpool *pool, const void *user, size_t size,
		 size_t count, size_t n, void *ret, bool *own)
{
	void *p = NULL;
	int err = 0;

	*own = user && size && !fp_segment_owns(&pool->crew.seg, user, size * count);
	if (*own)
		err = fp_arena_alloc(pool->arena, FP_LINE, size * n, &p, NULL);
	else
		p = (void *)user;
	if (err)
		*own = false;
	else
		memcpy(ret, &p, sizeof(p));
	return err;
}

static void unstage(struct forkpool *pool, struct staging *st)
{
	if (st->own_in)
		fp_arena_free(pool->arena, st->in);
	if (st->own_out)
		fp_arena_free(pool->arena, st->out);
	if (st->own_status)
		fp_arena_free(pool->arena, st->status);
	if (st->own_arg)
		fp_arena_free(pool->arena, st->arg);
	st->own_in = st->own_out = st->own_status = st->own_arg = false;
}

static int stage_piece(struct run *r, uint64_t n)
{
	const struct fp_map *m = r->map;
	struct forkpool *pool = r->pool;
	struct staging *st = &r->st;
	int err = 0;

	st->piece = n;
	st->arg = m->arg;
	if (m->arg_size) {
		err = fp_arena_alloc(pool->arena, FP_LINE, m->arg_size, &st->arg, NULL);
		st->own_arg = !err;
	}
	if (!err)
		err = stage(pool, m->in, m->in_size, m->count, n, &st->in, &st->own_in);
	if (!err)
		err = stage(pool, m->out, m->out_size, m->count, n, &st->out, &st->own_out);
	if (!err)
		err = stage(pool, m->status, sizeof(*m->status), m->count, n,
			    &st->status, &st->own_status);
	if (!err && m->arg_size)
		memcpy(st->arg, m->arg, m->arg_size);
	if (err)
		unstage(pool, st);
	return err;
}

/* The largest piece that finds room. */
static int stage_all(struct run *r)
{
	uint64_t n = fp_min(r->map->count, fp_job_max(&r->pool->crew.seg.geo));
	int err;

	while ((err = stage_piece(r, n)) == -ENOMEM && n > 1)
		n = (n + 1) / 2;
	return err;
}

/* ---- One piece --------------------------------------------------------------------------- */

/* Where the items from b on lie: at the start of a copy, or in place. */
static char *at(char *base, bool own, size_t size, uint64_t b)
{
	return !base || own ? base : base + size * b;
}

static struct forkpool_status *status_at(const struct run *r, uint64_t b)
{
	return r->st.status && !r->st.own_status ? r->st.status + b : r->st.status;
}

static void publish(struct run *r, uint64_t b, uint64_t n)
{
	const struct fp_map *m = r->map;
	const struct staging *st = &r->st;
	const struct fp_segment *seg = &r->pool->crew.seg;
	const struct fp_job_desc desc = {
		.fn = m->fn,
		.flags = (m->range ? FP_JOB_RANGE : 0) | (m->stop_on_error ? FP_JOB_STOP : 0),
		.retries = m->retries,
		.arg = st->arg,
		.in = at(st->in, st->own_in, m->in_size, b),
		.out = at(st->out, st->own_out, m->out_size, b),
		.in_size = m->in_size,
		.out_size = m->out_size,
		.count = n,
		.begin = m->begin + b,
		.chunk = m->chunk,
		.status = status_at(r, b),
		.timeout = m->timeout,
		.deadline = m->deadline,
	};

	if (desc.status)
		memset(desc.status, 0, n * sizeof(*desc.status));
	r->slot->gen = fp_job_next_gen(seg, r->slot->index, r->slot->gen);
	fp_job_publish(seg, r->slot->index, r->slot->gen, &desc);
	if (fp_limited(&desc))
		fp_spawn_watch(&r->pool->spawn, r->slot->index);
}

static void report(struct run *r, size_t done)
{
	if (done > r->reported)
		r->reported = done;
	r->map->on_progress(r->reported, r->map->count, r->map->user);
}

/* Until the piece is done (0), or no worker is left to do it. */
static int await(struct run *r, uint64_t b, uint64_t n)
{
	const struct fp_segment *seg = &r->pool->crew.seg;
	struct fp_host_slot *slot = r->slot;
	int64_t deadline = FP_FOREVER;
	int err;

	for (;;) {
		if (r->map->on_progress)
			deadline = fp_deadline(PROGRESS_NS);
		err = fp_job_wait(seg, slot->index, slot->gen, deadline,
				  (int64_t)fp_load_rlx(&r->pool->spin));
		if (err != -ETIMEDOUT)
			break;
		report(r, b + fp_job_progress(seg, slot->index, slot->gen, n));
	}
	if (!err)
		return 0;
	fp_pool_await_end(r->pool);
	return fp_load_rlx(&r->pool->state) == FP_POOL_TERMINATED ? -FORKPOOL_ECANCELED
								   : -FORKPOOL_EBROKEN;
}

/* Items that nobody ran get a reason; then the caller's array its copy. */
static void give_status(struct run *r, uint64_t b, uint64_t n, int unrun)
{
	struct forkpool_status *st = status_at(r, b);
	uint64_t i;

	if (!st)
		return;
	for (i = 0; i < n; i++)
		if (st[i].worker == 0 || st[i].outcome == FORKPOOL_ITEM_CANCELLED)
			st[i].outcome = unrun;
	if (r->st.own_status)
		memcpy(r->map->status + b, st, n * sizeof(*st));
}

static int run_piece(struct run *r, uint64_t b, uint64_t n)
{
	const struct fp_map *m = r->map;
	uint64_t first;
	int err, outcome;

	if (r->st.own_in)
		memcpy(r->st.in, (const char *)m->in + b * m->in_size, n * m->in_size);
	if (r->st.own_out && m->stop_on_error)
		/* Places of items that are not run stay as they are. */
		memcpy(r->st.out, (char *)m->out + b * m->out_size, n * m->out_size);
	publish(r, b, n);
	err = await(r, b, n);
	give_status(r, b, n, err ? FORKPOOL_ITEM_CANCELLED : FORKPOOL_ITEM_NOT_RUN);
	if (err)
		return err;
	if (r->st.own_out)
		memcpy((char *)m->out + b * m->out_size, r->st.out, n * m->out_size);
	if (!r->failed && fp_job_first(&r->pool->crew.seg, r->slot->index, n, &first, &outcome)) {
		r->failed = true;
		r->first = b + first;
		r->outcome = outcome;
	}
	return 0;
}

/* ---- All of it ---------------------------------------------------------------------------- */

/* The status of items in pieces that were never started. */
static void mark_rest(const struct run *r, uint64_t from, int outcome)
{
	uint64_t i;

	for (i = from; r->map->status && i < r->map->count; i++)
		r->map->status[i] = (struct forkpool_status){ .outcome = outcome };
}

/* Nothing from item b on is begun any more. */
static bool too_late(struct run *r, uint64_t b)
{
	if (!r->map->deadline || fp_sys.clock() < r->map->deadline)
		return false;
	if (!r->failed) {
		r->failed = true;
		r->first = b;
		r->outcome = FORKPOOL_ITEM_NOT_RUN;
	}
	return true;
}

static int run_pieces(struct run *r)
{
	const struct fp_map *m = r->map;
	uint64_t b, n;
	int err = 0;

	for (b = 0; b < m->count && !err && !too_late(r, b); b += n) {
		n = fp_min(r->st.piece, m->count - b);
		err = run_piece(r, b, n);
		if (r->failed && m->stop_on_error) {
			b += n;
			break;
		}
	}
	mark_rest(r, b, err ? FORKPOOL_ITEM_CANCELLED : FORKPOOL_ITEM_NOT_RUN);
	return err;
}

int fp_map_run(struct forkpool *pool, const struct fp_map *map)
{
	struct run r = { .pool = pool, .map = map };
	int err = stage_all(&r);

	if (err)
		return err;
	err = fp_pool_take_slot(pool, &r.slot);
	if (!err) {
		err = run_pieces(&r);
		fp_pool_give_slot(pool, r.slot);
	}
	unstage(pool, &r.st);
	if (!err && map->on_progress)
		report(&r, map->count);
	if (err || !r.failed)
		return err;
	if (map->first_failure)
		*map->first_failure = map->begin + r.first;
	return fp_map_error(r.outcome);
}
