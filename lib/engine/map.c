/* SPDX-License-Identifier: MIT */
/*
 * What.  A blocking map: one job for all items or, where the arena is too small,
 * for one piece after the other.
 *
 * Usage.  Any number of host threads at once, each with a slot of its own.
 *
 * Invariants.
 * I1 When it returns, no worker reads or writes the caller's arrays any more:
 *    the job is done, or all workers have ended.
 *
 * If the owner dies: with the host everything ends.
 */
#include "engine/map.h"

#include <errno.h>

#include <forkpool.h>

#include "engine/piece.h"
#include "engine/slots.h"
#include "os/sys.h"
#include "task/job.h"

struct run {
	struct fp_piece piece;
	const struct fp_map *map;
	size_t reported;		/* by on_progress */
	struct fp_failure failure;
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

void fp_map_mark(const struct fp_map *map, size_t from, int outcome)
{
	for (; map->status && from < map->count; from++)
		map->status[from] = (struct forkpool_status){ .outcome = outcome };
}

static void report(struct run *r, size_t done)
{
	if (done > r->reported)
		r->reported = done;
	r->map->on_progress(r->reported, r->map->count, r->map->user);
}

/* Until the piece is done (0), or no worker is left to do it. */
static int await(struct run *r)
{
	struct fp_piece *p = &r->piece;
	int64_t deadline = FP_FOREVER;
	int err;

	for (;;) {
		if (r->map->on_progress)
			deadline = fp_deadline(FP_PROGRESS_NS);
		err = fp_job_wait(&p->pool->crew.seg, p->slot, p->gen, deadline,
				  (int64_t)fp_load_rlx(&p->pool->spin));
		if (err != -ETIMEDOUT)
			break;
		report(r, fp_piece_progress(p));
	}
	if (!err)
		return 0;
	fp_pool_await_end(p->pool, FP_FOREVER);
	return fp_pool_end_error(p->pool);
}

/* Nothing from item b on is begun any more. */
static bool too_late(struct run *r, uint64_t b)
{
	if (!r->map->deadline || fp_sys.clock() < r->map->deadline)
		return false;
	if (!r->failure.failed)
		r->failure = (struct fp_failure){ true, b, FORKPOOL_ITEM_NOT_RUN };
	return true;
}

static int run_pieces(struct run *r)
{
	const struct fp_map *m = r->map;
	uint64_t b, n;
	int err = 0;

	for (b = 0; b < m->count && !err && !too_late(r, b); b += n) {
		n = fp_min(r->piece.st.piece, m->count - b);
		fp_piece_start(&r->piece, b, n);
		err = await(r);
		fp_piece_gather(&r->piece, err, true, &r->failure);
		if (r->failure.failed && m->stop_on_error) {
			b += n;
			break;
		}
	}
	fp_map_mark(m, b, err ? FORKPOOL_ITEM_CANCELLED : FORKPOOL_ITEM_NOT_RUN);
	return err;
}

int fp_map_run(struct forkpool *pool, const struct fp_map *map)
{
	struct run r = { .piece = { .pool = pool, .map = map }, .map = map };
	struct fp_host_slot *slot;
	int err = fp_stage_most(pool, map, &r.piece.st);

	if (err)
		return err;
	err = fp_pool_take_slot(pool, !map->dont_wait, &slot);
	if (!err) {
		fp_piece_hold(&r.piece, slot);
		err = run_pieces(&r);
		fp_pool_give_slot(pool, slot);
	}
	fp_stage_free(pool, &r.piece.st);
	if (!err && map->on_progress)
		report(&r, map->count);
	if (err || !r.failure.failed)
		return err;
	if (map->first_failure)
		*map->first_failure = map->begin + r.failure.index;
	return fp_map_error(r.failure.outcome);
}
