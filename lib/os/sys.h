/* SPDX-License-Identifier: MIT */
/*
 * What.  The one table of system calls.  Everything the library asks of the
 * kernel goes through fp_sys, so that a test can put a double in its place and
 * make any call fail.
 *
 * Contract.  Every entry returns a result >= 0 or -errno, and never touches the
 * caller's errno.  The table is written by tests only, before a pool exists.
 *
 * fork is not here: the keeper and the nursery fork through glibc's fork()
 * (proc/spawn.c says why), reached by the entry `fork`.
 */
#ifndef FP_OS_SYS_H
#define FP_OS_SYS_H

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "base/atomic.h"

#define FP_FOREVER	INT64_MAX

/* Linux 5.14; older headers lack it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

/* A futex and what it is expected to hold. */
struct fp_wait {
	fp_a32 *word;
	uint32_t value;
};

#define FP_WAIT_MOST	128u	/* words of one wait; the kernel's bound */

struct fp_sys {
	/* Memory. */
	size_t (*page_size)(void);
	int (*map)(void **ret, void *hint, size_t len, int prot, int flags, int fd, off_t off);
	int (*unmap)(void *addr, size_t len);
	int (*advise)(void *addr, size_t len, int advice);
	int (*allocate)(int fd, off_t off, off_t len);		/* take room: ENOSPC, not SIGBUS */
	int (*punch)(int fd, off_t off, off_t len);		/* give it back */

	/* Files. */
	int (*tmpfile)(const char *dir);			/* O_TMPFILE */
	int (*shm_open)(const char *name);			/* exclusive, then unlinked */
	int (*memfd)(const char *name);				/* sealable */
	int (*seal)(int fd);					/* size and seals fixed */
	int (*truncate)(int fd, off_t len);
	int (*statfs)(int fd, struct statfs *ret);
	int (*close)(int fd);
	int (*above_stdio)(int fd);				/* moves fd to 3 or more; closes it on failure */
	int (*copy_above)(int fd, int least);			/* a copy of that number or more, close on exec */
	int (*check_open)(int fd);				/* 0 or -EBADF */
	int (*close_range)(unsigned first, unsigned last);
	int (*socketpair)(int fds[2]);				/* SOCK_SEQPACKET, close on exec */
	ssize_t (*send)(int fd, const void *buf, size_t len, bool wait);	/* no SIGPIPE; -EAGAIN: full, and not to wait */
	ssize_t (*recv)(int fd, void *buf, size_t len);
	ssize_t (*read)(int fd, void *buf, size_t len);
	int (*poll)(struct pollfd *fds, nfds_t n, int64_t deadline);
	int (*eventfd)(void);					/* not blocking, close on exec */
	int (*event_raise)(int fd);				/* makes it readable; -EBADF: it is no such thing (any more) */
	int (*epoll)(void);					/* close on exec */
	int (*epoll_add)(int epoll, int fd);			/* watch it for input */
	int (*epoll_drop)(int epoll, int fd);
	int (*getrlimit)(int what, struct rlimit *ret);

	/*
	 * Time and sleep.  Deadlines are absolute, CLOCK_MONOTONIC; FP_FOREVER = none.
	 * Waits return for no reason too, so their callers look again.  With semaphores
	 * in the place of futexes (os/lot.c) these entries mean the same.
	 */
	int64_t (*clock)(void);
	int (*futex_wait)(fp_a32 *word, uint32_t expected, int64_t deadline);
	int (*futex_wait_two)(fp_a32 *a, uint32_t va, fp_a32 *b, uint32_t vb, int64_t deadline);
	int (*futex_wait_many)(const struct fp_wait *list, unsigned n, int64_t deadline);
	int (*futex_wait_exit)(fp_a32 *word, uint32_t expected, int64_t deadline);	/* which the kernel changes when a process ends */
	int (*futex_wake)(fp_a32 *word, int count);		/* how many woke */
	int (*yield)(void);					/* lets others on this CPU run */
	int (*membarrier)(int command);				/* MEMBARRIER_CMD_...; of the query: those there are */
	int (*cpu)(void);					/* where this thread is; -1 = not known */
	int (*affinity)(cpu_set_t *set);			/* this thread's CPUs; -EINVAL: more than the set can hold */
	int (*move)(int cpu);					/* this thread to that one, or with -1 another one, of its CPUs; -EINVAL = it has none */
	int (*bind)(unsigned cpu);				/* this thread to one CPU */

	/* Processes. */
	pid_t (*fork)(void);
	/*
	 * A process with exit signal 0 that shares the caller's memory.  Its id is
	 * stored in *tid; at its end the kernel stores 0 there and wakes the futex.
	 */
	pid_t (*clone_vm)(int (*fn)(void *), void *stack_top, void *arg, fp_a32 *tid);
	int (*set_robust)(void *head, size_t len);
	int (*rseq)(void);					/* the C library's area, in a process that clone_vm's child forked */
	int (*pidfd)(pid_t pid);
	int (*kill)(pid_t pid, int sig);
	int (*pidfd_kill)(int pidfd, int sig);
	int (*wait)(idtype_t type, id_t id, siginfo_t *info, int options);
	int (*prctl)(int option, unsigned long arg);
	int (*signalfd)(int sig);				/* of one signal; not blocking */
	int (*unblock)(void);					/* all signals */
	int (*default_signals)(void);				/* the default action for each */
	int (*setpgid)(void);					/* a process group of its own */
	int (*children)(pid_t *list, int room);			/* of the calling thread; how many were stored; -ENOENT = not told */

	/* Libraries that one can do without (HAVE_HWLOC): -ENOENT = not there.  They stay loaded. */
	int (*load)(void **ret, const char *name);
	int (*symbol)(void **ret, void *library, const char *name);
};

extern struct fp_sys fp_sys;

/* The table as it is at start, for tests that put doubles in. */
extern const struct fp_sys fp_sys_real;

/* The deadline that lies TIMEOUT ns ahead; -1 (any negative) = FP_FOREVER. */
int64_t fp_deadline(int64_t timeout);

#endif
