/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <pthread.h>
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

static void *thread_nothing(void *arg)
{
	return arg;
}

/* ThreadSanitizer starts a thread of its own beside the program's first one. */
static void thread_first(void)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, thread_nothing, NULL))
		pthread_join(thread, NULL);
}

int test_main(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	thread_first();
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
