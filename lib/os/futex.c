/* SPDX-License-Identifier: MIT */
/*
 * Waiting and waking by futexes; the contract is in wait.h.  Raw calls, as in
 * sys.c, and for the same reasons.
 */
#include "os/wait.h"

#include <errno.h>

#include "base/bits.h"

/* 0, -EAGAIN (the word differs), -EINTR or -ETIMEDOUT. */
FP_TRIP int fp_wait_one(fp_a32 *word, uint32_t expected, int64_t deadline)
{
	struct timespec ts, *until = fp_timespec(&ts, deadline);

	return fp_raw(SYS_futex, word, FUTEX_WAIT_BITSET, expected, until, NULL,
		      FUTEX_BITSET_MATCH_ANY);
}

/* The kernel wakes who waits for such a word. */
int fp_wait_exit(fp_a32 *word, uint32_t expected, int64_t deadline)
{
	return fp_wait_one(word, expected, deadline);
}

FP_TRIP int fp_wait_wake(fp_a32 *word, int count)
{
	return fp_raw(SYS_futex, word, FUTEX_WAKE, count);
}

/* futex_waitv(2) and its argument, which older headers lack. */
#define WAITV_NUMBER	449
#define WAITV_SIZE_U32	2

struct waitv {
	uint64_t val;
	uint64_t addr;
	uint32_t flags;
	uint32_t reserved;
};

static int waitv(const struct fp_wait *list, unsigned n, int64_t deadline)
{
	struct timespec ts, *until = fp_timespec(&ts, deadline);
	struct waitv all[FP_WAIT_MOST];
	unsigned i;

	if (n > FP_WAIT_MOST)
		return -EINVAL;
	for (i = 0; i < n; i++)
		all[i] = (struct waitv){
			.val = list[i].value,
			.addr = (uintptr_t)list[i].word,
			.flags = WAITV_SIZE_U32,
		};
	return fp_raw(WAITV_NUMBER, all, n, 0, until, CLOCK_MONOTONIC);
}

/*
 * Sleeps on the first word only and returns -EINTR after a short while, so that
 * the caller looks at all again.
 */
static int wait_blind(const struct fp_wait *list, unsigned n, int64_t deadline)
{
	int64_t cut = fp_deadline(FP_LOOK_NS);
	unsigned i;
	int err;

	for (i = 1; i < n; i++)
		if (fp_load_rlx(list[i].word) != list[i].value)
			return -EAGAIN;
	if (deadline <= cut)
		return fp_wait_one(list[0].word, list[0].value, deadline);
	err = fp_wait_one(list[0].word, list[0].value, cut);
	return err == -ETIMEDOUT ? -EINTR : err;
}

/*
 * Which word was woken, from 0 on, else as fp_wait_one().  Without futex_waitv(2)
 * (Linux before 5.16, valgrind, a seccomp filter; found out by the first call)
 * a change of any word but the first is noticed with a delay.
 */
int fp_wait_many(const struct fp_wait *list, unsigned n, int64_t deadline)
{
	static _Atomic bool missing;
	int ret;

	if (!fp_load_rlx(&missing)) {
		ret = waitv(list, n, deadline);
		if (ret != -ENOSYS && ret != -EPERM)
			return ret;
		fp_store_rlx(&missing, true);
	}
	return wait_blind(list, n, deadline);
}

int fp_wait_two(fp_a32 *a, uint32_t va, fp_a32 *b, uint32_t vb, int64_t deadline)
{
	const struct fp_wait two[] = { { a, va }, { b, vb } };

	return fp_wait_many(two, 2, deadline);
}
