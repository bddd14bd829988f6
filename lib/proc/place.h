/* SPDX-License-Identifier: MIT */
/* On which CPU a worker runs, where the kernel puts two on one; see place.c. */
#ifndef FP_PROC_PLACE_H
#define FP_PROC_PLACE_H

#include "proc/worker.h"

/* Behind a sleep, with work found: moves away where another worker shares this CPU and one is free. */
void fp_place_settle(struct fp_self *self);

/* A worker that is not there any more is in nobody's way. */
void fp_place_forget(struct fp_ctl *ctl, uint32_t id);

#endif
