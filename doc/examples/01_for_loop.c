/* SPDX-License-Identifier: MIT */
/*
 * The first program: a loop, and the same loop handed to a pool of workers.
 *
 * Four items, each two seconds of work: the plain loop takes eight seconds.
 * With eight workers all four run at once, and it takes two.
 *
 *	01_for_loop [MILLISECONDS PER ITEM]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <forkpool.h>

#define COUNT	4
#define WORKERS	8

static const int numbers[COUNT] = { 1, 2, 3, 4 };
static int squares[COUNT];

/* Set before the pool is created: that is what the workers see. */
static long milliseconds = 2000;

/* One item: reads its number at in, leaves its result at out. */
static int square(void *arg, const void *in, void *out)
{
	const struct timespec work = {
		milliseconds / 1000, milliseconds % 1000 * 1000000
	};
	const int *number = in;
	int *result = out;

	(void)arg;
	nanosleep(&work, NULL);		/* stands in for the real work */
	*result = *number * *number;
	printf("  %d x %d = %d\n", *number, *number, *result);
	return 0;
}

static int with_loop(void)
{
	for (size_t i = 0; i < COUNT; i++)
		square(NULL, &numbers[i], &squares[i]);
	return 0;
}

static int with_pool(void)
{
	FORKPOOL_OPTS(opts, .workers = WORKERS);
	struct forkpool *pool;
	int err = forkpool_create(&pool, &opts);

	if (err)
		return err;
	err = FORKPOOL_MAP(pool, square, numbers, squares, COUNT);
	forkpool_destroy(pool);
	return err;
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Runs one of the two, prints its time, and ends the program if it failed. */
static void measure(const char *name, int (*run)(void))
{
	double start = seconds_now();
	int err = run();

	if (err) {
		fprintf(stderr, "%s: %s\n", name, forkpool_strerror(err));
		exit(EXIT_FAILURE);
	}
	printf("%s: %.2f s\n", name, seconds_now() - start);
	fflush(stdout);		/* in a pipe too, before what workers print next */
}

int main(int argc, char **argv)
{
	if (argc > 1)
		milliseconds = strtol(argv[1], NULL, 10);
	measure("plain loop", with_loop);
	measure("pool", with_pool);
	return 0;
}
