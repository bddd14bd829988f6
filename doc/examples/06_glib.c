/* SPDX-License-Identifier: MIT */
/*
 * A pool in a GLib main loop, as a GTK program has one: the pool's descriptor is a
 * source, whose callback dispatches.
 *
 *	06_glib [JOBS]
 */
#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>

#include <forkpool.h>

#define ITEMS	1000

struct request {
	guint32 in[ITEMS];
	guint64 out[ITEMS];
};

static struct forkpool *pool;
static GMainLoop *loop;
static int left, wrong;

static int square(void *arg, const void *in, void *out)
{
	guint64 n = *(const guint32 *)in;

	(void)arg;
	*(guint64 *)out = n * n;
	return 0;
}

static void answered(struct forkpool_job *job, void *user)
{
	struct request *r = user;

	if (forkpool_job_wait(job, 0) || r->out[10] != 100)
		wrong++;
	forkpool_job_free(job);
	g_free(r);
	if (--left == 0)
		g_main_loop_quit(loop);
}

static gboolean readable(gint fd, GIOCondition condition, gpointer data)
{
	(void)fd;
	(void)condition;
	forkpool_dispatch(data);
	return G_SOURCE_CONTINUE;
}

static int ask(void)
{
	struct request *r = g_new0(struct request, 1);
	FORKPOOL_JOB_OPTS(opts, .on_done = answered, .user = r);
	struct forkpool_job *job;
	guint32 i;
	int err;

	for (i = 0; i < ITEMS; i++)
		r->in[i] = i;
	err = forkpool_map_async(pool, square, r->in, sizeof(*r->in), r->out, sizeof(*r->out),
				 ITEMS, &opts, &job);
	if (err)
		g_free(r);
	return err;
}

int main(int argc, char **argv)
{
	int jobs = argc > 1 ? atoi(argv[1]) : 50, i;
	int err = forkpool_create(&pool, NULL);

	if (err) {
		fprintf(stderr, "create: %s\n", forkpool_strerror(err));
		return 1;
	}
	loop = g_main_loop_new(NULL, FALSE);
	g_unix_fd_add(forkpool_event_fd(pool), G_IO_IN, readable, pool);
	for (i = 0; i < jobs && !err; i++) {
		err = ask();
		left += !err;
	}
	if (left)
		g_main_loop_run(loop);
	printf("%d jobs, %d left, %d wrong\n", jobs, left, wrong);
	g_main_loop_unref(loop);
	forkpool_destroy(pool);
	return err || left || wrong;
}
