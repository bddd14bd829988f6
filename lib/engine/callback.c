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
 * I2 The state is {serial:22, phase:3}, the serial that of the job.  Who has the job,
 *    or has the callback from the queue, has the place, and the serial with it; a
 *    dispatch that looks for what has ended has neither: the place may be freed, and used
 *    again, between any two of its steps.  It loads the state, then the task's word, and
 *    swaps exactly what it loaded.  The state became WANTED after the word was READY, so
 *    the word is this task's or a later one's; of a later one the serial is another, and the
 *    swap fails.  So what is queued has ended.
 * I3 While the callback is in the queue, or is made, its place is not used again: if
 *    the job was freed meanwhile, who takes it from the queue gives the place up, after
 *    the call.  A callback that frees its job and submits would else find its own
 *    place free, and the state of the new task's callback be written over.
 *
 * Ordering pairs.  CALL-W1/CALL-F1 (the callback, and the word before its task's end),
 * CALL-S1/CALL-S2 (found and freed), CALL-M1/CALL-M2 (made).
 *
 * Progress.  Wait-free.  If the owner dies: host threads don't die singly.
 * Model: tests/models/call.pml.
 */
#include "engine/callback.h"

#include <limits.h>

#include "os/sys.h"
#include "task/due.h"

#define PHASE_BITS	3
#define PHASE(state)	((enum fp_call_phase)((state) & (((uint32_t)1 << PHASE_BITS) - 1)))

_Static_assert(FP_HANDLE_SERIALS < (uint64_t)1 << (32 - PHASE_BITS), "a serial and a phase are one word");

/* By who has the job, or the callback from the queue: both keep the place. */
static uint32_t state_of(const struct fp_callback *c, enum fp_call_phase phase)
{
	return fp_handle_serial_of(c->job) << PHASE_BITS | (uint32_t)phase;
}

static bool change(struct fp_callback *c, enum fp_call_phase from, enum fp_call_phase to)
{
	uint32_t was = state_of(c, from);

	/* CALL-S1: one of found, called and freed; pairs with CALL-S2 and CALL-S3. */
	return fp_cas_sc(&c->state, &was, state_of(c, to));
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
	was = fp_swap_sc(&c->state, state_of(c, FP_CALL_MADE));
	if (PHASE(was) == FP_CALL_AWAITED)
		fp_sys.futex_wake(&c->state, INT_MAX);
	else if (PHASE(was) == FP_CALL_LEFT)
		give_up(c);
	return true;
}

void fp_callback_want(const struct fp_place *at, const struct fp_spec *s, struct forkpool_job *job)
{
	struct fp_callback *c = &fp_container(at->home, struct fp_desk, home)->calls[at->index];

	c->due.call = call_user;
	c->on_done = s->on_done;
	c->user = s->user;
	c->job = job;
	/* CALL-W1: after READY and the handle; pairs with CALL-F1. */
	fp_store_rel(&c->state, state_of(c, FP_CALL_WANTED));
}

/* While another thread calls. */
static void await_call(struct fp_callback *c)
{
	uint32_t state;

	for (;;) {
		change(c, FP_CALL_MAKING, FP_CALL_AWAITED);
		/* CALL-M2: pairs with CALL-M1. */
		state = fp_load_acq(&c->state);
		if (PHASE(state) != FP_CALL_AWAITED)
			return;
		fp_sys.futex_wait(&c->state, state, FP_FOREVER);
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

static bool task_has_ended(struct forkpool *pool, uint32_t number)
{
	/* TASK-E4: as TASK-E2; pairs with TASK-D1. */
	return fp_task_state(fp_load_acq(&fp_segment_task(&pool->crew.seg, number)->word)) == FP_TASK_DONE;
}

/* That of a task which has ended, or (any) whose pool has. */
static void push(struct forkpool *pool, uint32_t number, bool any)
{
	struct fp_desk *desk = fp_desk_of(pool, number / FP_PAGE_SLOTS);
	struct fp_callback *c = desk ? &desk->calls[number % FP_PAGE_SLOTS] : NULL;
	uint32_t was;

	if (!c)
		return;
	/* CALL-F1: before the look at the word; with the state the callback; pairs with CALL-W1. */
	was = fp_load_acq(&c->state);
	if (PHASE(was) == FP_CALL_WANTED && (any || task_has_ended(pool, number)) &&
	    /* CALL-S3: of the task that was looked at; pairs with CALL-S1 and CALL-S2. */
	    fp_cas_sc(&c->state, &was, was - FP_CALL_WANTED + FP_CALL_QUEUED))
		fp_dispatch_push(pool, &c->due);
}

static void push_ended(void *ctx, uint32_t number)
{
	push(ctx, number, false);
}

void fp_callbacks_harvest(struct forkpool *pool, bool all)
{
	uint32_t end = all ? fp_load_rlx(&pool->lines->desks_used) * FP_PAGE_SLOTS : 0, number;

	fp_due_tasks(&pool->crew.seg, push_ended, pool);
	for (number = FP_PAGE_SLOTS; number < end; number++)
		if (number % FP_PAGE_SLOTS)
			push(pool, number, true);
}
