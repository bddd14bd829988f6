/* SPDX-License-Identifier: MIT */
/*
 * What.  One single-threaded process that forks workers (always from a clean
 * process), sees every exit and stop, recovers, replaces, and ends everything
 * when the host is gone.  It runs no user code.
 *
 * Invariants.
 * I1 An id is used again only after its death was reported by waitid() and what
 *    it held is settled.
 * I2 After each exit and each stop all sleepers are woken: a wake-up may have
 *    died with its receiver.
 * I3 It notices the host's end by a pidfd (death in any way) and by the end of
 *    file on the control socket (exec, and destroy).
 * I4 Deaths outside items are counted; too many of them break the pool, so that
 *    a worker that can't start is not started for ever.  A death inside an item
 *    settles that item and is progress; so is a worker that has settled a chunk
 *    and is killed when it has nothing to do.  Those we kill for their limits
 *    are not counted, and a worker that leaves in order is no death.
 *
 * Progress.  It waits only in poll(), with a time to wake up only while there
 * are recoveries to try again, or jobs with limits (proc/enforce.c); and at its own end for processes that
 * have been sent SIGKILL.
 *
 * If the owner dies.  Workers die with it (PDEATHSIG); the kernel marks `life`
 * and wakes a waiter, who wakes the rest; the keeper kills the process group.
 */
#include "proc/nursery.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <forkpool.h>

#include "os/sys.h"
#include "proc/brood.h"
#include "proc/enforce.h"
#include "proc/legacy.h"
#include "proc/place.h"
#include "proc/recover.h"
#include "proc/staff.h"
#include "proc/toll.h"
#include "proc/worker.h"
#include "shm/log.h"
#include "shm/stats.h"
#include "sync/idle.h"
#include "task/due.h"
#include "task/full.h"

#define MS		((int64_t)1000000)
#define LATER		(10 * MS)	/* until a recovery that found no room is tried again */
#define LEAVE_GRACE	(1000 * MS)	/* for idle workers' exit hooks at a stop */

struct nursery {
	const struct fp_crew *crew;
	struct fp_ctl *ctl;
	int host, control, signals;
	struct robust_list_head robust;	/* this process's, with one entry */
	struct robust_list held;	/* `life` */
	struct fp_brood brood;		/* the workers */
	struct fp_staff staff;		/* how many of them are wanted */
	uint32_t alive;
	bool started;			/* every worker has been ready once */
	bool leaving, broken;
	uint32_t stop;			/* enum fp_stop, as far as it was heeded */
	int64_t kill_at;		/* FP_FOREVER, or when patience ends */
	struct fp_attempts attempts;
	struct fp_watched watched;	/* slots whose jobs have limits in time */
	struct fp_toll toll;		/* deaths outside items */
};

/* ---- Becoming the nursery ------------------------------------------------------------ */

/*
 * Hangs `life` on this process's robust list: at our death the kernel sets
 * FUTEX_OWNER_DIED in it and, since WAITERS is set, wakes one.  glibc's own list
 * is not needed here; workers get theirs back in fork().
 */
static int hold_life(struct nursery *n)
{
	n->robust.list.next = &n->held;
	n->held.next = &n->robust.list;
	n->robust.futex_offset = (char *)&n->ctl->life - (char *)&n->held;
	/* LIFE-L2: set before anybody is told that there is a nursery; the kernel sets OWNER_DIED; pairs with LIFE-L1. */
	fp_store_rel(&n->ctl->life, (uint32_t)getpid() | FUTEX_WAITERS);
	return fp_sys.set_robust(&n->robust, sizeof(n->robust));
}

/* Not for workers: what they don't share, the nursery need not copy after each fork. */
static int make_tables(struct nursery *n)
{
	uint32_t workers = n->crew->seg.geo.workers, room = fp_toll_room(workers);
	size_t size = workers * sizeof(*n->brood.children) + room * sizeof(int64_t);
	void *p;
	int err = fp_sys.map(&p, NULL, fp_round_up(size, FP_PAGE), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (err)
		return err;
	n->brood.children = p;
	/* Written before it is read: that is one page fault, not two. */
	n->brood.children->state = FP_CHILD_NONE;
	fp_toll_init(&n->toll, (int64_t *)(n->brood.children + workers), room);
	return fp_sys.advise(p, fp_round_up(size, FP_PAGE), MADV_DONTFORK);
}

/* All signals are blocked: the host has done so. */
static int setup(struct nursery *n, const struct fp_nursery_args *args)
{
	int err;

	if (args->parent) {
		fp_sys.prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != args->parent)
			return -ESRCH;
	}
	fp_sys.prctl(PR_SET_NAME, (unsigned long)"fp-nursery");
	fp_sys.prctl(PR_SET_CHILD_SUBREAPER, 1);
	fp_sys.setpgid();
	fp_sys.default_signals();
	fp_legacy_event(args->event);
	fp_legacy_close(args);
	fp_legacy_stdio();
	fp_worker_prepare();
	n->signals = fp_sys.signalfd(SIGCHLD);
	if (n->signals >= 0)
		n->signals = fp_sys.above_stdio(n->signals);
	if (n->signals < 0)
		return n->signals;
	err = make_tables(n);
	if (!err)
		err = fp_segment_settle(&n->crew->seg);
	return err ? err : hold_life(n);
}

/* The keeper's clone took its thread's rseq off, which fork() hands on; without a keeper somebody waits for a sign of life. */
static void arrive(struct nursery *n, const struct fp_nursery_args *args)
{
	if (args->parent)
		fp_sys.rseq();
	else
		fp_sys.send(n->control, "", 1, true);
}

/* ---- Ends ------------------------------------------------------------------------------ */

static _Noreturn FP_UNKNOWN_STACK void end(struct nursery *n)
{
	siginfo_t info;

	fp_brood_kill(&n->brood);
	/* Mostly nobody is left. */
	while (fp_sys.wait(P_ALL, 0, &info, WEXITED | WNOHANG) != -ECHILD) {
		fp_brood_kill_orphans(&n->brood);
		if (fp_sys.wait(P_ALL, 0, &info, WEXITED) == -ECHILD)
			break;
	}
	_exit(0);
}

static void note(struct nursery *n, enum fp_log_kind kind, uint32_t id, int code, uint64_t value)
{
	const struct fp_log_entry entry = {
		.kind = kind,
		.id = id,
		.pid = n->brood.children ? (uint32_t)n->brood.children[id].pid : 0,
		.code = code,
		.value = value,
	};

	fp_log_put(&n->ctl->log, &entry);
}

/* Gives up; create, or whoever asks later, finds the reason. */
static void break_pool(struct nursery *n, int err)
{
	note(n, FP_LOG_GIVES_UP, 0, err, 0);
	n->broken = true;
	fp_store_rlx(&n->ctl->start_error, err);
	/* CTL-R3: after the reason; pairs with CTL-R2. */
	fp_add_sc(&n->ctl->started, 1);
	fp_sys.futex_wake(&n->ctl->started, 1);
}

/* ---- Workers start ---------------------------------------------------------------------- */

static void clear_worker(struct fp_worker *w)
{
	fp_store_rlx(&w->pid, 0);
	fp_store_rlx(&w->base.pos, FP_POS_NONE);
	fp_store_rlx(&w->base.intent, FP_INTENT_NONE);
	fp_store_rlx(&w->depth, 1);
	fp_store_rlx(&w->limit, 0);
	fp_store_rlx(&w->expired, 0);
	fp_store_rlx(&w->condemned, 0);
	fp_store_rlx(&w->state, FP_WORKER_STARTING);
	/* RESIZE-N3: after the state, so that nobody takes the life before for this one; pairs with RESIZE-H4. */
	fp_store_rel(&w->leave, FP_LEAVE_NO);
}

static bool all_started(struct nursery *n)
{
	/* CTL-R4: a hint whether create is over; pairs with CTL-R1. */
	if (!n->started && fp_load_acq(&n->ctl->started) >= n->crew->workers)
		n->started = true;
	return n->started;
}

static void bad_death(struct nursery *n, struct fp_child *child);

static uint64_t settled_by(const struct nursery *n, uint32_t id)
{
	return fp_load_rlx(&fp_segment_worker(&n->crew->seg, id)->chunks);
}

static void start_worker(struct nursery *n, uint32_t id)
{
	struct fp_worker *w = fp_segment_worker(&n->crew->seg, id);
	struct fp_child *child = &n->brood.children[id];
	pid_t self = getpid(), pid;
	bool later = all_started(n);	/* not one that create waits for */

	clear_worker(w);
	child->chunks = settled_by(n, id);
	child->charge = (struct fp_charge){ .outcome = FORKPOOL_ITEM_OK };
	child->growth = id >= n->staff.before ? n->staff.number : 0;
	pid = fp_sys.fork();
	if (pid == 0) {
		if (n->host >= 0)
			fp_sys.close(n->host);
		fp_sys.close(n->control);
		fp_sys.close(n->signals);
		if (fp_segment_settle(&n->crew->seg))
			_exit(1);
		fp_worker_process(n->crew, id, self);
	}
	if (pid < 0 && !later) {
		break_pool(n, (int)pid);
	} else if (pid < 0) {
		note(n, FP_LOG_NO_FORK, id, (int)pid, 0);
		if (!fp_staff_failed(&n->staff, id, (int)pid))
			bad_death(n, child);
	} else {
		child->state = FP_CHILD_ALIVE;
		child->pid = pid;
		n->alive++;
		fp_store_rlx(&w->pid, (uint32_t)pid);
		if (later && !child->growth)
			fp_stat_add(&n->ctl->tally.replaced, 1);
		if (later)
			note(n, FP_LOG_STARTED, id, 0, 0);
	}
}

/* ---- Workers end -------------------------------------------------------------------------- */

static uint64_t progress(struct nursery *n)
{
	uint64_t sum = 0;
	uint32_t id;

	for (id = 0; id < n->crew->seg.geo.workers; id++)
		sum += settled_by(n, id);
	return sum;
}

/* Counts a death outside items, and says when the id may start again. */
static void bad_death(struct nursery *n, struct fp_child *child)
{
	int64_t now = fp_sys.clock();
	bool enough;

	child->due = now + fp_toll_death(&n->toll, n->staff.wanted, progress(n), now, &enough);
	if (child->due > now)
		note(n, FP_LOG_BACKOFF, (uint32_t)(child - n->brood.children), 0,
		     (uint64_t)(child->due - now));
	if (enough)
		break_pool(n, -FORKPOOL_EBROKEN);
}

/* Why a worker did not come up. */
static int start_failure(struct nursery *n, uint32_t id)
{
	struct fp_worker *w = fp_segment_worker(&n->crew->seg, id);

	/* CTL-W2: the reason stands beside the state; pairs with CTL-W1. */
	if (fp_load_acq(&w->state) == FP_WORKER_REFUSED && fp_load_rlx(&w->error) < 0)
		return fp_load_rlx(&w->error);
	return -FORKPOOL_ECRASHED;
}

/* Did it end as one that was asked to leave, or had run its share of items? */
static bool left_in_order(struct nursery *n, const struct fp_child *child)
{
	struct fp_worker *w = fp_segment_worker(&n->crew->seg, child->death.id);

	return child->death.outcome == FORKPOOL_ITEM_EXITED && child->death.code == 0 &&
	       fp_load_rlx(&w->state) == FP_WORKER_LEFT;
}

/* For log and tally, while the pool goes on; what ends with it is not worth a word. */
static void note_death(struct nursery *n, const struct fp_child *child)
{
	const struct fp_death *d = &child->death;

	if (n->leaving)
		return;
	if (left_in_order(n, child)) {
		note(n, FP_LOG_LEFT, d->id, 0, 0);
		return;
	}
	fp_stat_add(&n->ctl->tally.deaths, 1);
	if (child->charge.outcome != FORKPOOL_ITEM_OK)
		fp_stat_add(&n->ctl->tally.kills, 1);
	note(n, d->outcome == FORKPOOL_ITEM_EXITED ? FP_LOG_EXITED : FP_LOG_KILLED, d->id,
	     d->code, fp_recover_busy(n->crew, d->id));
}

/*
 * One that a resize has added, and that never came up: true when so.  The first of
 * them is the resize's answer; by the time the others end, another resize may be
 * under way, which they say nothing about.
 */
static bool failed_to_grow(struct nursery *n, uint32_t id)
{
	uint32_t state = fp_load_rlx(&fp_segment_worker(&n->crew->seg, id)->state);
	struct fp_child *child = &n->brood.children[id];

	if (!child->growth || (state != FP_WORKER_STARTING && state != FP_WORKER_REFUSED))
		return false;
	if (child->growth == n->staff.number)
		fp_staff_failed(&n->staff, id, start_failure(n, id));
	/* It held no chunk, but its hook may have been allocating. */
	fp_recover_dead(n->crew, &n->attempts, &child->death);
	return true;
}

static void settle(struct nursery *n, uint32_t id)
{
	struct fp_child *child = &n->brood.children[id];
	uint32_t depth = fp_segment_depth(&n->crew->seg, id);
	enum fp_recovered r = fp_recover_dead(n->crew, &n->attempts, &child->death);

	fp_due_repeat(&n->crew->seg);
	if (r == FP_RECOVERED_LATER) {
		/* Work may have been left to it, or a wake-up been spent on it, before it died; or a frame was settled. */
		if (child->state == FP_CHILD_NONE || fp_segment_depth(&n->crew->seg, id) < depth)
			fp_brood_wake(&n->brood);
		if (child->charge.outcome != FORKPOOL_ITEM_OK)
			fp_brood_kill_jobs_of(&n->brood, id);
		child->state = FP_CHILD_UNSETTLED;
		child->due = fp_sys.clock() + LATER;
		return;
	}
	child->state = FP_CHILD_NONE;
	child->due = 0;
	if (r == FP_RECOVERED_ITEM)
		fp_toll_progress(&n->toll);
	else if (!n->leaving && !left_in_order(n, child) &&
		 child->charge.outcome == FORKPOOL_ITEM_OK &&
		 settled_by(n, id) == child->chunks)
		bad_death(n, child);
	fp_store_rlx(&fp_segment_worker(&n->crew->seg, id)->base.intent, FP_INTENT_NONE);
	fp_lanes_room_again(&n->crew->seg);
	fp_brood_wake(&n->brood);
}

static void worker_ended(struct nursery *n, uint32_t id, const siginfo_t *info)
{
	struct fp_worker *w = fp_segment_worker(&n->crew->seg, id);
	struct fp_child *child = &n->brood.children[id];
	bool exited = info->si_code == CLD_EXITED;

	n->alive--;
	child->state = FP_CHILD_NONE;
	fp_idle_forget(n->ctl, id);
	fp_place_forget(n->ctl, id);
	fp_segment_bury(&n->crew->seg, child->pid);
	fp_store_rlx(&w->pid, 0);
	fp_stats_turn(&w->stats, FP_DOING_NOTHING, fp_sys.clock());
	fp_staff_gone(&n->staff, id);
	fp_brood_kill_orphans(&n->brood);
	/* Workers may see the stop, and leave, before its command has come here. */
	if (fp_load_rlx(&n->ctl->stop) != FP_STOP_NO)
		n->leaving = true;
	child->death = (struct fp_death){
		.id = id,
		.pid = child->pid,
		.outcome = exited ? FORKPOOL_ITEM_EXITED : FORKPOOL_ITEM_CRASHED,
		.code = info->si_status,
	};
	/* Before it is settled, so that a map that fails for it finds it in the log. */
	note_death(n, child);
	if (!n->leaving && !all_started(n)) {
		break_pool(n, start_failure(n, id));
		return;
	}
	if (!n->leaving && failed_to_grow(n, id))
		return;
	/* However it died in the end: what it ran was condemned. */
	if (child->charge.outcome != FORKPOOL_ITEM_OK) {
		child->death.outcome = child->charge.outcome;
		child->death.code = 0;
		child->death.limit = child->charge.passed;
		child->death.frame = child->charge.frame;
	}
	/* Then we killed it, or it left before its chunk was done. */
	if (fp_load_rlx(&n->ctl->stop) == FP_STOP_NOW) {
		child->death.outcome = FORKPOOL_ITEM_CANCELLED;
		child->death.code = 0;
	}
	settle(n, id);
}

static void worker_stopped(struct nursery *n, uint32_t id)
{
	n->brood.children[id].charge.stopped = fp_sys.clock();
	fp_recover_stopped(n->crew, id);
	fp_due_repeat(&n->crew->seg);
	fp_lanes_room_again(&n->crew->seg);
	fp_idle_stopped(n->ctl, id);
	fp_brood_wake(&n->brood);
}

static void report(struct nursery *n, const siginfo_t *info)
{
	uint32_t id;

	for (id = 0; id < n->crew->seg.geo.workers; id++) {
		if (n->brood.children[id].state != FP_CHILD_ALIVE ||
		    n->brood.children[id].pid != info->si_pid)
			continue;
		if (info->si_code == CLD_STOPPED)
			worker_stopped(n, id);
		else if (info->si_code == CLD_CONTINUED)
			n->brood.children[id].charge.stopped = 0;
		else
			worker_ended(n, id, info);
		return;
	}
	/* An orphan that we killed: what it had forked is ours now, and goes too. */
	if (info->si_code == CLD_KILLED && info->si_status == SIGKILL)
		fp_brood_kill_orphans(&n->brood);
}

static FP_APART void reap(struct nursery *n)
{
	struct signalfd_siginfo drain[8];
	siginfo_t info;

	while (fp_sys.read(n->signals, drain, sizeof(drain)) > 0)
		;
	if (fp_due_was_lost(n->ctl))
		fp_due_repeat(&n->crew->seg);
	for (;;) {
		info.si_pid = 0;
		if (fp_sys.wait(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG) < 0 ||
		    info.si_pid == 0)
			return;
		report(n, &info);
	}
}

/* ---- The loop -------------------------------------------------------------------------------- */

static void leave(struct nursery *n, bool now)
{
	n->leaving = true;
	fp_staff_close(&n->staff);
	fp_brood_wake(&n->brood);
	if (!now)
		return;
	n->kill_at = fp_sys.clock() + LEAVE_GRACE;
	fp_brood_kill_busy(&n->brood);
}

/* The host has set it before its message. */
static void heed_stop(struct nursery *n)
{
	/* CTL-S5: in each turn, so behind the message; pairs with CTL-S1. */
	uint32_t stop = fp_load_sc(&n->ctl->stop);

	if (stop <= n->stop)
		return;
	n->stop = stop;
	leave(n, stop != FP_STOP_LEAVE);
}

static void obey(struct nursery *n)
{
	struct fp_order order = { 0 };

	if (fp_sys.recv(n->control, &order, sizeof(order)) <= 0)
		end(n);
	switch (order.cmd) {
	case FP_CMD_LOOK:
		break;
	case FP_CMD_RESIZE:
		/* How many deaths are too many depends on the number: counted anew. */
		fp_toll_clear(&n->toll);
		fp_staff_resize(&n->staff, order.number, order.workers);
		if (n->leaving)
			fp_staff_close(&n->staff);
		break;
	case FP_CMD_GROWN:
		fp_staff_grown(&n->staff, order.number);
		break;
	}
}

/* Ends what has run too long, and returns when to look again. */
static int64_t enforce_limits(struct nursery *n, int64_t now)
{
	int64_t next = fp_enforce_jobs(n->crew, &n->watched, now), look;
	bool tasks = fp_enforce_tasks(n->crew), any = tasks || fp_watched_any(&n->watched);
	struct fp_child *child;
	uint32_t id;

	for (id = 0; id < n->crew->seg.geo.workers && any; id++) {
		child = &n->brood.children[id];
		if (child->state != FP_CHILD_ALIVE)
			continue;
		look = fp_enforce_worker(n->crew, id, child->pid, &child->charge, now);
		next = fp_earlier(next, look);
	}
	return tasks ? fp_enforce_plan(n->crew, next) : next;
}

/* Does what is due, and returns when the next is. */
static int64_t do_due(struct nursery *n)
{
	int64_t now = fp_sys.clock(), next = fp_earlier(enforce_limits(n, now), n->kill_at);
	struct fp_child *child;
	uint32_t id;

	for (id = 0; id < n->crew->seg.geo.workers && !n->broken; id++) {
		child = &n->brood.children[id];
		if (child->state == FP_CHILD_ALIVE ||
		    (child->state == FP_CHILD_NONE && (n->leaving || id >= n->staff.wanted)))
			continue;
		if (child->due <= now && child->state == FP_CHILD_UNSETTLED)
			settle(n, id);
		if (child->due <= now && child->state == FP_CHILD_NONE && !n->leaving &&
		    id < n->staff.wanted)
			start_worker(n, id);
		if (child->state != FP_CHILD_ALIVE && child->due < next)
			next = child->due;
	}
	if (n->kill_at <= now) {
		fp_brood_kill(&n->brood);
		n->kill_at = next = FP_FOREVER;
	}
	return next;
}

static void turn(struct nursery *n)
{
	struct pollfd fds[] = {
		{ .fd = n->host, .events = POLLIN },
		{ .fd = n->control, .events = POLLIN },
		{ .fd = n->signals, .events = POLLIN },
	};
	int64_t next;

	heed_stop(n);
	fp_brood_kill_wanted(&n->brood);
	next = do_due(n);
	if (n->broken || (n->leaving && n->alive == 0))
		end(n);
	if (fp_sys.poll(fds, 3, next) <= 0)
		return;
	if (fds[0].revents)
		end(n);
	if (fds[1].revents)
		obey(n);
	if (fds[2].revents)
		reap(n);
}

FP_UNKNOWN_STACK void fp_nursery_main(const struct fp_nursery_args *args)
{
	struct nursery n = {
		.crew = args->crew,
		.brood.crew = args->crew,
		.ctl = args->crew->seg.ctl,
		.host = args->host,
		.control = args->control,
		.kill_at = FP_FOREVER,
	};
	int err;

	fp_staff_init(&n.staff, n.crew);
	err = setup(&n, args);

	if (err) {
		break_pool(&n, err);
		_exit(1);
	}
	arrive(&n, args);
	for (;;)
		turn(&n);
}
