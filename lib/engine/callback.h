/* SPDX-License-Identifier: MIT */
/* From the end of a task to its on_done; see callback.c. */
#ifndef FP_ENGINE_CALLBACK_H
#define FP_ENGINE_CALLBACK_H

#include "engine/future.h"

/* The task that is about to be submitted there has a callback. */
void fp_callback_init(struct fp_callback *call, void (*on_done)(struct forkpool_job *job, void *user),
		      void *user);

/* Pushes those of tasks that have ended, or (all) that never will. */
void fp_callbacks_harvest(struct forkpool *pool, bool all);

/* The job is freed.  False: its callback is in the queue, or made, which gives the place up later. */
bool fp_callback_drop(struct fp_callback *call);

#endif
