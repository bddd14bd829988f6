/* SPDX-License-Identifier: MIT */
/* From the end of a task to its on_done; see callback.c. */
#ifndef FP_ENGINE_CALLBACK_H
#define FP_ENGINE_CALLBACK_H

#include "engine/future.h"
#include "engine/submit.h"

/* The task there, which is READY and about to be shown, has a callback; its job can be found. */
void fp_callback_want(const struct fp_place *at, const struct fp_spec *s, struct forkpool_job *job);

/* Pushes those of tasks that have ended, or (all) that never will. */
void fp_callbacks_harvest(struct forkpool *pool, bool all);

/* The job is freed.  False: its callback is in the queue, or made, which gives the place up later. */
bool fp_callback_drop(struct fp_callback *call);

#endif
