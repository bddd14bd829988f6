/* SPDX-License-Identifier: MIT */
/*
 * What.  A job that its submitter does not wait for: an object in the host that
 * lives from submission until its handle is freed and it has ended.
 *
 *	IDLE --submitted--> RUNNING --gathered by one--> REAPING --> FINISHED
 *
 * While RUNNING it holds a slot, and room in the arena; who finds it done (a
 * wait, a poll, a submitter that needs a slot or room, join) gathers its
 * outcomes, gives both back, and only the status array stays until free.
 *
 * Usage.  Host threads, any number, on the same job as well; between
 * fp_async_get() and fp_async_put().
 *
 * Invariants.
 * I1 `ident` is {serial:32, references:32}.  The handle has one reference, an
 *    unfinished job one more.  Serial 0: there is no handle.  An object without
 *    references lies on the stack of free ones; its memory is never given back
 *    while the pool lives, so a stale pointer to it may be looked at.
 * I2 `state` is {life:56, state:8}, life counting uses of the object: a swap
 *    from RUNNING to REAPING that succeeds proves that the job looked at before
 *    is the one in hand.  Who made the swap gathers, alone.
 * I3 The caller's memory is written while REAPING only, and only while there is
 *    a handle: who frees one first takes the serial away and then waits for a
 *    REAPING to end; who reaps does both in the other order (ASYNC-F1, ASYNC-S1).
 * I4 A job with on_done keeps its own reference until the callback has been
 *    called, or dropped: who calls says so first and then looks whether there
 *    is a handle, who frees does both in the other order and waits (ASYNC-C2,
 *    ASYNC-C3).  So when a free has returned, no callback runs or ever will.
 * I5 No job that is not done is gathered before all workers have ended.
 *
 * Progress.  Nobody waits for another thread but while that one copies results.
 *
 * If the owner dies: host threads do not die singly.
 */
#include "engine/async.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <forkpool.h>

#include "engine/asyncs.h"
#include "engine/dispatch.h"
#include "engine/handle.h"
#include "engine/piece.h"
#include "engine/serial.h"
#include "engine/slots.h"
#include "task/cancel.h"
#include "task/due.h"
#include "task/job.h"

#define REPORTED_ALL	UINT64_MAX
#define AT_ONCE		((int64_t)0)		/* a deadline long past */

enum state {
	IDLE,
	RUNNING,
	REAPING,
	REAPING_AWAITED,	/* and somebody sleeps on the state */
	FINISHED,
};

/* Where its callback is; who frees the job waits until it is over. */
enum call {
	CALL_NONE,
	CALL_UNDER_WAY,
	CALL_AWAITED,		/* and somebody sleeps on it */
};

#define STATE(s)	((enum state)((s) & 0xff))
#define LIFE_ONE	((uint64_t)1 << 8)

/* ---- The end ------------------------------------------------------------------------------ */

static bool detached(struct fp_async *a)
{
	/* ASYNC-F2: as ASYNC-F1 left it; after ASYNC-S1 where that matters; pairs with ASYNC-F1. */
	return fp_load_sc(&a->ident) >> 32 == 0;
}

static void finish(struct fp_async *a, uint64_t s)
{
	/* ASYNC-S2: the result and what it goes with; pairs with ASYNC-S3. */
	if (STATE(fp_swap_sc(&a->state, (s & ~(uint64_t)0xff) | FINISHED)) == REAPING_AWAITED)
		fp_sys.futex_wake((fp_a32 *)&a->state, INT_MAX);
}

static void note_result(struct fp_async *a, int err, bool deliver)
{
	const struct fp_map *m = &a->map;

	a->result = err;
	if (err || !a->failure.failed)
		return;
	a->result = fp_map_error(a->failure.outcome);
	if (deliver && m->first_failure)
		*m->first_failure = m->begin + a->failure.index;
}

/* ---- The callback ------------------------------------------------------------------------ */

static void call_ended(struct fp_async *a)
{
	/* ASYNC-C1: what was done in the callback; pairs with ASYNC-C3. */
	if (fp_swap_sc(&a->call, CALL_NONE) == CALL_AWAITED)
		fp_sys.futex_wake(&a->call, INT_MAX);
}

/* From fp_dispatch(): once, with the reference that came with the entry. */
static bool call_done(struct fp_due *due)
{
	struct fp_async *a = fp_container(due, struct fp_async, due);
	uint64_t ident;

	/* ASYNC-C2: before the look whether there is a handle; pairs with ASYNC-C3. */
	fp_store_sc(&a->call, CALL_UNDER_WAY);
	/* ASYNC-F4: as ASYNC-F2; pairs with ASYNC-F1. */
	ident = fp_load_sc(&a->ident);
	if (ident >> 32)
		a->map.on_done(fp_handle_make(a->pool, a->index, (uint32_t)(ident >> 32)),
			       a->map.user);
	call_ended(a);
	fp_async_put(a);
	return ident >> 32;
}

/* The handle has been given up: no callback begins any more, and what runs comes to its end. */
static void await_call(struct fp_async *a)
{
	uint32_t seen;

	/* ASYNC-C3: after ASYNC-F1; so who calls sees that there is no handle, or is seen here; pairs with ASYNC-C1 and ASYNC-C2. */
	while ((seen = fp_load_sc(&a->call)) != CALL_NONE) {
		/* ASYNC-C4: asks for a wake-up, which ASYNC-C1 reads in its swap; pairs with ASYNC-C1. */
		if (seen == CALL_AWAITED || fp_cas_sc(&a->call, &seen, CALL_AWAITED))
			fp_sys.futex_wait(&a->call, CALL_AWAITED, FP_FOREVER);
	}
}

/* It has ended: hands a reference on to the callback, or drops it. */
static void pass_on(struct fp_async *a)
{
	if (a->map.on_done && !detached(a))
		fp_dispatch_push(a->pool, &a->due);
	else
		fp_async_put(a);
}

/* ---- Gathering ---------------------------------------------------------------------------- */

/* By who made the state REAPING; passes the job's own reference on. */
static void gather(struct fp_async *a, uint64_t s)
{
	struct forkpool *pool = a->pool;
	const struct fp_segment *seg = &pool->crew.seg;
	struct fp_host_slot *slot = a->piece.host;
	bool deliver = !detached(a);
	int err = fp_job_poll(seg, slot->index, a->piece.gen) ? fp_pool_end_error(pool) : 0;

	a->ended = !err && !fp_job_cancelled(seg, slot->index);
	fp_piece_gather(&a->piece, err, deliver, &a->failure);
	note_result(a, err, deliver);
	fp_stage_free_data(pool, &a->piece.st);
	/* ASYNC-L1: the slot is nobody's; pairs with ASYNC-L2. */
	fp_store_rel(&slot->async, NULL);
	fp_pool_give_slot(pool, slot);
	finish(a, s);
	pass_on(a);
	fp_pool_leave(pool);
}

/* True when the caller is the one who gathers, and has done so. */
static bool try_gather(struct fp_async *a, uint64_t s)
{
	/* ASYNC-S1: before the look whether there is a handle; pairs with ASYNC-F3. */
	if (!fp_cas_sc(&a->state, &s, (s & ~(uint64_t)0xff) | REAPING))
		return false;
	gather(a, s);
	return true;
}

static int await_reaper(struct fp_async *a, uint64_t s, int64_t deadline)
{
	const uint64_t awaited = (s & ~(uint64_t)0xff) | REAPING_AWAITED;

	/* ASYNC-S4: asks for a wake-up, which ASYNC-S2 reads in its swap; pairs with ASYNC-S2. */
	if (s != awaited && !fp_cas_sc(&a->state, &s, awaited))
		return 0;
	return fp_sys.futex_wait((fp_a32 *)&a->state, (uint32_t)awaited, deadline);
}

static int await_job(struct fp_async *a, uint64_t s, int64_t deadline)
{
	struct forkpool *pool = a->pool;
	const struct fp_segment *seg = &pool->crew.seg;
	uint32_t slot = fp_load_rlx(&a->slot);
	uint64_t gen = fp_load_rlx(&a->gen);
	int err = deadline == AT_ONCE ? fp_job_poll(seg, slot, gen)
				      : fp_job_wait(seg, slot, gen, deadline,
						    (int64_t)fp_load_rlx(&pool->spin));

	if (err == -EAGAIN || err == -ETIMEDOUT)
		return -ETIMEDOUT;
	/* The job is gone from its slot, or the pool ended before it did: then it is over when all workers have ended. */
	if (err && fp_load_rlx(&a->state) == s && fp_pool_await_end(pool, deadline))
		return -ETIMEDOUT;
	return 0;
}

/* Until the job has been gathered, by whomever: 0.  -ETIMEDOUT: not yet. */
static int settle(struct fp_async *a, int64_t deadline)
{
	uint64_t s;

	for (;;) {
		/* ASYNC-S3: the result, if it says FINISHED; what there is to gather, if RUNNING; pairs with ASYNC-S2 and ASYNC-S5. */
		s = fp_load_sc(&a->state);
		if (STATE(s) == FINISHED)
			return 0;
		if (STATE(s) != RUNNING) {
			if (await_reaper(a, s, deadline) == -ETIMEDOUT)
				return -ETIMEDOUT;
			continue;
		}
		if (await_job(a, s, deadline))
			return -ETIMEDOUT;
		try_gather(a, s);
	}
}

static bool reap_slot(struct forkpool *pool, unsigned slot, bool detached_only)
{
	/* ASYNC-L2: sc, for who looks since the slot's bit in `due` was set; pairs with ASYNC-L3. */
	struct fp_async *a = fp_load_sc(&pool->host_slots[slot].async);
	uint64_t s;

	if (!a || (detached_only && !detached(a)))
		return false;
	/* ASYNC-S6: as ASYNC-S3; pairs with ASYNC-S5. */
	s = fp_load_sc(&a->state);
	return STATE(s) == RUNNING && !await_job(a, s, AT_ONCE) && try_gather(a, s);
}

unsigned fp_async_reap(struct forkpool *pool, bool detached_only)
{
	unsigned n = 0, i;

	for (i = 0; i < FP_SLOTS; i++)
		n += reap_slot(pool, i, detached_only);
	return n;
}

void fp_async_reap_slots(struct forkpool *pool, uint64_t slots)
{
	for (; slots; slots &= slots - 1)
		reap_slot(pool, (unsigned)__builtin_ctzll(slots), false);
}

bool fp_async_arm(struct forkpool *pool, struct fp_wait *list, unsigned *n)
{
	struct fp_async *a;
	unsigned i;

	for (i = 0; i < FP_SLOTS; i++) {
		/* ASYNC-L4: pairs with ASYNC-L3. */
		a = fp_load_sc(&pool->host_slots[i].async);
		/* ASYNC-S7: one that is being gathered raises the event when its slot comes free; pairs with ASYNC-S1. */
		if (!a || STATE(fp_load_sc(&a->state)) != RUNNING)
			continue;
		if (!fp_job_arm(&pool->crew.seg, i, fp_load_rlx(&a->gen), &list[*n]))
			return false;
		++*n;
	}
	return true;
}

/* ---- Submission ---------------------------------------------------------------------------- */

static void object_init(struct fp_async *a, const struct fp_map *map, uint64_t refs)
{
	a->map = *map;
	a->map.keep_status = !map->range && (map->status || map->count <= FP_KEEP_MOST);
	a->map.may_be_cancelled = true;
	a->piece = (struct fp_piece){ .pool = a->pool, .map = &a->map };
	a->failure = (struct fp_failure){ 0 };
	a->result = 0;
	a->ended = false;
	fp_store_rlx(&a->reported, 0);
	a->due.call = call_done;
	fp_store_rlx(&a->call, CALL_NONE);
	/* Without a serial: nobody has a handle yet. */
	fp_store_rlx(&a->ident, refs);
}

static struct forkpool_job *hand_out(struct fp_async *a)
{
	uint32_t serial = fp_handle_serial();

	/* ASYNC-O4: from here on the handle is found; pairs with ASYNC-O3. */
	fp_add_sc(&a->ident, (uint64_t)serial << 32);
	return fp_handle_make(a->pool, a->index, serial);
}

static void set_state(struct fp_async *a, enum state state)
{
	uint64_t life = (fp_load_rlx(&a->state) & ~(uint64_t)0xff) + LIFE_ONE;

	/* ASYNC-S5: with all that there is to know of the job; pairs with ASYNC-S3. */
	fp_store_sc(&a->state, life | state);
}

/* There are no workers: it has ended before it is handed out. */
static int run_inline(struct fp_async *a)
{
	struct forkpool *pool = a->pool;
	struct fp_map m = a->map;
	size_t first = 0;
	void *status;
	int err = 0;

	if (m.keep_status)
		err = fp_arena_alloc(pool->arena, FP_LINE, m.count * sizeof(*m.status), &status, NULL);
	if (err)
		return err;
	if (m.keep_status) {
		m.status = a->piece.st.status = status;
		a->piece.st.own_status = true;
	}
	m.first_failure = &first;
	err = fp_serial_run_inline(pool, &m);
	a->failure = (struct fp_failure){ err == -FORKPOOL_EFAILED, first - m.begin,
					  FORKPOOL_ITEM_FAILED };
	note_result(a, a->failure.failed ? 0 : err, true);
	if (a->map.status)
		memcpy(a->map.status, m.status, m.count * sizeof(*m.status));
	return 0;
}

static int start(struct fp_async *a)
{
	struct forkpool *pool = a->pool;
	struct fp_piece *p = &a->piece;
	struct fp_host_slot *slot;
	int err = fp_stage_all(pool, &a->map, &p->st);

	if (!err)
		err = fp_pool_take_slot(pool, !a->map.dont_wait, &slot);
	if (err)
		return err;
	fp_piece_hold(p, slot);
	fp_piece_start(p, 0, a->map.count);
	fp_store_rlx(&a->slot, p->slot);
	fp_store_rlx(&a->gen, p->gen);
	return 0;
}

/* In a slot, and so found by reapers from here on; then it is not the submitter's any more. */
static void enter_slot(struct fp_async *a)
{
	struct forkpool *pool = a->pool;
	struct fp_host_slot *slot = a->piece.host;
	uint64_t gen = a->piece.gen;
	bool notify = a->map.on_done;

	/* ASYNC-L3: before the looks for watchers, and whether the job is done; pairs with ASYNC-L2 and ASYNC-L4. */
	fp_store_sc(&slot->async, a);
	fp_watch_raise(pool);
	/* Who was told of the job's end before that may not have found it. */
	if (notify && fp_job_poll(&pool->crew.seg, slot->index, gen) != -EAGAIN)
		fp_due_slot(&pool->crew.seg, slot->index);
}

int fp_async_submit(struct forkpool *pool, const struct fp_map *map,
		    struct forkpool_job **ret)
{
	bool at_once = !map->count || pool->mode == FORKPOOL_INLINE;
	struct fp_async *a;
	int err = 0;

	fp_async_reap(pool, true);
	a = fp_async_new(pool);
	if (!a)
		return -ENOMEM;
	object_init(a, map, at_once && !map->on_done ? 1 : 2);
	if (map->count)
		err = at_once ? run_inline(a) : start(a);
	if (err) {
		fp_store_rlx(&a->ident, 1);
		fp_async_put(a);
		return err;
	}
	*ret = hand_out(a);
	set_state(a, at_once ? FINISHED : RUNNING);
	if (!at_once) {
		enter_slot(a);
		return 0;
	}
	if (map->on_done)
		fp_dispatch_push(pool, &a->due);
	fp_pool_leave(pool);
	return 0;
}

/* ---- What a handle is for --------------------------------------------------------------------- */

static void report(struct fp_async *a, uint64_t done)
{
	uint64_t was = fp_load_rlx(&a->reported);

	/* ASYNC-R1: no report goes back behind another one, and none follows the last; pairs with ASYNC-R2. */
	while (was < done && !fp_cas_sc(&a->reported, &was, done))
		;
	if (was != REPORTED_ALL)
		a->map.on_progress(fp_max(was, done), a->map.count, a->map.user);
}

/* The last report, by the first who waits for its end. */
static void report_end(struct fp_async *a)
{
	/* ASYNC-R2: once; pairs with ASYNC-R1. */
	if (a->ended && fp_swap_sc(&a->reported, REPORTED_ALL) != REPORTED_ALL)
		a->map.on_progress(a->map.count, a->map.count, a->map.user);
}

static int wait_and_report(struct fp_async *a, int64_t deadline)
{
	int64_t next;

	for (;;) {
		next = fp_earlier(fp_deadline(FP_PROGRESS_NS), deadline);
		if (!settle(a, next)) {
			report_end(a);
			return 0;
		}
		if (next == deadline)
			return -ETIMEDOUT;
		report(a, fp_min(fp_job_progress(&a->pool->crew.seg, fp_load_rlx(&a->slot),
						 fp_load_rlx(&a->gen), a->map.count),
				 a->map.count));
	}
}

struct forkpool *fp_async_pool(const struct fp_async *a)
{
	return a->pool;
}

bool fp_async_arm_one(struct fp_async *a, struct fp_wait *ret)
{
	/* ASYNC-S9: as ASYNC-S7; pairs with ASYNC-S1. */
	return STATE(fp_load_sc(&a->state)) == RUNNING &&
	       fp_job_arm(&a->pool->crew.seg, fp_load_rlx(&a->slot), fp_load_rlx(&a->gen), ret);
}

int fp_async_wait_until(struct fp_async *a, int64_t deadline, int *result)
{
	int err = a->map.on_progress ? wait_and_report(a, deadline) : settle(a, deadline);

	if (!err)
		*result = a->result;
	return err;
}

/* Without an array: items before the first failure are ok, and how that one ended is known. */
static int status_from_failure(const struct fp_async *a, size_t index,
			       struct forkpool_status *ret)
{
	bool known = a->failure.failed ? index <= a->failure.index : !a->result;

	if (!known)
		return -ENODATA;
	*ret = (struct forkpool_status){ .outcome = FORKPOOL_ITEM_OK };
	if (a->failure.failed && index == a->failure.index)
		ret->outcome = a->failure.outcome;
	return 0;
}

int fp_async_status(struct fp_async *a, size_t index, struct forkpool_status *ret)
{
	if (index >= a->map.count)
		return -EINVAL;
	if (settle(a, AT_ONCE))
		return -EAGAIN;
	if (!a->piece.st.own_status)
		return status_from_failure(a, index, ret);
	*ret = a->piece.st.status[index];
	return 0;
}

void fp_async_cancel(struct fp_async *a)
{
	/* ASYNC-S8: where the job is; pairs with ASYNC-S5. */
	if (STATE(fp_load_sc(&a->state)) == RUNNING)
		fp_job_cancel(&a->pool->crew.seg, fp_load_rlx(&a->slot), fp_load_rlx(&a->gen));
}

int fp_async_kill(struct fp_async *a)
{
	struct forkpool *pool = a->pool;

	if (pool->mode != FORKPOOL_PROCESSES)
		return -ENOTSUP;
	fp_async_cancel(a);
	/* After the cancel nobody begins another chunk of it; a job that is over by now is run by nobody. */
	fp_spawn_kill_job(&pool->spawn, fp_load_rlx(&a->slot), fp_load_rlx(&a->gen));
	return 0;
}

void fp_async_free(const struct forkpool_job *job)
{
	struct fp_async *a = fp_async_get(job);
	uint64_t ident = a ? fp_load_rlx(&a->ident) : 0, s;

	if (!a)
		return;
	/* ASYNC-F1: the serial, and the handle's reference with it; before the look at the state; pairs with ASYNC-F2. */
	while (ident >> 32 && !fp_cas_sc(&a->ident, &ident, (uint32_t)ident - 1))
		;
	/* ASYNC-F3: who reaps now knows that there is no handle, or is awaited; pairs with ASYNC-S1. */
	s = fp_load_sc(&a->state);
	if (STATE(s) == REAPING || STATE(s) == REAPING_AWAITED)
		settle(a, FP_FOREVER);
	else
		settle(a, AT_ONCE);
	if (a->map.on_done && !fp_dispatch_inside(NULL))
		await_call(a);
	fp_async_put(a);
}
