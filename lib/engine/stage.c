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

static bool is_copied(const struct forkpool *pool, const void *user, size_t size, size_t count)
{
	return user && size && !fp_segment_owns(&pool->crew.seg, user, size * count);
}

size_t fp_stage_item(const struct forkpool *pool, const struct fp_map *m)
{
	return (is_copied(pool, m->in, m->in_size, m->count) ? m->in_size : 0) +
	       (is_copied(pool, m->out, m->out_size, m->count) ? m->out_size : 0);
}

/* An array that is used in place, or a copy's room for n items.  0 or -ENOMEM. */
static int stage(struct forkpool *pool, const void *user, size_t size,
		 size_t count, size_t n, void *ret, bool *own)
{
	void *p = NULL;
	int err = 0;

	*own = is_copied(pool, user, size, count);
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

void fp_stage_expect(struct forkpool *pool, const struct fp_map *m, uint64_t n)
{
	size_t item = fp_by_worker(pool) ? 0 : fp_stage_item(pool, m);

	if (item)
		fp_arena_expect(pool->arena, item * n);
}

/* All but the arg; nothing is kept of it on failure. */
static int stage_arrays(struct forkpool *pool, const struct fp_map *m,
			struct fp_stage *st, uint64_t n)
{
	int err = stage(pool, m->in, m->in_size, m->count, n, &st->in, &st->own_in);

	if (!err)
		err = stage(pool, m->out, m->out_size, m->count, n, &st->out, &st->own_out);
	if (!err)
		err = stage_status(pool, m, n, st);
	if (err)
		fp_stage_free(pool, st);
	return err;
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
		err = stage_arrays(pool, m, st, n);
	if (err)
		return err;
	if (m->arg_size)
		memcpy(st->arg, m->arg, m->arg_size);
	return 0;
}

int fp_stage_again(struct forkpool *pool, const struct fp_map *m, uint64_t n,
		   struct fp_stage *st)
{
	struct fp_stage more = { .arg = st->arg, .piece = n };
	int err = stage_arrays(pool, m, &more, n);

	if (err)
		return err;
	more.own_arg = st->own_arg;
	st->own_arg = false;
	fp_stage_free(pool, st);
	*st = more;
	return 0;
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
	int err;

	if (m->count > fp_job_max(&pool->crew.seg.geo))
		return -ENOMEM;
	err = stage_or_reap(pool, m, st, m->count);
	if (!err)
		fp_stage_expect(pool, m, m->count);
	return err;
}

int fp_stage_most(struct forkpool *pool, const struct fp_map *m, uint64_t most,
		  struct fp_stage *st)
{
	uint64_t n = fp_min(most, fp_job_max(&pool->crew.seg.geo));
	int err = stage_or_reap(pool, m, st, n);

	while (err == -ENOMEM && n > 1) {
		n = (n + 1) / 2;
		err = stage_piece(pool, m, st, n);
	}
	return err;
}
