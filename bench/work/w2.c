/* SPDX-License-Identifier: MIT */
/* W2: items of about a microsecond; and some of them as maps inside items. */
#include "work/work.h"

BODY static int lcg_item(void *arg, const void *in, void *out)
{
	(void)arg;
	*(uint64_t *)out = lcg(*(const uint64_t *)in, STEPS_US);
	return 0;
}

const struct bench_workload bench_w2[] = {
	{ .name = "w2", .title = "W2 small map: 10^6 items of 1 us",
	  .unit = BENCH_MS_PER_MAP, .fn = lcg_item, .fill = bench_seeds_fill,
	  .in_size = sizeof(uint64_t), .out_size = sizeof(uint64_t),
	  .count = 1000000, .quick_div = 20, .per_item_div = 10, .fork_div = 500,
	  .slow_div = 1, .rounds_max = 6, .scales = 1 },
	{ .name = "nested", .title = "nested: 50 x 50 x 50 items of 1 us, flat and as maps in maps",
	  .unit = BENCH_MS_PER_MAP, .base = "forkpool", .fn = lcg_item, .fill = bench_seeds_fill,
	  .in_size = sizeof(uint64_t), .out_size = sizeof(uint64_t),
	  .count = 125000, .quick_div = 8, .per_item_div = 1,
	  .skip = BENCH_PER_ITEM | BENCH_COPIES, .nested = 1 },
	{ .name = NULL },
};
