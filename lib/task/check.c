/* SPDX-License-Identifier: MIT */
/*
 * What.  A consistency check of all control words, for tests: after each test,
 * each kill and each stop, at rest or in the middle.
 *
 * Usage.  fp_check() in a process that has the control pages.
 *
 * Invariants, of the words it looks at.
 * I1 The header says what the geometry says; bits stand for existing workers.
 * I2 The words of a log that are of its generation are the first ones, and their
 *    ends rise up to the region's length.
 * I3 RUN is owned by a worker whose intent points at that very word, or in a
 *    cancelled job by nobody.
 * I4 SPLIT names a sub-region that points back and ends where the chunk ended.
 * I5 A region whose parent's word is DONE is closed and all DONE.
 * I6 The top regions lie end to end; when the job is DONE they are too, and no
 *    sub-region is named any more.
 * I7 The heap's units are what shm/mend.c says of them.
 * I8 A page of slots belongs to a lane.  Those of a host's lane form one ring, in
 *    which its submitter is; from a worker's lane's place one comes to pages of
 *    that lane only (a ring that is being taken over need not close yet).
 * I9 No turn or visit is newer than the submitter's, or the one it is about to begin;
 *    but where who takes a worker's lane over died on the way, after it had put that
 *    visit back and not yet the others.
 * I10 A task that runs is owned by a worker one of whose intents names it.
 *
 * Words change while it looks.  What one look finds wrong counts only if it is
 * still wrong in many more, a little apart: a slot that a host thread fills
 * again looks wrong for a moment.  A log is read from its end, so that a claim
 * meanwhile leaves no hole.
 *
 * If the owner dies: nothing is written here but the caller's text.
 */
#include "task/check.h"

#include <stdarg.h>
#include <stdio.h>

#include <forkpool.h>

#include "os/sys.h"
#include "shm/mend.h"
#include "task/claim.h"
#include "task/lane.h"

#define LOOKS		40
#define LOOK_PAUSE_NS	((int64_t)1000000)

/* One slot under the eye. */
struct view {
	const struct fp_segment *seg;
	struct fp_slot slot;
	uint64_t word;		/* the job's */
	uint64_t gen;		/* its short generation */
	uint32_t tops;
	char *text;
	size_t size;
};

__attribute__((format(printf, 3, 4)))
static bool wrong(char *text, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, size, format, args);
	va_end(args);
	return false;
}

/* Says what is wrong in a view's slot; false. */
#define WRONG(v, format, ...) \
	wrong((v)->text, (v)->size, "slot %u: " format, (v)->slot.index, __VA_ARGS__)

/* ---- Words ------------------------------------------------------------------------------ */

/* I3.  A word that is not RUN any more says nothing about the intent. */
static bool run_sound(const struct view *v, uint32_t id, uint32_t k, fp_a64 *at,
		      uint64_t w)
{
	uint32_t owner = fp_word_owner(w), d;
	uint64_t intent = FP_INTENT_NONE;

	if (owner == FP_NOBODY && (v->word & FP_JOB_CANCEL))
		return true;
	if (owner >= v->seg->geo.workers)
		return WRONG(v, "region %u word %u: no worker %u", id, k, owner);
	for (d = fp_segment_depth(v->seg, owner); d-- > 0;) {
		/* CHECK-I1: before the second look at the word; pairs with CLAIM-C1. */
		intent = fp_load_acq(&fp_segment_frame(v->seg, owner, d)->intent);
		if (intent == fp_intent(fp_word_gen(w), v->slot.index, id, k))
			return true;
	}
	/* CHECK-W1: after the intents, which are written before the claim and again only after the word; pairs with CLAIM-C1. */
	if (fp_load_sc(at) != w)
		return true;
	return WRONG(v, "region %u word %u: the intent of worker %u is %#llx",
		     id, k, owner, (unsigned long long)intent);
}

/* I4.  Nor does a word that is not SPLIT any more say anything of the sub-region. */
static bool split_sound(const struct view *v, uint32_t id, uint32_t k, fp_a64 *at,
			uint64_t w)
{
	const struct fp_geometry *geo = &v->seg->geo;
	uint32_t sub = fp_word_owner(w);
	struct fp_region *reg = &v->slot.regions[sub];
	uint64_t name, extent, low, bit, end;

	if (sub <= geo->tops || sub >= geo->ids)
		return WRONG(v, "region %u word %u: no sub-region %u", id, k, sub);
	/* CHECK-S1: these four before the second look at the word; pairs with CLAIM-P3, CLAIM-P5 and CLAIM-P6. */
	name = fp_load_acq(&reg->name);
	extent = fp_load_acq(&reg->extent);
	low = fp_load_acq(&reg->low);
	bit = fp_load_acq(&v->slot.job->used[sub / 64]) >> (sub % 64) & 1;
	end = fp_load_rlx(&v->slot.regions[id].low) + fp_word_end(w);
	/* CHECK-W2: the entry was read while the word named it; pairs with CLAIM-P4. */
	if (fp_load_sc(at) != w)
		return true;
	if (fp_name_parent(name) != id || fp_name_index(name) != k || !fp_word_gen(name))
		return WRONG(v, "region %u word %u: sub-region %u belongs elsewhere", id, k, sub);
	if (fp_word_gen(extent) != fp_word_gen(name) || low + fp_tagged_value(extent) != end)
		return WRONG(v, "region %u word %u: sub-region %u ends at another item", id, k, sub);
	if (!bit)
		return WRONG(v, "region %u word %u: sub-region %u is not in the table", id, k, sub);
	return true;
}

static bool word_sound(const struct view *v, uint32_t id, uint32_t k, fp_a64 *at,
		       uint64_t w)
{
	switch (fp_word_state(w)) {
	case FP_RUN:
		return run_sound(v, id, k, at, w);
	case FP_SPLIT:
		return split_sound(v, id, k, at, w);
	case FP_DONE:
		if (fp_word_owner(w) < v->seg->geo.ids ||
		    (fp_word_owner(w) == FP_NOBODY && (v->word & FP_JOB_CANCEL)))
			return true;
		return WRONG(v, "region %u word %u: no owner %u", id, k, fp_word_owner(w));
	case FP_EMPTY:
		break;
	}
	return WRONG(v, "region %u word %u: empty, but of this generation", id, k);
}

/* ---- Regions ---------------------------------------------------------------------------- */

/* I2, and I5 where the region is said to be over. */
static bool log_sound(const struct view *v, uint32_t id, uint64_t gen, uint64_t len,
		      bool over)
{
	uint32_t words = 0, k;
	fp_a64 *log = fp_slot_log(v->seg, &v->slot, id, v->tops, &words);
	uint64_t next = 0, last = 0, w;

	for (k = words; k-- > 0;) {
		/* CHECK-L1: from the end: with a word of ours behind it, this one was claimed before; pairs with CLAIM-C1. */
		w = fp_load_acq(&log[k]);
		if (fp_word_gen(w) != gen && !next)
			continue;
		if (fp_word_gen(w) != gen)
			return WRONG(v, "region %u word %u: a hole", id, k);
		if (!fp_word_end(w) || fp_word_end(w) > len || (next && fp_word_end(w) >= next))
			return WRONG(v, "region %u word %u: ends at %llu", id, k,
				     (unsigned long long)fp_word_end(w));
		if (over && fp_word_state(w) != FP_DONE)
			return WRONG(v, "region %u word %u: not done", id, k);
		if (!word_sound(v, id, k, &log[k], w))
			return false;
		if (!next && k == words - 1 && fp_word_end(w) != len)
			return WRONG(v, "region %u: the log is full and not closed", id);
		last = next ? last : fp_word_end(w);
		next = fp_word_end(w);
	}
	if (over && last != len)
		return WRONG(v, "region %u: over, but claimed up to %llu of %llu only", id,
			     (unsigned long long)last, (unsigned long long)len);
	return true;
}

static bool region_sound(const struct view *v, uint32_t id, uint64_t gen, bool over)
{
	uint64_t extent = fp_load_rlx(&v->slot.regions[id].extent);
	uint64_t len = fp_tagged_value(extent);

	if (fp_word_gen(extent) != gen || len == 0 || len > FP_REGION_MAX)
		return WRONG(v, "region %u: no sound length", id);
	return log_sound(v, id, gen, len, over);
}

static bool tops_sound(const struct view *v, bool done)
{
	uint64_t low = 0, w;
	uint32_t q;

	for (q = 1; q <= v->tops; q++) {
		struct fp_region *reg = &v->slot.regions[q];

		/* CHECK-R1: a region that is over here has all its words DONE; pairs with CLAIM-F3. */
		w = fp_load_acq(&v->slot.root[q - 1]);
		if (w != fp_word(v->gen, FP_SPLIT, q, q) && w != fp_word(v->gen, FP_DONE, q, q))
			return WRONG(v, "root word %u is %#llx", q - 1, (unsigned long long)w);
		if (done && fp_word_state(w) != FP_DONE)
			return WRONG(v, "done, but root word %u is not", q - 1);
		if (fp_load_rlx(&reg->name) != fp_name(v->gen, 0, q - 1) ||
		    fp_load_rlx(&reg->low) != low)
			return WRONG(v, "region %u has another name or start", q);
		if (!region_sound(v, q, v->gen, fp_word_state(w) == FP_DONE))
			return false;
		low += fp_tagged_value(fp_load_rlx(&reg->extent));
	}
	return true;
}

/* The word above a sub-region, if it names it; else 0. */
static uint64_t named_by(const struct view *v, uint64_t name, uint32_t id)
{
	fp_a64 *up = fp_claim_word(v->seg, &v->slot, v->tops, fp_name_parent(name),
				   fp_name_index(name));
	/* CHECK-N1: what it names is as its maker published it; pairs with CLAIM-P4. */
	uint64_t p = up && fp_word_gen(name) ? fp_load_sc(up) : 0;

	return fp_word_state(p) == FP_SPLIT && fp_word_owner(p) == id ? p : 0;
}

static bool subs_sound(const struct view *v, bool done)
{
	uint32_t id;

	for (id = 1 + v->seg->geo.tops; id < v->seg->geo.ids; id++) {
		uint64_t name = fp_load_rlx(&v->slot.regions[id].name);

		if (!named_by(v, name, id))
			continue;
		if (done)
			return WRONG(v, "done, but sub-region %u is named by region %u", id,
				     fp_name_parent(name));
		if (!region_sound(v, id, fp_word_gen(name), false) &&
		    named_by(v, name, id) && fp_load_rlx(&v->slot.regions[id].name) == name)
			return false;
	}
	return true;
}

/* ---- Slots ------------------------------------------------------------------------------ */

static bool job_sound(struct view *v)
{
	unsigned flags = v->word & 0xff, state = flags & (FP_JOB_RUN | FP_JOB_DONE);
	const uint64_t known = FP_JOB_RUN | FP_JOB_DONE | FP_JOB_ASKED;

	if ((flags & ~known) || (state != FP_JOB_RUN && state != FP_JOB_DONE))
		return WRONG(v, "the job's flags are %#x", flags);
	if (v->gen == 0 || v->tops == 0 || v->tops > v->seg->geo.tops)
		return WRONG(v, "generation %llu, %u top regions", (unsigned long long)v->gen, v->tops);
	if (fp_load_rlx(&v->slot.regions[0].name) != fp_name(v->gen, 0, 0) ||
	    fp_load_rlx(&v->slot.regions[0].extent) != fp_tagged(v->gen, v->tops))
		return WRONG(v, "the root is not of generation %llu", (unsigned long long)v->gen);
	return tops_sound(v, state == FP_JOB_DONE) && subs_sound(v, state == FP_JOB_DONE);
}

/* Who was about to publish the next job in a nested slot may have died half-way. */
static bool abandoned(const struct view *v)
{
	uint64_t root = fp_load_rlx(&v->slot.regions[0].name);

	return v->slot.index >= FP_SLOTS && !(v->word & FP_JOB_RUN) && fp_word_gen(root) != v->gen;
}

/* One look; true as well when the job changed under it. */
static bool slot_look(struct view *v)
{
	bool sound = true;

	/* CHECK-J1: the job as published, or its end; pairs with JOB-P1 and JOB-D1. */
	v->word = fp_load_sc(&v->slot.job->word);
	v->gen = FP_JOB_GEN(v->word) & FP_GEN_MASK;
	v->tops = fp_load_rlx(&v->slot.job->tops);
	if (!abandoned(v))
		sound = job_sound(v);
	/* CHECK-J2: the same job all the while; pairs with JOB-P1 and JOB-D1. */
	return sound || fp_load_sc(&v->slot.job->word) != v->word;
}

static void pause_a_little(void)
{
	fp_a32 nobody_wakes = 0;

	fp_sys.futex_wait(&nobody_wakes, 0, fp_deadline(LOOK_PAUSE_NS));
}

static bool slot_sound(const struct fp_segment *seg, uint32_t slot, char *text,
		       size_t size)
{
	struct view v = { .seg = seg, .text = text, .size = size };
	int i;

	v.slot = fp_segment_slot(seg, slot);
	for (i = 0; i < LOOKS; i++) {
		if (slot_look(&v))
			return true;
		pause_a_little();
	}
	return false;
}

/* ---- Tasks ------------------------------------------------------------------------------ */

static bool is_number(const struct fp_segment *seg, uint32_t number)
{
	uint32_t page = number / FP_PAGE_SLOTS;

	return page > 0 && page < seg->geo.pages && page < fp_load_rlx(&seg->ctl->task_pages) &&
	       number % FP_PAGE_SLOTS;
}

/* I10. */
static bool runner_sound(const struct fp_segment *seg, uint32_t number, uint64_t w, char *text,
			 size_t size)
{
	uint32_t who = fp_task_who(w), d;

	if (who >= seg->geo.workers)
		return wrong(text, size, "task %u: no worker %u", number, who);
	for (d = fp_segment_depth(seg, who); d-- > 0;)
		/* CHECK-I2: as CHECK-I1; pairs with TASK-C1. */
		if (fp_load_acq(&fp_segment_frame(seg, who, d)->intent) ==
		    fp_intent_of_task(fp_task_gen(w), number))
			return true;
	/* CHECK-T1: after the intents, as CHECK-W1; pairs with TASK-C1. */
	if (fp_load_sc(&fp_segment_task(seg, number)->word) != w)
		return true;
	return wrong(text, size, "task %u: no intent of worker %u names it", number, who);
}

/* I9, for a turn in, or the visit of, a page. */
static bool too_new(const struct fp_segment *seg, uint32_t page, uint32_t visit, uint32_t newest)
{
	int32_t ahead = (int32_t)(visit - newest);
	bool crew = fp_load_rlx(fp_segment_owner(seg, page)) > FP_HOST_LANES;

	return ahead > (int32_t)(FP_VISIT_STEP | FP_TURN_BARE) + (crew ? (int32_t)FP_LANE_LONG_AGO : 0);
}

static bool task_sound(const struct fp_segment *seg, uint32_t number, uint32_t newest, char *text,
		       size_t size)
{
	struct fp_task *t = fp_segment_task(seg, number);
	/* CHECK-T2: as claimed; pairs with TASK-C1. */
	uint64_t w = fp_load_sc(&t->word);

	if (too_new(seg, number / FP_PAGE_SLOTS, fp_load_rlx(&t->turn), newest))
		return wrong(text, size, "task %u: turn %u, but its lane's visit is %u", number,
			     fp_load_rlx(&t->turn), newest);
	switch ((unsigned)fp_task_state(w)) {
	case FP_TASK_FREE:
		return w ? wrong(text, size, "task %u: free, but %#llx", number, (unsigned long long)w)
			 : true;
	case FP_TASK_READY:
		return fp_task_who(w) > FP_TASK_AGAIN || fp_task_outcome(w) || (w & FP_TASK_FLAGS)
			       ? wrong(text, size, "task %u: ready, but %#llx", number, (unsigned long long)w)
			       : true;
	case FP_TASK_RUN:
		return runner_sound(seg, number, w, text, size);
	case FP_TASK_DONE:
		return fp_task_outcome(w) > FORKPOOL_ITEM_NOT_RUN || (w & FP_TASK_FLAGS)
			       ? wrong(text, size, "task %u: done, but %#llx", number, (unsigned long long)w)
			       : true;
	}
	return wrong(text, size, "task %u: state %u", number, (unsigned)fp_task_state(w));
}

/* I8.  How many pages one comes by from where the submitter is; 0: not sound. */
static uint32_t ring_length(const struct fp_segment *seg, uint32_t lane, char *text, size_t size)
{
	/* CHECK-T3: with the page its own next; pairs with TASK-A1. */
	uint32_t at = fp_load_acq(&fp_segment_lane(seg, lane)->at), page = at, n = 0;

	do {
		if (!is_number(seg, page * FP_PAGE_SLOTS + 1) || page >= FP_TASK_PAGES ||
		    fp_load_rlx(fp_segment_owner(seg, page)) != lane + 1) {
			wrong(text, size, "lane %u: page %u is not its own", lane, page);
			return 0;
		}
		/* CHECK-T4: as CHECK-T3; pairs with TASK-L1. */
		page = fp_load_acq(&fp_segment_page(seg, page)->next);
		n++;
	} while (page != at && n < FP_TASK_PAGES);
	return n;
}

/* I9, and the tasks in each page of a lane. */
static bool pages_sound(const struct fp_segment *seg, uint32_t lane, uint32_t *n, char *text,
			size_t size)
{
	uint32_t pages = fp_load_rlx(&seg->ctl->task_pages), page, i, visit;
	/* CHECK-T5: with the page its visit; pairs with TASK-A1. */
	uint32_t newest = fp_load_rlx(&fp_segment_page(seg, fp_load_acq(&fp_segment_lane(seg, lane)->at))->visit);

	for (*n = 0, page = 1; page < pages; page++) {
		if (fp_load_rlx(fp_segment_owner(seg, page)) != lane + 1)
			continue;
		++*n;
		visit = fp_load_rlx(&fp_segment_page(seg, page)->visit);
		if (too_new(seg, page, visit, newest))
			return wrong(text, size, "page %u: visit %u, but its lane's is %u", page, visit, newest);
		for (i = 1; i < FP_PAGE_SLOTS; i++)
			if (!task_sound(seg, page * FP_PAGE_SLOTS + i, newest, text, size))
				return false;
	}
	return true;
}

static bool lane_sound(const struct fp_segment *seg, uint32_t lane, char *text, size_t size)
{
	uint32_t len, n;

	if (!fp_load_rlx(&fp_segment_lane(seg, lane)->epoch))
		return wrong(text, size, "lane %u: in use, but its epoch is 0", lane);
	len = ring_length(seg, lane, text, size);
	if (!len || !pages_sound(seg, lane, &n, text, size))
		return false;
	if (lane < FP_HOST_LANES && len != n)
		return wrong(text, size, "lane %u: %u pages, but %u in the ring", lane, n, len);
	return true;
}

static bool owners_sound(const struct fp_segment *seg, char *text, size_t size)
{
	uint32_t pages = fp_load_rlx(&seg->ctl->task_pages), page;

	if (pages > seg->geo.pages)
		return wrong(text, size, "%u pages of tasks", pages);
	for (page = 1; page < pages; page++)
		if (fp_load_rlx(fp_segment_owner(seg, page)) > fp_segment_lanes(seg))
			return wrong(text, size, "page %u: no lane %u", page,
				     fp_load_rlx(fp_segment_owner(seg, page)) - 1);
	return true;
}

/* The lanes of a bitmap, of which there are n, from `first` on. */
static bool lanes_sound(const struct fp_segment *seg, const fp_a64 *map, uint32_t n, uint32_t first,
			char *text, size_t size)
{
	uint64_t left;
	uint32_t i, k;

	for (i = 0; i < fp_div_up(n, 64); i++)
		/* CHECK-T6: the lane is open; pairs with TASK-B1. */
		for (left = fp_load_acq(&map[i]); left; left &= left - 1) {
			k = i * 64 + (uint32_t)__builtin_ctzll(left);
			if (k >= n)
				return wrong(text, size, "lane %u behind the last one", first + k);
			if (!lane_sound(seg, first + k, text, size))
				return false;
		}
	return true;
}

static bool tasks_look(const struct fp_segment *seg, char *text, size_t size)
{
	const struct fp_ctl *ctl = seg->ctl;
	uint32_t workers = seg->geo.workers, p;

	if (!owners_sound(seg, text, size))
		return false;
	for (p = 0; p < FP_PRIOS; p++)
		if (!lanes_sound(seg, ctl->host_lanes[p], FP_HOST_LANES, 0, text, size) ||
		    !lanes_sound(seg, ctl->crew_lanes[p], workers, fp_crew_lane(workers, p, 0), text, size))
			return false;
	return true;
}

static bool tasks_sound(const struct fp_segment *seg, char *text, size_t size)
{
	int i;

	for (i = 0; i < LOOKS; i++) {
		if (tasks_look(seg, text, size))
			return true;
		pause_a_little();
	}
	return false;
}

/* ---- All -------------------------------------------------------------------------------- */

/* What a worker is about is well formed. */
static bool intent_sound(const struct fp_segment *seg, uint64_t intent)
{
	if (intent == FP_INTENT_NONE)
		return true;
	if (!(intent >> 63))
		return false;
	return intent & FP_INTENT_TASK ? is_number(seg, fp_intent_task(intent))
				       : fp_intent_region(intent) < seg->geo.ids;
}

static bool header_sound(const struct fp_segment *seg, char *text, size_t size)
{
	const struct fp_ctl *ctl = seg->ctl;
	const struct fp_geometry *geo = &seg->geo;

	if (ctl->magic != FP_MAGIC || ctl->layout != FP_LAYOUT)
		return wrong(text, size, "magic or layout");
	if (ctl->workers != geo->workers || ctl->worker_off != geo->worker_off ||
	    ctl->slot_off != geo->slot_off || ctl->slot_stride != geo->slot_stride ||
	    ctl->nest_off != geo->nest_off || ctl->nest_stride != geo->nest_stride ||
	    ctl->frame_off != geo->frame_off || ctl->arena_off != geo->ctl_size || ctl->arena_size != seg->arena_size)
		return wrong(text, size, "the header differs from the geometry");
	if (fp_load_rlx(&ctl->crew) - 1 >= geo->workers)
		return wrong(text, size, "%u workers wanted", fp_load_rlx(&ctl->crew));
	if (fp_load_rlx(&ctl->fences) > FP_FENCES_OWN)
		return wrong(text, size, "fences is %u", fp_load_rlx(&ctl->fences));
	if (fp_load_rlx(&ctl->stop) > FP_STOP_NOW)
		return wrong(text, size, "stop is %u", fp_load_rlx(&ctl->stop));
	return true;
}

static bool workers_sound(const struct fp_segment *seg, char *text, size_t size)
{
	struct fp_ctl *ctl = seg->ctl;
	uint32_t n = seg->geo.workers, i, state;
	uint64_t mask, intent;

	for (i = 0; i < FP_MAP_WORDS; i++) {
		mask = n >= 64 * (i + 1) ? 0 : n <= 64 * i ? ~(uint64_t)0 : ~(uint64_t)0 << n % 64;
		if ((fp_load_rlx(&ctl->hungry[i]) | fp_load_rlx(&ctl->asleep[i]) |
		     fp_load_rlx(&ctl->waiting[i]) | fp_load_rlx(&ctl->nest_asleep[i])) & mask)
			return wrong(text, size, "bits %u of the maps name no worker", i);
	}
	for (i = 0; i < n; i++) {
		state = fp_load_rlx(&fp_segment_worker(seg, i)->state);
		intent = fp_load_rlx(&fp_segment_worker(seg, i)->base.intent);
		if (state > FP_WORKER_LEFT)
			return wrong(text, size, "worker %u: state %u", i, state);
		if (!intent_sound(seg, intent))
			return wrong(text, size, "worker %u: intent %#llx", i, (unsigned long long)intent);
	}
	return true;
}

/* I7. */
static bool heap_sound(const struct fp_segment *seg, char *text, size_t size)
{
	const struct fp_heap_place place = fp_segment_heap(seg, false);
	struct fp_units units;
	int i;

	fp_units_view(&units, &place, FP_HEAP_NURSERY);
	for (i = 0; i < LOOKS; i++) {
		if (!fp_heap_check(&units, seg->geo.workers, text, size))
			return true;
		pause_a_little();
	}
	return false;
}

const char *fp_check(const struct fp_segment *seg, char *text, size_t size)
{
	bool sound = header_sound(seg, text, size) && workers_sound(seg, text, size) &&
		     heap_sound(seg, text, size) && tasks_sound(seg, text, size);
	uint64_t active;
	uint32_t i;

	for (i = 0; i < FP_SLOT_MAP && sound; i++)
		/* CHECK-A1: slots that have had a job; pairs with JOB-A1. */
		for (active = fp_load_acq(&seg->ctl->active[i]); active && sound; active &= active - 1)
			sound = slot_sound(seg, i * 64 + (uint32_t)__builtin_ctzll(active), text, size);
	return sound ? NULL : text;
}
