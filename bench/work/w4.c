/* SPDX-License-Identifier: MIT */
/* W4: streams of single tasks, from one thread and from many, to one pool and to many. */
#include "work/work.h"

BODY int bench_task_item(void *arg, const void *in, void *out)
{
	const struct bench_task *task = in;

	(void)arg;
	*(uint64_t *)out = splitmix64(task->a) ^ task->b;
	return 0;
}

void bench_tasks_fill(void *in, size_t count)
{
	struct bench_task *task = in;
	size_t i;

	for (i = 0; i < count; i++)
		task[i] = (struct bench_task){ i, ~i };
}

#define STREAM(which, text, threads, tasks, ...) { \
	.name = which, .title = text, .run = bench_stream_run, \
	.fn = bench_task_item, .fill = bench_tasks_fill, \
	.in_size = sizeof(struct bench_task), .out_size = sizeof(uint64_t), \
	.count = (tasks), .quick_div = 10, .per_item_div = 10, .fork_div = 1000, \
	.submitters = (threads), \
	.skip = BENCH_BARE, __VA_ARGS__ }

#define W4(which, text, threads, ...) \
	STREAM(which, "W4 single tasks: 10^6 of 16 bytes in, 8 out, " text, threads, 1000000, \
	       __VA_ARGS__)

#define SUBMITTERS(n, ...) \
	STREAM("submitters-" #n, "W4's tasks, 200,000 of them, submitting threads: " #n, n, \
	       200000, .group = "submitters", .x = n, .x_unit = "threads", \
	       .base = "forkpool-1", .rounds_max = 6, __VA_ARGS__)

#define POOLS	8

const struct bench_workload bench_w4[] = {
	W4("w4", "1 submitter", 1, .sweep = { 1, 2 }, .slow_div = 100),
	W4("w4-threads", "4 submitters", 4, .sweep = { 2 }, .base = "forkpool-1"),
	SUBMITTERS(1, .on_request = 0),
	SUBMITTERS(2, .on_request = 1),
	SUBMITTERS(4, .on_request = 0),
	SUBMITTERS(8, .on_request = 1),
	SUBMITTERS(16, .on_request = 0),
	STREAM("many-pools", "W4's tasks, 400,000 of them to 8 pools at once, a submitter each",
	       POOLS, 400000, .pools = POOLS, .sweep = { 1 }, .rounds_max = 6),
	STREAM("w4-long", "W4 single tasks: 10^7 of 16 bytes in, 8 out, 1 submitter", 1,
	       10000000, .rounds_max = 6, .on_request = 1),
	{ .name = NULL },
};
