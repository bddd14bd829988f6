/* SPDX-License-Identifier: MIT */
/*
 * System calls, as the table counts them: none for a task while workers are busy,
 * and few for a round trip where all share one CPU.
 *
 * Streams are paced in user space, so that neither side ever runs dry, however
 * long one of them is kept from running: a task does not end before LAG more have
 * been submitted behind it, and the host asks for a task only when the one behind
 * it has begun, which one worker does after it has ended the first.  It is counted
 * while a task is at work at both ends.  What is left are the calls that the library
 * makes for its own sake.  (Waiting in here is libc's sched_yield(), which the table
 * does not see; an idle machine shows no difference.)
 */
#include "api/api.h"

#include <sched.h>

#include "base/bits.h"
#include "os/sys.h"

#define TASKS		200000
#define IN_FLIGHT	1024
#define LAG		(IN_FLIGHT / 2)
#define BATCH		128
#define SHARE		100		/* tasks for each call, at least */
#define FIB		21
#define FIB_TASKS	35421		/* that it takes: twice fib(FIB + 1), less one */
#define TRIPS		2000
#define TRIP_CALLS	20		/* a wake-up, a sleep and its fence, on each side, and some for nothing */
#define HANG_NS		(HANG_S * 1000 * MS)

/* Made before the pool, so that workers have it at the same address. */
static struct shared {
	atomic_ulong calls;
	atomic_long submitted, begun, end;
	atomic_bool go, counted;
} *shared;

/* ---- The table ---------------------------------------------------------------------- */

/* An entry that counts, with the real one's parameters and arguments. */
#define COUNTED(type, name, params, args) \
	static type count_##name params \
	{ \
		atomic_fetch_add(&shared->calls, 1); \
		return fp_sys_real.name args; \
	}

COUNTED(int, unmap, (void *addr, size_t len), (addr, len))
COUNTED(int, advise, (void *addr, size_t len, int advice), (addr, len, advice))
COUNTED(int, allocate, (int fd, off_t off, off_t len), (fd, off, len))
COUNTED(ssize_t, send, (int fd, const void *buf, size_t len, bool wait), (fd, buf, len, wait))
COUNTED(ssize_t, recv, (int fd, void *buf, size_t len), (fd, buf, len))
COUNTED(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len))
COUNTED(int, poll, (struct pollfd *fds, nfds_t n, int64_t deadline), (fds, n, deadline))
COUNTED(int, event_raise, (int fd), (fd))
COUNTED(int, futex_wait, (fp_a32 *word, uint32_t expected, int64_t deadline), (word, expected, deadline))
COUNTED(int, futex_wait_two, (fp_a32 *a, uint32_t va, fp_a32 *b, uint32_t vb, int64_t deadline),
	(a, va, b, vb, deadline))
COUNTED(int, futex_wait_many, (const struct fp_wait *list, unsigned n, int64_t deadline), (list, n, deadline))
COUNTED(int, futex_wait_exit, (fp_a32 *word, uint32_t expected, int64_t deadline), (word, expected, deadline))
COUNTED(int, futex_wake, (fp_a32 *word, int count), (word, count))
COUNTED(int, yield, (void), ())
COUNTED(int, membarrier, (int command), (command))
COUNTED(int, move, (int cpu), (cpu))
COUNTED(int, kill, (pid_t pid, int sig), (pid, sig))
COUNTED(int, wait, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options))
COUNTED(int, prctl, (int option, unsigned long arg), (option, arg))

static int count_map(void **ret, void *hint, size_t len, int prot, int flags, int fd, off_t off)
{
	atomic_fetch_add(&shared->calls, 1);
	return fp_sys_real.map(ret, hint, len, prot, flags, fd, off);
}

/* The clock is none: it is read without the kernel. */
static void table_counts(void)
{
	fp_sys.map = count_map;
	fp_sys.unmap = count_unmap;
	fp_sys.advise = count_advise;
	fp_sys.allocate = count_allocate;
	fp_sys.send = count_send;
	fp_sys.recv = count_recv;
	fp_sys.read = count_read;
	fp_sys.poll = count_poll;
	fp_sys.event_raise = count_event_raise;
	fp_sys.futex_wait = count_futex_wait;
	fp_sys.futex_wait_two = count_futex_wait_two;
	fp_sys.futex_wait_many = count_futex_wait_many;
	fp_sys.futex_wait_exit = count_futex_wait_exit;
	fp_sys.futex_wake = count_futex_wake;
	fp_sys.yield = count_yield;
	fp_sys.membarrier = count_membarrier;
	fp_sys.move = count_move;
	fp_sys.kill = count_kill;
	fp_sys.wait = count_wait;
	fp_sys.prctl = count_prctl;
}

static struct forkpool *open_pool(unsigned workers)
{
	FORKPOOL_OPTS(opts, .workers = workers, .arena_size = (size_t)16 << 20);
	struct forkpool *pool;

	shared = shared_new(sizeof(*shared));
	table_counts();
	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	return pool;
}

static void close_pool(struct forkpool *pool)
{
	forkpool_destroy(pool);
	fp_sys = fp_sys_real;
	shared_free(shared, sizeof(*shared));
}

/* ---- Pace --------------------------------------------------------------------------- */

/* False: it hangs. */
static bool reaches(atomic_long *n, long least)
{
	int64_t until = fp_sys.clock() + HANG_NS;

	while (atomic_load(n) < least) {
		if (fp_sys.clock() > until)
			return false;
		sched_yield();
	}
	return true;
}

static bool is_set(atomic_bool *flag)
{
	int64_t until = fp_sys.clock() + HANG_NS;

	while (!atomic_load(flag)) {
		if (fp_sys.clock() > until)
			return false;
		sched_yield();
	}
	return true;
}

static int first(void *arg, const void *in, void *out)
{
	(void)arg, (void)in, (void)out;
	atomic_store(&shared->begun, 0);
	return !is_set(&shared->go);
}

static long result_of(long i)
{
	return 3 * i + 1;
}

static int paced(void *arg, const void *in, void *out)
{
	const long *i = in;
	long *result = out, end = atomic_load(&shared->end);

	(void)arg;
	atomic_store(&shared->begun, *i + 1);
	if (!reaches(&shared->submitted, *i + LAG < end ? *i + LAG : end) ||
	    (*i + 1 == end && !is_set(&shared->counted)))
		return 1;
	*result = result_of(*i);
	return 0;
}

/* The worker is in a task from here on; nothing has been counted. */
static struct forkpool_job *begin(struct forkpool *pool, long tasks)
{
	struct forkpool_job *job;

	atomic_store(&shared->begun, -1);
	atomic_store(&shared->end, tasks);
	ck_assert_int_eq(forkpool_submit(pool, first, NULL, 0, 0, NULL, &job), 0);
	ck_assert(reaches(&shared->begun, 0));
	atomic_store(&shared->calls, 0);
	return job;
}

/* The last task is at work, and ends now. */
static void check_calls(long tasks)
{
	unsigned long calls;

	ck_assert(reaches(&shared->begun, tasks));
	calls = atomic_load(&shared->calls);
	atomic_store(&shared->counted, true);
	ck_assert_msg(calls * SHARE < (unsigned long)tasks, "%lu calls for %ld tasks", calls, tasks);
}

static void expect(struct forkpool_job *job, long i)
{
	const long *result;

	CHECK_EACH(forkpool_job_wait(job, HANG_NS) == 0);
	result = forkpool_job_result(job);
	CHECK_EACH(result && *result == result_of(i));
	forkpool_job_free(job);
}

/* When it has ended, and that can be known without asking the library. */
static void expect_ended(struct forkpool_job *job, long i)
{
	CHECK_EACH(reaches(&shared->begun, i + 2));
	expect(job, i);
}

/* ---- Streams ------------------------------------------------------------------------ */

START_TEST(tasks_one_by_one)
{
	struct forkpool_job *jobs[IN_FLIGHT], *opening;
	struct forkpool *pool;
	long i;

	if (test_inline())
		return;
	pool = open_pool(1);
	opening = begin(pool, TASKS);
	for (i = 0; i < TASKS; i++) {
		if (i >= IN_FLIGHT)
			expect_ended(jobs[i % IN_FLIGHT], i - IN_FLIGHT);
		CHECK_EACH(forkpool_submit(pool, paced, &i, sizeof(i), sizeof(i), NULL,
					   &jobs[i % IN_FLIGHT]) == 0);
		atomic_store(&shared->submitted, i + 1);
		if (i + 1 == LAG)
			atomic_store(&shared->go, true);
	}
	check_calls(TASKS);
	for (i = TASKS - IN_FLIGHT; i < TASKS; i++)
		expect(jobs[i % IN_FLIGHT], i);
	ck_assert_int_eq(forkpool_job_wait(opening, HANG_NS), 0);
	close_pool(pool);
}
END_TEST

/* A whole number of batches. */
#define BATCHED	(TASKS / BATCH * BATCH)

START_TEST(tasks_in_batches)
{
	struct forkpool_job *jobs[IN_FLIGHT], *opening;
	struct forkpool *pool;
	long in[BATCH], i, k;

	if (test_inline())
		return;
	pool = open_pool(1);
	opening = begin(pool, BATCHED);
	for (i = 0; i < BATCHED; i += BATCH) {
		for (k = i; k < i + BATCH; k++) {
			if (i >= IN_FLIGHT)
				expect_ended(jobs[k % IN_FLIGHT], k - IN_FLIGHT);
			in[k - i] = k;
		}
		CHECK_EACH(forkpool_submit_many(pool, paced, in, sizeof(*in), sizeof(*in), BATCH, NULL,
						&jobs[i % IN_FLIGHT]) == BATCH);
		atomic_store(&shared->submitted, i + BATCH);
		if (i + BATCH == LAG)
			atomic_store(&shared->go, true);
	}
	check_calls(BATCHED);
	for (i = BATCHED - IN_FLIGHT; i < BATCHED; i++)
		expect(jobs[i % IN_FLIGHT], i);
	ck_assert_int_eq(forkpool_job_wait(opening, HANG_NS), 0);
	close_pool(pool);
}
END_TEST

/* ---- Tasks of tasks ------------------------------------------------------------------ */

static int fib(void *arg, const void *in, void *out)
{
	const long *n = in;
	long *result = out, less[2] = { *n - 1, *n - 2 };
	struct forkpool *pool = forkpool_current();
	struct forkpool_job *jobs[2];
	int i;

	(void)arg;
	*result = *n;
	if (*n < 2)
		return 0;
	*result = 0;
	for (i = 0; i < 2; i++)
		if (forkpool_submit(pool, fib, &less[i], sizeof(*less), sizeof(long), NULL, &jobs[i]))
			return 1;
	for (i = 0; i < 2; i++) {
		if (forkpool_job_wait(jobs[i], -1))
			return 1;
		*result += *(const long *)forkpool_job_result(jobs[i]);
		forkpool_job_free(jobs[i]);
	}
	return 0;
}

static int fib_paced(void *arg, const void *in, void *out)
{
	int err = fib(arg, in, out);

	/* The calls of the first one are made by its worker, which is here still. */
	atomic_store(&shared->begun, FIB_TASKS);
	return !is_set(&shared->counted) || err;
}

START_TEST(tasks_of_tasks)
{
	struct forkpool_job *opening, *job;
	struct forkpool *pool;
	const long n = FIB;

	if (test_inline())
		return;
	pool = open_pool(1);
	opening = begin(pool, FIB_TASKS);
	ck_assert_int_eq(forkpool_submit(pool, fib_paced, &n, sizeof(n), sizeof(n), NULL, &job), 0);
	atomic_store(&shared->go, true);
	check_calls(FIB_TASKS);
	ck_assert_int_eq(forkpool_job_wait(job, HANG_NS), 0);
	ck_assert_int_eq(*(const long *)forkpool_job_result(job), 10946);
	ck_assert_int_eq(forkpool_job_wait(opening, HANG_NS), 0);
	close_pool(pool);
}
END_TEST

/* ---- One CPU for all ------------------------------------------------------------------ */

static void take_one_cpu(cpu_set_t *before)
{
	cpu_set_t one;
	int cpu = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(*before), before), 0);
	while (!CPU_ISSET(cpu, before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
}

static int answer(void *arg, const void *in, void *out)
{
	(void)arg;
	*(long *)out = result_of(*(const long *)in);
	return 0;
}

/* Who waits there lets the other one run: it sleeps, and neither spins nor yields for long. */
START_TEST(round_trips_on_one_cpu)
{
	struct forkpool *pool;
	unsigned long calls;
	cpu_set_t before;
	int64_t until;
	long i, out;

	if (test_inline())
		return;
	take_one_cpu(&before);
	pool = open_pool((unsigned)_i);
	until = now_ms() + HANG_S * 1000;
	atomic_store(&shared->calls, 0);
	for (i = 0; i < TRIPS; i++) {
		CHECK_EACH(forkpool_call(pool, answer, &i, sizeof(i), &out, sizeof(out), NULL) == 0);
		CHECK_EACH(out == result_of(i));
		CHECK_EACH(now_ms() < until);
	}
	calls = atomic_load(&shared->calls);
	ck_assert_msg(calls < TRIPS * TRIP_CALLS, "%lu calls for %d round trips", calls, TRIPS);
	close_pool(pool);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(before), &before), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("calls");
	TCase *tc = test_case(suite, "busy");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, tasks_one_by_one);
	tcase_add_test(tc, tasks_in_batches);
	tcase_add_test(tc, tasks_of_tasks);
	tc = test_case(suite, "one cpu");
	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, round_trips_on_one_cpu, 1, 3);
	return test_main(suite);
}
