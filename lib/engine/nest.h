/* SPDX-License-Identifier: MIT */
/* Maps that an item asks for; see nest.c. */
#ifndef FP_ENGINE_NEST_H
#define FP_ENGINE_NEST_H

#include "engine/map.h"

/* Runs a map for the item at work in this worker.  0, or the call's error. */
int fp_nest_run(struct forkpool *pool, const struct fp_map *map);

#endif
