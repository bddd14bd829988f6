/* SPDX-License-Identifier: MIT */
/*
 * What.  A worker's times: how long it was busy and idle, and since when it has
 * been which.
 *
 * Usage.  fp_stats_turn() where a worker goes from looking for work to running
 * and back; fp_stats_times() by anybody, any time.
 *
 * Invariants.
 * I1 One writer: the worker, or the nursery while no process has the id.
 * I2 There are two records, and `turn` says which one counts.  The writer fills the
 *    other one, then raises `turn`.  So a reader that finds `turn` as it was has read
 *    a record that nobody was writing, and a writer that is stopped or dead in the
 *    middle leaves one that counts.
 * I3 A reader takes the time before it reads: a record that begins later counts
 *    from its own begin.
 *
 * Ordering pairs.  STATS-W1/STATS-R2, STATS-W2/STATS-R1.
 *
 * Progress.  The writer waits for nobody.  A reader tries again only when the
 * worker has turned meanwhile, and not for ever: the segment is not trusted.
 *
 * If the owner dies.  The nursery ends its last period (I2).
 */
#include "shm/stats.h"

#define TRIES	1000	/* far more turns than fit into one reading */

#define DOING_BITS	2

static enum fp_doing doing_of(uint64_t since)
{
	return (enum fp_doing)(since & ((1u << DOING_BITS) - 1));
}

/* Adds the period that began at `since` and lasts until now; its length. */
static uint64_t add_period(uint64_t since, int64_t now, uint64_t *busy, uint64_t *idle)
{
	uint64_t begin = since >> DOING_BITS;
	uint64_t ns = begin < (uint64_t)now ? (uint64_t)now - begin : 0;

	if (doing_of(since) == FP_DOING_NOTHING)
		return 0;
	*(doing_of(since) == FP_DOING_ITEMS ? busy : idle) += ns;
	return ns;
}

FP_TRIP void fp_stats_turn(struct fp_worker_stats *s, enum fp_doing to, int64_t now)
{
	uint64_t turn = fp_load_rlx(&s->turn);
	struct fp_times *from = &s->times[turn % 2], *next = &s->times[(turn + 1) % 2];
	uint64_t busy = fp_load_rlx(&from->busy_ns), idle = fp_load_rlx(&from->idle_ns);
	uint64_t begin = to == FP_DOING_NOTHING ? 0 : (uint64_t)now << DOING_BITS;

	add_period(fp_load_rlx(&from->since), now, &busy, &idle);
	/* STATS-W1: after the `turn` before, which a reader of any of these then finds; pairs with STATS-R2. */
	fp_store_rel(&next->busy_ns, busy);
	fp_store_rel(&next->idle_ns, idle);
	fp_store_rel(&next->since, begin | (uint64_t)to);
	/* STATS-W2: the record is whole; pairs with STATS-R1. */
	fp_store_rel(&s->turn, turn + 1);
}

struct fp_stats_times fp_stats_times(const struct fp_worker_stats *s, int64_t now)
{
	uint64_t turn, busy, idle, since, ns;
	const struct fp_times *t;
	int tries = 0;

	do {
		/* STATS-R1: with it the record that counts; pairs with STATS-W2. */
		turn = fp_load_acq(&s->turn);
		t = &s->times[turn % 2];
		/* STATS-R2: before the second look at `turn`; pairs with STATS-W1. */
		busy = fp_load_acq(&t->busy_ns);
		idle = fp_load_acq(&t->idle_ns);
		since = fp_load_acq(&t->since);
	} while (fp_load_rlx(&s->turn) != turn && ++tries < TRIES);
	ns = add_period(since, now, &busy, &idle);
	return (struct fp_stats_times){
		.busy_ns = (int64_t)busy,
		.idle_ns = (int64_t)idle,
		.doing = doing_of(since),
		.for_ns = (int64_t)ns,
	};
}
