/* SPDX-License-Identifier: MIT */
/*
 * The system calls themselves; the contract is in sys.h.
 *
 * Calls that block, and those that POSIX makes cancellation points, are raw: a
 * thread of the program that is cancelled must not vanish in the middle of the
 * library.  So is what workers call; os/raw.h says why.
 */
#include "os/sys.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "base/bits.h"
#include "os/raw.h"
#include "os/wait.h"

/* struct timespec and off_t go to the kernel as they are. */
_Static_assert(sizeof(long) == 8 && sizeof(off_t) == 8 && sizeof(time_t) == 8,
	       "only 64-bit systems are known here");

#define BIND_WORDS	128	/* 8,192 CPUs */
#define ERRNO_MOST	4095	/* what the kernel returns of an address space's end is an error */
#define MODE_PRIVATE	0600
#define OWN_FIRST	32	/* signals of the C library's own */
#define OWN_LAST	33

/* The C library tells where its rseq area is since glibc 2.35. */
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define HAS_RSEQ	1
#define RSEQ_LEAST	32u
#else
#define HAS_RSEQ	0
#endif

/* The value of CALL, or -errno; errno stays as it was. */
#define QUIET(call) __extension__ ({		\
	int saved_ = errno;			\
	long ret_ = (call);			\
						\
	if (ret_ < 0)				\
		ret_ = -errno;			\
	errno = saved_;				\
	ret_;					\
})

/* A call that may simply be made again after a signal. */
#define AGAIN(call) __extension__ ({		\
	long again_;				\
						\
	do					\
		again_ = (call);		\
	while (again_ == -EINTR);		\
	again_;					\
})

/* ---- Memory --------------------------------------------------------------- */

static size_t sys_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int sys_map(void **ret, void *hint, size_t len, int prot, int flags,
		   int fd, off_t off)
{
#if FP_THREAD_SANITIZER
	/* It must see the call, or what it knows of a mapping that was there before seems to race with this one. */
	long at = QUIET((long)mmap(hint, len, prot, flags, fd, off));
#else
	long at = fp_raw(SYS_mmap, hint, len, prot, flags, fd, off);
#endif

	if (at < 0 && at >= -ERRNO_MOST)
		return (int)at;
	*ret = (void *)at;
	return 0;
}

static int sys_unmap(void *addr, size_t len)
{
	return QUIET(munmap(addr, len));
}

static int sys_advise(void *addr, size_t len, int advice)
{
	return fp_raw(SYS_madvise, addr, len, advice);
}

/*
 * A signal makes the kernel give back all that a call has taken so far, so a
 * program with a fast timer would never get through with one large call: after
 * each signal the pieces are halved.
 */
static int sys_allocate(int fd, off_t off, off_t len)
{
	off_t piece = len;
	int err;

	do {
		if (piece > len)
			piece = len;
		err = fp_raw(SYS_fallocate, fd, 0, off, piece);
		if (err == -EINTR) {
			if (piece > FP_PAGE)
				piece = fp_round_up(piece / 2, FP_PAGE);
			continue;
		}
		if (err)
			return err;
		off += piece;
		len -= piece;
	} while (len > 0);
	return 0;
}

static int sys_punch(int fd, off_t off, off_t len)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return AGAIN(fp_raw(SYS_fallocate, fd, mode, off, len));
}

/* ---- Files ---------------------------------------------------------------- */

/* Linux has closed the descriptor also when it says EINTR. */
static int sys_close(int fd)
{
	int err = fp_raw(SYS_close, fd);

	return err == -EINTR ? 0 : err;
}

static int sys_tmpfile(const char *dir)
{
	int flags = O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC;

	return AGAIN(fp_raw(SYS_openat, AT_FDCWD, dir, flags, MODE_PRIVATE));
}

static int sys_shm_open(const char *name)
{
	int fd = AGAIN(QUIET(shm_open(name, O_RDWR | O_CREAT | O_EXCL, MODE_PRIVATE)));
	int err;

	if (fd < 0)
		return fd;
	err = QUIET(shm_unlink(name));
	if (err && err != -ENOENT) {
		sys_close(fd);
		return err;
	}
	return fd;
}

static int sys_memfd(const char *name)
{
	return QUIET(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

static int sys_seal(int fd)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	return fp_raw(SYS_fcntl, fd, F_ADD_SEALS, seals);
}

static int sys_truncate(int fd, off_t len)
{
	return AGAIN(QUIET(ftruncate(fd, len)));
}

static int sys_statfs(int fd, struct statfs *ret)
{
	return AGAIN(QUIET(fstatfs(fd, ret)));
}

static int sys_above_stdio(int fd)
{
	int moved;

	if (fd > STDERR_FILENO)
		return fd;
	moved = QUIET(fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
	sys_close(fd);
	return moved;
}

static int sys_copy_above(int fd, int least)
{
	return fp_raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, least);
}

static int sys_check_open(int fd)
{
	int flags = fp_raw(SYS_fcntl, fd, F_GETFD);

	return flags < 0 ? flags : 0;
}

static int sys_close_range(unsigned first, unsigned last)
{
	return fp_raw(SYS_close_range, first, last, 0);
}

static int sys_socketpair(int fds[2])
{
	return QUIET(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds));
}

static ssize_t sys_send(int fd, const void *buf, size_t len, bool wait)
{
	int flags = wait ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_DONTWAIT;

	return AGAIN(fp_raw(SYS_sendto, fd, buf, len, flags, NULL, 0));
}

static ssize_t sys_recv(int fd, void *buf, size_t len)
{
	return fp_raw(SYS_recvfrom, fd, buf, len, 0, NULL, NULL);
}

static int sys_getrlimit(int what, struct rlimit *ret)
{
	return QUIET(getrlimit(what, ret));
}

/* ---- Time and sleep ------------------------------------------------------- */

static FP_TRIP int64_t sys_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * FP_NS_PER_S + ts.tv_nsec;
}

/* -EINTR is for the caller, who alone knows what a signal means. */
static ssize_t sys_read(int fd, void *buf, size_t len)
{
	return AGAIN(fp_raw(SYS_read, fd, buf, len));
}

static int sys_poll(struct pollfd *fds, nfds_t n, int64_t deadline)
{
	struct timespec ts, *left;

	if (deadline != FP_FOREVER)
		deadline = deadline > 0 ? deadline - sys_clock() : 0;
	left = fp_timespec(&ts, deadline);
	return fp_raw(SYS_ppoll, fds, n, left, NULL, 0);
}

static int sys_eventfd(void)
{
	return fp_raw(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/*
 * An eventfd has no type in its mode, unlike files, pipes and sockets.  It is full
 * only where nobody reads, who then finds it readable.
 */
static int sys_event_raise(int fd)
{
	const uint64_t one = 1;
	struct stat st;
	int err = fp_raw(SYS_fstat, fd, &st);
	ssize_t n;

	if (err || (st.st_mode & S_IFMT))
		return -EBADF;
	n = AGAIN(fp_raw(SYS_write, fd, &one, sizeof(one)));
	return n == (ssize_t)sizeof(one) || n == -EAGAIN ? 0 : -EBADF;
}

static int sys_epoll(void)
{
	return fp_raw(SYS_epoll_create1, EPOLL_CLOEXEC);
}

static int sys_epoll_add(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return fp_raw(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, fd, &event);
}

static int sys_epoll_drop(int epoll, int fd)
{
	struct epoll_event event = { 0 };

	return fp_raw(SYS_epoll_ctl, epoll, EPOLL_CTL_DEL, fd, &event);
}

static FP_TRIP int sys_yield(void)
{
	return fp_raw(SYS_sched_yield);
}

static int sys_membarrier(int command)
{
	return fp_raw(SYS_membarrier, command, 0, 0);
}

static int sys_affinity(cpu_set_t *set)
{
	int n = fp_raw(SYS_sched_getaffinity, 0, sizeof(*set), set);

	if (n >= 0)
		memset((char *)set + n, 0, sizeof(*set) - (size_t)n);
	return n;
}

/* Where it may go: to that CPU, or to all but the one where it is. */
static void destinations(const cpu_set_t *all, int cpu, cpu_set_t *ret)
{
	int here = sched_getcpu();

	if (cpu >= 0) {
		CPU_ZERO(ret);
		if (CPU_ISSET(cpu, all))
			CPU_SET(cpu, ret);
		return;
	}
	*ret = *all;
	if (here >= 0)
		CPU_CLR(here, ret);
}

/* Bound to others for a moment, then as before. */
static int sys_move(int cpu)
{
	cpu_set_t all, others;
	int n = sys_affinity(&all), err;

	if (n < 0)
		return n;
	destinations(&all, cpu, &others);
	err = fp_raw(SYS_sched_setaffinity, 0, n, &others);
	if (!err)
		err = fp_raw(SYS_sched_setaffinity, 0, n, &all);
	return err;
}

static int sys_bind(unsigned cpu)
{
	uint64_t mask[BIND_WORDS] = { 0 };

	if (cpu / 64 >= BIND_WORDS)
		return -EINVAL;
	mask[cpu / 64] = (uint64_t)1 << (cpu % 64);
	return fp_raw(SYS_sched_setaffinity, 0, (cpu / 64 + 1) * sizeof(*mask), mask);
}

/* ---- Processes ------------------------------------------------------------ */

/*
 * The keeper shares its errno with the thread that made it, which may write it
 * at that very moment; a failure must not look like the child for that.
 */
static pid_t sys_fork(void)
{
	int saved = errno, err;
	pid_t pid = fork();

	/* Written only then: after a fork the first store to a page costs a copy of it. */
	if (pid >= 0)
		return pid;
	err = errno;
	errno = saved;
	return -(err ? err : EAGAIN);
}

/* The child shares memory, errno of the calling thread included, and nothing else. */
static pid_t sys_clone_vm(int (*fn)(void *), void *stack_top, void *arg, fp_a32 *tid)
{
	return QUIET(clone(fn, stack_top,
			   CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
			   arg, (pid_t *)tid, NULL, (pid_t *)tid));
}

static int sys_set_robust(void *head, size_t len)
{
	return fp_raw(SYS_set_robust_list, head, len);
}

/*
 * A clone that shares memory starts without rseq, and what it forks does not
 * have it either; but the C library goes on to read the area (sched_getcpu()).
 */
static int sys_rseq(void)
{
#if HAS_RSEQ
	struct rseq *area = (void *)(fp_thread_pointer() + __rseq_offset);
	unsigned size = fp_round_up(fp_max(__rseq_size, RSEQ_LEAST), RSEQ_LEAST);
	int err = __rseq_size ? fp_raw(SYS_rseq, area, size, 0, RSEQ_SIG) : 0;

	if (err)
		area->cpu_id = (uint32_t)RSEQ_CPU_ID_REGISTRATION_FAILED;
	return err;
#else
	return 0;
#endif
}

static int sys_pidfd(pid_t pid)
{
	return fp_raw(SYS_pidfd_open, pid, 0);
}

static int sys_kill(pid_t pid, int sig)
{
	return fp_raw(SYS_kill, pid, sig);
}

static int sys_pidfd_kill(int pidfd, int sig)
{
	return fp_raw(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

static int sys_wait(idtype_t type, id_t id, siginfo_t *info, int options)
{
	return fp_raw(SYS_waitid, type, id, info, options, NULL);
}

static int sys_prctl(int option, unsigned long arg)
{
	return fp_raw(SYS_prctl, option, arg);
}

/* The kernel's signal set is 64 bits wide. */
static int sys_signalfd(int sig)
{
	uint64_t set = (uint64_t)1 << (sig - 1);

	return fp_raw(SYS_signalfd4, -1, &set, sizeof(set), SFD_CLOEXEC | SFD_NONBLOCK);
}

static int sys_unblock(void)
{
	uint64_t none = 0;

	return fp_raw(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

/*
 * The kernel's struct sigaction is four words; all zero is SIG_DFL.  The C
 * library's own signals (thread cancellation, setuid()) stay.
 */
static int sys_default_signals(void)
{
	const uint64_t dfl[4] = { 0 };
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		if (sig < OWN_FIRST || sig > OWN_LAST)
			fp_raw(SYS_rt_sigaction, sig, dfl, NULL, sizeof(uint64_t));
	return 0;
}

static int sys_setpgid(void)
{
	return fp_raw(SYS_setpgid, 0, 0);
}

/*
 * The kernel lists them as text in one file; needs CONFIG_PROC_CHILDREN.  Raw: stdio would
 * fault in, and the nursery keep, a dozen pages for it.
 */
static int sys_children(pid_t *list, int room)
{
	int fd = fp_raw(SYS_openat, AT_FDCWD, "/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	int n = 0, i, got;
	char text[512];
	pid_t pid = 0;

	if (fd < 0)
		return -ENOENT;
	/* Behind each number is a space; a number may go on in the next piece. */
	while (n < room && (got = fp_raw(SYS_read, fd, text, sizeof(text))) > 0)
		for (i = 0; i < got && n < room; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + text[i] - '0';
				continue;
			}
			if (pid)
				list[n++] = pid;
			pid = 0;
		}
	sys_close(fd);
	return n;
}

/* ---- Libraries ------------------------------------------------------------ */

#ifdef HAVE_HWLOC

/*
 * Not for a program without a loader: with the library a second libc would come.
 * Never unloaded: a library that this one brings along may have left a destructor
 * for the ends of threads.
 */
static int sys_load(void **ret, const char *name)
{
	int saved = errno;
	void *library = NULL;

	if (getauxval(AT_BASE))
		library = dlopen(name, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
	errno = saved;
	if (!library)
		return -ENOENT;
	*ret = library;
	return 0;
}

static int sys_symbol(void **ret, void *library, const char *name)
{
	int saved = errno;
	void *symbol = dlsym(library, name);

	errno = saved;
	if (!symbol)
		return -ENOENT;
	*ret = symbol;
	return 0;
}

#else

/* Who links statically need not hear of dlopen() then. */
#define sys_load	NULL
#define sys_symbol	NULL

#endif

/* ---- The table ------------------------------------------------------------ */

#define REAL_CALLS {					\
	.page_size = sys_page_size,			\
	.map = sys_map,					\
	.unmap = sys_unmap,				\
	.advise = sys_advise,				\
	.allocate = sys_allocate,			\
	.punch = sys_punch,				\
	.tmpfile = sys_tmpfile,				\
	.shm_open = sys_shm_open,			\
	.memfd = sys_memfd,				\
	.seal = sys_seal,				\
	.truncate = sys_truncate,			\
	.statfs = sys_statfs,				\
	.close = sys_close,				\
	.above_stdio = sys_above_stdio,			\
	.copy_above = sys_copy_above,			\
	.check_open = sys_check_open,			\
	.close_range = sys_close_range,			\
	.socketpair = sys_socketpair,			\
	.send = sys_send,				\
	.recv = sys_recv,				\
	.read = sys_read,				\
	.poll = sys_poll,				\
	.eventfd = sys_eventfd,				\
	.event_raise = sys_event_raise,			\
	.epoll = sys_epoll,				\
	.epoll_add = sys_epoll_add,			\
	.epoll_drop = sys_epoll_drop,			\
	.getrlimit = sys_getrlimit,			\
	.clock = sys_clock,				\
	.futex_wait = fp_wait_one,			\
	.futex_wait_two = fp_wait_two,			\
	.futex_wait_many = fp_wait_many,		\
	.futex_wait_exit = fp_wait_exit,		\
	.futex_wake = fp_wait_wake,			\
	.yield = sys_yield,				\
	.membarrier = sys_membarrier,			\
	.cpu = sched_getcpu,				\
	.affinity = sys_affinity,			\
	.move = sys_move,				\
	.bind = sys_bind,				\
	.fork = sys_fork,				\
	.clone_vm = sys_clone_vm,			\
	.set_robust = sys_set_robust,			\
	.rseq = sys_rseq,				\
	.pidfd = sys_pidfd,				\
	.kill = sys_kill,				\
	.pidfd_kill = sys_pidfd_kill,			\
	.wait = sys_wait,				\
	.prctl = sys_prctl,				\
	.signalfd = sys_signalfd,			\
	.unblock = sys_unblock,				\
	.default_signals = sys_default_signals,		\
	.setpgid = sys_setpgid,				\
	.children = sys_children,			\
	.load = sys_load,				\
	.symbol = sys_symbol,				\
}

struct fp_sys fp_sys = REAL_CALLS;
const struct fp_sys fp_sys_real = REAL_CALLS;

int64_t fp_deadline(int64_t timeout)
{
	return timeout < 0 ? FP_FOREVER : fp_after(fp_sys.clock(), timeout);
}
