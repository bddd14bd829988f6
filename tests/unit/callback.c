/* SPDX-License-Identifier: MIT */
/*
 * A dispatch that is held up behind each of its instructions, while the job that it is
 * about is freed and the task's place is used for the next one: that one's callback is
 * called once, and not before the task has ended.  And a submission, while the pool ends.
 */
#include "unit/held.h"
#include "unit/places.h"

#include "api/events.h"

#define HOLDS_MOST	400u		/* of a longer dispatch every so many instructions */

static atomic_int early;

static void *dispatch(void *unused)
{
	int n;

	(void)unused;
	held_from_here();
	/* Now and then the descriptor was readable for what had been called before. */
	do {
		atomic_store(&held->steps, 0);
		n = forkpool_dispatch(pool);
	} while (!n && !atomic_load(&held->held));
	held_until_here();
	return NULL;
}

static pthread_t start_dispatch(unsigned hold_at)
{
	pthread_t thread;

	held_start(hold_at);
	ck_assert_int_eq(pthread_create(&thread, NULL, dispatch, NULL), 0);
	held_await();
	return thread;
}

static void look(struct forkpool_job *job, void *user)
{
	if (forkpool_job_poll(job) == 0)
		atomic_fetch_add(&early, 1);
	atomic_fetch_add(&calls, 1);
	atomic_fetch_add((atomic_int *)user, 1);
}

static struct forkpool_job *submit(forkpool_fn *fn, atomic_int *times)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .on_done = times ? look : NULL, .user = times);
	struct forkpool_job *job = NULL;

	if (times)
		atomic_store(times, 0);
	ck_assert_int_eq(forkpool_submit(pool, fn, NULL, 0, 0, &opts, &job), 0);
	return job;
}

static struct forkpool_job *submit_gated(void *times)
{
	return submit(until_open, times);
}

/* True when it was held up, and not over before. */
static bool hold(unsigned hold_at)
{
	atomic_int times[2] = { 0 };
	struct forkpool_job *first = submit(nothing, &times[0]), *second;
	uint32_t place = fp_handle_index(first);
	pthread_t thread;

	ck_assert_int_eq(forkpool_job_wait(first, HANG), 0);
	ck_assert(readable(forkpool_event_fd(pool), HANG_S * 1000));
	thread = start_dispatch(hold_at);
	if (!atomic_load(&held->held)) {
		pthread_join(thread, NULL);
		ck_assert_int_eq(times[0], 1);
		forkpool_job_free(first);
		return false;
	}
	forkpool_job_free(first);
	second = submit_at(place, submit_gated, &times[1]);
	held_go();
	pthread_join(thread, NULL);
	ck_assert_msg(!atomic_load(&early), "called before its end: %u", hold_at);
	atomic_store(&gate->open, 1);
	run_loop(pool, &times[1], 1);
	ck_assert_int_le(times[0], 1);
	end(second);
	return true;
}

START_TEST(held_up_anywhere)
{
	struct sigaction before;
	unsigned at, stride;

	atomic_store(&early, 0);
	atomic_store(&calls, 0);
	places_start();
	before = held_handle();
	/* The first one resolves symbols, the second one counts. */
	ck_assert(!hold(0) && !hold(0));
	ck_assert_uint_ge(held->steps, 100);
	stride = held->steps / HOLDS_MOST + 1;
	for (at = 1; hold(at); at += stride)
		;
	sigaction(SIGTRAP, &before, NULL);
	ck_assert_uint_gt(reused, 0);
	ck_assert_int_ge(calls, (int)reused);
}
END_TEST

/* ---- A submission ---------------------------------------------------------------------- */

#define SUBMITS_MOST	120u
#define ENDED_POLL_MS	5000

static atomic_int calls;

static void count_call(struct forkpool_job *job, void *user)
{
	(void)user;
	atomic_fetch_add(&calls, 1);
	forkpool_job_free(job);
}

/* Not the first one of its thread, which takes longer. */
static void *submit_with_callback(void *p)
{
	FORKPOOL_JOB_OPTS(opts, .on_done = count_call);
	struct forkpool_job *job;
	int err = forkpool_call(p, nothing, NULL, 0, NULL, 0, NULL);

	held_from_here();
	if (!err)
		err = forkpool_submit(p, nothing, NULL, 0, 0, &opts, &job);
	held_until_here();
	return (void *)(intptr_t)err;
}

/* Held up while the pool ends, and a loop sees and answers that.  What it submitted is called for all the same. */
static bool hold_submit(unsigned hold_at)
{
	struct forkpool *p = pool_new(1);
	struct pollfd poll_fd = { .fd = forkpool_event_fd(p), .events = POLLIN };
	pthread_t thread;
	bool was;
	void *err;

	atomic_store(&calls, 0);
	held_start(hold_at);
	ck_assert_int_eq(pthread_create(&thread, NULL, submit_with_callback, p), 0);
	was = held_await();
	ck_assert_int_eq(forkpool_terminate(p), 0);
	ck_assert_int_eq(forkpool_join(p, -1), 0);
	while (poll(&poll_fd, 1, 0) == 1)
		ck_assert_int_ge(forkpool_dispatch(p), 0);
	held_go();
	pthread_join(thread, &err);
	while (!err && !atomic_load(&calls)) {
		ck_assert_msg(poll(&poll_fd, 1, ENDED_POLL_MS) == 1, "held at %u: nobody is told", hold_at);
		ck_assert_int_ge(forkpool_dispatch(p), 0);
	}
	ck_assert_int_eq(atomic_load(&calls), !err);
	forkpool_destroy(p);
	return was;
}

START_TEST(submission_held_up_anywhere)
{
	struct sigaction before = held_handle();
	unsigned at, stride;

	hold_submit(0);
	hold_submit(0);
	stride = atomic_load(&held->steps) / SUBMITS_MOST + 1;
	for (at = 1; hold_submit(at); at += stride)
		;
	sigaction(SIGTRAP, &before, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("callback");
	TCase *tc = jobs_case(suite, "callback");

	if (!CAN_STEP || test_inline())
		return TEST_SKIP;
	tcase_add_checked_fixture(tc, held_new, held_free);
	tcase_add_test(tc, held_up_anywhere);
	tc = test_case(suite, "submission");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, held_new, held_free);
	tcase_add_test(tc, submission_held_up_anywhere);
	return test_main(suite);
}
