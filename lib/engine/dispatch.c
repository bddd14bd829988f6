/* SPDX-License-Identifier: MIT */
/*
 * What.  From the end of a job to its on_done: a queue of what is due, a descriptor
 * that event loops watch, and fp_dispatch(), which calls.
 *
 *	who completes a job      sets a bit, writes the eventfd      task/due.c
 *	who finds it done        gathers it, pushes it here          async.c
 *	(a dispatch, a wait, a poll, a submitter, join)
 *	fp_dispatch()            looks at the bits, then calls what is in the queue
 *
 * The descriptor is an epoll of two: the eventfd, and a pidfd of the pool's last
 * process.  What is unfinished when that ends is cancelled, or broken, and due.
 *
 * Usage.  Any host thread; several may dispatch at once, and callbacks may do so
 * too.  With the option dispatch_thread a helper does, and nobody else.
 *
 * Invariants.
 * I1 Each entry is called once: a place in the queue is reserved by a swap of
 *    `taken`, which never passes `pushed`, and then dequeued.
 * I2 One dispatch calls no more than was pushed when it began to call, so that
 *    callbacks which make others due do not keep it for ever; what comes later
 *    makes the descriptor readable again, since it was armed before.
 * I3 A dispatch reads the eventfd, arms, takes the bits, and looks whether the
 *    pool has ended before all that (task/due.c, I2, I3).  Only a dispatch which
 *    saw the end before it looked at every slot takes the pidfd away: who submits
 *    later sees the end himself, and tells (submit.c, async.c).
 *
 * Ordering pairs.  DISP-P1/DISP-T1 (pushed and taken), DISP-Q1/DISP-Q2 (an entry),
 * and those of task/due.c.
 *
 * Progress.  A push is wait-free.  Those who take wait for one another, and for a
 * push that is half-way, some instructions long.
 *
 * If the owner dies: host threads do not die singly.
 */
#include "engine/dispatch.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

#include "engine/async.h"
#include "engine/callback.h"
#include "engine/log.h"
#include "os/sys.h"
#include "task/due.h"

/* The callbacks that this thread is in, one inside the other. */
struct inside {
	const struct forkpool *pool;
	const struct inside *outer;
};

static _Thread_local const struct inside *inside;
static _Thread_local bool harvesting;

bool fp_dispatch_inside(const struct forkpool *pool)
{
	const struct inside *i = inside;

	while (i && pool && i->pool != pool)
		i = i->outer;
	return i;
}

/* ---- The queue ------------------------------------------------------------------------------ */

void fp_dispatch_push(struct forkpool *pool, struct fp_due *due)
{
	struct fp_dispatch *d = &pool->dispatch;

	/* DISP-Q1: all that the callback may look at; the queue orders as much, but unseen by ThreadSanitizer; pairs with DISP-Q2. */
	fp_store_rel(&due->queued, 1);
	cds_wfcq_node_init(&due->node);
	cds_wfcq_enqueue(&d->head, &d->tail, &due->node);
	/* DISP-P1: after the push, and before the look who is to be told; pairs with DISP-T1. */
	fp_add_sc(&d->pushed, 1);
	/* A dispatch calls for itself what it finds. */
	if (!harvesting)
		fp_due_raise(&pool->crew.seg);
}

/* One of the first `limit` that were ever pushed, or one behind them in its place; NULL: they have been taken. */
static struct fp_due *take(struct forkpool *pool, uint64_t limit)
{
	struct fp_dispatch *d = &pool->dispatch;
	uint64_t taken = fp_load_rlx(&d->taken);
	struct cds_wfcq_node *node;
	struct fp_due *due;

	/* DISP-T2: reserves one that was pushed; pairs with DISP-P1. */
	while (taken < limit && !fp_cas_sc(&d->taken, &taken, taken + 1))
		;
	if (taken >= limit)
		return NULL;
	node = cds_wfcq_dequeue_blocking(&d->head, &d->tail);
	due = fp_container(node, struct fp_due, node);
	/* DISP-Q2: pairs with DISP-Q1. */
	fp_load_acq(&due->queued);
	return due;
}

static uint64_t pushed(struct forkpool *pool)
{
	/* DISP-T1: after the loop was armed; pairs with DISP-P1. */
	return fp_load_sc(&pool->dispatch.pushed);
}

/* ---- The descriptor --------------------------------------------------------------------------- */

/* Adds the pool's end to what is watched. */
static int watch_end(struct forkpool *pool, int poll_fd)
{
	int fd = fp_pool_end_fd(pool), err;

	/* There is none any more, or none is to be had (valgrind): the next dispatch looks. */
	if (fd == -ESRCH || fd == -ENOSYS)
		return 0;
	if (fd >= 0)
		fd = fp_sys.above_stdio(fd);
	if (fd < 0)
		return fd;
	err = fp_sys.epoll_add(poll_fd, fd);
	if (err)
		fp_sys.close(fd);
	else
		pool->dispatch.end_fd = fd;
	return err;
}

static int make_poll_fd(struct forkpool *pool)
{
	int fd = fp_sys.epoll(), err;

	if (fd >= 0)
		fd = fp_sys.above_stdio(fd);
	if (fd < 0)
		return fd;
	err = fp_sys.epoll_add(fd, pool->crew.seg.event.fd);
	if (!err)
		err = watch_end(pool, fd);
	if (!err)
		return fd;
	fp_sys.close(fd);
	return err;
}

static bool any_due(struct forkpool *pool)
{
	return fp_due_any(pool->crew.seg.ctl) || fp_pool_has_ended(pool) ||
	       pushed(pool) != fp_load_rlx(&pool->dispatch.taken);
}

int fp_dispatch_fd(struct forkpool *pool)
{
	struct fp_dispatch *d = &pool->dispatch;
	int fd;

	pthread_mutex_lock(&d->lock);
	fd = fp_load_rlx(&d->poll_fd);
	if (fd < 0)
		fd = make_poll_fd(pool);
	if (fd >= 0 && fp_load_rlx(&d->poll_fd) < 0) {
		/* DISP-F1: from now on dispatches arm; pairs with DISP-F2. */
		fp_store_rel(&d->poll_fd, fd);
		fp_due_arm(&pool->crew.seg);
		if (any_due(pool))
			fp_due_raise(&pool->crew.seg);
	}
	pthread_mutex_unlock(&d->lock);
	return fd;
}

/* What was written up to now is answered by what follows. */
static void rearm(struct forkpool *pool)
{
	uint64_t count;

	/* DISP-F2: pairs with DISP-F1. */
	if (fp_load_acq(&pool->dispatch.poll_fd) < 0)
		return;
	fp_sys.read(pool->crew.seg.event.fd, &count, sizeof(count));
	fp_due_arm(&pool->crew.seg);
}

/* The end has been seen and answered: it is not to keep the loop awake. */
static void unwatch_end(struct forkpool *pool)
{
	struct fp_dispatch *d = &pool->dispatch;

	pthread_mutex_lock(&d->lock);
	if (d->end_fd >= 0) {
		fp_sys.epoll_drop(fp_load_rlx(&d->poll_fd), d->end_fd);
		fp_sys.close(d->end_fd);
		d->end_fd = -1;
	}
	pthread_mutex_unlock(&d->lock);
}

/* ---- Dispatch ----------------------------------------------------------------------------------- */

/* Pushes what has ended and nobody has found yet; `ended`: so has the pool, before we looked. */
static void harvest(struct forkpool *pool, bool ended)
{
	uint64_t slots = fp_due_take(pool->crew.seg.ctl);

	/* Nobody sets the bits of jobs that a pool left unfinished. */
	if (fp_pool_over(pool))
		slots = ~(uint64_t)0;
	harvesting = true;
	fp_async_reap_slots(pool, slots);
	/* Until then what is unfinished may still be at work, and has no result. */
	fp_callbacks_harvest(pool, ended);
	harvesting = false;
}

static bool call(struct forkpool *pool, struct fp_due *due)
{
	const struct inside here = { .pool = pool, .outer = inside };
	bool called;

	inside = &here;
	called = due->call(due);
	inside = here.outer;
	return called;
}

int fp_dispatch(struct forkpool *pool)
{
	bool ended = fp_pool_has_ended(pool);
	struct fp_due *due;
	uint64_t limit;
	int n = 0;

	fp_pool_log(pool);
	rearm(pool);
	harvest(pool, ended);
	if (ended)
		unwatch_end(pool);
	limit = pushed(pool);
	while ((due = take(pool, limit)))
		n += call(pool, due);
	return n;
}

/* ---- The helper ---------------------------------------------------------------------------------- */

static void *help(void *arg)
{
	struct forkpool *pool = arg;
	struct fp_dispatch *d = &pool->dispatch;
	struct pollfd poll = { .fd = fp_load_rlx(&d->poll_fd), .events = POLLIN };

	fp_sys.prctl(PR_SET_NAME, (unsigned long)"fp-dispatch");
	/* DISP-H1: after each look, whose read may have taken the wake-up; pairs with DISP-H2. */
	while (!fp_load_sc(&d->stop))
		if (fp_sys.poll(&poll, 1, FP_FOREVER) > 0)
			fp_dispatch(pool);
	return NULL;
}

int fp_dispatch_start(struct forkpool *pool)
{
	struct fp_dispatch *d = &pool->dispatch;
	int fd = fp_dispatch_fd(pool), err;
	sigset_t all, before;

	if (fd < 0)
		return fd;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&d->helper, NULL, help, pool);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	d->has_helper = !err;
	return err;
}

void fp_dispatch_ask_to_stop(struct forkpool *pool)
{
	/* DISP-H2: before the wake-up; pairs with DISP-H1. */
	fp_store_sc(&pool->dispatch.stop, 1);
	fp_sys.event_raise(pool->crew.seg.event.fd);
}

void fp_dispatch_join(struct forkpool *pool)
{
	pthread_join(pool->dispatch.helper, NULL);
	pool->dispatch.has_helper = false;
}

/* ---- A pool's life -------------------------------------------------------------------------------- */

void fp_dispatch_init(struct forkpool *pool)
{
	struct fp_dispatch *d = &pool->dispatch;

	pool->crew.seg.event.fd = -1;
	fp_store_rlx(&d->poll_fd, -1);
	d->end_fd = -1;
	cds_wfcq_init(&d->head, &d->tail);
	pthread_mutex_init(&d->lock, NULL);
}

int fp_dispatch_open(struct forkpool *pool)
{
	int fd = fp_sys.eventfd();

	if (fd >= 0)
		fd = fp_sys.above_stdio(fd);
	pool->crew.seg.event.fd = fd < 0 ? -1 : fd;
	return fd < 0 ? fd : 0;
}

static void close_file(int fd)
{
	if (fd >= 0)
		fp_sys.close(fd);
}

void fp_dispatch_close(struct forkpool *pool)
{
	struct fp_dispatch *d = &pool->dispatch;

	close_file(fp_load_rlx(&d->poll_fd));
	close_file(d->end_fd);
	close_file(pool->crew.seg.event.fd);
}
