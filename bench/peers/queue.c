/* SPDX-License-Identifier: MIT */
/*
 * POSIX message queues without a name: each is unlinked as soon as it is there, so
 * that it goes with the last process that has it open.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "peers.h"

/* Messages in a queue: as many as the system allows, but no more than this; and at least. */
#define DEPTH_MOST	256
#define DEPTH_LEAST	10

static unsigned depth_allowed(void)
{
	FILE *file = fopen("/proc/sys/fs/mqueue/msg_max", "re");
	unsigned depth;

	if (!file)
		return DEPTH_LEAST;
	if (fscanf(file, "%u", &depth) != 1)
		depth = DEPTH_LEAST;
	fclose(file);
	return depth < DEPTH_MOST ? depth : DEPTH_MOST;
}

static int queue_create(size_t size, unsigned depth)
{
	static unsigned serial;
	struct mq_attr attr = { .mq_maxmsg = depth, .mq_msgsize = (long)size };
	char name[64];
	mqd_t queue;

	snprintf(name, sizeof(name), "/bench-%d-%u", (int)getpid(), serial++);
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
	if (queue == (mqd_t)-1)
		return -errno;
	mq_unlink(name);
	return queue;
}

int bench_queue_open(size_t size, unsigned *depth)
{
	unsigned most = depth_allowed();
	int queue = queue_create(size, most);

	/* What all queues of a user may hold together is limited, too. */
	if (queue < 0 && most > DEPTH_LEAST) {
		most = DEPTH_LEAST;
		queue = queue_create(size, most);
	}
	if (queue >= 0)
		*depth = most;
	return queue;
}

int bench_queue_send(int queue, const void *from, size_t len)
{
	while (mq_send(queue, from, len, 0))
		if (errno != EINTR)
			return -errno;
	return 0;
}

int bench_queue_offer(int queue, const void *from, size_t len)
{
	/* A time that has passed: it does not wait. */
	const struct timespec past = { 0, 0 };

	while (mq_timedsend(queue, from, len, 0, &past))
		if (errno != EINTR)
			return errno == ETIMEDOUT ? -EAGAIN : -errno;
	return 0;
}

ssize_t bench_queue_receive(int queue, void *to, size_t room)
{
	ssize_t len;

	do
		len = mq_receive(queue, to, room, NULL);
	while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : len;
}

void bench_queue_close(int queue)
{
	mq_close(queue);
}
