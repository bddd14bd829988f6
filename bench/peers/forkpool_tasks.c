/* SPDX-License-Identifier: MIT */
/*
 * forkpool's single tasks, through its public interface as a program would use it:
 * each task submitted, waited for and freed by itself.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define RESULT		sizeof(uint64_t)

static void *pool_start(const struct bench_task_peer *peer, unsigned workers,
			unsigned submitters)
{
	FORKPOOL_OPTS(opts, .workers = workers);
	struct forkpool *pool;
	int err = forkpool_create(&pool, &opts);

	(void)submitters;
	if (!err)
		return pool;
	fprintf(stderr, "%s: forkpool_create: %s\n", peer->peer.name, forkpool_strerror(err));
	return NULL;
}

static void pool_stop(void *pool)
{
	forkpool_destroy(pool);
}

/* ---- Streams and round trips --------------------------------------------------------- */

static int job_collect(struct forkpool_job *job, uint64_t *out)
{
	int err = forkpool_job_wait(job, -1);
	const void *result = err ? NULL : forkpool_job_result(job);

	if (result)
		memcpy(out, result, RESULT);
	forkpool_job_free(job);
	return err || result ? err : -EIO;
}

int bench_forkpool_stream(struct forkpool *pool, const struct bench_stream *s,
			  const struct forkpool_job_opts *opts)
{
	struct forkpool_job *job[BENCH_WINDOW];
	size_t sent = 0, collected = 0;
	int err = 0;

	while (!err && collected < s->count) {
		if (sent < s->count && sent - collected < BENCH_WINDOW) {
			err = forkpool_submit(pool, s->fn, &s->in[sent], sizeof(s->in[sent]),
					      RESULT, opts, &job[sent % BENCH_WINDOW]);
			sent += !err;
		} else {
			err = job_collect(job[collected % BENCH_WINDOW], &s->out[collected]);
			collected++;
		}
	}
	for (; collected < sent; collected++)
		forkpool_job_free(job[collected % BENCH_WINDOW]);
	return err;
}

static int pool_stream(void *pool, unsigned submitter, const struct bench_stream *s)
{
	(void)submitter;
	return bench_forkpool_stream(pool, s, NULL);
}

static int pool_call(void *pool, forkpool_fn *fn, const struct bench_task *in, uint64_t *out)
{
	return forkpool_call(pool, fn, in, sizeof(*in), out, sizeof(*out), NULL);
}

/* ---- Fibonacci ------------------------------------------------------------------------- */

static int fib_task(void *arg, const void *in, void *out)
{
	const uint64_t n = *(const uint64_t *)in;
	const uint64_t below[2] = { n - 1, n - 2 };
	struct forkpool_job *job[2] = { NULL, NULL };
	uint64_t value[2] = { n, 0 };
	int err = 0, i;

	(void)arg;
	for (i = 0; i < 2 && n > 1 && !err; i++)
		err = forkpool_submit(forkpool_current(), fib_task, &below[i], sizeof(below[i]),
				      RESULT, NULL, &job[i]);
	/* The newer first: nobody else is likely to have begun it. */
	for (i = 1; i >= 0 && n > 1 && !err; i--) {
		err = job_collect(job[i], &value[i]);
		job[i] = NULL;
	}
	forkpool_job_free(job[0]);
	forkpool_job_free(job[1]);
	*(uint64_t *)out = value[0] + value[1];
	return err != 0;
}

static int pool_fib(void *pool, uint64_t n, uint64_t *ret)
{
	return forkpool_call(pool, fib_task, &n, sizeof(n), ret, sizeof(*ret), NULL);
}

const struct bench_task_peer bench_forkpool_task = {
	.peer = { .name = "forkpool", .flags = BENCH_OURS | BENCH_PROCESSES },
	.start = pool_start,
	.stop = pool_stop,
	.stream = pool_stream,
	.call = pool_call,
	.fib = pool_fib,
};

/* What many submitting threads are to be compared with: one of them. */
const struct bench_task_peer bench_forkpool_alone = {
	.peer = { .name = "forkpool-1",
		  .flags = BENCH_OURS | BENCH_PROCESSES | BENCH_VARIANT },
	.submitters = 1,
	.start = pool_start,
	.stop = pool_stop,
	.stream = pool_stream,
	.call = pool_call,
};
