/* SPDX-License-Identifier: MIT */
/* A worker, as a process or as a thread; see worker.c. */
#ifndef FP_PROC_WORKER_H
#define FP_PROC_WORKER_H

#include "proc/crew.h"
#include "shm/heap.h"
#include "task/nest.h"
#include "task/take.h"

/* The worker that this thread is. */
struct fp_self {
	const struct fp_crew *crew;
	struct fp_worker *shared;
	unsigned id;
	void *state;			/* the hook's */
	uint32_t last_slot, last_lane;	/* served last */
	struct fp_cursor *cursors;	/* by lane */
	bool served_task;
	uint32_t searches;
	uint32_t ask_every, ask_left;	/* tasks of a slice between two looks at the clock */
	int64_t asked_at, slice_from;
	unsigned crowded;		/* yields in a row in which somebody else ran */
	bool slept;			/* since it last ran something */
	bool woken;			/* and ran something since; has not let who woke it run yet */
	int64_t stay_until;		/* no move to another CPU before that */
	struct fp_runner runner;	/* of frame 0 */
	struct fp_runner *top;		/* of the item at work */
	bool in_item;			/* and not in a hook; never inline */
	uint32_t depth;			/* frames in use */
	uint32_t items;			/* items, or chunks, begun: numbers for their tags */
	uint32_t frame_room;		/* frames with memory */
	uint32_t level;			/* maps around the item at work, one inside the other, on whatever worker */
	struct fp_heap heap;		/* where its items allocate */
	struct fp_line *lines[FP_PRIOS];	/* where its items submit (engine/lines.h); NULL = not yet */
	void (*left)(struct fp_self *self, struct fp_runner *r);	/* gives up what an item has not freed */
};

/*
 * NULL outside workers.  Initial-exec: found without a call into ld.so, which in
 * each new worker would allocate the variable anew.
 */
extern _Thread_local struct fp_self *fp_self __attribute__((tls_model("initial-exec")));

/* A tag for what is begun in a frame now. */
static inline uint32_t fp_self_tag(struct fp_self *self, uint32_t frame)
{
	return fp_nest_tag(++self->items, frame);
}

/* What r ran has ended; behind it nobody asks for what it submitted. */
static inline void fp_self_ended(struct fp_self *self, struct fp_runner *r)
{
	if (fp_unlikely(r->open))
		self->left(self, r);
}

/* What the item at work is an item of, as a parent. */
static inline uint64_t fp_self_parent(const struct fp_self *self)
{
	const struct fp_runner *r = self->top;

	if (r->task)
		return fp_parent_of_task(fp_task_gen(fp_load_rlx(&r->task->word)), r->number);
	return fp_parent(FP_JOB_GEN(r->claimer.run), r->claimer.slot.index);
}

/*
 * The body: init hook, work until told to leave, exit hook.  0, or what the
 * hook returned.
 */
int fp_worker_run(struct fp_self *self, const struct fp_crew *crew, unsigned id,
		  bool process);

/* The job with limits that an item of this worker has published in slot: the nursery is to enforce them. */
void fp_worker_watch(const struct fp_self *self, uint32_t slot);

/* A task was flagged FP_TASK_KILL: the nursery is to see to it. */
void fp_worker_kill(const struct fp_self *self);

/* Before the first fork of a worker process: what all of them inherit. */
void fp_worker_prepare(void);

/* The body of a worker process, right after the nursery's fork; parent is the nursery. */
_Noreturn void fp_worker_process(const struct fp_crew *crew, unsigned id,
				 pid_t parent);

#endif
