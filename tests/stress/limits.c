/* SPDX-License-Identifier: MIT */
/*
 * The close race: items that end just when their worker is condemned, beside a
 * job without limits whose items would be hit by a kill that comes late; how
 * long it takes until an item that never ends is reported; and that nothing
 * ticks when all is over.
 * FORKPOOL_TORTURE=1 makes it 10^5 items, and take minutes.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/pool.h"
#include "engine/slots.h"
#include "os/sys.h"
#include "task/limit.h"

#define WORKERS		2
#define MS		((int64_t)1000000)
#define TIMEOUT		(3 * MS / 2)
#define GRACE		50000
#define RACE		500		/* items of a map of the race */
#define EARLY		30000		/* ns before the kill is due that the first of them end */
#define SPREAD		120000		/* ns after it that the last ones do */
#define INNOCENT	2000
#define INNOCENT_NS	20000
#define ROUNDS		3
#define TORTURE		200		/* rounds */
#define HANGS		5
#define HANGS_TORTURE	50
#define CAP		(10000 * MS)	/* catches a hang, no more */

struct scene {
	struct forkpool *pool;
	_Atomic bool over;
	_Atomic bool kill;		/* the racing job is killed, too, now and then */
	_Atomic unsigned bad, rounds;
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static bool torture(void)
{
	const char *torture = getenv("FORKPOOL_TORTURE");

	return torture && atoi(torture);
}

static void spin_until(int64_t until)
{
	while (fp_sys.clock() < until)
		;
}

/* ---- The race ------------------------------------------------------------------------------ */

/* Ends around the moment at which it will be killed. */
static int racer(void *arg, const void *in, void *out)
{
	uint64_t x = *(const uint64_t *)in;
	int64_t limit = (int64_t)fp_load_rlx(&fp_self->shared->limit);

	(void)arg;
	*(uint64_t *)out = 0;
	spin_until(limit + GRACE - EARLY + (int64_t)(mix(x) % SPREAD));
	*(uint64_t *)out = mix(x);
	return 0;
}

static int innocent(void *arg, const void *in, void *out)
{
	(void)arg;
	*(uint64_t *)out = 0;
	spin_until(fp_sys.clock() + INNOCENT_NS);
	*(uint64_t *)out = mix(*(const uint64_t *)in);
	return 0;
}

/* Nothing ever happens to these. */
static void *run_innocents(void *arg)
{
	struct scene *s = arg;
	static uint64_t in[INNOCENT], out[INNOCENT];
	static struct forkpool_status status[INNOCENT];
	unsigned i, round;

	for (round = 0; !s->over; round++) {
		for (i = 0; i < INNOCENT; i++)
			in[i] = mix(round * INNOCENT + i);
		memset(out, 0, sizeof(out));
		if (FORKPOOL_MAP(s->pool, innocent, in, out, INNOCENT, .chunk = 1, .status = status))
			s->bad++;
		for (i = 0; i < INNOCENT; i++)
			s->bad += status[i].outcome != FORKPOOL_ITEM_OK ||
				  status[i].attempts != 1 || out[i] != mix(in[i]);
		s->rounds++;
	}
	return NULL;
}

struct tally {
	unsigned ok, timed_out, cancelled;
};

static void race(struct scene *s, unsigned round, size_t chunk, struct tally *t)
{
	static uint64_t in[RACE], out[RACE];
	static struct forkpool_status status[RACE];
	unsigned i;
	int err;

	for (i = 0; i < RACE; i++)
		in[i] = mix(round * RACE + i);
	err = FORKPOOL_MAP(s->pool, racer, in, out, RACE, .chunk = chunk, .status = status,
			   .timeout = TIMEOUT);
	ck_assert(err == 0 || err == -FORKPOOL_ETIMEDOUT || (s->kill && err == -FORKPOOL_ECANCELED));
	for (i = 0; i < RACE; i++) {
		ck_assert_uint_eq(status[i].attempts, 1);
		switch (status[i].outcome) {
		case FORKPOOL_ITEM_OK:
			ck_assert_msg(out[i] == mix(in[i]), "item %u is ok, and not done", i);
			t->ok++;
			break;
		case FORKPOOL_ITEM_TIMED_OUT:
			t->timed_out++;
			break;
		default:
			/* In a job that goes on all the same, cancelled items count as not run. */
			ck_assert_msg(s->kill && status[i].outcome == FORKPOOL_ITEM_NOT_RUN,
				      "item %u: outcome %d, code %d", i, status[i].outcome,
				      status[i].code);
			t->cancelled++;
		}
	}
}

/* Kills the racing job, wherever it is. */
static void *run_kills(void *arg)
{
	struct scene *s = arg;
	uint64_t x = 1;
	uint32_t slot;

	while (!s->over) {
		struct timespec pause = { .tv_nsec = (long)(mix(++x) % (3 * MS)) };

		nanosleep(&pause, NULL);
		for (slot = 0; slot < 2; slot++) {
			struct fp_job *job = fp_segment_slot(&s->pool->crew.seg, slot).job;
			uint64_t w = fp_load_sc(&job->word);

			if (fp_load_rlx(&job->timeout) && (w & FP_JOB_RUN))
				fp_spawn_kill_job(&s->pool->spawn, slot, FP_JOB_GEN(w));
		}
	}
	return NULL;
}

/* The two maps hold the slots 0 and 1, in one order or the other. */
static void touch_slots(struct forkpool *pool)
{
	struct fp_host_slot *slots[2];

	ck_assert_int_eq(fp_pool_take_slot(pool, true, &slots[0]), 0);
	ck_assert_int_eq(fp_pool_take_slot(pool, true, &slots[1]), 0);
	ck_assert_uint_lt(slots[0]->index + slots[1]->index, 2);
	fp_pool_give_slot(pool, slots[1]);
	fp_pool_give_slot(pool, slots[0]);
}

static void run_race(bool kill)
{
	FORKPOOL_OPTS(opts, .workers = WORKERS, .grace = GRACE);
	struct scene s = { .kill = kill };
	unsigned rounds = torture() ? TORTURE : ROUNDS, i;
	pthread_t innocents, kills;
	struct tally t = { 0 };

	ck_assert_int_eq(forkpool_create(&s.pool, &opts), 0);
	touch_slots(s.pool);
	pthread_create(&innocents, NULL, run_innocents, &s);
	if (kill)
		pthread_create(&kills, NULL, run_kills, &s);
	for (i = 0; i < rounds || !s.rounds; i++)
		race(&s, i, i % 2 ? 1 : 10, &t);
	s.over = true;
	pthread_join(innocents, NULL);
	if (kill)
		pthread_join(kills, NULL);
	forkpool_destroy(s.pool);
	printf("race%s: %u ok, %u timed out, %u cancelled, beside %u innocent items\n",
	       kill ? " with kills" : "", t.ok, t.timed_out, t.cancelled, s.rounds * INNOCENT);
	ck_assert_uint_eq(s.bad, 0);
}

START_TEST(close_race)
{
	run_race(false);
}
END_TEST

START_TEST(close_race_with_kills)
{
	run_race(true);
}
END_TEST

/* ---- How soon ------------------------------------------------------------------------------- */

enum way { WAITS, STOPPED, MASKED, WAYS };

static const enum way ways[WAYS] = { WAITS, STOPPED, MASKED };
static const char *const names[WAYS] = { "waits", "is stopped", "masks all signals" };

static int hang(void *arg, const void *in, void *out)
{
	const enum way *way = arg;
	sigset_t all;

	(void)in;
	(void)out;
	sigfillset(&all);
	if (*way == MASKED)
		sigprocmask(SIG_BLOCK, &all, NULL);
	if (*way == STOPPED)
		raise(SIGSTOP);
	for (;;)
		pause();
	return 0;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *what, int64_t *ns, int n)
{
	qsort(ns, (size_t)n, sizeof(*ns), by_size);
	printf("%s: median %.2f ms, %.2f to %.2f, of %d\n", what, (double)ns[n / 2] / (double)MS,
	       (double)ns[0] / (double)MS, (double)ns[n - 1] / (double)MS, n);
}

static int64_t reported_after(struct forkpool *pool, int64_t timeout, int way)
{
	FORKPOOL_JOB_OPTS(opts, .timeout = timeout, .arg = (void *)&ways[way], .arg_as_is = 1);
	int64_t begin = fp_sys.clock();

	ck_assert_int_eq(forkpool_map(pool, hang, NULL, 0, NULL, 0, 1, &opts), -FORKPOOL_ETIMEDOUT);
	return fp_sys.clock() - begin;
}

static int64_t ready_after(struct forkpool *pool)
{
	struct fp_worker *w = fp_segment_worker(&pool->crew.seg, 0);
	int64_t begin = fp_sys.clock();

	/* As the worker stores it. */
	while (fp_load_acq(&w->state) != FP_WORKER_READY ||
	       !(fp_load_rlx(&pool->crew.seg.ctl->asleep[0]) & 1))
		ck_assert(fp_sys.clock() - begin < CAP);
	return fp_sys.clock() - begin;
}

START_TEST(how_soon)
{
	FORKPOOL_OPTS(opts, .workers = 1);
	const int n = torture() ? HANGS_TORTURE : HANGS;
	int64_t took[HANGS_TORTURE], ready[HANGS_TORTURE];
	struct forkpool *pool;
	int i;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	for (i = 0; i < n; i++) {
		took[i] = reported_after(pool, 200 * MS, _i);
		ready[i] = ready_after(pool);
		ck_assert_int_ge(took[i], 200 * MS);
		ck_assert_int_lt(took[i], CAP);
	}
	printf("An item that %s:\n", names[_i]);
	print_times("  reported", took, n);
	print_times("  new worker ready after that", ready, n);
	forkpool_destroy(pool);
}
END_TEST

/* ---- And then rest ----------------------------------------------------------------------------- */

static long switches_of(pid_t pid)
{
	char path[64], line[128];
	long n = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && n < 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) != 1)
			n = -1;
	if (file)
		fclose(file);
	return n;
}

static int nothing(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return 0;
}

/* Once the last job with limits has ended, and what it had asked for has come: a while without a switch. */
START_TEST(no_tick_afterwards)
{
	const struct timespec a_while = { .tv_nsec = 100 * MS };
	FORKPOOL_OPTS(opts, .workers = WORKERS);
	FORKPOOL_JOB_OPTS(job, .timeout = 10 * MS, .deadline = 20 * MS);
	int64_t until = fp_deadline(CAP);
	struct forkpool *pool;
	long before, now;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	forkpool_map(pool, nothing, NULL, 0, NULL, 0, 100, &job);
	now = switches_of(pool->spawn.nursery_pid);
	do {
		ck_assert_msg(fp_sys.clock() < until, "the nursery does not come to rest");
		before = now;
		ck_assert_int_ge(before, 0);
		nanosleep(&a_while, NULL);
		now = switches_of(pool->spawn.nursery_pid);
	} while (now != before);
	forkpool_destroy(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("limits");
	TCase *tc = test_case(suite, "race");

	if (!test_processes())
		return TEST_SKIP;
	tcase_add_test(tc, close_race);
	tcase_add_test(tc, close_race_with_kills);
	tc = test_case(suite, "time");
	tcase_add_loop_test(tc, how_soon, 0, WAYS);
	tcase_add_test(tc, no_tick_afterwards);
	return test_main(suite);
}
