/* SPDX-License-Identifier: MIT */
/*
 * Maps and streams of tasks on the machine of machine.h, with any number of
 * workers: what each item costs there, and how much of the CPUs' time is the
 * items' own.
 *
 *	simulate              the predictions, for 1 to 512 workers
 *	simulate --counts     what is counted per item, for 1 to 64
 *	simulate --gate       the same, short; fails where a count grows
 *	simulate --item NS --items N --workers W [--submitters S]
 *
 * --costs FILE is what costs printed on some machine; without it they are those of
 * the machine of doc/design/scaling.md.  --socket N: a socket has N CPUs.
 */
#include <forkpool.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

#include "machine.h"

#define WINDOW		1024		/* unfinished tasks of a submitter */
#define SUBMITTERS_MAX	4
#define WARM		4096		/* items, or tasks of each submitter, before it is counted */
#define GOOD		0.9
#define BUSY		10000.0		/* ns */
#define CLAIMS		10000		/* of the map that says what a claim costs */

struct load {
	const char *name;
	unsigned submitters;	/* of tasks; 0 = a map */
	double ns;		/* an item's own time */
	size_t items;
	size_t chunk;		/* 0 = the library's choice */
};

struct result {
	double ns;		/* in all */
	struct machine_counts counts;
	uint64_t claims, failed_claims, wakeups;
};

/* One run: what the host's threads share. */
struct run {
	const struct load *load;
	unsigned workers;
	struct forkpool *pool;
	unsigned cpu[SUBMITTERS_MAX];
	unsigned ready;		/* submitters that wait for the others */
	struct forkpool_stats stats;
	struct result result;
	int err;
};

static struct machine_costs costs = {
	.locked = 2.1, .transfer = 52, .far = 3, .share = 5, .memory = 80,
	.pause = 27, .clock = 24, .call = 200, .wake = 2000, .latency = 27000, .fence = 600,
};
static double claim_ns = 95;	/* of a chunk of one empty item, with one worker */
static double item_ns;
static int json;

/* ---- On the machine ---------------------------------------------------------------- */

static int item(void *arg, const void *in, void *out)
{
	(void)arg, (void)in, (void)out;
	if (item_ns > 0)
		machine_work(item_ns);
	return 0;
}

static void begin(struct run *r)
{
	struct result *ret = &r->result;

	r->stats = (struct forkpool_stats){ .sz = sizeof(r->stats) };
	forkpool_stats(r->pool, &r->stats);
	machine_count(&ret->counts);
	ret->ns = machine_now();
}

static void end(struct run *r)
{
	struct result *ret = &r->result;
	struct machine_counts before = ret->counts;
	struct forkpool_stats s = { .sz = sizeof(s) };

	ret->ns = machine_now() - ret->ns;
	machine_count(&ret->counts);
	ret->counts.accesses -= before.accesses;
	ret->counts.locked -= before.locked;
	ret->counts.failed -= before.failed;
	ret->counts.taken -= before.taken;
	ret->counts.fetched -= before.fetched;
	ret->counts.calls -= before.calls;
	ret->counts.wakes -= before.wakes;
	ret->counts.waited -= before.waited;
	forkpool_stats(r->pool, &s);
	ret->claims = s.claims - r->stats.claims;
	ret->failed_claims = s.failed_claims - r->stats.failed_claims;
	ret->wakeups = s.wakeups - r->stats.wakeups;
}

static void run_map(struct run *r)
{
	FORKPOOL_JOB_OPTS(opts, .chunk = r->load->chunk);
	size_t warm = r->load->items < WARM ? r->load->items : WARM;

	r->err = forkpool_map(r->pool, item, NULL, 0, NULL, 0, warm, &opts);
	begin(r);
	if (!r->err)
		r->err = forkpool_map(r->pool, item, NULL, 0, NULL, 0, r->load->items, &opts);
	end(r);
}

static int stream(struct run *r, size_t count)
{
	struct forkpool_job *job[WINDOW];
	size_t sent = 0, collected = 0;
	uint64_t in[2] = { 0, 0 };
	int err = 0;

	while (!err && collected < count) {
		if (sent < count && sent - collected < WINDOW) {
			err = forkpool_submit(r->pool, item, in, sizeof(in), sizeof(*in), NULL,
					      &job[sent % WINDOW]);
			sent += !err;
			continue;
		}
		err = forkpool_job_wait(job[collected % WINDOW], -1);
		forkpool_job_free(job[collected % WINDOW]);
		collected++;
	}
	return err;
}

static void submitter(void *arg)
{
	struct run *r = arg;
	int err = stream(r, WARM);

	/* All begin together. */
	if (++r->ready == r->load->submitters)
		begin(r);
	while (r->ready < r->load->submitters)
		machine_pause();
	err = err ? err : stream(r, r->load->items / r->load->submitters);
	r->err = err ? err : r->err;
}

static void run_tasks(struct run *r)
{
	unsigned i;

	for (i = 0; i < r->load->submitters; i++)
		r->cpu[i] = machine_spawn(submitter, r);
	for (i = 0; i < r->load->submitters; i++)
		machine_await(r->cpu[i]);
	end(r);
}

static void host(void *arg)
{
	struct run *r = arg;
	FORKPOOL_OPTS(opts, .workers = r->workers, .mode = FORKPOOL_THREADS, .arena_size = 16 << 20);

	r->err = forkpool_create(&r->pool, &opts);
	if (r->err)
		return;
	item_ns = r->load->ns;
	if (r->load->submitters)
		run_tasks(r);
	else
		run_map(r);
	forkpool_destroy(r->pool);
}

static struct result measure(const struct load *load, unsigned workers)
{
	struct run r = { .load = load, .workers = workers };

	/* The thread that maps sleeps meanwhile, and has no CPU of its own; submitters have one each. */
	if (!machine_run(&costs, workers + load->submitters, host, &r) || r.err) {
		fprintf(stderr, "simulate: %s, %u workers: %s\n", load->name, workers,
			r.err ? forkpool_strerror(r.err) : "all sleep for ever");
		exit(1);
	}
	return r.result;
}

static double efficiency(const struct load *load, unsigned workers, const struct result *r)
{
	return load->ns * (double)load->items / (workers * r->ns);
}

/* ---- Costs -------------------------------------------------------------------------- */

static void costs_read(const char *path)
{
	static const struct {
		const char *name;
		double *value;
	} all[] = {
		{ "\"locked\"", &costs.locked }, { "\"transfer\"", &costs.transfer },
		{ "\"far\"", &costs.far }, { "\"share\"", &costs.share },
		{ "\"memory\"", &costs.memory }, { "\"pause\"", &costs.pause },
		{ "\"clock\"", &costs.clock }, { "\"call\"", &costs.call },
		{ "\"wake\"", &costs.wake }, { "\"latency\"", &costs.latency },
		{ "\"fence\"", &costs.fence }, { "\"claim\"", &claim_ns },
	};
	char text[4096];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0, i;
	const char *at;

	if (!n) {
		fprintf(stderr, "simulate: can't read %s\n", path);
		exit(1);
	}
	fclose(f);
	text[n] = 0;
	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		at = strstr(text, all[i].name);
		if (at && strchr(at, ':'))
			*all[i].value = strtod(strchr(at, ':') + 1, NULL);
	}
}

/* An access costs so much that a claim costs what it does on the real machine. */
static void costs_fit(void)
{
	const struct load load = { "claims", 0, 0, CLAIMS, 1 };
	struct result with, without;

	costs.access = 1;
	with = measure(&load, 1);
	costs.access = 0.1;
	without = measure(&load, 1);
	costs.access = 0.1 + 0.9 * (claim_ns * CLAIMS - without.ns) / (with.ns - without.ns);
	if (costs.access < 0.1)
		costs.access = 0.1;
}

/* ---- Reports ------------------------------------------------------------------------ */

static void show_json(const struct load *l, unsigned workers, const struct result *r)
{
	double n = (double)l->items;

	printf("{\"load\": \"%s\", \"submitters\": %u, \"item_ns\": %g, \"items\": %zu, \"workers\": %u, "
	       "\"ns\": %.0f, \"efficiency\": %.4f, \"claims\": %.6f, \"failed\": %.6f, \"locked\": %.6f, "
	       "\"taken\": %.6f, \"fetched\": %.6f, \"accesses\": %.4f, \"calls\": %.6f, \"wakes\": %.6f, "
	       "\"waited_ns\": %.4f}\n", l->name, l->submitters, l->ns, l->items, workers, r->ns,
	       efficiency(l, workers, r), (double)r->claims / n, (double)r->counts.failed / n,
	       (double)r->counts.locked / n, (double)r->counts.taken / n, (double)r->counts.fetched / n,
	       (double)r->counts.accesses / n, (double)r->counts.calls / n, (double)r->counts.wakes / n,
	       r->counts.waited / n);
}

static void show_head(const struct load *l)
{
	if (!json)
		printf("\n%s\n%8s %10s %8s %8s %8s %8s %8s %9s %8s %8s %9s %7s\n", l->name, "workers", "ns/item",
		       "claims", "failed", "locked", "written", "fetched", "accesses", "calls", "wakes",
		       "waited ns", "eff.");
}

static void show(const struct load *l, unsigned workers, const struct result *r)
{
	double n = (double)l->items;

	if (json)
		return show_json(l, workers, r);
	printf("%8u %10.2f %8.4f %8.4f %8.4f %8.4f %8.4f %9.3f %8.5f %8.5f %9.2f %7.3f\n", workers, r->ns / n,
	       (double)r->claims / n, (double)r->counts.failed / n, (double)r->counts.locked / n,
	       (double)r->counts.taken / n, (double)r->counts.fetched / n, (double)r->counts.accesses / n,
	       (double)r->counts.calls / n, (double)r->counts.wakes / n, r->counts.waited / n,
	       efficiency(l, workers, r));
	fflush(stdout);
}

/* Items for each worker, or tasks in all. */
static const struct load count_loads[] = {
	{ "map, empty items, 100,000 for each worker", 0, 0, 100000, 0 },
	{ "map, 100 ns, 20,000 for each worker", 0, 100, 20000, 0 },
	{ "map, 1 us, 10,000 for each worker", 0, 1000, 10000, 0 },
	{ "map, 10 us, 1,000 for each worker", 0, 10000, 1000, 0 },
	{ "tasks, empty, 1 submitter", 1, 0, 20000, 0 },
	{ "tasks, 1 us, 1 submitter", 1, 1000, 20000, 0 },
	{ "tasks, 10 us, 1 submitter", 1, 10000, 20000, 0 },
	{ "tasks, empty, 4 submitters", 4, 0, 40000, 0 },
	{ "tasks, 1 us, 4 submitters", 4, 1000, 40000, 0 },
	{ "tasks, 10 us, 4 submitters", 4, 10000, 40000, 0 },
};

static struct result measure_count(const struct load *load, unsigned workers, struct load *l)
{
	*l = *load;
	l->items *= l->submitters ? 1 : workers;
	return measure(l, workers);
}

static void report_counts(void)
{
	struct result r;
	struct load l;
	unsigned w;
	size_t i;

	for (i = 0; i < sizeof(count_loads) / sizeof(*count_loads); i++) {
		show_head(&count_loads[i]);
		for (w = 1; w <= 64; w *= 2) {
			r = measure_count(&count_loads[i], w, &l);
			show(&l, w, &r);
		}
	}
}

static const struct load predicted_loads[] = {
	{ "map, 10^6 items of 1 us", 0, 1e3, 1000000, 0 },
	{ "map, 10^6 items of 10 us", 0, 1e4, 1000000, 0 },
	{ "map, 10^6 items of 100 us", 0, 1e5, 1000000, 0 },
	{ "map, 10^4 items of 1 us", 0, 1e3, 10000, 0 },
	{ "map, 10^4 items of 10 us", 0, 1e4, 10000, 0 },
	{ "map, 10^4 items of 100 us", 0, 1e5, 10000, 0 },
	{ "tasks of 1 us, 1 submitter", 1, 1e3, 40000, 0 },
	{ "tasks of 10 us, 1 submitter", 1, 1e4, 40000, 0 },
	{ "tasks of 100 us, 1 submitter", 1, 1e5, 40000, 0 },
	{ "tasks of 1 us, 4 submitters", 4, 1e3, 40000, 0 },
	{ "tasks of 10 us, 4 submitters", 4, 1e4, 40000, 0 },
	{ "tasks of 100 us, 4 submitters", 4, 1e5, 40000, 0 },
};

static void report_prediction(const struct load *l)
{
	unsigned w, falls = 0;
	struct result r;

	show_head(l);
	for (w = 1; w <= 512; w *= 2) {
		r = measure(l, w);
		show(l, w, &r);
		if (!falls && efficiency(l, w, &r) < GOOD)
			falls = w;
	}
	if (json)
		return;
	if (falls)
		printf("efficiency is below %.1f from %u workers on\n", GOOD, falls);
	else
		printf("efficiency is never below %.1f\n", GOOD);
}

/* ---- The gate ------------------------------------------------------------------------ */

/* Short, so that a check takes seconds. */
static const struct load gate_loads[] = {
	{ "map, empty items", 0, 0, 20000, 0 },
	{ "map, 1 us", 0, 1000, 6000, 0 },
	{ "map, 10 us", 0, 10000, 2000, 0 },
	{ "tasks, empty, 1 submitter", 1, 0, 5000, 0 },
	{ "tasks, 1 us, 1 submitter", 1, 1000, 5000, 0 },
	{ "tasks, empty, 4 submitters", 4, 0, 8000, 0 },
	{ "tasks, 1 us, 4 submitters", 4, 1000, 8000, 0 },
	{ "tasks, 10 us, 1 submitter", 1, BUSY, 5000, 0 },
};

/* Tasks of BUSY keep all workers at work; of shorter ones one submitter has too few. */
enum { GATE_MAP, GATE_STREAM, GATE_STREAMS, GATE_BUSY, GATE_KINDS };

/*
 * What a count per item may be with W workers, when it is C with GATE_FIRST:
 * C * 1.1 + more + each * W.  Where EACH is not 0, for lines read, the count is known
 * to grow; doc/design/scaling.md says why.
 */
struct gate {
	const char *name;
	struct {
		double more, each;
	} by[GATE_KINDS];
};

#define GATE_FIRST	2u
#define GATE_LAST	32u

enum { GATE_CLAIMS, GATE_FAILED, GATE_LOCKED, GATE_TAKEN, GATE_FETCHED, GATE_CALLS, GATES };

static const struct gate gates[GATES] = {
	[GATE_CLAIMS] = { "claims", { { 0.02, 0 }, { 0.01, 0 }, { 0.01, 0 }, { 0.01, 0 } } },
	[GATE_FAILED] = { "failed compare-and-swaps", { { 0.015, 0 }, { 0.15, 0 }, { 0.03, 0 }, { 0.01, 0 } } },
	[GATE_LOCKED] = { "locked instructions", { { 0.05, 0 }, { 0.25, 0 }, { 0.1, 0 }, { 0.1, 0 } } },
	[GATE_TAKEN] = { "shared lines written", { { 0.12, 0 }, { 0.2, 0 }, { 0.5, 0 }, { 0.2, 0 } } },
	[GATE_FETCHED] = { "shared lines read", { { 0.05, 0.03 }, { 1, 1.6 }, { 1, 0.6 }, { 2, 0.75 } } },
	[GATE_CALLS] = { "system calls", { { 0.01, 0 }, { 0.05, 0 }, { 0.05, 0 }, { 0.05, 0 } } },
};

static unsigned gate_kind(const struct load *l)
{
	if (!l->submitters)
		return GATE_MAP;
	return l->ns >= BUSY ? GATE_BUSY : l->submitters > 1 ? GATE_STREAMS : GATE_STREAM;
}

static double gate_most(const struct gate *g, const struct load *l, double first, unsigned w)
{
	unsigned kind = gate_kind(l);

	return first * 1.1 + g->by[kind].more + g->by[kind].each * w;
}

static void gate_values(const struct load *l, const struct result *r, double value[GATES])
{
	double n = (double)l->items;

	value[GATE_CLAIMS] = (double)r->claims / n;
	value[GATE_FAILED] = (double)r->counts.failed / n;
	value[GATE_LOCKED] = (double)r->counts.locked / n;
	value[GATE_TAKEN] = (double)r->counts.taken / n;
	value[GATE_FETCHED] = (double)r->counts.fetched / n;
	value[GATE_CALLS] = (double)r->counts.calls / n;
}

static int gate_load(const struct load *load)
{
	double first[GATES], value[GATES], most;
	int failed = 0, g;
	struct result r;
	struct load l;
	unsigned w;

	r = measure_count(load, GATE_FIRST, &l);
	gate_values(&l, &r, first);
	show_head(load);
	for (w = GATE_FIRST; w <= GATE_LAST; w *= 4) {
		r = measure_count(load, w, &l);
		show(&l, w, &r);
		gate_values(&l, &r, value);
		for (g = 0; g < GATES; g++) {
			most = gate_most(&gates[g], &l, first[g], w);
			if (value[g] <= most)
				continue;
			printf("%s: %s: %.4f for an item with %u workers, %.4f with %u, and at most %.4f allowed\n",
			       load->name, gates[g].name, value[g], w, first[g], GATE_FIRST, most);
			failed = 1;
		}
	}
	return failed;
}

static int gate(void)
{
	int failed = 0;
	size_t i;

	for (i = 0; i < sizeof(gate_loads) / sizeof(*gate_loads); i++)
		failed |= gate_load(&gate_loads[i]);
	return failed;
}

/* ---- The command line ------------------------------------------------------------------- */

static void usage(FILE *to)
{
	fputs("usage: simulate [--costs FILE] [--json] [--socket CPUS]\n"
	      "                [--counts | --gate | --item NS --items N [--workers W] [--submitters S]]\n", to);
}

/* Where things lie in memory moves with each start, and so would, a little, who comes first. */
static void stay_put(char **argv)
{
	int now = personality(0xffffffff);

	if (now != -1 && !(now & ADDR_NO_RANDOMIZE) && personality((unsigned long)now | ADDR_NO_RANDOMIZE) != -1)
		execv("/proc/self/exe", argv);
}

enum { RUN_PREDICTIONS, RUN_COUNTS, RUN_GATE, RUN_ONE };

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "costs", required_argument, NULL, 'c' }, { "json", no_argument, NULL, 'j' },
		{ "socket", required_argument, NULL, 's' }, { "counts", no_argument, NULL, 'n' },
		{ "gate", no_argument, NULL, 'g' }, { "item", required_argument, NULL, 'i' },
		{ "items", required_argument, NULL, 'I' }, { "workers", required_argument, NULL, 'w' },
		{ "submitters", required_argument, NULL, 'S' }, { "help", no_argument, NULL, 'h' }, { 0 },
	};
	struct load one = { "one", 0, 1000, 10000, 0 };
	int c, what = RUN_PREDICTIONS;
	unsigned workers = 2;
	struct result r;
	size_t i;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'c': costs_read(optarg); break;
		case 'j': json = 1; break;
		case 's': costs.socket = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'n': what = RUN_COUNTS; break;
		case 'g': what = RUN_GATE; break;
		case 'i': one.ns = strtod(optarg, NULL); what = RUN_ONE; break;
		case 'I': one.items = strtoul(optarg, NULL, 10); what = RUN_ONE; break;
		case 'w': workers = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'S': one.submitters = (unsigned)strtoul(optarg, NULL, 10); break;
		default: usage(c == 'h' ? stdout : stderr); return c == 'h' ? 0 : 2;
		}
	if (optind < argc || workers < 1 || workers > MACHINE_CPUS - 1 - SUBMITTERS_MAX ||
	    one.submitters > SUBMITTERS_MAX || one.items < 1 || !(one.ns >= 0)) {
		usage(stderr);
		return 2;
	}
	stay_put(argv);
	costs_fit();
	if (what == RUN_GATE)
		return gate();
	if (what == RUN_COUNTS)
		report_counts();
	for (i = 0; what == RUN_PREDICTIONS && i < sizeof(predicted_loads) / sizeof(*predicted_loads); i++)
		report_prediction(&predicted_loads[i]);
	if (what == RUN_ONE) {
		r = measure(&one, workers);
		show_head(&one);
		show(&one, workers, &r);
	}
	return 0;
}
