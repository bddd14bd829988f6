/* SPDX-License-Identifier: MIT */
/* A pool's figures: exact where the program determines them, and read at any time. */
#include <pthread.h>
#include <stdatomic.h>

#include "api/stats.h"

/* ---- Items ---------------------------------------------------------------------------- */

static int none(void *arg, size_t begin, size_t end)
{
	(void)arg;
	return begin > end;
}

START_TEST(items_are_counted)
{
	struct forkpool_stats s;
	size_t n, sum = 0;

	for (n = 1; n < 100000; n = n * 3 + 1) {
		ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, n, NULL), 0);
		ck_assert_uint_eq(stats_of(pool).items, sum += n);
		ck_assert_int_eq(forkpool_for(pool, none, 5, 5 + n, NULL), 0);
		ck_assert_uint_eq(stats_of(pool).items, sum += n);
	}
	s = stats_of(pool);
	ck_assert(test_inline() || s.claims > 1);
	ck_assert_uint_eq(s.deaths + s.kills + s.replaced + s.retries + s.timeouts, 0);
	ck_assert_uint_eq(s.maps + s.nested_maps, 0);
}
END_TEST

START_TEST(async_items_are_counted)
{
	struct forkpool_job *jobs[10];
	size_t i, sum = 0;

	for (i = 0; i < 10; i++)
		jobs[i] = start_nothing(pool, 100 * i + 1);
	for (i = 0; i < 10; i++) {
		ck_assert_int_eq(forkpool_job_wait(jobs[i], HANG), 0);
		forkpool_job_free(jobs[i]);
		sum += 100 * i + 1;
	}
	ck_assert_uint_eq(stats_of(pool).items, sum);
}
END_TEST

/* Those that fail have ended too; those behind the first, with stop_on_error, never begin. */
START_TEST(tasks_are_counted)
{
	struct forkpool_stats s;
	int x, y;

	for (x = 0; x < 300; x++)
		ck_assert_int_eq(forkpool_call(pool, odd_fails, &x, sizeof(x), &y, sizeof(y), NULL),
				 x % 2 ? -FORKPOOL_EFAILED : 0);
	s = stats_of(pool);
	ck_assert_uint_eq(s.tasks, 300);
	ck_assert_uint_eq(s.items, 0);
	ck_assert_int_gt(s.busy_ns, 0);
}
END_TEST

START_TEST(failed_items_are_counted)
{
	struct forkpool *one = pool_new(1);
	int in[COUNT], i;

	for (i = 0; i < COUNT; i++)
		in[i] = i;
	ck_assert_int_eq(forkpool_map(one, odd_fails, in, sizeof(in[0]), NULL, 0, COUNT, NULL),
			 -FORKPOOL_EFAILED);
	ck_assert_uint_eq(stats_of(one).items, COUNT);
	in[0] = 2;
	FORKPOOL_JOB_OPTS(stops, .stop_on_error = 1, .chunk = 7);
	ck_assert_int_eq(forkpool_map(one, odd_fails, in, sizeof(in[0]), NULL, 0, COUNT, &stops),
			 -FORKPOOL_EFAILED);
	ck_assert_uint_eq(stats_of(one).items, COUNT + 2);
	forkpool_destroy(one);
}
END_TEST

static int maps_nothing(void *arg, const void *in, void *out)
{
	size_t n = *(const size_t *)in;

	(void)arg;
	(void)out;
	return forkpool_map(forkpool_current(), nothing, NULL, 0, NULL, 0, n, NULL);
}

START_TEST(nested_items_are_counted)
{
	size_t in[COUNT], i, sum = 0;

	for (i = 0; i < COUNT; i++)
		sum += 1 + (in[i] = i % 30);
	ck_assert_int_eq(forkpool_map(pool, maps_nothing, in, sizeof(in[0]), NULL, 0, COUNT, NULL), 0);
	ck_assert_uint_eq(stats_of(pool).items, sum);
	ck_assert_uint_eq(stats_of(pool).nested_maps, 0);
}
END_TEST

START_TEST(the_pool_is_the_sum_of_its_workers)
{
	uint64_t items = 0, claims = 0;
	struct forkpool_worker_stats w;
	struct forkpool_stats s;
	unsigned id;

	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 50000, NULL), 0);
	s = stats_of(pool);
	for (id = 0; id < s.workers; id++) {
		w = worker_of(pool, id);
		items += w.items;
		claims += w.claims;
		ck_assert_int_gt(w.pid, 0);
		ck_assert_int_ge(w.state, FORKPOOL_WORKER_IDLE);
		ck_assert_int_le(w.state, FORKPOOL_WORKER_BUSY);
		if (test_processes())
			ck_assert_int_ne(w.pid, getpid());
		else
			ck_assert_int_eq(w.pid, getpid());
	}
	ck_assert_uint_eq(s.workers, test_inline() ? 1 : 2);
	ck_assert_uint_eq(items, s.items);
	ck_assert_uint_eq(claims, s.claims);
}
END_TEST

/* ---- While it runs ---------------------------------------------------------------------- */

#define MAPS	300
#define ITEMS	200

static void *map_often(void *arg)
{
	intptr_t err = 0;
	int i;

	for (i = 0; i < MAPS && !err; i++)
		err = forkpool_map(arg, short_item, NULL, 0, NULL, 0, ITEMS, NULL);
	return (void *)err;
}

/* None goes back, and no worker has more time than there was. */
static void check_onward(const struct forkpool_worker_stats *was,
			 const struct forkpool_worker_stats *is, int64_t created)
{
	CHECK_EACH(is->items >= was->items);
	CHECK_EACH(is->claims >= was->claims);
	CHECK_EACH(is->failed_claims >= was->failed_claims);
	CHECK_EACH(is->wakeups >= was->wakeups);
	CHECK_EACH(is->tasks == 0);
	CHECK_EACH(is->busy_ns >= 0 && is->idle_ns >= 0 && is->state_ns >= 0);
	CHECK_EACH(is->busy_ns + is->idle_ns <= (now_ms() + 1 - created) * MS);
}

START_TEST(figures_go_on_while_it_runs)
{
	struct forkpool_worker_stats was[2] = { { .sz = 0 } }, is;
	int64_t created = now_ms();
	struct forkpool *p = pool_new(2);
	struct forkpool_stats before = { .sz = 0 }, s;
	pthread_t thread;
	unsigned id;
	void *err;

	ck_assert_int_eq(pthread_create(&thread, NULL, map_often, p), 0);
	do {
		s = stats_of(p);
		CHECK_EACH(s.items >= before.items && s.items <= MAPS * ITEMS);
		CHECK_EACH(s.claims >= before.claims && s.wakeups >= before.wakeups);
		CHECK_EACH(s.busy <= s.workers);
		CHECK_EACH(s.workers == (test_inline() ? 1 : 2));
		CHECK_EACH(s.maps <= 1);
		before = s;
		for (id = 0; id < s.workers; id++) {
			is = worker_of(p, id);
			check_onward(&was[id], &is, created);
			was[id] = is;
		}
	} while (s.items < MAPS * ITEMS);
	pthread_join(thread, &err);
	ck_assert_ptr_null(err);
	ck_assert_uint_eq(stats_of(p).items, MAPS * ITEMS);
	ck_assert_int_gt(stats_of(p).busy_ns, 0);
	forkpool_destroy(p);
}
END_TEST

/* What idle workers do is known, so how long they do it is as well. */
START_TEST(idle_time)
{
	struct forkpool_stats a, b;
	int64_t begin;

	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 100, NULL), 0);
	AWAIT_STATS(a, a.busy == 0);
	begin = now_ms();
	sleep_ms(50);
	b = stats_of(pool);
	ck_assert_int_ge(b.idle_ns - a.idle_ns, 50 * MS * b.workers);
	ck_assert_int_le(b.idle_ns - a.idle_ns, (now_ms() + HANG_S * 1000 - begin) * MS * b.workers);
	ck_assert_int_eq(b.busy_ns, a.busy_ns);
	ck_assert_int_ge(worker_of(pool, 0).state_ns, 50 * MS);
	ck_assert_int_eq(worker_of(pool, 0).state, FORKPOOL_WORKER_IDLE);
}
END_TEST

static void *map_at_gate(void *arg)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .chunk = 1);

	return (void *)(intptr_t)forkpool_map(arg, at_gate, NULL, 0, NULL, 0, 2, &opts);
}

START_TEST(busy_time)
{
	unsigned workers = test_inline() ? 1 : 2, id;
	struct forkpool_stats a, b;
	pthread_t thread;
	void *err;

	ck_assert_int_eq(pthread_create(&thread, NULL, map_at_gate, pool), 0);
	wait_for(&gate->arrived, (int)workers);
	a = stats_of(pool);
	ck_assert_uint_eq(a.busy, workers);
	ck_assert_uint_eq(a.maps, 1);
	sleep_ms(50);
	b = stats_of(pool);
	ck_assert_int_ge(b.busy_ns - a.busy_ns, 50 * MS * workers);
	ck_assert_int_eq(b.idle_ns, a.idle_ns);
	for (id = 0; id < workers; id++) {
		ck_assert_int_eq(worker_of(pool, id).state, FORKPOOL_WORKER_BUSY);
		ck_assert_int_ge(worker_of(pool, id).state_ns, 50 * MS);
	}
	atomic_store(&gate->open, 1);
	pthread_join(thread, &err);
	ck_assert_ptr_null(err);
	AWAIT_STATS(b, b.busy == 0);
	ck_assert_uint_eq(b.maps, 0);
	ck_assert_uint_eq(b.items, 2);
}
END_TEST

START_TEST(sleepers_wake_up)
{
	FORKPOOL_OPTS(opts, .workers = 2, .spin = -1);
	int64_t until = now_ms() + HANG_S * 1000;
	struct forkpool *p;

	ck_assert_int_eq(forkpool_create(&p, &opts), 0);
	/* Each map may come too early for sleepers. */
	while (!stats_of(p).wakeups && !test_inline()) {
		ck_assert_int_lt(now_ms(), until);
		sleep_ms(2);
		ck_assert_int_eq(forkpool_map(p, nothing, NULL, 0, NULL, 0, 2, NULL), 0);
	}
	ck_assert(!test_inline() || !stats_of(p).wakeups);
	forkpool_destroy(p);
}
END_TEST

/* ---- Inside items ----------------------------------------------------------------------- */

/* The owner goes on when another worker has come to the gate. */
static int inner_item(void *arg, const void *in, void *out)
{
	struct gate *g = arg;

	(void)out;
	if (forkpool_worker_id() != *(const unsigned *)in)
		return at_gate(arg, NULL, NULL);
	while (!atomic_load(&g->arrived) && !atomic_load(&g->open))
		sleep_ms(1);
	return 0;
}

#define INNER	64

static int outer_item(void *arg, const void *in, void *out)
{
	unsigned me[INNER], i;
	FORKPOOL_JOB_OPTS(opts, .arg = arg, .chunk = 1);

	(void)in;
	for (i = 0; i < INNER; i++)
		me[i] = forkpool_worker_id();
	*(unsigned *)out = me[0];
	return forkpool_map(forkpool_current(), inner_item, me, sizeof(me[0]), NULL, 0, INNER, &opts);
}

#define POPULATE_WRITE	23	/* as madvise() has it; older headers lack the name */

/* Before Linux 5.14 there is none, and such maps run in the worker that asks. */
static bool nested_maps_are_shared(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = shared_new(page);
	bool yes = madvise(p, page, POPULATE_WRITE) == 0;

	shared_free(p, page);
	return yes && !test_inline();
}

START_TEST(a_worker_that_waits)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	unsigned *owner = forkpool_shm_calloc(pool, 1, sizeof(*owner));
	struct forkpool_job *job;

	if (!nested_maps_are_shared())
		return;
	ck_assert_int_eq(forkpool_map_async(pool, outer_item, NULL, 0, owner, sizeof(*owner), 1,
					    &opts, &job), 0);
	wait_for(&gate->arrived, 1);
	await_state(*owner, FORKPOOL_WORKER_WAITING);
	await_state(1 - *owner, FORKPOOL_WORKER_BUSY);
	ck_assert_uint_eq(stats_of(pool).nested_maps, 1);
	ck_assert_uint_eq(stats_of(pool).maps, 1);
	ck_assert_uint_eq(stats_of(pool).busy, 1);
	atomic_store(&gate->open, 1);
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	forkpool_job_free(job);
	ck_assert_uint_eq(stats_of(pool).items, 1 + INNER);
	ck_assert_uint_eq(stats_of(pool).nested_maps, 0);
}
END_TEST

/* What an item sees of its own pool: 0, or the line that is wrong. */
static int look_at_own_pool(void *arg, const void *in, void *out)
{
	struct forkpool_worker_stats w = { .sz = sizeof(w) };
	struct forkpool_stats s = { .sz = sizeof(s) };

	(void)arg;
	(void)in;
	(void)out;
	if (forkpool_stats(forkpool_current(), &s))
		return __LINE__;
	if (s.workers != (test_inline() ? 1 : 2) || !s.busy || s.maps != 1)
		return __LINE__;
	if (forkpool_worker_stats(forkpool_current(), forkpool_worker_id(), &w))
		return __LINE__;
	return w.state == FORKPOOL_WORKER_BUSY && w.pid == getpid() ? 0 : __LINE__;
}

START_TEST(workers_may_ask)
{
	struct forkpool_status status[COUNT];
	int i;
	FORKPOOL_JOB_OPTS(opts, .status = status);

	forkpool_map(pool, look_at_own_pool, NULL, 0, NULL, 0, COUNT, &opts);
	for (i = 0; i < COUNT; i++)
		if (status[i].code)
			ck_abort_msg("line %d", status[i].code);
}
END_TEST

/* ---- Bad input ---------------------------------------------------------------------------- */

START_TEST(sizes)
{
	struct {
		struct forkpool_stats s;
		char tail[64];
	} big, kept;
	struct forkpool_worker_stats w;
	const char zero[64] = { 0 };
	size_t sz;

	memset(&big, 0x55, sizeof(big));
	for (sz = 0; sz < offsetof(struct forkpool_stats, nested_maps) + sizeof(unsigned); sz++) {
		big.s.sz = sz;
		kept = big;
		ck_assert_int_eq(forkpool_stats(pool, &big.s), -EINVAL);
		CHECK_EACH(!memcmp(&big, &kept, sizeof(big)));
	}
	big.s.sz = SIZE_MAX / 2;
	kept = big;
	ck_assert_int_eq(forkpool_stats(pool, &big.s), -E2BIG);
	ck_assert_mem_eq(&big, &kept, sizeof(big));
	/* A program that knows more: none of it is left as it was. */
	big.s.sz = sizeof(big);
	ck_assert_int_eq(forkpool_stats(pool, &big.s), 0);
	ck_assert_uint_eq(big.s.sz, sizeof(big));
	ck_assert_uint_eq(big.s.items, 0);
	ck_assert_uint_eq(big.s.nested_maps, 0);
	ck_assert_mem_eq(big.tail, zero, sizeof(zero));
	w.sz = sizeof(w) - 1;
	ck_assert_int_eq(forkpool_worker_stats(pool, 0, &w), -EINVAL);
	w.sz = 100000;
	ck_assert_int_eq(forkpool_worker_stats(pool, 0, &w), -E2BIG);
}
END_TEST

START_TEST(null_and_no_such_worker)
{
	struct forkpool_worker_stats w = { .sz = sizeof(w), .items = 7 };
	struct forkpool_stats s = { .sz = sizeof(s), .items = 7 };
	unsigned most = test_inline() ? 1 : test_processes() ? 5 : 2;
	FORKPOOL_OPTS(opts, .workers = 2, .max_workers = 5);
	struct forkpool *p;

	ck_assert_int_eq(forkpool_create(&p, &opts), 0);
	ck_assert_int_eq(forkpool_stats(NULL, &s), -EINVAL);
	ck_assert_int_eq(forkpool_stats(pool, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_worker_stats(NULL, 0, &w), -EINVAL);
	ck_assert_int_eq(forkpool_worker_stats(pool, 0, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_worker_stats(pool, UINT32_MAX, &w), -EINVAL);
	ck_assert_int_eq(forkpool_worker_stats(p, most, &w), -EINVAL);
	ck_assert_uint_eq(s.items, 7);
	ck_assert_uint_eq(w.items, 7);
	if (test_processes())
		ck_assert_int_eq(worker_of(p, most - 1).state, FORKPOOL_WORKER_NONE);
	else
		ck_assert_int_gt(worker_of(p, most - 1).state, FORKPOOL_WORKER_STARTING);
	forkpool_destroy(p);
}
END_TEST

static void ask_in_a_child(void *arg)
{
	struct forkpool_worker_stats w = { .sz = sizeof(w) };
	struct forkpool_stats s = { .sz = sizeof(s) };

	MUST(forkpool_stats(arg, &s) == -EINVAL);
	MUST(forkpool_worker_stats(arg, 0, &w) == -EINVAL);
}

/* An item's child, too: there the control words are not mapped. */
static int ask_in_an_items_child(void *arg, const void *in, void *out)
{
	pid_t pid = fork();
	int status;

	(void)arg;
	(void)in;
	(void)out;
	if (pid == 0) {
		ask_in_a_child(forkpool_current());
		_exit(0);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

START_TEST(children)
{
	ck_assert_int_eq(child_run(ask_in_a_child, pool), 0);
	/* Where items run in threads a sanitizer may not outlive the fork. */
	if (test_processes())
		ck_assert_int_eq(forkpool_map(pool, ask_in_an_items_child, NULL, 0, NULL, 0, 2, NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stats");
	TCase *tc = jobs_case(suite, "items");

	tcase_add_test(tc, items_are_counted);
	tcase_add_test(tc, async_items_are_counted);
	tcase_add_test(tc, tasks_are_counted);
	tcase_add_test(tc, failed_items_are_counted);
	tcase_add_test(tc, nested_items_are_counted);
	tcase_add_test(tc, the_pool_is_the_sum_of_its_workers);
	tc = jobs_case(suite, "running");
	tcase_add_test(tc, figures_go_on_while_it_runs);
	tcase_add_test(tc, idle_time);
	tcase_add_test(tc, busy_time);
	tcase_add_test(tc, sleepers_wake_up);
	tcase_add_test(tc, a_worker_that_waits);
	tcase_add_test(tc, workers_may_ask);
	tc = jobs_case(suite, "bad input");
	tcase_add_test(tc, sizes);
	tcase_add_test(tc, null_and_no_such_worker);
	tcase_add_test(tc, children);
	return test_main(suite);
}
