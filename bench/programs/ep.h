/* SPDX-License-Identifier: MIT */
/*
 * The kernel EP ("embarrassingly parallel") of the NAS Parallel Benchmarks,
 * written from its description in the report RNR-94-007, section 2.2.1.
 *
 * A sequence of random numbers gives pairs (x, y) in the square from -1 to 1.
 * Those inside the unit circle become pairs of Gaussian deviates; wanted are the
 * sums of these, and how many lie in each of ten square annuli.  The pairs come
 * in batches, each of which finds its own place in the sequence: so batches may
 * be worked on in any order, by anybody.
 */
#ifndef PROGRAMS_EP_H
#define PROGRAMS_EP_H

#include <stdint.h>

#define EP_BATCH_PAIRS	(UINT64_C(1) << 16)
#define EP_ANNULI	10

/* What a batch comes to, or all of them. */
struct ep_sums {
	double sx, sy;
	uint64_t annulus[EP_ANNULI];
};

/* A size of the problem, with the sums that are published for it. */
struct ep_class {
	char name;
	uint64_t batches;
	double sx, sy;
};

/* Classes S, W and A; name 0 at the end. */
extern const struct ep_class ep_classes[];

/* The class of that name, or NULL. */
const struct ep_class *ep_class_named(const char *name);

void ep_batch(uint64_t batch, struct ep_sums *ret);
void ep_sums_add(struct ep_sums *total, const struct ep_sums *part);

/* Whether the sums are those that are published, to the precision asked for. */
int ep_verify(const struct ep_class *ep, const struct ep_sums *sums);

/* ---- The programs ------------------------------------------------------------- */

struct ep_run {
	uint64_t batches;
	unsigned workers;
	int kill;		/* a worker is to be killed meanwhile */
};

/* The one thing in which the programs differ.  Returns 0, or -1 with a word on stderr. */
typedef int ep_loop(const struct ep_run *run, struct ep_sums *total);

/* The rest of the program: its command line, the clock, the result. */
int ep_main(int argc, char **argv, ep_loop *loop, int can_kill);

#endif
