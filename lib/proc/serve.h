/* SPDX-License-Identifier: MIT */
/* In which order a worker serves what there is; see serve.c. */
#ifndef FP_PROC_SERVE_H
#define FP_PROC_SERVE_H

#include "proc/worker.h"

/* What a worker found and claimed: a task, or a chunk of a map. */
struct fp_found {
	bool is_task;
	struct fp_taken task;
	struct fp_chunk chunk;
};

/* Room for the cursors.  0 or -ENOMEM. */
int fp_serve_init(struct fp_self *self);
void fp_serve_fini(struct fp_self *self);

/* The next thing to run, claimed; false: there is nothing. */
bool fp_serve_find(struct fp_self *self, struct fp_found *ret);

/* Is there more to be had?  May say so in vain, never the opposite. */
bool fp_serve_more(struct fp_self *self);

/* Does a task wait for this worker (ctx is its struct fp_self)? */
bool fp_serve_tasks_wait(void *ctx);

/* Runs it.  False: the worker is to go no further (fp_run_chunk()). */
bool fp_serve_run(struct fp_self *self, struct fp_found *found);

#endif
