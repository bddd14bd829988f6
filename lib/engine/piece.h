/* SPDX-License-Identifier: MIT */
/* One job in a slot, from its publication until its outcomes are gathered; see piece.c. */
#ifndef FP_ENGINE_PIECE_H
#define FP_ENGINE_PIECE_H

#include "engine/stage.h"

struct fp_piece {
	struct forkpool *pool;
	const struct fp_map *map;
	struct fp_stage st;
	struct fp_host_slot *slot;
	uint64_t gen;		/* of the job in the slot */
	uint64_t b, n;		/* the map's items [b, b + n) */
};

/* The first item of a map that is not ok. */
struct fp_failure {
	bool failed;
	uint64_t index;
	int outcome;
};

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
