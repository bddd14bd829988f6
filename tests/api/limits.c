/* SPDX-License-Identifier: MIT */
/* Items and jobs with limits in time: what has run past them ends, and nothing else. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "api/board.h"

#define COUNT	60
#define LIMIT	(200 * MS)
#define CAP_MS	10000		/* catches a hang, no more */

/* ---- Items that never end --------------------------------------------------------- */

enum way { SPIN, PAUSE, MASK_ALL, STOP_SELF, CLOSE_ALL, WAYS };

static void never_end(int way)
{
	sigset_t all;
	int i;

	sigfillset(&all);
	if (way == MASK_ALL || way == CLOSE_ALL)
		sigprocmask(SIG_BLOCK, &all, NULL);
	for (i = 1; way == MASK_ALL && i < 64; i++)
		signal(i, SIG_IGN);
	if (way == CLOSE_ALL)
		close_range(0, ~0u, 0);
	if (way == STOP_SELF)
		raise(SIGSTOP);
	for (;;)
		if (way == PAUSE)
			pause();
}

static int item(void *arg, const void *in, void *out)
{
	int i = *(const int *)in;

	(void)arg;
	atomic_fetch_add(&board->runs[i], 1);
	if (i == board->bad)
		never_end(board->way);
	*(int *)out = 2 * i;
	return 0;
}

static void check_timed_out(struct forkpool *pool, int bad, int way)
{
	int in[COUNT], out[COUNT];
	struct forkpool_status status[COUNT];
	size_t first = SIZE_MAX;
	int64_t begin, took;

	board_begin(in, COUNT);
	board->bad = bad;
	board->way = way;
	begin = now_ms();
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, COUNT, .status = status,
				      .first_failure = &first, .timeout = LIMIT),
			 -FORKPOOL_ETIMEDOUT);
	took = now_ms() - begin;
	ck_assert_int_ge(took, LIMIT / MS - 1);
	ck_assert_int_lt(took, CAP_MS);
	ck_assert_uint_eq(first, bad);
	ck_assert_int_eq(status[bad].outcome, FORKPOOL_ITEM_TIMED_OUT);
	ck_assert_int_eq(status[bad].code, 0);
	ck_assert_uint_eq(status[bad].attempts, 1);
	ck_assert_int_gt(status[bad].worker, 0);
	board_check_others(out, status, COUNT);
	/* Its worker is replaced. */
	board->bad = -1;
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, COUNT, .timeout = 100 * LIMIT), 0);
}

START_TEST(item_that_never_ends)
{
	struct forkpool *pool;
	int way;

	for (way = 0; way < WAYS; way++) {
		pool = pool_new(1 + (unsigned)way % 2);
		check_timed_out(pool, way * 11, way);
		forkpool_destroy(pool);
	}
}
END_TEST

static int hang(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	never_end(PAUSE);
	return 0;
}

START_TEST(every_item_never_ends)
{
	struct forkpool *pool = pool_new(2);
	struct forkpool_status status[20];
	FORKPOOL_JOB_OPTS(opts, .status = status, .timeout = 20 * MS, .retries = 3);
	int i;

	ck_assert_int_eq(forkpool_map(pool, hang, NULL, 0, NULL, 0, 20, &opts), -FORKPOOL_ETIMEDOUT);
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(status[i].outcome, FORKPOOL_ITEM_TIMED_OUT);
		ck_assert_uint_eq(status[i].attempts, 1);
	}
	forkpool_destroy(pool);
}
END_TEST

static int nap(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	sleep_ms(10);
	return 0;
}

#define NAPS_LIMIT	(800 * MS)

/* Fails when it is told to end long before its limit; on a busy machine it may have passed that by itself. */
static int nap_untold(void *arg, const void *in, void *out)
{
	int64_t begin = now_ms();

	nap(arg, in, out);
	return forkpool_cancelled() && now_ms() - begin < NAPS_LIMIT / MS / 2;
}

/* Together they take longer than the limit of one. */
START_TEST(each_item_has_its_own_limit)
{
	FORKPOOL_OPTS(opts, .workers = 1, .grace = HANG_S * 1000 * MS);
	FORKPOOL_JOB_OPTS(job, .timeout = NAPS_LIMIT);
	struct forkpool *pool;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(forkpool_map(pool, nap_untold, NULL, 0, NULL, 0, 100, &job), 0);
	forkpool_destroy(pool);
}
END_TEST

static int nap_long(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	sleep_ms(150);
	return 0;
}

START_TEST(grace_lets_an_item_end)
{
	FORKPOOL_OPTS(opts, .workers = 1, .grace = CAP_MS * MS);
	FORKPOOL_JOB_OPTS(job, .timeout = 10 * MS);
	struct forkpool *pool;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(forkpool_map(pool, nap_long, NULL, 0, NULL, 0, 2, &job), 0);
	forkpool_destroy(pool);
}
END_TEST

/* ---- With the other options ---------------------------------------------------------- */

static int crash_then_hang(void *arg, const void *in, void *out)
{
	int i = *(const int *)in;

	(void)arg;
	(void)out;
	if (atomic_fetch_add(&board->runs[i], 1) == 0 && i == board->bad)
		raise(SIGKILL);
	if (i == board->bad)
		never_end(PAUSE);
	return 0;
}

START_TEST(timed_out_is_final)
{
	struct forkpool *pool = pool_new(2);
	struct forkpool_status status[COUNT];
	int in[COUNT], out[COUNT], i;

	board_begin(in, COUNT);
	board->bad = 7;
	ck_assert_int_eq(FORKPOOL_MAP(pool, crash_then_hang, in, out, COUNT, .status = status,
				      .retries = 5, .timeout = LIMIT), -FORKPOOL_ETIMEDOUT);
	for (i = 0; i < COUNT; i++) {
		ck_assert_int_eq(status[i].outcome, i == 7 ? FORKPOOL_ITEM_TIMED_OUT : FORKPOOL_ITEM_OK);
		ck_assert_int_eq(board->runs[i], i == 7 ? 2 : 1);
		ck_assert_uint_eq(status[i].attempts, i == 7 ? 2 : 1);
	}
	forkpool_destroy(pool);
}
END_TEST

static int exit_or_fail(void *arg, const void *in, void *out)
{
	int i = *(const int *)in;

	(void)arg;
	(void)out;
	if (i == 3)
		exit(33);
	return i == 5 ? 55 : 0;
}

START_TEST(other_ends_are_as_ever)
{
	struct forkpool *pool = pool_new(2);
	struct forkpool_status status[COUNT];
	int in[COUNT], out[COUNT], i;

	board_begin(in, COUNT);
	ck_assert_int_eq(FORKPOOL_MAP(pool, exit_or_fail, in, out, COUNT, .status = status,
				      .timeout = 100 * LIMIT, .deadline = 200 * LIMIT),
			 -FORKPOOL_ECRASHED);
	for (i = 0; i < COUNT; i++)
		ck_assert_int_eq(status[i].outcome, i == 3 ? FORKPOOL_ITEM_EXITED :
				 i == 5 ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_OK);
	ck_assert_int_eq(status[3].code, 33);
	ck_assert_int_eq(status[5].code, 55);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(timed_out_stops_where_an_error_would)
{
	struct forkpool *pool = pool_new(1);
	struct forkpool_status status[COUNT];
	int in[COUNT], out[COUNT], i;

	board_begin(in, COUNT);
	board->bad = 20;
	board->way = PAUSE;
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, COUNT, .status = status,
				      .stop_on_error = 1, .timeout = LIMIT), -FORKPOOL_ETIMEDOUT);
	for (i = 0; i < COUNT; i++)
		ck_assert_int_eq(status[i].outcome, i < 20 ? FORKPOOL_ITEM_OK :
				 i == 20 ? FORKPOOL_ITEM_TIMED_OUT : FORKPOOL_ITEM_NOT_RUN);
	forkpool_destroy(pool);
}
END_TEST

static int count_start(void *arg, unsigned id, void **state)
{
	(void)arg;
	*state = &board->runs[id];
	atomic_fetch_add(&board->starts, 1);
	return 0;
}

START_TEST(hooks_run_in_the_new_worker)
{
	FORKPOOL_OPTS(opts, .workers = 2, .worker_init = count_start);
	FORKPOOL_JOB_OPTS(job, .timeout = 50 * MS);
	struct forkpool *pool;
	int64_t until;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(forkpool_map(pool, hang, NULL, 0, NULL, 0, 3, &job), -FORKPOOL_ETIMEDOUT);
	for (until = now_ms() + CAP_MS; board->starts < 5 && now_ms() < until;)
		sleep_ms(1);
	ck_assert_int_eq(board->starts, 5);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Ranges ------------------------------------------------------------------------------ */

static int range(void *arg, size_t begin, size_t end)
{
	(void)arg;
	for (; begin < end; begin++) {
		atomic_fetch_add(&board->runs[begin], 1);
		if (board->bad == (int)begin)
			never_end(SPIN);
	}
	return 0;
}

START_TEST(range_times_out_as_a_whole)
{
	struct forkpool *pool = pool_new(2);
	size_t first = SIZE_MAX, i;
	FORKPOOL_JOB_OPTS(opts, .chunk = 50, .first_failure = &first, .timeout = LIMIT,
			  .retries = (unsigned)_i);

	board->bad = 333;
	ck_assert_int_eq(forkpool_for(pool, range, 0, 1000, &opts), -FORKPOOL_ETIMEDOUT);
	ck_assert_uint_le(first, 333);
	ck_assert_uint_gt(first + 50, 333);
	for (i = 0; i < 1000; i++)
		if (i < first || i >= first + 50)
			CHECK_EACH(board->runs[i] == 1);
		else
			CHECK_EACH(board->runs[i] <= 1);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Deadlines ----------------------------------------------------------------------------- */

/* Ok up to some, the rest not run; `first` is the first that is not ok. */
static void check_cut(const struct forkpool_status *status, int n, size_t first)
{
	int i, ok = 0, left = 0;

	for (i = 0; i < n; i++) {
		bool run = status[i].outcome == FORKPOOL_ITEM_OK;

		CHECK_EACH(run || status[i].outcome == FORKPOOL_ITEM_NOT_RUN ||
			   status[i].outcome == FORKPOOL_ITEM_TIMED_OUT);
		CHECK_EACH((size_t)i >= first || run);
		CHECK_EACH(status[i].outcome != FORKPOOL_ITEM_NOT_RUN || status[i].attempts == 0);
		ok += run;
		left += status[i].outcome == FORKPOOL_ITEM_NOT_RUN;
	}
	ck_assert_int_ne(status[first].outcome, FORKPOOL_ITEM_OK);
	ck_assert_int_gt(ok, 0);
	ck_assert_int_gt(left, 0);
}

START_TEST(deadline_cuts_a_job)
{
	FORKPOOL_OPTS(pool_opts, .workers = 2, .grace = 200 * MS);
	struct forkpool_status status[1000];
	size_t first = SIZE_MAX;
	FORKPOOL_JOB_OPTS(opts, .status = status, .first_failure = &first, .deadline = LIMIT,
			  .chunk = (size_t)_i);
	struct forkpool *pool;
	int64_t begin = now_ms();

	ck_assert_int_eq(forkpool_create(&pool, &pool_opts), 0);
	ck_assert_int_eq(forkpool_map(pool, nap, NULL, 0, NULL, 0, 1000, &opts), -FORKPOOL_ETIMEDOUT);
	ck_assert_int_lt(now_ms() - begin, CAP_MS);
	check_cut(status, 1000, first);
	/* The next job has none. */
	opts.deadline = 0;
	ck_assert_int_eq(forkpool_map(pool, nap, NULL, 0, NULL, 0, 30, NULL), 0);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(deadline_ends_items)
{
	struct forkpool *pool = pool_new(2);
	struct forkpool_status status[100];
	FORKPOOL_JOB_OPTS(opts, .status = status, .deadline = 50 * MS, .retries = 1);
	int i, ended = 0;

	ck_assert_int_eq(forkpool_map(pool, hang, NULL, 0, NULL, 0, 100, &opts), -FORKPOOL_ETIMEDOUT);
	for (i = 0; i < 100; i++) {
		ended += status[i].outcome == FORKPOOL_ITEM_TIMED_OUT;
		ck_assert(status[i].outcome == FORKPOOL_ITEM_TIMED_OUT ||
			  status[i].outcome == FORKPOOL_ITEM_NOT_RUN);
	}
	ck_assert_int_ge(ended, 1);
	ck_assert_int_le(ended, 2);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(deadline_in_the_past)
{
	struct forkpool *pool = pool_new(2);
	int in[COUNT], out[COUNT] = { 0 }, i;
	struct forkpool_status status[COUNT];
	size_t first = SIZE_MAX;

	board_begin(in, COUNT);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, COUNT, .status = status,
				      .first_failure = &first, .deadline = 1), -FORKPOOL_ETIMEDOUT);
	ck_assert_uint_eq(first, 0);
	for (i = 0; i < COUNT; i++) {
		ck_assert_int_eq(status[i].outcome, FORKPOOL_ITEM_NOT_RUN);
		ck_assert_int_eq(out[i], 0);
		ck_assert_int_eq(board->runs[i], 0);
	}
	forkpool_destroy(pool);
}
END_TEST

static int nap_page(void *arg, const void *in, void *out)
{
	(void)arg;
	sleep_ms(5);
	*(char *)out = *(const char *)in + 1;
	return 0;
}

/* More than the arena holds: the pieces behind the deadline are not even begun. */
START_TEST(deadline_holds_for_all_pieces)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = 1 << 20, .grace = 200 * MS);
	static char in[1000][4096], out[1000][4096];
	static struct forkpool_status status[1000];
	struct forkpool *pool;
	size_t first = 0;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(FORKPOOL_MAP(pool, nap_page, in, out, 1000, .status = status,
				      .first_failure = &first, .deadline = LIMIT),
			 -FORKPOOL_ETIMEDOUT);
	check_cut(status, 1000, first);
	ck_assert_int_eq(status[999].outcome, FORKPOOL_ITEM_NOT_RUN);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(deadline_for_ranges)
{
	struct forkpool *pool = pool_new(2);
	size_t first = SIZE_MAX;
	FORKPOOL_JOB_OPTS(opts, .chunk = 10, .first_failure = &first, .deadline = LIMIT);

	board->bad = 15;
	ck_assert_int_eq(forkpool_for(pool, range, 0, 1000, &opts), -FORKPOOL_ETIMEDOUT);
	ck_assert_uint_le(first, 15);
	board->bad = -1;
	opts.deadline = 100 * LIMIT;
	ck_assert_int_eq(forkpool_for(pool, range, 0, 1000, &opts), 0);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Two jobs at once ------------------------------------------------------------------------- */

static void *map_with_limits(void *pool)
{
	FORKPOOL_JOB_OPTS(opts, .timeout = 5 * MS);
	int round;

	for (round = 0; round < 10; round++)
		if (forkpool_map(pool, hang, NULL, 0, NULL, 0, 4, &opts) != -FORKPOOL_ETIMEDOUT)
			return pool;
	return NULL;
}

START_TEST(jobs_without_limits_do_not_notice)
{
	struct forkpool *pool = pool_new(2);
	int in[COUNT], out[COUNT], round;
	struct forkpool_status status[COUNT];
	pthread_t thread;
	void *failed;

	pthread_create(&thread, NULL, map_with_limits, pool);
	for (round = 0; round < 100; round++) {
		board_begin(in, COUNT);
		ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, COUNT, .status = status), 0);
		board_check_others(out, status, COUNT);
	}
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Arguments ---------------------------------------------------------------------------------- */

START_TEST(bad_limits)
{
	struct forkpool *pool = pool_new(1);
	int in[1] = { 0 }, out[1];
	FORKPOOL_OPTS(opts, .workers = 1, .grace = -1);
	struct forkpool *none = NULL;

	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, 1, .timeout = -1), -EINVAL);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, 1, .deadline = -1), -EINVAL);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, 1, .timeout = INT64_MIN), -EINVAL);
	ck_assert_int_eq(forkpool_create(&none, &opts), -EINVAL);
	ck_assert_ptr_null(none);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(huge_limits)
{
	FORKPOOL_OPTS(opts, .workers = 1, .grace = INT64_MAX);
	int in[3] = { 0, 1, 2 }, out[3];
	struct forkpool *pool;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, 3, .timeout = INT64_MAX), 0);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, 3, .deadline = INT64_MAX), 0);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, 3, .timeout = INT64_MAX - 1,
				      .deadline = INT64_MAX - 1), 0);
	/* Past its limit, and with all the grace there is. */
	ck_assert_int_eq(FORKPOOL_MAP(pool, nap_page, (char *)in, (char *)out, 3, .timeout = 1), 0);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Inside an item ------------------------------------------------------------------- */

#define INNER	4

static int hang_once(void *arg, const void *in, void *out)
{
	int i = *(const int *)in;

	(void)arg;
	if (atomic_fetch_add(&board->runs[i], 1) == 0 && i == board->bad)
		never_end(board->way);
	*(int *)out = 2 * i;
	return 0;
}

/* Its item hangs in this worker, which dies for it, or in another one. */
static int map_hangs_once(void *arg, const void *unused, void *unused_out)
{
	struct forkpool_status status[INNER];
	int in[INNER] = { 0, 1, 2, 3 }, out[INNER], i, err;

	(void)arg;
	(void)unused;
	(void)unused_out;
	err = FORKPOOL_MAP(forkpool_current(), hang_once, in, out, INNER, .chunk = 1,
			   .timeout = LIMIT / 4, .status = status);
	for (i = 0; i < INNER; i++)
		if (err && i == board->bad ? status[i].outcome != FORKPOOL_ITEM_TIMED_OUT
					   : status[i].outcome != FORKPOOL_ITEM_OK || out[i] != 2 * i)
			return 1;
	return err == 0 || err == -FORKPOOL_ETIMEDOUT ? 0 : 2;
}

START_TEST(an_items_items_have_limits)
{
	struct forkpool *pool = pool_new(1 + (unsigned)_i % 3);
	FORKPOOL_JOB_OPTS(opts, .retries = 1);
	int64_t begin = now_ms();

	board->bad = _i % INNER;
	board->way = _i % 2 ? SPIN : STOP_SELF;
	ck_assert_int_eq(forkpool_map(pool, map_hangs_once, NULL, 0, NULL, 0, 1, &opts), 0);
	ck_assert_int_lt(now_ms() - begin, CAP_MS);
	forkpool_destroy(pool);
}
END_TEST

static int always_hang(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	atomic_fetch_add(&board->starts, 1);
	never_end(board->way);
	return 0;
}

/*
 * Two levels of it, where the argument says so.  On a busy machine the limit may pass
 * before all that was mapped has begun: then that ends first, and we hang here.
 */
static int map_that_hangs(void *arg, const void *in, void *out)
{
	static const int less;
	FORKPOOL_JOB_OPTS(opts, .arg = (void *)&less, .arg_size = sizeof(less), .chunk = 1);
	int err;

	(void)in;
	(void)out;
	err = forkpool_map(forkpool_current(), *(int *)arg ? map_that_hangs : always_hang,
			   NULL, 0, NULL, 0, INNER, &opts);
	if (err == -FORKPOOL_ETIMEDOUT)
		never_end(board->way);
	return err;
}

/* Who waits for items that hang is ended at its limit, they with it, wherever they run. */
START_TEST(a_limit_holds_for_what_an_item_maps)
{
	struct forkpool *pool = pool_new(3);
	int deep = _i / 2, in[COUNT], out[COUNT];
	FORKPOOL_JOB_OPTS(opts, .arg = &deep, .arg_size = sizeof(deep), .timeout = LIMIT / 4);
	int64_t begin = now_ms();

	board->way = _i % 2 ? SPIN : STOP_SELF;
	ck_assert_int_eq(forkpool_map(pool, map_that_hangs, NULL, 0, NULL, 0, 2, &opts),
			 -FORKPOOL_ETIMEDOUT);
	ck_assert_int_lt(now_ms() - begin, CAP_MS);
	board_begin(in, COUNT);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, COUNT), 0);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(a_killed_job_takes_what_its_items_map)
{
	struct forkpool *pool = pool_new(3);
	int deep = _i / 2, in[COUNT], out[COUNT];
	FORKPOOL_JOB_OPTS(opts, .arg = &deep, .arg_size = sizeof(deep));
	struct forkpool_job *job;

	board->way = _i % 2 ? SPIN : STOP_SELF;
	ck_assert_int_eq(forkpool_map_async(pool, map_that_hangs, NULL, 0, NULL, 0, 1, &opts, &job), 0);
	while (atomic_load(&board->starts) < 3)
		sleep_ms(1);
	ck_assert_int_eq(forkpool_job_kill(job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, CAP_MS * MS), -FORKPOOL_ECANCELED);
	forkpool_job_free(job);
	board_begin(in, COUNT);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, COUNT), 0);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(no_limits_without_processes)
{
	FORKPOOL_OPTS(opts, .workers = 1, .mode = _i);
	struct forkpool *pool;
	int in[1] = { 0 }, out[1];

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, 1, .timeout = 1), -ENOTSUP);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, 1, .deadline = INT64_MAX), -ENOTSUP);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, 1, .timeout = -1), -EINVAL);
	ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, 1), 0);
	forkpool_destroy(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("limits");
	TCase *tc = test_case(suite, "arguments");

	tcase_add_checked_fixture(tc, board_open, board_close);
	tcase_add_test(tc, bad_limits);
	tcase_add_loop_test(tc, no_limits_without_processes, FORKPOOL_THREADS, FORKPOOL_INLINE + 1);
	if (!test_processes())
		return test_main(suite);
	tcase_add_test(tc, huge_limits);
	tc = test_case(suite, "timeout");
	tcase_add_checked_fixture(tc, board_open, board_close);
	tcase_add_test(tc, item_that_never_ends);
	tcase_add_test(tc, every_item_never_ends);
	tcase_add_test(tc, each_item_has_its_own_limit);
	tcase_add_test(tc, grace_lets_an_item_end);
	tcase_add_test(tc, timed_out_is_final);
	tcase_add_test(tc, other_ends_are_as_ever);
	tcase_add_test(tc, timed_out_stops_where_an_error_would);
	tcase_add_test(tc, hooks_run_in_the_new_worker);
	tcase_add_loop_test(tc, range_times_out_as_a_whole, 0, 2);
	tcase_add_test(tc, jobs_without_limits_do_not_notice);
	tc = test_case(suite, "deadline");
	tcase_add_checked_fixture(tc, board_open, board_close);
	tcase_add_loop_test(tc, deadline_cuts_a_job, 0, 2);
	tcase_add_test(tc, deadline_ends_items);
	tcase_add_test(tc, deadline_in_the_past);
	tcase_add_test(tc, deadline_holds_for_all_pieces);
	tcase_add_test(tc, deadline_for_ranges);
	tc = test_case(suite, "inside an item");
	tcase_add_checked_fixture(tc, board_open, board_close);
	tcase_add_loop_test(tc, an_items_items_have_limits, 0, 12);
	tcase_add_loop_test(tc, a_limit_holds_for_what_an_item_maps, 0, 4);
	tcase_add_loop_test(tc, a_killed_job_takes_what_its_items_map, 0, 4);
	return test_main(suite);
}
