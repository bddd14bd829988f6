/* SPDX-License-Identifier: MIT */
/* A store ordered before a load, at the expense of who is in no hurry; see fence.c. */
#ifndef FP_SYNC_FENCE_H
#define FP_SYNC_FENCE_H

#include "shm/layout.h"

/* Registers this process with the kernel.  0 or -errno. */
int fp_fence_register(void);

/*
 * The host, when the pool is made: finds out who fences, and registers this
 * process if that takes no time, because it has one thread.
 */
void fp_fence_open(struct fp_ctl *ctl);

/*
 * Before a process's first fp_fence_light() for this pool, and as often as one
 * likes after that: registers the process, once; from then on sleepers fence for all.  In a process of several
 * threads that takes some 20 ms.
 */
void fp_fence_join(struct fp_ctl *ctl);

/* The same in a process of one thread that was just forked, and has not joined a pool: it leaves no mark in its memory. */
void fp_fence_enter(struct fp_ctl *ctl);

/* Before the last look of one who goes to sleep. */
void fp_fence_heavy(struct fp_ctl *ctl);

/* A full fence, which ThreadSanitizer need not know: nothing is handed on by it. */
static inline void fp_fence_full(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("lock; orl $0, (%%rsp)" ::: "memory", "cc");
#elif defined(__aarch64__)
	__asm__ __volatile__("dmb ish" ::: "memory");
#endif
}

/* Between a store and the look at who sleeps. */
static inline void fp_fence_light(struct fp_ctl *ctl)
{
	if (fp_unlikely(fp_load_rlx(&ctl->fences) != FP_FENCES_KERNEL))
		fp_fence_full();
	else
		__asm__ __volatile__("" ::: "memory");	/* the compiler keeps the order, too */
}

#endif
