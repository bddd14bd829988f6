/* SPDX-License-Identifier: MIT */
/* What workers and nursery are told: the host's own, inherited by fork, never in the segment. */
#ifndef FP_PROC_CREW_H
#define FP_PROC_CREW_H

#include <forkpool.h>

#include "shm/segment.h"

struct fp_crew {
	struct fp_segment seg;
	struct forkpool *pool;		/* what forkpool_current() returns */
	uint32_t workers;		/* at create; there may be seg.geo.workers later */
	uint64_t max_items;		/* a worker that has run so many is replaced; 0 = never */
	int (*worker_init)(void *arg, unsigned id, void **state);
	void (*worker_exit)(void *arg, unsigned id, void *state);
	void *worker_arg;
	int64_t grace;			/* ns from the flag to the kill, past a limit */
	const unsigned *cpus;		/* worker id is bound to cpus[id % cpus_count]; count 0 = to none */
	size_t cpus_count;
	const int *keep;		/* descriptors that stay open in nursery and workers */
	size_t keep_count;
	forkpool_loop_fn *loop;		/* in the program, near its items' functions */
};

#endif
