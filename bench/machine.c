/* SPDX-License-Identifier: MIT */
/* What this was measured on, and built with. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "commit.h"

struct bench_machine bench_machine;

/* What stands behind the colon of the first line of /proc/cpuinfo that begins with KEY. */
static void cpu_read(const char *key, char *ret, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		if (!strncmp(line, key, strlen(key)) && colon && colon[1]) {
			colon[strcspn(colon, "\n")] = '\0';
			snprintf(ret, size, "%s", colon + 2);
			break;
		}
	}
	if (file)
		fclose(file);
}

/* The first line of a file, without its end; "" when there is none. */
static void line_read(const char *path, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");

	if (!file || !fgets(ret, (int)size, file))
		ret[0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	if (file)
		fclose(file);
}

/* The chosen word, the one in brackets, of a file of transparent huge pages. */
static void huge_pages(const char *file, char *ret, size_t size)
{
	char path[128], line[128], *open, *close;

	snprintf(path, sizeof(path), "/sys/kernel/mm/transparent_hugepage/%s", file);
	line_read(path, line, sizeof(line));
	open = strchr(line, '[');
	close = strchr(line, ']');
	if (close)
		*close = '\0';
	snprintf(ret, size, "%s", open && close ? open + 1 : "none");
}

/* ---- Limits ---------------------------------------------------------------------------- */

/* PATH of FILE in GROUP, or, where a container shows its own group as the root, there. */
static int group_file(const char *controller, const char *group, const char *file, char *path,
		      size_t size)
{
	int need = snprintf(path, size, "/sys/fs/cgroup/%s%s/%s", controller, group, file);

	if (need > 0 && (size_t)need < size && !access(path, R_OK))
		return 0;
	need = snprintf(path, size, "/sys/fs/cgroup/%s/%s", controller, file);
	return need > 0 && (size_t)need < size && !access(path, R_OK) ? 0 : -ENOENT;
}

int bench_cgroup_file(const char *controller, const char *file, char *ret, size_t size)
{
	FILE *groups = fopen("/proc/self/cgroup", "re");
	int err = -ENOENT;
	char line[512];

	while (err && groups && fgets(line, sizeof(line), groups)) {
		char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;

		if (!group)
			continue;
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		if (!strcmp(names + 1, controller))
			err = group_file(controller, group, file, ret, size);
	}
	if (groups)
		fclose(groups);
	return err;
}

/* The first line of it. */
static void cgroup_read(const char *controller, const char *file, char *ret, size_t size)
{
	char path[640];

	ret[0] = '\0';
	if (!bench_cgroup_file(controller, file, path, sizeof(path)))
		line_read(path, ret, size);
}

/* What version 1 shows where nothing is limited: the greatest number of whole pages. */
static int memory_limited(const char *text)
{
	return text[0] && strcmp(text, "max") && strtoull(text, NULL, 10) >> 62 == 0;
}

static void limits_read(char *ret, size_t size)
{
	char cpu[48], period[24], memory[48], cpu_text[80] = "", memory_text[64] = "";

	cgroup_read("", "cpu.max", cpu, sizeof(cpu));
	if (!cpu[0]) {
		cgroup_read("cpu", "cpu.cfs_quota_us", cpu, sizeof(cpu));
		cgroup_read("cpu", "cpu.cfs_period_us", period, sizeof(period));
		if (atoll(cpu) > 0)
			snprintf(cpu_text, sizeof(cpu_text), "cpu %s/%s us", cpu, period);
	} else if (strncmp(cpu, "max", 3)) {
		snprintf(cpu_text, sizeof(cpu_text), "cpu %s us", cpu);
	}
	cgroup_read("", "memory.max", memory, sizeof(memory));
	if (!memory[0])
		cgroup_read("memory", "memory.limit_in_bytes", memory, sizeof(memory));
	if (memory_limited(memory))
		snprintf(memory_text, sizeof(memory_text), "memory %s bytes", memory);
	snprintf(ret, size, "%s%s%s", cpu_text, cpu_text[0] && memory_text[0] ? ", " : "",
		 cpu_text[0] || memory_text[0] ? memory_text : "none");
}

/* ---- Clock frequency ---------------------------------------------------------------------- */

/* Whether some CPU has a governor that may slow it down; in a virtual machine none is seen. */
static int scaling_read(long cpus)
{
	char path[80], governor[32];
	long cpu;

	for (cpu = 0; cpu < cpus; cpu++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/cpu/cpu%ld/cpufreq/scaling_governor", cpu);
		line_read(path, governor, sizeof(governor));
		if (governor[0] && strcmp(governor, "performance"))
			return 1;
	}
	return 0;
}

/* ---- All of it --------------------------------------------------------------------------- */

void bench_machine_read(struct bench_machine *m)
{
	char mhz[32] = "0";
	time_t now = time(NULL);
	struct utsname os;
	struct tm local;

	*m = (struct bench_machine){ .model = "unknown CPU" };
	cpu_read("model name", m->model, sizeof(m->model));
	cpu_read("cpu MHz", mhz, sizeof(mhz));
	m->mhz = strtod(mhz, NULL);
	uname(&os);
	snprintf(m->kernel, sizeof(m->kernel), "%s %s", os.sysname, os.release);
	snprintf(m->host, sizeof(m->host), "%s", os.nodename);
	strftime(m->date, sizeof(m->date), "%Y-%m-%dT%H:%M:%S%z", localtime_r(&now, &local));
	limits_read(m->cgroup, sizeof(m->cgroup));
	huge_pages("enabled", m->private_pages, sizeof(m->private_pages));
	huge_pages("shmem_enabled", m->shared_pages, sizeof(m->shared_pages));
	getloadavg(m->load, 3);
	m->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	m->usable = forkpool_cpu_count();
	m->scaling = scaling_read(sysconf(_SC_NPROCESSORS_CONF));
}

const char *bench_compiler(void)
{
#if defined(__clang__)
	return __VERSION__;
#else
	return "gcc " __VERSION__;
#endif
}

const char *bench_commit(void)
{
	return BENCH_COMMIT;
}

void bench_machine_print(const struct bench_machine *m)
{
	printf("%s, %ld CPUs (%u usable), %s, %s, commit %s\n", m->model, m->cpus, m->usable,
	       m->kernel, bench_compiler(), bench_commit());
	printf("control group limits: %s; huge pages: private memory %s, shared memory %s;\n"
	       "load at start %.2f\n", m->cgroup, m->private_pages, m->shared_pages, m->load[0]);
	printf("Medians and their intervals; MAD is the median distance from the median; first is\n"
	       "the round that touches memory first, kept out of the median.  A ratio is the\n"
	       "median of the times' ratios round by round (1.1 = 10 %% slower); best is the best\n"
	       "peer that is not forkpool.  Efficiency is serial time / (workers x time).\n");
}
