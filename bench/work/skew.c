/* SPDX-License-Identifier: MIT */
/*
 * Skew: maps of the same mean cost, about 100 us an item, whose items differ, beside
 * W3's.  x is what the dearest item costs, as a multiple of the mean.
 *
 * No schedule ends before the dearest item does: in skew-one that is a tenth of the
 * serial time, begun when three quarters of the items stand before it.
 */
#include "work/work.h"

#define ITEMS		1000
#define QUICK		5
#define SHARE		10	/* the dearest of skew-one is 1 / SHARE of all */
#define FEW_EVERY	10	/* of skew-bimodal one in so many is of the dear kind ... */
#define FEW_TIMES	91	/* ... and costs so many times what the others do */
#define LOG_2		0.69314718055994530942
#define TERMS		40	/* of a series whose terms halve at least */

/*
 * -log(share), 0 < share < 1: a power of two, and a series for the rest.  Not the
 * library's: with another library in it, each worker of w7 would be the bigger.
 */
static double minus_log(double share)
{
	double sum = 0, rest, power;
	unsigned k;

	for (; share < 0.5; share *= 2)
		sum += LOG_2;
	rest = power = 1 - share;
	for (k = 1; k <= TERMS; k++, power *= rest)
		sum += power / k;
	return sum;
}

/* By the inverse of its distribution, from numbers above 0 that follow no pattern. */
static void exponential_fill(void *in, size_t count)
{
	struct steps *s = in;
	size_t i;

	for (i = 0; i < count; i++) {
		double share = ((double)(splitmix64(i) >> 32) + 0.5) / 4294967296.0;

		s[i] = (struct steps){ i, (uint64_t)(minus_log(share) * STEPS_MEDIUM) };
	}
}

static void bimodal_fill(void *in, size_t count)
{
	const uint64_t cheap = (uint64_t)STEPS_MEDIUM * FEW_EVERY / (FEW_EVERY - 1 + FEW_TIMES);
	struct steps *s = in;
	size_t i;

	for (i = 0; i < count; i++) {
		int dear = i % FEW_EVERY == splitmix64(i / FEW_EVERY) % FEW_EVERY;

		s[i] = (struct steps){ i, dear ? FEW_TIMES * cheap : cheap };
	}
}

static void decreasing_fill(void *in, size_t count)
{
	struct steps *s = in;
	size_t i;

	for (i = 0; i < count; i++)
		s[i] = (struct steps){ i, 2 * STEPS_MEDIUM * (count - i) / count };
}

static void one_fill(void *in, size_t count)
{
	const uint64_t whole = (uint64_t)STEPS_MEDIUM * count;
	struct steps *s = in;
	size_t i;

	for (i = 0; i < count; i++)
		s[i] = (struct steps){ i, (whole - whole / SHARE) / (count - 1) };
	s[count - count / 4].steps = whole / SHARE;
}

#define SKEW(which, text, dearest) { \
	.name = "skew-" #which, .title = "skew: 1,000 items of 100 us on average, " text, \
	.group = "skew", .x = (dearest), .x_unit = "x mean", .unit = BENCH_MS_PER_MAP, \
	.fn = bench_steps_item, .fill = which##_fill, .in_size = sizeof(struct steps), \
	.out_size = sizeof(uint64_t), .count = ITEMS, .quick_div = QUICK, \
	.per_item_div = 1, .rounds_max = 6 }

const struct bench_workload bench_skew[] = {
	SKEW(decreasing, "sorted, dearest first", 2),
	SKEW(exponential, "exponential", 7.9),
	SKEW(bimodal, "10 % of them 91 times dearer", 9.1),
	SKEW(one, "one of them 10 % of all", ITEMS / SHARE),
	{ .name = NULL },
};
