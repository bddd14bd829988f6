/* SPDX-License-Identifier: MIT */
/*
 * Whatever a worker writes over the words of tasks: the host's calls return, with
 * a result or an error, and so does destroy; the host reads and writes nothing but
 * the segment for it.  (Workers may crash, or be stuck, until the pool ends.)
 *
 * Whatever it writes over the word by which the nursery's death is known: calls
 * that wait return when the pool's processes have ended.
 */
#include "test.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <forkpool.h>

#include "bare.h"
#include "engine/pool.h"
#include "os/sys.h"

#define WORKERS		3u
#define THREADS		2u
#define TASKS		300u
#define ROUNDS		6
#define TORTURE		100	/* times as many */
#define WAIT_NS		((int64_t)20000000)
#define CAP_NS		((int64_t)30000000000)

enum target { WORDS, TURNS, RESTS, OWNERS, LANES, HEADERS, INTENTS, TARGETS };

static struct {
	struct forkpool *pool;
	const struct fp_segment *seg;
	uint64_t seed;
	_Atomic bool over;
} h;

/* ---- Damage -------------------------------------------------------------------------------- */

static uint32_t some_page(void)
{
	uint32_t pages = (uint32_t)fp_min(fp_load_rlx(&h.seg->ctl->task_pages), 64);

	return pages > 1 ? 1 + (uint32_t)bare_random(&h.seed, pages - 1) : 1;
}

static uint64_t some_word(struct fp_task *t)
{
	uint64_t random = bare_random(&h.seed, UINT64_MAX), w = fp_load_rlx(&t->word);

	if (random % 3)
		/* All but the generation is another one's. */
		return (random & ~((uint64_t)FP_TASK_GEN_MASK << 8)) | (w & (uint64_t)FP_TASK_GEN_MASK << 8);
	return random;
}

static void damage(enum target what)
{
	struct fp_task *t = fp_segment_task(h.seg, some_page() * FP_PAGE_SLOTS + 1 +
					    (uint32_t)bare_random(&h.seed, FP_PAGE_SLOTS - 1));
	uint64_t random = bare_random(&h.seed, UINT64_MAX);
	uint32_t i;

	switch (what) {
	case WORDS:
		fp_store_rlx(&t->word, some_word(t));
		break;
	case TURNS:
		fp_store_rlx(&t->turn, (uint32_t)random);
		fp_store_rlx(&t->asks, (uint8_t)random);
		break;
	case RESTS:
		t->in_at = (uint8_t)random;
		t->out_at = (uint8_t)(random >> 8);
		t->flags = (uint8_t)(random >> 16);
		for (i = 0; i < FP_TASK_ROOM; i++)
			t->room[i] = (unsigned char)(random >> i % 57);
		break;
	case OWNERS:
		fp_store_rlx(fp_segment_owner(h.seg, some_page()), (uint32_t)random);
		break;
	case LANES:
		memset(fp_segment_lane(h.seg, (uint32_t)(random >> 32) % fp_segment_lanes(h.seg)), (int)random,
		       sizeof(struct fp_lane));
		break;
	case HEADERS:
		memset(fp_segment_page(h.seg, some_page()), (int)random, 12);
		break;
	case INTENTS:
		fp_store_rlx(&fp_segment_worker(h.seg, (uint32_t)random % WORKERS)->base.intent,
			     random | FP_INTENT_TASK);
		fp_store_rlx(&fp_segment_worker(h.seg, (uint32_t)random % WORKERS)->base.span, ~random);
		break;
	default:
		break;
	}
}

/* ---- The host -------------------------------------------------------------------------------- */

static int one(void *arg, const void *in, void *out)
{
	struct forkpool_job *job = NULL;

	(void)arg;
	/* Tasks of tasks, so that there are lanes of workers. */
	if (*(const uint32_t *)in % 50 == 0)
		forkpool_submit(forkpool_current(), one, &(uint32_t){ 1 }, sizeof(uint32_t), sizeof(uint32_t),
				NULL, &job);
	if (job)
		forkpool_job_free(job);
	memcpy(out, in, sizeof(uint32_t));
	return 0;
}

/* Asks all there is to ask; what the answers are does not matter. */
static void ask(struct forkpool_job *job, uint32_t i)
{
	struct forkpool_status st;
	const void *out;
	uint32_t copy;

	forkpool_job_wait(job, WAIT_NS / TASKS);
	forkpool_job_poll(job);
	out = forkpool_job_result(job);
	if (out)
		memcpy(&copy, out, sizeof(copy));
	forkpool_job_status(job, 0, &st);
	if (i % 3 == 0)
		forkpool_job_cancel(job);
}

static void *host_main(void *unused)
{
	FORKPOOL_JOB_OPTS(opts, .retries = 1, .dont_wait = true);
	struct forkpool_job *jobs[TASKS];
	uint32_t i, n = 0;

	(void)unused;
	for (i = 0; i < TASKS; i++)
		n += forkpool_submit(h.pool, one, &i, sizeof(i), sizeof(i), &opts, &jobs[n]) == 0;
	forkpool_wait_any(jobs, (size_t)fp_min(n, 10), WAIT_NS);
	for (i = 0; i < n; i++)
		ask(jobs[i], i);
	for (i = 0; i < n; i++)
		forkpool_job_free(jobs[i]);
	return NULL;
}

/* A call that does not come back ends the test. */
static void *watch_main(void *unused)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	int64_t until = fp_sys.clock() + CAP_NS;

	(void)unused;
	while (!atomic_load(&h.over)) {
		if (fp_sys.clock() > until)
			abort();
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void round_of(int what)
{
	FORKPOOL_OPTS(opts, .workers = WORKERS, .arena_size = 1 << 20, .mode = FORKPOOL_PROCESSES);
	const struct timespec pause = { .tv_nsec = 100000 };
	pthread_t threads[THREADS], watch;
	uint32_t i;

	atomic_store(&h.over, false);
	ck_assert_int_eq(forkpool_create(&h.pool, &opts), 0);
	h.seg = &h.pool->crew.seg;
	ck_assert_int_eq(pthread_create(&watch, NULL, watch_main, NULL), 0);
	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, host_main, NULL), 0);
	for (i = 0; i < 300; i++) {
		damage(what == TARGETS ? (enum target)bare_random(&h.seed, TARGETS) : (enum target)what);
		if (i % 10 == 0)
			nanosleep(&pause, NULL);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	/* Once more, and at once to the end. */
	for (i = 0; i < 300; i++)
		damage(what == TARGETS ? (enum target)bare_random(&h.seed, TARGETS) : (enum target)what);
	forkpool_destroy(h.pool);
	atomic_store(&h.over, true);
	pthread_join(watch, NULL);
}

START_TEST(words_of_tasks)
{
	const char *torture = getenv("FORKPOOL_TORTURE");
	int i, rounds = torture && atoi(torture) ? ROUNDS * TORTURE : ROUNDS;

	h.seed = 99 + (uint64_t)_i;
	for (i = 0; i < rounds; i++)
		round_of(_i);
}
END_TEST

/* ---- The nursery's life ---------------------------------------------------------------------- */

static int stay(void *arg, const void *in, void *out)
{
	const struct timespec hour = { .tv_sec = 3600 };

	(void)arg;
	(void)in;
	(void)out;
	nanosleep(&hour, NULL);
	return 0;
}

enum wait { MAP, TASK, ANY, ALL, ASYNC, ROOM, WAITS };

/* Calls that wait for items which do not end; what they return when the pool has. */
static int wait_in(enum wait how)
{
	struct forkpool_job *job = NULL;
	int err = 0;

	switch (how) {
	case MAP:
		return forkpool_map(h.pool, stay, NULL, 0, NULL, 0, 10, NULL);
	case ASYNC:
		err = forkpool_map_async(h.pool, stay, NULL, 0, NULL, 0, 10, NULL, &job);
		break;
	case ROOM:
		while (!err)
			err = forkpool_submit(h.pool, stay, NULL, 0, 0, NULL, NULL);
		return err;
	default:
		err = forkpool_submit(h.pool, stay, NULL, 0, 0, NULL, &job);
	}
	if (!err && how == ANY)
		err = forkpool_wait_any(&job, 1, -1);
	if (!err && how == ALL)
		err = forkpool_wait_all(&job, 1, -1);
	if (!err)
		err = forkpool_job_wait(job, -1);
	forkpool_job_free(job);
	return err;
}

static void *wait_main(void *how)
{
	return (void *)(intptr_t)wait_in((enum wait)(intptr_t)how);
}

static void waits_start(pthread_t *threads)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	intptr_t i;

	for (i = 0; i < WAITS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_main, (void *)i), 0);
	/* They sleep by then; who does not yet does no harm. */
	nanosleep(&pause, NULL);
}

static void waits_end(pthread_t *threads)
{
	void *err;
	int i;

	for (i = 0; i < WAITS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &err), 0);
		ck_assert_int_eq((intptr_t)err, -FORKPOOL_EBROKEN);
	}
}

static void life_open(pthread_t *watch)
{
	FORKPOOL_OPTS(opts, .workers = WORKERS, .arena_size = 1 << 20, .mode = FORKPOOL_PROCESSES,
		      .queue_depth = 10);

	atomic_store(&h.over, false);
	ck_assert_int_eq(forkpool_create(&h.pool, &opts), 0);
	h.seg = &h.pool->crew.seg;
	ck_assert_int_eq(pthread_create(watch, NULL, watch_main, NULL), 0);
}

static void life_close(pthread_t watch)
{
	forkpool_destroy(h.pool);
	atomic_store(&h.over, true);
	pthread_join(watch, NULL);
}

/* The word does not name the nursery any more, so the kernel says nothing of its death. */
START_TEST(a_death_that_life_does_not_tell)
{
	const uint32_t values[] = { 0, 1, FUTEX_TID_MASK, FUTEX_WAITERS };
	pthread_t threads[WAITS], watch;

	life_open(&watch);
	if (h.pool->spawn.keeper_pid) {
		if (_i % 2)
			waits_start(threads);
		fp_store_rlx(&h.seg->ctl->life, values[_i / 2]);
		if (!(_i % 2))
			waits_start(threads);
		ck_assert_int_eq(fp_sys.pidfd_kill(h.pool->spawn.nursery, SIGKILL), 0);
		waits_end(threads);
	}
	life_close(watch);
}
END_TEST

/* The word says that a nursery is dead which lives. */
START_TEST(a_life_that_goes_on)
{
	pthread_t threads[WAITS], watch;

	life_open(&watch);
	waits_start(threads);
	fp_or_sc(&h.seg->ctl->life, FUTEX_OWNER_DIED);
	fp_sys.futex_wake(&h.seg->ctl->life, INT32_MAX);
	waits_end(threads);
	life_close(watch);
}
END_TEST

int main(void)
{
	const struct rlimit no_cores = { 0, 0 };
	Suite *suite = suite_create("hostile");
	TCase *tc;

	if (!test_processes())
		return TEST_SKIP;
	setrlimit(RLIMIT_CORE, &no_cores);
	tc = test_case(suite, "hostile");
	tcase_add_loop_test(tc, words_of_tasks, 0, TARGETS + 1);
	tcase_add_loop_test(tc, a_death_that_life_does_not_tell, 0, 8);
	tcase_add_test(tc, a_life_that_goes_on);
	return test_main(suite);
}
