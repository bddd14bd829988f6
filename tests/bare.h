/* SPDX-License-Identifier: MIT */
/*
 * A segment without processes: the test plays host, workers and nursery itself,
 * in the order it likes.  One slot is used, and each job's items are counted.
 */
#ifndef TESTS_BARE_H
#define TESTS_BARE_H

#include "proc/crew.h"
#include "task/claim.h"
#include "task/job.h"

#define BARE_SLOT	5u	/* any but the first will do */

struct bare {
	struct fp_crew crew;
	struct fp_segment *seg;
	struct fp_slot slot;
	struct fp_claimer *claimers;	/* one for each worker */
	uint64_t gen;
	uint64_t seed;
};

void bare_open(struct bare *b, uint32_t workers);
void bare_close(struct bare *b);

/* Publishes the next job and returns its generation. */
uint64_t bare_publish(struct bare *b, const struct fp_job_desc *desc);

/* Is the job of the last bare_publish() done? */
bool bare_done(const struct bare *b);

/* Fails the test unless all control words are sound. */
void bare_check(const struct bare *b);

/* A pseudo-random number below n. */
uint64_t bare_random(uint64_t *seed, uint64_t n);

/* Turns claimer id to the job, with an item's cost in ns (0 = not known). */
bool bare_turn(struct bare *b, uint32_t id, uint64_t cost_ns);

/* The claim of a worker's intent: the word it points at. */
uint64_t bare_word(const struct bare *b, uint32_t id);

#endif
