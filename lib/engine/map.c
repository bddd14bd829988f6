/* SPDX-License-Identifier: MIT */
/*
 * What.  A blocking map, as a window of pieces (window.c).
 *
 * Usage.  Any number of host threads at once, each with slots of its own.
 *
 * Invariants.
 * I1 When it returns, no worker reads or writes the caller's arrays any more:
 *    the job is done, or all workers have ended.
 *
 * If the owner dies: with the host everything ends.
 */
#include "engine/map.h"

#include <forkpool.h>

#include "engine/window.h"
#include "os/sys.h"

struct run {
	const struct fp_map *map;
	size_t reported;		/* by on_progress */
	int64_t report_at;		/* no earlier; FP_FOREVER: never */
	struct fp_window window;
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

/* Between two pieces as well, which may come so fast that nothing is long waited for. */
static void report_if_due(struct run *r)
{
	if (fp_sys.clock() < r->report_at)
		return;
	report(r, fp_window_progress(&r->window));
	r->report_at = fp_deadline(FP_PROGRESS_NS);
}

/* Nothing more is begun: an error stops the map, or its deadline has passed. */
static bool is_cut(struct run *r)
{
	struct fp_window *w = &r->window;

	if (w->failure.failed && r->map->stop_on_error)
		return true;
	if (!r->map->deadline || fp_sys.clock() < r->map->deadline || w->next == r->map->count)
		return false;
	if (!w->failure.failed)
		w->failure = (struct fp_failure){ true, w->next, FORKPOOL_ITEM_NOT_RUN };
	return true;
}

static int run_pieces(struct run *r)
{
	struct fp_window *w = &r->window;
	unsigned gathered;
	int err;

	for (;;) {
		if (r->report_at != FP_FOREVER)
			report_if_due(r);
		err = fp_window_gather(w, &gathered);
		if (err)
			break;
		if ((!is_cut(r) && fp_window_begin(w)) || gathered)
			continue;
		if (!w->busy)
			break;
		fp_window_await(w, r->report_at);
	}
	if (err) {
		fp_pool_await_end(w->pool, FP_FOREVER);
		err = fp_pool_end_error(w->pool);
		fp_window_abandon(w, err);
	}
	fp_map_mark(r->map, w->next, err ? FORKPOOL_ITEM_CANCELLED : FORKPOOL_ITEM_NOT_RUN);
	return err;
}

int fp_map_run(struct forkpool *pool, const struct fp_map *map)
{
	struct run r = { .map = map, .report_at = FP_FOREVER };
	const struct fp_failure *f = &r.window.failure;
	int err = fp_window_open(&r.window, pool, map);

	if (err)
		return err;
	if (map->on_progress)
		r.report_at = fp_deadline(FP_PROGRESS_NS);
	err = run_pieces(&r);
	fp_window_close(&r.window);
	if (!err && map->on_progress)
		report(&r, map->count);
	if (err || !f->failed)
		return err;
	if (map->first_failure)
		*map->first_failure = map->begin + f->index;
	return fp_map_error(f->outcome);
}
