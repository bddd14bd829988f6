/* SPDX-License-Identifier: MIT */
/* What /proc says about the processes of a pool, and about the machine. */
#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

struct process {
	pid_t pid, parent;
	int ours;			/* below this process */
	int64_t reaped;			/* CPU time of children that it has waited for, ns */
	char name[32];
};

struct processes {
	struct process *list;
	size_t count, room;
};

static int process_read(pid_t pid, struct process *ret)
{
	char path[64], line[512];
	long long user, system;
	char *open, *close;
	FILE *file;
	int ok;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	ok = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	/* The name stands in parentheses and may itself hold some. */
	open = ok ? strchr(line, '(') : NULL;
	close = ok ? strrchr(line, ')') : NULL;
	if (!open || !close)
		return -1;
	*close = '\0';
	*ret = (struct process){ .pid = pid };
	snprintf(ret->name, sizeof(ret->name), "%s", open + 1);
	if (sscanf(close + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lld %lld",
		   &ret->parent, &user, &system) != 3)
		return -1;
	ret->reaped = (user + system) * (1000000000 / sysconf(_SC_CLK_TCK));
	return 0;
}

static void process_add(struct processes *p, const struct process *one)
{
	if (p->count == p->room) {
		size_t room = p->room ? 2 * p->room : 64;
		struct process *list = realloc(p->list, room * sizeof(*list));

		if (!list)
			return;
		p->list = list;
		p->room = room;
	}
	p->list[p->count++] = *one;
}

static int parent_is_ours(const struct processes *p, pid_t parent)
{
	size_t i;

	for (i = 0; i < p->count; i++)
		if (p->list[i].pid == parent)
			return p->list[i].ours;
	return parent == getpid();
}

/* Marks what lies below this process, until a pass finds nothing new. */
static void processes_mark(struct processes *p)
{
	int found = 1;
	size_t i;

	while (found) {
		found = 0;
		for (i = 0; i < p->count; i++) {
			struct process *one = &p->list[i];

			if (one->ours || !parent_is_ours(p, one->parent))
				continue;
			one->ours = found = 1;
		}
	}
}

static void processes_read(struct processes *ret)
{
	DIR *dir = opendir("/proc");
	struct process one;
	struct dirent *entry;

	*ret = (struct processes){ 0 };
	while (dir && (entry = readdir(dir))) {
		pid_t pid = atoi(entry->d_name);

		if (isdigit((unsigned char)entry->d_name[0]) && pid != getpid() &&
		    !process_read(pid, &one))
			process_add(ret, &one);
	}
	if (dir)
		closedir(dir);
	processes_mark(ret);
}

/* The number behind KEY at the start of a line of PATH; 0 when there is none. */
static int64_t file_number(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	char line[256];
	long long value = 0;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			value = atoll(line + strlen(key));
	if (file)
		fclose(file);
	return value;
}

static int64_t process_pss(const char *pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/smaps_rollup", pid);
	return file_number(path, "Pss:") * 1024;
}

/* By name: forkpool's keeper shares this process's own memory, and must not count. */
static int is_worker(const char *name)
{
	return !strncmp(name, "fp-worker", 9) || !strcmp(name, "fp-nursery") ||
	       !strcmp(name, "bench-worker");
}

int64_t bench_pss_pool(void)
{
	struct processes p;
	int64_t sum = 0;
	char pid[16];
	size_t i;

	processes_read(&p);
	for (i = 0; i < p.count; i++) {
		if (!p.list[i].ours || !is_worker(p.list[i].name))
			continue;
		snprintf(pid, sizeof(pid), "%d", (int)p.list[i].pid);
		sum += process_pss(pid);
	}
	free(p.list);
	return sum;
}

int64_t bench_pss_self(void)
{
	return process_pss("self");
}

/* Context switches of a process's threads; its main thread left out if SKIP_MAIN. */
static int64_t process_switches(pid_t pid, int skip_main)
{
	char path[320];
	struct dirent *entry;
	int64_t sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || (skip_main && atoi(entry->d_name) == pid))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid,
			 entry->d_name);
		sum += file_number(path, "voluntary_ctxt_switches:") +
		       file_number(path, "nonvoluntary_ctxt_switches:");
	}
	if (dir)
		closedir(dir);
	return sum;
}

int64_t bench_switches(void)
{
	int64_t sum = process_switches(getpid(), 1);
	struct processes p;
	size_t i;

	processes_read(&p);
	for (i = 0; i < p.count; i++)
		if (p.list[i].ours)
			sum += process_switches(p.list[i].pid, 0);
	free(p.list);
	return sum;
}

/* ---- Where they run ------------------------------------------------------------------ */

/* Puts a process's threads on the CPUs of SET; its main thread left out if SKIP_MAIN. */
static void process_place(pid_t pid, int skip_main, const cpu_set_t *set)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);

		/* One that has ended meanwhile needs no place. */
		if (entry->d_name[0] != '.' && !(skip_main && tid == pid))
			sched_setaffinity(tid, sizeof(*set), set);
	}
	if (dir)
		closedir(dir);
}

/* The first two CPUs that the runner was given, alone in a set each. */
static int places_find(cpu_set_t place[2])
{
	cpu_set_t all;
	int cpu, found = 0;

	if (sched_getaffinity(0, sizeof(all), &all))
		return -1;
	for (cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &all)) {
			CPU_ZERO(&place[found]);
			CPU_SET(cpu, &place[found++]);
		}
	return found == 2 ? 0 : -1;
}

int bench_place_apart(void)
{
	/* Found once: afterwards the mask of this thread has one CPU. */
	static cpu_set_t place[2];
	static int known;
	struct processes p;
	size_t i;

	if (!known && places_find(place))
		return -1;
	known = 1;
	process_place(getpid(), 1, &place[1]);
	sched_setaffinity(0, sizeof(place[0]), &place[0]);
	processes_read(&p);
	for (i = 0; i < p.count; i++)
		if (p.list[i].ours)
			process_place(p.list[i].pid, 0, &place[1]);
	free(p.list);
	return 0;
}

/* ---- All of them --------------------------------------------------------------------- */

/* CPU time of a process that still runs, ns; 0 when it has gone. */
static int64_t process_busy(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t usage_busy(int who)
{
	struct rusage use;

	getrusage(who, &use);
	return (int64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000000 +
	       (int64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1000;
}

int64_t bench_tree_busy(void)
{
	int64_t sum = usage_busy(RUSAGE_SELF) + usage_busy(RUSAGE_CHILDREN);
	struct processes p;
	size_t i;

	processes_read(&p);
	for (i = 0; i < p.count; i++)
		if (p.list[i].ours)
			sum += process_busy(p.list[i].pid) + p.list[i].reaped;
	free(p.list);
	return sum;
}

unsigned bench_tree_signal(int signal)
{
	struct processes p;
	unsigned count = 0;
	size_t i;

	processes_read(&p);
	for (i = 0; i < p.count; i++)
		if (p.list[i].ours && !kill(p.list[i].pid, signal))
			count++;
	free(p.list);
	return count;
}
