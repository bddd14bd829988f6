/* SPDX-License-Identifier: MIT */
/*
 * Fibonacci numbers, a task for each call of the function: no way to get them, but
 * the smallest program in which tasks make tasks, and hundreds of thousands of them.
 *
 *	08_fibonacci [n]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <forkpool.h>

enum { MOST = 40 };	/* some hundred million tasks */

struct answer {
	uint64_t value, tasks;
};

static int fib(void *arg, const void *in, void *out)
{
	unsigned n = *(const unsigned *)in, less[2] = { n - 1, n - 2 };
	struct answer *answer = out;
	const struct answer *part;
	struct forkpool_job *jobs[2];
	int i;

	(void)arg;
	*answer = (struct answer){ n, 1 };
	if (n < 2)
		return 0;
	if (forkpool_submit_many(forkpool_current(), fib, less, sizeof(*less), sizeof(*answer), 2, NULL,
				 jobs) != 2)
		return 1;
	answer->value = 0;
	for (i = 0; i < 2; i++) {
		if (forkpool_job_wait(jobs[i], -1))
			return 2;
		part = forkpool_job_result(jobs[i]);
		answer->value += part->value;
		answer->tasks += part->tasks;
		forkpool_job_free(jobs[i]);
	}
	return 0;
}

static uint64_t fib_in_a_loop(unsigned n)
{
	uint64_t a = 0, b = 1, next;

	while (n-- > 0) {
		next = a + b;
		a = b;
		b = next;
	}
	return a;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 22;
	struct answer answer = { 0, 0 };
	struct forkpool *pool;
	double from;
	int err;

	if (n > MOST) {
		fprintf(stderr, "usage: %s [n, up to %d]\n", argv[0], MOST);
		return 2;
	}
	err = forkpool_create(&pool, NULL);
	if (err) {
		fprintf(stderr, "create: %s\n", forkpool_strerror(err));
		return 1;
	}
	from = seconds();
	err = forkpool_call(pool, fib, &n, sizeof(n), &answer, sizeof(answer), NULL);
	if (err)
		fprintf(stderr, "fibonacci: %s\n", forkpool_strerror(err));
	else
		printf("fibonacci(%u) = %llu, by %llu tasks in %.3f s\n", n, (unsigned long long)answer.value,
		       (unsigned long long)answer.tasks, seconds() - from);
	forkpool_destroy(pool);
	return err || answer.value != fib_in_a_loop(n);
}
