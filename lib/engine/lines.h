/* SPDX-License-Identifier: MIT */
/* Which thread, or worker, puts its tasks where; see lines.c. */
#ifndef FP_ENGINE_LINES_H
#define FP_ENGINE_LINES_H

#include "engine/dispatch.h"
#include "engine/pool.h"
#include "os/thread.h"
#include "task/lane.h"

/* Who else, beside the holder of the handle, has to do with a task. */
enum fp_others {
	FP_OTHERS_CALL = 1,	/* it has a callback, beside it in the desk */
	FP_OTHERS_WAIT = 2,	/* a group waits for it, while the holder may free it */
};

/* What the submitter's process knows of a task; each slot has one. */
struct fp_future {
	fp_a32 serial;			/* of the handle; 0 = there is none */
	uint32_t last_serial;
	const void *out;		/* where the result lies; NULL = there is none */
	int64_t deadline;		/* what has not begun by then never does; 0 = none */
	void *far;			/* memory in the arena for what does not fit the slot; NULL = none */
	struct fp_errand *errand;	/* it is an item's async map; NULL = it is none */
	uint8_t others;			/* enum fp_others; by who submits it */
};

enum fp_call_phase {
	FP_CALL_NONE,		/* there was none yet */
	FP_CALL_WANTED,		/* the task's end is to be called */
	FP_CALL_QUEUED,
	FP_CALL_MAKING,
	FP_CALL_AWAITED,	/* and who frees the job waits for that */
	FP_CALL_LEFT,		/* and the job was freed in a callback, likely this one */
	FP_CALL_MADE,
	FP_CALL_DROPPED,	/* the job was freed before */
};

/* The callback of a task; see callback.c. */
struct fp_callback {
	struct fp_due due;
	fp_a32 state;			/* {serial:22, enum fp_call_phase:3}; a futex */
	void (*on_done)(struct forkpool_job *job, void *user);
	void *user;
	struct forkpool_job *job;
};

/* A page of slots and what is known of its tasks; looked up by the page's number. */
struct fp_desk {
	struct fp_home home;
	struct fp_future futures[FP_PAGE_SLOTS];
	struct fp_callback calls[FP_PAGE_SLOTS];
};

/* A producer, and who uses it. */
struct fp_line {
	struct fp_producer lane;	/* open when lane.home is not NULL */
	struct forkpool *pool;
	bool shared;			/* by threads for which no lane was left: under the lock */
	bool woke;			/* a worker, since its thread last let it run: it may sit on this very CPU */
	pthread_mutex_t lock;
	fp_a32 full;			/* who has the lock waits for room; written under it */
	uint32_t depth;			/* unfinished tasks that it may have */
	fp_a32 busy;			/* a submission is under way that may have seen the pool open; by its thread */
};

struct fp_lines {
	pthread_mutex_t lock;
	uint32_t next_id;		/* host lanes that were handed out */
	struct fp_submitter *list;
	struct fp_line *shared[FP_PRIOS];
	fp_a32 desks_used;		/* none from here on */
	uint32_t depth;			/* unfinished tasks of a line */
};

int fp_lines_create(struct forkpool *pool, uint32_t depth);
void fp_lines_destroy(struct forkpool *pool);

/* What a thread submits through; of one thread at a time. */
struct fp_submitter {
	struct fp_submitter *next;
	struct fp_thread *owner;
	struct fp_line *lines[FP_PRIOS];
};

/* The caller's line if it is a thread of the host that has it and shares it with nobody; else NULL. */
static inline struct fp_line *fp_line_at_hand(const struct forkpool *pool, uint32_t prio)
{
	const struct fp_submitter *s = fp_self ? NULL : fp_seat_find(pool->lines_serial);
	struct fp_line *line = s ? s->lines[prio] : NULL;

	return fp_likely(line && !line->shared) ? line : NULL;
}

/*
 * The caller's line of a priority, open and, where it is shared, locked.  0 or -ENOMEM;
 * -EAGAIN: one who shares it waits for room, and the caller is not to.
 */
int fp_line_get(struct forkpool *pool, uint32_t prio, bool wait, struct fp_line **ret);

static inline void fp_line_put(struct fp_line *line)
{
	if (fp_unlikely(line->shared))
		pthread_mutex_unlock(&line->lock);
}

/* The same in a worker, or a pool without. */
bool fp_line_is_mine_here(const struct forkpool *pool, const struct fp_producer *p);

/* Is it this thread's alone? */
static inline bool fp_line_is_mine(const struct forkpool *pool, const struct fp_producer *p)
{
	if (fp_unlikely(fp_self))
		return fp_line_is_mine_here(pool, p);
	return fp_line_at_hand(pool, p->prio) == fp_container(p, struct fp_line, lane);
}

/* The desk of a page of this process's own; NULL: it has none there. */
static inline struct fp_desk *fp_desk_of(const struct forkpool *pool, uint32_t page)
{
	/* DESK-D1: the desk as it was made; pairs with DESK-D2. */
	return page < FP_TASK_PAGES ? fp_load_acq(&pool->desks[page]) : NULL;
}

/* For each line of this process, under the lock. */
void fp_lines_each(struct forkpool *pool, void (*visit)(struct fp_line *line, void *ctx), void *ctx);

#endif
