/* SPDX-License-Identifier: MIT */
/* How the processes of a pool begin and end, in the corners. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/pool.h"
#include "os/sys.h"

#define JOINERS		6
#define ARENA		((size_t)1 << 20)

static struct forkpool *open_pool(unsigned workers)
{
	FORKPOOL_OPTS(opts, .workers = workers, .arena_size = ARENA);
	struct forkpool *pool;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	return pool;
}

/* ---- Start -------------------------------------------------------------------------------- */

static pid_t no_clone(int (*fn)(void *), void *stack_top, void *arg, fp_a32 *tid)
{
	(void)fn, (void)stack_top, (void)arg, (void)tid;
	return -EPERM;
}

static int no_signalfd(int sig)
{
	(void)sig;
	return -EMFILE;
}

static pid_t no_fork(void)
{
	return -EAGAIN;
}

static int dies_in_setpgid(void)
{
	return raise(SIGKILL);
}

static void create_fails(int expected)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = ARENA);
	struct forkpool *pool = NULL;

	ck_assert_int_eq(forkpool_create(&pool, &opts), expected);
	ck_assert_ptr_null(pool);
	fp_sys = fp_sys_real;
}

static int twice(void *arg, const void *in, void *out)
{
	(void)arg;
	*(int *)out = 2 * *(const int *)in;
	return 0;
}

START_TEST(without_a_keeper)
{
	int in[] = { 1, 2, 3 }, out[3];
	struct forkpool *pool;

	fp_sys.clone_vm = no_clone;
	pool = open_pool(2);
	fp_sys = fp_sys_real;
	ck_assert_int_eq(FORKPOOL_MAP(pool, twice, in, out, 3), 0);
	ck_assert_int_eq(out[2], 6);
	forkpool_destroy(pool);
}
END_TEST

static size_t large_pages(void)
{
	return 16384;
}

START_TEST(other_pages)
{
	fp_sys.page_size = large_pages;
	create_fails(-ENOTSUP);
}
END_TEST

static int no_fd(void)
{
	return -EMFILE;
}

static int no_epoll_add(int epoll, int fd)
{
	(void)epoll;
	(void)fd;
	return -ENOMEM;
}

static int no_pidfd(pid_t pid)
{
	(void)pid;
	return -EMFILE;
}

START_TEST(no_descriptors_for_events)
{
	struct forkpool *pool;
	int fd;

	fp_sys.eventfd = no_fd;
	create_fails(-EMFILE);
	pool = open_pool(1);
	fp_sys.epoll = no_fd;
	ck_assert_int_eq(forkpool_event_fd(pool), -EMFILE);
	fp_sys = fp_sys_real;
	fp_sys.epoll_add = no_epoll_add;
	ck_assert_int_eq(forkpool_event_fd(pool), -ENOMEM);
	fp_sys = fp_sys_real;
	fp_sys.pidfd = no_pidfd;
	ck_assert_int_eq(forkpool_event_fd(pool), -EMFILE);
	fp_sys = fp_sys_real;
	fd = forkpool_event_fd(pool);
	ck_assert_int_ge(fd, 3);
	ck_assert_int_eq(forkpool_event_fd(pool), fd);
	forkpool_destroy(pool);
}
END_TEST

/* The end of a pool without a keeper makes the descriptor readable, until a dispatch has seen it. */
START_TEST(end_without_a_keeper)
{
	struct pollfd p = { .events = POLLIN };
	struct forkpool *pool;

	fp_sys.clone_vm = no_clone;
	pool = open_pool(2);
	fp_sys = fp_sys_real;
	p.fd = forkpool_event_fd(pool);
	ck_assert_int_eq(fp_sys.poll(&p, 1, 0), 0);
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	ck_assert_int_eq(fp_sys.poll(&p, 1, fp_deadline((int64_t)30000000000)), 1);
	/* The ends of the workers may be told first. */
	while (!fp_pool_has_ended(pool))
		sched_yield();
	ck_assert_int_eq(fp_sys.poll(&p, 1, 0), 1);
	ck_assert_int_eq(forkpool_dispatch(pool), 0);
	ck_assert_int_eq(fp_sys.poll(&p, 1, 0), 0);
	forkpool_destroy(pool);
}
END_TEST

/* With a keeper and without one. */
START_TEST(nursery_that_cannot_start)
{
	if (_i)
		fp_sys.clone_vm = no_clone;
	fp_sys.signalfd = no_signalfd;
	create_fails(-EMFILE);
}
END_TEST

START_TEST(nursery_that_is_killed_early)
{
	if (_i)
		fp_sys.clone_vm = no_clone;
	fp_sys.setpgid = dies_in_setpgid;
	create_fails(_i ? -FORKPOOL_ECRASHED : -FORKPOOL_EBROKEN);
}
END_TEST

START_TEST(no_nursery_at_all)
{
	if (_i)
		fp_sys.clone_vm = no_clone;
	fp_sys.fork = no_fork;
	create_fails(-EAGAIN);
}
END_TEST

/* ---- What workers inherit -------------------------------------------------------------------- */

struct cpu {
	unsigned first;		/* where to go */
	unsigned libc, kernel;	/* where each says we are */
};

static int look_at_cpu(void *arg, const void *in, void *out)
{
	struct cpu *cpu = out;
	cpu_set_t set;

	(void)arg;
	*cpu = *(const struct cpu *)in;
	CPU_ZERO(&set);
	CPU_SET(cpu->first, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return errno;
	cpu->libc = (unsigned)sched_getcpu();
	return syscall(SYS_getcpu, &cpu->kernel, NULL, NULL) ? errno : 0;
}

/* The C library reads it from memory that the kernel must know of. */
START_TEST(workers_know_their_cpu)
{
	struct forkpool *pool = open_pool(1);
	struct cpu in[8], out[8];
	cpu_set_t set;
	size_t n = 0;
	unsigned i;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	for (i = 0; i < CPU_SETSIZE && n < 8; i++)
		if (CPU_ISSET(i, &set))
			in[n++] = (struct cpu){ .first = i };
	ck_assert_int_eq(FORKPOOL_MAP(pool, look_at_cpu, in, out, n), 0);
	for (i = 0; i < n; i++)
		ck_assert_uint_eq(out[i].libc, out[i].kernel);
	forkpool_destroy(pool);
}
END_TEST

/* ---- End ------------------------------------------------------------------------------------------ */

static void *join_main(void *pool)
{
	return (void *)(intptr_t)forkpool_join(pool, -1);
}

/* The kernel wakes one thread only when the last process is gone. */
START_TEST(many_threads_join)
{
	struct forkpool *pool = open_pool(2);
	pthread_t threads[JOINERS];
	void *ret;
	int i;

	ck_assert_int_eq(forkpool_close(pool), 0);
	for (i = 0; i < JOINERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, join_main, pool), 0);
	for (i = 0; i < JOINERS; i++) {
		pthread_join(threads[i], &ret);
		ck_assert_int_eq((intptr_t)ret, 0);
	}
	forkpool_destroy(pool);
}
END_TEST

static int count_for_ever(void *arg, const void *in, void *out)
{
	volatile uint64_t *counter = out;

	(void)arg, (void)in;
	while (++*counter)
		;
	return 0;
}

struct victim {
	struct forkpool *pool;
	volatile uint64_t *counters;
};

static void *kill_nursery(void *arg)
{
	struct victim *v = arg;
	const struct timespec pause = { .tv_nsec = 1000000 };

	while (!v->counters[0] || !v->counters[1])
		nanosleep(&pause, NULL);
	fp_sys.kill(v->pool->spawn.nursery_pid, SIGKILL);
	return NULL;
}

/* No worker still writes to the map's arrays when it has returned. */
START_TEST(nursery_killed_in_a_map)
{
	struct forkpool *pool = open_pool(2);
	uint64_t *counters = forkpool_shm_calloc(pool, 2, sizeof(*counters));
	struct victim v = { .pool = pool, .counters = counters };
	const struct timespec pause = { .tv_nsec = 2000000 };
	uint64_t seen[2];
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, kill_nursery, &v), 0);
	ck_assert_int_eq(forkpool_map(pool, count_for_ever, NULL, 0, counters,
				      sizeof(*counters), 2, NULL), -FORKPOOL_EBROKEN);
	seen[0] = v.counters[0];
	seen[1] = v.counters[1];
	nanosleep(&pause, NULL);
	ck_assert_uint_eq(seen[0], v.counters[0]);
	ck_assert_uint_eq(seen[1], v.counters[1]);
	pthread_join(thread, NULL);
	ck_assert_int_eq(FORKPOOL_MAP(pool, twice, (int[]){ 1 }, (int[]){ 0 }, 1),
			 -FORKPOOL_EBROKEN);
	forkpool_destroy(pool);
}
END_TEST

static int leave_daemon(void *arg, const void *in, void *out)
{
	pid_t pid = fork();

	(void)arg, (void)in;
	if (pid == 0) {
		setsid();
		pid = fork();
		if (pid == 0)
			pause();
		*(pid_t *)out = pid;
		_exit(pid < 0);
	}
	return pid < 0 || waitpid(pid, NULL, 0) != pid;
}

/* What an item left behind goes with the pool, also when nobody is left to order it. */
START_TEST(daemons_of_items)
{
	struct forkpool *pool = open_pool(1);
	pid_t *daemon = forkpool_shm_calloc(pool, 1, sizeof(*daemon)), pid;

	ck_assert_int_eq(forkpool_map(pool, leave_daemon, NULL, 0, daemon,
				      sizeof(*daemon), 1, NULL), 0);
	pid = *daemon;
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(kill(pid, 0), 0);
	if (_i)
		fp_sys.kill(pool->spawn.nursery_pid, SIGKILL);
	forkpool_destroy(pool);
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("life");
	TCase *start = test_case(suite, "start"), *inherit = test_case(suite, "inherit");
	TCase *end = test_case(suite, "end");

	if (!test_processes())
		return TEST_SKIP;
	tcase_add_test(start, without_a_keeper);
	tcase_add_test(start, other_pages);
	tcase_add_test(start, no_descriptors_for_events);
	tcase_add_test(start, end_without_a_keeper);
	tcase_add_loop_test(start, nursery_that_cannot_start, 0, 2);
	tcase_add_loop_test(start, nursery_that_is_killed_early, 0, 2);
	tcase_add_loop_test(start, no_nursery_at_all, 0, 2);
	tcase_add_test(inherit, workers_know_their_cpu);
	tcase_add_loop_test(end, many_threads_join, 0, 5);
	tcase_add_loop_test(end, nursery_killed_in_a_map, 0, 10);
	tcase_add_loop_test(end, daemons_of_items, 0, 2);
	return test_main(suite);
}
