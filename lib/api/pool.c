/* SPDX-License-Identifier: MIT */
/* The public calls on a pool as a whole. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <forkpool.h>

#include "api/options.h"
#include "base/error.h"
#include "engine/dispatch.h"
#include "engine/pool.h"
#include "engine/resize.h"
#include "os/cpus.h"
#include "os/sys.h"

#define WORKERS_ROOM	64u	/* a pool may be resized to so many */

const char *forkpool_strerror(int err)
{
	return fp_strerror(err);
}

unsigned forkpool_cpu_count(void)
{
	return fp_cpus_recent("", fp_cpus_affinity());
}

/* The mode where the program names none.  0 = unknown. */
static int mode_from_environment(void)
{
	const char *name = secure_getenv("FORKPOOL_MODE");

	if (!name || !*name || !strcmp(name, "processes"))
		return FORKPOOL_PROCESSES;
	if (!strcmp(name, "threads"))
		return FORKPOOL_THREADS;
	return strcmp(name, "inline") ? 0 : FORKPOOL_INLINE;
}

/* Room for more is address space, and a little memory: so it is there unasked. */
static uint32_t most_workers(uint32_t workers)
{
	return (uint32_t)fp_min(fp_max(fp_max(workers, fp_cpus_affinity()), WORKERS_ROOM),
				FP_WORKERS_MAX);
}

/* What needs a worker to be a process. */
static int configure_processes(struct fp_pool_config *config,
			       const struct forkpool_opts *opts)
{
	if (config->mode != FORKPOOL_PROCESSES) {
		config->max_workers = config->workers;
		return opts->max_items_per_worker ? -ENOTSUP : 0;
	}
	config->max_items = opts->max_items_per_worker;
	config->max_workers = opts->max_workers ? opts->max_workers
						: most_workers(config->workers);
	return 0;
}

#define QUEUE_MOST	1000000u

static int configure_files(struct fp_pool_config *config, const struct forkpool_opts *opts)
{
	size_t i;

	if (opts->keep_fds_count && !opts->keep_fds)
		return -EINVAL;
	for (i = 0; i < opts->keep_fds_count; i++)
		if (fp_sys.check_open(opts->keep_fds[i]))
			return -EBADF;
	config->keep_fds = opts->keep_fds;
	config->keep_fds_count = opts->keep_fds_count;
	return 0;
}

static int configure(struct fp_pool_config *config, const struct forkpool_opts *opts)
{
	int err;

	*config = (struct fp_pool_config){
		.workers = opts->workers ? opts->workers
					 : (uint32_t)fp_min(forkpool_cpu_count(), FP_WORKERS_MAX),
		.mode = opts->mode ? opts->mode : mode_from_environment(),
		.arena_size = opts->arena_size,
		.worker_init = opts->worker_init,
		.worker_exit = opts->worker_exit,
		.worker_arg = opts->worker_arg,
		.grace = opts->grace,
		.pin = opts->pin,
		.spin = opts->spin,
		.log = opts->log,
		.log_arg = opts->log_arg,
		.huge_pages = opts->huge_pages == 1,
		.backing = opts->backing,
		.queue_depth = opts->queue_depth,
		.dispatch_thread = opts->dispatch_thread == 1,
	};
	if (opts->dispatch_thread < 0 || opts->dispatch_thread > 1)
		return -EINVAL;
	if (opts->queue_depth > QUEUE_MOST || opts->huge_pages < 0 || opts->huge_pages > 1 ||
	    opts->backing < FORKPOOL_BACKING_AUTO || opts->backing > FORKPOOL_BACKING_MEMFD)
		return -EINVAL;
	if (config->grace < 0 || config->workers > FP_WORKERS_MAX || config->mode < FORKPOOL_PROCESSES ||
	    config->mode > FORKPOOL_INLINE || opts->max_workers > FP_WORKERS_MAX ||
	    (opts->max_workers && opts->max_workers < config->workers) ||
	    opts->spin < -1 || opts->pin < FORKPOOL_PIN_NONE || opts->pin > FORKPOOL_PIN_SPREAD)
		return -EINVAL;
	if (config->mode == FORKPOOL_INLINE)
		config->workers = 1;
	err = configure_files(config, opts);
	return err ? err : configure_processes(config, opts);
}

int forkpool_create_with_loop(struct forkpool **ret, const struct forkpool_opts *opts,
			      forkpool_loop_fn *loop)
{
	struct fp_pool_config config;
	struct forkpool_opts known;
	int err;

	if (!ret || !loop)
		return -EINVAL;
	if (fp_self)
		return -EPERM;
	err = fp_options_copy(&known, FP_OPTS_FIRST, sizeof(known), opts);
	if (!err)
		err = configure(&config, &known);
	if (err)
		return err;
	config.loop = loop;
	return fp_pool_create(ret, &config);
}

/* For callers without the header's macro: the loop is the library's own copy. */
int (forkpool_create)(struct forkpool **ret, const struct forkpool_opts *opts)
{
	return forkpool_create_with_loop(ret, opts, forkpool_loop_);
}

/* May this caller end the pool? */
static int check_host(struct forkpool *pool)
{
	if (!pool)
		return -EINVAL;
	switch (fp_pool_caller(pool)) {
	case FP_CALLER_HOST:
		return 0;
	case FP_CALLER_WORKER:
		return -EPERM;
	case FP_CALLER_CHILD:
		break;
	}
	return -EINVAL;
}

int forkpool_close(struct forkpool *pool)
{
	int err = check_host(pool);

	return err ? err : fp_pool_close(pool);
}

int forkpool_terminate(struct forkpool *pool)
{
	int err = check_host(pool);

	return err ? err : fp_pool_terminate(pool);
}

int forkpool_join(struct forkpool *pool, int64_t timeout)
{
	int err = check_host(pool);

	if (!err && timeout < -1)
		err = -EINVAL;
	return err ? err : fp_pool_join(pool, timeout);
}

int forkpool_resize(struct forkpool *pool, unsigned workers)
{
	int err = check_host(pool);

	if (!err && !workers)
		err = -EINVAL;
	if (!err && pool->mode != FORKPOOL_PROCESSES)
		err = -ENOTSUP;
	if (!err && workers > pool->crew.seg.geo.workers)
		err = -EINVAL;
	return err ? err : fp_pool_resize(pool, workers);
}

void forkpool_destroy(struct forkpool *pool)
{
	if (!pool)
		return;
	switch (fp_pool_caller(pool)) {
	case FP_CALLER_HOST:
		/* Who called the callback goes on with the pool. */
		if (!fp_dispatch_inside(pool))
			fp_pool_destroy(pool);
		break;
	case FP_CALLER_CHILD:
		fp_pool_forget(pool);
		break;
	case FP_CALLER_WORKER:
		break;
	}
}
