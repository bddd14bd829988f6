/* SPDX-License-Identifier: MIT */
/* Handles that are stale, foreign or made up find nothing. */
#include "engine/handle.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <forkpool.h>

#include "test.h"

#define POOLS	1024u			/* that the table has room for */
#define GENS	1023u			/* uses of a place until a handle is the same again */
#define SERIALS	(FP_HANDLE_SERIALS + 1)
#define INDEX	12345u
#define SERIAL	0x2bcdefu

/* What is looked at of a pool: it is the caller's while the token is 1. */
static uint64_t token = 1;

static struct forkpool *pools;

static void pools_make(void)
{
	uint32_t i;

	pools = calloc(POOLS + 1, sizeof(*pools));
	ck_assert_ptr_nonnull(pools);
	for (i = 0; i <= POOLS; i++)
		pools[i].token = &token;
}

static void pools_free(void)
{
	uint32_t i;

	for (i = 0; i <= POOLS; i++)
		fp_handle_remove(&pools[i]);
	free(pools);
}

static struct forkpool *find(const struct forkpool_job *job)
{
	uint32_t index, serial;

	return fp_handle_find(job, &index, &serial);
}

static void add(uint32_t i)
{
	ck_assert_int_eq(fp_handle_add(&pools[i]), 0);
}

static struct forkpool_job *handle_of(uint32_t i)
{
	return fp_handle_make(&pools[i], INDEX, SERIAL);
}

START_TEST(taken_apart_as_they_were_made)
{
	static const uint32_t indices[] = { 0, 1, 4711, FP_HANDLE_JOBS - 1 };
	static const uint32_t serials[] = { 1, 815, SERIALS - 1 };
	uint32_t p, i, s, index, serial;

	add(0);
	add(1);
	for (p = 0; p < 2; p++)
		for (i = 0; i < 4; i++)
			for (s = 0; s < 3; s++) {
				struct forkpool_job *job = fp_handle_make(&pools[p], indices[i], serials[s]);

				ck_assert_ptr_nonnull(job);
				ck_assert_ptr_eq(fp_handle_find(job, &index, &serial), &pools[p]);
				ck_assert_uint_eq(index, indices[i]);
				ck_assert_uint_eq(serial, serials[s]);
			}
}
END_TEST

START_TEST(made_up)
{
	uint32_t index = 1, serial = 2;
	uint64_t bit;

	add(0);
	ck_assert_ptr_null(fp_handle_find(NULL, &index, &serial));
	ck_assert_ptr_null(fp_handle_find((void *)UINTPTR_MAX, &index, &serial));
	ck_assert_ptr_null(fp_handle_find((void *)&index, &index, &serial));
	for (bit = (uint64_t)1 << 44; bit; bit <<= 1)
		ck_assert_ptr_null(fp_handle_find((void *)((uintptr_t)handle_of(0) ^ bit), &index, &serial));
	ck_assert_uint_eq(index, 1);
	ck_assert_uint_eq(serial, 2);
}
END_TEST

/* One that never had a job, one that failed to start, one in a child. */
START_TEST(pools_without_handles)
{
	fp_handle_remove(&pools[0]);
	add(0);
	token = 0;
	ck_assert_ptr_null(find(handle_of(0)));
	token = 1;
	ck_assert_ptr_eq(find(handle_of(0)), &pools[0]);
}
END_TEST

START_TEST(of_a_pool_that_is_gone)
{
	struct forkpool_job *old, *other;

	add(0);
	add(1);
	old = handle_of(0);
	other = handle_of(1);
	fp_handle_remove(&pools[0]);
	ck_assert_ptr_null(find(old));
	add(0);
	ck_assert_ptr_null(find(old));
	ck_assert_ptr_eq(find(handle_of(0)), &pools[0]);
	ck_assert_ptr_eq(find(other), &pools[1]);
}
END_TEST

START_TEST(as_many_pools_as_there_are_places)
{
	uint32_t i;

	for (i = 0; i < POOLS; i++)
		add(i);
	ck_assert_int_eq(fp_handle_add(&pools[POOLS]), -EMFILE);
	ck_assert_uint_eq(pools[POOLS].handle, 0);
	for (i = 0; i < POOLS; i++)
		ck_assert_ptr_eq(find(handle_of(i)), &pools[i]);
}
END_TEST

/* With one place left all that come get that one, in turn. */
START_TEST(a_place_used_again_and_again)
{
	struct forkpool_job *first, *old;
	uint32_t i, here = 0, next = POOLS;

	for (i = 0; i < POOLS; i++)
		add(i);
	first = handle_of(here);
	for (i = 1; i < GENS; i++) {
		old = handle_of(here);
		fp_handle_remove(&pools[here]);
		add(next);
		ck_assert_ptr_null(find(old));
		ck_assert_ptr_null(find(first));
		ck_assert_ptr_eq(find(handle_of(next)), &pools[next]);
		i % 2 ? (here = POOLS, next = 0) : (here = 0, next = POOLS);
	}
	/* One more, and the first generation is back: who holds a handle so long is not told. */
	fp_handle_remove(&pools[here]);
	add(next);
	ck_assert_ptr_eq(find(first), &pools[next]);
}
END_TEST

/* ---- Serial numbers ------------------------------------------------------------------ */

START_TEST(serials_wrap_past_0)
{
	uint32_t last = fp_handle_serial(), n, next;

	for (n = 0; n < SERIALS + 10; n++) {
		next = fp_handle_serial();
		if (next != (last == SERIALS - 1 ? 1 : last + 1))
			ck_abort_msg("%u after %u", next, last);
		last = next;
	}
}
END_TEST

/* ---- Threads ---------------------------------------------------------------------------- */

#define THREADS	4
#define ROUNDS	2000

/* A pool of its own comes and goes; returns NULL when only it was found, and only then. */
static void *come_and_go(void *arg)
{
	struct forkpool *pool = arg;
	struct forkpool_job *job;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (fp_handle_add(pool))
			return "no place";
		job = fp_handle_make(pool, INDEX, fp_handle_serial());
		if (find(job) != pool)
			return "not found";
		fp_handle_remove(pool);
		if (find(job))
			return "found when gone";
	}
	return NULL;
}

START_TEST(pools_come_and_go_at_once)
{
	pthread_t threads[THREADS];
	void *bad;
	int i;

	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, &pools[i]), 0);
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &bad);
		ck_assert_msg(!bad, "%s", (const char *)bad);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("handle");
	TCase *tc = test_case(suite, "handles");

	tcase_add_checked_fixture(tc, pools_make, pools_free);
	tcase_add_test(tc, taken_apart_as_they_were_made);
	tcase_add_test(tc, made_up);
	tcase_add_test(tc, pools_without_handles);
	tcase_add_test(tc, of_a_pool_that_is_gone);
	tcase_add_test(tc, as_many_pools_as_there_are_places);
	tcase_add_test(tc, a_place_used_again_and_again);
	tcase_add_test(tc, serials_wrap_past_0);
	tcase_add_test(tc, pools_come_and_go_at_once);
	return test_main(suite);
}
