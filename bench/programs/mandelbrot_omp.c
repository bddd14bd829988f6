/* SPDX-License-Identifier: MIT */
/* The Mandelbrot set with OpenMP. */
#include "mandelbrot.h"

static int loop(const struct mandelbrot_run *run)
{
	size_t i;

#pragma omp parallel for schedule(dynamic) num_threads(run->workers)
	for (i = 0; i < run->rows; i++)
		mandelbrot_draw(&run->row[i], &run->image[i]);
	return 0;
}

int main(int argc, char **argv)
{
	return mandelbrot_main(argc, argv, loop);
}
