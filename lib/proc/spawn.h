/* SPDX-License-Identifier: MIT */
/* Makes the nursery so that the host has no child it can see; see spawn.c. */
#ifndef FP_PROC_SPAWN_H
#define FP_PROC_SPAWN_H

#include "proc/crew.h"
#include "proc/nursery.h"

/* The host's handle on keeper and nursery.  Must stay in place while they live. */
struct fp_spawn {
	const struct fp_crew *crew;
	fp_a32 keeper;		/* futex: its pid; FORKED; 0 once it has ended */
	pid_t keeper_pid;	/* 0 = plain double fork */
	pid_t nursery_pid;	/* as the keeper's fork() returned it; or -errno */
	int nursery;		/* pidfd; -1 where the nursery is gone */
	int control;		/* our end of the socket */
	struct fp_nursery_args args;
	void *stack;
	size_t stack_size;
};

/* Makes keeper and nursery; workers are still starting when it returns.  0 or -errno. */
int fp_spawn_start(struct fp_spawn *s, struct fp_crew *crew);

/* Says an order to the nursery, when there is room; its being gone already is fine. */
void fp_spawn_order(struct fp_spawn *s, const struct fp_order *order);

/* The nursery is to look at what stands in the segment (FP_CMD_LOOK).  Does not wait, whether it is stopped or not. */
void fp_spawn_look(struct fp_spawn *s);

/* The job with limits that was just published in slot: the nursery is to enforce them. */
void fp_spawn_watch(struct fp_spawn *s, uint32_t slot);

/*
 * Kills, and replaces, the workers that run job gen of slot; what they ran ends
 * as FORKPOOL_ITEM_CANCELLED, the rest of their chunks goes back.  To be called
 * when the job can't be claimed from any more.  Does not wait.
 */
void fp_spawn_kill_job(struct fp_spawn *s, uint32_t slot, uint64_t gen);

/* The same for tasks: one was flagged FP_TASK_KILL. */
void fp_spawn_kill_tasks(struct fp_spawn *s);

/* Waits until all processes of the pool have ended.  0 or -ETIMEDOUT. */
int fp_spawn_wait(struct fp_spawn *s, int64_t deadline);

/* The same at once. */
bool fp_spawn_over(struct fp_spawn *s);

/*
 * A new descriptor that can be read from when all have ended, close to what
 * fp_spawn_over() says; or -errno.  Before fp_spawn_end().
 */
int fp_spawn_end_fd(const struct fp_spawn *s);

/* Whoever has stopped nursery or keeper (SIGSTOP): they go on, since they are needed to end. */
void fp_spawn_rouse(struct fp_spawn *s);

/* Kills the nursery, and all with it.  Does not wait. */
void fp_spawn_kill(struct fp_spawn *s);

/* After fp_spawn_start(): ends everything, by force after patience ns, and frees. */
void fp_spawn_end(struct fp_spawn *s, int64_t patience);

/* In a child that the host forked: gives back what the child holds. */
void fp_spawn_forget(struct fp_spawn *s);

#endif
