/* SPDX-License-Identifier: MIT */
/*
 * What.  A blocking map as a window of pieces that moves over its items.  Where
 * there is little to copy it is one piece.  Where there is much, some are under way
 * at the same time: the host copies one in, or out, while workers run the others,
 * and their memory is used again and again, so that little of it is needed.
 *
 * Usage.  By the thread that maps.
 *
 * Invariants.
 * I1 Pieces are begun in the order of their items, and gathered in any; so what one
 *    of them writes to the caller's array may only be input of itself or of pieces
 *    before it.  Where arrays overlap in another way, one is under way at a time.
 * I2 A map that an error stops is one piece at a time: nothing behind the error is
 *    begun.
 * I3 The first failure is that of the least index among all that were gathered.
 * I4 Half of the pool's slots are left to others, but for the first piece's.
 *
 * Large pieces and few of them would do for copying; but items may differ, and a
 * window of too few items lets workers starve while a dear one ends.  So pieces grow
 * where the host waits for workers and some of these have nothing to do.
 *
 * Progress.  The host waits for any of the pieces.
 *
 * If the owner dies: with the host everything ends.
 */
#include "engine/window.h"

#include <errno.h>

#include <forkpool.h>

#include "engine/slots.h"
#include "os/sys.h"
#include "sync/idle.h"
#include "task/job.h"

#define PIECE_BYTES	((size_t)2 << 20)	/* that are copied */
#define LEAST_PIECES	(FP_WINDOW_MOST * 3 / 2)	/* a map of fewer is one: there is little to overlap */
#define SLOTS_LEFT	(FP_SLOTS / 2)		/* to others */
#define STARVED_PART	4	/* of the time, and pieces grow ... */
#define GROWTH		2

#define EACH_BUSY(i, w) \
	(uint32_t left_ = (w)->busy, i; left_ && (i = (uint32_t)__builtin_ctz(left_), true); left_ &= left_ - 1)

/* ---- The size of pieces ---------------------------------------------------------------- */

/* May a piece's outputs be written while later ones were not copied in yet? (I1) */
static bool is_in_order(const struct fp_map *m)
{
	uintptr_t in = (uintptr_t)m->in, out = (uintptr_t)m->out;

	return out + m->out_size * m->count <= in || in + m->in_size * m->count <= out ||
	       (in == out && m->out_size <= m->in_size);
}

static uint64_t choose_items(const struct forkpool *pool, const struct fp_map *m)
{
	size_t item = fp_stage_item(pool, m);
	uint64_t chunk = fp_max(fp_min(m->chunk, m->count), 1), n;

	if (!item || m->count < LEAST_PIECES * PIECE_BYTES / item || m->stop_on_error || !is_in_order(m))
		return m->count;
	/* With few pieces under way, all of the crew are to find an item. */
	n = fp_max(PIECE_BYTES / item, fp_div_up(fp_segment_crew(&pool->crew.seg), FP_WINDOW_MOST / 2));
	return fp_min(fp_round_up(n, chunk), m->count);
}

/* The host has waited for so long while some worker had nothing to do. */
static void note_starved(struct fp_window *w, int64_t took, int64_t now)
{
	w->starved += took;
	if (w->starved < (now - w->since) / STARVED_PART)
		return;
	w->items = fp_min(w->items * GROWTH, w->items_most);
	w->since = now;
	w->starved = 0;
}

/* ---- Places ----------------------------------------------------------------------------- */

static int place_init(struct fp_window *w, struct fp_piece *p, bool wait)
{
	struct fp_host_slot *slot;
	int err = fp_pool_take_slot(w->pool, wait, &slot);

	if (err)
		fp_stage_free(w->pool, &p->st);
	else
		fp_piece_hold(p, slot);
	return err;
}

int fp_window_open(struct fp_window *w, struct forkpool *pool, const struct fp_map *map)
{
	struct fp_piece *first = &w->piece[0];
	int err;

	*w = (struct fp_window){ .pool = pool, .map = map, .places = 1, .most = 1,
				 .items = choose_items(pool, map) };
	w->items_most = fp_min(map->count, fp_job_max(&pool->crew.seg.geo));
	*first = (struct fp_piece){ .pool = pool, .map = map };
	if (w->items < map->count) {
		first->large = true;
		w->most = FP_WINDOW_MOST;
		w->since = fp_sys.clock();
	}
	err = fp_stage_most(pool, map, w->items, &first->st);
	if (err)
		return err;
	if (first->st.piece < w->items)
		w->items = w->items_most = first->st.piece;
	return place_init(w, first, !map->dont_wait);
}

void fp_window_close(struct fp_window *w)
{
	uint64_t items = 0;
	uint32_t i;

	for (i = 0; i < w->places; i++)
		items += w->piece[i].st.piece;
	fp_stage_expect(w->pool, w->map, items);
	for (i = w->places; i-- > 0;) {
		fp_pool_give_slot(w->pool, w->piece[i].host);
		fp_stage_free(w->pool, &w->piece[i].st);
	}
}

/* One place more, if others need neither the slot nor the room. */
static bool place_add(struct fp_window *w)
{
	struct fp_piece *p = &w->piece[w->places];

	if (w->places == w->most)
		return false;
	*p = (struct fp_piece){ .pool = w->pool, .map = w->map, .large = true,
				.st.arg = w->piece[0].st.arg };
	if (fp_load_rlx(&w->pool->free_slots) <= SLOTS_LEFT ||
	    fp_stage_again(w->pool, w->map, w->items, &p->st) || place_init(w, p, false)) {
		w->most = w->places;
		return false;
	}
	w->places++;
	return true;
}

/* ---- Pieces come and go ------------------------------------------------------------------ */

/* A place with room for fewer items than is wished for gets more; if there is none, none is wished for any more. */
static void enlarge(struct fp_window *w, struct fp_piece *p)
{
	if (p->st.piece < w->items && fp_stage_again(w->pool, w->map, w->items, &p->st))
		w->items = w->items_most = p->st.piece;
}

bool fp_window_begin(struct fp_window *w)
{
	uint32_t i = (uint32_t)__builtin_ctz(~w->busy);
	struct fp_piece *p = &w->piece[i];
	uint64_t n;

	if (w->next == w->map->count || (i == w->places && !place_add(w)))
		return false;
	enlarge(w, p);
	n = fp_min(p->st.piece, w->map->count - w->next);
	/* While workers keep up with the host one of them may do it alone, and the others sleep. */
	p->whole = w->settled && !w->map->chunk && !w->waited;
	w->waited = false;
	fp_piece_start(p, w->next, n);
	w->busy |= (uint32_t)1 << i;
	w->next += n;
	return true;
}

static void settle(struct fp_window *w, uint32_t i, int err)
{
	struct fp_piece *p = &w->piece[i];
	struct fp_failure f = { .failed = false };

	fp_piece_gather(p, err, true, &f);
	if (f.failed && (!w->failure.failed || f.index < w->failure.index))
		w->failure = f;
	w->settled += p->n;
	w->busy &= ~((uint32_t)1 << i);
}

/* 0, -EAGAIN, or why it never will. */
static int ended(const struct fp_window *w, uint32_t i)
{
	return fp_job_poll(&w->pool->crew.seg, w->piece[i].slot, w->piece[i].gen);
}

int fp_window_gather(struct fp_window *w, unsigned *n)
{
	int ret = 0, err;

	*n = 0;
	for EACH_BUSY(i, w) {
		err = ended(w, i);
		if (err && err != -EAGAIN)
			ret = err;
		if (err)
			continue;
		settle(w, i, 0);
		++*n;
	}
	return ret;
}

void fp_window_abandon(struct fp_window *w, int err)
{
	for EACH_BUSY(i, w)
		settle(w, i, err);
}

uint64_t fp_window_progress(const struct fp_window *w)
{
	uint64_t done = w->settled;

	for EACH_BUSY(i, w)
		done += fp_piece_progress(&w->piece[i]) - w->piece[i].b;
	return done;
}

/* ---- Waiting ------------------------------------------------------------------------------ */

static bool any_ended(const struct fp_window *w)
{
	for EACH_BUSY(i, w)
		if (ended(w, i) != -EAGAIN)
			return true;
	return false;
}

static bool spin_for_any(const struct fp_window *w, int64_t spin)
{
	int64_t until;
	int i;

	if (spin <= 0)
		return any_ended(w);
	until = fp_deadline(spin);
	do {
		for (i = 0; i < FP_SPIN_LOOKS; i++) {
			if (any_ended(w))
				return true;
			fp_pause();
		}
		/* As fp_job_wait(). */
		fp_sys.yield();
	} while (fp_sys.clock() < until);
	return false;
}

/* The oldest one first: where the kernel can't wait for many, the others' ends are seen late. */
static uint32_t oldest(const struct fp_window *w)
{
	uint32_t best = (uint32_t)__builtin_ctz(w->busy);

	for EACH_BUSY(i, w)
		if (w->piece[i].b < w->piece[best].b)
			best = i;
	return best;
}

static void sleep_for_any(const struct fp_window *w, int64_t deadline)
{
	struct fp_segment *seg = &w->pool->crew.seg;
	struct fp_wait list[1 + FP_WINDOW_MOST], first;
	uint32_t life = fp_load_rlx(&seg->ctl->life), head = oldest(w);
	unsigned n = 0;

	for EACH_BUSY(i, w) {
		if (!fp_job_arm(seg, w->piece[i].slot, w->piece[i].gen, &list[n]))
			return;
		if (i == head) {
			first = list[n];
			list[n] = list[0];
			list[0] = first;
		}
		n++;
	}
	list[n++] = (struct fp_wait){ &seg->ctl->life, life };
	fp_sys.futex_wait_many(list, n, deadline);
	if (fp_life_ended(seg->ctl))
		/* As fp_job_wait(): the kernel wakes one, that one the rest. */
		fp_sys.futex_wake(&seg->ctl->life, INT32_MAX);
}

static void await(struct fp_window *w, int64_t deadline)
{
	int64_t spin = (int64_t)fp_load_rlx(&w->pool->spin);
	const struct fp_piece *p = &w->piece[__builtin_ctz(w->busy)];

	if (!(w->busy & (w->busy - 1)))
		fp_job_wait(&w->pool->crew.seg, p->slot, p->gen, deadline, spin);
	else if (!spin_for_any(w, spin))
		sleep_for_any(w, deadline);
}

void fp_window_await(struct fp_window *w, int64_t deadline)
{
	const struct fp_segment *seg = &w->pool->crew.seg;
	int64_t begin, now;

	if (w->next == w->map->count) {
		await(w, deadline);
		return;
	}
	w->waited = true;
	begin = fp_sys.clock();
	await(w, deadline);
	now = fp_sys.clock();
	/* Who just looks for work may have been woken, and not have come to run yet. */
	if (fp_asleep_any(seg->ctl, seg->geo.workers))
		note_starved(w, now - begin, now);
}
