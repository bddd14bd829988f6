/* SPDX-License-Identifier: MIT */
/* The Mandelbrot set with processes and pipes. */
#include "mandelbrot.h"
#include "pipes.h"

static void row_draw(const void *arg, uint64_t index, void *out)
{
	const struct mandelbrot_row *row = arg;

	mandelbrot_draw(&row[index], out);
}

static int loop(const struct mandelbrot_run *run)
{
	const struct pipes_loop rows = {
		.fn = row_draw, .arg = run->row, .count = run->rows, .out = run->image,
		.out_size = sizeof(*run->image), .workers = run->workers,
	};

	return pipes_run(&rows);
}

int main(int argc, char **argv)
{
	return mandelbrot_main(argc, argv, loop);
}
