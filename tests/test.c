/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "guard.h"

static void guard_check(void)
{
	const char *left = guard_end();

	ck_assert_msg(!left, "left behind: %s", left);
}

TCase *test_case(Suite *suite, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, guard_begin, guard_check);
	suite_add_tcase(suite, tc);
	return tc;
}

int test_main(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

bool test_processes(void)
{
	const char *mode = getenv("FORKPOOL_MODE");

	return !mode || !*mode || !strcmp(mode, "processes");
}
