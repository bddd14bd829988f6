/* SPDX-License-Identifier: MIT */
/*
 * The shared heap against malloc: an allocation and its free, one after the other,
 * and a batch of allocations that is then freed; in the host thread, and in all
 * workers at the same time, where malloc runs in the very same workers.
 *
 * Each sample is of one process, taken by its own clock, and in workers the mean
 * of theirs; in each round the two take turns in who comes first.  Before it is
 * timed, each fills a batch of blocks, looks whether all bytes are still there,
 * and frees them.  While it is timed it writes to the start of each block, as who
 * allocates does.
 */
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define BATCH		1000u
#define PAIRS		50000u		/* a sample */
#define PAIRS_QUICK	10000u
#define CROWD_NS	INT64_C(100000000)	/* how long one waits for the other workers */

/* malloc gives memory at the end of its heap back to the system when much of it is free; -keep does not. */
enum { MALLOC, MALLOC_KEEP, FORKPOOL, PEERS };

static const struct bench_peer peers[PEERS] = {
	[MALLOC] = { .name = "malloc" },
	[MALLOC_KEEP] = { .name = "malloc-keep", .flags = BENCH_VARIANT },
	[FORKPOOL] = { .name = "forkpool", .flags = BENCH_OURS },
};

#define TRIM		(128 << 10)	/* what glibc begins with */
#define TRIM_NEVER	(1 << 30)

struct heap_work {
	struct forkpool *host;		/* whose workers they are */
	struct forkpool *pool;		/* NULL: malloc */
	int trim;			/* for malloc: what may lie idle at the end of its heap */
	size_t size;
	unsigned batch, pairs;
	unsigned crowd;			/* workers that start together; 0 = in the host thread */
	atomic_uint *ready;		/* how many have come; in the segment */
};

static void *block_new(const struct heap_work *w)
{
	return w->pool ? forkpool_shm_alloc(w->pool, w->size) : malloc(w->size);
}

static void block_free(const struct heap_work *w, void *block)
{
	if (w->pool)
		forkpool_shm_free(w->pool, block);
	else
		free(block);
}

/* Whether each of a batch of blocks keeps what was written to it. */
static int blocks_hold(const struct heap_work *w)
{
	char *block[BATCH];
	size_t k;
	unsigned i;
	int ok = 1;

	for (i = 0; i < BATCH; i++) {
		block[i] = block_new(w);
		if (!block[i])
			return 0;
		memset(block[i], (int)(i % 251), w->size);
		memcpy(block[i], &i, sizeof(i));
	}
	for (i = 0; i < BATCH; i++) {
		ok &= memcmp(block[i], &i, sizeof(i)) == 0;
		for (k = sizeof(i); k < w->size; k++)
			ok &= block[i][k] == (char)(i % 251);
		block_free(w, block[i]);
	}
	return ok;
}

/* ns for one allocation and its free. */
static double pairs_time(const struct heap_work *w)
{
	void *volatile block[BATCH];
	unsigned i, k, rounds = w->pairs / w->batch;
	int64_t start;

	mallopt(M_TRIM_THRESHOLD, w->trim);
	start = bench_clock();
	for (i = 0; i < rounds; i++) {
		for (k = 0; k < w->batch; k++) {
			unsigned *p = block_new(w);

			*(volatile unsigned *)p = k;
			block[k] = p;
		}
		for (k = 0; k < w->batch; k++)
			block_free(w, block[k]);
	}
	return (double)(bench_clock() - start) / (rounds * w->batch);
}

/* So that all of them allocate at the same time. */
static void crowd_await(const struct heap_work *w)
{
	int64_t until = bench_clock() + CROWD_NS;

	if (!w->crowd)
		return;
	atomic_fetch_add(w->ready, 1);
	while (atomic_load(w->ready) < w->crowd && bench_clock() < until)
		;
}

static int work_item(void *arg, const void *in, void *out)
{
	struct heap_work w = *(const struct heap_work *)arg;

	(void)in;
	if (w.pool)
		w.pool = forkpool_current();
	if (!blocks_hold(&w))
		return 1;
	crowd_await(&w);
	*(double *)out = pairs_time(&w);
	return 0;
}

/* One sample; in workers one item for each of them. */
static int work_measure(struct heap_work *w, double *ret)
{
	FORKPOOL_JOB_OPTS(opts, .arg = w, .arg_size = sizeof(*w), .chunk = 1);
	double each[BENCH_ROUNDS_MAX], sum = 0;
	unsigned i;
	int err;

	if (!w->crowd) {
		*ret = blocks_hold(w) ? pairs_time(w) : 0;
		return *ret > 0 ? 0 : -EIO;
	}
	atomic_store(w->ready, 0);
	err = forkpool_map(w->host, work_item, NULL, 0, each, sizeof(each[0]), w->crowd, &opts);
	for (i = 0; i < w->crowd; i++)
		sum += each[i];
	*ret = sum / w->crowd;
	return err;
}

static int series_sample(void *arg, unsigned which, unsigned round, double *ret)
{
	struct heap_work *w = arg;

	(void)round;
	w->pool = which == FORKPOOL ? w->host : NULL;
	w->trim = which == MALLOC_KEEP ? TRIM_NEVER : TRIM;
	return work_measure(w, ret);
}

static int case_run(const struct bench_workload *workload, struct heap_work *w,
		    unsigned workers)
{
	struct bench_table *t = calloc(1, sizeof(*t));
	char name[64];
	int err;

	if (!t)
		return -ENOMEM;
	bench_table_setup(t, workload, workers);
	snprintf(name, sizeof(name), "%s-%s%zu%s", workload->name, w->batch == 1 ? "" : "batch-",
		 w->size, w->crowd ? "-crowd" : "");
	t->name = name;
	t->unit = "ns/pair";
	t->base = peers[MALLOC].name;
	t->scale = 1;
	for (t->count = 0; t->count < PEERS; t->count++)
		t->series[t->count].peer = &peers[t->count];
	snprintf(t->title, sizeof(t->title), "heap: %zu bytes, %s, in %s", w->size,
		 w->batch == 1 ? "allocated and freed" : "1,000 allocated, then freed",
		 w->crowd ? "all workers at once" : "the host thread");
	err = bench_rounds_run(t, 0, series_sample, w);
	if (!err)
		bench_table_print(t);
	free(t);
	return err;
}

int bench_heap_run(const struct bench_workload *workload, unsigned workers)
{
	static const size_t sizes[] = { 64, 256, 1024, 4096 };
	struct heap_work w = { .pairs = bench_opt.quick ? PAIRS_QUICK : PAIRS };
	FORKPOOL_OPTS(opts, .workers = workers);
	unsigned crowd, batch, i;
	int err;

	if (workers > BENCH_ROUNDS_MAX || forkpool_create(&w.host, &opts))
		return -1;
	w.ready = forkpool_shm_calloc(w.host, 1, sizeof(*w.ready));
	err = w.ready ? 0 : -ENOMEM;
	for (crowd = 0; crowd <= 1; crowd++)
		for (batch = 1; batch <= BATCH; batch += BATCH - 1)
			for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && !err; i++) {
				w.crowd = crowd ? workers : 0;
				w.batch = batch;
				w.size = sizes[i];
				err = case_run(workload, &w, workers);
			}
	forkpool_destroy(w.host);
	return err;
}
