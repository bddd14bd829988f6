/* SPDX-License-Identifier: MIT */
/* forkpool_strerror(): a text for every number, of either sign. */
#include <errno.h>
#include <limits.h>

#include "api/api.h"

static void check_text(int err)
{
	const char *text = forkpool_strerror(err);

	CHECK_EACH(text && *text);
	CHECK_EACH(err == INT_MIN || !strcmp(text, forkpool_strerror(-err)));
}

START_TEST(every_number_has_a_text)
{
	int err;

	for (err = -5000; err <= 5000; err++)
		check_text(err);
	check_text(INT_MAX);
	check_text(INT_MIN);
	check_text(INT_MIN + 1);
}
END_TEST

START_TEST(ours_differ)
{
	const char *unknown = forkpool_strerror(FORKPOOL_EBROKEN + 1);
	int a, b;

	for (a = FORKPOOL_EFAILED; a <= FORKPOOL_EBROKEN; a++) {
		ck_assert_str_ne(forkpool_strerror(a), unknown);
		for (b = FORKPOOL_EFAILED; b < a; b++)
			ck_assert_str_ne(forkpool_strerror(a), forkpool_strerror(b));
	}
	ck_assert_str_ne(forkpool_strerror(-FORKPOOL_ETIMEDOUT), forkpool_strerror(-ETIMEDOUT));
}
END_TEST

START_TEST(errnos_are_the_systems)
{
	ck_assert_str_eq(forkpool_strerror(-EINVAL), strerror(EINVAL));
	ck_assert_str_eq(forkpool_strerror(ENOMEM), strerror(ENOMEM));
	ck_assert_str_eq(forkpool_strerror(-FORKPOOL_ECLOSED), forkpool_strerror(FORKPOOL_ECLOSED));
	errno = 4711;
	forkpool_strerror(-EPERM);
	forkpool_strerror(123456);
	ck_assert_int_eq(errno, 4711);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strerror");
	TCase *tc = test_case(suite, "strerror");

	tcase_add_test(tc, every_number_has_a_text);
	tcase_add_test(tc, ours_differ);
	tcase_add_test(tc, errnos_are_the_systems);
	return test_main(suite);
}
