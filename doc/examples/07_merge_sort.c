/* SPDX-License-Identifier: MIT */
/*
 * Sorts an array in shared memory with tasks that submit tasks: each one halves
 * its part, has both halves sorted, and merges them.
 *
 *	07_merge_sort [numbers]
 *
 * While a task waits for its halves its worker sorts them itself, or one of them
 * while another worker sorts the other: so any depth needs no more than the
 * workers that there are.  Short parts are sorted where they lie.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <forkpool.h>

enum { SHORT = 4096 };

/* The same memory in the program and in all workers. */
struct part {
	uint32_t *numbers, *room;
	size_t n;
};

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void merge(const struct part *p, size_t half)
{
	size_t i = 0, j = half, k;

	for (k = 0; k < p->n; k++)
		if (j == p->n || (i < half && p->numbers[i] <= p->numbers[j]))
			p->room[k] = p->numbers[i++];
		else
			p->room[k] = p->numbers[j++];
	memcpy(p->numbers, p->room, p->n * sizeof(*p->numbers));
}

static int sort(void *arg, const void *in, void *out)
{
	const struct part *p = in;
	size_t half = p->n / 2;
	struct part halves[2] = {
		{ p->numbers, p->room, half },
		{ p->numbers + half, p->room + half, p->n - half },
	};
	struct forkpool_job *jobs[2];
	int err;

	(void)arg;
	(void)out;
	if (p->n <= SHORT) {
		qsort(p->numbers, p->n, sizeof(*p->numbers), compare);
		return 0;
	}
	if (forkpool_submit_many(forkpool_current(), sort, halves, sizeof(*halves), 0, 2, NULL, jobs) != 2)
		return 1;
	err = forkpool_wait_all(jobs, 2, -1);
	forkpool_job_free(jobs[0]);
	forkpool_job_free(jobs[1]);
	if (err)
		return 2;
	merge(p, half);
	return 0;
}

/* What does not depend on the order. */
static uint64_t sum_of(const struct part *p)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < p->n; i++)
		sum += p->numbers[i];
	return sum;
}

static size_t first_out_of_order(const struct part *p)
{
	size_t i;

	for (i = 1; i < p->n && p->numbers[i - 1] <= p->numbers[i]; i++)
		;
	return i;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run(struct forkpool *pool, struct part *all)
{
	uint64_t before, x = 88172645463325252u;
	double from;
	size_t i;
	int err;

	for (i = 0; i < all->n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		all->numbers[i] = (uint32_t)x;
	}
	before = sum_of(all);
	from = seconds();
	err = forkpool_call(pool, sort, all, sizeof(*all), NULL, 0, NULL);
	if (err) {
		fprintf(stderr, "sort: %s\n", forkpool_strerror(err));
		return 1;
	}
	printf("sorted %zu numbers in %.3f s\n", all->n, seconds() - from);
	if (first_out_of_order(all) < all->n || sum_of(all) != before) {
		fprintf(stderr, "number %zu is out of order, or some are lost\n", first_out_of_order(all));
		return 1;
	}
	printf("in order, and none is lost: their sum is %" PRIu64 "\n", before);
	return 0;
}

int main(int argc, char **argv)
{
	struct part all = { .n = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000000 };
	struct forkpool *pool;
	int err;

	if (!all.n || all.n > SIZE_MAX / sizeof(*all.numbers)) {
		fprintf(stderr, "usage: %s [numbers]\n", argv[0]);
		return 2;
	}
	err = forkpool_create(&pool, NULL);
	if (err) {
		fprintf(stderr, "create: %s\n", forkpool_strerror(err));
		return 1;
	}
	all.numbers = forkpool_shm_calloc(pool, all.n, sizeof(*all.numbers));
	all.room = forkpool_shm_calloc(pool, all.n, sizeof(*all.room));
	if (all.numbers && all.room) {
		err = run(pool, &all);
	} else {
		perror("shared memory");
		err = 1;
	}
	forkpool_destroy(pool);
	return err;
}
