/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "ep.h"

/* x[k + 1] = 5^13 x[k] modulo 2^46; x[0] is the seed, and x[k] / 2^46 is random. */
#define FACTOR		UINT64_C(1220703125)
#define SEED		UINT64_C(271828183)
#define MODULUS_BITS	46
#define MASK		((UINT64_C(1) << MODULUS_BITS) - 1)
#define SCALE		0x1p-46

/* How near to the published sums is near enough, by the description. */
#define PRECISION	1e-8

const struct ep_class ep_classes[] = {
	{ 'S', UINT64_C(1) << 8, -3.247834652034740e3, -6.958407078382297e3 },
	{ 'W', UINT64_C(1) << 9, -2.863319731645753e3, -6.320053679109499e3 },
	{ 'A', UINT64_C(1) << 12, -4.295875165629892e3, -1.580732573678431e4 },
	{ 0 },
};

const struct ep_class *ep_class_named(const char *name)
{
	const struct ep_class *ep;

	for (ep = ep_classes; ep->name; ep++)
		if (name[0] == ep->name && !name[1])
			return ep;
	return NULL;
}

/* FACTOR to the power N.  Only the low bits count, so that the overflow is harmless. */
static uint64_t factor_power(uint64_t n)
{
	uint64_t square = FACTOR, power = 1;

	for (; n; n >>= 1) {
		if (n & 1)
			power *= square;
		square *= square;
	}
	return power & MASK;
}

/* A number from -1 to 1. */
static inline double number_next(uint64_t *x)
{
	*x = *x * FACTOR & MASK;
	return 2 * SCALE * (double)*x - 1;
}

void ep_batch(uint64_t batch, struct ep_sums *ret)
{
	/* Each batch before this one has taken two numbers for each pair. */
	uint64_t seed = SEED * factor_power(batch * 2 * EP_BATCH_PAIRS) & MASK;
	struct ep_sums sums = { .sx = 0 };
	uint64_t i;

	for (i = 0; i < EP_BATCH_PAIRS; i++) {
		double x = number_next(&seed);
		double y = number_next(&seed);
		double t = x * x + y * y, stretch, larger;

		if (t > 1)
			continue;
		stretch = sqrt(-2 * log(t) / t);
		x *= stretch;
		y *= stretch;
		/* No deviate of the classes here comes to EP_ANNULI. */
		larger = fmax(fabs(x), fabs(y));
		sums.annulus[(unsigned)larger]++;
		sums.sx += x;
		sums.sy += y;
	}
	*ret = sums;
}

void ep_sums_add(struct ep_sums *total, const struct ep_sums *part)
{
	unsigned i;

	total->sx += part->sx;
	total->sy += part->sy;
	for (i = 0; i < EP_ANNULI; i++)
		total->annulus[i] += part->annulus[i];
}

int ep_verify(const struct ep_class *ep, const struct ep_sums *sums)
{
	return fabs(sums->sx / ep->sx - 1) <= PRECISION &&
	       fabs(sums->sy / ep->sy - 1) <= PRECISION;
}
