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

#endif
