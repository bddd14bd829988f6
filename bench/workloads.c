/* SPDX-License-Identifier: MIT */
/* The table of all workloads, gathered from the lists of the files in work/. */
#include <stdlib.h>

#include "work/work.h"

/* In the order in which they run. */
static const struct bench_workload *const lists[] = {
	bench_w1, bench_w2, bench_w3, bench_grain, bench_skew,
	bench_w4, bench_w5, bench_fib,
	bench_w6, bench_payload,
	bench_w7, bench_w8, bench_tiny, bench_heap,
	bench_recovery, bench_cost, bench_idle, bench_billion,
};

#define LISTS	(sizeof(lists) / sizeof(lists[0]))

const struct bench_workload *bench_workloads;

static size_t workloads_count(void)
{
	const struct bench_workload *w;
	size_t count = 0, i;

	for (i = 0; i < LISTS; i++)
		for (w = lists[i]; w->name; w++)
			count++;
	return count;
}

/* C has no way to make one array of several before the program runs. */
__attribute__((constructor)) static void workloads_gather(void)
{
	struct bench_workload *all = calloc(workloads_count() + 1, sizeof(*all));
	const struct bench_workload *w;
	size_t count = 0, i;

	if (!all)
		abort();
	for (i = 0; i < LISTS; i++)
		for (w = lists[i]; w->name; w++)
			all[count++] = *w;
	bench_workloads = all;
}
