/* SPDX-License-Identifier: MIT */
/* Telling the host's event loop that a job has ended; see due.c. */
#ifndef FP_TASK_DUE_H
#define FP_TASK_DUE_H

#include "shm/segment.h"

/* The job in a slot of the host has ended, and a callback is wanted.  By anybody, any number of times. */
void fp_due_slot(const struct fp_segment *seg, uint32_t slot);

/* The same if the slot's job is one such, by who mends what a dead or stopped worker may not have said. */
void fp_due_slot_again(const struct fp_segment *seg, const struct fp_slot *slot);

/* The same for a task, by its number. */
void fp_due_task(const struct fp_segment *seg, uint32_t number);

/* Something has been made due, by a store that is sc: wakes the loop, if it has asked for that. */
void fp_due_raise(const struct fp_segment *seg);

/* The nursery, in the place of a worker that may have died before it woke the loop. */
void fp_due_repeat(const struct fp_segment *seg);

/* The nursery: did a worker ask for that, which could not write itself? */
bool fp_due_was_lost(struct fp_ctl *ctl);

/* The host: from now on the next one to make something due wakes the loop. */
void fp_due_arm(const struct fp_segment *seg);

/* The host: the slots that were made due, which are so no more; and whether there are any. */
uint64_t fp_due_take(struct fp_ctl *ctl);
bool fp_due_any(struct fp_ctl *ctl);

/* The host: calls back for each task that was made due, which is so no more. */
void fp_due_tasks(const struct fp_segment *seg, void (*visit)(void *ctx, uint32_t number), void *ctx);

#endif
