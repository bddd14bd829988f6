/* SPDX-License-Identifier: MIT */
/* Is the control part of a segment sound?  For tests; see check.c. */
#ifndef FP_TASK_CHECK_H
#define FP_TASK_CHECK_H

#include "shm/segment.h"

/*
 * NULL when it is, else what is wrong first, written to text.  Host threads,
 * workers and nursery may be at work.
 */
const char *fp_check(const struct fp_segment *seg, char *text, size_t size);

#endif
