/* SPDX-License-Identifier: MIT */
/*
 * The order in which workers are bound to CPUs.
 *
 * Compact: neighbours first, the threads of one core, then the cores of one die
 * and one package.  Spread: one thread of a core in each package in turn, as
 * long as there are cores that have none, then the second threads, and so on.
 * What lies where hwloc knows, where there is one; else the kernel tells.  What
 * neither tells is taken as if each CPU were a core of its own in one package.
 *
 * Reference: the kernel's text on cputopology, /sys/devices/system/cpu.
 */
#include "os/topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/hwloc.h"


static long place_number(const char *root, unsigned cpu, const char *name, long unknown)
{
	char path[4096];
	long value;
	int len = snprintf(path, sizeof(path), "%s/sys/devices/system/cpu/cpu%u/topology/%s",
			   root, cpu, name);
	FILE *f = len > 0 && (size_t)len < sizeof(path) ? fopen(path, "re") : NULL;

	if (!f)
		return unknown;
	if (fscanf(f, "%9ld", &value) != 1 || value < 0)
		value = unknown;
	fclose(f);
	return value;
}

static int compare(long a, long b)
{
	return (a > b) - (a < b);
}

static int by_neighbourhood(const void *left, const void *right)
{
	const struct fp_place *a = left, *b = right;
	int order = compare(a->package, b->package);

	if (!order)
		order = compare(a->die, b->die);
	if (!order)
		order = compare(a->core, b->core);
	return order ? order : compare(a->cpu, b->cpu);
}

static int by_distance(const void *left, const void *right)
{
	const struct fp_place *a = left, *b = right;
	int order = compare(a->thread, b->thread);

	if (!order)
		order = compare(a->core_rank, b->core_rank);
	return order ? order : by_neighbourhood(a, b);
}

/* Of places in the order of neighbourhood. */
static void rank(struct fp_place *places, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++) {
		const struct fp_place *before = &places[i - 1];
		struct fp_place *p = &places[i];

		if (p->package != before->package)
			continue;
		if (p->die == before->die && p->core == before->core) {
			p->thread = before->thread + 1;
			p->core_rank = before->core_rank;
		} else {
			p->core_rank = before->core_rank + 1;
		}
	}
}

static void ask_kernel(const char *root, struct fp_place *places, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct fp_place *p = &places[i];

		p->package = place_number(root, p->cpu, "physical_package_id", 0);
		p->die = place_number(root, p->cpu, "die_id", 0);
		p->core = place_number(root, p->cpu, "core_id", (long)p->cpu);
	}
}

int fp_topology_order(const char *root, bool spread, unsigned *cpus, size_t n)
{
	struct fp_place *places = calloc(n, sizeof(*places));
	int saved = errno;
	size_t i;

	if (!places)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		places[i].cpu = cpus[i];
	/* hwloc knows the live machine only. */
	if (*root || fp_hwloc_places(places, n))
		ask_kernel(root, places, n);
	qsort(places, n, sizeof(*places), by_neighbourhood);
	rank(places, n);
	if (spread)
		qsort(places, n, sizeof(*places), by_distance);
	for (i = 0; i < n; i++)
		cpus[i] = places[i].cpu;
	free(places);
	errno = saved;
	return 0;
}
