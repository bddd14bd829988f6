/* SPDX-License-Identifier: MIT */
/* The loops of known programs as workloads. */
#include "work/work.h"

#include "ep.h"
#include "mandelbrot.h"

/* A batch in, its sums out. */
BODY static int ep_item(void *arg, const void *in, void *out)
{
	(void)arg;
	ep_batch(*(const uint64_t *)in, out);
	return 0;
}

static void ep_fill(void *in, size_t count)
{
	uint64_t *batch = in;
	size_t i;

	for (i = 0; i < count; i++)
		batch[i] = i;
}

/* The sums of all are those that are published, where COUNT is a class that has some. */
static int ep_check(const void *answer, size_t count)
{
	const struct ep_sums *part = answer;
	struct ep_sums total = { .sx = 0 };
	const struct ep_class *ep;
	size_t i;

	for (ep = ep_classes; ep->name && ep->batches != count; ep++)
		;
	if (!ep->name)
		return 0;
	for (i = 0; i < count; i++)
		ep_sums_add(&total, &part[i]);
	return ep_verify(ep, &total) ? 0 : -1;
}

/* The number of a row in, its pixels out. */
BODY static int mandelbrot_item(void *arg, const void *in, void *out)
{
	(void)arg;
	mandelbrot_draw(in, out);
	return 0;
}

static void mandelbrot_fill(void *in, size_t count)
{
	mandelbrot_rows(in, count);
}

static int mandelbrot_check(const void *answer, size_t count)
{
	return mandelbrot_symmetric(answer, count) ? 0 : -1;
}

#define EP(which, text, n, ...) { \
	.name = which, .title = "NAS EP, class " text, \
	.unit = BENCH_MS_PER_MAP, .base = "omp-static", .fn = ep_item, .fill = ep_fill, \
	.check = ep_check, .in_size = sizeof(uint64_t), .out_size = sizeof(struct ep_sums), \
	.count = (n), .per_item_div = 1, __VA_ARGS__ }

const struct bench_workload bench_programs[] = {
	EP("ep", "S: 256 batches of 65,536 pairs", 256, .quick_div = 8,
	   .rounds_max = 6),
	EP("ep-a", "A: 4,096 batches of 65,536 pairs", 4096, .quick_div = 16,
	   .rounds_max = 3, .on_request = 1),
	{ .name = "mandelbrot", .title = "Mandelbrot set, 768 rows of 1,024 pixels",
	  .unit = BENCH_MS_PER_MAP, .base = "omp-dynamic", .fn = mandelbrot_item,
	  .fill = mandelbrot_fill, .check = mandelbrot_check,
	  .in_size = sizeof(struct mandelbrot_row),
	  .out_size = sizeof(struct mandelbrot_pixels), .count = MANDELBROT_ROWS,
	  .quick_div = 8, .per_item_div = 1 },
	{ .name = NULL },
};
