/* SPDX-License-Identifier: MIT */
/*
 * A program with an event loop of its own, epoll: a timer ticks while a pool
 * computes, and the loop never waits for the pool.  Each job that is done is
 * called for on the loop's thread.
 *
 *	04_epoll [JOBS]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <forkpool.h>

#define ITEMS	8
#define TICK_NS	2000000

/* One job: what goes in and what comes out. */
struct request {
	uint32_t in[ITEMS], out[ITEMS];
};

static int requests, answers, wrong;

/* Some milliseconds of work: steps of Collatz, many times over. */
static int work(void *arg, const void *in, void *out)
{
	const uint32_t *n = in;
	uint32_t *steps = out;
	uint64_t x;
	int again;

	(void)arg;
	for (again = 0; again < 20000; again++)
		for (x = *n, *steps = 0; x != 1; ++*steps)
			x = x % 2 ? 3 * x + 1 : x / 2;
	return 0;
}

static void answered(struct forkpool_job *job, void *user)
{
	struct request *r = user;
	int err = forkpool_job_wait(job, 0);

	if (err || r->out[0] != 111) {	/* 27 takes 111 steps */
		fprintf(stderr, "job: %s\n", forkpool_strerror(err));
		wrong++;
	}
	answers++;
	forkpool_job_free(job);
	free(r);
}

static int ask(struct forkpool *pool)
{
	struct request *r = malloc(sizeof(*r));
	FORKPOOL_JOB_OPTS(opts, .on_done = answered, .user = r);
	struct forkpool_job *job;
	int i, err;

	if (!r)
		return -1;
	for (i = 0; i < ITEMS; i++)
		r->in[i] = (uint32_t)(27 + i);
	err = forkpool_map_async(pool, work, r->in, sizeof(*r->in), r->out, sizeof(*r->out),
				 ITEMS, &opts, &job);
	if (err) {
		fprintf(stderr, "submit: %s\n", forkpool_strerror(err));
		free(r);
	}
	return err;
}

static int watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Each tick asks for one job more; until all have been answered. */
static int run_loop(struct forkpool *pool, int epoll, int timer, int most)
{
	struct epoll_event events[2];
	uint64_t ticks;
	int i, n;

	while (answers < most) {
		n = epoll_wait(epoll, events, 2, -1);
		for (i = 0; i < n; i++) {
			if (events[i].data.fd != timer) {
				forkpool_dispatch(pool);
				continue;
			}
			if (read(timer, &ticks, sizeof(ticks)) != sizeof(ticks) || requests == most)
				continue;
			requests++;
			if (ask(pool))
				return 1;
		}
	}
	printf("%d requests, %d answers, %d wrong\n", requests, answers, wrong);
	return wrong != 0;
}

int main(int argc, char **argv)
{
	const struct itimerspec tick = { .it_interval = { .tv_nsec = TICK_NS },
					 .it_value = { .tv_nsec = TICK_NS } };
	int most = argc > 1 ? atoi(argv[1]) : 20, epoll, timer, ret = 1;
	struct forkpool *pool;
	int err = forkpool_create(&pool, NULL);

	if (err) {
		fprintf(stderr, "create: %s\n", forkpool_strerror(err));
		return 1;
	}
	epoll = epoll_create1(EPOLL_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (epoll >= 0 && timer >= 0 && timerfd_settime(timer, 0, &tick, NULL) == 0 &&
	    watch(epoll, timer) == 0 && watch(epoll, forkpool_event_fd(pool)) == 0)
		ret = run_loop(pool, epoll, timer, most);
	forkpool_destroy(pool);
	return ret;
}
