/* SPDX-License-Identifier: MIT */
/* The part of the shared heap that each of the host's threads allocates from; see shares.c. */
#ifndef FP_SHM_SHARES_H
#define FP_SHM_SHARES_H

#include "os/thread.h"
#include "shm/heap.h"

/* Of one heap; the host's own, never in the segment. */
struct fp_shares {
	pthread_mutex_t lock;
	uint64_t serial;	/* no other heap of this process has or had it */
	struct fp_units *units;
	struct fp_share *list;
};

void fp_shares_init(struct fp_shares *s, struct fp_units *units);

/* Frees all; takes no lock, since a forked child may come here. */
void fp_shares_fini(struct fp_shares *s);

/* This thread's part where fp_seats does not know it; NULL: there is no memory. */
struct fp_heap *fp_shares_join(struct fp_shares *s);

/* This thread, and those that have ended, keep no slab any more. */
void fp_shares_let_go(struct fp_shares *s);

/* What this thread allocates from, if it has done so lately; else NULL. */
static inline struct fp_heap *fp_shares_seat(const struct fp_shares *s)
{
	return fp_seat_find(s->serial);
}

#endif
