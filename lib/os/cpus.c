/* SPDX-License-Identifier: MIT */
/*
 * The CPUs of this process, from its affinity mask and its cgroups.
 *
 * /proc/self/cgroup names this process's group in each hierarchy, one a line,
 * "id:controllers:path"; version 2 has no controllers.  /proc/self/mountinfo
 * says where a hierarchy is mounted, and which of its groups is the root of that
 * mount: in a container that may be the container's own group, while the path is
 * the one the host sees.  What can't be read, or makes no sense, is no limit.
 *
 * References: cgroups(7), proc(5), sched(7) "CPU bandwidth"; cpu.max in the
 * kernel's cgroup-v2 text, cpu.cfs_quota_us in that of version 1.
 */
#include "os/cpus.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "os/sys.h"

#define NO_LIMIT	UINT64_MAX
#define RECENT_MS	1000	/* a limit that was found so long ago is looked for again */
#define CPUS_BITS	20	/* of `recent`; no machine has a million CPUs */
#define CPUS_MASK	(((uint64_t)1 << CPUS_BITS) - 1)
#define NS_PER_MS	1000000

/* One of our groups, found through a mount. */
struct hierarchy {
	char *dir;
	size_t top;	/* the part of it that is the mount point */
};

/* ---- Small files ----------------------------------------------------------- */

/* Names of groups can be long; what does not fit has no file. */
static FILE *file_open(const char *root, const char *dir, const char *name)
{
	char path[4096];
	int len = snprintf(path, sizeof(path), "%s%s%s", root, dir, name);

	return len > 0 && (size_t)len < sizeof(path) ? fopen(path, "re") : NULL;
}

/* The numbers at the start of a file, up to two; how many there are, or EOF. */
static int file_numbers(const char *root, const char *dir, const char *name,
			long long *a, long long *b)
{
	FILE *f = file_open(root, dir, name);
	int count;

	if (!f)
		return 0;
	count = fscanf(f, "%20lld %20lld", a, b);
	fclose(f);
	return count;
}

/* ---- One group's limit ------------------------------------------------------ */

static uint64_t cpus_of(long long quota, long long period)
{
	if (quota <= 0 || period <= 0)
		return NO_LIMIT;
	return fp_div_up(quota, period);
}

/* "max 100000" has no number at its start: no limit. */
static uint64_t group_limit(const char *root, const char *dir, bool v2)
{
	long long quota, period, unused;

	if (v2) {
		if (file_numbers(root, dir, "/cpu.max", &quota, &period) != 2)
			return NO_LIMIT;
	} else if (file_numbers(root, dir, "/cpu.cfs_quota_us", &quota, &unused) < 1 ||
		   file_numbers(root, dir, "/cpu.cfs_period_us", &period, &unused) < 1) {
		return NO_LIMIT;
	}
	return cpus_of(quota, period);
}

/* ---- /proc/self/cgroup ------------------------------------------------------ */

/* Is WORD one of the words in LIST, which commas part? */
static bool list_has(const char *list, const char *word)
{
	size_t len = strlen(word), n;

	for (;; list += n + 1) {
		n = strcspn(list, ",");
		if (n == len && !strncmp(list, word, n))
			return true;
		if (!list[n])
			return false;
	}
}

/* The path in a line of the hierarchy we look for, else NULL. */
static char *line_path(char *line, bool v2)
{
	char *controllers = strchr(line, ':'), *path;

	path = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!path)
		return NULL;
	*path++ = '\0';
	controllers++;
	if (v2 ? *controllers != '\0' : !list_has(controllers, "cpu"))
		return NULL;
	path[strcspn(path, "\n")] = '\0';
	return *path == '/' ? path : NULL;
}

static char *group_path(const char *root, bool v2)
{
	FILE *f = file_open(root, "/proc/self", "/cgroup");
	char *line = NULL, *path = NULL, *found = NULL;
	size_t size = 0;

	if (!f)
		return NULL;
	while (!found && getline(&line, &size, f) > 0) {
		path = line_path(line, v2);
		if (path)
			found = strdup(path);
	}
	free(line);
	fclose(f);
	return found;
}

/* ---- /proc/self/mountinfo --------------------------------------------------- */

/* "\040" and its kind stand for characters that would end a field. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++, to++) {
		*to = *s;
		if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3) {
			*to = (s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0');
			s += 3;
		}
	}
	*to = '\0';
}

/*
 * Our path as seen below a mount; NULL if the mount does not show our group.
 * ".." stands for what lies above the root of our cgroup namespace.
 */
static const char *path_below(const char *path, const char *mount_root)
{
	size_t len = strlen(mount_root);

	if (!strcmp(mount_root, "/"))
		len = 0;
	if (strncmp(path, mount_root, len) || strstr(path + len, "/.."))
		return NULL;
	return path[len] == '/' || !path[len] ? path + len : NULL;
}

/*
 * "id parent device root point options [tags] - type source super-options".
 * Version 1 names its controllers among the super options.
 */
static bool line_mount(const char *line, bool v2, char *mount_root, char *point)
{
	const char *rest = strstr(line, " - ");
	char type[16], super[512];

	if (!rest || sscanf(rest + 3, "%15s %*s %511s", type, super) != 2 ||
	    sscanf(line, "%*s %*s %*s %4095s %4095s", mount_root, point) != 2)
		return false;
	unescape(mount_root);
	unescape(point);
	return v2 ? !strcmp(type, "cgroup2") :
		    !strcmp(type, "cgroup") && list_has(super, "cpu");
}

/*
 * The directory of our group, under a mount that shows it.  Where none does (a
 * container that sees the host's path), a mount's own root is what we have.
 */
static bool hierarchy_find(const char *root, bool v2, const char *path,
			   struct hierarchy *ret)
{
	char *line = NULL, mount_root[4096], point[4096];
	FILE *f = file_open(root, "/proc/self", "/mountinfo");
	const char *below = NULL;
	size_t size = 0;

	ret->dir = NULL;
	while (f && !below && getline(&line, &size, f) > 0) {
		if (!line_mount(line, v2, mount_root, point))
			continue;
		below = path_below(path, mount_root);
		if (ret->dir && !below)
			continue;
		free(ret->dir);
		ret->top = strlen(point);
		if (asprintf(&ret->dir, "%s%s", point, below ? below : "") < 0)
			ret->dir = NULL;
	}
	free(line);
	if (f)
		fclose(f);
	return ret->dir;
}

/* ---- From our group up to the mount ------------------------------------------ */

/* Goes up to the parent; false at the top. */
static bool hierarchy_up(struct hierarchy *h)
{
	char *slash = strrchr(h->dir + h->top, '/');

	if (slash)
		*slash = '\0';
	return slash;
}

static uint64_t version_limit(const char *root, bool v2)
{
	char *path = group_path(root, v2);
	uint64_t limit = NO_LIMIT;
	struct hierarchy h;

	if (path && hierarchy_find(root, v2, path, &h)) {
		do
			limit = fp_min(limit, group_limit(root, h.dir, v2));
		while (hierarchy_up(&h));
		free(h.dir);
	}
	free(path);
	return limit;
}

/* ---- What others call --------------------------------------------------------- */

static uint64_t find_limit(const char *root)
{
	int saved = errno;
	uint64_t limit = fp_min(version_limit(root, true),
				version_limit(root, false));

	errno = saved;
	return limit;
}

/* {when, in ms and not 0:44, limit:20}; who forks hands it on, and the child's group is the same. */
static fp_a64 recent;

unsigned fp_cpus_recent(const char *root, unsigned affinity)
{
	uint64_t now = (uint64_t)fp_sys.clock() / NS_PER_MS + 1, was = fp_load_rlx(&recent);

	if (!was || now - (was >> CPUS_BITS) >= RECENT_MS) {
		was = now << CPUS_BITS | fp_min(find_limit(root), CPUS_MASK);
		fp_store_rlx(&recent, was);
	}
	return fp_max(fp_min(was & CPUS_MASK, affinity), 1);
}

/* The affinity mask of the calling thread and its size; NULL where there is none to be had. */
static cpu_set_t *affinity_mask(size_t *size)
{
	int saved = errno, cpus, err;
	cpu_set_t *set;

	/* The kernel refuses a set that is smaller than its own. */
	for (cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
		*size = CPU_ALLOC_SIZE(cpus);
		set = CPU_ALLOC(cpus);
		if (!set)
			break;
		err = sched_getaffinity(0, *size, set) ? errno : 0;
		errno = saved;
		if (!err)
			return set;
		CPU_FREE(set);
		if (err != EINVAL)
			break;
	}
	errno = saved;
	return NULL;
}

unsigned fp_cpus_affinity(void)
{
	size_t size;
	cpu_set_t *set = affinity_mask(&size);
	int count = set ? CPU_COUNT_S(size, set) : 0;

	CPU_FREE(set);
	return fp_max(count, 1);
}

unsigned *fp_cpus_list(size_t *n)
{
	size_t size, i;
	cpu_set_t *set = affinity_mask(&size);
	unsigned *list = set ? calloc((size_t)CPU_COUNT_S(size, set) + 1, sizeof(*list)) : NULL;

	*n = 0;
	for (i = 0; list && i < size * 8; i++)
		if (CPU_ISSET_S(i, size, set))
			list[(*n)++] = (unsigned)i;
	CPU_FREE(set);
	return list;
}
