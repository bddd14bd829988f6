/* SPDX-License-Identifier: MIT */
/* A worker's times: what is read belongs together, and nothing hangs on what it is. */
#include "shm/stats.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "os/sys.h"
#include "test.h"

static struct fp_worker_stats s;

START_TEST(periods_add_up)
{
	struct fp_stats_times t;

	memset(&s, 0, sizeof(s));
	t = fp_stats_times(&s, 1000);
	ck_assert_int_eq(t.doing, FP_DOING_NOTHING);
	ck_assert_int_eq(t.busy_ns + t.idle_ns + t.for_ns, 0);
	fp_stats_turn(&s, FP_DOING_ITEMS, 100);
	fp_stats_turn(&s, FP_DOING_IDLE, 130);
	t = fp_stats_times(&s, 137);
	ck_assert_int_eq(t.busy_ns, 30);
	ck_assert_int_eq(t.idle_ns, 7);
	ck_assert_int_eq(t.for_ns, 7);
	ck_assert_int_eq(t.doing, FP_DOING_IDLE);
	fp_stats_turn(&s, FP_DOING_ITEMS, 150);
	fp_stats_turn(&s, FP_DOING_WAITS, 153);
	t = fp_stats_times(&s, 200);
	ck_assert_int_eq(t.busy_ns, 33);
	ck_assert_int_eq(t.idle_ns, 67);
	ck_assert_int_eq(t.doing, FP_DOING_WAITS);
	/* Its life ends; between two lives no time goes on. */
	fp_stats_turn(&s, FP_DOING_NOTHING, 200);
	t = fp_stats_times(&s, 1000);
	ck_assert_int_eq(t.busy_ns + t.idle_ns, 100);
	ck_assert_int_eq(t.for_ns, 0);
	fp_stats_turn(&s, FP_DOING_NOTHING, 2000);
	fp_stats_turn(&s, FP_DOING_ITEMS, 3000);
	t = fp_stats_times(&s, 3001);
	ck_assert_int_eq(t.busy_ns, 34);
	ck_assert_int_eq(t.idle_ns, 67);
}
END_TEST

/* A reader's time lies before it reads, so a period may begin behind it. */
START_TEST(no_period_is_negative)
{
	struct fp_stats_times t;

	memset(&s, 0, sizeof(s));
	fp_stats_turn(&s, FP_DOING_ITEMS, 100);
	fp_stats_turn(&s, FP_DOING_IDLE, 130);
	t = fp_stats_times(&s, 120);
	ck_assert_int_eq(t.busy_ns, 30);
	ck_assert_int_eq(t.idle_ns, 0);
	ck_assert_int_eq(t.for_ns, 0);
	fp_stats_turn(&s, FP_DOING_ITEMS, 110);
	ck_assert_int_eq(fp_stats_times(&s, 110).idle_ns, 0);
}
END_TEST

#define TURNS	10000000
#define LATER	((int64_t)1 << 50)	/* than all turns */

static atomic_int over;

/* One after the other, as fast as it goes; each lasts a little longer than the one before. */
static void *turn_often(void *unused)
{
	int64_t now = 0;
	int i;

	(void)unused;
	for (i = 0; i < TURNS; i++)
		fp_stats_turn(&s, i % 2 ? FP_DOING_ITEMS : FP_DOING_IDLE, now += i / 16);
	atomic_store(&over, 1);
	return NULL;
}

/* Busy and idle together are the time since the first turn, in each record. */
START_TEST(a_reading_is_of_one_record)
{
	struct fp_stats_times t;
	pthread_t thread;

	memset(&s, 0, sizeof(s));
	atomic_store(&over, 0);
	fp_stats_turn(&s, FP_DOING_ITEMS, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, turn_often, NULL), 0);
	while (!atomic_load(&over)) {
		t = fp_stats_times(&s, LATER);
		if (t.busy_ns + t.idle_ns != LATER)
			ck_abort_msg("busy %lld and idle %lld", (long long)t.busy_ns,
				     (long long)t.idle_ns);
	}
	pthread_join(thread, NULL);
}
END_TEST

static void *scribble(void *unused)
{
	uint64_t i;

	(void)unused;
	for (i = 0; !atomic_load(&over); i++) {
		fp_store_rlx(&s.turn, i * 0x9e3779b97f4a7c15u);
		fp_store_rlx(&s.times[i % 2].since, i * 0xbf58476d1ce4e5b9u);
	}
	return NULL;
}

START_TEST(a_word_may_be_anything)
{
	pthread_t thread;
	int i;

	memset(&s, 0xff, sizeof(s));
	fp_stats_times(&s, fp_sys.clock());
	atomic_store(&over, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, scribble, NULL), 0);
	for (i = 0; i < 2000; i++)
		fp_stats_times(&s, fp_sys.clock());
	atomic_store(&over, 1);
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stats");
	TCase *tc = test_case(suite, "times");

	tcase_add_test(tc, periods_add_up);
	tcase_add_test(tc, no_period_is_negative);
	tcase_add_test(tc, a_reading_is_of_one_record);
	tcase_add_test(tc, a_word_may_be_anything);
	return test_main(suite);
}
