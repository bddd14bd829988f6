/* SPDX-License-Identifier: MIT */
/*
 * What the options of a job cost: the same maps and tasks on one pool, plain, and with
 * status, retries, limits in time, and all of them.  The limits are far off and no item
 * is lost, so the results are the same.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "work/work.h"

#define MAP_ITEMS	1000000
#define SMALL_ITEMS	1000
#define SMALL_MAPS	200		/* timed as one */
#define TASKS		200000
#define QUICK		10
#define RETRIES		3
#define FAR		INT64_C(100000000000)	/* ns */

enum { STATUS = 1, LIMIT = 2, DEADLINE = 4, AGAIN = 8 };

/* A row: the plain one first, which the others are compared with. */
static const struct bench_peer rows[] = {
	{ .name = "forkpool", .flags = BENCH_OURS },
	{ .name = "with-status", .flags = BENCH_OURS, .variant = STATUS },
	{ .name = "with-retries", .flags = BENCH_OURS, .variant = AGAIN },
	{ .name = "with-timeout", .flags = BENCH_OURS, .variant = LIMIT },
	{ .name = "with-deadline", .flags = BENCH_OURS, .variant = DEADLINE },
	{ .name = "with-all", .flags = BENCH_OURS,
	  .variant = STATUS | AGAIN | LIMIT | DEADLINE },
};

#define ROWS	(sizeof(rows) / sizeof(rows[0]))

struct cost {
	const struct bench_workload *workload;
	struct bench_table table;
	struct forkpool *pool;
	size_t items;
	unsigned maps;			/* 0: tasks */
	const void *in;
	uint64_t *out, *answer;		/* out is in the segment */
	struct forkpool_status *status;
};

static int tasks_or_map(struct cost *c, const struct forkpool_job_opts *opts)
{
	const struct bench_stream stream = { c->workload->fn, c->in, c->out, c->items };
	unsigned i;
	int err = 0;

	if (!c->maps)
		return bench_forkpool_stream(c->pool, &stream, opts);
	for (i = 0; i < c->maps && !err; i++)
		err = forkpool_map(c->pool, c->workload->fn, c->in, c->workload->in_size,
				   c->out, sizeof(*c->out), c->items, opts);
	return err;
}

/* Whether each item says that it is ok. */
static int status_ok(const struct cost *c)
{
	size_t i;

	for (i = 0; i < c->items; i++)
		if (c->status[i].outcome != FORKPOOL_ITEM_OK || c->status[i].attempts != 1)
			return 0;
	return 1;
}

static int row_sample(void *arg, unsigned index, unsigned round, double *ret)
{
	struct cost *c = arg;
	const struct bench_peer *row = c->table.series[index].peer;
	FORKPOOL_JOB_OPTS(opts, .retries = row->variant & AGAIN ? RETRIES : 0,
			  .timeout = row->variant & LIMIT ? FAR : 0,
			  .deadline = row->variant & DEADLINE ? FAR : 0);
	const int wanted = c->maps && row->variant & STATUS;
	int64_t start;
	int err;

	(void)round;
	memset(c->out, 0, c->items * sizeof(*c->out));
	if (wanted) {
		opts.status = c->status;
		memset(c->status, -1, c->items * sizeof(*c->status));
	}
	start = bench_clock();
	err = tasks_or_map(c, row->variant ? &opts : NULL);
	*ret = (double)(bench_clock() - start);
	if (!err && (memcmp(c->out, c->answer, c->items * sizeof(*c->out)) ||
		     (wanted && !status_ok(c))))
		err = -EIO;
	return err;
}

/* Tasks have no status. */
static void rows_choose(struct cost *c)
{
	struct bench_table *t = &c->table;
	unsigned i;

	for (i = 0; i < ROWS; i++)
		if (c->maps || rows[i].variant != STATUS)
			t->series[t->count++].peer = &rows[i];
}

static int table_run(struct cost *c, unsigned workers)
{
	const struct bench_workload *w = c->workload;
	struct bench_table *t = &c->table;
	int err;

	bench_table_setup(t, w, workers);
	t->unit = "ns/item";
	t->scale = 1.0 / (double)c->items / (c->maps ? c->maps : 1);
	t->base = rows[0].name;
	rows_choose(c);
	err = bench_rounds_run(t, 0, row_sample, c);
	if (!err)
		bench_table_print(t);
	return err;
}

static int arrays_setup(struct cost *c)
{
	const struct bench_workload *w = c->workload;
	void *in = forkpool_shm_alloc(c->pool, c->items * w->in_size);
	size_t i;

	c->in = in;
	c->out = forkpool_shm_alloc(c->pool, c->items * sizeof(*c->out));
	c->answer = calloc(c->items, sizeof(*c->answer));
	c->status = calloc(c->items, sizeof(*c->status));
	if (!in || !c->out || !c->answer || !c->status)
		return -ENOMEM;
	w->fill(in, c->items);
	for (i = 0; i < c->items; i++)
		w->fn(NULL, (const char *)in + i * w->in_size, &c->answer[i]);
	return 0;
}

int bench_cost_run(const struct bench_workload *w, unsigned workers)
{
	struct cost c = { .workload = w, .maps = w->batch };
	FORKPOOL_OPTS(opts, .workers = workers);
	int err;

	if (!bench_chosen(w, &rows[0]))
		return 0;
	c.items = bench_count(w);
	err = forkpool_create(&c.pool, &opts);
	if (err) {
		fprintf(stderr, "%s: forkpool_create: %s\n", w->name, forkpool_strerror(err));
		return err;
	}
	err = arrays_setup(&c);
	if (!err)
		err = table_run(&c, workers);
	forkpool_destroy(c.pool);
	free(c.answer);
	free(c.status);
	return err;
}

#define COST(which, text, body, filler, size, items, times, quick) { \
	.name = "cost-" which, .title = "cost of options: " text, .group = "cost", \
	.run = bench_cost_run, .fn = body, .fill = filler, .in_size = (size), \
	.out_size = sizeof(uint64_t), .count = (items), .quick_div = (quick), \
	.batch = (times) }

const struct bench_workload bench_cost[] = {
	COST("map", "a map of 10^6 items of W1", bench_hash_item, bench_seeds_fill,
	     sizeof(uint64_t), MAP_ITEMS, 1, QUICK),
	COST("small", "200 maps of 1,000 items of W1", bench_hash_item, bench_seeds_fill,
	     sizeof(uint64_t), SMALL_ITEMS, SMALL_MAPS, 1),
	COST("tasks", "200,000 tasks of W4", bench_task_item, bench_tasks_fill,
	     sizeof(struct bench_task), TASKS, 0, QUICK),
	{ .name = NULL },
};
