/* SPDX-License-Identifier: MIT */
/*
 * What the files of the workloads share: how items take time, and their lists.
 *
 * Each file has the bodies of a workload and its entries.  Peers call bodies through
 * pointers; these files are apart from theirs and the bodies are noinline, so that
 * no peer gets its loop merged with a body.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "bench.h"

#define BODY	__attribute__((noinline))

/* ---- Lists of workloads, name NULL at the end ----------------------------------- */

extern const struct bench_workload bench_w1[], bench_w2[], bench_w3[], bench_w4[], bench_w5[];
extern const struct bench_workload bench_w6[], bench_w7[], bench_w8[];
extern const struct bench_workload bench_fib[], bench_tiny[], bench_heap[], bench_idle[];
extern const struct bench_workload bench_grain[], bench_skew[], bench_payload[];
extern const struct bench_workload bench_recovery[], bench_cost[], bench_billion[], bench_commands[];
extern const struct bench_workload bench_programs[];	/* programs/rows.c */

/* ---- Steps that depend on each other ---------------------------------------------- */

/* Of a linear congruential generator: so many take about 1 us. */
#define STEPS_US	890
#define STEPS_MEDIUM	(100 * STEPS_US)
#define LCG_FACTOR	UINT64_C(6364136223846793005)
#define LCG_ADD		UINT64_C(1442695040888963407)

static inline uint64_t lcg(uint64_t x, uint64_t steps)
{
	while (steps--)
		x = x * LCG_FACTOR + LCG_ADD;
	return x;
}

static inline uint64_t splitmix64(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* An item that says itself how long it takes. */
struct steps {
	uint64_t seed, steps;
};

/* ---- Bodies and inputs of more than one workload ------------------------------------ */

/* splitmix64 of eight bytes. */
forkpool_fn bench_hash_item;

/* A struct steps, and its last value. */
forkpool_fn bench_steps_item;

/* A struct bench_task, and its hash. */
forkpool_fn bench_task_item;

/* 0, 1, 2 ... as uint64_t. */
void bench_seeds_fill(void *in, size_t count);

/* Items that take STEPS each. */
void bench_steps_fill(void *in, size_t count, uint64_t steps);

void bench_tasks_fill(void *in, size_t count);

#endif
