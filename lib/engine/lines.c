/* SPDX-License-Identifier: MIT */
/*
 * What.  A line for each thread that submits, and each priority it uses: a lane in
 * the segment, with what this process knows of the tasks there.
 *
 * Usage.  Host threads and, in a worker, its items.
 *
 * Invariants.
 * I1 A line is used by one thread.  When that has ended the next one that needs
 *    lines takes them over, with the tasks in them, so threads may come and go.
 * I2 Where all lanes of the host are taken, threads share one line for each
 *    priority, under its lock.
 * I3 Desks are never freed while the pool lives: a stale handle may be looked up.
 *
 * Ordering pairs.  DESK-D1/DESK-D2.  Threads: os/thread.c.
 *
 * Progress.  The lock is taken when a thread first submits, not later.
 *
 * If the owner dies.  Host threads don't die singly.  A worker's lines die with it;
 * the next one begins with what lies in the lane (task/lane.c).
 */
#include "engine/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/future.h"
#include "engine/memory.h"
#include "os/sys.h"
#include "sync/fence.h"

#define DESKS_SIZE	(FP_TASK_PAGES * sizeof(struct fp_desk *))

/* ---- The pool's ------------------------------------------------------------------------- */

int fp_lines_create(struct forkpool *pool, uint32_t depth)
{
	struct fp_lines *l = calloc(1, sizeof(*l));
	void *p;
	int err;

	if (!l)
		return -ENOMEM;
	err = fp_sys.map(&p, NULL, DESKS_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!err)
		err = -pthread_mutex_init(&l->lock, NULL);
	if (err) {
		free(l);
		return err;
	}
	pool->desks = p;
	pool->lines_serial = fp_serial_next();
	l->depth = depth;
	l->next_id = FP_PRIOS;
	pool->lines = l;
	return 0;
}

static void line_free(struct fp_line *line)
{
	if (!line)
		return;
	pthread_mutex_destroy(&line->lock);
	free(line);
}

/* Takes no lock: a forked child may come here. */
void fp_lines_destroy(struct forkpool *pool)
{
	struct fp_lines *l = pool->lines;
	struct fp_submitter *s, *next;
	uint32_t i;

	if (!l)
		return;
	for (s = l->list; s; s = next) {
		next = s->next;
		fp_thread_let_be(s->owner);
		for (i = 0; i < FP_PRIOS; i++)
			if (s->lines[i] != l->shared[i])
				line_free(s->lines[i]);
		free(s);
	}
	for (i = 0; i < FP_PRIOS; i++)
		line_free(l->shared[i]);
	for (i = 0; i < FP_PRIOS * pool->started; i++)
		line_free(pool->selves[i / FP_PRIOS].lines[i % FP_PRIOS]);
	for (i = 0; i < fp_min(l->desks_used, FP_TASK_PAGES); i++)
		free(fp_load_rlx(&pool->desks[i]));
	fp_sys.unmap((void *)pool->desks, DESKS_SIZE);
	pthread_mutex_destroy(&l->lock);
	free(l);
	pool->lines = NULL;
}

/* ---- Desks ------------------------------------------------------------------------------- */

static struct fp_home *desk_new(void *ctx, uint32_t page)
{
	struct fp_line *line = ctx;
	struct forkpool *pool = line->pool;
	struct fp_lines *l = pool->lines;
	struct fp_desk *desk = calloc(1, sizeof(*desk));
	uint32_t was = fp_load_rlx(&l->desks_used);

	if (!desk)
		return NULL;
	desk->home.owner = &line->lane;
	/* DESK-U1: only grows; pairs with DESK-U1. */
	while (was < page + 1 && !fp_cas_sc(&l->desks_used, &was, page + 1))
		;
	/* DESK-D2: pairs with DESK-D1. */
	fp_store_rel(&pool->desks[page], desk);
	return &desk->home;
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static struct fp_line *line_new(struct forkpool *pool, uint32_t prio, uint32_t id)
{
	const struct fp_segment *seg = &pool->crew.seg;
	struct fp_line *line = calloc(1, sizeof(*line));

	if (!line)
		return NULL;
	line->pool = pool;
	line->depth = pool->lines->depth;
	line->lane = (struct fp_producer){
		.seg = seg,
		.lane = fp_segment_lane(seg, id),
		.id = id,
		.prio = prio,
		.host = !fp_by_worker(pool) || pool->mode != FORKPOOL_PROCESSES,
		.home_new = desk_new,
		.freed = fp_future_freed,
		.ctx = line,
	};
	fp_fence_join(seg->ctl);
	if (pthread_mutex_init(&line->lock, NULL) || fp_lane_open(&line->lane)) {
		free(line);
		return NULL;
	}
	return line;
}

/* For a thread of the host; under the lock. */
static struct fp_line *line_for(struct forkpool *pool, uint32_t prio)
{
	struct fp_lines *l = pool->lines;
	struct fp_line *line = NULL;

	if (l->next_id < FP_HOST_LANES) {
		line = line_new(pool, prio, l->next_id);
		l->next_id += !!line;
		return line;
	}
	if (!l->shared[prio]) {
		line = line_new(pool, prio, prio);
		if (line)
			line->shared = true;
		l->shared[prio] = line;
	}
	return l->shared[prio];
}

static struct fp_submitter *submitter_for(struct fp_lines *l, struct fp_thread *me)
{
	struct fp_submitter *s;

	for (s = l->list; s; s = s->next)
		if (s->owner == me)
			return s;
	for (s = l->list; s && !fp_thread_ended(s->owner); s = s->next)
		;
	if (s) {
		fp_thread_let_be(s->owner);
	} else {
		s = calloc(1, sizeof(*s));
		if (!s)
			return NULL;
		s->next = l->list;
		l->list = s;
	}
	s->owner = me;
	fp_thread_hold(me);
	return s;
}

static struct fp_line *host_line(struct forkpool *pool, uint32_t prio)
{
	struct fp_thread *me = fp_thread_self();
	struct fp_lines *l = pool->lines;
	struct fp_submitter *s;
	struct fp_line *line = NULL;

	if (!me)
		return NULL;
	pthread_mutex_lock(&l->lock);
	s = submitter_for(l, me);
	if (s && !s->lines[prio])
		s->lines[prio] = line_for(pool, prio);
	if (s)
		line = s->lines[prio];
	pthread_mutex_unlock(&l->lock);
	if (s)
		fp_seat_take(pool->lines_serial, s);
	return line;
}

static struct fp_line *worker_line(struct forkpool *pool, uint32_t prio)
{
	uint32_t id = fp_crew_lane(pool->crew.seg.geo.workers, prio, fp_self->id);

	if (!fp_self->lines[prio])
		fp_self->lines[prio] = line_new(pool, prio, id);
	return fp_self->lines[prio];
}

/* Who is not to wait for room does not wait for others who do. */
static int lock_unless_full(struct fp_line *line)
{
	while (pthread_mutex_trylock(&line->lock)) {
		if (fp_load_rlx(&line->full))
			return -EAGAIN;
		fp_sys.yield();
	}
	return 0;
}

int fp_line_get(struct forkpool *pool, uint32_t prio, bool wait, struct fp_line **ret)
{
	struct fp_submitter *s;
	struct fp_line *line;
	int err = 0;

	if (fp_unlikely(fp_by_worker(pool))) {
		line = worker_line(pool, prio);
	} else {
		s = fp_seat_find(pool->lines_serial);
		line = fp_likely(s && s->lines[prio]) ? s->lines[prio] : host_line(pool, prio);
	}
	if (fp_unlikely(!line))
		return -ENOMEM;
	if (fp_unlikely(line->shared))
		err = wait ? -pthread_mutex_lock(&line->lock) : lock_unless_full(line);
	*ret = line;
	return err;
}

bool fp_line_is_mine_here(const struct forkpool *pool, const struct fp_producer *p)
{
	const struct fp_line *line = fp_container(p, struct fp_line, lane);
	const struct fp_submitter *s;

	if (fp_unlikely(fp_by_worker(pool)))
		return fp_self->lines[p->prio] == line;
	s = fp_seat_find(pool->lines_serial);
	return !line->shared && s && s->lines[p->prio] == line;
}

void fp_lines_each(struct forkpool *pool, void (*visit)(struct fp_line *line, void *ctx), void *ctx)
{
	struct fp_lines *l = pool->lines;
	struct fp_submitter *s;
	uint32_t i;

	pthread_mutex_lock(&l->lock);
	for (s = l->list; s; s = s->next)
		for (i = 0; i < FP_PRIOS; i++)
			if (s->lines[i] && s->lines[i] != l->shared[i])
				visit(s->lines[i], ctx);
	for (i = 0; i < FP_PRIOS; i++)
		if (l->shared[i])
			visit(l->shared[i], ctx);
	pthread_mutex_unlock(&l->lock);
}
