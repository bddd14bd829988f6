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
 *
 * Progress.  As tasks and nested maps.
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

#define KEEP_MOST	((size_t)1 << 16)	/* items whose status is kept unasked */

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

static int run_map(void *arg, const void *in, void *out)
{
	struct outcome *o = out;
	struct fp_map map;

	(void)arg;
	memcpy(&map, in, sizeof(map));
	o->first = SIZE_MAX;
	map.first_failure = &o->first;
	o->result = fp_nest_run(fp_self->crew->pool, &map);
	return 0;
}

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
	return m;
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
		.retries = m.retries,
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
	e->map.keep_status = !map->range && (map->status || map->count <= KEEP_MOST);
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

int fp_errand_gather(const struct fp_ref *r, int result)
{
	struct fp_errand *e = r->future->errand;
	const struct outcome *o = fp_future_output(r);

	if (e->gathered)
		return e->result;
	e->gathered = true;
	e->result = o ? o->result : result;
	e->first = o ? o->first : SIZE_MAX;
	if (o)
		deliver(e);
	else
		fp_map_mark(&e->map, 0, FORKPOOL_ITEM_CANCELLED);
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
	if (e->result && index + e->map.begin >= e->first)
		return -ENODATA;
	*ret = (struct forkpool_status){ .outcome = FORKPOOL_ITEM_OK };
	return 0;
}

void fp_errand_free(struct fp_errand *e)
{
	fp_stage_free(e->pool, &e->st);
	free(e);
}
