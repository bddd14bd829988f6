/* SPDX-License-Identifier: MIT */
/* Counters in the segment, each with one writer; see stats.c. */
#ifndef FP_SHM_STATS_H
#define FP_SHM_STATS_H

#include "shm/layout.h"

/* Adds to a counter that nobody else writes meanwhile. */
static inline void fp_stat_add(fp_a64 *counter, uint64_t n)
{
	fp_store_rlx(counter, fp_load_rlx(counter) + n);
}

/*
 * What the worker does changes, now: how long the period behind it was is counted.
 * FP_DOING_NOTHING: its life ends.  By the worker; by the nursery for a dead one.
 */
void fp_stats_turn(struct fp_worker_stats *s, enum fp_doing to, int64_t now);

/* A worker's times as they were at `now`, the period under way included. */
struct fp_stats_times {
	int64_t busy_ns, idle_ns;
	enum fp_doing doing;
	int64_t for_ns;			/* it has been doing so; 0 with FP_DOING_NOTHING */
};
struct fp_stats_times fp_stats_times(const struct fp_worker_stats *s, int64_t now);

#endif
