/* SPDX-License-Identifier: MIT */
/*
 * Runs a workload that is a loop: all peers' pools stand ready, and each round
 * maps the same items on every one of them, in an order by chance.  Round 0, where memory is touched for the first time, is kept apart.
 *
 * Before a sample the runner waits until the pool measured before it has gone
 * to sleep, wipes the results, and wakes the pool with a small map.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Thread pools spin for up to this long after a map, in ns. */
#define SETTLE_TIME	12000000
/* The map that wakes a pool has one in so many of the items. */
#define WAKE_SHARE	100

struct entry {
	const struct bench_peer *peer;
	void *pool;
	struct bench_job job;
	struct bench_arrays arrays;
	char *out;			/* private results, so that each touches its own first */
	unsigned div;			/* its items are the full count / div */
};

struct contest {
	const struct bench_workload *workload;
	struct bench_table table;
	struct entry entry[BENCH_PEERS_MAX];
	unsigned count;
	size_t items;
	char *in, *answer;		/* private memory; in is for all peers that need no other */
};

static void table_setup(struct bench_table *t, const struct bench_workload *w,
			unsigned workers, size_t items)
{
	static const char *const units[] = {
		[BENCH_NS_PER_ITEM] = "ns/item", [BENCH_US_PER_MAP] = "us/map",
		[BENCH_MS_PER_MAP] = "ms", [BENCH_GB_PER_S] = "GB/s",
	};
	const double scale[] = {
		[BENCH_NS_PER_ITEM] = 1.0 / (double)items, [BENCH_US_PER_MAP] = 1e-3,
		[BENCH_MS_PER_MAP] = 1e-6, [BENCH_GB_PER_S] = (double)(items * w->in_size),
	};

	bench_table_setup(t, w, workers);
	t->unit = units[w->unit];
	t->scale = scale[w->unit];
	t->inverse = w->unit == BENCH_GB_PER_S;
}

/* ---- Pools and arrays ------------------------------------------------------------- */

/* One that can't start has said so, and is left out. */
static void entry_start(struct contest *c, const struct bench_peer *peer)
{
	const struct bench_workload *w = c->workload;
	struct entry *e = &c->entry[c->count];

	*e = (struct entry){ .peer = peer };
	e->div = bench_div(w, peer);
	e->pool = peer->start(peer, c->table.workers,
			      peer->alloc ? c->items / e->div * (w->in_size + w->out_size) : 0);
	if (!e->pool)
		return;
	c->table.series[c->count++].peer = peer;
	c->table.count = c->count;
}

/* Private arrays are big, zero and aligned, and huge pages are the system's choice. */
static int arrays_setup(struct contest *c)
{
	const struct bench_workload *w = c->workload;

	c->in = calloc(c->items + 1, w->in_size + 1);
	c->answer = calloc(c->items + 1, w->out_size + 1);
	if (!c->in || !c->answer)
		return -ENOMEM;
	if (w->in_size)
		w->fill(c->in, c->items);
	return 0;
}

static int entry_setup(struct contest *c, struct entry *e)
{
	const struct bench_workload *w = c->workload;
	const size_t count = c->items / e->div;
	char *in = c->in, *out;

	if (e->peer->alloc && w->in_size) {
		in = e->peer->alloc(e->pool, count * w->in_size);
		out = e->peer->alloc(e->pool, count * w->out_size);
		if (in)
			memcpy(in, c->in, count * w->in_size);
	} else {
		out = e->out = calloc(c->items + 1, w->out_size + 1);
	}
	if (!in || !out)
		return -ENOMEM;
	e->arrays = (struct bench_arrays){ in, out };
	e->job = (struct bench_job){
		.fn = w->fn, .range = w->range, .in = in, .in_size = w->in_size,
		.out = out, .out_size = w->out_size, .count = count,
	};
	if (w->range) {
		e->job.arg = &e->arrays;
		e->job.arg_size = sizeof(e->arrays);
	}
	return 0;
}

static int answer_setup(struct contest *c)
{
	const struct bench_workload *w = c->workload;
	struct bench_arrays arrays = { c->in, c->answer };
	struct bench_job job = {
		.fn = w->answer ? w->answer : w->fn, .in = c->in, .in_size = w->in_size,
		.out = c->answer, .out_size = w->out_size, .count = c->items,
	};

	if (w->range)
		return w->range(&arrays, 0, c->items);
	bench_items_run(&job, 0, c->items);
	return 0;
}

static int contest_start(struct contest *c)
{
	unsigned i;

	/* Processes are forked before the arrays exist: they need not inherit them. */
	for (i = 0; bench_peers[i]; i++)
		if (bench_chosen(c->workload, bench_peers[i]))
			entry_start(c, bench_peers[i]);
	if (arrays_setup(c) || answer_setup(c))
		goto no_memory;
	if (c->workload->check && c->workload->check(c->answer, c->items)) {
		fprintf(stderr, "%s: serial: wrong result\n", c->workload->name);
		return -1;
	}
	for (i = 0; i < c->count; i++)
		if (entry_setup(c, &c->entry[i]))
			goto no_memory;
	return 0;
no_memory:
	fprintf(stderr, "%s: not enough memory for the arrays\n", c->workload->name);
	return -1;
}

static void contest_stop(struct contest *c)
{
	unsigned i;

	for (i = 0; i < c->count; i++) {
		c->entry[i].peer->stop(c->entry[i].pool);
		free(c->entry[i].out);
	}
	free(c->in);
	free(c->answer);
}

/* ---- Measuring ---------------------------------------------------------------------- */

/* Wakes the pool; what it computed is wiped again. */
static int entry_wake(struct entry *e)
{
	struct bench_job few = e->job;
	int err;

	few.count = (few.count + WAKE_SHARE - 1) / WAKE_SHARE;
	err = e->peer->map(e->pool, &few);
	memset(few.out, 0, few.count * few.out_size);
	return err;
}

static int entry_time(struct entry *e, unsigned maps, double *ret)
{
	int64_t start = bench_clock();
	unsigned i;
	int err;

	for (i = 0; i < maps; i++) {
		err = e->peer->map(e->pool, &e->job);
		if (err)
			return err;
	}
	*ret = (double)(bench_clock() - start) / maps * e->div;
	return 0;
}

static int entry_sample(void *arg, unsigned index, unsigned round, double *ret)
{
	struct contest *c = arg;
	struct entry *e = &c->entry[index];
	const struct bench_workload *w = c->workload;
	size_t len = e->job.count * w->out_size;
	int err = 0;

	if (round || w->cold) {
		memset(e->job.out, 0, len);
		bench_settle(SETTLE_TIME);
	}
	if (round && !w->cold)
		err = entry_wake(e);
	if (!err)
		err = entry_time(e, w->batch && round ? w->batch : 1, ret);
	if (!err && e->peer->flags & BENCH_MEMCPY)
		bench_memcpy_finish(e->pool, &e->job);
	if (!err && memcmp(e->job.out, c->answer, len))
		err = -EIO;
	return err;
}

int bench_loop_run(const struct bench_workload *workload, unsigned workers)
{
	struct contest *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->workload = workload;
	c->items = bench_count(workload);
	table_setup(&c->table, workload, workers, c->items);
	err = contest_start(c);
	if (!err)
		err = bench_rounds_run(&c->table, workload->cold ? 1 : 0, entry_sample, c);
	contest_stop(c);
	if (!err)
		bench_table_print(&c->table);
	free(c);
	return err;
}
