/* SPDX-License-Identifier: MIT */
/*
 * What.  An item's map that it does not wait for at once is a task whose function
 * maps: a worker that has nothing else to do begins it, or the item itself when it
 * waits, and the pool shares it out like any map of an item.
 *
 * Usage.  By a worker, inside an item.
 *
 * Invariants.
 * I1 The arrays that the task maps lie in the segment; the item's own get their copy
 *    from the wait, or poll, that first finds it ended.
 * I2 Copies are freed with the task's place, when it has ended, so never under a
 *    worker's hands.
 * I3 The statuses say at any time which items have ended, and how often the others
 *    were started.  They are read when the task's last worker is dead and settled,
 *    after the map that it had published was over (task/nest.c, I5).
 *
 * Progress.  As tasks and nested maps.  The worker that runs the task runs items as
 * well, so it may die of one.  Then the task runs again, whatever the retries, and
 * maps the items that have not ended: each time it dies of an item, that has used up
 * a start, so `lives` are enough.  Where no statuses are kept, all run again.
 *
 * If the owner dies.  What it had allocated is freed with the item; the task, if it
 * runs elsewhere, uses memory of the item, which is settled after it.
 */
#include "engine/errand.h"

#include <stdlib.h>
#include <string.h>

#include <forkpool.h>

#include "engine/descend.h"
#include "engine/nest.h"
#include "engine/stage.h"
#include "engine/submit.h"

/* In the submitting worker's own memory. */
struct fp_errand {
	struct forkpool *pool;
	struct fp_map map;		/* as the item asked for it */
	struct fp_stage st;
	bool gathered;
	int result;
	size_t first;			/* that is not ok; SIZE_MAX: none, or not known */
};

/* What the task leaves behind. */
struct outcome {
	int result;
	size_t first;
};

/* ---- In the worker that runs the task --------------------------------------------------- */

/* Never begun, or not ended when it lost its worker, with attempts left. */
static bool is_open(const struct fp_map *m, size_t i)
{
	const struct forkpool_status *st = &m->status[i];

	return st->worker ? st->outcome == FORKPOOL_ITEM_CANCELLED && st->attempts <= m->retries
			  : st->outcome == FORKPOOL_ITEM_OK;
}

/* Items that will not be run get their reason.  The first that is not ok, or SIZE_MAX. */
static size_t close_all(const struct fp_map *m, int unrun)
{
	size_t first = SIZE_MAX, i;

	for (i = 0; i < m->count; i++) {
		if (is_open(m, i))
			m->status[i].outcome = unrun;
		if (first == SIZE_MAX && m->status[i].outcome != FORKPOOL_ITEM_OK)
			first = i;
	}
	return first;
}

static int error_of(const struct fp_map *m, size_t first)
{
	return first == SIZE_MAX ? 0 : fp_map_error(m->status[first].outcome);
}

/* The next open items from *b on; returns where they end, and *b where there are none. */
static size_t find_open(const struct fp_map *m, size_t *b)
{
	size_t e;

	for (; *b < m->count && !is_open(m, *b); ++*b)
		if (m->stop_on_error && m->status[*b].outcome != FORKPOOL_ITEM_OK)
			return *b;
	for (e = *b; e < m->count && is_open(m, e); e++)
		;
	return e;
}

static int run_part(struct forkpool *pool, const struct fp_map *map, size_t b, size_t e)
{
	struct fp_map m = *map;

	if (m.in_size)
		m.in = (const char *)m.in + b * m.in_size;
	if (m.out_size)
		m.out = (char *)m.out + b * m.out_size;
	m.status += b;
	m.begin += b;
	m.count = e - b;
	return fp_nest_run(pool, &m);
}

/* Did the map run, however its items ended? */
static bool has_run(int err)
{
	return !err || err == -FORKPOOL_EFAILED || err == -FORKPOOL_ECRASHED ||
	       err == -FORKPOOL_ETIMEDOUT;
}

/* What is open: all, the first time; what lies between ended items in a later life. */
static int run_open(struct forkpool *pool, const struct fp_map *m, size_t *first)
{
	size_t b = 0, e;
	int err;

	while ((e = find_open(m, &b)) > b) {
		err = run_part(pool, m, b, e);
		if (!has_run(err) || e - b == m->count)
			return err;
		if (err && m->stop_on_error)
			break;
		b = e;
	}
	*first = close_all(m, FORKPOOL_ITEM_NOT_RUN);
	return error_of(m, *first);
}

/* How often the task that runs has lost its worker. */
static uint32_t lives_lost(void)
{
	struct fp_task *task = fp_self->top->task;
	const struct fp_task_ext *ext = task ? fp_task_ext(task) : NULL;

	return ext ? fp_load_rlx(&ext->attempts) : 0;
}

static int run_map(void *arg, const void *in, void *out)
{
	struct forkpool *pool = fp_self->crew->pool;
	struct outcome *o = out;
	struct fp_map map;

	(void)arg;
	memcpy(&map, in, sizeof(map));
	o->first = SIZE_MAX;
	map.first_failure = &o->first;
	if (map.lasting) {
		o->result = run_open(pool, &map, &o->first);
	} else {
		/* A life lost is taken for a start of the item that it was lost in. */
		map.retries -= (uint32_t)fp_min(map.retries, lives_lost());
		o->result = fp_nest_run(pool, &map);
	}
	return 0;
}

/* ---- In the item ------------------------------------------------------------------------- */

/* The map over arrays that any worker sees. */
static struct fp_map shared_map(const struct fp_errand *e)
{
	struct fp_map m = e->map;

	m.arg = e->st.arg;
	m.arg_size = 0;
	m.in = e->st.in;
	m.out = e->st.out;
	m.status = e->st.status;
	m.on_progress = NULL;
	m.keep_status = false;
	m.lasting = e->st.own_status;
	return m;
}

/* What runs the map again; each death of an item uses one of its starts up. */
static uint32_t lives(const struct fp_map *m)
{
	return m->lasting ? (uint32_t)fp_min(m->count * (m->retries + (uint64_t)1), UINT32_MAX)
			  : m->retries;
}

static int submit(struct fp_errand *e, struct forkpool_job **ret)
{
	const struct fp_map m = shared_map(e);
	struct fp_spec s = {
		.fn = (uintptr_t)run_map,
		.in = &m,
		.in_size = sizeof(m),
		.out_size = sizeof(struct outcome),
		.count = 1,
		.prio = m.prio,
		.retries = lives(&m),
	};
	struct fp_ref r = { .future = NULL };
	int64_t n = fp_descend_submit(e->pool, &s, ret);

	if (n < 0)
		return (int)n;
	if (!fp_ref_get(*ret, &r))
		r.future->errand = e;
	return 0;
}

int fp_errand_submit(struct forkpool *pool, const struct fp_map *map, struct forkpool_job **ret)
{
	struct fp_errand *e;
	int err;

	if (!fp_descend_can(fp_self))
		return -ENOTSUP;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->pool = pool;
	e->map = *map;
	e->map.keep_status = !map->range && (map->status || map->retries || map->count <= FP_KEEP_MOST);
	e->first = SIZE_MAX;
	err = fp_stage_all(pool, &e->map, &e->st);
	if (!err) {
		if (e->st.own_in)
			memcpy(e->st.in, map->in, map->in_size * map->count);
		if (e->st.own_out)
			/* Places of items that are not run stay as they are. */
			memcpy(e->st.out, map->out, map->out_size * map->count);
		if (e->st.own_status)
			memset(e->st.status, 0, map->count * sizeof(*e->st.status));
		err = submit(e, ret);
		if (err)
			fp_stage_free(pool, &e->st);
	}
	if (err)
		free(e);
	return err;
}

static void deliver(struct fp_errand *e)
{
	const struct fp_map *m = &e->map;

	if (e->st.own_out)
		memcpy(m->out, e->st.out, m->out_size * m->count);
	if (m->status && e->st.own_status)
		memcpy(m->status, e->st.status, m->count * sizeof(*m->status));
	if (m->first_failure && e->first != SIZE_MAX)
		*m->first_failure = e->first;
}

/* The task did not live to tell, or never ran: its items do. */
static void judge(struct fp_errand *e, const struct fp_map *m, int result)
{
	bool late = result == -FORKPOOL_ETIMEDOUT;

	e->first = close_all(m, late ? FORKPOOL_ITEM_NOT_RUN : FORKPOOL_ITEM_CANCELLED);
	e->result = error_of(m, e->first);
}

int fp_errand_gather(const struct fp_ref *r, int result)
{
	struct fp_errand *e = r->future->errand;
	const struct fp_map m = shared_map(e);
	const struct outcome *o = fp_future_output(r);

	if (e->gathered)
		return e->result;
	e->gathered = true;
	e->result = o ? o->result : result;
	e->first = o ? o->first : SIZE_MAX;
	if (!o && e->st.own_status)
		judge(e, &m, result);
	else if (e->st.own_status && !has_run(e->result))
		close_all(&m, FORKPOOL_ITEM_CANCELLED);
	deliver(e);
	return e->result;
}

int fp_errand_status(const struct fp_ref *r, size_t index, struct forkpool_status *ret)
{
	const struct fp_errand *e = r->future->errand;

	if (index >= e->map.count)
		return -EINVAL;
	if (e->st.own_status) {
		*ret = e->st.status[index];
		return 0;
	}
	/* Items before the first failure are ok. */
	if (e->result && (e->first == SIZE_MAX || index + e->map.begin >= e->first))
		return -ENODATA;
	*ret = (struct forkpool_status){ .outcome = FORKPOOL_ITEM_OK };
	return 0;
}

void fp_errand_free(struct fp_errand *e)
{
	fp_stage_free(e->pool, &e->st);
	free(e);
}
