/* SPDX-License-Identifier: MIT */
/* The public calls on jobs: handles looked up, then handed to who knows them. */
#include <errno.h>

#include <forkpool.h>

#include "engine/handle.h"
#include "engine/quick.h"
#include "engine/several.h"
#include "os/sys.h"

static __attribute__((noinline)) int wait_any(struct forkpool_job *job, int64_t timeout)
{
	int err, result = 0;
	struct fp_any j;

	err = fp_any_get(job, &j);
	if (err)
		return err;
	err = fp_any_wait(&j, timeout ? fp_deadline(timeout) : 0, &result);
	fp_any_put(&j);
	return err ? err : result;
}

FP_TRIP int forkpool_job_wait(struct forkpool_job *job, int64_t timeout)
{
	struct fp_ref r;

	if (fp_unlikely(timeout < -1))
		return -EINVAL;
	if (fp_ref_quick(job, &r) && (fp_future_is_ok(&r) || (timeout && fp_future_yield(&r))))
		return 0;
	return wait_any(job, timeout);
}

int forkpool_job_poll(struct forkpool_job *job)
{
	struct fp_any j;
	int err = fp_any_get(job, &j), result;

	if (err)
		return err;
	err = fp_any_wait(&j, 0, &result);
	fp_any_put(&j);
	return err == -ETIMEDOUT ? 0 : err ? err : 1;
}

int forkpool_job_status(struct forkpool_job *job, size_t index,
			struct forkpool_status *ret)
{
	struct fp_any j;
	int err;

	if (!ret)
		return -EINVAL;
	err = fp_any_get(job, &j);
	if (err)
		return err;
	if (j.map)
		err = fp_async_status(j.map, index, ret);
	else
		err = fp_future_status(&j.task, index, ret);
	fp_any_put(&j);
	return err;
}

int forkpool_job_cancel(struct forkpool_job *job)
{
	struct fp_any j;
	int err = fp_any_get(job, &j);

	if (err)
		return err;
	if (j.map)
		fp_async_cancel(j.map);
	else
		fp_future_cancel(&j.task);
	fp_any_put(&j);
	return 0;
}

int forkpool_job_kill(struct forkpool_job *job)
{
	struct fp_any j;
	int err = fp_any_get(job, &j);

	if (err)
		return err;
	err = j.map ? fp_async_kill(j.map) : fp_future_kill(&j.task);
	fp_any_put(&j);
	return err;
}

static __attribute__((noinline)) void free_any(struct forkpool_job *job)
{
	struct fp_ref r;

	if (!fp_handle_is_task(job)) {
		if (!fp_self)
			fp_async_free(job);
	} else if (!fp_ref_get_own(job, &r)) {
		fp_future_free(&r);
	}
}

FP_TRIP void forkpool_job_free(struct forkpool_job *job)
{
	struct fp_ref r;

	if (!fp_ref_quick(job, &r) || !fp_future_free_quick(&r))
		free_any(job);
}
