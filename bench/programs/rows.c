/* SPDX-License-Identifier: MIT */
#include "rows.h"

int bench_ep_item(void *arg, const void *in, void *out)
{
	(void)arg;
	ep_batch(*(const uint64_t *)in, out);
	return 0;
}

void bench_ep_fill(void *in, size_t count)
{
	uint64_t *batch = in;
	size_t i;

	for (i = 0; i < count; i++)
		batch[i] = i;
}

int bench_ep_check(const void *answer, size_t count)
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

int bench_mandelbrot_item(void *arg, const void *in, void *out)
{
	(void)arg;
	mandelbrot_draw(in, out);
	return 0;
}

void bench_mandelbrot_fill(void *in, size_t count)
{
	mandelbrot_rows(in, count);
}

int bench_mandelbrot_check(const void *answer, size_t count)
{
	return mandelbrot_symmetric(answer, count) ? 0 : -1;
}
