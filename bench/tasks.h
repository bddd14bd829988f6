/* SPDX-License-Identifier: MIT */
/* What the workloads of single tasks share: all peers' pools, ready side by side. */
#ifndef BENCH_TASKS_H
#define BENCH_TASKS_H

#include "bench.h"

struct task_entry {
	const struct bench_task_peer *peer;
	void *pool;
	void *more[BENCH_SUBMITTERS_MAX - 1];	/* pools beside it; NULL behind the last */
	unsigned submitters;
};

struct task_contest;

/* One sample, in ns; or a negative error. */
typedef int task_measure(struct task_contest *c, struct task_entry *e, unsigned round,
			 double *ret);

struct task_contest {
	const struct bench_workload *workload;
	struct bench_table table;
	task_measure *measure;
	struct task_entry entry[BENCH_PEERS_MAX];
	unsigned count;			/* entries in use */
	size_t items;
	struct bench_task *in;
	uint64_t *out, *answer;
};

/* Threads that spin after their work do so no longer than this, in ns. */
#define TASK_SETTLE_TIME	12000000

int task_contest_start(struct task_contest *c, const struct bench_workload *w,
		       unsigned workers);
int task_contest_run(struct task_contest *c, task_measure *measure);
void task_contest_stop(struct task_contest *c);

/* Runs BODY on threads that may submit to this pool. */
void task_entry_run(struct task_entry *e, bench_submitter *body, void *arg);

#endif
