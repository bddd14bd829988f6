/* SPDX-License-Identifier: MIT */
/* A few workers' hands over a bare segment, and a line of the host's: the scene of tests of lanes. */
#ifndef TESTS_HANDS_H
#define TESTS_HANDS_H

#include "unit/line.h"

#define WORKERS	4u
#define LANE	3u	/* the host's */
#define PLACES	(FP_PAGE_SLOTS - 1)

static struct bare b;
static struct line l;
static struct hand hands[WORKERS];

static void scene_open(void)
{
	uint32_t i;

	bare_open(&b, WORKERS);
	for (i = 0; i < WORKERS; i++)
		hand_open(&hands[i], &b, i);
}

static void scene_close(void)
{
	line_close(&l);
	bare_close(&b);
}

#endif
