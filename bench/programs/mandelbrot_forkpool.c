/* SPDX-License-Identifier: MIT */
/* The Mandelbrot set with forkpool. */
#include <stdio.h>

#include <forkpool.h>

#include "mandelbrot.h"

/* The body of the loop; in and out are what was indexed. */
static int row_draw(void *arg, const void *in, void *out)
{
	(void)arg;
	mandelbrot_draw(in, out);
	return 0;
}

static int loop(const struct mandelbrot_run *run)
{
	FORKPOOL_OPTS(opts, .workers = run->workers);
	struct forkpool *pool;
	int err = forkpool_create(&pool, &opts);

	if (!err) {
		err = FORKPOOL_MAP(pool, row_draw, run->row, run->image, run->rows,
				   .retries = 2);
		forkpool_destroy(pool);
	}
	if (err)
		fprintf(stderr, "forkpool: %s\n", forkpool_strerror(err));
	return err ? -1 : 0;
}

int main(int argc, char **argv)
{
	return mandelbrot_main(argc, argv, loop);
}
