/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipes.h"

struct worker {
	pid_t pid;
	int to, from;
	int busy;
	uint64_t index;		/* what it was asked for */
};

struct pool {
	const struct pipes_loop *loop;
	struct worker *worker;
	struct pollfd *polls;
	unsigned workers;	/* that were started */
	uint64_t next, done;
};

/* ---- The worker ------------------------------------------------------------------ */

/* Returns 0, or -1 at the end of the pipe or an error. */
static int read_all(int fd, void *buf, size_t len)
{
	char *p = buf;
	ssize_t n;

	for (; len; len -= (size_t)n, p += n) {
		do
			n = read(fd, p, len);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return -1;
	}
	return 0;
}

static int write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;
	ssize_t n;

	for (; len; len -= (size_t)n, p += n) {
		do
			n = write(fd, p, len);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return -1;
	}
	return 0;
}

/* Works until the host closes its end. */
static void worker_run(const struct pipes_loop *loop, int from, int to)
{
	void *out = calloc(1, loop->out_size);
	uint64_t index;

	while (out && !read_all(from, &index, sizeof(index))) {
		loop->fn(loop->arg, index, out);
		if (write_all(to, out, loop->out_size))
			break;
	}
}

/*
 * It must not keep the ends that the host has of the workers before it: who waits
 * for the end of a pipe waits for all who could write to it.
 */
static void worker_child(const struct pool *pool, pid_t host, int from, int to)
{
	unsigned i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != host)
		_exit(1);
	for (i = 0; i < pool->workers; i++) {
		close(pool->worker[i].to);
		close(pool->worker[i].from);
	}
	worker_run(pool->loop, from, to);
	_exit(0);
}

/* ---- The host --------------------------------------------------------------------- */

static int worker_start(struct pool *pool)
{
	struct worker *w = &pool->worker[pool->workers];
	pid_t host = getpid();
	int to[2], from[2];

	if (pipe(to))
		return -1;
	if (pipe(from)) {
		close(to[0]);
		close(to[1]);
		return -1;
	}
	*w = (struct worker){ .pid = fork(), .to = to[1], .from = from[0] };
	if (!w->pid) {
		close(to[1]);
		close(from[0]);
		worker_child(pool, host, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	pool->workers++;
	return w->pid < 0 ? -1 : 0;
}

/* The next item for a worker that has none, while there are any. */
static int worker_feed(struct pool *pool, struct worker *w)
{
	w->busy = pool->next < pool->loop->count;
	if (!w->busy)
		return 0;
	w->index = pool->next++;
	return write_all(w->to, &w->index, sizeof(w->index));
}

static int worker_collect(struct pool *pool, struct worker *w)
{
	const struct pipes_loop *loop = pool->loop;
	char *out = (char *)loop->out + w->index * loop->out_size;

	if (read_all(w->from, out, loop->out_size))
		return -1;
	pool->done++;
	if (loop->kill && pool->done == loop->count / 2)
		kill(pool->worker[0].pid, SIGKILL);
	return worker_feed(pool, w);
}

static int pool_collect(struct pool *pool)
{
	unsigned i;

	for (i = 0; i < pool->workers; i++)
		pool->polls[i] = (struct pollfd){
			.fd = pool->worker[i].busy ? pool->worker[i].from : -1,
			.events = POLLIN,
		};
	if (poll(pool->polls, pool->workers, -1) < 0)
		return errno == EINTR ? 0 : -1;
	for (i = 0; i < pool->workers; i++)
		if (pool->polls[i].revents && worker_collect(pool, &pool->worker[i]))
			return -1;
	return 0;
}

static int pool_work(struct pool *pool)
{
	unsigned i;

	for (i = 0; i < pool->workers; i++)
		if (worker_feed(pool, &pool->worker[i]))
			return -1;
	while (pool->done < pool->loop->count)
		if (pool_collect(pool))
			return -1;
	return 0;
}

static void pool_stop(struct pool *pool)
{
	unsigned i;

	for (i = 0; i < pool->workers; i++) {
		close(pool->worker[i].to);
		close(pool->worker[i].from);
	}
	for (i = 0; i < pool->workers; i++)
		if (pool->worker[i].pid > 0)
			waitpid(pool->worker[i].pid, NULL, 0);
}

int pipes_run(const struct pipes_loop *loop)
{
	struct pool pool = { .loop = loop };
	void (*before)(int) = signal(SIGPIPE, SIG_IGN);	/* a dead worker's pipe: an error, no death */
	int err = -1;

	fflush(NULL);
	pool.worker = calloc(loop->workers, sizeof(*pool.worker));
	pool.polls = calloc(loop->workers, sizeof(*pool.polls));
	if (pool.worker && pool.polls)
		err = 0;
	while (!err && pool.workers < loop->workers)
		err = worker_start(&pool);
	if (err) {
		fprintf(stderr, "pipes: can't start %u workers\n", loop->workers);
	} else if (pool_work(&pool)) {
		fprintf(stderr, "pipes: a worker died, and its item is lost\n");
		err = -1;
	}
	pool_stop(&pool);
	free(pool.worker);
	free(pool.polls);
	signal(SIGPIPE, before);
	return err;
}
