/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS	1000
#define PAUSE_MS	5
#define POOL_PREFIX	"fp-"		/* how processes of a pool are named */

/* A kind of thing and how much of it there is: a count, or bytes. */
struct thing {
	char *name;
	unsigned long amount;
};

struct snapshot {
	struct thing *things;
	size_t count;
};

static struct snapshot before;
static char *report;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static struct thing *snapshot_find(const struct snapshot *snap, const char *name)
{
	for (size_t i = 0; i < snap->count; i++)
		if (!strcmp(snap->things[i].name, name))
			return &snap->things[i];
	return NULL;
}

__attribute__((format(printf, 3, 4)))
static void snapshot_add(struct snapshot *snap, unsigned long amount,
			 const char *format, ...)
{
	struct thing *thing;
	va_list args;
	char *name;

	va_start(args, format);
	must(vasprintf(&name, format, args) >= 0, "guard: vasprintf");
	va_end(args);

	thing = snapshot_find(snap, name);
	if (thing) {
		thing->amount += amount;
		free(name);
		return;
	}
	snap->things = realloc(snap->things,
			       (snap->count + 1) * sizeof(*snap->things));
	must(snap->things, "guard: realloc");
	snap->things[snap->count++] = (struct thing){ name, amount };
}

static void snapshot_clear(struct snapshot *snap)
{
	for (size_t i = 0; i < snap->count; i++)
		free(snap->things[i].name);
	free(snap->things);
	*snap = (struct snapshot){ 0 };
}

/* The first line of a small file; empty when it is gone meanwhile. */
static const char *line_of(const char *path)
{
	static char line[512];
	FILE *file = fopen(path, "re");

	line[0] = '\0';
	if (!file)
		return line;
	if (fgets(line, sizeof(line), file))
		line[strcspn(line, "\n")] = '\0';
	fclose(file);
	return line;
}

/* libcheck opens a file for its messages between a test's fixtures. */
static bool descriptor_is_of_check(const char *target)
{
	return strstr(target, "/check_") && strstr(target, " (deleted)");
}

static void add_descriptors(struct snapshot *snap)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	char target[256];

	must(dir, "guard: /proc/self/fd");
	while ((entry = readdir(dir))) {
		ssize_t len;

		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    atoi(entry->d_name) == dirfd(dir))
			continue;
		len = readlinkat(dirfd(dir), entry->d_name, target,
				 sizeof(target) - 1);
		target[len < 0 ? 0 : len] = '\0';
		if (!descriptor_is_of_check(target))
			snapshot_add(snap, 1, "descriptor %s -> %s",
				     entry->d_name, target);
	}
	closedir(dir);
}

/*
 * Anonymous private memory grows as malloc and thread stacks like, and the C
 * library maps its own files (locales, converters, the unwinder) when it first
 * needs them.  Everything else was mapped by somebody on purpose.
 */
static bool mapping_counts(const char *perms, const char *name)
{
	if (strchr(perms, 's'))
		return true;
	return name[0] == '/' && strncmp(name, "/usr/", 5) &&
	       strncmp(name, "/lib", 4);
}

static void add_mappings(struct snapshot *snap)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];

	must(file, "guard: /proc/self/maps");
	while (fgets(line, sizeof(line), file)) {
		unsigned long begin, end;
		char perms[8], name[256] = "";

		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255[^\n]", &begin,
			   &end, perms, name) < 3)
			continue;
		if (mapping_counts(perms, name))
			snapshot_add(snap, end - begin, "mapping of %s, bytes", name);
	}
	fclose(file);
}

/* Calls add for each name in a folder that starts with a digit (or any). */
static void add_each(struct snapshot *snap, const char *path, bool digits,
		     void (*add)(struct snapshot *, const char *))
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
		    (!digits || isdigit((unsigned char)entry->d_name[0])))
			add(snap, entry->d_name);
	closedir(dir);
}

static void add_thread(struct snapshot *snap, const char *tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", tid);
	snapshot_add(snap, 1, "thread %s", line_of(path));
}

static void add_children_of(struct snapshot *snap, const char *tid)
{
	char path[64], pids[512], *pid, *rest = pids;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/children", tid);
	snprintf(pids, sizeof(pids), "%s", line_of(path));
	while ((pid = strsep(&rest, " "))) {
		if (!*pid)
			continue;
		snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
		snapshot_add(snap, 1, "child %s (%s)", pid, line_of(path));
	}
}

/* Kernels without lists of children still say whether there is any. */
static void add_any_child(struct snapshot *snap)
{
	siginfo_t info = { 0 };

	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0) {
		must(errno == ECHILD, "guard: waitid");
		return;
	}
	if (info.si_pid)
		snapshot_add(snap, 1, "a child that ended and was not waited for");
	else
		snapshot_add(snap, 1, "a child that runs");
}

/*
 * A pool's process that has lost its parents still runs our binary in our
 * session.  Others who run the same binary there at the same time would be
 * taken for ours; a test runs once at a time.
 */
static void add_pool_process(struct snapshot *snap, const char *pid)
{
	struct stat own, its;
	char path[64];
	const char *name;

	snprintf(path, sizeof(path), "/proc/%.16s/exe", pid);
	if (atoi(pid) == getpid() || getsid(atoi(pid)) != getsid(0) ||
	    stat("/proc/self/exe", &own) || stat(path, &its) ||
	    own.st_ino != its.st_ino || own.st_dev != its.st_dev)
		return;
	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	name = line_of(path);
	if (!strncmp(name, POOL_PREFIX, strlen(POOL_PREFIX)))
		snapshot_add(snap, 1, "process %s (%s)", pid, name);
}

/*
 * A pool's name bears the pid of its host.  Hosts that live and are not us are
 * other tests, at work beside this one.
 */
static void add_shm_name(struct snapshot *snap, const char *name)
{
	int pid;

	if (sscanf(name, "forkpool-%d-", &pid) == 1 &&
	    (pid == getpid() || (kill(pid, 0) && errno == ESRCH)))
		snapshot_add(snap, 1, "name /dev/shm/%s", name);
}

static struct snapshot snapshot_take(void)
{
	struct snapshot snap = { 0 };

	add_descriptors(&snap);
	add_mappings(&snap);
	add_each(&snap, "/proc/self/task", true, add_thread);
	add_each(&snap, "/proc/self/task", true, add_children_of);
	add_any_child(&snap);
	add_each(&snap, "/proc", true, add_pool_process);
	add_each(&snap, "/dev/shm", false, add_shm_name);
	return snap;
}

/* The text of what is in now and was not in before; NULL if there is none. */
static char *snapshot_growth(const struct snapshot *now)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	must(out, "guard: open_memstream");
	for (size_t i = 0; i < now->count; i++) {
		const struct thing *thing = &now->things[i];
		const struct thing *old = snapshot_find(&before, thing->name);
		unsigned long had = old ? old->amount : 0;

		if (thing->amount > had)
			fprintf(out, "; %s: %lu, was %lu", thing->name,
				thing->amount, had);
	}
	fclose(out);
	if (size)
		return text;
	free(text);
	return NULL;
}

void guard_begin(void)
{
	snapshot_clear(&before);
	before = snapshot_take();
}

const char *guard_end(void)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };

	for (int ms = 0; ms <= PATIENCE_MS; ms += PAUSE_MS) {
		struct snapshot now = snapshot_take();
		char *growth = snapshot_growth(&now);

		snapshot_clear(&now);
		free(report);
		report = growth;
		if (!growth)
			break;
		nanosleep(&pause, NULL);
	}
	if (!report)
		snapshot_clear(&before);
	return report ? report + 2 : NULL;
}
