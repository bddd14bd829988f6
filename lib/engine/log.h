/* SPDX-License-Identifier: MIT */
/* The user's log; see log.c. */
#ifndef FP_ENGINE_LOG_H
#define FP_ENGINE_LOG_H

#include "engine/pool.h"

/* Hands what has happened since to the user's function, a bounded number of lines.  No lock may be held. */
void fp_pool_log(struct forkpool *pool);

/* What there is to say about how the pool was made. */
void fp_pool_log_create(struct forkpool *pool);

#endif
