/* SPDX-License-Identifier: MIT */
/* Which CPUs are neighbours; see topology.c. */
#ifndef FP_OS_TOPOLOGY_H
#define FP_OS_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Puts n CPUs in the order in which workers are bound to them.  ROOT stands before
 * /sys in every path ("" on a live machine; tests give a recorded tree).  0 or
 * -ENOMEM.
 */
int fp_topology_order(const char *root, bool spread, unsigned *cpus, size_t n);

#endif
