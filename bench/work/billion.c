/* SPDX-License-Identifier: MIT */
/*
 * 10^9 items in one loop, without arrays: each range adds up what its items give, and
 * adds that to a sum that all workers share.  For peers that run ranges.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "work/work.h"

#define ITEMS		1000000000
#define QUICK		20
#define SHARED		4096	/* bytes for a sum, in pools that have shared memory */

struct summer {
	const struct bench_peer *peer;
	struct bench_series *series;
	void *pool;
	_Atomic uint64_t *sum, own;	/* sum is own where threads share memory */
};

struct billion {
	struct bench_table table;
	struct summer summer[BENCH_PEERS_MAX];
	size_t items;
	uint64_t answer;
};

static uint64_t hashes_sum(size_t begin, size_t end)
{
	uint64_t sum = 0;
	size_t i;

	for (i = begin; i < end; i++)
		sum += splitmix64(i);
	return sum;
}

BODY static int sum_range(void *arg, size_t begin, size_t end)
{
	_Atomic uint64_t *const *sum = arg;

	atomic_fetch_add_explicit(*sum, hashes_sum(begin, end), memory_order_relaxed);
	return 0;
}

/* One that can't start has said so, and is left out. */
static int summer_start(struct billion *b, const struct bench_peer *peer)
{
	struct summer *s = &b->summer[b->table.count];

	s->peer = peer;
	s->pool = peer->start(peer, b->table.workers, SHARED);
	if (!s->pool)
		return 0;
	b->table.series[b->table.count++].peer = peer;
	s->sum = peer->alloc ? peer->alloc(s->pool, sizeof(*s->sum)) : &s->own;
	return s->sum ? 0 : -1;
}

static int summer_sample(void *arg, unsigned index, unsigned round, double *ret)
{
	struct billion *b = arg;
	struct summer *s = &b->summer[index];
	const struct bench_job job = {
		.range = sum_range, .arg = &s->sum, .arg_size = sizeof(s->sum),
		.count = b->items,
	};
	int64_t start;
	int err;

	(void)round;
	atomic_store(s->sum, 0);
	start = bench_clock();
	err = s->peer->map(s->pool, &job);
	*ret = (double)(bench_clock() - start);
	if (!err && atomic_load(s->sum) != b->answer)
		err = -EIO;
	return err;
}

static int billion_hold(struct billion *b, const struct bench_workload *w)
{
	unsigned i;
	int err = 0;

	for (i = 0; bench_peers[i] && !err; i++)
		if (bench_chosen(w, bench_peers[i]) && bench_peers[i]->flags & BENCH_RANGES)
			err = summer_start(b, bench_peers[i]);
	if (!err) {
		b->answer = hashes_sum(0, b->items);
		err = bench_rounds_run(&b->table, 1, summer_sample, b);
	}
	for (i = 0; i < b->table.count; i++)
		b->summer[i].peer->stop(b->summer[i].pool);
	if (!err && b->table.count)
		bench_table_print(&b->table);
	return err;
}

int bench_billion_run(const struct bench_workload *w, unsigned workers)
{
	struct billion *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->items = bench_count(w);
	bench_table_setup(&b->table, w, workers);
	b->table.unit = "ns/item";
	b->table.scale = 1.0 / (double)b->items;
	err = billion_hold(b, w);
	free(b);
	return err;
}

const struct bench_workload bench_billion[] = {
	{ .name = "billion", .title = "10^9 items in one loop, without arrays: a sum of hashes",
	  .base = "omp-static", .run = bench_billion_run, .count = ITEMS, .quick_div = QUICK,
	  .rounds_max = 6, .on_request = 1 },
	{ .name = NULL },
};
