/* SPDX-License-Identifier: MIT */
/* The death of each of a pool's own processes, and of its host. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "api/api.h"

#define PROMPT_MS	5000	/* at once, on a machine that has much else to do */

struct board {
	atomic_int entered, open, armed;
};

static struct board *board;

static void board_open(void)
{
	board = shared_new(sizeof(*board));
}

static void board_close(void)
{
	shared_free(board, sizeof(*board));
}

static int wait_open(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	atomic_fetch_add(&board->entered, 1);
	while (!atomic_load(&board->open))
		sleep_ms(1);
	return 0;
}

static int nothing(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return 0;
}

struct family {
	pid_t nursery, worker;
};

static int tell_family(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	*(struct family *)out = (struct family){ getppid(), getpid() };
	return 0;
}

static struct family family_of(struct forkpool *pool)
{
	struct family f = { 0 };

	ck_assert_int_eq(forkpool_map(pool, tell_family, NULL, 0, &f, sizeof(f), 1, NULL), 0);
	return f;
}

static pid_t parent_of(pid_t pid)
{
	char path[64];
	int ppid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (file && fscanf(file, "%*d (%*[^)]) %*c %d", &ppid) != 1)
		ppid = 0;
	if (file)
		fclose(file);
	return ppid;
}

/* ---- Waiters ------------------------------------------------------------------------ */

#define WAITERS	8
#define UNTOUCHED	99

struct waiter {
	struct forkpool *pool;
	pthread_t thread;
	struct forkpool_status status[4];
	int err;
};

static void *waiter_main(void *arg)
{
	struct waiter *w = arg;
	FORKPOOL_JOB_OPTS(opts, .status = w->status, .retries = 1000);

	w->err = forkpool_map(w->pool, wait_open, NULL, 0, NULL, 0, 4, &opts);
	return NULL;
}

static void waiters_start(struct waiter *w, int n, struct forkpool *pool)
{
	int i;

	for (i = 0; i < n; i++) {
		w[i] = (struct waiter){ .pool = pool, .err = 1 };
		w[i].status[0].outcome = UNTOUCHED;
		ck_assert_int_eq(pthread_create(&w[i].thread, NULL, waiter_main, &w[i]), 0);
	}
	while (atomic_load(&board->entered) < 2)
		sleep_ms(1);
	/* Most of the others wait by then; who comes later is told so. */
	sleep_ms(20);
}

static void waiters_end(struct waiter *w, int n, int err)
{
	int64_t start = now_ms();
	int i, k, late = 0;
	bool untouched;

	for (i = 0; i < n; i++) {
		pthread_join(w[i].thread, NULL);
		/* A map that began when all was over, or the pool closed, has left it alone. */
		untouched = w[i].status[0].outcome == UNTOUCHED;
		late += untouched;
		if (!untouched || w[i].err != -FORKPOOL_ECLOSED)
			ck_assert_int_eq(w[i].err, err);
		for (k = 0; k < 4 && !untouched; k++)
			ck_assert_int_eq(w[i].status[k].outcome, FORKPOOL_ITEM_CANCELLED);
	}
	ck_assert_int_lt(late, n);
	ck_assert_int_lt(now_ms() - start, PROMPT_MS);
}

static void check_broken(struct forkpool *pool)
{
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 5, NULL), -FORKPOOL_EBROKEN);
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 0, NULL), -FORKPOOL_EBROKEN);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 5, NULL), -FORKPOOL_ECLOSED);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	forkpool_destroy(pool);
}

START_TEST(the_nursery_dies_while_maps_wait)
{
	struct forkpool *pool = pool_new(2);
	struct family f = family_of(pool);
	struct waiter w[WAITERS];

	waiters_start(w, WAITERS, pool);
	ck_assert_int_eq(kill(f.nursery, SIGKILL), 0);
	waiters_end(w, WAITERS, -FORKPOOL_EBROKEN);
	check_broken(pool);
}
END_TEST

START_TEST(the_keeper_dies_while_maps_wait)
{
	struct forkpool *pool = pool_new(2);
	pid_t keeper = parent_of(family_of(pool).nursery);
	struct waiter w[WAITERS];

	/* Where a pool has no keeper, the nursery is somebody else's child. */
	if (parent_of(keeper) != getpid()) {
		forkpool_destroy(pool);
		return;
	}
	waiters_start(w, WAITERS, pool);
	ck_assert_int_eq(kill(keeper, SIGKILL), 0);
	waiters_end(w, WAITERS, -FORKPOOL_EBROKEN);
	check_broken(pool);
}
END_TEST

#define ASLEEP_MS	400

static int64_t cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Who waits until the keeper has seen them off sleeps meanwhile, however he waits. */
START_TEST(the_nursery_has_died_and_workers_not_yet)
{
	struct forkpool *pool = pool_new(2), *other = pool_new(1);
	struct family f = family_of(pool);
	struct forkpool_job *jobs[2] = { NULL };
	pid_t keeper = parent_of(f.nursery);
	int64_t before;

	if (parent_of(keeper) == getpid()) {
		if (_i)
			ck_assert_int_eq(forkpool_map_async(pool, wait_open, NULL, 0, NULL, 0, 1, NULL, &jobs[0]), 0);
		else
			ck_assert_int_eq(forkpool_submit(pool, wait_open, NULL, 0, 0, NULL, &jobs[0]), 0);
		ck_assert_int_eq(kill(keeper, SIGSTOP), 0);
		ck_assert_int_eq(kill(f.nursery, SIGKILL), 0);
		while (forkpool_map(pool, nothing, NULL, 0, NULL, 0, 0, NULL) != -FORKPOOL_EBROKEN)
			sleep_ms(1);
		before = cpu_ms();
		ck_assert_int_eq(forkpool_wait_any(jobs, 1, ASLEEP_MS * MS), -ETIMEDOUT);
		ck_assert_int_eq(forkpool_job_wait(jobs[0], ASLEEP_MS * MS), -ETIMEDOUT);
		ck_assert_int_lt(cpu_ms() - before, ASLEEP_MS / 2);
		/* What another pool does meanwhile is seen. */
		ck_assert_int_eq(forkpool_submit(other, nothing, NULL, 0, 0, NULL, &jobs[1]), 0);
		ck_assert_int_eq(forkpool_wait_any(jobs, 2, -1), 1);
		ck_assert_int_eq(kill(keeper, SIGCONT), 0);
		ck_assert_int_eq(forkpool_wait_any(jobs, 1, -1), 0);
		ck_assert_int_eq(forkpool_job_wait(jobs[0], -1), -FORKPOOL_EBROKEN);
	}
	forkpool_destroy(other);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(the_nursery_of_an_idle_pool_dies)
{
	struct forkpool *pool = pool_new(2), *other = pool_new(1);
	struct family f = family_of(pool);
	int64_t until = now_ms() + PROMPT_MS;

	kill(f.nursery, SIGKILL);
	while (forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1, NULL) == 0 && now_ms() < until)
		sleep_ms(1);
	check_broken(pool);
	family_of(other);
	forkpool_destroy(other);
}
END_TEST

/* Its nursery, its keeper, or both are stopped; each must be woken for the pool to end. */
static void stop_some(struct forkpool *pool, int which)
{
	pid_t nursery = family_of(pool).nursery, keeper = parent_of(nursery);

	if (which != 1)
		ck_assert_int_eq(kill(nursery, SIGSTOP), 0);
	if (which != 0 && parent_of(keeper) == getpid())
		ck_assert_int_eq(kill(keeper, SIGSTOP), 0);
}

START_TEST(a_pool_whose_own_processes_were_stopped_ends)
{
	FORKPOOL_JOB_OPTS(limited, .timeout = (int64_t)3600000000000);
	struct forkpool *pool = pool_new(2);
	struct waiter w[WAITERS];
	int64_t start;

	stop_some(pool, _i % 3);
	start = now_ms();
	if (_i < 3) {
		waiters_start(w, WAITERS, pool);
		ck_assert_int_eq(forkpool_terminate(pool), 0);
		waiters_end(w, WAITERS, -FORKPOOL_ECANCELED);
	} else if (_i < 6) {
		ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 5, &limited), 0);
		ck_assert_int_eq(forkpool_close(pool), 0);
		ck_assert_int_eq(forkpool_join(pool, -1), 0);
	}
	forkpool_destroy(pool);
	ck_assert_int_lt(now_ms() - start, PROMPT_MS);
}
END_TEST

#define FLOOD	1000	/* more messages than the nursery's socket has room for */

/* What was asked of it meanwhile it does when it goes on, however much that is. */
START_TEST(a_stopped_nursery_keeps_no_caller_waiting)
{
	FORKPOOL_JOB_OPTS(limited, .timeout = (int64_t)3600000000000);
	FORKPOOL_JOB_OPTS(brief, .timeout = 10 * MS);
	struct forkpool *pool = pool_new(2);
	pid_t nursery = family_of(pool).nursery;
	struct forkpool_job *job = NULL;
	int i;

	ck_assert_int_eq(kill(nursery, SIGSTOP), 0);
	for (i = 0; i < FLOOD; i++)
		CHECK_EACH(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1, &limited) == 0);
	if (_i == 0)
		ck_assert_int_eq(forkpool_submit(pool, wait_open, NULL, 0, 0, NULL, &job), 0);
	else
		ck_assert_int_eq(forkpool_map_async(pool, wait_open, NULL, 0, NULL, 0, 1,
						    _i == 1 ? NULL : &brief, &job), 0);
	while (!atomic_load(&board->entered))
		sleep_ms(1);
	if (_i != 2)
		ck_assert_int_eq(forkpool_job_kill(job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, 20 * MS), -ETIMEDOUT);
	ck_assert_int_eq(kill(nursery, SIGCONT), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG_S * 1000 * MS),
			 _i == 2 ? -FORKPOOL_ETIMEDOUT : -FORKPOOL_ECANCELED);
	forkpool_job_free(job);
	/* Asked to end with a full socket as well. */
	ck_assert_int_eq(kill(nursery, SIGSTOP), 0);
	for (i = 0; i < FLOOD; i++)
		CHECK_EACH(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1, &limited) == 0);
	if (_i == 0) {
		ck_assert_int_eq(forkpool_close(pool), 0);
		ck_assert_int_eq(forkpool_join(pool, -1), 0);
	}
	forkpool_destroy(pool);
}
END_TEST

static void reaper_of_a_broken_pool(void *unused)
{
	FORKPOOL_OPTS(opts, .workers = 4, .arena_size = 1 << 20);
	struct forkpool *pool;
	struct family f;
	int i;

	(void)unused;
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	MUST(forkpool_create(&pool, &opts) == 0);
	MUST(forkpool_map(pool, tell_family, NULL, 0, &f, sizeof(f), 1, NULL) == 0);
	kill(f.nursery, SIGKILL);
	for (i = 0; i < 50; i++) {
		MUST(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
		sleep_ms(1);
	}
	forkpool_destroy(pool);
	MUST(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

START_TEST(a_reaper_sees_nothing_of_a_broken_pool)
{
	ck_assert_int_eq(child_run(reaper_of_a_broken_pool, NULL), 0);
}
END_TEST

/* ---- Workers -------------------------------------------------------------------------- */

#define IDLE_KILLS	30	/* more than a worker that never comes up would be put up with */

START_TEST(idle_workers_are_replaced)
{
	struct forkpool *pool = pool_new(2);
	pid_t pids[IDLE_KILLS];
	int i, k;

	for (i = 0; i < IDLE_KILLS; i++) {
		pids[i] = family_of(pool).worker;
		for (k = 0; k < i; k++)
			CHECK_EACH(pids[i] != pids[k]);
		ck_assert_int_eq(kill(pids[i], SIGKILL), 0);
		while (kill(pids[i], 0) == 0)
			sleep_ms(1);
	}
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 1000, NULL), 0);
	forkpool_destroy(pool);
}
END_TEST

/* Else it may still claim something first. */
static void stop_and_wait(pid_t pid)
{
	int64_t until = now_ms() + HANG_S * 1000;

	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	while (state_of(pid) != 'T') {
		ck_assert_msg(now_ms() < until, "it does not stop");
		sleep_ms(1);
	}
}

START_TEST(a_stopped_worker_holds_up_only_its_item)
{
	struct forkpool *pool = pool_new(2);
	pid_t pid = family_of(pool).worker;
	int i;

	stop_and_wait(pid);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 100, NULL), 0);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 100, NULL), 0);
	kill(pid, SIGSTOP);
	forkpool_destroy(pool);
}
END_TEST

#define MANY	4000
#define MIDDLE	1703

struct many {
	atomic_int stopped;		/* who */
	atomic_char began[MANY], ended[MANY];
};

static int stop_in_the_middle(void *arg, const void *in, void *out)
{
	struct many *m = arg;
	int i = *(const int *)in;

	(void)out;
	atomic_fetch_add(&m->began[i], 1);
	if (i == MIDDLE) {
		atomic_store(&m->stopped, getpid());
		raise(SIGSTOP);
	}
	atomic_fetch_add(&m->ended[i], 1);
	return 0;
}

/* Have all items ended but one block, of at most so many, that begins with the one at which its worker was stopped? */
static bool only_its_block_is_left(const struct many *m, int most)
{
	int i = MIDDLE, k;

	while (i < MANY && !m->ended[i])
		i++;
	for (k = 0; k < MANY; k++)
		if (!m->ended[k] && (k < MIDDLE || k >= i))
			return false;
	return atomic_load(&m->stopped) && i > MIDDLE && i <= MIDDLE + most;
}

/* With a block of 50, and of the size that is measured. */
START_TEST(a_worker_stopped_in_the_middle_of_a_map)
{
	struct forkpool *pool = pool_new(3);
	struct many *m = forkpool_shm_calloc(pool, 1, sizeof(*m));
	FORKPOOL_JOB_OPTS(opts, .arg = m, .chunk = _i ? 50 : 0);
	int64_t until = now_ms() + HANG_S * 1000;
	struct forkpool_job *job;
	int in[MANY], i;

	for (i = 0; i < MANY; i++)
		in[i] = i;
	ck_assert_int_eq(forkpool_map_async(pool, stop_in_the_middle, in, sizeof(*in), NULL, 0, MANY,
					    &opts, &job), 0);
	/* It may be held up just before it stops; a SIGCONT that comes first is lost. */
	while (!only_its_block_is_left(m, _i ? 50 : MANY / 3) ||
	       state_of(atomic_load(&m->stopped)) != 'T') {
		ck_assert_msg(now_ms() < until, "the others do not finish the rest");
		sleep_ms(1);
	}
	ck_assert_int_eq(forkpool_job_poll(job), 0);
	ck_assert_int_eq(kill(atomic_load(&m->stopped), SIGCONT), 0);
	ck_assert_int_eq(forkpool_job_wait(job, HANG_S * 1000 * MS), 0);
	for (i = 0; i < MANY; i++)
		CHECK_EACH(m->began[i] == 1 && m->ended[i] == 1);
	forkpool_job_free(job);
	forkpool_destroy(pool);
}
END_TEST

static int crash_when_armed(void *arg, unsigned id, void **state)
{
	(void)arg;
	(void)id;
	(void)state;
	if (atomic_load(&board->armed))
		abort();
	return 0;
}

static int kill_self(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	raise(SIGKILL);
	return 0;
}

START_TEST(workers_that_never_start_again_break_the_pool)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = 1 << 20, .worker_init = crash_when_armed);
	FORKPOOL_JOB_OPTS(job, .retries = 1000);
	struct forkpool *pool;
	int64_t start = now_ms();

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	atomic_store(&board->armed, 1);
	ck_assert_int_eq(forkpool_map(pool, kill_self, NULL, 0, NULL, 0, 10, &job), -FORKPOOL_EBROKEN);
	ck_assert_int_lt(now_ms() - start, HANG_S * 1000);
	check_broken(pool);
}
END_TEST

/* ---- The host ---------------------------------------------------------------------------- */

enum end { KILLED, EXIT, ABORTED, EXEC, ENDS };

/* Its workers hold stdout, which is a pipe; who reads there learns of the last one's end. */
struct host {
	int end, out;
	bool busy, forks;
};

static void *map_for_ever(void *pool)
{
	forkpool_map(pool, wait_open, NULL, 0, NULL, 0, 100, NULL);
	return NULL;
}

static int fork_sleeper(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	if (fork() == 0) {
		setsid();
		for (;;)
			pause();
	}
	return 0;
}

static void host_main(void *arg)
{
	const struct host *h = arg;
	FORKPOOL_OPTS(opts, .workers = 3, .arena_size = 1 << 20);
	struct forkpool *pool;
	pthread_t thread;

	MUST(dup2(h->out, 1) == 1);
	close(h->out);
	MUST(forkpool_create(&pool, &opts) == 0);
	if (h->forks)
		MUST(forkpool_map(pool, fork_sleeper, NULL, 0, NULL, 0, 3, NULL) == 0);
	if (h->busy) {
		MUST(pthread_create(&thread, NULL, map_for_ever, pool) == 0);
		while (atomic_load(&board->entered) < 3)
			sleep_ms(1);
	}
	atomic_store(&board->armed, 1);
	switch (h->end) {
	case KILLED:
		pause();
		break;
	case EXIT:
		exit(0);
	case ABORTED:
		abort();
	case EXEC:
		execl("/bin/sh", "sh", "-c", "exec >&- 2>&-; exec sleep 30", (char *)NULL);
	}
	_exit(98);
}

static void check_host_ends(int end, bool busy, bool forks)
{
	int ends[2], ready;
	struct pollfd reader;
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	memset(board, 0, sizeof(*board));
	pid = child_start(host_main, &(struct host){ end, ends[1], busy, forks });
	close(ends[1]);
	while (!atomic_load(&board->armed))
		sleep_ms(1);
	if (end == KILLED)
		kill(pid, SIGKILL);
	reader = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	ready = poll(&reader, 1, PROMPT_MS);
	ck_assert_msg(ready == 1 && (reader.revents & POLLHUP), "end %d, busy %d, forks %d: alive",
		      end, busy, forks);
	close(ends[0]);
	if (end == EXEC)
		kill(pid, SIGKILL);
	child_end(pid);
}

START_TEST(nothing_outlives_the_host)
{
	int end, kind;

	for (end = 0; end < ENDS; end++)
		for (kind = 0; kind < 4; kind++)
			check_host_ends(end, kind & 1, kind & 2);
}
END_TEST

int main(void)
{
	Suite *suite;
	TCase *broken, *workers, *host;

	if (!test_processes())
		return TEST_SKIP;
	suite = suite_create("broken");
	broken = test_case(suite, "broken");
	workers = test_case(suite, "workers");
	host = test_case(suite, "host");
	tcase_add_checked_fixture(broken, board_open, board_close);
	tcase_add_checked_fixture(workers, board_open, board_close);
	tcase_add_checked_fixture(host, board_open, board_close);
	tcase_add_test(broken, the_nursery_dies_while_maps_wait);
	tcase_add_test(broken, the_keeper_dies_while_maps_wait);
	tcase_add_loop_test(broken, the_nursery_has_died_and_workers_not_yet, 0, 2);
	tcase_add_test(broken, the_nursery_of_an_idle_pool_dies);
	tcase_add_loop_test(broken, a_pool_whose_own_processes_were_stopped_ends, 0, 9);
	tcase_add_loop_test(broken, a_stopped_nursery_keeps_no_caller_waiting, 0, 3);
	tcase_add_test(broken, a_reaper_sees_nothing_of_a_broken_pool);
	tcase_add_test(workers, idle_workers_are_replaced);
	tcase_add_test(workers, a_stopped_worker_holds_up_only_its_item);
	tcase_add_loop_test(workers, a_worker_stopped_in_the_middle_of_a_map, 0, 2);
	tcase_add_test(workers, workers_that_never_start_again_break_the_pool);
	tcase_add_test(host, nothing_outlives_the_host);
	return test_main(suite);
}
