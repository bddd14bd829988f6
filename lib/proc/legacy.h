/* SPDX-License-Identifier: MIT */
/* What the nursery does with what it inherits from the host; see legacy.c. */
#ifndef FP_PROC_LEGACY_H
#define FP_PROC_LEGACY_H

#include "proc/nursery.h"

/*
 * The eventfd gets a number that items which close and open files will hardly hit
 * upon; where there is none so high it stays.
 */
void fp_legacy_event(struct fp_event *event);

/* Closes all but 0, 1, 2, our three and those the host wants to be kept. */
void fp_legacy_close(const struct fp_nursery_args *args);

/* Forgets what the host had not written yet, or had read ahead. */
void fp_legacy_stdio(void);

#endif
