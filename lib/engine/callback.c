/* SPDX-License-Identifier: MIT */
/*
 * What.  The callback of a task: pushed once, when a dispatch finds that the task
 * has ended; called once, unless the job was freed before.
 *
 *	WANTED --found ended--> QUEUED --called--> MAKING (AWAITED) --> MADE
 *	    \---------freed---------+--> DROPPED    \--freed in a callback--> LEFT --> MADE
 *
 * Usage.  Host threads.
 *
 * Invariants.
 * I1 The state leaves WANTED and QUEUED by one swap each: who makes it does what
 *    belongs to it.
 * I2 While the callback is in the queue, or is made, its place is not used again: if
 *    the job was freed meanwhile, who takes it from the queue gives the place up, after
 *    the call.  A callback that frees its job and submits would else find its own
 *    place free, and the state of the new task's callback be written over.
 *
 * Ordering pairs.  CALL-S1/CALL-S2 (found and freed).
 *
 * Progress.  Wait-free.  If the owner dies: host threads don't die singly.
 */
#include "engine/callback.h"

#include <limits.h>

#include "os/sys.h"
#include "task/due.h"

static bool change(struct fp_callback *c, enum fp_call_state from, enum fp_call_state to)
{
	uint32_t was = (uint32_t)from;

	/* CALL-S1: one of found, called and freed; pairs with CALL-S2. */
	return fp_cas_sc(&c->state, &was, (uint32_t)to);
}

static struct fp_desk *desk_of(struct fp_callback *c, uint32_t *index)
{
	*index = fp_handle_index(c->job) % FP_PAGE_SLOTS;
	return fp_container(c - *index, struct fp_desk, calls[0]);
}

static void give_up(struct fp_callback *c)
{
	uint32_t index;
	struct fp_desk *desk = desk_of(c, &index);

	/* TASK-G5: as TASK-G2; pairs with TASK-G1. */
	fp_or_sc(&desk->home.given_up, (uint32_t)1 << index);
}

static bool call_user(struct fp_due *due)
{
	struct fp_callback *c = fp_container(due, struct fp_callback, due);
	uint32_t was;

	if (!change(c, FP_CALL_QUEUED, FP_CALL_MAKING)) {
		give_up(c);
		return false;
	}
	c->on_done(c->job, c->user);
	/* CALL-M1: what the callback did; pairs with CALL-M2. */
	was = fp_swap_sc(&c->state, FP_CALL_MADE);
	if (was == FP_CALL_AWAITED)
		fp_sys.futex_wake(&c->state, INT_MAX);
	else if (was == FP_CALL_LEFT)
		give_up(c);
	return true;
}

void fp_callback_init(struct fp_callback *c, void (*on_done)(struct forkpool_job *job, void *user),
		      void *user)
{
	c->due.call = call_user;
	c->on_done = on_done;
	c->user = user;
	fp_store_rlx(&c->state, FP_CALL_WANTED);
}

/* While another thread calls. */
static void await_call(struct fp_callback *c)
{
	uint32_t state;

	for (;;) {
		change(c, FP_CALL_MAKING, FP_CALL_AWAITED);
		/* CALL-M2: pairs with CALL-M1. */
		state = fp_load_acq(&c->state);
		if (state != FP_CALL_AWAITED)
			return;
		fp_sys.futex_wait(&c->state, FP_CALL_AWAITED, FP_FOREVER);
	}
}

bool fp_callback_drop(struct fp_callback *c)
{
	/* CALL-S2: nobody calls any more; pairs with CALL-S1. */
	if (change(c, FP_CALL_WANTED, FP_CALL_DROPPED))
		return true;
	if (change(c, FP_CALL_QUEUED, FP_CALL_DROPPED))
		return false;
	/* Who is inside a callback does not wait for others, nor for himself. */
	if (fp_dispatch_inside(NULL))
		return !change(c, FP_CALL_MAKING, FP_CALL_LEFT);
	await_call(c);
	return true;
}

static void push(struct forkpool *pool, struct fp_desk *desk, uint32_t index)
{
	struct fp_callback *c = &desk->calls[index];

	/* CALL-F1: with the serial the callback; pairs with FUTURE-S2. */
	if (fp_load_acq(&desk->futures[index].serial) && desk->futures[index].calls &&
	    change(c, FP_CALL_WANTED, FP_CALL_QUEUED))
		fp_dispatch_push(pool, &c->due);
}

static void push_ended(void *ctx, uint32_t number)
{
	struct forkpool *pool = ctx;
	struct fp_desk *desk = fp_desk_of(pool, number / FP_PAGE_SLOTS);
	uint64_t w;

	if (!desk)
		return;
	/* TASK-E4: as TASK-E2; pairs with TASK-D1. */
	w = fp_load_acq(&fp_segment_task(&pool->crew.seg, number)->word);
	if (fp_task_state(w) == FP_TASK_DONE)
		push(pool, desk, number % FP_PAGE_SLOTS);
}

void fp_callbacks_harvest(struct forkpool *pool, bool all)
{
	uint32_t pages = all ? fp_load_rlx(&pool->lines->desks_used) : 0, page, i;
	struct fp_desk *desk;

	fp_due_tasks(&pool->crew.seg, push_ended, pool);
	for (page = 1; page < pages; page++) {
		desk = fp_desk_of(pool, page);
		for (i = 1; desk && i < FP_PAGE_SLOTS; i++)
			push(pool, desk, i);
	}
}
