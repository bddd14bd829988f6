/* SPDX-License-Identifier: MIT */
/*
 * What.  An item that submits and waits: while it waits its worker runs the task
 * it waits for, other tasks of the item, or what these are made of, and else sleeps.
 *
 * Usage.  By a worker, inside an item.
 *
 * Invariants.
 * I1 What is claimed here was published by the item that waits (`tag`: the item's
 *    number in this worker, and its frame), or descends from what was.  So waits
 *    follow the tree of items, and never close a ring.
 * I2 A task is run in a frame of its own, above that of the item which waits.
 * I3 Of a task in one's own lane nobody but its submitter can ask, so when that has
 *    run it itself nobody is told.
 *
 * Ordering pairs.  IDLE-S1/IDLE-W2 (asleep and shown), TASK-W1/TASK-D2 (asleep and
 * ended).
 *
 * Progress.  What it waits for is at work in another worker, or lies there for it.
 *
 * If the owner dies: proc/salvage.c, frames from the top down.  Model:
 * tests/models/family.pml, nest.pml.
 */
#include "engine/descend.h"

#include <errno.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/errand.h"
#include "engine/handle.h"
#include "engine/several.h"
#include "os/sys.h"
#include "sync/idle.h"
#include "task/limit.h"
#include "task/nest.h"
#include "task/take.h"

#define WORKER_TOKEN	2	/* like FP_POOL_TOKEN; a process that an item forks reads 0 */
#define LOOKS		16	/* between two yields */

struct descent {
	struct fp_self *self;
	struct fp_runner runner;
	uint32_t tag;		/* of the item that waits */
	bool open;		/* its frame is there */
};

bool fp_descend_can(struct fp_self *self)
{
	uint64_t *token = self->crew->pool->token;

	if (fp_unlikely(!self->in_item))
		return false;
	if (fp_likely(*token))
		return true;
	if (getpid() != self->runner.pid)
		return false;
	*token = WORKER_TOKEN;
	return true;
}

/* ---- Frames ----------------------------------------------------------------------------- */

/* Field by field: it is done for each wait, and a compiler clears the whole more slowly. */
void fp_descend_open(const struct fp_self *self, struct fp_runner *r, struct fp_frame *frame)
{
	const struct fp_runner *base = &self->runner;
	struct fp_claimer *c = &r->claimer;

	c->seg = base->claimer.seg;
	c->frame = frame;
	c->id = base->claimer.id;
	c->slot.job = NULL;
	c->run = 0;
	c->tops = 0;
	c->rest = false;
	c->failed = 0;
	c->items = base->claimer.items;
	c->fn = c->cost = c->last_len = 0;
	r->me = base->me;
	r->outer = fp_load_rlx(&base->me->limit);
	r->nested = true;
	r->loop = base->loop;
	r->pid = base->pid;
	r->now = 0;
	r->flush = base->flush;
	r->tasks_wait = NULL;
	r->ctx = NULL;
	r->ran = r->max_items = 0;
	r->untold = FP_INTENT_NONE;
	r->lane = NULL;
	r->task = NULL;
	r->number = r->open = r->tag = 0;
}

static int open_frame(struct descent *d)
{
	struct fp_self *self = d->self;
	struct fp_frame *frame;

	if (d->open)
		return 0;
	frame = fp_nest_push(&self->crew->seg, self->id, self->depth, &self->frame_room);
	if (!frame)
		return -ENOMEM;
	fp_descend_open(self, &d->runner, frame);
	self->depth++;
	d->open = true;
	return 0;
}

static void close_frame(struct descent *d)
{
	struct fp_self *self = d->self;

	if (!d->open)
		return;
	self->depth--;
	fp_nest_pop(&self->crew->seg, self->id, self->depth);
}

static bool is_own(const struct fp_self *self, uint32_t number)
{
	return fp_desk_of(self->crew->pool, number / FP_PAGE_SLOTS) != NULL;
}

void fp_descend_run(struct fp_self *self, struct fp_runner *r, const struct fp_taken *t)
{
	const struct fp_task_ext *ext = fp_task_ext(t->task);
	struct fp_runner *below = self->top;
	uint32_t level = self->level;

	fp_limit_boundary(self->shared);
	r->task = t->task;
	r->number = t->number;
	r->tag = fp_self_tag(self, self->depth - 1);
	self->top = r;
	self->level = ext ? ext->level : 0;
	fp_take_run(r, t);
	fp_self_ended(self, r);
	self->level = level;
	self->top = below;
	r->task = NULL;
	if (self->crew->pool->mode == FORKPOOL_PROCESSES && is_own(self, t->number))
		r->untold = FP_INTENT_NONE;
	else
		fp_take_tell(r);
}

/* ---- What there is to run ------------------------------------------------------------------ */

static bool try_number(struct fp_runner *r, uint32_t number, uint32_t tag, struct fp_taken *ret)
{
	const struct fp_segment *seg = r->claimer.seg;
	/* TASK-C2: as TASK-C1, before the look where it comes from; pairs with TASK-R1. */
	uint64_t w = fp_load_acq(&fp_segment_task(seg, number)->word);

	return fp_task_state(w) == FP_TASK_READY &&
	       fp_nest_task_descends(seg, number, fp_task_gen(w), r->claimer.id, tag) &&
	       fp_take(r, number, w, ret);
}

/* The item's own tasks, those of the current page newest first. */
static bool find_own(struct fp_self *self, struct fp_runner *r, uint32_t tag, struct fp_taken *ret)
{
	struct fp_home *h;
	uint32_t p, n, i;

	for (p = 0; p < FP_PRIOS; p++) {
		h = self->lines[p] ? self->lines[p]->lane.home : NULL;
		for (n = 0; h && n < self->lines[p]->lane.pages; n++, h = h->next)
			for (i = FP_PAGE_SLOTS - 1; i > 0; i--)
				if (!(h->free >> i & 1) &&
				    try_number(r, h->page * FP_PAGE_SLOTS + i, tag, ret))
					return true;
	}
	return false;
}

static bool find_in_lane(struct fp_runner *r, uint32_t lane, uint32_t tag, struct fp_taken *ret)
{
	const struct fp_segment *seg = r->claimer.seg;
	uint32_t pages = fp_load_rlx(&seg->ctl->task_pages), most = pages, i;
	/* TASK-A3: as TASK-A2; pairs with TASK-A1. */
	uint32_t first = fp_load_acq(&fp_segment_lane(seg, lane)->at), page = first;

	do {
		/* TASK-L3: as TASK-L2; pairs with TASK-L1. */
		page = page && page < pages ? fp_load_acq(&fp_segment_page(seg, page)->next) : 0;
		if (!page || page >= pages)
			return false;
		for (i = 1; i < FP_PAGE_SLOTS; i++)
			if (try_number(r, page * FP_PAGE_SLOTS + i, tag, ret))
				return true;
	} while (page != first && most--);
	return false;
}

/* What others have submitted while they ran what is the item's. */
static bool find_others(struct fp_self *self, struct fp_runner *r, uint32_t tag, struct fp_taken *ret)
{
	const struct fp_segment *seg = r->claimer.seg;
	uint32_t workers = seg->geo.workers, p, i, id;
	uint64_t lanes;

	for (p = 0; p < FP_PRIOS; p++)
		for (i = 0; i < fp_div_up(workers, 64); i++) {
			/* TASK-B3: as TASK-B2, with IDLE-S1 of who waits; pairs with TASK-B1. */
			lanes = fp_load_sc(&seg->ctl->crew_lanes[p][i]);
			for (; lanes; lanes &= lanes - 1) {
				id = i * 64 + (uint32_t)__builtin_ctzll(lanes);
				if (id != self->id &&
				    find_in_lane(r, fp_crew_lane(workers, p, id), tag, ret))
					return true;
			}
		}
	return false;
}

bool fp_descend_find(struct fp_self *self, struct fp_runner *r, uint32_t tag, struct fp_taken *ret)
{
	return find_own(self, r, tag, ret) || find_others(self, r, tag, ret);
}

bool fp_descend_chunk(struct fp_runner *r, uint32_t tag, struct fp_chunk *ret)
{
	struct fp_claimer *c = &r->claimer;
	uint64_t active;
	uint32_t i, slot;

	for (i = FP_SLOTS / 64; i < FP_SLOT_MAP; i++) {
		/* JOB-A3: as JOB-A2, with IDLE-S1 of who waits; pairs with JOB-A1. */
		active = fp_load_sc(&c->seg->ctl->active[i]);
		for (; active; active &= active - 1) {
			slot = i * 64 + (uint32_t)__builtin_ctzll(active);
			if (fp_claimer_open(c, slot) &&
			    fp_nest_job_descends(c->seg, slot, FP_JOB_GEN(c->run), c->id, tag) &&
			    fp_claim(c, ret))
				return true;
		}
	}
	return false;
}

void fp_descend_run_chunk(struct fp_self *self, struct fp_runner *r, struct fp_chunk *chunk)
{
	struct fp_runner *below = self->top;
	uint32_t level = self->level;

	fp_limit_boundary(self->shared);
	r->tag = fp_self_tag(self, self->depth - 1);
	self->top = r;
	self->level = r->claimer.slot.job->desc.level;
	fp_run_chunk(r, chunk);
	fp_self_ended(self, r);
	self->level = level;
	self->top = below;
}

/* Runs one thing that the item is made of. */
static bool run_some(struct descent *d)
{
	struct fp_taken taken;
	struct fp_chunk chunk;

	if (open_frame(d))
		return false;
	if (fp_descend_find(d->self, &d->runner, d->tag, &taken)) {
		fp_descend_run(d->self, &d->runner, &taken);
		return true;
	}
	if (!(fp_load_rlx(&d->self->crew->seg.ctl->kinds) & FP_KIND_ANY_MAP) ||
	    !fp_descend_chunk(&d->runner, d->tag, &chunk))
		return false;
	fp_descend_run_chunk(d->self, &d->runner, &chunk);
	return true;
}

/* The very task, if nobody has claimed it: -EAGAIN; 0: it was run. */
static int run_this(struct descent *d, const struct fp_ref *r)
{
	uint64_t w = fp_load_rlx(&r->task->word);
	struct fp_taken taken;
	int err;

	if (fp_task_state(w) != FP_TASK_READY || fp_task_gen(w) != r->gen)
		return -EAGAIN;
	err = open_frame(d);
	if (err)
		return err;
	if (!fp_take(&d->runner, r->number, w, &taken))
		return -EAGAIN;
	fp_descend_run(d->self, &d->runner, &taken);
	return 0;
}

/* ---- Waiting ---------------------------------------------------------------------------------- */

static bool is_stopping(const struct descent *d)
{
	/* CTL-S4: as CTL-S3; pairs with CTL-S1. */
	return fp_load_sc(&d->self->crew->seg.ctl->stop) == FP_STOP_NOW;
}

static bool is_late(int64_t deadline)
{
	return deadline != FP_FOREVER && fp_sys.clock() >= deadline;
}

/* What is waited for: a word of 64 bits whose low half changes, and whether it has come. */
struct awaited {
	bool (*come)(void *ctx);
	bool (*arm)(void *ctx, fp_a32 **word, uint32_t *seen);	/* false: it may have come */
	void *ctx;
};

static bool spin(struct descent *d, const struct awaited *a)
{
	int64_t spin = (int64_t)fp_load_rlx(&d->self->crew->seg.ctl->spin);
	int64_t until = fp_deadline(spin);
	int i;

	while (spin > 0 && fp_sys.clock() < until) {
		for (i = 0; i < LOOKS; i++) {
			if (a->come(a->ctx) || is_stopping(d))
				return true;
			fp_pause();
		}
		if (run_some(d))
			return true;
		fp_sys.yield();
	}
	return false;
}

static void park(struct descent *d, const struct awaited *a, int64_t deadline)
{
	struct fp_ctl *ctl = d->self->crew->seg.ctl;
	uint32_t id = d->self->id, ticket = fp_nest_park_prepare(ctl, id), seen;
	fp_a32 *word;

	if (run_some(d) || is_stopping(d) || !a->arm(a->ctx, &word, &seen))
		fp_nest_park_cancel(ctl, id);
	else
		fp_nest_park(ctl, id, ticket, word, seen, deadline);
}

/* Until it has come (0), the pool stops, or the deadline. */
static int await(struct descent *d, const struct awaited *a, int64_t deadline)
{
	struct fp_ctl *ctl = d->self->crew->seg.ctl;
	int err = 0;

	fp_waiting_set(ctl, d->self->id);
	while (!err && !a->come(a->ctx)) {
		if (is_stopping(d))
			err = -FORKPOOL_ECANCELED;
		else if (is_late(deadline))
			err = -ETIMEDOUT;
		else if (!run_some(d) && !spin(d, a))
			park(d, a, deadline);
	}
	fp_waiting_clear(ctl, d->self->id);
	return err;
}

static bool one_come(void *ctx)
{
	int unused;

	return fp_future_ended(ctx, &unused);
}

static bool one_arm(void *ctx, fp_a32 **word, uint32_t *seen)
{
	const struct fp_ref *r = ctx;

	if (!fp_future_ask(r, FP_ASK_WAITER))
		return false;
	*word = (fp_a32 *)&r->task->word;
	*seen = fp_load_rlx(*word);
	return fp_task_state(*seen) != FP_TASK_DONE;
}

bool fp_descend_is_mine(const struct fp_ref *r)
{
	const struct fp_task_ext *ext = fp_task_ext(r->task);

	return ext && fp_load_rlx(&ext->frame) == fp_self->top->tag;
}

static void gather(const struct fp_ref *r, int *result)
{
	if (r->future->errand)
		*result = fp_errand_gather(r, *result);
}

int fp_descend_wait(const struct fp_ref *r, int64_t deadline, int *result)
{
	struct fp_self *self = fp_self;
	struct fp_ref copy;
	struct descent d;
	int err = -EAGAIN;

	if (!fp_descend_can(self))
		return -EDEADLK;
	if (fp_future_ended(r, result)) {
		gather(r, result);
		return 0;
	}
	if (!deadline)
		return -ETIMEDOUT;
	d.self = self;
	d.tag = self->top->tag;
	d.open = false;
	err = run_this(&d, r);
	if (err == -EAGAIN) {
		copy = *r;
		err = await(&d, &(struct awaited){ one_come, one_arm, &copy }, deadline);
	}
	close_frame(&d);
	if (err)
		return err;
	fp_future_ended(r, result);
	gather(r, result);
	return 0;
}

/* ---- Any of several ------------------------------------------------------------------------------ */

struct several {
	struct forkpool_job *const *jobs;
	size_t n;
	struct fp_ctl *ctl;
};

static bool any_come(void *ctx)
{
	const struct several *s = ctx;
	struct fp_ref r;
	int unused;
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->jobs[i] && (fp_ref_get(s->jobs[i], &r) || fp_future_ended(&r, &unused)))
			return true;
	return false;
}

static bool any_arm(void *ctx, fp_a32 **word, uint32_t *seen)
{
	const struct several *s = ctx;
	/* TASK-O4: before the asks; pairs with TASK-O1. */
	uint32_t done = fp_load_sc(&s->ctl->done);
	struct fp_ref r;
	size_t i;

	*word = &s->ctl->done;
	*seen = done;
	for (i = 0; i < s->n; i++)
		if (s->jobs[i] && (fp_ref_get(s->jobs[i], &r) || !fp_future_ask(&r, FP_ASK_ANY)))
			return false;
	return true;
}

void fp_descend_any(struct forkpool_job *const *jobs, size_t n, int64_t deadline)
{
	struct fp_self *self = fp_self;
	struct several s = { jobs, n, self->crew->seg.ctl };
	struct descent d;
	struct fp_ref r;
	int err = -EAGAIN;
	size_t i;

	d.self = self;
	d.tag = self->top->tag;
	d.open = false;

	for (i = 0; i < n && err; i++)
		if (jobs[i] && !fp_ref_get(jobs[i], &r) && r.pool == self->crew->pool)
			err = run_this(&d, &r);
	if (err)
		await(&d, &(struct awaited){ any_come, any_arm, &s }, deadline);
	close_frame(&d);
}

/* ---- Submission -------------------------------------------------------------------------------------- */

static void give_up_in(struct fp_home *h, uint32_t tag)
{
	struct fp_desk *desk = fp_container(h, struct fp_desk, home);
	uint32_t busy = FP_ALL_PLACES & ~h->free, i;
	const struct fp_task_ext *ext;

	for (; busy; busy &= busy - 1) {
		i = (uint32_t)__builtin_ctz(busy);
		ext = fp_task_ext(fp_segment_task(h->owner->seg, h->page * FP_PAGE_SLOTS + i));
		if (!fp_load_rlx(&desk->futures[i].serial) || !ext || fp_load_rlx(&ext->frame) != tag)
			continue;
		fp_store_rlx(&desk->futures[i].serial, 0);
		/* TASK-G6: as TASK-G2; pairs with TASK-G1. */
		fp_or_sc(&h->given_up, (uint32_t)1 << i);
	}
}

/* An item has ended: what it submitted and did not free is detached. */
static void give_up(struct fp_self *self, struct fp_runner *r)
{
	struct fp_home *h;
	uint32_t p, n;

	for (p = 0; p < FP_PRIOS; p++) {
		h = self->lines[p] ? self->lines[p]->lane.home : NULL;
		for (n = 0; h && n < self->lines[p]->lane.pages; n++, h = h->next)
			give_up_in(h, r->tag);
	}
	r->open = 0;
}

/* With a full line the item runs what it has submitted, at once. */
static void run_surplus(struct fp_self *self, struct fp_line *line, uint32_t depth)
{
	struct descent d;

	d.self = self;
	d.tag = self->top->tag;
	d.open = false;
	fp_lane_count(&line->lane);
	while (line->lane.used >= depth && run_some(&d))
		fp_lane_count(&line->lane);
	close_frame(&d);
}

int64_t fp_descend_submit(struct forkpool *pool, struct fp_spec *s, struct forkpool_job **ret)
{
	struct fp_self *self = fp_self;
	uint64_t outer;
	int64_t n;

	if (!fp_descend_can(self))
		return -ENOTSUP;
	if (self->level + 1 >= FP_DEPTH)
		return -ELOOP;
	s->parent = fp_self_parent(self);
	s->level = self->level + 1;
	s->frame = self->top->tag;
	outer = fp_load_rlx(&self->shared->limit);
	if (outer && outer < (uint64_t)FP_FOREVER)
		s->deadline = s->deadline ? fp_earlier(s->deadline, (int64_t)outer) : (int64_t)outer;
	n = fp_submit(pool, s, ret);
	if (n > 0 && ret) {
		self->left = give_up;
		self->top->open += (uint32_t)n;
	}
	if (n > 0 && self->lines[s->prio]->lane.used >= pool->lines->depth)
		run_surplus(self, self->lines[s->prio], pool->lines->depth);
	return n;
}
