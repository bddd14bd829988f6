/* SPDX-License-Identifier: MIT */
/* The table of system calls: results, -errno, and an errno left alone. */
#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/bits.h"
#include "test.h"

#define MS		((int64_t)1000000)
#define ERRNO_MARK	4711

/* ThreadSanitizer's own state does not live in a process that borrows a thread's. */
#if defined(__SANITIZE_THREAD__)
#define IS_TSAN		1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define IS_TSAN		1
#endif
#endif
#ifndef IS_TSAN
#define IS_TSAN		0
#endif

static int memfd_of(off_t size)
{
	int fd = fp_sys.memfd("test");

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fp_sys.truncate(fd, size), 0);
	return fd;
}

static blkcnt_t blocks_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_blocks;
}

START_TEST(errno_is_left_alone)
{
	char byte;

	errno = ERRNO_MARK;
	ck_assert_int_eq(fp_sys.close(-1), -EBADF);
	ck_assert_int_eq(fp_sys.truncate(-1, 1), -EBADF);
	ck_assert_int_eq(fp_sys.allocate(-1, 0, 1), -EBADF);
	ck_assert_int_eq(fp_sys.punch(-1, 0, 1), -EBADF);
	ck_assert_int_eq(fp_sys.recv(-1, &byte, 1), -EBADF);
	ck_assert_int_eq(fp_sys.send(-1, "", 1, true), -EBADF);
	ck_assert_int_eq(fp_sys.tmpfile("/nowhere/at/all"), -ENOENT);
	ck_assert_int_eq(fp_sys.kill(getpid(), 12345), -EINVAL);
	ck_assert_int_eq(fp_sys.unmap((void *)1, FP_PAGE), -EINVAL);
	ck_assert_int_eq(errno, ERRNO_MARK);
}
END_TEST

START_TEST(map_gives_memory_or_leaves_ret)
{
	void *p = &p, *old = p;

	ck_assert_int_eq(fp_sys.map(&p, NULL, 0, PROT_READ,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), -EINVAL);
	ck_assert_ptr_eq(p, old);
	ck_assert_int_eq(fp_sys.map(&p, NULL, FP_PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 0);
	*(char *)p = 1;
	ck_assert_int_eq(fp_sys.advise(p, FP_PAGE, MADV_DONTNEED), 0);
	ck_assert_int_eq(*(char *)p, 0);
	ck_assert_int_eq(fp_sys.unmap(p, FP_PAGE), 0);
}
END_TEST

START_TEST(room_is_taken_and_given_back)
{
	int fd = memfd_of(16 * FP_PAGE);

	ck_assert_int_eq(fp_sys.allocate(fd, FP_PAGE, 3 * FP_PAGE), 0);
	ck_assert_int_eq(blocks_of(fd), 3 * FP_PAGE / 512);
	ck_assert_int_eq(fp_sys.punch(fd, 0, 16 * FP_PAGE), 0);
	ck_assert_int_eq(blocks_of(fd), 0);
	ck_assert_int_eq(fp_sys.close(fd), 0);
}
END_TEST

static void ignore(int sig)
{
	(void)sig;
}

/* The kernel starts anew after each signal, so whole calls would never end. */
START_TEST(room_is_taken_under_a_storm_of_signals)
{
	struct sigaction sa = { .sa_handler = ignore }, old;
	struct itimerval fast = { { 0, 300 }, { 0, 300 } }, none = { 0 };
	off_t size = 64 << 20;
	int fd = memfd_of(size);

	ck_assert_int_eq(sigaction(SIGALRM, &sa, &old), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &fast, NULL), 0);
	ck_assert_int_eq(fp_sys.allocate(fd, 0, size), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &none, NULL), 0);
	ck_assert_int_eq(sigaction(SIGALRM, &old, NULL), 0);
	ck_assert_int_eq(blocks_of(fd), size / 512);
	fp_sys.close(fd);
}
END_TEST

START_TEST(sealed_memfd_keeps_its_size)
{
	int fd = memfd_of(FP_PAGE);
	struct statfs fs;

	ck_assert_int_eq(fp_sys.seal(fd), 0);
	ck_assert_int_eq(fp_sys.truncate(fd, 0), -EPERM);
	ck_assert_int_eq(fp_sys.truncate(fd, 2 * FP_PAGE), -EPERM);
	ck_assert_int_eq(fp_sys.allocate(fd, 0, FP_PAGE), 0);
	ck_assert_int_eq(fp_sys.punch(fd, 0, FP_PAGE), 0);
	ck_assert_int_eq(fp_sys.seal(fd), -EPERM);
	ck_assert_int_eq(fp_sys.statfs(fd, &fs), 0);
	fp_sys.close(fd);
}
END_TEST

static void check_nameless(int fd)
{
	struct stat st;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	fp_sys.close(fd);
}

START_TEST(files_have_no_name)
{
	if (access("/dev/shm", W_OK))
		return;
	check_nameless(fp_sys.tmpfile("/dev/shm"));
	check_nameless(fp_sys.shm_open("/fp-unit-sys"));
	check_nameless(fp_sys.shm_open("/fp-unit-sys"));
}
END_TEST

START_TEST(close_range_closes_all)
{
	int low = fcntl(0, F_DUPFD_CLOEXEC, 500);

	ck_assert_int_eq(low, 500);
	ck_assert_int_eq(fcntl(0, F_DUPFD_CLOEXEC, 510), 510);
	ck_assert_int_eq(fp_sys.close_range(500, 600), 0);
	ck_assert_int_eq(fp_sys.close(500), -EBADF);
	ck_assert_int_eq(fp_sys.close(510), -EBADF);
}
END_TEST

START_TEST(descriptors_stay_clear_of_stdio)
{
	int in = fcntl(0, F_DUPFD_CLOEXEC, 3), fd;

	ck_assert_int_eq(fp_sys.close(0), 0);
	fd = fp_sys.memfd("test");
	ck_assert_int_eq(fd, 0);
	fd = fp_sys.above_stdio(fd);
	ck_assert_int_ge(fd, 3);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fp_sys.above_stdio(fd), fd);
	ck_assert_int_eq(fcntl(0, F_GETFD), -1);
	fp_sys.close(fd);
	ck_assert_int_eq(dup2(in, 0), 0);
	fp_sys.close(in);
}
END_TEST

START_TEST(sockets_keep_messages_apart)
{
	struct pollfd ready;
	char buf[8];
	int fds[2];

	ck_assert_int_eq(fp_sys.socketpair(fds), 0);
	ready = (struct pollfd){ .fd = fds[1], .events = POLLIN };
	ck_assert_int_eq(fp_sys.poll(&ready, 1, 0), 0);
	ck_assert_int_eq(fp_sys.poll(&ready, 1, fp_deadline(5 * MS)), 0);
	ck_assert_int_eq(fp_sys.send(fds[0], "abc", 3, true), 3);
	ck_assert_int_eq(fp_sys.send(fds[0], "de", 2, false), 2);
	ck_assert_int_eq(fp_sys.poll(&ready, 1, FP_FOREVER), 1);
	ck_assert_int_eq(fp_sys.recv(fds[1], buf, sizeof(buf)), 3);
	ck_assert_int_eq(fp_sys.recv(fds[1], buf, sizeof(buf)), 2);
	fp_sys.close(fds[0]);
	ck_assert_int_eq(fp_sys.recv(fds[1], buf, sizeof(buf)), 0);
	ck_assert_int_eq(fp_sys.send(fds[1], "x", 1, true), -EPIPE);
	fp_sys.close(fds[1]);
}
END_TEST

START_TEST(deadlines_saturate)
{
	int64_t now = fp_sys.clock();

	ck_assert(fp_deadline(-1) == FP_FOREVER);
	ck_assert(fp_deadline(INT64_MIN) == FP_FOREVER);
	ck_assert(fp_deadline(INT64_MAX) == FP_FOREVER);
	ck_assert(fp_deadline(0) >= now);
	ck_assert(fp_deadline(0) < now + 1000 * MS);
	ck_assert(fp_deadline(1000 * MS) >= now + 1000 * MS);
}
END_TEST

START_TEST(waits_see_values_and_deadlines)
{
	int64_t start = fp_sys.clock();
	fp_a32 a = 1, b = 2;

	errno = ERRNO_MARK;
	ck_assert_int_eq(fp_sys.futex_wait(&a, 0, FP_FOREVER), -EAGAIN);
	ck_assert_int_eq(fp_sys.futex_wait(&a, 1, -5), -ETIMEDOUT);
	ck_assert_int_eq(fp_sys.futex_wait(&a, 1, start + 3 * MS), -ETIMEDOUT);
	ck_assert(fp_sys.clock() >= start + 3 * MS);
	ck_assert_int_eq(fp_sys.futex_wait_two(&a, 0, &b, 2, FP_FOREVER), -EAGAIN);
	ck_assert_int_eq(fp_sys.futex_wait_two(&a, 1, &b, 0, FP_FOREVER), -EAGAIN);
	ck_assert_int_eq(fp_sys.futex_wait_two(&a, 1, &b, 2, 0), -ETIMEDOUT);
	ck_assert_int_eq(fp_sys.futex_wait_two(&a, 1, &b, 2, start + 9 * MS),
			 -ETIMEDOUT);
	ck_assert(fp_sys.clock() >= start + 9 * MS);
	ck_assert_int_eq(fp_sys.futex_wake(&a, INT32_MAX), 0);
	ck_assert_int_eq(errno, ERRNO_MARK);
}
END_TEST

struct pair {
	fp_a32 a, b;
};

static void *wait_for_b(void *arg)
{
	struct pair *p = arg;

	while (fp_load_sc(&p->b) == 0)
		fp_sys.futex_wait_two(&p->a, 0, &p->b, 0, FP_FOREVER);
	return NULL;
}

/* With the system call at once; without, a little later. */
START_TEST(the_second_word_wakes)
{
	struct pair p = { 0, 0 };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_b, &p), 0);
	fp_sys.poll(NULL, 0, fp_deadline(10 * MS));
	fp_store_sc(&p.b, 1);
	ck_assert_int_le(fp_sys.futex_wake(&p.b, 1), 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* valgrind knows neither pidfds nor clones that share memory. */
static bool is_plain_kernel(void)
{
	int fd = fp_sys.pidfd(getpid());

	if (fd == -ENOSYS)
		return false;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fp_sys.close(fd), 0);
	return true;
}

/* Makes futex_waitv(2) fail with EPERM, as a container's filter may. */
static void forbid_waitv(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 449, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = code };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

/* In a child, for the filter stays. */
START_TEST(waiting_for_two_without_the_call)
{
	int64_t start = fp_sys.clock();
	struct pair p = { 0, 0 };
	siginfo_t info = { 0 };
	pid_t pid = fork();

	if (pid == 0) {
		forbid_waitv();
		if (fp_sys.futex_wait_two(&p.a, 0, &p.b, 1, FP_FOREVER) != -EAGAIN ||
		    fp_sys.futex_wait_two(&p.a, 1, &p.b, 0, FP_FOREVER) != -EAGAIN ||
		    fp_sys.futex_wait_two(&p.a, 0, &p.b, 0, 0) != -ETIMEDOUT ||
		    fp_sys.futex_wait_two(&p.a, 0, &p.b, 0, FP_FOREVER) != -EINTR)
			_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(waitid(P_PID, pid, &info, WEXITED), 0);
	ck_assert_int_eq(info.si_status, 0);
	ck_assert(fp_sys.clock() >= start + 50 * MS);
}
END_TEST

static int exit_7(void *arg)
{
	(void)arg;
	syscall(SYS_exit, 7);
	return 0;
}

static void check_exit(pid_t pid, int options)
{
	siginfo_t info = { 0 };

	ck_assert_int_eq(fp_sys.wait(P_PID, pid, &info, WEXITED | options), 0);
	ck_assert_int_eq(info.si_pid, pid);
	ck_assert_int_eq(info.si_status, 7);
}

START_TEST(clones_are_not_seen_by_plain_waits)
{
	_Alignas(16) static char stack[16 * FP_PAGE];
	siginfo_t info = { 0 };
	fp_a32 tid = 0;
	uint32_t seen;
	pid_t pid;

	if (!is_plain_kernel() || IS_TSAN)
		return;
	pid = fp_sys.clone_vm(exit_7, stack + sizeof(stack), NULL, &tid);
	ck_assert_int_gt(pid, 0);
	while ((seen = fp_load_sc(&tid)) != 0) {
		ck_assert_int_eq(seen, pid);
		fp_sys.futex_wait_exit(&tid, seen, FP_FOREVER);
	}
	ck_assert_int_eq(fp_sys.wait(P_ALL, 0, &info, WEXITED), -ECHILD);
	check_exit(pid, __WCLONE);
}
END_TEST

START_TEST(children_end_and_are_told_apart)
{
	sigset_t set, old;
	struct pollfd ended;
	pid_t pid;
	int fd;

	if (!is_plain_kernel())
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &old);
	fd = fp_sys.signalfd(SIGCHLD);
	ck_assert_int_ge(fd, 0);
	pid = fp_sys.fork();
	if (pid == 0)
		_exit(7);
	ended = (struct pollfd){ .fd = fp_sys.pidfd(pid), .events = POLLIN };
	ck_assert_int_ge(ended.fd, 0);
	ck_assert_int_eq(fp_sys.poll(&ended, 1, FP_FOREVER), 1);
	check_exit(pid, 0);
	ck_assert_int_eq(fp_sys.kill(pid, 0), -ESRCH);
	fp_sys.close(ended.fd);
	ended.fd = fd;
	ck_assert_int_eq(fp_sys.poll(&ended, 1, 0), 1);
	fp_sys.close(fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
}
END_TEST

START_TEST(process_settings)
{
	struct rlimit limit;
	char name[16], old[16];

	ck_assert_int_eq(fp_sys.getrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_gt(limit.rlim_cur, 0);
	ck_assert_int_eq(fp_sys.getrlimit(-1, &limit), -EINVAL);
	ck_assert_int_eq(fp_sys.prctl(PR_GET_NAME, (unsigned long)old), 0);
	ck_assert_int_eq(fp_sys.prctl(PR_SET_NAME, (unsigned long)"fp-test"), 0);
	ck_assert_int_eq(fp_sys.prctl(PR_GET_NAME, (unsigned long)name), 0);
	ck_assert_str_eq(name, "fp-test");
	ck_assert_int_eq(fp_sys.prctl(PR_SET_NAME, (unsigned long)old), 0);
	ck_assert_int_eq(fp_sys.prctl(-1, 0), -EINVAL);
	ck_assert_int_eq(fp_sys.set_robust(name, 1), -EINVAL);
}
END_TEST

static volatile sig_atomic_t handled;

static void handler(int sig)
{
	handled = sig;
}

/* In a child: its signals are nobody else's. */
static void check_signals(void)
{
	const struct sigaction own = { .sa_handler = handler };
	struct sigaction now;
	sigset_t all;
	int sig;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigaction(SIGUSR1, &own, NULL);
	sigaction(SIGRTMAX, &own, NULL);
	raise(SIGUSR1);
	if (handled || fp_sys.unblock() || handled != SIGUSR1)
		_exit(1);
	signal(SIGPIPE, SIG_IGN);
	if (fp_sys.default_signals())
		_exit(2);
	for (sig = 1; sig <= SIGRTMAX; sig++)
		if (!sigaction(sig, NULL, &now) && now.sa_handler != SIG_DFL)
			_exit(3);
	_exit(7);
}

START_TEST(signals_as_a_new_program_has_them)
{
	pid_t pid;

	/* ThreadSanitizer runs handlers later. */
	if (IS_TSAN)
		return;
	pid = fork();
	if (pid == 0)
		check_signals();
	check_exit(pid, 0);
}
END_TEST

/* It ends up elsewhere, and may go everywhere as before. */
START_TEST(moving_to_another_cpu)
{
	cpu_set_t before, after;
	int cpu, count;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	count = CPU_COUNT(&before);
	cpu = sched_getcpu();
	if (count > 1) {
		ck_assert_int_eq(fp_sys.move(-1), 0);
		ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
		ck_assert(CPU_EQUAL(&before, &after));
	}
	CPU_ZERO(&after);
	CPU_SET(cpu, &after);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(after), &after), 0);
	ck_assert_int_eq(fp_sys.move(-1), -EINVAL);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
	ck_assert_int_eq(CPU_COUNT(&after), 1);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(before), &before), 0);
}
END_TEST

START_TEST(binding_to_one_cpu)
{
	cpu_set_t before, after;
	unsigned cpu = (unsigned)sched_getcpu();

	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	ck_assert_int_eq(fp_sys.bind(1u << 30), -EINVAL);
	ck_assert_int_eq(fp_sys.bind(8191), -EINVAL);
	ck_assert_int_eq(fp_sys.bind(cpu), 0);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
	ck_assert_int_eq(CPU_COUNT(&after), 1);
	ck_assert(CPU_ISSET(cpu, &after));
	ck_assert_int_eq(sched_setaffinity(0, sizeof(before), &before), 0);
}
END_TEST

START_TEST(descriptors_are_open_or_not)
{
	ck_assert_int_eq(fp_sys.check_open(2), 0);
	ck_assert_int_eq(fp_sys.check_open(-1), -EBADF);
	ck_assert_int_eq(fp_sys.check_open(INT32_MAX), -EBADF);
}
END_TEST

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return fp_sys.poll(&p, 1, 0) == 1;
}

/* An eventfd is raised, full or not, and nothing else is written to. */
START_TEST(events)
{
	const uint64_t most = UINT64_MAX - 1;
	int fd = fp_sys.eventfd(), copy = fp_sys.copy_above(fd, 100), epoll = fp_sys.epoll(), pipes[2];
	uint64_t value;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(copy, 100);
	ck_assert_int_eq(fp_sys.epoll_add(epoll, copy), 0);
	ck_assert(!readable(epoll));
	ck_assert_int_eq(fp_sys.event_raise(copy), 0);
	ck_assert_int_eq(fp_sys.event_raise(fd), 0);
	ck_assert(readable(epoll));
	ck_assert_int_eq(fp_sys.read(fd, &value, sizeof(value)), sizeof(value));
	ck_assert_uint_eq(value, 2);
	ck_assert_int_eq(fp_sys.read(fd, &value, sizeof(value)), -EAGAIN);
	ck_assert(!readable(epoll));
	ck_assert_int_eq(write(fd, &most, sizeof(most)), sizeof(most));
	ck_assert_int_eq(fp_sys.event_raise(fd), 0);
	ck_assert_int_eq(fp_sys.epoll_drop(epoll, copy), 0);
	ck_assert(!readable(epoll));
	ck_assert_int_eq(fp_sys.epoll_drop(epoll, copy), -ENOENT);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(fp_sys.event_raise(pipes[1]), -EBADF);
	ck_assert(!readable(pipes[0]));
	ck_assert_int_eq(fp_sys.event_raise(-1), -EBADF);
	ck_assert_int_eq(fp_sys.copy_above(-1, 0), -EBADF);
	close(pipes[0]);
	close(pipes[1]);
	close(epoll);
	close(copy);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sys");
	TCase *tc = test_case(suite, "calls");

	tcase_add_test(tc, errno_is_left_alone);
	tcase_add_test(tc, map_gives_memory_or_leaves_ret);
	tcase_add_test(tc, room_is_taken_and_given_back);
	tcase_add_test(tc, room_is_taken_under_a_storm_of_signals);
	tcase_add_test(tc, sealed_memfd_keeps_its_size);
	tcase_add_test(tc, files_have_no_name);
	tcase_add_test(tc, close_range_closes_all);
	tcase_add_test(tc, descriptors_stay_clear_of_stdio);
	tcase_add_test(tc, sockets_keep_messages_apart);
	tcase_add_test(tc, deadlines_saturate);
	tcase_add_test(tc, waits_see_values_and_deadlines);
	tcase_add_test(tc, the_second_word_wakes);
	tcase_add_test(tc, waiting_for_two_without_the_call);
	tcase_add_test(tc, clones_are_not_seen_by_plain_waits);
	tcase_add_test(tc, children_end_and_are_told_apart);
	tcase_add_test(tc, process_settings);
	tcase_add_test(tc, signals_as_a_new_program_has_them);
	tcase_add_test(tc, moving_to_another_cpu);
	tcase_add_test(tc, binding_to_one_cpu);
	tcase_add_test(tc, descriptors_are_open_or_not);
	tcase_add_test(tc, events);
	return test_main(suite);
}
