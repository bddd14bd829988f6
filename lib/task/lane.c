/* SPDX-License-Identifier: MIT */
/*
 * What.  The submitter's side of a lane: a ring of pages of slots, gone round by
 * one thread, which puts a task into each free slot that it comes by.
 *
 *	         next           next           next
 *	page 7 --------> page 9 --------> page 8 --------> page 7
 *	visit 12         visit 13         visit 11         (turns likewise)
 *	DONE DONE RUN ..  READY READY | old turns
 *	                              ^ home, index: the submitter; cursors come up from behind
 *
 * Usage.  One thread at a time: a host thread with its lanes, a worker with its
 * own.  fp_lane_place(), fill the slot, fp_lane_ready(), fp_lane_show().
 *
 * Invariants.
 * I1 The task word is the truth (taskwords.h); turn, visit, next, at are hints,
 *    which say in which order to look.
 * I2 Visits of pages have consecutive even numbers.  A slot's turn becomes the visit
 *    when the submitter passes it and puts a task there, and that + 1 (FP_TURN_BARE)
 *    when it puts none there.
 * I3 A page is filled only if no slot in it is READY.  Others are passed over: all
 *    turns, then the visit.  So each READY slot has been passed in the last visit
 *    of its page, and a cursor that follows the visits comes by.  After a few pages
 *    like that a new one is linked in; in a host thread's lane at once, so that the
 *    ring has the order of submission.
 * I4 A slot is used again only when its task has ended and nobody asks for it.
 * I5 Nothing here is read back from the segment and trusted but the states of
 *    words: generations, pages and their order are the process's own.  (A worker
 *    that takes a lane over reads the generations too.)
 *
 * Ordering pairs.  TASK-R1 (a task as filled in; with TASK-C1), TASK-T1/TASK-T2
 * (turn), TASK-V1/TASK-V2 (visit), TASK-P1 (a page's owner).
 *
 * Progress.  Wait-free, but for the search for a free page.
 *
 * If the owner dies.  A worker's READY tasks are cancelled, but those of items that
 * have ended; RUN ones go on unseen; the next worker with its id takes the pages over (adopt), which starts
 * all cursors anew.  A page that it had taken and not linked is found by its owner
 * word.  Model: tests/models/lane.pml.
 */
#include "task/lane.h"

#include <errno.h>

#include "os/sys.h"

#define SEEK_BACK	16u	/* pages where one may have come free again: there was no memory for it */
#define PASS_MOST	2u	/* full pages passed over before a new one is linked in */

/* ---- Pages --------------------------------------------------------------------------- */

static void raise_pages(struct fp_ctl *ctl, uint32_t to)
{
	uint32_t was = fp_load_rlx(&ctl->task_pages);

	/* TASK-P2: only grows; before a page is used; pairs with itself and DUE-T6. */
	while (was < to && !fp_cas_sc(&ctl->task_pages, &was, to))
		;
}

/* The words of owners have memory for pages below task_pages, and those that begin a new page of them. */
static int owner_room(const struct fp_producer *p, uint32_t page)
{
	fp_a32 *owner = fp_segment_owner(p->seg, page);

	if (page > 1 && page % (FP_PAGE / sizeof(*owner)))
		return 0;
	return fp_segment_take_room(p->seg, owner, sizeof(*owner), p->host);
}

/* A page of this lane's own, with memory; 0: none is left, or no memory. */
static uint32_t page_take(struct fp_producer *p)
{
	struct fp_ctl *ctl = p->seg->ctl;
	uint32_t known = fp_load_rlx(&ctl->task_pages), nobody;
	uint32_t page = known > SEEK_BACK ? known - SEEK_BACK : 1;

	for (; page < p->seg->geo.pages; page++) {
		if (page >= fp_load_rlx(&ctl->task_pages)) {
			if (owner_room(p, page))
				return 0;
			raise_pages(ctl, page + 1);
		}
		nobody = 0;
		/* TASK-P1: each page has one owner; pairs with TASK-P1. */
		if (fp_load_rlx(fp_segment_owner(p->seg, page)) ||
		    !fp_cas_sc(fp_segment_owner(p->seg, page), &nobody, p->id + 1))
			continue;
		if (!fp_segment_take_room(p->seg, fp_segment_page(p->seg, page), FP_PAGE, p->host))
			return page;
		/* TASK-P3: nothing was done with it; pairs with TASK-P1. */
		fp_store_rel(fp_segment_owner(p->seg, page), 0);
		return 0;
	}
	return 0;
}

/* Long ago, as any cursor sees it: none takes the page for newer than its own, or for the next one. */
static void age(const struct fp_producer *p, const struct fp_home *h)
{
	uint32_t past = p->visit - FP_LANE_LONG_AGO, i;

	/* First the visit: what is READY here does not look as if it had not been shown. */
	fp_store_rlx(&fp_segment_page(p->seg, h->page)->visit, past);
	for (i = 1; i < FP_PAGE_SLOTS; i++)
		/* TASK-T4: after the visit; pairs with TASK-T5. */
		fp_store_rel(&fp_segment_task(p->seg, h->page * FP_PAGE_SLOTS + i)->turn, past);
}

/* Links a home in behind the current one; the ring's first points at itself. */
static void link_home(struct fp_producer *p, struct fp_home *h)
{
	struct fp_task_page *page = fp_segment_page(p->seg, h->page);

	h->next = p->home ? p->home->next : h;
	fp_store_rlx(&page->next, h->next->page);
	if (p->home) {
		p->home->next = h;
		/* TASK-L1: with the page's own next; pairs with TASK-L2. */
		fp_store_rel(&fp_segment_page(p->seg, p->home->page)->next, h->page);
	}
	p->pages++;
}

static struct fp_home *home_make(struct fp_producer *p, uint32_t page)
{
	struct fp_home *h = p->home_new(p->ctx, page);

	if (!h)
		return NULL;
	h->page = page;
	h->free = FP_ALL_PLACES;
	return h;
}

/* ---- Slots that come free --------------------------------------------------------------- */

static uint64_t word_at(const struct fp_producer *p, const struct fp_home *h, uint32_t i)
{
	/* TASK-E1: what the task left behind is seen before the place is used again; pairs with TASK-D1. */
	return fp_load_acq(&fp_segment_task(p->seg, h->page * FP_PAGE_SLOTS + i)->word);
}

static bool has_ended(uint64_t word)
{
	return fp_task_state(word) == FP_TASK_DONE || fp_task_state(word) == FP_TASK_FREE;
}

/* Takes back the places of tasks that were given up and have ended. */
static void collect(struct fp_producer *p, struct fp_home *h)
{
	/* TASK-G1: what was done with the job before it was given up; pairs with TASK-G2. */
	uint32_t left = fp_load_acq(&h->given_up), i;

	for (; left; left &= left - 1) {
		i = (uint32_t)__builtin_ctz(left);
		if (!has_ended(word_at(p, h, i)))
			continue;
		/* TASK-G3: others give up other places at the same time; pairs with TASK-G2. */
		fp_and_sc(&h->given_up, ~((uint32_t)1 << i));
		p->freed(p->ctx, h, i);
		fp_lane_give(h, i);
	}
}

static bool any_ready(const struct fp_producer *p, const struct fp_home *h)
{
	uint32_t busy = FP_ALL_PLACES & ~h->free;

	for (; busy; busy &= busy - 1)
		if (fp_task_state(word_at(p, h, (uint32_t)__builtin_ctz(busy))) == FP_TASK_READY)
			return true;
	return false;
}

/* ---- Going round ---------------------------------------------------------------------------- */

static void set_turn(const struct fp_producer *p, uint32_t number, uint32_t visit)
{
	/* TASK-T1: what lies in the slot can be found; pairs with TASK-T2 and TASK-T7. */
	fp_store_rel(&fp_segment_task(p->seg, number)->turn, visit);
}

/* The next page in the order of visits. */
static void enter(struct fp_producer *p, struct fp_home *h)
{
	p->home = h;
	p->index = 0;
	h->visit = p->visit += FP_VISIT_STEP;
	/* TASK-V1: cursors may come; after the turns of a page that is passed over; pairs with TASK-V2. */
	fp_store_rel(&fp_segment_page(p->seg, h->page)->visit, p->visit);
	/* TASK-A1: the visit before; pairs with TASK-A2. */
	fp_store_rel(&p->lane->at, h->page);
}

static void pass_over(struct fp_producer *p, struct fp_home *h)
{
	uint32_t i;

	for (i = 1; i < FP_PAGE_SLOTS; i++)
		set_turn(p, h->page * FP_PAGE_SLOTS + i, (p->visit + FP_VISIT_STEP) | FP_TURN_BARE);
	enter(p, h);
	p->index = FP_PAGE_SLOTS - 1;
}

static int add_page(struct fp_producer *p)
{
	uint32_t page = page_take(p);
	struct fp_home *h = page ? home_make(p, page) : NULL;

	if (page && !h)
		/* TASK-P4: as TASK-P3; pairs with TASK-P1. */
		fp_store_rel(fp_segment_owner(p->seg, page), 0);
	if (!h)
		return -ENOMEM;
	age(p, h);
	link_home(p, h);
	enter(p, h);
	return 0;
}

/*
 * Tasks of a thread are begun in order, so what is READY there stays in front.  Of
 * an item's the oldest ones wait longest: they would never be passed.
 */
static bool keeps_order(const struct fp_producer *p)
{
	return p->id < FP_HOST_LANES;
}

/* To a page that can be filled. */
static int next_page(struct fp_producer *p)
{
	struct fp_home *h;
	uint32_t n;
	bool ready;

	for (n = 0; p->home && n < p->pages; n++) {
		h = p->home->next;
		collect(p, h);
		ready = any_ready(p, h);
		if (h->free && !ready) {
			enter(p, h);
			return 0;
		}
		if ((n >= PASS_MOST || (ready && keeps_order(p))) && !add_page(p))
			return 0;
		pass_over(p, h);
	}
	return add_page(p);
}

int fp_lane_search(struct fp_producer *p, struct fp_place *ret)
{
	struct fp_home *h = p->home;
	uint32_t left, i;
	int err;

	for (;;) {
		left = h ? h->free & ~(((uint32_t)2 << p->index) - 1) : 0;
		i = left ? (uint32_t)__builtin_ctz(left) : FP_PAGE_SLOTS;
		while (h && ++p->index < i)
			set_turn(p, h->page * FP_PAGE_SLOTS + p->index, p->visit | FP_TURN_BARE);
		if (left)
			break;
		err = next_page(p);
		if (err) {
			p->index = FP_PAGE_SLOTS - 1;
			return err;
		}
		h = p->home;
	}
	fp_lane_use(p, h, ret);
	return 0;
}

/* ---- Counting ----------------------------------------------------------------------------------- */

void fp_lane_count(struct fp_producer *p)
{
	struct fp_home *h = p->home;
	uint32_t n, left, i;

	for (n = 0; n < p->pages; n++, h = h->next)
		for (left = h->counts; left; left &= left - 1) {
			i = (uint32_t)__builtin_ctz(left);
			if (!has_ended(word_at(p, h, i)))
				continue;
			h->counts &= ~((uint32_t)1 << i);
			p->used--;
		}
}

FP_TRIP uint32_t fp_lane_backlog(const struct fp_producer *p, uint32_t most)
{
	const struct fp_home *h = p->home;
	uint32_t n = 0, i;

	for (i = p->index; i > 0 && n < most; i--) {
		if (h->free >> i & 1)
			continue;
		if (fp_task_state(word_at(p, h, i)) != FP_TASK_READY)
			return n;
		n++;
	}
	return n;
}

void fp_lane_collect(struct fp_producer *p)
{
	struct fp_home *h = p->home;
	uint32_t n;

	for (n = 0; n < p->pages; n++, h = h->next)
		collect(p, h);
}

/* ---- A lane's beginnings ---------------------------------------------------------------------------- */

/*
 * The newest visit that anything of a page speaks of.  Who took the lane over before may
 * have died when the page's visit was put back, and not yet all turns: from there on these
 * would not be put behind what cursors know, but further and further away from the visit.
 */
static uint32_t newest_of(const struct fp_producer *p, uint32_t page)
{
	uint32_t newest = fp_load_rlx(&fp_segment_page(p->seg, page)->visit), i, turn;

	for (i = 1; i < FP_PAGE_SLOTS; i++) {
		turn = fp_load_rlx(&fp_segment_task(p->seg, page * FP_PAGE_SLOTS + i)->turn) & ~FP_TURN_BARE;
		if ((int32_t)(turn - newest) > 0)
			newest = turn;
	}
	return newest;
}

/* A page that an owner before this one had: what still runs there is nobody's. */
static void adopt_page(struct fp_producer *p, uint32_t page)
{
	struct fp_home *h = home_make(p, page);
	uint32_t i, visit;
	uint64_t w;

	/* Without memory it stays the lane's and is not used in this life. */
	if (!h)
		return;
	for (i = 1; i < FP_PAGE_SLOTS; i++) {
		w = word_at(p, h, i);
		fp_store_rlx(&h->gens[i], fp_task_gen(w));
		if (has_ended(w))
			continue;
		h->free &= ~((uint32_t)1 << i);
		fp_store_rlx(&h->given_up, fp_load_rlx(&h->given_up) | (uint32_t)1 << i);
	}
	visit = newest_of(p, page);
	if (!p->home || (int32_t)(visit - p->visit) > 0)
		p->visit = visit;
	link_home(p, h);
	p->home = h;
}

static void adopt(struct fp_producer *p)
{
	uint32_t pages = (uint32_t)fp_min(fp_load_rlx(&p->seg->ctl->task_pages), p->seg->geo.pages), page, n;
	struct fp_home *h;

	for (page = 1; page < pages; page++)
		if (fp_load_rlx(fp_segment_owner(p->seg, page)) == p->id + 1)
			adopt_page(p, page);
	for (n = 0, h = p->home; n < p->pages; n++, h = h->next)
		age(p, h);
	/* All of it: a cursor that begins here, before the first task, is to pass what lies here. */
	if (p->home)
		pass_over(p, p->home);
}

int fp_lane_open(struct fp_producer *p)
{
	int err = fp_segment_take_room(p->seg, p->lane, sizeof(*p->lane), p->host);
	fp_a64 *map = p->id < FP_HOST_LANES ? p->seg->ctl->host_lanes[p->prio]
					    : p->seg->ctl->crew_lanes[p->prio];
	uint32_t bit = p->id < FP_HOST_LANES ? p->id
					     : (p->id - FP_HOST_LANES) % p->seg->geo.workers;

	if (err)
		return err;
	fp_store_rlx(&p->lane->prio, p->prio);
	adopt(p);
	if (!p->home)
		err = add_page(p);
	if (err)
		return err;
	/* TASK-N1: the ring is as it is to be; pairs with TASK-N2. */
	fp_add_sc(&p->lane->epoch, 1);
	/* TASK-B1: before the first task; pairs with TASK-B2. */
	fp_or_sc(&map[bit / 64], (uint64_t)1 << (bit % 64));
	fp_kind_raise(p->seg->ctl, FP_KIND_TASK, p->prio);
	return 0;
}
