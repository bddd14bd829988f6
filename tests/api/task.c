/* SPDX-License-Identifier: MIT */
/* Single tasks: what they get, what they give, and what a handle is good for. */
#include "api/tasks.h"

#define BIG	((size_t)1 << 20)

/* ---- Sizes -------------------------------------------------------------------------- */

/* What a task of any size is told, in arg. */
struct sizes {
	size_t in, out, pad;	/* pad: bytes of arg behind these */
	unsigned char tail[];
};

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 7 + i / 251 + 1);
}

static bool is_aligned(const void *p, size_t size)
{
	return (uintptr_t)p % (size >= 16 ? 16 : 8) == 0;
}

static int check_bytes(const void *p, size_t size)
{
	const unsigned char *bytes = p;
	size_t i;

	NEED(!p == !size);
	NEED(is_aligned(p, size));
	for (i = 0; i < size; i++)
		NEED(bytes[i] == pattern(i));
	return 0;
}

static int any_size(void *arg, const void *in, void *out)
{
	struct sizes *s = arg;
	unsigned char *bytes = out;
	size_t i;

	NEED(is_aligned(arg, 16));
	NEED(check_bytes(in, s->in) == 0);
	for (i = 0; i < s->pad; i++)
		NEED(s->tail[i] == pattern(i));
	NEED(!out == !s->out);
	NEED(is_aligned(out, s->out));
	for (i = 0; i < s->out; i++)
		bytes[i] = pattern(i);
	return 0;
}

static void check_result(struct forkpool_job *job, size_t size)
{
	int err = forkpool_job_wait(job, HANG);
	const unsigned char *bytes = forkpool_job_result(job);
	size_t i;

	if (err)
		ck_abort_msg("%s, line %d", forkpool_strerror(err), status_of(job).code);
	ck_assert_int_eq(!bytes, !size);
	for (i = 0; i < size; i++)
		CHECK_EACH(bytes[i] == pattern(i));
}

static const size_t some_sizes[] = { 0, 1, 4, 8, 15, 16, 17, 40, 48, 56, 64, 95, 96, 97, 128, 4096, 1 << 20 };
#define SIZES	((int)(sizeof(some_sizes) / sizeof(*some_sizes)))

START_TEST(any_in_and_out)
{
	size_t out = some_sizes[_i], in;
	unsigned char *bytes = malloc(BIG);
	struct forkpool_job *job;
	size_t i;
	int k;

	for (i = 0; i < BIG; i++)
		bytes[i] = pattern(i);
	for (k = 0; k < SIZES; k++) {
		struct sizes s = { .out = out };
		FORKPOOL_JOB_OPTS(opts, .arg = &s, .arg_size = sizeof(s), .retries = (unsigned)k % 2);

		s.in = in = some_sizes[k];
		ck_assert_int_eq(forkpool_submit(pool, any_size, in ? bytes : NULL, in, out, &opts, &job), 0);
		check_result(job, out);
		forkpool_job_free(job);
	}
	free(bytes);
}
END_TEST

/* The caller's arg is free again when submit has returned. */
START_TEST(any_arg)
{
	struct sizes *s = calloc(1, sizeof(*s) + BIG);
	FORKPOOL_JOB_OPTS(opts, .arg = s);
	struct forkpool_job *job;
	size_t i;
	int k;

	for (k = 0; k < SIZES; k++) {
		s->in = 0;
		s->out = k % 3 ? 24 : 300;
		s->pad = some_sizes[k];
		for (i = 0; i < s->pad; i++)
			s->tail[i] = pattern(i);
		opts.arg_size = sizeof(*s) + s->pad;
		ck_assert_int_eq(forkpool_submit(pool, any_size, NULL, 0, s->out, &opts, &job), 0);
		memset(s, 0xff, sizeof(*s) + s->pad);
		check_result(job, k % 3 ? 24 : 300);
		forkpool_job_free(job);
	}
	free(s);
}
END_TEST

static int address_of_in(void *arg, const void *in, void *out)
{
	(void)arg;
	*(const void **)out = in;
	return 0;
}

/* Large input in the segment is not copied; small input is, wherever it lies. */
START_TEST(in_in_the_segment)
{
	char *in = forkpool_shm_calloc(pool, 1, 4096);
	int *x = (int *)(void *)in, y;
	struct forkpool_job *job;

	ck_assert_int_eq(forkpool_submit(pool, address_of_in, in, 4096, sizeof(void *), NULL, &job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	ck_assert_ptr_eq(*(void *const *)forkpool_job_result(job), in);
	forkpool_job_free(job);
	*x = 12;
	ck_assert_int_eq(forkpool_call(pool, square, x, sizeof(*x), &y, sizeof(y), NULL), 0);
	ck_assert_int_eq(y, 144);
	forkpool_shm_free(pool, in);
}
END_TEST

static int factor = 3;

static int multiply(void *arg, const void *in, void *out)
{
	*(int *)out = *(int *)arg * *(const int *)in;
	return 0;
}

START_TEST(arg_as_is_and_in_the_segment)
{
	int x = 5, y = 0, *shared = forkpool_shm_calloc(pool, 1, sizeof(*shared));
	FORKPOOL_JOB_OPTS(as_is, .arg = &factor, .arg_as_is = 1);
	FORKPOOL_JOB_OPTS(in_segment, .arg = shared);
	FORKPOOL_JOB_OPTS(nowhere, .arg = &x);

	ck_assert_int_eq(forkpool_call(pool, multiply, &x, sizeof(x), &y, sizeof(y), &as_is), 0);
	ck_assert_int_eq(y, 15);
	*shared = 7;
	ck_assert_int_eq(forkpool_call(pool, multiply, &x, sizeof(x), &y, sizeof(y), &in_segment), 0);
	ck_assert_int_eq(y, 35);
	ck_assert_int_eq(forkpool_call(pool, multiply, &x, sizeof(x), &y, sizeof(y), &nowhere), -EINVAL);
	forkpool_shm_free(pool, shared);
}
END_TEST

/* ---- Results ------------------------------------------------------------------------- */

START_TEST(results_are_kept_until_freed)
{
	enum { N = 3000 };
	static struct forkpool_job *jobs[N];
	static const int *results[N];
	int i;

	for (i = 0; i < N; i++)
		jobs[i] = submit_int(pool, square, i);
	for (i = 0; i < N; i++) {
		CHECK_EACH(forkpool_job_wait(jobs[i], HANG) == 0);
		results[i] = forkpool_job_result(jobs[i]);
		CHECK_EACH(results[i]);
	}
	/* Others come and go; each second of ours, too. */
	for (i = 0; i < N; i += 2)
		forkpool_job_free(jobs[i]);
	for (i = 0; i < 3 * N; i++)
		expect_int(submit_int(pool, square, 4), 16);
	for (i = 1; i < N; i += 2) {
		CHECK_EACH(*results[i] == i * i);
		CHECK_EACH(forkpool_job_result(jobs[i]) == results[i]);
		forkpool_job_free(jobs[i]);
	}
}
END_TEST

START_TEST(a_failed_task_has_no_result)
{
	struct forkpool_job *job = submit_int(pool, odd_fails, 13);
	struct forkpool_status st;

	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_EFAILED);
	ck_assert_int_eq(forkpool_job_wait(job, 0), -FORKPOOL_EFAILED);
	ck_assert_int_eq(forkpool_job_poll(job), 1);
	ck_assert_ptr_null(forkpool_job_result(job));
	st = status_of(job);
	ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_FAILED);
	ck_assert_int_eq(st.code, 13);
	ck_assert_uint_eq(st.attempts, 1);
	ck_assert_int_gt(st.worker, 0);
	ck_assert_int_eq(forkpool_job_status(job, 1, &st), -EINVAL);
	ck_assert_int_eq(forkpool_job_status(job, 0, NULL), -EINVAL);
	forkpool_job_free(job);
}
END_TEST

START_TEST(status_of_a_good_one)
{
	struct forkpool_job *job = submit_int(pool, square, 5);
	struct forkpool_status st;

	ck_assert_int_eq(forkpool_job_wait(job, -1), 0);
	st = status_of(job);
	ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_OK);
	ck_assert_int_eq(st.code, 0);
	ck_assert_uint_eq(st.attempts, 1);
	ck_assert_int_gt(st.worker, 0);
	if (test_processes())
		ck_assert_int_ne(st.worker, getpid());
	expect_int(job, 25);
}
END_TEST

START_TEST(a_map_has_no_result)
{
	struct forkpool_job *job = start_nothing(pool, 3);

	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	ck_assert_ptr_null(forkpool_job_result(job));
	forkpool_job_free(job);
}
END_TEST

START_TEST(calls)
{
	struct forkpool_status st = { .outcome = 77 };
	size_t first = 99;
	FORKPOOL_JOB_OPTS(opts, .status = &st, .first_failure = &first);
	int x = 9, y = -1;

	ck_assert_int_eq(forkpool_call(pool, square, &x, sizeof(x), &y, sizeof(y), NULL), 0);
	ck_assert_int_eq(y, 81);
	y = -1;
	ck_assert_int_eq(forkpool_call(pool, square, &x, sizeof(x), &y, sizeof(y), &opts), 0);
	ck_assert_int_eq(y, 81);
	ck_assert_uint_eq(first, 99);
	ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_OK);
	y = 4711;
	ck_assert_int_eq(forkpool_call(pool, odd_fails, &x, sizeof(x), &y, sizeof(y), &opts),
			 -FORKPOOL_EFAILED);
	ck_assert_int_eq(y, 4711);
	ck_assert_uint_eq(first, 0);
	ck_assert_int_eq(st.outcome, FORKPOOL_ITEM_FAILED);
	ck_assert_int_eq(st.code, 9);
	ck_assert_int_eq(forkpool_call(pool, nothing, NULL, 0, NULL, 0, NULL), 0);
}
END_TEST

static int copy_big(void *arg, const void *in, void *out)
{
	(void)arg;
	memcpy(out, in, BIG);
	return 0;
}

START_TEST(large_calls)
{
	unsigned char *in = malloc(BIG), *out = calloc(1, BIG);
	size_t i;
	int k;

	for (i = 0; i < BIG; i++)
		in[i] = pattern(i);
	/* Many times the arena. */
	for (k = 0; k < 300; k++)
		ck_assert_int_eq(forkpool_call(pool, copy_big, in, BIG, out, BIG, NULL), 0);
	ck_assert_int_eq(memcmp(in, out, BIG), 0);
	free(in);
	free(out);
}
END_TEST

/* ---- Order ------------------------------------------------------------------------------ */

START_TEST(one_worker_keeps_the_order)
{
	enum { N = 3000 };
	struct forkpool *one = pool_new(1);
	struct list *list = forkpool_shm_calloc(one, 1, sizeof(*list));
	FORKPOOL_JOB_OPTS(opts, .arg = list);
	int i;

	for (i = 0; i < N; i++)
		CHECK_EACH(forkpool_submit(one, enlist, &i, sizeof(i), 0, &opts, NULL) == 0);
	/* Whoever comes last is also the last to end. */
	expect_int(submit_int(one, square, 3), 9);
	ck_assert_int_eq(atomic_load(&list->n), N);
	for (i = 0; i < N; i++)
		if (list->at[i] != i)
			ck_abort_msg("%d ran as the %dth", list->at[i], i);
	forkpool_destroy(one);
}
END_TEST

/* ---- Handles ------------------------------------------------------------------------------ */

static void expect_no_job(struct forkpool_job *job)
{
	struct forkpool_status st = { .code = 4711 };

	ck_assert_int_eq(forkpool_job_wait(job, 0), -EINVAL);
	ck_assert_int_eq(forkpool_job_wait(job, -1), -EINVAL);
	ck_assert_int_eq(forkpool_job_poll(job), -EINVAL);
	ck_assert_int_eq(forkpool_job_status(job, 0, &st), -EINVAL);
	ck_assert_int_eq(st.code, 4711);
	ck_assert_ptr_null(forkpool_job_result(job));
	ck_assert_int_eq(forkpool_job_cancel(job), -EINVAL);
	ck_assert_int_eq(forkpool_job_kill(job), -EINVAL);
	ck_assert_int_eq(forkpool_wait_any(&job, 1, -1), -EINVAL);
	forkpool_job_free(job);
}

START_TEST(freed_handles_are_void)
{
	struct forkpool_job *job = submit_int(pool, square, 2), *next;
	int i;

	expect_int(job, 4);
	expect_no_job(job);
	ck_assert_int_eq(forkpool_wait_all(&job, 1, -1), -EINVAL);
	/* Also once others are in its place. */
	for (i = 0; i < 200; i++) {
		next = submit_int(pool, square, 7);
		ck_assert_ptr_ne(next, job);
		expect_no_job(job);
		expect_int(next, 49);
	}
}
END_TEST

START_TEST(handles_that_are_none)
{
	struct forkpool_job *job = submit_int(pool, square, 6);
	int i;

	/* Nearly a job: any bit of it changed. */
	for (i = 0; i < 64; i++)
		expect_no_job((struct forkpool_job *)((uintptr_t)job ^ (uintptr_t)1 << i));
	expect_int(job, 36);
}
END_TEST

START_TEST(handles_end_with_their_pool)
{
	struct forkpool *other = pool_new(1);
	struct forkpool_job *job = submit_int(other, square, 3), *next;
	int i;

	forkpool_destroy(other);
	expect_no_job(job);
	for (i = 0; i < 10; i++) {
		other = pool_new(1);
		next = submit_int(other, square, 3);
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
	job = submit_gated(pool);
	ck_assert_int_eq(forkpool_job_wait(job, -2), -EINVAL);
	ck_assert_int_eq(forkpool_job_wait(job, INT64_MIN), -EINVAL);
	if (!test_inline()) {
		ck_assert_int_eq(forkpool_job_poll(job), 0);
		ck_assert_int_eq(forkpool_job_wait(job, 0), -ETIMEDOUT);
		ck_assert_int_eq(forkpool_job_wait(job, 5 * MS), -ETIMEDOUT);
		ck_assert_int_eq(forkpool_job_status(job, 0, &(struct forkpool_status){ 0 }), -EAGAIN);
		ck_assert_ptr_null(forkpool_job_result(job));
	}
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_job_wait(job, INT64_MAX), 0);
	ck_assert_int_eq(forkpool_job_wait(job, 0), 0);
	ck_assert_int_eq(forkpool_job_wait(job, -2), -EINVAL);
	ck_assert_int_eq(forkpool_job_poll(job), 1);
	forkpool_job_free(job);
}
END_TEST

START_TEST(polls)
{
	struct forkpool_job *job = submit_int(pool, square, 11);
	int64_t until = now_ms() + HANG_S * 1000;
	int done;

	do {
		done = forkpool_job_poll(job);
		CHECK_EACH(done >= 0 && now_ms() < until);
	} while (!done);
	expect_int(job, 121);
}
END_TEST

START_TEST(many_threads_wait_for_one)
{
	struct forkpool_job *job;
	pthread_t threads[20];
	void *result;
	int i;

	atomic_store(&gate->open, test_inline());
	job = submit_gated(pool);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_for_it, job), 0);
	sleep_ms(20);
	atomic_store(&gate->open, 1);
	for (i = 0; i < 20; i++) {
		pthread_join(threads[i], &result);
		ck_assert_ptr_null(result);
	}
	forkpool_job_free(job);
}
END_TEST

static void *free_it(void *job)
{
	int err;

	while ((err = forkpool_job_wait(job, HANG)) == 0)
		forkpool_job_free(job);
	return (void *)(intptr_t)err;
}

/* Whoever comes second finds nothing; nobody falls over it. */
START_TEST(threads_free_the_same_job)
{
	pthread_t threads[4];
	struct forkpool_job *job;
	void *result;
	int round, i;

	for (round = 0; round < 100; round++) {
		job = submit_int(pool, square, round);
		for (i = 0; i < 4; i++)
			ck_assert_int_eq(pthread_create(&threads[i], NULL, free_it, job), 0);
		for (i = 0; i < 4; i++) {
			pthread_join(threads[i], &result);
			ck_assert_int_eq((int)(intptr_t)result, -EINVAL);
		}
	}
	check_tasks_work(pool);
}
END_TEST

/* ---- Nobody waits ----------------------------------------------------------------------------- */

static int count_run(void *arg, const void *in, void *out)
{
	(void)in;
	if (out)
		memset(out, 1, 1000);
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

START_TEST(detached_tasks_run)
{
	enum { N = 2000 };
	atomic_int *runs = forkpool_shm_calloc(pool, 1, sizeof(*runs));
	FORKPOOL_JOB_OPTS(opts, .arg = runs);
	struct forkpool_job *job;
	int i;

	for (i = 0; i < N; i++) {
		CHECK_EACH(forkpool_submit(pool, count_run, NULL, 0, i % 2 ? 1000 : 0, &opts,
					   i % 4 ? NULL : &job) == 0);
		if (i % 4 == 0)
			forkpool_job_free(job);
	}
	await_value(runs, N);
	sleep_ms(1);
	ck_assert_int_eq(atomic_load(runs), N);
	check_tasks_work(pool);
	forkpool_shm_free(pool, runs);
}
END_TEST

/* Memory of those that nobody asks for comes back: 2 GiB of results, in an arena of 256 MiB. */
START_TEST(detached_tasks_give_back_their_memory)
{
	atomic_int *runs = forkpool_shm_calloc(pool, 1, sizeof(*runs));
	FORKPOOL_JOB_OPTS(opts, .arg = runs);
	int64_t until = now_ms() + HANG_S * 1000;
	int i, err;

	for (i = 0; i < 2000; i++) {
		while ((err = forkpool_submit(pool, count_run, NULL, 0, BIG, &opts, NULL)) == -ENOMEM) {
			/* So many are unfinished. */
			CHECK_EACH(now_ms() < until);
			sleep_ms(1);
		}
		CHECK_EACH(err == 0);
	}
	await_value(runs, 2000);
	forkpool_shm_free(pool, runs);
}
END_TEST

/* ---- Bad arguments ------------------------------------------------------------------------------ */

START_TEST(bad_arguments)
{
	struct forkpool_job *job = (struct forkpool_job *)4711;
	struct forkpool_status st;
	size_t first;
	int x = 1, y;
	FORKPOOL_JOB_OPTS(with_status, .status = &st);
	FORKPOOL_JOB_OPTS(with_first, .first_failure = &first);
	FORKPOOL_JOB_OPTS(no_arg, .arg_size = 5);
	FORKPOOL_JOB_OPTS(bad_prio, .priority = 2);
	FORKPOOL_JOB_OPTS(low_prio, .priority = -2);
	FORKPOOL_JOB_OPTS(past, .timeout = -1);
	FORKPOOL_JOB_OPTS(past_deadline, .deadline = -1);
	struct forkpool_job_opts tiny = { .sz = 1 };
	const struct forkpool_job_opts *const bad[] = { &with_status, &with_first, &no_arg, &bad_prio,
							&low_prio, &past, &past_deadline, &tiny };
	size_t i;

	ck_assert_int_eq(forkpool_submit(NULL, nothing, NULL, 0, 0, NULL, &job), -EINVAL);
	ck_assert_int_eq(forkpool_submit(pool, NULL, NULL, 0, 0, NULL, &job), -EINVAL);
	ck_assert_int_eq(forkpool_submit(pool, nothing, NULL, 8, 0, NULL, &job), -EINVAL);
	ck_assert_int_eq(forkpool_submit(pool, nothing, &x, SIZE_MAX, 0, NULL, &job), -EINVAL);
	ck_assert_int_eq(forkpool_submit(pool, nothing, &x, sizeof(x), SIZE_MAX, NULL, &job), -EINVAL);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_int_eq(forkpool_submit(pool, nothing, NULL, 0, 0, bad[i], &job), -EINVAL);
	ck_assert_ptr_eq(job, (struct forkpool_job *)4711);
	ck_assert_int_eq(forkpool_call(NULL, nothing, NULL, 0, NULL, 0, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_call(pool, NULL, NULL, 0, NULL, 0, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_call(pool, square, &x, sizeof(x), NULL, sizeof(y), NULL), -EINVAL);
	check_tasks_work(pool);
}
END_TEST

START_TEST(options_from_the_future)
{
	struct {
		struct forkpool_job_opts known;
		int more;
	} opts = { .known = { .sz = sizeof(opts) } };

	ck_assert_int_eq(forkpool_call(pool, nothing, NULL, 0, NULL, 0, &opts.known), 0);
	opts.more = 1;
	ck_assert_int_eq(forkpool_call(pool, nothing, NULL, 0, NULL, 0, &opts.known), -E2BIG);
	ck_assert_int_eq(forkpool_submit(pool, nothing, NULL, 0, 0, &opts.known, NULL), -E2BIG);
}
END_TEST

START_TEST(no_limits_without_processes)
{
	FORKPOOL_OPTS(opts, .workers = 1, .mode = _i);
	FORKPOOL_JOB_OPTS(timeout, .timeout = 1);
	FORKPOOL_JOB_OPTS(deadline, .deadline = INT64_MAX);
	struct forkpool_job *job;
	struct forkpool *p;

	ck_assert_int_eq(forkpool_create(&p, &opts), 0);
	ck_assert_int_eq(forkpool_call(p, nothing, NULL, 0, NULL, 0, &timeout), -ENOTSUP);
	ck_assert_int_eq(forkpool_call(p, nothing, NULL, 0, NULL, 0, &deadline), -ENOTSUP);
	job = submit_int(p, square, 3);
	ck_assert_int_eq(forkpool_job_kill(job), -ENOTSUP);
	expect_int(job, 9);
	forkpool_destroy(p);
}
END_TEST

/* ---- A child that the program forked -------------------------------------------------------------- */

struct inherited {
	struct forkpool_job *job;
	struct forkpool_group *group;
};

static void all_is_refused(void *arg)
{
	struct inherited *i = arg;
	struct forkpool_group *group;
	struct forkpool_job *job;
	struct forkpool_status st;
	int x = 1, y;

	MUST(forkpool_submit(pool, square, &x, sizeof(x), sizeof(y), NULL, &job) == -EINVAL);
	MUST(forkpool_submit_many(pool, square, &x, sizeof(x), sizeof(y), 1, NULL, &job) == -EINVAL);
	MUST(forkpool_submit_many(pool, square, &x, sizeof(x), sizeof(y), 0, NULL, &job) == -EINVAL);
	MUST(forkpool_call(pool, square, &x, sizeof(x), &y, sizeof(y), NULL) == -EINVAL);
	MUST(forkpool_job_wait(i->job, -1) == -EINVAL);
	MUST(forkpool_job_poll(i->job) == -EINVAL);
	MUST(forkpool_job_status(i->job, 0, &st) == -EINVAL);
	MUST(forkpool_job_cancel(i->job) == -EINVAL);
	MUST(forkpool_job_kill(i->job) == -EINVAL);
	MUST(!forkpool_job_result(i->job));
	MUST(forkpool_wait_any(&i->job, 1, -1) == -EINVAL);
	MUST(forkpool_wait_all(&i->job, 1, -1) == -EINVAL);
	MUST(forkpool_group_create(pool, &group) == -EINVAL);
	MUST(forkpool_group_wait(i->group, -1) == -EINVAL);
	MUST(forkpool_group_cancel(i->group) == -EINVAL);
	forkpool_job_free(i->job);
	forkpool_group_free(i->group);
	forkpool_destroy(pool);
}

START_TEST(children_are_refused)
{
	struct inherited i;
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	struct forkpool_job *grouped;

	ck_assert_int_eq(forkpool_group_create(pool, &i.group), 0);
	opts.group = i.group;
	atomic_store(&gate->open, test_inline());
	i.job = submit_gated(pool);
	ck_assert_int_eq(forkpool_submit(pool, at_gate, NULL, 0, 0, &opts, &grouped), 0);
	ck_assert_int_eq(child_run(all_is_refused, &i), 0);
	atomic_store(&gate->open, 1);
	/* It is as if the child had never been. */
	ck_assert_int_eq(forkpool_job_wait(i.job, HANG), 0);
	ck_assert_int_eq(forkpool_group_wait(i.group, HANG), 0);
	forkpool_job_free(i.job);
	forkpool_job_free(grouped);
	forkpool_group_free(i.group);
	check_tasks_work(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("task");
	TCase *tc = jobs_case(suite, "sizes");

	tcase_add_loop_test(tc, any_in_and_out, 0, SIZES);
	tcase_add_test(tc, any_arg);
	tcase_add_test(tc, in_in_the_segment);
	tcase_add_test(tc, arg_as_is_and_in_the_segment);
	tc = jobs_case(suite, "results");
	tcase_add_test(tc, results_are_kept_until_freed);
	tcase_add_test(tc, a_failed_task_has_no_result);
	tcase_add_test(tc, status_of_a_good_one);
	tcase_add_test(tc, a_map_has_no_result);
	tcase_add_test(tc, calls);
	tcase_add_test(tc, large_calls);
	tcase_add_test(tc, one_worker_keeps_the_order);
	tc = jobs_case(suite, "handles");
	tcase_add_test(tc, freed_handles_are_void);
	tcase_add_test(tc, handles_that_are_none);
	tcase_add_test(tc, handles_end_with_their_pool);
	tcase_add_test(tc, times);
	tcase_add_test(tc, polls);
	tcase_add_test(tc, many_threads_wait_for_one);
	tcase_add_test(tc, threads_free_the_same_job);
	tc = jobs_case(suite, "detached");
	tcase_add_test(tc, detached_tasks_run);
	tcase_add_test(tc, detached_tasks_give_back_their_memory);
	tc = jobs_case(suite, "arguments");
	tcase_add_test(tc, bad_arguments);
	tcase_add_test(tc, options_from_the_future);
	tcase_add_loop_test(tc, no_limits_without_processes, FORKPOOL_THREADS, FORKPOOL_INLINE + 1);
	tcase_add_test(tc, children_are_refused);
	return test_main(suite);
}
