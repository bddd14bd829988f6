/* SPDX-License-Identifier: MIT */
/*
 * Sleeping until a word changes, and waking who sleeps there, in one of two ways
 * that configure --with-wait chooses: futexes (futex.c), or a semaphore for each
 * sleeper (lot.c).  The first group are entries of fp_sys, and called through it.
 *
 * The semaphores lie in a parking lot, which needs room in the memory that the
 * words lie in; the second group sees to that, and is empty where futexes serve.
 */
#ifndef FP_OS_WAIT_H
#define FP_OS_WAIT_H

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include "os/raw.h"
#include "os/sys.h"

/* How long a change that nobody tells of may go unnoticed. */
#define FP_LOOK_NS	(50 * (int64_t)1000000)

#define FP_NS_PER_S	1000000000

/* NS as the kernel wants it, not below 0; NULL for no limit. */
static inline struct timespec *fp_timespec(struct timespec *ts, int64_t ns)
{
	if (ns == FP_FOREVER)
		return NULL;
	if (ns < 0)
		ns = 0;
	ts->tv_sec = ns / FP_NS_PER_S;
	ts->tv_nsec = ns % FP_NS_PER_S;
	return ts;
}

/* 0, -EAGAIN (a word differs), -EINTR (look again) or -ETIMEDOUT. */
int fp_wait_one(fp_a32 *word, uint32_t expected, int64_t deadline);
int fp_wait_two(fp_a32 *a, uint32_t va, fp_a32 *b, uint32_t vb, int64_t deadline);
int fp_wait_many(const struct fp_wait *list, unsigned n, int64_t deadline);

/* The same for a word that the kernel changes when a process ends. */
int fp_wait_exit(fp_a32 *word, uint32_t expected, int64_t deadline);

/* Wakes so many of those who wait for a change of the word; how many it were. */
int fp_wait_wake(fp_a32 *word, int count);

/* All who wait for such a word, on the keeper's side: registers only. */
static inline void fp_wait_wake_raw(fp_a32 *word)
{
#if FP_SEMAPHORES
	(void)word;	/* who waits looks by himself */
#else
	fp_raw(SYS_futex, word, FUTEX_WAKE, INT_MAX);
#endif
}

/* A parking lot, as a process knows it: its memory, and the range of words it serves. */
struct fp_lot {
	void *mem;
	uint32_t sleepers;
	const void *base;
	size_t size;
};

#if FP_SEMAPHORES

/* Bytes for so many sleepers; their memory begins as zeros. */
size_t fp_lot_size(uint32_t sleepers);

/*
 * From now on this process (not what it forks) sleeps on these words in this
 * lot; to be called in each process before it does either.  0 or -EMFILE.
 */
int fp_lot_open(const struct fp_lot *lot);
void fp_lot_close(const struct fp_lot *lot);

/* One word of the process's own that is waited for together with those. */
void fp_lot_share(const struct fp_lot *lot, const fp_a32 *word);

/* A process that slept there has died: its places are made anew. */
void fp_lot_bury(const struct fp_lot *lot, pid_t pid);

#else

static inline size_t fp_lot_size(uint32_t sleepers)
{
	(void)sleepers;
	return 0;
}

static inline int fp_lot_open(const struct fp_lot *lot)
{
	(void)lot;
	return 0;
}

static inline void fp_lot_close(const struct fp_lot *lot)
{
	(void)lot;
}

static inline void fp_lot_share(const struct fp_lot *lot, const fp_a32 *word)
{
	(void)lot, (void)word;
}

static inline void fp_lot_bury(const struct fp_lot *lot, pid_t pid)
{
	(void)lot, (void)pid;
}

#endif

#endif
