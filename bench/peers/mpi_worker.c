/* SPDX-License-Identifier: MIT */
/*
 * A pool of MPI processes: rank 0 is the master, which the runner asks as
 * foreign.h says, the other ranks are workers.
 *
 * A loop is cut into pieces; each worker has two of them at first, and gets
 * another one for each result.  The master receives into the results' own place,
 * posted with the piece; a worker does not wait until its results have gone.  A message is the bytes of a piece's items, or of
 * its results, and its tag is the piece's number; a job's own message comes before.
 *
 * A rank that waits for a message spins.  So that an idle pool leaves the CPUs to
 * the peers that are measured next, workers that have had nothing for some time
 * between two requests sleep on a word in the runner's memory until the next one
 * comes: the runner's small map before each sample wakes them.  The word is odd
 * while messages may be under way, and then nobody sleeps.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mpi.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "peers/foreign.h"

#define MASTER		0
/* Tags: a job, and from FIRST_PIECE on its pieces. */
#define JOB		0
#define FIRST_PIECE	1
/* Pieces that a worker has at a time. */
#define DEPTH		2
/* ... where they are single tasks; with more, messages queue up in slower places. */
#define DEPTH_MAX	64
/* A message has no more bytes. */
#define MESSAGE_MAX	((size_t)1 << 30)
/* How long a worker spins before it sleeps, ns: longer than a master needs between two requests. */
#define SPIN_TIME	INT64_C(5000000)
#define PIECES		4	/* for each worker */

struct job {
	char body[64];		/* empty: the worker goes home */
	size_t in_size, out_size, count, piece;
};

/* What a request names, beside the job. */
struct places {
	size_t in, out;
};

static char *memory;		/* the master's, all of it; of a worker's, its first page */
static unsigned workers;

/* In the first page: written by the master before and after each request. */
static _Atomic uint32_t *requests_word(void)
{
	return (_Atomic uint32_t *)(void *)memory;
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A descriptor of the runner's program is one of mpirun, which started this rank. */
static int runner_open(int number, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getppid(), number);
	return open(path, flags | O_CLOEXEC);
}

static char *memory_map(size_t size)
{
	int fd = runner_open(FOREIGN_MEMORY, O_RDWR);
	char *p = fd < 0 ? MAP_FAILED
			 : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

/* ---- A worker ----------------------------------------------------------------------- */

static void *buffer_fit(char **buf, size_t *room, size_t need)
{
	if (need >= *room) {
		free(*buf);
		*room = need + 1;
		*buf = malloc(*room);
		if (!*buf)
			MPI_Abort(MPI_COMM_WORLD, 1);
	}
	return *buf;
}

/* The next message; it spins for some time, as MPI does, then it sleeps. */
static void message_await(MPI_Status *status)
{
	int64_t until = now() + SPIN_TIME;
	int there = 0;

	while (!there) {
		uint32_t seen = atomic_load(requests_word());
		unsigned i;

		for (i = 0; i < 1000 && !there; i++)
			MPI_Iprobe(MASTER, MPI_ANY_TAG, MPI_COMM_WORLD, &there, status);
		if (there || seen % 2 || now() < until)
			continue;
		syscall(SYS_futex, requests_word(), FUTEX_WAIT, seen, NULL, NULL, 0);
		until = now() + SPIN_TIME;
	}
}

/* Results on their way; the next ones go to the other one's memory meanwhile. */
struct parcel {
	char *out;
	size_t room;
	MPI_Request request;
};

static struct parcel parcels[2] = {
	{ .request = MPI_REQUEST_NULL }, { .request = MPI_REQUEST_NULL },
};

static void piece_run(const struct job *job, forkpool_fn *fn, const MPI_Status *status)
{
	static char *in;
	static size_t in_room;
	static unsigned turn;
	struct parcel *p = &parcels[turn++ % 2];
	size_t first = (size_t)(status->MPI_TAG - FIRST_PIECE) * job->piece, i;
	size_t count = job->count - first < job->piece ? job->count - first : job->piece;

	MPI_Wait(&p->request, MPI_STATUS_IGNORE);
	buffer_fit(&in, &in_room, count * job->in_size);
	buffer_fit(&p->out, &p->room, count * job->out_size);
	MPI_Recv(in, (int)(count * job->in_size), MPI_BYTE, MASTER, status->MPI_TAG,
		 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	for (i = 0; i < count; i++)
		fn(NULL, in + i * job->in_size, p->out + i * job->out_size);
	MPI_Isend(p->out, (int)(count * job->out_size), MPI_BYTE, MASTER, status->MPI_TAG,
		  MPI_COMM_WORLD, &p->request);
}

static void worker_run(void *module)
{
	forkpool_fn *(*find)(const char *name) = NULL;
	forkpool_fn *fn = NULL;
	struct job job;
	MPI_Status status;

	prctl(PR_SET_NAME, "bench-worker");
	*(void **)(void *)&find = dlsym(module, "bench_body");
	for (;;) {
		message_await(&status);
		if (status.MPI_TAG != JOB) {
			piece_run(&job, fn, &status);
			continue;
		}
		MPI_Recv(&job, sizeof(job), MPI_BYTE, MASTER, JOB, MPI_COMM_WORLD,
			 MPI_STATUS_IGNORE);
		if (!job.body[0]) {
			MPI_Wait(&parcels[0].request, MPI_STATUS_IGNORE);
			MPI_Wait(&parcels[1].request, MPI_STATUS_IGNORE);
			return;
		}
		fn = find ? find(job.body) : NULL;
		if (!fn)
			MPI_Abort(MPI_COMM_WORLD, 1);
	}
}

/* ---- The master --------------------------------------------------------------------- */

/* What one worker has at the moment, oldest first: how a piece goes there, and its results come. */
struct lane {
	MPI_Request there[DEPTH_MAX], back[DEPTH_MAX];
	size_t sent, answered;
};

static void job_announce(const struct job *job)
{
	unsigned i;

	atomic_fetch_add(requests_word(), 1);
	syscall(SYS_futex, requests_word(), FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	for (i = 1; i <= workers; i++)
		MPI_Send(job, sizeof(*job), MPI_BYTE, (int)i, JOB, MPI_COMM_WORLD);
}

/* All its messages have been received. */
static void job_end(void)
{
	atomic_fetch_add(requests_word(), 1);
}

static size_t piece_items(const struct job *job, size_t piece)
{
	size_t left = job->count - piece * job->piece;

	return left < job->piece ? left : job->piece;
}

/* Where the results shall go is said before: they need not wait until the master looks. */
static void piece_send(const struct job *job, const struct places *at, size_t piece,
		       struct lane *lane, unsigned worker)
{
	const size_t items = piece_items(job, piece), k = lane->sent++ % DEPTH_MAX;
	const int tag = (int)(FIRST_PIECE + piece);

	MPI_Irecv(memory + at->out + piece * job->piece * job->out_size,
		  (int)(items * job->out_size), MPI_BYTE, (int)worker, tag, MPI_COMM_WORLD,
		  &lane->back[k]);
	MPI_Isend(memory + at->in + piece * job->piece * job->in_size,
		  (int)(items * job->in_size), MPI_BYTE, (int)worker, tag, MPI_COMM_WORLD,
		  &lane->there[k]);
}

/* From whichever worker has one; it answers in the order in which it was sent to. */
static unsigned piece_receive(struct lane *lanes, MPI_Request *oldest)
{
	struct lane *lane;
	unsigned worker;
	int which;

	for (worker = 1; worker <= workers; worker++) {
		lane = &lanes[worker];
		oldest[worker - 1] = lane->answered == lane->sent
				     ? MPI_REQUEST_NULL : lane->back[lane->answered % DEPTH_MAX];
	}
	MPI_Waitany((int)workers, oldest, &which, MPI_STATUS_IGNORE);
	lane = &lanes[which + 1];
	MPI_Wait(&lane->there[lane->answered++ % DEPTH_MAX], MPI_STATUS_IGNORE);
	return (unsigned)which + 1;
}

/* Each worker has DEPTH pieces as long as there are any. */
static void job_deal(const struct job *job, const struct places *at, size_t depth)
{
	size_t pieces = (job->count + job->piece - 1) / job->piece, sent = 0, done;
	struct lane *lanes = calloc(workers + 1, sizeof(*lanes));
	MPI_Request *oldest = calloc(workers, sizeof(*oldest));
	unsigned worker;
	size_t d;

	if (!lanes || !oldest)
		MPI_Abort(MPI_COMM_WORLD, 1);
	job_announce(job);
	for (d = 0; d < depth; d++)
		for (worker = 1; worker <= workers && sent < pieces; worker++)
			piece_send(job, at, sent++, &lanes[worker], worker);
	for (done = 0; done < pieces; done++) {
		worker = piece_receive(lanes, oldest);
		if (sent < pieces)
			piece_send(job, at, sent++, &lanes[worker], worker);
	}
	job_end();
	free(oldest);
	free(lanes);
}

static void map_run(struct job *job, const struct places *at)
{
	job->piece = job->count / ((size_t)workers * PIECES);
	if (job->in_size && job->piece > MESSAGE_MAX / job->in_size)
		job->piece = MESSAGE_MAX / job->in_size;
	if (!job->piece)
		job->piece = 1;
	job_deal(job, at, DEPTH);
}

static void stream_run(struct job *job, const struct places *at, size_t window)
{
	size_t depth = window / workers;

	job->piece = 1;
	job_deal(job, at, depth < 1 ? 1 : depth > DEPTH_MAX ? DEPTH_MAX : depth);
}

/* One item there and its result back, with the first worker. */
static void trip_make(const struct job *job, const struct places *at, size_t k)
{
	MPI_Send(memory + at->in + k * job->in_size, (int)job->in_size, MPI_BYTE, 1,
		 (int)(FIRST_PIECE + k), MPI_COMM_WORLD);
	MPI_Recv(memory + at->out + k * job->out_size, (int)job->out_size, MPI_BYTE, 1,
		 (int)(FIRST_PIECE + k), MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static size_t trips_run(struct job *job, const struct places *at, uint32_t *ns, size_t warm,
			const int64_t limit)
{
	int64_t start, begin, end;
	size_t k;

	job->piece = 1;
	job_announce(job);
	for (k = 0; k < warm && k < job->count; k++)
		trip_make(job, at, k);
	start = end = now();
	for (k = 0; k < job->count && (!limit || end - start < limit); k++) {
		begin = end;
		trip_make(job, at, k);
		end = now();
		ns[k] = end - begin < UINT32_MAX ? (uint32_t)(end - begin) : UINT32_MAX;
	}
	job_end();
	return k;
}

/* ---- Requests ----------------------------------------------------------------------- */

static void pool_start(FILE *answers)
{
	int fd = runner_open(FOREIGN_MEMORY, O_RDWR);
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st)) {
		munmap(memory, FOREIGN_OWN);
		memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	if (fd < 0 || memory == MAP_FAILED)
		MPI_Abort(MPI_COMM_WORLD, 1);
	close(fd);
	fprintf(answers, "ok\n");
}

/* The words behind the name of a request; returns how many numbers stand behind the job's. */
static int job_parse(const char *words, struct job *job, struct places *at, long long more[4])
{
	memset(job, 0, sizeof(*job));
	return sscanf(words, "%63s %zu %zu %zu %zu %zu %lld %lld %lld %lld", job->body,
		      &job->in_size, &job->out_size, &job->count, &at->in, &at->out, &more[0],
		      &more[1], &more[2], &more[3]) - 6;
}

/* Returns 0 to go on, 1 at the end. */
static int request_do(const char *what, const char *words, FILE *answers)
{
	long long more[4] = { 0 };
	struct places at;
	struct job job;
	size_t made;

	if (!strcmp(what, "quit"))
		return 1;
	if (!strcmp(what, "start")) {
		pool_start(answers);
	} else if (job_parse(words, &job, &at, more) < 0) {
		fprintf(answers, "error no such request\n");
	} else if (!strcmp(what, "map")) {
		map_run(&job, &at);
		fprintf(answers, "ok\n");
	} else if (!strcmp(what, "stream")) {
		stream_run(&job, &at, (size_t)more[0]);
		fprintf(answers, "ok\n");
	} else if (!strcmp(what, "trips") && !more[2]) {
		made = trips_run(&job, &at, (uint32_t *)(void *)(memory + more[0]),
				 (size_t)more[1], more[3]);
		fprintf(answers, "ok %zu\n", made);
	} else {
		fprintf(answers, "error no such request\n");
	}
	fflush(answers);
	return 0;
}

static void master_run(void)
{
	const struct job home = { .count = 0 };
	int from = runner_open(FOREIGN_REQUESTS, O_RDONLY);
	int to = runner_open(FOREIGN_ANSWERS, O_WRONLY);
	FILE *requests = from < 0 ? NULL : fdopen(from, "r");
	FILE *answers = to < 0 ? NULL : fdopen(to, "w");
	char line[256], what[16];
	int used;

	while (requests && answers && fgets(line, sizeof(line), requests)) {
		used = 0;
		if (sscanf(line, "%15s%n", what, &used) != 1 ||
		    request_do(what, line + used, answers))
			break;
	}
	job_announce(&home);
}

int main(int argc, char **argv)
{
	void *module = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
	int rank, size;

	/* In case mpirun can't see to it any more. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	workers = (unsigned)size - 1;
	memory = memory_map(FOREIGN_OWN);
	if (!module || !memory || size < 2)
		MPI_Abort(MPI_COMM_WORLD, 1);
	/* All have come that far before the master answers anything. */
	MPI_Barrier(MPI_COMM_WORLD);
	if (rank == MASTER)
		master_run();
	else
		worker_run(module);
	MPI_Finalize();
	return 0;
}
