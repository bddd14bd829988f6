/* SPDX-License-Identifier: MIT */
/* What the tests of tasks share, beside what those of jobs have. */
#ifndef TESTS_TASKS_H
#define TESTS_TASKS_H

#include "api/jobs.h"

/* Inside an item, where check's assertions can't be used: the line is the item's error. */
#define NEED(what) do { \
	if (!(what)) \
		return __LINE__; \
} while (0)

static inline struct forkpool_job *submit_int(struct forkpool *p, forkpool_fn *fn, int x)
{
	struct forkpool_job *job = NULL;
	int err = forkpool_submit(p, fn, &x, sizeof(x), sizeof(int), NULL, &job);

	if (err || !job)
		ck_abort_msg("submit: %s", forkpool_strerror(err));
	return job;
}

/* A task that does not end before the gate opens. */
static inline struct forkpool_job *submit_gated(struct forkpool *p)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	struct forkpool_job *job = NULL;
	int err = forkpool_submit(p, at_gate, NULL, 0, 0, &opts, &job);

	if (err || !job)
		ck_abort_msg("submit: %s", forkpool_strerror(err));
	return job;
}

static inline int result_int(struct forkpool_job *job)
{
	const int *x = forkpool_job_result(job);

	if (!x)
		ck_abort_msg("there is no result");
	return *x;
}

/* It ends well, with this result; it is freed. */
static inline void expect_int(struct forkpool_job *job, int x)
{
	int err = forkpool_job_wait(job, HANG);

	if (err)
		ck_abort_msg("wait: %s", forkpool_strerror(err));
	if (result_int(job) != x)
		ck_abort_msg("%d is not %d", result_int(job), x);
	forkpool_job_free(job);
}

/* The pool still does what it should. */
static inline void check_tasks_work(struct forkpool *p)
{
	struct forkpool_job *jobs[100];
	int i;

	for (i = 0; i < 100; i++)
		jobs[i] = submit_int(p, square, i);
	for (i = 0; i < 100; i++)
		expect_int(jobs[i], i * i);
}

static inline struct forkpool_status status_of(struct forkpool_job *job)
{
	struct forkpool_status st = { .outcome = -1 };
	int err = forkpool_job_status(job, 0, &st);

	if (err)
		ck_abort_msg("status: %s", forkpool_strerror(err));
	return st;
}

/* One more in a list that others write at the same time: of the order in which items began. */
struct list {
	atomic_int n;
	atomic_int written;	/* of these */
	int at[4096];
};

static inline void list_add(struct list *l, int x)
{
	int i = atomic_fetch_add(&l->n, 1);

	if (i < 4096)
		l->at[i] = x;
	atomic_fetch_add(&l->written, 1);
}

static inline int enlist(void *arg, const void *in, void *out)
{
	(void)out;
	list_add(arg, *(const int *)in);
	return 0;
}

#endif
