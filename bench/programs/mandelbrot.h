/* SPDX-License-Identifier: MIT */
/*
 * A picture of the Mandelbrot set: how many steps of z = z^2 + c, from 0 on, each
 * point c of the plane takes to leave the circle of radius 2.  An item is a row; one
 * through the middle of the set costs hundreds of times more than one at the edge.
 */
#ifndef PROGRAMS_MANDELBROT_H
#define PROGRAMS_MANDELBROT_H

#include <stddef.h>
#include <stdint.h>

#define MANDELBROT_WIDTH	1024
#define MANDELBROT_ROWS		768
#define MANDELBROT_STEPS	1000	/* then it counts as a point of the set */

/* Which row of how many. */
struct mandelbrot_row {
	uint32_t row, rows;
};

struct mandelbrot_pixels {
	uint16_t steps[MANDELBROT_WIDTH];
};

void mandelbrot_draw(const struct mandelbrot_row *row, struct mandelbrot_pixels *ret);

/* Numbers the rows of a picture. */
void mandelbrot_rows(struct mandelbrot_row *row, size_t rows);

uint64_t mandelbrot_checksum(const struct mandelbrot_pixels *image, size_t rows);

/* Whether the upper half is the lower half upside down, as the set is. */
int mandelbrot_symmetric(const struct mandelbrot_pixels *image, size_t rows);

/* ---- The programs ------------------------------------------------------------- */

struct mandelbrot_run {
	const struct mandelbrot_row *row;
	struct mandelbrot_pixels *image;
	size_t rows;
	unsigned workers;
};

/* The one thing in which the programs differ.  Returns 0, or -1 with a word on stderr. */
typedef int mandelbrot_loop(const struct mandelbrot_run *run);

/* The rest of the program: its command line, the clock, the result. */
int mandelbrot_main(int argc, char **argv, mandelbrot_loop *loop);

#endif
