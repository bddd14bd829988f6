/* SPDX-License-Identifier: MIT */
/* How many CPUs this process may use. */
#ifndef FP_OS_CPUS_H
#define FP_OS_CPUS_H

#include <stddef.h>

/*
 * Affinity cut by the CPU quota of this process's cgroups (v1, v2, hybrid; the
 * tightest on the way from its own group to the root), rounded up, at least 1.
 * ROOT stands before /proc and /sys in every path ("" on a live machine; tests
 * give a recorded tree); AFFINITY is the count from the affinity mask.  The quota is
 * what any thread of this process has found within the last second: it takes a dozen
 * files to find out.
 */
unsigned fp_cpus_recent(const char *root, unsigned affinity);

/* CPUs in the affinity mask of the calling thread, however many the machine has; at least 1. */
unsigned fp_cpus_affinity(void);

/* Their numbers, *n of them, to be freed; NULL where they can't be known. */
unsigned *fp_cpus_list(size_t *n);

#endif
