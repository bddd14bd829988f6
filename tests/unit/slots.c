/* SPDX-License-Identifier: MIT */
/* Job slots come and go, and who waits for one, or for any news, is woken. */
#include "engine/slots.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <forkpool.h>

#include "os/sys.h"
#include "test.h"

#define ARENA	((size_t)1 << 20)
#define CAP_S	30		/* nothing here takes as long */
#define THREADS	4
#define ROUNDS	500

static struct forkpool *pool;
static struct fp_host_slot *held[FP_SLOTS];

/* How often who watches was to be woken; workers look, too. */
static fp_a32 *_Atomic event;
static atomic_int wakes;

static int count_wake(fp_a32 *word, int count)
{
	atomic_fetch_add(&wakes, word == atomic_load(&event));
	return fp_sys_real.futex_wake(word, count);
}

static void begin(void)
{
	FORKPOOL_OPTS(opts, .workers = 1, .arena_size = ARENA);

	/* Worker threads read the table, so it is changed before and after them. */
	fp_sys.futex_wake = count_wake;
	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	atomic_store(&event, &pool->event);
	atomic_store(&wakes, 0);
}

static void end(void)
{
	forkpool_destroy(pool);
	fp_sys = fp_sys_real;
}

static void take_all(void)
{
	uint32_t i;

	for (i = 0; i < FP_SLOTS; i++)
		ck_assert_int_eq(fp_pool_take_slot(pool, false, &held[i]), 0);
}

static void give_all(void)
{
	uint32_t i;

	for (i = 0; i < FP_SLOTS; i++)
		fp_pool_give_slot(pool, held[i]);
}

static void expect_free(uint32_t n)
{
	ck_assert_uint_eq(fp_load_rlx(&pool->free_slots), n);
	ck_assert_uint_eq(fp_load_rlx(&pool->watchers), 0);
}

/* ---- Slots ---------------------------------------------------------------------------- */

START_TEST(each_slot_once)
{
	uint64_t seen = 0;
	uint32_t i;

	take_all();
	for (i = 0; i < FP_SLOTS; i++) {
		ck_assert_uint_lt(held[i]->index, FP_SLOTS);
		ck_assert_ptr_eq(held[i], &pool->host_slots[held[i]->index]);
		seen |= (uint64_t)1 << held[i]->index;
	}
	ck_assert_uint_eq(seen, UINT64_MAX);
	expect_free(0);
	give_all();
	expect_free(FP_SLOTS);
}
END_TEST

START_TEST(none_is_left)
{
	struct fp_host_slot *slot = NULL;

	take_all();
	ck_assert_int_eq(fp_pool_take_slot(pool, false, &slot), -EAGAIN);
	ck_assert_ptr_null(slot);
	expect_free(0);
	fp_pool_give_slot(pool, held[9]);
	expect_free(1);
	ck_assert_int_eq(fp_pool_take_slot(pool, false, &slot), 0);
	ck_assert_ptr_eq(slot, held[9]);
	ck_assert_int_eq(fp_pool_take_slot(pool, false, &slot), -EAGAIN);
	give_all();
	/* Nobody watched. */
	ck_assert_int_eq(atomic_load(&wakes), 0);
}
END_TEST

static int no_room(int fd, off_t off, off_t len)
{
	(void)fd;
	(void)off;
	(void)len;
	return -ENOSPC;
}

/* A slot's room in the segment is taken once; without it the slot is free as before.  No worker asks for room. */
START_TEST(no_room_for_a_slot)
{
	struct fp_host_slot *slot = NULL, *again;

	fp_sys.allocate = no_room;
	ck_assert_int_eq(fp_pool_take_slot(pool, true, &slot), -ENOSPC);
	ck_assert_ptr_null(slot);
	expect_free(FP_SLOTS);
	fp_sys.allocate = fp_sys_real.allocate;
	ck_assert_int_eq(fp_pool_take_slot(pool, true, &slot), 0);
	fp_pool_give_slot(pool, slot);
	fp_sys.allocate = no_room;
	ck_assert_int_eq(fp_pool_take_slot(pool, true, &again), 0);
	ck_assert_ptr_eq(again, slot);
	fp_pool_give_slot(pool, again);
}
END_TEST

static atomic_int punches;

static int punch_counts(int fd, off_t off, off_t len)
{
	atomic_fetch_add(&punches, 1);
	return fp_sys_real.punch(fd, off, len);
}

static int no_room_before_a_punch(int fd, off_t off, off_t len)
{
	return atomic_load(&punches) ? fp_sys_real.allocate(fd, off, len) : -ENOSPC;
}

/* What the arena keeps for later is not what fails a map. */
START_TEST(room_that_the_arena_keeps)
{
	struct fp_host_slot *slot = NULL;

	forkpool_shm_free(pool, forkpool_shm_alloc(pool, ARENA / 2));
	atomic_store(&punches, 0);
	fp_sys.punch = punch_counts;
	fp_sys.allocate = no_room_before_a_punch;
	ck_assert_int_eq(fp_pool_take_slot(pool, true, &slot), 0);
	ck_assert_int_gt(atomic_load(&punches), 0);
	fp_pool_give_slot(pool, slot);
}
END_TEST

/* ---- Waiting for one --------------------------------------------------------------------- */

static void *take_one(void *ret)
{
	return (void *)(intptr_t)fp_pool_take_slot(pool, true, ret);
}

/* A thread that finds no slot, and has said that it watches. */
static pthread_t start_waiter(struct fp_host_slot **ret)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	int64_t until = fp_deadline(CAP_S * (int64_t)1000000000);
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, take_one, ret), 0);
	while (!fp_load_sc(&pool->watchers)) {
		ck_assert_msg(fp_sys.clock() < until, "nobody watches");
		nanosleep(&pause, NULL);
	}
	return thread;
}

static int end_waiter(pthread_t thread)
{
	void *err;

	pthread_join(thread, &err);
	return (int)(intptr_t)err;
}

START_TEST(who_waits_gets_the_next_one)
{
	struct fp_host_slot *slot = NULL;
	pthread_t thread;

	take_all();
	thread = start_waiter(&slot);
	fp_pool_give_slot(pool, held[3]);
	ck_assert_int_eq(end_waiter(thread), 0);
	ck_assert_ptr_eq(slot, held[3]);
	expect_free(0);
	give_all();
}
END_TEST

/* As close as can be: one slot, and many who take it and give it back. */
static void *take_and_give(void *holders)
{
	struct fp_host_slot *slot;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (fp_pool_take_slot(pool, true, &slot))
			return "not taken";
		if (atomic_fetch_add((atomic_int *)holders, 1))
			return "held twice";
		atomic_fetch_sub((atomic_int *)holders, 1);
		fp_pool_give_slot(pool, slot);
	}
	return NULL;
}

START_TEST(many_wait_for_one_slot)
{
	pthread_t threads[THREADS];
	atomic_int holders = 0;
	void *bad;
	int i;

	take_all();
	fp_pool_give_slot(pool, held[0]);
	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give, &holders), 0);
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &bad);
		ck_assert_msg(!bad, "%s", (const char *)bad);
	}
	ck_assert_int_eq(fp_pool_take_slot(pool, false, &held[0]), 0);
	expect_free(0);
	give_all();
}
END_TEST

START_TEST(the_pool_ends_before_one_comes)
{
	struct fp_host_slot *slot = NULL;
	pthread_t thread;

	take_all();
	thread = start_waiter(&slot);
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	/* As the last call that leaves does; inline there is no worker whose end would tell. */
	fp_watch_raise(pool);
	ck_assert_int_eq(end_waiter(thread), -FORKPOOL_ECANCELED);
	ck_assert_ptr_null(slot);
	expect_free(0);
}
END_TEST

START_TEST(the_nursery_dies_before_one_comes)
{
	struct fp_host_slot *slot = NULL;
	pthread_t thread;

	take_all();
	thread = start_waiter(&slot);
	kill((pid_t)(fp_load_rlx(&pool->crew.seg.ctl->life) & FUTEX_TID_MASK), SIGKILL);
	ck_assert_int_eq(end_waiter(thread), -FORKPOOL_EBROKEN);
	ck_assert_ptr_null(slot);
	expect_free(0);
}
END_TEST

/* ---- Watching ------------------------------------------------------------------------------ */

START_TEST(news_between_two_looks_are_not_missed)
{
	uint32_t seen = fp_watch_begin(pool), before = seen;

	/* Raised after the look, before the sleep: there is none. */
	fp_watch_raise(pool);
	ck_assert_int_eq(fp_watch(pool, &seen, FP_FOREVER), 0);
	ck_assert_uint_eq(seen, before + 1);
	fp_watch_raise(pool);
	fp_watch_raise(pool);
	ck_assert_int_eq(fp_watch(pool, &seen, FP_FOREVER), 0);
	ck_assert_uint_eq(seen, before + 3);
	ck_assert_int_eq(fp_watch(pool, &seen, fp_sys.clock()), -ETIMEDOUT);
	ck_assert_int_eq(atomic_load(&wakes), 3);
	fp_watch_end(pool);
}
END_TEST

START_TEST(nobody_watches_and_nothing_is_raised)
{
	uint32_t before = fp_load_rlx(&pool->event), seen = fp_watch_begin(pool);

	fp_watch_end(pool);
	fp_watch_raise(pool);
	ck_assert_uint_eq(seen, before);
	ck_assert_uint_eq(fp_load_rlx(&pool->event), before);
	ck_assert_int_eq(atomic_load(&wakes), 0);
	expect_free(FP_SLOTS);
}
END_TEST

static int nothing(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return 0;
}

/* A job that ends tells nobody but who sleeps on its word. */
START_TEST(a_job_that_ends_is_news)
{
	int64_t until = fp_deadline(CAP_S * (int64_t)1000000000);
	struct forkpool_job *job;
	uint32_t seen;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		ck_assert_int_eq(forkpool_map_async(pool, nothing, NULL, 0, NULL, 0, 3, NULL, &job), 0);
		seen = fp_watch_begin(pool);
		while (!forkpool_job_poll(job))
			ck_assert_int_eq(fp_watch(pool, &seen, until), 0);
		fp_watch_end(pool);
		forkpool_job_free(job);
	}
	expect_free(FP_SLOTS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("slots");
	TCase *tc = test_case(suite, "slots");

	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_test(tc, each_slot_once);
	tcase_add_test(tc, none_is_left);
	tcase_add_test(tc, no_room_for_a_slot);
	tcase_add_test(tc, room_that_the_arena_keeps);
	tcase_add_test(tc, who_waits_gets_the_next_one);
	tcase_add_test(tc, many_wait_for_one_slot);
	tcase_add_test(tc, the_pool_ends_before_one_comes);
	if (test_processes())
		tcase_add_test(tc, the_nursery_dies_before_one_comes);
	tcase_add_test(tc, news_between_two_looks_are_not_missed);
	tcase_add_test(tc, nobody_watches_and_nothing_is_raised);
	tcase_add_test(tc, a_job_that_ends_is_news);
	return test_main(suite);
}
