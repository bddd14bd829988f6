/* SPDX-License-Identifier: MIT */
/* What kill_anywhere lets workers do: the items of its jobs, and the paths on which a worker is met. */
#ifndef TESTS_SCENE_H
#define TESTS_SCENE_H

#include <forkpool.h>

#include "os/sys.h"
#include "proc/worker.h"

#define MOST_ITEMS	256u
#define HELP_NS		((int64_t)20000000)
#define INNER		4u		/* items of an item's map */
#define RUN		9000u
#define SMALL		2000u		/* two of these fill a unit of such an arena */

/* In the segment. */
struct shared {
	fp_a32 ran[MOST_ITEMS];
	uint32_t in[MOST_ITEMS], out[MOST_ITEMS];
	struct forkpool_status status[MOST_ITEMS];
	int64_t item_ns;
	void *block[MOST_ITEMS][2];	/* that an item allocated */
	void *given[MOST_ITEMS];	/* that it is to free */
	fp_a32 inner_ran[MOST_ITEMS * INNER];
	uint32_t inner_retries;
	uint32_t helped;	/* items of maps take so long that another worker helps, and is waited for */
	fp_a32 owner;		/* the worker, from 1 on, that maps then, and ... */
	fp_a32 helpers;		/* ... how many items others have begun */
	uint32_t leave_at;	/* whoever runs this item (from 1 on) is asked to leave then */
};

/* When the job is published. */
enum moment {
	FIRST,			/* and so takes the worker to the path */
	ASLEEP,			/* when the worker sleeps, which wakes it */
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
	uint32_t count, chunk;
	uint32_t flags;		/* enum fp_job_flags */
	uint32_t retries;
	int64_t item_ns;
	int64_t timeout;
	bool condemned;		/* at the start of the path; let go after a stop */
	uint32_t leave_at;
	enum cancel cancel;
	bool heap;		/* items allocate and free */
	bool nested;		/* items map, each as many as INNER; retries are theirs as well */
	bool helped;		/* one item, and who runs it has to wait for another worker */
};

/* ---- Items ---------------------------------------------------------------------------------- */

static inline void run_one(struct shared *sh, uint32_t i)
{
	int64_t until = sh->item_ns ? fp_sys.clock() + sh->item_ns : 0;

	fp_add_sc(&sh->ran[i], 1);
	if (i + 1 == sh->leave_at)
		/* In the nursery's place. */
		fp_store_sc(&fp_self->shared->leave, FP_LEAVE_ASKED);
	while (until && fp_sys.clock() < until)
		fp_pause();
	sh->out[i] = 3 * sh->in[i] + 1;
}

static inline int item(void *arg, const void *in, void *out)
{
	const uint32_t *x = in;

	(void)out;
	run_one(arg, *x);
	return 0;
}

/*
 * Makes slabs and runs, frees where it keeps the slab and where it does not, takes
 * that over again, has some of each given back, and hands two blocks on.
 */
static inline int heap_item(void *arg, const void *in, void *out)
{
	struct forkpool *pool = forkpool_current();
	struct shared *sh = arg;
	uint32_t i = *(const uint32_t *)in, k;
	void *small[4], *large;

	(void)out;
	for (k = 0; k < 3; k++)
		small[k] = forkpool_shm_alloc(pool, SMALL);
	sh->block[i][0] = forkpool_shm_alloc(pool, RUN);
	large = forkpool_shm_calloc(pool, 1, RUN);
	forkpool_shm_free(pool, small[0]);
	small[0] = forkpool_shm_alloc(pool, SMALL);
	small[3] = forkpool_shm_alloc(pool, SMALL);
	forkpool_shm_free(pool, small[3]);
	for (k = 0; k < 2; k++)
		forkpool_shm_free(pool, small[k]);
	forkpool_shm_free(pool, large);
	forkpool_shm_free(pool, sh->given[i]);
	sh->block[i][1] = small[2];
	run_one(sh, i);
	return !small[2] || !large || !sh->block[i][0];
}

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

static inline int inner_item(void *arg, const void *in, void *out)
{
	struct shared *sh = arg;
	uint32_t i = *(const uint32_t *)in;
	int64_t until = sh->item_ns ? fp_sys.clock() + sh->item_ns : 0;

	fp_add_sc(&sh->inner_ran[i], 1);
	if (sh->helped)
		await_the_other(sh);
	while (until && fp_sys.clock() < until)
		fp_pause();
	*(uint32_t *)out = 5 * i + 1;
	return 0;
}

enum { INNER_CRASHED = 77, INNER_WRONG };

/* From private arrays, so that there are copies to be freed. */
static inline int nest_item(void *arg, const void *in_one, void *unused)
{
	struct shared *sh = arg;
	FORKPOOL_JOB_OPTS(opts, .arg = sh, .chunk = 1, .retries = sh->inner_retries);
	uint32_t i = *(const uint32_t *)in_one, in[INNER], out[INNER] = { 0 }, k;
	int err;

	(void)unused;
	fp_add_sc(&sh->ran[i], 1);
	fp_store_sc(&sh->owner, fp_self->id + 1);
	for (k = 0; k < INNER; k++)
		in[k] = i * INNER + k;
	err = forkpool_map(forkpool_current(), inner_item, in, sizeof(in[0]), out, sizeof(out[0]),
			   INNER, &opts);
	if (err)
		return err == -FORKPOOL_ECRASHED ? INNER_CRASHED : INNER_WRONG;
	for (k = 0; k < INNER; k++)
		if (out[k] != 5 * in[k] + 1)
			return INNER_WRONG;
	sh->out[i] = 3 * i + 1;
	return 0;
}

static inline int range(void *arg, size_t begin, size_t end)
{
	for (; begin < end; begin++)
		run_one(arg, (uint32_t)begin);
	return 0;
}

#endif
