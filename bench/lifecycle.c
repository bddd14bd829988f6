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

static int memory_dirty(size_t size)
{
	void *dirty = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (dirty == MAP_FAILED)
		return -errno;
	/* Small pages: the worst case, and the usual one of a heap that grew bit by bit. */
	madvise(dirty, size, MADV_NOHUGEPAGE);
	memset(dirty, 1, size);
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
	if (dirty && memory_dirty((size_t)dirty << 20))
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

static void life_exec(const struct bench_peer *peer, unsigned workers, int dirty, int out)
{
	char path[PATH_MAX] = "/proc/self/exe", number[16], mib[16];

	if (peer->flags & BENCH_PROCESSES && bench_file_find("life", path, sizeof(path)))
		_exit(1);
	snprintf(number, sizeof(number), "%u", workers);
	snprintf(mib, sizeof(mib), "%d", dirty);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(out, STDOUT_FILENO) < 0)
		_exit(1);
	execl(path, "life", "--life", peer->name, "--workers", number,
	      dirty ? "--dirty" : (char *)NULL, mib, (char *)NULL);
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

	bench_table_setup(t, w, workers);
	t->name = name;
	snprintf(t->title, sizeof(t->title), "%s: %s", w->title, what);
	t->unit = unit;
	t->scale = scale;
	for (i = 0; bench_peers[i]; i++)
		if (bench_chosen(w, bench_peers[i]))
			t->series[t->count++].peer = bench_peers[i];
}

/* By their peers: a series' number changes where another one is left out. */
static unsigned turns_draw(const struct bench_table *t, unsigned round,
			   const struct bench_peer *turn[BENCH_PEERS_MAX])
{
	unsigned order[BENCH_PEERS_MAX], i;

	bench_order(t, round, t->count, order);
	for (i = 0; i < t->count; i++)
		turn[i] = t->series[order[i]].peer;
	return t->count;
}

static unsigned series_index(const struct bench_table *t, const struct bench_peer *peer)
{
	unsigned i = 0;

	while (t->series[i].peer != peer)
		i++;
	return i;
}

static int round_run(const struct bench_workload *w, struct bench_table tables[MEASURES],
		     int dirty, unsigned round)
{
	const struct bench_peer *turn[BENCH_PEERS_MAX];
	const unsigned count = turns_draw(&tables[START], round, turn);
	struct life life[LIVES];
	unsigned i, m;

	for (i = 0; i < count; i++) {
		const struct bench_peer *peer = turn[i];
		const unsigned index = series_index(&tables[START], peer);

		bench_progress(w->name, peer->name, round + 1);
		if (lives_spawn(peer, tables[START].workers, dirty, life)) {
			if (round)
				return -1;
			/* One that can't start has said so, and is left out. */
			for (m = 0; m < MEASURES; m++)
				bench_series_drop(&tables[m], index);
			continue;
		}
		for (m = 0; m < MEASURES; m++) {
			struct bench_series *s = &tables[m].series[index];

			s->sample[round] = life[LIFE_LAST].measure[m];
			if (!round)
				s->first = life[LIFE_FIRST].measure[m];
		}
	}
	return 0;
}

/* Of the tables' names, NAME is the beginning. */
static int lives_run(const struct bench_workload *w, const char *name, unsigned workers,
		     unsigned measures)
{
	static const char *const what[MEASURES] = {
		[START] = "create until all workers have answered",
		[STOP] = "stop until all have left", [MEMORY] = "PSS for each worker",
	};
	static const char *const suffix[MEASURES] = { "start", "stop", "pss" };
	struct bench_table *tables = calloc(MEASURES, sizeof(*tables));
	char names[MEASURES][64];
	unsigned i;
	int err = 0;

	if (!tables)
		return -ENOMEM;
	for (i = 0; i < MEASURES; i++) {
		snprintf(names[i], sizeof(names[i]), "%s-%s", name, suffix[i]);
		table_setup(&tables[i], w, names[i], what[i], i == MEMORY ? "KiB" : "us",
			    i == MEMORY ? 1.0 / 1024 : 1e-3, workers);
		/* The points of a sweep are those of one measure. */
		if (i != START)
			tables[i].group = NULL;
	}
	for (i = 0; !err && i < tables[START].rounds; i++)
		err = round_run(w, tables, w->dirty, i);
	for (i = 0; !err && i < measures; i++)
		bench_table_print(&tables[i]);
	free(tables);
	return err;
}

int bench_lifecycle_run(const struct bench_workload *w, unsigned workers)
{
	return lives_run(w, w->name, workers, MEASURES);
}

/* Memory beside dirty memory says how much of it the workers map, and no more. */
int bench_dirty_run(const struct bench_workload *w, unsigned workers)
{
	return lives_run(w, strcmp(w->name, "create-dirty") ? w->name : "dirty", workers, MEMORY);
}

/*
 * One pool at a time: with two alive, nobody could say whose a switch is.
 * Returns 1 for a peer that is left out.
 */
static int idle_watch(const struct bench_workload *w, struct bench_series *series,
		      unsigned workers)
{
	const struct bench_peer *peer = series->peer;
	const int64_t div = bench_opt.smoke ? 100 : 1;
	int64_t before;
	void *pool;
	int err;

	bench_progress(w->name, peer->name, 1);
	pool = peer->start(peer, workers, 0);
	if (!pool)
		return 1;
	err = pool_greet(peer, pool, workers);
	bench_sleep(CALM_TIME / div);
	before = bench_switches();
	bench_sleep(IDLE_TIME / div);
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
