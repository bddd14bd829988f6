/* SPDX-License-Identifier: MIT */
/*
 * What.  Waiting for one or several jobs, maps and tasks mixed.
 *
 * Usage.  Host threads; items for what they submitted.
 *
 * Invariants.
 * I1 Who waits for any of several sleeps on each pool's `done` and `life`, and on the
 *    words of map jobs; he has noted `done`, then asked every task, then looked.
 *
 * Ordering pairs.  TASK-O2/TASK-O1 (done), TASK-W1/TASK-D2 (asks).
 *
 * Progress.  Waits for the jobs, or the pool's end.  If the owner dies: nothing is held.
 */
#include "engine/several.h"

#include <errno.h>
#include <linux/futex.h>

#include <forkpool.h>

#include "engine/descend.h"
#include "engine/handle.h"
#include "engine/memory.h"
#include "os/sys.h"
#include "task/job.h"

#define WAITS_MOST	126u			/* the kernel takes 128 */
#define TICK_NS		((int64_t)10000000)	/* between two looks, where there is more to wait for */

/* ---- One ------------------------------------------------------------------------------ */

int fp_ref_get_inside(const struct forkpool_job *job, struct fp_ref *ret)
{
	int err = fp_ref_get(job, ret);

	if (fp_likely(err || !fp_self || fp_self->crew->pool != ret->pool))
		return err;
	if (ret->pool->mode == FORKPOOL_INLINE)
		/* What an item submits there has ended before it can ask. */
		return fp_future_word(ret) ? 0 : -EDEADLK;
	return fp_descend_is_mine(ret) ? 0 : -EDEADLK;
}

int fp_any_get(const struct forkpool_job *job, struct fp_any *ret)
{
	ret->map = NULL;
	if (fp_handle_is_task(job))
		return fp_ref_get_own(job, &ret->task);
	/* Inside an item jobs of maps are not to be asked for. */
	if (fp_self)
		return fp_handle_pool(job) ? -EPERM : -EINVAL;
	ret->map = fp_async_get(job);
	return ret->map ? 0 : -EINVAL;
}

void fp_any_put(struct fp_any *j)
{
	if (j->map)
		fp_async_put(j->map);
}

int fp_any_wait(struct fp_any *j, int64_t deadline, int *result)
{
	if (j->map)
		return fp_async_wait_until(j->map, deadline, result);
	if (fp_by_worker(j->task.pool))
		return fp_descend_wait(&j->task, deadline, result);
	return fp_future_wait(&j->task, deadline, result);
}

/* ---- All ------------------------------------------------------------------------------- */

static int wait_one(struct forkpool_job *job, int64_t deadline, int *result)
{
	struct fp_any j;
	int err = fp_any_get(job, &j);

	if (err)
		return err;
	err = fp_any_wait(&j, deadline, result);
	fp_any_put(&j);
	return err;
}

int fp_wait_all(struct forkpool_job *const *jobs, size_t n, int64_t deadline)
{
	int first = 0, result, err;
	struct fp_any j;
	size_t i;

	for (i = 0; i < n; i++) {
		err = jobs[i] ? fp_any_get(jobs[i], &j) : 0;
		if (err)
			return err;
		if (jobs[i])
			fp_any_put(&j);
	}
	for (i = 0; i < n; i++) {
		result = 0;
		err = jobs[i] ? wait_one(jobs[i], deadline, &result) : 0;
		if (err)
			return err;
		if (!first)
			first = result;
	}
	return first;
}

/* ---- Any ------------------------------------------------------------------------------- */

/* The first that is done: its index; -ETIMEDOUT: none; or another error. */
static int first_done(struct forkpool_job *const *jobs, size_t n, size_t *there)
{
	int result, err;
	size_t i;

	*there = 0;
	for (i = 0; i < n; i++) {
		if (!jobs[i])
			continue;
		++*there;
		err = wait_one(jobs[i], 0, &result);
		if (err != -ETIMEDOUT)
			return err ? err : (int)i;
	}
	return *there ? -ETIMEDOUT : -EINVAL;
}

struct sleep {
	struct fp_wait list[WAITS_MOST];
	unsigned n;
	bool tick;		/* not all words found room */
	struct forkpool *ending;	/* its nursery has ended, and maybe not the last worker; NULL = none */
	struct fp_ctl *ctls[WAITS_MOST / 2];
	unsigned pools;
};

static void add(struct sleep *s, fp_a32 *word, uint32_t value)
{
	if (s->n == WAITS_MOST)
		s->tick = true;
	else
		s->list[s->n++] = (struct fp_wait){ word, value };
}

/* False: the pool's nursery has ended. */
static bool add_pool(struct sleep *s, struct forkpool *pool)
{
	struct fp_ctl *ctl = pool->crew.seg.ctl;
	uint32_t life = fp_load_rlx(&ctl->life);
	unsigned i;

	for (i = 0; i < s->pools; i++)
		if (s->ctls[i] == ctl)
			return true;
	if (s->pools < WAITS_MOST / 2)
		s->ctls[s->pools++] = ctl;
	/* TASK-O3: before the asks; pairs with TASK-O1. */
	add(s, &ctl->done, fp_load_sc(&ctl->done));
	if (life & FUTEX_OWNER_DIED) {
		s->ending = pool;
		return false;
	}
	add(s, &ctl->life, life);
	return true;
}

/* False: something may have ended, look again. */
static bool arm(struct sleep *s, struct forkpool_job *job)
{
	struct fp_wait word;
	struct fp_any j;
	bool waits;

	if (fp_any_get(job, &j))
		return false;
	if (j.map) {
		waits = add_pool(s, fp_async_pool(j.map)) && fp_async_arm_one(j.map, &word);
		if (waits)
			add(s, word.word, word.value);
	} else {
		waits = add_pool(s, j.task.pool) && fp_future_ask(&j.task, FP_ASK_ANY);
	}
	fp_any_put(&j);
	return waits;
}

static void pass_baton(const struct sleep *s)
{
	unsigned i;

	for (i = 0; i < s->pools; i++)
		if (fp_life_ended(s->ctls[i]))
			fp_sys.futex_wake(&s->ctls[i]->life, INT32_MAX);
}

static void sleep_until(struct forkpool_job *const *jobs, size_t n, int64_t deadline)
{
	struct sleep s = { .n = 0 };
	size_t i;

	for (i = 0; i < n && (!jobs[i] || arm(&s, jobs[i])); i++)
		;
	if (s.ending || s.tick)
		deadline = fp_earlier(deadline, fp_deadline(TICK_NS));
	if (s.ending)
		/* What that one has not ended has no result before all of it is gone; others may have. */
		fp_pool_await_end(s.ending, deadline);
	if (i < n)
		return;
	fp_sys.futex_wait_many(s.list, s.n, deadline);
	pass_baton(&s);
}

/* How many are of the pool whose item calls, and how many of others. */
static void count_own(struct forkpool_job *const *jobs, size_t n, size_t *own, size_t *others)
{
	size_t i;

	*own = *others = 0;
	for (i = 0; i < n; i++)
		if (jobs[i])
			++*(fp_handle_pool(jobs[i]) == fp_self->crew->pool ? own : others);
}

/* Inside an item, which runs what it waits for; what is of another pool tells nobody here. */
static void await_inside(struct forkpool_job *const *jobs, size_t n, int64_t deadline)
{
	size_t own, others;

	count_own(jobs, n, &own, &others);
	if (!own)
		sleep_until(jobs, n, deadline);
	else
		fp_descend_any(jobs, n, others ? fp_earlier(deadline, fp_deadline(TICK_NS)) : deadline);
}

int fp_wait_any(struct forkpool_job *const *jobs, size_t n, int64_t deadline)
{
	size_t there;
	int done;

	for (;;) {
		done = first_done(jobs, n, &there);
		if (done != -ETIMEDOUT)
			return done;
		if (deadline == 0 || (deadline != FP_FOREVER && fp_sys.clock() >= deadline))
			return -ETIMEDOUT;
		if (fp_self)
			await_inside(jobs, n, deadline);
		else
			sleep_until(jobs, n, deadline);
	}
}
