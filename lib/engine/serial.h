/* SPDX-License-Identifier: MIT */
/* Maps that run where they are called; see serial.c. */
#ifndef FP_ENGINE_SERIAL_H
#define FP_ENGINE_SERIAL_H

#include "engine/map.h"

/*
 * Runs all items in the calling thread, in order, and counts them in stats if that
 * is not NULL.  0, or the call's error.
 */
int fp_serial_run(const struct fp_map *map, struct fp_worker_stats *stats);

/* The same for a host thread in inline mode, as the pool's one worker. */
int fp_serial_run_inline(struct forkpool *pool, const struct fp_map *map);

#endif
