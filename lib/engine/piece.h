/* SPDX-License-Identifier: MIT */
/* One job in a slot, from its publication until its outcomes are gathered; see piece.c. */
#ifndef FP_ENGINE_PIECE_H
#define FP_ENGINE_PIECE_H

#include "engine/stage.h"

struct fp_piece {
	struct forkpool *pool;
	const struct fp_map *map;
	struct fp_stage st;
	struct fp_host_slot *host;	/* the slot, where it is the host's; NULL */
	uint32_t slot;
	uint64_t gen;		/* of the last job in the slot */
	uint64_t parent;	/* fp_parent() of the item that maps; 0: a host thread */
	uint64_t b, n;		/* the map's items [b, b + n) */
	bool large;		/* what is copied is better not kept in caches */
	bool whole;		/* it is claimed as one chunk, which is split where others want work */
};

/* The first item of a map that is not ok. */
struct fp_failure {
	bool failed;
	uint64_t index;
	int outcome;
};

/* The slot that was taken for it; before the first start. */
void fp_piece_hold(struct fp_piece *p, struct fp_host_slot *slot);

/* Copies in what is not there yet, and publishes the job of items [b, b + n). */
void fp_piece_start(struct fp_piece *p, uint64_t b, uint64_t n);

/*
 * After it has ended, with err the reason if not in order: outputs and status
 * go to the caller's arrays (unless !deliver), the first failure to *f if none
 * came before.
 */
void fp_piece_gather(struct fp_piece *p, int err, bool deliver, struct fp_failure *f);

/* Items of the map settled so far. */
uint64_t fp_piece_progress(const struct fp_piece *p);

#endif
