/* SPDX-License-Identifier: MIT */
/* A worker, as a process or as a thread; see worker.c. */
#ifndef FP_PROC_WORKER_H
#define FP_PROC_WORKER_H

#include "proc/crew.h"
#include "task/run.h"

/* The worker that this thread is. */
struct fp_self {
	const struct fp_crew *crew;
	struct fp_worker *shared;
	unsigned id;
	void *state;			/* the hook's */
	uint32_t last_slot;
	struct fp_runner runner;
};

/* NULL outside workers. */
extern _Thread_local struct fp_self *fp_self;

/*
 * The body: init hook, work until told to leave, exit hook.  0, or what the
 * hook returned.
 */
int fp_worker_run(struct fp_self *self, const struct fp_crew *crew, unsigned id,
		  bool process);

/* The body of a worker process, right after the nursery's fork; parent is the nursery. */
_Noreturn void fp_worker_process(const struct fp_crew *crew, unsigned id,
				 pid_t parent);

#endif
