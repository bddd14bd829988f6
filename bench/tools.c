/* SPDX-License-Identifier: MIT */
/* The programs around the runner: the one that makes the page, and the one that compares. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PAGE		"page.py"
#define COMPARE		"compare-runs"
/* Of a program that could not be started, as of a shell's. */
#define NOT_STARTED	127

/* FOLDER PLACE NAME, one behind the other, where the first LEN bytes of FOLDER count. */
static int file_there(const char *folder, size_t len, const char *place, const char *name,
		      char *ret, size_t size)
{
	int need = snprintf(ret, size, "%.*s%s%s", (int)len, folder, place, name);

	return need > 0 && (size_t)need < size && !access(ret, R_OK);
}

int bench_file_find(const char *name, char *ret, size_t size)
{
	/* libtool keeps programs one folder deeper than scripts, and modules always. */
	static const char *const places[] = { "", "../", ".libs/" };
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self));
	size_t i;

	while (len > 0 && self[len - 1] != '/')
		len--;
	for (i = 0; len > 0 && i < sizeof(places) / sizeof(places[0]); i++)
		if (file_there(self, (size_t)len, places[i], name, ret, size))
			return 0;
	return file_there(BENCH_SRCDIR, strlen(BENCH_SRCDIR), "/", name, ret, size) ? 0 : -ENOENT;
}

/* Whether PATH, the variable, has a program of this name. */
static int program_there(const char *name)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	while (path && *path) {
		size_t len = strcspn(path, ":");

		if (snprintf(file, sizeof(file), "%.*s/%s", (int)len, path, name) <
		    (int)sizeof(file) && !access(file, X_OK))
			return 1;
		path += len + (path[len] == ':');
	}
	return 0;
}

static int page_check(void)
{
	char path[PATH_MAX];

	if (!program_there("python3") || !program_there("gnuplot")) {
		fprintf(stderr, "--html needs %s (Debian: python3, gnuplot-nox)\n",
			program_there("python3") ? "gnuplot" : "python3");
		return -ENOENT;
	}
	if (bench_file_find(PAGE, path, sizeof(path))) {
		fprintf(stderr, "--html: " PAGE " is neither beside this program nor in "
			BENCH_SRCDIR "\n");
		return -ENOENT;
	}
	return 0;
}

/* Whether PROGRAM can read the old run: better known now than at the end of the new one. */
static int old_check(const char *program)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execl(program, program, bench_opt.compare, NULL);
		_exit(NOT_STARTED);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) ? -EINVAL : 0;
}

static int compare_check(void)
{
	char path[PATH_MAX];

	if (access(bench_opt.compare, R_OK)) {
		fprintf(stderr, "%s: %s\n", bench_opt.compare, strerror(errno));
		return -ENOENT;
	}
	if (bench_file_find(COMPARE, path, sizeof(path))) {
		fprintf(stderr, "--compare: the program that compares was not built; configure "
			"needs jansson for it (Debian: libjansson-dev)\n");
		return -ENOENT;
	}
	return old_check(path);
}

/* Whether PATH can be replaced by a new file, or written to where it is a device. */
static int output_check(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX] = ".";
	struct stat there;
	int err;

	if (!stat(path, &there) && !S_ISREG(there.st_mode)) {
		err = access(path, W_OK);
		if (S_ISDIR(there.st_mode)) {
			errno = EISDIR;
			err = -1;
		}
	} else {
		if (slash)
			snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path + 1), path);
		err = access(folder, W_OK);
	}
	if (err)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return err;
}

int bench_tools_check(void)
{
	int err = bench_opt.json ? output_check(bench_opt.json) : 0;

	if (!err && bench_opt.html)
		err = output_check(bench_opt.html) ? -EACCES : page_check();
	if (!err && bench_opt.compare)
		err = compare_check();
	return err;
}

/* Returns an exit status. */
static int tool_run(char *const argv[])
{
	pid_t pid = bench_child_fork();
	int status;

	if (!pid) {
		execvp(argv[0], argv);
		perror(argv[0]);
		_exit(NOT_STARTED);
	}
	status = pid < 0 ? -1 : bench_child_await(pid);
	return status < 0 || !WIFEXITED(status) ? EXIT_FAILURE : WEXITSTATUS(status);
}

static int page_make(const char *json)
{
	char script[PATH_MAX];
	char *argv[] = { "python3", script, (char *)json, (char *)bench_opt.html, NULL };

	if (bench_file_find(PAGE, script, sizeof(script)))
		return EXIT_FAILURE;
	return tool_run(argv) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int compare_run(const char *json)
{
	char program[PATH_MAX];
	char *argv[] = { program, (char *)bench_opt.compare, (char *)json, NULL };

	if (bench_file_find(COMPARE, program, sizeof(program)))
		return EXIT_FAILURE;
	return tool_run(argv);
}

int bench_tools_run(void)
{
	const char *json = bench_opt.json, *folder = getenv("TMPDIR");
	char temporary[PATH_MAX];
	int fd = -1, status = EXIT_SUCCESS, compared = EXIT_SUCCESS;

	if (!bench_opt.html && !bench_opt.compare)
		return EXIT_SUCCESS;
	snprintf(temporary, sizeof(temporary), "%s/forkpool-bench-XXXXXX.json",
		 folder ? folder : "/tmp");
	if (!json) {
		fd = mkstemps(temporary, strlen(".json"));
		if (fd < 0 || bench_json_save(json = temporary)) {
			perror(temporary);
			status = EXIT_FAILURE;
		}
	}
	if (!status && bench_opt.compare)
		compared = compare_run(json);
	if (!status && bench_opt.html && !bench_children_signal())
		status = page_make(json);
	if (fd >= 0) {
		close(fd);
		unlink(temporary);
	}
	return compared ? compared : status;
}
