/* SPDX-License-Identifier: MIT */
/*
 * What.  A pool's life in the host: created, closed, joined or terminated,
 * destroyed.
 *
 * Usage.  Any thread; fp_pool_destroy() last and alone.
 *
 * Invariants.
 * I1 A map is counted in `inside` before it looks at `state`; close and
 *    terminate change `state` before they look at `inside` (POOL-S1, POOL-I1).
 *    An async job is counted until it has been reaped.
 * I2 Workers are ended once, under `ending`.
 * I3 In a child that the host forked later, `token` reads 0 (MADV_WIPEONFORK)
 *    and nothing here touches the segment: its control pages are not mapped
 *    there (MADV_DONTFORK).
 *
 * Progress.  Calls wait for what they are documented to wait for, on futexes.
 *
 * If the owner dies.  Host threads do not die singly; with the host the nursery
 * ends everything.
 */
#include "engine/pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/async.h"
#include "engine/dispatch.h"
#include "engine/future.h"
#include "engine/handle.h"
#include "engine/log.h"
#include "engine/slots.h"
#include "engine/threads.h"
#include "os/cpus.h"
#include "os/sys.h"
#include "os/topology.h"
#include "sync/fence.h"
#include "shm/stats.h"
#include "sync/idle.h"
#include "task/cancel.h"
#include "task/job.h"

#define WORKER_SPIN_NS	((int64_t)50000)
#define WAITER_SPIN_NS	((int64_t)150000)
#define PATIENCE_NS	((int64_t)2000000000)	/* with a nursery that does not end by itself */
#define GRACE_NS	2000000
#define QUEUE_DEPTH	4096u
#define ARENA_ENOUGH	((size_t)64 << 20)

/* ---- Maps come and go -------------------------------------------------------------------- */

static void leave(struct forkpool *pool)
{
	/* POOL-I3: what the map did is done; pairs with POOL-S2. */
	if (fp_add_sc(&pool->inside, UINT32_MAX) == 1)
		fp_watch_raise(pool);
}

int fp_pool_enter(struct forkpool *pool)
{
	int err = 0;

	fp_pool_log(pool);
	/* POOL-I1: counted before the state is read, so that join misses nobody; pairs with POOL-S1. */
	fp_add_sc(&pool->inside, 1);
	/* POOL-I2: after POOL-I1; pairs with POOL-S1. */
	if (fp_load_sc(&pool->state) != FP_POOL_OPEN)
		err = -FORKPOOL_ECLOSED;
	else if (fp_life_ended(pool->crew.seg.ctl))
		err = -FORKPOOL_EBROKEN;
	if (err)
		leave(pool);
	return err;
}

void fp_pool_leave(struct forkpool *pool)
{
	/* Before we are out: who waits for us may free the pool. */
	fp_pool_log(pool);
	leave(pool);
}

bool fp_pool_over(struct forkpool *pool)
{
	return fp_load_rlx(&pool->state) == FP_POOL_TERMINATED ||
	       (pool->mode != FORKPOOL_INLINE && fp_life_ended(pool->crew.seg.ctl));
}

int fp_pool_end_error(struct forkpool *pool)
{
	return fp_load_rlx(&pool->state) == FP_POOL_TERMINATED ? -FORKPOOL_ECANCELED
								: -FORKPOOL_EBROKEN;
}

/*
 * Until no task that the program has submitted itself is unfinished, or the pool has ended; one that is not is
 * asked to tell.  What items have left behind workers run before they leave.
 */
static int await_tasks(struct forkpool *pool, int64_t deadline)
{
	struct fp_ctl *ctl = pool->crew.seg.ctl;
	uint32_t seen, life;

	for (;;) {
		/* TASK-O2: before the ask; pairs with TASK-O1. */
		seen = fp_load_sc(&ctl->done);
		life = fp_load_rlx(&ctl->life);
		if (fp_pool_over(pool) || (life & FUTEX_OWNER_DIED) || !fp_futures_ask(pool))
			return 0;
		if (fp_sys.futex_wait_two(&ctl->done, seen, &ctl->life, life, deadline) == -ETIMEDOUT)
			return -ETIMEDOUT;
		if (fp_life_ended(ctl))
			fp_sys.futex_wake(&ctl->life, INT32_MAX);
	}
}

/* Async jobs are reaped here, since nobody else need come by. */
static int await_maps(struct forkpool *pool, int64_t deadline)
{
	uint32_t seen = fp_watch_begin(pool);
	int err = 0;

	for (;;) {
		if (fp_pool_over(pool))
			err = fp_pool_await_end(pool, deadline);
		fp_async_reap(pool, false);
		/* POOL-S2: after the state changed; pairs with POOL-I3. */
		if (err || !fp_load_sc(&pool->inside))
			break;
		err = fp_watch(pool, &seen, deadline);
	}
	fp_watch_end(pool);
	return err;
}

static void set_state(struct forkpool *pool, enum fp_pool_state state)
{
	uint32_t was = fp_load_rlx(&pool->state);

	/* POOL-S1: before anybody looks who is inside; pairs with POOL-I1. */
	while (was < (uint32_t)state && !fp_cas_sc(&pool->state, &was, (uint32_t)state))
		;
}

/* ---- Create ----------------------------------------------------------------------------------- */

static int make_token(struct forkpool *pool)
{
	void *page;
	int err = fp_sys.map(&page, NULL, FP_PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (err)
		return err;
	pool->token = page;
	*pool->token = FP_POOL_TOKEN;
	return fp_sys.advise(page, FP_PAGE, MADV_WIPEONFORK);
}

static int init_locks(struct forkpool *pool)
{
	pthread_mutexattr_t recursive;
	int err = -pthread_mutex_init(&pool->ending, NULL);

	if (!err)
		err = -pthread_mutex_init(&pool->resizing, NULL);
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	if (!err)
		err = -pthread_mutex_init(&pool->serial, &recursive);
	pthread_mutexattr_destroy(&recursive);
	return err;
}

/*
 * Spinning is for those who have a CPU to themselves; others would only be in
 * the way.  Where there are no more CPUs than workers that depends on how many of
 * those are awake (fp_idle_may_spin()).  Asked while the workers start: the first
 * time in a second the quota takes a dozen files to find out.
 */
void fp_pool_set_spin(struct forkpool *pool, uint32_t workers)
{
	unsigned cpus = fp_cpus_affinity();
	int64_t wish = pool->worker_spin;
	bool free;

	cpus = fp_cpus_recent("", cpus);
	fp_store_rlx(&pool->crew.seg.ctl->cpus, cpus);
	free = workers < cpus;
	fp_store_rlx(&pool->spin, (uint64_t)(free ? WAITER_SPIN_NS : -WAITER_SPIN_NS));
	if (!wish)
		wish = free ? WORKER_SPIN_NS : -WORKER_SPIN_NS;
	else if (wish < 0)
		wish = 0;
	fp_store_rlx(&pool->crew.seg.ctl->spin, (uint64_t)wish);
}

/* A default is made smaller where there is less address space (RLIMIT_AS); a wish is not. */
static int make_segment(struct fp_segment *seg, const struct fp_pool_config *config)
{
	size_t size = config->arena_size ? config->arena_size : fp_arena_default(config->max_workers);
	const struct fp_backing backing = { config->backing, config->huge_pages };
	int err;

	while ((err = fp_segment_create(seg, config->max_workers, size, &backing)) == -ENOMEM &&
	       !config->arena_size && size > ARENA_ENOUGH)
		size /= 2;
	return err;
}

static int choose_cpus(struct forkpool *pool, int pin)
{
	struct fp_crew *crew = &pool->crew;

	if (pin == FORKPOOL_PIN_NONE || pool->mode == FORKPOOL_INLINE)
		return 0;
	pool->cpus = fp_cpus_list(&crew->cpus_count);
	if (!pool->cpus)
		return -ENOMEM;
	crew->cpus = pool->cpus;
	return fp_topology_order("", pin == FORKPOOL_PIN_SPREAD, pool->cpus, crew->cpus_count);
}

static int keep_files(struct forkpool *pool, const struct fp_pool_config *config)
{
	size_t n = config->keep_fds_count;

	if (!n || pool->mode != FORKPOOL_PROCESSES)
		return 0;
	pool->keep = calloc(n, sizeof(*pool->keep));
	if (!pool->keep)
		return -ENOMEM;
	memcpy(pool->keep, config->keep_fds, n * sizeof(*pool->keep));
	pool->crew.keep = pool->keep;
	pool->crew.keep_count = n;
	return 0;
}

static int make_arena(struct forkpool *pool)
{
	struct fp_heap_place heap = fp_segment_heap(&pool->crew.seg, true);

	return fp_arena_create(&pool->arena, &heap);
}

static int init(struct forkpool *pool, const struct fp_pool_config *config)
{
	struct fp_segment *seg = &pool->crew.seg;
	int err;

	pool->mode = config->mode;
	pool->crew.pool = pool;
	pool->workers = pool->crew.workers = config->workers;
	pool->crew.max_items = config->max_items;
	pool->crew.worker_init = config->worker_init;
	pool->crew.worker_exit = config->worker_exit;
	pool->crew.worker_arg = config->worker_arg;
	pool->crew.loop = config->loop;
	pool->crew.grace = config->grace ? config->grace : GRACE_NS;
	pool->log = config->log;
	pool->log_arg = config->log_arg;
	pool->worker_spin = config->spin;
	err = choose_cpus(pool, config->pin);
	if (!err)
		err = keep_files(pool, config);
	if (!err)
		err = make_segment(seg, config);
	if (!err) {
		fp_store_rlx(&seg->ctl->crew, config->workers);
		fp_fence_open(seg->ctl);
		fp_segment_share(seg, &pool->event);
	}
	if (!err)
		err = make_token(pool);
	if (!err)
		err = init_locks(pool);
	if (!err)
		err = fp_dispatch_open(pool);
	if (err)
		return err;
	fp_slots_init(pool);
	err = fp_async_create(pool);
	if (!err)
		err = fp_lines_create(pool, config->queue_depth ? config->queue_depth : QUEUE_DEPTH);
	return err;
}

/* Waits for every worker's READY; else the reason why not. */
static int await_started(struct forkpool *pool)
{
	struct fp_ctl *ctl = pool->crew.seg.ctl;
	fp_a32 *life = pool->spawn.keeper_pid > 0 ? &pool->spawn.keeper : &ctl->life;
	uint32_t n, alive;
	bool over = false;

	for (;;) {
		/* CTL-R2: with it the workers' states, or the reason; pairs with CTL-R1. */
		n = fp_load_acq(&ctl->started);
		if (fp_load_rlx(&ctl->start_error))
			return fp_load_rlx(&ctl->start_error);
		if (n >= pool->crew.workers)
			return 0;
		if (over)
			return -FORKPOOL_EBROKEN;
		alive = fp_load_rlx(life);
		over = life == &pool->spawn.keeper ? alive == 0 : fp_life_ended(ctl);
		if (!over)
			fp_sys.futex_wait_two(&ctl->started, n, life, alive, FP_FOREVER);
	}
}

/* For who asks for statistics. */
static void inline_worker(struct forkpool *pool, enum fp_worker_state state, enum fp_doing doing)
{
	struct fp_worker *w = fp_segment_worker(&pool->crew.seg, 0);

	fp_store_rlx(&w->pid, (uint32_t)pool->self.runner.pid);
	fp_stats_turn(&w->stats, doing, fp_sys.clock());
	fp_store_rlx(&w->state, state);
}

static int start_inline(struct forkpool *pool)
{
	int err = 0;

	pool->self = (struct fp_self){ .crew = &pool->crew, .runner.pid = getpid() };
	fp_self = &pool->self;
	if (pool->crew.worker_init)
		err = pool->crew.worker_init(pool->crew.worker_arg, 0, &pool->self.state);
	fp_self = NULL;
	if (!err)
		inline_worker(pool, FP_WORKER_READY, FP_DOING_IDLE);
	return err > 0 ? -err : err;
}

/* What only the host needs is made while the workers start, which so have less to copy. */
static int start_processes(struct forkpool *pool)
{
	int err = fp_spawn_start(&pool->spawn, &pool->crew);

	if (!err)
		err = fp_sys.advise(pool->crew.seg.ctl, pool->crew.seg.geo.ctl_size,
				    MADV_DONTFORK);
	return err ? err : make_arena(pool);
}

static int start_workers(struct forkpool *pool)
{
	int err = pool->mode == FORKPOOL_PROCESSES ? start_processes(pool) : make_arena(pool);

	if (!err && pool->mode == FORKPOOL_INLINE)
		return start_inline(pool);
	if (!err && pool->mode == FORKPOOL_THREADS)
		err = fp_threads_start(pool);
	if (err)
		return err;
	fp_pool_set_spin(pool, pool->workers);
	return await_started(pool);
}

/* ---- End ----------------------------------------------------------------------------------------- */

static void ask_to_end(struct forkpool *pool, enum fp_stop how)
{
	struct fp_ctl *ctl = pool->crew.seg.ctl;
	uint32_t i;

	if (how == FP_STOP_NOW || fp_load_rlx(&ctl->stop) == FP_STOP_NO)
		/* CTL-S1: before the wake-up, and the message; pairs with CTL-S2 and CTL-S5. */
		fp_store_sc(&ctl->stop, how);
	for (i = 0; how == FP_STOP_NOW && i < FP_SLOTS; i++)
		/* POOL-T2: such a slot may be touched; pairs with POOL-T1. */
		if (fp_load_acq(&pool->host_slots[i].taken))
			fp_job_abandon(&pool->crew.seg, i);
	/* A nursery knows who lives, and wakes them once more. */
	fp_wake_all(ctl, pool->mode == FORKPOOL_PROCESSES ? fp_segment_crew(&pool->crew.seg)
							   : pool->crew.seg.geo.workers);
	if (pool->mode == FORKPOOL_PROCESSES && pool->spawn.control >= 0) {
		fp_spawn_rouse(&pool->spawn);
		fp_spawn_look(&pool->spawn);
	}
}

/* Of a pool that was made; several threads may wait while one of them ends it. */
static int await_workers(struct forkpool *pool, int64_t deadline)
{
	struct fp_ctl *ctl = pool->crew.seg.ctl;

	if (pool->mode == FORKPOOL_PROCESSES)
		return fp_spawn_wait(&pool->spawn, deadline);
	while (pool->mode == FORKPOOL_THREADS && !fp_life_ended(ctl)) {
		uint32_t life = fp_load_rlx(&ctl->life);

		if (!(life & FUTEX_OWNER_DIED) &&
		    fp_sys.futex_wait(&ctl->life, life, deadline) == -ETIMEDOUT)
			return -ETIMEDOUT;
	}
	return 0;
}

static void end_inline(struct forkpool *pool)
{
	struct fp_self *before = fp_self;

	fp_self = &pool->self;
	if (pool->crew.worker_exit)
		pool->crew.worker_exit(pool->crew.worker_arg, 0, pool->self.state);
	fp_self = before;
	inline_worker(pool, FP_WORKER_LEFT, FP_DOING_NOTHING);
}

/* Ends what await_workers() has seen leave, or must leave now.  Once. */
static void end_workers(struct forkpool *pool)
{
	pthread_mutex_lock(&pool->ending);
	if (!pool->ended) {
		if (pool->mode == FORKPOOL_PROCESSES && pool->spawn.stack)
			fp_spawn_end(&pool->spawn, PATIENCE_NS);
		if (pool->mode == FORKPOOL_THREADS)
			fp_threads_end(pool);
		if (pool->mode == FORKPOOL_INLINE)
			end_inline(pool);
		pool->ended = true;
	}
	pthread_mutex_unlock(&pool->ending);
}

/* Its word says that the nursery is dead.  If a worker has written that, it is to become true. */
static void make_sure(struct forkpool *pool)
{
	if (fp_spawn_over(&pool->spawn) || pthread_mutex_trylock(&pool->ending))
		return;
	if (!pool->ended && !fp_spawn_over(&pool->spawn))
		fp_spawn_kill(&pool->spawn);
	pthread_mutex_unlock(&pool->ending);
}

int fp_pool_await_end(struct forkpool *pool, int64_t deadline)
{
	if (pool->mode == FORKPOOL_PROCESSES && fp_life_ended(pool->crew.seg.ctl))
		make_sure(pool);
	/* Not on `life`: a nursery that was killed is gone before its workers are; the keeper sees them off. */
	return await_workers(pool, deadline);
}

/* Who has seen it open, and may not have shown his tasks yet. */
static void await_line(struct fp_line *line, void *unused)
{
	(void)unused;
	/* LINE-B2: after the state, and the fence; pairs with LINE-B1 and LINE-B4. */
	while (fp_load_sc(&line->busy))
		fp_sys.yield();
}

/* Ends the helper thread, when its callback has returned; that one may wait for a job. */
static void end_helper(struct forkpool *pool)
{
	if (!pool->dispatch.has_helper)
		return;
	fp_dispatch_ask_to_stop(pool);
	if (pool->mode == FORKPOOL_PROCESSES &&
	    fp_spawn_wait(&pool->spawn, fp_deadline(PATIENCE_NS)))
		fp_spawn_kill(&pool->spawn);
	fp_dispatch_join(pool);
}

int fp_pool_end_fd(struct forkpool *pool)
{
	int fd = -ESRCH;

	if (pool->mode != FORKPOOL_PROCESSES)
		return fd;
	pthread_mutex_lock(&pool->ending);
	if (!pool->ended)
		fd = fp_spawn_end_fd(&pool->spawn);
	pthread_mutex_unlock(&pool->ending);
	return fd;
}

bool fp_pool_has_ended(struct forkpool *pool)
{
	if (pool->mode == FORKPOOL_PROCESSES)
		return fp_spawn_over(&pool->spawn);
	return pool->mode == FORKPOOL_THREADS && fp_life_ended(pool->crew.seg.ctl);
}

int fp_pool_close(struct forkpool *pool)
{
	set_state(pool, FP_POOL_CLOSED);
	fp_fence_heavy(pool->crew.seg.ctl);
	fp_lines_each(pool, await_line, NULL);
	fp_async_reap(pool, false);
	return 0;
}

int fp_pool_terminate(struct forkpool *pool)
{
	set_state(pool, FP_POOL_TERMINATED);
	if (pool->lines)
		fp_futures_cancel(pool);
	pthread_mutex_lock(&pool->ending);
	if (!pool->ended)
		ask_to_end(pool, FP_STOP_NOW);
	pthread_mutex_unlock(&pool->ending);
	return 0;
}

int fp_pool_join(struct forkpool *pool, int64_t timeout)
{
	int64_t deadline = fp_deadline(timeout);
	int err;

	if (fp_load_rlx(&pool->state) == FP_POOL_OPEN)
		return -EINVAL;
	err = await_tasks(pool, deadline);
	if (!err)
		err = await_maps(pool, deadline);
	if (err)
		return err;
	pthread_mutex_lock(&pool->ending);
	if (!pool->ended)
		ask_to_end(pool, FP_STOP_LEAVE);
	pthread_mutex_unlock(&pool->ending);
	err = await_workers(pool, deadline);
	if (!err)
		end_workers(pool);
	fp_pool_log(pool);
	return err;
}

/* ---- Free ------------------------------------------------------------------------------------------ */

static void free_local(struct forkpool *pool)
{
	fp_dispatch_close(pool);
	fp_async_destroy(pool);
	fp_lines_destroy(pool);
	fp_arena_destroy(pool->arena);
	fp_segment_destroy(&pool->crew.seg);
	if (pool->token)
		fp_sys.unmap(pool->token, FP_PAGE);
	free(pool->threads);
	free(pool->selves);
	free(pool->cpus);
	free(pool->keep);
	free(pool);
}

void fp_pool_destroy(struct forkpool *pool)
{
	fp_pool_terminate(pool);
	end_helper(pool);
	fp_handle_remove(pool);
	end_workers(pool);
	fp_pool_log(pool);
	fp_slots_destroy(pool);
	pthread_mutex_destroy(&pool->serial);
	pthread_mutex_destroy(&pool->resizing);
	pthread_mutex_destroy(&pool->ending);
	free_local(pool);
}

void fp_pool_forget(struct forkpool *pool)
{
	fp_handle_remove(pool);
	if (pool->mode == FORKPOOL_PROCESSES) {
		fp_spawn_forget(&pool->spawn);
		fp_segment_forget(&pool->crew.seg);
	}
	free_local(pool);
}

int fp_pool_create(struct forkpool **ret, const struct fp_pool_config *config)
{
	struct forkpool *pool;
	int err;

	/* The segment is laid out in pages of one size; kernels for aarch64 may have larger ones. */
	if (fp_sys.page_size() != FP_PAGE)
		return -ENOTSUP;
	pool = aligned_alloc(FP_LINE, fp_round_up(sizeof(*pool), FP_LINE));
	if (!pool)
		return -ENOMEM;
	memset(pool, 0, sizeof(*pool));
	pool->spawn.control = -1;
	fp_dispatch_init(pool);
	err = init(pool, config);
	if (err) {
		free_local(pool);
		return err;
	}
	/* Before there are workers, whose items have handles as well. */
	err = fp_handle_add(pool);
	if (err) {
		free_local(pool);
		return err;
	}
	err = start_workers(pool);
	if (err) {
		if (pool->mode == FORKPOOL_INLINE)
			pool->ended = true;
		fp_pool_destroy(pool);
		return err;
	}
	if (config->dispatch_thread)
		err = fp_dispatch_start(pool);
	if (err) {
		fp_pool_destroy(pool);
		return err;
	}
	fp_pool_log_create(pool);
	*ret = pool;
	return 0;
}
