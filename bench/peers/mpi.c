/* SPDX-License-Identifier: MIT */
/* Peer: master and workers of Open MPI; mpi_worker.c is the program. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "peers/foreign.h"

static int mpi_find(void)
{
	char program[PATH_MAX];

	return bench_file_find("mpi_worker", program, sizeof(program));
}

/*
 * The first rank is the master.  What mpirun says when it refuses is many lines;
 * the runner says one.
 */
static void mpi_run(const char *bodies, unsigned workers)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char program[PATH_MAX], ranks[16];

	snprintf(ranks, sizeof(ranks), "%u", workers + 1);
	if (bench_file_find("mpi_worker", program, sizeof(program)) ||
	    dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		return;
	/* Only ranks that must share CPUs yield theirs while they wait. */
	execlp("mpirun", "mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to",
	       "none", "--mca", "mpi_yield_when_idle",
	       workers < forkpool_cpu_count() ? "0" : "1", "-n", ranks, program, bodies,
	       (char *)NULL);
}

static const struct foreign_program mpi = {
	/* It has files to remove. */
	.death_signal = SIGTERM,
	.find = mpi_find,
	.run = mpi_run,
};

static void *pool_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	return foreign_start(&mpi, peer->name, "mpi", workers, shared);
}

static void *task_pool_start(const struct bench_task_peer *peer, unsigned workers,
			     unsigned submitters)
{
	(void)submitters;
	return pool_start(&peer->peer, workers, 0);
}

#define FLAGS	(BENCH_PROCESSES | BENCH_COPIES | BENCH_FOREIGN | BENCH_SPINS)

const struct bench_peer bench_mpi = {
	.name = "mpi",
	.flags = FLAGS,
	.start = pool_start,
	.map = foreign_map,
	.alloc = foreign_alloc,
	.stop = foreign_stop,
};

const struct bench_task_peer bench_mpi_task = {
	.peer = { .name = "mpi", .flags = FLAGS },
	.start = task_pool_start,
	.stop = foreign_stop,
	.stream = foreign_stream,
	.trips = foreign_trips,
};
