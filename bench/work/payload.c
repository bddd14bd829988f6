/* SPDX-License-Identifier: MIT */
/*
 * The payload sweep: byte sums of items from 8 bytes to 1 MiB, in place (arrays where
 * workers see them) and copied (arrays in private memory).  64 MiB in all; the
 * smallest items have 8 MiB, which a cache may hold.
 */
#include "work/bytes.h"
#include "work/work.h"

#define WHOLE		((size_t)64 << 20)
#define ITEMS_MOST	((size_t)1 << 20)
#define ITEMS(size)	(WHOLE / (size) < ITEMS_MOST ? WHOLE / (size) : ITEMS_MOST)

#define SUM(size) \
BODY static int sum_##size(void *arg, const void *in, void *out) \
{ \
	(void)arg; \
	*(uint64_t *)out = bytes_sum(in, size); \
	return 0; \
} \
\
static void fill_##size(void *in, size_t count) \
{ \
	bench_seeds_fill(in, count * (size) / sizeof(uint64_t)); \
}

SUM(8)
SUM(64)
SUM(512)
SUM(4096)
SUM(32768)
SUM(262144)
SUM(1048576)

#define PAYLOAD(family, what, which, text, size, per_item, ...) { \
	.name = family "-" which, .title = "payload " what ": byte sums of " text " each", \
	.group = family, .x = (size), .x_unit = "bytes", .unit = BENCH_GB_PER_S, \
	.fn = sum_##size, .fill = fill_##size, .in_size = (size), \
	.out_size = sizeof(uint64_t), .count = ITEMS(size), .quick_div = 4, \
	.per_item_div = (per_item), .rounds_max = 6, __VA_ARGS__ }

#define IN_PLACE(...)	PAYLOAD("payload", "in place", __VA_ARGS__, .skip = BENCH_COPIES)
#define COPIED(...)	PAYLOAD("payload-copy", "copied", __VA_ARGS__, .base = "memcpy", \
				.only = BENCH_COPIES | BENCH_SERIAL | BENCH_MEMCPY)

const struct bench_workload bench_payload[] = {
	IN_PLACE("8B", "8 bytes", 8, 20, .on_request = 0),
	IN_PLACE("64B", "64 bytes", 64, 20, .on_request = 1),
	IN_PLACE("512B", "512 bytes", 512, 4, .on_request = 0),
	IN_PLACE("4KiB", "4 KiB", 4096, 1, .on_request = 1),
	IN_PLACE("32KiB", "32 KiB", 32768, 1, .on_request = 0),
	IN_PLACE("256KiB", "256 KiB", 262144, 1, .on_request = 1),
	IN_PLACE("1MiB", "1 MiB", 1048576, 1, .on_request = 0),
	COPIED("8B", "8 bytes", 8, 20, .on_request = 0),
	COPIED("64B", "64 bytes", 64, 20, .on_request = 1),
	COPIED("512B", "512 bytes", 512, 4, .on_request = 0),
	COPIED("4KiB", "4 KiB", 4096, 1, .on_request = 1),
	COPIED("32KiB", "32 KiB", 32768, 1, .on_request = 0),
	COPIED("256KiB", "256 KiB", 262144, 1, .on_request = 1),
	COPIED("1MiB", "1 MiB", 1048576, 1, .on_request = 0),
	{ .name = NULL },
};
