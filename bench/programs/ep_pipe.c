/* SPDX-License-Identifier: MIT */
/* EP with processes and pipes. */
#include <stdio.h>
#include <stdlib.h>

#include "ep.h"
#include "pipes.h"

static void batch_run(const void *arg, uint64_t index, void *out)
{
	(void)arg;
	ep_batch(index, out);
}

static int loop(const struct ep_run *run, struct ep_sums *total)
{
	struct ep_sums *part = calloc(run->batches, sizeof(*part));
	const struct pipes_loop batches = {
		.fn = batch_run, .count = run->batches, .out = part,
		.out_size = sizeof(*part), .workers = run->workers, .kill = run->kill,
	};
	uint64_t i;
	int err;

	if (!part) {
		perror("ep-pipe");
		return -1;
	}
	err = pipes_run(&batches);
	for (i = 0; !err && i < run->batches; i++)
		ep_sums_add(total, &part[i]);
	free(part);
	return err;
}

int main(int argc, char **argv)
{
	return ep_main(argc, argv, loop, 1);
}
