/* SPDX-License-Identifier: MIT */
/* The loops of known programs as workloads of the runner. */
#ifndef PROGRAMS_ROWS_H
#define PROGRAMS_ROWS_H

#include "bench.h"
#include "ep.h"
#include "mandelbrot.h"

/* EP: a batch in, its sums out. */
forkpool_fn bench_ep_item;
void bench_ep_fill(void *in, size_t count);
/* The sums of all are those that are published, where COUNT is a class that has some. */
int bench_ep_check(const void *answer, size_t count);

/* The Mandelbrot set: the number of a row in, its pixels out. */
forkpool_fn bench_mandelbrot_item;
void bench_mandelbrot_fill(void *in, size_t count);
int bench_mandelbrot_check(const void *answer, size_t count);

#define BENCH_EP(which, text, n, ...) { \
	.name = which, .title = "NAS EP, class " text, \
	.unit = BENCH_MS_PER_MAP, .base = "omp-static", .fn = bench_ep_item, \
	.fill = bench_ep_fill, .check = bench_ep_check, .in_size = sizeof(uint64_t), \
	.out_size = sizeof(struct ep_sums), .count = (n), .per_item_div = 1, __VA_ARGS__ }

#define BENCH_MANDELBROT { \
	.name = "mandelbrot", .title = "Mandelbrot set, 768 rows of 1,024 pixels", \
	.unit = BENCH_MS_PER_MAP, .base = "omp-dynamic", .fn = bench_mandelbrot_item, \
	.fill = bench_mandelbrot_fill, .check = bench_mandelbrot_check, \
	.in_size = sizeof(struct mandelbrot_row), \
	.out_size = sizeof(struct mandelbrot_pixels), .count = MANDELBROT_ROWS, \
	.quick_div = 8, .per_item_div = 1 }

/* Their entries in the table. */
#define BENCH_PROGRAMS \
	BENCH_EP("ep", "S: 256 batches of 65,536 pairs", 256, .quick_div = 8), \
	BENCH_EP("ep-a", "A: 4,096 batches of 65,536 pairs", 4096, .quick_div = 16, \
		 .rounds_max = 3, .on_request = 1), \
	BENCH_MANDELBROT

#endif
