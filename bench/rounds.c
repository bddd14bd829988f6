/* SPDX-License-Identifier: MIT */
/* A table: its heading, which its workload gives, and its rounds, in which each peer has its turn. */
#include <errno.h>
#include <stdio.h>

#include "bench.h"

void bench_table_setup(struct bench_table *t, const struct bench_workload *w, unsigned workers)
{
	unsigned i;

	t->name = w->name;
	t->group = w->group;
	t->x = w->x;
	t->x_unit = w->x_unit;
	snprintf(t->title, sizeof(t->title), "%s", w->title);
	t->base = w->base;
	t->workers = workers;
	t->rounds = bench_rounds(w);
	for (i = 0; i < BENCH_PEERS_MAX; i++)
		t->series[i].first = -1;
}

static int sample_take(struct bench_table *t, unsigned index, unsigned round,
		       bench_sample *sample, void *arg)
{
	struct bench_series *s = &t->series[index];
	double took = 0;
	int err;

	bench_progress(t->name, s->peer->name, round);
	err = sample(arg, index, round, &took);
	if (err)
		fprintf(stderr, "%s: %s: %s\n", t->name, s->peer->name,
			err == -EIO ? "wrong result" : forkpool_strerror(err));
	else if (round)
		s->sample[round - 1] = took;
	else
		s->first = took;
	return err;
}

int bench_rounds_run(struct bench_table *t, unsigned from, bench_sample *sample, void *arg)
{
	unsigned round, i, order[BENCH_PEERS_MAX];
	int err = 0;

	for (round = from; !err && round <= t->rounds; round++) {
		bench_order(t, round, t->count, order);
		for (i = 0; !err && i < t->count; i++)
			err = sample_take(t, order[i], round, sample, arg);
	}
	return err;
}
