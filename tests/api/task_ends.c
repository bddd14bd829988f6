/* SPDX-License-Identifier: MIT */
/* Tasks that do not end as they should, are cancelled, or killed. */
#include "api/tasks.h"

/* In the segment: what each task is to do, and how often it has begun. */
struct trouble {
	atomic_int runs;
	int deaths;	/* so often it dies */
	int way;
};

enum { RETURN_5, RETURN_MINUS_1, SEGFAULT, ABORT, EXIT_3, EXIT_0, WAYS };

static const struct {
	int err, outcome, code;
} expected[WAYS] = {
	[RETURN_5] = { -FORKPOOL_EFAILED, FORKPOOL_ITEM_FAILED, 5 },
	[RETURN_MINUS_1] = { -FORKPOOL_EFAILED, FORKPOOL_ITEM_FAILED, -1 },
	[SEGFAULT] = { -FORKPOOL_ECRASHED, FORKPOOL_ITEM_CRASHED, SIGSEGV },
	[ABORT] = { -FORKPOOL_ECRASHED, FORKPOOL_ITEM_CRASHED, SIGABRT },
	[EXIT_3] = { -FORKPOOL_ECRASHED, FORKPOOL_ITEM_EXITED, 3 },
	[EXIT_0] = { -FORKPOOL_ECRASHED, FORKPOOL_ITEM_EXITED, 0 },
};

static int run_into(void *arg, const void *in, void *out)
{
	struct trouble *t = arg;
	const int *x = in;

	if (atomic_fetch_add(&t->runs, 1) >= t->deaths) {
		if (out)
			*(int *)out = *x * 2;
		return 0;
	}
	switch (t->way) {
	case RETURN_5:
		return 5;
	case RETURN_MINUS_1:
		return -1;
	case SEGFAULT:
		raise(SIGSEGV);
		break;
	case ABORT:
		abort();
	case EXIT_3:
		exit(3);
	case EXIT_0:
		exit(0);
	}
	return 99;
}

static struct trouble *trouble_new(int way, int deaths)
{
	struct trouble *t = forkpool_shm_calloc(pool, 1, sizeof(*t));

	ck_assert_ptr_nonnull(t);
	t->way = way;
	t->deaths = deaths;
	return t;
}

static struct forkpool_job *submit_trouble(struct trouble *t, unsigned retries, int x)
{
	FORKPOOL_JOB_OPTS(opts, .arg = t, .retries = retries);
	struct forkpool_job *job = NULL;

	ck_assert_int_eq(forkpool_submit(pool, run_into, &x, sizeof(x), sizeof(x), &opts, &job), 0);
	return job;
}

/* ---- One that ends badly ---------------------------------------------------------------- */

static bool is_death(int way)
{
	return way >= SEGFAULT;
}

START_TEST(ends_are_told)
{
	struct trouble *t = trouble_new(_i, 1000);
	struct forkpool_job *job = submit_trouble(t, 0, 7), *other = submit_int(pool, square, 12);
	struct forkpool_status st;

	ck_assert_int_eq(forkpool_job_wait(job, HANG), expected[_i].err);
	ck_assert_int_eq(forkpool_job_wait(job, 0), expected[_i].err);
	ck_assert_ptr_null(forkpool_job_result(job));
	st = status_of(job);
	ck_assert_int_eq(st.outcome, expected[_i].outcome);
	ck_assert_int_eq(st.code, expected[_i].code);
	ck_assert_uint_eq(st.attempts, 1);
	ck_assert_int_gt(st.worker, 0);
	ck_assert_int_eq(atomic_load(&t->runs), 1);
	forkpool_job_free(job);
	expect_int(other, 144);
	check_tasks_work(pool);
	forkpool_shm_free(pool, t);
}
END_TEST

START_TEST(deaths_are_retried)
{
	struct trouble *t = trouble_new(_i, 2);
	struct forkpool_job *job = submit_trouble(t, 2, 7);
	struct forkpool_status st;

	ck_assert_int_eq(forkpool_job_wait(job, HANG), is_death(_i) ? 0 : -FORKPOOL_EFAILED);
	st = status_of(job);
	ck_assert_uint_eq(st.attempts, is_death(_i) ? 3 : 1);
	ck_assert_int_eq(atomic_load(&t->runs), is_death(_i) ? 3 : 1);
	if (is_death(_i))
		expect_int(job, 14);
	else
		forkpool_job_free(job);
	forkpool_shm_free(pool, t);
}
END_TEST

START_TEST(retries_have_an_end)
{
	struct trouble *t = trouble_new(_i, 1000);
	struct forkpool_job *job = submit_trouble(t, 2, 7);
	struct forkpool_status st;

	ck_assert_int_eq(forkpool_job_wait(job, HANG), expected[_i].err);
	st = status_of(job);
	ck_assert_int_eq(st.outcome, expected[_i].outcome);
	ck_assert_int_eq(st.code, expected[_i].code);
	ck_assert_uint_eq(st.attempts, 3);
	ck_assert_int_eq(atomic_load(&t->runs), 3);
	forkpool_job_free(job);
	forkpool_shm_free(pool, t);
}
END_TEST

START_TEST(calls_are_told)
{
	struct trouble *t = trouble_new(EXIT_3, 2);
	struct forkpool_status st;
	FORKPOOL_JOB_OPTS(opts, .arg = t, .status = &st, .retries = 2);
	int x = 4, y = 4711;

	ck_assert_int_eq(forkpool_call(pool, run_into, &x, sizeof(x), &y, sizeof(y), &opts), 0);
	ck_assert_int_eq(y, 8);
	ck_assert_uint_eq(st.attempts, 3);
	atomic_store(&t->runs, 0);
	opts.retries = 1;
	y = 4711;
	ck_assert_int_eq(forkpool_call(pool, run_into, &x, sizeof(x), &y, sizeof(y), &opts),
			 -FORKPOOL_ECRASHED);
	ck_assert_int_eq(y, 4711);
	ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_EXITED);
	ck_assert_int_eq(st.code, 3);
	forkpool_shm_free(pool, t);
}
END_TEST

/* ---- Others never notice ------------------------------------------------------------------ */

#define MANY	600

/* Each seventh dies, once. */
START_TEST(others_do_not_notice)
{
	struct trouble *t = forkpool_shm_calloc(pool, MANY, sizeof(*t));
	static struct forkpool_job *jobs[MANY];
	struct forkpool_status st;
	int i, err;

	for (i = 0; i < MANY; i++) {
		t[i].way = SEGFAULT + i % (WAYS - SEGFAULT);
		t[i].deaths = i % 7 == 3;
		jobs[i] = submit_trouble(&t[i], (unsigned)_i, i);
	}
	for (i = 0; i < MANY; i++) {
		bool died = i % 7 == 3;

		err = forkpool_job_wait(jobs[i], HANG);
		CHECK_EACH(err == (died && !_i ? -FORKPOOL_ECRASHED : 0));
		CHECK_EACH(atomic_load(&t[i].runs) == 1 + (died && _i));
		if (_i) {
			st = status_of(jobs[i]);
			CHECK_EACH(st.attempts == 1u + died);
		}
		if (!err)
			CHECK_EACH(result_int(jobs[i]) == 2 * i);
		forkpool_job_free(jobs[i]);
	}
	forkpool_shm_free(pool, t);
}
END_TEST

/* Who has filled his lane with tasks that die gets room all the same. */
START_TEST(deaths_make_room)
{
	FORKPOOL_OPTS(opts, .workers = 1, .queue_depth = 1);
	struct forkpool *before = pool;
	struct forkpool_job *jobs[20];
	struct trouble *t;
	int i;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	t = trouble_new(SEGFAULT, 1000);
	for (i = 0; i < 20; i++)
		jobs[i] = submit_trouble(t, 0, i);
	ck_assert_int_eq(forkpool_wait_all(jobs, 20, HANG), -FORKPOOL_ECRASHED);
	ck_assert_int_eq(atomic_load(&t->runs), 20);
	forkpool_destroy(pool);
	pool = before;
}
END_TEST

static int crash_with_memory(void *arg, const void *in, void *out)
{
	void *p = forkpool_shm_alloc(forkpool_current(), 1 << 20);

	(void)in;
	(void)out;
	NEED(p);
	memset(p, 1, 1 << 20);
	atomic_fetch_add((atomic_int *)arg, 1);
	raise(SIGKILL);
	return 0;
}

/* More than the arena holds, if it were not given back. */
START_TEST(the_memory_of_the_dead_comes_back)
{
	atomic_int *runs = forkpool_shm_calloc(pool, 1, sizeof(*runs));
	FORKPOOL_JOB_OPTS(opts, .arg = runs, .retries = 2);
	struct forkpool_job *jobs[120];
	char *in = calloc(1, 100000);
	int i;

	for (i = 0; i < 120; i++)
		ck_assert_int_eq(forkpool_submit(pool, crash_with_memory, in, 100000, 100000, &opts,
						 &jobs[i]), 0);
	for (i = 0; i < 120; i++) {
		ck_assert_int_eq(forkpool_job_wait(jobs[i], HANG), -FORKPOOL_ECRASHED);
		forkpool_job_free(jobs[i]);
	}
	ck_assert_int_eq(atomic_load(runs), 360);
	free(in);
	forkpool_shm_free(pool, runs);
}
END_TEST

/* ---- Cancelled ------------------------------------------------------------------------------ */

START_TEST(what_is_queued_never_starts)
{
	struct forkpool_job *running[2], *queued[100];
	struct trouble *t = trouble_new(RETURN_5, 1000);
	struct forkpool_status st;
	int i;

	running[0] = submit_gated(pool);
	running[1] = submit_gated(pool);
	wait_for(&gate->arrived, 2);
	for (i = 0; i < 100; i++)
		queued[i] = submit_trouble(t, (unsigned)i % 2, i);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(forkpool_job_cancel(queued[i]), 0);
	for (i = 0; i < 100; i++) {
		/* Nobody else is needed for that. */
		ck_assert_int_eq(forkpool_job_wait(queued[i], 0), -FORKPOOL_ECANCELED);
		st = status_of(queued[i]);
		ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_CANCELLED);
		ck_assert_uint_eq(st.attempts, 0);
		ck_assert_int_eq(st.worker, 0);
		ck_assert_int_eq(st.code, 0);
		ck_assert_int_eq(forkpool_job_cancel(queued[i]), 0);
		forkpool_job_free(queued[i]);
	}
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_wait_all(running, 2, HANG), 0);
	check_tasks_work(pool);
	ck_assert_int_eq(atomic_load(&t->runs), 0);
	forkpool_job_free(running[0]);
	forkpool_job_free(running[1]);
	forkpool_shm_free(pool, t);
}
END_TEST

START_TEST(who_waits_for_a_cancelled_one_wakes)
{
	struct forkpool_job *running[2], *queued;
	pthread_t thread;
	void *result;

	running[0] = submit_gated(pool);
	running[1] = submit_gated(pool);
	wait_for(&gate->arrived, 2);
	queued = submit_gated(pool);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_it, queued), 0);
	sleep_ms(20);
	ck_assert_int_eq(forkpool_job_cancel(queued), 0);
	pthread_join(thread, &result);
	ck_assert_int_eq((int)(intptr_t)result, -FORKPOOL_ECANCELED);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_wait_all(running, 2, HANG), 0);
	ck_assert_int_eq(atomic_load(&gate->saw_cancel), 0);
}
END_TEST

START_TEST(what_runs_sees_it)
{
	struct forkpool_job *job = submit_gated(pool), *other = submit_gated(pool);

	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	ck_assert_int_eq(status_of(job).outcome, FORKPOOL_ITEM_OK);
	ck_assert_int_eq(atomic_load(&gate->saw_cancel), 1);
	/* The other does not. */
	ck_assert_int_eq(forkpool_job_wait(other, 20 * MS), -ETIMEDOUT);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_job_wait(other, HANG), 0);
	ck_assert_int_eq(atomic_load(&gate->saw_cancel), 1);
	ck_assert_int_eq(forkpool_job_cancel(other), 0);
	ck_assert_int_eq(forkpool_job_wait(other, 0), 0);
	forkpool_job_free(job);
	forkpool_job_free(other);
	/* Nor those that come after it in its place. */
	job = submit_gated(pool);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	ck_assert_int_eq(atomic_load(&gate->saw_cancel), 1);
	forkpool_job_free(job);
}
END_TEST

/* ---- Killed ------------------------------------------------------------------------------------ */

static int never_ends(void *arg, const void *in, void *out)
{
	struct gate *g = arg;

	(void)in;
	(void)out;
	atomic_fetch_add(&g->arrived, 1);
	for (;;)
		pause();
	return 0;
}

START_TEST(kill_ends_what_runs)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .retries = 3);
	struct forkpool_job *job, *other = submit_gated(pool), *queued;
	struct forkpool_status st;

	wait_for(&gate->arrived, 1);
	ck_assert_int_eq(forkpool_submit(pool, never_ends, NULL, 0, 0, &opts, &job), 0);
	wait_for(&gate->arrived, 2);
	queued = submit_int(pool, square, 9);
	ck_assert_int_eq(forkpool_job_kill(job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_ECANCELED);
	st = status_of(job);
	ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_CANCELLED);
	ck_assert_int_eq(atomic_load(&gate->arrived), 2);
	ck_assert_int_eq(forkpool_job_kill(job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, 0), -FORKPOOL_ECANCELED);
	/* The place is for others again. */
	expect_int(queued, 81);
	ck_assert_int_eq(forkpool_job_poll(other), 0);
	ck_assert_int_eq(forkpool_job_kill(other), 0);
	/* It may have seen the cancel before. */
	ck_assert_int_ne(forkpool_job_wait(other, HANG), -ETIMEDOUT);
	check_tasks_work(pool);
	forkpool_job_free(job);
	forkpool_job_free(other);
}
END_TEST

START_TEST(kill_of_what_is_queued_or_done)
{
	struct forkpool_job *running[2], *queued, *done = submit_int(pool, square, 2);

	ck_assert_int_eq(forkpool_job_wait(done, HANG), 0);
	ck_assert_int_eq(forkpool_job_kill(done), 0);
	expect_int(done, 4);
	running[0] = submit_gated(pool);
	running[1] = submit_gated(pool);
	wait_for(&gate->arrived, 2);
	queued = submit_gated(pool);
	ck_assert_int_eq(forkpool_job_kill(queued), 0);
	ck_assert_int_eq(forkpool_job_wait(queued, 0), -FORKPOOL_ECANCELED);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_wait_all(running, 2, HANG), 0);
	ck_assert_int_eq(atomic_load(&gate->arrived), 2);
}
END_TEST

/* While others are at work: none of theirs is harmed. */
START_TEST(kills_at_any_time)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .retries = 1);
	struct forkpool_job *victim, *jobs[40];
	int round, i;

	for (round = 0; round < 40; round++) {
		ck_assert_int_eq(forkpool_submit(pool, round % 2 ? never_ends : nothing, NULL, 0, 0, &opts,
						 &victim), 0);
		for (i = 0; i < 40; i++)
			jobs[i] = submit_int(pool, square, i);
		if (round % 4 == 1)
			wait_for(&gate->arrived, atomic_load(&gate->arrived));
		ck_assert_int_eq(forkpool_job_kill(victim), 0);
		i = forkpool_job_wait(victim, HANG);
		ck_assert(i == -FORKPOOL_ECANCELED || (i == 0 && round % 2 == 0));
		forkpool_job_free(victim);
		for (i = 0; i < 40; i++)
			expect_int(jobs[i], i * i);
	}
}
END_TEST

/* ---- Stopped and started -------------------------------------------------------------------- */

static int note_pid(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	*(pid_t *)out = getpid();
	return 0;
}

/* Workers that die while idle cost nobody anything. */
START_TEST(workers_that_die_idle)
{
	pid_t pid;
	int round;

	for (round = 0; round < 20; round++) {
		ck_assert_int_eq(forkpool_call(pool, note_pid, NULL, 0, &pid, sizeof(pid), NULL), 0);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		check_tasks_work(pool);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("task_ends");
	TCase *tc = jobs_case(suite, "returns");

	tcase_add_loop_test(tc, ends_are_told, RETURN_5, SEGFAULT);
	tcase_add_loop_test(tc, deaths_are_retried, RETURN_5, SEGFAULT);
	if (!test_inline()) {
		tc = jobs_case(suite, "cancel");
		tcase_add_test(tc, what_is_queued_never_starts);
		tcase_add_test(tc, who_waits_for_a_cancelled_one_wakes);
		tcase_add_test(tc, what_runs_sees_it);
	}
	if (!test_processes())
		return test_main(suite);
	tc = jobs_case(suite, "deaths");
	tcase_add_loop_test(tc, ends_are_told, SEGFAULT, WAYS);
	tcase_add_loop_test(tc, deaths_are_retried, SEGFAULT, WAYS);
	tcase_add_loop_test(tc, retries_have_an_end, SEGFAULT, WAYS);
	tcase_add_test(tc, calls_are_told);
	tcase_add_loop_test(tc, others_do_not_notice, 0, 2);
	tcase_add_test(tc, deaths_make_room);
	tcase_add_test(tc, the_memory_of_the_dead_comes_back);
	tcase_add_test(tc, workers_that_die_idle);
	tc = jobs_case(suite, "kill");
	tcase_add_test(tc, kill_ends_what_runs);
	tcase_add_test(tc, kill_of_what_is_queued_or_done);
	tcase_add_test(tc, kills_at_any_time);
	return test_main(suite);
}
