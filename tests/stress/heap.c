/* SPDX-License-Identifier: MIT */
/*
 * Items allocate and free at random while their workers are killed, one every
 * 10 ms: what they hand on keeps its content until somebody else frees it, another
 * worker or a thread of the host, and when all is freed the heap is as it was.
 * FORKPOOL_TORTURE=1 makes it take minutes.
 *
 * Items that free what others allocated run in maps of their own: one that is
 * killed and run again frees twice, which is harmless only while nobody
 * allocates.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <forkpool.h>

#include "engine/pool.h"
#include "os/sys.h"
#include "proc/recover.h"
#include "shm/mend.h"
#include "task/check.h"

#define WORKERS		4u
#define ITEMS		200u
#define PAIRS		200u		/* allocations, and frees, of an item */
#define LIVE		40u		/* blocks that an item has at most */
#define HANDED		4u		/* of them it hands on */
#define ENOUGH		1000000u	/* pairs */
#define SANITIZED	4u		/* times fewer under a sanitizer */
#define TORTURE		50u		/* times as many */
#define EVERY_NS	10000000
#define KILLS		100u		/* at least */
#define RETRIES		3u
#define CAP_NS		((int64_t)200000000000)	/* catches a hang, no more */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW SANITIZED
#endif
#endif
#ifndef SLOW
#define SLOW 1u
#endif

struct block {
	unsigned char *p;
	uint32_t size, tag;
};

struct result {
	struct block handed[HANDED];
};

struct scene {
	struct forkpool *pool;
	_Atomic bool mapping, over;
	_Atomic unsigned deadly;	/* signals sent */
	struct result results[2][ITEMS];
	struct forkpool_status status[ITEMS];
	uint32_t seeds[ITEMS];
};

static struct scene s;

static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* ---- Blocks ------------------------------------------------------------------------------ */

/* Mostly small; some are runs of units. */
static uint32_t random_size(uint32_t *state)
{
	static const uint32_t most[] = { 64, 64, 300, 300, 1100, 4200, 20000, 150000 };

	return 8 + next(state) % most[next(state) % 8];
}

static bool block_make(struct forkpool *pool, struct block *b, uint32_t *state)
{
	b->size = random_size(state);
	b->tag = next(state);
	b->p = forkpool_shm_alloc(pool, b->size);
	if (!b->p)
		return false;
	memcpy(b->p, &b->tag, sizeof(b->tag));
	memcpy(b->p + b->size - sizeof(b->tag), &b->tag, sizeof(b->tag));
	return true;
}

static bool block_whole(const struct block *b)
{
	return !memcmp(b->p, &b->tag, sizeof(b->tag)) &&
	       !memcmp(b->p + b->size - sizeof(b->tag), &b->tag, sizeof(b->tag));
}

static bool block_drop(struct forkpool *pool, struct block *b)
{
	bool whole = block_whole(b);

	forkpool_shm_free(pool, b->p);
	b->p = NULL;
	return whole;
}

/* ---- Items -------------------------------------------------------------------------------- */

enum { WRONG_NONE, WRONG_MEMORY, WRONG_CONTENT };

static int churn(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	struct block live[LIVE] = { 0 }, *b;
	struct result *result = out;
	uint32_t state, made = 0, i;

	(void)arg;
	memcpy(&state, in, sizeof(state));
	while (made < PAIRS) {
		b = &live[next(&state) % LIVE];
		if (b->p && !block_drop(pool, b))
			return WRONG_CONTENT;
		if (!block_make(pool, b, &state))
			return WRONG_MEMORY;
		made++;
	}
	for (i = 0; i < HANDED; i++)
		if (!live[i].p && !block_make(pool, &live[i], &state))
			return WRONG_MEMORY;
	memcpy(result->handed, live, sizeof(result->handed));
	for (i = HANDED; i < LIVE; i++)
		if (live[i].p && !block_drop(pool, &live[i]))
			return WRONG_CONTENT;
	return 0;
}

static int drop(void *arg, const void *in, void *out)
{
	const struct result *result = in;
	uint32_t i;

	(void)arg;
	(void)out;
	for (i = 0; i < HANDED; i++)
		forkpool_shm_free(forkpool_current(), result->handed[i].p);
	return 0;
}

/* ---- The storm ----------------------------------------------------------------------------- */

/* A descriptor first, so that no other process can have got the number since. */
static bool strike(uint32_t id)
{
	struct fp_worker *w = fp_segment_worker(&s.pool->crew.seg, id);
	uint32_t pid = fp_load_rlx(&w->pid);
	int fd = pid ? fp_sys.pidfd((pid_t)pid) : -1;
	bool hit = false;

	if (fd < 0)
		return false;
	/* A death outside of items counts towards breaking the pool. */
	if (fp_load_rlx(&w->pid) == pid && fp_load_rlx(&w->state) == FP_WORKER_READY &&
	    fp_recover_busy(&s.pool->crew, id) && fp_load_rlx(&w->base.pos) != FP_POS_NONE) {
		atomic_fetch_add(&s.deadly, 1);
		hit = fp_sys.pidfd_kill(fd, SIGKILL) == 0;
	}
	fp_sys.close(fd);
	return hit;
}

static void *storm(void *arg)
{
	const struct timespec time = { .tv_nsec = EVERY_NS };
	uint32_t state = 4711, first, k;

	(void)arg;
	while (!atomic_load(&s.over)) {
		nanosleep(&time, NULL);
		first = next(&state);
		for (k = 0; k < WORKERS; k++)
			if (atomic_load(&s.mapping) && strike((first + k) % WORKERS))
				break;
	}
	return NULL;
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static int map(forkpool_fn *fn, const void *in, size_t in_size, void *out, size_t out_size)
{
	FORKPOOL_JOB_OPTS(opts, .retries = RETRIES, .status = s.status);
	int err;

	atomic_store(&s.mapping, true);
	err = forkpool_map(s.pool, fn, in, in_size, out, out_size, ITEMS, &opts);
	atomic_store(&s.mapping, false);
	return err;
}

/* What the round handed on, all of it whole; an item that was lost handed on nothing. */
static unsigned check_round(struct result *results)
{
	unsigned lost = 0, i, k;

	for (i = 0; i < ITEMS; i++) {
		ck_assert_msg(s.status[i].outcome != FORKPOOL_ITEM_FAILED, "item %u: %d", i,
			      s.status[i].code);
		if (s.status[i].outcome != FORKPOOL_ITEM_OK) {
			memset(&results[i], 0, sizeof(results[i]));
			lost++;
			continue;
		}
		for (k = 0; k < HANDED; k++)
			ck_assert_msg(block_whole(&results[i].handed[k]), "item %u, block %u", i, k);
	}
	return lost;
}

/* While other items allocate from the very slabs that these blocks lie in. */
static void *host_drops(void *arg)
{
	struct result *results = arg;
	unsigned i, k;

	for (i = 0; i < ITEMS; i++)
		for (k = 0; k < HANDED; k++)
			if (results[i].handed[k].p && !block_drop(s.pool, &results[i].handed[k]))
				return results;
	return NULL;
}

/* Some of it has been freed already: nobody has allocated since. */
static void free_again(struct result *result)
{
	unsigned k;

	for (k = 0; k < HANDED; k++)
		forkpool_shm_free(s.pool, result->handed[k].p);
}

static void run_round(unsigned round, bool *pending)
{
	struct result *now = s.results[round % 2], *before = s.results[!(round % 2)];
	pthread_t thread;
	void *bad = NULL;
	unsigned i;
	int err;

	for (i = 0; i < ITEMS; i++)
		s.seeds[i] = round * ITEMS + i + 1;
	if (*pending)
		ck_assert_int_eq(pthread_create(&thread, NULL, host_drops, before), 0);
	err = map(churn, s.seeds, sizeof(s.seeds[0]), now, sizeof(*now));
	if (*pending)
		pthread_join(thread, &bad);
	ck_assert_ptr_null(bad);
	ck_assert_msg(!err || err == -FORKPOOL_ECRASHED, "%s", forkpool_strerror(err));
	ck_assert_int_eq(check_round(now) != 0, err != 0);
	*pending = round % 2;
	if (*pending)
		return;
	err = map(drop, now, sizeof(*now), NULL, 0);
	ck_assert_msg(!err || err == -FORKPOOL_ECRASHED, "%s", forkpool_strerror(err));
	for (i = 0; i < ITEMS; i++)
		if (s.status[i].outcome != FORKPOOL_ITEM_OK)
			free_again(&now[i]);
}

static struct fp_heap_count counted(void)
{
	const struct fp_heap_place place = fp_segment_heap(&s.pool->crew.seg, false);
	struct fp_heap_count count;
	struct fp_units units;

	/* What this thread keeps goes, too. */
	fp_arena_largest(s.pool->arena);
	fp_units_view(&units, &place, FP_HEAP_NURSERY);
	fp_heap_count(&units, &count);
	return count;
}

static bool large(void)
{
	const char *torture = getenv("FORKPOOL_TORTURE");

	return torture && atoi(torture);
}

START_TEST(nothing_grows)
{
	FORKPOOL_OPTS(opts, .workers = WORKERS);
	struct fp_heap_count before, after;
	unsigned round, n = ENOUGH / (ITEMS * PAIRS) / SLOW * (large() ? TORTURE : 1);
	int64_t until = fp_sys.clock() + CAP_NS;
	bool pending = false;
	pthread_t thread;
	char text[200];
	const char *bad;

	ck_assert_int_eq(forkpool_create(&s.pool, &opts), 0);
	atomic_store(&s.over, !test_processes());
	atomic_store(&s.deadly, 0);
	before = counted();
	ck_assert_int_eq(pthread_create(&thread, NULL, storm, NULL), 0);
	for (round = 0; round < n || (test_processes() && atomic_load(&s.deadly) < KILLS * (large() ? TORTURE : 1)); round++) {
		run_round(round, &pending);
		ck_assert(large() || fp_sys.clock() < until);
	}
	atomic_store(&s.over, true);
	pthread_join(thread, NULL);
	if (pending)
		ck_assert_ptr_null(host_drops(s.results[!(round % 2)]));
	ck_assert_int_eq(forkpool_close(s.pool), 0);
	ck_assert_int_eq(forkpool_join(s.pool, -1), 0);
	bad = fp_check(&s.pool->crew.seg, text, sizeof(text));
	ck_assert_msg(!bad, "%s", bad);
	after = counted();
	ck_assert_uint_eq(after.objects, before.objects);
	ck_assert_uint_eq(after.runs, before.runs);
	ck_assert_uint_eq(after.used, before.used);
	forkpool_destroy(s.pool);
	printf("%u allocations and more, %u workers killed\n", round * ITEMS * PAIRS,
	       atomic_load(&s.deadly));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("heap");
	TCase *tc = test_case(suite, "storm");

	tcase_add_test(tc, nothing_grows);
	return test_main(suite);
}
