/* SPDX-License-Identifier: MIT */
/*
 * Peers for single tasks: pools on pipes, sockets and message queues.  All workers read one
 * channel of requests, to which all submitters write, and each submitter has a
 * channel of replies of its own, to which all workers write: the kernel keeps
 * records whole, so there is no lock.
 *
 * pipe-task: a write and a read for each task, on both sides.
 * mqueue-task: the same with queues, which take few messages (10, if nobody has raised
 * that), and a credit of as many tasks.
 * socket-32: packets of up to 32 tasks, sent when they are full or when there is
 * nothing to do but wait.
 *
 * A submitter has credit for BENCH_WINDOW tasks.  When it is used up, half of them
 * come back before it submits again: so the two sides seldom wake each other, and
 * packets stay full.  Packets under way are then few enough for the replies of all
 * of them to fit their channel: no worker blocks in a write, nothing locks up.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peers.h"

enum { PIPE, SOCKET, QUEUE };

#define PACKET		32	/* tasks */

/* No function sends a worker home. */
struct request {
	forkpool_fn *fn;
	uint32_t submitter, index;
	struct bench_task task;
};

struct reply {
	uint64_t index, out;
};

/* [0] is read, [1] is written; a queue is both. */
struct channel {
	int kind;
	int fd[2];
};

struct pool {
	int kind;
	unsigned packet, window;	/* tasks */
	unsigned workers, submitters;
	struct channel requests, replies[BENCH_SUBMITTERS_MAX];
	pid_t pid[];
};

/* ---- Both sides ---------------------------------------------------------------- */

/* Reads one packet; returns how many records of SIZE it has, or a negative error. */
static int packet_read(const struct channel *from, void *to, size_t size, unsigned most)
{
	ssize_t len;

	do
		len = from->kind == QUEUE ? bench_queue_receive(from->fd[0], to, size * most)
					  : read(from->fd[0], to, size * most);
	while (len < 0 && errno == EINTR);
	return len > 0 && len % (ssize_t)size == 0 ? (int)(len / (ssize_t)size)
						   : -FORKPOOL_EBROKEN;
}

static int packet_write(const struct channel *to, const void *from, size_t size, unsigned count)
{
	ssize_t len;

	if (to->kind == QUEUE)
		return bench_queue_send(to->fd[1], from, size * count);
	do
		len = write(to->fd[1], from, size * count);
	while (len < 0 && errno == EINTR);
	return len == (ssize_t)(size * count) ? 0 : -FORKPOOL_EBROKEN;
}

/* ---- The worker ---------------------------------------------------------------- */

static void worker_run(void *arg)
{
	struct pool *pool = arg;
	struct request request[PACKET];
	struct reply reply[PACKET];
	int n, i;

	for (;;) {
		n = packet_read(&pool->requests, request, sizeof(request[0]), pool->packet);
		for (i = 0; i < n; i++) {
			if (!request[i].fn)
				return;
			reply[i].index = request[i].index;
			request[i].fn(NULL, &request[i].task, &reply[i].out);
		}
		if (n < 0 || packet_write(&pool->replies[request[0].submitter], reply,
					  sizeof(reply[0]), (unsigned)n))
			return;
	}
}

/* ---- The submitter --------------------------------------------------------------- */

struct client {
	const struct pool *pool;
	const struct bench_stream *stream;
	unsigned submitter;
	size_t sent, collected;
	struct request box[PACKET];
	unsigned boxed;
};

static int client_flush(struct client *c)
{
	unsigned n = c->boxed;

	c->boxed = 0;
	return n ? packet_write(&c->pool->requests, c->box, sizeof(c->box[0]), n) : 0;
}

static int client_submit(struct client *c)
{
	c->box[c->boxed++] = (struct request){
		c->stream->fn, c->submitter, (uint32_t)c->sent, c->stream->in[c->sent],
	};
	c->sent++;
	return c->boxed == c->pool->packet ? client_flush(c) : 0;
}

static int client_collect(struct client *c)
{
	struct reply reply[PACKET];
	int n = packet_read(&c->pool->replies[c->submitter], reply, sizeof(reply[0]),
			    c->pool->packet);
	int i;

	if (n < 0)
		return n;
	for (i = 0; i < n; i++)
		c->stream->out[reply[i].index] = reply[i].out;
	c->collected += (size_t)n;
	return 0;
}

static int pool_stream(void *arg, unsigned submitter, const struct bench_stream *stream)
{
	const struct pool *pool = arg;
	struct client c = { .pool = pool, .stream = stream, .submitter = submitter };
	const size_t window = pool->window;
	int err = 0;

	while (!err && c.collected < stream->count) {
		while (!err && c.sent < stream->count && c.sent - c.collected < window)
			err = client_submit(&c);
		if (!err)
			err = client_flush(&c);
		while (!err && c.collected < c.sent &&
		       (c.sent == stream->count || c.sent - c.collected > window / 2))
			err = client_collect(&c);
	}
	return err;
}

/* ---- Start and stop ---------------------------------------------------------------- */

static int channel_open(struct pool *pool, struct channel *ret, size_t record)
{
	unsigned depth;

	ret->kind = pool->kind;
	if (ret->kind == PIPE)
		return pipe2(ret->fd, O_CLOEXEC);
	if (ret->kind == SOCKET)
		return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret->fd);
	ret->fd[0] = ret->fd[1] = bench_queue_open(record * pool->packet, &depth);
	/* The replies to all that is under way must fit. */
	if (ret->fd[0] >= 0 && pool->window > depth)
		pool->window = depth;
	return ret->fd[0] < 0 ? -1 : 0;
}

static void channel_close(const struct channel *channel)
{
	close(channel->fd[0]);
	if (channel->kind != QUEUE)
		close(channel->fd[1]);
}

static void pool_stop(void *arg)
{
	struct pool *pool = arg;
	const struct request home = { .fn = NULL };
	unsigned i;

	for (i = 0; i < pool->workers; i++)
		packet_write(&pool->requests, &home, sizeof(home), 1);
	for (i = 0; i < pool->workers; i++)
		waitpid(pool->pid[i], NULL, 0);
	channel_close(&pool->requests);
	for (i = 0; i < pool->submitters; i++)
		channel_close(&pool->replies[i]);
	free(pool);
}

/* The pool is gone when this fails. */
static int channels_open(struct pool *pool, unsigned submitters)
{
	if (channel_open(pool, &pool->requests, sizeof(struct request))) {
		free(pool);
		return -1;
	}
	for (; pool->submitters < submitters; pool->submitters++)
		if (channel_open(pool, &pool->replies[pool->submitters], sizeof(struct reply))) {
			pool_stop(pool);
			return -1;
		}
	return 0;
}

static void *pool_start(const struct bench_task_peer *peer, unsigned workers,
			unsigned submitters)
{
	struct pool *pool = NULL;

	if (submitters <= BENCH_SUBMITTERS_MAX)
		pool = calloc(1, sizeof(*pool) + workers * sizeof(pool->pid[0]));
	if (!pool)
		goto fail;
	pool->kind = peer->peer.variant;
	pool->packet = pool->kind == SOCKET ? PACKET : 1;
	pool->window = BENCH_WINDOW;
	if (channels_open(pool, submitters))
		goto fail;
	for (; pool->workers < workers; pool->workers++) {
		pid_t pid = bench_worker_fork(worker_run, pool);

		if (pid < 0) {
			pool_stop(pool);
			goto fail;
		}
		pool->pid[pool->workers] = pid;
	}
	return pool;
fail:
	fprintf(stderr, "%s: can't start %u workers\n", peer->peer.name, workers);
	return NULL;
}

const struct bench_task_peer bench_pipe_task = {
	.peer = { .name = "pipe-task", .flags = BENCH_PROCESSES | BENCH_PER_ITEM,
		  .variant = PIPE },
	.start = pool_start,
	.stop = pool_stop,
	.stream = pool_stream,
};

const struct bench_task_peer bench_socket_task = {
	.peer = { .name = "socket-32", .flags = BENCH_PROCESSES, .variant = SOCKET },
	.start = pool_start,
	.stop = pool_stop,
	.stream = pool_stream,
};

const struct bench_task_peer bench_mqueue_task = {
	.peer = { .name = "mqueue-task", .flags = BENCH_PROCESSES | BENCH_PER_ITEM,
		  .variant = QUEUE },
	.start = pool_start,
	.stop = pool_stop,
	.stream = pool_stream,
};
