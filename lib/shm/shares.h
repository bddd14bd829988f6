/* SPDX-License-Identifier: MIT */
/* The part of the shared heap that each of the host's threads allocates from; see shares.c. */
#ifndef FP_SHM_SHARES_H
#define FP_SHM_SHARES_H

#include "shm/heap.h"

/* Of one heap; the host's own, never in the segment. */
struct fp_shares {
	pthread_mutex_t lock;
	uint64_t serial;	/* no other heap of this process has or had it */
	struct fp_units *units;
	struct fp_share *list;
};

/* What a thread remembers, so that it need not search. */
#define FP_SEATS	4u
struct fp_seat {
	uint64_t serial;
	struct fp_heap *heap;
};
extern _Thread_local struct fp_seat fp_seats[FP_SEATS] __attribute__((tls_model("initial-exec")));

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
	const struct fp_seat *seat = &fp_seats[s->serial % FP_SEATS];

	return fp_likely(seat->serial == s->serial) ? seat->heap : NULL;
}

#endif
