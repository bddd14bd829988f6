/* SPDX-License-Identifier: MIT */
/*
 * What.  Every struct that lies in the segment, and the words packed into it.
 *
 * The segment is one mapping: control first, arena behind it.
 *
 *	struct fp_ctl                       one, at offset 0; describes itself
 *	struct fp_worker [workers]
 *	parking lot                         only where semaphores stand in for futexes: os/lot.c
 *	slot [FP_SLOTS], for jobs of the host, each:
 *		struct fp_job               a job's word and description
 *		struct fp_region [ids]      0 the root; then tops; then sub-regions
 *		words of the root's log     [tops]
 *		words of the tops' logs     [FP_TOP_WORDS], cut into equal parts
 *		words of the subs' logs     [subs][FP_SUB_WORDS]
 *	slot [FP_NESTED], for jobs of items, likewise, with [FP_NEST_WORDS]
 *	struct fp_frame [workers][FP_DEPTH], of which the first is not used
 *	struct fp_lane [FP_HOST_LANES + FP_PRIOS * workers]  single tasks (taskwords.h)
 *	owners [pages]                      whose page of slots it is
 *	pages [pages]                       of slots
 *	the heap's words, for each unit of the arena (heapwords.h)
 *	arena
 *
 * No pointer stands among the control words but those of a job's description
 * (fn, arg, in, out, status), which only workers follow.  Where things lie is
 * computed from the most workers that the pool may ever have (struct
 * fp_geometry), never read back.
 *
 * If the owner dies.  Each field below says who writes it; doc/design/death.md
 * says for each state who mends it.
 */
#ifndef FP_SHM_LAYOUT_H
#define FP_SHM_LAYOUT_H

#include <stddef.h>
#include <sys/types.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "shm/heapwords.h"
#include "shm/taskwords.h"

#define FP_MAGIC	0x6c6f6f706b726f66ull	/* "forkpool", little-endian */
#define FP_LAYOUT	8u			/* raised when anything below changes */

#define FP_WORKERS_MAX	1024u
#define FP_MAP_WORDS	(FP_WORKERS_MAX / 64)	/* words of a bitmap of workers */
#define FP_SLOTS	64u			/* jobs of the host at the same time */
#define FP_NESTED	64u			/* jobs of items at the same time; more run serially */
#define FP_ALL_SLOTS	(FP_SLOTS + FP_NESTED)
#define FP_SLOT_MAP	(FP_ALL_SLOTS / 64)	/* words of a bitmap of slots */
#define FP_DEPTH	1024u			/* maps inside each other, and so claims that a worker may hold */
#define FP_IDS_MAX	4096u			/* regions of a slot */
#define FP_TOP_WORDS	16384u			/* claim words of all top regions */
#define FP_NEST_WORDS	1024u			/* the same in a nested slot */
#define FP_SUB_WORDS	64u			/* claim words of a sub-region */
#define FP_REGION_MAX	((uint64_t)1 << 27)	/* items in one region */

/* ---- The claim word: {generation:22, state:2, owner or sub-region:12, end:28} */

enum fp_word_state {
	FP_EMPTY,	/* never written; a word of another generation is as good */
	FP_RUN,		/* the owner runs [end of the word before, end) */
	FP_DONE,	/* settled */
	FP_SPLIT,	/* a region with the id in the owner's place stands for the rest */
};

#define FP_GEN_BITS	22
#define FP_GEN_MASK	(((uint64_t)1 << FP_GEN_BITS) - 1)
#define FP_END_BITS	28
#define FP_END_MASK	(((uint64_t)1 << FP_END_BITS) - 1)
#define FP_OWNER_MASK	((uint64_t)0xfff)
#define FP_NOBODY	0xfffu		/* as a chunk's owner: the host or the nursery, which settles it as cancelled */
#define FP_INDEX_MASK	((uint64_t)0x3fff)

_Static_assert(FP_IDS_MAX - 1 <= FP_OWNER_MASK, "an id fits a claim word");
_Static_assert(FP_WORKERS_MAX <= FP_NOBODY, "no worker is nobody");
_Static_assert(FP_TOP_WORDS - 1 <= FP_INDEX_MASK, "an index fits 14 bits");
_Static_assert(FP_REGION_MAX <= FP_END_MASK, "an end fits a claim word");

static inline uint64_t fp_word(uint64_t gen, enum fp_word_state state,
			       uint64_t owner, uint64_t end)
{
	return gen << 42 | (uint64_t)state << 40 | owner << FP_END_BITS | end;
}

static inline uint64_t fp_word_gen(uint64_t w)
{
	return w >> 42;
}

static inline enum fp_word_state fp_word_state(uint64_t w)
{
	return (enum fp_word_state)(w >> 40 & 3);
}

static inline uint32_t fp_word_owner(uint64_t w)
{
	return (uint32_t)(w >> FP_END_BITS & FP_OWNER_MASK);
}

static inline uint64_t fp_word_end(uint64_t w)
{
	return w & FP_END_MASK;
}

/* ---- The job word: {generation:56, flags:8}; its low half is a futex ------ */

#define FP_JOB_RUN	1u	/* claimable */
#define FP_JOB_DONE	2u
#define FP_JOB_WAITER	4u	/* somebody sleeps on the word: wake at the end */
#define FP_JOB_CANCEL	8u	/* claim no more; stays with DONE */
#define FP_JOB_ABANDON	16u	/* the workers leave; nobody waits for DONE */
#define FP_JOB_ASKED	(FP_JOB_WAITER | FP_JOB_CANCEL | FP_JOB_ABANDON)	/* what host threads add to RUN */
#define FP_JOB_GEN(w)	((w) >> 8)

static inline uint64_t fp_job_word(uint64_t gen, unsigned flags)
{
	return gen << 8 | flags;
}

/* ---- Region ---------------------------------------------------------------- */

/*
 * A run of items with a log of claim words.  It exists if and only if its
 * parent's word reads {SPLIT, this id}.  Before that store its maker alone
 * (host: root and tops; a worker or the nursery: its own sub-regions) writes
 * the first four fields; after it nobody does until the parent's word is DONE.
 */
struct fp_region {
	FP_ALIGNED fp_a64 name;		/* {generation:22, parent:12, index in the parent's log:14} */
	fp_a64 extent;			/* {generation:22, length:28} */
	fp_a64 low;			/* the job's index of the first item */
	fp_a64 batch;			/* ranges: at most so many items a call; 0 = any */

	/* Hints, by anybody; each bears the generation, and 0 serves as well. */
	_Alignas(64) fp_a64 claim_hint;	/* {generation:22, index:14} of a word that may be empty */
	fp_a64 done_hint;		/* {generation:22, index:14}: all words before are DONE */
	fp_a64 cost_hint;		/* {generation:22, cost of an item:42 in 1/256 ns} */
};

static inline uint64_t fp_name(uint64_t gen, uint64_t parent, uint64_t index)
{
	return gen << 42 | parent << 14 | index;
}

static inline uint32_t fp_name_parent(uint64_t name)
{
	return (uint32_t)(name >> 14 & FP_OWNER_MASK);
}

static inline uint32_t fp_name_index(uint64_t name)
{
	return (uint32_t)(name & FP_INDEX_MASK);
}

/* A value of up to 42 bits under a generation, as in extent and the hints. */
static inline uint64_t fp_tagged(uint64_t gen, uint64_t value)
{
	return gen << 42 | value;
}

static inline uint64_t fp_tagged_value(uint64_t w)
{
	return w & (((uint64_t)1 << 42) - 1);
}

/* ---- Job ------------------------------------------------------------------- */

enum fp_job_flags {
	FP_JOB_RANGE = 1,	/* range is called, not fn */
	FP_JOB_STOP = 2,	/* stop_on_error */
	FP_JOB_NOTIFY = 4,	/* on_done: the host's loop is told of the end */
};

/*
 * What a job is to be.  The pointers are for workers: fn and, unless it is in
 * the segment, arg as they were at create, the arrays in the arena.
 */
struct fp_job_desc {
	uintptr_t fn;
	uint32_t flags;			/* enum fp_job_flags */
	uint32_t retries;
	void *arg;
	const char *in;
	char *out;
	size_t in_size, out_size;
	uint64_t count;			/* items, from 0 on */
	uint64_t begin;			/* ranges: what item 0 is called */
	uint64_t parent;		/* fp_parent() of the item that published it; 0 = the host */
	uint32_t level;			/* items around it, one inside the other */
	uint32_t prio;
	uint64_t chunk;			/* items a claim; 0 = measured */
	struct forkpool_status *status;	/* NULL = none wanted */
	int64_t timeout;		/* ns for an item, or a call of a range; 0 = none */
	int64_t deadline;		/* of the job, on the monotonic clock; 0 = none */
};

/*
 * desc is written by who holds the slot, a host thread or a worker, between two
 * jobs, and read by workers that hold a claim, so never while it is written.  The atomics
 * before it are read before a claim too, where a stale value is found out by the
 * claim's checks.
 */
struct fp_job {
	FP_ALIGNED fp_a64 word;		/* holder: RUN; anybody: RUN -> DONE; holder: WAITER; host, nursery: CANCEL, ABANDON */

	FP_ALIGNED fp_a64 first;	/* {index:56, outcome:8} of the first item not ok; ~0 none; lowered by anybody */

	FP_ALIGNED fp_a32 tops;		/* top regions of this job */
	fp_a32 stops;			/* desc has FP_JOB_STOP: a hint where to claim first */
	fp_a64 chunk;			/* desc.chunk */
	fp_a64 fn;			/* desc.fn: whose cost is remembered */
	fp_a32 prio;			/* desc.prio */
	fp_a64 timeout, deadline;	/* desc's: when the nursery looks again */
	fp_a64 parent;			/* desc.parent */
	fp_a32 notify;			/* desc has FP_JOB_NOTIFY: read by who completes the job */
	struct fp_job_desc desc;

	FP_ALIGNED fp_a64 used[FP_IDS_MAX / 64];	/* sub-regions that this job may have: a hint, set by their makers */
};

static inline uint64_t fp_first(uint64_t index, int outcome)
{
	return index << 8 | (unsigned)outcome;
}

/*
 * The item that published a job or a task, by what it is an item of: a job,
 * {0:1, generation:55, slot:8}, or a task, {1:1, 0:14, generation:28, number:21}.
 */
static inline uint64_t fp_parent(uint64_t gen, uint32_t slot)
{
	return gen << 8 | slot;
}

#define fp_parent_gen(p)	((p) >> 8)
#define fp_parent_slot(p)	((uint32_t)((p) & 0xff))

#define FP_PARENT_TASK		((uint64_t)1 << 63)

static inline uint64_t fp_parent_of_task(uint32_t gen, uint32_t number)
{
	return FP_PARENT_TASK | (uint64_t)gen << 21 | number;
}

#define fp_parent_task_gen(p)	((uint32_t)((p) >> 21) & FP_TASK_GEN_MASK)
#define fp_parent_task(p)	((uint32_t)((p) & 0x1fffff))

/* ---- Worker ---------------------------------------------------------------- */

enum fp_worker_state {
	FP_WORKER_NONE,		/* no process */
	FP_WORKER_STARTING,
	FP_WORKER_READY,
	FP_WORKER_REFUSED,	/* worker_init said no */
	FP_WORKER_LEFT,		/* in order */
};

/*
 * Is a worker to leave before the pool ends?  The nursery asks, and may take it
 * back; the worker takes it up, by a swap each: whichever comes first counts.
 */
enum fp_leave {
	FP_LEAVE_NO,
	FP_LEAVE_ASKED,
	FP_LEAVE_TAKEN,		/* it looks for no more work, and ends in order; or has ended */
};

#define FP_POS_NONE	UINT64_MAX

/* With it: the items before it are done, and this one was not begun: a worker that leaves. */
#define FP_POS_LEFT	((uint64_t)1 << 62)

/* What a worker is about: {valid:1, generation:22, slot:8, region:12, index:14} */
#define FP_INTENT_NONE	((uint64_t)0)

static inline uint64_t fp_intent(uint64_t gen, uint64_t slot, uint64_t region,
				 uint64_t index)
{
	return (uint64_t)1 << 63 | gen << 34 | slot << 26 | region << 14 | index;
}

/* The same for a task: {valid:1, task:1, 0:13, generation:28, number:21}. */
#define FP_INTENT_TASK	((uint64_t)1 << 62)

static inline uint64_t fp_intent_of_task(uint32_t gen, uint32_t number)
{
	return (uint64_t)1 << 63 | FP_INTENT_TASK | (uint64_t)gen << 21 | number;
}

#define fp_intent_task_gen(w)	((uint32_t)((w) >> 21) & FP_TASK_GEN_MASK)
#define fp_intent_task(w)	((uint32_t)((w) & 0x1fffff))

#define fp_intent_gen(w)	((w) >> 34 & FP_GEN_MASK)
#define fp_intent_slot(w)	((uint32_t)((w) >> 26 & 0xff))
#define fp_intent_region(w)	((uint32_t)((w) >> 14 & FP_OWNER_MASK))
#define fp_intent_index(w)	((uint32_t)((w) & FP_INDEX_MASK))

_Static_assert(FP_ALL_SLOTS - 1 <= 0xff, "a slot fits intents and parents");

/*
 * One claim and the item at work.  A worker's first frame is for what its main
 * loop claims; the next for what is claimed while that item waits for a map of
 * its own; and so on.  Written by the worker, read by the nursery after death
 * (all) and at a stop (intent), and by the host for progress (pos of the first).
 */
struct fp_frame {
	fp_a64 pos;			/* the item at work, by the job's index (a task's is 0); FP_POS_NONE; or with FP_POS_LEFT */
	fp_a64 span;			/* ranges: items handed to one call from pos on; tasks: intent of the one before, whose waiters may not have been told; 0 = they have */
	fp_a64 intent;			/* the claim it tried or holds */
	fp_a64 limit;			/* of the last item begun in its claim; 0 = none has a limit */
};

/* What a worker does, as far as its times are concerned. */
enum fp_doing {
	FP_DOING_NOTHING,	/* it is not there */
	FP_DOING_ITEMS,		/* busy */
	FP_DOING_IDLE,		/* looks for work, or sleeps */
	FP_DOING_WAITS,		/* the same inside an item that waits; idle as well */
};

struct fp_times {
	fp_a64 busy_ns, idle_ns;	/* up to `since` */
	fp_a64 since;			/* {ns of the monotonic clock:62, enum fp_doing:2} */
};

/*
 * Over all lives of an id.  Written by the worker, by the nursery for a dead one, and
 * inline, as worker 0, by the thread at work; read by who asks for statistics.
 */
struct fp_worker_stats {
	FP_ALIGNED fp_a64 items;	/* of maps, that came to their end */
	fp_a64 tasks;			/* likewise */
	fp_a64 claims;
	fp_a64 failed_claims;		/* somebody else was faster */
	fp_a64 wakeups;			/* it came back from sleep */
	fp_a64 turn;			/* times[turn % 2] counts; see stats.c */
	struct fp_times times[2];
};

/*
 * Written by the worker itself, but condemned and expired by the nursery, and
 * pid (too), depth and state NONE and STARTING by the nursery while no process has
 * this id, and event by anybody.  Read by the nursery after death (all), at a stop
 * (depth) and in jobs with limits (limit), by the host at create and for statistics
 * (state, pid).
 */
struct fp_worker {
	FP_ALIGNED struct fp_frame base;	/* frame 0 */
	fp_a64 chunks;			/* chunks it settled, over all its lives */
	fp_a64 limit;			/* the earliest of all frames' limits, on the monotonic clock; 0 = none */
	fp_a64 runs;			/* chunks it began to run in frame 0, over all its lives */
	fp_a32 depth;			/* frames in use; raised before a frame is used, lowered when it is not any more */

	FP_ALIGNED fp_a32 state;	/* enum fp_worker_state */
	fp_a32 pid;			/* 0 = no process; the worker's own, stored by the nursery as well */
	_Atomic int32_t error;		/* of worker_init, with REFUSED */
	fp_a32 condemned;		/* futex: 1 = park behind the item, or chunk, at work; read by the worker */
	fp_a64 expired;			/* the limit that the worker was last seen to have passed; read by the worker */
	fp_a32 leave;			/* enum fp_leave; nursery: NO, ASKED, the dead's TAKEN; the worker: TAKEN */
	fp_a32 event;			/* futex it sleeps on when it has no work; raised by whoever wakes it */

	struct fp_worker_stats stats;
};

/* ---- Control ---------------------------------------------------------------- */

/* What work there may be; shifted left by twice the priority. */
enum fp_kind {
	FP_KIND_MAP = 1,
	FP_KIND_TASK = 2,
};

#define FP_KIND_ANY_MAP	(FP_KIND_MAP | FP_KIND_MAP << 2 | FP_KIND_MAP << 4)
#define FP_KIND_ANY_TASK	(FP_KIND_ANY_MAP << 1)

enum fp_stop {
	FP_STOP_NO,
	FP_STOP_LEAVE,		/* workers leave when they find no work */
	FP_STOP_NOW,		/* workers leave at the next item */
};

/* What the nursery tells the host's log. */
enum fp_log_kind {
	FP_LOG_NONE,
	FP_LOG_KILLED,		/* a worker: id, pid, code = signal, value: it held a claim */
	FP_LOG_EXITED,		/* likewise, code = exit status */
	FP_LOG_LEFT,		/* in order, while the pool goes on: id, pid */
	FP_LOG_STARTED,		/* in the place of another, or by a resize: id, pid */
	FP_LOG_BACKOFF,		/* id is not started again for value ns */
	FP_LOG_NO_FORK,		/* id can't be started: code = -errno */
	FP_LOG_GIVES_UP,	/* code = -error: the pool is broken */
};

/* Is the host's event loop to be woken when a callback comes due? */
enum fp_due_state {
	FP_DUE_OFF,		/* nobody has asked for the descriptor */
	FP_DUE_ARMED,
	FP_DUE_TOLD,		/* somebody has written to the eventfd, or is about to */
};

#define FP_LOG_RECORDS	64u	/* the newest are kept */

/* A ring; see shm/log.c. */
struct fp_log {
	FP_ALIGNED fp_a64 next;		/* records ever written; nursery writes, host reads */
	fp_a64 records[FP_LOG_RECORDS][3];	/* {id:32, kind:32}, {code:32, pid:32}, value; likewise */
};

/*
 * Who holds a nested slot: 0, or {frame:16, worker + 1:16}.  A worker takes it by
 * compare-and-swap from 0 and gives it back by a store; for a dead one the
 * nursery does so, when the slot's job is not RUN any more.
 */
struct fp_nest {
	_Alignas(64) fp_a32 holder;
	fp_a32 room;			/* the slot has memory; set by who took it, never cleared */
};

/* Who orders a store before the look at who sleeps; see sync/fence.c. */
enum fp_fences {
	FP_FENCES_NEW,		/* the storer, while nobody has joined who counts on the sleeper */
	FP_FENCES_KERNEL,	/* the sleeper, by membarrier(2) */
	FP_FENCES_BOTH,		/* ... and the storer too: some process could not be registered */
	FP_FENCES_OWN,		/* the storer: there is no membarrier(2); from create on, or never */
};

/* What has become of workers and what they ran: the nursery writes, who asks for statistics reads. */
struct fp_tally {
	FP_ALIGNED fp_a64 deaths;	/* workers that did not leave in order, while the pool went on */
	fp_a64 replaced;		/* workers started in the place of others */
	fp_a64 retries;			/* items that were given back after they lost their worker, within their retries */
	fp_a64 timeouts;		/* items that ended at their limit */
	fp_a64 kills;			/* workers that the nursery killed for a limit or a killed job */
};

struct fp_ctl {
	/* Written once, by the host at create. */
	FP_ALIGNED uint64_t magic;
	uint32_t layout;
	uint32_t workers;		/* at most, ever */
	uint64_t worker_off, slot_off, slot_stride, nest_off, nest_stride, frame_off;
	uint64_t arena_off, arena_size;

	FP_ALIGNED fp_a64 active[FP_SLOT_MAP];	/* slots that ever had a job; their holders set, workers read */
	fp_a64 spin;			/* ns a worker looks on before it sleeps, as int64_t; fp_idle_may_spin(); host sets while they start */
	fp_a32 cpus;			/* that the program may use, by affinity and quota; host sets, with spin */
	fp_a32 crew;			/* workers wanted now: for those who share out work; host at create, then the nursery */
	fp_a32 fences;			/* enum fp_fences; host at create; who joins first: KERNEL; who can't be registered: BOTH; all read */

	/* What a running worker looks at between items; seldom written. */
	FP_ALIGNED fp_a64 hungry[FP_MAP_WORDS];		/* looking for work; each worker its bit, the nursery a dead one's */
	fp_a32 stop;			/* enum fp_stop; host writes, workers and the nursery read */
	FP_ALIGNED fp_a64 waiting[FP_MAP_WORDS];	/* looking for work inside an item that waits; as hungry */

	FP_ALIGNED fp_a64 asleep[FP_MAP_WORDS];	/* to be woken: a worker sets its bit; whoever wakes it clears it, or it itself, or the nursery */

	FP_ALIGNED fp_a64 nest_asleep[FP_MAP_WORDS];	/* the same inside an item that waits */

	FP_ALIGNED fp_a32 cpu[FP_WORKERS_MAX];	/* where each worker is, plus one; 0 = not known; its own, the nursery a dead one's */

	FP_ALIGNED fp_a32 nest_event;	/* futex of workers that sleep inside an item; raised by whoever wakes */

	FP_ALIGNED fp_a32 started;	/* futex of create; raised by workers and nursery */
	_Atomic int32_t start_error;	/* -errno why the nursery gave up; 0 */
	fp_a32 resizing;		/* somebody waits for workers that start: wake for each; host sets */
	fp_a32 resized;			/* the last resize that was answered, by number; nursery writes, host reads */
	_Atomic int32_t resize_error;	/* the answer: 0 or -errno */

	FP_ALIGNED fp_a32 life;		/* the nursery's robust futex: its tid, then FUTEX_OWNER_DIED */

	FP_ALIGNED fp_a64 due;		/* slots of the host with a job that ended and wants a callback: set by anybody, taken by the host */
	fp_a32 due_state;		/* enum fp_due_state; host: ARMED; anybody: ARMED -> TOLD */
	fp_a32 due_lost;		/* a worker could not write to the eventfd; it sets, the nursery clears */

	struct fp_log log;
	FP_ALIGNED fp_a64 heap_limit;	/* units of the arena whose words have memory; raised by whoever allocates */

	/* Lanes that ever had a task; their submitters set, workers read. */
	FP_ALIGNED fp_a64 host_lanes[FP_PRIOS][FP_HOST_LANES / 64];
	fp_a64 crew_lanes[FP_PRIOS][FP_MAP_WORDS];
	fp_a32 kinds;			/* enum fp_kind of each priority that there ever was work of; raised by who publishes */
	fp_a32 task_pages;		/* pages from here on never had an owner; raised by whoever takes one */

	fp_a32 kills;			/* a task was flagged FP_TASK_KILL, or a job is in `killed`; who wants it sets, the nursery takes */
	fp_a32 limited;			/* there were tasks with limits; set by their submitters, read by the nursery */
	fp_a64 lookout;			/* when the nursery looks at limits next, unless told; FP_FOREVER, 0 = never; nursery writes */

	FP_ALIGNED fp_a32 done;		/* futex of those who wait for any of several tasks; raised by who ends one */

	/* Pages with tasks that ended and want a callback: set by anybody, taken by the host. */
	FP_ALIGNED fp_a64 due_pages[FP_TASK_PAGES / 64];

	FP_ALIGNED fp_a64 watched[FP_SLOT_MAP];	/* slots with a new job that has limits; who published it sets, the nursery takes */
	fp_a64 killed[FP_SLOTS];	/* the generation of the host's job there that is to be killed; 0 = none; host sets, the nursery takes */
	struct fp_nest nest[FP_NESTED];

	struct fp_tally tally;
};

_Static_assert(offsetof(struct fp_ctl, magic) == 0, "the magic comes first");
_Static_assert(sizeof(struct fp_region) == FP_LINE, "a region is one pair of lines");
_Static_assert(offsetof(struct fp_region, claim_hint) == 64, "hints have their own line");
_Static_assert(FP_DEPTH <= 0xffff && FP_WORKERS_MAX < 0xffff, "a holder fits 32 bits");
_Static_assert(FP_REGION_MAX * FP_WORKERS_MAX < FP_POS_LEFT, "a position leaves room for its flag");
_Static_assert(sizeof(struct fp_worker_stats) == FP_LINE, "a worker's statistics are one pair of lines");
_Static_assert(sizeof(struct fp_worker) == 3 * FP_LINE, "a worker is three pairs of lines");
_Static_assert(offsetof(struct fp_job, first) == FP_LINE, "the job word has its own line");
_Static_assert(offsetof(struct fp_ctl, asleep) % FP_LINE == 0, "asleep has its own lines");
_Static_assert(sizeof(struct fp_ctl) % FP_LINE == 0, "the workers lie right behind it");

/* A worker's entry, for those who know no more than the control words; id below the most workers. */
static inline struct fp_worker *fp_ctl_worker(struct fp_ctl *ctl, uint32_t id)
{
	return (struct fp_worker *)(ctl + 1) + id;
}

/* ---- Where things lie --------------------------------------------------------- */

/* Computed from the most workers; private to each process, equal in all. */
struct fp_geometry {
	uint32_t workers;		/* at most, ever */
	uint32_t tops;			/* most top regions of a job */
	uint32_t own;			/* sub-regions of each worker */
	uint32_t spares;		/* sub-regions of the nursery */
	uint32_t ids;			/* 1 + tops + own * workers + spares */
	size_t worker_off, lot_off, slot_off, slot_stride;
	size_t nest_off, nest_stride, frame_off;
	uint32_t pages;			/* of slots for tasks */
	size_t lane_off, owner_off, page_off;
	size_t region_off, root_off, top_off;	/* inside a slot; the subs' words lie behind the tops' */
	size_t heap_off;		/* the heap's words; known with the arena's size */
	size_t ctl_size;		/* control in all, whole pages */
};

#endif
