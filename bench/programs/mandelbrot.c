/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "mandelbrot.h"

/* The part of the plane that is drawn: from LEFT to RIGHT, and so far up and down. */
#define LEFT		(-2.0)
#define RIGHT		0.6
#define HEIGHT		1.3

#define FNV_OFFSET	UINT64_C(14695981039346656037)
#define FNV_PRIME	UINT64_C(1099511628211)

static uint16_t steps_count(double cx, double cy)
{
	double x = 0, y = 0, xx = 0, yy = 0;
	uint16_t steps = 0;

	while (xx + yy <= 4 && steps < MANDELBROT_STEPS) {
		y = 2 * x * y + cy;
		x = xx - yy + cx;
		xx = x * x;
		yy = y * y;
		steps++;
	}
	return steps;
}

void mandelbrot_draw(const struct mandelbrot_row *row, struct mandelbrot_pixels *ret)
{
	/* Rows that mirror each other get the same number with either sign, to the last bit. */
	double cy = (2.0 * row->row + 1 - row->rows) * (HEIGHT / row->rows);
	unsigned i;

	for (i = 0; i < MANDELBROT_WIDTH; i++)
		ret->steps[i] = steps_count(LEFT + i * ((RIGHT - LEFT) / MANDELBROT_WIDTH), cy);
}

void mandelbrot_rows(struct mandelbrot_row *row, size_t rows)
{
	size_t i;

	for (i = 0; i < rows; i++)
		row[i] = (struct mandelbrot_row){ (uint32_t)i, (uint32_t)rows };
}

/* FNV-1a, a count of steps at a time. */
uint64_t mandelbrot_checksum(const struct mandelbrot_pixels *image, size_t rows)
{
	uint64_t sum = FNV_OFFSET;
	size_t i, k;

	for (i = 0; i < rows; i++)
		for (k = 0; k < MANDELBROT_WIDTH; k++)
			sum = (sum ^ image[i].steps[k]) * FNV_PRIME;
	return sum;
}

int mandelbrot_symmetric(const struct mandelbrot_pixels *image, size_t rows)
{
	size_t i;

	for (i = 0; i < rows / 2; i++)
		if (memcmp(&image[i], &image[rows - 1 - i], sizeof(image[i])))
			return 0;
	return 1;
}
