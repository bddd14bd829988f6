/* SPDX-License-Identifier: MIT */
/* Workloads of an entry or two: empty items, Fibonacci, whole commands, the heap, an idle pool. */
#include "work/work.h"

BODY int bench_empty(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return 0;
}

#define TINY(items, maps) { \
	.name = "tiny-" #items, .title = "map of " #items " empty items, hot, 1 worker", \
	.unit = BENCH_US_PER_MAP, .workers = 1, .fn = bench_empty, .count = (items), \
	.quick_div = 1, .per_item_div = 1, .batch = (maps), \
	.skip = BENCH_SERIAL | BENCH_COPIES }

const struct bench_workload bench_tiny[] = {
	TINY(10, 2000),
	TINY(1000, 200),
	{ .name = NULL },
};

const struct bench_workload bench_fib[] = {
	{ .name = "fib", .title = "Fibonacci(27), a task per call",
	  .unit = BENCH_MS_PER_MAP, .base = "tbb-group", .run = bench_fib_run,
	  .count = 27, .skip = BENCH_BARE },
	{ .name = NULL },
};

#define COMMANDS(which, text, runs, ...) { \
	.name = which, .title = "commands: " text, .run = bench_commands_run, \
	.base = "xargs", .count = (runs), .quick_div = 20, .rounds_max = 6, __VA_ARGS__ }

const struct bench_workload bench_commands[] = {
	COMMANDS("commands", "10^3 runs of a program that only prints", 1000),
	COMMANDS("commands-work", "200 runs of a program that works for 2 ms", 200,
		 .steps = 2000 * STEPS_US),
	{ .name = NULL },
};

const struct bench_workload bench_heap[] = {
	{ .name = "heap", .title = "the shared heap against malloc",
	  .run = bench_heap_run },
	{ .name = NULL },
};

const struct bench_workload bench_idle[] = {
	{ .name = "idle", .title = "context switches of an idle pool in 10 s",
	  .skip = BENCH_SERIAL | BENCH_VARIANT, .run = bench_idle_run, .slow_div = 1,
	  .once = 1, .on_request = 1 },
	{ .name = NULL },
};
