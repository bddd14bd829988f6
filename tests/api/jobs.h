/* SPDX-License-Identifier: MIT */
/* What the tests of async jobs share: a pool, items, and a gate where they wait. */
#ifndef TESTS_JOBS_H
#define TESTS_JOBS_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "api/api.h"

#define SLOTS	64	/* jobs that may be unfinished */
#define HANG	(HANG_S * 1000 * MS)

static struct forkpool *pool;

/* In the segment: items that are told to wait, and counts of them. */
static struct gate {
	atomic_int open, arrived, ended, saw_cancel;
} *gate;

static inline void pool_open(void)
{
	pool = pool_new(2);
	gate = forkpool_shm_calloc(pool, 1, sizeof(*gate));
	ck_assert_ptr_nonnull(gate);
}

static inline void pool_close(void)
{
	forkpool_destroy(pool);
}

/* A case whose tests have the pool. */
static inline TCase *jobs_case(Suite *suite, const char *name)
{
	TCase *tc = test_case(suite, name);

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, pool_open, pool_close);
	return tc;
}

static inline void wait_for(atomic_int *n, int least)
{
	int64_t until = now_ms() + HANG_S * 1000;

	while (atomic_load(n) < least) {
		if (now_ms() > until)
			ck_abort_msg("hangs at %d of %d", atomic_load(n), least);
		sleep_ms(1);
	}
}

/* ---- Items ------------------------------------------------------------------------- */

static inline int square(void *arg, const void *in, void *out)
{
	const int *x = in;
	int *y = out;

	(void)arg;
	*y = *x * *x;
	return 0;
}

static inline int odd_fails(void *arg, const void *in, void *out)
{
	const int *x = in;

	(void)arg;
	(void)out;
	return *x % 2 ? *x : 0;
}

/* Waits at the gate, or until it is told to end. */
static inline int at_gate(void *arg, const void *in, void *out)
{
	struct gate *g = arg;

	(void)in;
	(void)out;
	atomic_fetch_add(&g->arrived, 1);
	while (!atomic_load(&g->open) && !forkpool_cancelled())
		sleep_ms(1);
	if (forkpool_cancelled())
		atomic_fetch_add(&g->saw_cancel, 1);
	atomic_fetch_add(&g->ended, 1);
	return 0;
}

static inline int nothing(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return 0;
}

static inline struct forkpool_job *start_nothing(struct forkpool *p, size_t count)
{
	struct forkpool_job *job = NULL;

	ck_assert_int_eq(forkpool_map_async(p, nothing, NULL, 0, NULL, 0, count, NULL, &job), 0);
	ck_assert_ptr_nonnull(job);
	return job;
}

/* A job of count items of which none ends before the gate opens. */
static inline struct forkpool_job *start_gated(size_t count)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .chunk = 1);
	struct forkpool_job *job = NULL;

	ck_assert_int_eq(forkpool_map_async(pool, at_gate, NULL, 0, NULL, 0, count, &opts, &job), 0);
	return job;
}

static inline void *wait_for_it(void *arg)
{
	return (void *)(intptr_t)forkpool_job_wait(arg, HANG);
}

#endif
