/* SPDX-License-Identifier: MIT */
/* worker_init and worker_exit: when they are called, and what they may refuse. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/api.h"

#define WORKERS	3

/* Where hooks write down that they were called; shared with workers. */
struct book {
	atomic_int init[WORKERS], exit[WORKERS], bad;
	int refuse;			/* worker 1's init returns this */
	int die;			/* worker 1's init raises this, or _exit()s for -1 */
	struct forkpool *made;
};

static struct book *book;
static int states[WORKERS];

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
	if (arg != &states || id >= WORKERS || *state || forkpool_worker_id() != id)
		atomic_fetch_add(&book->bad, 1);
	if (id == 1 && book->die)
		book->die < 0 ? _exit(0) : raise(book->die);
	*state = &states[id];
	atomic_fetch_add(&book->init[id], 1);
	if (forkpool_create(&book->made, NULL) != -EPERM)
		atomic_fetch_add(&book->bad, 1);
	return id == 1 ? book->refuse : 0;
}

static void hook_exit(void *arg, unsigned id, void *state)
{
	if (arg != &states || id >= WORKERS || state != &states[id])
		atomic_fetch_add(&book->bad, 1);
	atomic_fetch_add(&book->exit[id], 1);
}

static int hooked_new(struct forkpool **pool)
{
	FORKPOOL_OPTS(opts, .workers = WORKERS, .arena_size = 1 << 20, .worker_init = hook_init,
		      .worker_exit = hook_exit, .worker_arg = &states);

	return forkpool_create(pool, &opts);
}

static int check_state(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	*(unsigned *)out = forkpool_worker_id();
	return forkpool_worker_state() != &states[forkpool_worker_id()];
}

static unsigned workers_in_fact(void)
{
	return test_inline() ? 1 : WORKERS;
}

static void check_called(atomic_int *called, int times)
{
	unsigned i;

	for (i = 0; i < workers_in_fact(); i++)
		ck_assert_int_eq(atomic_load(&called[i]), times);
	ck_assert_int_eq(atomic_load(&book->bad), 0);
}

static void check_pool(struct forkpool *pool)
{
	unsigned ids[1000], i;

	check_called(book->init, 1);
	check_called(book->exit, 0);
	ck_assert_int_eq(forkpool_map(pool, check_state, NULL, 0, ids, sizeof(*ids), 1000, NULL), 0);
	for (i = 0; i < 1000; i++)
		ck_assert_uint_lt(ids[i], WORKERS);
}

START_TEST(called_once_each_up_to_join)
{
	struct forkpool *pool;

	ck_assert_int_eq(hooked_new(&pool), 0);
	check_pool(pool);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	check_called(book->init, 1);
	check_called(book->exit, 1);
	forkpool_destroy(pool);
	check_called(book->exit, 1);
}
END_TEST

START_TEST(called_when_an_idle_pool_is_destroyed)
{
	struct forkpool *pool;

	ck_assert_int_eq(hooked_new(&pool), 0);
	check_pool(pool);
	forkpool_destroy(pool);
	check_called(book->init, 1);
	check_called(book->exit, 1);
}
END_TEST

START_TEST(a_refusal_is_what_create_returns)
{
	static const int codes[] = { -EACCES, EACCES, -FORKPOOL_EFAILED, 1 };
	struct forkpool *mark = (struct forkpool *)&mark, *pool = mark;
	unsigned i;

	if (workers_in_fact() == 1)
		return;
	for (i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		book->refuse = codes[i];
		ck_assert_int_eq(hooked_new(&pool), codes[i] > 0 ? -codes[i] : codes[i]);
		ck_assert_ptr_eq(pool, mark);
	}
}
END_TEST

START_TEST(a_worker_that_dies_in_its_init)
{
	static const int deaths[] = { SIGSEGV, SIGKILL, SIGABRT, -1 };
	struct forkpool *mark = (struct forkpool *)&mark, *pool = mark;
	unsigned i;

	if (!test_processes())
		return;
	for (i = 0; i < sizeof(deaths) / sizeof(*deaths); i++) {
		book->die = deaths[i];
		ck_assert_int_eq(hooked_new(&pool), -FORKPOOL_ECRASHED);
		ck_assert_ptr_eq(pool, mark);
	}
}
END_TEST

/* After a death the id starts anew, and its init is called again. */
static int crash_first(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	abort();
}

START_TEST(called_again_after_a_death)
{
	struct forkpool *pool;
	unsigned ids[100];
	int i, inits = 0, exits = 0;

	if (!test_processes())
		return;
	ck_assert_int_eq(hooked_new(&pool), 0);
	ck_assert_int_eq(forkpool_map(pool, crash_first, NULL, 0, NULL, 0, 4, NULL), -FORKPOOL_ECRASHED);
	ck_assert_int_eq(forkpool_map(pool, check_state, NULL, 0, ids, sizeof(*ids), 100, NULL), 0);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	forkpool_destroy(pool);
	for (i = 0; i < WORKERS; i++) {
		inits += atomic_load(&book->init[i]);
		exits += atomic_load(&book->exit[i]);
	}
	ck_assert_int_le(inits, WORKERS + 4);
	ck_assert_int_gt(inits, WORKERS);
	ck_assert_int_le(exits, WORKERS);
	ck_assert_int_eq(atomic_load(&book->bad), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hooks");
	TCase *tc = test_case(suite, "hooks");

	tcase_add_checked_fixture(tc, book_open, book_close);
	tcase_add_test(tc, called_once_each_up_to_join);
	tcase_add_test(tc, called_when_an_idle_pool_is_destroyed);
	tcase_add_test(tc, a_refusal_is_what_create_returns);
	tcase_add_test(tc, a_worker_that_dies_in_its_init);
	tcase_add_test(tc, called_again_after_a_death);
	return test_main(suite);
}
