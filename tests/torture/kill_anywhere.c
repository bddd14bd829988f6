/* SPDX-License-Identifier: MIT */
/*
 * A worker killed, or stopped, at every instruction of its paths.
 *
 * One worker is brought to the start of a path, taken k instructions further,
 * and killed there: then the job must end, each item have run once and be ok or,
 * one at most, be reported as crashed (promise P1).  Or it is stopped there:
 * then the others must finish everything but what it holds (P9), and all is
 * well when it goes on; or it does not go on, and with limits in time the job
 * ends all the same, with one item lost at most.  Some jobs are cancelled before
 * or after that: then each item has run or is not started at all, and the job must
 * end.  Of what items allocate, nothing is lost either way, and nothing of the item
 * that was.  The host's event loop is told of each end.  k = 0, 1, 2 ... to the end
 * of the path; a sample of them, unless FORKPOOL_TORTURE is set.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/slots.h"
#include "os/sys.h"
#include "shm/mend.h"
#include "sync/idle.h"
#include "task/cancel.h"
#include "task/check.h"
#include "task/claim.h"
#include "task/due.h"
#include "task/job.h"
#include "task/limit.h"
#include "task/nest.h"
#include "task/run.h"
#include "test.h"
#include "torture/scene.h"
#include "trace.h"

#define SAMPLES		6u		/* points of a path in the small form ... */
#define SAMPLES_LONG	3u		/* ... and of one of many steps, each of which costs some 40 us */
#define LONG		2000
/* Instrumented paths are ten times as long: then one in so many. */
#ifdef __SANITIZE_ADDRESS__
#define EACH		6
#else
#define EACH		1
#endif
#define MOST_STEPS	20000u		/* longer paths are an endless loop */
#define CAP_MS		20000		/* nothing takes so long */
#define CAP_NS		(CAP_MS * (int64_t)1000000)
#define PASS_MS		20		/* not alone, it may come too late to pass by */
#define MOST_WORKERS	3u		/* of a path */
#define HELPED_MS	100
#define LOOK_MS		4
#define SHORTS		4		/* points not reached in a row, and the path has ended */
#define DEATHS		6u		/* of a pool: outside items, too many break it ... */
#define DEATHS_IDLE	3u		/* ... sooner where the host settles all, and no worker makes progress */
#define ARENA		((size_t)1 << 20)

#define FN(fn)	((uintptr_t)(fn))
#define FAR	(1000 * CAP_NS)	/* a limit that is stored, and not passed */
#define SHORT	((int64_t)150000000)	/* one that is, when its worker stands still */

static struct {
	struct forkpool *pool;
	struct fp_segment *seg;
	struct fp_host_slot *slot;
	struct shared *sh;
	unsigned workers, deaths;
	pid_t killed;

	/* One point. */
	const struct path *path;
	unsigned k;
	uint32_t victim;
	struct trace traces[MOST_WORKERS];
	bool published, told;

	struct fp_heap_count before;

	/* Sums. */
	unsigned points, crashes, missed, stops;
} h;

/* ---- Pools ---------------------------------------------------------------------------------- */

/* Where yama keeps processes from tracing each other. */
static int allow_trace(void *arg, unsigned id, void **state)
{
	(void)arg;
	(void)id;
	(void)state;
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	return 0;
}

/* Where the paths of a worker that leaves end. */
static void end_of_work(void *arg, unsigned id, void *state)
{
	(void)arg;
	(void)id;
	(void)state;
}

static void pool_close(void)
{
	if (h.pool)
		forkpool_destroy(h.pool);
	h.pool = NULL;
}

static void pool_open(unsigned workers)
{
	FORKPOOL_OPTS(opts, .workers = workers, .mode = FORKPOOL_PROCESSES,
		      .arena_size = ARENA, .worker_init = allow_trace,
		      .worker_exit = end_of_work);
	uint32_t i;

	if (h.pool && h.workers == workers &&
	    h.deaths < (h.path->cancel ? DEATHS_IDLE : DEATHS))
		return;
	pool_close();
	ck_assert_int_eq(forkpool_create(&h.pool, &opts), 0);
	h.seg = &h.pool->crew.seg;
	h.workers = workers;
	h.deaths = 0;
	h.killed = 0;
	ck_assert_int_eq(fp_pool_take_slot(h.pool, true, &h.slot), 0);
	h.sh = forkpool_shm_calloc(h.pool, 1, sizeof(*h.sh));
	ck_assert_ptr_nonnull(h.sh);
	for (i = 0; i < MOST_ITEMS; i++)
		h.sh->in[i] = i;
}

static pid_t pid_of(uint32_t id)
{
	return (pid_t)fp_load_rlx(&fp_segment_worker(h.seg, id)->pid);
}

static bool at_rest(uint32_t id)
{
	/* As the worker itself stores it. */
	return pid_of(id) && pid_of(id) != h.killed &&
	       fp_load_acq(&fp_segment_worker(h.seg, id)->leave) == FP_LEAVE_NO &&
	       fp_load_acq(&fp_segment_worker(h.seg, id)->state) == FP_WORKER_READY &&
	       (fp_load_sc(&h.seg->ctl->asleep[0]) >> id & 1);
}

static void sleep_a_little(void)
{
	const struct timespec pause = { .tv_nsec = 100000 };

	nanosleep(&pause, NULL);
}

#define EXPECT(ok, format, ...) \
	ck_assert_msg((ok), "%s, %u workers, step %u: " format, h.path->name, \
		      h.path->workers, h.k, __VA_ARGS__)

#include "torture/nested.h"

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

/* ---- A job ----------------------------------------------------------------------------------- */

static void publish(void)
{
	const struct path *p = h.path;
	bool ranges = p->flags & FP_JOB_RANGE;
	const struct fp_job_desc desc = {
		.fn = ranges ? FN(range) : p->heap ? FN(heap_item)
				: p->nested ? FN(nest_item) : FN(item),
		.flags = p->flags | FP_JOB_NOTIFY,
		.retries = p->retries,
		.arg = h.sh,
		.in = (const char *)h.sh->in,
		.in_size = ranges ? 0 : sizeof(h.sh->in[0]),
		.count = p->count,
		.chunk = p->chunk,
		.status = ranges ? NULL : h.sh->status,
		.timeout = p->timeout,
	};

	if (h.published)
		return;
	h.published = true;
	h.slot->gen = fp_job_next_gen(h.seg, h.slot->index, h.slot->gen);
	fp_job_publish(h.seg, h.slot->index, h.slot->gen, &desc);
	if (p->timeout)
		fp_spawn_watch(&h.pool->spawn, h.slot->index);
	/* So that whoever completes it has somebody to wake. */
	fp_job_wait(h.seg, h.slot->index, h.slot->gen, fp_sys.clock(), 0);
}

static void clear(void)
{
	memset(h.sh->ran, 0, sizeof(h.sh->ran));
	memset(h.sh->out, 0, sizeof(h.sh->out));
	memset(h.sh->status, 0, sizeof(h.sh->status));
	h.sh->item_ns = h.path->item_ns;
	h.sh->leave_at = h.path->leave_at;
	memset(h.sh->inner_ran, 0, sizeof(h.sh->inner_ran));
	h.sh->helped = h.path->helped;
	fp_store_sc(&h.sh->helpers, 0);
	h.sh->inner_retries = h.path->nested ? h.path->retries : 0;
	h.published = h.told = false;
	fp_due_arm(h.seg);
}

static void expect_sound(void)
{
	char text[200];
	const char *bad = fp_check(h.seg, text, sizeof(text));

	EXPECT(!bad, "%s", bad);
}

/* As the host's loop: woken, it arms and looks whether the job is due. */
static void await_told(void)
{
	struct pollfd p = { .fd = h.seg->event.fd, .events = POLLIN };
	uint64_t count;

	while (!h.told) {
		EXPECT(fp_sys.poll(&p, 1, fp_deadline(CAP_NS)) == 1, "%s", "the loop is not woken");
		fp_sys.read(p.fd, &count, sizeof(count));
		fp_due_arm(h.seg);
		h.told = fp_due_take(h.seg->ctl) >> h.slot->index & 1;
	}
}

static void await_job(void)
{
	int err = fp_job_wait(h.seg, h.slot->index, h.slot->gen, fp_deadline(CAP_NS), 0);

	if (err)
		expect_sound();
	EXPECT(!err, "the job ends with %d", err);
	await_told();
	expect_sound();
}

static bool hangs(const struct path *p)
{
	return p->timeout && p->timeout < FAR;
}

/* Item i, in a job that lost at most `lost` items from `first` on. */
static bool expect_item(uint32_t i, bool may_be_lost)
{
	const struct forkpool_status *st = &h.sh->status[i];
	bool ranges = h.path->flags & FP_JOB_RANGE;
	uint32_t ran = fp_load_rlx(&h.sh->ran[i]);
	int lost = hangs(h.path) ? FORKPOOL_ITEM_TIMED_OUT : FORKPOOL_ITEM_CRASHED;
	bool crashed = ranges ? may_be_lost : st->outcome == lost;

	EXPECT(ran <= 1 || h.path->retries, "item %u ran %u times", i, ran);
	if (crashed) {
		EXPECT(may_be_lost, "item %u crashed, but is not the first one", i);
		EXPECT(ranges || (st->code == (hangs(h.path) ? 0 : SIGKILL) && st->attempts == 1),
		       "item %u: code %d, %u attempts", i, st->code, st->attempts);
		return false;
	}
	EXPECT(ran >= 1 && h.sh->out[i] == 3 * i + 1, "item %u ran %u times and gave %u", i,
	       ran, h.sh->out[i]);
	EXPECT(ranges || (st->outcome == FORKPOOL_ITEM_OK && st->worker && st->attempts >= 1 &&
			  st->attempts <= 1 + h.path->retries),
	       "item %u: outcome %d, %u attempts", i, st->outcome, st->attempts);
	return true;
}

/* After one death: true when an item was lost with it. */
static bool expect_items(void)
{
	uint32_t i, to = 0, ran = 0, span;
	uint64_t first = UINT64_MAX;
	int outcome;

	if (fp_job_first(h.seg, h.slot->index, h.path->count, &first, &outcome)) {
		EXPECT(outcome == (hangs(h.path) ? FORKPOOL_ITEM_TIMED_OUT : FORKPOOL_ITEM_CRASHED),
		       "outcome %d", outcome);
		EXPECT(!h.path->retries || hangs(h.path), "item %u is lost in spite of retries", (unsigned)first);
		span = h.path->flags & FP_JOB_RANGE ? h.path->chunk : 1;
		to = (uint32_t)first + span;
	}
	for (i = 0; i < h.path->count; i++) {
		expect_item(i, i >= first && i < to);
		ran += fp_load_rlx(&h.sh->ran[i]);
	}
	span = h.path->flags & FP_JOB_RANGE ? h.path->chunk : 1;
	EXPECT(ran <= h.path->count + (h.path->retries ? span : 0), "%u runs", ran);
	return to != 0;
}

/* After a cancel: true when an item was lost; the others have run, or have not started. */
static bool expect_cancelled_items(void)
{
	uint64_t first = UINT64_MAX, bad = UINT64_MAX;
	uint32_t i, ran, lost = 0;
	int outcome;

	for (i = 0; i < h.path->count; i++) {
		const struct forkpool_status *st = &h.sh->status[i];

		ran = fp_load_rlx(&h.sh->ran[i]);
		EXPECT(ran <= 1, "item %u ran %u times", i, ran);
		if (st->outcome == FORKPOOL_ITEM_CRASHED)
			lost++;
		else
			EXPECT(st->outcome == FORKPOOL_ITEM_OK && ran == st->attempts &&
			       (st->worker != 0) == ran, "item %u: outcome %d, %u runs, %u attempts", i,
			       st->outcome, ran, st->attempts);
		if ((st->outcome || !ran) && bad == UINT64_MAX)
			bad = i;
	}
	EXPECT(lost <= 1, "%u items lost", lost);
	fp_job_first(h.seg, h.slot->index, h.path->count, &first, &outcome);
	EXPECT(first == bad, "the first is %lld, not %lld", (long long)first, (long long)bad);
	return lost;
}

static bool expect_all(void)
{
	if (h.path->nested)
		return expect_nested_items();
	return h.path->cancel ? expect_cancelled_items() : expect_items();
}

static void cancel(enum cancel moment)
{
	if (h.path->cancel == moment)
		fp_job_cancel(h.seg, h.slot->index, h.slot->gen);
}

#include "torture/memory.h"

/* ---- Taking a worker to a point --------------------------------------------------------------- */

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

/* It comes by before the job ends, or not at all. */
static bool await_while_it_runs(struct trace *t)
{
	int64_t until = fp_sys.clock() + HELPED_MS * (int64_t)1000000;
	bool done;

	for (;;) {
		done = fp_job_poll(h.seg, h.slot->index, h.slot->gen) == 0;
		if (trace_await(t, LOOK_MS))
			return true;
		if (done || fp_sys.clock() > until)
			return false;
		trace_arm(t, h.path->start);
	}
}

/* To the start of the path; false when the worker did not come by. */
static bool go_to_start(void)
{
	struct trace *t = &h.traces[h.victim];

	trace_arm(t, h.path->start);
	if (h.path->publish == FIRST)
		publish();
	/* In the nursery's place, too: under trace it does not see that another one is stopped, to which a wake-up may have gone. */
	if (h.path->publish != FIRST || h.path->alone)
		fp_wake_all(h.seg->ctl, h.seg->geo.workers);
	if (h.path->helped)
		return await_while_it_runs(t);
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

static void condemn(bool condemned)
{
	fp_a32 *word = &fp_segment_worker(h.seg, h.victim)->condemned;

	if (!h.path->condemned)
		return;
	/* In the nursery's place. */
	fp_store_sc(word, condemned);
	if (!condemned)
		fp_sys.futex_wake(word, 1);
}

/* Single steps may take longer than a limit, which is held against the worker only when it stands still. */
static void hold_limits(bool hold)
{
	if (hangs(h.path))
		ck_assert_int_eq(fp_sys.kill(h.pool->spawn.nursery_pid, hold ? SIGSTOP : SIGCONT), 0);
}

/* Takes the victim k steps into the path; returns the steps, or -1: it did not come by. */
static int take(const struct path *p, unsigned k)
{
	unsigned n;

	h.path = p;
	h.k = k;
	pool_open(p->workers);
	await_rest();
	clear();
	if (p->heap || p->nested)
		heap_begin();
	/* Another one after a miss, but not in step with who is woken first. */
	h.victim = (k + h.missed + h.missed / 3) % p->workers;
	seize_all();
	hold_limits(true);
	if (!go_to_start()) {
		trace_release(&h.traces[h.victim]);
		hold_limits(false);
		release_others();
		publish();
		await_job();
		if (p->heap || p->nested)
			heap_end();
		h.missed++;
		return -1;
	}
	condemn(true);
	cancel(AT_START);
	n = go_on(k);
	h.points++;
	return (int)n;
}

/* ---- Kill and stop ------------------------------------------------------------------------------ */

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
	await_job();
	h.crashes += expect_all();
	if (p->heap || p->nested)
		heap_end();
	return n;
}

/* What the victim holds, and of which slot's job: [*begin, *end), empty when it holds nothing. */
static void held_by_victim(uint64_t *begin, uint64_t *end, uint32_t *in)
{
	uint64_t intent = fp_load_rlx(&fp_segment_worker(h.seg, h.victim)->base.intent);
	struct fp_slot slot = fp_segment_slot(h.seg, *in = fp_intent_slot(intent));
	uint32_t id = fp_intent_region(intent), k = fp_intent_index(intent);
	fp_a64 *at = fp_claim_word(h.seg, &slot, fp_load_rlx(&slot.job->tops), id, k);
	uint64_t w = at ? fp_load_sc(at) : 0, low;

	*begin = *end = 0;
	if (!at || intent == FP_INTENT_NONE || fp_word_gen(w) != fp_intent_gen(intent) ||
	    fp_word_state(w) != FP_RUN || fp_word_owner(w) != h.victim)
		return;
	low = fp_load_rlx(&slot.regions[id].low);
	*begin = low + (k ? fp_word_end(fp_load_rlx(at - 1)) : 0);
	*end = low + fp_word_end(w);
}

/* Have the others settled all but what the victim holds? */
static bool others_are_done(void)
{
	uint64_t gen = h.slot->gen, begin, end;
	uint32_t i, in;

	if (fp_job_poll(h.seg, h.slot->index, gen) == 0)
		return true;
	held_by_victim(&begin, &end, &in);
	if (h.path->nested)
		return others_are_done_with_maps(begin, end, in != h.slot->index);
	if (h.path->cancel)
		return begin < end && fp_job_progress(h.seg, h.slot->index, gen, h.path->count) >=
		       h.path->count - (end - begin);
	for (i = 0; i < h.path->count; i++)
		if (!fp_load_sc(&h.sh->ran[i]) && (i < begin || i >= end))
			return false;
	return begin < end;
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
	if (fp_job_poll(h.seg, h.slot->index, h.slot->gen) == 0)
		await_told();
	expect_sound();
	condemn(false);
	kill(h.traces[h.victim].pid, SIGCONT);
	await_job();
	EXPECT(!expect_all(), "%s", "an item was lost by a stop");
	if (p->heap || p->nested)
		heap_end();
	h.stops++;
	return n;
}

/* Stopped there for good: with limits the job ends all the same. */
static int hang_at(const struct path *p, unsigned k)
{
	int n = take(p, k);

	if (n < 0)
		return n;
	trace_stop(&h.traces[h.victim]);
	hold_limits(false);
	publish();
	release_others();
	await_job();
	h.crashes += expect_items();
	kill(h.traces[h.victim].pid, SIGCONT);
	h.killed = h.traces[h.victim].pid;
	h.deaths++;
	pool_close();
	h.stops++;
	return n;
}

/* ---- Paths ---------------------------------------------------------------------------------------- */

#include "torture/paths.h"

#define HANGS	((int)(sizeof(hangs_paths) / sizeof(hangs_paths[0])))
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
		       visit == kill_at ? "killed" : visit == stop_at ? "stopped" : "stopped for good",
		       len);
		fflush(stdout);
	}
}

START_TEST(killed_anywhere)
{
	if (_i % EACH == 0)
		walk(&paths[_i], kill_at);
}
END_TEST

/* A stop needs others who finish the job. */
START_TEST(stopped_anywhere)
{
	if (paths[_i].workers > 1 && _i % EACH == 1 % EACH)
		walk(&paths[_i], stop_at);
}
END_TEST

START_TEST(stopped_for_good)
{
	walk(&hangs_paths[_i], hang_at);
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
	Suite *suite = suite_create("kill_anywhere");
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
	tc = test_case(suite, "hang");
	tcase_add_checked_fixture(tc, NULL, pool_close);
	tcase_add_loop_test(tc, stopped_for_good, 0, HANGS);
	status = test_main(suite);
	printf("%u points, %u of them stops; %u items lost; %u times no worker came by\n",
	       h.points, h.stops, h.crashes, h.missed);
	return status;
}
