/* SPDX-License-Identifier: MIT */
/*
 * Peer: a decent pool on pipes.  Each worker has a pipe for requests and one
 * for replies.  The host never blocks in a read or write, keeps requests waiting
 * in the pipe of every busy worker (many at first, few towards the end, so that
 * all end together), and sends and receives the items' bytes straight from and
 * to the caller's arrays.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* Requests that one worker may have, at first and towards the end. */
#define DEPTH		64
#define DEPTH_LEAST	2
#define WORKERS_MAX	1024

/* A request; the items' input follows.  A count of 0 sends the worker home. */
struct request {
	struct bench_job job;
	size_t first, count;
};

/* A reply is a word, so that an item without output has one too, and the items' output. */
typedef uint64_t reply_word;

/* A message that goes out or comes in piece by piece. */
struct transfer {
	struct request request;
	reply_word word;
	size_t sent, received;
};

struct lane {
	int to, from;
	pid_t pid;
	/* A ring: taken up by `queued`, sent up to `sent`, answered up to `answered`. */
	struct transfer ring[DEPTH];
	unsigned queued, sent, answered;
};

struct pool {
	int chunked;
	unsigned workers;
	struct bench_job job;
	size_t next, done;
	struct pollfd *polls;
	struct lane lane[];
};

/* ---- The worker ------------------------------------------------------------ */

static int read_all(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n <= 0 && !(n < 0 && errno == EINTR))
			return -1;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static char *buffer_fit(char **buf, size_t *room, size_t need)
{
	if (need >= *room) {
		free(*buf);
		*buf = malloc(need + 1);
		if (!*buf)
			_exit(1);
		*room = need + 1;
	}
	return *buf;
}

static void worker_run(void *arg)
{
	struct lane *lane = arg;
	char *in = NULL, *out = NULL;
	size_t in_room = 0, out_room = 0;
	reply_word hello = 0;
	struct request r;

	write_all(lane->from, &hello, sizeof(hello));
	while (!read_all(lane->to, &r, sizeof(r)) && r.count) {
		size_t in_len = r.count * r.job.in_size;
		size_t out_len = sizeof(reply_word) + r.count * r.job.out_size;

		r.job.in = buffer_fit(&in, &in_room, in_len);
		r.job.out = buffer_fit(&out, &out_room, out_len) + sizeof(reply_word);
		memset(out, 0, sizeof(reply_word));
		if (read_all(lane->to, in, in_len))
			return;
		bench_items_run(&r.job, 0, r.count);
		if (write_all(lane->from, out, out_len))
			return;
	}
}

/* ---- The host --------------------------------------------------------------- */

/* The bytes of A then B behind the first DONE of them, as an iovec; returns how many parts. */
static int parts_left(struct iovec part[2], void *a, size_t a_len, void *b,
		      size_t b_len, size_t done)
{
	int n = 0;

	if (done < a_len) {
		part[n++] = (struct iovec){ (char *)a + done, a_len - done };
		done = a_len;
	}
	if (done - a_len < b_len)
		part[n++] = (struct iovec){ (char *)b + (done - a_len),
					    b_len - (done - a_len) };
	return n;
}

/* Sends what the pipe takes.  Returns 0, or -1 when the worker is gone. */
static int lane_send(struct pool *pool, struct lane *lane)
{
	while (lane->sent != lane->queued) {
		struct transfer *t = &lane->ring[lane->sent % DEPTH];
		char *in = (char *)pool->job.in + t->request.first * pool->job.in_size;
		struct iovec part[2];
		int n = parts_left(part, &t->request, sizeof(t->request), in,
				   t->request.count * pool->job.in_size, t->sent);
		ssize_t len;

		if (!n) {
			lane->sent++;
			continue;
		}
		len = writev(lane->to, part, n);
		if (len < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		t->sent += (size_t)len;
	}
	return 0;
}

/* Takes what the pipe has.  Returns 0, or -1 when the worker is gone. */
static int lane_receive(struct pool *pool, struct lane *lane)
{
	while (lane->answered != lane->sent) {
		struct transfer *t = &lane->ring[lane->answered % DEPTH];
		char *out = pool->job.out + t->request.first * pool->job.out_size;
		struct iovec part[2];
		int n = parts_left(part, &t->word, sizeof(t->word), out,
				   t->request.count * pool->job.out_size, t->received);
		ssize_t len;

		if (!n) {
			lane->answered++;
			pool->done += t->request.count;
			continue;
		}
		len = readv(lane->from, part, n);
		if (len <= 0)
			return len < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
		t->received += (size_t)len;
	}
	return 0;
}

/* Cuts the next piece off the job for a worker that has fewer than DEPTH. */
static int lane_queue(struct pool *pool, struct lane *lane, unsigned depth)
{
	size_t left = pool->job.count - pool->next;
	size_t chunk = pool->chunked ? bench_chunk(pool->job.count, pool->workers) : 1;
	struct transfer *t = &lane->ring[lane->queued % DEPTH];

	if (!left || lane->queued - lane->answered >= depth)
		return 0;
	if (chunk > left)
		chunk = left;
	t->request = (struct request){ pool->job, pool->next, chunk };
	t->sent = t->received = 0;
	pool->next += chunk;
	lane->queued++;
	return lane_send(pool, lane);
}

static unsigned pool_depth(const struct pool *pool)
{
	size_t share = (pool->job.count - pool->next) / ((size_t)pool->workers * BENCH_CHUNKS);

	if (pool->chunked || share < DEPTH_LEAST)
		return DEPTH_LEAST;
	return share < DEPTH ? (unsigned)share : DEPTH;
}

/* Every worker gets one piece before any gets a second. */
static int pool_queue(struct pool *pool)
{
	unsigned most = pool_depth(pool), depth, i;

	for (depth = 1; depth <= most; depth++)
		for (i = 0; i < pool->workers; i++)
			if (lane_queue(pool, &pool->lane[i], depth))
				return -1;
	return 0;
}

static int pool_wait(struct pool *pool)
{
	unsigned i;

	for (i = 0; i < pool->workers; i++) {
		struct lane *lane = &pool->lane[i];
		struct pollfd *p = &pool->polls[2 * i];

		p[0] = (struct pollfd){ .fd = lane->answered != lane->sent ? lane->from : -1,
					.events = POLLIN };
		p[1] = (struct pollfd){ .fd = lane->sent != lane->queued ? lane->to : -1,
					.events = POLLOUT };
	}
	if (poll(pool->polls, 2 * pool->workers, -1) < 0 && errno != EINTR)
		return -1;
	for (i = 0; i < pool->workers; i++) {
		struct pollfd *p = &pool->polls[2 * i];

		if (p[1].revents && lane_send(pool, &pool->lane[i]))
			return -1;
		if (p[0].revents && lane_receive(pool, &pool->lane[i]))
			return -1;
	}
	return 0;
}

static int pool_map(void *arg, const struct bench_job *job)
{
	struct pool *pool = arg;

	pool->job = *job;
	pool->next = pool->done = 0;
	while (pool->done < job->count)
		if (pool_queue(pool) || pool_wait(pool))
			return -FORKPOOL_EBROKEN;
	return 0;
}

/* ---- Start and stop --------------------------------------------------------- */

static void nonblock_set(int fd, int on)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

static int lane_start(struct lane *lane)
{
	int to[2], from[2];
	struct lane far;

	if (pipe2(to, O_CLOEXEC))
		return -1;
	if (pipe2(from, O_CLOEXEC)) {
		close(to[0]);
		close(to[1]);
		return -1;
	}
	far = (struct lane){ .to = to[0], .from = from[1] };
	*lane = (struct lane){ .to = to[1], .from = from[0] };
	lane->pid = bench_worker_fork(worker_run, &far);
	close(to[0]);
	close(from[1]);
	return lane->pid < 0 ? -1 : 0;
}

static void pool_stop(void *arg)
{
	struct pool *pool = arg;
	struct request home = { .count = 0 };
	unsigned i;

	for (i = 0; i < pool->workers; i++) {
		nonblock_set(pool->lane[i].to, 0);
		write_all(pool->lane[i].to, &home, sizeof(home));
	}
	for (i = 0; i < pool->workers; i++) {
		close(pool->lane[i].to);
		close(pool->lane[i].from);
		if (pool->lane[i].pid > 0)
			waitpid(pool->lane[i].pid, NULL, 0);
	}
	free(pool->polls);
	free(pool);
}

static int pool_hello(struct pool *pool)
{
	reply_word hello;
	unsigned i;

	for (i = 0; i < pool->workers; i++) {
		if (read_all(pool->lane[i].from, &hello, sizeof(hello)))
			return -1;
		nonblock_set(pool->lane[i].from, 1);
		nonblock_set(pool->lane[i].to, 1);
	}
	return 0;
}

static void *pool_start(const struct bench_peer *peer, unsigned workers, size_t shared)
{
	struct pool *pool = calloc(1, sizeof(*pool) + workers * sizeof(pool->lane[0]));

	(void)shared;
	if (!pool || workers > WORKERS_MAX)
		goto fail;
	pool->chunked = peer->variant;
	pool->polls = calloc(workers, 2 * sizeof(*pool->polls));
	if (!pool->polls)
		goto fail;
	while (pool->workers < workers) {
		if (lane_start(&pool->lane[pool->workers]))
			goto fail_lanes;
		pool->workers++;
	}
	if (!pool_hello(pool))
		return pool;
fail_lanes:
	pool_stop(pool);
	pool = NULL;
fail:
	free(pool);
	fprintf(stderr, "%s: can't start %u workers\n", peer->name, workers);
	return NULL;
}

const struct bench_peer bench_pipe_item = {
	.name = "pipe-item",
	.flags = BENCH_PROCESSES | BENCH_PER_ITEM | BENCH_COPIES,
	.variant = 0,
	.start = pool_start,
	.map = pool_map,
	.stop = pool_stop,
};

const struct bench_peer bench_pipe_chunk = {
	.name = "pipe-chunk",
	.flags = BENCH_PROCESSES | BENCH_COPIES | BENCH_VARIANT,
	.variant = 1,
	.start = pool_start,
	.map = pool_map,
	.stop = pool_stop,
};
