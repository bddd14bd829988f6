/* SPDX-License-Identifier: MIT */
/* The leak guard: it finds each kind of leak, and no other. */
#include "guard.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define LEN	(64 * 1024)

static void expect_left(const char *what)
{
	const char *left = guard_end();

	ck_assert_msg(left, "the guard did not find: %s", what);
	ck_assert_msg(strstr(left, what), "\"%s\" does not name: %s", left, what);
}

static void expect_nothing(void)
{
	const char *left = guard_end();

	ck_assert_msg(!left, "the guard found what is not there: %s", left);
}

START_TEST(nothing_is_left)
{
	guard_begin();
	expect_nothing();
}
END_TEST

START_TEST(memory_of_malloc_is_not_its_business)
{
	void *volatile small;
	void *volatile large;

	guard_begin();
	small = malloc(100);
	large = malloc(64 * LEN);
	expect_nothing();
	free(small);
	free(large);
}
END_TEST

START_TEST(a_descriptor_is_found)
{
	int fd;

	guard_begin();
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	expect_left("/dev/null");
	close(fd);
}
END_TEST

START_TEST(a_shared_mapping_is_found)
{
	void *mem;

	guard_begin();
	mem = mmap(NULL, LEN, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	expect_left("mapping");
	munmap(mem, LEN);
}
END_TEST

START_TEST(a_closed_memfd_that_is_mapped_is_found)
{
	int fd;
	void *mem;

	guard_begin();
	fd = memfd_create("leak", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, LEN), 0);
	mem = mmap(NULL, LEN, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	expect_left("memfd:leak");
	munmap(mem, LEN);
}
END_TEST

static void *sleep_on(void *arg)
{
	pthread_barrier_wait(arg);
	return NULL;
}

START_TEST(a_thread_is_found)
{
	pthread_barrier_t barrier;
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	guard_begin();
	pthread_create(&thread, NULL, sleep_on, &barrier);
	expect_left("thread");
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
}
END_TEST

static pid_t fork_sleeper(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	for (;;)
		pause();
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, __WALL);
}

START_TEST(a_child_is_found)
{
	pid_t pid;

	guard_begin();
	pid = fork_sleeper();
	expect_left("a child that runs");
	end(pid);
}
END_TEST

START_TEST(a_zombie_is_found)
{
	pid_t pid;

	guard_begin();
	pid = fork_sleeper();
	kill(pid, SIGKILL);
	expect_left("was not waited for");
	waitpid(pid, NULL, 0);
}
END_TEST

static int sleep_in_clone(void *arg)
{
	(void)arg;
	return pause();
}

START_TEST(a_child_without_exit_signal_is_found)
{
	static char stack[LEN] __attribute__((aligned(16)));
	pid_t pid;

	guard_begin();
	pid = clone(sleep_in_clone, stack + sizeof(stack), 0, NULL);
	expect_left("a child that runs");
	end(pid);
}
END_TEST

/* The grandchild has lost its parent, as a nursery may; it says its own pid. */
START_TEST(an_orphan_of_a_pool_is_found)
{
	int fds[2];
	pid_t child, orphan;

	guard_begin();
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	child = fork();
	if (!child) {
		orphan = fork();
		if (orphan)
			_exit(0);
		prctl(PR_SET_NAME, "fp-nursery");
		orphan = getpid();
		if (write(fds[1], &orphan, sizeof(orphan)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	waitpid(child, NULL, 0);
	ck_assert_int_eq(read(fds[0], &orphan, sizeof(orphan)), sizeof(orphan));
	close(fds[0]);
	close(fds[1]);
	expect_left("(fp-nursery)");
	kill(orphan, SIGKILL);
	expect_nothing();
}
END_TEST

START_TEST(a_name_in_shm_is_found)
{
	char name[64];
	int fd;

	if (access("/dev/shm", W_OK))
		return;
	snprintf(name, sizeof(name), "/forkpool-%d-test", (int)getpid());
	guard_begin();
	fd = shm_open(name, O_CREAT | O_RDWR, 0600);
	close(fd);
	expect_left(name);
	shm_unlink(name);
	expect_nothing();
}
END_TEST

static void leak_a_descriptor(int i)
{
	(void)i;
	ck_assert_int_ge(dup(0), 0);
}

/* What test_case() promises: a test that leaks fails. */
START_TEST(a_test_that_leaks_fails)
{
	static const TTest leak = { "leak", leak_a_descriptor, __FILE__, __LINE__ };
	Suite *suite = suite_create("inner");
	SRunner *runner;

	tcase_add_test(test_case(suite, "inner"), &leak);
	runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_FORK);
	srunner_run_all(runner, CK_SILENT);
	ck_assert_int_eq(srunner_ntests_failed(runner), 1);
	srunner_free(runner);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard");
	TCase *tc = tcase_create("kinds");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, nothing_is_left);
	tcase_add_test(tc, memory_of_malloc_is_not_its_business);
	tcase_add_test(tc, a_descriptor_is_found);
	tcase_add_test(tc, a_shared_mapping_is_found);
	tcase_add_test(tc, a_closed_memfd_that_is_mapped_is_found);
	tcase_add_test(tc, a_thread_is_found);
	tcase_add_test(tc, a_child_is_found);
	tcase_add_test(tc, a_zombie_is_found);
	tcase_add_test(tc, a_child_without_exit_signal_is_found);
	tcase_add_test(tc, an_orphan_of_a_pool_is_found);
	tcase_add_test(tc, a_name_in_shm_is_found);
	tcase_add_test(tc, a_test_that_leaks_fails);
	return test_main(suite);
}
