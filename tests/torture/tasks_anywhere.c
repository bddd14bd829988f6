/* SPDX-License-Identifier: MIT */
/*
 * A worker killed, or stopped, at every instruction of what it does with tasks:
 * kill_anywhere's way, for tasks of the host and of items.
 *
 * One worker is brought to the start of a path and taken k instructions further.
 * Killed there, the task that it had begun is crashed, or runs again if it has
 * retries; one that it had claimed and not begun runs again; all others are ok; and
 * who waits is woken, which a thread that sleeps on the tasks must find.  Stopped
 * there, the others finish everything but what it holds.  k = 0, 1, 2 ... to the end
 * of the path; a sample of them, unless FORKPOOL_TORTURE is set.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/descend.h"
#include "engine/future.h"
#include "os/sys.h"
#include "proc/worker.h"
#include "sync/idle.h"
#include "task/check.h"
#include "test.h"
#include "torture/tasks.h"
#include "trace.h"

#define SAMPLES		3u		/* points of a path in the small form ... */
#define SAMPLES_LONG	2u		/* ... and of one of many steps */
#define LONG		2000
#ifdef __SANITIZE_ADDRESS__
#define EACH		6
#else
#define EACH		1
#endif
#define MOST_STEPS	40000u		/* longer paths are an endless loop */
#define CAP_MS		20000		/* nothing takes so long */
#define CAP_NS		(CAP_MS * (int64_t)1000000)
#define PASS_MS		20		/* not alone, it may come too late to pass by */
#define HELPED_MS	100
#define LOOK_MS		4
#define MOST_WORKERS	3u
#define SHORTS		4		/* points not reached in a row, and the path has ended */
#define DEATHS		6u		/* of a pool: outside items, too many break it ... */
#define DEATHS_IDLE	3u		/* ... sooner where the host settles all, and no worker makes progress */
#define ARENA		((size_t)1 << 20)

#define FN(fn)	((uintptr_t)(fn))

static struct {
	struct forkpool *pool;
	struct fp_segment *seg;
	struct shared *sh;
	unsigned workers, deaths;
	pid_t killed;

	/* One point. */
	const struct path *path;
	unsigned k;
	uint32_t victim;
	struct trace traces[MOST_WORKERS];
	bool published;
	struct forkpool_job *jobs[MOST_TASKS];
	pthread_t waiter;
	int waited;
	_Atomic bool over;
	bool began;		/* the victim had begun a task in its first frame ... */
	uint32_t held;		/* ... or held one: its number */

	/* Sums. */
	unsigned points, crashes, missed, stops;
} h;

#define EXPECT(ok, format, ...) \
	ck_assert_msg((ok), "%s, %u workers, step %u: " format, h.path->name, \
		      h.path->workers, h.k, __VA_ARGS__)

static void sleep_a_little(void)
{
	const struct timespec pause = { .tv_nsec = 100000 };

	nanosleep(&pause, NULL);
}

/* ---- Pools ------------------------------------------------------------------------------------- */

/* Where yama keeps processes from tracing each other. */
static int allow_trace(void *arg, unsigned id, void **state)
{
	(void)arg;
	(void)id;
	(void)state;
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	return 0;
}

static void pool_close(void)
{
	if (h.pool)
		forkpool_destroy(h.pool);
	h.pool = NULL;
}

static void pool_open(const struct path *p)
{
	FORKPOOL_OPTS(opts, .workers = p->workers, .mode = FORKPOOL_PROCESSES,
		      .arena_size = ARENA, .worker_init = allow_trace);

	if (h.pool && h.workers == p->workers && !p->fresh &&
	    h.deaths < (p->cancel ? DEATHS_IDLE : DEATHS))
		return;
	pool_close();
	ck_assert_int_eq(forkpool_create(&h.pool, &opts), 0);
	h.seg = &h.pool->crew.seg;
	h.workers = p->workers;
	h.deaths = 0;
	h.killed = 0;
	h.sh = forkpool_shm_calloc(h.pool, 1, sizeof(*h.sh));
	ck_assert_ptr_nonnull(h.sh);
}

static pid_t pid_of(uint32_t id)
{
	return (pid_t)fp_load_rlx(&fp_segment_worker(h.seg, id)->pid);
}

static bool at_rest(uint32_t id)
{
	return pid_of(id) && pid_of(id) != h.killed &&
	       /* As the worker itself stores it. */
	       fp_load_acq(&fp_segment_worker(h.seg, id)->state) == FP_WORKER_READY &&
	       (fp_load_sc(&h.seg->ctl->asleep[0]) >> id & 1);
}

static void await_rest(void)
{
	int64_t until = fp_sys.clock() + CAP_NS;
	uint32_t id;

	for (id = 0; id < h.workers; id++)
		while (!at_rest(id)) {
			EXPECT(fp_sys.clock() < until, "worker %u does not come to rest", id);
			sleep_a_little();
		}
}

static void expect_sound(void)
{
	char text[200];
	const char *bad = fp_check(h.seg, text, sizeof(text));

	EXPECT(!bad, "%s", bad);
}

/* ---- Submission, and who waits --------------------------------------------------------------------- */

/* Sleeps until all have ended, which it learns from those who end them. */
static void *waiter_main(void *unused)
{
	struct forkpool_job *left[MOST_TASKS];
	uint32_t i, n = h.path->tasks;
	int err = 0;

	(void)unused;
	if (!h.path->any) {
		err = forkpool_wait_all(h.jobs, n, CAP_NS);
		h.waited = err == -ETIMEDOUT;
	} else {
		memcpy(left, h.jobs, sizeof(left));
		for (i = 0; i < n && err >= 0; i++) {
			err = forkpool_wait_any(left, n, CAP_NS);
			if (err >= 0)
				left[err] = NULL;
		}
		h.waited = err < 0;
	}
	atomic_store(&h.over, true);
	return NULL;
}

static void publish(void)
{
	FORKPOOL_JOB_OPTS(opts, .arg = h.sh, .retries = h.path->retries);
	uint32_t i;

	if (h.published)
		return;
	h.published = true;
	for (i = 0; i < h.path->tasks; i++)
		ck_assert_int_eq(forkpool_submit(h.pool, task, &i, sizeof(i), sizeof(i), &opts, &h.jobs[i]), 0);
	ck_assert_int_eq(pthread_create(&h.waiter, NULL, waiter_main, NULL), 0);
}

static void clear(void)
{
	memset(h.sh, 0, sizeof(*h.sh));
	h.sh->inner = h.path->inner;
	h.sh->inner_size = h.path->inner_size ? h.path->inner_size : sizeof(uint32_t);
	h.sh->retries = h.path->retries;
	h.sh->deep = h.path->deep;
	h.sh->helped = h.path->helped;
	h.sh->cancels = h.path->cancels;
	h.published = false;
	h.began = false;
	h.held = 0;
	atomic_store(&h.over, false);
}

static void cancel(enum cancel moment)
{
	uint32_t i;

	for (i = 0; h.path->cancel == moment && i < h.path->tasks; i++)
		forkpool_job_cancel(h.jobs[i]);
}

static void await_waiter(void)
{
	int64_t until = fp_sys.clock() + 2 * CAP_NS;

	while (!atomic_load(&h.over)) {
		if (fp_sys.clock() > until)
			expect_sound();
		EXPECT(fp_sys.clock() < until, "%s", "who waits is not woken");
		sleep_a_little();
	}
	pthread_join(h.waiter, NULL);
	EXPECT(!h.waited, "%s", "a task does not end, or nobody is told");
	expect_sound();
}

/* ---- What became of them ----------------------------------------------------------------------------- */

static uint32_t number_of(uint32_t i)
{
	struct fp_ref r = { .number = 0 };

	EXPECT(!fp_ref_get(h.jobs[i], &r), "job %u is not known", i);
	return r.number;
}

/* True when the task was lost with the victim. */
static bool expect_task(uint32_t i, bool killed)
{
	bool suspect = killed && h.began && h.held == number_of(i), ok;
	uint32_t ran = fp_load_rlx(&h.sh->ran[i]);
	const uint32_t *r = forkpool_job_result(h.jobs[i]);
	struct forkpool_status st;

	EXPECT(!forkpool_job_status(h.jobs[i], 0, &st), "task %u has not ended", i);
	ok = st.outcome == FORKPOOL_ITEM_OK;
	if (h.path->cancel != NEVER && !ok && st.outcome == FORKPOOL_ITEM_CANCELLED) {
		EXPECT(!ran || suspect, "task %u was cancelled, but ran %u times", i, ran);
		return suspect;
	}
	if (h.path->inner && !ok && st.outcome == FORKPOOL_ITEM_FAILED) {
		EXPECT(killed && st.code == INNER_CRASHED && !h.path->retries, "task %u gave %d", i, st.code);
		return true;
	}
	EXPECT(ok || (suspect && !h.path->retries), "task %u: outcome %d, code %d", i, st.outcome, st.code);
	EXPECT(ok == !(suspect && !h.path->retries), "task %u had begun, and is ok", i);
	EXPECT(ok || (st.outcome == FORKPOOL_ITEM_CRASHED && st.code == SIGKILL), "task %u: outcome %d, code %d", i,
	       st.outcome, st.code);
	EXPECT(st.attempts == (suspect && h.path->retries ? 2u : 1u), "task %u: %u attempts", i, st.attempts);
	EXPECT(ran <= st.attempts && (ran || !ok) && ran + 1 >= st.attempts, "task %u ran %u times", i, ran);
	EXPECT(!ok || (r && *r == 3 * i + 1), "task %u gave %u", i, r ? *r : 0);
	return !ok;
}

static void expect_inner(uint32_t i)
{
	uint32_t most = (h.path->retries + 1) * (h.path->retries + 1), k, ran;

	for (k = i * MOST_INNER; k < i * MOST_INNER + h.path->inner; k++) {
		ran = fp_load_rlx(&h.sh->inner_ran[k]);
		EXPECT((ran >= 1 || h.path->cancels) && ran <= most, "task %u's task %u ran %u times", i, k % MOST_INNER, ran);
	}
}

/* How many were lost; all are freed. */
static unsigned expect_all(bool killed)
{
	unsigned lost = 0;
	uint32_t i;

	for (i = 0; i < h.path->tasks; i++) {
		if (expect_task(i, killed))
			lost++;
		else if (h.path->inner && h.path->cancel == NEVER)
			expect_inner(i);
	}
	for (i = 0; i < h.path->tasks; i++)
		forkpool_job_free(h.jobs[i]);
	EXPECT(lost <= (killed ? 1u : 0u), "%u tasks were lost", lost);
	return lost;
}

/* ---- Taking a worker to a point ------------------------------------------------------------------------ */

static void seize_all(void)
{
	uint32_t id;

	for (id = 0; id < h.workers; id++)
		if (id == h.victim || h.path->alone)
			ck_assert(trace_seize(&h.traces[id], pid_of(id)));
	h.traces[h.victim].until = h.path->until;
}

static void release_others(void)
{
	uint32_t id;

	for (id = 0; id < h.workers; id++)
		if (id != h.victim && h.path->alone)
			trace_release(&h.traces[id]);
}

/* It comes by before all is over, or not at all. */
static bool await_while_it_runs(struct trace *t, int ms)
{
	int64_t until = fp_sys.clock() + ms * (int64_t)1000000;
	bool done;

	for (;;) {
		done = h.published && atomic_load(&h.over);
		if (trace_await(t, LOOK_MS))
			return true;
		if (done || fp_sys.clock() > until)
			return false;
		trace_arm(t, h.path->start);
	}
}

static bool go_to_start(void)
{
	struct trace *t = &h.traces[h.victim];

	trace_arm(t, h.path->start);
	if (h.path->publish == FIRST)
		publish();
	if (h.path->publish != FIRST || h.path->alone)
		fp_wake_all(h.seg->ctl, h.seg->geo.workers);
	if (h.path->publish == FIRST)
		return await_while_it_runs(t, h.path->alone ? CAP_MS : HELPED_MS);
	return trace_await(t, h.path->alone ? CAP_MS : PASS_MS);
}

/* Up to k steps; how many there were before the path ended. */
static unsigned go_on(unsigned k)
{
	struct trace *t = &h.traces[h.victim];
	enum trace_step step;
	unsigned n;

	for (n = 0; n < k; n++) {
		EXPECT(n < MOST_STEPS, "%s", "the path does not end");
		step = trace_step(t);
		if (step == TRACE_ASLEEP && h.path->publish == ASLEEP && !h.published) {
			publish();
			EXPECT(trace_awake(t, CAP_MS), "%s", "not woken");
		} else if (step == TRACE_ASLEEP && h.path->helped) {
			EXPECT(trace_awake(t, CAP_MS), "%s", "not woken by who helps");
		} else if (step != TRACE_STEPPED) {
			return n;
		}
	}
	return n;
}

/* What it holds in its first frame, now that it stands still. */
static void look_at_victim(void)
{
	const struct fp_frame *frame = fp_segment_frame(h.seg, h.victim, 0);
	uint64_t intent = fp_load_sc(&frame->intent), w;

	if (!(intent & FP_INTENT_TASK))
		return;
	w = fp_load_sc(&fp_segment_task(h.seg, fp_intent_task(intent))->word);
	if (fp_task_state(w) != FP_TASK_RUN || fp_task_who(w) != h.victim ||
	    fp_task_gen(w) != fp_intent_task_gen(intent))
		return;
	h.held = fp_intent_task(intent);
	h.began = fp_load_sc(&frame->pos) != FP_POS_NONE;
}

/* A life before this one. */
static void live_and_die(void)
{
	await_rest();
	clear();
	publish();
	await_waiter();
	expect_all(false);
	await_rest();
	h.killed = pid_of(0);
	kill(h.killed, SIGKILL);
}

/* Takes the victim k steps into the path; returns the steps, or -1: it did not come by. */
static int take(const struct path *p, unsigned k)
{
	unsigned n;

	h.path = p;
	h.k = k;
	pool_open(p);
	if (p->taken_over)
		live_and_die();
	await_rest();
	clear();
	h.victim = (k + h.missed + h.missed / 3) % p->workers;
	seize_all();
	if (!go_to_start()) {
		trace_release(&h.traces[h.victim]);
		release_others();
		publish();
		await_waiter();
		expect_all(false);
		h.missed++;
		return -1;
	}
	cancel(AT_START);
	n = go_on(k);
	look_at_victim();
	h.points++;
	return (int)n;
}

/* ---- Kill and stop ---------------------------------------------------------------------------------------- */

static int kill_at(const struct path *p, unsigned k)
{
	int n = take(p, k);

	if (n < 0)
		return n;
	h.killed = h.traces[h.victim].pid;
	trace_kill(&h.traces[h.victim]);
	h.deaths++;
	publish();
	cancel(AT_END);
	release_others();
	await_waiter();
	h.crashes += expect_all(true);
	return n;
}

/* Have the others settled all but what the victim holds, or what waits for that? */
static bool others_are_done(void)
{
	uint32_t i, left = 0;

	for (i = 0; i < h.path->tasks; i++)
		left += forkpool_job_poll(h.jobs[i]) == -EAGAIN;
	return left <= 1u && (!left || h.held || h.path->inner);
}

static int stop_at(const struct path *p, unsigned k)
{
	int64_t until;
	int n = take(p, k);

	if (n < 0)
		return n;
	trace_stop(&h.traces[h.victim]);
	publish();
	cancel(AT_END);
	release_others();
	until = fp_sys.clock() + CAP_NS;
	while (!others_are_done()) {
		EXPECT(fp_sys.clock() < until, "%s", "the others wait for a stopped worker");
		sleep_a_little();
	}
	expect_sound();
	kill(h.traces[h.victim].pid, SIGCONT);
	await_waiter();
	expect_all(false);
	h.stops++;
	return n;
}

/* ---- Paths -------------------------------------------------------------------------------------------------- */

static const struct path paths[] = {
	{ "claim the only task", FN(fp_take), FN(fp_take_run), FIRST, true, 1, .tasks = 1 },
	{ "claim", FN(fp_take_next), 0, FIRST, true, 2, .tasks = 6 },
	{ "claim with retries", FN(fp_take_next), 0, FIRST, true, 2, .tasks = 6, .retries = 3 },
	{ "claim among others", FN(fp_take_next), 0, FIRST, false, 3, .tasks = 8 },
	{ "run", FN(fp_take_run), 0, FIRST, true, 1, .tasks = 3 },
	{ "run", FN(fp_take_run), 0, FIRST, true, 2, .tasks = 6 },
	{ "run with retries", FN(fp_take_run), 0, FIRST, true, 2, .tasks = 6, .retries = 3 },
	{ "finish, and go on to the next", FN(task), FN(task), FIRST, true, 2, .tasks = 6 },
	{ "finish, and go on, for any", FN(task), FN(task), FIRST, true, 2, .tasks = 6,
	  .any = true },
	{ "finish, and go to sleep", FN(task), FN(fp_park_prepare), FIRST, true, 1, .tasks = 1 },
	{ "finish, and go to sleep, for any", FN(task), FN(fp_park_prepare), FIRST, true, 2,
	  .tasks = 1, .any = true },
	{ "tell who waits", FN(fp_take_tell), 0, FIRST, true, 2, .tasks = 2 },
	{ "go to sleep", FN(fp_park_prepare), FN(fp_take_run), LAST, false, 1, .tasks = 3 },
	{ "go to sleep", FN(fp_park_prepare), FN(fp_take_run), LAST, false, 2, .tasks = 6 },
	{ "sleep, wake up and claim", FN(fp_park_prepare), FN(fp_take_run), ASLEEP, true, 1, .tasks = 3 },
	{ "sleep, wake up and claim", FN(fp_park_prepare), FN(fp_take_run), ASLEEP, true, 2, .tasks = 6 },
	{ "claim what is cancelled", FN(fp_take), 0, FIRST, true, 2, .tasks = 4, .cancel = AT_START },
	{ "claim, then cancelled", FN(fp_take), 0, FIRST, true, 2, .tasks = 4, .cancel = AT_END },
	{ "run what is cancelled", FN(fp_take_run), 0, FIRST, true, 2, .tasks = 4, .cancel = AT_START },
	{ "run, then cancelled", FN(fp_take_run), 0, FIRST, true, 2, .tasks = 4, .cancel = AT_END,
	  .retries = 2 },
	{ "submit in a task", FN(fp_descend_submit), 0, FIRST, true, 1, .tasks = 2, .inner = 3 },
	{ "submit in a task", FN(fp_descend_submit), 0, FIRST, true, 2, .tasks = 3, .inner = 3,
	  .retries = 3 },
	{ "submit in a task with memory", FN(fp_descend_submit), 0, FIRST, true, 2, .tasks = 3, .inner = 3,
	  .inner_size = 3000, .retries = 3 },
	{ "open a lane", FN(fp_lane_open), 0, FIRST, true, 2, .tasks = 3, .inner = 3, .retries = 3,
	  .fresh = true },
	{ "take a lane over", FN(fp_lane_open), 0, FIRST, true, 1, .tasks = 2, .inner = 40, .retries = 3,
	  .fresh = true, .taken_over = true },
	{ "take another page", FN(fp_segment_take_room), FN(fp_descend_submit), FIRST, true, 2, .tasks = 2,
	  .inner = 40, .retries = 3, .fresh = true },
	{ "wait, and run it oneself", FN(fp_descend_wait), 0, FIRST, true, 1, .tasks = 2, .inner = 2 },
	{ "wait, and run it oneself", FN(fp_descend_wait), 0, FIRST, true, 2, .tasks = 3, .inner = 2,
	  .retries = 3 },
	{ "wait, and run it oneself, with memory", FN(fp_descend_wait), 0, FIRST, true, 2, .tasks = 3,
	  .inner = 2, .inner_size = 3000, .retries = 3 },
	{ "run what another one has submitted", FN(fp_take_run), 0, FIRST, false, 3, .tasks = 1, .inner = 6,
	  .retries = 3 },
	{ "wait for what runs elsewhere", FN(fp_nest_park_prepare), FN(fp_nest_pop), FIRST, false, 2,
	  .tasks = 1, .inner = 1, .helped = true, .retries = 3 },
	{ "wait for what runs elsewhere", FN(fp_nest_park_prepare), FN(fp_nest_pop), FIRST, false, 3,
	  .tasks = 1, .inner = 1, .helped = true },
	{ "wait, and run what it is made of", FN(fp_nest_park_prepare), FN(fp_nest_pop), FIRST, false, 2,
	  .tasks = 1, .inner = 1, .helped = true, .deep = true, .retries = 3 },
	{ "cancel what runs elsewhere", FN(fp_future_cancel), 0, FIRST, false, 3, .tasks = 1, .inner = 2,
	  .helped = true, .cancels = true, .retries = 3 },
};

#define PATHS	((int)(sizeof(paths) / sizeof(paths[0])))

static bool large(void)
{
	return getenv("FORKPOOL_TORTURE") != NULL;
}

/* All points of a path, or a sample: each must be reached, or else the path has ended. */
static void walk(const struct path *p, int (*visit)(const struct path *p, unsigned k))
{
	unsigned k, stride = 1, misses = 0, shorts = 0;
	int n = visit(p, MOST_STEPS), len = n;

	for (; n < 0 && misses < 100; misses++)
		len = n = visit(p, MOST_STEPS);
	EXPECT(n >= 0, "%s", "no worker comes by");
	if (!large())
		stride = (unsigned)len / (len > LONG ? SAMPLES_LONG : SAMPLES) + 1;
	for (k = 0, misses = 0; misses < 100 && k < MOST_STEPS;) {
		n = visit(p, k);
		if (n < 0) {
			misses++;
			continue;
		}
		shorts = (unsigned)n < k ? shorts + 1 : 0;
		/* Where others meddle, or a life before has left something, the path is shorter at times. */
		if (shorts && (k > (unsigned)len || shorts == SHORTS))
			break;
		k += stride;
	}
	if (large()) {
		printf("%s, %u workers, %s: %d steps\n", p->name, p->workers,
		       visit == kill_at ? "killed" : "stopped", len);
		fflush(stdout);
	}
}

START_TEST(killed_anywhere)
{
	if (_i % EACH == 0)
		walk(&paths[_i], kill_at);
}
END_TEST

/* A stop needs others who finish.  Every other path in the small form. */
START_TEST(stopped_anywhere)
{
	if (paths[_i].workers > 1 && _i % EACH == 1 % EACH && (large() || _i % 2))
		walk(&paths[_i], stop_at);
}
END_TEST

static bool possible(void)
{
	FORKPOOL_OPTS(opts, .workers = 1, .mode = FORKPOOL_PROCESSES, .arena_size = ARENA,
		      .worker_init = allow_trace);
	struct forkpool *pool;
	fp_a32 *pid;
	bool ok;

	if (!test_processes() || forkpool_create(&pool, &opts))
		return false;
	/* The nursery stores it, maybe after the worker has said that it is ready. */
	pid = &fp_segment_worker(&pool->crew.seg, 0)->pid;
	while (!fp_load_rlx(pid))
		sleep_a_little();
	ok = trace_possible((pid_t)fp_load_rlx(pid));
	forkpool_destroy(pool);
	return ok;
}

int main(void)
{
	Suite *suite = suite_create("tasks_anywhere");
	TCase *tc;
	int status;

	if (!possible())
		return TEST_SKIP;
	tc = test_case(suite, "kill");
	tcase_add_checked_fixture(tc, NULL, pool_close);
	tcase_add_loop_test(tc, killed_anywhere, 0, PATHS);
	tc = test_case(suite, "stop");
	tcase_add_checked_fixture(tc, NULL, pool_close);
	tcase_add_loop_test(tc, stopped_anywhere, 0, PATHS);
	status = test_main(suite);
	printf("%u points, %u of them stops; %u tasks lost; %u times no worker came by\n",
	       h.points, h.stops, h.crashes, h.missed);
	return status;
}
