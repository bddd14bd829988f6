/* SPDX-License-Identifier: MIT */
/* More workers and fewer, while maps run; workers that are replaced after so many items. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/api.h"

#define MOST	8
#define COUNT	2000

/* What workers share with the test; made before the pool. */
struct book {
	atomic_int init[MOST], exit[MOST];
	atomic_int refuse_from;		/* ids from here on do not come up; 0 = all do */
	int refusal;			/* what their init returns; 0 = it dies */
	atomic_int together;		/* items that run now */
	atomic_int go;
};

static struct book *book;

static void book_open(void)
{
	book = shared_new(sizeof(*book));
}

static void book_close(void)
{
	shared_free(book, sizeof(*book));
}

static int hook_init(void *arg, unsigned id, void **state)
{
	int from = atomic_load(&book->refuse_from);

	(void)arg;
	(void)state;
	if (from && id >= (unsigned)from) {
		if (!book->refusal)
			raise(SIGKILL);
		return book->refusal;
	}
	atomic_fetch_add(&book->init[id], 1);
	return 0;
}

static void hook_exit(void *arg, unsigned id, void *state)
{
	(void)arg;
	(void)state;
	atomic_fetch_add(&book->exit[id], 1);
}

static struct forkpool *hooked_new(unsigned workers, uint64_t max_items)
{
	FORKPOOL_OPTS(opts, .workers = workers, .mode = FORKPOOL_PROCESSES, .arena_size = 4 << 20,
		      .worker_init = hook_init, .worker_exit = hook_exit, .max_workers = MOST,
		      .max_items_per_worker = max_items);
	struct forkpool *pool = NULL;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	return pool;
}

static void check_sums(const atomic_int *called, int sum)
{
	int i, found = 0;

	for (i = 0; i < MOST; i++)
		found += atomic_load(&called[i]);
	ck_assert_int_eq(found, sum);
}

/* ---- Arguments ---------------------------------------------------------------------- */

static int resize_inside(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return forkpool_resize(forkpool_current(), 2) != -EPERM;
}

static void child_resizes(void *pool)
{
	MUST(forkpool_resize(pool, 2) == -EINVAL);
}

START_TEST(bad_arguments)
{
	struct forkpool *pool = hooked_new(2, 0);

	ck_assert_int_eq(forkpool_resize(NULL, 2), -EINVAL);
	ck_assert_int_eq(forkpool_resize(pool, 0), -EINVAL);
	ck_assert_int_eq(forkpool_resize(pool, MOST + 1), -EINVAL);
	ck_assert_int_eq(forkpool_resize(pool, ~0u), -EINVAL);
	ck_assert_int_eq(forkpool_map(pool, resize_inside, NULL, 0, NULL, 0, 4, NULL), 0);
	ck_assert_int_eq(child_run(child_resizes, pool), 0);
	check_sums(book->init, 2);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_resize(pool, 3), -FORKPOOL_ECLOSED);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(only_with_processes)
{
	static const int modes[] = { FORKPOOL_THREADS, FORKPOOL_INLINE };
	struct forkpool *pool = NULL;
	unsigned i;

	for (i = 0; i < 2; i++) {
		FORKPOOL_OPTS(opts, .workers = 2, .mode = modes[i], .arena_size = 1 << 20);
		FORKPOOL_OPTS(limit, .workers = 2, .mode = modes[i], .max_items_per_worker = 1);

		ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
		ck_assert_int_eq(forkpool_resize(pool, 3), -ENOTSUP);
		ck_assert_int_eq(forkpool_resize(pool, 1000), -ENOTSUP);
		ck_assert_int_eq(forkpool_resize(pool, 0), -EINVAL);
		forkpool_destroy(pool);
		ck_assert_int_eq(forkpool_create(&pool, &limit), -ENOTSUP);
	}
}
END_TEST

START_TEST(the_bound)
{
	struct forkpool *mark = (struct forkpool *)&mark, *pool = mark;
	FORKPOOL_OPTS(opts, .workers = 3, .mode = FORKPOOL_PROCESSES, .arena_size = 1 << 20);

	opts.max_workers = 2;
	ck_assert_int_eq(forkpool_create(&pool, &opts), -EINVAL);
	opts.max_workers = 1025;
	ck_assert_int_eq(forkpool_create(&pool, &opts), -EINVAL);
	ck_assert_ptr_eq(pool, mark);
	opts.max_workers = 3;
	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(forkpool_resize(pool, 4), -EINVAL);
	ck_assert_int_eq(forkpool_resize(pool, 3), 0);
	forkpool_destroy(pool);
	opts.max_workers = 0;
	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(forkpool_resize(pool, 64), 0);
	ck_assert_int_eq(forkpool_resize(pool, 1), 0);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Up and down --------------------------------------------------------------------- */

static int square(void *arg, const void *in, void *out)
{
	unsigned x = *(const unsigned *)in;

	(void)arg;
	*(unsigned *)out = x * x;
	return 0;
}

static void check_map(struct forkpool *pool)
{
	static unsigned in[COUNT], out[COUNT];
	unsigned i;

	for (i = 0; i < COUNT; i++)
		in[i] = i;
	ck_assert_int_eq(FORKPOOL_MAP(pool, square, in, out, COUNT), 0);
	for (i = 0; i < COUNT; i++)
		CHECK_EACH(out[i] == i * i);
}

START_TEST(up_and_down)
{
	struct forkpool *pool = hooked_new(2, 0);
	unsigned i;

	check_map(pool);
	ck_assert_int_eq(forkpool_resize(pool, 5), 0);
	check_sums(book->init, 5);
	check_map(pool);
	ck_assert_int_eq(forkpool_resize(pool, 1), 0);
	check_map(pool);
	/* Who has not left by then would stay, and not come up anew. */
	for (i = 1; i < 5; i++)
		await_value(&book->exit[i], 1);
	ck_assert_int_eq(forkpool_resize(pool, 3), 0);
	ck_assert_int_eq(forkpool_resize(pool, 3), 0);
	check_map(pool);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	ck_assert_int_eq(atomic_load(&book->exit[0]), 1);
	check_sums(book->init, 7);
	check_sums(book->exit, 7);
	forkpool_destroy(pool);
}
END_TEST

/* Ends when as many as arg says run at the same time. */
static int meet(void *arg, const void *in, void *out)
{
	int64_t until = now_ms() + HANG_S * 1000;
	int expected = *(const int *)arg;

	(void)in;
	(void)out;
	atomic_fetch_add(&book->together, 1);
	while (atomic_load(&book->together) < expected)
		if (now_ms() > until)
			return 1;
	return 0;
}

struct mapper {
	struct forkpool *pool;
	forkpool_fn *fn;
	int arg;
	size_t count;
	int ret;
};

static void *mapper_main(void *arg)
{
	struct mapper *m = arg;
	FORKPOOL_JOB_OPTS(opts, .arg = &m->arg, .arg_size = sizeof(m->arg));

	m->ret = forkpool_map(m->pool, m->fn, NULL, 0, NULL, 0, m->count, &opts);
	return NULL;
}

START_TEST(new_workers_join_a_map_that_runs)
{
	struct mapper m = { .pool = hooked_new(1, 0), .fn = meet, .arg = 4, .count = 4 };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, mapper_main, &m), 0);
	await_value(&book->together, 1);
	ck_assert_int_eq(forkpool_resize(m.pool, 4), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(m.ret, 0);
	forkpool_destroy(m.pool);
}
END_TEST

/* The first one of each worker waits until it is told to go. */
static int await_go(void *arg, const void *in, void *out)
{
	int64_t until = now_ms() + HANG_S * 1000;

	(void)arg;
	(void)in;
	(void)out;
	atomic_fetch_add(&book->together, 1);
	while (!atomic_load(&book->go))
		if (now_ms() > until)
			return 1;
	return 0;
}

START_TEST(leaving_workers_finish_their_item)
{
	struct mapper m = { .pool = hooked_new(4, 0), .fn = await_go, .count = 100 };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, mapper_main, &m), 0);
	await_value(&book->together, 4);
	ck_assert_int_eq(forkpool_resize(m.pool, 1), 0);
	check_sums(book->exit, 0);
	/* Back to three, while they are still at it: they just stay. */
	ck_assert_int_eq(forkpool_resize(m.pool, 3), 0);
	check_sums(book->init, 4);
	atomic_store(&book->go, 1);
	pthread_join(thread, NULL);
	ck_assert_int_eq(m.ret, 0);
	await_value(&book->exit[3], 1);
	check_sums(book->exit, 1);
	forkpool_destroy(m.pool);
}
END_TEST

/* The rest of a long chunk is run by others, when its worker leaves. */
static int spin_1ms(void *arg, const void *in, void *out)
{
	struct timespec a, b;

	(void)arg;
	(void)in;
	*(unsigned *)out = forkpool_worker_id();
	atomic_fetch_add(&book->together, 1);
	clock_gettime(CLOCK_MONOTONIC, &a);
	do
		clock_gettime(CLOCK_MONOTONIC, &b);
	while ((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec < MS);
	return 0;
}

static void *shrink_main(void *pool)
{
	await_value(&book->together, 50);
	return (void *)(intptr_t)forkpool_resize(pool, 1);
}

START_TEST(a_long_chunk_is_given_back)
{
	struct forkpool *pool = hooked_new(2, 0);
	unsigned out[1000], i, by_one = 0;
	FORKPOOL_JOB_OPTS(opts, .chunk = 500);
	pthread_t thread;
	void *ret;

	ck_assert_int_eq(pthread_create(&thread, NULL, shrink_main, pool), 0);
	ck_assert_int_eq(forkpool_map(pool, spin_1ms, NULL, 0, out, sizeof(*out), 1000, &opts), 0);
	pthread_join(thread, &ret);
	ck_assert_int_eq((int)(intptr_t)ret, 0);
	ck_assert_int_eq(atomic_load(&book->together), 1000);
	for (i = 0; i < 1000; i++)
		by_one += out[i] == 1;
	/* Without that, worker 1 would run 500. */
	ck_assert_uint_lt(by_one, 450);
	await_value(&book->exit[1], 1);
	forkpool_destroy(pool);
}
END_TEST

/* ---- What can go wrong ----------------------------------------------------------------- */

START_TEST(a_refusal_leaves_the_old_number)
{
	static const struct { int refusal, error; } cases[] = {
		{ -EACCES, -EACCES }, { EACCES, -EACCES }, { 0, -FORKPOOL_ECRASHED },
	};
	struct forkpool *pool = hooked_new(2, 0);
	unsigned i;

	for (i = 0; i < 3; i++) {
		book->refusal = cases[i].refusal;
		atomic_store(&book->refuse_from, 3);
		ck_assert_int_eq(forkpool_resize(pool, 5), cases[i].error);
		check_map(pool);
		/* The third may have come up, and leaves. */
		await_value(&book->exit[2], atomic_load(&book->init[2]));
		atomic_store(&book->refuse_from, 0);
	}
	check_sums(book->exit, atomic_load(&book->init[2]));
	ck_assert_int_eq(forkpool_resize(pool, 5), 0);
	check_map(pool);
	forkpool_destroy(pool);
}
END_TEST

static void *resize_main(void *arg)
{
	struct forkpool *pool = arg;
	unsigned i;

	for (i = 0; i < 40; i++)
		if (forkpool_resize(pool, 1 + (i * 7 + (unsigned)(uintptr_t)&i / 4096) % MOST))
			return pool;
	return NULL;
}

START_TEST(many_threads_resize_while_many_map)
{
	struct forkpool *pool = hooked_new(2, 0);
	pthread_t threads[3];
	void *bad;
	unsigned i;

	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, resize_main, pool), 0);
	for (i = 0; i < 40; i++)
		check_map(pool);
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], &bad);
		ck_assert_ptr_null(bad);
	}
	check_map(pool);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	for (i = 0; i < MOST; i++)
		ck_assert_int_eq(atomic_load(&book->init[i]), atomic_load(&book->exit[i]));
	forkpool_destroy(pool);
}
END_TEST

static int never_ready(void *arg, unsigned id, void **state)
{
	(void)arg;
	(void)state;
	while (id && !atomic_load(&book->go))
		sleep_ms(1);
	atomic_fetch_add(&book->init[id], 1);
	return 0;
}

static void *grow_main(void *pool)
{
	atomic_store(&book->together, 1);
	return (void *)(intptr_t)forkpool_resize(pool, 2);
}

/* The new worker never comes up; that hinders nobody who ends the pool. */
START_TEST(terminated_while_it_grows)
{
	FORKPOOL_OPTS(opts, .workers = 1, .mode = FORKPOOL_PROCESSES, .arena_size = 1 << 20,
		      .worker_init = never_ready);
	struct forkpool *pool;
	pthread_t thread;
	void *ret;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, grow_main, pool), 0);
	await_value(&book->together, 1);
	sleep_ms(20);
	check_map(pool);
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	pthread_join(thread, &ret);
	ck_assert_int_eq((int)(intptr_t)ret, -FORKPOOL_ECLOSED);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Replaced after so many items -------------------------------------------------------- */

static int note_pid(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	*(pid_t *)out = getpid();
	return 0;
}

static unsigned count_pids(const pid_t *pids, unsigned n)
{
	unsigned i, k, found = 0;

	for (i = 0; i < n; i++) {
		for (k = 0; k < i && pids[k] != pids[i]; k++)
			;
		found += k == i;
	}
	return found;
}

/* One item each: so as many workers; more than would break a pool, were they deaths. */
START_TEST(one_item_a_worker)
{
	struct forkpool *pool = hooked_new(2, 1);
	static struct forkpool_status status[300];
	static pid_t pids[300];
	FORKPOOL_JOB_OPTS(opts, .status = status, .chunk = 1);
	unsigned i;

	ck_assert_int_eq(forkpool_map(pool, note_pid, NULL, 0, pids, sizeof(*pids), 300, &opts), 0);
	ck_assert_uint_eq(count_pids(pids, 300), 300);
	for (i = 0; i < 300; i++)
		CHECK_EACH(status[i].outcome == FORKPOOL_ITEM_OK && status[i].attempts == 1 &&
			   status[i].worker == pids[i]);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(atomic_load(&book->init[i]), atomic_load(&book->exit[i]));
	ck_assert_int_ge(atomic_load(&book->exit[0]) + atomic_load(&book->exit[1]), 300);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(some_items_a_worker)
{
	struct forkpool *pool = hooked_new(2, 100);
	static pid_t pids[COUNT];
	unsigned i;

	/* Chunks of its choice; then one chunk that is larger than a worker's share. */
	for (i = 0; i < 20; i++)
		check_map(pool);
	ck_assert_int_ge(atomic_load(&book->exit[0]) + atomic_load(&book->exit[1]), 40);
	ck_assert_int_eq(forkpool_map(pool, note_pid, NULL, 0, pids, sizeof(*pids), COUNT,
			&(const struct forkpool_job_opts){ .sz = sizeof(struct forkpool_job_opts),
							   .chunk = COUNT }), 0);
	ck_assert_uint_ge(count_pids(pids, COUNT), COUNT / 100);
	forkpool_destroy(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("resize");
	TCase *tc = test_case(suite, "arguments");

	tcase_add_checked_fixture(tc, book_open, book_close);
	if (test_processes()) {
		tcase_add_test(tc, bad_arguments);
		tcase_add_test(tc, the_bound);
	}
	tcase_add_test(tc, only_with_processes);
	if (!test_processes())
		return test_main(suite);
	tc = test_case(suite, "resize");
	tcase_add_checked_fixture(tc, book_open, book_close);
	tcase_add_test(tc, up_and_down);
	tcase_add_test(tc, new_workers_join_a_map_that_runs);
	tcase_add_test(tc, leaving_workers_finish_their_item);
	tcase_add_test(tc, a_long_chunk_is_given_back);
	tcase_add_test(tc, a_refusal_leaves_the_old_number);
	tcase_add_test(tc, many_threads_resize_while_many_map);
	tcase_add_test(tc, terminated_while_it_grows);
	tc = test_case(suite, "replaced");
	tcase_add_checked_fixture(tc, book_open, book_close);
	tcase_add_test(tc, one_item_a_worker);
	tcase_add_test(tc, some_items_a_worker);
	return test_main(suite);
}
