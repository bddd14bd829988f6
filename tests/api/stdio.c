/* SPDX-License-Identifier: MIT */
/* What items print, and how exit() in one ends: neither touches the host's own. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "api/api.h"

#define LINES	300

static int print_line(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)out;
	printf("item %d\n", *(const int *)in);
	return 0;
}

static int print_and_exit(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)out;
	printf("item %d\n", *(const int *)in);
	if (*(const int *)in == 7)
		exit(5);
	return 0;
}

/* ---- In a child whose stdout is the file -------------------------------------------- */

static void count_lines(const char *path, int *items, int *others)
{
	FILE *file = fopen(path, "r");
	char line[64];
	int n;

	memset(items, 0, LINES * sizeof(*items));
	*others = 0;
	MUST(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "item %d", &n) == 1 && n >= 0 && n < LINES)
			items[n]++;
		else
			++*others;
	}
	fclose(file);
}

static void at_host_exit(void)
{
	printf("the host's handler\n");
	fflush(stdout);
}

static int map_lines(struct forkpool **pool, forkpool_fn *fn)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = 1 << 20);
	int in[LINES], i;

	for (i = 0; i < LINES; i++)
		in[i] = i;
	MUST(forkpool_create(pool, &opts) == 0);
	return forkpool_map(*pool, fn, in, sizeof(*in), NULL, 0, LINES, NULL);
}

static void printing_host(void *path)
{
	int items[LINES], others, i;
	struct forkpool *pool;

	MUST(freopen(path, "w", stdout));
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	printf("not flushed before create\n");
	MUST(map_lines(&pool, print_line) == 0);
	count_lines(path, items, &others);
	for (i = 0; i < LINES; i++)
		MUST(items[i] == 1);
	MUST(others == 0);
	fflush(stdout);
	forkpool_destroy(pool);
	count_lines(path, items, &others);
	MUST(others == 1);
}

static void exiting_host(void *path)
{
	int items[LINES], others;
	struct forkpool *pool;

	atexit(at_host_exit);
	MUST(freopen(path, "w", stdout));
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	printf("not flushed before create\n");
	MUST(map_lines(&pool, print_and_exit) == -FORKPOOL_ECRASHED);
	forkpool_destroy(pool);
	count_lines(path, items, &others);
	MUST(others == 0);
	MUST(items[7] == 1);
	MUST(items[LINES - 1] == 1);
	fflush(stdout);
	count_lines(path, items, &others);
	MUST(others == 1);
}

/* ---- Tests ---------------------------------------------------------------------------- */

static char path[64];

static void path_open(void)
{
	int fd;

	snprintf(path, sizeof(path), "stdio-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void path_close(void)
{
	unlink(path);
}

START_TEST(printed_once_before_the_map_returns)
{
	ck_assert_int_eq(child_run(printing_host, path), 0);
}
END_TEST

START_TEST(exit_in_an_item_is_the_items_alone)
{
	ck_assert_int_eq(child_run(exiting_host, path), 0);
}
END_TEST

int main(void)
{
	Suite *suite;
	TCase *tc;

	if (!test_processes())
		return TEST_SKIP;
	suite = suite_create("stdio");
	tc = test_case(suite, "stdio");
	tcase_add_checked_fixture(tc, path_open, path_close);
	tcase_add_test(tc, printed_once_before_the_map_returns);
	tcase_add_test(tc, exit_in_an_item_is_the_items_alone);
	return test_main(suite);
}
