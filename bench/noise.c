/* SPDX-License-Identifier: MIT */
/*
 * What others do to the machine while a sample is taken.
 *
 * The kernel counts what CPUs do in ticks, far too coarse for one sample.  So
 * time is cut into windows that are long enough for the ticks, each begins and
 * ends between two samples, and each sample has the share of its window.  Others
 * had what the CPUs that we may use were busy with, less what this process and
 * all below it used; and, on top, what the hypervisor and the control group's
 * limit took.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

/* A window is at least so long, in ns; but for a table that is shorter. */
#define WINDOW		INT64_C(300000000)
/* Samples are noisy when others had more than this share of a window. */
#define NOISY_SHARE	0.05
/* As many peers as rounds of 0 (the first touch) to the last. */
#define PLACES		(BENCH_PEERS_MAX * (BENCH_ROUNDS_MAX + 1))

struct reading {
	int64_t clock;		/* ns, as are all */
	int64_t busy, stolen;	/* of the CPUs that we may use */
	int64_t own;
	int64_t throttled;	/* how long the control group had to stand still */
};

struct sample {
	const char *peer;
	unsigned round;
	float share;
	char noisy;
};

static struct {
	struct sample sample[PLACES];
	unsigned count;
	unsigned pending;		/* those from here on have no share yet */
	struct reading start;
	unsigned last_first;		/* the window before: its first sample, */
	struct reading last_start;	/* and its start; clock 0 = there is none */
	int open;
	double line;
} state;

static cpu_set_t cpus;			/* what the runner was given */

/* ---- The CPUs ---------------------------------------------------------------------- */

void bench_cpus_save(void)
{
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		CPU_ZERO(&cpus);
}

int bench_cpus_pin(unsigned count)
{
	cpu_set_t set;
	unsigned cpu;

	CPU_ZERO(&set);
	for (cpu = 0; cpu < CPU_SETSIZE && (unsigned)CPU_COUNT(&set) < count; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* ---- Readings ------------------------------------------------------------------------ */

static void stat_read(struct reading *ret)
{
	const int64_t tick = 1000000000 / sysconf(_SC_CLK_TCK);
	long long user, nice, system, irq, softirq, steal;
	FILE *file = fopen("/proc/stat", "re");
	char line[512];
	unsigned cpu;

	while (file && fgets(line, sizeof(line), file) && !strncmp(line, "cpu", 3)) {
		if (sscanf(line, "cpu%u %lld %lld %lld %*d %*d %lld %lld %lld", &cpu, &user,
			   &nice, &system, &irq, &softirq, &steal) != 7 ||
		    cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &cpus))
			continue;
		ret->busy += (user + nice + system + irq + softirq) * tick;
		ret->stolen += steal * tick;
	}
	if (file)
		fclose(file);
}

/* How long its control group had to stand still, ns; version 2 of these counts us, 1 ns. */
static int64_t throttled_read(void)
{
	char path[640], line[128];
	long long value = 0;
	int64_t ns = 0;
	FILE *file;

	if (bench_cgroup_file("", "cpu.stat", path, sizeof(path)) &&
	    bench_cgroup_file("cpu", "cpu.stat", path, sizeof(path)))
		return 0;
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "throttled_usec %lld", &value) == 1)
			ns = value * 1000;
		else if (sscanf(line, "throttled_time %lld", &value) == 1)
			ns = value;
	}
	if (file)
		fclose(file);
	return ns;
}

static void reading_take(struct reading *ret)
{
	*ret = (struct reading){ .clock = bench_clock() };
	stat_read(ret);
	ret->own = bench_tree_busy();
	ret->throttled = throttled_read();
}

/* ---- Windows --------------------------------------------------------------------------- */

static int64_t capacity(int64_t start, int64_t end)
{
	return (end - start) * (CPU_COUNT(&cpus) ? CPU_COUNT(&cpus) : 1);
}

static void window_close(void)
{
	struct reading *a = &state.start, b;
	int64_t whole, others;
	double share, noisy;

	reading_take(&b);
	/* A last window that is too short is one with that before it. */
	if (b.clock - a->clock < WINDOW && state.last_start.clock) {
		*a = state.last_start;
		state.pending = state.last_first;
	}
	state.last_start = *a;
	state.last_first = state.pending;
	whole = capacity(a->clock, b.clock);
	others = (b.busy - a->busy) - (b.own - a->own);
	if (others < 0)
		others = 0;
	others += b.stolen - a->stolen;
	others += capacity(a->throttled, b.throttled);
	share = whole > 0 ? (double)others / (double)whole : 0;
	/* In a table that is too short a tick would be much. */
	noisy = NOISY_SHARE * (double)(whole > capacity(0, WINDOW) ? whole : capacity(0, WINDOW));
	for (; state.pending < state.count; state.pending++) {
		struct sample *s = &state.sample[state.pending];

		s->share = share > 1 ? 1 : (float)share;
		s->noisy = (double)others > noisy;
	}
	*a = b;
}

void bench_noise_sample(const char *peer, unsigned round)
{
	if (!state.open) {
		reading_take(&state.start);
		state.open = 1;
		state.count = state.pending = 0;
		state.last_start.clock = 0;
	} else if (bench_clock() - state.start.clock >= WINDOW) {
		window_close();
	}
	if (state.count < PLACES)
		state.sample[state.count++] = (struct sample){ .peer = peer, .round = round };
}

static double line_measure(void);

/*
 * Tables printed one after the other, with no sample between, are of the same
 * samples, which therefore stay until the next one begins.
 */
void bench_noise_close(void)
{
	if (!state.open)
		return;
	window_close();
	state.open = 0;
	state.line = line_measure();
}

double bench_noise_line(void)
{
	return state.line;
}

struct bench_noise bench_noise_find(const struct bench_table *t, const struct bench_series *s,
				    unsigned round)
{
	struct bench_noise ret = { 0 };
	unsigned i;

	for (i = 0; i < state.count; i++) {
		const struct sample *one = &state.sample[i];

		if (!one->round || (round && one->round != round))
			continue;
		if (s ? strcmp(one->peer, s->peer->name) != 0
		      : bench_series_find(t, one->peer) == NULL)
			continue;
		ret.samples++;
		ret.noisy += one->noisy;
		ret.others += one->share;
	}
	if (ret.samples)
		ret.others /= ret.samples;
	return ret;
}

int bench_noise_rules(const struct bench_noise *noise)
{
	return 2 * noise->noisy > noise->samples;
}

/* ---- How far CPUs are apart ----------------------------------------------------------- */

#define LINE_BATCHES	25
#define LINE_TRIPS	64
/* One whose CPU is taken by others would answer late: then there are fewer batches. */
#define LINE_LIMIT	INT64_C(20000000)

struct line {
	_Alignas(128) atomic_uint word;
	_Alignas(128) cpu_set_t far;
};

#define LINE_OVER	UINT32_MAX

/* Answers each odd number with the even one that follows. */
static void *line_answer(void *arg)
{
	struct line *line = arg;
	unsigned value;

	pthread_setaffinity_np(pthread_self(), sizeof(line->far), &line->far);
	while ((value = atomic_load(&line->word)) != LINE_OVER)
		if (value & 1)
			atomic_store(&line->word, value + 1);
	return NULL;
}

/* ns for one way there and back. */
static double line_batch(struct line *line)
{
	int64_t start = bench_clock();
	unsigned i;

	for (i = 0; i < LINE_TRIPS; i++) {
		unsigned value = atomic_load(&line->word) + 1;

		atomic_store(&line->word, value);
		while (atomic_load(&line->word) == value)
			;
	}
	return (double)(bench_clock() - start) / LINE_TRIPS;
}

/* The first CPU of SET, or the last. */
static void cpu_pick(const cpu_set_t *set, int last, cpu_set_t *ret)
{
	int cpu, found = -1;

	for (cpu = 0; cpu < CPU_SETSIZE && (last || found < 0); cpu++)
		if (CPU_ISSET(cpu, set))
			found = cpu;
	CPU_ZERO(ret);
	if (found >= 0)
		CPU_SET(found, ret);
}

static double line_measure(void)
{
	struct line line = { .word = 0 };
	cpu_set_t before, near;
	double each[LINE_BATCHES];
	pthread_t answer;
	int64_t end;
	unsigned count = 0;

	if (CPU_COUNT(&cpus) < 2 || sched_getaffinity(0, sizeof(before), &before))
		return 0;
	cpu_pick(&cpus, 0, &near);
	cpu_pick(&cpus, 1, &line.far);
	if (pthread_create(&answer, NULL, line_answer, &line))
		return 0;
	sched_setaffinity(0, sizeof(near), &near);
	end = bench_clock() + LINE_LIMIT;
	line_batch(&line);
	do
		each[count++] = line_batch(&line);
	while (count < LINE_BATCHES && bench_clock() < end);
	atomic_store(&line.word, LINE_OVER);
	pthread_join(answer, NULL);
	sched_setaffinity(0, sizeof(before), &before);
	return bench_median(each, count);
}
