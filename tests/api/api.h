/* SPDX-License-Identifier: MIT */
/* What the black-box tests share: pools, shared pages, children, time. */
#ifndef TESTS_API_H
#define TESTS_API_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <forkpool.h>

#include "test.h"

#define MS		((int64_t)1000000)	/* in ns */
#define HANG_S		30			/* nothing here takes as long, however busy the machine */
#define DEAD_MS		1000			/* so soon after its host's end is nothing of a pool alive */

/* For loops over many items: ck_assert writes to a file, each time. */
#define CHECK_EACH(what) do { \
	if (!(what)) \
		ck_abort_msg("%s", #what); \
} while (0)

static inline int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * (int64_t)1000 + ts.tv_nsec / MS;
}

static inline void sleep_ms(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS };

	nanosleep(&ts, NULL);
}

/* In inline mode there is one worker, the caller. */
static inline bool test_inline(void)
{
	const char *mode = getenv("FORKPOOL_MODE");

	return mode && !strcmp(mode, "inline");
}

/* A pool of so many workers, of the mode that the environment names. */
static inline struct forkpool *pool_new(unsigned workers)
{
	struct forkpool *pool = NULL;
	FORKPOOL_OPTS(opts, .workers = workers, .arena_size = (size_t)256 << 20);
	int err = forkpool_create(&pool, &opts);

	ck_assert_msg(err == 0, "create: %s", forkpool_strerror(err));
	ck_assert_ptr_nonnull(pool);
	return pool;
}

/* Zeroed memory that workers made later, and children, share with us. */
static inline void *shared_new(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

static inline void shared_free(void *p, size_t size)
{
	munmap(p, size);
}

/* In a child, where check's assertions can't be used. */
#define MUST(what) do { \
	if (!(what)) { \
		fprintf(stderr, "%s:%d: child: %s\n", __FILE__, __LINE__, #what); \
		_exit(99); \
	} \
} while (0)

/* Runs body in a child; returns its pid.  The child ends with status 0 after body. */
static inline pid_t child_start(void (*body)(void *), void *arg)
{
	pid_t pid;

	fflush(stdout);
	fflush(stderr);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		alarm(HANG_S);
		body(arg);
		_exit(0);
	}
	return pid;
}

/* How a child ended: its exit status, or minus the signal. */
static inline int child_end(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline int child_run(void (*body)(void *), void *arg)
{
	return child_end(child_start(body, arg));
}

/* Until it is so much, or more. */
static inline void await_value(atomic_int *at, int value)
{
	int64_t until = now_ms() + HANG_S * 1000;

	while (atomic_load(at) < value) {
		ck_assert_msg(now_ms() < until, "%d stays %d", value, atomic_load(at));
		sleep_ms(1);
	}
}

/* What the kernel says that a process does: T = it is stopped. */
static inline char state_of(pid_t pid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	if (file)
		fclose(file);
	return state;
}

#endif
