/* SPDX-License-Identifier: MIT */
/*
 * What.  An asymmetric fence.  Who publishes work stores, and then looks whether
 * somebody sleeps; who goes to sleep says so, and then looks for work.  Between
 * the two steps each side needs a full fence.  The one who goes to sleep has
 * time: membarrier(2) makes each CPU that runs a registered process execute a
 * fence, so that the one who publishes needs none of his own.  A pool that has had
 * maps only needs none of that: those who publish maps fence anyway.
 *
 * Usage.  fp_fence_open() when the pool is made; each process fp_fence_join(), or
 * a worker fp_fence_enter(), before its first fp_fence_light().
 *
 * Invariants.
 * I1 Either the kernel's fence falls behind the other side's store, which then
 *    is visible to the sleeper's last look, or before its look at the bits, which
 *    then are visible to it.  This holds for registered processes, so one is
 *    registered before its first light fence, or says BOTH before it.
 * I2 The heavy side does without membarrier(2) only where `fences` was OWN from
 *    create on, so that no light side ever saw anything else; and while it is NEW.
 *    That nobody sees who has joined: he made it KERNEL, and fenced.  A sleeper that
 *    read NEW had set its bit before (FENCE-H1 with FENCE-J3), so who has joined
 *    sees the bit, whenever he looks.
 * I3 What a process inherits by fork counts for nothing: it may have been copied
 *    from the middle of a registration.  So `joined` bears a process id.
 *
 * Ordering pairs.  FENCE-J1/FENCE-J2 (registered), FENCE-H1/FENCE-J3 (asleep and
 * joined), FENCE-B1 with fp_fence_light().
 *
 * Progress.  Nobody waits; who registers at the same time as others does so for
 * nothing.
 *
 * If the owner dies.  BOTH stays, and costs those who publish a fence each.
 */
#include "sync/fence.h"

#include <linux/membarrier.h>
#include <unistd.h>

#include "os/sys.h"

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#else
#define __libc_single_threaded	0
#endif

#define DRAIN_NS	1000000	/* in which every store becomes visible, by far */

/* {process id:32, registered:1}; this process's own. */
static fp_a64 joined;

int fp_fence_register(void)
{
	return fp_sys.membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

static bool kernel_has_it(void)
{
	const int needed = MEMBARRIER_CMD_GLOBAL_EXPEDITED |
			   MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;
	int has = fp_sys.membarrier(MEMBARRIER_CMD_QUERY);

	return has > 0 && (has & needed) == needed;
}

/* Once; false where it can't be. */
static bool process_registered(void)
{
	uint64_t me = (uint64_t)getpid() << 1, is;

	/* FENCE-J2: registered before we go on; pairs with FENCE-J1. */
	is = fp_load_acq(&joined);
	if (is >> 1 != me >> 1) {
		is = me | !fp_fence_register();
		/* FENCE-J1: after the call; pairs with FENCE-J2. */
		fp_store_rel(&joined, is);
	}
	return is & 1;
}

void fp_fence_open(struct fp_ctl *ctl)
{
	if (!kernel_has_it())
		fp_store_rlx(&ctl->fences, FP_FENCES_OWN);
	else if (__libc_single_threaded)
		process_registered();
}

static void fence_by_ourselves(struct fp_ctl *ctl)
{
	uint32_t was = fp_load_rlx(&ctl->fences);

	/* FENCE-B1: before our next light side, and never in the place of OWN; pairs with itself. */
	while (was < FP_FENCES_BOTH && !fp_cas_sc(&ctl->fences, &was, FP_FENCES_BOTH))
		;
}

void fp_fence_join(struct fp_ctl *ctl)
{
	uint32_t was = FP_FENCES_NEW;

	if (fp_load_rlx(&ctl->fences) == FP_FENCES_OWN)
		return;
	if (!process_registered())
		fence_by_ourselves(ctl);
	else
		/* FENCE-J3: after the registration, before any look at who sleeps; pairs with FENCE-H1. */
		fp_cas_sc(&ctl->fences, &was, FP_FENCES_KERNEL);
	fp_fence_full();
}

void fp_fence_enter(struct fp_ctl *ctl)
{
	if (fp_load_rlx(&ctl->fences) != FP_FENCES_OWN && fp_fence_register())
		fence_by_ourselves(ctl);
}

void fp_fence_heavy(struct fp_ctl *ctl)
{
	/* FENCE-H1: after our bit, or the state; pairs with FENCE-J3. */
	uint32_t fences = fp_load_sc(&ctl->fences);

	if (fences == FP_FENCES_NEW || fences == FP_FENCES_OWN ||
	    fp_sys.membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0)
		return;
	/* A filter came over this process later.  Who did not fence yet has stored before: that drains. */
	fence_by_ourselves(ctl);
	fp_sys.poll(NULL, 0, fp_deadline(DRAIN_NS));
}
