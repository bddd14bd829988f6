/* SPDX-License-Identifier: MIT */
/* The pieces of a blocking map that are under way at the same time; see window.c. */
#ifndef FP_ENGINE_WINDOW_H
#define FP_ENGINE_WINDOW_H

#include "engine/piece.h"

#define FP_WINDOW_MOST	6u

struct fp_window {
	struct forkpool *pool;
	const struct fp_map *map;
	uint64_t next;			/* the map's first item that is in no piece yet */
	uint64_t settled;		/* items of pieces that have ended */
	struct fp_failure failure;	/* the first, by index */

	uint64_t items, items_most;	/* of a piece that is begun now, and at most */
	uint32_t most, places;		/* that there may be, and are */
	uint32_t busy;			/* a bit for each piece that is under way */
	bool waited;			/* for workers, since the last one was begun */
	int64_t since, starved;		/* when pieces grew last, and how long workers had nothing to do since */
	struct fp_piece piece[FP_WINDOW_MOST];
};

/* Room and a slot for the first piece.  0, -ENOMEM, or as fp_pool_take_slot(). */
int fp_window_open(struct fp_window *w, struct forkpool *pool, const struct fp_map *map);
void fp_window_close(struct fp_window *w);

/* Begins the next piece.  False when there is no place for it now, or nothing is left. */
bool fp_window_begin(struct fp_window *w);

/* Gathers the pieces that have ended, *n of them.  0, or why another one never will. */
int fp_window_gather(struct fp_window *w, unsigned *n);

/* Until a piece may have ended, or the pool, or to the deadline. */
void fp_window_await(struct fp_window *w, int64_t deadline);

/* All workers have ended, and err is why: gives up what is under way. */
void fp_window_abandon(struct fp_window *w, int err);

/* Items of the map settled so far. */
uint64_t fp_window_progress(const struct fp_window *w);

#endif
