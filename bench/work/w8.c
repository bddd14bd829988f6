/* SPDX-License-Identifier: MIT */
/* W8: items that sleep. */
#include <string.h>

#include "work/work.h"

BODY static int sleep_item(void *arg, const void *in, void *out)
{
	int64_t ns;

	(void)arg;
	memcpy(&ns, in, sizeof(ns));
	bench_sleep(ns);
	memcpy(out, in, sizeof(ns));
	return 0;
}

BODY static int sleep_answer(void *arg, const void *in, void *out)
{
	(void)arg;
	memcpy(out, in, sizeof(int64_t));
	return 0;
}

static void sleep_fill(void *in, size_t count, int64_t ns)
{
	int64_t *p = in;
	size_t i;

	for (i = 0; i < count; i++)
		p[i] = ns;
}

static void sleep_long_fill(void *in, size_t count)
{
	const int64_t div = bench_opt.smoke ? 100 : bench_opt.quick ? 10 : 1;

	sleep_fill(in, count, BENCH_SLEEP_LONG / div);
}

static void sleep_short_fill(void *in, size_t count)
{
	sleep_fill(in, count, BENCH_SLEEP_SHORT);
}

const struct bench_workload bench_w8[] = {
	{ .name = "w8-long", .title = "W8 sleep: 4 items of 2 s on 8 workers",
	  .unit = BENCH_MS_PER_MAP, .workers = 8,
	  .skip = BENCH_SERIAL | BENCH_VARIANT | BENCH_FOREIGN,
	  .fn = sleep_item, .answer = sleep_answer, .fill = sleep_long_fill,
	  .in_size = sizeof(int64_t), .out_size = sizeof(int64_t),
	  .count = 4, .quick_div = 1, .per_item_div = 1, .fork_div = 1,
	  .rounds_max = 3, .cold = 1 },
	{ .name = "w8-short", .title = "W8 sleep: 200 items of 20 ms on 8 workers",
	  .unit = BENCH_MS_PER_MAP, .skip = BENCH_SERIAL | BENCH_VARIANT, .workers = 8,
	  .fn = sleep_item, .answer = sleep_answer, .fill = sleep_short_fill,
	  .in_size = sizeof(int64_t), .out_size = sizeof(int64_t),
	  .count = 200, .quick_div = 5, .per_item_div = 1, .fork_div = 1, .slow_div = 1,
	  .rounds_max = 6, .cold = 1 },
	{ .name = NULL },
};
