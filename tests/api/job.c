/* SPDX-License-Identifier: MIT */
/* Jobs that do not block: what they give, what a handle is good for, and what it is not. */
#include "api/jobs.h"

#define KEPT	65536	/* items whose status is kept unasked */

/* KiB that may come; AddressSanitizer keeps 256 MiB of what was freed. */
#ifdef __SANITIZE_ADDRESS__
#define GROWTH	(300L * 1024)
#else
#define GROWTH	(6L * 1024)
#endif

/* ---- Results ------------------------------------------------------------------------ */

START_TEST(results_arrive)
{
	enum { N = 5000 };
	int *in = calloc(N, sizeof(*in)), *out = calloc(N, sizeof(*out)), i;
	struct forkpool_status st;
	struct forkpool_job *job;

	for (i = 0; i < N; i++)
		in[i] = i;
	ck_assert_int_eq(forkpool_map_async(pool, square, in, sizeof(*in), out, sizeof(*out), N,
					    NULL, &job), 0);
	/* It was copied. */
	memset(in, 0, N * sizeof(*in));
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	for (i = 0; i < N; i++)
		CHECK_EACH(out[i] == i * i);
	ck_assert_int_eq(forkpool_job_wait(job, -1), 0);
	ck_assert_int_eq(forkpool_job_wait(job, 0), 0);
	ck_assert_int_eq(forkpool_job_poll(job), 1);
	ck_assert_int_eq(forkpool_job_status(job, N - 1, &st), 0);
	ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_OK);
	ck_assert_uint_eq(st.attempts, 1);
	ck_assert_int_eq(forkpool_job_status(job, N, &st), -EINVAL);
	forkpool_job_free(job);
	free(in);
	free(out);
}
END_TEST

START_TEST(arrays_in_the_segment_are_used_in_place)
{
	int *a = forkpool_shm_alloc(pool, 100 * sizeof(*a)), i;
	struct forkpool_status *status = forkpool_shm_alloc(pool, 100 * sizeof(*status));
	FORKPOOL_JOB_OPTS(opts, .status = status);
	struct forkpool_job *job;

	for (i = 0; i < 100; i++)
		a[i] = i;
	ck_assert_int_eq(forkpool_map_async(pool, square, a, sizeof(*a), a, sizeof(*a), 100,
					    &opts, &job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	for (i = 0; i < 100; i++)
		CHECK_EACH(a[i] == i * i && status[i].outcome == FORKPOOL_ITEM_OK);
	/* The job has its own copy. */
	forkpool_shm_free(pool, status);
	ck_assert_int_eq(forkpool_job_status(job, 7, &(struct forkpool_status){ 0 }), 0);
	forkpool_job_free(job);
	forkpool_shm_free(pool, a);
}
END_TEST

START_TEST(failures_are_told)
{
	int in[] = { 0, 2, 3, 4, 5 };
	struct forkpool_status status[5], st;
	size_t first = 99;
	FORKPOOL_JOB_OPTS(opts, .status = status, .first_failure = &first);
	struct forkpool_job *job;

	ck_assert_int_eq(forkpool_map_async(pool, odd_fails, in, sizeof(*in), NULL, 0, 5, &opts,
					    &job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_EFAILED);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_EFAILED);
	ck_assert_int_eq(forkpool_job_poll(job), 1);
	ck_assert_uint_eq(first, 2);
	ck_assert_int_eq(status[2].outcome, FORKPOOL_ITEM_FAILED);
	ck_assert_int_eq(status[4].code, 5);
	ck_assert_int_eq(forkpool_job_status(job, 4, &st), 0);
	ck_assert_int_eq(st.code, 5);
	forkpool_job_free(job);
}
END_TEST

static int fail_at_70000(void *arg, const void *in, void *out)
{
	const int *x = in;

	(void)arg;
	(void)out;
	return *x == 70000;
}

START_TEST(of_many_items_the_first_failure_is_known)
{
	enum { N = KEPT + 10000 };
	int *in = calloc(N, sizeof(*in)), i;
	struct forkpool_status st;
	struct forkpool_job *job;

	for (i = 0; i < N; i++)
		in[i] = i;
	ck_assert_int_eq(forkpool_map_async(pool, fail_at_70000, in, sizeof(*in), NULL, 0, N, NULL,
					    &job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_EFAILED);
	ck_assert_int_eq(forkpool_job_status(job, 69999, &st), 0);
	ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_OK);
	ck_assert_int_eq(forkpool_job_status(job, 70000, &st), 0);
	ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_FAILED);
	ck_assert_int_eq(forkpool_job_status(job, 70001, &st), -ENODATA);
	ck_assert_int_eq(forkpool_job_status(job, N, &st), -EINVAL);
	forkpool_job_free(job);
	free(in);
}
END_TEST

START_TEST(nothing_to_do_is_done_at_once)
{
	struct forkpool_job *job = start_nothing(pool, 0);

	ck_assert_int_eq(forkpool_job_poll(job), 1);
	ck_assert_int_eq(forkpool_job_wait(job, 0), 0);
	forkpool_job_free(job);
}
END_TEST

static int add_range(void *arg, size_t begin, size_t end)
{
	atomic_fetch_add((atomic_size_t *)arg, end - begin);
	return 0;
}

START_TEST(ranges_too)
{
	atomic_size_t *sum = forkpool_shm_calloc(pool, 1, sizeof(*sum));
	FORKPOOL_JOB_OPTS(opts, .arg = sum);
	struct forkpool_status st;
	struct forkpool_job *job;

	ck_assert_int_eq(forkpool_for_async(pool, add_range, 10, 5, &opts, &job), -EINVAL);
	ck_assert_int_eq(forkpool_for_async(pool, add_range, 10, 100010, &opts, &job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	ck_assert_uint_eq(atomic_load(sum), 100000);
	ck_assert_int_eq(forkpool_job_status(job, 99999, &st), 0);
	ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_OK);
	forkpool_job_free(job);
	forkpool_shm_free(pool, sum);
}
END_TEST

static void count_reports(size_t done, size_t count, void *user)
{
	atomic_int *reports = user;

	CHECK_EACH(done <= count && count == 2);
	atomic_fetch_add(reports, 1);
	if (atomic_load(&gate->arrived) >= 2)
		atomic_store(&gate->open, 1);
}

START_TEST(progress_is_reported_by_the_wait)
{
	atomic_int reports = 0;
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .chunk = 1, .on_progress = count_reports,
			  .user = &reports);
	struct forkpool_job *job;

	atomic_store(&gate->open, test_inline());
	ck_assert_int_eq(forkpool_map_async(pool, at_gate, NULL, 0, NULL, 0, 2, &opts, &job), 0);
	/* The gate is opened by a report. */
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	ck_assert_int_ge(atomic_load(&reports), test_inline() ? 1 : 2);
	forkpool_job_free(job);
}
END_TEST

/* ---- Handles ------------------------------------------------------------------------- */

static void expect_no_job(struct forkpool_job *job)
{
	struct forkpool_status st = { .code = 4711 };

	ck_assert_int_eq(forkpool_job_wait(job, 0), -EINVAL);
	ck_assert_int_eq(forkpool_job_wait(job, -1), -EINVAL);
	ck_assert_int_eq(forkpool_job_poll(job), -EINVAL);
	ck_assert_int_eq(forkpool_job_status(job, 0, &st), -EINVAL);
	ck_assert_int_eq(st.code, 4711);
	ck_assert_int_eq(forkpool_job_cancel(job), -EINVAL);
	forkpool_job_free(job);
}

START_TEST(handles_that_are_none)
{
	uint64_t bits = 88172645463325252u;
	struct forkpool_job *job;
	int i;

	expect_no_job(NULL);
	expect_no_job((struct forkpool_job *)&bits);
	for (i = 0; i < 1000; i++) {
		bits ^= bits << 13;
		bits ^= bits >> 7;
		bits ^= bits << 17;
		expect_no_job((struct forkpool_job *)(uintptr_t)bits);
	}
	/* Nearly a job: any bit of it changed. */
	job = start_nothing(pool, 3);
	for (i = 0; i < 64; i++)
		expect_no_job((struct forkpool_job *)((uintptr_t)job ^ (uintptr_t)1 << i));
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	forkpool_job_free(job);
}
END_TEST

START_TEST(freed_handles_are_void)
{
	struct forkpool_job *job = start_nothing(pool, 10), *next;

	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	forkpool_job_free(job);
	expect_no_job(job);
	forkpool_job_free(job);
	/* Also once something else is in its place. */
	next = start_nothing(pool, 10);
	ck_assert_ptr_ne(job, next);
	expect_no_job(job);
	ck_assert_int_eq(forkpool_job_wait(next, HANG), 0);
	forkpool_job_free(next);
}
END_TEST

START_TEST(handles_end_with_their_pool)
{
	struct forkpool *other = pool_new(1);
	struct forkpool_job *job = start_nothing(other, 10), *next;
	int i;

	forkpool_destroy(other);
	expect_no_job(job);
	for (i = 0; i < 20; i++) {
		other = pool_new(1);
		next = start_nothing(other, 10);
		ck_assert_ptr_ne(next, job);
		expect_no_job(job);
		ck_assert_int_eq(forkpool_job_wait(next, HANG), 0);
		forkpool_destroy(other);
		expect_no_job(next);
	}
}
END_TEST

START_TEST(times)
{
	struct forkpool_job *job;

	atomic_store(&gate->open, test_inline());
	job = start_gated(1);
	ck_assert_int_eq(forkpool_job_wait(job, -2), -EINVAL);
	ck_assert_int_eq(forkpool_job_wait(job, INT64_MIN), -EINVAL);
	if (!test_inline()) {
		ck_assert_int_eq(forkpool_job_poll(job), 0);
		ck_assert_int_eq(forkpool_job_wait(job, 0), -ETIMEDOUT);
		ck_assert_int_eq(forkpool_job_wait(job, 5 * MS), -ETIMEDOUT);
		ck_assert_int_eq(forkpool_job_status(job, 0, &(struct forkpool_status){ 0 }), -EAGAIN);
	}
	ck_assert_int_eq(forkpool_job_status(job, 0, NULL), -EINVAL);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_job_wait(job, INT64_MAX), 0);
	ck_assert_int_eq(forkpool_job_wait(job, INT64_MAX - 1), 0);
	forkpool_job_free(job);
}
END_TEST

START_TEST(bad_arguments)
{
	struct forkpool_job *job = (struct forkpool_job *)4711;
	int x = 0;

	ck_assert_int_eq(forkpool_map_async(NULL, nothing, NULL, 0, NULL, 0, 1, NULL, &job), -EINVAL);
	ck_assert_int_eq(forkpool_map_async(pool, NULL, NULL, 0, NULL, 0, 1, NULL, &job), -EINVAL);
	ck_assert_int_eq(forkpool_map_async(pool, nothing, NULL, 0, NULL, 0, 1, NULL, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_map_async(pool, nothing, NULL, 4, NULL, 0, 1, NULL, &job), -EINVAL);
	/* Inline nothing is copied. */
	if (!test_inline())
		ck_assert_int_eq(forkpool_map_async(pool, square, &x, sizeof(x), NULL, 0,
						    (size_t)1 << 40, NULL, &job), -ENOMEM);
	ck_assert_ptr_eq(job, (struct forkpool_job *)4711);
}
END_TEST

static int use_the_job(void *arg, const void *in, void *out)
{
	struct forkpool_job *job = *(struct forkpool_job *const *)in;
	int *err = out;

	(void)arg;
	err[0] = forkpool_job_wait(job, 0);
	err[1] = forkpool_job_cancel(job);
	err[2] = forkpool_job_poll(job);
	err[3] = forkpool_wait_any(&job, 1, 0);
	err[4] = forkpool_wait_all(&job, 1, 0);
	forkpool_job_free(job);
	return 0;
}

START_TEST(workers_have_no_jobs_of_the_host)
{
	struct forkpool_job *job = start_nothing(pool, 1);
	int err[5], i;

	ck_assert_int_eq(forkpool_map(pool, use_the_job, &job, sizeof(job), err, sizeof(err), 1,
				      NULL), 0);
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(err[i], -EPERM);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	forkpool_job_free(job);
}
END_TEST

static void in_child(void *arg)
{
	struct forkpool_job *job = arg, *other;
	struct forkpool_status st;

	MUST(forkpool_job_wait(job, -1) == -EINVAL);
	MUST(forkpool_job_poll(job) == -EINVAL);
	MUST(forkpool_job_status(job, 0, &st) == -EINVAL);
	MUST(forkpool_job_cancel(job) == -EINVAL);
	forkpool_job_free(job);
	MUST(forkpool_map_async(pool, nothing, NULL, 0, NULL, 0, 1, NULL, &other) == -EINVAL);
	MUST(!forkpool_cancelled());
	forkpool_destroy(pool);
	MUST(forkpool_job_wait(job, -1) == -EINVAL);
}

START_TEST(children_have_no_jobs)
{
	struct forkpool_job *job = start_nothing(pool, 1000);

	ck_assert_int_eq(child_run(in_child, job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	forkpool_job_free(job);
}
END_TEST

/* ---- Many ----------------------------------------------------------------------------- */

START_TEST(slots_run_out)
{
	FORKPOOL_JOB_OPTS(opts, .dont_wait = 1);
	struct forkpool_job *jobs[SLOTS + 1];
	int i;

	if (test_inline())
		return;
	for (i = 0; i < SLOTS; i++)
		jobs[i] = start_gated(1);
	ck_assert_int_eq(forkpool_map_async(pool, nothing, NULL, 0, NULL, 0, 1, &opts,
					    &jobs[SLOTS]), -EAGAIN);
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1, &opts), -EAGAIN);
	atomic_store(&gate->open, 1);
	/* Waits for one of them, which nobody asks for. */
	jobs[SLOTS] = start_nothing(pool, 1);
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1, NULL), 0);
	for (i = 0; i <= SLOTS; i++) {
		ck_assert_int_eq(forkpool_job_wait(jobs[i], HANG), 0);
		forkpool_job_free(jobs[i]);
	}
}
END_TEST

START_TEST(finished_jobs_keep_their_results)
{
	enum { N = 1000 };
	static struct forkpool_job *jobs[N];
	static int in[N], out[N];
	int i;

	for (i = 0; i < N; i++) {
		in[i] = i;
		ck_assert_int_eq(forkpool_map_async(pool, i % 3 ? square : odd_fails, &in[i],
						    sizeof(int), &out[i], sizeof(int), 1, NULL,
						    &jobs[i]), 0);
	}
	for (i = 0; i < N; i++) {
		int err = forkpool_job_wait(jobs[i], HANG);

		CHECK_EACH(err == (i % 3 || i % 2 == 0 ? 0 : -FORKPOOL_EFAILED));
		CHECK_EACH(i % 3 == 0 || out[i] == i * i);
		forkpool_job_free(jobs[i]);
	}
}
END_TEST

static long resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long all, resident = 0;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%ld %ld", &all, &resident), 2);
	fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void run_many(int n, bool wait)
{
	int in[4] = { 1, 2, 3, 4 }, out[4], i;
	struct forkpool_job *job;

	for (i = 0; i < n; i++) {
		ck_assert_int_eq(forkpool_map_async(pool, square, in, sizeof(*in), wait ? out : NULL,
						    wait ? sizeof(*out) : 0, wait ? 4 : 0, NULL,
						    &job), 0);
		if (wait)
			CHECK_EACH(forkpool_job_wait(job, HANG) == 0 && out[3] == 16);
		forkpool_job_free(job);
		job = start_nothing(pool, 3);
		forkpool_job_free(job);
	}
}

START_TEST(no_growth)
{
	long before;

	run_many(2000, true);
	before = resident_kib();
	run_many(100000, true);
	/* A leak of 64 bytes a job would be 12 MiB. */
	ck_assert_int_lt(resident_kib() - before, GROWTH);
}
END_TEST

static void *submit_and_wait(void *arg)
{
	struct forkpool_job *jobs[10];
	int in[10][5], out[10][5], round, i, k;

	(void)arg;
	for (round = 0; round < 50; round++) {
		for (i = 0; i < 10; i++) {
			for (k = 0; k < 5; k++)
				in[i][k] = 100 * round + 10 * i + k;
			CHECK_EACH(!forkpool_map_async(pool, square, in[i], sizeof(int), out[i],
						       sizeof(int), 5, NULL, &jobs[i]));
		}
		for (i = 9; i >= 0; i--) {
			CHECK_EACH(!forkpool_job_wait(jobs[i], HANG));
			for (k = 0; k < 5; k++)
				CHECK_EACH(out[i][k] == in[i][k] * in[i][k]);
			forkpool_job_free(jobs[i]);
		}
	}
	return NULL;
}

START_TEST(many_threads_submit)
{
	pthread_t threads[12];
	int i;

	for (i = 0; i < 12; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_and_wait, NULL), 0);
	for (i = 0; i < 12; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

START_TEST(many_threads_wait_for_one_job)
{
	int in[] = { 0, 1 }, round, i;
	struct forkpool_job *job;
	pthread_t threads[8];
	void *ret;

	for (round = 0; round < 100; round++) {
		ck_assert_int_eq(forkpool_map_async(pool, odd_fails, in, sizeof(*in), NULL, 0, 2,
						    NULL, &job), 0);
		for (i = 0; i < 8; i++)
			ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_for_it, job), 0);
		for (i = 0; i < 8; i++) {
			pthread_join(threads[i], &ret);
			ck_assert_int_eq((int)(intptr_t)ret, -FORKPOOL_EFAILED);
		}
		forkpool_job_free(job);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("job");
	TCase *tc;

	tc = jobs_case(suite, "results");
	tcase_add_test(tc, results_arrive);
	tcase_add_test(tc, arrays_in_the_segment_are_used_in_place);
	tcase_add_test(tc, failures_are_told);
	tcase_add_test(tc, of_many_items_the_first_failure_is_known);
	tcase_add_test(tc, nothing_to_do_is_done_at_once);
	tcase_add_test(tc, ranges_too);
	tcase_add_test(tc, progress_is_reported_by_the_wait);
	tc = jobs_case(suite, "handles");
	tcase_add_test(tc, handles_that_are_none);
	tcase_add_test(tc, freed_handles_are_void);
	tcase_add_test(tc, handles_end_with_their_pool);
	tcase_add_test(tc, times);
	tcase_add_test(tc, bad_arguments);
	tcase_add_test(tc, workers_have_no_jobs_of_the_host);
	tcase_add_test(tc, children_have_no_jobs);
	tc = jobs_case(suite, "many");
	tcase_add_test(tc, slots_run_out);
	tcase_add_test(tc, finished_jobs_keep_their_results);
	tcase_add_test(tc, no_growth);
	tcase_add_test(tc, many_threads_submit);
	tcase_add_test(tc, many_threads_wait_for_one_job);
	return test_main(suite);
}
