/* SPDX-License-Identifier: MIT */
/* Where CPUs lie, as hwloc has it; see hwloc.c. */
#ifndef FP_OS_HWLOC_H
#define FP_OS_HWLOC_H

#include <stddef.h>

struct fp_place {
	unsigned cpu;
	long package, die, core;
	unsigned thread;	/* among those of its core */
	unsigned core_rank;	/* of its core in the package */
};

/*
 * Fills in package, die and core of these CPUs.  0, or an error, and then nothing
 * is of use: this build does not ask hwloc, or there is none on this machine (-ENOSYS),
 * or it does not know one of them.
 */
int fp_hwloc_places(struct fp_place *places, size_t n);

#endif
