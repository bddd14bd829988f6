/* SPDX-License-Identifier: MIT */
/*
 * No pool: what it takes one core to copy the items in, and as much out as they give
 * back.  What copies has memory of its own, touched before the first map, and computes
 * nothing while it is timed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

struct copies {
	char *in, *out;
	size_t in_room, out_room;
};

static void *copies_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	struct copies *c = calloc(1, sizeof(*c));

	(void)workers;
	(void)shared;
	if (!c)
		fprintf(stderr, "%s: no memory\n", peer->name);
	return c;
}

static void copies_stop(void *arg)
{
	struct copies *c = arg;

	free(c->in);
	free(c->out);
	free(c);
}

static int room_make(char **buf, size_t *room, size_t need)
{
	if (need <= *room)
		return 0;
	free(*buf);
	*room = 0;
	*buf = malloc(need);
	if (!*buf)
		return -FORKPOOL_EBROKEN;
	memset(*buf, 0, need);
	*room = need;
	return 0;
}

static int copies_map(void *arg, const struct bench_job *job)
{
	struct copies *c = arg;
	int err = room_make(&c->in, &c->in_room, job->count * job->in_size);

	if (!err)
		err = room_make(&c->out, &c->out_room, job->count * job->out_size);
	if (err)
		return err;
	memcpy(c->in, job->in, job->count * job->in_size);
	memcpy(job->out, c->out, job->count * job->out_size);
	return 0;
}

void bench_memcpy_finish(void *arg, const struct bench_job *job)
{
	const struct copies *c = arg;
	struct bench_job copied = *job;

	copied.in = c->in;
	bench_items_run(&copied, 0, job->count);
}

const struct bench_peer bench_memcpy = {
	.name = "memcpy",
	.flags = BENCH_BARE | BENCH_MEMCPY,
	.start = copies_start,
	.map = copies_map,
	.stop = copies_stop,
};
