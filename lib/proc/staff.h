/* SPDX-License-Identifier: MIT */
/* How many workers there are to be; the nursery's part of a resize; see staff.c. */
#ifndef FP_PROC_STAFF_H
#define FP_PROC_STAFF_H

#include "proc/crew.h"

/* The nursery's own. */
struct fp_staff {
	const struct fp_crew *crew;
	uint32_t wanted;	/* ids below it are started, and started again */
	uint32_t number;	/* of the growth that is under way; 0 = none */
	uint32_t before;	/* what was wanted before it */
};

void fp_staff_init(struct fp_staff *staff, const struct fp_crew *crew);

/* The host asks for so many workers.  Fewer: answered at once.  More: see below. */
void fp_staff_resize(struct fp_staff *staff, uint32_t number, uint32_t workers);

/* The host has seen all of them ready. */
void fp_staff_grown(struct fp_staff *staff, uint32_t number);

/*
 * A worker did not come up, for this reason.  True when it was one of those that
 * a growth added: then that has failed, and fewer are wanted again.
 */
bool fp_staff_failed(struct fp_staff *staff, uint32_t id, int err);

/* A worker has ended: its id is not ready again before it is started anew. */
void fp_staff_gone(struct fp_staff *staff, uint32_t id);

/* The pool ends: nobody waits for a growth any more. */
void fp_staff_close(struct fp_staff *staff);

#endif
