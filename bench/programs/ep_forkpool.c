/* SPDX-License-Identifier: MIT */
/* EP with forkpool. */
#include <errno.h>
#include <stdio.h>

#include <forkpool.h>

#include "ep.h"
#include "killer.h"

/* The loop as it was, over a part of the batches that the pool chooses. */
static int batches_run(void *arg, size_t begin, size_t end)
{
	struct ep_sums *part = arg;
	size_t i;

	for (i = begin; i < end; i++)
		ep_batch(i, &part[i]);
	return 0;
}

/* The parts lie in shared memory, and are added up here, always in the same order. */
static int batches_sum(struct forkpool *pool, const struct ep_run *run, struct ep_sums *total)
{
	struct ep_sums *part = forkpool_shm_calloc(pool, run->batches, sizeof(*part));
	FORKPOOL_JOB_OPTS(opts, .arg = part, .retries = 2);
	uint64_t i;
	int err;

	if (!part)
		return -ENOMEM;
	if (run->kill)
		killer_start(pool);
	err = forkpool_for(pool, batches_run, 0, run->batches, &opts);
	if (run->kill)
		err = killer_stop(err);
	for (i = 0; !err && i < run->batches; i++)
		ep_sums_add(total, &part[i]);
	return err;
}

static int loop(const struct ep_run *run, struct ep_sums *total)
{
	FORKPOOL_OPTS(opts, .workers = run->workers);
	struct forkpool *pool;
	int err = forkpool_create(&pool, &opts);

	if (!err) {
		err = batches_sum(pool, run, total);
		forkpool_destroy(pool);
	}
	if (err)
		fprintf(stderr, "forkpool: %s\n", forkpool_strerror(err));
	return err ? -1 : 0;
}

int main(int argc, char **argv)
{
	return ep_main(argc, argv, loop, 1);
}
