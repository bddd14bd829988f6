/* SPDX-License-Identifier: MIT */
/*
 * On which CPU a worker runs, where the kernel puts two on one; see place.c.
 *
 * A worker has two reasons to move, this one and a CPU that it shares with whoever is about
 * to publish (worker.c, note_yield()).  Both look at one stamp, `stay_until`, lest the one
 * undo what the other has just done.  How long it holds is up to who moved: behind
 * a sleep the next balancing of the kernel is waited for, 10 ms; a worker that spins
 * beside its submitter may be brought back at each wake-up, and costs it all its time: 1 ms.
 */
#ifndef FP_PROC_PLACE_H
#define FP_PROC_PLACE_H

#include "proc/worker.h"

/* Behind a sleep, with work found: moves away where another worker shares this CPU and one is free. */
void fp_place_settle(struct fp_self *self);

/* A worker that is not there any more is in nobody's way. */
void fp_place_forget(struct fp_ctl *ctl, uint32_t id);

#endif
