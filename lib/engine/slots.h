/* SPDX-License-Identifier: MIT */
/* The pool's job slots, and waiting for any change; see slots.c. */
#ifndef FP_ENGINE_SLOTS_H
#define FP_ENGINE_SLOTS_H

#include "engine/pool.h"

void fp_slots_init(struct forkpool *pool);
void fp_slots_destroy(struct forkpool *pool);

/*
 * A slot to hold.  While all are in use finished jobs are reaped, and where none
 * is finished the call waits, or returns -EAGAIN.  -FORKPOOL_ECANCELED and
 * -FORKPOOL_EBROKEN: the pool ended meanwhile.
 */
int fp_pool_take_slot(struct forkpool *pool, bool wait, struct fp_host_slot **ret);
void fp_pool_give_slot(struct forkpool *pool, struct fp_host_slot *slot);

/*
 * To wait until a slot comes free, an async job ends, or the last call leaves:
 *
 *	seen = fp_watch_begin(pool);
 *	while (not what is waited for)
 *		err = fp_watch(pool, &seen, deadline);
 *	fp_watch_end(pool);
 *
 * fp_watch() returns 0 when there may be news, or -ETIMEDOUT.
 */
uint32_t fp_watch_begin(struct forkpool *pool);
int fp_watch(struct forkpool *pool, uint32_t *seen, int64_t deadline);
void fp_watch_end(struct forkpool *pool);

/* There is news: wakes whoever watches. */
void fp_watch_raise(struct forkpool *pool);

#endif
