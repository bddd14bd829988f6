/* SPDX-License-Identifier: MIT */
/*
 * The words of single tasks: slots, pages of slots, lanes.  What they are for and
 * who may write what in which state: task/lane.c and doc/design/tasks.md.
 */
#ifndef FP_SHM_TASKWORDS_H
#define FP_SHM_TASKWORDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/bits.h"

#define FP_TASK_PAGES	65536u	/* of slots, for all submitters together; page 0 is not used */
#define FP_PAGE_SLOTS	32u	/* places in a page, of which the first is its header */
#define FP_TASK_ROOM	96u	/* bytes in a slot for arg, in and out */
#define FP_VISIT_STEP	2u	/* from one visit of a lane's pages to the next */
#define FP_TURN_BARE	1u	/* in a turn: the submitter put no task there in this visit */
#define FP_HOST_LANES	256u	/* submitting threads at the same time, times priorities; more share */
#define FP_PRIOS	3u	/* 0 high, 1 normal, 2 low */

/* ---- The task word: {flags:2, who:22, generation:28, outcome:4, state:4}; its low half is a futex ---- */

enum fp_task_state {
	FP_TASK_FREE,		/* never used */
	FP_TASK_READY,		/* who = FP_TASK_AGAIN where the nursery made it so */
	FP_TASK_RUN,		/* who = worker */
	FP_TASK_DONE,		/* who = the process that ran it; outcome = FORKPOOL_ITEM_... */
};

/* While it RUNs: set by the host, by the item that submitted it, or by the nursery. */
#define FP_TASK_CANCEL	((uint64_t)1 << 58)	/* to be seen by forkpool_cancelled(); it does not run again */
#define FP_TASK_KILL	((uint64_t)1 << 59)	/* beside that; read by the nursery */
#define FP_TASK_FLAGS	(FP_TASK_CANCEL | FP_TASK_KILL)

#define FP_TASK_AGAIN	1u	/* claimed before: wherever the submitter is, the task was shown */

#define FP_TASK_GEN_MASK	(((uint32_t)1 << 28) - 1)
#define FP_TASK_WHO_MASK	(((uint32_t)1 << 22) - 1)

static inline uint64_t fp_task_word(uint32_t gen, enum fp_task_state state, int outcome,
				    uint32_t who)
{
	return (uint64_t)(who & FP_TASK_WHO_MASK) << 36 | (uint64_t)gen << 8 |
	       (uint64_t)(unsigned)outcome << 4 | (uint64_t)state;
}

#define fp_task_state(w)	((enum fp_task_state)((w) & 15))
#define fp_task_outcome(w)	((int)((w) >> 4 & 15))
#define fp_task_gen(w)		((uint32_t)((w) >> 8) & FP_TASK_GEN_MASK)
#define fp_task_who(w)		((uint32_t)((w) >> 36) & FP_TASK_WHO_MASK)

/* ---- A slot ---------------------------------------------------------------------- */

/* What somebody wants of a task: set by host threads, or the submitting worker; read by who ends it. */
enum fp_ask {
	FP_ASK_WAITER = 1,	/* sleeps on the word */
	FP_ASK_ANY = 2,		/* sleeps on ctl->done */
	FP_ASK_DUE = 4,		/* a callback is to be run */
};

enum fp_task_flags {
	FP_TASK_EXT = 1,	/* struct fp_task_ext lies at the end of room */
	FP_TASK_IN_FAR = 2,	/* at in_at lies its address */
	FP_TASK_OUT_FAR = 4,
	FP_TASK_FAR = 6,
};

/*
 * What is not atomic is the submitter's until READY, and the claimer's from RUN to
 * DONE, when in's place may hold the value that the function returned.  A place of
 * 0 means that there is none (NULL).
 */
struct fp_task {
	FP_ALIGNED fp_a64 word;		/* see above */
	fp_a32 turn;			/* the submitter's visit of this page when it last passed here; | FP_TURN_BARE */
	_Atomic uint8_t asks;		/* enum fp_ask */
	uint8_t in_at, out_at;		/* bytes from the slot's begin */
	_Atomic uint8_t flags;		/* enum fp_task_flags */
	uintptr_t fn;
	void *arg;
	_Alignas(16) unsigned char room[FP_TASK_ROOM];
};

/*
 * Of tasks with limits or retries, and those of items.  What is atomic is looked at
 * by others without a claim, to find out what the task descends from; a word that
 * has not changed meanwhile says that it was this task's.
 */
struct fp_task_ext {
	int64_t timeout;		/* ns; 0 = none */
	int64_t deadline;		/* on the monotonic clock; 0 = none */
	fp_a64 parent;			/* the item that submitted it (fp_parent()); 0 = the host */
	uint32_t retries;
	fp_a32 attempts;		/* deaths so far; nursery writes, host reads */
	uint32_t level;			/* items around it, one inside the other */
	fp_a32 frame;			/* the submitting item's tag (task/nest.h) */
};

#define FP_TASK_EXT_AT	(FP_TASK_ROOM - sizeof(struct fp_task_ext))

static inline struct fp_task_ext *fp_task_ext(struct fp_task *t)
{
	return fp_load_rlx(&t->flags) & FP_TASK_EXT ? (struct fp_task_ext *)(void *)(t->room + FP_TASK_EXT_AT) : NULL;
}

/* ---- A page ------------------------------------------------------------------------ */

/* Where the first slot would lie.  Written by the lane's submitter, but due. */
struct fp_task_page {
	FP_ALIGNED fp_a32 next;		/* the page behind it in the ring */
	fp_a32 visit;			/* the submitter's last one */
	fp_a32 due;			/* slots with callbacks to be run; set by who ends them, taken by the host */
};

/* ---- A lane -------------------------------------------------------------------------- */

struct fp_lane {
	FP_ALIGNED fp_a32 epoch;	/* cursors start anew; raised by the nursery and by a submitter's new life; 0 = never used */
	fp_a32 at;			/* the page where its submitter is; written by that */
	fp_a32 wanted;			/* tasks that are to end before a submitter without room is woken; 0 = none sleeps */
	fp_a32 room;			/* its futex; raised by who wakes it */
	fp_a32 prio;			/* of a lane of the host: written before its first page */

	/* {visit:32, page:32}: the last page that a worker has gone through in order, in a lane of the host: a hint, by that worker. */
	FP_ALIGNED fp_a64 front;
};

/* Lanes of workers come behind those of the host, by priority. */
static inline uint32_t fp_crew_lane(uint32_t workers, uint32_t prio, uint32_t id)
{
	return FP_HOST_LANES + prio * workers + id;
}

#define FP_TASK_SIZE	sizeof(struct fp_task)

_Static_assert(sizeof(struct fp_task) == 128, "a slot is one pair of lines");
_Static_assert(sizeof(struct fp_task_page) == 128, "the header takes one slot's place");
_Static_assert(sizeof(struct fp_task) * FP_PAGE_SLOTS == FP_PAGE, "a page of slots is a page");
_Static_assert(offsetof(struct fp_task, room) == 32, "a small task lies in one line");
_Static_assert(FP_TASK_EXT_AT % 16 == 8 || FP_TASK_EXT_AT % 16 == 0, "the extension is aligned");
_Static_assert(FP_TASK_PAGES * FP_PAGE_SLOTS <= (1u << 21), "a slot's number has 21 bits");

#endif
