/* SPDX-License-Identifier: MIT */
/*
 * Maps that run where they are called, with the same outcomes as on workers: in
 * inline mode, and inside an item, whose worker runs them itself.  The caller's
 * arrays are used as they are.
 */
#include "engine/serial.h"

#include <unistd.h>

#include <forkpool.h>

#include "os/sys.h"
#include "shm/stats.h"

#define RANGE_PARTS	16	/* calls for a range, when the user names no chunk */

struct serial {
	const struct fp_map *map;
	const struct forkpool *pool;	/* that may be terminated; NULL inside an item */
	struct fp_worker_stats *stats;	/* NULL: nobody counts */
	int64_t report_at;
	bool failed;
	size_t first;
};

static int call_item(const struct fp_map *m, size_t i)
{
	forkpool_fn *fn = (forkpool_fn *)m->fn;

	return fn(m->arg, m->in_size ? (const char *)m->in + i * m->in_size : NULL,
		  m->out_size ? (char *)m->out + i * m->out_size : NULL);
}

static int call_range(const struct fp_map *m, size_t i, size_t end)
{
	forkpool_range_fn *fn = (forkpool_range_fn *)m->fn;

	return fn(m->arg, m->begin + i, m->begin + end);
}

/* What is to be known of item i if its worker does not live to note it. */
static void note_begin(const struct fp_map *m, size_t i)
{
	struct forkpool_status *st = m->lasting ? &m->status[i] : NULL;

	if (!st)
		return;
	st->attempts++;
	st->worker = getpid();
	st->code = 0;
	st->outcome = st->attempts > m->retries ? FORKPOOL_ITEM_CRASHED : FORKPOOL_ITEM_CANCELLED;
}

static void note(struct serial *s, size_t i, int code)
{
	const struct fp_map *m = s->map;

	if (m->status)
		m->status[i] = (struct forkpool_status){
			.outcome = code ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_OK,
			.code = code,
			.attempts = m->lasting ? m->status[i].attempts : 1,
			.worker = getpid(),
		};
	if (!code || s->failed)
		return;
	s->failed = true;
	s->first = i;
}

static void maybe_report(struct serial *s, size_t done)
{
	const struct fp_map *m = s->map;

	if (!m->on_progress || fp_sys.clock() < s->report_at)
		return;
	m->on_progress(done, m->count, m->user);
	s->report_at = fp_deadline(FP_PROGRESS_NS);
}

static size_t step_of(const struct fp_map *m)
{
	if (!m->range)
		return 1;
	return m->chunk ? m->chunk : fp_div_up(m->count, RANGE_PARTS);
}

static bool terminated(const struct serial *s)
{
	return s->pool && fp_load_rlx(&s->pool->state) == FP_POOL_TERMINATED;
}

static int run(struct serial *s)
{
	const struct fp_map *m = s->map;
	size_t step = step_of(m), i, n;

	s->report_at = fp_deadline(FP_PROGRESS_NS);
	for (i = 0; i < m->count && !(s->failed && m->stop_on_error); i += n) {
		if (terminated(s)) {
			fp_map_mark(m, i, FORKPOOL_ITEM_CANCELLED);
			return -FORKPOOL_ECANCELED;
		}
		n = fp_min(step, m->count - i);
		note_begin(m, i);
		note(s, i, m->range ? call_range(m, i, i + n) : call_item(m, i));
		if (s->stats)
			fp_stat_add(&s->stats->items, n);
		maybe_report(s, i + n);
	}
	fp_map_mark(m, i, FORKPOOL_ITEM_NOT_RUN);
	if (m->on_progress)
		m->on_progress(m->count, m->count, m->user);
	if (!s->failed)
		return 0;
	if (m->first_failure)
		*m->first_failure = m->begin + s->first;
	return -FORKPOOL_EFAILED;
}

int fp_serial_run(const struct fp_map *map, struct fp_worker_stats *stats)
{
	struct serial s = { .map = map, .stats = stats };

	return run(&s);
}

int fp_serial_run_inline(struct forkpool *pool, const struct fp_map *map)
{
	struct serial s = {
		.map = map,
		.pool = pool,
		.stats = &fp_segment_worker(&pool->crew.seg, 0)->stats,
	};
	struct fp_self *before = fp_self;
	enum fp_doing was;
	int err;

	pthread_mutex_lock(&pool->serial);
	fp_self = &pool->self;
	/* Busy already, where an item's map on another pool has come back to this one. */
	was = fp_stats_times(s.stats, 0).doing;
	fp_stats_turn(s.stats, FP_DOING_ITEMS, fp_sys.clock());
	err = run(&s);
	fp_stats_turn(s.stats, was, fp_sys.clock());
	fp_self = before;
	pthread_mutex_unlock(&pool->serial);
	return err;
}
