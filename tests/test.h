/* SPDX-License-Identifier: MIT */
/*
 * What every test program shares.
 *
 *	#include "test.h"
 *
 *	START_TEST(pool_starts_and_ends) { ... } END_TEST
 *
 *	int main(void)
 *	{
 *		Suite *suite = suite_create("pool");
 *		TCase *tc = test_case(suite, "life");
 *
 *		tcase_add_test(tc, pool_starts_and_ends);
 *		return test_main(suite);
 *	}
 *
 * Tests run in the program's own process, one after the other, each between
 * guard_begin() and guard_end() (see guard.h): check's fork mode would kill
 * what a test leaves behind, and hide it.  A process that a test forks must
 * leave through _exit().  CK_RUN_CASE=life runs one case only.
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <check.h>
#include <stdbool.h>

#define TEST_SKIP	77	/* the exit status of a program that can't run here */

/* A new case of the suite; the guard stands around each of its tests. */
TCase *test_case(Suite *suite, const char *name);

/* Runs and frees the suite; the program's exit status. */
int test_main(Suite *suite);

/*
 * May items run in processes, and die?  Not where FORKPOOL_MODE says threads
 * (ThreadSanitizer builds) or inline.
 */
bool test_processes(void);

#endif
