/* SPDX-License-Identifier: MIT */
/*
 * What.  Who holds which job slot, and how a thread waits for more than one
 * thing: a slot that comes free, any async job that ends, a call that leaves.
 *
 * Usage.  Any host thread.
 *
 * Invariants.
 * I1 free_slots counts what is on the stack, never more: it is raised after the
 *    push, and lowered before the pop.
 * I2 A watcher is counted, then notes `event`, then looks; who makes news does
 *    that first and then looks for watchers (WATCH-W1, WATCH-E1).
 * I3 A watcher sleeps on `event`, on `life` and on the word of every unfinished
 *    async job, with WAITER set, so that the job's end wakes it.
 *
 * Progress.  Taking a slot is lock-free while one is free.
 *
 * If the owner dies: host threads do not die singly.
 */
#include "engine/slots.h"

#include <errno.h>
#include <linux/futex.h>

#include <forkpool.h>

#include "engine/async.h"
#include "os/sys.h"
#include "task/job.h"

void fp_slots_init(struct forkpool *pool)
{
	uint32_t i;

	cds_lfs_init(&pool->slots);
	for (i = FP_SLOTS; i-- > 0;) {
		pool->host_slots[i].index = i;
		cds_lfs_node_init(&pool->host_slots[i].node);
		cds_lfs_push(&pool->slots, &pool->host_slots[i].node);
	}
	fp_store_rlx(&pool->free_slots, FP_SLOTS);
}

void fp_slots_destroy(struct forkpool *pool)
{
	cds_lfs_destroy(&pool->slots);
}

/* ---- Watching --------------------------------------------------------------------------- */

uint32_t fp_watch_begin(struct forkpool *pool)
{
	/* WATCH-W1: before we look for what we want; pairs with WATCH-E1. */
	fp_add_sc(&pool->watchers, 1);
	/* WATCH-W2: as WATCH-W3; pairs with WATCH-E2. */
	return fp_load_sc(&pool->event);
}

void fp_watch_end(struct forkpool *pool)
{
	/* WATCH-W4: nothing hangs on its order; pairs with WATCH-E1. */
	fp_add_sc(&pool->watchers, UINT32_MAX);
}

void fp_watch_raise(struct forkpool *pool)
{
	/* WATCH-E1: after what there is to see; pairs with WATCH-W1. */
	if (!fp_load_sc(&pool->watchers))
		return;
	/* WATCH-E2: nobody falls asleep on the old value; pairs with WATCH-W2 and WATCH-W3. */
	fp_add_sc(&pool->event, 1);
	fp_sys.futex_wake(&pool->event, INT32_MAX);
}

int fp_watch(struct forkpool *pool, uint32_t *seen, int64_t deadline)
{
	struct fp_ctl *ctl = pool->crew.seg.ctl;
	struct fp_wait list[2 + FP_SLOTS] = { { &pool->event, *seen } };
	uint32_t life = fp_load_rlx(&ctl->life);
	unsigned n = 1;
	int err;

	/* Without workers nothing but other host threads can make news. */
	if (!(life & FUTEX_OWNER_DIED) && pool->mode != FORKPOOL_INLINE) {
		list[n++] = (struct fp_wait){ &ctl->life, life };
		if (!fp_async_arm(pool, list, &n))
			return 0;
	}
	err = fp_sys.futex_wait_many(list, n, deadline);
	if (fp_life_ended(ctl))
		/* As fp_job_wait(): the kernel wakes one, that one the rest. */
		fp_sys.futex_wake(&ctl->life, INT32_MAX);
	/* WATCH-W3: before the next look; pairs with WATCH-E2. */
	*seen = fp_load_sc(&pool->event);
	return err == -ETIMEDOUT ? err : 0;
}

/* ---- Slots ------------------------------------------------------------------------------ */

static bool count_down(struct forkpool *pool)
{
	uint32_t n = fp_load_rlx(&pool->free_slots);

	while (n)
		/* SLOT-C1: what is counted has been pushed; pairs with SLOT-C2. */
		if (fp_cas_sc(&pool->free_slots, &n, n - 1))
			return true;
	return false;
}

static int await_slot(struct forkpool *pool, bool wait)
{
	uint32_t seen = fp_watch_begin(pool);
	int err = 0;

	while (!err && !count_down(pool)) {
		if (fp_async_reap(pool, false))
			continue;
		err = fp_pool_over(pool) ? fp_pool_end_error(pool) : wait ? 0 : -EAGAIN;
		if (!err)
			fp_watch(pool, &seen, FP_FOREVER);
	}
	fp_watch_end(pool);
	return err;
}

/* Before the file system counts as full, what the arena keeps for later goes back. */
static int take_room(struct forkpool *pool, uint32_t slot)
{
	int err = fp_segment_take_slot(&pool->crew.seg, slot);

	if (err != -ENOSPC && err != -ENOMEM)
		return err;
	fp_arena_trim(pool->arena);
	return fp_segment_take_slot(&pool->crew.seg, slot);
}

int fp_pool_take_slot(struct forkpool *pool, bool wait, struct fp_host_slot **ret)
{
	struct fp_host_slot *slot;
	int err = count_down(pool) ? 0 : await_slot(pool, wait);

	if (err)
		return err;
	slot = fp_container(cds_lfs_pop_blocking(&pool->slots), struct fp_host_slot, node);
	/* POOL-T4: with the slot all that its last holder did there; pairs with POOL-T3. */
	if (!fp_load_acq(&slot->taken))
		err = take_room(pool, slot->index);
	if (err) {
		fp_pool_give_slot(pool, slot);
		return err;
	}
	/* POOL-T1: the room before the flag; pairs with POOL-T2. */
	fp_store_rel(&slot->taken, 1);
	*ret = slot;
	return 0;
}

void fp_pool_give_slot(struct forkpool *pool, struct fp_host_slot *slot)
{
	/* POOL-T3: the stack orders as much, but unseen by ThreadSanitizer; pairs with POOL-T4. */
	fp_store_rel(&slot->taken, fp_load_rlx(&slot->taken));
	cds_lfs_push(&pool->slots, &slot->node);
	/* SLOT-C2: after the push, and before the look for watchers; pairs with SLOT-C1. */
	fp_add_sc(&pool->free_slots, 1);
	fp_watch_raise(pool);
}
