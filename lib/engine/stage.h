/* SPDX-License-Identifier: MIT */
/* A map's arrays in the segment; see stage.c. */
#ifndef FP_ENGINE_STAGE_H
#define FP_ENGINE_STAGE_H

#include "engine/map.h"

/* What is in the segment for a map, and how many items of it at a time. */
struct fp_stage {
	void *arg;
	char *in, *out;
	struct forkpool_status *status;
	bool own_arg, own_in, own_out, own_status;	/* ours, to be freed */
	uint64_t piece;
};

/* Room for all items at once.  0 or -ENOMEM. */
int fp_stage_all(struct forkpool *pool, const struct fp_map *map, struct fp_stage *st);

/* Room for as many items as the arena has place for, `most` of them at most.  0 or -ENOMEM. */
int fp_stage_most(struct forkpool *pool, const struct fp_map *map, uint64_t most,
		  struct fp_stage *st);

/* Other room, for n items, in place of what there is, if any; the arg stays.  0 or -ENOMEM. */
int fp_stage_again(struct forkpool *pool, const struct fp_map *map, uint64_t n,
		   struct fp_stage *st);

/* Bytes of an item that must be copied, in and out. */
size_t fp_stage_item(const struct forkpool *pool, const struct fp_map *map);

/* When all is freed, room for n items is kept for the next map. */
void fp_stage_expect(struct forkpool *pool, const struct fp_map *map, uint64_t n);

/* Frees what is ours but the status array, and that. */
void fp_stage_free_data(struct forkpool *pool, struct fp_stage *st);
void fp_stage_free(struct forkpool *pool, struct fp_stage *st);

#endif
