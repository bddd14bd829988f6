/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "killer.h"

/* It looks around so often, and strikes between the first and the last look. */
#define LOOK_NS		1000000
#define LOOKS_MAX	10
#define WORKERS_MAX	1024

static struct {
	struct forkpool *pool;
	pthread_t thread;
	int started, stop;
	unsigned victim;
	pid_t killed;			/* 0 = nobody */
} killer;

/* A worker at work, or 0 where there is none; the program itself is no worker. */
static pid_t victim_find(unsigned id)
{
	struct forkpool_worker_stats s = { .sz = sizeof(s) };

	if (forkpool_worker_stats(killer.pool, id, &s) || s.state != FORKPOOL_WORKER_BUSY)
		return 0;
	return s.pid > 1 && s.pid != getpid() ? s.pid : 0;
}

/* One of those at work, if there are any: each is as likely as the others. */
static void victim_kill(void)
{
	unsigned id, seen = 0, victim = 0;
	pid_t pid, chosen = 0;

	for (id = 0; id < WORKERS_MAX; id++) {
		pid = victim_find(id);
		if (pid && (unsigned)rand() % ++seen == 0) {
			chosen = pid;
			victim = id;
		}
	}
	if (!chosen || kill(chosen, SIGKILL))
		return;
	killer.victim = victim;
	killer.killed = chosen;
}

static void *killer_run(void *unused)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	int looks = 1 + rand() % LOOKS_MAX;

	while (!killer.killed && !__atomic_load_n(&killer.stop, __ATOMIC_RELAXED)) {
		nanosleep(&pause, NULL);
		if (--looks <= 0)
			victim_kill();
	}
	return unused;
}

void killer_start(struct forkpool *pool)
{
	killer.pool = pool;
	killer.killed = 0;
	killer.stop = 0;
	srand((unsigned)getpid());
	killer.started = !pthread_create(&killer.thread, NULL, killer_run, NULL);
}

int killer_stop(int err)
{
	struct forkpool_stats s = { .sz = sizeof(s) };

	if (killer.started) {
		__atomic_store_n(&killer.stop, 1, __ATOMIC_RELAXED);
		pthread_join(killer.thread, NULL);
	}
	if (!killer.killed) {
		fprintf(stderr, "killer: it found no process at work\n");
		return err ? err : -ESRCH;
	}
	if (!forkpool_stats(killer.pool, &s))
		printf("killed worker %u (process %d) at work; deaths %" PRIu64
		       ", begun again %" PRIu64 "\n", killer.victim, (int)killer.killed,
		       s.deaths, s.retries);
	return err;
}
