/* SPDX-License-Identifier: MIT */
/*
 * What.  Host -> keeper -> nursery -> workers, made so that the host gets no
 * child that wait(-1) can see and no SIGCHLD, also when it is PID 1 or a
 * subreaper.
 *
 * The keeper is cloned with CLONE_VM and exit signal 0: a child that only
 * __WALL waits see.  On a stack of its own, with all signals blocked, it calls
 * glibc's fork() once, while the creating thread waits (so that thread's TLS is
 * the keeper's to use, and glibc's locks are handled as for any fork: a raw
 * clone of a threaded host would copy held locks).  From then on it makes raw
 * system calls only: it waits for the nursery, kills and reaps what that left
 * behind, and ends.  Since it lives as long as the nursery, the nursery
 * is never given to a reaper.  It reaps for its descendants too: when the nursery
 * is killed, its workers become the keeper's children, and the keeper's end says
 * that they are gone.
 *
 * Where such a clone is refused (valgrind, some sandboxes) a plain double fork
 * takes its place: then the host sees one SIGCHLD during create, and the nursery
 * is a child of whoever reaps orphans.
 *
 * Invariants.
 * I1 Nothing of the host's descriptors stays open in keeper and nursery but 0,
 *    1, 2 in the nursery, so an end of file that somebody waits for still comes.
 * I2 Keeper and nursery run on `stack`, which is as large as a main thread's:
 *    items will run on the copy that workers inherit.
 * I3 What the host asks of the nursery without waiting for an answer stands in the
 *    segment before it says so on the socket, and the nursery looks there behind each
 *    message.  So one that finds no room may be left out.
 *
 * If the keeper dies: the nursery dies with it (PDEATHSIG), and so the pool.
 */
#include "proc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <forkpool.h>

#include "os/raw.h"
#include "os/sys.h"
#include "os/wait.h"
#include "task/job.h"

/* ThreadSanitizer's runtime can't live in two processes that share memory. */
#define NO_KEEPER	FP_THREAD_SANITIZER

#define FORKED		0x80000000u	/* in `keeper`: fork() has returned there */
#define STACK_LEAST	((size_t)1 << 20)
#define STACK_MOST	((size_t)1 << 30)
#define STACK_UNLIMITED	((size_t)64 << 20)

/* ---- The keeper ------------------------------------------------------------------------- */

/*
 * Kills our children: what the nursery did not take along.  False where they
 * are not told.
 */
static FP_APART bool kill_children(void)
{
	long fd = fp_raw(SYS_openat, AT_FDCWD, "/proc/thread-self/children", O_RDONLY);
	char list[1024];
	long n = fd < 0 ? fd : fp_raw(SYS_read, fd, list, sizeof(list)), i;
	pid_t pid = 0;

	if (fd >= 0)
		fp_raw(SYS_close, fd);
	/* A number that is cut off at the end of the list has no space behind it. */
	for (i = 0; i < n; i++) {
		if (list[i] >= '0' && list[i] <= '9') {
			pid = pid * 10 + list[i] - '0';
			continue;
		}
		if (pid > 0)
			fp_raw(SYS_kill, pid, SIGKILL);
		pid = 0;
	}
	return n >= 0;
}

/*
 * The nursery has ended, in order or not.  Workers, and what items forked, are
 * killed and waited for: at least those that stayed in the nursery's group.
 */
static FP_APART void see_off(pid_t nursery)
{
	siginfo_t info;
	bool all;

	fp_raw(SYS_kill, -nursery, SIGKILL);
	fp_raw(SYS_waitid, P_PID, nursery, &info, WEXITED);
	/* Mostly nobody is left. */
	while (fp_raw(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) == 0) {
		all = kill_children();
		if (fp_raw(SYS_waitid, all ? P_ALL : P_PGID, all ? 0 : nursery, &info,
			   WEXITED | __WALL) < 0)
			break;
	}
}

/*
 * The kernel has marked `life` when the nursery died, unless somebody had written
 * over the word; so it is marked again, by one whom nothing in the segment misleads.
 */
static void tell_the_end(struct fp_ctl *ctl)
{
	/* LIFE-L5: all who write to the segment are gone, and their last writes are seen; pairs with LIFE-L1. */
	fp_or_sc(&ctl->life, FUTEX_OWNER_DIED);
	fp_wait_wake_raw(&ctl->life);
}

/* No frame of the keeper's is ever unwound, so none may leave marks for AddressSanitizer. */
static FP_UNKNOWN_STACK void keep(struct fp_spawn *s)
{
	pid_t nursery = s->nursery_pid;
	siginfo_t info;

	/* SPAWN-K1: after nursery_pid; from here on the creator runs; pairs with SPAWN-K2. */
	fp_store_sc(&s->keeper, FORKED);
	fp_wait_wake_raw(&s->keeper);
	fp_raw(SYS_close_range, 0, ~0u);
	if (nursery > 0) {
		fp_raw(SYS_prctl, PR_SET_NAME, "fp-keeper");
		fp_raw(SYS_waitid, P_PID, nursery, &info, WEXITED | WNOWAIT);
		see_off(nursery);
		tell_the_end(s->crew->seg.ctl);
	}
	for (;;)
		fp_raw(SYS_exit, 0);
}

static FP_UNKNOWN_STACK int keeper_main(void *arg)
{
	struct fp_spawn *s = arg;

	pid_t pid;

	s->args.parent = getpid();
	fp_raw(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
	pid = fp_sys.fork();
	/* In the nursery `s` lies in a page that nobody there need have copied. */
	if (pid == 0)
		fp_nursery_main(&s->args);
	s->nursery_pid = pid;
	keep(s);
	return 0;
}

static int make_stack(struct fp_spawn *s)
{
	struct rlimit lim;
	size_t size = STACK_UNLIMITED;
	void *top;
	int err;

	if (fp_sys.getrlimit(RLIMIT_STACK, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY)
		size = fp_max(fp_min(lim.rlim_cur, STACK_MOST), STACK_LEAST);
	s->stack_size = fp_round_up(size, FP_PAGE) + FP_PAGE;
	err = fp_sys.map(&s->stack, NULL, s->stack_size, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (err) {
		s->stack = NULL;
		return err;
	}
	/* All but the lowest page, which stays as a guard. */
	err = fp_sys.map(&top, (char *)s->stack + FP_PAGE, s->stack_size - FP_PAGE,
			 PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK | MAP_FIXED, -1, 0);
	if (!err)
		fp_sys.advise(top, s->stack_size - FP_PAGE, MADV_NOHUGEPAGE);
	return err;
}

static int start_keeper(struct fp_spawn *s)
{
	uint32_t word;
	pid_t pid = NO_KEEPER ? -ENOSYS : fp_sys.clone_vm(keeper_main, (char *)s->stack + s->stack_size,
				    s, &s->keeper);

	if (pid < 0)
		return (int)pid;
	s->keeper_pid = pid;
	/* SPAWN-K2: FORKED, or 0 if the keeper was killed first; pairs with SPAWN-K1. */
	while ((word = fp_load_acq(&s->keeper)) == (uint32_t)pid)
		fp_sys.futex_wait_exit(&s->keeper, word, FP_FOREVER);
	if (word == 0 && s->nursery_pid == 0)
		return -ESRCH;
	return s->nursery_pid < 0 ? (int)s->nursery_pid : 0;
}

static void close_file(int *fd)
{
	if (*fd >= 0)
		fp_sys.close(*fd);
	*fd = -1;
}

/* ---- Without a keeper ---------------------------------------------------------------------- */

static int double_fork(struct fp_spawn *s)
{
	siginfo_t info;
	pid_t middle = fp_sys.fork();

	if (middle < 0)
		return (int)middle;
	if (middle == 0) {
		s->args.parent = 0;
		s->nursery_pid = fp_sys.fork();
		if (s->nursery_pid == 0)
			fp_nursery_main(&s->args);
		_exit(s->nursery_pid < 0 ? (int)-s->nursery_pid : 0);
	}
	info.si_status = 0;
	info.si_code = CLD_EXITED;
	while (fp_sys.wait(P_PID, (id_t)middle, &info, WEXITED) == -EINTR)
		;
	return info.si_code == CLD_EXITED ? -info.si_status : -FORKPOOL_ECRASHED;
}

/*
 * Until `life` is held nobody would notice the nursery's death: it says so on
 * the socket, whose end of file is its death.
 */
static int await_nursery(struct fp_spawn *s)
{
	struct fp_ctl *ctl = s->crew->seg.ctl;
	ssize_t n;
	char byte;

	close_file(&s->args.control);
	do
		n = fp_sys.recv(s->control, &byte, 1);
	while (n == -EINTR);
	if (n == 1)
		return 0;
	return fp_load_rlx(&ctl->start_error) ? fp_load_rlx(&ctl->start_error)
					      : -FORKPOOL_ECRASHED;
}

/* ---- Host side ------------------------------------------------------------------------------- */

static int open_files(struct fp_spawn *s)
{
	int ends[2], host = fp_sys.pidfd(getpid()), err;

	if (host >= 0)
		host = fp_sys.above_stdio(host);
	/* Where pidfds are unknown (valgrind) the socket's end of file must do. */
	if (host < 0 && host != -ENOSYS)
		return host;
	s->args.host = host < 0 ? -1 : host;
	err = fp_sys.socketpair(ends);
	if (err)
		return err;
	s->control = fp_sys.above_stdio(ends[0]);
	s->args.control = fp_sys.above_stdio(ends[1]);
	return s->control < 0 ? s->control : s->args.control < 0 ? s->args.control : 0;
}

static void free_all(struct fp_spawn *s)
{
	close_file(&s->args.host);
	close_file(&s->args.control);
	close_file(&s->control);
	close_file(&s->nursery);
	if (s->stack)
		fp_sys.unmap(s->stack, s->stack_size);
	s->stack = NULL;
}

static void reap_keeper(struct fp_spawn *s)
{
	siginfo_t info;

	if (s->keeper_pid <= 0)
		return;
	while (fp_sys.wait(P_PID, (id_t)s->keeper_pid, &info, WEXITED | __WALL) == -EINTR)
		;
}

/* With all signals blocked, which keeper and nursery inherit. */
static int make_processes(struct fp_spawn *s)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = start_keeper(s);
	if (s->keeper_pid == 0 && (err == -EINVAL || err == -ENOSYS || err == -EPERM)) {
		err = double_fork(s);
		if (!err)
			err = await_nursery(s);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

int fp_spawn_start(struct fp_spawn *s, struct fp_crew *crew)
{
	int err;

	memset(s, 0, sizeof(*s));
	s->crew = s->args.crew = crew;
	s->args.event = &crew->seg.event;
	s->args.host = s->args.control = s->control = s->nursery = -1;
	err = open_files(s);
	if (!err)
		err = make_stack(s);
	if (!err)
		err = make_processes(s);
	if (err) {
		reap_keeper(s);
		free_all(s);
		return err;
	}
	close_file(&s->args.host);
	close_file(&s->args.control);
	if (s->nursery_pid > 0)
		s->nursery = fp_sys.pidfd(s->nursery_pid);
	if (s->nursery >= 0)
		s->nursery = fp_sys.above_stdio(s->nursery);
	return 0;
}

void fp_spawn_order(struct fp_spawn *s, const struct fp_order *order)
{
	fp_sys.send(s->control, order, sizeof(*order), true);
}

void fp_spawn_look(struct fp_spawn *s)
{
	const struct fp_order order = { .cmd = FP_CMD_LOOK };

	/* A full socket has messages for a nursery that is stopped: it looks when it reads them (I3). */
	fp_sys.send(s->control, &order, sizeof(order), false);
}

void fp_spawn_watch(struct fp_spawn *s, uint32_t slot)
{
	/* LIMIT-J4: as LIMIT-J2, and before the message; pairs with LIMIT-J3. */
	fp_or_sc(&s->crew->seg.ctl->watched[slot / 64], (uint64_t)1 << (slot % 64));
	fp_spawn_look(s);
}

void fp_spawn_kill_tasks(struct fp_spawn *s)
{
	/* KILL-K3: as KILL-K1, and before the message; pairs with KILL-K2. */
	fp_store_sc(&s->crew->seg.ctl->kills, 1);
	fp_spawn_look(s);
}

void fp_spawn_kill_job(struct fp_spawn *s, uint32_t slot, uint64_t gen)
{
	fp_a64 *killed = &s->crew->seg.ctl->killed[slot];
	uint64_t was = fp_load_rlx(killed);

	/* KILL-J1: before the flag, and never an older job in the place of a newer one; pairs with KILL-J2. */
	while (was < gen && !fp_cas_sc(killed, &was, gen))
		;
	fp_spawn_kill_tasks(s);
}

int fp_spawn_wait(struct fp_spawn *s, int64_t deadline)
{
	fp_a32 *word = s->keeper_pid > 0 ? &s->keeper : &s->crew->seg.ctl->life;
	bool keeper = word == &s->keeper;
	uint32_t w;

	for (;;) {
		/* SPAWN-K3: 0 from the kernel, at the keeper's end; pairs with SPAWN-K1. */
		w = fp_load_acq(word);
		if (keeper ? w == 0 : fp_life_ended(s->crew->seg.ctl)) {
			/* The kernel wakes one; that one wakes the rest. */
			fp_sys.futex_wake(word, INT_MAX);
			return 0;
		}
		if (fp_sys.futex_wait_exit(word, w, deadline) == -ETIMEDOUT)
			return -ETIMEDOUT;
	}
}

bool fp_spawn_over(struct fp_spawn *s)
{
	/* SPAWN-K4: as SPAWN-K3; pairs with SPAWN-K1. */
	return s->keeper_pid > 0 ? fp_load_acq(&s->keeper) == 0 : fp_life_ended(s->crew->seg.ctl);
}

int fp_spawn_end_fd(const struct fp_spawn *s)
{
	if (s->keeper_pid > 0)
		return fp_sys.pidfd(s->keeper_pid);
	return s->nursery < 0 ? -ESRCH : fp_sys.copy_above(s->nursery, 0);
}

/* What the segment says of the nursery is believed only where we know nothing ourselves. */
static void signal_nursery(const struct fp_spawn *s, int sig)
{
	pid_t pid = s->nursery_pid > 0 ? s->nursery_pid
		  : (pid_t)(fp_load_rlx(&s->crew->seg.ctl->life) & FUTEX_TID_MASK);

	if (s->nursery >= 0)
		fp_sys.pidfd_kill(s->nursery, sig);
	else if (pid > 1)
		fp_sys.kill(pid, sig);
}

void fp_spawn_kill(struct fp_spawn *s)
{
	signal_nursery(s, SIGKILL);
}

void fp_spawn_rouse(struct fp_spawn *s)
{
	if (fp_spawn_over(s))
		return;
	signal_nursery(s, SIGCONT);
	if (s->keeper_pid > 0)
		fp_sys.kill(s->keeper_pid, SIGCONT);
}

void fp_spawn_end(struct fp_spawn *s, int64_t patience)
{
	fp_spawn_rouse(s);
	if (fp_spawn_wait(s, fp_deadline(patience))) {
		fp_spawn_kill(s);
		fp_spawn_wait(s, FP_FOREVER);
	}
	reap_keeper(s);
	free_all(s);
}

void fp_spawn_forget(struct fp_spawn *s)
{
	free_all(s);
}
