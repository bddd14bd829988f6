/* SPDX-License-Identifier: MIT */
/*
 * Medians and how sure they are.  Nothing is assumed of how samples spread: the
 * interval of a median lies between two of the samples themselves.  Each sample
 * is above the true median with probability 1/2, so how many of N are is
 * binomial, and the K-th least and the K-th greatest enclose the true median
 * unless fewer than K samples lie on one side of it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define COVERAGE	0.95

static int double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void samples_sort(double *sorted, const double *sample, unsigned count)
{
	memcpy(sorted, sample, count * sizeof(*sample));
	qsort(sorted, count, sizeof(*sorted), double_compare);
}

double bench_median(const double *sample, unsigned count)
{
	double sorted[BENCH_ROUNDS_MAX];

	samples_sort(sorted, sample, count);
	return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

double bench_mad(const double *sample, unsigned count)
{
	double middle = bench_median(sample, count), distance[BENCH_ROUNDS_MAX];
	unsigned i;

	for (i = 0; i < count; i++)
		distance[i] = fabs(sample[i] - middle);
	return bench_median(distance, count);
}

/* How probable it is that the median lies between the samples K from either end, 1 the outermost. */
static double coverage(unsigned count, unsigned k)
{
	/* Of COUNT fair coins exactly I show heads: first 2^-COUNT, then by the ratio of neighbours. */
	double exactly = ldexp(1, -(int)count), below = 0;
	unsigned i;

	for (i = 0; i < k; i++) {
		below += exactly;
		exactly *= (double)(count - i) / (i + 1);
	}
	return 1 - 2 * below;
}

struct bench_interval bench_interval(const double *sample, unsigned count)
{
	double sorted[BENCH_ROUNDS_MAX];
	unsigned k = 1;

	samples_sort(sorted, sample, count);
	while (2 * (k + 1) <= count && coverage(count, k + 1) >= COVERAGE)
		k++;
	return (struct bench_interval){
		.lower = sorted[k - 1], .upper = sorted[count - k],
		.coverage = coverage(count, k),
	};
}

/* ---- Series ---------------------------------------------------------------------- */

double bench_shown(const struct bench_table *t, double sample)
{
	return t->inverse ? t->scale / sample : t->scale * sample;
}

const struct bench_series *bench_series_find(const struct bench_table *t, const char *name)
{
	unsigned i;

	for (i = 0; name && i < t->count; i++)
		if (!strcmp(t->series[i].peer->name, name))
			return &t->series[i];
	return NULL;
}

void bench_series_drop(struct bench_table *t, unsigned index)
{
	t->count--;
	memmove(&t->series[index], &t->series[index + 1],
		(t->count - index) * sizeof(t->series[0]));
}

/* The peer to beat: neither ours, nor the plain loop, nor without a pool. */
static const struct bench_series *series_best(const struct bench_table *t)
{
	const struct bench_series *best = NULL;
	unsigned i;

	for (i = 0; i < t->count; i++) {
		const struct bench_series *s = &t->series[i];

		if (s->peer->flags & (BENCH_OURS | BENCH_SERIAL | BENCH_BARE))
			continue;
		if (!best || bench_median(s->sample, t->rounds) <
			     bench_median(best->sample, t->rounds))
			best = s;
	}
	return best;
}

static struct bench_estimate estimate(const double *sample, unsigned count)
{
	return (struct bench_estimate){ bench_median(sample, count),
					bench_interval(sample, count) };
}

/* A / B, each pair of samples from one round: what slows the whole machine cancels out. */
static struct bench_estimate ratio(const struct bench_table *t, const struct bench_series *a,
				   const struct bench_series *b)
{
	double each[BENCH_ROUNDS_MAX];
	unsigned i;

	for (i = 0; b && i < t->rounds; i++) {
		if (!(b->sample[i] > 0))
			b = NULL;
		else
			each[i] = a->sample[i] / b->sample[i];
	}
	if (!b)
		return (struct bench_estimate){ NAN, { NAN, NAN, 0 } };
	return estimate(each, t->rounds);
}

void bench_summary_make(const struct bench_table *t, const struct bench_series *s,
			struct bench_summary *ret)
{
	const struct bench_series *serial = bench_series_find(t, bench_serial.name);
	double value[BENCH_ROUNDS_MAX];
	unsigned i;

	for (i = 0; i < t->rounds; i++)
		value[i] = bench_shown(t, s->sample[i]);
	ret->value = estimate(value, t->rounds);
	/* Of rates, too, it is the median time that is shown. */
	ret->value.median = bench_shown(t, bench_median(s->sample, t->rounds));
	ret->mad = bench_mad(value, t->rounds);
	ret->first = s->first >= 0 ? bench_shown(t, s->first) : NAN;
	ret->best = ratio(t, s, series_best(t));
	ret->base = ratio(t, s, bench_series_find(t, t->base));
	ret->efficiency = serial ? ratio(t, serial, s).median / t->workers : NAN;
}
