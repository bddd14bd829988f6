/* SPDX-License-Identifier: MIT */
/* Tasks that submit tasks and wait for them, and what may go wrong meanwhile. */
#include "api/tasks.h"

/* Runs fn once as a task; what it returns, not 0, is the line that is wrong. */
static void check_task(struct forkpool *p, forkpool_fn *fn, void *arg)
{
	struct forkpool_status st = { .code = 0 };
	FORKPOOL_JOB_OPTS(opts, .arg = arg, .status = &st);
	int err = forkpool_call(p, fn, NULL, 0, NULL, 0, &opts);

	if (err)
		ck_abort_msg("%s, outcome %d, line %d", forkpool_strerror(err), st.outcome, st.code);
}

/* ---- Trees ------------------------------------------------------------------------------ */

static int fib(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	int n = *(const int *)in, less[2] = { n - 1, n - 2 }, i, sum = 0;
	struct forkpool_job *jobs[2];

	if (n < 2) {
		*(int *)out = n;
		return 0;
	}
	for (i = 0; i < 2; i++)
		NEED(forkpool_submit(p, fib, &less[i], sizeof(int), sizeof(int), NULL, &jobs[i]) == 0);
	for (i = 0; i < 2; i++) {
		NEED(forkpool_job_wait(jobs[i], -1) == 0);
		sum += *(const int *)forkpool_job_result(jobs[i]);
		forkpool_job_free(jobs[i]);
	}
	*(int *)out = sum;
	(void)arg;
	return 0;
}

START_TEST(fibonacci)
{
	static const unsigned workers[] = { 1, 2, 5 };
	struct forkpool *p = pool_new(workers[_i]);
	struct forkpool_job *jobs[8];
	int i;

	expect_int(submit_int(p, fib, 18), 2584);
	for (i = 0; i < 8; i++)
		jobs[i] = submit_int(p, fib, 8 + i);
	expect_int(jobs[0], 21);
	expect_int(jobs[7], 610);
	for (i = 1; i < 7; i++)
		ck_assert_int_eq(forkpool_job_wait(jobs[i], HANG), 0);
	forkpool_destroy(p);
}
END_TEST

struct part {
	int *a, *scratch;
	size_t n;
};

static void merge(const struct part *p, size_t half)
{
	size_t i = 0, j = half, k;

	for (k = 0; k < p->n; k++)
		p->scratch[k] = j >= p->n || (i < half && p->a[i] <= p->a[j]) ? p->a[i++] : p->a[j++];
	memcpy(p->a, p->scratch, p->n * sizeof(*p->a));
}

static int sort(void *arg, const void *in, void *out)
{
	const struct part *p = in;
	size_t half = p->n / 2;
	struct part parts[2] = { { p->a, p->scratch, half }, { p->a + half, p->scratch + half, p->n - half } };
	struct forkpool_job *jobs[2];

	if (p->n < 2)
		return 0;
	if (p->n < 64) {
		NEED(sort(arg, &parts[0], out) == 0);
		NEED(sort(arg, &parts[1], out) == 0);
	} else {
		NEED(forkpool_submit_many(forkpool_current(), sort, parts, sizeof(*parts), 0, 2, NULL, jobs) == 2);
		NEED(forkpool_wait_all(jobs, 2, -1) == 0);
		forkpool_job_free(jobs[0]);
		forkpool_job_free(jobs[1]);
	}
	merge(p, half);
	return 0;
}

START_TEST(merge_sort)
{
	enum { N = 100000 };
	struct part all = { forkpool_shm_alloc(pool, N * sizeof(int)), forkpool_shm_alloc(pool, N * sizeof(int)), N };
	unsigned x = 1, i;

	for (i = 0; i < N; i++)
		all.a[i] = (int)((x = x * 1103515245 + 12345) >> 8);
	ck_assert_int_eq(forkpool_call(pool, sort, &all, sizeof(all), NULL, 0, NULL), 0);
	for (i = 1; i < N; i++)
		CHECK_EACH(all.a[i - 1] <= all.a[i]);
}
END_TEST

/* ---- One inside the other ------------------------------------------------------------------ */

static int dig(void *arg, const void *in, void *out)
{
	int left = *(const int *)in - 1, deepest = 0, err;

	(void)arg;
	if (!left) {
		*(int *)out = 0;
		return 0;
	}
	err = forkpool_call(forkpool_current(), dig, &left, sizeof(left), &deepest, sizeof(deepest), NULL);
	NEED(err == 0 || err == -ELOOP);
	/* How deep it was possible. */
	*(int *)out = err ? 1 : deepest + 1;
	return 0;
}

START_TEST(as_deep_as_can_be)
{
	expect_int(submit_int(pool, dig, 500), 499);
	expect_int(submit_int(pool, dig, 5000), 1024);
	check_tasks_work(pool);
}
END_TEST

static int many_children(void *arg, const void *in, void *out)
{
	enum { N = 300 };
	struct forkpool *p = forkpool_current();
	struct forkpool_job *jobs[N];
	int x[N], i, left, sum = 0;

	(void)arg;
	(void)in;
	(void)out;
	for (i = 0; i < N; i++)
		x[i] = i;
	NEED(forkpool_submit_many(p, square, x, sizeof(*x), sizeof(*x), N, NULL, jobs) == N);
	for (left = N; left > 0; left--) {
		i = forkpool_wait_any(jobs, N, -1);
		NEED(i >= 0 && i < N);
		NEED(forkpool_job_poll(jobs[i]) == 1);
		NEED(*(const int *)forkpool_job_result(jobs[i]) == i * i);
		sum++;
		forkpool_job_free(jobs[i]);
		NEED(forkpool_job_wait(jobs[i], 0) == -EINVAL);
		jobs[i] = NULL;
	}
	NEED(forkpool_wait_any(jobs, N, -1) == -EINVAL);
	NEED(forkpool_wait_all(jobs, N, -1) == 0);
	return sum != N;
}

static int large_children(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	char *bytes = calloc(1, 100000);
	struct forkpool_job *job;
	int i, y;

	(void)arg;
	(void)in;
	(void)out;
	NEED(bytes);
	for (i = 0; i < 100; i++) {
		*(int *)(void *)bytes = i;
		NEED(forkpool_submit(p, square, bytes, 100000, 20000, NULL, &job) == 0);
		NEED(forkpool_job_wait(job, -1) == 0);
		NEED(*(const int *)forkpool_job_result(job) == i * i);
		forkpool_job_free(job);
		NEED(forkpool_call(p, square, bytes, 100000, &y, sizeof(y), NULL) == 0);
		NEED(y == i * i);
	}
	free(bytes);
	return 0;
}

static int failing_children(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	struct forkpool_job *jobs[20];
	struct forkpool_status st;
	int x[20], i;

	(void)arg;
	(void)in;
	(void)out;
	for (i = 0; i < 20; i++)
		x[i] = i;
	NEED(forkpool_submit_many(p, odd_fails, x, sizeof(*x), 4, 20, NULL, jobs) == 20);
	NEED(forkpool_wait_all(jobs, 20, -1) == -FORKPOOL_EFAILED);
	for (i = 0; i < 20; i++) {
		NEED(forkpool_job_wait(jobs[i], 0) == (i % 2 ? -FORKPOOL_EFAILED : 0));
		NEED((forkpool_job_result(jobs[i]) == NULL) == (i % 2 == 1));
		NEED(forkpool_job_status(jobs[i], 0, &st) == 0);
		NEED(st.outcome == (i % 2 ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_OK));
		NEED(st.code == (i % 2 ? i : 0));
		NEED(st.attempts == 1 && st.worker > 0);
	}
	return 0;
}

/* Nobody waits for some; they are detached when the item ends, or before. */
static int leaves_some(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	struct forkpool_job *job;
	int i;

	(void)arg;
	(void)in;
	(void)out;
	for (i = 0; i < 200; i++) {
		NEED(forkpool_submit(p, square, &i, sizeof(i), sizeof(i), NULL, i % 3 ? &job : NULL) == 0);
		if (i % 3 == 1)
			forkpool_job_free(job);
	}
	return 0;
}

static int square_range(void *arg, size_t begin, size_t end)
{
	int *x = arg;

	for (; begin < end; begin++)
		x[begin] = (int)(begin * begin);
	return 0;
}

static int maps_inside(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	int x[500], y[500], *shared = forkpool_shm_calloc(p, 500, sizeof(*shared)), i;
	FORKPOOL_JOB_OPTS(opts, .arg = shared);
	struct forkpool_job *job;

	(void)arg;
	(void)in;
	(void)out;
	NEED(shared);
	for (i = 0; i < 500; i++)
		x[i] = i;
	i = 12;
	NEED(forkpool_submit(p, square, &i, sizeof(i), sizeof(i), NULL, &job) == 0);
	NEED(FORKPOOL_MAP(p, square, x, y, 500) == 0);
	NEED(forkpool_for(p, square_range, 0, 500, &opts) == 0);
	for (i = 0; i < 500; i++)
		NEED(y[i] == i * i && shared[i] == i * i);
	NEED(forkpool_job_wait(job, -1) == 0);
	NEED(*(const int *)forkpool_job_result(job) == 144);
	forkpool_job_free(job);
	forkpool_shm_free(p, shared);
	return 0;
}

static int bad_calls(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	struct forkpool_group *g = (struct forkpool_group *)4711;
	struct forkpool_job *job;
	int x = 3;

	(void)arg;
	(void)in;
	(void)out;
	NEED(forkpool_submit(p, NULL, &x, sizeof(x), 4, NULL, &job) == -EINVAL);
	NEED(forkpool_submit(p, square, NULL, sizeof(x), 4, NULL, &job) == -EINVAL);
	NEED(forkpool_group_create(p, &g) == -EPERM);
	NEED(g == (struct forkpool_group *)4711);
	NEED(forkpool_wait_any(&job, 0, -1) == -EINVAL);
	NEED(forkpool_job_wait(NULL, -1) == -EINVAL);
	NEED(forkpool_job_poll((struct forkpool_job *)0x1000) == -EINVAL);
	NEED(forkpool_submit(p, square, &x, sizeof(x), 4, NULL, &job) == 0);
	NEED(forkpool_job_cancel(job) == 0);
	x = forkpool_job_wait(job, -1);
	NEED(x == 0 || x == -FORKPOOL_ECANCELED);
	return 0;
}

START_TEST(inside_a_task)
{
	static forkpool_fn *const fns[] = { many_children, large_children, failing_children, leaves_some,
					    maps_inside, bad_calls };
	int i;

	for (i = 0; i < (test_inline() ? 1 : 10); i++)
		check_task(pool, fns[_i], NULL);
	check_tasks_work(pool);
}
END_TEST

START_TEST(inside_items_of_a_map)
{
	static forkpool_fn *const fns[] = { many_children, large_children, failing_children, leaves_some,
					    maps_inside };
	struct forkpool_status st[20];
	FORKPOOL_JOB_OPTS(opts, .status = st);
	int i, err = forkpool_map(pool, fns[_i], NULL, 0, NULL, 0, 20, &opts);

	for (i = 0; i < 20; i++)
		if (st[i].outcome)
			ck_abort_msg("item %d: outcome %d, line %d", i, st[i].outcome, st[i].code);
	ck_assert_int_eq(err, 0);
}
END_TEST

/* ---- What is not allowed ----------------------------------------------------------------------- */

static int ask_for_anothers(void *arg, const void *in, void *out)
{
	struct forkpool_job *job = *(struct forkpool_job *const *)in;
	struct forkpool_status st;

	(void)arg;
	(void)out;
	NEED(forkpool_job_status(job, 0, &st) == -EDEADLK);
	NEED(forkpool_job_cancel(job) == -EDEADLK);
	NEED(forkpool_job_kill(job) == -EDEADLK);
	NEED(!forkpool_job_result(job));
	forkpool_job_free(job);
	NEED(forkpool_job_wait(job, -1) == -EDEADLK);
	NEED(forkpool_job_wait(job, 0) == -EDEADLK);
	NEED(forkpool_wait_any(&job, 1, -1) == -EDEADLK);
	NEED(forkpool_wait_all(&job, 1, -1) == -EDEADLK);
	NEED(forkpool_job_poll(job) == -EDEADLK);
	return 0;
}

static int hand_on_to_child(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	struct forkpool_job *job, *child;
	int x = 5;

	(void)arg;
	(void)in;
	(void)out;
	NEED(forkpool_submit(p, square, &x, sizeof(x), sizeof(x), NULL, &job) == 0);
	NEED(forkpool_submit(p, ask_for_anothers, &job, sizeof(job), 0, NULL, &child) == 0);
	NEED(forkpool_job_wait(child, -1) == 0);
	NEED(forkpool_job_wait(job, -1) == 0 && *(const int *)forkpool_job_result(job) == 25);
	return 0;
}

START_TEST(only_who_submitted_it_may_wait)
{
	struct forkpool_job *job = submit_gated(pool), *waits;

	ck_assert_int_eq(forkpool_submit(pool, ask_for_anothers, &job, sizeof(job), 0, NULL, &waits), 0);
	if (forkpool_job_wait(waits, HANG))
		ck_abort_msg("line %d", status_of(waits).code);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	check_task(pool, hand_on_to_child, NULL);
}
END_TEST

static int ask_for_itself(void *arg, const void *in, void *out)
{
	struct forkpool_job *const *job = arg;

	(void)in;
	(void)out;
	while (!*(struct forkpool_job *const volatile *)job)
		sleep_ms(1);
	NEED(forkpool_job_wait(*job, -1) == -EDEADLK);
	NEED(forkpool_wait_all(job, 1, -1) == -EDEADLK);
	NEED(forkpool_job_cancel(*job) == -EDEADLK);
	return 0;
}

START_TEST(nobody_waits_for_himself)
{
	struct forkpool_job **own = forkpool_shm_calloc(pool, 1, sizeof(struct forkpool_job *));
	FORKPOOL_JOB_OPTS(opts, .arg = own);

	ck_assert_int_eq(forkpool_submit(pool, ask_for_itself, NULL, 0, 0, &opts, own), 0);
	if (forkpool_job_wait(*own, HANG))
		ck_abort_msg("line %d", status_of(*own).code);
}
END_TEST

static int submit_in_hook(void *arg, unsigned id, void **state)
{
	struct forkpool_job *job;
	int x = 1, *error = arg;

	(void)id;
	(void)state;
	*error = forkpool_submit(forkpool_current(), square, &x, sizeof(x), sizeof(x), NULL, &job);
	return 0;
}

START_TEST(not_in_hooks)
{
	int *error = shared_new(sizeof(*error));
	FORKPOOL_OPTS(opts, .workers = 1, .worker_init = submit_in_hook, .worker_arg = error);
	struct forkpool *p;

	ck_assert_int_eq(forkpool_create(&p, &opts), 0);
	ck_assert_int_eq(*error, -ENOTSUP);
	check_tasks_work(p);
	forkpool_destroy(p);
	shared_free(error, sizeof(*error));
}
END_TEST

/* ---- Deaths -------------------------------------------------------------------------------------- */

/* In the segment. */
struct family {
	atomic_int parents, children, deaths;
	int deaths_of_parent, deaths_of_child, wait;
};

static int child(void *arg, const void *in, void *out)
{
	struct family *f = arg;

	atomic_fetch_add(&f->children, 1);
	if (*(const int *)in == 3 && atomic_fetch_add(&f->deaths, 1) < f->deaths_of_child)
		raise(SIGSEGV);
	sleep_ms(1);
	return square(arg, in, out);
}

static int parent(void *arg, const void *in, void *out)
{
	struct family *f = arg;
	FORKPOOL_JOB_OPTS(opts, .arg = arg, .retries = 5);
	struct forkpool_job *jobs[8];
	int x[8], i, n = atomic_fetch_add(&f->parents, 1), sum = 0;

	(void)in;
	for (i = 0; i < 8; i++)
		x[i] = i;
	NEED(forkpool_submit_many(forkpool_current(), child, x, sizeof(*x), sizeof(*x), 8, &opts, jobs) == 8);
	if (f->wait)
		forkpool_job_wait(jobs[0], -1);
	if (n < f->deaths_of_parent)
		raise(SIGKILL);
	NEED(forkpool_wait_all(jobs, 8, -1) == 0);
	for (i = 0; i < 8; i++)
		sum += *(const int *)forkpool_job_result(jobs[i]);
	*(int *)out = sum;
	return 0;
}

static void check_family(struct family f, unsigned retries, int err)
{
	struct family *all = forkpool_shm_calloc(pool, 6, sizeof(*all));
	struct forkpool_job *jobs[6];
	int i;

	for (i = 0; i < 6; i++) {
		FORKPOOL_JOB_OPTS(opts, .arg = &all[i], .retries = retries);

		all[i] = f;
		ck_assert_int_eq(forkpool_submit(pool, parent, NULL, 0, sizeof(int), &opts, &jobs[i]), 0);
	}
	for (i = 0; i < 6; i++) {
		int was = forkpool_job_wait(jobs[i], HANG);

		if (was != err)
			ck_abort_msg("family %d: %s, line %d", i, forkpool_strerror(was), status_of(jobs[i]).code);
		if (!err)
			ck_assert_int_eq(result_int(jobs[i]), 140);
		forkpool_job_free(jobs[i]);
	}
	check_tasks_work(pool);
	forkpool_shm_free(pool, all);
}

/* A child may take its parent with it, where that waits below it. */
START_TEST(children_that_die)
{
	int round;

	for (round = 0; round < 10; round++)
		check_family((struct family){ .deaths_of_child = 2 }, 5, 0);
}
END_TEST

START_TEST(parents_that_die)
{
	int round;

	for (round = 0; round < 10; round++) {
		check_family((struct family){ .deaths_of_parent = 2, .wait = round % 2 }, 2, 0);
		check_family((struct family){ .deaths_of_parent = 9, .wait = round % 2 }, 2, -FORKPOOL_ECRASHED);
	}
}
END_TEST

/* ---- Cancelled ---------------------------------------------------------------------------------- */

static int wait_for_gated(void *arg, const void *in, void *out)
{
	FORKPOOL_JOB_OPTS(opts, .arg = arg);
	struct forkpool_job *jobs[6];

	(void)in;
	(void)out;
	NEED(forkpool_submit_many(forkpool_current(), at_gate, NULL, 0, 0, 6, &opts, jobs) == 6);
	NEED(forkpool_wait_all(jobs, 6, -1) == 0);
	return 0;
}

/* Children see that what they are a part of was cancelled. */
START_TEST(cancel_reaches_children)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	struct forkpool_job *job;

	ck_assert_int_eq(forkpool_submit(pool, wait_for_gated, NULL, 0, 0, &opts, &job), 0);
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	ck_assert_int_ne(forkpool_job_wait(job, HANG), -ETIMEDOUT);
	ck_assert_int_ge(atomic_load(&gate->saw_cancel), 2);
	check_tasks_work(pool);
}
END_TEST

START_TEST(kill_takes_children)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	struct forkpool_job *job;

	ck_assert_int_eq(forkpool_submit(pool, wait_for_gated, NULL, 0, 0, &opts, &job), 0);
	wait_for(&gate->arrived, 2);
	ck_assert_int_eq(forkpool_job_kill(job), 0);
	ck_assert_int_ne(forkpool_job_wait(job, HANG), -ETIMEDOUT);
	check_tasks_work(pool);
}
END_TEST

/* It does not look whether it was cancelled. */
static int endless(void *arg, const void *in, void *out)
{
	struct gate *g = arg;

	(void)in;
	(void)out;
	atomic_fetch_add(&g->arrived, 1);
	while (atomic_load(&g->arrived))
		pause();
	return 0;
}

/* Of what it has submitted itself, and that another worker is at work on. */
static int kill_a_child(void *arg, const void *in, void *out)
{
	FORKPOOL_JOB_OPTS(opts, .arg = arg);
	struct gate *g = arg;
	struct forkpool_job *child;
	int i;

	(void)in;
	(void)out;
	NEED(forkpool_submit(forkpool_current(), endless, NULL, 0, 0, &opts, &child) == 0);
	for (i = 0; i < HANG_S * 1000 && !atomic_load(&g->arrived); i++)
		usleep(1000);
	NEED(atomic_load(&g->arrived));
	NEED(forkpool_job_kill(child) == 0);
	NEED(forkpool_job_wait(child, -1) == -FORKPOOL_ECANCELED);
	forkpool_job_free(child);
	return 0;
}

START_TEST(an_item_kills_its_own)
{
	check_task(pool, kill_a_child, gate);
	check_tasks_work(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("task_nest");
	TCase *tc = jobs_case(suite, "trees");

	tcase_add_loop_test(tc, fibonacci, 0, 3);
	tcase_add_test(tc, merge_sort);
	tcase_add_test(tc, as_deep_as_can_be);
	tc = jobs_case(suite, "inside");
	tcase_add_loop_test(tc, inside_a_task, 0, 6);
	tcase_add_loop_test(tc, inside_items_of_a_map, 0, 5);
	tc = jobs_case(suite, "refused");
	tcase_add_test(tc, nobody_waits_for_himself);
	if (test_inline())
		/* The others are about what runs at the same time. */
		return test_main(suite);
	tcase_add_test(tc, only_who_submitted_it_may_wait);
	tcase_add_test(tc, not_in_hooks);
	tc = jobs_case(suite, "cancel");
	tcase_add_test(tc, cancel_reaches_children);
	if (test_processes()) {
		tcase_add_test(tc, kill_takes_children);
		tcase_add_test(tc, an_item_kills_its_own);
		tc = jobs_case(suite, "deaths");
		tcase_add_test(tc, children_that_die);
		tcase_add_test(tc, parents_that_die);
	}
	return test_main(suite);
}
