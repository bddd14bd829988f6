/* SPDX-License-Identifier: MIT */
/* Async maps of items; see errand.c. */
#ifndef FP_ENGINE_ERRAND_H
#define FP_ENGINE_ERRAND_H

#include "engine/future.h"
#include "engine/map.h"

/* As fp_async_submit(), by an item. */
int fp_errand_submit(struct forkpool *pool, const struct fp_map *map, struct forkpool_job **ret);

/* Of a job that has ended with `result`, as a task: what its map returned; its outputs are there from the first call on. */
int fp_errand_gather(const struct fp_ref *r, int result);

/* As fp_async_status(), of one that was gathered. */
int fp_errand_status(const struct fp_ref *r, size_t index, struct forkpool_status *ret);

/* The task has ended, and nobody asks for it any more. */
void fp_errand_free(struct fp_errand *errand);

#endif
