/* SPDX-License-Identifier: MIT */
/* Tasks with limits in time. */
#include "api/tasks.h"

static int hang(void *arg, const void *in, void *out)
{
	(void)in;
	(void)out;
	atomic_fetch_add(&((struct gate *)arg)->arrived, 1);
	for (;;)
		pause();
	return 0;
}

static struct forkpool_job *submit_hanging(int64_t timeout, int64_t deadline, unsigned retries)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .timeout = timeout, .deadline = deadline, .retries = retries);
	struct forkpool_job *job = NULL;

	ck_assert_int_eq(forkpool_submit(pool, hang, NULL, 0, 0, &opts, &job), 0);
	return job;
}

START_TEST(a_task_times_out)
{
	struct forkpool_job *job = _i ? submit_hanging(0, 20 * MS, 3) : submit_hanging(20 * MS, 0, 3);
	struct forkpool_job *other = submit_int(pool, square, 5);
	struct forkpool_status st;

	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_ETIMEDOUT);
	ck_assert_ptr_null(forkpool_job_result(job));
	st = status_of(job);
	/* A deadline may have come before it began. */
	ck_assert(st.outcome == FORKPOOL_ITEM_TIMED_OUT || (_i && st.outcome == FORKPOOL_ITEM_NOT_RUN));
	ck_assert_int_le(atomic_load(&gate->arrived), 1);
	forkpool_job_free(job);
	expect_int(other, 25);
	check_tasks_work(pool);
}
END_TEST

START_TEST(each_has_its_own_limit)
{
	struct forkpool_job *jobs[20], *others[20];
	struct forkpool_status st;
	int i;

	for (i = 0; i < 20; i++) {
		jobs[i] = submit_hanging(5 * MS, 0, 0);
		others[i] = submit_int(pool, square, i);
	}
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(forkpool_job_wait(jobs[i], HANG), -FORKPOOL_ETIMEDOUT);
		st = status_of(jobs[i]);
		ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_TIMED_OUT);
		ck_assert_uint_eq(st.attempts, 1);
		forkpool_job_free(jobs[i]);
		expect_int(others[i], i * i);
	}
	/* On a busy machine a limit may pass between a task's begin and its first line. */
	ck_assert_int_le(atomic_load(&gate->arrived), 20);
	ck_assert_int_ge(atomic_load(&gate->arrived), 1);
}
END_TEST

START_TEST(what_is_quick_does_not_notice)
{
	FORKPOOL_JOB_OPTS(opts, .timeout = HANG, .deadline = HANG);
	FORKPOOL_JOB_OPTS(huge, .timeout = INT64_MAX, .deadline = INT64_MAX);
	int i, y;

	for (i = 0; i < 500; i++) {
		ck_assert_int_eq(forkpool_call(pool, square, &i, sizeof(i), &y, sizeof(y), i % 2 ? &opts : &huge), 0);
		ck_assert_int_eq(y, i * i);
	}
}
END_TEST

START_TEST(a_deadline_holds_for_what_is_queued)
{
	FORKPOOL_JOB_OPTS(opts, .deadline = 20 * MS);
	struct forkpool_job *jobs[10];
	int i;

	submit_gated(pool);
	submit_gated(pool);
	wait_for(&gate->arrived, 2);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(forkpool_submit(pool, nothing, NULL, 0, 0, &opts, &jobs[i]), 0);
	for (i = 0; i < 10; i++) {
		ck_assert_int_eq(forkpool_job_wait(jobs[i], HANG), -FORKPOOL_ETIMEDOUT);
		ck_assert_int_eq(status_of(jobs[i]).outcome, FORKPOOL_ITEM_NOT_RUN);
		ck_assert_uint_eq(status_of(jobs[i]).attempts, 0);
	}
	atomic_store(&gate->open, 1);
	check_tasks_work(pool);
}
END_TEST

static int wait_for_hanging(void *arg, const void *in, void *out)
{
	FORKPOOL_JOB_OPTS(opts, .arg = arg);
	struct forkpool_job *jobs[3];

	(void)in;
	(void)out;
	NEED(forkpool_submit_many(forkpool_current(), hang, NULL, 0, 0, 3, &opts, jobs) == 3);
	return -forkpool_wait_all(jobs, 3, -1);
}

/* Who waits for tasks that hang ends at its limit, they with it. */
START_TEST(a_limit_holds_for_what_a_task_submits)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .timeout = 30 * MS);
	struct forkpool_job *job;
	int err;

	ck_assert_int_eq(forkpool_submit(pool, wait_for_hanging, NULL, 0, 0, &opts, &job), 0);
	err = forkpool_job_wait(job, HANG);
	ck_assert(err == -FORKPOOL_ETIMEDOUT || err == -FORKPOOL_EFAILED);
	check_tasks_work(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("task_limits");
	TCase *tc = jobs_case(suite, "limits");

	if (!test_processes())
		return TEST_SKIP;
	tcase_add_loop_test(tc, a_task_times_out, 0, 2);
	tcase_add_test(tc, each_has_its_own_limit);
	tcase_add_test(tc, what_is_quick_does_not_notice);
	tcase_add_test(tc, a_deadline_holds_for_what_is_queued);
	tcase_add_test(tc, a_limit_holds_for_what_a_task_submits);
	return test_main(suite);
}
