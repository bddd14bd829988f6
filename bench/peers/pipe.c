/* SPDX-License-Identifier: MIT */
/*
 * Peers: decent pools on pipes and on socket pairs.  Each worker has a stream of
 * requests and one of replies.  The host never blocks in a read or write, keeps
 * requests waiting with every busy worker (many at first, few towards the end, so
 * that all end together), and sends and receives the items' bytes straight from and
 * to the caller's arrays.
 *
 * pipe-item, pipe-chunk: two pipes for each worker; a write for each request and for
 * each reply, but replies that are there are read together.
 * socket-item, socket-chunk: a socket pair for each worker.  Requests go out and
 * replies come back many to a system call; a worker that has used up half of its
 * credit gets the whole again, so that what is sent together is much; it answers
 * what it has done before it sleeps.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* Requests that one worker may have, at first and towards the end. */
#define DEPTH		64
#define DEPTH_LEAST	2
#define WORKERS_MAX	1024
/* Requests of sockets, and replies, that one system call moves. */
#define BATCH		32
/* What a worker reads at once, and what it gathers before it writes, in bytes. */
#define BUFFER		16384
/* What a stream is to hold, and all of a pool's together, in bytes. */
#define PIPE_ROOM	((size_t)1 << 20)
#define SOCKET_ROOM	((size_t)256 << 10)
#define POOL_ROOM	((size_t)16 << 20)

enum { PIPE_ITEM, PIPE_CHUNK, SOCKET_ITEM, SOCKET_CHUNK };

/* A request; the items' input follows.  A count of 0 sends the worker home. */
struct request {
	forkpool_fn *fn;
	size_t count;
	uint32_t in_size, out_size;
	uint32_t gather;		/* so many replies may go together */
};

/* A reply is a word, so that an item without output has one too, and the items' output. */
typedef uint64_t reply_word;

/* A message that goes out or comes in piece by piece. */
struct transfer {
	struct request request;
	size_t first;
	reply_word word;
	size_t sent, received;
};

/* For a socket `to` and `from` are the same. */
struct lane {
	int to, from;
	pid_t pid;
	/* A ring: taken up by `queued`, sent up to `sent`, answered up to `answered`. */
	struct transfer ring[DEPTH];
	unsigned queued, sent, answered;
	int hungry;			/* gets more requests in this turn */
};

struct pool {
	int sockets, chunked;
	unsigned batch;			/* requests to a system call */
	unsigned depth;			/* requests that a worker may have now */
	unsigned workers;
	struct bench_job job;
	size_t chunk;			/* items to a request */
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

/* The worker's end, with what it has read ahead and what it has yet to write. */
struct wire {
	int from, to;
	size_t begin, end;		/* of what is in `in` */
	size_t gathered;		/* bytes in `out` ... */
	unsigned replies;		/* ... of so many replies */
	char in[BUFFER], out[BUFFER];
};

static int wire_flush(struct wire *w)
{
	size_t len = w->gathered;

	w->gathered = 0;
	w->replies = 0;
	return len ? write_all(w->to, w->out, len) : 0;
}

/* What was done is answered before this may sleep. */
static int wire_fill(struct wire *w)
{
	ssize_t n;

	if (wire_flush(w))
		return -1;
	do
		n = read(w->from, w->in, BUFFER);
	while (n < 0 && errno == EINTR);
	w->begin = 0;
	w->end = n > 0 ? (size_t)n : 0;
	return n > 0 ? 0 : -1;
}

static int wire_read(struct wire *w, void *to, size_t len)
{
	char *p = to;

	while (len) {
		size_t n = w->end - w->begin;

		n = n < len ? n : len;
		memcpy(p, w->in + w->begin, n);
		w->begin += n;
		p += n;
		len -= n;
		if (len >= BUFFER)
			return wire_flush(w) || read_all(w->from, p, len) ? -1 : 0;
		if (len && wire_fill(w))
			return -1;
	}
	return 0;
}

/* Writes a reply, together with GATHER - 1 others where it is small. */
static int wire_reply(struct wire *w, const void *from, size_t len, unsigned gather)
{
	if (w->gathered + len > BUFFER && wire_flush(w))
		return -1;
	if (len > BUFFER || (gather == 1 && !w->gathered))
		return write_all(w->to, from, len);
	memcpy(w->out + w->gathered, from, len);
	w->gathered += len;
	return ++w->replies < gather ? 0 : wire_flush(w);
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

static void requests_serve(struct wire *w)
{
	char *in = NULL, *out = NULL;
	size_t in_room = 0, out_room = 0;
	struct request r;

	while (!wire_read(w, &r, sizeof(r)) && r.count) {
		size_t in_len = r.count * r.in_size;
		size_t out_len = sizeof(reply_word) + r.count * r.out_size;
		struct bench_job job = { .fn = r.fn, .in_size = r.in_size,
					 .out_size = r.out_size };

		job.in = buffer_fit(&in, &in_room, in_len);
		job.out = buffer_fit(&out, &out_room, out_len) + sizeof(reply_word);
		memset(out, 0, sizeof(reply_word));
		if (wire_read(w, in, in_len))
			return;
		bench_items_run(&job, 0, r.count);
		if (wire_reply(w, out, out_len, r.gather))
			return;
	}
}

/* The lane is the worker's own end.  Of the buffers, only what is used costs memory. */
static void worker_run(void *arg)
{
	const struct lane *lane = arg;
	reply_word hello = 0;
	struct wire w;

	w.from = lane->from;
	w.to = lane->to;
	w.begin = w.end = w.gathered = w.replies = 0;
	if (!write_all(w.to, &hello, sizeof(hello)))
		requests_serve(&w);
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

static size_t bytes(const struct iovec *part, int n)
{
	size_t sum = 0;

	while (n--)
		sum += part[n].iov_len;
	return sum;
}

static size_t request_size(const struct transfer *t)
{
	return sizeof(t->request) + t->request.count * t->request.in_size;
}

static size_t reply_size(const struct transfer *t)
{
	return sizeof(t->word) + t->request.count * t->request.out_size;
}

/* The parts not yet sent of the next requests of a lane. */
static int parts_to_send(const struct pool *pool, struct lane *lane, struct iovec *part)
{
	unsigned i;
	int n = 0;

	for (i = lane->sent; i != lane->queued && i - lane->sent < pool->batch; i++) {
		struct transfer *t = &lane->ring[i % DEPTH];
		char *in = (char *)pool->job.in + t->first * t->request.in_size;

		n += parts_left(part + n, &t->request, sizeof(t->request), in,
				t->request.count * t->request.in_size, t->sent);
	}
	return n;
}

/* Sends what the stream takes.  Returns 0, or -1 when the worker is gone. */
static int lane_send(struct pool *pool, struct lane *lane)
{
	struct iovec part[2 * BATCH];

	while (lane->sent != lane->queued) {
		int n = parts_to_send(pool, lane, part);
		ssize_t len = writev(lane->to, part, n);
		size_t rest, asked;

		if (len < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		asked = bytes(part, n);
		for (rest = (size_t)len; rest;) {
			struct transfer *t = &lane->ring[lane->sent % DEPTH];
			size_t left = request_size(t) - t->sent;
			size_t step = left < rest ? left : rest;

			t->sent += step;
			rest -= step;
			lane->sent += step == left;
		}
		/* It is full. */
		if ((size_t)len < asked)
			return 0;
	}
	return 0;
}

/* The parts not yet received of the next replies of a lane. */
static int parts_to_receive(const struct pool *pool, struct lane *lane, struct iovec *part)
{
	unsigned i;
	int n = 0;

	for (i = lane->answered; i != lane->sent && i - lane->answered < BATCH; i++) {
		struct transfer *t = &lane->ring[i % DEPTH];
		char *out = pool->job.out + t->first * t->request.out_size;

		n += parts_left(part + n, &t->word, sizeof(t->word), out,
				t->request.count * t->request.out_size, t->received);
	}
	return n;
}

/* Takes what the stream has.  Returns 0, or -1 when the worker is gone. */
static int lane_receive(struct pool *pool, struct lane *lane)
{
	struct iovec part[2 * BATCH];

	while (lane->answered != lane->sent) {
		int n = parts_to_receive(pool, lane, part);
		ssize_t len = readv(lane->from, part, n);
		size_t rest, asked;

		if (len <= 0)
			return len < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
		asked = bytes(part, n);
		for (rest = (size_t)len; rest;) {
			struct transfer *t = &lane->ring[lane->answered % DEPTH];
			size_t left = reply_size(t) - t->received;
			size_t step = left < rest ? left : rest;

			t->received += step;
			rest -= step;
			if (step == left) {
				lane->answered++;
				pool->done += t->request.count;
			}
		}
		/* It is empty. */
		if ((size_t)len < asked)
			return 0;
	}
	return 0;
}

/* Cuts the next piece off the job for a worker that has fewer than TURN. */
static int lane_queue(struct pool *pool, struct lane *lane, unsigned turn)
{
	size_t left = pool->job.count - pool->next;
	size_t chunk = pool->chunk < left ? pool->chunk : left;
	struct transfer *t = &lane->ring[lane->queued % DEPTH];

	if (!left || lane->queued - lane->answered >= turn)
		return 0;
	t->request = (struct request){
		.fn = pool->job.fn, .count = chunk,
		.in_size = (uint32_t)pool->job.in_size,
		.out_size = (uint32_t)pool->job.out_size,
		/* Half of the credit: so a worker seldom runs out of requests. */
		.gather = pool->batch == 1 ? 1 : pool->depth / 2,
	};
	t->first = pool->next;
	t->sent = t->received = 0;
	pool->next += chunk;
	lane->queued++;
	return lane->queued - lane->sent < pool->batch ? 0 : lane_send(pool, lane);
}

static unsigned pool_depth(const struct pool *pool)
{
	size_t share = (pool->job.count - pool->next) / ((size_t)pool->workers * BENCH_CHUNKS);

	if (pool->chunked || share < DEPTH_LEAST)
		return DEPTH_LEAST;
	return share < DEPTH ? (unsigned)share : DEPTH;
}

/* With batches, only who has used up half of its credit gets more. */
static int lane_hungry(const struct pool *pool, const struct lane *lane)
{
	return pool->batch == 1 || lane->queued - lane->answered <= pool->depth / 2;
}

/* The least that any worker has. */
static unsigned pool_least(const struct pool *pool)
{
	unsigned least = DEPTH, i;

	for (i = 0; i < pool->workers; i++) {
		unsigned has = pool->lane[i].queued - pool->lane[i].answered;

		least = has < least ? has : least;
	}
	return least;
}

/* Every worker gets one piece before any gets a second. */
static int pool_queue(struct pool *pool)
{
	unsigned turn, i;

	pool->depth = pool_depth(pool);
	for (i = 0; i < pool->workers; i++)
		pool->lane[i].hungry = lane_hungry(pool, &pool->lane[i]);
	for (turn = pool_least(pool) + 1; turn <= pool->depth; turn++)
		for (i = 0; i < pool->workers && pool->next < pool->job.count; i++)
			if (pool->lane[i].hungry && lane_queue(pool, &pool->lane[i], turn))
				return -1;
	for (i = 0; i < pool->workers; i++)
		if (lane_send(pool, &pool->lane[i]))
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
	pool->chunk = pool->chunked ? bench_chunk(job->count, pool->workers) : 1;
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

/*
 * What each stream is to hold, so that big items need not wait for room so often.  A
 * user's pipes may hold so much together before the system makes new ones smaller: a
 * pool takes no more than a share of that.
 */
static size_t capacity(const struct pool *pool, unsigned workers)
{
	const size_t most = pool->sockets ? SOCKET_ROOM : PIPE_ROOM;
	const size_t share = POOL_ROOM / (2 * (size_t)workers);

	return share < most ? share : most;
}

/* Does without what the system doesn't allow. */
static void pipe_widen(int fd, size_t room)
{
	int has = fcntl(fd, F_GETPIPE_SZ);

	if (has > 0 && (size_t)has < room)
		fcntl(fd, F_SETPIPE_SZ, (int)room);
}

/* What a pair of sockets holds is up to the end that sends. */
static void socket_widen(int fd, size_t room)
{
	socklen_t len = sizeof(int);
	int has, want = (int)room;

	if (!getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &has, &len) && has < want)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want));
}

/* Both ends, the host's and the worker's. */
static int pipes_open(struct lane *lane, struct lane *far, size_t room)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC))
		return -1;
	if (pipe2(from, O_CLOEXEC)) {
		close(to[0]);
		close(to[1]);
		return -1;
	}
	pipe_widen(to[1], room);
	pipe_widen(from[1], room);
	lane->to = to[1];
	lane->from = from[0];
	far->from = to[0];
	far->to = from[1];
	return 0;
}

static int sockets_open(struct lane *lane, struct lane *far, size_t room)
{
	int end[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, end))
		return -1;
	socket_widen(end[0], room);
	socket_widen(end[1], room);
	lane->to = lane->from = end[0];
	far->to = far->from = end[1];
	return 0;
}

static void ends_close(int to, int from)
{
	close(to);
	if (from != to)
		close(from);
}

static int lane_start(const struct pool *pool, struct lane *lane, size_t room)
{
	struct lane far;

	if (pool->sockets ? sockets_open(lane, &far, room) : pipes_open(lane, &far, room))
		return -1;
	lane->pid = bench_worker_fork(worker_run, &far);
	ends_close(far.to, far.from);
	if (lane->pid > 0)
		return 0;
	ends_close(lane->to, lane->from);
	return -1;
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
		ends_close(pool->lane[i].to, pool->lane[i].from);
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
	pool->sockets = peer->variant == SOCKET_ITEM || peer->variant == SOCKET_CHUNK;
	pool->chunked = peer->variant == PIPE_CHUNK || peer->variant == SOCKET_CHUNK;
	pool->batch = pool->sockets ? BATCH : 1;
	pool->polls = calloc(workers, 2 * sizeof(*pool->polls));
	if (!pool->polls)
		goto fail;
	while (pool->workers < workers) {
		if (lane_start(pool, &pool->lane[pool->workers], capacity(pool, workers)))
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
	.variant = PIPE_ITEM,
	.start = pool_start,
	.map = pool_map,
	.stop = pool_stop,
};

const struct bench_peer bench_pipe_chunk = {
	.name = "pipe-chunk",
	.flags = BENCH_PROCESSES | BENCH_COPIES | BENCH_VARIANT,
	.variant = PIPE_CHUNK,
	.start = pool_start,
	.map = pool_map,
	.stop = pool_stop,
};

const struct bench_peer bench_socket_item = {
	.name = "socket-item",
	.flags = BENCH_PROCESSES | BENCH_PER_ITEM | BENCH_COPIES,
	.variant = SOCKET_ITEM,
	.start = pool_start,
	.map = pool_map,
	.stop = pool_stop,
};

const struct bench_peer bench_socket_chunk = {
	.name = "socket-chunk",
	.flags = BENCH_PROCESSES | BENCH_COPIES | BENCH_VARIANT,
	.variant = SOCKET_CHUNK,
	.start = pool_start,
	.map = pool_map,
	.stop = pool_stop,
};
