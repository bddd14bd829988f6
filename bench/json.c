/* SPDX-License-Identifier: MIT */
/*
 * Results for programs: google-benchmark's layout, and more beside it.
 *
 * Each workload's own process adds whole tables to a file that has no name; what
 * was added is counted in memory that they share with the runner, after it was
 * written.  So what a process that was killed left half done does not count, and
 * the runner can make a complete file of the rest at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "config.h"

static struct {
	size_t end;		/* bytes of whole tables */
	unsigned tables;
} *done;

static int entries = -1;

int bench_json_open(void)
{
	done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
	if (done == MAP_FAILED)
		return -errno;
	entries = memfd_create("bench-json", MFD_CLOEXEC);
	return entries < 0 ? -errno : 0;
}

/* ---- Values ---------------------------------------------------------------------------- */

static void text_put(FILE *f, const char *key, const char *text)
{
	fprintf(f, "\"%s\": \"", key);
	for (; text && *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		if ((unsigned char)*text >= ' ')
			fputc(*text, f);
	}
	fputc('"', f);
}

static void number_put(FILE *f, const char *key, double number)
{
	if (isfinite(number))
		fprintf(f, ", \"%s\": %.10g", key, number);
	else
		fprintf(f, ", \"%s\": null", key);
}

static void truth_put(FILE *f, const char *key, int truth)
{
	fprintf(f, ", \"%s\": %s", key, truth ? "true" : "false");
}

/* ---- Entries ---------------------------------------------------------------------------- */

/* One series of one table. */
struct place {
	FILE *file;
	const struct bench_table *table;
	const struct bench_series *series;
	unsigned first;			/* 1 until an entry was written */
};

/* A time, the smaller the better, for programs that know nothing else: its unit and its scale. */
static const char *time_unit(const struct bench_table *t, double *scale)
{
	static const char *const units[] = { "ns", "us", "ms" };
	unsigned i;

	*scale = t->scale;
	for (i = 0; i < 3 && !t->inverse; i++)
		if (!strncmp(t->unit, units[i], 2))
			return units[i];
	/* Rates come of times in ns; what is no time at all stands as it is. */
	if (t->inverse)
		*scale = 1e-6;
	return t->inverse ? "ms" : "ns";
}

static void entry_open(struct place *p, const char *type, const char *suffix, double sample,
		       double value)
{
	const struct bench_table *t = p->table;
	const char *peer = p->series->peer->name;
	double scale;
	const char *unit = time_unit(t, &scale);

	fprintf(p->file, "%s\n{\"name\": \"%s/%s/workers:%u%s\", ", p->first ? "" : ",",
		t->name, peer, t->workers, suffix);
	p->first = 0;
	fprintf(p->file, "\"run_name\": \"%s/%s/workers:%u\", \"run_type\": \"%s\", "
		"\"family_index\": %u, \"per_family_instance_index\": %u, "
		"\"repetitions\": %u, \"threads\": 1, \"iterations\": 1",
		t->name, peer, t->workers, type, done->tables,
		(unsigned)(p->series - t->series), t->rounds);
	number_put(p->file, "real_time", sample * scale);
	number_put(p->file, "cpu_time", sample * scale);
	fprintf(p->file, ", \"time_unit\": \"%s\", \"workload\": \"%s\", \"peer\": \"%s\", "
		"\"workers\": %u, ", unit, t->name, peer, t->workers);
	text_put(p->file, "group", t->group);
	number_put(p->file, "x", t->x);
	fprintf(p->file, ", ");
	text_put(p->file, "x_unit", t->x_unit);
	fprintf(p->file, ", \"unit\": \"%s\"", t->unit);
	number_put(p->file, "value", value);
	truth_put(p->file, "higher_is_better", t->inverse);
}

static void aggregate_open(struct place *p, const char *name, double sample, double value)
{
	char suffix[16];

	snprintf(suffix, sizeof(suffix), "_%s", name);
	entry_open(p, "aggregate", suffix, sample, value);
	fprintf(p->file, ", \"aggregate_name\": \"%s\", \"aggregate_unit\": \"time\"", name);
}

/* Where single trips are known. */
static void percentiles_put(struct place *p)
{
	const struct bench_table *t = p->table;
	const struct bench_series *s = p->series;

	if (!t->tails || !(s->p50 > 0))
		return;
	fprintf(p->file, ", \"percentiles\": {\"50\": %.10g, \"90\": %.10g, \"99\": %.10g, "
		"\"99.9\": %.10g, \"100\": %.10g}", bench_shown(t, s->p50),
		bench_shown(t, s->p90), bench_shown(t, s->p99), bench_shown(t, s->p999),
		bench_shown(t, s->max));
}

static void median_put(struct place *p, const struct bench_summary *sum)
{
	const struct bench_table *t = p->table;
	const struct bench_noise noise = bench_noise_find(t, p->series, 0);
	const struct bench_noise all = bench_noise_find(t, NULL, 0);
	const double line = bench_noise_line();

	aggregate_open(p, "median", bench_median(p->series->sample, t->rounds),
		       sum->value.median);
	number_put(p->file, "lower", sum->value.interval.lower);
	number_put(p->file, "upper", sum->value.interval.upper);
	number_put(p->file, "coverage", sum->value.interval.coverage);
	number_put(p->file, "mad", sum->mad);
	number_put(p->file, "best_ratio", sum->best.median);
	number_put(p->file, "best_ratio_lower", sum->best.interval.lower);
	number_put(p->file, "best_ratio_upper", sum->best.interval.upper);
	number_put(p->file, "efficiency", sum->efficiency);
	number_put(p->file, "first", sum->first);
	number_put(p->file, "others", noise.others);
	truth_put(p->file, "noisy", bench_noise_rules(&noise) || bench_noise_rules(&all));
	fprintf(p->file, ", \"noisy_samples\": %u", noise.noisy);
	number_put(p->file, "line_ns", line > 0 ? line : NAN);
	truth_put(p->file, "oversubscribed", t->workers > bench_machine.usable);
	percentiles_put(p);
	fprintf(p->file, ", ");
	text_put(p->file, "title", t->title);
	fputc('}', p->file);
}

static void sample_put(struct place *p, unsigned i)
{
	const double sample = p->series->sample[i];
	const struct bench_noise noise = bench_noise_find(p->table, p->series, i + 1);

	entry_open(p, "iteration", "", sample, bench_shown(p->table, sample));
	fprintf(p->file, ", \"repetition_index\": %u", i);
	number_put(p->file, "others", noise.others);
	truth_put(p->file, "noisy", noise.noisy);
	fputc('}', p->file);
}

static void series_put(struct place *p)
{
	const struct bench_table *t = p->table;
	const struct bench_series *s = p->series;
	struct bench_summary sum;
	unsigned i;

	bench_summary_make(t, s, &sum);
	for (i = 0; i < t->rounds; i++)
		sample_put(p, i);
	median_put(p, &sum);
	aggregate_open(p, "mad", bench_mad(s->sample, t->rounds), sum.mad);
	fputc('}', p->file);
}

static int all_write(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

void bench_json_table(const struct bench_table *t)
{
	char *text = NULL;
	size_t len = 0;
	struct place p = { .table = t, .file = open_memstream(&text, &len),
			   .first = !done->tables };
	unsigned i;

	if (!p.file)
		return;
	for (i = 0; i < t->count; i++) {
		p.series = &t->series[i];
		series_put(&p);
	}
	/* One that was killed amid its table has left something there. */
	if (!fclose(p.file) && lseek(entries, (off_t)done->end, SEEK_SET) >= 0 &&
	    !all_write(entries, text, len)) {
		done->end += len;
		done->tables++;
	}
	free(text);
}

/* ---- The file ----------------------------------------------------------------------------- */

static void context_put(FILE *f)
{
	const struct bench_machine *m = &bench_machine;
	char program[256] = "", pages[96];

	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		program[0] = '\0';
	snprintf(pages, sizeof(pages), "private %.31s, shared %.31s", m->private_pages,
		 m->shared_pages);
	fprintf(f, "{\n\"context\": {\n");
	text_put(f, "date", m->date);
	fprintf(f, ",\n"), text_put(f, "host_name", m->host);
	fprintf(f, ",\n"), text_put(f, "executable", program);
	fprintf(f, ",\n\"num_cpus\": %ld, \"mhz_per_cpu\": %.0f, \"cpu_scaling_enabled\": %s,\n"
		"\"load_avg\": [%.2f, %.2f, %.2f], \"caches\": [],\n"
		"\"library_build_type\": \"release\", \"json_schema_version\": 1,\n",
		m->cpus, m->mhz, m->scaling ? "true" : "false", m->load[0], m->load[1], m->load[2]);
	text_put(f, "machine", m->model);
	fprintf(f, ",\n\"usable_cpus\": %u,\n", m->usable), text_put(f, "kernel", m->kernel);
	fprintf(f, ",\n"), text_put(f, "cgroup", m->cgroup);
	fprintf(f, ",\n"), text_put(f, "compiler", bench_compiler());
	fprintf(f, ",\n"), text_put(f, "commit", bench_commit());
	fprintf(f, ",\n"), text_put(f, "forkpool_version", PACKAGE_VERSION);
	fprintf(f, ",\n"), text_put(f, "huge_pages", pages);
	fprintf(f, ",\n\"rounds\": %u",
		bench_opt.rounds ? bench_opt.rounds : bench_rounds_usual());
	fprintf(f, ", \"seed\": %u", bench_opt.seed);
	truth_put(f, "quick", bench_opt.quick);
	truth_put(f, "smoke", bench_opt.smoke);
	truth_put(f, "pin", bench_opt.pin);
	fprintf(f, "\n},\n\"benchmarks\": [");
}

static int file_write(int fd)
{
	FILE *f = fdopen(fd, "w");
	char buffer[4096];
	size_t at = 0;
	int err;

	if (!f) {
		close(fd);
		return -errno;
	}
	context_put(f);
	while (at < done->end) {
		size_t most = done->end - at < sizeof(buffer) ? done->end - at : sizeof(buffer);
		ssize_t n = pread(entries, buffer, most, (off_t)at);

		if (n <= 0)
			break;
		fwrite(buffer, 1, (size_t)n, f);
		at += (size_t)n;
	}
	fprintf(f, "\n]\n}\n");
	err = at < done->end || ferror(f) ? -EIO : 0;
	return fclose(f) ? -errno : err;
}

/* Under another name first, so that nobody ever reads a part of it; but not in the place of a device. */
int bench_json_save(const char *path)
{
	char part[4096 + 16];
	struct stat there;
	int fd, err;

	if (!stat(path, &there) && !S_ISREG(there.st_mode)) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
		return fd < 0 ? -errno : file_write(fd);
	}
	if (snprintf(part, sizeof(part), "%s.%d~", path, (int)getpid()) >= (int)sizeof(part))
		return -ENAMETOOLONG;
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	err = file_write(fd);
	if (!err && rename(part, path))
		err = -errno;
	if (err)
		unlink(part);
	return err;
}
