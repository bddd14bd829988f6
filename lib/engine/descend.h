/* SPDX-License-Identifier: MIT */
/* Tasks that items submit and wait for; see descend.c. */
#ifndef FP_ENGINE_DESCEND_H
#define FP_ENGINE_DESCEND_H

#include "engine/future.h"
#include "engine/submit.h"

/* Is the caller an item in the process that runs it, and not a hook or what an item forked? */
bool fp_descend_can(struct fp_self *self);

/* Has the item at work submitted it?  By a worker. */
bool fp_descend_is_mine(const struct fp_ref *r);

/* As fp_submit(), by an item. */
int64_t fp_descend_submit(struct forkpool *pool, struct fp_spec *spec, struct forkpool_job **ret);

/* Of the item's own: runs the task, or what the item is made of, until it has ended.  0, -ETIMEDOUT, -EDEADLK ... */
int fp_descend_wait(const struct fp_ref *r, int64_t deadline, int *result);

/* Runs one of the jobs, or what the item is made of, or sleeps until one of its own may have ended. */
void fp_descend_any(struct forkpool_job *const *jobs, size_t n, int64_t deadline);

/* A task that the item below r's frame is made of, claimed in that frame. */
bool fp_descend_find(struct fp_self *self, struct fp_runner *r, uint32_t tag, struct fp_taken *ret);

/* Runs it there. */
void fp_descend_run(struct fp_self *self, struct fp_runner *r, const struct fp_taken *t);

/* The same for a chunk of a map that the item, or what it is made of, has published. */
bool fp_descend_chunk(struct fp_runner *r, uint32_t tag, struct fp_chunk *ret);
void fp_descend_run_chunk(struct fp_self *self, struct fp_runner *r, struct fp_chunk *chunk);

/* A runner for frame `frame`, above what runs now. */
void fp_descend_open(const struct fp_self *self, struct fp_runner *r, struct fp_frame *frame);

#endif
