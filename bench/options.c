/* SPDX-License-Identifier: MIT */
/* The command line. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define DIRTY_MOST	1048576	/* MiB */

/* Options without a letter. */
enum { OPTION_LIFE = 256, OPTION_DIRTY, OPTION_SMOKE, OPTION_PIN, OPTION_HTML, OPTION_COMPARE,
       OPTION_SEED, OPTION_SCALE };

static const char usage[] =
"NAME\n"
"  run - measures forkpool and other pools side by side\n"
"\n"
"SYNOPSIS\n"
"  run [option ...]\n"
"\n"
"OPTIONS\n"
"  -w, --workloads LIST  names and groups of workloads, comma-separated; default: all\n"
"                        that need no request, all: those, too\n"
"  -p, --peers LIST      which peers; default: all that there are\n"
"  -n, --workers LIST    numbers of workers, comma-separated, in the place of the CPUs\n"
"                        or of what a workload has by itself; max: the usable CPUs;\n"
"                        sweep: 1, 2, 4 ... max, and twice that\n"
"      --scale           w1, w2, w3-uniform and w6 with 1, 2, 4 ... workers up to the CPUs\n"
"                        and twice as many, where --workers says nothing; but for as many\n"
"                        as CPUs with a peer of each kind only, unless --peers names them\n"
"  -r, --rounds N        so many rounds; default: 10, of some workloads 6 or 3, with\n"
"                        --quick 3, with --smoke 1.  An interval needs 6\n"
"  -q, --quick           fewer items and rounds\n"
"      --smoke           fewer still, and of a sweep the first and the last point: whether\n"
"                        all of it works\n"
"      --seed N          of the order of peers, which is another in each round; default:\n"
"                        from the clock, so that two runs don't share what an order does\n"
"      --pin             a pool of N workers gets N CPUs and one for each thread that\n"
"                        submits, as long as there are so many\n"
"  -j, --json FILE       every sample and median in google-benchmark's layout\n"
"      --html FILE       a page with plots (needs python3 and gnuplot)\n"
"      --compare OLD     tells what is better or worse than in OLD, a file of --json, and\n"
"                        which peers have changed places; compare-runs --inversions does\n"
"                        the latter for two files\n"
"  -l, --list            workloads; peers, and why some are not there\n"
"  -h, --help            this text\n"
"      --life PEER       only this peer's start and stop, as plain numbers (ns, ns, bytes\n"
"                        of PSS for each worker): what w7 runs in each round\n"
"      --dirty MIB       with --life: beside so much dirty memory\n"
"\n"
"OUTPUT\n"
"  A table for each workload and number of workers.  The interval behind a median or a\n"
"  ratio covers the true one with the probability in the heading.  A sample is noisy\n"
"  when others had more than 5 % of the CPUs while it was taken, a series when most of\n"
"  its samples are.  Compare within one table only; bench/README.md says how to read it.\n"
"  On SIGINT and SIGTERM the run ends and the JSON has all tables so far.\n"
"\n"
"EXIT STATUS\n"
"  0  all is well\n"
"  1  a result was wrong, a workload failed, or a file could not be written\n"
"  2  wrong options, or a tool is missing\n"
"  3  with --compare: a median of forkpool is worse, the intervals don't meet, both cover\n"
"     95 %, and neither is noisy\n"
"\n"
"EXAMPLES\n"
"  run --quick --workloads w1,w2 --workers sweep\n"
"  run --json new.json --compare old.json --html new.html\n";

/* ---- Names ----------------------------------------------------------------------------- */

static int peer_known(const char *name)
{
	unsigned i;

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

static int workload_known(const char *name)
{
	const struct bench_workload *w;
	unsigned i;

	if (!strcmp(name, "all") || !strcmp(name, "default"))
		return 1;
	for (i = 0; (w = bench_workload(i)); i++)
		if (!strcmp(w->name, name) || (w->group && !strcmp(w->group, name)))
			return 1;
	return 0;
}

/* A misspelt name must not look like a run that went well. */
static int names_check(const char *list, const char *kind, int (*known)(const char *name))
{
	char *copy = strdup(list), *rest = copy, *name;
	int err = copy ? 0 : -ENOMEM;

	while (!err && (name = strsep(&rest, ",")))
		if (!known(name)) {
			fprintf(stderr, "no %s is called '%s'; see --list\n", kind, name);
			err = -EINVAL;
		}
	free(copy);
	return err;
}

/* ---- Options ------------------------------------------------------------------------------- */

static int workers_take(const char *text)
{
	int count = bench_sweep_parse(text, forkpool_cpu_count(), bench_opt.sweep);

	if (count < 0)
		return count;
	bench_opt.sweep_count = (unsigned)count;
	return 0;
}

/* Options that are but a switch. */
static int switch_take(int option)
{
	switch (option) {
	case OPTION_SMOKE:
		bench_opt.smoke = 1;
		bench_opt.quick = 1;
		return 0;
	case 'q':
		bench_opt.quick = 1;
		return 0;
	case OPTION_PIN:
		bench_opt.pin = 1;
		return 0;
	case OPTION_SCALE:
		bench_opt.scale = 1;
		return 0;
	case 'l':
		bench_list_print();
		return 1;
	case 'h':
		fputs(usage, stdout);
		return 1;
	default:
		fprintf(stderr, "see --help\n");
		return -EINVAL;
	}
}

static int dirty_take(const char *text)
{
	unsigned mib = 0;
	int err = bench_number_parse(text, DIRTY_MOST, &mib);

	bench_opt.dirty = (int)mib;
	return err;
}

static int option_take(int option)
{
	switch (option) {
	case 'w':
		bench_opt.workloads = optarg;
		return names_check(optarg, "workload", workload_known);
	case 'p':
		bench_opt.peers = optarg;
		return names_check(optarg, "peer", peer_known);
	case 'n':
		return workers_take(optarg);
	case 'r':
		return bench_number_parse(optarg, BENCH_ROUNDS_MAX, &bench_opt.rounds);
	case OPTION_SEED:
		return bench_number_parse(optarg, UINT_MAX, &bench_opt.seed);
	case 'j':
		bench_opt.json = optarg;
		return 0;
	case OPTION_HTML:
		bench_opt.html = optarg;
		return 0;
	case OPTION_COMPARE:
		bench_opt.compare = optarg;
		return 0;
	case OPTION_LIFE:
		bench_opt.life = optarg;
		return names_check(optarg, "peer", peer_known);
	case OPTION_DIRTY:
		return dirty_take(optarg);
	default:
		return switch_take(option);
	}
}

int bench_options_parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "workloads", required_argument, NULL, 'w' },
		{ "peers", required_argument, NULL, 'p' },
		{ "workers", required_argument, NULL, 'n' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "quick", no_argument, NULL, 'q' },
		{ "smoke", no_argument, NULL, OPTION_SMOKE },
		{ "scale", no_argument, NULL, OPTION_SCALE },
		{ "seed", required_argument, NULL, OPTION_SEED },
		{ "pin", no_argument, NULL, OPTION_PIN },
		{ "json", required_argument, NULL, 'j' },
		{ "html", required_argument, NULL, OPTION_HTML },
		{ "compare", required_argument, NULL, OPTION_COMPARE },
		{ "life", required_argument, NULL, OPTION_LIFE },
		{ "dirty", required_argument, NULL, OPTION_DIRTY },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, err = 0;

	while (!err && (option = getopt_long(argc, argv, "w:p:n:r:qj:lh", known, NULL)) != -1)
		err = option_take(option);
	if (!err && optind < argc) {
		fprintf(stderr, "'%s' is no option; see --help\n", argv[optind]);
		err = -EINVAL;
	}
	if (!bench_opt.seed)
		bench_opt.seed = (unsigned)(bench_clock() / 1000 % UINT_MAX) + 1;
	if (!err && !bench_opt.life)
		err = bench_tools_check();
	return err;
}
