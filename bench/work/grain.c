/* SPDX-License-Identifier: MIT */
/*
 * The grain sweep: from which size of an item on a pool is worth it.  A serial map
 * takes some 100 ms at most, so that all points together take minutes.
 */
#include "work/work.h"

#define STEPS_NS(ns)	((ns) * STEPS_US / 1000)

#define FILL(ns) \
static void fill_##ns(void *in, size_t count) \
{ \
	bench_steps_fill(in, count, STEPS_NS(ns)); \
}

FILL(0)
FILL(10)
FILL(30)
FILL(100)
FILL(300)
FILL(1000)
FILL(3000)
FILL(10000)
FILL(30000)
FILL(100000)
FILL(300000)
FILL(1000000)

#define GRAIN(which, text, ns, items, quick, per_item, ...) { \
	.name = "grain-" which, .title = "grain: " #items " items of " text, \
	.group = "grain", .x = (ns), .x_unit = "ns", .unit = BENCH_NS_PER_ITEM, \
	.fn = bench_steps_item, .fill = fill_##ns, .in_size = sizeof(struct steps), \
	.out_size = sizeof(uint64_t), .count = (items), .quick_div = (quick), \
	.per_item_div = (per_item), .rounds_max = 6, __VA_ARGS__ }

const struct bench_workload bench_grain[] = {
	GRAIN("0ns", "0 ns", 0, 1000000, 5, 20, .on_request = 0),
	GRAIN("10ns", "10 ns", 10, 1000000, 5, 20, .on_request = 1),
	GRAIN("30ns", "30 ns", 30, 1000000, 5, 20, .on_request = 1),
	GRAIN("100ns", "100 ns", 100, 1000000, 10, 20, .on_request = 0),
	GRAIN("300ns", "300 ns", 300, 300000, 10, 10, .on_request = 1),
	GRAIN("1us", "1 us", 1000, 100000, 10, 2, .on_request = 0),
	GRAIN("3us", "3 us", 3000, 30000, 10, 1, .on_request = 1),
	GRAIN("10us", "10 us", 10000, 10000, 10, 1, .on_request = 0),
	GRAIN("30us", "30 us", 30000, 3000, 10, 1, .on_request = 1),
	GRAIN("100us", "100 us", 100000, 1000, 5, 1, .on_request = 0),
	GRAIN("300us", "300 us", 300000, 300, 3, 1, .on_request = 1),
	GRAIN("1ms", "1 ms", 1000000, 100, 2, 1, .on_request = 0),
	{ .name = NULL },
};
