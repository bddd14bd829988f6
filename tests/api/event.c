/* SPDX-License-Identifier: MIT */
/* Callbacks of jobs: when they come, where, how often, and when not. */
#include <sys/epoll.h>

#include "api/events.h"

/* ---- One job --------------------------------------------------------------------------------- */

START_TEST(loop_is_woken)
{
	struct call call = { 0 };
	int fd = forkpool_event_fd(pool), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 7 }, got;
	struct forkpool_job *job;

	ck_assert_int_eq(forkpool_event_fd(pool), fd);
	ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
	ck_assert_int_eq(epoll_wait(epoll, &got, 1, 0), 0);
	atomic_store(&gate->open, test_inline());
	job = start(pool, at_gate, 3, note, &call);
	if (!test_inline()) {
		wait_for(&gate->arrived, 1);
		ck_assert_int_eq(forkpool_dispatch(pool), 0);
		ck_assert(!readable(fd, 0));
	}
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(epoll_wait(epoll, &got, 1, HANG_S * 1000), 1);
	ck_assert_int_eq(got.data.u32, 7);
	ck_assert_int_eq(forkpool_dispatch(pool), 1);
	ck_assert_int_eq(call.times, 1);
	ck_assert_ptr_eq(call.job, job);
	ck_assert_int_eq(call.result, 0);
	ck_assert(pthread_equal(call.thread, pthread_self()));
	check_quiet(pool);
	ck_assert_int_eq(forkpool_job_wait(job, 0), 0);
	ck_assert_int_eq(call.times, 1);
	close(epoll);
}
END_TEST

/* Without the descriptor, and a descriptor that is asked for late. */
START_TEST(dispatch_alone_finds_it)
{
	struct call call = { 0 };
	struct forkpool_job *job = start(pool, nothing, 5, note, &call);
	int64_t until = now_ms() + HANG_S * 1000;

	while (forkpool_dispatch(pool) == 0)
		ck_assert_msg(now_ms() < until, "hangs");
	ck_assert_int_eq(call.times, 1);
	forkpool_job_free(job);
	job = start(pool, nothing, 5, note, &call);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	ck_assert(readable(forkpool_event_fd(pool), 0));
	ck_assert_int_eq(forkpool_dispatch(pool), 1);
	ck_assert_int_eq(call.times, 2);
}
END_TEST

/* The result is what a wait returns; who waited first changes nothing. */
START_TEST(failed_job_is_called)
{
	FORKPOOL_JOB_OPTS(opts, .on_done = note);
	int in[4] = { 2, 4, 5, 6 };
	struct call call = { 0 };
	struct forkpool_job *job;

	opts.user = &call;
	ck_assert_int_eq(forkpool_map_async(pool, odd_fails, in, sizeof(*in), NULL, 0, 4, &opts, &job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_EFAILED);
	ck_assert_int_eq(call.times, 0);
	run_loop(pool, &call.times, 1);
	ck_assert_int_eq(call.result, -FORKPOOL_EFAILED);
	check_quiet(pool);
}
END_TEST

static int empty_range(void *arg, size_t begin, size_t end)
{
	(void)arg;
	return end < begin;
}

START_TEST(empty_and_ranges)
{
	FORKPOOL_JOB_OPTS(opts, .on_done = count_and_free, .user = &calls);
	struct forkpool_job *job;

	atomic_store(&calls, 0);
	start(pool, nothing, 0, count_and_free, &calls);
	ck_assert_int_eq(forkpool_dispatch(pool), 1);
	ck_assert_int_eq(forkpool_for_async(pool, empty_range, 10, 1000, &opts, &job), 0);
	run_loop(pool, &calls, 2);
	ck_assert_int_eq(forkpool_for_async(pool, empty_range, 10, 10, &opts, &job), 0);
	run_loop(pool, &calls, 3);
}
END_TEST

START_TEST(cancelled_job_is_called)
{
	struct call call = { 0 };
	struct forkpool_job *job;

	if (test_inline())
		return;
	job = start(pool, at_gate, 50, note, &call);
	wait_for(&gate->arrived, 1);
	ck_assert_int_ge(forkpool_event_fd(pool), 0);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	run_loop(pool, &call.times, 1);
	ck_assert_int_eq(call.result, -FORKPOOL_ECANCELED);
}
END_TEST

/* ---- Many ------------------------------------------------------------------------------------- */

struct many {
	atomic_int called, times[JOBS];
	atomic_bool end;
};

static struct many *many;

static void count_one(struct forkpool_job *job, void *user)
{
	atomic_fetch_add((atomic_int *)user, 1);
	if (((atomic_int *)user - many->times) % 2)
		forkpool_job_free(job);
	atomic_fetch_add(&many->called, 1);
}

static void *dispatch_until(void *arg)
{
	struct forkpool *p = arg;
	int fd = forkpool_event_fd(p), n = 0, got;

	while (!atomic_load(&many->end)) {
		if (!readable(fd, 20))
			continue;
		got = forkpool_dispatch(p);
		ck_assert_int_ge(got, 0);
		n += got;
	}
	return (void *)(intptr_t)n;
}

START_TEST(each_once)
{
	pthread_t threads[2];
	struct forkpool_job *jobs[JOBS];
	intptr_t sum = 0;
	void *ret;
	int i;

	many = calloc(1, sizeof(*many));
	ck_assert_int_ge(forkpool_event_fd(pool), 0);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, dispatch_until, pool), 0);
	for (i = 0; i < JOBS; i++) {
		jobs[i] = start(pool, nothing, 1 + (size_t)i % 7, count_one, &many->times[i]);
		/* Some are found done by a wait. */
		if (i % 10 == 0)
			ck_assert_int_eq(forkpool_job_wait(jobs[i], HANG), 0);
	}
	wait_for(&many->called, JOBS);
	atomic_store(&many->end, true);
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], &ret);
		sum += (intptr_t)ret;
	}
	ck_assert_int_eq(sum, JOBS);
	ck_assert_int_eq(forkpool_dispatch(pool), 0);
	for (i = 0; i < JOBS; i++)
		CHECK_EACH(many->times[i] == 1);
	check_quiet(pool);
	free(many);
}
END_TEST

/* ---- What a callback may do --------------------------------------------------------------------- */

static void start_next(struct forkpool_job *job, void *user)
{
	int n = atomic_fetch_add((atomic_int *)user, 1) + 1;

	if (n < 20)
		start(pool, nothing, 3, start_next, user);
	forkpool_job_free(job);
}

/* Nobody else has their handles; waiting for the group takes no callback away. */
START_TEST(tasks_of_a_group_are_called)
{
	FORKPOOL_JOB_OPTS(opts, .on_done = count_and_free, .user = &calls);
	int i;

	ck_assert_int_eq(forkpool_group_create(pool, &opts.group), 0);
	atomic_store(&calls, 0);
	for (i = 0; i < JOBS; i++)
		ck_assert_int_eq(forkpool_submit(pool, nothing, NULL, 0, 0, &opts, NULL), 0);
	ck_assert_int_eq(forkpool_group_wait(opts.group, HANG), 0);
	for (i = 0; i < JOBS; i++)
		ck_assert_int_eq(forkpool_submit(pool, nothing, NULL, 0, 0, &opts, NULL), 0);
	forkpool_group_free(opts.group);
	run_loop(pool, &calls, 2 * JOBS);
	check_quiet(pool);
}
END_TEST

START_TEST(callback_submits)
{
	atomic_store(&calls, 0);
	start(pool, nothing, 3, start_next, &calls);
	run_loop(pool, &calls, 20);
	check_quiet(pool);
}
END_TEST

/* So many that one of them finds the place that the callback's own job had. */
static void free_and_submit(struct forkpool_job *job, void *user)
{
	FORKPOOL_JOB_OPTS(opts, .on_done = count_and_free, .user = user);
	int i;

	forkpool_job_free(job);
	for (i = 0; i < JOBS; i++)
		if (forkpool_submit(pool, nothing, NULL, 0, 0, &opts, NULL))
			return;
	atomic_fetch_add((atomic_int *)user, 1);
}

START_TEST(callback_submits_in_its_own_place)
{
	FORKPOOL_JOB_OPTS(opts, .on_done = free_and_submit, .user = &calls);
	int i;

	for (i = 0; i < 20; i++) {
		atomic_store(&calls, 0);
		ck_assert_int_eq(forkpool_submit(pool, nothing, NULL, 0, 0, &opts, NULL), 0);
		run_loop(pool, &calls, JOBS + 1);
	}
}
END_TEST

static void dispatch_in(struct forkpool_job *job, void *user)
{
	struct call *call = user;

	call->result = forkpool_dispatch(pool);
	atomic_fetch_add(&call->times, 1);
	forkpool_job_free(job);
	forkpool_destroy(pool);		/* without effect in here */
}

START_TEST(callback_dispatches)
{
	struct call call = { 0 };
	struct forkpool_job *first, *second;

	atomic_store(&calls, 0);
	first = start(pool, nothing, 1, dispatch_in, &call);
	ck_assert_int_eq(forkpool_job_wait(first, HANG), 0);
	second = start(pool, nothing, 1, count, &calls);
	ck_assert_int_eq(forkpool_job_wait(second, HANG), 0);
	ck_assert_int_eq(forkpool_dispatch(pool), 1);
	ck_assert_int_eq(call.times, 1);
	ck_assert_int_eq(call.result, 1);
	ck_assert_int_eq(calls, 1);
	ck_assert_int_eq(forkpool_job_poll(second), 1);
	ck_assert_int_eq(forkpool_dispatch(pool), 0);
}
END_TEST

/* ---- Freed before ------------------------------------------------------------------------------- */

START_TEST(freed_job_is_not_called)
{
	struct forkpool_job *job;
	int i;

	atomic_store(&calls, 0);
	/* Done, found so, and due. */
	job = start(pool, nothing, 4, count, &calls);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	forkpool_job_free(job);
	ck_assert_int_eq(forkpool_dispatch(pool), 0);
	if (test_inline())
		return;
	/* At work; its successor in the slot is called. */
	job = start(pool, at_gate, 4, count, &calls);
	wait_for(&gate->arrived, 1);
	forkpool_job_free(job);
	atomic_store(&gate->open, 1);
	for (i = 0; i < SLOTS; i++)
		start(pool, nothing, 1, count_and_free, &calls);
	run_loop(pool, &calls, SLOTS);
}
END_TEST

static void hold(struct forkpool_job *job, void *user)
{
	struct call *call = user;

	(void)job;
	atomic_store(&call->entered, 1);
	while (!atomic_load(&call->go_on))
		sleep_ms(1);
	sleep_ms(5);
	atomic_store(&call->over, 1);
}

static void *dispatch_one(void *arg)
{
	return (void *)(intptr_t)forkpool_dispatch(arg);
}

START_TEST(free_waits_for_the_callback)
{
	struct call call = { 0 };
	struct forkpool_job *job = start(pool, nothing, 1, hold, &call);
	pthread_t thread;
	void *ret;

	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, dispatch_one, pool), 0);
	wait_for(&call.entered, 1);
	/* Another one's free does not wait for it. */
	forkpool_job_free(start(pool, nothing, 1, count, &calls));
	atomic_store(&call.go_on, 1);
	forkpool_job_free(job);
	ck_assert_int_eq(call.over, 1);
	pthread_join(thread, &ret);
	ck_assert_int_eq((intptr_t)ret, 1);
	ck_assert_int_eq(forkpool_job_poll(job), -EINVAL);
}
END_TEST

/* Jobs freed while another thread dispatches: called or not, but never after. */
START_TEST(free_races_with_dispatch)
{
	struct call *one;
	pthread_t thread;
	struct forkpool_job *job;
	int i;

	many = calloc(1, sizeof(*many));
	ck_assert_int_eq(pthread_create(&thread, NULL, dispatch_until, pool), 0);
	for (i = 0; i < JOBS; i++) {
		one = calloc(1, sizeof(*one));
		job = start(pool, nothing, 1, note, one);
		if (i % 2)
			forkpool_job_wait(job, HANG);
		forkpool_job_free(job);
		CHECK_EACH(one->times <= 1);
		/* A sanitizer, or a guarded heap, sees whoever comes too late. */
		memset(one, 0xff, sizeof(*one));
		free(one);
	}
	atomic_store(&many->end, true);
	pthread_join(thread, NULL);
	free(many);
}
END_TEST

/* ---- Bad input ------------------------------------------------------------------------------------ */

static int call_in_worker(void *arg, const void *in, void *out)
{
	FORKPOOL_JOB_OPTS(opts, .on_done = count);
	struct forkpool *self = forkpool_current();
	struct forkpool_job *job;
	int *ret = out;

	(void)arg;
	(void)in;
	ret[0] = forkpool_dispatch(self);
	ret[1] = forkpool_event_fd(self);
	ret[2] = forkpool_map(self, nothing, NULL, 0, NULL, 0, 1, &opts);
	ret[3] = forkpool_map_async(self, nothing, NULL, 0, NULL, 0, 1, &opts, &job);
	return 0;
}

static void call_in_child(void *arg)
{
	MUST(forkpool_dispatch(arg) == -EINVAL);
	MUST(forkpool_event_fd(arg) == -EINVAL);
	forkpool_destroy(arg);
}

START_TEST(bad_calls)
{
	FORKPOOL_JOB_OPTS(opts, .on_done = count);
	FORKPOOL_OPTS(bad, .dispatch_thread = 2);
	struct forkpool *none;
	int ret[4];

	ck_assert_int_eq(forkpool_dispatch(NULL), -EINVAL);
	ck_assert_int_eq(forkpool_event_fd(NULL), -EINVAL);
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 3, &opts), -EINVAL);
	ck_assert_int_eq(forkpool_for(pool, empty_range, 0, 3, &opts), -EINVAL);
	ck_assert_int_eq(forkpool_create(&none, &bad), -EINVAL);
	bad.dispatch_thread = -1;
	ck_assert_int_eq(forkpool_create(&none, &bad), -EINVAL);
	ck_assert_int_eq(forkpool_map(pool, call_in_worker, NULL, 0, ret, sizeof(ret), 1, NULL), 0);
	ck_assert_int_eq(ret[0], -EPERM);
	ck_assert_int_eq(ret[1], -EPERM);
	ck_assert_int_eq(ret[2], -EINVAL);
	ck_assert_int_eq(ret[3], -EINVAL);
	if (test_processes()) {
		ck_assert_int_ge(forkpool_event_fd(pool), 0);
		ck_assert_int_eq(child_run(call_in_child, pool), 0);
	}
}
END_TEST

/* What is due when the pool goes is dropped. */
START_TEST(destroy_drops)
{
	struct forkpool *p = pool_new(1);

	atomic_store(&calls, 0);
	ck_assert_int_eq(forkpool_job_wait(start(p, nothing, 1, count, &calls), HANG), 0);
	start(p, nothing, 1, count, &calls);
	forkpool_destroy(p);
	ck_assert_int_eq(calls, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("event");
	TCase *tc = jobs_case(suite, "jobs");

	tcase_add_test(tc, loop_is_woken);
	tcase_add_test(tc, dispatch_alone_finds_it);
	tcase_add_test(tc, failed_job_is_called);
	tcase_add_test(tc, empty_and_ranges);
	tcase_add_test(tc, cancelled_job_is_called);
	tcase_add_test(tc, each_once);
	tcase_add_test(tc, tasks_of_a_group_are_called);
	tcase_add_test(tc, callback_submits);
	tcase_add_test(tc, callback_submits_in_its_own_place);
	tcase_add_test(tc, callback_dispatches);

	tc = jobs_case(suite, "free");
	tcase_add_test(tc, freed_job_is_not_called);
	tcase_add_test(tc, free_waits_for_the_callback);
	tcase_add_test(tc, free_races_with_dispatch);

	tc = jobs_case(suite, "bad");
	tcase_add_test(tc, bad_calls);
	tcase_add_test(tc, destroy_drops);
	return test_main(suite);
}
