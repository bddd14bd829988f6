/* SPDX-License-Identifier: MIT */
/* What the log says, and when. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/api.h"

#define LINES	4000

/* On threads of ours, which may be several at once. */
struct book {
	pthread_mutex_t lock;
	unsigned n;
	int level[LINES];
	char text[LINES][256];
	atomic_int die_from;		/* in the init of workers with this id and above; 0 = none does */
};

static struct book *book;

static void book_open(void)
{
	book = shared_new(sizeof(*book));
	pthread_mutex_init(&book->lock, NULL);
}

static void book_close(void)
{
	pthread_mutex_destroy(&book->lock);
	shared_free(book, sizeof(*book));
}

static void write_down(void *log_arg, int level, const char *text)
{
	struct book *b = log_arg;

	ck_assert_ptr_null(forkpool_current());
	ck_assert_ptr_nonnull(forkpool_strerror(-1));
	pthread_mutex_lock(&b->lock);
	ck_assert_uint_lt(b->n, LINES);
	b->level[b->n] = level;
	snprintf(b->text[b->n++], sizeof(b->text[0]), "%s", text);
	pthread_mutex_unlock(&b->lock);
}

static unsigned count(int level, const char *part)
{
	unsigned i, n = 0;

	for (i = 0; i < book->n; i++)
		n += book->level[i] == level && strstr(book->text[i], part);
	return n;
}

static void expect_lines(unsigned n, int level, const char *part)
{
	unsigned i;

	if (count(level, part) == n)
		return;
	for (i = 0; i < book->n; i++)
		fprintf(stderr, "%d %s\n", book->level[i], book->text[i]);
	ck_abort_msg("%u lines of level %d with \"%s\", not %u", count(level, part), level, part, n);
}

static int die_early(void *arg, unsigned id, void **state)
{
	int from = atomic_load(&book->die_from);

	(void)arg;
	(void)state;
	if (from && id + 1 >= (unsigned)from)
		_exit(9);
	return 0;
}

static struct forkpool *logged_new(unsigned workers)
{
	FORKPOOL_OPTS(opts, .workers = workers, .mode = FORKPOOL_PROCESSES, .arena_size = 1 << 20,
		      .worker_init = die_early, .log = write_down, .log_arg = book);
	struct forkpool *pool = NULL;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	return pool;
}

static int nothing(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return 0;
}

/* Calls until the log has such a line. */
static void await_line(struct forkpool *pool, int level, const char *part)
{
	int64_t until = now_ms() + HANG_S * 1000;

	while (!count(level, part)) {
		ck_assert_msg(now_ms() < until, "no line with \"%s\"", part);
		forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1, NULL);
		sleep_ms(1);
	}
}

static int die(void *arg, const void *in, void *out)
{
	int how = *(const int *)in;

	(void)arg;
	(void)out;
	if (how > 0)
		raise(how);
	if (how < 0)
		_exit(-how);
	return 0;
}

START_TEST(deaths_are_told)
{
	struct forkpool *pool = logged_new(2);
	int in[4] = { 0, SIGKILL, -3, SIGTERM };

	ck_assert_uint_eq(book->n, 0);
	ck_assert_int_eq(forkpool_map(pool, die, in, sizeof(*in), NULL, 0, 4, NULL), -FORKPOOL_ECRASHED);
	/* When the map returns they are in the log already. */
	expect_lines(1, FORKPOOL_LOG_WARNING, "was ended by signal 9, at work");
	expect_lines(1, FORKPOOL_LOG_WARNING, "ended with exit status 3, at work");
	expect_lines(1, FORKPOOL_LOG_WARNING, "was ended by signal 15, at work");
	await_line(pool, FORKPOOL_LOG_INFO, "is now pid");
	forkpool_destroy(pool);
	expect_lines(3, FORKPOOL_LOG_WARNING, "worker ");
	expect_lines(0, FORKPOOL_LOG_ERROR, "");
}
END_TEST

START_TEST(a_quiet_life)
{
	struct forkpool *pool = logged_new(2);

	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1000, NULL), 0);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	forkpool_destroy(pool);
	ck_assert_uint_eq(book->n, 0);
	pool = logged_new(2);
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	forkpool_destroy(pool);
	ck_assert_uint_eq(book->n, 0);
}
END_TEST

START_TEST(resizes_are_told)
{
	struct forkpool *pool = logged_new(1);

	ck_assert_int_eq(forkpool_resize(pool, 3), 0);
	expect_lines(1, FORKPOOL_LOG_INFO, "worker 1 is now pid");
	expect_lines(1, FORKPOOL_LOG_INFO, "worker 2 is now pid");
	ck_assert_int_eq(forkpool_resize(pool, 1), 0);
	await_line(pool, FORKPOOL_LOG_INFO, "left in order");
	forkpool_destroy(pool);
	expect_lines(0, FORKPOOL_LOG_WARNING, "");
}
END_TEST

static int kill_parent(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	kill(getppid(), SIGKILL);
	sleep_ms(HANG_S * 1000);
	return 0;
}

START_TEST(a_broken_pool_is_told_once)
{
	struct forkpool *pool = logged_new(2);

	ck_assert_int_eq(forkpool_map(pool, kill_parent, NULL, 0, NULL, 0, 1, NULL), -FORKPOOL_EBROKEN);
	expect_lines(1, FORKPOOL_LOG_ERROR, "the pool is broken");
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1, NULL), -FORKPOOL_EBROKEN);
	forkpool_destroy(pool);
	expect_lines(1, FORKPOOL_LOG_ERROR, "");
}
END_TEST

/* Once started, all that are started anew die in their init: it backs off, and gives up. */
START_TEST(backing_off_and_giving_up)
{
	struct forkpool *pool = logged_new(1);
	int in = SIGKILL;

	atomic_store(&book->die_from, 1);
	ck_assert_int_eq(forkpool_map(pool, die, &in, sizeof(in), NULL, 0, 1, NULL), -FORKPOOL_ECRASHED);
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1, NULL), -FORKPOOL_EBROKEN);
	forkpool_destroy(pool);
	ck_assert_uint_ge(count(FORKPOOL_LOG_WARNING, "worker 0 waits 10 ms"), 1);
	ck_assert_uint_ge(count(FORKPOOL_LOG_WARNING, "ended with exit status 9"), 2);
	expect_lines(1, FORKPOOL_LOG_ERROR, "too many workers died");
}
END_TEST

START_TEST(a_create_that_fails)
{
	FORKPOOL_OPTS(opts, .workers = 2, .mode = FORKPOOL_PROCESSES, .arena_size = 1 << 20,
		      .worker_init = die_early, .log = write_down, .log_arg = book);
	struct forkpool *pool;

	atomic_store(&book->die_from, 2);
	ck_assert_int_eq(forkpool_create(&pool, &opts), -FORKPOOL_ECRASHED);
	expect_lines(1, FORKPOOL_LOG_WARNING, "worker 1");
	ck_assert_uint_ge(count(FORKPOOL_LOG_ERROR, "gives up"), 1);
}
END_TEST

/* More than the file system holds, so it must be a memfd. */
START_TEST(a_memfd_is_told)
{
	FORKPOOL_OPTS(opts, .workers = 1, .arena_size = (size_t)1 << 46, .log = write_down,
		      .log_arg = book);
	struct forkpool *pool;

	if (forkpool_create(&pool, &opts))
		return;
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1, NULL), 0);
	expect_lines(1, FORKPOOL_LOG_NOTICE, "memfd");
	forkpool_destroy(pool);
}
END_TEST

static void *map_main(void *pool)
{
	int in[8] = { 0, SIGKILL, 0, 0, 0, SIGKILL, 0, 0 }, i;

	for (i = 0; i < 10; i++)
		forkpool_map(pool, die, in, sizeof(*in), NULL, 0, 8, NULL);
	return NULL;
}

/* No line is told twice or lost, whoever tells it. */
START_TEST(many_threads)
{
	struct forkpool *pool = logged_new(3);
	pthread_t threads[3];
	unsigned i;

	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, map_main, pool), 0);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	forkpool_destroy(pool);
	expect_lines(60, FORKPOOL_LOG_WARNING, "was ended by signal 9, at work");
	expect_lines(0, FORKPOOL_LOG_NOTICE, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = test_case(suite, "log");

	tcase_add_checked_fixture(tc, book_open, book_close);
	tcase_add_test(tc, a_memfd_is_told);
	if (!test_processes())
		return test_main(suite);
	tcase_add_test(tc, deaths_are_told);
	tcase_add_test(tc, a_quiet_life);
	tcase_add_test(tc, resizes_are_told);
	tcase_add_test(tc, a_broken_pool_is_told_once);
	tcase_add_test(tc, backing_off_and_giving_up);
	tcase_add_test(tc, a_create_that_fails);
	tcase_add_test(tc, many_threads);
	return test_main(suite);
}
