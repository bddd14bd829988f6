/* SPDX-License-Identifier: MIT */
/* What each thread of the host allocates from: handed on when it ends, and kept apart by arena. */
#include "shm/arena.h"

#include <errno.h>
#include <pthread.h>

#include "area.h"
#include "test.h"

static void *area_alloc(struct area *x, size_t size)
{
	void *p = NULL;

	ck_assert_int_eq(fp_arena_alloc(x->arena, 16, size, &p, NULL), 0);
	return p;
}

static void *use_once(void *arg)
{
	struct area *x = arg;
	char *p = area_alloc(x, 100), *q = area_alloc(x, 3000);

	ck_assert_int_eq(fp_arena_free(x->arena, p), 0);
	ck_assert_int_eq(fp_arena_free(x->arena, q), 0);
	return NULL;
}

static uint64_t units_used(struct area *x)
{
	struct fp_heap_count count;

	fp_heap_count(&x->arena->units, &count);
	return count.used;
}

/* What one that has ended kept is the next one's. */
START_TEST(threads_come_and_go)
{
	pthread_t thread;
	struct area x;

	area_open(&x, 64 * MIB);
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, use_once, &x), 0);
		pthread_join(thread, NULL);
		ck_assert_uint_eq(units_used(&x), 2);
	}
	ck_assert_uint_eq(fp_arena_largest(x.arena), x.size);
	area_close(&x);
}
END_TEST

static pthread_key_t late_key;

static void use_late(void *x)
{
	use_once(x);
}

static void *use_and_end(void *x)
{
	ck_assert_int_eq(pthread_setspecific(late_key, x), 0);
	return use_once(x);
}

/* Our own destructor may have run by then. */
START_TEST(destructors_of_threads_allocate)
{
	pthread_t thread;
	struct area x;

	area_open(&x, 64 * MIB);
	use_once(&x);
	ck_assert_int_eq(pthread_key_create(&late_key, use_late), 0);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, use_and_end, &x), 0);
		pthread_join(thread, NULL);
	}
	pthread_key_delete(late_key);
	/* Two of this thread, and two that the others have handed on. */
	ck_assert_uint_le(units_used(&x), 4);
	ck_assert_uint_eq(fp_arena_largest(x.arena), x.size);
	area_close(&x);
}
END_TEST

START_TEST(one_thread_in_many_arenas)
{
	enum { N = 9 };
	struct area x[N];
	char *p[N];

	for (int i = 0; i < N; i++)
		area_open(&x[i], 4 * MIB);
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < N; i++)
			p[i] = area_alloc(&x[i], 64);
		for (int i = 0; i < N; i++)
			ck_assert_int_eq(fp_arena_free(x[i].arena, p[N - 1 - i]), i == N / 2 ? 0 : -EINVAL);
		for (int i = 0; i < N; i++)
			ck_assert_int_eq(fp_arena_free(x[i].arena, p[i]), i == N / 2 ? -EINVAL : 0);
	}
	for (int i = 0; i < N; i++) {
		ck_assert_uint_eq(units_used(&x[i]), 1);
		ck_assert_uint_eq(fp_arena_largest(x[i].arena), x[i].size);
		area_close(&x[i]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shares");
	TCase *tc = test_case(suite, "shares");

	tcase_add_test(tc, threads_come_and_go);
	tcase_add_test(tc, destructors_of_threads_allocate);
	tcase_add_test(tc, one_thread_in_many_arenas);
	return test_main(suite);
}
