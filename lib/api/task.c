/* SPDX-License-Identifier: MIT */
/* The public calls on single tasks: arguments checked, then handed to the engine. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <forkpool.h>

#include "api/options.h"
#include "engine/descend.h"
#include "engine/future.h"
#include "engine/group.h"
#include "engine/quick.h"
#include "engine/several.h"
#include "engine/submit.h"
#include "os/sys.h"

static int check_sizes(const struct fp_spec *s)
{
	size_t bytes;

	if (!s->fn || (s->in_size && !s->in))
		return -EINVAL;
	if (fp_mul_overflows(s->in_size, s->count, &bytes) || bytes > PTRDIFF_MAX ||
	    s->out_size > PTRDIFF_MAX || (uintptr_t)s->in > UINTPTR_MAX - bytes)
		return -EINVAL;
	return 0;
}

static int check_arg(struct forkpool *pool, const struct forkpool_job_opts *o)
{
	if (o->arg_size)
		return !o->arg || o->arg_as_is || o->arg_size > PTRDIFF_MAX ? -EINVAL : 0;
	if (!o->arg || o->arg_as_is || fp_segment_owns(&pool->crew.seg, o->arg, 1))
		return 0;
	return -EINVAL;
}

/* Takes the options into s. */
static int take_options(struct forkpool *pool, struct fp_spec *s, const struct forkpool_job_opts *o)
{
	int err = check_arg(pool, o);

	if (err)
		return err;
	if (o->timeout < 0 || o->deadline < 0 || o->priority < FORKPOOL_PRIORITY_LOW ||
	    o->priority > FORKPOOL_PRIORITY_HIGH)
		return -EINVAL;
	if ((o->timeout || o->deadline) && pool->mode != FORKPOOL_PROCESSES)
		return -ENOTSUP;
	s->arg = o->arg;
	s->arg_size = o->arg_size;
	s->prio = (uint32_t)(FORKPOOL_PRIORITY_HIGH - o->priority);
	s->retries = o->retries;
	s->timeout = o->timeout;
	s->deadline = o->deadline ? fp_deadline(o->deadline) : 0;
	s->dont_wait = o->dont_wait;
	s->on_done = o->on_done;
	s->user = o->user;
	return 0;
}

/* Checks what can be without a look at the options. */
static inline int begin(struct forkpool *pool, const struct fp_spec *s, enum fp_caller *caller)
{
	if (fp_unlikely(!pool))
		return -EINVAL;
	*caller = fp_pool_caller(pool);
	if (fp_unlikely(*caller == FP_CALLER_CHILD))
		return -EINVAL;
	return check_sizes(s);
}

static int64_t hand_over(struct forkpool *pool, struct fp_spec *s, enum fp_caller caller,
			 struct forkpool_job **ret)
{
	if (fp_unlikely(pool->mode == FORKPOOL_INLINE))
		return fp_submit_inline(pool, s, ret);
	if (fp_unlikely(caller == FP_CALLER_WORKER))
		return fp_descend_submit(pool, s, ret);
	return fp_submit(pool, s, ret);
}

static int64_t with_options(struct forkpool *pool, struct fp_spec *s, enum fp_caller caller,
			    const struct forkpool_job_opts *opts, struct forkpool_job **ret)
{
	struct forkpool_job_opts known;
	int err = fp_options_copy(&known, FP_JOB_OPTS_FIRST, sizeof(known), opts);

	if (!err && (known.status || known.first_failure))
		err = -EINVAL;
	if (!err && (known.on_done || known.group) && caller == FP_CALLER_WORKER)
		err = -EINVAL;
	if (!err)
		err = take_options(pool, s, &known);
	if (err)
		return err;
	if (known.group)
		return fp_group_submit(known.group, pool, s, ret);
	return hand_over(pool, s, caller, ret);
}

static int64_t submit(struct forkpool *pool, struct fp_spec *s,
		      const struct forkpool_job_opts *opts, struct forkpool_job **ret)
{
	enum fp_caller caller;
	int err = begin(pool, s, &caller);

	if (fp_unlikely(err))
		return err;
	if (opts)
		return with_options(pool, s, caller, opts, ret);
	return hand_over(pool, s, caller, ret);
}

static __attribute__((noinline)) int submit_one(struct forkpool *pool, forkpool_fn *fn, const void *in,
						size_t in_size, size_t out_size,
						const struct forkpool_job_opts *opts,
						struct forkpool_job **ret)
{
	struct fp_spec s = {
		.fn = (uintptr_t)fn,
		.in = in,
		.in_size = in_size,
		.out_size = out_size,
		.count = 1,
		.prio = FP_PRIO_NORMAL,
	};
	int64_t n = submit(pool, &s, opts, ret);

	return n < 0 ? (int)n : 0;
}

FP_TRIP int forkpool_submit(struct forkpool *pool, forkpool_fn *fn, const void *in, size_t in_size,
		    size_t out_size, const struct forkpool_job_opts *opts,
		    struct forkpool_job **ret)
{
	if (fp_likely(!opts && pool && fn && ret && (in || !in_size)) &&
	    fp_likely(fp_pool_caller(pool) == FP_CALLER_HOST) &&
	    fp_likely(fp_submit_quick(pool, (uintptr_t)fn, in, in_size, out_size, ret)))
		return 0;
	return submit_one(pool, fn, in, in_size, out_size, opts, ret);
}

int forkpool_submit_many(struct forkpool *pool, forkpool_fn *fn, const void *in,
			 size_t in_size, size_t out_size, size_t count,
			 const struct forkpool_job_opts *opts, struct forkpool_job **ret)
{
	struct fp_spec s = {
		.fn = (uintptr_t)fn,
		.in = in,
		.in_size = in_size,
		.out_size = out_size,
		.count = count,
		.prio = FP_PRIO_NORMAL,
	};

	enum fp_caller caller;

	if (count > INT32_MAX)
		return -EINVAL;
	if (!count)
		return begin(pool, &s, &caller);
	return (int)submit(pool, &s, opts, ret);
}

/* ---- Submit and wait ------------------------------------------------------------------ */

/* What the task's end says that only call's options ask for. */
static void report(struct forkpool_job *job, const struct forkpool_job_opts *o, int result)
{
	if (o->status)
		forkpool_job_status(job, 0, o->status);
	if (o->first_failure && result)
		*o->first_failure = 0;
}

/* Waits, and takes the result. */
static int collect(struct forkpool_job *job, void *out, size_t out_size)
{
	int err = forkpool_job_wait(job, -1);
	const void *result = err ? NULL : forkpool_job_result(job);

	if (result)
		memcpy(out, result, out_size);
	return err;
}

static FP_APART int call_with(struct forkpool *pool, const struct fp_spec *s, void *out,
			      const struct forkpool_job_opts *opts)
{
	struct forkpool_job_opts known, asked;
	struct forkpool_job *job;
	int err = fp_options_copy(&known, FP_JOB_OPTS_FIRST, sizeof(known), opts);

	if (err)
		return err;
	if ((s->out_size && !out) || known.on_done || known.group)
		return -EINVAL;
	asked = known;
	asked.sz = sizeof(asked);
	asked.status = NULL;
	asked.first_failure = NULL;
	err = forkpool_submit(pool, (forkpool_fn *)s->fn, s->in, s->in_size, s->out_size, &asked, &job);
	if (err)
		return err;
	err = collect(job, out, s->out_size);
	report(job, &known, err);
	forkpool_job_free(job);
	return err;
}

static FP_APART int collect_and_free(struct forkpool_job *job, void *out, size_t out_size)
{
	int err = collect(job, out, out_size);

	forkpool_job_free(job);
	return err;
}

FP_TRIP int forkpool_call(struct forkpool *pool, forkpool_fn *fn, const void *in, size_t in_size,
		  void *out, size_t out_size, const struct forkpool_job_opts *opts)
{
	const struct fp_spec s = {
		.fn = (uintptr_t)fn, .in = in, .in_size = in_size, .out_size = out_size,
	};
	struct forkpool_job *job;
	struct fp_ref r;
	int err;

	if (fp_unlikely(opts || (out_size && !out)))
		return call_with(pool, &s, out, opts);
	err = forkpool_submit(pool, fn, in, in_size, out_size, NULL, &job);
	if (fp_unlikely(err))
		return err;
	/* What collect_and_free() does, where the result is there when the worker has run. */
	if (!fp_ref_quick(job, &r) || !(fp_future_is_ok(&r) || fp_future_yield(&r)))
		return collect_and_free(job, out, out_size);
	if (out_size)
		fp_copy_small(out, r.future->out, out_size);
	if (fp_unlikely(!fp_future_free_quick(&r)))
		forkpool_job_free(job);
	return 0;
}

static __attribute__((noinline)) const void *result_of(struct forkpool_job *job)
{
	struct fp_ref r;

	return fp_ref_get_own(job, &r) ? NULL : fp_future_result(&r);
}

FP_TRIP const void *forkpool_job_result(struct forkpool_job *job)
{
	struct fp_ref r;

	if (fp_ref_quick(job, &r) && fp_future_is_ok(&r) && fp_likely(!r.future->errand))
		return r.future->out;
	return result_of(job);
}

/* ---- Many at once ----------------------------------------------------------------------- */

int forkpool_wait_any(struct forkpool_job *const *jobs, size_t n, int64_t timeout)
{
	if (!jobs || n > INT32_MAX || timeout < -1)
		return -EINVAL;
	return fp_wait_any(jobs, n, fp_deadline(timeout));
}

int forkpool_wait_all(struct forkpool_job *const *jobs, size_t n, int64_t timeout)
{
	if ((n && !jobs) || timeout < -1)
		return -EINVAL;
	return fp_wait_all(jobs, n, fp_deadline(timeout));
}
