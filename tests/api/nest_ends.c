/* SPDX-License-Identifier: MIT */
/*
 * Maps inside items when something ends: nested items that crash, a job that is
 * cancelled, workers that leave, a pool that ends, a host that dies.
 *
 * A nested item runs in the worker of the item that maps, or in another one.  In
 * the first case a crash takes all items on that worker's stack with it, each of
 * which has its own retries; in the second it takes that item alone.  Which of the
 * two it is can't be told from outside, so the tests allow for both.
 */
#include "api/nest.h"

#define OUTER	6
#define INNER	8
#define BAD	3			/* the outer item in which, and the nested item that dies */
#define LIST	1500			/* small blocks that an item allocates */
#define PIDS	64

/* What items share with the test; made before the pool. */
static struct board {
	atomic_int fuse;		/* so many deaths are to come */
	atomic_int deaths;
	int way;
	atomic_int arrived, ended, saw_cancel, open, next;
	_Atomic pid_t pids[PIDS];
} *board;

static struct forkpool *pool;

static void setup(void)
{
	board = shared_new(sizeof(*board));
	pool = pool_new(2);
}

static void teardown(void)
{
	forkpool_destroy(pool);
	shared_free(board, sizeof(*board));
}

/* ---- Crashes ------------------------------------------------------------------------- */

enum way { SEGFAULT, EXIT_3, ABORT, KILLED, WAYS };

static const struct {
	int outcome, code;
} expected[WAYS] = {
	[SEGFAULT] = { FORKPOOL_ITEM_CRASHED, SIGSEGV },
	[EXIT_3] = { FORKPOOL_ITEM_EXITED, 3 },
	[ABORT] = { FORKPOOL_ITEM_CRASHED, SIGABRT },
	[KILLED] = { FORKPOOL_ITEM_CRASHED, SIGKILL },
};

static void die(int way)
{
	atomic_fetch_add(&board->deaths, 1);
	switch (way) {
	case SEGFAULT:
		raise(SIGSEGV);
		break;
	case EXIT_3:
		exit(3);
	case ABORT:
		abort();
	case KILLED:
		raise(SIGKILL);
		break;
	}
	_exit(77);
}

static void burn(void)
{
	int left = atomic_load(&board->fuse);

	while (left > 0 && !atomic_compare_exchange_weak(&board->fuse, &left, left - 1))
		;
	if (left > 0)
		die(board->way);
}

static int inner(void *arg, const void *in, void *out)
{
	int i = *(const int *)in;

	(void)arg;
	if (i == BAD * INNER + BAD)
		burn();
	*(int *)out = 2 * i;
	return 0;
}

struct outer {
	int index;
	unsigned retries;		/* of the nested items */
};

struct outer_result {
	int err, outcome, code;		/* of its map, and of the item that may have died */
	unsigned attempts;
	int sum;
};

static int outer(void *arg, const void *in, void *out)
{
	const struct outer *o = in;
	struct outer_result *r = out;
	struct forkpool_status st[INNER];
	int x[INNER], y[INNER], i;

	(void)arg;
	for (i = 0; i < INNER; i++)
		x[i] = o->index * INNER + i;
	memset(y, 0, sizeof(y));
	*r = (struct outer_result){ 0 };
	r->err = FORKPOOL_MAP(forkpool_current(), inner, x, y, INNER, .status = st, .retries = o->retries);
	r->outcome = st[BAD].outcome;
	r->code = st[BAD].code;
	r->attempts = st[BAD].attempts;
	for (i = 0; i < INNER; i++) {
		r->sum += y[i];
		NEED(i == BAD || st[i].outcome == FORKPOOL_ITEM_OK);
		NEED(i == BAD || y[i] == 2 * x[i]);
	}
	return 0;
}

struct run {
	struct outer_result result[OUTER];
	struct forkpool_status status[OUTER];
	int err;
};

static void run_outer(struct run *run, int way, int deaths, unsigned retries, unsigned nested)
{
	struct outer in[OUTER];
	int i;

	board->way = way;
	board->fuse = deaths;
	board->deaths = 0;
	memset(run, 0, sizeof(*run));
	for (i = 0; i < OUTER; i++)
		in[i] = (struct outer){ i, nested };
	run->err = forkpool_map(pool, outer, in, sizeof(*in), run->result, sizeof(*run->result), OUTER,
				&(struct forkpool_job_opts){ .sz = sizeof(struct forkpool_job_opts),
							     .status = run->status, .retries = retries });
}

static int full_sum(int i)
{
	return 2 * (i * INNER * INNER + INNER * (INNER - 1) / 2);
}

/* The other outer items are as if nothing had happened; the bad one is where it did not lose its worker. */
static void check_others(const struct run *run)
{
	int i;

	for (i = 0; i < OUTER; i++) {
		if (i == BAD)
			continue;
		ck_assert_msg(run->status[i].outcome == FORKPOOL_ITEM_OK, "item %d: outcome %d, code %d",
			      i, run->status[i].outcome, run->status[i].code);
		ck_assert_uint_eq(run->status[i].attempts, 1);
		ck_assert_int_eq(run->result[i].err, 0);
		ck_assert_int_eq(run->result[i].sum, full_sum(i));
	}
}

/* It died with a nested item, on its own stack. */
static bool outer_died(const struct run *run, int way)
{
	const struct forkpool_status *st = &run->status[BAD];

	if (st->outcome == FORKPOOL_ITEM_OK)
		return false;
	ck_assert_msg(st->outcome == expected[way].outcome && st->code == expected[way].code,
		      "way %d: outcome %d, code %d", way, st->outcome, st->code);
	ck_assert_int_eq(run->err, -FORKPOOL_ECRASHED);
	return true;
}

START_TEST(a_crash_without_retries)
{
	struct run run;
	int way, round;

	for (way = 0; way < WAYS; way++)
		for (round = 0; round < 5; round++) {
			run_outer(&run, way, 1, 0, 0);
			ck_assert_int_eq(board->deaths, 1);
			check_others(&run);
			if (outer_died(&run, way))
				continue;
			ck_assert_int_eq(run.err, 0);
			ck_assert_int_eq(run.result[BAD].err, -FORKPOOL_ECRASHED);
			ck_assert_int_eq(run.result[BAD].outcome, expected[way].outcome);
			ck_assert_int_eq(run.result[BAD].code, expected[way].code);
			ck_assert_uint_eq(run.result[BAD].attempts, 1);
		}
	check_maps_work(pool);
}
END_TEST

START_TEST(the_outer_item_has_retries)
{
	struct run run;
	int way, round;

	for (way = 0; way < WAYS; way++)
		for (round = 0; round < 5; round++) {
			run_outer(&run, way, 1, 1, 0);
			ck_assert_int_eq(board->deaths, 1);
			ck_assert_int_eq(run.err, 0);
			check_others(&run);
			if (run.status[BAD].attempts == 2) {
				ck_assert_int_eq(run.result[BAD].err, 0);
				ck_assert_int_eq(run.result[BAD].sum, full_sum(BAD));
			} else {
				ck_assert_int_eq(run.result[BAD].err, -FORKPOOL_ECRASHED);
				ck_assert_int_eq(run.result[BAD].outcome, expected[way].outcome);
			}
		}
	check_maps_work(pool);
}
END_TEST

START_TEST(the_nested_item_has_retries)
{
	struct run run;
	int way, round;

	for (way = 0; way < WAYS; way++)
		for (round = 0; round < 5; round++) {
			run_outer(&run, way, 1, 0, 1);
			ck_assert_int_eq(board->deaths, 1);
			check_others(&run);
			if (outer_died(&run, way))
				continue;
			ck_assert_int_eq(run.err, 0);
			ck_assert_int_eq(run.result[BAD].err, 0);
			ck_assert_int_eq(run.result[BAD].outcome, FORKPOOL_ITEM_OK);
			ck_assert_uint_eq(run.result[BAD].attempts, 2);
			ck_assert_int_eq(run.result[BAD].sum, full_sum(BAD));
		}
	check_maps_work(pool);
}
END_TEST

/* Wherever they happen, two deaths are within the retries of both. */
START_TEST(both_have_retries)
{
	struct run run;
	int way, round, deaths;

	for (way = 0; way < WAYS; way++)
		for (round = 0; round < 6; round++) {
			deaths = 1 + round % 2;
			run_outer(&run, way, deaths, 2, 2);
			ck_assert_int_eq(board->deaths, deaths);
			ck_assert_int_eq(run.err, 0);
			check_others(&run);
			ck_assert_int_eq(run.status[BAD].outcome, FORKPOOL_ITEM_OK);
			ck_assert_int_eq(run.result[BAD].err, 0);
			ck_assert_int_eq(run.result[BAD].sum, full_sum(BAD));
			ck_assert_uint_le(run.status[BAD].attempts + run.result[BAD].attempts,
					  2 + (unsigned)deaths);
		}
	check_maps_work(pool);
}
END_TEST

/* An item that always dies uses up what retries there are, and no more. */
START_TEST(a_crash_each_time)
{
	struct run run;
	unsigned retries, nested;

	for (retries = 0; retries < 3; retries++)
		for (nested = 0; nested < 3; nested++) {
			run_outer(&run, KILLED, 1000, retries, nested);
			check_others(&run);
			ck_assert_int_ge(board->deaths, 1);
			ck_assert_int_le(board->deaths, (int)((retries + 1) * (nested + 1)));
			ck_assert_uint_le(run.status[BAD].attempts, retries + 1);
			if (outer_died(&run, KILLED))
				continue;
			ck_assert_int_eq(run.result[BAD].err, -FORKPOOL_ECRASHED);
			ck_assert_uint_eq(run.result[BAD].attempts, nested + 1);
		}
	check_maps_work(pool);
}
END_TEST

/* ---- What the dead had allocated ------------------------------------------------------------ */

static int use_heap(void *arg, const void *in, void *out)
{
	void *block[20];
	int i;

	(void)arg;
	(void)in;
	(void)out;
	for (i = 0; i < 20; i++)
		NEED(block[i] = forkpool_shm_alloc(forkpool_current(), 1000));
	for (i = 0; i < 20; i++)
		forkpool_shm_free(forkpool_current(), block[i]);
	return 0;
}

/* Small blocks, a map whose items use blocks of the same size, and death, at first. */
static int allocate_map_and_die(void *arg, const void *in, void *out)
{
	static char *list[LIST];
	struct forkpool *p = forkpool_current();
	char *large = forkpool_shm_alloc(p, 1 << 20);
	int i;

	(void)arg;
	(void)out;
	NEED(large);
	for (i = 0; i < LIST; i++) {
		NEED(list[i] = forkpool_shm_alloc(p, 1000));
		memset(list[i], i, 1000);
	}
	NEED(forkpool_map(p, use_heap, in, sizeof(int), NULL, 0, 1, NULL) == 0);
	for (i = 0; i < LIST; i++)
		NEED(list[i][0] == (char)i && list[i][999] == (char)i);
	NEED(forkpool_map(p, use_heap, NULL, 0, NULL, 0, 8, NULL) == 0);
	burn();
	for (i = 0; i < LIST; i++)
		forkpool_shm_free(p, list[i]);
	forkpool_shm_free(p, large);
	return 0;
}

/* More than 256 MiB in all. */
START_TEST(what_an_item_that_maps_allocated_dies_with_it)
{
	enum { ITEMS = 50, DEATHS = 250 };
	int in[ITEMS] = { 0 };
	struct forkpool_status st[ITEMS];
	FORKPOOL_JOB_OPTS(opts, .retries = DEATHS, .status = st);
	int err;
	void *all;

	board->way = KILLED;
	board->fuse = DEATHS;
	err = forkpool_map(pool, allocate_map_and_die, in, sizeof(*in), NULL, 0, ITEMS, &opts);
	ck_assert_msg(err == 0, "%s; the first: outcome %d, code %d", forkpool_strerror(err),
		      st[0].outcome, st[0].code);
	ck_assert_int_eq(board->deaths, DEATHS);
	all = forkpool_shm_alloc(pool, 200 << 20);
	ck_assert_ptr_nonnull(all);
	forkpool_shm_free(pool, all);
}
END_TEST

/* ---- Cancel, terminate --------------------------------------------------------------------------- */

/* Waits until it is told to end. */
static int wait_inside(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	atomic_store(&board->pids[atomic_fetch_add(&board->next, 1) % PIDS], getpid());
	atomic_fetch_add(&board->arrived, 1);
	while (!atomic_load(&board->open) && !forkpool_cancelled())
		sleep_ms(1);
	if (forkpool_cancelled())
		atomic_fetch_add(&board->saw_cancel, 1);
	atomic_fetch_add(&board->ended, 1);
	return 0;
}

static int map_and_wait(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return -forkpool_map(forkpool_current(), wait_inside, NULL, 0, NULL, 0, 4, NULL);
}

START_TEST(a_cancel_is_seen_below)
{
	struct forkpool_job *job = NULL;
	int err;

	ck_assert_int_eq(forkpool_map_async(pool, map_and_wait, NULL, 0, NULL, 0, 10, NULL, &job), 0);
	await_value(&board->arrived, 1);
	ck_assert_int_eq(forkpool_job_cancel(job), 0);
	err = forkpool_job_wait(job, HANG_S * 1000 * MS);
	ck_assert_msg(err == -FORKPOOL_ECANCELED || err == -FORKPOOL_EFAILED, "%s", forkpool_strerror(err));
	ck_assert_int_ge(board->saw_cancel, 1);
	ck_assert_int_eq(board->saw_cancel, board->arrived);
	forkpool_job_free(job);
	check_maps_work(pool);
}
END_TEST

static void *terminate_when_at_work(void *unused)
{
	(void)unused;
	await_value(&board->arrived, 1);
	forkpool_terminate(pool);
	return NULL;
}

START_TEST(terminate_while_items_map)
{
	struct forkpool_status st[10];
	FORKPOOL_JOB_OPTS(opts, .status = st);
	pthread_t thread;
	int i;

	ck_assert_int_eq(pthread_create(&thread, NULL, terminate_when_at_work, NULL), 0);
	ck_assert_int_eq(forkpool_map(pool, map_and_wait, NULL, 0, NULL, 0, 10, &opts), -FORKPOOL_ECANCELED);
	pthread_join(thread, NULL);
	for (i = 0; i < 10; i++)
		ck_assert_int_ne(st[i].outcome, FORKPOOL_ITEM_OK);
	ck_assert_int_eq(forkpool_join(pool, HANG_S * 1000 * MS), 0);
}
END_TEST

START_TEST(destroy_while_items_map)
{
	struct forkpool_job *job;
	int64_t begin;

	ck_assert_int_eq(forkpool_map_async(pool, map_and_wait, NULL, 0, NULL, 0, 10, NULL, &job), 0);
	await_value(&board->arrived, 1);
	begin = now_ms();
	forkpool_destroy(pool);
	ck_assert_int_lt(now_ms() - begin, HANG_S * 1000);
	pool = NULL;
}
END_TEST

/* ---- Workers come and go ------------------------------------------------------------------------- */

static void *resize_often(void *unused)
{
	unsigned n = 0;
	int err = 0;

	(void)unused;
	while (!atomic_load(&board->open) && !err) {
		err = forkpool_resize(pool, 1 + n++ % 4);
		sleep_ms(1);
	}
	return (void *)(intptr_t)err;
}

START_TEST(resize_while_items_map)
{
	pthread_t thread;
	void *err;
	uint32_t i;

	ck_assert_int_eq(pthread_create(&thread, NULL, resize_often, NULL), 0);
	for (i = 0; i < 30; i++)
		check_trees(pool, (struct node){ .levels = 3, .width = 6, .place = i % PLACES, .base = i }, 8);
	atomic_store(&board->open, 1);
	pthread_join(thread, &err);
	ck_assert_int_eq((int)(intptr_t)err, 0);
}
END_TEST

START_TEST(workers_leave_after_their_share)
{
	FORKPOOL_OPTS(opts, .workers = 2, .max_items_per_worker = 50, .arena_size = 64 << 20);
	struct forkpool *p;
	uint32_t i;

	ck_assert_int_eq(forkpool_create(&p, &opts), 0);
	for (i = 0; i < 20; i++)
		check_trees(p, (struct node){ .levels = 2, .width = 10, .place = i % PLACES, .base = i }, 10);
	forkpool_destroy(p);
}
END_TEST

/* ---- The host dies; items fork ------------------------------------------------------------------------ */

static void host_of_maps(void *unused)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = 16 << 20);
	struct forkpool *p;

	(void)unused;
	MUST(forkpool_create(&p, &opts) == 0);
	forkpool_map(p, map_and_wait, NULL, 0, NULL, 0, 10, NULL);
}

static bool gone_within(pid_t pid, int ms)
{
	int64_t until = now_ms() + ms;

	while (kill(pid, 0) == 0 && now_ms() < until)
		sleep_ms(5);
	return kill(pid, 0) < 0 && errno == ESRCH;
}

START_TEST(the_host_dies_while_items_map)
{
	pid_t host = child_start(host_of_maps, NULL);
	int i;

	await_value(&board->arrived, 1);
	kill(host, SIGKILL);
	ck_assert_int_eq(child_end(host), -SIGKILL);
	for (i = 0; i < PIDS && board->pids[i]; i++)
		ck_assert(gone_within(board->pids[i], HANG_S * 1000));
}
END_TEST

/* What an item forked is no worker: its map works or is refused, and harms nobody. */
static int fork_and_map(void *arg, const void *in, void *out)
{
	int x[4] = { 1, 2, 3, 4 }, y[4], err, status;
	pid_t pid = fork();

	(void)arg;
	(void)in;
	(void)out;
	NEED(pid >= 0);
	if (pid == 0) {
		err = FORKPOOL_MAP(forkpool_current(), inner, x, y, 4);
		_exit(err == 0 || err == -EINVAL ? 0 : 1);
	}
	NEED(waitpid(pid, &status, 0) == pid);
	NEED(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return 0;
}

START_TEST(a_child_of_an_item_may_try)
{
	struct forkpool_status st[10];
	FORKPOOL_JOB_OPTS(opts, .status = st);
	int err = forkpool_map(pool, fork_and_map, NULL, 0, NULL, 0, 10, &opts), i;

	for (i = 0; i < 10; i++)
		ck_assert_msg(st[i].outcome == FORKPOOL_ITEM_OK, "line %d", st[i].code);
	ck_assert_int_eq(err, 0);
	check_maps_work(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nest_ends");
	TCase *crashes = test_case(suite, "crashes"), *ends = test_case(suite, "ends");
	TCase *crew = test_case(suite, "crew"), *others = test_case(suite, "others");
	TCase *cases[] = { crashes, ends, crew, others };
	int i;

	/* Inline, the caller runs the items: nobody is left to cancel. */
	if (test_inline())
		return TEST_SKIP;
	for (i = 0; i < 4; i++)
		tcase_add_checked_fixture(cases[i], setup, teardown);
	tcase_add_test(ends, a_cancel_is_seen_below);
	tcase_add_test(ends, terminate_while_items_map);
	tcase_add_test(ends, destroy_while_items_map);
	if (!test_processes())
		return test_main(suite);
	tcase_add_test(crashes, a_crash_without_retries);
	tcase_add_test(crashes, the_outer_item_has_retries);
	tcase_add_test(crashes, the_nested_item_has_retries);
	tcase_add_test(crashes, both_have_retries);
	tcase_add_test(crashes, a_crash_each_time);
	tcase_add_test(crashes, what_an_item_that_maps_allocated_dies_with_it);
	tcase_add_test(crew, resize_while_items_map);
	tcase_add_test(crew, workers_leave_after_their_share);
	tcase_add_test(others, the_host_dies_while_items_map);
	tcase_add_test(others, a_child_of_an_item_may_try);
	return test_main(suite);
}
