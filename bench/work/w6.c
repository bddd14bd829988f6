/* SPDX-License-Identifier: MIT */
/*
 * W6: the sum of 64 KiB of bytes, in place, and copied to where workers see it; and
 * items that give as many bytes back as they get.
 *
 * The bare row of what is copied is memcpy: once for what goes in, and once more for
 * what comes out, where that is as much.
 */
#include "work/bytes.h"
#include "work/work.h"

#define PAYLOAD		((size_t)64 << 10)
#define WORDS		(PAYLOAD / sizeof(uint64_t))

BODY static int bytes_item(void *arg, const void *in, void *out)
{
	(void)arg;
	*(uint64_t *)out = bytes_sum(in, PAYLOAD);
	return 0;
}

BODY static int invert_item(void *arg, const void *in, void *out)
{
	const uint64_t *from = in;
	uint64_t *to = out;
	size_t i;

	(void)arg;
	for (i = 0; i < WORDS; i++)
		to[i] = ~from[i];
	return 0;
}

static void bytes_fill(void *in, size_t count)
{
	bench_seeds_fill(in, count * WORDS);
}

#define COPIED	(BENCH_COPIES | BENCH_SERIAL | BENCH_MEMCPY)

const struct bench_workload bench_w6[] = {
	{ .name = "w6", .title = "W6 payload: 10^4 items of 64 KiB, byte sum",
	  .unit = BENCH_GB_PER_S, .base = "tbb", .fn = bytes_item, .fill = bytes_fill,
	  .in_size = PAYLOAD, .out_size = sizeof(uint64_t),
	  .count = 10000, .quick_div = 10, .per_item_div = 1, .fork_div = 10, .slow_div = 10,
	  .scales = 1 },
	{ .name = "w6-copy", .title = "W6 copied: 5,000 items of 64 KiB in private memory, byte sum",
	  .unit = BENCH_GB_PER_S, .base = "memcpy", .fn = bytes_item, .fill = bytes_fill,
	  .in_size = PAYLOAD, .out_size = sizeof(uint64_t), .only = COPIED,
	  .count = 5000, .quick_div = 10, .per_item_div = 1, .rounds_max = 6 },
	{ .name = "w6-copy-out", .title = "W6 copied in and out: 2,000 items of 64 KiB, inverted",
	  .unit = BENCH_GB_PER_S, .base = "memcpy", .fn = invert_item, .fill = bytes_fill,
	  .in_size = PAYLOAD, .out_size = PAYLOAD, .only = COPIED,
	  .count = 2000, .quick_div = 10, .per_item_div = 1, .rounds_max = 6 },
	{ .name = NULL },
};
