/* SPDX-License-Identifier: MIT */
/*
 * What.  Handles of jobs, {pool:10, its generation:10, task:1, index:21, serial:22}, and
 * the table of this process's pools.  A handle that was freed, made up, or left
 * over from a pool that is gone finds nothing; it is never followed.
 *
 * Usage.  Any thread.  A pool is removed when no call on it is under way.
 *
 * Invariants.
 * I1 An entry's generation changes before its pool becomes NULL, so a handle of
 *    a pool that is gone finds another generation, whatever stands in the place
 *    by now, and that pool is not looked at.
 * I2 Nothing is locked: a child forked at any moment can look, and finds that
 *    the pool's token reads 0 there.
 *
 * Progress.  Wait-free, but for the search for a free entry.
 *
 * If the owner dies: the table is this process's own.
 */
#include "engine/handle.h"

#include <errno.h>

#include <forkpool.h>

#define GEN_MASK	((uint64_t)0x3ff)

struct fp_handle_entry fp_handles[FP_HANDLE_POOLS];

static fp_a64 gens[FP_HANDLE_POOLS];
static fp_a32 next_pool, last_serial;

/* Not 0, so that NULL names no pool. */
static uint64_t first_bits(uint64_t entry, uint64_t gen)
{
	return entry << 10 | (gen % GEN_MASK + 1);
}

int fp_handle_add(struct forkpool *pool)
{
	struct forkpool *none;
	uint32_t i, n;
	uint64_t first;

	for (n = 0; n < FP_HANDLE_POOLS; n++) {
		/* HANDLE-N1: only spreads the entries; pairs with HANDLE-N1. */
		i = fp_add_sc(&next_pool, 1) % FP_HANDLE_POOLS;
		none = NULL;
		/* HANDLE-P1: takes the entry with the generation that its last pool left; pairs with HANDLE-P2. */
		if (!fp_cas_sc(&fp_handles[i].pool, &none, pool))
			continue;
		first = first_bits(i, fp_load_rlx(&gens[i]));
		/* HANDLE-P6: the pool before it; pairs with HANDLE-P4. */
		fp_store_rel(&fp_handles[i].first, first);
		pool->handle = first << 44;
		return 0;
	}
	return -EMFILE;
}

void fp_handle_remove(struct forkpool *pool)
{
	uint64_t i = pool->handle >> 54;

	if (!pool->handle)
		return;
	/* HANDLE-P3: before the place is free for another pool; pairs with HANDLE-P4. */
	fp_store_sc(&fp_handles[i].first, 0);
	fp_store_rlx(&gens[i], fp_load_rlx(&gens[i]) + 1);
	/* HANDLE-P2: pairs with HANDLE-P1. */
	fp_store_rel(&fp_handles[i].pool, NULL);
	pool->handle = 0;
}

uint32_t fp_handle_serial(void)
{
	uint32_t serial;

	do
		/* HANDLE-N2: each number once; pairs with HANDLE-N2. */
		serial = (fp_add_sc(&last_serial, 1) + 1) & FP_HANDLE_SERIALS;
	while (!serial);
	return serial;
}

struct forkpool_job *fp_handle_make(const struct forkpool *pool, uint32_t index,
				    uint32_t serial)
{
	return (struct forkpool_job *)(uintptr_t)(pool->handle | (uint64_t)index << 22 | serial);
}

struct forkpool *fp_handle_find(const struct forkpool_job *job, uint32_t *index,
				uint32_t *serial)
{
	struct forkpool *pool = fp_handle_is_task(job) ? NULL : fp_handle_pool(job);

	if (!pool)
		return NULL;
	*index = fp_handle_index(job);
	*serial = fp_handle_serial_of(job);
	return pool;
}
