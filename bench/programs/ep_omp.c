/* SPDX-License-Identifier: MIT */
/* EP with OpenMP. */
#include "ep.h"

static int loop(const struct ep_run *run, struct ep_sums *total)
{
	double sx = 0, sy = 0;
	uint64_t annulus[EP_ANNULI] = { 0 };
	uint64_t i;

#pragma omp parallel for reduction(+ : sx, sy, annulus[:EP_ANNULI]) num_threads(run->workers)
	for (i = 0; i < run->batches; i++) {
		struct ep_sums part;
		unsigned k;

		ep_batch(i, &part);
		sx += part.sx;
		sy += part.sy;
		for (k = 0; k < EP_ANNULI; k++)
			annulus[k] += part.annulus[k];
	}

	*total = (struct ep_sums){ .sx = sx, .sy = sy };
	for (i = 0; i < EP_ANNULI; i++)
		total->annulus[i] = annulus[i];
	return 0;
}

int main(int argc, char **argv)
{
	return ep_main(argc, argv, loop, 0);
}
