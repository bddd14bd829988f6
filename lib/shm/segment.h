/* SPDX-License-Identifier: MIT */
/* The segment as one process holds it; see segment.c. */
#ifndef FP_SHM_SEGMENT_H
#define FP_SHM_SEGMENT_H

#include "shm/units.h"

/* The eventfd of the pool's callbacks (task/due.c), as this process holds it. */
struct fp_event {
	int fd;				/* -1 = none */
	pid_t nursery;			/* in workers: who writes where fd is something else by now; 0 elsewhere */
};

/* A process's handle; children inherit it by fork.  Never in the segment itself. */
struct fp_segment {
	struct fp_ctl *ctl;
	char *arena;
	size_t arena_size;
	int fd;				/* -1 but in the host */
	bool memfd;			/* /dev/shm would not do */
	struct fp_geometry geo;
	struct fp_event event;		/* not the segment's to open or close */
};

/* One slot's parts. */
struct fp_slot {
	struct fp_job *job;
	struct fp_region *regions;
	fp_a64 *root, *top, *sub;
	uint32_t words;			/* of all tops' logs */
	uint32_t index;
};

void fp_geometry_init(struct fp_geometry *geo, uint32_t workers);

/* Bytes of an arena when the user names none, for so many workers at most: a quarter of RAM, within RLIMIT_FSIZE. */
size_t fp_arena_default(uint32_t workers);

/* What the arena lies on, and whether huge pages are asked for; zeros are the defaults. */
struct fp_backing {
	int kind;			/* FORKPOOL_BACKING_... */
	bool huge;
};

/*
 * Makes and maps the segment, for so many workers at most; slots have no room yet.
 * backing NULL: the defaults.  0 or -errno.
 */
int fp_segment_create(struct fp_segment *seg, uint32_t workers, size_t arena_size,
		      const struct fp_backing *backing);
void fp_segment_destroy(struct fp_segment *seg);

/* The same in a child forked later, where the control part is not mapped: something else may lie there. */
void fp_segment_forget(struct fp_segment *seg);

/*
 * Where semaphores stand in for futexes (os/wait.h), and nothing elsewhere: this
 * process, which inherited the segment, is to sleep and wake here as well; a word
 * of its own is waited for together with words in here; a process that could sleep
 * here has died.
 */
int fp_segment_settle(const struct fp_segment *seg);
void fp_segment_share(const struct fp_segment *seg, const fp_a32 *word);
void fp_segment_bury(const struct fp_segment *seg, pid_t pid);

/* Takes room in the file for a slot of the host, before its first job.  0 or -ENOMEM ... */
int fp_segment_take_slot(struct fp_segment *seg, uint32_t slot);

/*
 * The same for control words at `at`; a worker process, which has no descriptor,
 * can do so from Linux 5.14 on.  0 or -errno.
 */
int fp_segment_take_room(const struct fp_segment *seg, const void *at, size_t size, bool host);

struct fp_slot fp_segment_slot(const struct fp_segment *seg, uint32_t slot);
struct fp_worker *fp_segment_worker(const struct fp_segment *seg, uint32_t id);

/* Frame d of a worker, which must be below FP_DEPTH; and how many it has in use, at least 1. */
struct fp_frame *fp_segment_frame(const struct fp_segment *seg, uint32_t id, uint32_t d);
uint32_t fp_segment_depth(const struct fp_segment *seg, uint32_t id);

/* How many workers there are to be now: a number for sharing out work, not for finding things. */
uint32_t fp_segment_crew(const struct fp_segment *seg);
/* The heap in it, as the host sees it (host), or anybody else. */
struct fp_heap_place fp_segment_heap(const struct fp_segment *seg, bool host);

/* Does [ptr, ptr + size) lie in the arena? */
bool fp_segment_owns(const struct fp_segment *seg, const void *ptr, size_t size);

/*
 * The log of region id, when a job has tops top regions: its first word, and
 * in *words how many it has.  NULL where there is no such region.
 */
fp_a64 *fp_slot_log(const struct fp_segment *seg, const struct fp_slot *slot,
		    uint32_t id, uint32_t tops, uint32_t *words);

/* The first sub-region's id of a worker, and of the nursery (id = geo->workers). */
uint32_t fp_first_sub(const struct fp_geometry *geo, uint32_t id);

/* Before work of a kind and a priority is published: workers look for it from now on. */
static inline void fp_kind_raise(struct fp_ctl *ctl, enum fp_kind kind, uint32_t prio)
{
	uint32_t bit = (uint32_t)kind << 2 * prio;

	if (!(fp_load_rlx(&ctl->kinds) & bit))
		/* KIND-K1: before the work; a sleeper's last look sees both; pairs with KIND-K2. */
		fp_or_sc(&ctl->kinds, bit);
}

/* ---- Single tasks: ids, pages and numbers must be in their bounds ---------------- */

static inline struct fp_lane *fp_segment_lane(const struct fp_segment *seg, uint32_t id)
{
	return (struct fp_lane *)(void *)((char *)seg->ctl + seg->geo.lane_off) + id;
}

static inline uint32_t fp_segment_lanes(const struct fp_segment *seg)
{
	return FP_HOST_LANES + FP_PRIOS * seg->geo.workers;
}

/* Whose a page is: 0, or a lane's id + 1. */
static inline fp_a32 *fp_segment_owner(const struct fp_segment *seg, uint32_t page)
{
	return (fp_a32 *)(void *)((char *)seg->ctl + seg->geo.owner_off) + page;
}

/* The priority of the lane of a page's owner word; FP_PRIOS: it is none's. */
static inline uint32_t fp_lane_prio(const struct fp_segment *seg, uint32_t owner)
{
	uint32_t id = owner - 1;

	if (!owner || id >= fp_segment_lanes(seg))
		return FP_PRIOS;
	if (id >= FP_HOST_LANES)
		return (id - FP_HOST_LANES) / seg->geo.workers;
	return (uint32_t)fp_min(fp_load_rlx(&fp_segment_lane(seg, id)->prio), FP_PRIOS);
}

/* The slot with a number; for that of a page x FP_PAGE_SLOTS, the page's header. */
static inline struct fp_task *fp_segment_task(const struct fp_segment *seg, uint32_t number)
{
	return (struct fp_task *)(void *)((char *)seg->ctl + seg->geo.page_off) + number;
}

static inline struct fp_task_page *fp_segment_page(const struct fp_segment *seg, uint32_t page)
{
	return (struct fp_task_page *)(void *)fp_segment_task(seg, page * FP_PAGE_SLOTS);
}

#endif
