/* SPDX-License-Identifier: MIT */
/*
 * Items that run in the program itself, in a pool of threads or inline, and there work
 * on another pool: to that one they are threads of the program.
 */
#include "api/tasks.h"

static const int modes[] = { FORKPOOL_INLINE, FORKPOOL_THREADS };
#define MODES	2

/* Runs fn in a pool of such a mode, beside the one that it works on. */
static void run_beside(int mode, forkpool_fn *fn)
{
	FORKPOOL_OPTS(opts, .workers = 1, .mode = mode, .arena_size = (size_t)64 << 20);
	struct forkpool *beside = NULL;
	struct forkpool_status st = { .outcome = -1 };
	FORKPOOL_JOB_OPTS(call, .status = &st);
	int err;

	ck_assert_int_eq(forkpool_create(&beside, &opts), 0);
	err = forkpool_call(beside, fn, NULL, 0, NULL, 0, &call);
	ck_assert_msg(!err, "line %d", st.code);
	forkpool_destroy(beside);
	check_tasks_work(pool);
}

static struct forkpool_job *submit_to(struct forkpool *p, forkpool_fn *fn)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .arg_as_is = 1);
	struct forkpool_job *job = NULL;

	return forkpool_submit(p, fn, NULL, 0, 0, &opts, &job) ? NULL : job;
}

static int doze(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	sleep_ms(5);
	return 0;
}

static int waits_for_any(void *arg, const void *in, void *out)
{
	struct forkpool_job *jobs[4] = { NULL };

	(void)arg;
	(void)in;
	(void)out;
	jobs[1] = submit_to(pool, at_gate);
	jobs[2] = submit_to(pool, doze);
	NEED(jobs[1] && jobs[2]);
	NEED(forkpool_wait_any(jobs, 4, MS) != 1);
	NEED(forkpool_wait_any(jobs, 4, HANG) == 2);
	forkpool_job_free(jobs[2]);
	/* With one of the item's own pool, which it runs itself; and with one that has to be waited for. */
	jobs[2] = submit_to(forkpool_current(), doze);
	NEED(jobs[2] && forkpool_wait_any(jobs, 4, HANG) == 2);
	forkpool_job_free(jobs[2]);
	jobs[2] = submit_to(pool, doze);
	NEED(jobs[2] && forkpool_wait_all(jobs + 2, 2, HANG) == 0);
	atomic_store(&gate->open, 1);
	NEED(forkpool_job_wait(jobs[1], HANG) == 0);
	forkpool_job_free(jobs[1]);
	forkpool_job_free(jobs[2]);
	return 0;
}

START_TEST(any_of_another_pool)
{
	run_beside(modes[_i], waits_for_any);
}
END_TEST

/* Deaf to cancels. */
static int never_ends(void *arg, const void *in, void *out)
{
	(void)in;
	(void)out;
	atomic_fetch_add(&((struct gate *)arg)->arrived, 1);
	sleep_ms(HANG_S * 1000);
	return 0;
}

static int kills_the_deaf(void *arg, const void *in, void *out)
{
	struct forkpool_job *job = submit_to(pool, never_ends);

	(void)arg;
	(void)in;
	(void)out;
	NEED(job);
	while (!atomic_load(&gate->arrived))
		sleep_ms(1);
	NEED(forkpool_job_kill(job) == 0);
	NEED(forkpool_job_wait(job, HANG) == -FORKPOOL_ECANCELED);
	forkpool_job_free(job);
	return 0;
}

START_TEST(kill_in_another_pool)
{
	run_beside(modes[_i], kills_the_deaf);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("across");
	TCase *tc = jobs_case(suite, "across");

	if (test_inline())
		return TEST_SKIP;
	tcase_add_loop_test(tc, any_of_another_pool, 0, MODES);
	if (test_processes())
		tcase_add_loop_test(tc, kill_in_another_pool, 0, MODES);
	return test_main(suite);
}
