/* SPDX-License-Identifier: MIT */
/* A pool as a whole: what create takes and refuses, and how pools end. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/api.h"

static int square(void *arg, const void *in, void *out)
{
	const int *x = in;
	int *y = out;

	(void)arg;
	*y = *x * *x;
	return 0;
}

static void check_works(struct forkpool *pool)
{
	int in[100], out[100] = { 0 }, i;

	for (i = 0; i < 100; i++)
		in[i] = i;
	ck_assert_int_eq(FORKPOOL_MAP(pool, square, in, out, 100), 0);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(out[i], i * i);
}

/* ---- Create -------------------------------------------------------------------- */

static void check_created(const struct forkpool_opts *opts)
{
	struct forkpool *pool = NULL;

	ck_assert_int_eq(forkpool_create(&pool, opts), 0);
	check_works(pool);
	forkpool_destroy(pool);
}

START_TEST(any_number_of_workers)
{
	static const unsigned counts[] = { 0, 1, 2, 8, 65 };
	unsigned i;

	check_created(NULL);
	for (i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		FORKPOOL_OPTS(opts, .workers = counts[i], .arena_size = 1 << 20);

		check_created(&opts);
	}
}
END_TEST

/* Runs another function than the map's. */
static int thrice(void *arg, const void *in, void *out)
{
	(void)arg;
	*(int *)out = 3 * *(const int *)in;
	return 0;
}

static int loop_of_thrice(struct forkpool_batch *batch)
{
	batch->fn = thrice;
	return forkpool_loop_(batch);
}

START_TEST(the_loop_is_the_programs)
{
	int in[100], out[100] = { 0 }, i;
	struct forkpool *pool;

	for (i = 0; i < 100; i++)
		in[i] = i;
	ck_assert_int_eq(forkpool_create_with_loop(&pool, NULL, loop_of_thrice), 0);
	ck_assert_int_eq(FORKPOOL_MAP(pool, square, in, out, 100), 0);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(out[i], test_inline() ? i * i : 3 * i);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(the_function_has_a_loop_of_its_own)
{
	struct forkpool *mark = (struct forkpool *)&mark, *pool = mark;

	ck_assert_int_eq(forkpool_create_with_loop(&pool, NULL, NULL), -EINVAL);
	ck_assert_ptr_eq(pool, mark);
	ck_assert_int_eq((forkpool_create)(&pool, NULL), 0);
	check_works(pool);
	forkpool_destroy(pool);
}
END_TEST

static void check_refused(const struct forkpool_opts *opts, int err)
{
	struct forkpool *mark = (struct forkpool *)&mark, *pool = mark;

	ck_assert_int_eq(forkpool_create(&pool, opts), err);
	ck_assert_ptr_eq(pool, mark);
}

START_TEST(bad_options_are_refused)
{
	FORKPOOL_OPTS(many, .workers = 1025);
	FORKPOOL_OPTS(absurd, .workers = UINT_MAX);
	FORKPOOL_OPTS(mode, .mode = 99);
	FORKPOOL_OPTS(below, .mode = -1);
	FORKPOOL_OPTS(good, .workers = 1);

	check_refused(&many, -EINVAL);
	check_refused(&absurd, -EINVAL);
	check_refused(&mode, -EINVAL);
	check_refused(&below, -EINVAL);
	ck_assert_int_eq(forkpool_create(NULL, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_create(NULL, &good), -EINVAL);
}
END_TEST

START_TEST(an_arena_of_any_size_or_an_error)
{
	static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2, (size_t)1 << 62 };
	FORKPOOL_OPTS(tiny, .workers = 1, .arena_size = 1);
	struct forkpool *pool;
	unsigned i;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		FORKPOOL_OPTS(opts, .workers = 1, .arena_size = sizes[i]);

		ck_assert_int_lt(forkpool_create(&pool, &opts), 0);
	}
	ck_assert_int_eq(forkpool_create(&pool, &tiny), 0);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Mode ---------------------------------------------------------------------- */

struct where {
	pid_t pid, tid;
	struct forkpool *current;
};

static int tell_where(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	*(struct where *)out = (struct where){ getpid(), gettid(), forkpool_current() };
	return 0;
}

static int mode_of(struct forkpool *pool)
{
	struct where where;

	ck_assert_int_eq(forkpool_map(pool, tell_where, NULL, 0, &where, sizeof(where), 1, NULL), 0);
	ck_assert_ptr_eq(where.current, pool);
	if (where.pid != getpid())
		return FORKPOOL_PROCESSES;
	return where.tid == gettid() ? FORKPOOL_INLINE : FORKPOOL_THREADS;
}

static void check_mode(const char *environment, int option, int expected)
{
	FORKPOOL_OPTS(opts, .workers = 1, .arena_size = 1 << 20, .mode = option);
	struct forkpool *pool;

	if (environment)
		setenv("FORKPOOL_MODE", environment, 1);
	else
		unsetenv("FORKPOOL_MODE");
	if (expected < 0) {
		check_refused(&opts, expected);
		return;
	}
	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(mode_of(pool), expected);
	forkpool_destroy(pool);
}

/* What needs processes is left out where TSan runs. */
START_TEST(the_environment_names_the_mode)
{
	const char *was = getenv("FORKPOOL_MODE");
	bool processes = test_processes();
	char *saved = was ? strdup(was) : NULL;

	check_mode("threads", 0, FORKPOOL_THREADS);
	check_mode("inline", 0, FORKPOOL_INLINE);
	check_mode("inline", FORKPOOL_THREADS, FORKPOOL_THREADS);
	check_mode("Threads", 0, -EINVAL);
	check_mode("process", 0, -EINVAL);
	check_mode("nonsense", FORKPOOL_INLINE, FORKPOOL_INLINE);
	if (processes) {
		check_mode(NULL, 0, FORKPOOL_PROCESSES);
		check_mode("", 0, FORKPOOL_PROCESSES);
		check_mode("processes", 0, FORKPOOL_PROCESSES);
		check_mode("inline", FORKPOOL_PROCESSES, FORKPOOL_PROCESSES);
		check_mode(NULL, FORKPOOL_THREADS, FORKPOOL_THREADS);
	}
	unsetenv("FORKPOOL_MODE");
	if (saved)
		setenv("FORKPOOL_MODE", saved, 1);
	free(saved);
}
END_TEST

/* ---- How pools end --------------------------------------------------------------- */

static void check_closed(struct forkpool *pool)
{
	int in[2] = { 1, 2 }, out[2] = { 5, 5 };

	ck_assert_int_eq(FORKPOOL_MAP(pool, square, in, out, 2), -FORKPOOL_ECLOSED);
	ck_assert_int_eq(FORKPOOL_MAP(pool, square, in, out, 0), -FORKPOOL_ECLOSED);
	ck_assert_int_eq(out[0], 5);
}

START_TEST(close_and_join)
{
	struct forkpool *pool = pool_new(2);

	check_works(pool);
	ck_assert_int_eq(forkpool_join(pool, -1), -EINVAL);
	ck_assert_int_eq(forkpool_join(pool, 0), -EINVAL);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_close(pool), 0);
	check_closed(pool);
	ck_assert_int_eq(forkpool_join(pool, -2), -EINVAL);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	ck_assert_int_eq(forkpool_join(pool, 0), 0);
	check_closed(pool);
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(terminate_and_join)
{
	struct forkpool *pool = pool_new(2);

	check_works(pool);
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	check_closed(pool);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(destroy_at_any_stage)
{
	struct forkpool *pool;
	int stage;

	forkpool_destroy(NULL);
	for (stage = 0; stage < 5; stage++) {
		pool = pool_new(3);
		if (stage & 1)
			check_works(pool);
		if (stage & 2)
			forkpool_close(pool);
		if (stage & 4)
			forkpool_terminate(pool);
		forkpool_destroy(pool);
	}
}
END_TEST

START_TEST(no_pool_is_an_error)
{
	ck_assert_int_eq(forkpool_close(NULL), -EINVAL);
	ck_assert_int_eq(forkpool_terminate(NULL), -EINVAL);
	ck_assert_int_eq(forkpool_join(NULL, 0), -EINVAL);
	ck_assert_ptr_null(forkpool_current());
	ck_assert_ptr_null(forkpool_worker_state());
	ck_assert_uint_eq(forkpool_worker_id(), 0);
}
END_TEST

/* ---- With maps under way --------------------------------------------------------- */

struct gate {
	atomic_int entered, open;
};

static int wait_at_gate(void *arg, const void *in, void *out)
{
	struct gate *gate = arg;

	(void)in;
	(void)out;
	atomic_fetch_add(&gate->entered, 1);
	while (!atomic_load(&gate->open))
		sleep_ms(1);
	return 0;
}

struct mapper {
	struct forkpool *pool;
	struct gate *gate;
	pthread_t thread;
	struct forkpool_status status[50];
	int err;
};

static void *mapper_main(void *arg)
{
	struct mapper *m = arg;
	FORKPOOL_JOB_OPTS(opts, .arg = m->gate, .arg_as_is = 1, .status = m->status);

	m->err = forkpool_map(m->pool, wait_at_gate, NULL, 0, NULL, 0, 50, &opts);
	return NULL;
}

static void mapper_start(struct mapper *m, struct forkpool *pool, struct gate *gate)
{
	memset(m->status, 0xff, sizeof(m->status));
	m->pool = pool;
	m->gate = gate;
	m->err = 1;
	ck_assert_int_eq(pthread_create(&m->thread, NULL, mapper_main, m), 0);
}

static void await_entered(struct gate *gate, int n)
{
	while (atomic_load(&gate->entered) < n)
		sleep_ms(1);
}

START_TEST(join_waits_as_long_as_it_is_told)
{
	struct gate *gate = shared_new(sizeof(*gate));
	struct forkpool *pool = pool_new(2);
	struct mapper m;

	mapper_start(&m, pool, gate);
	await_entered(gate, 1);
	ck_assert_int_eq(forkpool_close(pool), 0);
	check_closed(pool);
	ck_assert_int_eq(forkpool_join(pool, 0), -ETIMEDOUT);
	ck_assert_int_eq(forkpool_join(pool, 20 * MS), -ETIMEDOUT);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	pthread_join(m.thread, NULL);
	ck_assert_int_eq(m.err, 0);
	forkpool_destroy(pool);
	shared_free(gate, sizeof(*gate));
}
END_TEST

/* Threads can't be killed: there the items must end by themselves. */
static void terminate_under(struct forkpool *pool, struct gate *gate)
{
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	if (!test_processes())
		atomic_store(&gate->open, 1);
}

static void check_cancelled(const struct mapper *m)
{
	int i, cancelled = 0;

	ck_assert_int_eq(m->err, -FORKPOOL_ECANCELED);
	for (i = 0; i < 50; i++) {
		ck_assert(m->status[i].outcome == FORKPOOL_ITEM_OK ||
			  m->status[i].outcome == FORKPOOL_ITEM_CANCELLED);
		cancelled += m->status[i].outcome == FORKPOOL_ITEM_CANCELLED;
	}
	ck_assert_int_gt(cancelled, 0);
}

START_TEST(terminate_cancels_maps)
{
	struct gate *gate = shared_new(sizeof(*gate));
	struct forkpool *pool = pool_new(2);
	struct mapper m[4];
	int64_t start;
	int i, late = 0;

	for (i = 0; i < 4; i++)
		mapper_start(&m[i], pool, gate);
	await_entered(gate, test_inline() ? 1 : 2);
	start = now_ms();
	terminate_under(pool, gate);
	for (i = 0; i < 4; i++)
		pthread_join(m[i].thread, NULL);
	ck_assert_int_lt(now_ms() - start, 5000);
	/* A thread may have come too late. */
	for (i = 0; i < 4; i++) {
		if (m[i].err != -FORKPOOL_ECLOSED)
			check_cancelled(&m[i]);
		late += m[i].err == -FORKPOOL_ECLOSED;
	}
	ck_assert_int_lt(late, 4);
	check_closed(pool);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	forkpool_destroy(pool);
	shared_free(gate, sizeof(*gate));
}
END_TEST

START_TEST(terminate_ends_a_join)
{
	struct gate *gate = shared_new(sizeof(*gate));
	struct forkpool *pool = pool_new(1);
	struct mapper m;

	mapper_start(&m, pool, gate);
	await_entered(gate, 1);
	forkpool_close(pool);
	ck_assert_int_eq(forkpool_join(pool, 5 * MS), -ETIMEDOUT);
	terminate_under(pool, gate);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	pthread_join(m.thread, NULL);
	check_cancelled(&m);
	forkpool_destroy(pool);
	shared_free(gate, sizeof(*gate));
}
END_TEST

/* ---- Many -------------------------------------------------------------------------- */

#define POOLS	12

START_TEST(many_pools_at_once)
{
	struct forkpool *pools[POOLS];
	int i;

	for (i = 0; i < POOLS; i++) {
		pools[i] = pool_new(2);
		check_works(pools[i / 2]);
	}
	for (i = 0; i < POOLS; i += 2)
		forkpool_destroy(pools[i]);
	for (i = 1; i < POOLS; i += 2)
		check_works(pools[i]);
	for (i = POOLS - 1; i > 0; i -= 2)
		forkpool_destroy(pools[i]);
}
END_TEST

START_TEST(created_and_destroyed_again_and_again)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = 1 << 20);
	int i;

	for (i = 0; i < 50; i++)
		check_created(&opts);
}
END_TEST

static void *make_pools(void *arg)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = 1 << 20);
	int in[10] = { 3 }, out[10], *err = arg, i;
	struct forkpool *pool;

	for (i = 0; i < 5 && !*err; i++) {
		*err = forkpool_create(&pool, &opts);
		if (*err)
			break;
		*err = FORKPOOL_MAP(pool, square, in, out, 10);
		if (out[0] != 9)
			*err = 1;
		forkpool_destroy(pool);
	}
	return NULL;
}

START_TEST(threads_make_pools_at_the_same_time)
{
	pthread_t threads[4];
	int errs[4] = { 0 }, i;

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, make_pools, &errs[i]), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(errs[i], 0);
	}
}
END_TEST

/* ---- From inside an item ------------------------------------------------------------- */

static int try_all(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current(), *other = NULL;
	int *got = out;

	(void)arg;
	(void)in;
	got[0] = forkpool_create(&other, NULL);
	got[1] = forkpool_close(pool);
	got[2] = forkpool_terminate(pool);
	got[3] = forkpool_join(pool, 0);
	forkpool_destroy(pool);
	return other != NULL;
}

START_TEST(items_may_not_end_pools)
{
	struct forkpool *pool = pool_new(2);
	int got[4][4], i, k;

	ck_assert_int_eq(forkpool_map(pool, try_all, NULL, 0, got, sizeof(got[0]), 4, NULL), 0);
	for (i = 0; i < 4; i++)
		for (k = 0; k < 4; k++)
			ck_assert_int_eq(got[i][k], -EPERM);
	check_works(pool);
	forkpool_destroy(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pool");
	TCase *create = test_case(suite, "create"), *end = test_case(suite, "end");
	TCase *busy = test_case(suite, "busy"), *many = test_case(suite, "many");

	tcase_add_test(create, any_number_of_workers);
	tcase_add_test(create, the_loop_is_the_programs);
	tcase_add_test(create, the_function_has_a_loop_of_its_own);
	tcase_add_test(create, bad_options_are_refused);
	tcase_add_test(create, an_arena_of_any_size_or_an_error);
	tcase_add_test(create, the_environment_names_the_mode);
	tcase_add_test(end, close_and_join);
	tcase_add_test(end, terminate_and_join);
	tcase_add_test(end, destroy_at_any_stage);
	tcase_add_test(end, no_pool_is_an_error);
	tcase_add_test(end, items_may_not_end_pools);
	tcase_add_test(busy, join_waits_as_long_as_it_is_told);
	tcase_add_test(busy, terminate_cancels_maps);
	tcase_add_test(busy, terminate_ends_a_join);
	tcase_add_test(many, many_pools_at_once);
	tcase_add_test(many, created_and_destroyed_again_and_again);
	tcase_add_test(many, threads_make_pools_at_the_same_time);
	return test_main(suite);
}
