/* SPDX-License-Identifier: MIT */
/*
 * The order of peers in a round.  Were it the same each time, or shifted by one each
 * time, every peer would always follow the same other one, and what that leaves behind
 * (warm caches, a CPU that has just gone to sleep) would look like a property of the
 * peer.  So each round has an order by chance, all orders alike.  The seed tells them
 * all: with the same seed each table has the same orders again, whatever else is run.
 */
#include <inttypes.h>

#include "bench.h"

/* Any but 0. */
#define START	UINT64_C(0x9e3779b97f4a7c15)

/* Marsaglia's xorshift64, with the factor of Vigna's xorshift64*. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

/* What is told apart takes quite another way: the numbers go in one by one. */
static void state_mix(uint64_t *state, uint64_t value)
{
	*state ^= value;
	if (!*state)
		*state = START;
	random_next(state);
	random_next(state);
}

void bench_order(const struct bench_table *t, unsigned round, unsigned count,
		 unsigned order[BENCH_PEERS_MAX])
{
	const char *name = t->name;
	uint64_t state = START;
	unsigned i, k;

	state_mix(&state, bench_opt.seed);
	while (*name)
		state_mix(&state, (unsigned char)*name++);
	state_mix(&state, t->workers);
	state_mix(&state, round);
	for (i = 0; i < count; i++) {
		/* The high bits are the better ones. */
		k = (unsigned)((random_next(&state) >> 32) * (i + 1) >> 32);
		order[i] = order[k];
		order[k] = i;
	}
}
