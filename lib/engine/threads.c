/* SPDX-License-Identifier: MIT */
/*
 * What.  The workers of a pool of threads: started, and joined.
 *
 * Usage.  By who makes the pool, and who ends it; once each.
 *
 * Invariants.
 * I1 The last one to leave marks `life`, as the kernel does at a nursery's death: so
 *    who waits for the pool's end sleeps on one word, whatever the workers are.
 *
 * Ordering pairs.  LIFE-L3/LIFE-L1, LIFE-L4/LIFE-L1 (left), CTL-R5/CTL-R2 (refused).
 *
 * Progress.  A thread waits for work only.
 *
 * If the owner dies: threads don't die singly.
 */
#include "engine/threads.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "os/sys.h"
#include "proc/serve.h"
#include "task/due.h"

#define LIFE_THREADS	1u	/* `life` while there are worker threads */

static void *thread_main(void *arg)
{
	struct fp_self *self = arg;
	struct forkpool *pool = self->crew->pool;
	struct fp_ctl *ctl = pool->crew.seg.ctl;
	int err = fp_worker_run(self, &pool->crew, self->id, false);

	/* No nursery comes for what it keeps. */
	fp_heap_let_go(&self->heap);
	fp_heap_forget(&self->heap);
	fp_serve_fini(self);
	if (err) {
		fp_store_rlx(&ctl->start_error, err > 0 ? -err : err);
		/* CTL-R5: as CTL-R3, by a thread whose hook refused; pairs with CTL-R2. */
		fp_add_sc(&ctl->started, 1);
		fp_sys.futex_wake(&ctl->started, 1);
	}
	/* LIFE-L3: the last one to leave ends `life`, as a nursery's death does; pairs with LIFE-L1. */
	if (fp_add_sc(&pool->left, 1) + 1 == pool->crew.workers) {
		/* LIFE-L4: nobody writes to the segment any more; pairs with LIFE-L1. */
		fp_or_sc(&ctl->life, FUTEX_OWNER_DIED);
		fp_sys.futex_wake(&ctl->life, INT32_MAX);
		fp_due_repeat(&pool->crew.seg);
	}
	return NULL;
}

int fp_threads_start(struct forkpool *pool)
{
	uint32_t n = pool->crew.workers;
	sigset_t all, before;
	int err = 0;

	pool->threads = calloc(n, sizeof(*pool->threads));
	pool->selves = calloc(n, sizeof(*pool->selves));
	if (!pool->threads || !pool->selves)
		return -ENOMEM;
	fp_store_rlx(&pool->crew.seg.ctl->life, LIFE_THREADS);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (pool->started < n && !err) {
		struct fp_self *self = &pool->selves[pool->started];

		*self = (struct fp_self){ .crew = &pool->crew, .id = pool->started };
		err = -pthread_create(&pool->threads[pool->started], NULL, thread_main, self);
		pool->started += !err;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

void fp_threads_end(struct forkpool *pool)
{
	uint32_t i;

	for (i = 0; i < pool->started; i++)
		pthread_join(pool->threads[i], NULL);
}
