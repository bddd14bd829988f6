/* SPDX-License-Identifier: MIT */
/*
 * Recovery: a worker is killed while its pool works on a map of items of 1 ms, with one
 * retry.  Times from the kill until a replacement begins its first item, and until the
 * item that was lost has been run again to its end, its own millisecond included.
 *
 * Items tell when they begin and end, and in which process.  The host waits until a
 * third of them are done, chooses a worker that is in the middle of an item, and kills
 * it.  Where the kill came too late and hit it between two items, nothing was lost, and
 * another map is run instead.  Where the map has ended before the replacement was there,
 * more maps follow until it begins an item: a slow recovery counts like a quick one.  A
 * round is a pool of its own and some kills; its sample is their median, and percentiles
 * are those of all kills of all rounds.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "work/work.h"

#define ITEMS_EACH	20		/* for each worker */
#define KILLS		20		/* a round */
#define KILLS_QUICK	4
#define TRIES_EACH	10		/* maps for a kill */
#define FOLLOW_EACH	5		/* for each worker, while a replacement is awaited */
#define WORKERS_MAX	64
#define STEPS		(1000 * STEPS_US)
/* An item is hit when it is so old, in ns: then it surely lives for a while. */
#define AGE_LEAST	100000
#define AGE_MOST	500000
#define LOOK_TIME	50000		/* ns between two looks for such an item */
#define LOOK_LIMIT	INT64_C(5000000000)
/* A replacement that has begun nothing by then is none, in s. */
#define FIRST_LIMIT	30

enum { FIRST, AGAIN, MEASURES };

/* One attempt at an item; 0 is not yet. */
struct attempt {
	_Atomic int64_t begin, end;
	_Atomic pid_t pid;
};

/* Attempts after the second are counted, not told. */
struct beat {
	atomic_uint attempts;
	struct attempt attempt[2];
};

/* In the segment: what the workers tell the host. */
struct scene {
	atomic_uint done;
	_Atomic size_t at[WORKERS_MAX];	/* the item that each worker began last, + 1 */
	struct beat beat[];
};

struct recovery {
	const struct bench_workload *workload;
	struct bench_table *tables;	/* MEASURES of them */
	unsigned workers, kills;
	struct forkpool *pool;
	size_t items;
	struct scene *scene;
	uint64_t *in, *out, *answer;	/* the first two in the segment */
	uint32_t *ns[MEASURES];		/* of all kills */
	size_t count;
	pid_t known[WORKERS_MAX];	/* the workers before the kill */
	int64_t killed;			/* when */
	pid_t victim;
};

/* ---- The items ------------------------------------------------------------------------ */

BODY static int beat_item(void *arg, const void *in, void *out)
{
	struct scene *scene = arg;
	const uint64_t index = *(const uint64_t *)in;
	struct beat *beat = &scene->beat[index];
	unsigned n = atomic_fetch_add(&beat->attempts, 1);
	struct attempt *a = n < 2 ? &beat->attempt[n] : NULL;

	if (a) {
		atomic_store(&a->pid, getpid());
		atomic_store(&a->begin, bench_clock());
	}
	atomic_store(&scene->at[forkpool_worker_id()], index + 1);
	*(uint64_t *)out = lcg(index, STEPS);
	if (a)
		atomic_store(&a->end, bench_clock());
	atomic_fetch_add(&scene->done, 1);
	return 0;
}

/* ---- The kill --------------------------------------------------------------------------- */

/* Whether worker ID is in the middle of its first attempt at an item. */
static int worker_inside(const struct recovery *r, unsigned id)
{
	size_t at = atomic_load(&r->scene->at[id]);
	const struct attempt *a;
	int64_t age;

	if (!at)
		return 0;
	a = &r->scene->beat[at - 1].attempt[0];
	age = bench_clock() - atomic_load(&a->begin);
	return !atomic_load(&a->end) && age > AGE_LEAST && age < AGE_MOST &&
	       atomic_load(&a->pid) == r->known[id];
}

/* Once all of them are there: one killed before may still be missing. */
static int workers_know(struct recovery *r)
{
	int64_t until = bench_clock() + LOOK_LIMIT;
	unsigned i = 0;
	int err = 0;

	while (i < r->workers && !err) {
		struct forkpool_worker_stats s = { .sz = sizeof(s) };

		err = forkpool_worker_stats(r->pool, i, &s);
		r->known[i] = s.pid;
		if (s.pid)
			i++;
		else if (bench_clock() > until)
			err = -FORKPOOL_EBROKEN;
		else
			bench_sleep(LOOK_TIME);
	}
	return err;
}

/* Returns 1 when a worker was killed, 0 when none was met inside an item in time. */
static int worker_kill(struct recovery *r)
{
	int64_t until = bench_clock() + LOOK_LIMIT;
	unsigned i;

	while (atomic_load(&r->scene->done) < r->items / 2 && bench_clock() < until) {
		bench_sleep(LOOK_TIME);
		if (atomic_load(&r->scene->done) < r->items / 3)
			continue;
		for (i = 0; i < r->workers; i++)
			if (worker_inside(r, i)) {
				r->victim = r->known[i];
				r->killed = bench_clock();
				return kill(r->victim, SIGKILL) == 0;
			}
	}
	return 0;
}

static int pid_known(const struct recovery *r, pid_t pid)
{
	unsigned i;

	for (i = 0; i < r->workers; i++)
		if (r->known[i] == pid)
			return 1;
	return 0;
}

/* ---- What came of it --------------------------------------------------------------------- */

static int results_check(const struct recovery *r, size_t items)
{
	size_t i;

	for (i = 0; i < items; i++) {
		/* One retry: nothing is begun more than twice. */
		if (atomic_load(&r->scene->beat[i].attempts) > 2)
			return -EIO;
		if (r->out[i] != r->answer[i])
			return -EIO;
	}
	return 0;
}

/* From the kill to the first item that a new worker began; INT64_MAX: there is none. */
static int64_t first_find(const struct recovery *r, size_t items)
{
	int64_t first = INT64_MAX;
	size_t i, k;

	for (i = 0; i < items; i++)
		for (k = 0; k < 2; k++) {
			const struct attempt *a = &r->scene->beat[i].attempt[k];
			int64_t begin = atomic_load(&a->begin) - r->killed;

			if (begin > 0 && begin < first && !pid_known(r, atomic_load(&a->pid)))
				first = begin;
		}
	return first;
}

/* From the kill to the end of the second attempt at what was lost; INT64_MAX: nothing was. */
static int64_t again_find(const struct recovery *r)
{
	int64_t again = INT64_MAX;
	size_t i;

	for (i = 0; i < r->items; i++) {
		const struct beat *beat = &r->scene->beat[i];

		if (atomic_load(&beat->attempts) == 2 &&
		    atomic_load(&beat->attempt[0].pid) == r->victim)
			again = atomic_load(&beat->attempt[1].end) - r->killed;
	}
	return again;
}

static void scene_clear(struct recovery *r)
{
	memset(r->scene, 0, sizeof(*r->scene) + r->items * sizeof(r->scene->beat[0]));
	memset(r->out, 0, r->items * sizeof(*r->out));
}

/*
 * The map is over, and no new worker had a part in it: small ones follow, one upon the
 * other, so that there is work at any time, until one has.
 */
static int first_await(struct recovery *r, int64_t *first)
{
	FORKPOOL_JOB_OPTS(opts, .arg = r->scene);
	const int64_t until = r->killed + FIRST_LIMIT * INT64_C(1000000000);
	const size_t items = (size_t)r->workers * FOLLOW_EACH;
	int err = 0;

	while (!err && *first == INT64_MAX) {
		if (bench_clock() > until)
			return -ETIMEDOUT;
		scene_clear(r);
		err = forkpool_map(r->pool, beat_item, r->in, sizeof(*r->in), r->out,
				   sizeof(*r->out), items, &opts);
		if (!err)
			err = results_check(r, items);
		*first = first_find(r, items);
	}
	return err;
}

/* The map with its kill; returns 1 when a worker was killed, 0 when none was, or an error. */
static int map_disturb(struct recovery *r)
{
	FORKPOOL_JOB_OPTS(opts, .arg = r->scene, .retries = 1);
	struct forkpool_job *job;
	int killed, err = workers_know(r);

	scene_clear(r);
	if (!err)
		err = forkpool_map_async(r->pool, beat_item, r->in, sizeof(*r->in), r->out,
					 sizeof(*r->out), r->items, &opts, &job);
	if (err)
		return err;
	killed = worker_kill(r);
	err = forkpool_job_wait(job, -1);
	forkpool_job_free(job);
	if (!err)
		err = results_check(r, r->items);
	return err ? err : killed;
}

/* Returns 1 with times, 0 where nothing was lost, or a negative error. */
static int kill_try(struct recovery *r, int64_t took[MEASURES])
{
	int err = map_disturb(r);

	if (err <= 0)
		return err;
	took[AGAIN] = again_find(r);
	if (took[AGAIN] == INT64_MAX)
		return 0;
	took[FIRST] = first_find(r, r->items);
	err = first_await(r, &took[FIRST]);
	return err ? err : 1;
}

/* ---- Rounds --------------------------------------------------------------------------------- */

static const char *failure_text(int err)
{
	if (err == -EIO)
		return "wrong result";
	if (err == -ETIMEDOUT)
		return "no replacement has begun an item";
	return err ? forkpool_strerror(err) : "no worker was met inside an item";
}

static int kill_measure(struct recovery *r, int64_t took[MEASURES])
{
	unsigned n;
	int err = 0;

	for (n = 0; n < TRIES_EACH && !err; n++)
		err = kill_try(r, took);
	if (err > 0)
		return 0;
	fprintf(stderr, "%s: %s\n", r->workload->name, failure_text(err));
	return -1;
}

static int pool_open(struct recovery *r)
{
	FORKPOOL_OPTS(opts, .workers = r->workers);
	size_t i;
	int err = forkpool_create(&r->pool, &opts);

	if (err) {
		fprintf(stderr, "%s: forkpool_create: %s\n", r->workload->name,
			forkpool_strerror(err));
		return err;
	}
	r->scene = forkpool_shm_alloc(r->pool,
				      sizeof(*r->scene) + r->items * sizeof(r->scene->beat[0]));
	r->in = forkpool_shm_alloc(r->pool, r->items * sizeof(*r->in));
	r->out = forkpool_shm_alloc(r->pool, r->items * sizeof(*r->out));
	if (!r->scene || !r->in || !r->out) {
		forkpool_destroy(r->pool);
		return -ENOMEM;
	}
	for (i = 0; i < r->items; i++)
		r->in[i] = i;
	return 0;
}

/* The first kill of a pool warms up: its times are left out. */
static int round_run(struct recovery *r, unsigned round)
{
	const size_t begin = r->count;
	int64_t took[MEASURES] = { 0 };
	unsigned n, m;
	int err;

	bench_progress(r->workload->name, bench_forkpool.name, round + 1);
	err = pool_open(r);
	if (err)
		return err;
	for (n = 0; n <= r->kills && !err; n++) {
		err = kill_measure(r, took);
		if (err || !n)
			continue;
		for (m = 0; m < MEASURES; m++)
			r->ns[m][r->count] = took[m] < UINT32_MAX ? (uint32_t)took[m] : UINT32_MAX;
		r->count++;
	}
	forkpool_destroy(r->pool);
	for (m = 0; m < MEASURES && !err; m++) {
		uint32_t *ns = r->ns[m] + begin;

		qsort(ns, r->kills, sizeof(*ns), bench_ns_compare);
		r->tables[m].series[0].sample[round] = bench_percentile(ns, r->kills, 500);
	}
	return err;
}

static void table_setup(struct recovery *r, unsigned measure)
{
	static const struct {
		const char *name, *what, *group;
	} all[MEASURES] = {
		[FIRST] = { "recovery-first", "until a replacement begins an item", "recovery" },
		[AGAIN] = { "recovery-again", "until the lost item of 1 ms has been run again",
			    "recovery-again" },
	};
	struct bench_table *t = &r->tables[measure];

	bench_table_setup(t, r->workload, r->workers);
	t->name = all[measure].name;
	t->group = all[measure].group;
	t->x = r->workers;
	t->x_unit = "workers";
	snprintf(t->title, sizeof(t->title), "%s: %s", r->workload->title, all[measure].what);
	t->unit = "us";
	t->scale = 1e-3;
	t->tails = 1;
	t->count = 1;
	t->series[0].peer = &bench_forkpool;
}

static int tables_run(struct recovery *r)
{
	unsigned round, m;
	int err = 0;

	for (m = 0; m < MEASURES; m++)
		table_setup(r, m);
	for (round = 0; round < r->tables[0].rounds && !err; round++)
		err = round_run(r, round);
	for (m = 0; m < MEASURES && !err; m++) {
		bench_percentiles_set(&r->tables[m].series[0], r->ns[m], r->count);
		bench_table_print(&r->tables[m]);
		printf("  p90 %.4g us; %zu kills\n",
		       r->tables[m].series[0].p90 * r->tables[m].scale, r->count);
	}
	return err;
}

int bench_recovery_run(const struct bench_workload *w, unsigned workers)
{
	struct recovery r = {
		.workload = w, .workers = workers, .items = (size_t)workers * ITEMS_EACH,
		.kills = bench_opt.quick ? KILLS_QUICK : KILLS,
	};
	size_t most = (size_t)bench_rounds(w) * r.kills, i;
	int err = -ENOMEM;

	if (!bench_chosen(w, &bench_forkpool) || workers > WORKERS_MAX)
		return 0;
	r.tables = calloc(MEASURES, sizeof(*r.tables));
	r.ns[FIRST] = calloc(most, sizeof(*r.ns[FIRST]));
	r.ns[AGAIN] = calloc(most, sizeof(*r.ns[AGAIN]));
	r.answer = calloc(r.items, sizeof(*r.answer));
	if (r.tables && r.ns[FIRST] && r.ns[AGAIN] && r.answer) {
		for (i = 0; i < r.items; i++)
			r.answer[i] = lcg(i, STEPS);
		err = tables_run(&r);
	}
	free(r.tables);
	free(r.ns[FIRST]);
	free(r.ns[AGAIN]);
	free(r.answer);
	return err;
}

#define RECOVERY(n, ...) { \
	.name = "recovery-" #n, .title = "recovery from SIGKILL", .group = "recovery", \
	.x = (n), .x_unit = "workers", .workers = (n), .run = bench_recovery_run, __VA_ARGS__ }

const struct bench_workload bench_recovery[] = {
	RECOVERY(1, .on_request = 0),
	RECOVERY(2, .on_request = 0),
	RECOVERY(4, .on_request = 1),
	RECOVERY(8, .on_request = 1),
	{ .name = NULL },
};
