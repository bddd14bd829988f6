/* SPDX-License-Identifier: MIT */
/* Peer: the plain loop, which efficiency is measured against. */
#include "bench.h"

static void *serial_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	static char there_is_no_pool;

	(void)peer;
	(void)workers;
	(void)shared;
	return &there_is_no_pool;
}

static void serial_stop(void *pool)
{
	(void)pool;
}

static int serial_map(void *pool, const struct bench_job *job)
{
	(void)pool;
	if (job->range)
		return job->range(job->arg, 0, job->count);
	bench_items_run(job, 0, job->count);
	return 0;
}

const struct bench_peer bench_serial = {
	.name = "serial",
	.flags = BENCH_SERIAL | BENCH_RANGES,
	.start = serial_start,
	.map = serial_map,
	.stop = serial_stop,
};
