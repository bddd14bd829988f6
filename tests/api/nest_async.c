/* SPDX-License-Identifier: MIT */
/* Async maps inside items: jobs of the item's own, with arrays of its own memory. */
#include "api/nest.h"

#include <stdlib.h>
#include <string.h>

#define N	64

static int twice(void *arg, const void *in, void *out)
{
	const long *x = in, *bad = arg;

	if (bad && *x == *bad)
		return 5;
	*(long *)out = 2 * *x;
	return 0;
}

static int two_at_once(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	struct forkpool_job *jobs[2];
	struct forkpool_status st;
	long x[N], y[2][N];
	int i, first;

	(void)arg;
	for (i = 0; i < N; i++)
		x[i] = *(const long *)in + i;
	for (i = 0; i < 2; i++)
		NEED(forkpool_map_async(pool, twice, x, sizeof(*x), y[i], sizeof(**y), N, NULL, &jobs[i]) == 0);
	/* What was handed over is a copy. */
	memset(x, 0, sizeof(x));
	first = forkpool_wait_any(jobs, 2, -1);
	NEED(first == 0 || first == 1);
	NEED(forkpool_wait_all(jobs, 2, -1) == 0);
	NEED(forkpool_job_poll(jobs[0]) == 1);
	NEED(forkpool_job_result(jobs[0]) == NULL);
	NEED(forkpool_job_status(jobs[0], N - 1, &st) == 0 && st.outcome == FORKPOOL_ITEM_OK && st.worker);
	NEED(forkpool_job_status(jobs[0], N, &st) == -EINVAL);
	for (i = 0; i < N; i++)
		NEED(y[0][i] == 2 * (*(const long *)in + i) && y[1][i] == y[0][i]);
	forkpool_job_free(jobs[0]);
	forkpool_job_free(jobs[1]);
	NEED(forkpool_job_poll(jobs[0]) == -EINVAL);
	*(long *)out = y[0][0];
	return 0;
}

static int one_fails(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	struct forkpool_status st[N];
	size_t failed = N;
	long x[N], y[N], bad = 7;
	FORKPOOL_JOB_OPTS(opts, .arg = &bad, .arg_size = sizeof(bad), .status = st, .first_failure = &failed);
	struct forkpool_job *job;
	int i;

	(void)arg, (void)in, (void)out;
	for (i = 0; i < N; i++) {
		x[i] = i;
		y[i] = -1;
	}
	NEED(forkpool_map_async(pool, twice, x, sizeof(*x), y, sizeof(*y), N, &opts, &job) == 0);
	NEED(forkpool_job_wait(job, -1) == -FORKPOOL_EFAILED);
	NEED(forkpool_job_wait(job, 0) == -FORKPOOL_EFAILED);
	NEED(failed == 7);
	for (i = 0; i < N; i++)
		NEED(st[i].outcome == (i == 7 ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_OK) &&
		     (i == 7 ? st[i].code == 5 : y[i] == 2 * i));
	forkpool_job_free(job);
	return 0;
}

static int add_range(void *arg, size_t begin, size_t end)
{
	atomic_long *sum = arg;

	while (begin < end)
		atomic_fetch_add(sum, (long)begin++);
	return 0;
}

static int a_range(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	atomic_long *sum = forkpool_shm_calloc(pool, 1, sizeof(*sum));
	FORKPOOL_JOB_OPTS(opts, .arg = sum);
	struct forkpool_job *job;

	(void)arg, (void)in, (void)out;
	NEED(sum);
	NEED(forkpool_for_async(pool, add_range, 10, 1010, &opts, &job) == 0);
	NEED(forkpool_job_wait(job, -1) == 0);
	NEED(atomic_load(sum) == (10 + 1009) * 1000 / 2);
	forkpool_job_free(job);
	forkpool_shm_free(pool, sum);
	return 0;
}

/* Freed unfinished, and left behind by an item that ends. */
static int left_alone(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	struct forkpool_job *jobs[2];
	long x[N] = { 0 }, y[N];
	int i;

	(void)arg, (void)in, (void)out;
	for (i = 0; i < 2; i++)
		NEED(forkpool_map_async(pool, twice, x, sizeof(*x), y, sizeof(*y), N, NULL, &jobs[i]) == 0);
	forkpool_job_free(jobs[0]);
	return 0;
}

static int crash(void *arg, const void *in, void *out)
{
	(void)arg, (void)in, (void)out;
	raise(SIGSEGV);
	return 0;
}

static int one_crashes(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	struct forkpool_job *job;

	(void)arg, (void)in, (void)out;
	NEED(forkpool_map_async(pool, crash, NULL, 0, NULL, 0, 1, NULL, &job) == 0);
	/* Run by this worker it takes the item along; by another one it is an error. */
	NEED(forkpool_job_wait(job, -1) == -FORKPOOL_ECRASHED);
	forkpool_job_free(job);
	return 0;
}

static void check_many(forkpool_fn *fn, size_t count)
{
	static const unsigned workers[] = { 1, 2, 5 };
	struct forkpool *pool;
	long *in = calloc(count, sizeof(*in)), *out = calloc(count, sizeof(*out));
	struct forkpool_status *st = calloc(count, sizeof(*st));
	FORKPOOL_JOB_OPTS(opts, .status = st);
	size_t i, w;

	for (i = 0; i < count; i++)
		in[i] = (long)i * 1000;
	for (w = 0; w < 3; w++) {
		pool = pool_new(workers[w]);
		forkpool_map(pool, fn, in, sizeof(*in), out, sizeof(*out), count, &opts);
		for (i = 0; i < count; i++)
			if (st[i].outcome != FORKPOOL_ITEM_OK)
				ck_abort_msg("%u workers, item %zu: outcome %d, line %d", workers[w], i,
					     st[i].outcome, st[i].code);
		forkpool_destroy(pool);
	}
	free(st);
	free(out);
	free(in);
}

START_TEST(results_and_waits)
{
	check_many(two_at_once, 200);
}
END_TEST

START_TEST(failures)
{
	check_many(one_fails, 100);
}
END_TEST

START_TEST(ranges)
{
	check_many(a_range, 50);
}
END_TEST

START_TEST(left_to_themselves)
{
	check_many(left_alone, 300);
}
END_TEST

START_TEST(a_crash_below)
{
	struct forkpool *pool = pool_new(2);
	struct forkpool_status st[20];
	FORKPOOL_JOB_OPTS(opts, .status = st);
	int i;

	ck_assert_int_ne(forkpool_map(pool, one_crashes, NULL, 0, NULL, 0, 20, &opts), -EINVAL);
	for (i = 0; i < 20; i++)
		ck_assert_msg(st[i].outcome == FORKPOOL_ITEM_OK || st[i].outcome == FORKPOOL_ITEM_CRASHED,
			      "item %d: outcome %d, line %d", i, st[i].outcome, st[i].code);
	forkpool_destroy(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nest_async");
	TCase *jobs = test_case(suite, "jobs");

	if (test_inline())
		return TEST_SKIP;
	tcase_add_test(jobs, results_and_waits);
	tcase_add_test(jobs, failures);
	tcase_add_test(jobs, ranges);
	tcase_add_test(jobs, left_to_themselves);
	if (test_processes())
		tcase_add_test(jobs, a_crash_below);
	return test_main(suite);
}
