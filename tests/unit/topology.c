/* SPDX-License-Identifier: MIT */
/* In which order workers are bound to CPUs, from recorded trees of /sys. */
#include "os/topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "os/cpus.h"
#include "os/hwloc.h"
#include "os/sys.h"
#include "test.h"
#include "tree.h"

#define MOST	64

static void put(unsigned cpu, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/topology/%s", cpu, name);
	tree_put(path, text);
}

static void put_number(unsigned cpu, const char *name, unsigned value)
{
	char text[32];

	snprintf(text, sizeof(text), "%u\n", value);
	put(cpu, name, text);
}

static void put_cpu(unsigned cpu, unsigned package, unsigned core)
{
	put_number(cpu, "physical_package_id", package);
	put_number(cpu, "core_id", core);
}

/* The CPUs 0 to n - 1, or those in the list, come out in this order. */
static void expect_of(const char *root, bool spread, const unsigned *in, size_t n,
		      const unsigned *out)
{
	unsigned cpus[MOST], i;

	for (i = 0; i < n; i++)
		cpus[i] = in ? in[i] : i;
	errno = EDOM;
	ck_assert_int_eq(fp_topology_order(root, spread, cpus, n), 0);
	ck_assert_int_eq(errno, EDOM);
	for (i = 0; i < n; i++)
		ck_assert_msg(cpus[i] == out[i], "place %u: CPU %u, not %u", i, cpus[i], out[i]);
}

static void expect(bool spread, const unsigned *in, size_t n, const unsigned *out)
{
	expect_of(tree, spread, in, n, out);
}

/* As PCs number them: CPU i and i + 4 are threads of core i. */
START_TEST(one_package_with_threads)
{
	static const unsigned compact[] = { 0, 4, 1, 5, 2, 6, 3, 7 };
	static const unsigned spread[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	unsigned i;

	for (i = 0; i < 8; i++)
		put_cpu(i, 0, i % 4);
	expect(false, NULL, 8, compact);
	expect(true, NULL, 8, spread);
}
END_TEST

/* Virtual machines number threads in a row. */
START_TEST(threads_in_a_row)
{
	static const unsigned compact[] = { 0, 1, 2, 3 };
	static const unsigned spread[] = { 0, 2, 1, 3 };
	unsigned i;

	for (i = 0; i < 4; i++)
		put_cpu(i, 0, i / 2);
	expect(false, NULL, 4, compact);
	expect(true, NULL, 4, spread);
}
END_TEST

/* Two packages, 2 cores each with numbers that are not dense, 2 threads; even CPUs in package 0. */
START_TEST(two_packages)
{
	static const unsigned compact[] = { 0, 4, 2, 6, 1, 5, 3, 7 };
	static const unsigned spread[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	unsigned i;

	for (i = 0; i < 8; i++)
		put_cpu(i, i % 2, i / 2 % 2 * 9);
	expect(false, NULL, 8, compact);
	expect(true, NULL, 8, spread);
}
END_TEST

/* Cores of different dies may bear the same number. */
START_TEST(dies)
{
	static const unsigned compact[] = { 0, 2, 1, 3 };
	static const unsigned spread[] = { 0, 2, 1, 3 };
	unsigned i;

	for (i = 0; i < 4; i++) {
		put_cpu(i, 0, i / 2);
		put_number(i, "die_id", i % 2);
	}
	expect(false, NULL, 4, compact);
	expect(true, NULL, 4, spread);
}
END_TEST

/* Of a mask with holes only those that are in it count. */
START_TEST(part_of_a_machine)
{
	static const unsigned in[] = { 7, 5, 1, 2 };
	static const unsigned compact[] = { 1, 5, 2, 7 };
	static const unsigned spread[] = { 1, 2, 7, 5 };
	unsigned i;

	for (i = 0; i < 8; i++)
		put_cpu(i, 0, i % 4);
	expect(false, in, 4, compact);
	expect(true, in, 4, spread);
}
END_TEST

START_TEST(nothing_or_nonsense)
{
	static const unsigned in[] = { 3, 1, 2 }, out[] = { 1, 2, 3 };

	expect(false, in, 3, out);
	expect(true, in, 3, out);
	put(1, "core_id", "\n");
	put(2, "core_id", "-1\n");
	put(3, "core_id", "abc\n");
	put(1, "physical_package_id", "-1\n");
	put(2, "die_id", "");
	expect(false, in, 3, out);
	expect(true, in, 3, out);
}
END_TEST

static int compare(const void *a, const void *b)
{
	return *(const unsigned *)a < *(const unsigned *)b ? -1 : 1;
}

/* Whatever it is: each CPU once. */
START_TEST(this_machine)
{
	size_t n, i, sorted;
	unsigned *before = fp_cpus_list(&n), *after = fp_cpus_list(&sorted);

	ck_assert_ptr_nonnull(before);
	ck_assert_ptr_nonnull(after);
	ck_assert_uint_eq(n, fp_cpus_affinity());
	ck_assert_uint_eq(n, sorted);
	ck_assert_int_eq(fp_topology_order("", _i, after, n), 0);
	qsort(after, n, sizeof(*after), compare);
	for (i = 0; i < n; i++)
		ck_assert_uint_eq(before[i], after[i]);
	free(before);
	free(after);
}
END_TEST

#ifdef HAVE_HWLOC

/* A machine for hwloc, and what the kernel would say of CPU i there. */
struct machine {
	const char *synthetic;
	unsigned n, package[8], core[8];
};

static const struct machine machines[] = {
	{ "package:1 core:4 pu:2(indexes=0,4,1,5,2,6,3,7)", 8,
	  { 0 }, { 0, 1, 2, 3, 0, 1, 2, 3 } },
	{ "package:1 core:2 pu:2", 4, { 0 }, { 0, 0, 1, 1 } },
	{ "package:2 core:2 pu:2(indexes=0,4,2,6,1,5,3,7)", 8,
	  { 0, 1, 0, 1, 0, 1, 0, 1 }, { 0, 0, 1, 1, 0, 0, 1, 1 } },
	{ "package:2 numa:2 core:1 pu:2", 8,
	  { 0, 0, 0, 0, 1, 1, 1, 1 }, { 0, 0, 1, 1, 0, 0, 1, 1 } },
	{ "package:1 pu:4", 4, { 0 }, { 0, 1, 2, 3 } },
};

/* All CPUs, or a part with holes: hwloc's order is the one of the recorded tree. */
START_TEST(hwloc_says_the_same)
{
	static const unsigned part[] = { 3, 1, 2 };
	const struct machine *m = &machines[_i / 2];
	const unsigned *in = _i % 2 ? part : NULL;
	size_t n = in ? 3 : m->n;
	unsigned cpus[MOST], i;
	int spread;

	setenv("HWLOC_SYNTHETIC", m->synthetic, 1);
	for (i = 0; i < m->n; i++)
		put_cpu(i, m->package[i], m->core[i]);
	for (spread = 0; spread < 2; spread++) {
		for (i = 0; i < n; i++)
			cpus[i] = in ? in[i] : i;
		ck_assert_int_eq(fp_topology_order(tree, spread, cpus, n), 0);
		expect_of("", spread, in, n, cpus);
	}
	unsetenv("HWLOC_SYNTHETIC");
}
END_TEST

/* Cores of one cache lie side by side there, and are not numbered so: the kernel's ids do not tell. */
START_TEST(hwloc_knows_caches)
{
	static const unsigned compact[] = { 0, 2, 1, 3 }, spread[] = { 0, 2, 1, 3 };

	setenv("HWLOC_SYNTHETIC", "package:1 l3:2 core:2 pu:1(indexes=0,2,1,3)", 1);
	expect_of("", false, NULL, 4, compact);
	expect_of("", true, NULL, 4, spread);
	unsetenv("HWLOC_SYNTHETIC");
}
END_TEST

/* What there is of hwloc: doubles of the entries that load it. */

static const char *missing;	/* the function that its library lacks */

static int load_nothing(void **ret, const char *name)
{
	(void)ret;
	(void)name;
	return -ENOENT;
}

static int symbol_but_one(void **ret, void *library, const char *name)
{
	return strcmp(name, missing) ? fp_sys_real.symbol(ret, library, name) : -ENOENT;
}

static unsigned version_3(void)
{
	return 0x30000;
}

static int symbol_of_version_3(void **ret, void *library, const char *name)
{
	if (strcmp(name, "hwloc_get_api_version"))
		return fp_sys_real.symbol(ret, library, name);
	*ret = (void *)version_3;
	return 0;
}

/* The kernel is asked, and hwloc again as soon as there is one. */
static void expect_kernel(const unsigned *kernel, const unsigned *hwloc)
{
	struct fp_place place = { .cpu = 0 };

	ck_assert_int_eq(fp_hwloc_places(&place, 1), -ENOSYS);
	expect_of("", false, NULL, 4, kernel);
	fp_sys = fp_sys_real;
	expect_of("", false, NULL, 4, hwloc);
}

/* On a machine that hwloc has in another order than the kernel. */
START_TEST(hwloc_is_not_there)
{
	static const char *const functions[] = {
		"hwloc_get_api_version", "hwloc_topology_init", "hwloc_get_obj_by_depth",
	};
	static const unsigned in_turn[] = { 0, 2, 1, 3 }, in_row[] = { 0, 1, 2, 3 };
	unsigned kernel[] = { 0, 1, 2, 3 };
	const unsigned *hwloc;
	size_t i;

	ck_assert_int_eq(fp_topology_order("/", false, kernel, 4), 0);
	hwloc = memcmp(kernel, in_turn, sizeof(kernel)) ? in_turn : in_row;
	setenv("HWLOC_SYNTHETIC", hwloc == in_turn ? "package:1 l3:2 core:2 pu:1(indexes=0,2,1,3)"
						   : "package:1 l3:2 core:2 pu:1", 1);
	fp_sys.load = load_nothing;
	expect_kernel(kernel, hwloc);
	fp_sys.symbol = symbol_of_version_3;
	expect_kernel(kernel, hwloc);
	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		missing = functions[i];
		fp_sys.symbol = symbol_but_one;
		expect_kernel(kernel, hwloc);
	}
	unsetenv("HWLOC_SYNTHETIC");
}
END_TEST

/* CPUs that it does not know, or a machine that it can't make out: the kernel is asked. */
START_TEST(hwloc_does_not_know)
{
	size_t n;
	unsigned *cpus = fp_cpus_list(&n);

	ck_assert_ptr_nonnull(cpus);
	setenv("HWLOC_SYNTHETIC", "package:1 pu:1(indexes=4000)", 1);
	ck_assert_int_eq(fp_topology_order("", true, cpus, n), 0);
	unsetenv("HWLOC_SYNTHETIC");
	free(cpus);
}
END_TEST

#endif

int main(void)
{
	Suite *suite = suite_create("topology");
	TCase *tc = test_case(suite, "recorded");

	tcase_add_checked_fixture(tc, tree_begin, tree_end);
	tcase_add_test(tc, one_package_with_threads);
	tcase_add_test(tc, threads_in_a_row);
	tcase_add_test(tc, two_packages);
	tcase_add_test(tc, dies);
	tcase_add_test(tc, part_of_a_machine);
	tcase_add_test(tc, nothing_or_nonsense);
#ifdef HAVE_HWLOC
	tcase_add_loop_test(tc, hwloc_says_the_same, 0,
			    2 * (int)(sizeof(machines) / sizeof(machines[0])));
	tcase_add_test(tc, hwloc_knows_caches);
	tcase_add_test(tc, hwloc_does_not_know);
	tcase_add_test(tc, hwloc_is_not_there);
#endif

	tc = test_case(suite, "machine");
	tcase_add_loop_test(tc, this_machine, 0, 2);
	return test_main(suite);
}
