/* SPDX-License-Identifier: MIT */
/*
 * What.  Sleeping workers: two bitmaps, and a futex for each worker.
 *
 * Usage.  A worker that finds nothing sets its bit in `hungry` (owners of long
 * chunks look there and split), looks on for a while, then
 * fp_park_prepare(), one more look, fp_park() or fp_park_cancel().  When it has
 * found something: fp_hungry_clear(), and if then fp_wake_needed() and there is
 * more to be had, it wakes one.  Whoever makes work visible calls
 * fp_wake_workers() afterwards; or, for one task, fp_fence_light() and
 * fp_asleep_any(), and only if somebody sleeps a full fence, fp_idle_lookers()
 * and, where these are too few, fp_wake_workers().
 *
 * Invariants.
 * I1 A worker sleeps only after it has set its bit in `asleep`, had the others
 *    fence (fence.c), and looked for work once more; a publisher looks at
 *    `asleep` after it has published.  So one of the two sees the other (IDLE-S1
 *    with IDLE-W1).
 * I2 Who wakes takes the bit away, and only who took it away raises the worker's
 *    event and wakes it.  So one sleeper is woken once, and a worker that was
 *    woken and does not run yet costs no system call.  A worker sets its bit anew
 *    before each sleep, and whoever clears it raises the event afterwards: nobody
 *    sleeps on with his bit cleared.
 * I3 A wake-up can die with its receiver, and with its sender between the bit and
 *    the event.  So the nursery calls fp_wake_all() after every exit and every stop
 *    that it sees, which raises every event of those that live: no bit proves
 *    anything there.
 * I4 Who is stopped would be woken in vain, and looked for by nobody, so the
 *    nursery takes its bits away, `hungry` first (fp_idle_stopped()).
 * I5 A looker has its bit in `hungry` and not in `asleep`: it spins, or was woken
 *    and is on its way.  Who counted it after his publication (a full fence
 *    between) may leave the work to it, because it can end looking in these ways
 *    only.  It finds something, this or other work: then it clears `hungry`
 *    (IDLE-H2, after the count, which saw the bit), and looks for more after that,
 *    so it sees the work; if it leaves that to another looker, the same holds for
 *    that one, and the last to clear its bit finds no other.  It sleeps: then it
 *    sets its bit in `asleep` after the count, and its last look sees the work.
 *    It dies, leaves or is stopped: I3.
 *
 * Progress.  Nobody waits for a woken worker to do anything.
 *
 * A worker inside an item that waits for a job of its own sleeps apart, on that
 * job's word and `nest_event`: there is little that it may run, so a wake-up for
 * any work must not be spent on it.  All those are woken together; the bits are
 * `waiting` (in the place of `hungry`) and `nest_asleep`.
 *
 * If the owner dies.  Its bits stay; fp_idle_forget() clears them.  An event may
 * have been raised for nothing: harmless.
 */
#include "sync/idle.h"

#include <limits.h>

#include "os/sys.h"
#include "sync/fence.h"

static uint64_t bit(uint32_t id)
{
	return (uint64_t)1 << (id % 64);
}

static void set_bit(fp_a64 *map, uint32_t id)
{
	/* IDLE-H1: a hint to some; who leaves work to us has seen it, and we clear it later; pairs with IDLE-H2 and IDLE-L1. */
	fp_or_sc(&map[id / 64], bit(id));
}

/* True if it was set. */
static bool clear_bit(fp_a64 *map, uint32_t id)
{
	/* IDLE-H2: takes back what IDLE-H1 or IDLE-S1 said; before the look for more (I5), and before the event (I2); pairs with IDLE-H1 and IDLE-L1. */
	return fp_and_sc(&map[id / 64], ~bit(id)) & bit(id);
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

FP_TRIP void fp_hungry_set(struct fp_ctl *ctl, uint32_t id)
{
	set_bit(ctl->hungry, id);
}

FP_TRIP void fp_hungry_clear(struct fp_ctl *ctl, uint32_t id)
{
	clear_bit(ctl->hungry, id);
}

uint32_t fp_park_prepare(struct fp_ctl *ctl, uint32_t id)
{
	uint32_t ticket = prepare(ctl->asleep, &fp_ctl_worker(ctl, id)->event, id);

	fp_fence_heavy(ctl);
	return ticket;
}

void fp_park_cancel(struct fp_ctl *ctl, uint32_t id)
{
	clear_bit(ctl->asleep, id);
}

FP_TRIP void fp_park(struct fp_ctl *ctl, uint32_t id, uint32_t ticket)
{
	fp_sys.futex_wait(&fp_ctl_worker(ctl, id)->event, ticket, FP_FOREVER);
	fp_park_cancel(ctl, id);
}

/* Those bits of a word that name workers. */
static uint64_t valid(uint32_t word, uint32_t workers)
{
	return workers - word * 64 >= 64 ? ~(uint64_t)0 : bit(workers) - 1;
}

FP_TRIP bool fp_idle_may_spin(struct fp_ctl *ctl, uint32_t workers, int64_t spin)
{
	uint32_t i;
	uint64_t free;

	if (spin >= 0)
		return spin > 0;
	free = fp_load_rlx(&ctl->cpus);
	for (i = 0; i < (workers + 63) / 64; i++)
		free += (uint64_t)__builtin_popcountll((fp_load_rlx(&ctl->asleep[i]) |
							fp_load_rlx(&ctl->nest_asleep[i])) &
						       valid(i, workers));
	return free > fp_load_rlx(&ctl->crew);
}

int64_t fp_idle_spin_end(int64_t spin)
{
	return fp_deadline(spin < 0 ? -spin : spin);
}

FP_TRIP uint32_t fp_idle_lookers(struct fp_ctl *ctl, uint32_t workers)
{
	uint32_t n = 0, i;

	for (i = 0; i < (workers + 63) / 64; i++)
		/* IDLE-L1: after the publication, so that who is seen here looks later (I5); pairs with IDLE-H1 and IDLE-H2. */
		n += (uint32_t)__builtin_popcountll(fp_load_sc(&ctl->hungry[i]) &
						    ~fp_load_sc(&ctl->asleep[i]) &
						    valid(i, workers));
	return n;
}

FP_TRIP bool fp_wake_needed(struct fp_ctl *ctl, uint32_t workers)
{
	uint32_t i;

	for (i = 0; i < (workers + 63) / 64; i++)
		/* IDLE-L2: behind IDLE-H2, since who sleeps already was seen by who left work to us; pairs with IDLE-S1. */
		if (fp_load_sc(&ctl->asleep[i]))
			return !fp_idle_lookers(ctl, workers);
	return false;
}

FP_TRIP void fp_wake_workers(struct fp_ctl *ctl, uint32_t workers, uint64_t n)
{
	uint64_t asleep;
	uint32_t i, id;

	for (i = 0; n && i < (workers + 63) / 64; i++) {
		/* IDLE-W1: after the work was published (sc there, or with the fences of fence.c); pairs with IDLE-S1. */
		asleep = fp_load_sc(&ctl->asleep[i]) & valid(i, workers);
		for (; n && asleep; asleep &= asleep - 1) {
			id = i * 64 + (uint32_t)__builtin_ctzll(asleep);
			if (!clear_bit(ctl->asleep, id))
				continue;
			raise_and_wake(&fp_ctl_worker(ctl, id)->event, 1);
			n--;
		}
	}
}

void fp_wake_all(struct fp_ctl *ctl, uint32_t workers)
{
	uint32_t id;

	/* As many as may wait, though one does: a semaphore whose post was lost is posted anew by that alone (os/lot.c, I3). */
	for (id = 0; id < workers; id++)
		raise_and_wake(&fp_ctl_worker(ctl, id)->event, INT_MAX);
	raise_and_wake(&ctl->nest_event, INT_MAX);
}

void fp_idle_stopped(struct fp_ctl *ctl, uint32_t id)
{
	fp_hungry_clear(ctl, id);
	fp_park_cancel(ctl, id);
}

void fp_idle_forget(struct fp_ctl *ctl, uint32_t id)
{
	fp_idle_stopped(ctl, id);
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
	uint32_t ticket = prepare(ctl->nest_asleep, &ctl->nest_event, id);

	fp_fence_heavy(ctl);
	return ticket;
}

void fp_nest_park_cancel(struct fp_ctl *ctl, uint32_t id)
{
	clear_bit(ctl->nest_asleep, id);
}

void fp_nest_park(struct fp_ctl *ctl, uint32_t id, uint32_t ticket, fp_a32 *word,
		  uint32_t seen, int64_t deadline)
{
	fp_sys.futex_wait_two(word, seen, &ctl->nest_event, ticket, deadline);
	fp_nest_park_cancel(ctl, id);
}

void fp_wake_waiting(struct fp_ctl *ctl, uint32_t workers)
{
	uint32_t i;
	bool any = false;

	for (i = 0; i < (workers + 63) / 64; i++)
		/* IDLE-W2: as IDLE-W1; pairs with IDLE-S1. */
		if (fp_load_sc(&ctl->nest_asleep[i]))
			/* IDLE-W3: who wakes takes the bits, so that they are woken once; pairs with IDLE-S1. */
			any |= fp_swap_sc(&ctl->nest_asleep[i], 0) != 0;
	if (any)
		raise_and_wake(&ctl->nest_event, INT_MAX);
}
