/* SPDX-License-Identifier: MIT */
/*
 * What.  Turns the nursery's records into text, and hands it to the function that
 * the user gave, on whichever host thread enters or leaves a call.
 *
 * Invariants.
 * I1 No lock is held around the user's function, and it is called a bounded number
 *    of times a call.
 * I2 All that a record says is checked, or printed as a number: the segment is not
 *    trusted.
 *
 * Ordering pairs.  shm/log.c.
 *
 * If the owner dies.  A nursery that was killed has said nothing; LOG_BROKEN is
 * told by its life instead.
 */
#include "engine/log.h"

#include <stdarg.h>
#include <stdio.h>

#include <forkpool.h>

#include "base/error.h"
#include "shm/log.h"
#include "task/job.h"

#define BURST	16	/* records a call */
#define TEXT	256

static void say(struct forkpool *pool, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct forkpool *pool, int level, const char *format, ...)
{
	char text[TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pool->log(pool->log_arg, level, text);
}

static void say_died(struct forkpool *pool, const struct fp_log_entry *e, const char *how)
{
	say(pool, FORKPOOL_LOG_WARNING, "worker %u (pid %u) %s %d%s", e->id, e->pid, how, e->code,
	    e->value ? ", at work" : "");
}

static void say_entry(struct forkpool *pool, const struct fp_log_entry *e)
{
	switch (e->kind) {
	case FP_LOG_KILLED:
		say_died(pool, e, "was ended by signal");
		break;
	case FP_LOG_EXITED:
		say_died(pool, e, "ended with exit status");
		break;
	case FP_LOG_LEFT:
		say(pool, FORKPOOL_LOG_INFO, "worker %u (pid %u) left in order", e->id, e->pid);
		break;
	case FP_LOG_STARTED:
		say(pool, FORKPOOL_LOG_INFO, "worker %u is now pid %u", e->id, e->pid);
		break;
	case FP_LOG_BACKOFF:
		say(pool, FORKPOOL_LOG_WARNING, "workers die outside items: worker %u waits %llu ms",
		    e->id, (unsigned long long)(e->value / 1000000));
		break;
	case FP_LOG_NO_FORK:
		say(pool, FORKPOOL_LOG_WARNING, "worker %u can't be started: %s", e->id,
		    fp_strerror(e->code));
		break;
	case FP_LOG_GIVES_UP:
		say(pool, FORKPOOL_LOG_ERROR, "the nursery gives up: %s",
		    e->code == -FORKPOOL_EBROKEN ? "too many workers died outside items"
						 : fp_strerror(e->code));
		break;
	}
}

/* Once: the nursery has ended, and nobody had asked for it. */
static void note_broken(struct forkpool *pool)
{
	uint32_t no = 0;

	if (fp_load_rlx(&pool->broken_said) || fp_load_rlx(&pool->state) != FP_POOL_OPEN ||
	    !fp_life_ended(pool->crew.seg.ctl))
		return;
	/* LOG-B1: one thread says it; pairs with LOG-B1. */
	if (fp_cas_sc(&pool->broken_said, &no, 1))
		say(pool, FORKPOOL_LOG_ERROR, "the pool is broken: its nursery has ended");
}

void fp_pool_log(struct forkpool *pool)
{
	struct fp_log_entry list[BURST];
	uint64_t lost = 0;
	unsigned n, i;

	if (fp_likely(!pool->log))
		return;
	n = fp_log_take(&pool->crew.seg.ctl->log, &pool->log_taken, list, BURST, &lost);
	if (n && lost)
		say(pool, FORKPOOL_LOG_NOTICE, "%llu older lines are lost", (unsigned long long)lost);
	for (i = 0; i < n; i++)
		say_entry(pool, &list[i]);
	if (n < BURST)
		note_broken(pool);
}

void fp_pool_log_create(struct forkpool *pool)
{
	if (!pool->log)
		return;
	if (pool->crew.seg.memfd)
		say(pool, FORKPOOL_LOG_NOTICE,
		    "/dev/shm is missing or too small: shared data lies in a memfd");
	if (pool->mode == FORKPOOL_PROCESSES && pool->spawn.keeper_pid == 0)
		say(pool, FORKPOOL_LOG_NOTICE,
		    "no keeper process: the host's SIGCHLD handler saw the nursery being made");
	fp_pool_log(pool);
}
