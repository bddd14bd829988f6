/* SPDX-License-Identifier: MIT */
/*
 * forkpool: a pool of worker processes for CPU-heavy loops.
 *
 * What a worker sees.  Workers are processes, forked when the pool is created.
 * A worker sees the program's memory as it was at forkpool_create(), and the
 * shared segment (forkpool_shm_alloc()) as it is now.  What the program changes
 * elsewhere after create (globals, heap, descriptors, environment) is not seen
 * by workers; what an item writes outside the segment is seen by nobody.
 *
 * A first program:
 *
 *	static int square(void *arg, const void *in, void *out)
 *	{
 *		const int *x = in;
 *		int *y = out;
 *
 *		*y = *x * *x;
 *		return 0;
 *	}
 *	...
 *	int in[4] = { 1, 2, 3, 4 }, out[4];
 *	struct forkpool *pool;
 *	int err = forkpool_create(&pool, NULL);
 *
 *	if (!err)
 *		err = FORKPOOL_MAP(pool, square, in, out, 4);
 *	if (err)
 *		fprintf(stderr, "%s\n", forkpool_strerror(err));
 *	forkpool_destroy(pool);		(only after a successful create)
 *
 * Results.  A call returns 0 (or a count), or a negative error: -errno, or one
 * of the codes below with a minus sign.  On failure the outputs are untouched,
 * but for what the call's own text says.
 *
 * Times are int64_t nanoseconds, monotonic durations.  In a wait -1 means for
 * ever and 0 polls; in an option 0 means none.
 *
 * Who may call what.  "Worker" is code that runs inside an item or a hook;
 * "child" is a process that the program forked after create.  "Its own" are the
 * tasks that the item at work has submitted; of others -EDEADLK, of maps -EPERM.
 *
 *	call                         any thread   worker       child
 *	forkpool_create              yes          -EPERM       yes (a pool of its own)
 *	forkpool_map, forkpool_for   yes          yes          -EINVAL
 *	forkpool_map_async,
 *	forkpool_for_async           yes          yes          -EINVAL
 *	forkpool_submit, _call,
 *	forkpool_submit_many         yes          yes          -EINVAL
 *	forkpool_job_wait, _poll,
 *	_status, _cancel, _kill,
 *	forkpool_wait_any, _wait_all yes          its own      -EINVAL
 *	forkpool_job_result          yes          its own      NULL
 *	forkpool_job_free            yes          its own      no effect
 *	forkpool_group_create,
 *	_wait, _cancel               yes          -EPERM       -EINVAL
 *	forkpool_group_free          yes, last    no effect    frees what the child holds
 *	forkpool_stats,
 *	forkpool_worker_stats        yes          yes          -EINVAL
 *	forkpool_event_fd,
 *	forkpool_dispatch            yes          -EPERM       -EINVAL
 *	forkpool_close, _terminate   yes          -EPERM       -EINVAL
 *	forkpool_join, _resize       yes          -EPERM       -EINVAL
 *	forkpool_destroy             once, last   no effect    frees what the child holds
 *	forkpool_shm_alloc and kin   yes          yes          EINVAL
 *	forkpool_shm_free            yes          yes          no effect
 *	forkpool_shm_owns            yes          yes          yes
 *	forkpool_current, _worker_id,
 *	forkpool_worker_state,
 *	forkpool_cancelled           yes (none)   yes          yes (none)
 *	forkpool_cpu_count,
 *	forkpool_strerror            yes          yes          yes
 *
 * No call is safe in a signal handler except forkpool_strerror().
 */
#ifndef FORKPOOL_H
#define FORKPOOL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct forkpool;
struct forkpool_job;
struct forkpool_group;

/* Errors of our own, beside errno's.  Calls return them negated. */
enum {
	FORKPOOL_EFAILED = 4096,	/* an item's function returned non-zero */
	FORKPOOL_ECRASHED,		/* an item lost its worker: a signal or an exit */
	FORKPOOL_ETIMEDOUT,		/* an item, or the job, ran past its limit */
	FORKPOOL_ECANCELED,		/* the job was cancelled, or the pool terminated */
	FORKPOOL_ECLOSED,		/* the pool takes no more work */
	FORKPOOL_EBROKEN,		/* the pool is gone: its nursery died or gave up */
};

/*
 * The text of an error, of either sign and both kinds.  Never NULL; the text
 * is constant and lives for ever.
 */
const char *forkpool_strerror(int err);

/* ---- Pool ---------------------------------------------------------------- */

/*
 * An item's function.  in points to the item's in_size bytes, out to its
 * out_size bytes (NULL where the size is 0).  Returns 0, or the item's error.
 */
typedef int forkpool_fn(void *arg, const void *in, void *out);

/* How a pool runs its items. */
enum {
	FORKPOOL_PROCESSES = 1,	/* worker processes: the product */
	FORKPOOL_THREADS,	/* worker threads: for ThreadSanitizer and comparison;
				 * an item that crashes takes the program with it */
	FORKPOOL_INLINE,	/* no workers: the calling thread runs the items */
};

/* Where workers run. */
enum {
	FORKPOOL_PIN_NONE,	/* where the kernel puts them (best, but where it moves them about) */
	FORKPOOL_PIN_COMPACT,	/* each on one CPU: neighbours first, which share caches */
	FORKPOOL_PIN_SPREAD,	/* each on one CPU: one for each core and package first */
};

/* Levels of the log; the numbers are those of syslog(3). */
enum {
	FORKPOOL_LOG_ERROR = 3,	/* the pool is broken */
	FORKPOOL_LOG_WARNING,	/* a worker died; dying workers are started more slowly */
	FORKPOOL_LOG_NOTICE,	/* something less than usual had to do */
	FORKPOOL_LOG_INFO,	/* a worker left in order, or was started */
};

/* What the shared segment lies on. */
enum {
	FORKPOOL_BACKING_AUTO,	/* /dev/shm if it has room for arena_size, else a memfd */
	FORKPOOL_BACKING_SHM,	/* /dev/shm, or -ENOSPC and the like */
	FORKPOOL_BACKING_MEMFD,
};

struct forkpool_opts {
	size_t sz;		/* sizeof(struct forkpool_opts) */
	unsigned workers;	/* how many; 0 = forkpool_cpu_count(); at most 1024 */
	int mode;		/* 0 = the environment's FORKPOOL_MODE (processes,
				 * threads or inline), else FORKPOOL_PROCESSES */
	size_t arena_size;	/* bytes of address space for shared data; memory is
				 * taken only as used; 0 = a quarter of RAM */
	/*
	 * Called in each new worker before its first item; what it stores in
	 * *state is what forkpool_worker_state() returns there.  Non-zero (use
	 * -errno) means that the worker can't start; forkpool_create() then
	 * fails with that error.
	 */
	int (*worker_init)(void *worker_arg, unsigned id, void **state);
	/* Called in a worker that leaves in order; not in one that is killed. */
	void (*worker_exit)(void *worker_arg, unsigned id, void *state);
	void *worker_arg;	/* for both hooks; memory that exists at create */
	/*
	 * ns that an item which has run past its limit (timeout, deadline) gets
	 * to end by itself, before its worker is killed; 0 = 2 ms.
	 */
	int64_t grace;
	/*
	 * The most that forkpool_resize() will ever be asked for, from workers to
	 * 1024; 0 = 64, or more where workers or the machine's CPUs are more.
	 */
	unsigned max_workers;
	/*
	 * A worker that has run so many items leaves in order (worker_exit is
	 * called) and another takes its place; 0 = never.  At least so many: it
	 * leaves between two chunks, or inside one where that can be divided.
	 */
	uint64_t max_items_per_worker;
	int64_t spin;		/* ns a worker looks for work before it sleeps; 0 =
				 * chosen by the library, -1 = it sleeps at once */
	/*
	 * FORKPOOL_PIN_...: worker id runs on one CPU of the affinity mask that the
	 * thread in forkpool_create() has; more workers than CPUs share them, in
	 * turn.  No effect in inline mode.
	 */
	int pin;
	/*
	 * Descriptors that workers keep, under the same numbers; they are there for
	 * the whole life of the pool, whatever the program closes.  Workers have 0,
	 * 1, 2, these, and one of the library's own with a high number.
	 */
	const int *keep_fds;
	size_t keep_fds_count;
	/*
	 * Told what an operator may want to know: FORKPOOL_LOG_... and a line of text
	 * without an end of line, valid during the call.  Called only on threads that
	 * are inside a call on this pool, create and destroy included, so late where
	 * nobody calls; by several at once where several call.  It may call
	 * forkpool_strerror() and the like, but nothing that maps on the pool, changes
	 * or ends it.  NULL: silence.
	 */
	void (*log)(void *log_arg, int level, const char *text);
	void *log_arg;
	int huge_pages;		/* 0 = as the system is set up; 1 = ask for huge pages
				 * for shared data, where the backing can have them */
	int backing;		/* FORKPOOL_BACKING_...; one that can't be had is an error */
	/*
	 * Unfinished tasks that one thread may have, for each priority; 0 = 4096, at
	 * most a million.  forkpool_submit() then waits, or says -EAGAIN.
	 */
	unsigned queue_depth;
	/*
	 * 1: a helper thread of the pool's own runs the on_done callbacks, with all
	 * signals blocked; then forkpool_dispatch() is -EINVAL.  forkpool_destroy()
	 * waits for a callback that runs.
	 */
	int dispatch_thread;
};

/* Declares NAME, a struct forkpool_opts: FORKPOOL_OPTS(opts, .workers = 8); */
#define FORKPOOL_OPTS(...) \
	FORKPOOL_OPTS_NAMED_(__VA_ARGS__, .sz = sizeof(struct forkpool_opts))
#define FORKPOOL_OPTS_NAMED_(name, ...) \
	struct forkpool_opts name = { __VA_ARGS__ }

/*
 * Makes a pool and returns when every worker has started.  opts NULL means
 * defaults.  The program's SIGCHLD handling, wait(-1), threads and later forks
 * are not touched: no process of the pool is a child that wait(-1) can see.
 *
 * -EINVAL  ret is NULL; an unknown mode, pin, backing or huge_pages; too many
 *          workers; spin below -1; a negative grace; keep_fds NULL with a count;
 *          opts->sz is smaller than that of any version
 * -ENOTSUP max_items_per_worker, without worker processes; or the kernel's pages are
 *          not of 4 KiB
 * -EBADF   one of keep_fds is not open
 * -E2BIG   opts->sz is larger than this library knows, with non-zero bytes there
 * -ENOMEM, -ENOSPC, -EMFILE, -EAGAIN ...  no memory, room, descriptors, processes
 * -FORKPOOL_ECRASHED  a worker died while it started
 * else     what a worker_init hook returned
 */
int forkpool_create(struct forkpool **ret, const struct forkpool_opts *opts);

/*
 * The loop around your function, compiled into your program and handed over by
 * forkpool_create(), which is a macro too for this one purpose.  Why: many CPUs
 * predict a call, and its return, over more than some GiB of address space
 * later than one nearby, and a shared library lies that far from the program:
 * 1 ns for each item, on the machine where README's figures are from.
 *
 * Runs fn from batch->begin on, each item's index stored to *pos before it
 * starts.  Returns 0 after the last one, else what fn returned, with begin set to
 * that item.
 */
struct forkpool_batch {
	forkpool_fn *fn;
	void *arg;
	uintptr_t in, out;	/* of the item begin; 0 where the size is 0 */
	size_t in_size, out_size;
	uint64_t begin, end;	/* indices, half open */
	uint64_t *pos;
};
typedef int forkpool_loop_fn(struct forkpool_batch *batch);

static inline int forkpool_loop_(struct forkpool_batch *batch)
{
	/* What is stepped or called has a register; the rest is cheapest as an operand in memory. */
	forkpool_fn *fn = batch->fn;
	uintptr_t in = batch->in, out = batch->out;
	uint64_t *pos = batch->pos, i;
	int code;

	for (i = batch->begin; i < batch->end; i++) {
		__atomic_store_n(pos, i, __ATOMIC_RELAXED);
		code = fn(batch->arg, (const void *)in, (void *)out);
		if (code) {
			batch->begin = i;
			return code;
		}
		in += batch->in_size;
		out += batch->out_size;
	}
	return 0;
}

/*
 * What the macro forkpool_create() calls.  Errors as there, and -EINVAL when
 * loop is NULL.
 */
int forkpool_create_with_loop(struct forkpool **ret, const struct forkpool_opts *opts,
			      forkpool_loop_fn *loop);
#define forkpool_create(...) forkpool_create_with_loop(__VA_ARGS__, forkpool_loop_)

/* Takes no more work; maps and async jobs under way go on.  May be said twice. */
int forkpool_close(struct forkpool *pool);

/*
 * Waits until all work is done and the workers have left (their worker_exit
 * hooks have run).  Needs close or terminate before it, else -EINVAL.
 * -ETIMEDOUT: still at work, call again.  May be said twice.
 */
int forkpool_join(struct forkpool *pool, int64_t timeout);

/*
 * Stops now.  Items that run are killed; every unfinished map and
 * job returns -FORKPOOL_ECANCELED.  Idle workers leave in order.  May be said twice.
 */
int forkpool_terminate(struct forkpool *pool);

/*
 * Terminates, and frees all: jobs, workers, segment, descriptors.  No other thread
 * may be inside a call on this pool, or start one.  NULL is fine.
 */
void forkpool_destroy(struct forkpool *pool);

/*
 * Changes the number of workers, also while maps run.  Workers that are too many
 * finish their item, give back what else they had claimed, and leave in order.
 * Returns when the new number is in force: new workers are ready, and those that
 * leave have been told so, which need not have left yet.  Several threads may
 * call; one resize is done after the other.
 *
 * -EINVAL  pool is NULL; workers is 0, or more than max_workers
 * -ENOTSUP the pool has no worker processes
 * -FORKPOOL_ECLOSED, -FORKPOOL_EBROKEN
 * -FORKPOOL_ECRASHED, -EAGAIN, -ENOMEM, or what worker_init returned: a new worker
 *          did not come up; the number is the old one, and the new ones leave
 */
int forkpool_resize(struct forkpool *pool, unsigned workers);

/*
 * How many CPUs this process may use: its affinity mask, cut by the CPU quota
 * of its cgroups (v1, v2, hybrid), rounded up; at least 1.  The quota is as of at
 * most a second ago.
 */
unsigned forkpool_cpu_count(void);

/* ---- Map ----------------------------------------------------------------- */

/*
 * A range's function: runs the items begin <= i < end.  A map calls it many
 * times, with ranges that do not overlap and together cover everything.
 */
typedef int forkpool_range_fn(void *arg, size_t begin, size_t end);

/* How an item ended. */
enum {
	FORKPOOL_ITEM_OK,
	FORKPOOL_ITEM_FAILED,	/* its function returned code, not 0 */
	FORKPOOL_ITEM_CRASHED,	/* its worker died of signal code */
	FORKPOOL_ITEM_EXITED,	/* it called exit(code), or a kin of it */
	FORKPOOL_ITEM_TIMED_OUT,	/* its worker was killed: it had run past its limit */
	FORKPOOL_ITEM_CANCELLED,	/* its job was cancelled before it started, or the
				 * pool terminated or broke before it ended */
	FORKPOOL_ITEM_NOT_RUN,	/* skipped, because of stop_on_error or the deadline */
};

/* This struct never changes. */
struct forkpool_status {
	int outcome;		/* FORKPOOL_ITEM_... */
	int code;		/* its function's value, a signal, an exit status, or 0 */
	unsigned attempts;	/* times it was started */
	pid_t worker;		/* who ran it last; 0 if nobody did */
};

struct forkpool_job_opts {
	size_t sz;		/* sizeof(struct forkpool_job_opts) */
	/*
	 * Handed to every call of the function.  With arg_size, that many bytes
	 * are copied and the function gets a pointer to the copy.  With arg_size
	 * 0, arg must be NULL or lie in the segment; arg_as_is lifts that, for
	 * memory that existed (and had its content) at create.
	 */
	void *arg;
	size_t arg_size;
	int arg_as_is;
	size_t chunk;		/* items claimed at once; 0 = measured (best) */
	struct forkpool_status *status;	/* one per item, filled in; not for ranges */
	/*
	 * Gets the index of the first item that is not ok (for ranges, where the
	 * failing range begins).  Untouched when all are ok.
	 */
	size_t *first_failure;
	/*
	 * Once an item is not ok, no item behind it is started any more.  Items
	 * before it still run: the call ends as the serial loop would, with the
	 * error of the first item, by index, that is not ok.
	 */
	int stop_on_error;
	unsigned retries;	/* times an item is run again that lost its worker; not one
				 * that timed out */
	/*
	 * Called now and then (about ten times a second) on the calling thread,
	 * while it waits, and once at the end if all is done.
	 */
	void (*on_progress)(size_t done, size_t count, void *user);
	void *user;		/* for on_progress and on_done */
	/*
	 * Limits in time, in ns of the clock on the wall; 0 = none.  An item that
	 * runs longer than timeout (for ranges: a call of the function), or that
	 * still runs when the job's deadline has come, counted from this call,
	 * has the pool's grace to end; then its worker is killed and the item has
	 * timed out.  After the deadline no item is begun any more.  -ENOTSUP in
	 * pools without processes, and in a hook.
	 */
	int64_t timeout;
	int64_t deadline;
	/*
	 * A pool runs 64 jobs at once.  A call that finds as many unfinished waits
	 * until one has ended; with dont_wait it returns -EAGAIN.
	 */
	int dont_wait;
	/*
	 * Called once, when the job has ended: by forkpool_dispatch(), on the thread
	 * that calls that, or on the helper thread of the option dispatch_thread.  The
	 * job may be asked for its result, waited for and freed in there.  A job that
	 * is freed before it is called for gets no call.  For jobs that are not waited
	 * for by the call that makes them; elsewhere, and in workers, -EINVAL.
	 */
	void (*on_done)(struct forkpool_job *job, void *user);
	int priority;	/* FORKPOOL_PRIORITY_...: who is served first when workers are short */
	struct forkpool_group *group;	/* tasks: one more to wait for there */
};

/*
 * Workers take the work of a higher priority first, but now and then (once in 16
 * times) the lowest first, so that nothing starves.  What a worker has turned to, it
 * goes on with for about 1 ms, or to the end of one item.
 */
enum {
	FORKPOOL_PRIORITY_LOW = -1,
	FORKPOOL_PRIORITY_NORMAL,
	FORKPOOL_PRIORITY_HIGH,
};

/* Declares NAME, a struct forkpool_job_opts: FORKPOOL_JOB_OPTS(o, .retries = 2); */
#define FORKPOOL_JOB_OPTS(...) \
	FORKPOOL_JOB_OPTS_NAMED_(__VA_ARGS__, .sz = sizeof(struct forkpool_job_opts))
#define FORKPOOL_JOB_OPTS_NAMED_(name, ...) \
	struct forkpool_job_opts name = { __VA_ARGS__ }

/*
 * Runs fn once for each of count items and waits until all have ended.
 *
 * in is an array of count items of in_size bytes, out of count places of
 * out_size bytes; a size may be 0.  Arrays inside the segment are used in
 * place; others are copied in bulk, in pieces where they are large, so that
 * copying and running overlap, or where the arena is too small for all; what a
 * map that the pool's end cuts short had finished by then may be in out.  A
 * failed item leaves its place in out undefined; places of other items are
 * filled all the same.  Any number of threads may map at once.
 *
 * Items may map as well, on forkpool_current().  Idle workers help; the item's
 * own worker runs such a map too, and while it waits it runs what descends from
 * the item and nothing else, so maps inside each other never deadlock.  An item
 * that loses its worker takes with it the items below it on that worker's stack,
 * which wait, each by its own retries; what these had mapped is cancelled.  With
 * an item that is ended at its limit, what it had mapped ends too.  While 64 such
 * maps are under way, or there is no room to copy, or in a hook, or before Linux
 * 5.14, the caller runs all items itself, as a part of its own.
 *
 * Returns 0 when every item is ok, else the error of the first that is not:
 * -FORKPOOL_EFAILED, -FORKPOOL_ECRASHED, -FORKPOOL_ETIMEDOUT (also for one
 * that was not begun before the deadline) or -FORKPOOL_ECANCELED.  With
 * retries = 0 no item is ever started twice; with retries an item may run
 * again, and finds in out what the attempt before it left there.
 *
 * -EINVAL  pool or fn is NULL; in or out is NULL with a size; a size overflows;
 *          retries with in and out that overlap; an arg that workers can't see;
 *          a child that the program forked calls; a negative limit
 * -ENOTSUP limits in time where there is no process to kill
 * -ELOOP   1,024 maps lie around this one already
 * -EAGAIN  inside an item, with limits in time: 64 such maps are under way
 * -E2BIG   opts->sz too large; -ENOMEM  not one item fits the free arena
 * -ENOSPC  /dev/shm is full, and has no room for the job itself
 * -FORKPOOL_ECLOSED, -FORKPOOL_EBROKEN
 */
int forkpool_map(struct forkpool *pool, forkpool_fn *fn, const void *in,
		 size_t in_size, void *out, size_t out_size, size_t count,
		 const struct forkpool_job_opts *opts);

/*
 * Runs fn over begin <= i < end, in ranges of a length that the pool chooses.
 * Errors as forkpool_map().  The ranges are the items for the purpose of
 * errors: without retries, a range that loses its worker has crashed as a
 * whole; with retries it is halved until the single guilty item is found.
 * The option status is -EINVAL here; so is end < begin.
 */
int forkpool_for(struct forkpool *pool, forkpool_range_fn *fn, size_t begin,
		 size_t end, const struct forkpool_job_opts *opts);

/*
 * forkpool_map() with the sizes taken from the pointers and options by name:
 *
 *	err = FORKPOOL_MAP(pool, fn, in, out, count);
 *	err = FORKPOOL_MAP(pool, fn, in, out, count, .retries = 2, .status = st);
 *
 * in and out must be typed pointers or arrays: void * does not compile.
 */
#define FORKPOOL_MAP(pool, fn, in, out, ...) \
	FORKPOOL_MAP_NAMED_(pool, fn, in, out, __VA_ARGS__, \
			    .sz = sizeof(struct forkpool_job_opts))
#define FORKPOOL_MAP_NAMED_(pool, fn, in, out, count, ...) \
	forkpool_map((pool), (fn), (in), FORKPOOL_ITEM_SIZE_(in), (out), \
		     FORKPOOL_ITEM_SIZE_(out), (count), \
		     &(const struct forkpool_job_opts){ __VA_ARGS__ })
#define FORKPOOL_ITEM_SIZE_(p) \
	(sizeof(*(p)) + 0 * sizeof(struct { \
		int unused_; \
		_Static_assert(!_Generic((p), void *: 1, const void *: 1, \
			volatile void *: 1, const volatile void *: 1, default: 0), \
			"FORKPOOL_MAP needs typed pointers, not void *"); \
	}))

/* ---- Tasks ----------------------------------------------------------------- */

/*
 * Hands one item to the workers, who see it before the call returns.  in is
 * copied; in and out of up to 96 bytes together cost no memory beside the task.
 * *ret is a job, of one item, to be waited for and freed as those below; ret NULL:
 * nobody will ask, unless on_done gets the job.
 *
 * While the calling thread has queue_depth unfinished tasks the call waits, or
 * with dont_wait returns -EAGAIN.  Tasks of one thread are begun in the order in
 * which it submitted them, those of one priority.
 *
 * In a worker the task is a part of the item that submits it: it may be waited
 * for there only, by that item, which meanwhile runs it or what it is made of;
 * a task that nobody has waited for when its item ends is detached.
 *
 * Options: arg, retries, timeout, deadline, priority, on_done, user, dont_wait,
 * group; chunk and stop_on_error mean nothing here; status and first_failure are
 * -EINVAL but in forkpool_call().
 *
 * -EINVAL  as forkpool_map(); -ENOMEM: no room for in or out, or for the task
 * -ENOTSUP limits in time where there is no process to kill; a hook calls, or a
 *          process that an item forked
 * -EAGAIN  full, and dont_wait is set
 * -ELOOP   in a worker: 1,024 items lie around this one already
 * -FORKPOOL_ECLOSED, -FORKPOOL_EBROKEN
 */
int forkpool_submit(struct forkpool *pool, forkpool_fn *fn, const void *in,
		    size_t in_size, size_t out_size,
		    const struct forkpool_job_opts *opts, struct forkpool_job **ret);

/*
 * The same for count tasks at once, with one publication and one wake-up: in is
 * an array of count items of in_size bytes, ret one of count jobs, or NULL.
 * Returns how many were submitted: all, or with dont_wait those that there was
 * room for, at least one.
 */
int forkpool_submit_many(struct forkpool *pool, forkpool_fn *fn, const void *in,
			 size_t in_size, size_t out_size, size_t count,
			 const struct forkpool_job_opts *opts, struct forkpool_job **ret);

/* Submits, waits, and copies the result to out.  Returns what forkpool_job_wait() does. */
int forkpool_call(struct forkpool *pool, forkpool_fn *fn, const void *in, size_t in_size,
		  void *out, size_t out_size, const struct forkpool_job_opts *opts);

/*
 * What a task that is done and ok has left in out: out_size bytes, valid until the
 * job is freed.  NULL: it failed, is not done, has no out, or is no task.
 */
const void *forkpool_job_result(struct forkpool_job *job);

/*
 * Waits until one of n jobs is done, and returns its index (the lowest, if several
 * are).  NULL entries are passed over.  -ETIMEDOUT; -EINVAL: there is no entry but
 * NULL, or a job is not known.
 */
int forkpool_wait_any(struct forkpool_job *const *jobs, size_t n, int64_t timeout);

/*
 * Waits until all of n jobs are done.  Returns 0 when all are ok, else the error of
 * the first, by index, that is not.  -ETIMEDOUT; -EINVAL: a job is not known.
 */
int forkpool_wait_all(struct forkpool_job *const *jobs, size_t n, int64_t timeout);

/*
 * A group: tasks submitted with the option group, by any thread, to be waited for
 * together.  Their results can be had if submit was given a place for the job;
 * else the group frees them, but for those with on_done, which gets the job.
 */
int forkpool_group_create(struct forkpool *pool, struct forkpool_group **ret);

/*
 * Waits until all tasks submitted so far are done, and forgets them.  0: all were
 * ok; else the error of the first, in the order of submission, that was not.
 */
int forkpool_group_wait(struct forkpool_group *group, int64_t timeout);

/* Cancels what is unfinished, as forkpool_job_cancel(). */
int forkpool_group_cancel(struct forkpool_group *group);

/* Frees it; unfinished tasks are detached.  NULL is fine. */
void forkpool_group_free(struct forkpool_group *group);

/* ---- Jobs ------------------------------------------------------------------ */

/*
 * As forkpool_map() and forkpool_for(), but they return at once, with a job to
 * wait for.  in is copied before they return (in the segment it is used in
 * place, and must stay as it is).  out, status and first_failure are filled by
 * the time that a wait or poll has found the job done, maybe before, and must
 * live until then; who frees the job first gets nothing in them any more.
 *
 * A job is a number that names it, not an address: a job that was freed, is of
 * a pool that is gone, or never was, is -EINVAL in every call.
 *
 * Errors as there, and -EINVAL when ret is NULL; -ENOMEM: no room for all items
 * at once; -EAGAIN: 64 jobs are unfinished, and the option dont_wait is set.
 * Inline the items have run when they return.
 *
 * In a worker the job is the item's own, as a task that it submits (forkpool_submit());
 * -ENOTSUP in a hook, and in an item that runs inline.  There a range, or a map of
 * more than 65536 items without status and retries, is lost as a whole with the
 * worker that began it, or with retries begun again as a whole, so often at most.
 */
int forkpool_map_async(struct forkpool *pool, forkpool_fn *fn, const void *in,
		       size_t in_size, void *out, size_t out_size, size_t count,
		       const struct forkpool_job_opts *opts, struct forkpool_job **ret);
int forkpool_for_async(struct forkpool *pool, forkpool_range_fn *fn, size_t begin,
		       size_t end, const struct forkpool_job_opts *opts,
		       struct forkpool_job **ret);

/*
 * Waits until the job is done and returns what forkpool_map() would have
 * returned, the same each time and in any number of threads.  -ETIMEDOUT: still
 * running.  on_progress is called in here.
 */
int forkpool_job_wait(struct forkpool_job *job, int64_t timeout);

/* 1: done; 0: not yet. */
int forkpool_job_poll(struct forkpool_job *job);

/*
 * How item index (from 0 on, for ranges too) of a job that is done has ended.
 * -EAGAIN: it is not done.  Everything is known of a job with the option status,
 * or with at most 65536 items.  Of others, and of ranges, it is known which is
 * the first that is not ok, and how it ended; those before it are ok, with
 * attempts and worker 0; for those behind it the call returns -ENODATA.
 */
int forkpool_job_status(struct forkpool_job *job, size_t index,
			struct forkpool_status *ret);

/*
 * Items that have not started never start: they are FORKPOOL_ITEM_CANCELLED.
 * Items that run go on, see forkpool_cancelled(), and end as they end; those that
 * a worker was about to start within some microseconds may still start.  The job
 * is done when they have ended.  Returns 0; so too when it is done already, which
 * changes nothing.
 */
int forkpool_job_cancel(struct forkpool_job *job);

/*
 * Cancels the job and replaces the workers that still run it: their items are
 * FORKPOOL_ITEM_CANCELLED, too.  No item of another job is harmed.  -ENOTSUP in
 * pools without processes.
 */
int forkpool_job_kill(struct forkpool_job *job);

/*
 * Gives the job up.  An unfinished one runs on to its end, unseen.  NULL is fine,
 * and so is a job that was freed before.
 */
void forkpool_job_free(struct forkpool_job *job);

/* ---- Event loops ------------------------------------------------------------ */

/*
 * A descriptor that can be read from while on_done callbacks are due, for poll(),
 * epoll, libuv, GLib and the like; at times it can when none is.  It is there from
 * the first call to forkpool_destroy(), always the same, the pool's, and not to be
 * read or closed: its owner calls forkpool_dispatch().
 *
 * -EINVAL  pool is NULL; it has a dispatch_thread; a child calls
 * -EPERM   inside a worker
 * -EMFILE, -ENFILE, -ENOMEM  no descriptors, no memory
 */
int forkpool_event_fd(struct forkpool *pool);

/*
 * Runs the on_done callbacks that are due, on this thread, and returns how many.
 * Does not wait: 0 when none is due.  A job's callback is run once, when the job
 * has ended, however it did: also when the pool was terminated or broke, and
 * whoever waited for the job before.  In a callback each call is allowed but
 * forkpool_destroy() of this pool, which has no effect there; a dispatch inside a
 * callback runs what else is due.  Several threads may dispatch at once.  What a
 * callback makes due is for the next dispatch.
 *
 * A job that was freed gets no callback: when forkpool_job_free() has returned
 * none begins, and one that another thread was running has ended; but a free that
 * is made in a callback does not wait for others.  forkpool_destroy() drops what is
 * due by then.
 *
 * -EINVAL  pool is NULL; it has a dispatch_thread; a child calls
 * -EPERM   inside a worker
 */
int forkpool_dispatch(struct forkpool *pool);

/* ---- Inside a worker ------------------------------------------------------ */

/* The pool whose worker this is; NULL outside. */
struct forkpool *forkpool_current(void);

/* This worker's number, from 0 to workers - 1; 0 outside. */
unsigned forkpool_worker_id(void);

/* What worker_init stored in this worker; NULL outside. */
void *forkpool_worker_state(void);

/*
 * Not 0 when the job of this item was cancelled, or one whose item maps or has
 * submitted it and runs, or the pool is being terminated: a long item may end
 * early.  Once a cancel was seen it stays so.  Cheap: a few loads.  0 outside.
 */
int forkpool_cancelled(void);

/* ---- Statistics ------------------------------------------------------------- */

/*
 * The figures of a pool.  They can be read at any time until destroy, also while it
 * runs: workers are not held up.  Each is exact by itself, and counts over the whole
 * life of the pool, whatever becomes of workers; together they are not a picture of
 * one instant.  What a call on the pool has waited for is in them when it returns.
 */
struct forkpool_stats {
	size_t sz;		/* in: sizeof(struct forkpool_stats) */
	/* All workers together. */
	uint64_t items;		/* of maps: that came to their end, ok or failed; in ranges
				 * each index is one.  Not those that lost their worker */
	uint64_t tasks;		/* the same of tasks */
	uint64_t claims;	/* times that a worker took work: of a map, several items at once */
	uint64_t failed_claims;	/* times that another worker was faster */
	uint64_t wakeups;	/* times that a worker came back from sleep */
	/*
	 * ns that workers had an item at work, and had none: looked for work or slept,
	 * also inside an item that waits for a map of its own.  Up to now; but where a
	 * worker goes from one to the other right now, a reading may be ahead of the
	 * next one by as long as that takes.
	 */
	int64_t busy_ns;
	int64_t idle_ns;
	/* Workers that came to an end while the pool went on; 0 without processes. */
	uint64_t deaths;	/* that did not leave in order */
	uint64_t kills;		/* of these, killed by the pool: a limit in time, forkpool_job_kill() */
	uint64_t replaced;	/* workers started in the place of others that died or left */
	uint64_t retries;	/* times that an item lost its worker and was begun again for it */
	uint64_t timeouts;	/* items that ended at their limit */
	/* Now. */
	unsigned workers;	/* that are there: starting, idle, or at work */
	unsigned busy;		/* of these, with an item at work */
	unsigned maps;		/* unfinished ones of the program */
	unsigned nested_maps;	/* unfinished ones of items, but for those that run in the item's
				 * own worker alone */
	/* Tasks that wait for a worker, by priority: high, normal, low. */
	uint64_t queued[3];
};

/* What a worker does. */
enum {
	FORKPOOL_WORKER_NONE,		/* there is none with this number now */
	FORKPOOL_WORKER_STARTING,	/* worker_init has not returned */
	FORKPOOL_WORKER_IDLE,		/* looks for work, or sleeps */
	FORKPOOL_WORKER_BUSY,		/* runs an item */
	FORKPOOL_WORKER_WAITING,	/* idle inside an item, which waits for a map of its own */
};

/* The same of one worker; of all that had its number, one after the other. */
struct forkpool_worker_stats {
	size_t sz;		/* in: sizeof(struct forkpool_worker_stats) */
	uint64_t items;
	uint64_t tasks;
	uint64_t claims;
	uint64_t failed_claims;
	uint64_t wakeups;
	int64_t busy_ns;
	int64_t idle_ns;
	int state;		/* FORKPOOL_WORKER_... */
	pid_t pid;		/* 0: there is none now; without processes the program's */
	int64_t state_ns;	/* how long it has been idle, busy or waiting; else 0 */
};

/*
 * ret->sz says which version of the struct the program knows: one with fewer fields
 * gets those, in a larger one what this library does not know is set to 0.
 *
 *	struct forkpool_stats s = { .sz = sizeof(s) };
 *	int err = forkpool_stats(pool, &s);
 *
 * Inline the pool has one worker, the threads that map.
 *
 * -EINVAL  pool or ret is NULL; sz is smaller than that of any version; id is not
 *          below max_workers of forkpool_create() (or workers, without processes);
 *          the caller is a child that the program, or an item, forked
 * -E2BIG   sz is larger than any version will be: it was not set
 */
int forkpool_stats(struct forkpool *pool, struct forkpool_stats *ret);
int forkpool_worker_stats(struct forkpool *pool, unsigned id,
			  struct forkpool_worker_stats *ret);

/* ---- Shared memory -------------------------------------------------------- */

/*
 * Memory that host and workers see at the same address.  Room is taken when it
 * is allocated: NULL with errno ENOMEM when there is none, never a SIGBUS
 * later.  Aligned for any type; aligned_alloc takes a power of two up to
 * 1 GiB.  A size of 0 gives a pointer that can be freed.
 *
 * Items and hooks allocate as well, and anybody frees what anybody allocated: an
 * item hands a block on by its pointer in out, or in other shared memory.  What
 * an item allocated is kept when the item has ended, also when it failed.  When
 * the item loses its worker, all that it allocated there is freed.  A death at
 * any instruction leaves each block either allocated or free.
 *
 * Workers take memory with MADV_POPULATE_WRITE.  Before Linux 5.14, which has
 * none, they get only what has been used before and was freed; else ENOMEM.
 */
void *forkpool_shm_alloc(struct forkpool *pool, size_t size);
void *forkpool_shm_calloc(struct forkpool *pool, size_t n, size_t size);
void *forkpool_shm_aligned_alloc(struct forkpool *pool, size_t align, size_t size);

/*
 * Frees what the calls above gave, whoever calls; NULL is fine.  What was freed
 * already, or is no block of this pool, is left alone.
 */
void forkpool_shm_free(struct forkpool *pool, void *ptr);

/* 1 if ptr lies in the shared data of this pool, else 0. */
int forkpool_shm_owns(struct forkpool *pool, const void *ptr);

#ifdef __cplusplus
}
#endif

#endif
