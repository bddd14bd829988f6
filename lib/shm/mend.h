/* SPDX-License-Identifier: MIT */
/* The heap after a death, and its consistency; see mend.c. */
#ifndef FP_SHM_MEND_H
#define FP_SHM_MEND_H

#include "shm/heap.h"

/*
 * The worker id is dead.  What it was about is undone or completed; with note,
 * what it allocated in that item is freed.  May be done again.
 */
void fp_heap_mend(struct fp_units *u, uint32_t id, const struct fp_note *note);

/* NULL, or text, filled with what is wrong. */
const char *fp_heap_check(struct fp_units *u, uint32_t workers, char *text, size_t size);

#endif
