/* SPDX-License-Identifier: MIT */
/*
 * The runner's children.  Signals that end the run stay blocked and are waited
 * for together with the children's ends, so that none gets lost between two
 * looks.  What children leave behind becomes a child of the runner, and is ended.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

/* How long processes may take to end, by themselves and once they were asked to, in ns. */
#define GRACE		INT64_C(2000000000)

static sigset_t waited, before;
static int ended_by;

void bench_children_setup(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction now;
	unsigned i;

	sigemptyset(&waited);
	sigaddset(&waited, SIGCHLD);
	/* What is ignored stays so: nohup means it. */
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (!sigaction(ends[i], NULL, &now) && now.sa_handler != SIG_IGN)
			sigaddset(&waited, ends[i]);
	sigprocmask(SIG_BLOCK, &waited, &before);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

pid_t bench_child_fork(void)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return 0;
}

int bench_children_signal(void)
{
	return ended_by;
}

void bench_children_die(void)
{
	signal(ended_by, SIG_DFL);
	raise(ended_by);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Waits until LIMIT (ns; 0 = for ever) for a child's end or a signal that ends the run. */
static void signal_await(int64_t limit)
{
	int64_t left = limit ? limit - bench_clock() : INT64_C(3600000000000);
	struct timespec t = { 0 };
	int got;

	if (left > 0)
		t = (struct timespec){ left / 1000000000, left % 1000000000 };
	got = sigtimedwait(&waited, NULL, &t);
	if (got > 0 && got != SIGCHLD && !ended_by)
		ended_by = got;
}

/* Reaps what has ended; returns whether PID (0 = all of them) has. */
static int children_reap(pid_t pid, int *status)
{
	int found = 0, one;
	pid_t got;

	while ((got = waitpid(-1, &one, WNOHANG)) > 0)
		if (got == pid) {
			*status = one;
			found = 1;
		}
	return found || (got < 0 && errno == ECHILD);
}

/* Until they have all gone, or for a while. */
static int children_wait(pid_t pid, int *status)
{
	int64_t limit = bench_clock() + GRACE;

	while (!children_reap(pid, status)) {
		if (bench_clock() >= limit)
			return 0;
		signal_await(limit);
	}
	return 1;
}

/* Whatever is left below this process: first as its owner would wish, then anyway. */
static void children_end(void)
{
	int status;

	if (children_wait(0, &status))
		return;
	if (!ended_by)
		fprintf(stderr, "processes were left behind; they are ended now\n");
	bench_tree_signal(SIGTERM);
	while (!children_wait(0, &status) && bench_tree_signal(SIGKILL))
		;
}

int bench_child_await(pid_t pid)
{
	int status = -1;

	while (!ended_by && !children_reap(pid, &status))
		signal_await(0);
	if (ended_by) {
		bench_tree_signal(SIGTERM);
		status = -1;
	}
	children_end();
	return status;
}
