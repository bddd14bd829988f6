/* SPDX-License-Identifier: MIT */
/*
 * What.  In which order a worker serves what there is: by priority; within one,
 * jobs of maps and lanes of tasks take turns.
 *
 * Usage.  By the worker, in its first frame.
 *
 * Invariants.
 * I1 While a lane has tasks it is served on, but for no longer than about FP_SLICE_NS
 *    at once; the clock is asked every so many tasks, fewer the dearer they are.
 * I2 Behind a chunk of a map lanes are looked at first, behind a slice of a lane maps.
 * I3 Each STARVED-th search begins with the lowest priority.
 *
 * Ordering pairs.  JOB-A2/JOB-A1, KIND-K2/KIND-K1, TASK-B2/TASK-B1 (what to look at;
 * in the last look before sleep they stand against IDLE-S1 and the fence behind it).
 *
 * Progress.  Nothing here waits.  If the owner dies: proc/recover.c.
 */
#include "proc/serve.h"

#include <errno.h>
#include <sys/mman.h>

#include "os/sys.h"
#include "task/limit.h"

#define STARVED		16u
#define ASK_MOST	1024u	/* tasks between two looks at the clock */

static size_t cursors_size(const struct fp_self *self)
{
	return fp_round_up(fp_segment_lanes(&self->crew->seg) * sizeof(*self->cursors), FP_PAGE);
}

int fp_serve_init(struct fp_self *self)
{
	void *p;
	int err = fp_sys.map(&p, NULL, cursors_size(self), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (!err)
		self->cursors = p;
	return err;
}

void fp_serve_fini(struct fp_self *self)
{
	if (self->cursors)
		fp_sys.unmap(self->cursors, cursors_size(self));
	self->cursors = NULL;
}

/* ---- Maps --------------------------------------------------------------------------- */

static bool try_slot(struct fp_self *self, uint32_t slot, uint32_t prio, struct fp_chunk *chunk)
{
	struct fp_claimer *c = &self->runner.claimer;

	if (!fp_claimer_open(c, slot) || fp_load_rlx(&c->slot.job->prio) != prio ||
	    !fp_claim(c, chunk))
		return false;
	self->last_slot = slot;
	return true;
}

/* Jobs take turns: the search starts behind the slot that was served last. */
static bool find_chunk(struct fp_self *self, uint32_t prio, struct fp_chunk *chunk)
{
	uint32_t start = (self->last_slot + 1) % FP_ALL_SLOTS, i, word;
	uint64_t before = ((uint64_t)1 << (start % 64)) - 1, active;

	/* The word where it starts comes twice: first from there on, last up to there. */
	for (i = 0; i <= FP_SLOT_MAP; i++) {
		word = (start / 64 + i) % FP_SLOT_MAP;
		/* JOB-A2: a slot missing here was not published when we set IDLE-S1; pairs with JOB-A1. */
		active = fp_load_sc(&self->crew->seg.ctl->active[word]);
		active &= i == 0 ? ~before : i == FP_SLOT_MAP ? before : ~(uint64_t)0;
		for (; active; active &= active - 1)
			if (try_slot(self, word * 64 + (uint32_t)__builtin_ctzll(active), prio, chunk))
				return true;
	}
	return false;
}

/* ---- Lanes -------------------------------------------------------------------------- */

/* A part of the lanes of one priority: a bitmap, and the id of its first. */
struct lanes {
	const fp_a64 *map;
	uint32_t words, first;
};

static struct lanes lanes_of(const struct fp_segment *seg, uint32_t prio, bool crew)
{
	if (crew)
		return (struct lanes){ seg->ctl->crew_lanes[prio], (uint32_t)fp_div_up(seg->geo.workers, 64),
				       fp_crew_lane(seg->geo.workers, prio, 0) };
	return (struct lanes){ seg->ctl->host_lanes[prio], FP_HOST_LANES / 64, 0 };
}

static bool try_lane(struct fp_self *self, uint32_t lane, struct fp_taken *ret)
{
	if (!fp_take_next(&self->runner, &self->cursors[lane], lane, ret))
		return false;
	if (lane != self->last_lane)
		self->runner.roams = true;
	self->last_lane = lane;
	return true;
}

/* Lanes take turns as well. */
static FP_TRIP bool find_in(struct fp_self *self, const struct lanes *l, struct fp_taken *ret)
{
	uint32_t last = self->last_lane - l->first, start = last < l->words * 64 ? last + 1 : 0, i, word;
	uint64_t before, lanes;

	start %= l->words * 64;
	before = ((uint64_t)1 << (start % 64)) - 1;
	for (i = 0; i <= l->words; i++) {
		word = (start / 64 + i) % l->words;
		/* TASK-B2: a lane missing here had no task when we set IDLE-S1; pairs with TASK-B1. */
		lanes = fp_load_sc(&l->map[word]);
		lanes &= i == 0 ? ~before : i == l->words ? before : ~(uint64_t)0;
		for (; lanes; lanes &= lanes - 1)
			if (try_lane(self, l->first + word * 64 + (uint32_t)__builtin_ctzll(lanes), ret))
				return true;
	}
	return false;
}

/* Who has left lanes to others, and finds nothing elsewhere, comes back and sees to the end of each. */
static FP_TRIP bool find_in_all(struct fp_self *self, const struct lanes *l, struct fp_taken *ret)
{
	self->runner.left = false;
	if (find_in(self, l, ret))
		return true;
	if (!self->runner.left)
		return false;
	self->runner.roams = false;
	return find_in(self, l, ret);
}

/* What items submitted comes before what is new. */
static FP_TRIP bool find_task(struct fp_self *self, uint32_t prio, struct fp_taken *ret)
{
	const struct fp_segment *seg = &self->crew->seg;
	const struct lanes crew = lanes_of(seg, prio, true), host = lanes_of(seg, prio, false);

	if (!find_in(self, &crew, ret) && !find_in_all(self, &host, ret))
		return false;
	self->asked_at = 0;
	self->ask_every = 1;
	self->ask_left = 2;
	return true;
}

/* Is the lane that was served last to be served on? (I1) */
static bool stays(struct fp_self *self)
{
	int64_t now, took;

	if (--self->ask_left)
		return true;
	now = fp_sys.clock();
	if (!self->asked_at) {
		self->asked_at = self->slice_from = now;
		self->ask_left = 1;
		return true;
	}
	took = now - self->asked_at;
	self->asked_at = now;
	if (took < FP_SLICE_NS / 4 && self->ask_every < ASK_MOST)
		self->ask_every *= 2;
	else if (took > FP_SLICE_NS / 2)
		self->ask_every = 1 + self->ask_every / 4;
	self->ask_left = self->ask_every;
	return now - self->slice_from < FP_SLICE_NS;
}

/* ---- Both ------------------------------------------------------------------------------ */

static bool find_kind(struct fp_self *self, uint32_t kinds, uint32_t prio, bool tasks,
		      struct fp_found *ret)
{
	if (!(kinds >> 2 * prio & (tasks ? FP_KIND_TASK : FP_KIND_MAP)))
		return false;
	ret->is_task = tasks;
	return tasks ? find_task(self, prio, &ret->task) : find_chunk(self, prio, &ret->chunk);
}

static bool find_prio(struct fp_self *self, uint32_t kinds, uint32_t prio, struct fp_found *ret)
{
	bool tasks = !self->served_task;

	if (!find_kind(self, kinds, prio, tasks, ret) && !find_kind(self, kinds, prio, !tasks, ret))
		return false;
	self->served_task = ret->is_task;
	return true;
}

static bool find_any(struct fp_self *self, struct fp_found *ret)
{
	/* KIND-K2: a kind missing here was not published when we set IDLE-S1; pairs with KIND-K1. */
	uint32_t kinds = fp_load_sc(&self->crew->seg.ctl->kinds), p;
	bool upwards = ++self->searches % STARVED == 0;

	for (p = 0; p < FP_PRIOS; p++)
		if (find_prio(self, kinds, upwards ? FP_PRIOS - 1 - p : p, ret))
			return true;
	return false;
}

/* In a lane that was left to others a slice does not end: it goes on in the next one of that priority. */
static FP_TRIP bool go_on(struct fp_self *self, struct fp_taken *ret)
{
	const struct fp_segment *seg = &self->crew->seg;
	struct lanes host;

	self->runner.left = false;
	if (try_lane(self, self->last_lane, ret))
		return true;
	if (!self->runner.left)
		return false;
	host = lanes_of(seg, fp_load_rlx(&fp_segment_lane(seg, self->last_lane)->prio) % FP_PRIOS, false);
	return find_in(self, &host, ret);
}

FP_TRIP bool fp_serve_find(struct fp_self *self, struct fp_found *ret)
{
	struct fp_runner *r = &self->runner;

	if (r->untold && stays(self) && go_on(self, &ret->task)) {
		ret->is_task = true;
		return true;
	}
	/* Before a claim of a chunk writes over what names it. */
	fp_take_tell(r);
	return find_any(self, ret);
}

FP_TRIP bool fp_serve_run(struct fp_self *self, struct fp_found *found)
{
	struct fp_runner *r = &self->runner;
	const struct fp_task_ext *ext;
	bool goes_on;

	fp_limit_boundary(self->shared);
	r->tag = fp_self_tag(self, 0);
	if (found->is_task) {
		ext = fp_task_ext(found->task.task);
		self->level = ext ? ext->level : 0;
		r->task = found->task.task;
		r->number = found->task.number;
		r->lane = self->last_lane < FP_HOST_LANES
				  ? fp_segment_lane(&self->crew->seg, self->last_lane) : NULL;
		self->in_item = true;
		fp_take_run(r, &found->task);
		self->in_item = false;
		fp_self_ended(self, r);
		r->task = NULL;
		r->now = 0;
		return true;
	}
	self->level = r->claimer.slot.job->desc.level;
	self->in_item = true;
	goes_on = fp_run_chunk(r, &found->chunk);
	self->in_item = false;
	fp_self_ended(self, r);
	return goes_on;
}

/* ---- Is there more? ----------------------------------------------------------------------- */

static bool more_chunks(const struct fp_self *self)
{
	struct fp_claimer c = self->runner.claimer;
	uint64_t active;
	uint32_t i;

	for (i = 0; i < FP_SLOT_MAP; i++) {
		/* JOB-A4: as JOB-A2, behind IDLE-H2; pairs with JOB-A1. */
		active = fp_load_sc(&c.seg->ctl->active[i]);
		for (; active; active &= active - 1)
			if (fp_claimer_open(&c, i * 64 + (uint32_t)__builtin_ctzll(active)) &&
			    fp_claim(&c, NULL))
				return true;
	}
	return false;
}

static bool more_in(struct fp_self *self, const struct lanes *l)
{
	uint64_t lanes;
	uint32_t i, id;

	for (i = 0; i < l->words; i++)
		for (lanes = fp_load_rlx(&l->map[i]); lanes; lanes &= lanes - 1) {
			id = l->first + i * 64 + (uint32_t)__builtin_ctzll(lanes);
			if (fp_take_peek(&self->crew->seg, &self->cursors[id], id))
				return true;
		}
	return false;
}

bool fp_serve_tasks_wait(void *ctx)
{
	struct fp_self *self = ctx;
	const struct fp_segment *seg = &self->crew->seg;
	uint32_t kinds = fp_load_rlx(&seg->ctl->kinds), p;

	for (p = 0; p < FP_PRIOS; p++) {
		const struct lanes crew = lanes_of(seg, p, true), host = lanes_of(seg, p, false);

		if ((kinds >> 2 * p & FP_KIND_TASK) && (more_in(self, &host) || more_in(self, &crew)))
			return true;
	}
	return false;
}

bool fp_serve_more(struct fp_self *self)
{
	/* KIND-K3: as KIND-K2, behind IDLE-H2; pairs with KIND-K1. */
	fp_load_sc(&self->crew->seg.ctl->kinds);
	return more_chunks(self) || fp_serve_tasks_wait(self);
}
