/* SPDX-License-Identifier: MIT */
/* The objects of async jobs; of async.c and asyncs.c alone. */
#ifndef FP_ENGINE_ASYNCS_H
#define FP_ENGINE_ASYNCS_H

#include <urcu/lfstack.h>

#include "engine/async.h"
#include "engine/dispatch.h"
#include "engine/piece.h"

struct fp_async {
	struct cds_lfs_node node;	/* on the stack of free ones */
	struct forkpool *pool;
	uint32_t index;
	fp_a64 ident;
	fp_a64 state;			/* its low half is a futex */

	/* Looked at by reapers without a reference, so atomic. */
	fp_a32 slot;
	fp_a64 gen;

	/* By the submitter; then by who reaps; then constant. */
	struct fp_map map;
	struct fp_piece piece;
	struct fp_failure failure;
	int result;
	bool ended;			/* in order: not left unfinished by a pool that ended, nor cancelled */

	fp_a64 reported;		/* by on_progress */

	struct fp_due due;		/* on_done is to be called */
	fp_a32 call;			/* enum call; a futex */
};

/* One that nobody refers to; NULL: no memory, or far too many. */
struct fp_async *fp_async_new(struct forkpool *pool);

#endif
