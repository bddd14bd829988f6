/* SPDX-License-Identifier: MIT */
/*
 * A pool in a libuv loop: one uv_poll_t on the pool's descriptor, and callbacks
 * on the loop's thread.  The loop ends when the last job has been answered.
 *
 *	05_libuv [JOBS]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include <forkpool.h>

#define ITEMS	1000

struct request {
	uint32_t in[ITEMS];
	uint64_t out[ITEMS];
};

static struct forkpool *pool;
static uv_poll_t poll_handle;
static int left, wrong;

static int cube(void *arg, const void *in, void *out)
{
	uint64_t n = *(const uint32_t *)in;

	(void)arg;
	*(uint64_t *)out = n * n * n;
	return 0;
}

static void answered(struct forkpool_job *job, void *user)
{
	struct request *r = user;

	if (forkpool_job_wait(job, 0) || r->out[10] != 1000)
		wrong++;
	forkpool_job_free(job);
	free(r);
	if (--left == 0)
		uv_close((uv_handle_t *)&poll_handle, NULL);
}

static void readable(uv_poll_t *handle, int status, int events)
{
	(void)handle;
	(void)status;
	(void)events;
	forkpool_dispatch(pool);
}

static int ask(void)
{
	struct request *r = malloc(sizeof(*r));
	FORKPOOL_JOB_OPTS(opts, .on_done = answered, .user = r);
	struct forkpool_job *job;
	uint32_t i;
	int err;

	if (!r)
		return -1;
	for (i = 0; i < ITEMS; i++)
		r->in[i] = i;
	err = forkpool_map_async(pool, cube, r->in, sizeof(*r->in), r->out, sizeof(*r->out),
				 ITEMS, &opts, &job);
	if (err)
		free(r);
	return err;
}

int main(int argc, char **argv)
{
	int jobs = argc > 1 ? atoi(argv[1]) : 50, i;
	uv_loop_t *loop = uv_default_loop();
	int err = forkpool_create(&pool, NULL);

	if (err) {
		fprintf(stderr, "create: %s\n", forkpool_strerror(err));
		return 1;
	}
	err = uv_poll_init(loop, &poll_handle, forkpool_event_fd(pool));
	if (!err)
		err = uv_poll_start(&poll_handle, UV_READABLE, readable);
	for (i = 0; i < jobs && !err; i++) {
		err = ask();
		left += !err;
	}
	if (left)
		uv_run(loop, UV_RUN_DEFAULT);
	printf("%d jobs, %d left, %d wrong\n", jobs, left, wrong);
	forkpool_destroy(pool);
	uv_loop_close(loop);
	return err || left || wrong;
}
