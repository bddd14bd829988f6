/* SPDX-License-Identifier: MIT */
/*
 * The library as it is, on this machine, with more workers than it has CPUs: what
 * its statistics and the kernel say of each item, medians of several runs.  Where
 * workers share CPUs they are stopped anywhere, so figures vary; what is exact is
 * simulate's.
 *
 *	counts                           all, for 1 to 64 workers
 *	counts --once LOAD WORKERS N     N items once, with threads: for callgrind
 */
#include <forkpool.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WINDOW		1024
#define RUNS		5
#define WORKERS_MAX	64u
#define SUBMITTERS_MAX	4
#define STEPS_PER_US	890

struct load {
	const char *name;
	unsigned submitters;	/* of tasks; 0 = a map */
	uint64_t steps;		/* an item's */
	size_t items;
};

static const struct load loads[] = {
	{ "map-empty", 0, 0, 1000000 },
	{ "map-100ns", 0, STEPS_PER_US / 10, 1000000 },
	{ "map-1us", 0, STEPS_PER_US, 200000 },
	{ "map-10us", 0, STEPS_PER_US * 10, 20000 },
	{ "tasks-empty", 1, 0, 100000 },
	{ "tasks-1us", 1, STEPS_PER_US, 100000 },
	{ "tasks-empty-4", 4, 0, 100000 },
	{ "tasks-1us-4", 4, STEPS_PER_US, 100000 },
	{ NULL, 0, 0, 0 },
};

enum { NS, CLAIMS, FAILED, WAKEUPS, SWITCHES, FIGURES };

struct run {
	const struct load *load;
	struct forkpool *pool;
	uint64_t steps;
	size_t items;
	int err;
};

static int item(void *arg, const void *in, void *out)
{
	uint64_t n = in ? *(const uint64_t *)in : *(const uint64_t *)arg, x = n;

	(void)out;
	while (n--)
		x = x * 6364136223846793005u + 1442695040888963407u;
	return x == 42;
}

static void *submitter(void *arg)
{
	struct run *r = arg;
	size_t count = r->items / r->load->submitters, sent = 0, collected = 0;
	struct forkpool_job *job[WINDOW];
	int err = 0;

	while (!err && collected < count) {
		if (sent < count && sent - collected < WINDOW) {
			err = forkpool_submit(r->pool, item, &r->steps, sizeof(r->steps), 0, NULL,
					      &job[sent % WINDOW]);
			sent += !err;
			continue;
		}
		err = forkpool_job_wait(job[collected % WINDOW], -1);
		forkpool_job_free(job[collected % WINDOW]);
		collected++;
	}
	if (err)
		r->err = err;
	return NULL;
}

static int run(struct run *r)
{
	FORKPOOL_JOB_OPTS(opts, .arg = &r->steps, .arg_size = sizeof(r->steps));
	pthread_t thread[SUBMITTERS_MAX];
	unsigned i;

	if (!r->load->submitters)
		return forkpool_map(r->pool, item, NULL, 0, NULL, 0, r->items, &opts);
	for (i = 1; i < r->load->submitters; i++)
		if (pthread_create(&thread[i], NULL, submitter, r))
			exit(1);
	submitter(r);
	for (i = 1; i < r->load->submitters; i++)
		pthread_join(thread[i], NULL);
	return r->err;
}

/* ---- What is known afterwards ----------------------------------------------------------- */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Context switches of the workers, of their own will or not. */
static double switches(struct forkpool *pool, unsigned workers)
{
	char path[64], line[128];
	struct forkpool_worker_stats s = { .sz = sizeof(s) };
	double sum = 0;
	unsigned i;
	FILE *f;

	for (i = 0; i < workers; i++) {
		if (forkpool_worker_stats(pool, i, &s))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/status", (int)s.pid);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f))
			if (strstr(line, "ctxt_switches:"))
				sum += strtod(strchr(line, ':') + 1, NULL);
		if (f)
			fclose(f);
	}
	return sum;
}

static void figures(struct forkpool *pool, unsigned workers, double ret[FIGURES])
{
	struct forkpool_stats s = { .sz = sizeof(s) };

	ret[NS] = now();
	if (forkpool_stats(pool, &s))
		exit(1);
	ret[CLAIMS] = (double)s.claims;
	ret[FAILED] = (double)s.failed_claims;
	ret[WAKEUPS] = (double)s.wakeups;
	ret[SWITCHES] = switches(pool, workers);
}

static int by_size(const void *a, const void *b)
{
	const double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

static void check(const char *name, int err)
{
	if (!err)
		return;
	fprintf(stderr, "counts: %s: %s\n", name, forkpool_strerror(err));
	exit(1);
}

static void measure(const struct load *load, unsigned workers)
{
	FORKPOOL_OPTS(opts, .workers = workers);
	struct run r = { .load = load, .steps = load->steps, .items = load->items };
	double before[FIGURES], after[FIGURES], all[FIGURES][RUNS];
	int i, f;

	check(load->name, forkpool_create(&r.pool, &opts));
	check(load->name, run(&r));
	for (i = 0; i < RUNS; i++) {
		figures(r.pool, workers, before);
		check(load->name, run(&r));
		figures(r.pool, workers, after);
		for (f = 0; f < FIGURES; f++)
			all[f][i] = (after[f] - before[f]) / (double)load->items;
	}
	forkpool_destroy(r.pool);
	printf("%-14s %8u", load->name, workers);
	for (f = 0; f < FIGURES; f++) {
		qsort(all[f], RUNS, sizeof(*all[f]), by_size);
		printf(f == NS ? " %10.1f" : " %10.5f", all[f][RUNS / 2]);
	}
	printf("\n");
	fflush(stdout);
}

/* ---- For callgrind ------------------------------------------------------------------------ */

static int once(const char *name, unsigned workers, size_t items)
{
	/* Valgrind can't make the processes of a pool: it knows no such clone(). */
	FORKPOOL_OPTS(opts, .workers = workers, .mode = FORKPOOL_THREADS);
	const struct load *load = loads;
	struct run r = { .items = items };

	while (load->name && strcmp(load->name, name))
		load++;
	if (!load->name)
		return 2;
	r.load = load;
	r.steps = load->steps;
	check(name, forkpool_create(&r.pool, &opts));
	check(name, run(&r));
	forkpool_destroy(r.pool);
	return 0;
}

int main(int argc, char **argv)
{
	const struct load *load;
	unsigned w;

	if (argc == 5 && !strcmp(argv[1], "--once"))
		return once(argv[2], (unsigned)strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	if (argc > 1) {
		fputs("usage: counts [--once LOAD WORKERS ITEMS]\n", stderr);
		return 2;
	}
	printf("%-14s %8s %10s %10s %10s %10s %10s\n", "per item", "workers", "ns", "claims", "failed",
	       "wake-ups", "switches");
	for (load = loads; load->name; load++)
		for (w = 1; w <= WORKERS_MAX; w *= 2)
			measure(load, w);
	return 0;
}
