/* SPDX-License-Identifier: MIT */
/* Full lanes, full arenas, and the ends of pools. */
#include "api/tasks.h"

#define DEPTH	8

static struct forkpool *pool_with(struct forkpool_opts opts)
{
	struct forkpool *p = NULL;

	opts.sz = sizeof(opts);
	ck_assert_int_eq(forkpool_create(&p, &opts), 0);
	gate = forkpool_shm_calloc(p, 1, sizeof(*gate));
	ck_assert_ptr_nonnull(gate);
	return p;
}

static struct forkpool *small_pool(void)
{
	return pool_with((struct forkpool_opts){ .workers = 1, .queue_depth = DEPTH,
						 .arena_size = (size_t)256 << 20 });
}

static int submit_more(struct forkpool *p, int dont_wait, struct forkpool_job **ret)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .dont_wait = dont_wait);

	return forkpool_submit(p, at_gate, NULL, 0, 0, &opts, ret);
}

/* ---- Full ----------------------------------------------------------------------------- */

START_TEST(full_is_told)
{
	struct forkpool *p = small_pool();
	struct forkpool_job *jobs[DEPTH], *none = (struct forkpool_job *)4711;
	int i;

	for (i = 0; i < DEPTH; i++)
		ck_assert_int_eq(submit_more(p, 1, &jobs[i]), 0);
	ck_assert_int_eq(submit_more(p, 1, &none), -EAGAIN);
	ck_assert_int_eq(submit_more(p, 1, &none), -EAGAIN);
	ck_assert_ptr_eq(none, (struct forkpool_job *)4711);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_wait_all(jobs, DEPTH, HANG), 0);
	/* They have ended, so they do not count, freed or not; and freeing makes no more room. */
	atomic_store(&gate->open, 0);
	for (i = 0; i < DEPTH; i++) {
		forkpool_job_free(jobs[i]);
		ck_assert_int_eq(submit_more(p, 1, &jobs[i]), 0);
	}
	ck_assert_int_eq(submit_more(p, 1, &none), -EAGAIN);
	forkpool_job_cancel(jobs[DEPTH - 1]);
	ck_assert_int_eq(submit_more(p, 1, &none), 0);
	atomic_store(&gate->open, 1);
	forkpool_destroy(p);
}
END_TEST

START_TEST(freeing_results_makes_no_room)
{
	struct forkpool *p = small_pool();
	struct forkpool_job *done[DEPTH], *gated[DEPTH], *none;
	int i;

	for (i = 0; i < DEPTH; i++)
		ck_assert_int_eq(forkpool_submit(p, nothing, NULL, 0, 0, NULL, &done[i]), 0);
	ck_assert_int_eq(forkpool_wait_all(done, DEPTH, HANG), 0);
	for (i = 0; i < DEPTH; i++) {
		ck_assert_int_eq(submit_more(p, 1, &gated[i]), 0);
		forkpool_job_free(done[i]);
	}
	ck_assert_int_eq(submit_more(p, 1, &none), -EAGAIN);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_wait_all(gated, DEPTH, HANG), 0);
	forkpool_destroy(p);
}
END_TEST

struct submission {
	struct forkpool *pool;
	struct forkpool_job *jobs[DEPTH], *job;
	atomic_int done;
	int err;
};

static void *submit_one_more(void *arg)
{
	struct submission *s = arg;
	int i, err = 0;

	for (i = 0; i < DEPTH && !err; i++)
		err = submit_more(s->pool, 1, &s->jobs[i]);
	atomic_store(&s->done, 1);
	s->err = err ? err : submit_more(s->pool, 0, &s->job);
	atomic_store(&s->done, 2);
	return NULL;
}

/* A thread of its own fills its lane and waits for room. */
static pthread_t start_waiting(struct submission *s)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, submit_one_more, s), 0);
	await_value(&s->done, 1);
	sleep_ms(20);
	ck_assert_int_eq(atomic_load(&s->done), 1);
	return thread;
}

START_TEST(who_finds_it_full_waits)
{
	struct submission s = { .pool = small_pool() };
	pthread_t thread = start_waiting(&s);

	atomic_store(&gate->open, 1);
	await_value(&s.done, 2);
	pthread_join(thread, NULL);
	ck_assert_int_eq(s.err, 0);
	ck_assert_int_eq(forkpool_job_wait(s.job, HANG), 0);
	forkpool_destroy(s.pool);
}
END_TEST

/* While the worker is busy with something else. */
START_TEST(cancelling_makes_room)
{
	struct submission s = { .pool = small_pool() };
	struct forkpool_job *first = submit_gated(s.pool);
	pthread_t thread;

	wait_for(&gate->arrived, 1);
	thread = start_waiting(&s);
	ck_assert_int_eq(forkpool_job_cancel(s.jobs[3]), 0);
	await_value(&s.done, 2);
	pthread_join(thread, NULL);
	ck_assert_int_eq(s.err, 0);
	ck_assert_int_eq(forkpool_job_poll(first), 0);
	ck_assert_int_eq(forkpool_job_wait(s.jobs[3], HANG), -FORKPOOL_ECANCELED);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_job_wait(s.job, HANG), 0);
	forkpool_destroy(s.pool);
}
END_TEST

START_TEST(terminate_wakes_who_waits_for_room)
{
	struct submission s = { .pool = small_pool() };
	pthread_t thread = start_waiting(&s);

	ck_assert_int_eq(forkpool_terminate(s.pool), 0);
	await_value(&s.done, 2);
	pthread_join(thread, NULL);
	/* The pool was over, or closed, when it looked. */
	ck_assert(s.err == -FORKPOOL_ECANCELED || s.err == -FORKPOOL_ECLOSED);
	forkpool_destroy(s.pool);
}
END_TEST

START_TEST(a_closed_pool_wakes_who_waits_for_room)
{
	struct submission s = { .pool = small_pool() };
	pthread_t thread = start_waiting(&s);

	ck_assert_int_eq(forkpool_close(s.pool), 0);
	atomic_store(&gate->open, 1);
	await_value(&s.done, 2);
	pthread_join(thread, NULL);
	ck_assert_int_eq(s.err, -FORKPOOL_ECLOSED);
	ck_assert_int_eq(forkpool_join(s.pool, HANG), 0);
	forkpool_destroy(s.pool);
}
END_TEST

START_TEST(a_small_queue_passes_much)
{
	struct forkpool *p = pool_with((struct forkpool_opts){ .workers = 2, .queue_depth = (unsigned)_i });
	struct forkpool_job *job;
	int i;

	for (i = 0; i < 5000; i++) {
		CHECK_EACH(forkpool_submit(p, square, &i, sizeof(i), sizeof(i), NULL, i % 3 ? NULL : &job) == 0);
		if (i % 3 == 0)
			expect_int(job, i * i);
	}
	check_tasks_work(p);
	forkpool_destroy(p);
}
END_TEST

START_TEST(depths)
{
	FORKPOOL_OPTS(opts, .workers = 1, .queue_depth = 1000000);
	struct forkpool *p = NULL;

	ck_assert_int_eq(forkpool_create(&p, &opts), 0);
	check_tasks_work(p);
	forkpool_destroy(p);
	opts.queue_depth = 1000001;
	p = NULL;
	ck_assert_int_eq(forkpool_create(&p, &opts), -EINVAL);
	ck_assert_ptr_null(p);
}
END_TEST

/* ---- Much that nobody has freed ------------------------------------------------------------ */

START_TEST(a_hundred_thousand_results)
{
	enum { N = 100000 };
	struct forkpool_job **jobs = calloc(N, sizeof(*jobs));
	struct forkpool *p = pool_new(2);
	int i;

	for (i = 0; i < N; i++)
		jobs[i] = submit_int(p, square, i % 1000);
	for (i = 0; i < N; i++) {
		CHECK_EACH(forkpool_job_wait(jobs[i], HANG) == 0);
		CHECK_EACH(result_int(jobs[i]) == i % 1000 * (i % 1000));
	}
	check_tasks_work(p);
	for (i = 0; i < N; i++)
		forkpool_job_free(jobs[i]);
	check_tasks_work(p);
	free(jobs);
	forkpool_destroy(p);
}
END_TEST

START_TEST(more_than_the_arena)
{
	struct forkpool *p = pool_with((struct forkpool_opts){ .workers = 1, .arena_size = 1 << 20 });
	struct forkpool_job *jobs[100], *none = (struct forkpool_job *)4711;
	char *in = calloc(1, 4 << 20);
	int n, err;

	ck_assert_int_eq(forkpool_submit(p, nothing, in, 4 << 20, 0, NULL, &none), -ENOMEM);
	ck_assert_int_eq(forkpool_submit(p, nothing, NULL, 0, 4 << 20, NULL, &none), -ENOMEM);
	ck_assert_int_eq(forkpool_submit(p, nothing, NULL, 0, PTRDIFF_MAX, NULL, &none), -ENOMEM);
	ck_assert_int_eq(forkpool_submit(p, nothing, in, 4 << 20, PTRDIFF_MAX, NULL, &none), -ENOMEM);
	ck_assert_int_eq(forkpool_call(p, nothing, in, 4 << 20, NULL, 0, NULL), -ENOMEM);
	ck_assert_ptr_eq(none, (struct forkpool_job *)4711);
	check_tasks_work(p);
	/* One after the other, until they fill it; then all is as before. */
	for (n = 0, err = 0; n < 100 && !err; n += !err)
		err = forkpool_submit(p, nothing, in, 100000, 0, NULL, &jobs[n]);
	ck_assert_int_eq(err, -ENOMEM);
	ck_assert_int_gt(n, 3);
	check_tasks_work(p);
	ck_assert_int_eq(forkpool_wait_all(jobs, (size_t)n, HANG), 0);
	while (n-- > 0)
		forkpool_job_free(jobs[n]);
	ck_assert_int_eq(forkpool_call(p, nothing, in, 900000, NULL, 0, NULL), 0);
	free(in);
	forkpool_destroy(p);
}
END_TEST

/* ---- Ends of pools ------------------------------------------------------------------------- */

static int slow_square(void *arg, const void *in, void *out)
{
	sleep_ms(1);
	return square(arg, in, out);
}

START_TEST(closed_pools_finish_what_they_have)
{
	struct forkpool *p = pool_new(2);
	struct forkpool_job *jobs[200], *none = (struct forkpool_job *)4711;
	int i, x = 1;

	for (i = 0; i < 200; i++)
		jobs[i] = submit_int(p, slow_square, i);
	ck_assert_int_eq(forkpool_close(p), 0);
	ck_assert_int_eq(forkpool_submit(p, nothing, NULL, 0, 0, NULL, &none), -FORKPOOL_ECLOSED);
	ck_assert_int_eq(forkpool_submit_many(p, square, &x, sizeof(x), 4, 1, NULL, &none), -FORKPOOL_ECLOSED);
	ck_assert_int_eq(forkpool_call(p, nothing, NULL, 0, NULL, 0, NULL), -FORKPOOL_ECLOSED);
	ck_assert_ptr_eq(none, (struct forkpool_job *)4711);
	ck_assert_int_eq(forkpool_join(p, HANG), 0);
	for (i = 0; i < 200; i++) {
		CHECK_EACH(forkpool_job_poll(jobs[i]) == 1);
		expect_int(jobs[i], i * i);
	}
	forkpool_destroy(p);
}
END_TEST

/* Threads that submit while it is closed: what they were told was taken has run. */
struct race {
	struct forkpool *pool;
	atomic_int *runs;
	atomic_int taken, began;
};

static int count_run(void *arg, const void *in, void *out)
{
	(void)in;
	(void)out;
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

static void *submit_until_closed(void *arg)
{
	struct race *r = arg;
	FORKPOOL_JOB_OPTS(opts, .arg = r->runs);
	int err;

	while ((err = forkpool_submit(r->pool, count_run, NULL, 0, 0, &opts, NULL)) == 0)
		if (atomic_fetch_add(&r->taken, 1) == 100)
			atomic_store(&r->began, 1);
	return (void *)(intptr_t)err;
}

START_TEST(what_was_taken_before_the_close_runs)
{
	struct race r = { .pool = pool_new(2) };
	pthread_t threads[3];
	void *result;
	int i;

	r.runs = forkpool_shm_calloc(r.pool, 1, sizeof(atomic_int));
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_until_closed, &r), 0);
	await_value(&r.began, 1);
	ck_assert_int_eq(forkpool_close(r.pool), 0);
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], &result);
		ck_assert_int_eq((int)(intptr_t)result, -FORKPOOL_ECLOSED);
	}
	ck_assert_int_eq(forkpool_join(r.pool, HANG), 0);
	ck_assert_int_eq(atomic_load(r.runs), atomic_load(&r.taken));
	forkpool_destroy(r.pool);
}
END_TEST

static int never_ends(void *arg, const void *in, void *out)
{
	(void)in;
	(void)out;
	atomic_fetch_add(&((struct gate *)arg)->arrived, 1);
	for (;;)
		pause();
	return 0;
}

static void *wait_for_any(void *arg)
{
	return (void *)(intptr_t)forkpool_wait_any(arg, 1, HANG);
}

START_TEST(terminate_ends_all)
{
	struct forkpool *p = pool_with((struct forkpool_opts){ .workers = 2 });
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	struct forkpool_job *jobs[50], *done = submit_int(p, square, 3);
	pthread_t waiter, any;
	struct forkpool_status st;
	void *result;
	int i;

	ck_assert_int_eq(forkpool_job_wait(done, HANG), 0);
	for (i = 0; i < 50; i++)
		ck_assert_int_eq(forkpool_submit(p, never_ends, NULL, 0, 0, &opts, &jobs[i]), 0);
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(pthread_create(&waiter, NULL, wait_for_it, jobs[49]), 0);
	ck_assert_int_eq(pthread_create(&any, NULL, wait_for_any, &jobs[48]), 0);
	sleep_ms(10);
	ck_assert_int_eq(forkpool_terminate(p), 0);
	pthread_join(waiter, &result);
	ck_assert_int_eq((int)(intptr_t)result, -FORKPOOL_ECANCELED);
	pthread_join(any, &result);
	ck_assert_int_eq((int)(intptr_t)result, 0);
	for (i = 0; i < 50; i++) {
		ck_assert_int_eq(forkpool_job_wait(jobs[i], HANG), -FORKPOOL_ECANCELED);
		ck_assert_int_eq(forkpool_job_poll(jobs[i]), 1);
		st = status_of(jobs[i]);
		ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_CANCELLED);
		ck_assert_ptr_null(forkpool_job_result(jobs[i]));
	}
	ck_assert_int_eq(forkpool_submit(p, nothing, NULL, 0, 0, NULL, NULL), -FORKPOOL_ECLOSED);
	/* What had ended stays as it was. */
	expect_int(done, 9);
	for (i = 0; i < 50; i += 2)
		forkpool_job_free(jobs[i]);
	forkpool_destroy(p);
}
END_TEST

/* In threads, items that look at forkpool_cancelled() end. */
START_TEST(terminate_is_seen_by_items)
{
	struct forkpool *p = pool_with((struct forkpool_opts){ .workers = 2 });
	struct forkpool_job *jobs[20];
	int i, err;

	for (i = 0; i < 20; i++)
		jobs[i] = submit_gated(p);
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(forkpool_terminate(p), 0);
	for (i = 0; i < 20; i++) {
		err = forkpool_job_wait(jobs[i], HANG);
		/* Those two may have been quick. */
		ck_assert(err == -FORKPOOL_ECANCELED || err == 0);
	}
	ck_assert_int_eq(forkpool_job_wait(jobs[19], 0), -FORKPOOL_ECANCELED);
	forkpool_destroy(p);
}
END_TEST

START_TEST(destroy_with_unfinished_tasks)
{
	struct forkpool *p = pool_with((struct forkpool_opts){ .workers = 2 });
	struct forkpool_job *jobs[20];
	int i;

	for (i = 0; i < 20; i++) {
		jobs[i] = submit_gated(p);
		if (i % 3 == 0)
			forkpool_job_free(jobs[i]);
	}
	if (_i)
		wait_for(&gate->arrived, 2);
	forkpool_destroy(p);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(forkpool_job_wait(jobs[i], -1), -EINVAL);
}
END_TEST

static int note_nursery(void *arg, const void *in, void *out)
{
	(void)in;
	(void)out;
	*(pid_t *)arg = getppid();
	return 0;
}

/* Its nursery killed: who waits learns it, be it for a task, for any, or for room. */
START_TEST(broken_pools_are_told)
{
	struct submission s = { .pool = small_pool() };
	pid_t *nursery = forkpool_shm_calloc(s.pool, 1, sizeof(*nursery));
	FORKPOOL_JOB_OPTS(opts, .arg = nursery);
	struct forkpool_job *job, *done = submit_int(s.pool, square, 4);
	pthread_t waiter, room, any;
	void *result;

	ck_assert_int_eq(forkpool_job_wait(done, HANG), 0);
	ck_assert_int_eq(forkpool_call(s.pool, note_nursery, NULL, 0, NULL, 0, &opts), 0);
	room = start_waiting(&s);
	job = submit_gated(s.pool);
	ck_assert_int_eq(pthread_create(&waiter, NULL, wait_for_it, job), 0);
	ck_assert_int_eq(pthread_create(&any, NULL, wait_for_any, &job), 0);
	sleep_ms(10);
	ck_assert_int_eq(kill(*nursery, SIGKILL), 0);
	pthread_join(waiter, &result);
	ck_assert_int_eq((int)(intptr_t)result, -FORKPOOL_EBROKEN);
	pthread_join(any, &result);
	ck_assert_int_eq((int)(intptr_t)result, 0);
	await_value(&s.done, 2);
	pthread_join(room, NULL);
	ck_assert_int_eq(s.err, -FORKPOOL_EBROKEN);
	ck_assert_int_eq(forkpool_submit(s.pool, nothing, NULL, 0, 0, NULL, NULL), -FORKPOOL_EBROKEN);
	ck_assert_int_eq(forkpool_call(s.pool, nothing, NULL, 0, NULL, 0, NULL), -FORKPOOL_EBROKEN);
	ck_assert_int_eq(forkpool_wait_all(&job, 1, HANG), -FORKPOOL_EBROKEN);
	ck_assert_int_eq(status_of(job).outcome, FORKPOOL_ITEM_CANCELLED);
	expect_int(done, 16);
	forkpool_destroy(s.pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("task_full");
	TCase *tc = test_case(suite, "full");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, depths);
	tcase_add_loop_test(tc, a_small_queue_passes_much, 1, 5);
	if (!test_inline()) {
		tcase_add_test(tc, full_is_told);
		tcase_add_test(tc, freeing_results_makes_no_room);
		tcase_add_test(tc, who_finds_it_full_waits);
		tcase_add_test(tc, cancelling_makes_room);
		tcase_add_test(tc, terminate_wakes_who_waits_for_room);
		tcase_add_test(tc, a_closed_pool_wakes_who_waits_for_room);
	}
	tc = test_case(suite, "much");
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, a_hundred_thousand_results);
	tcase_add_test(tc, more_than_the_arena);
	tc = test_case(suite, "ends");
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, closed_pools_finish_what_they_have);
	tcase_add_test(tc, what_was_taken_before_the_close_runs);
	if (!test_inline()) {
		tcase_add_test(tc, terminate_is_seen_by_items);
		tcase_add_loop_test(tc, destroy_with_unfinished_tasks, 0, 2);
	}
	if (test_processes()) {
		tcase_add_test(tc, terminate_ends_all);
		tcase_add_test(tc, broken_pools_are_told);
	}
	return test_main(suite);
}
