/* SPDX-License-Identifier: MIT */
/*
 * command STEPS NUMBER: prints NUMBER and what so many steps make of it.  The
 * program that the workload `commands` runs very often.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"

int main(int argc, char **argv)
{
	uint64_t number;

	if (argc != 3)
		return 2;
	number = strtoull(argv[2], NULL, 10);
	printf("%" PRIu64 " %" PRIu64 "\n", number,
	       command_value(number, strtoull(argv[1], NULL, 10)));
	return 0;
}
