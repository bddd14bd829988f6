/* SPDX-License-Identifier: MIT */
/* What the tests of callbacks share: callbacks that note, jobs with them, a loop. */
#ifndef TESTS_EVENTS_H
#define TESTS_EVENTS_H

#include <poll.h>

#include "api/jobs.h"

#define JOBS	300

static atomic_int calls;

/* What a callback is to do, and what it saw. */
struct call {
	atomic_int times, entered, go_on, over;
	int result;
	struct forkpool_job *job;
	pthread_t thread;
};

static inline void note(struct forkpool_job *job, void *user)
{
	struct call *call = user;

	call->job = job;
	call->thread = pthread_self();
	call->result = forkpool_job_wait(job, 0);
	atomic_fetch_add(&call->times, 1);
}

static inline void count(struct forkpool_job *job, void *user)
{
	(void)job;
	atomic_fetch_add((atomic_int *)user, 1);
}

static inline void count_and_free(struct forkpool_job *job, void *user)
{
	atomic_fetch_add((atomic_int *)user, 1);
	forkpool_job_free(job);
}

static inline struct forkpool_job *start(struct forkpool *p, forkpool_fn *fn, size_t n,
				  void (*on_done)(struct forkpool_job *, void *), void *user)
{
	FORKPOOL_JOB_OPTS(opts, .arg = p == pool ? gate : NULL, .chunk = 1, .on_done = on_done,
			  .user = user);
	struct forkpool_job *job = NULL;

	ck_assert_int_eq(forkpool_map_async(p, fn, NULL, 0, NULL, 0, n, &opts, &job), 0);
	return job;
}

/* Can it be read from, within so many ms? */
static inline bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* As a loop does: waits on the descriptor and dispatches, until so many were called. */
static inline void run_loop(struct forkpool *p, atomic_int *at, int least)
{
	int fd = forkpool_event_fd(p), n;

	ck_assert_int_ge(fd, 0);
	while (atomic_load(at) < least) {
		ck_assert_msg(readable(fd, HANG_S * 1000), "%d of %d", atomic_load(at), least);
		n = forkpool_dispatch(p);
		ck_assert_int_ge(n, 0);
	}
	ck_assert_int_eq(atomic_load(at), least);
}

/* Nothing is due, and after the last wake-up for nothing the descriptor says so. */
static inline void check_quiet(struct forkpool *p)
{
	int64_t until = now_ms() + HANG_S * 1000;

	while (readable(forkpool_event_fd(p), 0)) {
		ck_assert_int_eq(forkpool_dispatch(p), 0);
		ck_assert_msg(now_ms() < until, "it stays readable");
	}
}

#endif
