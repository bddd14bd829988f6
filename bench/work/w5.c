/* SPDX-License-Identifier: MIT */
/* W5: round trips of single tasks. */
#include "work/work.h"

#define IDLE	INT64_C(10000000)

#define W5(which, text, trips, ...) { \
	.name = which, .title = "W5 round trip, " text, .run = bench_trip_run, \
	.fn = bench_task_item, .fill = bench_tasks_fill, .in_size = sizeof(struct bench_task), \
	.out_size = sizeof(uint64_t), .count = (trips), .quick_div = 2, .fork_div = 1, .slow_div = 1, \
	.submitters = 1, \
	.sweep = { 1 }, __VA_ARGS__ }

const struct bench_workload bench_w5[] = {
	W5("w5-hot", "back to back", 20000, .base = "spin-bare",
	   .skip = BENCH_VARIANT),
	W5("w5-cold", "after 10 ms idle", 20, .base = "futex-wake", .idle = IDLE, .rounds_max = 6,
	   .skip = BENCH_SPINS | BENCH_VARIANT),
	W5("w5-cold-apart", "after 10 ms idle, submitter and worker on a CPU each", 20,
	   .base = "futex-wake", .idle = IDLE, .apart = 1, .rounds_max = 6,
	   .skip = BENCH_SPINS | BENCH_VARIANT),
	{ .name = NULL },
};
