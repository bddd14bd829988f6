/* SPDX-License-Identifier: MIT */
/* How long a chunk is to be; see size.c. */
#ifndef FP_TASK_SIZE_H
#define FP_TASK_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* Costs are in 1/256 ns, so that items of a fraction of a nanosecond count. */
#define FP_COST_UNIT	256

struct fp_size {
	uint64_t rest;		/* items of the region not yet claimed, at least 1 */
	uint32_t words_left;	/* empty words of its log, at least 1 */
	uint64_t cost;		/* of an item; 0 = not known */
	uint64_t last_len;	/* of the claimer's last chunk */
	uint64_t failed;	/* swaps that it lost since then */
	uint64_t chunk;		/* what the user asked for; 0 = nothing */
	uint32_t workers;
	bool home;		/* the claimer's own region */
};

/* Items to claim: at least 1, at most rest. */
uint64_t fp_size_choose(const struct fp_size *in);

#endif
