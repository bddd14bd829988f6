/* SPDX-License-Identifier: MIT */
/*
 * A dispatch that is held up behind each of its instructions, while the job that it is
 * about is freed and the task's place is used for the next one: that one's callback is
 * called once, and not before the task has ended.
 */
#include <sched.h>
#include <sys/ucontext.h>

#include "engine/handle.h"

#include "api/events.h"

/* Not inside ThreadSanitizer, which a handler must not enter while it is in itself. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define CAN_STEP	1
#define FLAGS(context)	(((ucontext_t *)(context))->uc_mcontext.gregs[REG_EFL])
#else
#define CAN_STEP	0
#define FLAGS(context)	(*(long *)(context))
#endif

#define TRAP_FLAG	0x100		/* of x86: a trap behind each instruction */
#define HOLDS_MOST	400u		/* of a longer dispatch every so many instructions */
#define HELD_MS		20		/* then it goes on: a free may have to wait for it */
#define PLACES		31u		/* of a page */
#define TRIES		(PLACES + 1)	/* the ring has got one more page */
#define AT_ONCE		(PLACES / 2)	/* so that no page is met again with tasks that have not begun */

static struct {
	atomic_int on, held, go, over;
	atomic_uint steps;
	unsigned hold_at;
} trace;

static atomic_int early;
static unsigned reused, round_size;	/* tasks from one place to just before the same */

static void step(int sig, siginfo_t *info, void *context)
{
	int64_t until;

	(void)sig;
	(void)info;
	FLAGS(context) &= ~TRAP_FLAG;
	if (!atomic_load(&trace.on))
		return;
	if (atomic_fetch_add(&trace.steps, 1) + 1 != trace.hold_at) {
		FLAGS(context) |= TRAP_FLAG;
		return;
	}
	until = now_ms() + HELD_MS;
	atomic_store(&trace.held, 1);
	while (!atomic_load(&trace.go) && now_ms() < until)
		sched_yield();
}

static void *dispatch(void *unused)
{
	int n;

	(void)unused;
	atomic_store(&trace.on, 1);
	raise(SIGTRAP);
	/* Now and then the descriptor was readable for what had been called before. */
	do {
		atomic_store(&trace.steps, 0);
		n = forkpool_dispatch(pool);
	} while (!n && !atomic_load(&trace.held));
	atomic_store(&trace.on, 0);
	atomic_store(&trace.over, 1);
	return NULL;
}

static pthread_t start_dispatch(unsigned hold_at)
{
	pthread_t thread;

	atomic_store(&trace.held, 0);
	atomic_store(&trace.go, 0);
	atomic_store(&trace.over, 0);
	trace.hold_at = hold_at;
	ck_assert_int_eq(pthread_create(&thread, NULL, dispatch, NULL), 0);
	while (!atomic_load(&trace.held) && !atomic_load(&trace.over))
		sched_yield();
	return thread;
}

static void look(struct forkpool_job *job, void *user)
{
	if (forkpool_job_poll(job) == 0)
		atomic_fetch_add(&early, 1);
	atomic_fetch_add(&calls, 1);
	atomic_fetch_add((atomic_int *)user, 1);
}

static int until_open(void *arg, const void *in, void *out)
{
	struct gate *g = arg;

	(void)in;
	(void)out;
	while (!atomic_load(&g->open))
		sched_yield();
	return 0;
}

static struct forkpool_job *submit(forkpool_fn *fn, atomic_int *times)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate, .on_done = times ? look : NULL, .user = times);
	struct forkpool_job *job = NULL;

	if (times)
		atomic_store(times, 0);
	ck_assert_int_eq(forkpool_submit(pool, fn, NULL, 0, 0, &opts, &job), 0);
	return job;
}

static void end(struct forkpool_job *job)
{
	ck_assert_int_eq(forkpool_job_wait(job, HANG), 0);
	forkpool_job_free(job);
}

/* Goes round the lane, to just before where it was. */
static void go_round(void)
{
	struct forkpool_job *jobs[AT_ONCE];
	unsigned done, n, i;

	for (done = 0; done < round_size; done += n) {
		n = round_size - done < AT_ONCE ? round_size - done : AT_ONCE;
		ck_assert_int_eq(forkpool_submit_many(pool, nothing, NULL, 0, 0, n, NULL, jobs), (int)n);
		for (i = n; i-- > 0;)
			end(jobs[i]);
	}
}

/* A task that does not end before the gate opens, at that place if it comes free. */
static struct forkpool_job *submit_at(uint32_t place, atomic_int *times)
{
	struct forkpool_job *job;
	unsigned tries = 0;

	go_round();
	for (;;) {
		atomic_store(&gate->open, 0);
		job = submit(until_open, times);
		if (fp_handle_index(job) == place || ++tries == TRIES)
			break;
		atomic_store(&gate->open, 1);
		end(job);
	}
	if (fp_handle_index(job) == place) {
		round_size += tries;
		reused++;
	}
	return job;
}

/* True when it was held up, and not over before. */
static bool hold(unsigned hold_at)
{
	atomic_int times[2] = { 0 };
	struct forkpool_job *first = submit(nothing, &times[0]), *second;
	uint32_t place = fp_handle_index(first);
	pthread_t thread;

	ck_assert_int_eq(forkpool_job_wait(first, HANG), 0);
	ck_assert(readable(forkpool_event_fd(pool), HANG_S * 1000));
	thread = start_dispatch(hold_at);
	if (!atomic_load(&trace.held)) {
		pthread_join(thread, NULL);
		ck_assert_int_eq(times[0], 1);
		forkpool_job_free(first);
		return false;
	}
	forkpool_job_free(first);
	second = submit_at(place, &times[1]);
	atomic_store(&trace.go, 1);
	pthread_join(thread, NULL);
	ck_assert_msg(!atomic_load(&early), "called before its end: %u", hold_at);
	atomic_store(&gate->open, 1);
	run_loop(pool, &times[1], 1);
	ck_assert_int_le(times[0], 1);
	end(second);
	return true;
}

START_TEST(held_up_anywhere)
{
	const struct sigaction steps = { .sa_sigaction = step, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction before;
	unsigned at, stride;

	atomic_store(&early, 0);
	atomic_store(&calls, 0);
	reused = 0;
	round_size = PLACES - 1;
	sigaction(SIGTRAP, &steps, &before);
	/* The first one resolves symbols, the second one counts. */
	ck_assert(!hold(0) && !hold(0));
	ck_assert_uint_ge(trace.steps, 100);
	stride = trace.steps / HOLDS_MOST + 1;
	for (at = 1; hold(at); at += stride)
		;
	sigaction(SIGTRAP, &before, NULL);
	ck_assert_uint_gt(reused, 0);
	ck_assert_int_ge(calls, (int)reused);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("callback");
	TCase *tc = jobs_case(suite, "callback");

	if (!CAN_STEP || test_inline())
		return TEST_SKIP;
	tcase_add_test(tc, held_up_anywhere);
	return test_main(suite);
}
