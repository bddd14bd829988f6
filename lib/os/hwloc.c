/* SPDX-License-Identifier: MIT */
/*
 * Where CPUs lie, as hwloc has it.  Its numbers for packages and cores go along
 * the tree of the machine, so cores that share a cache or a NUMA node have
 * numbers in a row, also where the kernel's ids do not show it.
 *
 * The library is loaded when it is asked for the first time, so that programs
 * whose workers are not bound do without it: it and what it needs are 15 mappings,
 * which each fork of the pool's would have to copy.
 */
#include "os/hwloc.h"

#include <errno.h>
#include <string.h>

#include "config.h"

#ifdef HAVE_HWLOC

#include <hwloc.h>

#include "os/sys.h"

/* Of all hwloc 2; another number before the point is another interface. */
#define LIBRARY	"libhwloc.so.15"

#if HWLOC_API_VERSION >> 16 != 2
#error "hwloc 2 is known here; LIBRARY is the name of no other one"
#endif

/* What is inline in hwloc.h calls the library, but where it only follows pointers. */
struct hwloc {
	__typeof__(hwloc_get_api_version) *get_api_version;
	__typeof__(hwloc_topology_init) *init;
	__typeof__(hwloc_topology_set_components) *set_components;
	__typeof__(hwloc_topology_load) *load;
	__typeof__(hwloc_topology_destroy) *destroy;
	__typeof__(hwloc_get_type_depth) *type_depth;
	__typeof__(hwloc_get_obj_by_depth) *obj_by_depth;
};

static const char *const names[] = {
	"hwloc_get_api_version",
	"hwloc_topology_init",
	"hwloc_topology_set_components",
	"hwloc_topology_load",
	"hwloc_topology_destroy",
	"hwloc_get_type_depth",
	"hwloc_get_obj_by_depth",
};

#define NAMES	(sizeof(names) / sizeof(names[0]))

_Static_assert(sizeof(struct hwloc) == NAMES * sizeof(void *), "a name for each function");

/* Each time anew: nothing is kept that threads would have to agree on. */
static int find_library(struct hwloc *ret)
{
	void *library, *functions[NAMES];
	int err = fp_sys.load(&library, LIBRARY);
	size_t i;

	for (i = 0; i < NAMES && !err; i++)
		err = fp_sys.symbol(&functions[i], library, names[i]);
	if (err)
		return -ENOSYS;
	memcpy(ret, functions, sizeof(*ret));
	return ret->get_api_version() >> 16 == HWLOC_API_VERSION >> 16 ? 0 : -ENOSYS;
}

static hwloc_obj_t find_pu(const struct hwloc *lib, hwloc_topology_t topology, unsigned cpu)
{
	int depth = lib->type_depth(topology, HWLOC_OBJ_PU);
	hwloc_obj_t pu;
	unsigned i;

	for (i = 0; (pu = lib->obj_by_depth(topology, depth, i)); i++)
		if (pu->os_index == cpu)
			return pu;
	return NULL;
}

static long number_above(hwloc_topology_t topology, hwloc_obj_type_t type, hwloc_obj_t pu,
			 long unknown)
{
	hwloc_obj_t obj = hwloc_get_ancestor_obj_by_type(topology, type, pu);

	return obj ? (long)obj->logical_index : unknown;
}

static int find_places(const struct hwloc *lib, hwloc_topology_t topology,
		       struct fp_place *places, size_t n)
{
	hwloc_obj_t pu;
	size_t i;

	for (i = 0; i < n; i++) {
		pu = find_pu(lib, topology, places[i].cpu);
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
	struct hwloc lib;
	int err = find_library(&lib);

	if (err)
		return err;
	if (lib.init(&topology))
		return -ENOMEM;
	/* That one moves the calling thread from CPU to CPU, to ask each. */
	lib.set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
	err = lib.load(topology) ? -EIO : find_places(&lib, topology, places, n);
	lib.destroy(topology);
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
