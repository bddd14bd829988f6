/* SPDX-License-Identifier: MIT */
/*
 * W5: one task is submitted and its result waited for, again and again: back to
 * back, or each after a time in which nothing happens.
 *
 * A round's sample is the median of its trips.  The 99th percentile and the
 * greatest are those of all trips of all rounds but the first.  Back to back a
 * trip lasts from the end of the one before it to its own, one look at the clock
 * included.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks.h"

/* Trips before those that count. */
#define WARM_HOT	200
#define WARM_COLD	1
/* A slow peer's round ends after this long, in ns; trips are fewer then. */
#define ROUND_LIMIT	INT64_C(250000000)

/* All trips of one peer, in ns. */
struct trips {
	uint32_t *ns;
	size_t count;
};

struct trip_contest {
	struct task_contest contest;	/* first: measuring gets this one */
	struct trips trips[BENCH_PEERS_MAX];
};

/* One round of one peer. */
struct leg {
	struct task_contest *contest;
	struct task_entry *entry;
	uint32_t *ns;
	size_t count;			/* trips made; before, the most to make */
	int err;
};

int bench_ns_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

double bench_percentile(const uint32_t *ns, size_t count, size_t permille)
{
	size_t rank = (count * permille + 999) / 1000;

	return count ? ns[rank ? rank - 1 : 0] : 0;
}

void bench_percentiles_set(struct bench_series *s, uint32_t *ns, size_t count)
{
	qsort(ns, count, sizeof(*ns), bench_ns_compare);
	s->p50 = bench_percentile(ns, count, 500);
	s->p90 = bench_percentile(ns, count, 900);
	s->p99 = bench_percentile(ns, count, 990);
	s->p999 = bench_percentile(ns, count, 999);
	s->max = bench_percentile(ns, count, 1000);
}

static int trip(struct leg *leg, size_t i)
{
	struct task_contest *c = leg->contest;
	const struct bench_task_peer *peer = leg->entry->peer;
	const size_t k = i % c->items;
	uint64_t out = ~c->answer[k];
	int err;

	if (peer->call) {
		err = peer->call(leg->entry->pool, c->workload->fn, &c->in[k], &out);
	} else {
		const struct bench_stream one = { c->workload->fn, &c->in[k], &out, 1 };

		err = peer->stream(leg->entry->pool, 0, &one);
	}
	return err ? err : out == c->answer[k] ? 0 : -EIO;
}

/* A pool that is a program looks at the clock itself. */
static void leg_lend(struct leg *leg)
{
	const struct task_contest *c = leg->contest;
	const int64_t idle = c->workload->idle;
	struct bench_trips trips = {
		.fn = c->workload->fn, .in = c->in, .answer = c->answer,
		.ns = leg->ns, .count = leg->count,
		.warm = idle ? WARM_COLD : WARM_HOT, .idle = idle,
		.limit = idle ? 0 : ROUND_LIMIT,
	};

	leg->err = leg->entry->peer->trips(leg->entry->pool, &trips);
	leg->count = trips.count;
}

static void leg_run(void *arg, unsigned submitter)
{
	struct leg *leg = arg;
	const int64_t idle = leg->contest->workload->idle;
	size_t warm = idle ? WARM_COLD : WARM_HOT, most = leg->count, i;
	int64_t start, begin, end;

	(void)submitter;
	leg->err = 0;
	for (i = 0; i < warm && !leg->err; i++)
		leg->err = trip(leg, i);
	start = end = bench_clock();
	for (i = 0; i < most && !leg->err && (idle || end - start < ROUND_LIMIT); i++) {
		begin = end;
		if (idle) {
			bench_sleep(idle);
			begin = bench_clock();
		}
		leg->err = trip(leg, i);
		end = bench_clock();
		leg->ns[i] = end - begin < UINT32_MAX ? (uint32_t)(end - begin) : UINT32_MAX;
	}
	leg->count = i;
}

static int trip_measure(struct task_contest *c, struct task_entry *e, unsigned round,
			double *ret)
{
	struct trip_contest *tc = (struct trip_contest *)c;
	struct trips *trips = &tc->trips[e - c->entry];
	uint32_t *all = trips->ns + trips->count;
	struct leg leg = { c, e, all, c->items, 0 };
	uint32_t *sorted;

	if (c->workload->apart && bench_place_apart())
		return -ENODEV;
	if (e->peer->trips)
		leg_lend(&leg);
	else
		task_entry_run(e, leg_run, &leg);
	if (leg.err)
		return leg.err;
	sorted = malloc(leg.count * sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, all, leg.count * sizeof(*sorted));
	qsort(sorted, leg.count, sizeof(*sorted), bench_ns_compare);
	*ret = bench_percentile(sorted, leg.count, 500);
	free(sorted);
	if (round)
		trips->count += leg.count;
	return 0;
}

static int trips_setup(struct trip_contest *tc)
{
	struct task_contest *c = &tc->contest;
	unsigned i;

	for (i = 0; i < c->count; i++) {
		tc->trips[i].ns = calloc((c->table.rounds + 1) * c->items,
					 sizeof(*tc->trips[i].ns));
		if (!tc->trips[i].ns)
			return -ENOMEM;
	}
	return 0;
}

static void tails_find(struct trip_contest *tc)
{
	unsigned i;

	for (i = 0; i < tc->contest.count; i++) {
		struct trips *t = &tc->trips[i];

		bench_percentiles_set(&tc->contest.table.series[i], t->ns, t->count);
	}
}

static int trips_run(struct trip_contest *tc, const struct bench_workload *w, unsigned workers)
{
	struct task_contest *c = &tc->contest;
	unsigned i;
	int err;

	c->table.unit = "us";
	c->table.scale = 1e-3;
	c->table.tails = 1;
	err = task_contest_start(c, w, workers);
	if (!err)
		err = trips_setup(tc);
	if (!err)
		err = task_contest_run(c, trip_measure);
	task_contest_stop(c);
	if (!err) {
		tails_find(tc);
		bench_table_print(&c->table);
	}
	for (i = 0; i < c->count; i++)
		free(tc->trips[i].ns);
	return err;
}

int bench_trip_run(const struct bench_workload *w, unsigned workers)
{
	struct trip_contest *tc;
	cpu_set_t cpus;
	int err;

	if (w->apart && !sched_getaffinity(0, sizeof(cpus), &cpus) && CPU_COUNT(&cpus) < 2) {
		printf("\n%s: needs two CPUs\n", w->title);
		return 0;
	}
	tc = calloc(1, sizeof(*tc));
	if (!tc)
		return -ENOMEM;
	err = trips_run(tc, w, workers);
	free(tc);
	return err;
}
