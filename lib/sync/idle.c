/* SPDX-License-Identifier: MIT */
/*
 * What.  Sleeping workers: two bitmaps and one futex.
 *
 * Usage.  A worker that finds nothing sets its bit in `hungry` (owners of long
 * chunks look there and split), looks on for a while, then
 * fp_park_prepare(), one more look, fp_park() or fp_park_cancel().
 * Whoever makes work visible calls fp_wake_workers() afterwards.
 *
 * Invariants.
 * I1 A worker sleeps only with its bit in `asleep` set, and has looked for work
 *    after it set the bit; a publisher reads `asleep` after it has published.
 *    So one of the two sees the other (IDLE-S1 with IDLE-W1).
 * I2 Bits are per worker and set or cleared as such, never counted: a bit too
 *    many costs a system call, and the nursery clears those of the dead.
 * I3 A wake-up can die with its receiver, so the nursery calls fp_wake_all()
 *    after every exit and every stop that it sees.
 *
 * Progress.  Nobody waits for a woken worker to do anything.
 *
 * A worker inside an item that waits for a job of its own sleeps apart, on that
 * job's word and `nest_event`: there is little that it may run, so a wake-up for
 * any work must not be spent on it.  All those are woken together; the bits are
 * `waiting` (in the place of `hungry`) and `nest_asleep`.
 *
 * If the owner dies.  Its bits stay; fp_idle_forget() clears them.  `event` may
 * have been raised for nothing: harmless.
 */
#include "sync/idle.h"

#include <limits.h>

#include "os/sys.h"

static uint64_t bit(uint32_t id)
{
	return (uint64_t)1 << (id % 64);
}

static void set_bit(fp_a64 *map, uint32_t id)
{
	/* IDLE-H1: a hint; sc only because an or has no cheaper form on x86; pairs with IDLE-H2. */
	fp_or_sc(&map[id / 64], bit(id));
}

static void clear_bit(fp_a64 *map, uint32_t id)
{
	/* IDLE-H2: takes back what IDLE-H1 or IDLE-S1 said; pairs with IDLE-H1. */
	fp_and_sc(&map[id / 64], ~bit(id));
}

static uint32_t prepare(fp_a64 *asleep, fp_a32 *event, uint32_t id)
{
	/* IDLE-E1: read before the bit is set and before the last look, so that a wake-up after either changes it; pairs with IDLE-E2. */
	uint32_t ticket = fp_load_sc(event);

	/* IDLE-S1: the bit before the last look for work; else the publisher may miss us and we its work; pairs with IDLE-W1 and IDLE-W2. */
	fp_or_sc(&asleep[id / 64], bit(id));
	return ticket;
}

static void raise_and_wake(fp_a32 *event, int n)
{
	/* IDLE-E2: before the wake, so that a sleeper on its way in does not sleep; pairs with IDLE-E1. */
	fp_add_sc(event, 1);
	fp_sys.futex_wake(event, n);
}

/* ---- Without an item ---------------------------------------------------------------- */

void fp_hungry_set(struct fp_ctl *ctl, uint32_t id)
{
	set_bit(ctl->hungry, id);
}

void fp_hungry_clear(struct fp_ctl *ctl, uint32_t id)
{
	clear_bit(ctl->hungry, id);
}

uint32_t fp_park_prepare(struct fp_ctl *ctl, uint32_t id)
{
	return prepare(ctl->asleep, &ctl->event, id);
}

void fp_park_cancel(struct fp_ctl *ctl, uint32_t id)
{
	clear_bit(ctl->asleep, id);
}

void fp_park(struct fp_ctl *ctl, uint32_t id, uint32_t ticket)
{
	fp_sys.futex_wait(&ctl->event, ticket, FP_FOREVER);
	fp_park_cancel(ctl, id);
}

static unsigned count_asleep(struct fp_ctl *ctl, uint32_t workers)
{
	unsigned n = 0;
	uint32_t i;

	for (i = 0; i < (workers + 63) / 64; i++)
		/* IDLE-W1: after the work was published (sc there); pairs with IDLE-S1. */
		n += (unsigned)__builtin_popcountll(fp_load_sc(&ctl->asleep[i]));
	return n;
}

void fp_wake_workers(struct fp_ctl *ctl, uint32_t workers, uint64_t n)
{
	unsigned asleep = count_asleep(ctl, workers);

	if (asleep)
		raise_and_wake(&ctl->event, (int)fp_min(asleep, n));
}

void fp_wake_all(struct fp_ctl *ctl)
{
	raise_and_wake(&ctl->event, INT_MAX);
	raise_and_wake(&ctl->nest_event, INT_MAX);
}

void fp_idle_forget(struct fp_ctl *ctl, uint32_t id)
{
	fp_hungry_clear(ctl, id);
	fp_park_cancel(ctl, id);
	fp_waiting_clear(ctl, id);
	fp_nest_park_cancel(ctl, id);
}

/* ---- Inside an item --------------------------------------------------------------- */

void fp_waiting_set(struct fp_ctl *ctl, uint32_t id)
{
	set_bit(ctl->waiting, id);
}

void fp_waiting_clear(struct fp_ctl *ctl, uint32_t id)
{
	clear_bit(ctl->waiting, id);
}

uint32_t fp_nest_park_prepare(struct fp_ctl *ctl, uint32_t id)
{
	return prepare(ctl->nest_asleep, &ctl->nest_event, id);
}

void fp_nest_park_cancel(struct fp_ctl *ctl, uint32_t id)
{
	clear_bit(ctl->nest_asleep, id);
}

void fp_nest_park(struct fp_ctl *ctl, uint32_t id, uint32_t ticket, fp_a64 *word,
		  uint32_t seen, int64_t deadline)
{
	/* The low half comes first: only little-endian machines are known here. */
	fp_sys.futex_wait_two((fp_a32 *)word, seen, &ctl->nest_event, ticket, deadline);
	fp_nest_park_cancel(ctl, id);
}

void fp_wake_waiting(struct fp_ctl *ctl, uint32_t workers)
{
	uint32_t i;

	for (i = 0; i < (workers + 63) / 64; i++)
		/* IDLE-W2: as IDLE-W1; pairs with IDLE-S1. */
		if (fp_load_sc(&ctl->nest_asleep[i])) {
			raise_and_wake(&ctl->nest_event, INT_MAX);
			return;
		}
}
