/* SPDX-License-Identifier: MIT */
/* Who looks for work, who sleeps, and how they are woken; see idle.c. */
#ifndef FP_SYNC_IDLE_H
#define FP_SYNC_IDLE_H

#include "shm/layout.h"

static inline bool fp_map_any(const fp_a64 *map, uint32_t workers)
{
	uint32_t i;

	if (fp_likely(workers <= 64))
		return fp_load_rlx(&map[0]) != 0;
	for (i = 0; i < (workers + 63) / 64; i++)
		if (fp_load_rlx(&map[i]))
			return true;
	return false;
}

/* Is some worker out of work?  A hint; it costs one load for up to 64 workers. */
static inline bool fp_hungry_any(struct fp_ctl *ctl, uint32_t workers)
{
	return fp_map_any(ctl->hungry, workers);
}

/* Does some worker look for work inside an item that waits for a map of its own?  Likewise. */
static inline bool fp_waiting_any(struct fp_ctl *ctl, uint32_t workers)
{
	return fp_map_any(ctl->waiting, workers);
}

/* Is some worker to be woken?  A hint too, and what a publisher looks at behind fp_fence_light(). */
static inline bool fp_asleep_any(struct fp_ctl *ctl, uint32_t workers)
{
	return fp_map_any(ctl->asleep, workers);
}

/*
 * May one who has nothing to do look on, so many ns as `spin` says?  Not where it is 0, and
 * where it is negative only while fewer workers are awake than there are CPUs: else it
 * would be in the way of one that works.  A hint.
 */
bool fp_idle_may_spin(struct fp_ctl *ctl, uint32_t workers, int64_t spin);

/* When one who may, and begins now, is to stop looking on. */
int64_t fp_idle_spin_end(int64_t spin);

/* How many workers look for work now, or have been woken to do so. */
uint32_t fp_idle_lookers(struct fp_ctl *ctl, uint32_t workers);

/* Does somebody sleep while nobody looks for work?  For who has just stopped looking. */
bool fp_wake_needed(struct fp_ctl *ctl, uint32_t workers);

void fp_hungry_set(struct fp_ctl *ctl, uint32_t id);
void fp_hungry_clear(struct fp_ctl *ctl, uint32_t id);

/*
 * Before the last look for work: says that worker id is about to sleep, and
 * returns the ticket for fp_park().
 */
uint32_t fp_park_prepare(struct fp_ctl *ctl, uint32_t id);
void fp_park_cancel(struct fp_ctl *ctl, uint32_t id);

/* Sleeps until the worker's event moves on from the ticket; wakes spuriously too. */
void fp_park(struct fp_ctl *ctl, uint32_t id, uint32_t ticket);

/* The same inside an item that waits for a job of its own. */
void fp_waiting_set(struct fp_ctl *ctl, uint32_t id);
void fp_waiting_clear(struct fp_ctl *ctl, uint32_t id);
uint32_t fp_nest_park_prepare(struct fp_ctl *ctl, uint32_t id);
void fp_nest_park_cancel(struct fp_ctl *ctl, uint32_t id);

/* Sleeps until the event moves on, or *word from `seen`, or the deadline comes. */
void fp_nest_park(struct fp_ctl *ctl, uint32_t id, uint32_t ticket, fp_a32 *word,
		  uint32_t seen, int64_t deadline);

/* After publishing work of a nested job: wakes those who wait inside items, in case it descends from theirs. */
void fp_wake_waiting(struct fp_ctl *ctl, uint32_t workers);

/* After publishing work for up to n workers: wakes as many, each once.  No system call when none sleeps. */
void fp_wake_workers(struct fp_ctl *ctl, uint32_t workers, uint64_t n);

/* Wakes all, and is what the nursery does after each death and stop. */
void fp_wake_all(struct fp_ctl *ctl, uint32_t workers);

/* The nursery, for a worker that was stopped, before fp_wake_all(). */
void fp_idle_stopped(struct fp_ctl *ctl, uint32_t id);

/* The same for a dead worker. */
void fp_idle_forget(struct fp_ctl *ctl, uint32_t id);

#endif
