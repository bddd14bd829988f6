/* SPDX-License-Identifier: MIT */
/* Results: the table for people. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

/* What stands in a cell where nothing is known. */
static void cell_print(int width, const char *format, double value)
{
	char text[64];

	if (isfinite(value))
		snprintf(text, sizeof(text), format, value);
	else
		snprintf(text, sizeof(text), "-");
	/* One that is too wide still stands apart. */
	printf(" %*s", width - 1, text);
}

/* Ratios are near 1, most of them. */
static const char *ratio_format(double ratio)
{
	return ratio < 10 ? "%.3f" : "%.4g";
}

static void interval_print(int width, const char *format, const struct bench_interval *i)
{
	char text[64] = "", pair[32];

	if (isfinite(i->lower) && isfinite(i->upper)) {
		snprintf(pair, sizeof(pair), "%s..%s", format, format);
		snprintf(text, sizeof(text), pair, i->lower, i->upper);
	}
	printf(" %-*s", width, text);
}

static void row_print(const struct bench_table *t, const struct bench_series *s)
{
	const struct bench_noise noise = bench_noise_find(t, s, 0);
	struct bench_summary sum;

	bench_summary_make(t, s, &sum);
	printf("  %-16s", s->peer->name);
	cell_print(9, "%.4g", sum.value.median);
	interval_print(16, "%.4g", &sum.value.interval);
	cell_print(8, "%.2g", sum.mad);
	if (t->tails) {
		cell_print(9, "%.4g", bench_shown(t, s->p99));
		cell_print(9, "%.4g", bench_shown(t, s->max));
	}
	cell_print(9, "%.4g", sum.first);
	cell_print(8, ratio_format(sum.best.median), sum.best.median);
	interval_print(13, ratio_format(sum.best.interval.upper), &sum.best.interval);
	if (t->base)
		cell_print(12, ratio_format(sum.base.median), sum.base.median);
	if (bench_series_find(t, bench_serial.name))
		cell_print(7, "%.3f", sum.efficiency);
	if (bench_noise_rules(&noise))
		printf("  noisy");
	putchar('\n');
}

static void heading_print(const struct bench_table *t)
{
	const struct bench_interval cover = bench_interval(t->series[0].sample, t->rounds);
	char text[64];

	printf("\n%s; %u worker%s, %u round%s%s\n", t->title, t->workers,
	       t->workers == 1 ? "" : "s", t->rounds, t->rounds == 1 ? "" : "s",
	       t->workers > bench_machine.usable ? "; oversubscribed: more workers than CPUs" : "");
	printf("  %-16s", "peer");
	snprintf(text, sizeof(text), "%s%s", t->unit, t->tails ? " p50" : "");
	printf("%9s", text);
	snprintf(text, sizeof(text), "%.1f %% interval", 100 * cover.coverage);
	printf(" %-16s%8s", text, "MAD");
	if (t->tails)
		printf("%9s%9s", "p99", "max");
	printf("%9s%8s %-13s", "first", "/best", "");
	if (t->base) {
		snprintf(text, sizeof(text), "/%s", t->base);
		printf("%12s", text);
	}
	if (bench_series_find(t, bench_serial.name))
		printf("%7s", "eff.");
	putchar('\n');
}

static void noise_print(const struct bench_table *t)
{
	const struct bench_noise noise = bench_noise_find(t, NULL, 0);
	const double line = bench_noise_line();

	printf("  others had %.1f %% of the CPUs; %u of %u samples noisy%s", 100 * noise.others,
	       noise.noisy, noise.samples,
	       bench_noise_rules(&noise) ? ": NOISY, run it again" : "");
	if (line > 0)
		printf("; two CPUs are %.0f ns apart", line);
	putchar('\n');
}

void bench_table_print(const struct bench_table *t)
{
	unsigned i;

	bench_progress(NULL, NULL, 0);
	bench_noise_close();
	if (!t->count || !t->rounds)
		return;
	heading_print(t);
	for (i = 0; i < t->count; i++)
		row_print(t, &t->series[i]);
	noise_print(t);
	fflush(stdout);
	bench_json_table(t);
}
