/* SPDX-License-Identifier: MIT */
/* W7: start and stop of pools, in a small program and in ones with much dirty memory. */
#include "work/work.h"

#define STARTUP(which, mib, ...) { \
	.name = which, .title = "start beside " #mib " MiB of dirty private memory", \
	.group = "startup", .x = (mib), .x_unit = "MiB", .base = "shm-item", \
	.skip = BENCH_SERIAL | BENCH_VARIANT | BENCH_FOREIGN, .run = bench_dirty_run, .dirty = (mib), \
	.rounds_max = 6, __VA_ARGS__ }

const struct bench_workload bench_w7[] = {
	{ .name = "w7", .title = "W7 start and stop", .base = "shm-item",
	  .skip = BENCH_SERIAL | BENCH_VARIANT, .run = bench_lifecycle_run, .slow_div = 1,
	  /* Two points tell what a pool costs and what each worker costs. */
	  .sweep = { 2, 8 }, .rounds_max = 6 },
	STARTUP("startup-0", 0, .on_request = 0),
	STARTUP("startup-64", 64, .on_request = 0),
	STARTUP("startup-256", 256, .on_request = 0),
	STARTUP("create-dirty", 1024, .on_request = 1),
	{ .name = NULL },
};
