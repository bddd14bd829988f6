/* SPDX-License-Identifier: MIT */
/* The three EP programs but for their loops. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ep.h"
#include "program.h"

#define WORKERS_MAX	1024

struct command {
	const struct ep_class *ep;
	struct ep_run run;
};

static int usage(const char *name, int can_kill)
{
	fprintf(stderr,
		"usage: %s [-c CLASS] [-w WORKERS]%s\n"
		"  -c CLASS    S, W or A: 2^24, 2^25 or 2^28 pairs (default S)\n"
		"  -w WORKERS  default: a worker for each CPU\n",
		name, can_kill ? " [-k]" : "");
	if (can_kill)
		fputs("  -k, --kill  kills a worker meanwhile\n", stderr);
	return PROGRAM_USAGE;
}

/* Returns 0, or -1 when the command line makes no sense. */
static int command_parse(struct command *c, int argc, char **argv, int can_kill)
{
	static const struct option known[] = {
		{ "kill", no_argument, NULL, 'k' },
		{ NULL, 0, NULL, 0 },
	};
	int option, err = 0;

	while (!err && (option = getopt_long(argc, argv, "c:w:k", known, NULL)) != -1) {
		if (option == 'c') {
			c->ep = ep_class_named(optarg);
			err = c->ep ? 0 : -1;
		} else if (option == 'w') {
			err = program_number(optarg, WORKERS_MAX, &c->run.workers);
		} else if (option == 'k' && can_kill) {
			c->run.kill = 1;
		} else {
			err = -1;
		}
	}
	return err || optind < argc ? -1 : 0;
}

/* All digits, so that two results can be told apart by their last bit. */
static void sums_print(const struct ep_sums *sums)
{
	unsigned i;

	printf("  sums    %.16e %.16e\n  counts ", sums->sx, sums->sy);
	for (i = 0; i < EP_ANNULI; i++)
		printf(" %" PRIu64, sums->annulus[i]);
	printf("\n");
}

int ep_main(int argc, char **argv, ep_loop *loop, int can_kill)
{
	const char *name = program_name(argv[0]);
	struct command c = { ep_class_named("S"), { .workers = program_cpus() } };
	struct ep_sums total = { .sx = 0 };
	double start;
	int right;

	if (command_parse(&c, argc, argv, can_kill))
		return usage(name, can_kill);
	c.run.batches = c.ep->batches;
	start = program_clock();
	if (loop(&c.run, &total))
		return EXIT_FAILURE;
	printf("%s: class %c, %u workers, %.3f s\n", name, c.ep->name, c.run.workers,
	       program_clock() - start);
	sums_print(&total);
	right = ep_verify(c.ep, &total);
	printf("  %s\n", right ? "verified" : "WRONG: these are not the published sums");
	return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
