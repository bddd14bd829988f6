/* SPDX-License-Identifier: MIT */
/* What the runner computes, against values known by other means. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static int failures;

static void expect(int truth, const char *what, int line)
{
	if (truth)
		return;
	fprintf(stderr, "selftest.c:%d: not so: %s\n", line, what);
	failures++;
}

#define EXPECT(truth)	expect((truth) != 0, #truth, __LINE__)
#define NEAR(a, b)	(fabs((a) - (b)) < 1e-9)

static void median_test(void)
{
	const double one[] = { 7 }, odd[] = { 9, 1, 5 }, even[] = { 8, 1, 2, 4 };

	EXPECT(NEAR(bench_median(one, 1), 7));
	EXPECT(NEAR(bench_median(odd, 3), 5));
	EXPECT(NEAR(bench_median(even, 4), 3));
}

static void mad_test(void)
{
	/* Median 2; distances 1 1 0 0 2 4 7. */
	const double sample[] = { 1, 1, 2, 2, 4, 6, 9 }, alike[] = { 3, 3, 3 };

	EXPECT(NEAR(bench_mad(sample, 7), 1));
	EXPECT(NEAR(bench_mad(alike, 3), 0));
}

/* The interval of COUNT samples goes from the K-th least to the K-th greatest. */
static void interval_expect(unsigned count, unsigned k, double coverage)
{
	double sample[BENCH_ROUNDS_MAX];
	struct bench_interval got;
	unsigned i;

	/* Some order that is not theirs. */
	for (i = 0; i < count; i++)
		sample[i] = 1 + (i * 7 + 3) % count;
	got = bench_interval(sample, count);
	EXPECT(NEAR(got.lower, k));
	EXPECT(NEAR(got.upper, count + 1 - k));
	EXPECT(fabs(got.coverage - coverage) < 5e-5);
}

/* From tables of the sign test; counts are no multiples of 7. */
static void interval_test(void)
{
	interval_expect(1, 1, 0);
	interval_expect(2, 1, 0.5);
	interval_expect(3, 1, 0.75);
	interval_expect(5, 1, 0.9375);
	interval_expect(6, 1, 0.96875);
	interval_expect(8, 1, 0.9921875);
	interval_expect(9, 2, 0.9609375);
	interval_expect(10, 2, 0.978515625);
	interval_expect(20, 6, 0.9586105);
	interval_expect(30, 10, 0.9572260);
	interval_expect(100, 40, 0.9647998);
}

static void table_make(struct bench_table *t, const struct bench_peer peers[3])
{
	static const double sample[3][3] = { { 40, 80, 44 }, { 10, 30, 11 }, { 20, 60, 22 } };
	unsigned i;

	t->name = t->unit = "";
	t->workers = 2;
	t->rounds = 3;
	t->count = 3;
	t->scale = 1;
	for (i = 0; i < 3; i++) {
		t->series[i].peer = &peers[i];
		t->series[i].first = -1;
		memcpy(t->series[i].sample, sample[i], sizeof(sample[i]));
	}
}

static void summary_test(void)
{
	const struct bench_peer peers[] = {
		{ .name = "serial", .flags = BENCH_SERIAL },
		{ .name = "forkpool", .flags = BENCH_OURS },
		{ .name = "other" },
	};
	struct bench_table *t = calloc(1, sizeof(*t));
	struct bench_summary sum;

	if (!t)
		exit(99);
	table_make(t, peers);
	bench_summary_make(t, &t->series[1], &sum);
	EXPECT(NEAR(sum.value.median, 11));
	EXPECT(NEAR(sum.mad, 1));
	EXPECT(isnan(sum.first));
	EXPECT(isnan(sum.base.median));
	EXPECT(NEAR(sum.best.median, 0.5));
	EXPECT(NEAR(sum.best.interval.lower, 0.5));
	/* Round by round: 40/10, 80/30, 44/11 for two workers. */
	EXPECT(NEAR(sum.efficiency, 2));
	t->inverse = 1;
	t->scale = 110;
	bench_summary_make(t, &t->series[1], &sum);
	EXPECT(NEAR(sum.value.median, 10));
	EXPECT(NEAR(sum.value.interval.upper, 11));
	EXPECT(NEAR(sum.value.interval.lower, 110.0 / 30));
	EXPECT(NEAR(sum.best.median, 0.5));
	free(t);
}

static void sweep_expect(const char *text, unsigned usable, const char *expected)
{
	unsigned sweep[BENCH_SWEEP_MAX];
	int count = bench_sweep_parse(text, usable, sweep), i;
	char got[128] = "", one[16];

	for (i = 0; i < count; i++) {
		snprintf(one, sizeof(one), "%s%u", i ? " " : "", sweep[i]);
		strcat(got, one);
	}
	EXPECT(count > 0);
	EXPECT(!strcmp(got, expected));
}

static void lists_test(void)
{
	unsigned sweep[BENCH_SWEEP_MAX];

	sweep_expect("3", 2, "3");
	sweep_expect("1,2,4,max", 6, "1 2 4 6");
	sweep_expect("1,2,max", 2, "1 2");
	sweep_expect("sweep", 1, "1 2");
	sweep_expect("sweep", 2, "1 2 4");
	sweep_expect("sweep", 12, "1 2 4 8 12 24");
	/* What these say on stderr is right, too. */
	EXPECT(bench_sweep_parse("", 2, sweep) < 0);
	EXPECT(bench_sweep_parse("0", 2, sweep) < 0);
	EXPECT(bench_sweep_parse("1,", 2, sweep) < 0);
	EXPECT(bench_sweep_parse("2x", 2, sweep) < 0);
	EXPECT(bench_sweep_parse("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", 2, sweep) < 0);
	EXPECT(bench_listed("w1,w2", "w2") && bench_listed("w1,w2", "w1"));
	EXPECT(!bench_listed("w10,w2", "w1") && !bench_listed(NULL, "w1"));
}

/* Each round has each number once; and in many rounds each follows each other one, and alike. */
static void order_test(void)
{
	enum { COUNT = 5, ROUNDS = 2000 };
	struct bench_table t = { .name = "table", .workers = 2 };
	unsigned follows[COUNT][COUNT] = { { 0 } }, order[BENCH_PEERS_MAX], again[BENCH_PEERS_MAX];
	unsigned round, i, k;

	bench_opt.seed = 7;
	for (round = 0; round < ROUNDS; round++) {
		unsigned seen = 0;

		bench_order(&t, round, COUNT, order);
		for (i = 0; i < COUNT; i++)
			seen |= 1U << order[i];
		EXPECT(seen == (1U << COUNT) - 1);
		for (i = 1; i < COUNT; i++)
			follows[order[i - 1]][order[i]]++;
	}
	/* ROUNDS / COUNT of each pair; six standard deviations are 107. */
	for (i = 0; i < COUNT; i++)
		for (k = 0; k < COUNT; k++)
			EXPECT(i == k ? !follows[i][k]
				      : follows[i][k] > 290 && follows[i][k] < 510);
	bench_order(&t, ROUNDS - 1, COUNT, again);
	EXPECT(!memcmp(order, again, COUNT * sizeof(*order)));
	/* Two seeds have other orders. */
	for (round = k = 0; round < 20; round++) {
		bench_opt.seed = 7;
		bench_order(&t, round, COUNT, order);
		bench_opt.seed = 8;
		bench_order(&t, round, COUNT, again);
		k += !memcmp(order, again, COUNT * sizeof(*order));
	}
	EXPECT(k < 10);
}

int main(void)
{
	order_test();
	median_test();
	mad_test();
	interval_test();
	summary_test();
	lists_test();
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
