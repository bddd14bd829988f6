/* SPDX-License-Identifier: MIT */
/* The number of CPUs, from recorded trees of /proc and /sys. */
#include "os/cpus.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/sys.h"
#include "test.h"
#include "tree.h"

#define V2_MOUNT \
	"22 1 0:20 / /proc rw,nosuid - proc proc rw\n" \
	"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT \
	"31 23 0:27 / /sys/fs/cgroup ro shared:5 - tmpfs tmpfs ro,mode=755\n" \
	"33 31 0:29 / /sys/fs/cgroup/cpuset rw shared:7 - cgroup cgroup rw,cpuset\n" \
	"34 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:8 - cgroup cgroup rw,cpu,cpuacct\n"

static void put_self(const char *cgroup, const char *mountinfo)
{
	tree_put("/proc/self/cgroup", cgroup);
	tree_put("/proc/self/mountinfo", mountinfo);
}

static void put_v1(const char *dir, const char *quota, const char *period)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
	tree_put(path, quota);
	snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
	tree_put(path, period);
}

static int64_t now;

static int64_t told_clock(void)
{
	return now;
}

static void clock_begin(void)
{
	fp_sys.clock = told_clock;
}

static void clock_end(void)
{
	fp_sys = fp_sys_real;
}

/* What was found before does not serve any more. */
static unsigned found_now(unsigned affinity)
{
	now += 1000000000;
	return fp_cpus_recent(tree, affinity);
}

static void expect(unsigned cpus)
{
	errno = 4711;
	ck_assert_uint_eq(found_now(64), cpus);
	ck_assert_int_eq(errno, 4711);
}

START_TEST(nothing_is_there)
{
	expect(64);
	ck_assert_uint_eq(found_now(0), 1);
	tree_put("/proc/self/cgroup", "0::/\n");
	expect(64);
}
END_TEST

START_TEST(v2_own_group)
{
	put_self("0::/user.slice/job\n", V2_MOUNT);
	expect(64);
	tree_put("/sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n");
	expect(64);
	tree_put("/sys/fs/cgroup/user.slice/job/cpu.max", "400000 100000\n");
	expect(4);
	ck_assert_uint_eq(found_now(3), 3);
}
END_TEST

START_TEST(v2_parts_are_rounded_up)
{
	put_self("0::/job\n", V2_MOUNT);
	tree_put("/sys/fs/cgroup/job/cpu.max", "50000 100000\n");
	expect(1);
	tree_put("/sys/fs/cgroup/job/cpu.max", "150000 100000\n");
	expect(2);
	tree_put("/sys/fs/cgroup/job/cpu.max", "1000 100000\n");
	expect(1);
	tree_put("/sys/fs/cgroup/job/cpu.max", "30001 10000\n");
	expect(4);
}
END_TEST

START_TEST(v2_the_tightest_ancestor_wins)
{
	put_self("0::/a/b/c\n", V2_MOUNT);
	tree_put("/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
	tree_put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	tree_put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
	expect(3);
	tree_put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
	expect(2);
	/* Above the mount nothing is ours. */
	tree_put("/sys/fs/cpu.max", "100000 100000\n");
	expect(2);
}
END_TEST

/* With a cgroup namespace: the container's group looks like the root. */
START_TEST(v2_container_with_a_namespace)
{
	put_self("0::/\n", V2_MOUNT);
	tree_put("/sys/fs/cgroup/cpu.max", "250000 100000\n");
	expect(3);
}
END_TEST

/* Without: the mount shows the container's group, the path is the host's. */
START_TEST(v2_container_without_a_namespace)
{
	const char *mount =
		"40 23 0:26 /pods/x1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";

	tree_put("/sys/fs/cgroup/cpu.max", "500000 100000\n");
	tree_put("/sys/fs/cgroup/sub/cpu.max", "200000 100000\n");
	put_self("0::/pods/x1\n", mount);
	expect(5);
	put_self("0::/pods/x1/sub\n", mount);
	expect(2);
	put_self("0::/pods/x12/sub\n", mount);
	expect(5);
	put_self("0::/../other/sub\n", mount);
	expect(5);
}
END_TEST

/* Of several mounts the one counts that shows our group. */
START_TEST(v2_mounted_more_than_once)
{
	put_self("0::/a/b\n",
		 "40 23 0:26 /other /mnt/other ro - cgroup2 cgroup rw\n"
		 "41 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
		 "42 23 0:26 / /mnt/again ro - cgroup2 cgroup rw\n");
	tree_put("/mnt/other/cpu.max", "100000 100000\n");
	tree_put("/sys/fs/cgroup/a/cpu.max", "700000 100000\n");
	tree_put("/mnt/again/a/cpu.max", "200000 100000\n");
	expect(7);
}
END_TEST

START_TEST(v2_a_mount_point_with_a_blank)
{
	put_self("0::/job\n",
		 "40 23 0:26 / /sys/my\\040groups rw - cgroup2 none rw\n");
	tree_put("/sys/my groups/job/cpu.max", "600000 100000\n");
	expect(6);
}
END_TEST

START_TEST(v1_own_group_and_ancestors)
{
	put_self("5:cpuset:/elsewhere\n4:cpu,cpuacct:/docker/x1\n1:name=systemd:/s\n",
		 V1_MOUNT);
	expect(64);
	put_v1("/sys/fs/cgroup/cpu,cpuacct/docker/x1", "-1\n", "100000\n");
	expect(64);
	put_v1("/sys/fs/cgroup/cpu,cpuacct/docker", "350000\n", "100000\n");
	expect(4);
	put_v1("/sys/fs/cgroup/cpu,cpuacct/docker/x1", "100000\n", "50000\n");
	expect(2);
}
END_TEST

/* Controllers in the other order, the mount point named through a link. */
START_TEST(v1_symlinked_mount)
{
	char path[128];

	put_self("4:cpuacct,cpu:/job\n",
		 "34 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpuacct,cpu\n");
	put_v1("/sys/fs/cgroup/cpu,cpuacct/job", "500000\n", "100000\n");
	snprintf(path, sizeof(path), "%s/sys/fs/cgroup/cpu", tree);
	ck_assert_int_eq(symlink("cpu,cpuacct", path), 0);
	expect(5);
}
END_TEST

START_TEST(v1_container_shows_the_path_of_the_host)
{
	put_self("4:cpu:/docker/x1\n",
		 "34 31 0:30 /docker/x1 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
	put_v1("/sys/fs/cgroup/cpu", "150000\n", "100000\n");
	expect(2);
}
END_TEST

START_TEST(hybrid_takes_the_tighter_one)
{
	put_self("4:cpu,cpuacct:/one\n0::/two\n",
		 V1_MOUNT
		 "35 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	put_v1("/sys/fs/cgroup/cpu,cpuacct/one", "500000\n", "100000\n");
	expect(5);
	tree_put("/sys/fs/cgroup/unified/two/cpu.max", "300000 100000\n");
	expect(3);
	put_v1("/sys/fs/cgroup/cpu,cpuacct/one", "200000\n", "100000\n");
	expect(2);
}
END_TEST

START_TEST(nonsense_is_no_limit)
{
	const char *bad[] = {
		"", "\n", "max\n", "100000\n", "x y\n", "-5 100000\n",
		"0 100000\n", "100000 0\n", "100000 -1\n", "100000 max\n",
	};

	put_self("0::/job\n", V2_MOUNT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		tree_put("/sys/fs/cgroup/job/cpu.max", bad[i]);
		expect(64);
	}
	tree_put("/sys/fs/cgroup/job/cpu.max", "99999999999999999999999999 1\n");
	expect(64);
	put_self("4:cpu,cpuacct:/job\n", V1_MOUNT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		put_v1("/sys/fs/cgroup/cpu,cpuacct/job", bad[i], bad[i]);
		if (strcmp(bad[i], "100000\n") && strncmp(bad[i], "100000 ", 7))
			expect(64);
	}
}
END_TEST

START_TEST(nonsense_in_proc_is_no_limit)
{
	const char *groups[] = { "", "\n", "::", "0::job\n", "0:\n", ":::::/\n", "0" };
	const char *mounts[] = {
		"", "\n", " - ", " - cgroup2", " - cgroup2 a b\n", "1 2 3 / - cgroup2 a b\n",
		"1 2 3 / /sys/fs/cgroup rw\n", "1 2 3 / /sys/fs/cgroup rw - cgroup2\n",
		"1 2 3 / /sys/fs/cgroup rw - cgroup2x a b\n",
	};

	tree_put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		put_self(groups[i], V2_MOUNT);
		expect(64);
	}
	for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
		put_self("0::/\n", mounts[i]);
		expect(64);
	}
	put_self("0::/\n", V2_MOUNT);
	expect(1);
}
END_TEST

START_TEST(long_paths_are_no_limit_of_their_own)
{
	char path[6000];

	memset(path, 'a', sizeof(path));
	memcpy(path, "0::/", 4);
	strcpy(path + sizeof(path) - 2, "\n");
	put_self(path, V2_MOUNT);
	expect(64);
	tree_put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
	expect(3);
}
END_TEST

static void expect_recent(unsigned cpus)
{
	errno = 4711;
	ck_assert_uint_eq(fp_cpus_recent(tree, 64), cpus);
	ck_assert_int_eq(errno, 4711);
}

START_TEST(what_was_found_serves_for_a_second)
{
	put_self("0::/job\n", V2_MOUNT);
	tree_put("/sys/fs/cgroup/job/cpu.max", "400000 100000\n");
	expect(4);
	tree_put("/sys/fs/cgroup/job/cpu.max", "200000 100000\n");
	expect_recent(4);
	ck_assert_uint_eq(fp_cpus_recent(tree, 3), 3);
	ck_assert_uint_eq(fp_cpus_recent(tree, 0), 1);
	now += 999000000;
	expect_recent(4);
	now += 1000000;
	expect_recent(2);
	/* A clock that goes back, as in a child with a time namespace of its own. */
	tree_put("/sys/fs/cgroup/job/cpu.max", "max 100000\n");
	now = 0;
	expect_recent(64);
}
END_TEST

START_TEST(affinity_is_counted)
{
	unsigned all = fp_cpus_affinity();
	cpu_set_t old, one;
	int cpu = 0;

	ck_assert_uint_ge(all, 1);
	if (sched_getaffinity(0, sizeof(old), &old))
		return;
	ck_assert_uint_eq(all, CPU_COUNT(&old));
	while (!CPU_ISSET(cpu, &old))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	ck_assert_uint_eq(fp_cpus_affinity(), 1);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(old), &old), 0);
}
END_TEST

START_TEST(this_machine_has_an_answer)
{
	ck_assert_uint_ge(fp_cpus_recent("", fp_cpus_affinity()), 1);
	ck_assert_uint_le(fp_cpus_recent("", fp_cpus_affinity()), fp_cpus_affinity());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cpus");
	TCase *tc = test_case(suite, "quota");

	tcase_add_checked_fixture(tc, tree_begin, tree_end);
	tcase_add_checked_fixture(tc, clock_begin, clock_end);
	tcase_add_test(tc, nothing_is_there);
	tcase_add_test(tc, what_was_found_serves_for_a_second);
	tcase_add_test(tc, v2_own_group);
	tcase_add_test(tc, v2_parts_are_rounded_up);
	tcase_add_test(tc, v2_the_tightest_ancestor_wins);
	tcase_add_test(tc, v2_container_with_a_namespace);
	tcase_add_test(tc, v2_container_without_a_namespace);
	tcase_add_test(tc, v2_mounted_more_than_once);
	tcase_add_test(tc, v2_a_mount_point_with_a_blank);
	tcase_add_test(tc, v1_own_group_and_ancestors);
	tcase_add_test(tc, v1_symlinked_mount);
	tcase_add_test(tc, v1_container_shows_the_path_of_the_host);
	tcase_add_test(tc, hybrid_takes_the_tighter_one);
	tcase_add_test(tc, nonsense_is_no_limit);
	tcase_add_test(tc, nonsense_in_proc_is_no_limit);
	tcase_add_test(tc, long_paths_are_no_limit_of_their_own);

	tc = test_case(suite, "machine");
	tcase_add_test(tc, affinity_is_counted);
	tcase_add_test(tc, this_machine_has_an_answer);
	return test_main(suite);
}
