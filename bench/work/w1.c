/* SPDX-License-Identifier: MIT */
/* W1: one hash of eight bytes, by item, and in the user's own loop over ranges. */
#include "work/work.h"

BODY int bench_hash_item(void *arg, const void *in, void *out)
{
	(void)arg;
	*(uint64_t *)out = splitmix64(*(const uint64_t *)in);
	return 0;
}

BODY static int hash_range(void *arg, size_t begin, size_t end)
{
	const struct bench_arrays *a = arg;
	const uint64_t *in = a->in;
	uint64_t *out = a->out;
	size_t i;

	for (i = begin; i < end; i++)
		out[i] = splitmix64(in[i]);
	return 0;
}

void bench_seeds_fill(void *in, size_t count)
{
	uint64_t *seed = in;
	size_t i;

	for (i = 0; i < count; i++)
		seed[i] = i;
}

const struct bench_workload bench_w1[] = {
	{ .name = "w1", .title = "W1 tiny map: 10^7 items, splitmix64 of 8 bytes",
	  .unit = BENCH_NS_PER_ITEM, .base = "omp-static", .fn = bench_hash_item,
	  .fill = bench_seeds_fill, .in_size = sizeof(uint64_t), .out_size = sizeof(uint64_t),
	  .count = 10000000, .quick_div = 5, .per_item_div = 100, .fork_div = 10000,
	  .slow_div = 1, .scales = 1 },
	{ .name = "w1-range", .title = "W1 with the loop inlined in the user's range",
	  .unit = BENCH_NS_PER_ITEM, .base = "omp-static", .range = hash_range,
	  .fill = bench_seeds_fill, .in_size = sizeof(uint64_t), .out_size = sizeof(uint64_t),
	  .count = 10000000, .quick_div = 5, .per_item_div = 1 },
	{ .name = NULL },
};
