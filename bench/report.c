/* SPDX-License-Identifier: MIT */
/* Results: statistics, the table for people, JSON for programs. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

/* ---- Statistics ------------------------------------------------------------------- */

static int double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(const double *sample, unsigned count)
{
	double sorted[BENCH_ROUNDS_MAX];

	memcpy(sorted, sample, count * sizeof(*sample));
	qsort(sorted, count, sizeof(*sorted), double_compare);
	return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

static double shown(const struct bench_table *t, double sample)
{
	return t->inverse ? t->scale / sample : t->scale * sample;
}

/* The median distance from the median, in the unit shown. */
static double mad(const struct bench_table *t, const struct bench_series *s)
{
	double middle = shown(t, bench_median(s->sample, t->rounds));
	double distance[BENCH_ROUNDS_MAX];
	unsigned i;

	for (i = 0; i < t->rounds; i++) {
		distance[i] = shown(t, s->sample[i]) - middle;
		if (distance[i] < 0)
			distance[i] = -distance[i];
	}
	return bench_median(distance, t->rounds);
}

/* The median over the rounds of A / B, each pair from one round. */
static double ratio(const struct bench_table *t, const struct bench_series *a,
		    const struct bench_series *b)
{
	double each[BENCH_ROUNDS_MAX];
	unsigned i;

	for (i = 0; i < t->rounds; i++)
		each[i] = a->sample[i] / b->sample[i];
	return bench_median(each, t->rounds);
}

static const struct bench_series *series_find(const struct bench_table *t, const char *name)
{
	unsigned i;

	for (i = 0; name && i < t->count; i++)
		if (!strcmp(t->series[i].peer->name, name))
			return &t->series[i];
	return NULL;
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

/* ---- JSON ----------------------------------------------------------------------------- */

/* Entries written so far; shared, as each workload's own process writes some. */
static unsigned *json_entries;

void bench_json_open(void)
{
	json_entries = mmap(NULL, sizeof(*json_entries), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (bench_opt.json < 0 || json_entries == MAP_FAILED) {
		bench_opt.json = -1;
		return;
	}
	dprintf(bench_opt.json, "{\n\"context\": {\"num_cpus\": %ld, \"rounds\": %u},\n"
		"\"benchmarks\": [", sysconf(_SC_NPROCESSORS_ONLN), bench_opt.rounds);
}

void bench_json_close(void)
{
	if (bench_opt.json < 0)
		return;
	dprintf(bench_opt.json, "\n]\n}\n");
	close(bench_opt.json);
}

static void json_sample(const struct bench_table *t, const struct bench_series *s,
			const char *type, unsigned index, double sample)
{
	dprintf(bench_opt.json,
		"%s\n{\"name\": \"%s/%s/%u\", \"run_type\": \"%s\", "
		"\"repetition_index\": %u, \"repetitions\": %u, \"threads\": %u, "
		"\"real_time\": %.6g, \"time_unit\": \"%s\"}",
		(*json_entries)++ ? "," : "", t->name, s->peer->name, t->workers, type,
		index, t->rounds, t->workers, shown(t, sample), t->unit);
}

static void json_series(const struct bench_table *t, const struct bench_series *s)
{
	unsigned i;

	if (s->first >= 0)
		json_sample(t, s, "first", 0, s->first);
	for (i = 0; i < t->rounds; i++)
		json_sample(t, s, "iteration", i, s->sample[i]);
	json_sample(t, s, "median", 0, bench_median(s->sample, t->rounds));
	if (t->tails) {
		json_sample(t, s, "p99", 0, s->p99);
		json_sample(t, s, "max", 0, s->max);
	}
}

/* ---- Tables ------------------------------------------------------------------------------ */

static void cell_print(const char *format, int there, double value)
{
	if (there)
		printf(format, value);
	else
		printf("%12s", "-");
}

static void row_print(const struct bench_table *t, const struct bench_series *s)
{
	const struct bench_series *best = series_best(t), *base = series_find(t, t->base);
	const struct bench_series *serial = series_find(t, bench_serial.name);

	printf("  %-16s%12.4g%12.2g", s->peer->name,
	       shown(t, bench_median(s->sample, t->rounds)), mad(t, s));
	if (t->tails)
		printf("%12.4g%12.4g", shown(t, s->p99), shown(t, s->max));
	cell_print("%12.4g", s->first >= 0, shown(t, s->first));
	cell_print("%12.3f", best && bench_median(best->sample, t->rounds) > 0,
		   best ? ratio(t, s, best) : 0);
	if (t->base)
		cell_print("%12.3f", base != NULL, base ? ratio(t, s, base) : 0);
	if (serial)
		printf("%12.3f", ratio(t, serial, s) / t->workers);
	putchar('\n');
}

void bench_table_print(const struct bench_table *t)
{
	char heading[64];
	unsigned i;

	bench_progress(NULL, NULL, 0);
	snprintf(heading, sizeof(heading), "/%s", t->base ? t->base : "");
	printf("\n%s; %u worker%s, %u round%s%s\n", t->title, t->workers,
	       t->workers == 1 ? "" : "s", t->rounds, t->rounds == 1 ? "" : "s",
	       (long)t->workers > sysconf(_SC_NPROCESSORS_ONLN) ? ", more than CPUs" : "");
	printf("  %-16s%12s%12s", "peer", t->unit, "MAD");
	if (t->tails)
		printf("%12s%12s", "p99", "max");
	printf("%12s%12s", "first", "/best");
	if (t->base)
		printf("%12s", heading);
	if (series_find(t, bench_serial.name))
		printf("%12s", "efficiency");
	putchar('\n');
	for (i = 0; i < t->count; i++) {
		row_print(t, &t->series[i]);
		if (bench_opt.json >= 0)
			json_series(t, &t->series[i]);
	}
	fflush(stdout);
}

/* ---- The machine --------------------------------------------------------------------------- */

/* What stands behind the colon of the first line of /proc/cpuinfo that begins with KEY. */
static void cpu_model(char *ret, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(ret, size, "unknown CPU");
	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		if (!strncmp(line, "model name", 10) && colon) {
			colon[strcspn(colon, "\n")] = '\0';
			snprintf(ret, size, "%s", colon + 2);
			break;
		}
	}
	if (file)
		fclose(file);
}

/* The chosen word, the one in brackets, of a file of transparent huge pages. */
static void huge_pages(const char *file, char *ret, size_t size)
{
	char path[128], line[128] = "", *open, *close;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/transparent_hugepage/%s", file);
	f = fopen(path, "re");
	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	open = strchr(line, '[');
	close = strchr(line, ']');
	if (close)
		*close = '\0';
	snprintf(ret, size, "%s", open && close ? open + 1 : "none");
}

void bench_machine_print(void)
{
	char model[128], private_pages[32], shared_pages[32];
	struct utsname os;
	double load = 0;

	cpu_model(model, sizeof(model));
	huge_pages("enabled", private_pages, sizeof(private_pages));
	huge_pages("shmem_enabled", shared_pages, sizeof(shared_pages));
	uname(&os);
	getloadavg(&load, 1);
	printf("%s, %ld CPUs (%u usable), %s %s, compiler %s\n", model,
	       sysconf(_SC_NPROCESSORS_ONLN), forkpool_cpu_count(), os.sysname, os.release,
	       __VERSION__);
	printf("huge pages: private memory %s, shared memory %s; load at start %.2f\n",
	       private_pages, shared_pages, load);
	printf("Medians; MAD is the median distance from the median; first is the round that\n"
	       "touches memory first, kept out of the median.  A ratio is the median of the\n"
	       "times' ratios round by round (1.1 = 10 %% slower); best is the best peer that\n"
	       "is not forkpool.  Efficiency is serial time / (workers x time).\n");
}
