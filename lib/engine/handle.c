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

#define POOLS		1024u
#define GEN_MASK	((uint64_t)0x3ff)
#define SERIAL_MASK	FP_HANDLE_SERIALS
#define INDEX_MASK	(((uint32_t)1 << 21) - 1)
#define TASK		((uint64_t)1 << 43)

static struct {
	fp_a64 gen;
	struct forkpool *_Atomic pool;
} pools[POOLS];

static fp_a32 next_pool, last_serial;

static uint64_t first_bits(uint64_t entry, uint64_t gen)
{
	/* Not 0, so that NULL names no pool. */
	return entry << 54 | (gen % GEN_MASK + 1) << 44;
}

int fp_handle_add(struct forkpool *pool)
{
	struct forkpool *none;
	uint32_t i, n;

	for (n = 0; n < POOLS; n++) {
		/* HANDLE-N1: only spreads the entries; pairs with HANDLE-N1. */
		i = fp_add_sc(&next_pool, 1) % POOLS;
		none = NULL;
		/* HANDLE-P1: takes the entry with the generation that its last pool left; pairs with HANDLE-P2. */
		if (!fp_cas_sc(&pools[i].pool, &none, pool))
			continue;
		pool->handle = first_bits(i, fp_load_rlx(&pools[i].gen));
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
	fp_add_sc(&pools[i].gen, 1);
	/* HANDLE-P2: pairs with HANDLE-P1. */
	fp_store_rel(&pools[i].pool, NULL);
	pool->handle = 0;
}

uint32_t fp_handle_serial(void)
{
	uint32_t serial;

	do
		/* HANDLE-N2: each number once; pairs with HANDLE-N2. */
		serial = (fp_add_sc(&last_serial, 1) + 1) & SERIAL_MASK;
	while (!serial);
	return serial;
}

bool fp_handle_is_task(const struct forkpool_job *job)
{
	return (uintptr_t)job & TASK;
}

struct forkpool_job *fp_handle_make(const struct forkpool *pool, uint32_t index,
				    uint32_t serial)
{
	return (struct forkpool_job *)(uintptr_t)(pool->handle | (uint64_t)index << 22 | serial);
}

struct forkpool_job *fp_handle_make_task(const struct forkpool *pool, uint32_t number,
					 uint32_t serial)
{
	return (struct forkpool_job *)(uintptr_t)(pool->handle | TASK | (uint64_t)number << 22 | serial);
}

static inline struct forkpool *find(uint64_t h, uint32_t *index, uint32_t *serial)
{
	uint64_t i = h >> 54;
	struct forkpool *pool;

	/* HANDLE-P4: of this generation, so what the place holds is this pool; pairs with HANDLE-P3. */
	if (first_bits(i, fp_load_acq(&pools[i].gen)) >> 44 != h >> 44)
		return NULL;
	/* HANDLE-P5: the pool as it was made; pairs with HANDLE-P1. */
	pool = fp_load_acq(&pools[i].pool);
	if (fp_unlikely(!pool || fp_pool_caller(pool) == FP_CALLER_CHILD))
		return NULL;
	*index = (uint32_t)(h >> 22) & INDEX_MASK;
	*serial = (uint32_t)h & SERIAL_MASK;
	return pool;
}

struct forkpool *fp_handle_find(const struct forkpool_job *job, uint32_t *index,
				uint32_t *serial)
{
	return fp_handle_is_task(job) ? NULL : find((uintptr_t)job, index, serial);
}

struct forkpool *fp_handle_task(const struct forkpool_job *job, uint32_t *number,
				uint32_t *serial)
{
	return fp_handle_is_task(job) ? find((uintptr_t)job, number, serial) : NULL;
}
