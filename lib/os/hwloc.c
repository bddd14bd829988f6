/* SPDX-License-Identifier: MIT */
/*
 * Where CPUs lie, as hwloc has it.  Its numbers for packages and cores go along
 * the tree of the machine, so cores that share a cache or a NUMA node have
 * numbers in a row, also where the kernel's ids do not show it.
 */
#include "os/hwloc.h"

#include <errno.h>

#include "config.h"

#ifdef HAVE_HWLOC

#include <hwloc.h>

static long number_above(hwloc_topology_t topology, hwloc_obj_type_t type, hwloc_obj_t pu,
			 long unknown)
{
	hwloc_obj_t obj = hwloc_get_ancestor_obj_by_type(topology, type, pu);

	return obj ? (long)obj->logical_index : unknown;
}

static int find_places(hwloc_topology_t topology, struct fp_place *places, size_t n)
{
	hwloc_obj_t pu;
	size_t i;

	for (i = 0; i < n; i++) {
		pu = hwloc_get_pu_obj_by_os_index(topology, places[i].cpu);
		if (!pu)
			return -ENOENT;
		places[i].package = number_above(topology, HWLOC_OBJ_PACKAGE, pu, 0);
		places[i].die = 0;
		places[i].core = number_above(topology, HWLOC_OBJ_CORE, pu,
					      (long)pu->logical_index);
	}
	return 0;
}

int fp_hwloc_places(struct fp_place *places, size_t n)
{
	hwloc_topology_t topology;
	int err;

	if (hwloc_topology_init(&topology))
		return -ENOMEM;
	/* That one moves the calling thread from CPU to CPU, to ask each. */
	hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
	err = hwloc_topology_load(topology) ? -EIO : find_places(topology, places, n);
	hwloc_topology_destroy(topology);
	return err;
}

#else

int fp_hwloc_places(struct fp_place *places, size_t n)
{
	(void)places;
	(void)n;
	return -ENOSYS;
}

#endif
