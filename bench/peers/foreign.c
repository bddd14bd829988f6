/* SPDX-License-Identifier: MIT */
/* Starts a program of another maker as a pool, and talks to it. */
#include "peers/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A program that has not answered after so many ms never will: starting is the slowest it does. */
#define START_LIMIT	60000
/* Memory for a peer of single tasks, each way: more than any workload submits at a time. */
#define TASKS_SIZE	((size_t)4 << 20)
#define ALIGN		((size_t)4096)
#define LINE		256
/* The module that programs load the bodies from. */
#define BODIES		"bodies.so"

struct foreign {
	const struct foreign_program *program;
	const char *name;		/* the peer's */
	pid_t pid;
	int to, from, memory_fd;
	int requests;			/* the far end of `to`: held, so that no write is a signal */
	char *memory;
	size_t size, used;
};

/* A program that waits for another pool. */
static struct foreign *spare;

/* ---- Bodies by name ------------------------------------------------------------- */

forkpool_fn *bench_body(const char *name)
{
	const struct bench_workload *w;
	unsigned i;

	for (i = 0; (w = bench_workload(i)); i++)
		if (w->fn && !strcmp(w->name, name))
			return w->fn;
	return NULL;
}

static const char *body_name(forkpool_fn *fn)
{
	const struct bench_workload *w;
	unsigned i;

	for (i = 0; (w = bench_workload(i)); i++)
		if (w->fn == fn)
			return w->name;
	return "none";
}

/* ---- Lines ---------------------------------------------------------------------------- */

static int line_send(struct foreign *f, const char *line)
{
	size_t len = strlen(line);

	while (len) {
		ssize_t n = write(f->to, line, len);

		if (n < 0 && errno != EINTR)
			return -FORKPOOL_EBROKEN;
		if (n > 0) {
			line += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Reads byte by byte: answers are short, and no more than one is ever under way. */
static int line_receive(struct foreign *f, char line[LINE], int limit)
{
	struct pollfd p = { .fd = f->from, .events = POLLIN };
	size_t len = 0;

	for (;;) {
		int ready = poll(&p, 1, limit);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0 || read(f->from, &line[len], 1) != 1)
			return -FORKPOOL_EBROKEN;
		if (line[len] == '\n')
			break;
		len += len < LINE - 1;
	}
	line[len] = '\0';
	return 0;
}

/* One line and its answer, which RET gets, "ok" cut off. */
static int foreign_ask(struct foreign *f, const char *line, int limit, char ret[LINE])
{
	int err = line_send(f, line);

	ret[0] = '\0';
	if (!err)
		err = line_receive(f, ret, limit);
	if (!err && strncmp(ret, "ok", 2))
		err = -FORKPOOL_EBROKEN;
	if (!err)
		memmove(ret, ret + 2, strlen(ret + 2) + 1);
	return err;
}

/* What an answer says beside that something went wrong. */
static const char *said(const char *answer)
{
	const char *space = strchr(answer, ' ');

	return space ? space + 1 : answer;
}

/* ... from a pool that stands; what goes wrong there is said. */
static int pool_ask(struct foreign *f, const char *line, long *ret)
{
	char answer[LINE];
	int err = foreign_ask(f, line, -1, answer);

	if (err)
		fprintf(stderr, "%s: %s\n", f->name, answer[0] ? said(answer) : "the program ended");
	else if (ret)
		*ret = strtol(answer, NULL, 10);
	return err;
}

/* ---- The program's process ---------------------------------------------------------------- */

/* In the child: the three descriptors, under their numbers, and no others of ours. */
static void child_exec(const struct foreign *f, int requests, int answers, unsigned workers,
		       pid_t parent)
{
	const int room = FOREIGN_MEMORY + 1;
	char bodies[PATH_MAX];
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	requests = fcntl(requests, F_DUPFD_CLOEXEC, room);
	answers = fcntl(answers, F_DUPFD_CLOEXEC, room);
	if (dup2(fcntl(f->memory_fd, F_DUPFD_CLOEXEC, room), FOREIGN_MEMORY) < 0 ||
	    dup2(requests, FOREIGN_REQUESTS) < 0 || dup2(answers, FOREIGN_ANSWERS) < 0 ||
	    dup2(null, STDIN_FILENO) < 0)
		_exit(1);
	/* Ctrl-C is the runner's business: its death ends the program. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, f->program->death_signal);
	if (getppid() == parent && !bench_file_find(BODIES, bodies, sizeof(bodies)))
		f->program->run(bodies, workers);
	_exit(1);
}

static int foreign_spawn(struct foreign *f, unsigned workers)
{
	pid_t parent = getpid();
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC))
		return -errno;
	if (pipe2(from, O_CLOEXEC)) {
		close(to[0]);
		close(to[1]);
		return -EMFILE;
	}
	f->pid = fork();
	if (!f->pid)
		child_exec(f, to[0], from[1], workers, parent);
	close(from[1]);
	f->requests = to[0];
	f->to = to[1];
	f->from = from[0];
	return f->pid < 0 ? -EAGAIN : 0;
}

static void memory_drop(struct foreign *f)
{
	if (f->memory)
		munmap(f->memory, f->size);
	f->memory = NULL;
	if (f->memory_fd >= 0 && ftruncate(f->memory_fd, 0))
		perror(f->name);
}

/* As long as it may take to end, by its own will or when it is asked to, in ns. */
#define END_LIMIT	3000000000
#define END_LOOK	1000000

/*
 * Waits for its end.  mpirun hangs there now and then (in PMIx_server_finalize, one of
 * its threads in wait for another one), and what was measured is not to wait for that.
 */
static void child_end(pid_t pid, int signal)
{
	int64_t limit = bench_clock() + END_LIMIT;

	if (signal)
		kill(signal == SIGKILL ? -pid : pid, signal);
	while (!waitpid(pid, NULL, signal == SIGKILL ? 0 : WNOHANG)) {
		bench_sleep(END_LOOK);
		if (bench_clock() < limit)
			continue;
		child_end(pid, signal ? SIGKILL : SIGTERM);
		return;
	}
}

/* Ends it: by its own will if it has one, and it is waited for. */
static void foreign_close(struct foreign *f, int failed)
{
	if (f->to >= 0 && !failed)
		line_send(f, "quit\n");
	if (f->to >= 0)
		close(f->to);
	if (f->from >= 0)
		close(f->from);
	if (f->requests >= 0)
		close(f->requests);
	memory_drop(f);
	if (f->memory_fd >= 0)
		close(f->memory_fd);
	if (f->pid > 0)
		child_end(f->pid, failed ? SIGTERM : 0);
	free(f);
}

static void spare_close(void)
{
	if (spare)
		foreign_close(spare, 0);
	spare = NULL;
}

/* ---- The pool -------------------------------------------------------------------------------- */

static struct foreign *foreign_new(const struct foreign_program *program, unsigned workers)
{
	struct foreign *f = spare;

	if (f && f->program == program && program->keep) {
		spare = NULL;
		return f;
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	*f = (struct foreign){ .program = program, .to = -1, .from = -1, .requests = -1 };
	f->memory_fd = memfd_create("bench-foreign", MFD_CLOEXEC);
	if (f->memory_fd < 0 || foreign_spawn(f, workers)) {
		foreign_close(f, 1);
		return NULL;
	}
	return f;
}

static int memory_map(struct foreign *f, size_t shared)
{
	f->used = FOREIGN_OWN;
	/* Two arrays, each begun on a page of its own. */
	f->size = FOREIGN_OWN + 2 * TASKS_SIZE + (shared + 3 * ALIGN) / ALIGN * ALIGN;
	if (ftruncate(f->memory_fd, (off_t)f->size))
		return -errno;
	f->memory = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, f->memory_fd, 0);
	if (f->memory != MAP_FAILED)
		return 0;
	f->memory = NULL;
	return -errno;
}

struct foreign *foreign_start(const struct foreign_program *program, const char *name,
			      const char *kind, unsigned workers, size_t shared)
{
	char line[LINE], answer[LINE] = "", bodies[PATH_MAX];
	const char *why = "its program can't be started, or ended";
	struct foreign *f = NULL;

	if (program->find())
		why = "its program is not there";
	else if (bench_file_find(BODIES, bodies, sizeof(bodies)))
		why = "this build has no " BODIES;
	else
		f = foreign_new(program, workers);
	if (!f)
		goto fail;
	f->name = name;
	if (memory_map(f, shared))
		goto fail;
	snprintf(line, sizeof(line), "start %s %u %zu\n", kind, workers, f->size);
	if (!foreign_ask(f, line, START_LIMIT, answer))
		return f;
	if (answer[0])
		why = said(answer);
fail:
	fprintf(stderr, "%s is left out: %s\n", name, why);
	if (f)
		foreign_close(f, 1);
	return NULL;
}

void foreign_stop(void *arg)
{
	struct foreign *f = arg;
	static int closes;

	if (!f->program->keep || pool_ask(f, "stop\n", NULL)) {
		foreign_close(f, 0);
		return;
	}
	if (!closes)
		closes = !atexit(spare_close);
	spare_close();
	memory_drop(f);
	spare = f;
}

void *foreign_alloc(void *arg, size_t size)
{
	struct foreign *f = arg;
	char *p = f->memory + f->used;

	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	if (size > f->size - f->used)
		return NULL;
	f->used += size;
	return p;
}

/* ---- What pools do ------------------------------------------------------------------------------ */

/* Offsets of arrays of no bytes, which lie elsewhere, mean nothing and are 0. */
static size_t offset(const struct foreign *f, const char *p, size_t size)
{
	return size ? (size_t)(p - f->memory) : 0;
}

int foreign_map(void *arg, const struct bench_job *job)
{
	struct foreign *f = arg;
	char line[LINE];

	snprintf(line, sizeof(line), "map %s %zu %zu %zu %zu %zu\n", body_name(job->fn),
		 job->in_size, job->out_size, job->count, offset(f, job->in, job->in_size),
		 offset(f, job->out, job->out_size));
	return pool_ask(f, line, NULL);
}

/* Where tasks, results and times lie: nothing else is in a pool of single tasks. */
static void *tasks_place(struct foreign *f, unsigned index)
{
	return f->memory + FOREIGN_OWN + index * (TASKS_SIZE / 2);
}

#define TASKS_MAX	(TASKS_SIZE / 2 / sizeof(struct bench_task))

static int tasks_ask(struct foreign *f, const char *what, forkpool_fn *fn,
		     const struct bench_task *in, size_t count, const char *more, long *ret)
{
	struct bench_task *place = tasks_place(f, 0);
	uint64_t *out = tasks_place(f, 1);
	char line[LINE];

	memcpy(place, in, count * sizeof(*in));
	memset(out, 0, count * sizeof(*out));
	snprintf(line, sizeof(line), "%s %s %zu %zu %zu %zu %zu %s\n", what, body_name(fn),
		 sizeof(*in), sizeof(*out), count, offset(f, (char *)place, 1),
		 offset(f, (char *)out, 1), more);
	return pool_ask(f, line, ret);
}

int foreign_stream(void *arg, unsigned submitter, const struct bench_stream *stream)
{
	struct foreign *f = arg;
	size_t done = 0;
	char window[16];
	int err = 0;

	(void)submitter;
	snprintf(window, sizeof(window), "%d", BENCH_WINDOW);
	while (!err && done < stream->count) {
		size_t count = stream->count - done;

		if (count > TASKS_MAX)
			count = TASKS_MAX;
		err = tasks_ask(f, "stream", stream->fn, stream->in + done, count, window, NULL);
		memcpy(stream->out + done, tasks_place(f, 1), count * sizeof(*stream->out));
		done += count;
	}
	return err;
}

int foreign_trips(void *arg, struct bench_trips *trips)
{
	struct foreign *f = arg;
	const uint64_t *out = tasks_place(f, 1);
	char more[128];
	long made = 0;
	int err;

	if (trips->count > TASKS_MAX)
		trips->count = TASKS_MAX;
	snprintf(more, sizeof(more), "%zu %zu %lld %lld",
		 offset(f, tasks_place(f, 2), 1), trips->warm, (long long)trips->idle,
		 (long long)trips->limit);
	err = tasks_ask(f, "trips", trips->fn, trips->in, trips->count, more, &made);
	if (err || made < 0 || (size_t)made > trips->count)
		return err ? err : -FORKPOOL_EBROKEN;
	trips->count = (size_t)made;
	memcpy(trips->ns, tasks_place(f, 2), trips->count * sizeof(*trips->ns));
	return memcmp(out, trips->answer, trips->count * sizeof(*out)) ? -EIO : 0;
}
