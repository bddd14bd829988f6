/* SPDX-License-Identifier: MIT */
/* --list: workloads, and peers as they are: each is started with one worker, or says why not. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "bench.h"

/* So long a peer may take, in seconds, for a pool of so many: joblib makes none for one. */
#define START_LIMIT	30
#define TRY_WORKERS	2
/* What alloc may be asked for. */
#define SHARED		65536

/* One of the two kinds. */
struct candidate {
	const struct bench_peer *peer;
	const struct bench_task_peer *task_peer;
};

static int candidate_start(const struct candidate *c)
{
	void *pool;

	if (c->task_peer) {
		pool = c->task_peer->start(c->task_peer, TRY_WORKERS, 1);
		if (pool)
			c->task_peer->stop(pool);
	} else {
		pool = c->peer->start(c->peer, TRY_WORKERS, SHARED);
		if (pool)
			c->peer->stop(pool);
	}
	return pool != NULL;
}

static void candidate_child(const struct candidate *c, int word)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(START_LIMIT);
	if (dup2(word, STDERR_FILENO) < 0)
		_exit(1);
	exit(candidate_start(c) ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Its first line on stderr, which may be none; whether it started. */
static int candidate_try(const struct candidate *c, char *why, size_t size)
{
	int fds[2], status = -1;
	FILE *words;
	pid_t pid;

	why[0] = '\0';
	if (pipe2(fds, O_CLOEXEC))
		return 0;
	fflush(stdout);
	pid = fork();
	if (!pid)
		candidate_child(c, fds[1]);
	close(fds[1]);
	words = fdopen(fds[0], "r");
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		status = -1;
	if (words && fgets(why, (int)size, words))
		why[strcspn(why, "\n")] = '\0';
	if (words)
		fclose(words);
	return status == 0;
}

static void candidate_print(const struct bench_peer *peer, const struct bench_task_peer *task_peer)
{
	const struct candidate c = { peer, task_peer };
	char why[256];

	if (candidate_try(&c, why, sizeof(why)))
		printf("  %s\n", peer->name);
	else
		printf("  %-16s can't start: %s\n", peer->name, why[0] ? why : "it does not say why");
}

static void workload_print(const struct bench_workload *w)
{
	printf("  %-20s %s", w->name, w->title);
	if (w->group)
		printf(" (group %s)", w->group);
	if (w->on_request)
		printf(" (on request)");
	putchar('\n');
}

void bench_list_print(void)
{
	const struct bench_workload *w;
	unsigned i;

	printf("workloads:\n");
	for (i = 0; (w = bench_workload(i)); i++)
		workload_print(w);
	printf("peers for loops:\n");
	for (i = 0; bench_peers[i]; i++)
		candidate_print(bench_peers[i], NULL);
	printf("peers for single tasks:\n");
	for (i = 0; bench_task_peers[i]; i++)
		candidate_print(&bench_task_peers[i]->peer, bench_task_peers[i]);
	printf("peers for whole commands:\n");
	for (i = 0; bench_command_peers[i]; i++)
		printf("  %s\n", bench_command_peers[i]->name);
	if (bench_missing[0].names)
		printf("not built:\n");
	for (i = 0; bench_missing[i].names; i++)
		printf("  %-16s %s\n", bench_missing[i].names, bench_missing[i].why);
}
