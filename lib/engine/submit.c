/* SPDX-License-Identifier: MIT */
/*
 * What.  Submission: a place in the caller's line, filled, shown, and somebody
 * woken if that is needed.
 *
 * Usage.  Host threads, and items.
 *
 * Invariants.
 * I1 A host thread's submission that has found the pool open has `busy` set until
 *    its tasks are shown; who closes the pool waits for that (LINE-B1).
 * I2 When it returns a worker can see every task: the words, then the turns of all
 *    but the first, then the first one's.
 * I3 A place that could not be filled is shown all the same, empty, so that no
 *    cursor waits there.
 *
 * Ordering pairs.  LINE-B1/LINE-B2 (closing), IDLE-W1/IDLE-S1 through sync/fence.h
 * (shown, and who sleeps), LANE-W1/LANE-W2 (room).
 *
 * Progress.  Waits only while the line is full.
 *
 * If the owner dies.  Host threads don't die singly; a worker's READY tasks are
 * cancelled, others were never there.
 */
#include "engine/submit.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/callback.h"
#include "engine/future.h"
#include "engine/memory.h"
#include "engine/quick.h"
#include "os/sys.h"
#include "shm/stats.h"
#include "sync/fence.h"
#include "sync/idle.h"
#include "task/due.h"
#include "task/job.h"
#include "task/take.h"

#define AT_ONCE		256u	/* tasks with one publication */
#define ANY_ALIGN	_Alignof(max_align_t)
#define FAR_ALIGN	((size_t)64)
#define ROOM_MOST	256u	/* tasks that end before one who waits for room is woken */

/* ---- Filling a slot ------------------------------------------------------------------------ */

/* Where arg, in and out begin, one behind the other. */
struct places {
	size_t arg, in, out, end;
};

/* What is large enough for it is aligned for any type. */
static size_t place(size_t *end, size_t size, size_t align)
{
	size_t at = fp_round_up(*end, size < ANY_ALIGN ? 8 : size < align ? ANY_ALIGN : align);

	*end = at + size;
	return at;
}

static struct places places_for(const struct fp_spec *s, size_t align)
{
	struct places p = { .end = 0 };

	p.arg = place(&p.end, s->arg_size, align);
	p.in = place(&p.end, s->in_size, align);
	p.out = place(&p.end, s->out_size, align);
	return p;
}

static size_t room_of(const struct fp_spec *s)
{
	return s->parent || s->retries || s->timeout || s->deadline ? FP_TASK_EXT_AT : FP_TASK_ROOM;
}

/* All in the slot. */
static void fill_near(struct fp_task *t, struct fp_future *f, const struct fp_spec *s,
		      const struct places *p, const void *in)
{
	t->arg = s->arg;
	if (s->arg_size) {
		t->arg = t->room + p->arg;
		memcpy(t->arg, s->arg, s->arg_size);
	}
	t->in_at = t->out_at = 0;
	if (s->in_size) {
		t->in_at = (uint8_t)(offsetof(struct fp_task, room) + p->in);
		memcpy(t->room + p->in, in, s->in_size);
	}
	f->out = NULL;
	if (s->out_size) {
		t->out_at = (uint8_t)(offsetof(struct fp_task, room) + p->out);
		f->out = t->room + p->out;
	}
}

/* In memory of its own; input that lies in the segment stays where it is. */
static int fill_far(struct forkpool *pool, struct fp_task *t, struct fp_future *f,
		    const struct fp_spec *s, const void *in)
{
	bool in_place = s->in_size && fp_segment_owns(&pool->crew.seg, in, s->in_size);
	struct fp_spec sizes = *s;
	struct places p;
	char *mem;
	void *at[2];
	int err;

	if (in_place)
		sizes.in_size = 0;
	p = places_for(&sizes, FAR_ALIGN);
	if (p.end < s->out_size || p.end < s->in_size * !in_place)
		return -ENOMEM;
	err = fp_memory_alloc(pool, p.end ? p.end : 1, &f->far);
	if (err) {
		f->far = NULL;
		return err;
	}
	mem = f->far;
	t->arg = s->arg_size ? memcpy(mem + p.arg, s->arg, s->arg_size) : s->arg;
	at[0] = in_place ? (void *)in : mem + p.in;
	at[1] = mem + p.out;
	if (s->in_size && !in_place)
		memcpy(mem + p.in, in, s->in_size);
	memcpy(t->room, at, sizeof(at));
	t->in_at = s->in_size ? offsetof(struct fp_task, room) : 0;
	t->out_at = s->out_size ? offsetof(struct fp_task, room) + sizeof(*at) : 0;
	fp_store_rlx(&t->flags, FP_TASK_FAR);
	f->out = s->out_size ? at[1] : NULL;
	return 0;
}

static void fill_ext(struct fp_ctl *ctl, struct fp_task *t, const struct fp_spec *s)
{
	struct fp_task_ext *ext;

	fp_store_rlx(&t->flags, fp_load_rlx(&t->flags) | FP_TASK_EXT);
	ext = fp_task_ext(t);
	if ((s->timeout || s->deadline) && !fp_load_rlx(&ctl->limited))
		fp_store_rlx(&ctl->limited, 1);
	ext->timeout = s->timeout;
	ext->deadline = s->deadline;
	fp_store_rlx(&ext->parent, s->parent);
	ext->retries = s->retries;
	fp_store_rlx(&ext->attempts, 0);
	ext->level = s->level;
	fp_store_rlx(&ext->frame, s->frame);
}

/* The common one: nothing but in and out, which fit. */
static bool is_small(const struct fp_spec *s)
{
	return (s->in_size | s->out_size) <= FP_SMALL_MOST && !s->arg_size && !s->parent &&
	       !s->retries && !(s->timeout | s->deadline);
}

static int fill_large(struct forkpool *pool, struct fp_task *t, struct fp_future *f,
		      const struct fp_spec *s, const void *in)
{
	const struct places p = places_for(s, ANY_ALIGN);
	size_t room = room_of(s);
	int err = 0;

	if (p.end <= room && s->in_size <= room && s->out_size <= room && s->arg_size <= room)
		fill_near(t, f, s, &p, in);
	else
		err = fill_far(pool, t, f, s, in);
	if (!err && room != FP_TASK_ROOM)
		fill_ext(pool->crew.seg.ctl, t, s);
	return err;
}

static inline int fill(struct forkpool *pool, const struct fp_place *at, const struct fp_spec *s, const void *in)
{
	struct fp_future *f = &fp_container(at->home, struct fp_desk, home)->futures[at->index];
	struct fp_task *t = at->task;

	t->fn = s->fn;
	fp_store_rlx(&t->flags, 0);
	fp_store_rlx(&t->asks, s->on_done ? FP_ASK_DUE : 0);
	f->deadline = s->deadline;
	f->others = (s->on_done ? FP_OTHERS_CALL : 0) | (s->shared ? FP_OTHERS_WAIT : 0);
	f->errand = NULL;
	if (fp_unlikely(!is_small(s)))
		return fill_large(pool, t, f, s, in);
	fp_fill_small(t, f, s->arg, in, s->in_size, s->out_size);
	return 0;
}

/* ---- Room ------------------------------------------------------------------------------------- */

/* Sleeps until there may be room; the line's tasks have been counted since LANE-W1. */
static void await_room(struct fp_line *line)
{
	struct fp_lane *lane = line->lane.lane;
	struct fp_ctl *ctl = line->pool->crew.seg.ctl;
	/* LANE-R2: before we ask; pairs with LANE-R1. */
	uint32_t seen = fp_load_sc(&lane->room), life = fp_load_rlx(&ctl->life);

	/* LANE-W1: before the count; pairs with LANE-W2. */
	fp_swap_sc(&lane->wanted, (uint32_t)fp_max(fp_min(line->depth / 4, ROOM_MOST), 1));
	fp_lane_count(&line->lane);
	if (line->lane.used >= line->depth && !(life & FUTEX_OWNER_DIED) &&
	    !fp_pool_over(line->pool)) {
		fp_sys.futex_wait_two(&lane->room, seen, &ctl->life, life, FP_FOREVER);
		if (fp_life_ended(ctl))
			fp_sys.futex_wake(&ctl->life, INT32_MAX);
		fp_lane_count(&line->lane);
	}
	fp_store_rlx(&lane->wanted, 0);
}

/* 0 when one more task may be submitted. */
static int make_room(struct fp_line *line, bool wait)
{
	struct forkpool *pool = line->pool;

	fp_lane_count(&line->lane);
	while (line->lane.used >= line->depth) {
		if (fp_pool_over(pool))
			return fp_pool_end_error(pool);
		if (!wait)
			return -EAGAIN;
		fp_store_rlx(&line->full, 1);
		await_room(line);
		fp_store_rlx(&line->full, 0);
	}
	return 0;
}

/* ---- Submission ---------------------------------------------------------------------------------- */

static inline int put_one(struct fp_line *line, const struct fp_spec *s, const void *in,
		   struct fp_place *at)
{
	int err = fp_lane_place(&line->lane, at);

	if (err)
		return err;
	err = fill(line->pool, at, s, in);
	if (fp_unlikely(err == -ENOMEM)) {
		fp_lane_collect(&line->lane);
		err = fill(line->pool, at, s, in);
	}
	if (fp_likely(!err)) {
		fp_lane_ready(at);
		return 0;
	}
	fp_lane_give(at->home, at->index);
	fp_lane_show_bare(at);
	return err;
}

static inline void hand_out(struct forkpool *pool, const struct fp_place *at, const struct fp_spec *s,
		     struct forkpool_job **ret)
{
	struct forkpool_job *job;

	if (fp_likely(ret && !s->on_done)) {
		*ret = fp_ref_make(pool, at);
	} else if (s->on_done) {
		job = fp_ref_make(pool, at);
		fp_callback_want(at, s, job);
		if (ret)
			*ret = job;
	} else {
		/* TASK-G4: nobody asks from the start; pairs with TASK-G1. */
		fp_or_sc(&at->home->given_up, (uint32_t)1 << at->index);
	}
}

/* At most AT_ONCE; how many, or an error if none. */
static int64_t put_some(struct fp_line *line, const struct fp_spec *s, size_t from, size_t n,
			struct forkpool_job **ret)
{
	struct fp_place at[AT_ONCE];
	size_t k, i;
	int err = 0;

	for (k = 0; k < n; k++) {
		err = put_one(line, s, (const char *)s->in + (from + k) * s->in_size, &at[k]);
		if (err)
			break;
		hand_out(line->pool, &at[k], s, ret ? ret + from + k : NULL);
	}
	for (i = k; i-- > 0;)
		fp_lane_show(&at[i]);
	return k ? (int64_t)k : err;
}

static int64_t put_single(struct fp_line *line, const struct fp_spec *s, struct forkpool_job **ret)
{
	struct fp_place at;
	int err = put_one(line, s, s->in, &at);

	if (fp_unlikely(err))
		return err;
	hand_out(line->pool, &at, s, ret);
	fp_lane_show(&at);
	return 1;
}

/*
 * Wakes as many as there is work for, beside those who look for some.  If workers
 * keep up there is none, whoever sleeps: to wake one for each task would cost more
 * than the task.  What is counted too low is made up for by workers: who finds a
 * task and sees more of them wakes one.
 */
FP_TRIP void fp_submit_wake_for(struct forkpool *pool, struct fp_line *line, uint64_t n)
{
	const struct fp_segment *seg = &pool->crew.seg;
	uint32_t workers = seg->geo.workers, lookers, work;

	/* Now we must know who looks: what they do next, or we do, is seen by the other. */
	fp_fence_full();
	lookers = fp_idle_lookers(seg->ctl, workers);
	work = fp_lane_backlog(&line->lane, lookers + (uint32_t)fp_min(n, workers));
	if (work <= lookers)
		return;
	fp_wake_workers(seg->ctl, workers, fp_min(n, work - lookers));
	line->woke = true;
}

/* 0, or why nothing may be submitted. */
static int begin(struct fp_line *line)
{
	if (fp_likely(fp_submit_begin(line)))
		return 0;
	return fp_load_rlx(&line->pool->state) == FP_POOL_OPEN ? -FORKPOOL_EBROKEN : -FORKPOOL_ECLOSED;
}

/*
 * A dispatch that has seen the pool's end looks at every callback once, and not again:
 * what was submitted behind its look is told of here.
 */
static void tell_if_ended(struct forkpool *pool)
{
	/* Between the callback's state and the look: who has seen the end finds the one, or we see the other. */
	fp_fence_full();
	if (fp_pool_has_ended(pool))
		fp_due_raise(&pool->crew.seg);
}

/* So many that there is room for; waits while there is none. */
static int64_t put(struct fp_line *line, const struct fp_spec *s, size_t from, struct forkpool_job **ret)
{
	uint32_t depth = line->depth;
	int64_t n;
	bool item = s->parent;
	int err = fp_likely(line->lane.used < depth || item) ? 0 : make_room(line, !s->dont_wait);

	if (fp_unlikely(err))
		return err;
	err = item ? 0 : begin(line);
	if (fp_unlikely(err))
		return err;
	if (fp_likely(s->count == 1))
		n = put_single(line, s, ret);
	else
		n = put_some(line, s, from,
			     fp_min(fp_min(s->count - from, AT_ONCE),
				    item ? AT_ONCE : depth - line->lane.used), ret);
	fp_submit_end(line);
	if (fp_likely(n > 0))
		fp_submit_wake(line->pool, line, (uint64_t)n);
	if (fp_unlikely(s->on_done))
		tell_if_ended(line->pool);
	if (item)
		fp_wake_waiting(line->pool->crew.seg.ctl, line->pool->crew.seg.geo.workers);
	return n;
}

int fp_submit_room(struct forkpool *pool, uint32_t prio)
{
	struct fp_line *line;
	int err = fp_line_get(pool, prio, true, &line);

	if (err)
		return err;
	err = make_room(line, true);
	fp_line_put(line);
	return err;
}

int64_t fp_submit(struct forkpool *pool, const struct fp_spec *s, struct forkpool_job **ret)
{
	struct fp_line *line;
	int64_t n = fp_line_get(pool, s->prio, !s->dont_wait, &line);
	size_t done = 0;

	if (fp_unlikely(n))
		return n;
	do {
		n = put(line, s, done, ret);
		done += n > 0 ? (size_t)n : 0;
	} while (fp_unlikely(n > 0 && done < s->count));
	fp_line_put(line);
	return done ? (int64_t)done : n;
}

/* ---- Without workers -------------------------------------------------------------------------------- */

static void run_here(struct forkpool *pool, const struct fp_place *at)
{
	struct fp_worker_stats *stats = &fp_segment_worker(&pool->crew.seg, 0)->stats;
	struct fp_self *before = fp_self;
	struct fp_task *t = at->task;
	enum fp_doing was;
	int code;

	pthread_mutex_lock(&pool->serial);
	fp_self = &pool->self;
	/* Busy already, where an item submits. */
	was = fp_stats_times(stats, 0).doing;
	fp_stats_turn(stats, FP_DOING_ITEMS, fp_sys.clock());
	pool->self.level += before == &pool->self;
	code = fp_task_call(t);
	pool->self.level -= before == &pool->self;
	fp_stat_add(&stats->tasks, 1);
	fp_stats_turn(stats, was, fp_sys.clock());
	fp_self = before;
	pthread_mutex_unlock(&pool->serial);
	if (code)
		memcpy(t->room, &code, sizeof(code));
	/* TASK-D4: as TASK-D1; pairs with TASK-E2. */
	fp_store_rel(&t->word, fp_task_word(at->gen, FP_TASK_DONE,
					    code ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_OK,
					    (uint32_t)getpid()));
}

/* One after the other, each submitted when the one before has ended; the lock is not held meanwhile. */
static int64_t put_here(struct forkpool *pool, const struct fp_spec *s, size_t i,
			struct forkpool_job **ret)
{
	struct fp_place at;
	struct fp_line *line;
	int64_t n;

	if (fp_self == &pool->self && fp_self->level + 1 >= FP_DEPTH)
		return -ELOOP;
	n = fp_line_get(pool, s->prio, true, &line);
	if (n)
		return n;
	n = begin(line);
	if (!n)
		n = put_one(line, s, (const char *)s->in + i * s->in_size, &at);
	fp_submit_end(line);
	fp_line_put(line);
	if (n)
		return n;
	hand_out(pool, &at, s, ret ? ret + i : NULL);
	run_here(pool, &at);
	fp_task_told(&pool->crew.seg, at.number);
	return 0;
}

int64_t fp_submit_inline(struct forkpool *pool, const struct fp_spec *s, struct forkpool_job **ret)
{
	int64_t err = 0;
	size_t i;

	for (i = 0; i < s->count && !err; i++)
		err = put_here(pool, s, i, ret);
	return err && i == 1 ? err : (int64_t)(err ? i - 1 : i);
}
