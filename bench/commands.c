/* SPDX-License-Identifier: MIT */
/*
 * Whole commands: a program is run for each number, by the tools that are made for
 * it and by pools whose items start it and wait.
 *
 * A sample is all of it, from nothing to the last result: the tool's own start, or
 * the pool's, belongs to it.  Each line that the program prints names its number,
 * and is checked.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "command.h"
#include "peers/foreign.h"

/* The longest line that the program prints. */
#define LINE_MAX_LEN	64

extern char **environ;

enum { SERIAL, FORKPOOL, XARGS, PARALLEL, PYTHON, PEERS };

static const struct bench_peer peers[PEERS] = {
	[SERIAL] = { .name = "serial", .flags = BENCH_SERIAL, .variant = SERIAL },
	[FORKPOOL] = { .name = "forkpool", .flags = BENCH_OURS, .variant = FORKPOOL },
	[XARGS] = { .name = "xargs", .flags = BENCH_FOREIGN, .variant = XARGS },
	[PARALLEL] = { .name = "parallel", .flags = BENCH_FOREIGN, .variant = PARALLEL },
	[PYTHON] = { .name = "py-subprocess", .flags = BENCH_FOREIGN, .variant = PYTHON },
};

const struct bench_peer *const bench_command_peers[] = {
	&peers[SERIAL], &peers[FORKPOOL], &peers[XARGS], &peers[PARALLEL], &peers[PYTHON], NULL,
};

struct commands {
	const char *name;
	struct bench_table table;
	size_t count;
	uint64_t steps;
	char program[PATH_MAX], steps_text[24];
	int numbers;			/* a file with all numbers, a line each */
	uint64_t *out, *answer;
	char *text;			/* what a tool printed */
};

/* ---- As items of a pool ----------------------------------------------------------- */

/* What all items of a pool are given. */
struct item_arg {
	char program[PATH_MAX], steps[24];
};

/* The number of the line that FD gives until its end. */
static int line_parse(int fd, uint64_t number, uint64_t *ret)
{
	char line[LINE_MAX_LEN];
	size_t len = 0;
	uint64_t named;
	ssize_t n;

	while (len < sizeof(line) - 1 && (n = read(fd, line + len, sizeof(line) - 1 - len)) != 0) {
		if (n < 0 && errno != EINTR)
			return 1;
		len += n > 0 ? (size_t)n : 0;
	}
	line[len] = '\0';
	return sscanf(line, "%" SCNu64 " %" SCNu64, &named, ret) != 2 || named != number;
}

static pid_t program_spawn(const struct item_arg *arg, uint64_t number, int out)
{
	char number_text[24];
	char *argv[] = { (char *)arg->program, (char *)arg->steps, number_text, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int err;

	snprintf(number_text, sizeof(number_text), "%" PRIu64, number);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	err = posix_spawn(&pid, arg->program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return err ? -err : pid;
}

static int command_item(void *arg, const void *in, void *out)
{
	const uint64_t *number = in;
	int fds[2], status = -1, err;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return 1;
	pid = program_spawn(arg, *number, fds[1]);
	close(fds[1]);
	err = pid < 0 || line_parse(fds[0], *number, out);
	close(fds[0]);
	if (pid > 0 && waitpid(pid, &status, 0) != pid)
		err = 1;
	return err || status;
}

static int pool_run(struct commands *c)
{
	FORKPOOL_OPTS(opts, .workers = c->table.workers);
	struct item_arg arg;
	FORKPOOL_JOB_OPTS(job, .arg = &arg, .arg_size = sizeof(arg));
	uint64_t *in = malloc(c->count * sizeof(*in));
	struct forkpool *pool;
	size_t i;
	int err = in ? forkpool_create(&pool, &opts) : -ENOMEM;

	if (!err) {
		memcpy(arg.program, c->program, sizeof(arg.program));
		memcpy(arg.steps, c->steps_text, sizeof(arg.steps));
		for (i = 0; i < c->count; i++)
			in[i] = i;
		err = forkpool_map(pool, command_item, in, sizeof(*in), c->out,
				   sizeof(*c->out), c->count, &job);
		forkpool_destroy(pool);
	}
	free(in);
	return err;
}

/* ---- By a tool ------------------------------------------------------------------------ */

/* In the child, whose input are the numbers. */
static void tool_exec(const struct commands *c, int which)
{
	/* A quoted program, for what goes through a shell. */
	static const char loop[] =
		"while read -r number; do \"$0\" \"$1\" \"$number\" || exit 1; done";
	const char *program = c->program, *steps = c->steps_text;
	const char *python = getenv("PYTHON");	/* foreign_python_find() saw to it */
	char workers[16], count[24];

	snprintf(workers, sizeof(workers), "%u", c->table.workers);
	snprintf(count, sizeof(count), "%zu", c->count);
	switch (which) {
	case SERIAL:
		execlp("sh", "sh", "-c", loop, program, steps, (char *)NULL);
		break;
	case XARGS:
		execlp("xargs", "xargs", "-P", workers, "-n", "1", program, steps, (char *)NULL);
		break;
	case PARALLEL:
		execlp("parallel", "parallel", "--will-cite", "-j", workers, program, steps,
		       (char *)NULL);
		break;
	case PYTHON:
		execlp(python ? python : "python3", "python3", "-B",
		       BENCH_SRCDIR "/peers/commands.py", workers, count, program, steps,
		       (char *)NULL);
	}
}

static void tool_child(const struct commands *c, int which, int out, pid_t parent)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Tools that are not there, or other tools of the name, are told apart by their results. */
	if (getppid() == parent && lseek(c->numbers, 0, SEEK_SET) == 0 &&
	    dup2(c->numbers, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
	    dup2(null, STDERR_FILENO) >= 0)
		tool_exec(c, which);
	_exit(127);
}

/* Lines come in any order. */
static int lines_parse(struct commands *c)
{
	uint64_t number, value;
	char *line = c->text;
	size_t seen = 0;
	int len;

	while (sscanf(line, "%" SCNu64 " %" SCNu64 "%n", &number, &value, &len) == 2) {
		if (number >= c->count || line[len] != '\n')
			return -EIO;
		c->out[number] = value;
		line += len + 1;
		seen++;
	}
	return seen == c->count && !*line ? 0 : -EIO;
}

static int tool_run(struct commands *c, int which)
{
	size_t room = c->count * LINE_MAX_LEN, len = 0;
	pid_t parent = getpid(), pid;
	int fds[2], status = -1;
	ssize_t n = 1;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		tool_child(c, which, fds[1], parent);
	close(fds[1]);
	while (pid > 0 && n && len < room) {
		n = read(fds[0], c->text + len, room - len);
		if (n < 0 && errno != EINTR)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	close(fds[0]);
	c->text[len] = '\0';
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return -ENOENT;
	return 0;
}

/* ---- Rounds ---------------------------------------------------------------------------- */

/* One sample, its results checked; reading a tool's lines is not timed. */
static int sample_take(struct commands *c, int which, double *ret)
{
	int64_t start = bench_clock();
	int err;

	memset(c->out, 0, c->count * sizeof(*c->out));
	err = which == FORKPOOL ? pool_run(c) : tool_run(c, which);
	*ret = (double)(bench_clock() - start);
	if (!err && which != FORKPOOL)
		err = lines_parse(c);
	if (!err && memcmp(c->out, c->answer, c->count * sizeof(*c->out)))
		err = -EIO;
	return err;
}

/* Round 0: it loads what it runs, and finds out who is there. */
static int first_run(struct commands *c)
{
	struct bench_table *t = &c->table;
	unsigned i = 0;

	while (i < t->count) {
		const struct bench_peer *peer = t->series[i].peer;
		int err;

		bench_progress(c->name, peer->name, 0);
		err = sample_take(c, peer->variant, &t->series[i].first);
		if (!err) {
			i++;
		} else if (err == -ENOENT && peer->flags & BENCH_FOREIGN) {
			fprintf(stderr, "%s is left out: it is not there, or refuses\n", peer->name);
			bench_series_drop(t, i);
		} else {
			fprintf(stderr, "%s: %s: %s\n", c->name, peer->name,
				err == -EIO ? "wrong result" : forkpool_strerror(err));
			return err;
		}
	}
	return 0;
}

static int series_sample(void *arg, unsigned index, unsigned round, double *ret)
{
	struct commands *c = arg;

	(void)round;
	return sample_take(c, c->table.series[index].peer->variant, ret);
}

static int rounds_run(struct commands *c)
{
	int err = first_run(c);

	return err ? err : bench_rounds_run(&c->table, 1, series_sample, c);
}

/* ---- The workload ------------------------------------------------------------------------ */

static int numbers_write(struct commands *c)
{
	size_t i;

	c->numbers = memfd_create("bench-numbers", MFD_CLOEXEC);
	for (i = 0; c->numbers >= 0 && i < c->count; i++)
		if (dprintf(c->numbers, "%zu\n", i) < 0)
			return -errno;
	return c->numbers < 0 ? -errno : 0;
}

static int commands_setup(struct commands *c, const struct bench_workload *w, unsigned workers)
{
	struct bench_table *t = &c->table;
	unsigned i;

	c->name = w->name;
	c->count = bench_opt.quick ? w->count / w->quick_div : w->count;
	c->steps = w->steps;
	snprintf(c->steps_text, sizeof(c->steps_text), "%" PRIu64, c->steps);
	bench_table_setup(t, w, workers);
	t->unit = "ms/command";
	t->scale = 1e-6 / (double)c->count;
	for (i = 0; i < PEERS; i++)
		if (bench_chosen(w, &peers[i]))
			t->series[t->count++].peer = &peers[i];
	c->out = calloc(c->count, sizeof(*c->out));
	c->answer = calloc(c->count, sizeof(*c->answer));
	c->text = malloc(c->count * LINE_MAX_LEN + 1);
	if (!c->out || !c->answer || !c->text)
		return -ENOMEM;
	for (i = 0; i < c->count; i++)
		c->answer[i] = command_value(i, c->steps);
	/* None at all: that peer is left out. */
	foreign_python_find();
	return bench_file_find("command", c->program, sizeof(c->program));
}

int bench_commands_run(const struct bench_workload *w, unsigned workers)
{
	struct commands *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->numbers = -1;
	err = commands_setup(c, w, workers);
	if (!err)
		err = numbers_write(c);
	if (!err)
		err = rounds_run(c);
	if (!err)
		bench_table_print(&c->table);
	if (c->numbers >= 0)
		close(c->numbers);
	free(c->out);
	free(c->answer);
	free(c->text);
	free(c);
	return err;
}
