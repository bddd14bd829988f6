/* SPDX-License-Identifier: MIT */
/*
 * What.  The items of a map that are one job: published in a slot, and gathered
 * when it has ended.  A blocking map has one or more of them, an async job one.
 *
 * Usage.  fp_piece_start(), then wait, then fp_piece_gather(), by the one who
 * holds the slot.
 *
 * Invariants.
 * I1 Private outputs are copied back only when the job has ended in order.
 * I2 Nothing is gathered while a worker may write: the job is done, or all
 *    workers have ended.
 *
 * If the owner dies: with the host everything ends.
 */
#include "engine/piece.h"

#include <string.h>

#include <forkpool.h>

#include "base/copy.h"
#include "task/cancel.h"
#include "task/job.h"
#include "task/limit.h"

/* Where the items from b on lie: at the start of a copy, or in place. */
static char *at(char *base, bool own, size_t size, uint64_t b)
{
	return !base || own ? base : base + size * b;
}

static struct forkpool_status *status_at(const struct fp_piece *p)
{
	return p->st.status && !p->st.own_status ? p->st.status + p->b : p->st.status;
}

static void publish(struct fp_piece *p)
{
	const struct fp_map *m = p->map;
	const struct fp_stage *st = &p->st;
	const struct fp_segment *seg = &p->pool->crew.seg;
	const struct fp_job_desc desc = {
		.fn = m->fn,
		.flags = (m->range ? FP_JOB_RANGE : 0) | (m->stop_on_error ? FP_JOB_STOP : 0) |
			 (m->on_done ? FP_JOB_NOTIFY : 0),
		.retries = m->retries,
		.arg = st->arg,
		.in = at(st->in, st->own_in, m->in_size, p->b),
		.out = at(st->out, st->own_out, m->out_size, p->b),
		.in_size = m->in_size,
		.out_size = m->out_size,
		.count = p->n,
		.begin = m->begin + p->b,
		.parent = p->parent,
		.level = m->level,
		.prio = m->prio,
		.chunk = p->whole ? p->n : m->chunk,
		.status = status_at(p),
		.timeout = m->timeout,
		.deadline = m->deadline,
	};

	if (desc.status && !m->lasting)
		memset(desc.status, 0, p->n * sizeof(*desc.status));
	p->gen = fp_job_next_gen(seg, p->slot, p->gen);
	if (p->host)
		p->host->gen = p->gen;
	fp_job_publish(seg, p->slot, p->gen, &desc);
	if (!fp_limited(&desc))
		return;
	if (p->host)
		fp_spawn_watch(&p->pool->spawn, p->slot);
	else if (m->limited)
		fp_worker_watch(fp_self, p->slot);
}

void fp_piece_hold(struct fp_piece *p, struct fp_host_slot *slot)
{
	p->host = slot;
	p->slot = slot->index;
	p->gen = slot->gen;
}

/* Much is not read again soon where it is written, or not by the same CPU. */
static void copy(const struct fp_piece *p, void *to, const void *from, size_t size)
{
	if (p->large)
		fp_copy_past(to, from, size);
	else
		memcpy(to, from, size);
}

void fp_piece_start(struct fp_piece *p, uint64_t b, uint64_t n)
{
	const struct fp_map *m = p->map;

	p->b = b;
	p->n = n;
	if (p->st.own_in)
		copy(p, p->st.in, (const char *)m->in + b * m->in_size, n * m->in_size);
	if (p->st.own_out && (m->stop_on_error || m->may_be_cancelled))
		/* Places of items that are not run stay as they are. */
		copy(p, p->st.out, (char *)m->out + b * m->out_size, n * m->out_size);
	publish(p);
}

/* Items that nobody ran get a reason; then the caller's array its copy. */
static void give_status(struct fp_piece *p, int unrun, bool deliver)
{
	struct forkpool_status *st = status_at(p);
	uint64_t i;

	if (!st)
		return;
	for (i = 0; i < p->n; i++)
		if (st[i].worker == 0 || st[i].outcome == FORKPOOL_ITEM_CANCELLED)
			st[i].outcome = unrun;
	if (deliver && p->map->status && p->st.own_status)
		memcpy(p->map->status + p->b, st, p->n * sizeof(*st));
}

void fp_piece_gather(struct fp_piece *p, int err, bool deliver, struct fp_failure *f)
{
	const struct fp_segment *seg = &p->pool->crew.seg;
	const struct fp_map *m = p->map;
	bool cancelled = err || fp_job_cancelled(seg, p->slot);
	uint64_t first;
	int outcome;

	give_status(p, cancelled ? FORKPOOL_ITEM_CANCELLED : FORKPOOL_ITEM_NOT_RUN, deliver);
	if (!err && deliver && p->st.own_out)
		copy(p, (char *)m->out + p->b * m->out_size, p->st.out, p->n * m->out_size);
	if (!err && !f->failed && fp_job_first(seg, p->slot, p->n, &first, &outcome))
		*f = (struct fp_failure){ true, p->b + first, outcome };
}

uint64_t fp_piece_progress(const struct fp_piece *p)
{
	return p->b + fp_job_progress(&p->pool->crew.seg, p->slot, p->gen, p->n);
}
