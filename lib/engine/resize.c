/* SPDX-License-Identifier: MIT */
/*
 * What.  More workers, or fewer, while the pool runs: the host's part.  The
 * nursery's, and the protocol between the two, is proc/staff.c.
 *
 * Usage.  Any host thread; one resize at a time, the others wait for it.
 *
 * Invariants.
 * I1 `workers` of the pool is what the nursery last answered 0 to.
 * I2 What is read from the segment decides only when to ask, and what error is
 *    returned: the nursery gives the answer.
 *
 * Ordering pairs.  RESIZE-N1/RESIZE-H2; RESIZE-H1/RESIZE-W1.
 *
 * Progress.  It waits until the workers are ready, and so for their worker_init;
 * a nursery that dies ends the wait.
 */
#include "engine/resize.h"

#include <errno.h>
#include <limits.h>

#include <forkpool.h>

#include "os/sys.h"
#include "task/job.h"

static bool is_ready(const struct fp_worker *w)
{
	/* RESIZE-H4: not one that has taken its leave; in its next life NO comes after STARTING; pairs with RESIZE-N3. */
	return fp_load_acq(&w->leave) == FP_LEAVE_NO &&
	       fp_load_rlx(&w->state) == FP_WORKER_READY;
}

static bool all_ready(const struct forkpool *pool, uint32_t workers)
{
	uint32_t id;

	for (id = pool->workers; id < workers; id++)
		if (!is_ready(fp_segment_worker(&pool->crew.seg, id)))
			return false;
	return true;
}

/* The nursery is gone, and so is the answer. */
static int no_answer(struct forkpool *pool)
{
	/* The kernel wakes one; that one wakes the rest. */
	fp_sys.futex_wake(&pool->crew.seg.ctl->life, INT_MAX);
	return fp_load_rlx(&pool->state) == FP_POOL_OPEN ? -FORKPOOL_EBROKEN
							 : -FORKPOOL_ECLOSED;
}

static int await_answer(struct forkpool *pool, const struct fp_order *order)
{
	struct fp_order grown = { .cmd = FP_CMD_GROWN, .number = order->number };
	bool said = order->workers < pool->workers;
	struct fp_ctl *ctl = pool->crew.seg.ctl;
	uint32_t n, life;
	int err;

	for (;;) {
		/* RESIZE-H3: before the look at what it counts; pairs with RESIZE-N2. */
		n = fp_load_sc(&ctl->started);
		life = fp_load_rlx(&ctl->life);
		/* RESIZE-H2: with the error; pairs with RESIZE-N1. */
		if (fp_load_acq(&ctl->resized) == order->number) {
			err = fp_load_rlx(&ctl->resize_error);
			return err > 0 ? -FORKPOOL_EBROKEN : err;
		}
		if (fp_life_ended(ctl))
			return no_answer(pool);
		if (!said && all_ready(pool, order->workers)) {
			fp_spawn_order(&pool->spawn, &grown);
			said = true;
		}
		fp_sys.futex_wait_two(&ctl->started, n, &ctl->life, life, FP_FOREVER);
	}
}

static int resize(struct forkpool *pool, uint32_t workers)
{
	struct fp_ctl *ctl = pool->crew.seg.ctl;
	struct fp_order order = { .cmd = FP_CMD_RESIZE, .workers = workers };
	int err;

	if (workers == pool->workers)
		return 0;
	/* 0 stands for none. */
	pool->resizes += pool->resizes == UINT32_MAX ? 2 : 1;
	order.number = pool->resizes;
	/* RESIZE-H1: before the workers are forked, so that each of them wakes us; pairs with RESIZE-W1. */
	fp_store_sc(&ctl->resizing, 1);
	fp_spawn_order(&pool->spawn, &order);
	err = await_answer(pool, &order);
	fp_store_rlx(&ctl->resizing, 0);
	if (err)
		return err;
	pool->workers = workers;
	fp_pool_set_spin(pool, workers);
	return 0;
}

int fp_pool_resize(struct forkpool *pool, uint32_t workers)
{
	int state, err = fp_pool_enter(pool);

	if (err)
		return err;
	/* A thread that were cancelled here would leave the lock, and its count, behind. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&pool->resizing);
	err = resize(pool, workers);
	pthread_mutex_unlock(&pool->resizing);
	fp_pool_leave(pool);
	pthread_setcancelstate(state, NULL);
	return err;
}
