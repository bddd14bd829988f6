/* SPDX-License-Identifier: MIT */
/*
 * The pool on pipes that one writes first: forked for one loop, two pipes for each
 * worker, an index goes out and a result comes back, one item at a time.
 */
#ifndef PROGRAMS_PIPES_H
#define PROGRAMS_PIPES_H

#include <stddef.h>
#include <stdint.h>

struct pipes_loop {
	void (*fn)(const void *arg, uint64_t index, void *out);
	const void *arg;	/* workers are forked here, so they have all there is now */
	uint64_t count;
	void *out;		/* count results of out_size bytes */
	size_t out_size;
	unsigned workers;
	int kill;		/* kill a worker once half the results are there */
};

/* Returns 0, or -1 with a word on stderr; then results are missing. */
int pipes_run(const struct pipes_loop *loop);

#endif
