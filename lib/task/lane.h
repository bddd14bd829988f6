/* SPDX-License-Identifier: MIT */
/* Where a submitter puts its tasks; see lane.c. */
#ifndef FP_TASK_LANE_H
#define FP_TASK_LANE_H

#include "shm/segment.h"

/* So many visits back are put those of a lane that is taken over: behind where any cursor is. */
#define FP_LANE_LONG_AGO	((uint32_t)1 << 30)

/*
 * A page of slots as its submitter's process knows it.  Never freed while the pool
 * lives.  Bit i of a mask is slot i; the submitter's alone, but given_up.
 */
struct fp_home {
	struct fp_home *next;		/* in the ring */
	struct fp_producer *owner;
	uint32_t page;
	uint32_t visit;			/* its submitter's last one */
	uint32_t free;			/* slots without a task */
	uint32_t counts;		/* slots whose tasks are in the owner's `used` */
	fp_a32 given_up;		/* nobody asks for these tasks any more; set by whoever gives up */
	fp_a32 gens[FP_PAGE_SLOTS];	/* of the last task in each; the submitter writes */
};

#define FP_ALL_PLACES	0xfffffffeu	/* place 0 is the header */

/* One submitter, with one priority; in its process's own memory. */
struct fp_producer {
	const struct fp_segment *seg;
	struct fp_lane *lane;
	uint32_t id, prio;
	bool host;			/* takes room by the file's descriptor */
	struct fp_home *home;		/* where it is in the ring; NULL: no page yet */
	uint32_t index, visit;
	uint32_t pages;
	uint32_t used;			/* at most so many tasks have not ended; counted anew when that is too many */
	/* Makes homes, each with its owner: by who also finds them by their page. */
	struct fp_home *(*home_new)(void *ctx, uint32_t page);
	void (*freed)(void *ctx, struct fp_home *home, uint32_t index);	/* a task that was given up has ended */
	void *ctx;
};

/* A slot that was found for a task. */
struct fp_place {
	struct fp_home *home;
	struct fp_task *task;
	uint32_t index;
	uint32_t number;
	uint32_t visit;			/* the submitter's, in which it comes by */
	uint32_t gen;			/* the new task's */
};

/*
 * Makes lane `id` of priority prio usable by p, which has its first four fields set,
 * and the callbacks: a lane of a dead worker, too, whose pages come along.  0 or -errno.
 */
int fp_lane_open(struct fp_producer *p);

/* The same where the next slot will not do. */
int fp_lane_search(struct fp_producer *p, struct fp_place *ret);

static inline void fp_lane_use(struct fp_producer *p, struct fp_home *h, struct fp_place *ret)
{
	uint32_t i = p->index;

	h->free &= ~((uint32_t)1 << i);
	h->counts |= (uint32_t)1 << i;
	ret->home = h;
	ret->index = i;
	ret->number = h->page * FP_PAGE_SLOTS + i;
	ret->task = fp_segment_task(p->seg, ret->number);
	ret->visit = p->visit;
	ret->gen = (fp_load_rlx(&h->gens[i]) + 1) & FP_TASK_GEN_MASK;
	/* TASK-H1: after the handle of the task before was void; pairs with TASK-H2. */
	fp_store_rel(&h->gens[i], ret->gen);
	p->used++;
}

/* Will the next slot do? */
static inline bool fp_lane_is_next_free(const struct fp_producer *p)
{
	return p->index + 1 < FP_PAGE_SLOTS && (p->home->free >> (p->index + 1) & 1);
}

static inline void fp_lane_use_next(struct fp_producer *p, struct fp_place *ret)
{
	p->index++;
	fp_lane_use(p, p->home, ret);
}

/* Finds a place for a task.  0; -ENOMEM: no page is to be had. */
static inline int fp_lane_place(struct fp_producer *p, struct fp_place *ret)
{
	if (fp_unlikely(!fp_lane_is_next_free(p)))
		return fp_lane_search(p, ret);
	fp_lane_use_next(p, ret);
	return 0;
}

/* READY; nobody sees it before fp_lane_show(). */
static inline void fp_lane_ready(const struct fp_place *at)
{
	/* TASK-R1: the task as filled in; pairs with TASK-C1. */
	fp_store_rel(&at->task->word, fp_task_word(at->gen, FP_TASK_READY, 0, 0));
}

/* Workers find it from now on, if they find those before it in its lane. */
static inline void fp_lane_show(const struct fp_place *at)
{
	/* Unless its page has been passed over since, and so the slot. */
	if (fp_likely((int32_t)(fp_load_rlx(&at->task->turn) - at->visit) < 0))
		/* TASK-T3: as TASK-T1; pairs with TASK-T2 and TASK-T7. */
		fp_store_rel(&at->task->turn, at->visit);
}

/* The same where nothing was put, for those behind it. */
static inline void fp_lane_show_bare(const struct fp_place *at)
{
	if (fp_likely((int32_t)(fp_load_rlx(&at->task->turn) - at->visit) < 0))
		/* TASK-T6: as TASK-T1; pairs with TASK-T2 and TASK-T7. */
		fp_store_rel(&at->task->turn, at->visit | FP_TURN_BARE);
}

/* The place is free again: its task has ended, or was never ready.  By the submitter. */
static inline void fp_lane_give(struct fp_home *home, uint32_t index)
{
	uint32_t bit = (uint32_t)1 << index;

	home->free |= bit;
	home->owner->used -= !!(home->counts & bit);
	home->counts &= ~bit;
}

/* Counts what has not ended, which `used` may exceed. */
void fp_lane_count(struct fp_producer *p);

/* How many of the last tasks nobody has begun: back to one that somebody has, or to the page's begin; at most so many. */
uint32_t fp_lane_backlog(const struct fp_producer *p, uint32_t most);

/* Takes back all that was given up and has ended. */
void fp_lane_collect(struct fp_producer *p);

#endif
