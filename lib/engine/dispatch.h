/* SPDX-License-Identifier: MIT */
/* Callbacks that are due: the queue, the descriptor, and who runs them; see dispatch.c. */
#ifndef FP_ENGINE_DISPATCH_H
#define FP_ENGINE_DISPATCH_H

#include "engine/pool.h"

/* A callback to be; a part of what it is about, which must stay until it was called. */
struct fp_due {
	struct cds_wfcq_node node;
	bool (*call)(struct fp_due *due);	/* once; true if it called the user */
	fp_a32 queued;
};

/* Around a pool's life.  init and close need nothing before them; close also in a forked child. */
void fp_dispatch_init(struct forkpool *pool);
int fp_dispatch_open(struct forkpool *pool);
void fp_dispatch_close(struct forkpool *pool);

/* The helper thread: its start, and its end in two steps, between which its callback may wait for jobs. */
int fp_dispatch_start(struct forkpool *pool);
void fp_dispatch_ask_to_stop(struct forkpool *pool);
void fp_dispatch_join(struct forkpool *pool);

/* It is due from now on, and due->call is set.  By host threads. */
void fp_dispatch_push(struct forkpool *pool, struct fp_due *due);

/* Finds what has ended, and calls what is due on this thread: how many users were called. */
int fp_dispatch(struct forkpool *pool);

/* The descriptor for event loops, made by the first call; or -errno. */
int fp_dispatch_fd(struct forkpool *pool);

/* Is this thread in a callback of the pool's, or (NULL) of any? */
bool fp_dispatch_inside(const struct forkpool *pool);

#endif
