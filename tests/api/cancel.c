/* SPDX-License-Identifier: MIT */
/* Jobs that end otherwise than in order: cancelled, freed, with their pool, or with workers that die. */
#include "api/jobs.h"

/* ---- Cancel ---------------------------------------------------------------------------- */

START_TEST(what_is_queued_never_starts)
{
	enum { N = 1000 };
	struct forkpool_status st;
	struct forkpool_job *job;
	int i, cancelled = 0;

	if (test_inline())
		return;
	job = start_gated(N);
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	/* Those at the gate see it; nobody opens it. */
	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_ECANCELED);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, 0), -FORKPOOL_ECANCELED);
	ck_assert_int_eq(atomic_load(&gate->saw_cancel), 2);
	ck_assert_int_eq(atomic_load(&gate->ended), atomic_load(&gate->arrived));
	for (i = 0; i < N; i++) {
		ck_assert_int_eq(forkpool_job_status(job, (size_t)i, &st), 0);
		if (st.outcome == FORKPOOL_ITEM_CANCELLED) {
			CHECK_EACH(st.attempts == 0 && st.worker == 0);
			cancelled++;
		} else {
			CHECK_EACH(st.outcome == FORKPOOL_ITEM_OK && st.attempts == 1);
		}
	}
	ck_assert_int_eq(cancelled, N - 2);
	forkpool_job_free(job);
	/* The pool goes on. */
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1000, NULL), 0);
}
END_TEST

START_TEST(a_job_that_no_worker_has_seen_ends_at_once)
{
	struct forkpool_job *busy, *job;
	int in[] = { 1, 2, 3 }, out[] = { 7, 8, 9 };

	if (test_inline())
		return;
	busy = start_gated(2);
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(forkpool_map_async(pool, square, in, sizeof(*in), out, sizeof(*out), 3,
					    NULL, &job), 0);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	/* Though both workers are busy with another one. */
	ck_assert_int_eq(forkpool_job_poll(job), 1);
	ck_assert_int_eq(forkpool_job_wait(job, 0), -FORKPOOL_ECANCELED);
	ck_assert(out[0] == 7 && out[1] == 8 && out[2] == 9);
	forkpool_job_free(job);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_job_wait(busy, HANG), 0);
	ck_assert_int_eq(atomic_load(&gate->saw_cancel), 0);
	forkpool_job_free(busy);
}
END_TEST

START_TEST(a_failure_before_the_cancelled_ones_is_the_result)
{
	int in[100], i;
	struct forkpool_job *job;
	size_t first = 99;
	FORKPOOL_JOB_OPTS(opts, .first_failure = &first);

	for (i = 0; i < 100; i++)
		in[i] = i + 1;
	ck_assert_int_eq(forkpool_map_async(pool, odd_fails, in, sizeof(*in), NULL, 0, 100, &opts,
					    &job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_EFAILED);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_EFAILED);
	ck_assert_uint_eq(first, 0);
	forkpool_job_free(job);
}
END_TEST

static int range_at_gate(void *arg, size_t begin, size_t end)
{
	(void)begin;
	(void)end;
	return at_gate(arg, NULL, NULL);
}

START_TEST(ranges_are_cancelled)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .chunk = 1);
	struct forkpool_job *job;

	if (test_inline())
		return;
	ck_assert_int_eq(forkpool_for_async(pool, range_at_gate, 5, 1005, &opts, &job), 0);
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_ECANCELED);
	ck_assert_int_eq(atomic_load(&gate->arrived), 2);
	forkpool_job_free(job);
}
END_TEST

static int count_and_linger(void *arg, const void *in, void *out)
{
	struct gate *g = arg;
	struct timespec ts = { .tv_nsec = 20000 };

	(void)in;
	*(int *)out = 1;
	nanosleep(&ts, NULL);
	atomic_fetch_add(&g->ended, 1);
	return 0;
}

/* Cancelled at any moment: what ran is ok and has its result, what did not is cancelled. */
START_TEST(cancelled_at_any_moment)
{
	enum { N = 300 };
	struct forkpool_status status[N];
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .status = status);
	int in[N] = { 0 }, out[N], round, i, ran, err;
	struct forkpool_job *job;
	size_t first;

	for (round = 0; round < 300; round++) {
		memset(out, 0, sizeof(out));
		atomic_store(&gate->ended, 0);
		first = N;
		opts.first_failure = &first;
		ck_assert_int_eq(forkpool_map_async(pool, count_and_linger, in, sizeof(*in), out,
						    sizeof(*out), N, &opts, &job), 0);
		for (i = 0; i < round * 10; i++)
			CHECK_EACH(forkpool_job_poll(job) >= 0);
		CHECK_EACH(forkpool_job_cancel(job) == 0);
		err = forkpool_job_wait(job, HANG);
		for (i = 0, ran = 0; i < N; i++) {
			CHECK_EACH(status[i].outcome == FORKPOOL_ITEM_OK ||
				   status[i].outcome == FORKPOOL_ITEM_CANCELLED);
			CHECK_EACH((status[i].outcome == FORKPOOL_ITEM_OK) == out[i]);
			CHECK_EACH((status[i].worker != 0) == out[i]);
			ran += out[i];
			if (!out[i] && ran == i)
				CHECK_EACH(first == (size_t)i);
		}
		CHECK_EACH(ran == atomic_load(&gate->ended));
		CHECK_EACH(err == (ran == N ? 0 : -FORKPOOL_ECANCELED));
		forkpool_job_free(job);
	}
}
END_TEST

static void *cancel_it(void *arg)
{
	return (void *)(intptr_t)forkpool_job_cancel(arg);
}

START_TEST(many_threads_cancel_one_job)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	int in[200] = { 0 }, out[200], round, i, err;
	struct forkpool_job *job;
	pthread_t threads[4];
	void *ret;

	for (round = 0; round < 100; round++) {
		ck_assert_int_eq(forkpool_map_async(pool, count_and_linger, in, sizeof(*in), out,
						    sizeof(*out), 200, &opts, &job), 0);
		for (i = 0; i < 4; i++)
			ck_assert_int_eq(pthread_create(&threads[i], NULL, cancel_it, job), 0);
		err = forkpool_job_wait(job, HANG);
		ck_assert(err == 0 || err == -FORKPOOL_ECANCELED);
		for (i = 0; i < 4; i++) {
			pthread_join(threads[i], &ret);
			ck_assert_ptr_null(ret);
		}
		forkpool_job_free(job);
	}
}
END_TEST

/* ---- Detached ------------------------------------------------------------------------------ */

START_TEST(freed_jobs_run_on)
{
	int i;

	if (test_inline())
		return;
	for (i = 0; i < SLOTS; i++)
		forkpool_job_free(start_gated(1));
	atomic_store(&gate->open, 1);
	/* Their slots come back. */
	for (i = 0; i < 2 * SLOTS; i++)
		forkpool_job_free(start_gated(1));
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_join(pool, HANG), 0);
	ck_assert_int_eq(atomic_load(&gate->ended), 3 * SLOTS);
}
END_TEST

START_TEST(freed_jobs_write_nothing)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .chunk = 1);
	struct forkpool_status status[4];
	size_t first = 4711;
	struct forkpool_job *job;

	if (test_inline())
		return;
	memset(status, 0x55, sizeof(status));
	opts.status = status;
	opts.first_failure = &first;
	ck_assert_int_eq(forkpool_map_async(pool, at_gate, NULL, 0, NULL, 0, 4, &opts, &job), 0);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	forkpool_job_free(job);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_join(pool, HANG), 0);
	ck_assert(first == 4711 || first < 4);
}
END_TEST

static void *free_it(void *arg)
{
	forkpool_job_free(arg);
	return NULL;
}

START_TEST(freed_while_others_wait)
{
	int in[] = { 1, 2, 3, 4 }, round, i;
	struct forkpool_job *job;
	pthread_t threads[4];
	void *ret;

	for (round = 0; round < 200; round++) {
		int *out = malloc(sizeof(in));

		ck_assert_int_eq(forkpool_map_async(pool, square, in, sizeof(*in), out, sizeof(*in),
						    4, NULL, &job), 0);
		for (i = 0; i < 4; i++)
			ck_assert_int_eq(pthread_create(&threads[i], NULL, i % 2 ? free_it : wait_for_it,
							job), 0);
		for (i = 0; i < 4; i++) {
			pthread_join(threads[i], &ret);
			CHECK_EACH(!ret || (int)(intptr_t)ret == -EINVAL);
		}
		free(out);
	}
}
END_TEST

/* ---- The pool's end ------------------------------------------------------------------------- */

static void *open_gate_later(void *arg)
{
	sleep_ms(20);
	atomic_store(&gate->open, 1);
	return arg;
}

START_TEST(join_waits_for_jobs)
{
	int in[] = { 3, 4 }, out[2] = { 0 };
	struct forkpool_job *job, *plain;
	pthread_t thread;

	atomic_store(&gate->open, test_inline());
	job = start_gated(3);
	ck_assert_int_eq(forkpool_map_async(pool, square, in, sizeof(*in), out, sizeof(*out), 2,
					    NULL, &plain), 0);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_map_async(pool, nothing, NULL, 0, NULL, 0, 1, NULL, &job),
			 -FORKPOOL_ECLOSED);
	if (!test_inline()) {
		ck_assert_int_eq(forkpool_join(pool, 0), -ETIMEDOUT);
		ck_assert_int_eq(forkpool_join(pool, 5 * MS), -ETIMEDOUT);
	}
	ck_assert_int_eq(pthread_create(&thread, NULL, open_gate_later, NULL), 0);
	ck_assert_int_eq(forkpool_join(pool, HANG), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(forkpool_job_poll(job), 1);
	ck_assert_int_eq(forkpool_job_wait(job, 0), 0);
	ck_assert_int_eq(forkpool_job_wait(plain, 0), 0);
	ck_assert(out[0] == 9 && out[1] == 16);
}
END_TEST

START_TEST(terminate_completes_jobs)
{
	struct forkpool_job *jobs[5];
	struct forkpool_status st;
	pthread_t thread;
	void *ret;
	int i;

	if (test_inline())
		return;
	for (i = 0; i < 5; i++)
		jobs[i] = start_gated(4);
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_it, jobs[0]), 0);
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	for (i = 1; i < 4; i++)
		ck_assert_int_eq(forkpool_job_wait(jobs[i], HANG), -FORKPOOL_ECANCELED);
	ck_assert_int_eq(forkpool_job_status(jobs[3], 3, &st), 0);
	ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_CANCELLED);
	pthread_join(thread, &ret);
	ck_assert_int_eq((int)(intptr_t)ret, -FORKPOOL_ECANCELED);
	ck_assert_int_eq(forkpool_join(pool, HANG), 0);
	ck_assert_int_eq(forkpool_job_poll(jobs[4]), 1);
	ck_assert_int_eq(forkpool_job_wait(jobs[4], 0), -FORKPOOL_ECANCELED);
}
END_TEST

START_TEST(destroy_frees_unfinished_jobs)
{
	int i;

	if (test_inline())
		return;
	for (i = 0; i < 10; i++)
		start_gated(3);
	start_nothing(pool, 100);
}
END_TEST

/* ---- Deaths ---------------------------------------------------------------------------------- */

static int die_or_count(void *arg, const void *in, void *out)
{
	const unsigned *x = in;
	atomic_int *started = arg;

	/* The first time only. */
	if (*x % 37 == 0 && atomic_fetch_add(&started[*x], 1) == 0)
		raise(SIGKILL);
	*(unsigned *)out = *x + 1;
	return 0;
}

START_TEST(workers_die_while_jobs_run)
{
	enum { N = 200, JOBS = 8 };
	atomic_int *started = forkpool_shm_calloc(pool, N * JOBS, sizeof(*started));
	FORKPOOL_JOB_OPTS(opts, .arg = started, .retries = 20);
	static unsigned in[JOBS][N], out[JOBS][N];
	struct forkpool_job *jobs[JOBS];
	int j, i;

	for (j = 0; j < JOBS; j++) {
		for (i = 0; i < N; i++)
			in[j][i] = (unsigned)(j * N + i);
		ck_assert_int_eq(forkpool_map_async(pool, die_or_count, in[j], sizeof(unsigned), out[j],
						    sizeof(unsigned), N, &opts, &jobs[j]), 0);
	}
	for (j = JOBS - 1; j >= 0; j--) {
		ck_assert_int_eq(forkpool_job_wait(jobs[j], HANG), 0);
		for (i = 0; i < N; i++)
			CHECK_EACH(out[j][i] == in[j][i] + 1);
		forkpool_job_free(jobs[j]);
	}
	forkpool_shm_free(pool, started);
}
END_TEST

static int kill_self_or_linger(void *arg, const void *in, void *out)
{
	const int *x = in;
	struct timespec ts = { .tv_nsec = 50000 };

	(void)arg;
	(void)out;
	if (*x)
		raise(SIGKILL);
	nanosleep(&ts, NULL);
	return 0;
}

START_TEST(workers_die_while_jobs_are_cancelled)
{
	enum { N = 64 };
	FORKPOOL_JOB_OPTS(opts, .retries = 1);
	struct forkpool_status st;
	int in[N], round, i, err;
	struct forkpool_job *job;

	for (i = 0; i < N; i++)
		in[i] = i % 8 == 3;
	for (round = 0; round < 40; round++) {
		ck_assert_int_eq(forkpool_map_async(pool, kill_self_or_linger, in, sizeof(*in), NULL, 0,
						    N, &opts, &job), 0);
		forkpool_job_wait(job, round * MS / 8);
		ck_assert_int_eq(forkpool_job_cancel(job), 0);
		err = forkpool_job_wait(job, HANG);
		ck_assert(err == -FORKPOOL_ECANCELED || err == -FORKPOOL_ECRASHED);
		for (i = 0; i < N; i++) {
			CHECK_EACH(!forkpool_job_status(job, (size_t)i, &st));
			CHECK_EACH(st.outcome == FORKPOOL_ITEM_CANCELLED ||
				   st.outcome == (in[i] ? FORKPOOL_ITEM_CRASHED : FORKPOOL_ITEM_OK));
		}
		forkpool_job_free(job);
	}
}
END_TEST

static int stop_self(void *arg, const void *in, void *out)
{
	struct gate *g = arg;

	(void)in;
	*(pid_t *)out = getpid();
	atomic_store(&g->open, getpid());
	atomic_fetch_add(&g->arrived, 1);
	raise(SIGSTOP);
	return 0;
}

START_TEST(a_stopped_worker_holds_up_its_own_chunk_only)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .chunk = 1);
	int in[2] = { 0 };
	pid_t out[2];
	struct forkpool_job *job, *other;

	ck_assert_int_eq(forkpool_map_async(pool, stop_self, in, sizeof(*in), out, sizeof(*out), 1,
					    &opts, &job), 0);
	wait_for(&gate->arrived, 1);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, 20 * MS), -ETIMEDOUT);
	/* All others go on, and can be cancelled. */
	other = start_nothing(pool, 1000);
	ck_assert_int_eq(forkpool_job_wait(other, HANG), 0);
	forkpool_job_free(other);
	while (state_of(atomic_load(&gate->open)) != 'T')
		sleep_ms(1);
	kill(atomic_load(&gate->open), SIGCONT);
	/* It had started before the cancel, and was the only one. */
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	forkpool_job_free(job);
}
END_TEST

/* ---- Kill ------------------------------------------------------------------------------- */

static _Noreturn int never_ends(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	atomic_fetch_add(&gate->arrived, 1);
	for (;;)
		pause();
}

START_TEST(killed_jobs_end_and_others_do_not)
{
	FORKPOOL_JOB_OPTS(opts, .retries = 3);
	struct forkpool_job *job, *other;
	struct forkpool_status st;
	int in[1000], out[1000] = { 0 }, i, cancelled = 0;

	for (i = 0; i < 1000; i++)
		in[i] = i;
	ck_assert_int_eq(forkpool_map_async(pool, never_ends, NULL, 0, NULL, 0, 100, &opts, &job), 0);
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(forkpool_map_async(pool, square, in, sizeof(*in), out, sizeof(*out), 1000,
					    NULL, &other), 0);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	ck_assert_int_eq(forkpool_job_poll(job), 0);
	ck_assert_int_eq(forkpool_job_kill(job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_ECANCELED);
	ck_assert_int_eq(forkpool_job_kill(job), 0);
	ck_assert_int_eq(forkpool_job_wait(other, HANG), 0);
	for (i = 0; i < 1000; i++)
		CHECK_EACH(out[i] == i * i);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(forkpool_job_status(job, (size_t)i, &st), 0);
		cancelled += st.outcome == FORKPOOL_ITEM_CANCELLED;
	}
	ck_assert_int_eq(cancelled, 100);
	ck_assert_int_eq(atomic_load(&gate->arrived), 2);
	forkpool_job_free(job);
	forkpool_job_free(other);
	ck_assert_int_eq(forkpool_job_kill(job), -EINVAL);
}
END_TEST

START_TEST(no_kill_without_processes)
{
	struct forkpool_job *job;

	ck_assert_int_eq(forkpool_map_async(pool, nothing, NULL, 0, NULL, 0, 10, NULL, &job), 0);
	ck_assert_int_eq(forkpool_job_kill(job), -ENOTSUP);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	forkpool_job_free(job);
}
END_TEST

/* ---- Limits ------------------------------------------------------------------------------ */

static int ends_when_told(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	while (!forkpool_cancelled())
		sleep_ms(1);
	*(int *)out = 42;
	return 0;
}

/* An item that looks sees its limit pass, and has the grace to end; async jobs have limits, too. */
START_TEST(an_item_sees_its_limit)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = 1 << 20, .grace = HANG);
	FORKPOOL_JOB_OPTS(timeout, .timeout = 20 * MS);
	FORKPOOL_JOB_OPTS(deadline, .deadline = 20 * MS);
	struct forkpool_job *job;
	struct forkpool *patient;
	int out[2] = { 0 };

	ck_assert_int_eq(forkpool_create(&patient, &opts), 0);
	ck_assert_int_eq(forkpool_map_async(patient, ends_when_told, NULL, 0, out, sizeof(*out), 2,
					    &timeout, &job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	ck_assert(out[0] == 42 && out[1] == 42);
	forkpool_job_free(job);
	out[0] = 0;
	ck_assert_int_eq(forkpool_map(patient, ends_when_told, NULL, 0, out, sizeof(*out), 1,
				      &deadline), 0);
	ck_assert_int_eq(out[0], 42);
	forkpool_destroy(patient);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cancel");
	TCase *tc;

	tc = jobs_case(suite, "cancel");
	tcase_add_test(tc, what_is_queued_never_starts);
	tcase_add_test(tc, a_job_that_no_worker_has_seen_ends_at_once);
	tcase_add_test(tc, a_failure_before_the_cancelled_ones_is_the_result);
	tcase_add_test(tc, ranges_are_cancelled);
	tcase_add_test(tc, cancelled_at_any_moment);
	tcase_add_test(tc, many_threads_cancel_one_job);
	tc = jobs_case(suite, "detached");
	tcase_add_test(tc, freed_jobs_run_on);
	tcase_add_test(tc, freed_jobs_write_nothing);
	tcase_add_test(tc, freed_while_others_wait);
	tc = jobs_case(suite, "end");
	tcase_add_test(tc, join_waits_for_jobs);
	tcase_add_test(tc, terminate_completes_jobs);
	tcase_add_test(tc, destroy_frees_unfinished_jobs);
	if (test_processes()) {
		tc = jobs_case(suite, "deaths");
		tcase_add_test(tc, workers_die_while_jobs_run);
		tcase_add_test(tc, workers_die_while_jobs_are_cancelled);
		tcase_add_test(tc, a_stopped_worker_holds_up_its_own_chunk_only);
		tc = jobs_case(suite, "limits");
		tcase_add_test(tc, killed_jobs_end_and_others_do_not);
		tcase_add_test(tc, an_item_sees_its_limit);
	} else {
		tc = jobs_case(suite, "limits");
		tcase_add_test(tc, no_kill_without_processes);
	}
	return test_main(suite);
}
