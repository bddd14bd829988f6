/* SPDX-License-Identifier: MIT */
/* The claim log: who runs which items of a map; see claim.c. */
#ifndef FP_TASK_CLAIM_H
#define FP_TASK_CLAIM_H

#include "shm/segment.h"

/* What a worker knows of the job it works for, and what it has measured.  Private. */
struct fp_claimer {
	const struct fp_segment *seg;
	struct fp_frame *frame;	/* where the claim is noted */
	uint32_t id;

	/* The job, since fp_claimer_open(). */
	struct fp_slot slot;
	uint64_t run;		/* its word while it can be claimed, without WAITER */
	uint32_t tops;
	bool rest;		/* claims all there is, of a cancelled job only (cancel.c) */
	uint64_t failed;	/* claims that others were faster in, until somebody counts them */
	fp_a64 *items;		/* the worker's count, which a split adds to; NULL: nobody counts */

	/* Kept from chunk to chunk, and from job to job of the same function. */
	uint64_t fn;
	uint64_t cost;		/* of an item in 1/256 ns; 0 = not known */
	uint64_t last_len;
};

/* A claim held. */
struct fp_chunk {
	uint32_t region;
	uint32_t index;		/* of its word */
	uint64_t gen;		/* the region's */
	fp_a64 *word;
	uint64_t begin, end;	/* the job's indices */
};

/* Turns to the job in a slot.  False when there is none to claim from. */
bool fp_claimer_open(struct fp_claimer *c, uint32_t slot);

/*
 * Claims a chunk of the open job.  False when nothing is left to claim, or the job
 * is over.  chunk NULL: looks whether there is something, and claims nothing.
 */
bool fp_claim(struct fp_claimer *c, struct fp_chunk *chunk);

/*
 * Gives [at, chunk->end) back as a sub-region, and so ends the chunk at `at`,
 * finished.  False when no sub-region is free: the chunk is as it was.
 */
bool fp_claim_split(struct fp_claimer *c, struct fp_chunk *chunk, uint64_t at);

/* Marks the chunk done, and whatever that completes. */
void fp_claim_finish(struct fp_claimer *c, const struct fp_chunk *chunk);

/*
 * Completes region id of generation gen if all its words are DONE, and upwards,
 * the job (of full generation jobgen) included.  Idempotent; anybody, any time.
 */
void fp_walk(const struct fp_segment *seg, const struct fp_slot *slot,
	     uint32_t tops, uint64_t jobgen, uint32_t id, uint64_t gen);

/* One word of a region's log; NULL where there is none. */
fp_a64 *fp_claim_word(const struct fp_segment *seg, const struct fp_slot *slot,
		      uint32_t tops, uint32_t id, uint32_t index);

/* Does region id exist now: does its parent's word name it?  For who needs no order. */
bool fp_region_named(const struct fp_segment *seg, const struct fp_slot *slot,
		     uint32_t tops, uint32_t id);

/* A sub-region to be made: where it hangs and what it holds. */
struct fp_sub {
	uint32_t parent, index;
	uint64_t low, len;
	uint64_t batch;
};

/*
 * A free one among the n sub-regions from first on, which are the caller's; 0
 * when none is.  Then fp_sub_fill(), then the caller's SPLIT store publishes it.
 */
uint32_t fp_sub_find(const struct fp_segment *seg, const struct fp_slot *slot,
		     uint32_t tops, uint64_t jobgen, uint32_t first, uint32_t n);
void fp_sub_fill(const struct fp_segment *seg, const struct fp_slot *slot,
		 uint32_t tops, uint32_t id, const struct fp_sub *sub);

/* Wakes whoever sleeps on a job's word. */
void fp_job_wake(struct fp_job *job);

#endif
