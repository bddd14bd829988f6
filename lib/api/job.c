/* SPDX-License-Identifier: MIT */
/* The public calls on jobs: handles looked up, then handed to who knows them. */
#include <errno.h>

#include <forkpool.h>

#include "engine/async.h"
#include "proc/worker.h"

/* The job of a handle, to be put back; or why there is none for this caller. */
static int take(const struct forkpool_job *job, struct fp_async **ret)
{
	struct fp_async *a;

	if (fp_self)
		return -EPERM;
	a = fp_async_get(job);
	if (!a)
		return -EINVAL;
	*ret = a;
	return 0;
}

int forkpool_job_wait(struct forkpool_job *job, int64_t timeout)
{
	struct fp_async *a;
	int err, result = 0;

	if (timeout < -1)
		return -EINVAL;
	err = take(job, &a);
	if (err)
		return err;
	err = fp_async_wait(a, timeout, &result);
	fp_async_put(a);
	return err ? err : result;
}

int forkpool_job_poll(struct forkpool_job *job)
{
	struct fp_async *a;
	int err = take(job, &a), result;

	if (err)
		return err;
	err = fp_async_wait(a, 0, &result);
	fp_async_put(a);
	return err ? 0 : 1;
}

int forkpool_job_status(struct forkpool_job *job, size_t index,
			struct forkpool_status *ret)
{
	struct fp_async *a;
	int err;

	if (!ret)
		return -EINVAL;
	err = take(job, &a);
	if (err)
		return err;
	err = fp_async_status(a, index, ret);
	fp_async_put(a);
	return err;
}

int forkpool_job_cancel(struct forkpool_job *job)
{
	struct fp_async *a;
	int err = take(job, &a);

	if (err)
		return err;
	fp_async_cancel(a);
	fp_async_put(a);
	return 0;
}

int forkpool_job_kill(struct forkpool_job *job)
{
	struct fp_async *a;
	int err = take(job, &a);

	if (err)
		return err;
	err = fp_async_kill(a);
	fp_async_put(a);
	return err;
}

void forkpool_job_free(struct forkpool_job *job)
{
	if (!fp_self)
		fp_async_free(job);
}
