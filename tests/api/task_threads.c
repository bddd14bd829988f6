/* SPDX-License-Identifier: MIT */
/* Many threads that submit, priorities, and who is served when. */
#include "api/tasks.h"

/* ---- Threads -------------------------------------------------------------------------- */

#ifdef __SANITIZE_ADDRESS__
#define GROWTH	(300L * 1024)
#else
#define GROWTH	(6L * 1024)	/* KiB that may come */
#endif

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%*d %ld", &pages), 1);
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void *submit_one(void *arg)
{
	FORKPOOL_JOB_OPTS(high, .priority = FORKPOOL_PRIORITY_HIGH);
	int i = *(int *)arg, y = 0, err;

	if (i % 3 == 0) {
		err = forkpool_call(pool, square, &i, sizeof(i), &y, sizeof(y), i % 2 ? &high : NULL);
		return err || y != i * i ? arg : NULL;
	}
	/* Left behind: nobody waits for it. */
	return forkpool_submit(pool, square, &i, sizeof(i), sizeof(i), NULL, NULL) ? arg : NULL;
}

static void run_threads(int n, int at_once)
{
	pthread_t threads[300];
	int numbers[300], from, i;
	void *failed;

	for (from = 0; from < n; from += at_once) {
		for (i = 0; i < at_once; i++) {
			numbers[i] = from + i;
			ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_one, &numbers[i]), 0);
		}
		for (i = 0; i < at_once; i++) {
			pthread_join(threads[i], &failed);
			ck_assert_ptr_null(failed);
		}
	}
}

START_TEST(threads_come_and_go)
{
	long before;

	run_threads(200, 4);
	before = resident_kib();
	run_threads(2000, 4);
	ck_assert_int_lt(resident_kib() - before, GROWTH);
	check_tasks_work(pool);
}
END_TEST

struct crowd {
	pthread_barrier_t all;
	atomic_int failed;
};

static void *one_of_many(void *arg)
{
	struct crowd *c = arg;
	struct forkpool_job *jobs[20];
	int i, round;

	/* All have lanes, or share them, at the same time. */
	for (round = 0; round < 3; round++) {
		pthread_barrier_wait(&c->all);
		for (i = 0; i < 20; i++)
			if (forkpool_submit(pool, square, &i, sizeof(i), sizeof(i), NULL, &jobs[i]))
				atomic_fetch_add(&c->failed, 1);
		for (i = 0; i < 20; i++) {
			if (forkpool_job_wait(jobs[i], HANG) || result_int(jobs[i]) != i * i)
				atomic_fetch_add(&c->failed, 1);
			forkpool_job_free(jobs[i]);
		}
	}
	return NULL;
}

START_TEST(more_threads_than_lanes)
{
	enum { N = 300 };
	static pthread_t threads[N];
	struct crowd c = { .failed = 0 };
	int i;

	ck_assert_int_eq(pthread_barrier_init(&c.all, NULL, N), 0);
	for (i = 0; i < N; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, one_of_many, &c), 0);
	for (i = 0; i < N; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(atomic_load(&c.failed), 0);
	pthread_barrier_destroy(&c.all);
	check_tasks_work(pool);
}
END_TEST

/* ---- Not to wait, where others do ---------------------------------------------------------- */

struct sharers {
	struct forkpool *pool;
	atomic_int ready, over, waits;
};

/* Has a lane of its own for as long as that. */
static void *hold_lane(void *arg)
{
	struct sharers *s = arg;

	forkpool_call(s->pool, nothing, NULL, 0, NULL, 0, NULL);
	atomic_fetch_add(&s->ready, 1);
	while (!atomic_load(&s->over))
		sleep_ms(1);
	return NULL;
}

/* One task that does not end, and one that has to wait for room. */
static void *fill(void *arg)
{
	struct sharers *s = arg;
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .arg_as_is = 1);

	forkpool_submit(s->pool, at_gate, NULL, 0, 0, &opts, NULL);
	atomic_store(&s->waits, 1);
	forkpool_submit(s->pool, nothing, NULL, 0, 0, NULL, NULL);
	return NULL;
}

/* Threads that share a lane: one waits for room, the other one is not to. */
START_TEST(nobody_waits_for_who_waits)
{
	enum { LANES = 256 };
	static pthread_t threads[LANES], filler;
	FORKPOOL_OPTS(opts, .workers = 2, .queue_depth = 1, .arena_size = (size_t)64 << 20);
	FORKPOOL_JOB_OPTS(dont, .dont_wait = 1);
	struct sharers s = { .ready = 0 };
	int i, err;

	ck_assert_int_eq(forkpool_create(&s.pool, &opts), 0);
	for (i = 0; i < LANES; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, hold_lane, &s), 0);
	await_value(&s.ready, LANES);
	ck_assert_int_eq(pthread_create(&filler, NULL, fill, &s), 0);
	await_value(&s.waits, 1);
	sleep_ms(20);
	alarm(HANG_S);
	err = forkpool_submit(s.pool, nothing, NULL, 0, 0, &dont, NULL);
	alarm(0);
	atomic_store(&gate->open, 1);
	pthread_join(filler, NULL);
	atomic_store(&s.over, 1);
	for (i = 0; i < LANES; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(err, -EAGAIN);
	forkpool_destroy(s.pool);
}
END_TEST

static void *free_jobs(void *arg)
{
	struct forkpool_job **jobs = arg;
	int i;

	for (i = 0; i < 1000; i++)
		forkpool_job_free(jobs[i]);
	return NULL;
}

/* One submits, another frees: the places come back. */
START_TEST(others_free)
{
	static struct forkpool_job *jobs[1000];
	pthread_t thread;
	long before = 0;
	int round, i;

	for (round = 0; round < 60; round++) {
		for (i = 0; i < 1000; i++)
			jobs[i] = submit_int(pool, square, i);
		if (round % 2)
			ck_assert_int_eq(forkpool_wait_all(jobs, 1000, HANG), 0);
		ck_assert_int_eq(pthread_create(&thread, NULL, free_jobs, jobs), 0);
		pthread_join(thread, NULL);
		if (round == 20)
			before = resident_kib();
	}
	ck_assert_int_lt(resident_kib() - before, GROWTH);
	check_tasks_work(pool);
}
END_TEST

/* ---- Priorities ------------------------------------------------------------------------- */

static struct forkpool *held_pool(struct list **list)
{
	FORKPOOL_JOB_OPTS(opts, .priority = FORKPOOL_PRIORITY_HIGH);
	struct forkpool *one = pool_new(1);

	gate = forkpool_shm_calloc(one, 1, sizeof(*gate));
	*list = forkpool_shm_calloc(one, 1, sizeof(**list));
	ck_assert(gate && *list);
	opts.arg = gate;
	ck_assert_int_eq(forkpool_submit(one, at_gate, NULL, 0, 0, &opts, NULL), 0);
	wait_for(&gate->arrived, 1);
	return one;
}

static void enlist_many(struct forkpool *p, struct list *list, int priority, int n)
{
	FORKPOOL_JOB_OPTS(opts, .arg = list, .priority = priority);
	int i;

	for (i = 0; i < n; i++)
		CHECK_EACH(forkpool_submit(p, enlist, &priority, sizeof(priority), 0, &opts, NULL) == 0);
}

/* How many of those before the last of a priority are of a lower one. */
static int lower_before_last(const struct list *list, int priority)
{
	int i, n = atomic_load(&list->n), last = 0, lower = 0;

	for (i = 0; i < n; i++)
		if (list->at[i] == priority)
			last = i;
	for (i = 0; i < last; i++)
		lower += list->at[i] < priority;
	return lower;
}

START_TEST(higher_ones_come_first)
{
	enum { N = 320 };
	struct list *list;
	struct forkpool *one = held_pool(&list);

	enlist_many(one, list, FORKPOOL_PRIORITY_LOW, N);
	enlist_many(one, list, FORKPOOL_PRIORITY_NORMAL, N);
	enlist_many(one, list, FORKPOOL_PRIORITY_HIGH, N);
	atomic_store(&gate->open, 1);
	await_value(&list->written, 3 * N);
	/* But for one search in 16, which may take a slice of the lowest. */
	ck_assert_int_lt(lower_before_last(list, FORKPOOL_PRIORITY_HIGH), 2 * N);
	ck_assert_int_eq(list->at[0], FORKPOOL_PRIORITY_HIGH);
	forkpool_destroy(one);
}
END_TEST

static int enlist_slowly(void *arg, const void *in, void *out)
{
	/* Longer than a lane is served in one go. */
	sleep_ms(2);
	return enlist(arg, in, out);
}

START_TEST(long_ones_keep_to_it)
{
	enum { N = 24 };
	int i, prio;
	struct list *list;
	struct forkpool *one = held_pool(&list);

	for (prio = FORKPOOL_PRIORITY_LOW; prio <= FORKPOOL_PRIORITY_HIGH; prio++) {
		FORKPOOL_JOB_OPTS(opts, .arg = list, .priority = prio);

		for (i = 0; i < N; i++)
			CHECK_EACH(forkpool_submit(one, enlist_slowly, &prio, sizeof(prio), 0, &opts, NULL) == 0);
	}
	atomic_store(&gate->open, 1);
	await_value(&list->written, 3 * N);
	/* One search in 16 finds one or two of them. */
	ck_assert_int_le(lower_before_last(list, FORKPOOL_PRIORITY_HIGH), 8);
	ck_assert_int_le(lower_before_last(list, FORKPOOL_PRIORITY_NORMAL), 16);
	forkpool_destroy(one);
}
END_TEST

/* Each one submits the next of its kind, so there always is a high one. */
static int high_for_ever(void *arg, const void *in, void *out)
{
	FORKPOOL_JOB_OPTS(opts, .arg = arg, .priority = FORKPOOL_PRIORITY_HIGH);

	(void)in;
	(void)out;
	if (!atomic_load((atomic_int *)arg))
		forkpool_submit(forkpool_current(), high_for_ever, NULL, 0, 0, &opts, NULL);
	return 0;
}

START_TEST(low_ones_do_not_starve)
{
	FORKPOOL_JOB_OPTS(low, .priority = FORKPOOL_PRIORITY_LOW);
	struct forkpool *one = pool_new(1);
	atomic_int *stop = forkpool_shm_calloc(one, 1, sizeof(*stop));
	FORKPOOL_JOB_OPTS(high, .priority = FORKPOOL_PRIORITY_HIGH, .arg = stop);
	struct forkpool_job *job;
	int i;

	for (i = 0; i < 10; i++)
		ck_assert_int_eq(forkpool_submit(one, high_for_ever, NULL, 0, 0, &high, NULL), 0);
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(forkpool_submit(one, nothing, NULL, 0, 0, &low, &job), 0);
		ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
		forkpool_job_free(job);
	}
	atomic_store(stop, 1);
	forkpool_destroy(one);
}
END_TEST

/* ---- Fairness ------------------------------------------------------------------------------ */

static int nap(void *arg, const void *in, void *out)
{
	(void)in;
	(void)out;
	sleep_ms(1);
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

/* The map would take seconds; tasks that come meanwhile do not wait for its end. */
START_TEST(tasks_beside_a_long_map)
{
	struct forkpool *one = pool_new(1);
	atomic_int *naps = forkpool_shm_calloc(one, 1, sizeof(*naps));
	FORKPOOL_JOB_OPTS(opts, .arg = naps);
	struct forkpool_job *map;
	int i;

	ck_assert_int_eq(forkpool_map_async(one, nap, NULL, 0, NULL, 0, 3000, &opts, &map), 0);
	await_value(naps, 1);
	for (i = 0; i < 30; i++)
		expect_int(submit_int(one, square, i), i * i);
	ck_assert_int_lt(atomic_load(naps), 1500);
	ck_assert_int_eq(forkpool_job_poll(map), 0);
	forkpool_job_cancel(map);
	ck_assert_int_eq(forkpool_job_wait(map, HANG), -FORKPOOL_ECANCELED);
	forkpool_destroy(one);
}
END_TEST

/* And the other way round. */
START_TEST(a_map_beside_a_stream_of_tasks)
{
	struct forkpool *one = pool_new(1);
	atomic_int *naps = forkpool_shm_calloc(one, 1, sizeof(*naps));
	FORKPOOL_JOB_OPTS(opts, .arg = naps);
	struct forkpool_job *map;
	int i;

	for (i = 0; i < 4000; i++)
		CHECK_EACH(forkpool_submit(one, nap, NULL, 0, 0, &opts, NULL) == 0);
	map = start_nothing(one, 100);
	ck_assert_int_eq(forkpool_job_wait(map, HANG), 0);
	ck_assert_int_lt(atomic_load(naps), 3000);
	forkpool_job_free(map);
	forkpool_destroy(one);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("task_threads");
	TCase *tc = jobs_case(suite, "threads");

	tcase_add_test(tc, threads_come_and_go);
	tcase_add_test(tc, more_threads_than_lanes);
	tcase_add_test(tc, others_free);
	if (test_processes())
		tcase_add_test(tc, nobody_waits_for_who_waits);
	if (!test_inline()) {
		tc = test_case(suite, "priorities");
		tcase_set_timeout(tc, 0);
		tcase_add_test(tc, higher_ones_come_first);
		tcase_add_test(tc, long_ones_keep_to_it);
		tcase_add_test(tc, low_ones_do_not_starve);
		tc = test_case(suite, "fairness");
		tcase_set_timeout(tc, 0);
		tcase_add_test(tc, tasks_beside_a_long_map);
		tcase_add_test(tc, a_map_beside_a_stream_of_tasks);
	}
	return test_main(suite);
}
