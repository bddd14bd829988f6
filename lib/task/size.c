/* SPDX-License-Identifier: MIT */
/*
 * The length of a chunk, chosen when it is claimed.
 *
 * A chunk should last about TARGET_NS: long enough that a claim costs nothing,
 * short enough that the end is even.  Towards the end of a region chunks shrink
 * with what is left, but not below what a claim is worth, which is the more the
 * more swaps the claimer has lost to others; and a chunk grows by
 * at most GROWTH over the one before, since costs may jump.  An unknown cost is
 * found out with one item.  The floor comes last: a log of W words must close,
 * whatever the wishes, so a chunk is at least the rest over the words left.
 * doc/design/protocol.md has the measurements behind the numbers.
 */
#include "task/size.h"

#include "base/bits.h"

#define TARGET_NS	50000
#define LEAST_NS	1000	/* a claim is worth it from here on ... */
#define LEAST_EACH_NS	100	/* ... and more where more workers contend */
#define FAILED_MOST	6	/* each swap that was lost doubles it: so many fewer contend */
#define HOME_SHARE	4
#define THIEF_SHARE	2
#define GROWTH		8
#define ROUND_FROM	256	/* long chunks begin at multiples of ROUND_TO */
#define ROUND_TO	16

static uint64_t items_in(uint64_t ns, uint64_t cost)
{
	return ns * FP_COST_UNIT / cost;
}

static uint64_t wish(const struct fp_size *in)
{
	uint64_t share, least, len;

	if (in->chunk)
		return in->chunk;
	if (in->cost == 0)
		return 1;
	share = in->rest / (in->home ? HOME_SHARE : THIEF_SHARE * in->workers);
	least = items_in((uint64_t)(LEAST_NS + LEAST_EACH_NS * in->workers) << fp_min(in->failed, FAILED_MOST),
			 in->cost);
	len = fp_min(items_in(TARGET_NS, in->cost), fp_max(share, least));
	return fp_min(len, GROWTH * fp_max(in->last_len, 1));
}

uint64_t fp_size_choose(const struct fp_size *in)
{
	uint64_t len = wish(in);

	if (len >= ROUND_FROM && !in->chunk)
		len -= len % ROUND_TO;
	len = fp_max(len, fp_div_up(in->rest, in->words_left));
	return fp_min(fp_max(len, 1), in->rest);
}
