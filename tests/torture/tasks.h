/* SPDX-License-Identifier: MIT */
/* What tasks_anywhere lets workers do: its tasks, and what there is to say of a path. */
#ifndef TESTS_TASKS_H
#define TESTS_TASKS_H

#include <forkpool.h>

#include "os/sys.h"
#include "proc/worker.h"

#define HELP_NS		((int64_t)20000000)
#define MOST_TASKS	8u
#define MOST_INNER	48u

enum { INNER_CRASHED = 77, INNER_WRONG };

enum moment {
	FIRST,			/* the tasks take the worker to the path */
	ASLEEP,			/* they come when it sleeps, which wakes it */
	LAST,			/* when it is dead or stopped */
};

enum cancel {
	NEVER,
	AT_START,		/* of the path */
	AT_END,			/* when the worker is dead or stopped */
};

struct path {
	const char *name;
	uintptr_t start, until;
	enum moment publish;
	bool alone;		/* the others stand still until it is dead or stopped */
	unsigned workers;
	uint32_t tasks;
	uint32_t retries;
	enum cancel cancel;
	bool any;		/* who waits waits for any of them */
	uint32_t inner;		/* tasks of each task */
	size_t inner_size;	/* their input: in the slot, or in the arena */
	bool deep;		/* these have as many again */
	bool helped;		/* the first waits until others run what it has submitted ... */
	bool cancels;		/* ... and cancels that */
	bool fresh;		/* a new pool for each point ... */
	bool taken_over;	/* ... whose only worker has had another life, with tasks of tasks */
};

/* In the segment. */
struct shared {
	fp_a32 ran[MOST_TASKS];
	fp_a32 inner_ran[MOST_TASKS * MOST_INNER];
	uint32_t inner, retries, deep, helped, cancels;
	size_t inner_size;
	fp_a32 owner, helpers;
};

/* ---- Tasks ----------------------------------------------------------------------------------- */

/* The owner until somebody helps, who helps until the owner sleeps; neither for long. */
static inline void await_the_other(struct shared *sh)
{
	int64_t until = fp_sys.clock() + HELP_NS;
	uint32_t owner = fp_load_sc(&sh->owner) - 1;
	fp_a64 *asleep = &fp_self->crew->seg.ctl->nest_asleep[0];

	if (fp_self->id != owner)
		fp_add_sc(&sh->helpers, 1);
	while (fp_sys.clock() < until &&
	       (fp_self->id == owner ? !fp_load_sc(&sh->helpers)
				     : !(fp_load_sc(asleep) >> owner & 1)))
		fp_sys.yield();
}

static inline int leaf(void *arg, const void *in, void *out)
{
	(void)arg;
	*(uint32_t *)out = 7 * *(const uint32_t *)in;
	return 0;
}

/* Two more, below a task of a task. */
static inline int grandchildren(uint32_t i, uint32_t *sum)
{
	struct forkpool *pool = forkpool_current();
	FORKPOOL_JOB_OPTS(opts, .retries = 1);
	struct forkpool_job *jobs[2];
	const uint32_t *r;
	int err = 0, k;

	for (k = 0; k < 2; k++)
		if (forkpool_submit(pool, leaf, &i, sizeof(i), sizeof(i), &opts, &jobs[k]))
			return INNER_WRONG;
	for (k = 0; k < 2; k++) {
		err = forkpool_job_wait(jobs[k], -1);
		r = forkpool_job_result(jobs[k]);
		if (!err && (!r || *r != 7 * i))
			return INNER_WRONG;
		*sum += r ? *r : 0;
		forkpool_job_free(jobs[k]);
		if (err)
			return INNER_CRASHED;
	}
	return 0;
}

static inline int inner_task(void *arg, const void *in, void *out)
{
	struct shared *sh = arg;
	uint32_t i = *(const uint32_t *)in, sum = 0;
	int err = 0;

	fp_add_sc(&sh->inner_ran[i], 1);
	if (sh->helped)
		await_the_other(sh);
	if (sh->deep)
		err = grandchildren(i, &sum);
	*(uint32_t *)out = 5 * i + 1;
	return err;
}

/* Submits, waits for them from the last to the first, and frees them. */
static inline int tree(struct shared *sh, uint32_t i)
{
	FORKPOOL_JOB_OPTS(opts, .arg = sh, .retries = sh->retries);
	struct forkpool *pool = forkpool_current();
	struct forkpool_job *jobs[MOST_INNER];
	unsigned char in[4096] = { 0 };
	const uint32_t *r;
	uint32_t k;
	int err, bad = 0;

	fp_store_sc(&sh->owner, fp_self->id + 1);
	for (k = 0; k < sh->inner; k++) {
		*(uint32_t *)(void *)in = i * MOST_INNER + k;
		if (forkpool_submit(pool, inner_task, in, sh->inner_size, sh->inner_size, &opts, &jobs[k]))
			return INNER_WRONG;
	}
	if (sh->helped)
		await_the_other(sh);
	for (k = 0; sh->cancels && k < sh->inner; k++)
		forkpool_job_cancel(jobs[k]);
	for (k = sh->inner; k-- > 0;) {
		err = forkpool_job_wait(jobs[k], -1);
		r = forkpool_job_result(jobs[k]);
		if (!err && (!r || *r != 5 * (i * MOST_INNER + k) + 1))
			bad = INNER_WRONG;
		else if (err && !bad && !(sh->cancels && err == -FORKPOOL_ECANCELED))
			bad = err == -FORKPOOL_ECRASHED || err == -FORKPOOL_EFAILED ? INNER_CRASHED : INNER_WRONG;
		forkpool_job_free(jobs[k]);
	}
	return bad;
}

static inline int task(void *arg, const void *in, void *out)
{
	struct shared *sh = arg;
	uint32_t i = *(const uint32_t *)in;
	int err;

	fp_add_sc(&sh->ran[i], 1);
	err = sh->inner ? tree(sh, i) : 0;
	*(uint32_t *)out = 3 * i + 1;
	return err;
}

#endif
