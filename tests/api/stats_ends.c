/* SPDX-License-Identifier: MIT */
/* A pool's figures when workers die, are killed, leave, and when the pool ends. */
#include <signal.h>
#include <stdatomic.h>

#include "api/stats.h"

/* ---- Ends of workers ---------------------------------------------------------------------- */

/* The item in[i] == 1 kills its worker so many times. */
static int dies(void *arg, const void *in, void *out)
{
	(void)out;
	if (*(const int *)in && atomic_fetch_sub((atomic_int *)arg, 1) > 0)
		raise(SIGKILL);
	return 0;
}

static int map_with_deaths(int deaths, unsigned retries, int at)
{
	atomic_int *left = forkpool_shm_calloc(pool, 1, sizeof(*left));
	FORKPOOL_JOB_OPTS(opts, .arg = left, .retries = retries);
	int in[COUNT] = { 0 }, err;

	in[at] = 1;
	atomic_store(left, deaths);
	err = forkpool_map(pool, dies, in, sizeof(in[0]), NULL, 0, COUNT, &opts);
	forkpool_shm_free(pool, left);
	return err;
}

START_TEST(deaths_and_retries)
{
	static const int at[] = { 0, 37, COUNT - 1 };
	struct forkpool_stats s;
	uint64_t items;

	/* Once, and that was it. */
	ck_assert_int_eq(map_with_deaths(1, 0, at[_i]), -FORKPOOL_ECRASHED);
	s = stats_of(pool);
	ck_assert_uint_eq(s.deaths, 1);
	ck_assert_uint_eq(s.retries, 0);
	items = COUNT - 1;
	ck_assert_uint_eq(s.items, items);
	/* Twice, and then it ends. */
	ck_assert_int_eq(map_with_deaths(2, 2, at[_i]), 0);
	s = stats_of(pool);
	ck_assert_uint_eq(s.deaths, 3);
	ck_assert_uint_eq(s.retries, 2);
	items += COUNT;
	ck_assert_uint_eq(s.items, items);
	/* As often as it is tried. */
	ck_assert_int_eq(map_with_deaths(100, 2, at[_i]), -FORKPOOL_ECRASHED);
	s = stats_of(pool);
	ck_assert_uint_eq(s.deaths, 6);
	ck_assert_uint_eq(s.retries, 4);
	items += COUNT - 1;
	ck_assert_uint_eq(s.items, items);
	ck_assert_uint_eq(s.kills + s.timeouts, 0);
	AWAIT_STATS(s, s.replaced == 6 && s.workers == 2);
	ck_assert_uint_eq(s.items, items);
}
END_TEST

static int never_ends(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)out;
	while (*(const int *)in)
		pause();
	return 0;
}

START_TEST(timeouts)
{
	FORKPOOL_JOB_OPTS(opts, .timeout = 500 * MS, .retries = 3);
	int in[COUNT] = { 0 };
	struct forkpool_stats s;

	in[COUNT / 2] = 1;
	ck_assert_int_eq(forkpool_map(pool, never_ends, in, sizeof(in[0]), NULL, 0, COUNT, &opts),
			 -FORKPOOL_ETIMEDOUT);
	s = stats_of(pool);
	ck_assert_uint_eq(s.timeouts, 1);
	ck_assert_uint_eq(s.kills, 1);
	ck_assert_uint_eq(s.deaths, 1);
	ck_assert_uint_eq(s.retries, 0);
	ck_assert_uint_eq(s.items, COUNT - 1);
}
END_TEST

static void stop(unsigned id)
{
	int64_t until = now_ms() + HANG_S * 1000;
	pid_t pid = worker_of(pool, id).pid;

	ck_assert_int_gt(pid, 0);
	kill(pid, SIGSTOP);
	while (state_of(pid) != 'T') {
		ck_assert_int_lt(now_ms(), until);
		sleep_ms(1);
	}
}

START_TEST(a_killed_job)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .chunk = 1);
	struct forkpool_job *job;
	struct forkpool_stats s;

	ck_assert_int_eq(forkpool_map_async(pool, at_gate, NULL, 0, NULL, 0, 2, &opts, &job), 0);
	wait_for(&gate->arrived, 2);
	/* So that they do not end when they see the job cancelled. */
	stop(0);
	stop(1);
	ck_assert_int_eq(forkpool_job_kill(job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), -FORKPOOL_ECANCELED);
	forkpool_job_free(job);
	s = stats_of(pool);
	ck_assert_uint_eq(s.kills, 2);
	ck_assert_uint_eq(s.deaths, 2);
	ck_assert_uint_eq(s.timeouts + s.retries + s.items, 0);
}
END_TEST

START_TEST(workers_that_leave_are_no_deaths)
{
	FORKPOOL_OPTS(opts, .workers = 2, .max_items_per_worker = 50);
	struct forkpool *before = pool;
	struct forkpool_stats s;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1000, NULL), 0);
	AWAIT_STATS(s, s.replaced >= 1 && s.workers == 2);
	ck_assert_uint_eq(s.deaths + s.retries, 0);
	ck_assert_uint_eq(s.items, 1000);
	forkpool_destroy(pool);
	pool = before;
}
END_TEST

/* A number's figures outlive its workers. */
START_TEST(resized)
{
	struct forkpool_worker_stats w;
	struct forkpool_stats s;

	ck_assert_int_eq(forkpool_resize(pool, 4), 0);
	ck_assert_uint_eq(stats_of(pool).workers, 4);
	ck_assert_int_eq(forkpool_map(pool, short_item, NULL, 0, NULL, 0, 20000, NULL), 0);
	ck_assert_int_eq(forkpool_resize(pool, 1), 0);
	AWAIT_STATS(s, s.workers == 1);
	ck_assert_uint_eq(s.items, 20000);
	ck_assert_uint_eq(s.deaths + s.replaced, 0);
	w = worker_of(pool, 3);
	ck_assert_int_eq(w.state, FORKPOOL_WORKER_NONE);
	ck_assert_int_eq(w.pid, 0);
	ck_assert_int_eq(w.state_ns, 0);
	ck_assert_int_gt(w.busy_ns + w.idle_ns, 0);
	ck_assert_int_eq(worker_of(pool, 3).busy_ns, w.busy_ns);
	ck_assert_int_eq(worker_of(pool, 3).idle_ns, w.idle_ns);
}
END_TEST

/* ---- Ends of the pool --------------------------------------------------------------------- */

START_TEST(after_the_end)
{
	struct forkpool *p = pool_new(2);
	struct forkpool_stats s;

	ck_assert_int_eq(forkpool_map(p, nothing, NULL, 0, NULL, 0, COUNT, NULL), 0);
	ck_assert_int_eq(forkpool_close(p), 0);
	ck_assert_int_eq(forkpool_join(p, HANG), 0);
	s = stats_of(p);
	ck_assert_uint_eq(s.items, COUNT);
	ck_assert_uint_eq(s.workers, 0);
	ck_assert_uint_eq(s.busy, 0);
	ck_assert_uint_eq(s.deaths, 0);
	ck_assert_int_eq(worker_of(p, 0).state, FORKPOOL_WORKER_NONE);
	ck_assert_int_eq(stats_of(p).idle_ns, s.idle_ns);
	forkpool_destroy(p);
}
END_TEST

static pid_t parent_of(pid_t pid)
{
	char path[64];
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%*d (%*[^)]) %*c %d", &parent), 1);
	fclose(file);
	ck_assert_int_gt(parent, 1);
	return parent;
}

/* The nursery is the parent of each worker; nobody is left to say that they are gone. */
START_TEST(a_broken_pool)
{
	int64_t until = now_ms() + HANG_S * 1000;
	struct forkpool *p = pool_new(2);
	struct forkpool_stats s;

	ck_assert_int_eq(forkpool_map(p, nothing, NULL, 0, NULL, 0, COUNT, NULL), 0);
	ck_assert_int_eq(kill(parent_of(worker_of(p, 0).pid), SIGKILL), 0);
	while ((s = stats_of(p)).workers) {
		ck_assert_int_lt(now_ms(), until);
		sleep_ms(1);
	}
	ck_assert_uint_eq(s.items, COUNT);
	ck_assert_int_eq(worker_of(p, 1).state, FORKPOOL_WORKER_NONE);
	ck_assert_int_eq(worker_of(p, 1).pid, 0);
	ck_assert_int_eq(stats_of(p).idle_ns, s.idle_ns);
	forkpool_destroy(p);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stats_ends");
	TCase *tc = jobs_case(suite, "workers");

	if (test_processes()) {
		tcase_add_loop_test(tc, deaths_and_retries, 0, 3);
		tcase_add_test(tc, timeouts);
		tcase_add_test(tc, a_killed_job);
		tcase_add_test(tc, workers_that_leave_are_no_deaths);
		tcase_add_test(tc, resized);
	}
	tc = jobs_case(suite, "pool");
	tcase_add_test(tc, after_the_end);
	if (test_processes())
		tcase_add_test(tc, a_broken_pool);
	return test_main(suite);
}
