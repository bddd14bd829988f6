/* SPDX-License-Identifier: MIT */
/* The toll of deaths outside items: when is the next worker started, and when is it enough; see toll.c. */
#ifndef FP_PROC_TOLL_H
#define FP_PROC_TOLL_H

#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"

/* The nursery's own memory. */
struct fp_toll {
	int64_t *times;		/* of the last deaths, a ring */
	uint32_t room, next;
	uint32_t row;		/* of them in a row without progress */
	uint64_t progress;	/* by the last one */
};

/* Times to keep for so many workers at most. */
uint32_t fp_toll_room(uint32_t workers);
void fp_toll_init(struct fp_toll *toll, int64_t *times, uint32_t room);

/* There is progress, or the number of workers changes: what was is forgotten, in whole or as a row. */
void fp_toll_clear(struct fp_toll *toll);
void fp_toll_progress(struct fp_toll *toll);

/*
 * One more, now, where so many workers are wanted and so much was settled in all:
 * ns until the next one may start.  *enough is set when there were too many.
 */
int64_t fp_toll_death(struct fp_toll *toll, uint32_t workers, uint64_t settled,
		      int64_t now, bool *enough);

#endif
