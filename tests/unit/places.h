/* SPDX-License-Identifier: MIT */
/* The place of a task that was freed, used for another one: goes round the lane to it. */
#ifndef TESTS_PLACES_H
#define TESTS_PLACES_H

#include <sched.h>

#include "engine/handle.h"

#include "api/jobs.h"

#define PLACES		31u		/* of a page */
#define TRIES		(PLACES + 1)	/* the ring has got one more page */
#define AT_ONCE		(PLACES / 2)	/* so that no page is met again with tasks that have not begun */

static unsigned reused, round_size;	/* tasks from one place to just before the same */

/* With a new pool. */
static inline void places_start(void)
{
	reused = 0;
	round_size = PLACES - 1;
}

/* With the gate for arg: ends when that is open. */
static inline int until_open(void *arg, const void *in, void *out)
{
	struct gate *g = arg;

	(void)in;
	(void)out;
	while (!atomic_load(&g->open))
		sched_yield();
	return 0;
}

static inline void end(struct forkpool_job *job)
{
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	forkpool_job_free(job);
}

/* Goes round the lane, to just before where it was. */
static inline void go_round(void)
{
	struct forkpool_job *jobs[AT_ONCE];
	unsigned done, n, i;

	for (done = 0; done < round_size; done += n) {
		n = round_size - done < AT_ONCE ? round_size - done : AT_ONCE;
		ck_assert_int_eq(forkpool_submit_many(pool, nothing, NULL, 0, 0, n, NULL, jobs), (int)n);
		for (i = n; i-- > 0;)
			end(jobs[i]);
	}
}

/* A task that does not end before the gate opens, at that place if it comes free. */
static inline struct forkpool_job *submit_at(uint32_t place, struct forkpool_job *(*gated)(void *ctx), void *ctx)
{
	struct forkpool_job *job;
	unsigned tries = 0;

	go_round();
	for (;;) {
		atomic_store(&gate->open, 0);
		job = gated(ctx);
		if (fp_handle_index(job) == place || ++tries == TRIES)
			break;
		atomic_store(&gate->open, 1);
		end(job);
	}
	if (fp_handle_index(job) == place) {
		round_size += tries;
		reused++;
	}
	return job;
}

#endif
