/* SPDX-License-Identifier: MIT */
/*
 * Workloads about pools themselves: start, stop, memory, and what an idle one does.
 *
 * What other peers have left in the heap and in the libraries would make each
 * fork dearer and each worker bigger, and so would the mere libraries of OpenMP
 * and oneTBB.  So every round runs every peer in a fresh program (--life): it
 * makes and stops the pool twice, and the second time counts.  For processes
 * that program is `life`, which is `run` without those libraries.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* A map of so many empty items for each worker has called every one of them, most likely. */
#define GREETINGS	64

#define DIRTY_SIZE	((size_t)1 << 30)
/* How long an idle pool is watched, and how long before that it may calm down, in ns. */
#define IDLE_TIME	INT64_C(10000000000)
#define CALM_TIME	INT64_C(1000000000)

/* What one life of a pool is measured by: ns, ns, bytes for each worker. */
enum { START, STOP, MEMORY, MEASURES };

/* The first life warms up, the last one counts. */
enum { LIFE_FIRST, LIFE_LAST, LIVES };

struct life {
	double measure[MEASURES];
};

/* ---- One life ------------------------------------------------------------------------ */

static int pool_greet(const struct bench_peer *peer, void *pool, unsigned workers)
{
	char nothing = 0;
	struct bench_job job = {
		.fn = bench_empty, .in = &nothing, .out = &nothing,
		.count = (size_t)workers * GREETINGS,
	};

	return peer->map(pool, &job);
}

/* Of processes all they have counts, of threads what the program has more than BEFORE. */
static double worker_pss(const struct bench_peer *peer, int64_t before, unsigned workers)
{
	int64_t bytes = peer->flags & BENCH_PROCESSES ? bench_pss_pool()
						      : bench_pss_self() - before;

	return (double)bytes / workers;
}

static int life_measure(const struct bench_peer *peer, unsigned workers, struct life *ret)
{
	int64_t pss = bench_pss_self(), begin = bench_clock(), ready, end;
	void *pool = peer->start(peer, workers, 0);
	int err;

	ready = bench_clock();
	if (!pool)
		return -1;
	err = pool_greet(peer, pool, workers);
	ret->measure[MEMORY] = worker_pss(peer, pss, workers);
	end = bench_clock();
	peer->stop(pool);
	ret->measure[STOP] = (double)(bench_clock() - end);
	ret->measure[START] = (double)(ready - begin);
	return err;
}

static int memory_dirty(void)
{
	void *dirty = mmap(NULL, DIRTY_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (dirty == MAP_FAILED)
		return -errno;
	/* Small pages: the worst case, and the usual one of a heap that grew bit by bit. */
	madvise(dirty, DIRTY_SIZE, MADV_NOHUGEPAGE);
	memset(dirty, 1, DIRTY_SIZE);
	return 0;
}

int bench_life_main(const char *name, unsigned workers, int dirty)
{
	struct life life[LIVES] = { 0 };
	unsigned i, n;

	for (i = 0; bench_peers[i] && strcmp(bench_peers[i]->name, name); i++)
		;
	if (!bench_peers[i]) {
		fprintf(stderr, "%s takes single tasks only\n", name);
		return -1;
	}
	if (dirty && memory_dirty())
		return -1;
	for (n = 0; n < LIVES; n++)
		if (life_measure(bench_peers[i], workers, &life[n]))
			return -1;
	for (n = 0; n < LIVES; n++)
		printf("%.0f %.0f %.0f\n", life[n].measure[START], life[n].measure[STOP],
		       life[n].measure[MEMORY]);
	return 0;
}

/* ---- A program for it ------------------------------------------------------------------ */

/* The path of the program NAME that lies beside this one. */
static int sibling_path(const char *name, char *ret, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", ret, size - 1);
	char *slash;

	if (len < 0)
		return -errno;
	ret[len] = '\0';
	slash = strrchr(ret, '/');
	if (!slash || strlen(name) >= size - (size_t)(slash + 1 - ret))
		return -ENAMETOOLONG;
	strcpy(slash + 1, name);
	return 0;
}

static void life_exec(const struct bench_peer *peer, unsigned workers, int dirty, int out)
{
	char path[PATH_MAX] = "/proc/self/exe", number[16];

	if (peer->flags & BENCH_PROCESSES && sibling_path("life", path, sizeof(path)))
		_exit(1);
	snprintf(number, sizeof(number), "%u", workers);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(out, STDOUT_FILENO) < 0)
		_exit(1);
	execl(path, "life", "--life", peer->name, "--workers", number,
	      dirty ? "--dirty" : (char *)NULL, (char *)NULL);
	perror(path);
	_exit(1);
}

static int lives_read(int fd, struct life life[LIVES])
{
	FILE *file = fdopen(fd, "r");
	int n, count = 0;

	if (!file) {
		close(fd);
		return -1;
	}
	for (n = 0; n < LIVES; n++)
		count += fscanf(file, "%lf %lf %lf", &life[n].measure[START],
				&life[n].measure[STOP], &life[n].measure[MEMORY]);
	fclose(file);
	return count == LIVES * MEASURES ? 0 : -1;
}

static int lives_spawn(const struct bench_peer *peer, unsigned workers, int dirty,
		       struct life life[LIVES])
{
	int fds[2], status = -1, err;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid)
		life_exec(peer, workers, dirty, fds[1]);
	close(fds[1]);
	err = lives_read(fds[0], life);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		err = -1;
	return err;
}

/* ---- The workloads --------------------------------------------------------------------- */

static void table_setup(struct bench_table *t, const struct bench_workload *w,
			const char *name, const char *what, const char *unit,
			double scale, unsigned workers)
{
	unsigned i;

	t->name = name;
	snprintf(t->title, sizeof(t->title), "%s: %s", w->title, what);
	t->unit = unit;
	t->scale = scale;
	t->base = w->base;
	t->workers = workers;
	t->rounds = bench_rounds(w);
	for (i = 0; bench_peers[i]; i++)
		if (bench_chosen(w, bench_peers[i]))
			t->series[t->count++].peer = bench_peers[i];
}

/* Takes those out of the tables that the first round found missing. */
static void series_drop(struct bench_table tables[MEASURES], const char *missing)
{
	unsigned m, i, kept;

	for (m = 0; m < MEASURES; m++) {
		for (i = kept = 0; i < tables[m].count; i++)
			if (!missing[i])
				tables[m].series[kept++] = tables[m].series[i];
		tables[m].count = kept;
	}
}

static int round_run(const struct bench_workload *w, struct bench_table tables[MEASURES],
		     int dirty, unsigned round)
{
	unsigned count = tables[START].count, i, m;
	char missing[BENCH_PEERS_MAX] = { 0 };
	struct life life[LIVES];

	for (i = 0; i < count; i++) {
		unsigned index = (i + round) % count;
		const struct bench_peer *peer = tables[START].series[index].peer;

		bench_progress(w->name, peer->name, round + 1);
		if (lives_spawn(peer, tables[START].workers, dirty, life)) {
			if (round || !(peer->flags & BENCH_FOREIGN))
				return -1;
			missing[index] = 1;
			continue;
		}
		for (m = 0; m < MEASURES; m++) {
			struct bench_series *s = &tables[m].series[index];

			s->sample[round] = life[LIFE_LAST].measure[m];
			if (!round)
				s->first = life[LIFE_FIRST].measure[m];
		}
	}
	series_drop(tables, missing);
	return 0;
}

static int lives_run(const struct bench_workload *w, unsigned workers, int dirty)
{
	struct bench_table *tables = calloc(MEASURES, sizeof(*tables));
	unsigned i;
	int err = 0;

	if (!tables)
		return -ENOMEM;
	table_setup(&tables[START], w, dirty ? "dirty-start" : "w7-start",
		    "create until all workers have answered", "us", 1e-3, workers);
	table_setup(&tables[STOP], w, dirty ? "dirty-stop" : "w7-stop",
		    "stop until all have left", "us", 1e-3, workers);
	table_setup(&tables[MEMORY], w, dirty ? "dirty-pss" : "w7-pss",
		    "PSS for each worker", "KiB", 1.0 / 1024, workers);
	for (i = 0; !err && i < tables[START].rounds; i++)
		err = round_run(w, tables, dirty, i);
	/* Memory beside a dirty gigabyte says how much of it the workers map, and no more. */
	for (i = 0; !err && i < (dirty ? MEMORY : MEASURES); i++)
		bench_table_print(&tables[i]);
	free(tables);
	return err;
}

int bench_lifecycle_run(const struct bench_workload *w, unsigned workers)
{
	return lives_run(w, workers, 0);
}

int bench_dirty_run(const struct bench_workload *w, unsigned workers)
{
	return lives_run(w, workers, 1);
}

/*
 * One pool at a time: with two alive, nobody could say whose a switch is.
 * Returns 1 for a peer that is left out.
 */
static int idle_watch(const struct bench_workload *w, struct bench_series *series,
		      unsigned workers)
{
	const struct bench_peer *peer = series->peer;
	int64_t before;
	void *pool;
	int err;

	bench_progress(w->name, peer->name, 1);
	pool = peer->start(peer, workers, 0);
	if (!pool)
		return peer->flags & BENCH_FOREIGN ? 1 : -1;
	err = pool_greet(peer, pool, workers);
	bench_sleep(CALM_TIME);
	before = bench_switches();
	bench_sleep(IDLE_TIME);
	series->first = -1;
	series->sample[0] = (double)(bench_switches() - before);
	peer->stop(pool);
	return err;
}

int bench_idle_run(const struct bench_workload *w, unsigned workers)
{
	struct bench_table *t = calloc(1, sizeof(*t));
	unsigned i, kept;
	int err = 0;

	if (!t)
		return -ENOMEM;
	table_setup(t, w, w->name, "all its processes and threads", "switches", 1, workers);
	for (i = kept = 0; err >= 0 && i < t->count; i++) {
		err = idle_watch(w, &t->series[i], workers);
		if (!err)
			t->series[kept++] = t->series[i];
	}
	t->count = kept;
	if (err >= 0)
		bench_table_print(t);
	free(t);
	return err < 0 ? err : 0;
}
