/* SPDX-License-Identifier: MIT */
/* A submitter and workers over a bare segment, played by the test: a part of tests of lanes. */
#ifndef TESTS_LINE_H
#define TESTS_LINE_H

#include <stdlib.h>
#include <string.h>

#include <forkpool.h>

#include "bare.h"
#include "task/lane.h"
#include "task/take.h"
#include "test.h"

#define LINE_HOMES	1024u

/* What the submitter's process would know. */
struct line {
	struct fp_producer p;
	struct fp_home *homes[LINE_HOMES];
	uint32_t count, freed;
	bool poor;		/* no memory for homes */
};

static inline struct fp_home *line_home(void *ctx, uint32_t page)
{
	struct line *l = ctx;
	struct fp_home *home;

	(void)page;
	if (l->poor || l->count == LINE_HOMES)
		return NULL;
	home = l->homes[l->count++] = calloc(1, sizeof(*home));
	home->owner = &l->p;
	return home;
}

static inline void line_freed(void *ctx, struct fp_home *home, uint32_t index)
{
	(void)home;
	(void)index;
	((struct line *)ctx)->freed++;
}

/* A lane by its id, of priority 1. */
static inline int line_open_at(struct line *l, struct bare *b, uint32_t id, uint32_t visit)
{
	memset(l, 0, sizeof(*l));
	l->p = (struct fp_producer){
		.seg = b->seg,
		.lane = fp_segment_lane(b->seg, id),
		.id = id,
		.prio = 1,
		.host = true,
		.visit = visit,
		.home_new = line_home,
		.freed = line_freed,
		.ctx = l,
	};
	return fp_lane_open(&l->p);
}

static inline void line_open(struct line *l, struct bare *b, uint32_t id)
{
	ck_assert_int_eq(line_open_at(l, b, id, 0), 0);
}

/* The process has ended; the lane lies there as it was. */
static inline void line_close(struct line *l)
{
	while (l->count)
		free(l->homes[--l->count]);
}

static inline int line_nothing(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return 0;
}

/* A task that is filled in and ready, and not shown yet. */
static inline struct fp_place line_ready(struct line *l)
{
	struct fp_place at;

	ck_assert_int_eq(fp_lane_place(&l->p, &at), 0);
	at.task->fn = (uintptr_t)line_nothing;
	at.task->arg = NULL;
	at.task->in_at = at.task->out_at = 0;
	fp_store_rlx(&at.task->flags, 0);
	fp_store_rlx(&at.task->asks, 0);
	fp_lane_ready(&at);
	return at;
}

static inline struct fp_place line_submit(struct line *l)
{
	struct fp_place at = line_ready(l);

	fp_lane_show(&at);
	return at;
}

/* Its options' part, without retries. */
static inline struct fp_task_ext *line_extend(struct fp_task *t)
{
	struct fp_task_ext *ext;

	t->flags |= FP_TASK_EXT;
	ext = fp_task_ext(t);
	ck_assert_ptr_nonnull(ext);
	memset(ext, 0, sizeof(*ext));
	return ext;
}

/* Nobody asks for it any more: as far as the submitter is concerned. */
static inline void line_give_up(const struct fp_place *at)
{
	fp_or_sc(&at->home->given_up, (uint32_t)1 << at->index);
}

struct hand {
	struct fp_runner r;
	struct fp_cursor at;
};

static inline void hand_open(struct hand *h, struct bare *b, uint32_t id)
{
	memset(h, 0, sizeof(*h));
	h->r.claimer = b->claimers[id];
	h->r.me = fp_segment_worker(b->seg, id);
	h->r.pid = 1000 + (int)id;
}

static inline bool hand_take(struct hand *h, const struct line *l, struct fp_taken *ret)
{
	return fp_take_next(&h->r, &h->at, l->p.id, ret);
}

/* Takes and runs one; its number, or 0. */
static inline uint32_t hand_run(struct hand *h, const struct line *l)
{
	struct fp_taken t;

	if (!hand_take(h, l, &t))
		return 0;
	fp_take_run(&h->r, &t);
	return t.number;
}

#endif
