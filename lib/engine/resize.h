/* SPDX-License-Identifier: MIT */
/* More workers, or fewer, while the pool runs; see resize.c. */
#ifndef FP_ENGINE_RESIZE_H
#define FP_ENGINE_RESIZE_H

#include "engine/pool.h"

/* Returns when so many are in force; 0, or why the old number stays. */
int fp_pool_resize(struct forkpool *pool, uint32_t workers);

#endif
