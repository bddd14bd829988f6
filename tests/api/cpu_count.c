/* SPDX-License-Identifier: MIT */
/* forkpool_cpu_count(): at least 1, within the affinity of the caller, and what create takes. */
#include <pthread.h>
#include <sched.h>

#include "api/api.h"

START_TEST(within_the_affinity)
{
	cpu_set_t set, one;
	unsigned all = forkpool_cpu_count();
	int cpu;

	ck_assert_uint_ge(all, 1);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	ck_assert_uint_le(all, (unsigned)CPU_COUNT(&set));
	for (cpu = 0; !CPU_ISSET(cpu, &set); cpu++)
		;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	ck_assert_uint_eq(forkpool_cpu_count(), 1);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(set), &set), 0);
	ck_assert_uint_eq(forkpool_cpu_count(), all);
}
END_TEST

static int tell_id(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	*(unsigned *)out = forkpool_worker_id();
	return 0;
}

START_TEST(so_many_workers_by_default)
{
	struct forkpool *pool = NULL;
	unsigned ids[1000], i;

	ck_assert_int_eq(forkpool_create(&pool, NULL), 0);
	ck_assert_int_eq(forkpool_map(pool, tell_id, NULL, 0, ids, sizeof(*ids), 1000, NULL), 0);
	for (i = 0; i < 1000; i++)
		CHECK_EACH(ids[i] < forkpool_cpu_count());
	forkpool_destroy(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cpu_count");
	TCase *tc = test_case(suite, "cpu_count");

	tcase_add_test(tc, within_the_affinity);
	tcase_add_test(tc, so_many_workers_by_default);
	return test_main(suite);
}
