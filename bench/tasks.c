/* SPDX-License-Identifier: MIT */
/*
 * Workloads of single tasks: the contest that they all are, a stream of tasks
 * (W4), and Fibonacci with a task per call.
 *
 * As with loops, all pools stand ready, each round measures each in turn, and
 * round 0 is kept apart.  A stream is timed by its submitters' own clocks, from
 * when the first begins to when the last has collected all; before that, each
 * has had some tasks run, so that its pool is awake and knows it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks.h"

/* With --quick Fibonacci is taken of this number. */
#define FIB_QUICK	20

/* ---- The contest ------------------------------------------------------------------- */

/* Whether this run measures PEER: it must be able to do what the workload asks for. */
static int peer_chosen(const struct bench_workload *w, const struct bench_task_peer *peer)
{
	if (!bench_chosen(w, &peer->peer))
		return 0;
	if (peer->trips && w->submitters != 1)
		return 0;
	if (w->run == bench_fib_run)
		return peer->fib != NULL && !peer->submitters;
	if (w->pools && (peer->submitters || peer->run || peer->peer.flags & BENCH_ONE_RUNTIME))
		return 0;
	if (peer->submitters)
		return w->submitters > peer->submitters;
	return w->run == bench_trip_run ? peer->call || peer->stream : peer->stream != NULL;
}

static void entry_stop(const struct task_entry *e)
{
	unsigned i;

	e->peer->stop(e->pool);
	for (i = 0; i < BENCH_SUBMITTERS_MAX - 1 && e->more[i]; i++)
		e->peer->stop(e->more[i]);
}

/* Where each submitter has a pool of its own. */
static int entry_start_more(struct task_contest *c, struct task_entry *e)
{
	unsigned i;

	for (i = 0; i + 1 < c->workload->pools; i++) {
		e->more[i] = e->peer->start(e->peer, c->table.workers, 1);
		if (!e->more[i]) {
			entry_stop(e);
			return -1;
		}
	}
	return 0;
}

/* One that can't start has said so, and is left out. */
static void entry_start(struct task_contest *c, const struct bench_task_peer *peer)
{
	struct task_entry *e = &c->entry[c->count];

	*e = (struct task_entry){ .peer = peer };
	e->submitters = peer->submitters ? peer->submitters : c->workload->submitters;
	e->pool = peer->start(peer, c->table.workers, c->workload->pools ? 1 : e->submitters);
	if (!e->pool || entry_start_more(c, e))
		return;
	c->table.series[c->count++].peer = &peer->peer;
	c->table.count = c->count;
}

static int arrays_setup(struct task_contest *c)
{
	const struct bench_workload *w = c->workload;
	size_t i;

	c->in = calloc(c->items, sizeof(*c->in));
	c->out = calloc(c->items, sizeof(*c->out));
	c->answer = calloc(c->items, sizeof(*c->answer));
	if (!c->in || !c->out || !c->answer) {
		fprintf(stderr, "%s: not enough memory for the arrays\n", w->name);
		return -ENOMEM;
	}
	if (w->fill)
		w->fill(c->in, c->items);
	for (i = 0; w->fn && i < c->items; i++)
		w->fn(NULL, &c->in[i], &c->answer[i]);
	return 0;
}

int task_contest_start(struct task_contest *c, const struct bench_workload *w,
		       unsigned workers)
{
	unsigned i;

	c->workload = w;
	c->items = bench_count(w);
	bench_table_setup(&c->table, w, workers);
	/* Processes are forked before the arrays exist: they need not inherit them. */
	for (i = 0; bench_task_peers[i]; i++)
		if (peer_chosen(w, bench_task_peers[i]))
			entry_start(c, bench_task_peers[i]);
	return arrays_setup(c);
}

static int entry_sample(void *arg, unsigned index, unsigned round, double *ret)
{
	struct task_contest *c = arg;

	bench_settle(TASK_SETTLE_TIME);
	return c->measure(c, &c->entry[index], round, ret);
}

int task_contest_run(struct task_contest *c, task_measure *measure)
{
	c->measure = measure;
	return bench_rounds_run(&c->table, 0, entry_sample, c);
}

void task_contest_stop(struct task_contest *c)
{
	unsigned i;

	for (i = 0; i < c->count; i++)
		entry_stop(&c->entry[i]);
	free(c->in);
	free(c->out);
	free(c->answer);
}

void task_entry_run(struct task_entry *e, bench_submitter *body, void *arg)
{
	if (e->peer->run)
		e->peer->run(e->pool, e->submitters, body, arg);
	else
		bench_submitters_run(e->submitters, body, arg);
}

static int contest_hold(struct task_contest *c, const struct bench_workload *w, unsigned workers,
			task_measure *measure)
{
	int err = task_contest_start(c, w, workers);

	if (!err)
		err = task_contest_run(c, measure);
	task_contest_stop(c);
	if (!err)
		bench_table_print(&c->table);
	return err;
}

/* ---- W4: streams --------------------------------------------------------------------- */

/* One submitter's part of a sample. */
struct part {
	struct bench_stream stream;
	uint64_t warm[BENCH_WINDOW];	/* results of the tasks before, which nobody times */
	int64_t begin, end;
	int err;
};

struct streams {
	struct task_entry *entry;
	unsigned pools;			/* one for each submitter; 0 = one for all */
	pthread_barrier_t together;
	struct part part[BENCH_SUBMITTERS_MAX];
};

static void part_run(void *arg, unsigned submitter)
{
	struct streams *s = arg;
	struct part *part = &s->part[submitter];
	const struct bench_task_peer *peer = s->entry->peer;
	struct bench_stream warm = part->stream;
	void *pool = s->entry->pool;

	if (s->pools) {
		pool = submitter ? s->entry->more[submitter - 1] : pool;
		submitter = 0;
	}
	warm.out = part->warm;
	if (warm.count > BENCH_WINDOW)
		warm.count = BENCH_WINDOW;
	part->err = peer->stream(pool, submitter, &warm);
	pthread_barrier_wait(&s->together);
	part->begin = bench_clock();
	if (!part->err)
		part->err = peer->stream(pool, submitter, &part->stream);
	part->end = bench_clock();
}

static int streams_run(struct task_contest *c, struct task_entry *e, size_t count, double *ret)
{
	struct streams *s = calloc(1, sizeof(*s));
	int64_t begin = INT64_MAX, end = 0;
	unsigned i, n = e->submitters;
	int err = 0;

	if (!s)
		return -ENOMEM;
	s->entry = e;
	s->pools = c->workload->pools;
	for (i = 0; i < n; i++) {
		size_t first = count * i / n;

		s->part[i].stream = (struct bench_stream){
			c->workload->fn, &c->in[first], &c->out[first],
			count * (i + 1) / n - first,
		};
	}
	pthread_barrier_init(&s->together, NULL, n);
	task_entry_run(e, part_run, s);
	pthread_barrier_destroy(&s->together);
	for (i = 0; i < n; i++) {
		err = err ? err : s->part[i].err;
		begin = s->part[i].begin < begin ? s->part[i].begin : begin;
		end = s->part[i].end > end ? s->part[i].end : end;
	}
	free(s);
	*ret = (double)(end - begin);
	return err;
}

static int stream_measure(struct task_contest *c, struct task_entry *e, unsigned round,
			  double *ret)
{
	unsigned div = bench_div(c->workload, &e->peer->peer);
	size_t count = c->items / div;
	int err;

	(void)round;
	memset(c->out, 0, c->items * sizeof(*c->out));
	err = streams_run(c, e, count, ret);
	*ret *= div;
	if (!err && memcmp(c->out, c->answer, count * sizeof(*c->out)))
		err = -EIO;
	return err;
}

int bench_stream_run(const struct bench_workload *w, unsigned workers)
{
	struct task_contest *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->table.unit = "M tasks/s";
	c->table.inverse = 1;
	c->table.scale = (double)bench_count(w) * 1e3;
	err = contest_hold(c, w, workers, stream_measure);
	free(c);
	return err;
}

/* ---- Fibonacci --------------------------------------------------------------------------- */

static uint64_t fib(uint64_t n)
{
	uint64_t a = 0, b = 1, sum;

	while (n--) {
		sum = a + b;
		a = b;
		b = sum;
	}
	return a;
}

static int fib_measure(struct task_contest *c, struct task_entry *e, unsigned round,
		       double *ret)
{
	const uint64_t n = bench_opt.quick ? FIB_QUICK : c->workload->count;
	uint64_t value = 0;
	int64_t begin = bench_clock();
	int err = e->peer->fib(e->pool, n, &value);

	(void)round;
	*ret = (double)(bench_clock() - begin);
	if (!err && value != fib(n))
		err = -EIO;
	return err;
}

int bench_fib_run(const struct bench_workload *w, unsigned workers)
{
	struct task_contest *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->table.unit = "ms";
	c->table.scale = 1e-6;
	err = contest_hold(c, w, workers, fib_measure);
	free(c);
	return err;
}
