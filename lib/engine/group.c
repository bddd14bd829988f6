/* SPDX-License-Identifier: MIT */
/*
 * What.  A list of tasks, in the order of their submission, that somebody waits for
 * together.
 *
 * Usage.  Host threads, any number; freed by one when no other is in a call on it.
 *
 * Invariants.
 * I1 There is room in the list before a task is submitted, so that none is lost.
 * I2 Who waits does so for the members by their positions; when all have ended they are
 *    taken off the list, by the last of several who wait.
 *
 * Progress.  The lock is not held while anybody waits.
 *
 * If the owner dies: host threads don't die singly.
 */
#include "engine/group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <forkpool.h>

#include "engine/several.h"
#include "os/sys.h"

struct list {
	struct member {
		struct forkpool_job *job;
		bool own;		/* nobody else has the handle */
	} *members;
	size_t n, room;
};

struct forkpool_group {
	struct forkpool *pool;
	pthread_mutex_t lock;
	struct list list;
	uint64_t gone;			/* members that were there before those of the list */
	uint64_t ended;			/* members that a wait has seen end, up to here, and that no other need wait for */
	unsigned waiters;		/* inside a wait: what they look at is not freed */
};

static int reserve(struct list *l, size_t more)
{
	size_t room = fp_max(l->n + more, 2 * l->room);
	struct member *members;

	if (l->n + more <= l->room)
		return 0;
	members = reallocarray(l->members, room, sizeof(*members));
	if (!members)
		return -ENOMEM;
	l->members = members;
	l->room = room;
	return 0;
}

/* So many as there is room for in the lane, of those from `done` on. */
static int64_t submit_some(struct forkpool_group *g, const struct fp_spec *s, size_t done,
			   struct forkpool_job **ret)
{
	struct forkpool_job **jobs = ret ? ret + done : calloc(s->count - done, sizeof(*jobs));
	struct fp_spec rest = *s;
	int64_t n, i;

	if (!jobs)
		return -ENOMEM;
	rest.in = s->in ? (const char *)s->in + done * s->in_size : NULL;
	rest.count = s->count - done;
	rest.dont_wait = true;
	rest.shared = ret;
	pthread_mutex_lock(&g->lock);
	n = reserve(&g->list, rest.count);
	if (!n)
		n = g->pool->mode == FORKPOOL_INLINE ? fp_submit_inline(g->pool, &rest, jobs)
						     : fp_submit(g->pool, &rest, jobs);
	for (i = 0; i < n; i++)
		/* A callback that is still to come gets the job, and frees it. */
		g->list.members[g->list.n++] = (struct member){ jobs[i], !ret && !s->on_done };
	pthread_mutex_unlock(&g->lock);
	if (!ret)
		free(jobs);
	return n;
}

int64_t fp_group_submit(struct forkpool_group *g, struct forkpool *pool, const struct fp_spec *s,
			struct forkpool_job **ret)
{
	size_t done = 0;
	int64_t n = g->pool == pool ? 0 : -EINVAL;

	while (n >= 0 && done < s->count) {
		n = submit_some(g, s, done, ret);
		if (n > 0)
			done += (size_t)n;
		else if (n == -EAGAIN && !s->dont_wait)
			n = fp_submit_room(pool, s->prio);
	}
	return done ? (int64_t)done : n;
}

int forkpool_group_create(struct forkpool *pool, struct forkpool_group **ret)
{
	struct forkpool_group *g;
	int err;

	if (!pool || !ret || fp_pool_caller(pool) == FP_CALLER_CHILD)
		return -EINVAL;
	if (fp_pool_caller(pool) == FP_CALLER_WORKER)
		return -EPERM;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	err = -pthread_mutex_init(&g->lock, NULL);
	if (err) {
		free(g);
		return err;
	}
	g->pool = pool;
	*ret = g;
	return 0;
}

static struct forkpool_job *member_at(struct forkpool_group *g, uint64_t at)
{
	struct forkpool_job *job;

	pthread_mutex_lock(&g->lock);
	job = g->list.members[at - g->gone].job;
	pthread_mutex_unlock(&g->lock);
	return job;
}

/* A job that its holder has freed counts for nothing. */
static int wait_for(struct forkpool_group *g, uint64_t from, uint64_t to, int64_t deadline)
{
	int first = 0, result, err;
	struct fp_any j;

	for (; from < to; from++) {
		if (fp_any_get(member_at(g, from), &j))
			continue;
		err = fp_any_wait(&j, deadline, &result);
		fp_any_put(&j);
		if (err == -ETIMEDOUT)
			return err;
		if (!err && !first)
			first = result;
	}
	return first;
}

static void free_own(const struct list *l, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (l->members[i].own)
			forkpool_job_free(l->members[i].job);
}

/* Under the lock: those before `ended` are forgotten. */
static void forget(struct forkpool_group *g)
{
	struct list *l = &g->list;
	size_t n = (size_t)(g->ended - g->gone);

	if (!n)
		return;
	free_own(l, n);
	l->n -= n;
	memmove(l->members, l->members + n, l->n * sizeof(*l->members));
	g->gone = g->ended;
}

/* Inside an item a group is not to be asked for. */
static int check_caller(const struct forkpool_group *g)
{
	if (!g || fp_pool_caller(g->pool) == FP_CALLER_CHILD)
		return -EINVAL;
	return fp_self ? -EPERM : 0;
}

int forkpool_group_wait(struct forkpool_group *g, int64_t timeout)
{
	int err = timeout < -1 ? -EINVAL : check_caller(g);
	uint64_t from, to;

	if (err)
		return err;
	pthread_mutex_lock(&g->lock);
	g->waiters++;
	from = g->ended;
	to = g->gone + g->list.n;
	pthread_mutex_unlock(&g->lock);
	err = wait_for(g, from, to, timeout ? fp_deadline(timeout) : 0);
	pthread_mutex_lock(&g->lock);
	if (err != -ETIMEDOUT)
		g->ended = fp_max(g->ended, to);
	if (--g->waiters == 0)
		forget(g);
	pthread_mutex_unlock(&g->lock);
	return err;
}

int forkpool_group_cancel(struct forkpool_group *g)
{
	int err = check_caller(g);
	size_t i;

	if (err)
		return err;
	pthread_mutex_lock(&g->lock);
	/* The newest first: those that run are the oldest, and make room for others when they end. */
	for (i = g->list.n; i-- > 0;)
		forkpool_job_cancel(g->list.members[i].job);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

void forkpool_group_free(struct forkpool_group *g)
{
	if (!g || fp_self)
		return;
	free_own(&g->list, g->list.n);
	free(g->list.members);
	pthread_mutex_destroy(&g->lock);
	free(g);
}
