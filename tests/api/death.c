/* SPDX-License-Identifier: MIT */
/* Items that end their worker: who is blamed, who is not, and what is left. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/board.h"

#define COUNT	200

/* ---- Ways to die ------------------------------------------------------------------ */

enum way { ABORT, SEGFAULT, EXIT_3, UNDERSCORE_0, UNDERSCORE_9, QUICK_4, THREAD_EXIT, KILLED, TERMED, BUS,
	   WAYS };

static const struct {
	int outcome, code;
} expected[WAYS] = {
	[ABORT] = { FORKPOOL_ITEM_CRASHED, SIGABRT },
	[SEGFAULT] = { FORKPOOL_ITEM_CRASHED, SIGSEGV },
	[EXIT_3] = { FORKPOOL_ITEM_EXITED, 3 },
	[UNDERSCORE_0] = { FORKPOOL_ITEM_EXITED, 0 },
	[UNDERSCORE_9] = { FORKPOOL_ITEM_EXITED, 9 },
	[QUICK_4] = { FORKPOOL_ITEM_EXITED, 4 },
	[THREAD_EXIT] = { FORKPOOL_ITEM_EXITED, 0 },
	[KILLED] = { FORKPOOL_ITEM_CRASHED, SIGKILL },
	[TERMED] = { FORKPOOL_ITEM_CRASHED, SIGTERM },
	[BUS] = { FORKPOOL_ITEM_CRASHED, SIGBUS },
};

/* ASan takes the unwinding of a stack that it does not know for an error. */
#if defined(__SANITIZE_ADDRESS__)
#define THREAD_EXIT_WORKS	0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define THREAD_EXIT_WORKS	0
#endif
#endif
#ifndef THREAD_EXIT_WORKS
#define THREAD_EXIT_WORKS	1
#endif

static bool way_works(int way)
{
	return way != THREAD_EXIT || THREAD_EXIT_WORKS;
}

static void die(int way)
{
	switch (way) {
	case ABORT:
		abort();
	case SEGFAULT:
		raise(SIGSEGV);
		break;
	case EXIT_3:
		exit(3);
	case UNDERSCORE_0:
		_exit(0);
	case UNDERSCORE_9:
		_exit(9);
	case QUICK_4:
		quick_exit(4);
	case THREAD_EXIT:
		pthread_exit(NULL);
	case KILLED:
		raise(SIGKILL);
		break;
	case TERMED:
		raise(SIGTERM);
		break;
	case BUS:
		raise(SIGBUS);
		break;
	}
	_exit(77);
}

static int maybe_die(void *arg, const void *in, void *out)
{
	int i = *(const int *)in;

	(void)arg;
	if (atomic_fetch_add(&board->runs[i], 1) < board->deaths && i == board->bad)
		die(board->way);
	*(int *)out = 2 * i;
	return 0;
}

static int map_board(struct forkpool *pool, int *out, struct forkpool_status *status,
		     size_t *first, unsigned retries)
{
	int in[COUNT];

	board_begin(in, COUNT);
	memset(out, 0xff, COUNT * sizeof(*out));
	return FORKPOOL_MAP(pool, maybe_die, in, out, COUNT, .status = status,
			    .first_failure = first, .retries = retries);
}

static void check_death(struct forkpool *pool, int bad, int way, unsigned retries)
{
	struct forkpool_status status[COUNT], *st = &status[bad];
	size_t first = SIZE_MAX;
	int out[COUNT];

	board->bad = bad;
	board->way = way;
	board->deaths = 1000;
	ck_assert_int_eq(map_board(pool, out, status, &first, retries), -FORKPOOL_ECRASHED);
	ck_assert_uint_eq(first, bad);
	board_check_others(out, status, COUNT);
	ck_assert_msg(st->outcome == expected[way].outcome && st->code == expected[way].code,
		      "way %d: outcome %d, code %d", way, st->outcome, st->code);
	ck_assert_uint_eq(st->attempts, retries + 1);
	ck_assert_int_eq(board->runs[bad], retries + 1);
	ck_assert_int_gt(st->worker, 0);
}

START_TEST(any_way_to_die)
{
	static const unsigned workers[] = { 1, 2, 5 };
	struct forkpool *pool;
	unsigned w;
	int way;

	for (w = 0; w < 3; w++) {
		pool = pool_new(workers[w]);
		for (way = 0; way < WAYS; way++)
			if (way_works(way))
				check_death(pool, way * 19 % COUNT, way, 0);
		forkpool_destroy(pool);
	}
}
END_TEST

START_TEST(any_item_may_die)
{
	static const int items[] = { 0, 1, COUNT / 2 - 1, COUNT / 2, COUNT - 2, COUNT - 1 };
	struct forkpool *pool = pool_new(2);
	unsigned i;

	for (i = 0; i < 6; i++) {
		check_death(pool, items[i], SEGFAULT, 0);
		check_death(pool, items[i], KILLED, 2);
	}
	forkpool_destroy(pool);
}
END_TEST

START_TEST(a_retry_may_do_it)
{
	struct forkpool *pool = pool_new(2);
	struct forkpool_status status[COUNT];
	int out[COUNT], way;
	size_t first = 4711;

	for (way = 0; way < WAYS; way++) {
		if (!way_works(way))
			continue;
		board->bad = 55;
		board->way = way;
		board->deaths = 2;
		ck_assert_int_eq(map_board(pool, out, status, &first, 2), 0);
		board_check_others(out, status, COUNT);
		ck_assert_int_eq(status[55].outcome, FORKPOOL_ITEM_OK);
		ck_assert_int_eq(status[55].code, 0);
		ck_assert_uint_eq(status[55].attempts, 3);
		ck_assert_int_eq(out[55], 110);
	}
	ck_assert_uint_eq(first, 4711);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Everything dies ---------------------------------------------------------------- */

static int always_die(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	raise(SIGKILL);
	return 0;
}

START_TEST(every_item_dies)
{
	struct forkpool *pool = pool_new(2);
	struct forkpool_status status[60];
	size_t first = 5;
	FORKPOOL_JOB_OPTS(opts, .status = status, .first_failure = &first);
	int i;

	ck_assert_int_eq(forkpool_map(pool, always_die, NULL, 0, NULL, 0, 60, &opts), -FORKPOOL_ECRASHED);
	ck_assert_uint_eq(first, 0);
	for (i = 0; i < 60; i++) {
		ck_assert_int_eq(status[i].outcome, FORKPOOL_ITEM_CRASHED);
		ck_assert_int_eq(status[i].code, SIGKILL);
		ck_assert_uint_eq(status[i].attempts, 1);
	}
	board->bad = -1;
	ck_assert_int_eq(map_board(pool, (int[COUNT]){ 0 }, NULL, NULL, 0), 0);
	forkpool_destroy(pool);
}
END_TEST

static int die_or_fail(void *arg, const void *in, void *out)
{
	int i = *(const int *)in;

	(void)arg;
	(void)out;
	if (i == 50)
		raise(SIGKILL);
	return i == 20;
}

START_TEST(a_death_stops_where_an_error_would)
{
	struct forkpool *pool = pool_new(1);
	struct forkpool_status status[COUNT];
	int in[COUNT], i;
	size_t first = 0;
	FORKPOOL_JOB_OPTS(opts, .status = status, .first_failure = &first, .stop_on_error = 1);

	for (i = 0; i < COUNT; i++)
		in[i] = i + 21;
	ck_assert_int_eq(forkpool_map(pool, die_or_fail, in, sizeof(*in), NULL, 0, COUNT, &opts),
			 -FORKPOOL_ECRASHED);
	ck_assert_uint_eq(first, 29);
	for (i = 0; i < COUNT; i++)
		ck_assert_int_eq(status[i].outcome, i < 29 ? FORKPOOL_ITEM_OK :
				 i == 29 ? FORKPOOL_ITEM_CRASHED : FORKPOOL_ITEM_NOT_RUN);
	forkpool_destroy(pool);
}
END_TEST

/* A retry that never comes, since the pool ends, is not ok. */
static int die_then_hang(void *arg, const void *in, void *out)
{
	int i = *(const int *)in;

	(void)arg;
	(void)out;
	if (atomic_fetch_add(&board->runs[i], 1) == 0 && i < 2)
		raise(SIGKILL);
	atomic_fetch_add(&board->left_behind, 1);
	for (;;)
		pause();
	return 0;
}

static void *terminate_later(void *pool)
{
	while (!atomic_load(&board->left_behind))
		sleep_ms(1);
	sleep_ms(20);
	forkpool_terminate(pool);
	return NULL;
}

START_TEST(a_retry_that_never_comes)
{
	struct forkpool *pool = pool_new(1);
	struct forkpool_status status[8];
	int in[8] = { 0, 1, 2, 3, 4, 5, 6, 7 }, i;
	FORKPOOL_JOB_OPTS(opts, .status = status, .retries = 3);
	pthread_t thread;

	pthread_create(&thread, NULL, terminate_later, pool);
	ck_assert_int_eq(forkpool_map(pool, die_then_hang, in, sizeof(*in), NULL, 0, 8, &opts),
			 -FORKPOOL_ECANCELED);
	pthread_join(thread, NULL);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(status[i].outcome, FORKPOOL_ITEM_CANCELLED);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Items that do what they should not ------------------------------------------------ */

static void live_on(void)
{
	for (;;)
		pause();
}

/* A child and a grandchild, both in sessions of their own, stay behind. */
static int fork_and_die(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			setsid();
			atomic_store(&board->left_behind, getpid());
			live_on();
		}
		live_on();
	}
	while (!atomic_load(&board->left_behind))
		sleep_ms(1);
	raise(SIGKILL);
	return 0;
}

static bool gone_within(pid_t pid, int ms)
{
	int64_t until = now_ms() + ms;

	while (kill(pid, 0) == 0 && now_ms() < until)
		sleep_ms(5);
	return kill(pid, 0) < 0 && errno == ESRCH;
}

START_TEST(what_an_item_forked_dies_with_it)
{
	struct forkpool *pool = pool_new(1);

	ck_assert_int_eq(forkpool_map(pool, fork_and_die, NULL, 0, NULL, 0, 1, NULL), -FORKPOOL_ECRASHED);
	ck_assert(gone_within(board->left_behind, 5 * DEAD_MS));
	forkpool_destroy(pool);
}
END_TEST

static int fork_and_return(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			atomic_store(&board->left_behind, getpid());
			live_on();
		}
		_exit(0);
	}
	while (!atomic_load(&board->left_behind))
		sleep_ms(1);
	return 0;
}

START_TEST(what_an_item_forked_dies_with_the_pool)
{
	struct forkpool *pool = pool_new(1);

	ck_assert_int_eq(forkpool_map(pool, fork_and_return, NULL, 0, NULL, 0, 1, NULL), 0);
	forkpool_destroy(pool);
	ck_assert(gone_within(board->left_behind, 5 * DEAD_MS));
}
END_TEST

static int hurt(void *arg, const void *in, void *out)
{
	sigset_t all;
	int i;

	(void)arg;
	(void)out;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (i = 1; i < 64; i++)
		signal(i, SIG_IGN);
	close_range(0, ~0u, 0);
	return *(const int *)in == 5 ? raise(SIGKILL) : 0;
}

START_TEST(items_may_close_and_mask_all)
{
	struct forkpool *pool = pool_new(2);
	int in[20], i, round;

	for (i = 0; i < 20; i++)
		in[i] = i;
	for (round = 0; round < 3; round++)
		ck_assert_int_eq(forkpool_map(pool, hurt, in, sizeof(*in), NULL, 0, 20, NULL),
				 -FORKPOOL_ECRASHED);
	board->bad = -1;
	ck_assert_int_eq(map_board(pool, (int[COUNT]){ 0 }, NULL, NULL, 0), 0);
	forkpool_destroy(pool);
}
END_TEST

int main(void)
{
	Suite *suite;
	TCase *death, *wild;

	if (!test_processes())
		return TEST_SKIP;
	suite = suite_create("death");
	death = test_case(suite, "death");
	wild = test_case(suite, "wild");
	tcase_add_checked_fixture(death, board_open, board_close);
	tcase_add_checked_fixture(wild, board_open, board_close);
	tcase_add_test(death, any_way_to_die);
	tcase_add_test(death, any_item_may_die);
	tcase_add_test(death, a_retry_may_do_it);
	tcase_add_test(death, every_item_dies);
	tcase_add_test(death, a_death_stops_where_an_error_would);
	tcase_add_test(death, a_retry_that_never_comes);
	tcase_add_test(wild, what_an_item_forked_dies_with_it);
	tcase_add_test(wild, what_an_item_forked_dies_with_the_pool);
	tcase_add_test(wild, items_may_close_and_mask_all);
	return test_main(suite);
}
