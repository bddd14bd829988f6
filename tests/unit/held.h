/* SPDX-License-Identifier: MIT */
/*
 * A thread, or an item in its worker, that is held up behind one of its instructions
 * while others go on: it steps through what it does by a trap behind each of them.
 *
 * Memory that both sides see, since the one may be another process.  Who is to be held:
 * held_from_here() ... held_until_here().  Who watches: held_start() before that,
 * held_await(), held_go().
 */
#ifndef TESTS_HELD_H
#define TESTS_HELD_H

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ucontext.h>

#include "api/api.h"

/* Not inside ThreadSanitizer, which a handler must not enter while it is in itself. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define CAN_STEP	1
#define FLAGS(context)	(((ucontext_t *)(context))->uc_mcontext.gregs[REG_EFL])
#else
#define CAN_STEP	0
#define FLAGS(context)	(*(long *)(context))
#endif

#define TRAP_FLAG	0x100		/* of x86: a trap behind each instruction */
#define HELD_MS		20		/* then it goes on: others may have to wait for it */

struct held {
	atomic_int on, held, go, over, late;	/* late: it went on by itself */
	atomic_uint steps;
	unsigned hold_at;
};

static struct held *held;

/* A fixture. */
static void held_new(void)
{
	held = shared_new(sizeof(*held));
}

static void held_free(void)
{
	shared_free(held, sizeof(*held));
}

static void held_step(int sig, siginfo_t *info, void *context)
{
	int64_t until;

	(void)sig;
	(void)info;
	FLAGS(context) &= ~TRAP_FLAG;
	if (!atomic_load(&held->on))
		return;
	if (atomic_fetch_add(&held->steps, 1) + 1 != held->hold_at) {
		FLAGS(context) |= TRAP_FLAG;
		return;
	}
	until = now_ms() + HELD_MS;
	atomic_store(&held->held, 1);
	while (!atomic_load(&held->go) && now_ms() < until)
		sched_yield();
	atomic_store(&held->late, !atomic_load(&held->go));
}

/* In the process of who is to be held; returns what is to be put back. */
static inline struct sigaction held_handle(void)
{
	const struct sigaction steps = { .sa_sigaction = held_step, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction before;

	sigaction(SIGTRAP, &steps, &before);
	return before;
}

static inline void held_start(unsigned hold_at)
{
	atomic_store(&held->held, 0);
	atomic_store(&held->go, 0);
	atomic_store(&held->over, 0);
	atomic_store(&held->late, 0);
	atomic_store(&held->steps, 0);
	held->hold_at = hold_at;
}

static inline void held_from_here(void)
{
	atomic_store(&held->on, 1);
	raise(SIGTRAP);
}

static inline void held_until_here(void)
{
	atomic_store(&held->on, 0);
	atomic_store(&held->over, 1);
}

/* True when it is held up, and not over before. */
static inline bool held_await(void)
{
	int64_t until = now_ms() + HANG_S * 1000;

	while (!atomic_load(&held->held) && !atomic_load(&held->over) && now_ms() < until)
		sched_yield();
	return atomic_load(&held->held);
}

/* Is it still held up? */
static inline bool held_still(void)
{
	return atomic_load(&held->held) && !atomic_load(&held->go) && !atomic_load(&held->late);
}

static inline void held_go(void)
{
	atomic_store(&held->go, 1);
}

#endif
