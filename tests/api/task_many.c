/* SPDX-License-Identifier: MIT */
/* Many jobs at once: waits for any and for all, groups, submissions of many. */
#include "api/tasks.h"

/* ---- Any ------------------------------------------------------------------------------ */

START_TEST(any_tells_the_lowest_that_is_done)
{
	struct forkpool_job *jobs[5];
	int i;

	jobs[0] = NULL;
	for (i = 1; i < 5; i++)
		jobs[i] = submit_int(pool, square, i);
	ck_assert_int_eq(forkpool_wait_all(jobs, 5, HANG), 0);
	ck_assert_int_eq(forkpool_wait_any(jobs, 5, 0), 1);
	ck_assert_int_eq(forkpool_wait_any(jobs, 5, -1), 1);
	forkpool_job_free(jobs[1]);
	jobs[1] = NULL;
	ck_assert_int_eq(forkpool_wait_any(jobs, 5, HANG), 2);
	ck_assert_int_eq(forkpool_wait_any(jobs + 3, 1, HANG), 0);
	for (i = 2; i < 5; i++)
		expect_int(jobs[i], i * i);
}
END_TEST

START_TEST(any_of_nothing)
{
	struct forkpool_job *jobs[3] = { NULL, NULL, NULL };

	ck_assert_int_eq(forkpool_wait_any(jobs, 3, -1), -EINVAL);
	ck_assert_int_eq(forkpool_wait_any(jobs, 0, -1), -EINVAL);
	ck_assert_int_eq(forkpool_wait_any(NULL, 0, -1), -EINVAL);
	ck_assert_int_eq(forkpool_wait_any(NULL, 3, -1), -EINVAL);
	jobs[1] = submit_int(pool, square, 3);
	ck_assert_int_eq(forkpool_wait_any(jobs, 3, -2), -EINVAL);
	ck_assert_int_eq(forkpool_wait_all(jobs, 3, -2), -EINVAL);
	ck_assert_int_eq(forkpool_wait_any(jobs, 3, -1), 1);
	expect_int(jobs[1], 9);
	ck_assert_int_eq(forkpool_wait_any(jobs, 3, -1), -EINVAL);
	ck_assert_int_eq(forkpool_wait_all(jobs, 3, -1), -EINVAL);
	jobs[1] = NULL;
	ck_assert_int_eq(forkpool_wait_all(jobs, 3, -1), 0);
	ck_assert_int_eq(forkpool_wait_all(NULL, 0, 0), 0);
	ck_assert_int_eq(forkpool_wait_all(NULL, 3, 0), -EINVAL);
}
END_TEST

/* A task, and a map, that do not end; among them what does. */
START_TEST(any_of_maps_and_tasks)
{
	struct forkpool_job *jobs[4] = { NULL };
	int last = _i ? 3 : 2;

	jobs[1] = submit_gated(pool);
	wait_for(&gate->arrived, 1);
	ck_assert_int_eq(forkpool_wait_any(jobs, 4, 0), -ETIMEDOUT);
	ck_assert_int_eq(forkpool_wait_any(jobs, 4, 5 * MS), -ETIMEDOUT);
	jobs[3] = _i ? start_nothing(pool, 100) : start_gated(1);
	jobs[2] = _i ? NULL : submit_int(pool, square, 4);
	if (!_i) {
		/* The map holds the other worker: they are two. */
		wait_for(&gate->arrived, 2);
		forkpool_job_cancel(jobs[2]);
	}
	ck_assert_int_eq(forkpool_wait_any(jobs, 4, HANG), last);
	ck_assert_int_eq(forkpool_wait_all(jobs, 4, 0), -ETIMEDOUT);
	ck_assert_int_eq(forkpool_wait_all(jobs, 4, 5 * MS), -ETIMEDOUT);
	atomic_store(&gate->open, 1);
	ck_assert_int_ne(forkpool_wait_all(jobs, 4, HANG), -ETIMEDOUT);
	ck_assert_int_eq(forkpool_wait_any(jobs, 4, 0), 1);
}
END_TEST

struct wait {
	struct forkpool_job *const *jobs;
	size_t n;
	int result;
};

static void *wait_any(void *arg)
{
	struct wait *w = arg;

	w->result = forkpool_wait_any(w->jobs, w->n, HANG);
	return NULL;
}

static void *wait_all(void *arg)
{
	struct wait *w = arg;

	w->result = forkpool_wait_all(w->jobs, w->n, HANG);
	return NULL;
}

/* Asleep, until what is not the first ends. */
START_TEST(any_wakes)
{
	struct forkpool_job *jobs[3];
	struct wait waits[4], all = { jobs, 3, 1 };
	pthread_t threads[4], thread;
	int i;

	jobs[0] = submit_gated(pool);
	jobs[1] = submit_gated(pool);
	wait_for(&gate->arrived, 2);
	jobs[2] = _i ? start_nothing(pool, 5) : submit_int(pool, square, 5);
	for (i = 0; i < 4; i++) {
		waits[i] = (struct wait){ jobs, 3, -1 };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_any, &waits[i]), 0);
	}
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_all, &all), 0);
	sleep_ms(20);
	/* One is told to go, so there is a worker for the third. */
	forkpool_job_cancel(jobs[1]);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		ck_assert(waits[i].result == 1 || waits[i].result == 2);
	}
	ck_assert_int_eq(forkpool_job_wait(jobs[2], HANG), 0);
	ck_assert_int_eq(forkpool_job_poll(jobs[0]), 0);
	atomic_store(&gate->open, 1);
	pthread_join(thread, NULL);
	ck_assert_int_eq(all.result, 0);
}
END_TEST

/* Each as it ends, until none is left. */
static void drain(struct forkpool_job **jobs, int n)
{
	int left, i;

	for (left = n; left > 0; left--) {
		i = forkpool_wait_any(jobs, (size_t)n, HANG);
		CHECK_EACH(i >= 0 && i < n && jobs[i]);
		CHECK_EACH(forkpool_job_poll(jobs[i]) == 1);
		forkpool_job_free(jobs[i]);
		jobs[i] = NULL;
	}
	ck_assert_int_eq(forkpool_wait_any(jobs, (size_t)n, HANG), -EINVAL);
}

START_TEST(any_of_three_thousand)
{
	enum { N = 3000 };
	static struct forkpool_job *jobs[N];
	int i;

	for (i = 0; i < N; i++)
		jobs[i] = i % 100 == 99 && i < 6000 ? start_nothing(pool, 10) : submit_int(pool, square, i);
	drain(jobs, N);
}
END_TEST

static void *drain_own(void *arg)
{
	struct forkpool_job *jobs[60];
	int round, i;

	(void)arg;
	for (round = 0; round < 30; round++) {
		for (i = 0; i < 60; i++)
			jobs[i] = i % 30 == 7 ? start_nothing(pool, 3) : submit_int(pool, square, i);
		drain(jobs, 60);
	}
	return NULL;
}

START_TEST(any_in_several_threads)
{
	pthread_t threads[6];
	int i;

	for (i = 0; i < 6; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, drain_own, NULL), 0);
	for (i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

START_TEST(jobs_of_two_pools)
{
	struct forkpool *other = pool_new(1);
	struct forkpool_job *jobs[3];
	int round;

	for (round = 0; round < 50; round++) {
		jobs[0] = submit_gated(pool);
		jobs[1] = round % 2 ? submit_int(other, square, 7) : start_nothing(other, 3);
		ck_assert_int_eq(forkpool_wait_any(jobs, 2, HANG), 1);
		jobs[2] = submit_int(other, odd_fails, 3);
		atomic_store(&gate->open, 1);
		ck_assert_int_eq(forkpool_wait_all(jobs, 3, HANG), -FORKPOOL_EFAILED);
		atomic_store(&gate->open, 0);
		forkpool_job_free(jobs[0]);
		forkpool_job_free(jobs[1]);
		forkpool_job_free(jobs[2]);
	}
	forkpool_destroy(other);
}
END_TEST

START_TEST(all_tell_the_first_error_by_index)
{
	struct forkpool_job *jobs[6] = { NULL };
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	int i;

	jobs[1] = submit_int(pool, square, 2);
	/* This one ends last. */
	ck_assert_int_eq(forkpool_submit(pool, at_gate, NULL, 0, 0, &opts, &jobs[2]), 0);
	jobs[4] = submit_int(pool, odd_fails, 3);
	ck_assert_int_eq(forkpool_job_wait(jobs[4], HANG), -FORKPOOL_EFAILED);
	wait_for(&gate->arrived, 1);
	jobs[5] = submit_gated(pool);
	wait_for(&gate->arrived, 2);
	jobs[3] = submit_int(pool, square, 5);
	forkpool_job_cancel(jobs[3]);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_wait_all(jobs, 6, HANG), -FORKPOOL_ECANCELED);
	forkpool_job_free(jobs[3]);
	jobs[3] = NULL;
	ck_assert_int_eq(forkpool_wait_all(jobs, 6, HANG), -FORKPOOL_EFAILED);
	for (i = 0; i < 6; i++)
		forkpool_job_free(jobs[i]);
}
END_TEST

/* ---- Many in one call ----------------------------------------------------------------------- */

START_TEST(many_at_once)
{
	static const int counts[] = { 1, 2, 31, 32, 100, 255, 256, 257, 1000, 5000, 20000 };
	int n = counts[_i], i, *in = calloc((size_t)n, sizeof(*in));
	struct forkpool_job **jobs = calloc((size_t)n, sizeof(*jobs));

	for (i = 0; i < n; i++)
		in[i] = i % 30000;
	ck_assert_int_eq(forkpool_submit_many(pool, square, in, sizeof(*in), sizeof(*in), (size_t)n, NULL,
					      jobs), n);
	memset(in, 0, (size_t)n * sizeof(*in));
	ck_assert_int_eq(forkpool_wait_all(jobs, (size_t)n, HANG), 0);
	for (i = 0; i < n; i++)
		expect_int(jobs[i], i % 30000 * (i % 30000));
	free(in);
	free(jobs);
}
END_TEST

START_TEST(many_that_nobody_asks_for)
{
	struct forkpool *one = pool_new(1);
	struct list *list = forkpool_shm_calloc(one, 1, sizeof(*list));
	FORKPOOL_JOB_OPTS(opts, .arg = list);
	int in[3000], i;

	for (i = 0; i < 3000; i++)
		in[i] = i;
	ck_assert_int_eq(forkpool_submit_many(one, enlist, in, sizeof(*in), 0, 3000, &opts, NULL), 3000);
	expect_int(submit_int(one, square, 2), 4);
	ck_assert_int_eq(atomic_load(&list->n), 3000);
	for (i = 0; i < 3000; i++)
		CHECK_EACH(list->at[i] == i);
	forkpool_destroy(one);
}
END_TEST

START_TEST(many_large_ones)
{
	char *in = calloc(50, 100000);
	struct forkpool_job *jobs[50];
	int i;

	for (i = 0; i < 50; i++)
		*(int *)(void *)(in + i * 100000) = i;
	ck_assert_int_eq(forkpool_submit_many(pool, square, in, 100000, 50000, 50, NULL, jobs), 50);
	for (i = 0; i < 50; i++)
		expect_int(jobs[i], i * i);
	free(in);
}
END_TEST

START_TEST(none_at_all)
{
	struct forkpool_job *job = (struct forkpool_job *)4711;
	int x = 1;

	ck_assert_int_eq(forkpool_submit_many(pool, square, NULL, 0, 4, 0, NULL, &job), 0);
	ck_assert_int_eq(forkpool_submit_many(pool, square, &x, sizeof(x), 4, 0, NULL, NULL), 0);
	ck_assert_int_eq(forkpool_submit_many(NULL, square, &x, sizeof(x), 4, 0, NULL, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_submit_many(pool, NULL, &x, sizeof(x), 4, 0, NULL, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_submit_many(pool, square, NULL, sizeof(x), 4, 5, NULL, &job), -EINVAL);
	ck_assert_int_eq(forkpool_submit_many(pool, square, &x, SIZE_MAX / 2, 4, 3, NULL, &job), -EINVAL);
	ck_assert_int_eq(forkpool_submit_many(pool, square, &x, 0, 4, SIZE_MAX, NULL, &job), -EINVAL);
	ck_assert_ptr_eq(job, (struct forkpool_job *)4711);
}
END_TEST

START_TEST(many_do_not_wait)
{
	FORKPOOL_OPTS(opts, .workers = 1, .queue_depth = 100);
	struct forkpool_job *jobs[300] = { NULL };
	struct forkpool *p;
	int i;

	ck_assert_int_eq(forkpool_create(&p, &opts), 0);
	{
		struct gate *g = forkpool_shm_calloc(p, 1, sizeof(*g));
		FORKPOOL_JOB_OPTS(job, .arg = g, .dont_wait = 1);

		ck_assert_int_eq(forkpool_submit_many(p, at_gate, NULL, 0, 0, 300, &job, jobs), 100);
		ck_assert_ptr_nonnull(jobs[99]);
		ck_assert_ptr_null(jobs[100]);
		ck_assert_int_eq(forkpool_submit_many(p, at_gate, NULL, 0, 0, 300, &job, jobs + 100), -EAGAIN);
		ck_assert_ptr_null(jobs[100]);
		atomic_store(&g->open, 1);
		ck_assert_int_eq(forkpool_wait_all(jobs, 100, HANG), 0);
		/* Without it, all. */
		job.dont_wait = 0;
		for (i = 0; i < 100; i++)
			forkpool_job_free(jobs[i]);
		ck_assert_int_eq(forkpool_submit_many(p, at_gate, NULL, 0, 0, 300, &job, jobs), 300);
		ck_assert_int_eq(forkpool_wait_all(jobs, 300, HANG), 0);
	}
	forkpool_destroy(p);
}
END_TEST

/* ---- Groups ------------------------------------------------------------------------------------- */

static struct forkpool_group *group_new(void)
{
	struct forkpool_group *g = NULL;

	ck_assert_int_eq(forkpool_group_create(pool, &g), 0);
	ck_assert_ptr_nonnull(g);
	return g;
}

static int add_one(void *arg, const void *in, void *out)
{
	(void)in;
	(void)out;
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

START_TEST(a_group_waits_for_its_tasks)
{
	atomic_int *n = forkpool_shm_calloc(pool, 1, sizeof(*n));
	struct forkpool_group *g = group_new();
	FORKPOOL_JOB_OPTS(opts, .arg = n, .group = g);
	struct forkpool_job *jobs[100];
	int round, i;

	ck_assert_int_eq(forkpool_group_wait(g, -1), 0);
	for (round = 1; round <= 10; round++) {
		for (i = 0; i < 100; i++)
			CHECK_EACH(forkpool_submit(pool, add_one, NULL, 0, 0, &opts, i % 2 ? &jobs[i] : NULL) == 0);
		ck_assert_int_eq(forkpool_submit_many(pool, add_one, NULL, 0, 0, 500, &opts, NULL), 500);
		ck_assert_int_eq(forkpool_group_wait(g, HANG), 0);
		ck_assert_int_eq(atomic_load(n), 600 * round);
		/* Those whose handles were asked for are there still. */
		for (i = 1; i < 100; i += 2) {
			CHECK_EACH(forkpool_job_poll(jobs[i]) == 1);
			forkpool_job_free(jobs[i]);
		}
	}
	ck_assert_int_eq(forkpool_group_wait(g, 0), 0);
	forkpool_group_free(g);
	forkpool_shm_free(pool, n);
}
END_TEST

START_TEST(a_group_tells_the_first_error)
{
	struct forkpool_group *g = group_new();
	FORKPOOL_JOB_OPTS(opts, .group = g);
	struct forkpool_job *freed;
	int x = 3;

	ck_assert_int_eq(forkpool_submit(pool, square, &x, sizeof(x), sizeof(x), &opts, NULL), 0);
	ck_assert_int_eq(forkpool_submit(pool, odd_fails, &x, sizeof(x), 0, &opts, NULL), 0);
	ck_assert_int_eq(forkpool_group_wait(g, HANG), -FORKPOOL_EFAILED);
	/* Forgotten. */
	ck_assert_int_eq(forkpool_group_wait(g, HANG), 0);
	/* What its holder has freed counts for nothing. */
	ck_assert_int_eq(forkpool_submit(pool, odd_fails, &x, sizeof(x), 0, &opts, &freed), 0);
	ck_assert_int_eq(forkpool_job_wait(freed, HANG), -FORKPOOL_EFAILED);
	forkpool_job_free(freed);
	ck_assert_int_eq(forkpool_group_wait(g, HANG), 0);
	forkpool_group_free(g);
}
END_TEST

START_TEST(a_group_times_out_and_is_cancelled)
{
	struct forkpool_group *g = group_new();
	FORKPOOL_JOB_OPTS(opts, .group = g, .arg = gate);
	struct forkpool_job *first;
	int i;

	ck_assert_int_eq(forkpool_submit(pool, at_gate, NULL, 0, 0, &opts, &first), 0);
	for (i = 0; i < 50; i++)
		ck_assert_int_eq(forkpool_submit(pool, at_gate, NULL, 0, 0, &opts, NULL), 0);
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(forkpool_group_wait(g, 0), -ETIMEDOUT);
	ck_assert_int_eq(forkpool_group_wait(g, 5 * MS), -ETIMEDOUT);
	ck_assert_int_eq(forkpool_submit(pool, at_gate, NULL, 0, 0, &opts, NULL), 0);
	ck_assert_int_eq(forkpool_group_wait(g, 5 * MS), -ETIMEDOUT);
	ck_assert_int_eq(forkpool_group_wait(g, -2), -EINVAL);
	ck_assert_int_eq(forkpool_group_cancel(g), 0);
	ck_assert_int_eq(forkpool_group_wait(g, HANG), -FORKPOOL_ECANCELED);
	ck_assert_int_eq(atomic_load(&gate->arrived), 2);
	ck_assert_int_eq(atomic_load(&gate->saw_cancel), 2);
	ck_assert_int_eq(forkpool_job_wait(first, HANG), 0);
	forkpool_job_free(first);
	forkpool_group_free(g);
	check_tasks_work(pool);
}
END_TEST

START_TEST(a_freed_group_lets_its_tasks_run)
{
	atomic_int *n = forkpool_shm_calloc(pool, 1, sizeof(*n));
	struct forkpool_group *g = group_new();
	FORKPOOL_JOB_OPTS(opts, .arg = n, .group = g);

	ck_assert_int_eq(forkpool_submit_many(pool, add_one, NULL, 0, 0, 300, &opts, NULL), 300);
	forkpool_group_free(g);
	await_value(n, 300);
	check_tasks_work(pool);
	forkpool_shm_free(pool, n);
}
END_TEST

struct members {
	struct forkpool_group *group;
	atomic_int *n;
};

static void *submit_members(void *arg)
{
	struct members *m = arg;
	FORKPOOL_JOB_OPTS(opts, .arg = m->n, .group = m->group);
	int i;

	for (i = 0; i < 500; i++) {
		CHECK_EACH(forkpool_submit(pool, add_one, NULL, 0, 0, &opts, NULL) == 0);
		if (i % 100 == 99)
			CHECK_EACH(forkpool_group_wait(m->group, HANG) == 0);
	}
	return NULL;
}

START_TEST(threads_share_a_group)
{
	struct members m = { group_new(), forkpool_shm_calloc(pool, 1, sizeof(atomic_int)) };
	pthread_t threads[5];
	int i;

	for (i = 0; i < 5; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_members, &m), 0);
	for (i = 0; i < 5; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(forkpool_group_wait(m.group, HANG), 0);
	ck_assert_int_eq(atomic_load(m.n), 2500);
	forkpool_group_free(m.group);
}
END_TEST

/* Who waits for room in a lane does not keep others from the group. */
static void *overfill(void *arg)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .group = arg);

	return (void *)(intptr_t)forkpool_submit_many(pool, at_gate, NULL, 0, 0, 5000, &opts, NULL);
}

START_TEST(a_group_is_there_for_all_while_one_waits_for_room)
{
	struct forkpool_group *g = group_new();
	pthread_t thread;
	void *result;

	submit_gated(pool);
	submit_gated(pool);
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, overfill, g), 0);
	/* Once there is something it is nearly full. */
	while (forkpool_group_wait(g, 0) != -ETIMEDOUT)
		sleep_ms(1);
	sleep_ms(20);
	ck_assert_int_eq(forkpool_group_wait(g, 0), -ETIMEDOUT);
	ck_assert_int_eq(forkpool_group_cancel(g), 0);
	atomic_store(&gate->open, 1);
	pthread_join(thread, &result);
	ck_assert_int_eq((int)(intptr_t)result, 5000);
	ck_assert_int_ne(forkpool_group_wait(g, HANG), -ETIMEDOUT);
	forkpool_group_free(g);
}
END_TEST

START_TEST(bad_groups)
{
	struct forkpool *other = pool_new(1);
	struct forkpool_group *g = group_new(), *none = (struct forkpool_group *)4711;
	FORKPOOL_JOB_OPTS(opts, .group = g);
	int y;

	ck_assert_int_eq(forkpool_group_create(NULL, &none), -EINVAL);
	ck_assert_int_eq(forkpool_group_create(pool, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_group_wait(NULL, 0), -EINVAL);
	ck_assert_int_eq(forkpool_group_cancel(NULL), -EINVAL);
	forkpool_group_free(NULL);
	ck_assert_ptr_eq(none, (struct forkpool_group *)4711);
	ck_assert_int_eq(forkpool_submit(other, nothing, NULL, 0, 0, &opts, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_call(pool, nothing, NULL, 0, &y, sizeof(y), &opts), -EINVAL);
	forkpool_group_free(g);
	forkpool_destroy(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("task_many");
	TCase *tc = jobs_case(suite, "any");

	tcase_add_test(tc, any_tells_the_lowest_that_is_done);
	tcase_add_test(tc, any_of_nothing);
	tcase_add_test(tc, any_of_three_thousand);
	tcase_add_test(tc, any_in_several_threads);
	if (!test_inline()) {
		tcase_add_loop_test(tc, any_of_maps_and_tasks, 0, 2);
		tcase_add_loop_test(tc, any_wakes, 0, 2);
		tcase_add_test(tc, jobs_of_two_pools);
		tcase_add_test(tc, all_tell_the_first_error_by_index);
	}
	tc = jobs_case(suite, "many");
	tcase_add_loop_test(tc, many_at_once, 0, 11);
	tcase_add_test(tc, many_that_nobody_asks_for);
	tcase_add_test(tc, many_large_ones);
	tcase_add_test(tc, none_at_all);
	if (!test_inline())
		tcase_add_test(tc, many_do_not_wait);
	tc = jobs_case(suite, "groups");
	tcase_add_test(tc, a_group_waits_for_its_tasks);
	tcase_add_test(tc, a_group_tells_the_first_error);
	tcase_add_test(tc, a_freed_group_lets_its_tasks_run);
	tcase_add_test(tc, threads_share_a_group);
	tcase_add_test(tc, bad_groups);
	if (!test_inline()) {
		tcase_add_test(tc, a_group_times_out_and_is_cancelled);
		tcase_add_test(tc, a_group_is_there_for_all_while_one_waits_for_room);
	}
	return test_main(suite);
}
