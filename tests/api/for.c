/* SPDX-License-Identifier: MIT */
/* The range form: everything once, any bounds, and the guilty item found. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/api.h"

#define MANY	100000

static struct forkpool *pool;

static void pool_open(void)
{
	pool = pool_new(2);
}

static void pool_close(void)
{
	forkpool_destroy(pool);
}

/* What a range's function knows; in the segment. */
struct field {
	size_t begin;			/* what item 0 is called */
	size_t bad, other;		/* items that fail or crash; SIZE_MAX = none */
	atomic_size_t sum, calls, wrong;
	atomic_uchar seen[MANY];
};

static struct field *field_new(size_t begin)
{
	struct field *f = forkpool_shm_calloc(pool, 1, sizeof(*f));

	ck_assert_ptr_nonnull(f);
	f->begin = begin;
	f->bad = f->other = SIZE_MAX;
	return f;
}

static bool has(size_t begin, size_t end, size_t item)
{
	return item >= begin && item < end;
}

static int mark(void *arg, size_t begin, size_t end)
{
	struct field *f = arg;
	size_t i;

	atomic_fetch_add(&f->calls, 1);
	atomic_fetch_add(&f->wrong, begin >= end);
	for (i = begin; i < end; i++)
		atomic_fetch_add(&f->seen[i - f->begin], 1);
	return has(begin, end, f->bad) || has(begin, end, f->other) ? 7 : 0;
}

static int for_with(forkpool_range_fn *fn, struct field *f, size_t begin, size_t end, size_t chunk)
{
	FORKPOOL_JOB_OPTS(opts, .arg = f, .chunk = chunk);

	return forkpool_for(pool, fn, begin, end, &opts);
}

static void check_seen(const struct field *f, size_t count)
{
	size_t i;

	ck_assert_uint_eq(f->wrong, 0);
	for (i = 0; i < MANY; i++)
		CHECK_EACH(f->seen[i] == (i < count));
}

static void check_cover(size_t begin, size_t count, size_t chunk)
{
	struct field *f = field_new(begin);

	ck_assert_int_eq(for_with(mark, f, begin, begin + count, chunk), 0);
	check_seen(f, count);
	if (count == 0)
		ck_assert_uint_eq(f->calls, 0);
	forkpool_shm_free(pool, f);
}

START_TEST(covers_everything_once)
{
	static const size_t counts[] = { 0, 1, 2, 33, 1000, MANY };
	static const size_t chunks[] = { 0, 1, 77, SIZE_MAX };
	unsigned i, k;

	for (i = 0; i < 6; i++) {
		for (k = 0; k < 4; k++) {
			check_cover(0, counts[i], chunks[k]);
			check_cover(5, counts[i], chunks[k]);
		}
		check_cover(SIZE_MAX - counts[i], counts[i], 0);
	}
}
END_TEST

static int add(void *arg, size_t begin, size_t end)
{
	struct field *f = arg;

	atomic_fetch_add(&f->sum, (end - begin) * (begin + end - 1) / 2);
	atomic_fetch_add(&f->calls, end - begin);
	return 0;
}

START_TEST(a_thousand_million_items)
{
	size_t n = 1000000000, huge = (size_t)1 << 32;
	struct field *f = field_new(0);

	ck_assert_int_eq(for_with(add, f, 0, n, 0), 0);
	ck_assert_uint_eq(f->calls, n);
	ck_assert_uint_eq(f->sum, n / 2 * (n - 1));
	f->calls = 0;
	ck_assert_int_eq(for_with(add, f, 100, huge + 100, 0), 0);
	ck_assert_uint_eq(f->calls, huge);
	forkpool_shm_free(pool, f);
}
END_TEST

START_TEST(bad_arguments)
{
	struct forkpool_status status;
	FORKPOOL_JOB_OPTS(with_status, .status = &status);

	ck_assert_int_eq(forkpool_for(pool, mark, 5, 4, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_for(pool, mark, SIZE_MAX, 0, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_for(pool, NULL, 0, 1, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_for(NULL, mark, 0, 1, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_for(pool, mark, 0, 1, &with_status), -EINVAL);
	ck_assert_int_eq(forkpool_for(pool, mark, 0, 0, &with_status), -EINVAL);
	ck_assert_int_eq(forkpool_for(pool, mark, 0, SIZE_MAX, NULL), -EINVAL);
}
END_TEST

START_TEST(the_first_failing_range)
{
	struct field *f = field_new(1000);
	size_t first = 0;
	FORKPOOL_JOB_OPTS(opts, .arg = f, .first_failure = &first, .chunk = 10);

	f->bad = 1000 + 777;
	f->other = 1000 + 90000;
	ck_assert_int_eq(forkpool_for(pool, mark, 1000, 1000 + MANY, &opts), -FORKPOOL_EFAILED);
	ck_assert_uint_le(first, f->bad);
	ck_assert_uint_gt(first, f->bad - 10);
	check_seen(f, MANY);
	forkpool_shm_free(pool, f);
}
END_TEST

START_TEST(stop_on_error)
{
	struct field *f = field_new(0);
	size_t first = SIZE_MAX, i;
	FORKPOOL_JOB_OPTS(opts, .arg = f, .first_failure = &first, .stop_on_error = 1, .chunk = 10);

	f->bad = 40000;
	ck_assert_int_eq(forkpool_for(pool, mark, 0, MANY, &opts), -FORKPOOL_EFAILED);
	ck_assert_uint_le(first, f->bad);
	ck_assert_uint_gt(first, f->bad - 10);
	for (i = 0; i <= f->bad; i++)
		CHECK_EACH(f->seen[i] == 1);
	forkpool_shm_free(pool, f);
}
END_TEST

/* ---- Ranges that die --------------------------------------------------------------- */

static int crash(void *arg, size_t begin, size_t end)
{
	struct field *f = arg;
	size_t i;

	atomic_fetch_add(&f->calls, 1);
	if (has(begin, end, f->bad) || has(begin, end, f->other))
		raise(SIGKILL);
	for (i = begin; i < end; i++)
		atomic_fetch_add(&f->seen[i - f->begin], 1);
	return 0;
}

/* How many items of the field were not run. */
static size_t unseen(const struct field *f)
{
	size_t i, n = 0;

	for (i = 0; i < MANY; i++) {
		CHECK_EACH(f->seen[i] <= 1);
		n += !f->seen[i];
	}
	return n;
}

START_TEST(a_crash_is_found_by_halving)
{
	static const size_t bad[] = { 0, 1, 31337, MANY / 2, MANY - 1 };
	static const size_t chunks[] = { 0, 1000, MANY };
	unsigned i, k;

	if (!test_processes())
		return;
	for (i = 0; i < 5; i++) {
		for (k = 0; k < 3; k++) {
			struct field *f = field_new(50);
			size_t first = 0;
			FORKPOOL_JOB_OPTS(opts, .arg = f, .retries = 1, .first_failure = &first,
					  .chunk = chunks[k]);

			f->bad = 50 + bad[i];
			ck_assert_int_eq(forkpool_for(pool, crash, 50, 50 + MANY, &opts),
					 -FORKPOOL_ECRASHED);
			ck_assert_uint_eq(first, f->bad);
			ck_assert_uint_eq(unseen(f), 1);
			ck_assert_uint_eq(f->seen[bad[i]], 0);
			forkpool_shm_free(pool, f);
		}
	}
}
END_TEST

START_TEST(two_crashes_are_found)
{
	struct field *f = field_new(0);
	size_t first = 0;
	FORKPOOL_JOB_OPTS(opts, .arg = f, .retries = 2, .first_failure = &first);

	if (test_processes()) {
		f->bad = 60001;
		f->other = 60003;
		ck_assert_int_eq(forkpool_for(pool, crash, 0, MANY, &opts), -FORKPOOL_ECRASHED);
		ck_assert_uint_eq(first, 60001);
		ck_assert_uint_eq(unseen(f), 2);
	}
	forkpool_shm_free(pool, f);
}
END_TEST

START_TEST(without_retries_nothing_is_started_twice)
{
	struct field *f = field_new(0);
	size_t first = SIZE_MAX;
	FORKPOOL_JOB_OPTS(opts, .arg = f, .first_failure = &first, .chunk = 100);

	if (test_processes()) {
		f->bad = 54321;
		ck_assert_int_eq(forkpool_for(pool, crash, 0, MANY, &opts), -FORKPOOL_ECRASHED);
		ck_assert_uint_le(first, f->bad);
		ck_assert_uint_gt(first, f->bad - 100);
		ck_assert_uint_le(unseen(f), 100);
		ck_assert_uint_eq(f->seen[first], 0);
		ck_assert_uint_eq(f->seen[f->bad], 0);
	}
	forkpool_shm_free(pool, f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("for");
	TCase *tc = test_case(suite, "ranges"), *death = test_case(suite, "death");

	tcase_add_checked_fixture(tc, pool_open, pool_close);
	tcase_add_checked_fixture(death, pool_open, pool_close);
	tcase_add_test(tc, covers_everything_once);
	tcase_add_test(tc, a_thousand_million_items);
	tcase_add_test(tc, bad_arguments);
	tcase_add_test(tc, the_first_failing_range);
	tcase_add_test(tc, stop_on_error);
	tcase_add_test(death, a_crash_is_found_by_halving);
	tcase_add_test(death, two_crashes_are_found);
	tcase_add_test(death, without_retries_nothing_is_started_twice);
	return test_main(suite);
}
