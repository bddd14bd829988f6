/* SPDX-License-Identifier: MIT */
/* The command line, and the run of workload after workload. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define ROUNDS		10
#define ROUNDS_QUICK	3

/* Options without a letter. */
enum { OPTION_LIFE = 256, OPTION_DIRTY };

struct bench_options bench_opt = { .json = -1 };

const struct bench_peer *const bench_peers[] = {
	&bench_serial,
	&bench_forkpool,
	&bench_forkpool_copy,
	&bench_forkpool_nested,
	&bench_pipe_item,
	&bench_pipe_chunk,
	&bench_shm_item,
	&bench_shm_chunk,
#ifdef BENCH_OMP
	&bench_omp_static,
	&bench_omp_dynamic,
	&bench_omp_guided,
	&bench_omp_nested,
#endif
#ifdef BENCH_TBB
	&bench_tbb,
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
	&bench_shm_task,
	&bench_condvar_task,
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

static const char usage[] =
"usage: run [option ...]\n"
"  -w, --workloads LIST  which, comma-separated (default: all that need no request)\n"
"  -p, --peers LIST      which (default: all)\n"
"  -n, --workers LIST    numbers of workers (default: the CPUs; w4: 1 and 2;\n"
"                        w4-threads: 2; w5: 1; w7: 2 and 8)\n"
"  -r, --rounds N        rounds (default 10, quick 3; w8 at most 3)\n"
"  -q, --quick           fewer items and rounds\n"
"  -j, --json FILE       every sample as JSON, too\n"
"      --life PEER       only this peer's start and stop, as plain numbers (ns, ns,\n"
"                        bytes of PSS for each worker): what w7 runs in each round\n"
"      --dirty           with --life: beside 1 GiB of dirty memory\n"
"  -l, --list            names of workloads and peers\n"
"  -h, --help            this text\n"
"Exits with 1 when a result was wrong or a pool did not start.\n";

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

int bench_listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (list) {
		if (!strncmp(list, name, len) && (!list[len] || list[len] == ','))
			return 1;
		list = strchr(list, ',');
		if (list)
			list++;
	}
	return 0;
}

int bench_chosen(const struct bench_workload *w, const struct bench_peer *peer)
{
	if (peer->flags & BENCH_NESTED && !w->nested)
		return 0;
	if (peer->flags & BENCH_SLOW && !w->slow_div)
		return 0;
	if (peer->flags & w->skip || (w->range && !(peer->flags & BENCH_RANGES)))
		return 0;
	return !bench_opt.peers || bench_listed(bench_opt.peers, peer->name);
}

unsigned bench_rounds(const struct bench_workload *w)
{
	return w->rounds_max && bench_opt.rounds > w->rounds_max ? w->rounds_max
								 : bench_opt.rounds;
}

unsigned bench_div(const struct bench_workload *w, const struct bench_peer *peer)
{
	return (peer->flags & BENCH_PER_ITEM ? w->per_item_div : 1) *
	       (peer->flags & BENCH_SLOW ? w->slow_div : 1);
}

void bench_progress(const char *workload, const char *peer, unsigned round)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (workload)
		fprintf(stderr, "\r\033[K%s: round %u: %s", workload, round, peer);
	else
		fprintf(stderr, "\r\033[K");
}

/* ---- The run --------------------------------------------------------------------------- */

static int workload_chosen(const struct bench_workload *w)
{
	if (!bench_opt.workloads)
		return !w->on_request;
	return bench_listed(bench_opt.workloads, w->name) ||
	       (w->group && bench_listed(bench_opt.workloads, w->group));
}

static void workload_child(const struct bench_workload *w, unsigned workers, pid_t parent)
{
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	err = w->run ? w->run(w, workers) : bench_loop_run(w, workers);
	exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* CPU time of all this process has waited for, ns. */
static int64_t children_busy(void)
{
	struct rusage use;

	getrusage(RUSAGE_CHILDREN, &use);
	return (int64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000000 +
	       (int64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1000;
}

/* In a process of its own.  Says how much of the machine was not the runner's. */
static int workload_run(const struct bench_workload *w, unsigned workers)
{
	int64_t start = bench_clock(), busy = bench_machine_busy(), own = children_busy();
	int64_t whole, others;
	pid_t parent = getpid(), pid;
	int status = -1;

	fflush(stdout);
	pid = fork();
	if (!pid)
		workload_child(w, workers, parent);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "%s with %u workers failed\n", w->name, workers);
		return -1;
	}
	whole = (bench_clock() - start) * sysconf(_SC_NPROCESSORS_ONLN);
	others = bench_machine_busy() - busy - (children_busy() - own);
	printf("  (%.0f s; others had %.1f %% of the machine)\n",
	       (double)(bench_clock() - start) / 1e9,
	       others > 0 ? 100.0 * (double)others / (double)whole : 0.0);
	return 0;
}

static int workload_sweep(const struct bench_workload *w)
{
	unsigned usable = forkpool_cpu_count();
	const unsigned *sweep = &usable;
	unsigned count = 1, i;
	int err = 0;

	if (w->workers) {
		sweep = &w->workers;
	} else if (bench_opt.sweep_count) {
		sweep = bench_opt.sweep;
		count = bench_opt.sweep_count;
	} else if (w->sweep[0]) {
		sweep = w->sweep;
		count = w->sweep[1] ? 2 : 1;
	}
	for (i = 0; i < count; i++)
		err |= workload_run(w, sweep[i]);
	return err;
}

/* ---- The command line --------------------------------------------------------------------- */

static void names_print(void)
{
	const struct bench_workload *w;
	unsigned i;

	printf("workloads:\n");
	for (w = bench_workloads; w->name; w++)
		printf("  %-14s%s%s\n", w->name, w->title,
		       w->on_request ? " (on request)" : "");
	printf("peers:\n");
	for (i = 0; bench_peers[i]; i++)
		printf("  %s\n", bench_peers[i]->name);
	printf("peers for single tasks (w4, w5, fib):\n");
	for (i = 0; bench_task_peers[i]; i++)
		printf("  %s\n", bench_task_peers[i]->peer.name);
	printf("peers for whole commands:\n");
	for (i = 0; bench_command_peers[i]; i++)
		printf("  %s\n", bench_command_peers[i]->name);
}

static int name_known(const char *name, int peers)
{
	const struct bench_workload *w;
	unsigned i;

	if (peers) {
		for (i = 0; bench_peers[i]; i++)
			if (!strcmp(bench_peers[i]->name, name))
				return 1;
		for (i = 0; bench_task_peers[i]; i++)
			if (!strcmp(bench_task_peers[i]->peer.name, name))
				return 1;
		for (i = 0; bench_command_peers[i]; i++)
			if (!strcmp(bench_command_peers[i]->name, name))
				return 1;
		return 0;
	}
	for (w = bench_workloads; w->name; w++)
		if (!strcmp(w->name, name) || (w->group && !strcmp(w->group, name)))
			return 1;
	return 0;
}

/* A misspelt name must not look like a run that went well. */
static int names_check(const char *list, int peers)
{
	char *copy = strdup(list), *rest = copy, *name;
	int err = copy ? 0 : -ENOMEM;

	while (!err && (name = strsep(&rest, ",")))
		if (!name_known(name, peers)) {
			fprintf(stderr, "no %s is called '%s'; see --list\n",
				peers ? "peer" : "workload", name);
			err = -EINVAL;
		}
	free(copy);
	return err;
}

static int number_parse(const char *text, char **end, unsigned most, unsigned *ret)
{
	unsigned long value;

	errno = 0;
	value = strtoul(text, end, 10);
	if (*end == text || errno || !value || value > most) {
		fprintf(stderr, "'%s' is not a number from 1 to %u\n", text, most);
		return -EINVAL;
	}
	*ret = (unsigned)value;
	return 0;
}

static int sweep_parse(const char *text)
{
	char *end;
	int err;

	for (;;) {
		if (bench_opt.sweep_count == BENCH_SWEEP_MAX)
			return -EINVAL;
		err = number_parse(text, &end, 1024,
				   &bench_opt.sweep[bench_opt.sweep_count++]);
		if (err || *end != ',')
			return err ? err : *end ? -EINVAL : 0;
		text = end + 1;
	}
}

static int rounds_parse(const char *text)
{
	char *end;
	int err = number_parse(text, &end, BENCH_ROUNDS_MAX, &bench_opt.rounds);

	return err ? err : *end ? -EINVAL : 0;
}

static int json_open(const char *path)
{
	bench_opt.json = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (bench_opt.json >= 0)
		return 0;
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return -1;
}

/* Returns 0 to go on, 1 when all is said, or a negative error. */
static int option_take(int option)
{
	switch (option) {
	case 'w':
		bench_opt.workloads = optarg;
		return names_check(optarg, 0);
	case 'p':
		bench_opt.peers = optarg;
		return names_check(optarg, 1);
	case 'n':
		return sweep_parse(optarg);
	case 'r':
		return rounds_parse(optarg);
	case 'q':
		bench_opt.quick = 1;
		return 0;
	case 'j':
		return json_open(optarg);
	case OPTION_LIFE:
		bench_opt.life = optarg;
		return names_check(optarg, 1);
	case OPTION_DIRTY:
		bench_opt.dirty = 1;
		return 0;
	case 'l':
		names_print();
		return 1;
	case 'h':
		fputs(usage, stdout);
		return 1;
	default:
		return -EINVAL;
	}
}

static int options_parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "workloads", required_argument, NULL, 'w' },
		{ "peers", required_argument, NULL, 'p' },
		{ "workers", required_argument, NULL, 'n' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "quick", no_argument, NULL, 'q' },
		{ "json", required_argument, NULL, 'j' },
		{ "life", required_argument, NULL, OPTION_LIFE },
		{ "dirty", no_argument, NULL, OPTION_DIRTY },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, err = 0;

	while (!err && (option = getopt_long(argc, argv, "w:p:n:r:qj:lh", known, NULL)) != -1)
		err = option_take(option);
	if (!err && optind < argc)
		err = -EINVAL;
	if (err < 0)
		fputs(usage, stderr);
	if (!bench_opt.rounds)
		bench_opt.rounds = bench_opt.quick ? ROUNDS_QUICK : ROUNDS;
	return err;
}

static int life_run(void)
{
	return bench_life_main(bench_opt.life, bench_opt.sweep_count ? bench_opt.sweep[0]
								     : forkpool_cpu_count(),
			       bench_opt.dirty);
}

int main(int argc, char **argv)
{
	const struct bench_workload *w;
	int err = options_parse(argc, argv);

	if (err)
		return err < 0 ? 2 : EXIT_SUCCESS;
	if (bench_opt.life)
		return life_run() ? EXIT_FAILURE : EXIT_SUCCESS;
	bench_machine_print();
	bench_json_open();
	for (w = bench_workloads; w->name; w++)
		if (workload_chosen(w))
			err |= workload_sweep(w);
	bench_json_close();
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
