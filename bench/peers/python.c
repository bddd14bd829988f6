/* SPDX-License-Identifier: MIT */
/* Peers: the pools of Python, multiprocessing.Pool and ProcessPoolExecutor, and joblib's. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peers/foreign.h"

/* As pool.py calls them. */
static const char *const kinds[] = { "multiprocessing", "executor", "joblib" };

/*
 * Prints where the interpreter that runs this lies, which "python3" may only be a
 * script for.  Succeeds with joblib.
 */
static const char question[] =
	"import importlib.util as u, sys; print(sys.executable); "
	"sys.exit(u.find_spec('joblib') is None)";

/* The interpreter that answers as NAME; returns 1 if it has joblib, 0 if it hasn't, or -1. */
static int python_try(const char *name, char *ret, size_t size)
{
	int fds[2], status = -1, err, there;
	FILE *answer;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		if (dup2(fds[1], STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0)
			execlp(name, name, "-c", question, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	answer = fdopen(fds[0], "r");
	there = answer && fgets(ret, (int)size, answer);
	if (answer)
		fclose(answer);
	err = pid < 0 || waitpid(pid, &status, 0) != pid;
	if (err || !there || !WIFEXITED(status) || WEXITSTATUS(status) > 1)
		return -1;
	ret[strcspn(ret, "\n")] = '\0';
	return !WEXITSTATUS(status);
}

int foreign_python_find(void)
{
	static const char *const names[] = { "/usr/bin/python3", "python3" };
	char path[PATH_MAX], any[PATH_MAX] = "";
	size_t i;

	if (getenv("PYTHON"))
		return 0;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int joblib = python_try(names[i], path, sizeof(path));

		if (joblib >= 0)
			memcpy(any, path, sizeof(any));
		if (joblib > 0)
			break;
	}
	return any[0] && !setenv("PYTHON", any, 1) ? 0 : -ENOENT;
}

static void python_run(const char *bodies, unsigned workers)
{
	const char *python = getenv("PYTHON");

	(void)workers;
	setenv("BENCH_BODIES", bodies, 1);
	/* What loky's resource tracker says when it tidies up after an ended run. */
	setenv("PYTHONWARNINGS", "ignore", 1);
	/* -B: no compiled script is left beside the script. */
	execlp(python, python, "-B", BENCH_SRCDIR "/peers/pool.py", (char *)NULL);
}

static const struct foreign_program python = {
	.death_signal = SIGKILL,
	/* Else each start would be the interpreter's, which a user's program has running. */
	.keep = 1,
	.find = foreign_python_find,
	.run = python_run,
};

static void *pool_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	return foreign_start(&python, peer->name, kinds[peer->variant], workers, shared);
}

static void *task_pool_start(const struct bench_task_peer *peer, unsigned workers,
			     unsigned submitters)
{
	(void)submitters;
	return pool_start(&peer->peer, workers, 0);
}

#define FLAGS	(BENCH_PROCESSES | BENCH_PER_ITEM | BENCH_COPIES | BENCH_FOREIGN | BENCH_SLOW)

#define PEER(which, text, kind) \
	const struct bench_peer bench_##which = { \
		.name = text, .flags = FLAGS, .variant = kind, .start = pool_start, \
		.map = foreign_map, .alloc = foreign_alloc, .stop = foreign_stop, \
	}; \
	const struct bench_task_peer bench_##which##_task = { \
		.peer = { .name = text, .flags = FLAGS, .variant = kind }, \
		.start = task_pool_start, .stop = foreign_stop, \
		.stream = foreign_stream, .trips = foreign_trips, \
	}

PEER(py_pool, "py-pool", 0);
PEER(py_executor, "py-executor", 1);
PEER(joblib, "joblib", 2);
