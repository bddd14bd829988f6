/* SPDX-License-Identifier: MIT */
/*
 * Arrays that lie in the segment already are used where they are; for others
 * there is room of our own, into which piece.c copies.
 */
#include "engine/stage.h"

#include <errno.h>
#include <string.h>

#include <forkpool.h>

#include "engine/async.h"
#include "engine/memory.h"
#include "task/job.h"

/* An array that is used in place, or a copy's room for n items.  0 or -ENOMEM. */
static int stage(struct forkpool *pool, const void *user, size_t size,
		 size_t count, size_t n, void *ret, bool *own)
{
	void *p = NULL;
	int err = 0;

	*own = user && size && !fp_segment_owns(&pool->crew.seg, user, size * count);
	if (*own)
		err = fp_memory_alloc(pool, size * n, &p);
	else
		p = (void *)user;
	if (err)
		*own = false;
	else
		memcpy(ret, &p, sizeof(p));
	return err;
}

/* A status array that is to be asked after the job has ended is always ours. */
static int stage_status(struct forkpool *pool, const struct fp_map *m, size_t n,
			struct fp_stage *st)
{
	void *p;
	int err;

	if (!m->keep_status)
		return stage(pool, m->status, sizeof(*m->status), m->count, n,
			     &st->status, &st->own_status);
	err = fp_memory_alloc(pool, sizeof(*m->status) * n, &p);
	if (err)
		return err;
	st->status = p;
	st->own_status = true;
	return 0;
}

void fp_stage_free_data(struct forkpool *pool, struct fp_stage *st)
{
	if (st->own_in)
		fp_memory_free(pool, st->in);
	if (st->own_out)
		fp_memory_free(pool, st->out);
	if (st->own_arg)
		fp_memory_free(pool, st->arg);
	st->own_in = st->own_out = st->own_arg = false;
}

void fp_stage_free(struct forkpool *pool, struct fp_stage *st)
{
	fp_stage_free_data(pool, st);
	if (st->own_status)
		fp_memory_free(pool, st->status);
	st->own_status = false;
}

/* What it frees in the end is kept for the next map. */
static void expect(struct forkpool *pool, const struct fp_map *m,
		   const struct fp_stage *st, uint64_t n)
{
	size_t item = (st->own_in ? m->in_size : 0) + (st->own_out ? m->out_size : 0);

	if (item && !fp_by_worker(pool))
		fp_arena_expect(pool->arena, item * n);
}

static int stage_piece(struct forkpool *pool, const struct fp_map *m,
		       struct fp_stage *st, uint64_t n)
{
	int err = 0;

	*st = (struct fp_stage){ .arg = m->arg, .piece = n };
	if (m->arg_size) {
		err = fp_memory_alloc(pool, m->arg_size, &st->arg);
		st->own_arg = !err;
	}
	if (!err)
		err = stage(pool, m->in, m->in_size, m->count, n, &st->in, &st->own_in);
	if (!err)
		err = stage(pool, m->out, m->out_size, m->count, n, &st->out, &st->own_out);
	if (!err)
		err = stage_status(pool, m, n, st);
	if (!err && m->arg_size)
		memcpy(st->arg, m->arg, m->arg_size);
	if (err)
		fp_stage_free(pool, st);
	else
		expect(pool, m, st, n);
	return err;
}

/* Jobs that have ended, but were not asked yet, may hold the room that is missing. */
static int stage_or_reap(struct forkpool *pool, const struct fp_map *m,
			 struct fp_stage *st, uint64_t n)
{
	int err = stage_piece(pool, m, st, n);

	if (err == -ENOMEM && !fp_by_worker(pool) && fp_async_reap(pool, false))
		err = stage_piece(pool, m, st, n);
	return err;
}

int fp_stage_all(struct forkpool *pool, const struct fp_map *m, struct fp_stage *st)
{
	if (m->count > fp_job_max(&pool->crew.seg.geo))
		return -ENOMEM;
	return stage_or_reap(pool, m, st, m->count);
}

int fp_stage_most(struct forkpool *pool, const struct fp_map *m, struct fp_stage *st)
{
	uint64_t n = fp_min(m->count, fp_job_max(&pool->crew.seg.geo));
	int err = stage_or_reap(pool, m, st, n);

	while (err == -ENOMEM && n > 1) {
		n = (n + 1) / 2;
		err = stage_piece(pool, m, st, n);
	}
	return err;
}
