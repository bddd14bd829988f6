/* SPDX-License-Identifier: MIT */
/* The public maps: arguments checked, then handed to who runs them. */
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include <forkpool.h>

#include "api/options.h"
#include "engine/async.h"
#include "engine/errand.h"
#include "engine/map.h"
#include "engine/nest.h"
#include "engine/serial.h"
#include "os/sys.h"

#define INDEX_MAX	((size_t)1 << 55)	/* indices must fit struct fp_job's `first` */

static int check_array(const void *p, size_t size, size_t count)
{
	size_t bytes;

	if (fp_mul_overflows(size, count, &bytes) || bytes > PTRDIFF_MAX)
		return -EINVAL;
	if (bytes && !p)
		return -EINVAL;
	return (uintptr_t)p > UINTPTR_MAX - bytes ? -EINVAL : 0;
}

static int check_arg(struct forkpool *pool, const struct forkpool_job_opts *o)
{
	if (o->arg_size)
		return !o->arg || o->arg_as_is || o->arg_size > PTRDIFF_MAX ? -EINVAL : 0;
	if (!o->arg || o->arg_as_is || fp_segment_owns(&pool->crew.seg, o->arg, 1))
		return 0;
	return -EINVAL;
}

static int check(struct forkpool *pool, const struct fp_map *m,
		 const struct forkpool_job_opts *o)
{
	int err;

	if (!m->fn || m->count > INDEX_MAX)
		return -EINVAL;
	err = check_array(m->in, m->in_size, m->count);
	if (!err)
		err = check_array(m->out, m->out_size, m->count);
	if (!err)
		err = check_array(m->status, m->status ? sizeof(*m->status) : 0, m->count);
	if (!err)
		err = check_arg(pool, o);
	if (!err && m->retries && m->in_size && m->out_size &&
	    fp_overlap(m->in, m->in_size * m->count, m->out, m->out_size * m->count))
		err = -EINVAL;
	return err;
}

static void take_options(struct fp_map *m, const struct forkpool_job_opts *o)
{
	m->arg = o->arg;
	m->arg_size = o->arg_size;
	m->chunk = o->chunk;
	m->retries = o->retries;
	m->stop_on_error = o->stop_on_error;
	m->status = o->status;
	m->first_failure = o->first_failure;
	m->dont_wait = o->dont_wait;
	m->on_progress = o->on_progress;
	m->on_done = o->on_done;
	m->user = o->user;
	m->prio = (uint32_t)(FORKPOOL_PRIORITY_HIGH - o->priority);
	m->timeout = o->timeout;
	m->deadline = o->deadline ? fp_deadline(o->deadline) : 0;
	m->limited = o->timeout || o->deadline;
}

/* Limits in time need a process that can die for them. */
static int check_limits(const struct forkpool *pool, const struct forkpool_job_opts *o)
{
	if (o->timeout < 0 || o->deadline < 0)
		return -EINVAL;
	if (!o->timeout && !o->deadline)
		return 0;
	return pool->mode == FORKPOOL_PROCESSES ? 0 : -ENOTSUP;
}

static int run_from_host(struct forkpool *pool, const struct fp_map *m)
{
	int err = fp_pool_enter(pool);

	if (err)
		return err;
	if (m->count)
		err = pool->mode == FORKPOOL_INLINE ? fp_serial_run_inline(pool, m)
						    : fp_map_run(pool, m);
	fp_pool_leave(pool);
	return err;
}

/* Takes the options in, and says who calls. */
static int prepare(struct forkpool *pool, struct fp_map *m,
		   const struct forkpool_job_opts *opts, enum fp_caller *caller)
{
	struct forkpool_job_opts known;
	int err;

	if (!pool)
		return -EINVAL;
	*caller = fp_pool_caller(pool);
	if (*caller == FP_CALLER_CHILD)
		return -EINVAL;
	err = fp_options_copy(&known, FP_JOB_OPTS_FIRST, sizeof(known), opts);
	if (err)
		return err;
	if ((m->range && known.status) || known.group || known.priority < FORKPOOL_PRIORITY_LOW ||
	    known.priority > FORKPOOL_PRIORITY_HIGH)
		return -EINVAL;
	err = check_limits(pool, &known);
	if (err)
		return err;
	take_options(m, &known);
	return check(pool, m, &known);
}

static int run(struct forkpool *pool, struct fp_map *m,
	       const struct forkpool_job_opts *opts)
{
	enum fp_caller caller;
	int err = prepare(pool, m, opts, &caller);

	if (!err && m->on_done)
		err = -EINVAL;
	if (err)
		return err;
	return caller == FP_CALLER_WORKER ? fp_nest_run(pool, m) : run_from_host(pool, m);
}

static int submit(struct forkpool *pool, struct fp_map *m,
		  const struct forkpool_job_opts *opts, struct forkpool_job **ret)
{
	enum fp_caller caller;
	int err = ret ? prepare(pool, m, opts, &caller) : -EINVAL;

	if (err)
		return err;
	if (caller == FP_CALLER_WORKER)
		return m->on_done ? -EINVAL
		       : pool->mode == FORKPOOL_INLINE ? -ENOTSUP : fp_errand_submit(pool, m, ret);
	err = fp_pool_enter(pool);
	if (err)
		return err;
	err = fp_async_submit(pool, m, ret);
	if (err)
		fp_pool_leave(pool);
	return err;
}

static struct fp_map map_of(forkpool_fn *fn, const void *in, size_t in_size, void *out,
			    size_t out_size, size_t count)
{
	return (struct fp_map){
		.fn = (uintptr_t)fn,
		.in = in,
		.in_size = in_size,
		.out = out,
		.out_size = out_size,
		.count = count,
	};
}

static struct fp_map range_of(forkpool_range_fn *fn, size_t begin, size_t end)
{
	return (struct fp_map){
		.fn = (uintptr_t)fn,
		.range = true,
		.begin = begin,
		.count = end - begin,
	};
}

int forkpool_map(struct forkpool *pool, forkpool_fn *fn, const void *in,
		 size_t in_size, void *out, size_t out_size, size_t count,
		 const struct forkpool_job_opts *opts)
{
	struct fp_map map = map_of(fn, in, in_size, out, out_size, count);

	return run(pool, &map, opts);
}

int forkpool_map_async(struct forkpool *pool, forkpool_fn *fn, const void *in,
		       size_t in_size, void *out, size_t out_size, size_t count,
		       const struct forkpool_job_opts *opts, struct forkpool_job **ret)
{
	struct fp_map map = map_of(fn, in, in_size, out, out_size, count);

	return submit(pool, &map, opts, ret);
}

int forkpool_for(struct forkpool *pool, forkpool_range_fn *fn, size_t begin,
		 size_t end, const struct forkpool_job_opts *opts)
{
	struct fp_map map = range_of(fn, begin, end);

	return end < begin ? -EINVAL : run(pool, &map, opts);
}

int forkpool_for_async(struct forkpool *pool, forkpool_range_fn *fn, size_t begin,
		       size_t end, const struct forkpool_job_opts *opts,
		       struct forkpool_job **ret)
{
	struct fp_map map = range_of(fn, begin, end);

	return end < begin ? -EINVAL : submit(pool, &map, opts, ret);
}
