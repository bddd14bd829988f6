/* SPDX-License-Identifier: MIT */
/* What the nursery does for a worker that died or stopped; see recover.c. */
#ifndef FP_PROC_RECOVER_H
#define FP_PROC_RECOVER_H

#include "proc/crew.h"
#include "task/nest.h"

/*
 * How a worker ended: FORKPOOL_ITEM_CRASHED with a signal, or _EXITED with a
 * status; or _TIMED_OUT or _CANCELLED, for which it was killed: then what it ran
 * is not run again, whatever the job's retries.  Where items lie on top of each
 * other that is so from the lowest one on whose limit had passed by `limit`;
 * those below it, which waited, have lost their worker; or, where no limit had been
 * stored for what was in a frame, from that frame on.
 */
struct fp_death {
	uint32_t id;
	pid_t pid;
	int outcome;
	int code;
	uint64_t limit;		/* with _TIMED_OUT: the one that had passed; 0 = none was stored */
	uint32_t frame;		/* then: from this one on */
};

/* How often items have lost their worker; the nursery's own memory. */
struct fp_attempts {
	struct fp_attempt *list;
	size_t n, room;
};

enum fp_recovered {
	FP_RECOVERED_IDLE,	/* it held no claim */
	FP_RECOVERED_CLAIM,	/* its claim was given back, no item had been started */
	FP_RECOVERED_ITEM,	/* an item was settled, or will run again */
	FP_RECOVERED_LATER,	/* no spare sub-region, no memory, or a nested job still runs: call again */
};

/*
 * Settles what a worker held; it is proven dead, and its id not in use again.
 * To be followed by fp_wake_all().
 */
enum fp_recovered fp_recover_dead(const struct fp_crew *crew,
				  struct fp_attempts *attempts,
				  const struct fp_death *death);

/* A worker was stopped: completes what it may have left half-way. */
void fp_recover_stopped(const struct fp_crew *crew, uint32_t id);

/* Does the worker hold a claim now? */
bool fp_recover_busy(const struct fp_crew *crew, uint32_t id);

/* The slot of the job that it holds a claim of in frame d, and the job's generation; false: it holds none. */
bool fp_recover_job(const struct fp_crew *crew, uint32_t id, uint32_t d, uint32_t *slot,
		    uint64_t *gen);

/* What the worker holds a claim of in its first frame; false: of nothing. */
bool fp_recover_held(const struct fp_crew *crew, uint32_t id, struct fp_elem *ret);

/* Does it hold a claim of that job or task, or of what descends from it? */
bool fp_recover_runs(const struct fp_crew *crew, uint32_t id, const struct fp_elem *what);

#endif
