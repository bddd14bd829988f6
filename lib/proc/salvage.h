/* SPDX-License-Identifier: MIT */
/* Tasks of dead and stopped workers; see salvage.c. */
#ifndef FP_PROC_SALVAGE_H
#define FP_PROC_SALVAGE_H

#include "proc/recover.h"

/* A task that a frame's intent points at. */
struct fp_wreck {
	struct fp_frame *frame;
	struct fp_task *task;
	uint32_t number;
	uint64_t word;
	bool held;		/* RUN by this worker */
	bool started;		/* and its function was called */
};

/* What frame d of a worker that is dead, or stopped, is about; false: no task. */
bool fp_wreck_read(const struct fp_crew *crew, uint32_t id, uint32_t d, struct fp_wreck *ret);

/* What the worker left half-way with tasks that have ended. */
void fp_salvage_tell(const struct fp_crew *crew, const struct fp_wreck *w);

/* Is the task in it to run again, after this death? */
bool fp_salvage_again(const struct fp_crew *crew, const struct fp_wreck *w,
		      const struct fp_death *death);

/* Settles what it held. */
void fp_salvage(const struct fp_crew *crew, const struct fp_wreck *w,
		const struct fp_death *death);

/*
 * What a dead worker's items submitted: cancelled, if nobody runs it.  Returns how
 * many frames, from the first on, are not to be settled yet: others run what uses
 * memory of their items.
 */
uint32_t fp_salvage_children(const struct fp_crew *crew, uint32_t id);

#endif
