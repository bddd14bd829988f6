/* SPDX-License-Identifier: MIT */
/* Async maps inside items: jobs of the item's own, with arrays of its own memory. */
#include "api/nest.h"

#include <stdlib.h>
#include <string.h>

#define N	64

static int twice(void *arg, const void *in, void *out)
{
	const long *x = in, *bad = arg;

	if (bad && *x == *bad)
		return 5;
	*(long *)out = 2 * *x;
	return 0;
}

static int two_at_once(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	struct forkpool_job *jobs[2];
	struct forkpool_status st;
	long x[N], y[2][N];
	int i, first;

	(void)arg;
	for (i = 0; i < N; i++)
		x[i] = *(const long *)in + i;
	for (i = 0; i < 2; i++)
		NEED(forkpool_map_async(pool, twice, x, sizeof(*x), y[i], sizeof(**y), N, NULL, &jobs[i]) == 0);
	/* What was handed over is a copy. */
	memset(x, 0, sizeof(x));
	first = forkpool_wait_any(jobs, 2, -1);
	NEED(first == 0 || first == 1);
	NEED(forkpool_wait_all(jobs, 2, -1) == 0);
	NEED(forkpool_job_poll(jobs[0]) == 1);
	NEED(forkpool_job_result(jobs[0]) == NULL);
	NEED(forkpool_job_status(jobs[0], N - 1, &st) == 0 && st.outcome == FORKPOOL_ITEM_OK && st.worker);
	NEED(forkpool_job_status(jobs[0], N, &st) == -EINVAL);
	for (i = 0; i < N; i++)
		NEED(y[0][i] == 2 * (*(const long *)in + i) && y[1][i] == y[0][i]);
	forkpool_job_free(jobs[0]);
	forkpool_job_free(jobs[1]);
	NEED(forkpool_job_poll(jobs[0]) == -EINVAL);
	*(long *)out = y[0][0];
	return 0;
}

static int one_fails(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	struct forkpool_status st[N];
	size_t failed = N;
	long x[N], y[N], bad = 7;
	FORKPOOL_JOB_OPTS(opts, .arg = &bad, .arg_size = sizeof(bad), .status = st, .first_failure = &failed);
	struct forkpool_job *job;
	int i;

	(void)arg, (void)in, (void)out;
	for (i = 0; i < N; i++) {
		x[i] = i;
		y[i] = -1;
	}
	NEED(forkpool_map_async(pool, twice, x, sizeof(*x), y, sizeof(*y), N, &opts, &job) == 0);
	NEED(forkpool_job_wait(job, -1) == -FORKPOOL_EFAILED);
	NEED(forkpool_job_wait(job, 0) == -FORKPOOL_EFAILED);
	NEED(failed == 7);
	for (i = 0; i < N; i++)
		NEED(st[i].outcome == (i == 7 ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_OK) &&
		     (i == 7 ? st[i].code == 5 : y[i] == 2 * i));
	forkpool_job_free(job);
	return 0;
}

static int add_range(void *arg, size_t begin, size_t end)
{
	atomic_long *sum = arg;

	while (begin < end)
		atomic_fetch_add(sum, (long)begin++);
	return 0;
}

static int a_range(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	atomic_long *sum = forkpool_shm_calloc(pool, 1, sizeof(*sum));
	FORKPOOL_JOB_OPTS(opts, .arg = sum);
	struct forkpool_job *job;

	(void)arg, (void)in, (void)out;
	NEED(sum);
	NEED(forkpool_for_async(pool, add_range, 10, 1010, &opts, &job) == 0);
	NEED(forkpool_job_wait(job, -1) == 0);
	NEED(atomic_load(sum) == (10 + 1009) * 1000 / 2);
	forkpool_job_free(job);
	forkpool_shm_free(pool, sum);
	return 0;
}

/* Freed unfinished, and left behind by an item that ends. */
static int left_alone(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	struct forkpool_job *jobs[2];
	long x[N] = { 0 }, y[N];
	int i;

	(void)arg, (void)in, (void)out;
	for (i = 0; i < 2; i++)
		NEED(forkpool_map_async(pool, twice, x, sizeof(*x), y, sizeof(*y), N, NULL, &jobs[i]) == 0);
	forkpool_job_free(jobs[0]);
	return 0;
}

static int crash(void *arg, const void *in, void *out)
{
	(void)arg, (void)in, (void)out;
	raise(SIGSEGV);
	return 0;
}

static int one_crashes(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	struct forkpool_job *job;

	(void)arg, (void)in, (void)out;
	NEED(forkpool_map_async(pool, crash, NULL, 0, NULL, 0, 1, NULL, &job) == 0);
	/* Run by this worker it takes the item along; by another one it is an error. */
	NEED(forkpool_job_wait(job, -1) == -FORKPOOL_ECRASHED);
	forkpool_job_free(job);
	return 0;
}

/* ---- A map whose items die --------------------------------------------------------------- */

#define K	8

/* What one round is about; in the segment. */
struct deaths {
	unsigned retries;
	int stop_on_error;
	int64_t timeout;		/* in ns */
	size_t count;
	int fails;			/* an item that returns 5; K: none */
	bool no_slot;			/* is free: who begins it runs it all, and nobody knows what of it died */
	atomic_int busy, go;
	int dies[K];			/* starts of an item that end in a death: by a signal, an exit, a limit */
	enum { BY_SIGNAL, BY_EXIT, BY_LIMIT } how;
	atomic_int starts[K];
};

static int die(const struct deaths *d)
{
	if (d->how == BY_EXIT)
		_exit(7);
	if (d->how == BY_SIGNAL)
		raise(SIGKILL);
	for (;;)
		pause();
	return 0;
}

static int live_or_die(void *arg, const void *in, void *out)
{
	struct deaths *d = arg;
	int i = *(const int *)in;

	if (atomic_fetch_add(&d->starts[i], 1) < d->dies[i])
		die(d);
	if (i == d->fails)
		return 5;
	*(int *)out = 100 + i;
	return 0;
}

/* How item i has to end. */
static int outcome_of(const struct deaths *d, int i)
{
	static const int lost[] = { FORKPOOL_ITEM_CRASHED, FORKPOOL_ITEM_EXITED, FORKPOOL_ITEM_TIMED_OUT };

	if (i == d->fails)
		return FORKPOOL_ITEM_FAILED;
	if (d->how == BY_LIMIT)
		return d->dies[i] ? FORKPOOL_ITEM_TIMED_OUT : FORKPOOL_ITEM_OK;
	return d->dies[i] > (int)d->retries ? lost[d->how] : FORKPOOL_ITEM_OK;
}

static unsigned attempts_of(const struct deaths *d, int i)
{
	if (d->how == BY_LIMIT || (unsigned)d->dies[i] > d->retries)
		return d->dies[i] && d->how != BY_LIMIT ? d->retries + 1 : 1;
	return (unsigned)d->dies[i] + 1;
}

static int check_one(struct deaths *d, int i, const struct forkpool_status *st, int out)
{
	static const int codes[] = { SIGKILL, 7 };
	int outcome = outcome_of(d, i);

	NEED(st->outcome == outcome);
	NEED(st->attempts == attempts_of(d, i) && atomic_load(&d->starts[i]) == (int)st->attempts);
	NEED(st->worker > 0);
	NEED(out == (outcome == FORKPOOL_ITEM_OK ? 100 + i : -1));
	NEED(outcome != FORKPOOL_ITEM_FAILED || st->code == 5);
	NEED((outcome != FORKPOOL_ITEM_CRASHED && outcome != FORKPOOL_ITEM_EXITED) ||
	     st->code == (d->no_slot ? 0 : codes[d->how]));
	return 0;
}

static int error_of(int outcome)
{
	return outcome == FORKPOOL_ITEM_OK ? 0 : outcome == FORKPOOL_ITEM_FAILED ? -FORKPOOL_EFAILED
	       : outcome == FORKPOOL_ITEM_TIMED_OUT ? -FORKPOOL_ETIMEDOUT : -FORKPOOL_ECRASHED;
}

static int check_ends(struct deaths *d, struct forkpool_job *job, const struct forkpool_status *st,
		      const int *out, size_t first)
{
	int n = (int)d->count, bad = 0, i, line = 0;
	struct forkpool_status asked;

	while (bad < n && outcome_of(d, bad) == FORKPOOL_ITEM_OK)
		bad++;
	NEED(first == (bad < n ? (size_t)bad : K));
	NEED(forkpool_job_wait(job, 0) == (bad < n ? error_of(outcome_of(d, bad)) : 0));
	for (i = 0; i < n && !line; i++) {
		NEED(forkpool_job_status(job, (size_t)i, &asked) == 0);
		NEED(!memcmp(&asked, &st[i], sizeof(asked)));
		if (!d->stop_on_error || i <= bad || atomic_load(&d->starts[i])) {
			line = check_one(d, i, &st[i], out[i]);
			continue;
		}
		NEED(st[i].outcome == FORKPOOL_ITEM_NOT_RUN && !st[i].attempts && !st[i].worker);
		NEED(out[i] == -1);
	}
	return line;
}

/* Only looks on, so that others run it all: an item of the map that dies never takes this one along. */
static int map_and_look_on(void *arg, const void *in, void *out)
{
	struct deaths *d = arg;
	struct forkpool_status st[K];
	int x[K], y[K], i, line;
	size_t first = K;
	FORKPOOL_JOB_OPTS(opts, .arg = d, .retries = d->retries, .chunk = 1, .status = st, .timeout = d->timeout,
			  .stop_on_error = d->stop_on_error, .first_failure = &first);
	struct forkpool_job *job;

	(void)in, (void)out;
	for (i = 0; i < K; i++) {
		x[i] = i;
		y[i] = -1;
	}
	NEED(forkpool_map_async(forkpool_current(), live_or_die, x, sizeof(*x), y, sizeof(*y), d->count,
				&opts, &job) == 0);
	while (!forkpool_job_poll(job))
		sleep_ms(1);
	forkpool_job_wait(job, -1);
	line = check_ends(d, job, st, y, first);
	forkpool_job_free(job);
	return line;
}

/*
 * With two workers the one that is left runs the whole map, and dies as the one
 * that began it; with more of them that is chance.
 */
static void check_deaths(unsigned workers, const struct deaths *what, int rounds)
{
	struct forkpool *pool = pool_new(workers);
	struct deaths *d = forkpool_shm_calloc(pool, 1, sizeof(*d));
	struct forkpool_status st;
	FORKPOOL_JOB_OPTS(opts, .arg = d, .status = &st);

	ck_assert_ptr_nonnull(d);
	while (rounds--) {
		memcpy(d, what, sizeof(*d));
		forkpool_map(pool, map_and_look_on, NULL, 0, NULL, 0, 1, &opts);
		if (st.outcome != FORKPOOL_ITEM_OK)
			ck_abort_msg("%u workers, retries %u: outcome %d, line %d", workers, d->retries,
				     st.outcome, st.code);
	}
	forkpool_destroy(pool);
}

#define SLOTS	64	/* for maps of items */

static int keep_busy(void *arg, const void *in, void *out)
{
	struct deaths *d = arg;

	(void)in, (void)out;
	atomic_store(&d->busy, 1);
	while (!atomic_load(&d->go))
		sleep_ms(1);
	return 0;
}

/* Each level holds a slot, for a map of a single item that it runs itself, nobody else being idle. */
static int take_all_slots(void *arg, const void *in, void *out)
{
	struct deaths *d = arg;
	int level = *(const int *)in + 1;
	struct forkpool_status st;
	FORKPOOL_JOB_OPTS(opts, .arg = d, .retries = 1, .status = &st);

	if (level > SLOTS) {
		atomic_store(&d->go, 1);
		return map_and_look_on(arg, in, out);
	}
	forkpool_map(forkpool_current(), take_all_slots, &level, sizeof(level), NULL, 0, 1, &opts);
	return st.outcome == FORKPOOL_ITEM_FAILED ? st.code : st.outcome;
}

static void check_without_slots(const struct deaths *what)
{
	struct forkpool *pool = pool_new(2);
	struct deaths *d = forkpool_shm_calloc(pool, 1, sizeof(*d));
	struct forkpool_status st;
	FORKPOOL_JOB_OPTS(opts, .arg = d, .status = &st);
	FORKPOOL_JOB_OPTS(busy, .arg = d);
	struct forkpool_job *job;
	int level = 0;

	ck_assert_ptr_nonnull(d);
	memcpy(d, what, sizeof(*d));
	ck_assert_int_eq(forkpool_map_async(pool, keep_busy, NULL, 0, NULL, 0, 1, &busy, &job), 0);
	await_value(&d->busy, 1);
	forkpool_map(pool, take_all_slots, &level, sizeof(level), NULL, 0, 1, &opts);
	if (st.outcome != FORKPOOL_ITEM_OK)
		ck_abort_msg("retries %u: outcome %d, line %d", d->retries, st.outcome, st.code);
	forkpool_job_free(job);
	forkpool_destroy(pool);
}

static void check_many(forkpool_fn *fn, size_t count)
{
	static const unsigned workers[] = { 1, 2, 5 };
	struct forkpool *pool;
	long *in = calloc(count, sizeof(*in)), *out = calloc(count, sizeof(*out));
	struct forkpool_status *st = calloc(count, sizeof(*st));
	FORKPOOL_JOB_OPTS(opts, .status = st);
	size_t i, w;

	for (i = 0; i < count; i++)
		in[i] = (long)i * 1000;
	for (w = 0; w < 3; w++) {
		pool = pool_new(workers[w]);
		forkpool_map(pool, fn, in, sizeof(*in), out, sizeof(*out), count, &opts);
		for (i = 0; i < count; i++)
			if (st[i].outcome != FORKPOOL_ITEM_OK)
				ck_abort_msg("%u workers, item %zu: outcome %d, line %d", workers[w], i,
					     st[i].outcome, st[i].code);
		forkpool_destroy(pool);
	}
	free(st);
	free(out);
	free(in);
}

START_TEST(results_and_waits)
{
	check_many(two_at_once, 200);
}
END_TEST

START_TEST(failures)
{
	check_many(one_fails, 100);
}
END_TEST

START_TEST(ranges)
{
	check_many(a_range, 50);
}
END_TEST

START_TEST(left_to_themselves)
{
	check_many(left_alone, 300);
}
END_TEST

START_TEST(a_crash_below)
{
	struct forkpool *pool = pool_new(2);
	struct forkpool_status st[20];
	FORKPOOL_JOB_OPTS(opts, .status = st);
	int i;

	ck_assert_int_ne(forkpool_map(pool, one_crashes, NULL, 0, NULL, 0, 20, &opts), -EINVAL);
	for (i = 0; i < 20; i++)
		ck_assert_msg(st[i].outcome == FORKPOOL_ITEM_OK || st[i].outcome == FORKPOOL_ITEM_CRASHED,
			      "item %d: outcome %d, line %d", i, st[i].outcome, st[i].code);
	forkpool_destroy(pool);
}
END_TEST

/* One item dies at each start: it alone is lost, and no item is started more often than it may be. */
START_TEST(a_bad_item)
{
	struct deaths d = { .count = K, .fails = K, .dies[3] = 100 };

	for (d.retries = 0; d.retries < 3; d.retries++) {
		check_deaths(2, &d, 10);
		check_deaths(5, &d, 40);
	}
}
END_TEST

/* Several, one of which gets well, beside one that returns an error. */
START_TEST(bad_items)
{
	struct deaths d = { .count = K, .fails = 5, .dies = { [0] = 1, [2] = 100, [3] = 2, [7] = 100 } };

	for (d.retries = 0; d.retries < 3; d.retries++) {
		check_deaths(2, &d, 5);
		check_deaths(4, &d, 10);
	}
}
END_TEST

START_TEST(bad_items_get_well)
{
	struct deaths d = { .count = K, .fails = K, .retries = 2, .dies = { [1] = 2, [2] = 1, [6] = 2 } };

	check_deaths(2, &d, 10);
	check_deaths(4, &d, 20);
}
END_TEST

START_TEST(a_bad_item_that_is_alone)
{
	struct deaths d = { .count = 1, .fails = K, .dies[0] = 100, .how = BY_EXIT };

	for (d.retries = 0; d.retries < 3; d.retries++)
		check_deaths(2, &d, 10);
}
END_TEST

START_TEST(a_bad_item_stops_the_map)
{
	struct deaths d = { .count = K, .fails = K, .dies[3] = 100, .stop_on_error = 1 };

	for (d.retries = 0; d.retries < 3; d.retries++)
		check_deaths(2, &d, 10);
}
END_TEST

START_TEST(bad_items_without_a_slot)
{
	struct deaths d = { .count = K, .fails = 5, .no_slot = true, .dies = { [0] = 1, [2] = 100, [7] = 100 } };

	for (d.retries = 0; d.retries < 3; d.retries++)
		check_without_slots(&d);
}
END_TEST

/* It is not run again; the others are run all the same. */
START_TEST(an_item_past_its_limit)
{
	struct deaths d = { .count = K, .fails = K, .dies[3] = 1, .how = BY_LIMIT, .timeout = 300 * MS };

	for (d.retries = 0; d.retries < 2; d.retries++)
		check_deaths(2, &d, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nest_async");
	TCase *jobs = test_case(suite, "jobs");
	TCase *deaths = test_case(suite, "deaths");

	if (test_inline())
		return TEST_SKIP;
	tcase_add_test(jobs, results_and_waits);
	tcase_add_test(jobs, failures);
	tcase_add_test(jobs, ranges);
	tcase_add_test(jobs, left_to_themselves);
	if (test_processes()) {
		tcase_add_test(jobs, a_crash_below);
		tcase_add_test(deaths, a_bad_item);
		tcase_add_test(deaths, bad_items);
		tcase_add_test(deaths, bad_items_get_well);
		tcase_add_test(deaths, a_bad_item_that_is_alone);
		tcase_add_test(deaths, a_bad_item_stops_the_map);
		tcase_add_test(deaths, bad_items_without_a_slot);
		tcase_add_test(deaths, an_item_past_its_limit);
	}
	return test_main(suite);
}
