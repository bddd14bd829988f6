/* SPDX-License-Identifier: MIT */
/* What the program `command` prints for a number, for those who check it. */
#ifndef BENCH_COMMAND_H
#define BENCH_COMMAND_H

#include <stdint.h>

/* As in W2: 890 steps take about 1 us. */
static inline uint64_t command_value(uint64_t x, uint64_t steps)
{
	while (steps--)
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return x;
}

#endif
