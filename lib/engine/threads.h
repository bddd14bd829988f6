/* SPDX-License-Identifier: MIT */
/* Workers that are threads of the host; see threads.c. */
#ifndef FP_ENGINE_THREADS_H
#define FP_ENGINE_THREADS_H

#include "engine/pool.h"

/* 0 or -errno; then some may have been started, for fp_threads_end() to join. */
int fp_threads_start(struct forkpool *pool);

/* Waits for all of them, which have been asked to leave. */
void fp_threads_end(struct forkpool *pool);

#endif
