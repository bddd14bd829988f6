/* SPDX-License-Identifier: MIT */
/*
 * What.  A worker: looks for work, runs it, sleeps.
 *
 * Usage.  The nursery forks and calls fp_worker_process(); in thread mode a
 * thread calls fp_worker_run().
 *
 * Invariants.
 * I1 A worker process has one thread, dies with the nursery (PDEATHSIG on the
 *    only thread there, the parent re-checked), and has signals as a new
 *    program has them: default, none blocked.
 * I2 exit() in an item ends the process before the host's atexit handlers run
 *    and before the host's open files are flushed: our handler is the last
 *    registered, so the first to run.
 * I3 It sleeps only after IDLE-S1 and one more look.
 * I4 A submitter that sees a worker look for work may leave its work to that one
 *    and wake nobody, though the looker may take other work.  It is right because
 *    who has found something says first that it looks no more, then looks whether
 *    there is more, and wakes one more if so and nobody else looks; whatever was
 *    left to it was published before it said so, and is seen (sync/idle.c, I5).
 *
 * Ordering pairs.  sync/idle.c; CTL-S1/CTL-S2 (stop); CTL-R1 (ready);
 * LEAVE-N1/LEAVE-W3 (told to leave).
 *
 * Progress.  It waits for nobody but for work.  If it dies: proc/recover.c.
 */
#include "proc/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "os/sys.h"
#include "proc/place.h"
#include "proc/serve.h"
#include "shm/stats.h"
#include "sync/fence.h"
#include "sync/idle.h"
#include "task/full.h"
#include "task/limit.h"

#define CROWDED_NS	1500	/* a yield that took longer let somebody else run */
#define CROWDED_TIMES	8	/* in a row, and the worker moves to another CPU ... */
#define SPIN_STAY_NS	((int64_t)1000000)	/* ... but not again before that; proc/place.h */
#define SPREAD		2654435761u	/* makes neighbours differ in all bits */
#define SPIN_LOOKS	8	/* fruitless looks before a worker says that it is hungry, or lets others run */

_Thread_local struct fp_self *fp_self;

/* ---- Looking for work ----------------------------------------------------------- */

static enum fp_stop stop_of(struct fp_self *self)
{
	/* CTL-S2: sc, as part of the last look before sleep; pairs with CTL-S1. */
	return fp_load_sc(&self->crew->seg.ctl->stop);
}

/* Is there a reason to stop looking for work? */
static bool is_over(struct fp_self *self)
{
	/* LEAVE-W3: sc, as part of the last look before sleep; pairs with LEAVE-N1. */
	return stop_of(self) != FP_STOP_NO || fp_load_sc(&self->shared->leave) != FP_LEAVE_NO;
}

static bool look_for_work(struct fp_self *self, struct fp_found *found)
{
	int i;

	for (i = 0; i < SPIN_LOOKS; i++) {
		if (fp_serve_find(self, found))
			return true;
		fp_pause();
	}
	return false;
}

/*
 * Who is about to publish may have been put on this very CPU.  A guest's
 * scheduler does so after a pause: it takes a CPU that has slept long for one
 * that the hypervisor has withdrawn.  Then each of the two runs only while the
 * other one yields, until the next balancing, many milliseconds later; we move
 * sooner, unless we are bound.
 */
static void note_yield(struct fp_self *self, int64_t took, int64_t now)
{
	if (self->crew->cpus_count)
		return;
	self->crowded = took > CROWDED_NS ? self->crowded + 1 : 0;
	if (self->crowded < CROWDED_TIMES || now < self->stay_until)
		return;
	self->crowded = 0;
	self->stay_until = now + SPIN_STAY_NS;
	fp_sys.move(-1);
}

static bool spin_for_work(struct fp_self *self, struct fp_found *found)
{
	const struct fp_segment *seg = &self->crew->seg;
	int64_t spin = (int64_t)fp_load_rlx(&seg->ctl->spin);
	int64_t until, before, now;

	if (!fp_idle_may_spin(seg->ctl, seg->geo.workers, spin))
		return false;
	until = fp_idle_spin_end(spin);
	do {
		if (look_for_work(self, found))
			return true;
		before = fp_sys.clock();
		fp_sys.yield();
		now = fp_sys.clock();
		note_yield(self, now - before, now);
	} while (!is_over(self) && now < until && fp_idle_may_spin(seg->ctl, seg->geo.workers, spin));
	return false;
}

static bool park_or_find(struct fp_self *self, struct fp_found *found)
{
	struct fp_ctl *ctl = self->crew->seg.ctl;
	uint32_t ticket = fp_park_prepare(ctl, self->id);

	if (fp_serve_find(self, found)) {
		fp_park_cancel(ctl, self->id);
		return true;
	}
	if (is_over(self))
		fp_park_cancel(ctl, self->id);
	else {
		fp_park(ctl, self->id, ticket);
		fp_stat_add(&self->shared->stats.wakeups, 1);
		self->slept = true;
		/* Whoever woke us has published before; the fence of another way to sleep would come before the task. */
		return fp_serve_find(self, found);
	}
	return false;
}

/*
 * It looks no more: what was left to it goes to one more worker (I4).  Also where it
 * has found nothing, and leaves: its death would wake all, but a hook may come before.
 */
static void stop_looking(struct fp_self *self)
{
	struct fp_ctl *ctl = self->crew->seg.ctl;
	uint32_t workers = self->crew->seg.geo.workers;

	fp_hungry_clear(ctl, self->id);
	if (fp_wake_needed(ctl, workers) && fp_serve_more(self))
		fp_wake_workers(ctl, workers, 1);
}

/*
 * Who woke it most likely shares this CPU with it, and waits for what it has just
 * ended: that is all that it was woken for, so the other one need not wait for its looks.
 */
static void let_waker_run(struct fp_self *self)
{
	if (!self->woken)
		return;
	self->woken = false;
	fp_sys.yield();
}

/* Looks for work until there is some, or (false) it is time to leave. */
static bool await_work(struct fp_self *self, struct fp_found *found)
{
	struct fp_ctl *ctl = self->crew->seg.ctl;
	bool any = false, turned = false;

	/* While others sleep it says at once that it looks, or whoever submits wakes one of them for each task. */
	if (!self->woken && !fp_asleep_any(ctl, self->crew->seg.geo.workers) && look_for_work(self, found))
		return true;
	self->runner.now = 0;
	while (!any && !is_over(self)) {
		/* Anew each time: the nursery takes it away from who is stopped. */
		fp_hungry_set(ctl, self->id);
		if (!turned)
			fp_stats_turn(&self->shared->stats, FP_DOING_IDLE, fp_sys.clock());
		turned = true;
		/* Who waits for room waits in vain for more tasks to end than there are. */
		fp_lanes_room(&self->crew->seg);
		let_waker_run(self);
		any = spin_for_work(self, found) || park_or_find(self, found);
	}
	stop_looking(self);
	/* The chunk's begin as well, so that it need not ask the clock again. */
	self->runner.now = fp_sys.clock();
	fp_stats_turn(&self->shared->stats, FP_DOING_ITEMS, self->runner.now);
	if (self->slept && any) {
		self->slept = false;
		self->woken = true;
		fp_place_settle(self);
	}
	return any;
}

static FP_APART FP_TRIP void work(struct fp_self *self)
{
	struct fp_found found;

	while (stop_of(self) != FP_STOP_NOW && !fp_run_leave(&self->runner, 0)) {
		if (!fp_serve_find(self, &found) && !await_work(self, &found)) {
			if (stop_of(self) != FP_STOP_NO)
				break;
			continue;
		}
		if (!fp_serve_run(self, &found))
			return;
	}
	fp_take_tell(&self->runner);
}

/* ---- A worker's life --------------------------------------------------------------- */

static void say(struct fp_self *self, enum fp_worker_state state)
{
	/* CTL-W1: with what stands beside it; pairs with CTL-W2. */
	fp_store_rel(&self->shared->state, state);
}

static void say_started(const struct fp_crew *crew)
{
	struct fp_ctl *ctl = crew->seg.ctl;

	/* CTL-R1: after the state; create waits for the last one; pairs with CTL-R2. */
	if (fp_add_sc(&ctl->started, 1) + 1 == crew->workers ||
	    /* RESIZE-W1: a resize waits for each; it said so before this worker was forked; pairs with RESIZE-H1. */
	    fp_load_sc(&ctl->resizing))
		fp_sys.futex_wake(&ctl->started, 1);
}

static void enter(struct fp_self *self, const struct fp_crew *crew, unsigned id,
		  bool process)
{
	struct fp_heap_place heap;

	*self = (struct fp_self){
		.crew = crew,
		.shared = fp_segment_worker(&crew->seg, id),
		.id = id,
		.runner = {
			.claimer = {
				.seg = &crew->seg,
				.id = id,
				.items = &fp_segment_worker(&crew->seg, id)->stats.items,
			},
			.loop = crew->loop,
			.pid = getpid(),
			.flush = process,
			.tasks_wait = fp_serve_tasks_wait,
			.ctx = self,
			.max_items = crew->max_items,
		},
	};
	self->runner.me = self->shared;
	self->runner.claimer.frame = &self->shared->base;
	self->top = &self->runner;
	self->depth = self->frame_room = 1;
	/* Not where the life before began: what that left behind bears its numbers. */
	self->items = (uint32_t)self->runner.pid * SPREAD;
	fp_store_rlx(&self->shared->depth, 1);
	fp_store_rlx(&self->shared->pid, (uint32_t)self->runner.pid);
	heap = fp_segment_heap(&crew->seg, false);
	fp_heap_open(&self->heap, &heap, id, self->shared);
	fp_self = self;
	/* A thread's process is the host, which registers before its first submit. */
	if (process)
		fp_fence_enter(crew->seg.ctl);
	/* A CPU that was taken from us since is no reason to fail. */
	if (crew->cpus_count)
		fp_sys.bind(crew->cpus[id % crew->cpus_count]);
}

int fp_worker_run(struct fp_self *self, const struct fp_crew *crew, unsigned id,
		  bool process)
{
	int err = 0;

	enter(self, crew, id, process);
	err = fp_serve_init(self);
	if (!err && crew->worker_init)
		err = crew->worker_init(crew->worker_arg, id, &self->state);
	if (err) {
		fp_store_rlx(&self->shared->error, err > 0 ? -err : err);
		say(self, FP_WORKER_REFUSED);
		return err;
	}
	fp_stats_turn(&self->shared->stats, FP_DOING_ITEMS, fp_sys.clock());
	say(self, FP_WORKER_READY);
	say_started(crew);
	work(self);
	if (crew->worker_exit)
		crew->worker_exit(crew->worker_arg, id, self->state);
	fp_stats_turn(&self->shared->stats, FP_DOING_NOTHING, fp_sys.clock());
	say(self, FP_WORKER_LEFT);
	return 0;
}

void fp_worker_watch(const struct fp_self *self, uint32_t slot)
{
	fp_a64 *news = &self->crew->seg.ctl->watched[slot / 64];

	/* LIMIT-J2: after the job is published; pairs with LIMIT-J3. */
	fp_or_sc(news, (uint64_t)1 << (slot % 64));
	/* To the nursery it is a reason to look, no more. */
	fp_sys.kill(getppid(), SIGCHLD);
}

void fp_worker_kill(const struct fp_self *self)
{
	/* KILL-K1: after the flag; pairs with KILL-K2. */
	fp_store_sc(&self->crew->seg.ctl->kills, 1);
	fp_sys.kill(getppid(), SIGCHLD);
}

/* ---- As a process -------------------------------------------------------------------- */

#ifdef FP_COVERAGE
void __gcov_dump(void);
#endif

static _Noreturn FP_UNKNOWN_STACK void leave_process(int status)
{
	fflush(stdout);
#ifdef FP_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

/* exit() in an item: none of the host's handlers, none of its files (I2). */
static FP_UNKNOWN_STACK void on_item_exit(int status, void *unused)
{
	(void)unused;
	leave_process(status);
}

void fp_worker_prepare(void)
{
	on_exit(on_item_exit, NULL);
}

/*
 * "fp-worker-" and the number, without printf(), whose pages each worker would
 * keep, as it would that of a literal: these two are short enough to lie in the code.
 */
static void name_process(unsigned id)
{
	char name[16] = { 0 };
	unsigned left = id, len = sizeof("fp-worker-");

	memcpy(name, "fp-worke", 8);
	memcpy(name + 8, "r-", 2);
	while (left /= 10)
		len++;
	do
		name[--len] = (char)('0' + id % 10);
	while (id /= 10);
	fp_sys.prctl(PR_SET_NAME, (unsigned long)name);
}

FP_UNKNOWN_STACK void fp_worker_process(const struct fp_crew *crew, unsigned id,
					pid_t parent)
{
	struct fp_self self;	/* here, not static: this page is the worker's own anyway */

	fp_sys.prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	name_process(id);
	fp_sys.advise(crew->seg.ctl, crew->seg.geo.ctl_size, MADV_DONTFORK);
	fp_sys.unblock();
	leave_process(fp_worker_run(&self, crew, id, true) ? 1 : 0);
}
