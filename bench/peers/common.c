/* SPDX-License-Identifier: MIT */
/* What several peers need. */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"

size_t bench_chunk(size_t count, unsigned workers)
{
	size_t chunk = count / ((size_t)workers * BENCH_CHUNKS);

	return chunk ? chunk : 1;
}

size_t bench_width(size_t count)
{
	size_t n = 1;

	while ((n + 1) * (n + 1) * (n + 1) <= count)
		n++;
	return n;
}

void bench_items_run(const struct bench_job *job, size_t first, size_t count)
{
	const char *in = job->in + first * job->in_size;
	char *out = job->out + first * job->out_size;
	size_t i;

	for (i = 0; i < count; i++) {
		job->fn(NULL, in, out);
		in += job->in_size;
		out += job->out_size;
	}
}

pid_t bench_worker_fork(void (*fn)(void *arg), void *arg)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid)
		return pid;
	prctl(PR_SET_NAME, "bench-worker");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		fn(arg);
	_exit(0);
}
