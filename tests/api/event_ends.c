/* SPDX-License-Identifier: MIT */
/* Callbacks where something dies or ends, and those of the helper thread. */
#include <fcntl.h>
#include <sys/prctl.h>

#include "api/events.h"

/* ---- Deaths ------------------------------------------------------------------------------------- */

START_TEST(terminated_jobs_are_called)
{
	struct call list[5] = { { 0 } };
	int i, fd = forkpool_event_fd(pool);

	if (test_inline())
		return;
	for (i = 0; i < 5; i++)
		start(pool, at_gate, 9, note, &list[i]);
	wait_for(&gate->arrived, 1);
	ck_assert(!readable(fd, 0));
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	for (i = 0; i < 5; i++) {
		run_loop(pool, &list[i].times, 1);
		ck_assert_int_eq(list[i].result, -FORKPOOL_ECANCELED);
	}
	check_quiet(pool);
	ck_assert_int_eq(forkpool_join(pool, HANG), 0);
	check_quiet(pool);
}
END_TEST

/* Nothing but a signal ends it. */
static int deaf(void *arg, const void *in, void *out)
{
	struct gate *g = arg;

	(void)in;
	(void)out;
	atomic_fetch_add(&g->arrived, 1);
	for (;;)
		sleep_ms(1000);
	return 0;
}

/* Those that run, too, have their result when they are called for. */
START_TEST(terminated_tasks_are_called)
{
	struct call list[20] = { { 0 } };
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .on_done = note);
	int i;

	if (!test_processes())
		return;
	for (i = 0; i < 20; i++) {
		opts.user = &list[i];
		ck_assert_int_eq(forkpool_submit(pool, deaf, NULL, 0, 0, &opts, NULL), 0);
	}
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	for (i = 0; i < 20; i++) {
		run_loop(pool, &list[i].times, 1);
		ck_assert_int_eq(list[i].result, -FORKPOOL_ECANCELED);
	}
	check_quiet(pool);
}
END_TEST

static int tell_parent(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	*(pid_t *)out = getppid();
	return 0;
}

START_TEST(broken_pool_is_told)
{
	struct call list[5] = { { 0 } };
	struct forkpool_job *jobs[5];
	bool late = _i;
	pid_t nursery;
	int i;

	if (!test_processes())
		return;
	ck_assert_int_eq(forkpool_map(pool, tell_parent, NULL, 0, &nursery, sizeof(nursery), 1, NULL), 0);
	for (i = 0; i < 5; i++)
		jobs[i] = start(pool, at_gate, 9, note, &list[i]);
	wait_for(&gate->arrived, 1);
	if (!late)
		ck_assert(!readable(forkpool_event_fd(pool), 0));
	kill(nursery, SIGKILL);
	/* The descriptor that is asked for when all is over tells as well. */
	if (late)
		ck_assert_int_eq(forkpool_job_wait(jobs[4], HANG), -FORKPOOL_EBROKEN);
	for (i = 0; i < 5; i++) {
		run_loop(pool, &list[i].times, 1);
		ck_assert_int_eq(list[i].result, -FORKPOOL_EBROKEN);
	}
	check_quiet(pool);
}
END_TEST

static int tell_worker(void *arg, const void *in, void *out)
{
	struct gate *g = arg;

	(void)in;
	(void)out;
	atomic_store(&g->arrived, getpid());
	return 0;
}

/* Killed about when it completes a job of one item, whose callback comes all the same. */
START_TEST(completer_is_killed)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .retries = 1000, .on_done = count_and_free, .user = &calls);
	struct forkpool_job *job;
	int i, spin;

	if (!test_processes())
		return;
	atomic_store(&calls, 0);
	ck_assert_int_ge(forkpool_event_fd(pool), 0);
	for (i = 0; i < 60; i++) {
		atomic_store(&gate->arrived, 0);
		ck_assert_int_eq(forkpool_map_async(pool, tell_worker, NULL, 0, NULL, 0, 1, &opts, &job), 0);
		wait_for(&gate->arrived, 1);
		for (spin = 0; spin < i * 20; spin++)
			atomic_load(&gate->open);
		kill(atomic_load(&gate->arrived), SIGKILL);
		run_loop(pool, &calls, i + 1);
	}
}
END_TEST

/* Its own descriptors gone, and every number in use for something else. */
static int take_all_numbers(void *arg, const void *in, void *out)
{
	int fd, i;

	(void)arg;
	(void)out;
	for (i = 3; i < 1024; i++)
		close(i);
	fd = open(in, O_RDWR | O_CLOEXEC);
	for (i = 0; fd >= 0 && i < 500; i++)
		if (dup(fd) < 0)
			return 2;
	return fd < 0;
}

START_TEST(items_take_the_descriptors)
{
	char name[] = "/tmp/forkpool-event-XXXXXX";
	FORKPOOL_JOB_OPTS(opts, .chunk = 1, .on_done = count, .user = &calls);
	int fd = mkstemp(name), i;
	struct forkpool_job *job;

	ck_assert_int_ge(fd, 0);
	if (!test_processes())
		goto out;
	atomic_store(&calls, 0);
	ck_assert_int_ge(forkpool_event_fd(pool), 0);
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(forkpool_map_async(pool, take_all_numbers, name, sizeof(name), NULL, 0, 1,
						    &opts, &job), 0);
		run_loop(pool, &calls, i + 1);
		ck_assert_int_eq(forkpool_job_wait(job, 0), 0);
	}
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 0);
out:
	close(fd);
	unlink(name);
}
END_TEST

/* ---- The helper thread --------------------------------------------------------------------------- */

static struct forkpool *helped_new(void)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = (size_t)64 << 20, .dispatch_thread = 1);
	struct forkpool *p;

	ck_assert_int_eq(forkpool_create(&p, &opts), 0);
	ck_assert_int_eq(forkpool_dispatch(p), -EINVAL);
	ck_assert_int_eq(forkpool_event_fd(p), -EINVAL);
	return p;
}

static void look_around(struct forkpool_job *job, void *user)
{
	struct call *call = user;
	char name[16] = "";
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	prctl(PR_GET_NAME, name);
	call->result = strcmp(name, "fp-dispatch") || !sigismember(&set, SIGTERM) ||
		       !sigismember(&set, SIGUSR1);
	call->thread = pthread_self();
	forkpool_job_free(job);
	atomic_fetch_add(&call->times, 1);
}

START_TEST(helper_calls)
{
	struct forkpool *p = helped_new();
	struct call call = { 0 };
	int i;

	for (i = 0; i < JOBS; i++)
		start(p, nothing, 3, look_around, &call);
	wait_for(&call.times, JOBS);
	ck_assert_int_eq(call.result, 0);
	ck_assert(!pthread_equal(call.thread, pthread_self()));
	if (_i) {
		ck_assert_int_eq(forkpool_close(p), 0);
		ck_assert_int_eq(forkpool_join(p, HANG), 0);
	}
	forkpool_destroy(p);
	ck_assert_int_eq(call.times, JOBS);
}
END_TEST

static void start_and_wait(struct forkpool_job *job, void *user)
{
	struct call *call = user;
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	struct forkpool_job *more = NULL;
	int err = forkpool_map_async(pool, at_gate, NULL, 0, NULL, 0, 4, &opts, &more);

	(void)job;
	atomic_store(&call->entered, 1);
	call->result = err ? err : forkpool_job_wait(more, -1);
	atomic_store(&call->over, 1);
}

/* Destroy ends the job that the helper's callback waits for, and then waits for the callback. */
START_TEST(destroy_waits_for_the_helper)
{
	struct forkpool *before = pool, *p = helped_new();
	struct gate *theirs = gate;
	struct call call = { 0 };

	if (test_inline()) {
		forkpool_destroy(p);
		return;
	}
	pool = p;
	gate = forkpool_shm_calloc(p, 1, sizeof(*gate));
	start(p, nothing, 1, start_and_wait, &call);
	wait_for(&call.entered, 1);
	wait_for(&gate->arrived, 1);
	forkpool_destroy(p);
	ck_assert_int_eq(call.over, 1);
	ck_assert_int_eq(call.result, -FORKPOOL_ECANCELED);
	pool = before;
	gate = theirs;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("event_ends");
	TCase *tc = jobs_case(suite, "deaths");

	tcase_add_test(tc, terminated_jobs_are_called);
	tcase_add_test(tc, terminated_tasks_are_called);
	tcase_add_loop_test(tc, broken_pool_is_told, 0, 2);
	tcase_add_test(tc, completer_is_killed);
	tcase_add_test(tc, items_take_the_descriptors);

	tc = jobs_case(suite, "helper");
	tcase_add_loop_test(tc, helper_calls, 0, 2);
	tcase_add_test(tc, destroy_waits_for_the_helper);
	return test_main(suite);
}
