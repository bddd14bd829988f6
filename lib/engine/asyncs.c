/* SPDX-License-Identifier: MIT */
/*
 * What.  The objects of a pool's async jobs: where they lie, who refers to them.
 *
 * Usage.  As async.c, which says what is done with them.
 *
 * Invariants.  I1 of async.c.
 *
 * Ordering pairs.  ASYNC-B1/ASYNC-B2 (a block), ASYNC-O1/ASYNC-O5 (the next use of an
 * object), ASYNC-O3/ASYNC-O4 (a handle's).
 *
 * Progress.  The lock is taken to make another block, not later.
 *
 * If the owner dies: host threads do not die singly.
 */
#include "engine/asyncs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "engine/handle.h"

#define FIRST_BLOCK	64u			/* objects; each block has twice as many as the one before */
#define BLOCKS		14u

_Static_assert((FIRST_BLOCK << BLOCKS) - FIRST_BLOCK <= FP_HANDLE_JOBS,
	       "an index fits a handle");

struct fp_async_table {
	struct cds_lfs_stack free;
	pthread_mutex_t grow;
	uint32_t blocks_made;
	struct fp_async *_Atomic blocks[BLOCKS];
};

int fp_async_create(struct forkpool *pool)
{
	struct fp_async_table *t = calloc(1, sizeof(*t));
	int err = t ? -pthread_mutex_init(&t->grow, NULL) : -ENOMEM;

	if (err) {
		free(t);
		return err;
	}
	cds_lfs_init(&t->free);
	pool->asyncs = t;
	return 0;
}

void fp_async_destroy(struct forkpool *pool)
{
	struct fp_async_table *t = pool->asyncs;
	uint32_t b;

	if (!t)
		return;
	for (b = 0; b < t->blocks_made; b++)
		free(fp_load_rlx(&t->blocks[b]));
	cds_lfs_destroy(&t->free);
	pthread_mutex_destroy(&t->grow);
	free(t);
	pool->asyncs = NULL;
}

static struct fp_async *object_at(struct fp_async_table *t, uint32_t index)
{
	uint32_t n = index / FIRST_BLOCK + 1, b = 31 - (uint32_t)__builtin_clz(n);
	struct fp_async *block;

	if (b >= BLOCKS)
		return NULL;
	/* ASYNC-B1: its objects' first words; pairs with ASYNC-B2. */
	block = fp_load_acq(&t->blocks[b]);
	return block ? block + (index - FIRST_BLOCK * ((1u << b) - 1)) : NULL;
}

static void object_push(struct fp_async_table *t, struct fp_async *a)
{
	/* ASYNC-O5: what was done with the object comes before its next use; the stack orders as much, but unseen by ThreadSanitizer; pairs with ASYNC-O1. */
	fp_store_rel(&a->ident, 0);
	cds_lfs_node_init(&a->node);
	cds_lfs_push(&t->free, &a->node);
}

static struct fp_async *block_make(struct forkpool *pool)
{
	struct fp_async_table *t = pool->asyncs;
	uint32_t b = t->blocks_made, n, i;
	struct fp_async *block;

	if (b == BLOCKS)
		return NULL;
	n = FIRST_BLOCK << b;
	block = calloc(n, sizeof(*block));
	if (!block)
		return NULL;
	for (i = 0; i < n; i++) {
		block[i].pool = pool;
		block[i].index = FIRST_BLOCK * ((1u << b) - 1) + i;
	}
	t->blocks_made++;
	/* ASYNC-B2: pairs with ASYNC-B1. */
	fp_store_rel(&t->blocks[b], block);
	for (i = 1; i < n; i++)
		object_push(t, &block[i]);
	return block;
}

struct fp_async *fp_async_new(struct forkpool *pool)
{
	struct fp_async_table *t = pool->asyncs;
	struct cds_lfs_node *node = cds_lfs_pop_blocking(&t->free);
	struct fp_async *a;

	if (!node) {
		pthread_mutex_lock(&t->grow);
		node = cds_lfs_pop_blocking(&t->free);
		a = node ? NULL : block_make(pool);
		pthread_mutex_unlock(&t->grow);
		if (!node)
			return a;
	}
	a = fp_container(node, struct fp_async, node);
	/* ASYNC-O1: the last holder is done with it; pairs with ASYNC-O5. */
	fp_load_acq(&a->ident);
	return a;
}

void fp_async_put(struct fp_async *a)
{
	/* ASYNC-O2: the last one to put it sees what the others did; pairs with ASYNC-O2. */
	if ((uint32_t)(fp_add_sc(&a->ident, (uint64_t)-1) - 1))
		return;
	fp_stage_free(a->pool, &a->piece.st);
	object_push(a->pool->asyncs, a);
}

struct fp_async *fp_async_get(const struct forkpool_job *job)
{
	uint32_t index = 0, serial = 0;
	struct forkpool *pool = fp_handle_find(job, &index, &serial);
	struct fp_async *a = pool ? object_at(pool->asyncs, index) : NULL;
	uint64_t ident = a ? fp_load_rlx(&a->ident) : 0;

	while (serial && ident >> 32 == serial)
		/* ASYNC-O3: with the reference the object as submitted; pairs with ASYNC-O4. */
		if (fp_cas_sc(&a->ident, &ident, ident + 1))
			return a;
	return NULL;
}
