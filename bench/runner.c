/* SPDX-License-Identifier: MIT */
/* The run of workload after workload, and the peers that this program was built with. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "bench.h"

/* Runs of workloads, one for each number of workers. */
#define RUNS_MAX	1024
/* --smoke has so many times fewer items than --quick. */
#define SMOKE_DIV	10
#define ROUNDS		10
#define ROUNDS_QUICK	3
#define ROUNDS_SMOKE	1

const struct bench_peer *const bench_peers[] = {
	&bench_serial,
	&bench_forkpool,
	&bench_forkpool_copy,
	&bench_forkpool_nested,
	&bench_pipe_item,
	&bench_pipe_chunk,
	&bench_socket_item,
	&bench_socket_chunk,
	&bench_mqueue_item,
	&bench_mqueue_chunk,
	&bench_shm_item,
	&bench_shm_chunk,
	&bench_fork,
	&bench_condvar_item,
	&bench_condvar_chunk,
#ifdef BENCH_GLIB
	&bench_glib_item,
	&bench_glib_chunk,
#endif
	&bench_memcpy,
#ifdef BENCH_OMP
	&bench_omp_static,
	&bench_omp_dynamic,
	&bench_omp_chunks,
	&bench_omp_guided,
	&bench_omp_tasks,
	&bench_omp_nested,
#endif
#ifdef BENCH_TBB
	&bench_tbb,
	&bench_tbb_static,
	&bench_tbb_nested,
#endif
	&bench_py_pool,
	&bench_py_executor,
	&bench_joblib,
	&bench_mpi,
	NULL,
};

_Static_assert(sizeof(bench_peers) / sizeof(bench_peers[0]) <= BENCH_PEERS_MAX,
	       "a table has a series for every peer");

const struct bench_task_peer *const bench_task_peers[] = {
	&bench_forkpool_task,
	&bench_forkpool_alone,
	&bench_pipe_task,
	&bench_socket_task,
	&bench_mqueue_task,
	&bench_shm_task,
	&bench_fork_task,
	&bench_condvar_task,
#ifdef BENCH_GLIB
	&bench_glib_task,
#endif
#ifdef BENCH_OMP
	&bench_omp_task,
#endif
#ifdef BENCH_TBB
	&bench_tbb_group,
	&bench_tbb_window,
	&bench_tbb_enqueue,
#endif
	&bench_py_pool_task,
	&bench_py_executor_task,
	&bench_joblib_task,
	&bench_mpi_task,
	&bench_spin_bare,
	&bench_futex_wake,
	&bench_futex_bare,
	NULL,
};

_Static_assert(sizeof(bench_task_peers) / sizeof(bench_task_peers[0]) <= BENCH_PEERS_MAX,
	       "a table has a series for every peer");

/* Why others are not among them. */
const struct bench_missing bench_missing[] = {
#ifndef BENCH_OMP
	{ "omp-*", "configure found no OpenMP in the C compiler" },
#endif
#ifndef BENCH_TBB
	{ "tbb, tbb-*", "configure found no oneTBB, or no C++ compiler (Debian: libtbb-dev)" },
#endif
#ifndef BENCH_GLIB
	{ "glib-*", "configure found no GLib (Debian: libglib2.0-dev)" },
#endif
	{ NULL, NULL },
};

/* ---- What the other files ask ------------------------------------------------------- */

int64_t bench_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void bench_sleep(int64_t ns)
{
	int64_t end = bench_clock() + ns;
	struct timespec t = { end / 1000000000, end % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

void bench_settle(int64_t ns)
{
	if (!bench_opt.smoke)
		bench_sleep(ns);
}

/*
 * With --smoke, programs of other makers run only where each of their ways to be asked
 * is seen once, unless --peers names them: most of what they take is their start.
 */
static int smoke_skips(const struct bench_workload *w, const struct bench_peer *peer)
{
	return bench_opt.smoke && !bench_opt.peers && peer->flags & BENCH_FOREIGN &&
	       !bench_listed("w1,w4,w5-hot,commands", w->name);
}

int bench_chosen(const struct bench_workload *w, const struct bench_peer *peer)
{
	if (smoke_skips(w, peer))
		return 0;
	if (peer->flags & BENCH_NESTED && !w->nested)
		return 0;
	if (peer->flags & BENCH_SLOW && !w->slow_div)
		return 0;
	if (peer->flags & BENCH_FORKS && !w->fork_div)
		return 0;
	if (w->only ? !(peer->flags & w->only) : peer->flags & BENCH_MEMCPY)
		return 0;
	if (peer->flags & w->skip || (w->range && !(peer->flags & BENCH_RANGES)))
		return 0;
	return !bench_opt.peers || bench_listed(bench_opt.peers, peer->name);
}

unsigned bench_div(const struct bench_workload *w, const struct bench_peer *peer)
{
	if (peer->flags & BENCH_FORKS)
		return w->fork_div;
	return (peer->flags & BENCH_PER_ITEM ? w->per_item_div : 1) *
	       (peer->flags & BENCH_SLOW ? w->slow_div : 1);
}

unsigned bench_rounds_usual(void)
{
	return bench_opt.smoke ? ROUNDS_SMOKE : bench_opt.quick ? ROUNDS_QUICK : ROUNDS;
}

unsigned bench_rounds(const struct bench_workload *w)
{
	unsigned rounds = bench_rounds_usual();

	if (w->once)
		return 1;
	if (bench_opt.rounds)
		return bench_opt.rounds;
	return w->rounds_max && rounds > w->rounds_max ? w->rounds_max : rounds;
}

size_t bench_count(const struct bench_workload *w)
{
	size_t count = w->count, width;

	if (!bench_opt.quick || !w->quick_div)
		return count;
	count /= w->quick_div;
	/* Fibonacci's number can't be divided: its run function has its own. */
	if (!bench_opt.smoke || count <= SMOKE_DIV)
		return count;
	count /= SMOKE_DIV;
	width = bench_width(count);
	return w->nested ? width * width * width : count;
}

/* ---- The plan --------------------------------------------------------------------------- */

static struct {
	const struct bench_workload *workload;
	unsigned workers;
} plan[RUNS_MAX];

static unsigned plan_count;

static int workload_chosen(const struct bench_workload *w)
{
	const char *list = bench_opt.workloads;

	if (!list)
		return !w->on_request;
	return bench_listed(list, "all") || (bench_listed(list, "default") && !w->on_request) ||
	       bench_listed(list, w->name) || (w->group && bench_listed(list, w->group));
}

static int group_has(const struct bench_workload *w, const char *group)
{
	return w && w->group && !strcmp(w->group, group);
}

/* With --smoke a sweep has its first and its last point: those between run the same code. */
static int workload_skipped(unsigned index)
{
	const char *group = bench_workload(index)->group;

	return bench_opt.smoke && group && index && group_has(bench_workload(index - 1), group) &&
	       group_has(bench_workload(index + 1), group);
}

/* 1, 2, 4 ... to the CPUs, and a point beyond. */
static unsigned scale_points(unsigned sweep[BENCH_SWEEP_MAX])
{
	int count = bench_sweep_parse("sweep", bench_machine.usable, sweep);

	return count > 1 ? (unsigned)count : 1;
}

static void workload_plan(const struct bench_workload *w)
{
	const unsigned *sweep = &bench_machine.usable;
	unsigned points[BENCH_SWEEP_MAX], count = 1, i;

	if (w->workers) {
		sweep = &w->workers;
	} else if (bench_opt.sweep_count) {
		sweep = bench_opt.sweep;
		count = bench_opt.sweep_count;
	} else if (bench_opt.scale && w->scales) {
		sweep = points;
		count = scale_points(points);
	} else if (w->sweep[0]) {
		sweep = w->sweep;
		count = w->sweep[1] ? 2 : 1;
	}
	for (i = 0; i < count && plan_count < RUNS_MAX; i++) {
		plan[plan_count].workload = w;
		plan[plan_count++].workers = sweep[i];
	}
}

/* ---- The run --------------------------------------------------------------------------- */

/* One of each kind: with all peers the points of --scale would take as long as half the run. */
static const char scale_peers[] = "serial,forkpool,pipe-chunk,socket-chunk,shm-chunk,"
				  "condvar-chunk,omp-static,tbb,py-pool";

/* Whether this is such a point, beside what the workload has by itself. */
static int scale_point(const struct bench_workload *w, unsigned workers)
{
	return bench_opt.scale && w->scales && !bench_opt.sweep_count &&
	       workers != bench_machine.usable;
}

static void workload_child(const struct bench_workload *w, unsigned workers)
{
	int err;

	if (scale_point(w, workers) && !bench_opt.peers)
		bench_opt.peers = scale_peers;
	/* A pool that has the caller for one of its workers gets no less for that. */
	if (bench_opt.pin && bench_cpus_pin(workers + w->submitters))
		perror("--pin");
	err = w->run ? w->run(w, workers) : bench_loop_run(w, workers);
	exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* Whether one of these peers is a program of another maker that may run in it. */
static int runs_foreign(const struct bench_workload *w, const struct bench_peer *const *peers)
{
	while (*peers && !((*peers)->flags & BENCH_FOREIGN && bench_chosen(w, *peers)))
		peers++;
	return *peers != NULL;
}

/* In a process of its own. */
static int workload_run(const struct bench_workload *w, unsigned workers)
{
	int status;
	pid_t pid;

	/* Those that take single tasks are among those of loops. */
	if (runs_foreign(w, bench_peers) || runs_foreign(w, bench_command_peers))
		bench_folder_make();
	pid = bench_child_fork();
	if (!pid)
		workload_child(w, workers);
	status = pid < 0 ? -1 : bench_child_await(pid);
	bench_progress(NULL, NULL, 0);
	if (bench_children_signal())
		return -EINTR;
	if (!status)
		return 0;
	if (WIFSIGNALED(status))
		fprintf(stderr, "%s with %u workers: %s\n", w->name, workers,
			strsignal(WTERMSIG(status)));
	fprintf(stderr, "%s with %u workers failed\n", w->name, workers);
	return -1;
}

static int plan_run(void)
{
	const struct bench_workload *w;
	unsigned i;
	int err = 0;

	for (i = 0; (w = bench_workload(i)); i++)
		if (workload_chosen(w) && !workload_skipped(i))
			workload_plan(w);
	for (i = 0; i < plan_count && !bench_children_signal(); i++) {
		bench_progress_plan(i, plan_count, bench_rounds(plan[i].workload));
		err |= workload_run(plan[i].workload, plan[i].workers);
	}
	return err;
}

/* What was asked for beside the tables, even if the run was cut short; returns an exit status. */
static int results_save(void)
{
	int err;

	if (!bench_opt.json)
		return EXIT_SUCCESS;
	err = bench_json_save(bench_opt.json);
	if (!err)
		return EXIT_SUCCESS;
	fprintf(stderr, "%s: %s\n", bench_opt.json, strerror(-err));
	return EXIT_FAILURE;
}

static int life_run(void)
{
	return bench_life_main(bench_opt.life, bench_opt.sweep_count ? bench_opt.sweep[0]
								     : forkpool_cpu_count(),
			       bench_opt.dirty) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int bench_run(void)
{
	int status, err;

	bench_machine_print(&bench_machine);
	err = bench_json_open();
	if (err) {
		fprintf(stderr, "no memory for results: %s\n", strerror(-err));
		return EXIT_FAILURE;
	}
	status = plan_run() ? EXIT_FAILURE : EXIT_SUCCESS;
	status |= results_save();
	if (bench_children_signal())
		return EXIT_FAILURE;
	err = bench_tools_run();
	return status ? status : err;
}

int main(int argc, char **argv)
{
	int err = bench_options_parse(argc, argv), status;

	if (err)
		return err < 0 ? 2 : EXIT_SUCCESS;
	if (bench_opt.life)
		return life_run();
	bench_cpus_save();
	bench_machine_read(&bench_machine);
	bench_children_setup();
	status = bench_run();
	bench_folder_remove();
	/* As who ended it expects. */
	if (bench_children_signal())
		bench_children_die();
	return status;
}
