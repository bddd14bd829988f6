/* SPDX-License-Identifier: MIT */
/* The table of all workloads: the lists of the files in work/. */
#include <stddef.h>

#include "work/work.h"

/* In the order in which they run. */
static const struct bench_workload *const lists[] = {
	bench_w1, bench_w2, bench_w3, bench_grain, bench_skew,
	bench_w4, bench_w5, bench_fib,
	bench_w6, bench_payload,
	bench_w7, bench_w8, bench_programs, bench_tiny, bench_commands, bench_heap,
	bench_recovery, bench_cost, bench_idle, bench_billion,
};

#define LISTS	(sizeof(lists) / sizeof(lists[0]))

const struct bench_workload *bench_workload(unsigned index)
{
	const struct bench_workload *w;
	unsigned i;

	for (i = 0; i < LISTS; i++)
		for (w = lists[i]; w->name; w++)
			if (!index--)
				return w;
	return NULL;
}
