/* SPDX-License-Identifier: MIT */
/* W3: items of about 100 us, whose costs are alike, grow, or stand out here and there. */
#include "work/work.h"

/* One item in so many is dear, and costs so many times more. */
#define DEAR_EVERY	100
#define DEAR_TIMES	100

BODY int bench_steps_item(void *arg, const void *in, void *out)
{
	const struct steps *s = in;

	(void)arg;
	*(uint64_t *)out = lcg(s->seed, s->steps);
	return 0;
}

void bench_steps_fill(void *in, size_t count, uint64_t steps)
{
	struct steps *s = in;
	size_t i;

	for (i = 0; i < count; i++)
		s[i] = (struct steps){ i, steps };
}

static void uniform_fill(void *in, size_t count)
{
	bench_steps_fill(in, count, STEPS_MEDIUM);
}

static void growing_fill(void *in, size_t count)
{
	struct steps *s = in;
	size_t i;

	for (i = 0; i < count; i++)
		s[i] = (struct steps){ i, 2 * STEPS_MEDIUM * i / count };
}

/* In each stretch of DEAR_EVERY items one, at a place that follows no pattern, is dear. */
static void dear_fill(void *in, size_t count)
{
	struct steps *s = in;
	size_t i;

	for (i = 0; i < count; i++) {
		int dear = i % DEAR_EVERY == splitmix64(i / DEAR_EVERY) % DEAR_EVERY;

		s[i] = (struct steps){ i, STEPS_MEDIUM * (dear ? DEAR_TIMES : 1) };
	}
}

/* Of the first part of a growing loop nothing can be told for the whole: all its peers run all. */
#define W3(which, text, part, ...) { \
	.name = "w3-" #which, .title = "W3 medium map: 10^4 items of 100 us, " text, \
	.unit = BENCH_MS_PER_MAP, .fn = bench_steps_item, .fill = which##_fill, \
	.in_size = sizeof(struct steps), .out_size = sizeof(uint64_t), \
	.count = 10000, .quick_div = 20, .per_item_div = (part), .rounds_max = 6, __VA_ARGS__ }

const struct bench_workload bench_w3[] = {
	W3(uniform, "uniform", 4, .fork_div = 4, .slow_div = 1, .scales = 1),
	W3(growing, "cost growing with the index", 1, .skip = BENCH_FOREIGN),
	W3(dear, "1 % of them 100 times dearer", 4, .fork_div = 4, .slow_div = 1),
	{ .name = NULL },
};
