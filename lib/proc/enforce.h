/* SPDX-License-Identifier: MIT */
/* How the nursery ends items past their limits, and killed jobs; see enforce.c. */
#ifndef FP_PROC_ENFORCE_H
#define FP_PROC_ENFORCE_H

#include "proc/crew.h"
#include "task/nest.h"

/* What the nursery holds against a worker; its own memory, zeroed for each new one. */
struct fp_charge {
	uint64_t limit;		/* that it has run past */
	int64_t since;		/* when that was seen */
	int64_t stopped;	/* since when it has been stopped; 0 = it is not */
	int outcome;		/* of what it ran when it was killed for it; FORKPOOL_ITEM_OK: it was not */
	uint64_t passed;	/* and the limit that it was killed for; 0 = a job, or one that was not stored */
	uint32_t frame;		/* where it held what had that one */
};

/* Slots that have, or may have, a job with limits; the nursery's own memory. */
struct fp_watched {
	uint64_t slots[FP_SLOT_MAP];
};

static inline bool fp_watched_any(const struct fp_watched *w)
{
	uint64_t any = 0;
	uint32_t i;

	for (i = 0; i < FP_SLOT_MAP; i++)
		any |= w->slots[i];
	return any != 0;
}

/*
 * When to look at the workers again for the sake of the jobs watched; adds those
 * that workers have published, drops what has ended.
 */
int64_t fp_enforce_jobs(const struct fp_crew *crew, struct fp_watched *watched, int64_t now);

/* Have there been tasks with limits?  Then all workers are looked at in each turn. */
bool fp_enforce_tasks(const struct fp_crew *crew);

/* Says when the next look will be, and returns when it must be: a worker may have begun a task since. */
int64_t fp_enforce_plan(const struct fp_crew *crew, int64_t next);

/* Looks at one worker and does what is due; when to look at it again. */
int64_t fp_enforce_worker(const struct fp_crew *crew, uint32_t id, pid_t pid,
			  struct fp_charge *charge, int64_t now);

/* Kills the worker if it runs job gen of a slot, or what descends from it, and in no other item. */
void fp_enforce_kill(const struct fp_crew *crew, uint32_t id, pid_t pid,
		     struct fp_charge *charge, const struct fp_elem *what);

#endif
