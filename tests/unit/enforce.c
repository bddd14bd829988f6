/* SPDX-License-Identifier: MIT */
/*
 * Limits in time, step by step: the test is the worker and the nursery, and has
 * the clock, the kill and the futex.
 */
#include "proc/enforce.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <forkpool.h>

#include "bare.h"
#include "os/sys.h"
#include "proc/recover.h"
#include "task/limit.h"
#include "test.h"
#include "unit/line.h"

#define LANE	2u	/* the host's */
#define COUNT	40u
#define PID	4711
#define MS	((int64_t)1000000)
#define GRACE	(2 * MS)

static struct {
	struct bare b;
	struct fp_job_desc desc;
	struct forkpool_status status[COUNT];
	struct fp_charge charge;
	struct fp_chunk chunk;
	int64_t now;
	int killed, kill_error;
	int waits, wakes;
} s;

static int64_t the_clock(void)
{
	return s.now;
}

static int the_kill(pid_t pid, int sig)
{
	ck_assert_int_eq(pid, PID);
	ck_assert_int_eq(sig, SIGKILL);
	s.killed += !s.kill_error;
	return s.kill_error;
}

/* The nursery lets go who waits for it. */
static int the_wait(fp_a32 *word, uint32_t expected, int64_t deadline)
{
	ck_assert_uint_eq(fp_load_rlx(word), expected);
	ck_assert(deadline == FP_FOREVER);
	/* A signal first: it must not let him go. */
	if (++s.waits == 1)
		return -EINTR;
	fp_store_rlx(word, 0);
	return 0;
}

static int the_wake(fp_a32 *word, int count)
{
	(void)word, (void)count;
	s.wakes++;
	return 0;
}

static struct fp_worker *worker(void)
{
	return fp_segment_worker(s.b.seg, 0);
}

static const struct fp_bounds *bounds(void)
{
	static struct fp_bounds b;

	b = (struct fp_bounds){ .me = worker(), .frame = fp_segment_frame(s.b.seg, 0, 0) };
	return &b;
}

static void publish(int64_t timeout, int64_t deadline)
{
	s.desc.timeout = timeout;
	s.desc.deadline = deadline;
	bare_publish(&s.b, &s.desc);
	ck_assert(bare_turn(&s.b, 0, 0));
	ck_assert(fp_claim(&s.b.claimers[0], &s.chunk));
}

static void scene_open(void)
{
	memset(&s, 0, sizeof(s));
	s.desc = (struct fp_job_desc){ .fn = 1, .count = COUNT, .chunk = COUNT,
				       .status = s.status };
	bare_open(&s.b, 1);
	s.b.crew.grace = GRACE;
	s.now = 1000 * MS;
	fp_sys.clock = the_clock;
	fp_sys.kill = the_kill;
	fp_sys.futex_wait = the_wait;
	fp_sys.futex_wake = the_wake;
}

static void scene_close(void)
{
	fp_sys = fp_sys_real;
	bare_close(&s.b);
}

static int64_t look(int64_t now)
{
	s.now = now;
	return fp_enforce_worker(&s.b.crew, 0, PID, &s.charge, now);
}

static int64_t look_at_jobs(void)
{
	struct fp_watched watched = { { (uint64_t)1 << BARE_SLOT } };
	int64_t next = fp_enforce_jobs(&s.b.crew, &watched, s.now);

	ck_assert_uint_eq(watched.slots[0], next == FP_FOREVER ? 0 : (uint64_t)1 << BARE_SLOT);
	return next;
}

/* ---- The worker ------------------------------------------------------------------------- */

START_TEST(limit_is_the_nearer_one)
{
	struct fp_job_desc d = { .timeout = 5 * MS };

	ck_assert(fp_limit_begin(bounds(), d.timeout, d.deadline, 3));
	ck_assert_uint_eq(fp_load_rlx(&worker()->limit), 1005 * MS);
	ck_assert_uint_eq(fp_load_rlx(&worker()->base.pos), 3);
	d.deadline = 1004 * MS;
	ck_assert(fp_limit_begin(bounds(), d.timeout, d.deadline, 4));
	ck_assert_uint_eq(fp_load_rlx(&worker()->limit), 1004 * MS);
	fp_limit_end(bounds());
	ck_assert_uint_eq(fp_load_rlx(&worker()->limit), 0);
	d.timeout = INT64_MAX;
	ck_assert(fp_limit_begin(bounds(), d.timeout, d.deadline, 4));
	ck_assert_uint_eq(fp_load_rlx(&worker()->limit), 1004 * MS);
	d.deadline = 0;
	ck_assert(fp_limit_begin(bounds(), d.timeout, d.deadline, 4));
	ck_assert_uint_eq(fp_load_rlx(&worker()->limit), INT64_MAX);
}
END_TEST

START_TEST(nothing_begins_after_the_deadline)
{
	const struct fp_job_desc d = { .deadline = 1000 * MS };

	fp_store_rlx(&worker()->base.pos, 1);
	ck_assert(!fp_limit_begin(bounds(), d.timeout, d.deadline, 3));
	ck_assert_uint_eq(fp_load_rlx(&worker()->limit), 0);
	ck_assert_uint_eq(fp_load_rlx(&worker()->base.pos), 1);
}
END_TEST

START_TEST(condemned_workers_park)
{
	fp_limit_boundary(worker());
	ck_assert_int_eq(s.waits, 0);
	fp_store_rlx(&worker()->condemned, 1);
	fp_store_rlx(&worker()->limit, 1);
	fp_limit_end(bounds());
	ck_assert_int_eq(s.waits, 2);
	ck_assert_uint_eq(fp_load_rlx(&worker()->limit), 0);
}
END_TEST

/* ---- The nursery, for a limit -------------------------------------------------------------- */

START_TEST(flag_then_grace_then_kill)
{
	const struct fp_job_desc d = { .timeout = 10 * MS };

	ck_assert_int_eq(look(s.now), FP_FOREVER);
	ck_assert(fp_limit_begin(bounds(), d.timeout, d.deadline, 3));
	ck_assert(!fp_limit_passed(worker()));
	ck_assert_int_eq(look(1009 * MS), 1010 * MS);
	ck_assert(!fp_limit_passed(worker()));
	/* The grace counts from the flag, however late that is. */
	ck_assert_int_eq(look(1015 * MS), 1015 * MS + GRACE);
	ck_assert(fp_limit_passed(worker()));
	ck_assert_int_eq(look(1016 * MS), 1015 * MS + GRACE);
	ck_assert_int_eq(s.killed, 0);
	ck_assert_int_eq(look(1017 * MS), FP_FOREVER);
	ck_assert_int_eq(s.killed, 1);
	ck_assert_int_eq(s.charge.outcome, FORKPOOL_ITEM_TIMED_OUT);
	ck_assert_uint_eq(fp_load_rlx(&worker()->condemned), 1);
	/* Once. */
	ck_assert_int_eq(look(2000 * MS), FP_FOREVER);
	ck_assert_int_eq(s.killed, 1);
}
END_TEST

START_TEST(the_next_item_starts_afresh)
{
	const struct fp_job_desc d = { .timeout = 10 * MS };

	ck_assert(fp_limit_begin(bounds(), d.timeout, d.deadline, 3));
	ck_assert_int_eq(look(1010 * MS), 1012 * MS);
	fp_limit_end(bounds());
	ck_assert(!fp_limit_passed(worker()));
	ck_assert(fp_limit_begin(bounds(), d.timeout, d.deadline, 4));
	ck_assert(!fp_limit_passed(worker()));
	ck_assert_int_eq(look(1012 * MS), 1020 * MS);
	ck_assert_int_eq(look(1021 * MS), 1023 * MS);
	ck_assert_int_eq(s.killed, 0);
	fp_limit_end(bounds());
	ck_assert_int_eq(look(1024 * MS), FP_FOREVER);
	ck_assert_int_eq(s.killed, 0);
}
END_TEST

START_TEST(who_may_not_be_killed_goes_on)
{
	const struct fp_job_desc d = { .timeout = 10 * MS };

	s.kill_error = -EPERM;
	ck_assert(fp_limit_begin(bounds(), d.timeout, d.deadline, 3));
	look(1010 * MS);
	ck_assert_int_eq(look(1012 * MS), 1013 * MS);
	ck_assert_int_eq(s.charge.outcome, FORKPOOL_ITEM_OK);
	ck_assert_uint_eq(fp_load_rlx(&worker()->condemned), 0);
	ck_assert_int_eq(s.wakes, 1);
	s.kill_error = 0;
	ck_assert_int_eq(look(1013 * MS), FP_FOREVER);
	ck_assert_int_eq(s.killed, 1);
}
END_TEST

/* Its own worker may write anything there. */
START_TEST(wild_limits_do_no_harm)
{
	s.b.crew.grace = INT64_MAX;
	fp_store_rlx(&worker()->limit, UINT64_MAX);
	ck_assert_int_eq(look(s.now), FP_FOREVER);
	fp_store_rlx(&worker()->limit, 1);
	ck_assert_int_eq(look(s.now), FP_FOREVER);
	ck_assert_int_eq(s.killed, 0);
}
END_TEST

/* Where no limit is stored, of what has 10 ms, and where there is one a deadline after 5 ms. */
static void stopped_until_killed(bool deadline)
{
	ck_assert_int_eq(look(s.now), FP_FOREVER);
	s.charge.stopped = 1001 * MS;
	ck_assert_int_eq(look(1002 * MS), deadline ? 1007 * MS : 1013 * MS);
	ck_assert_int_eq(s.killed, 0);
	ck_assert_int_eq(look(1013 * MS), FP_FOREVER);
	ck_assert_int_eq(s.killed, 1);
	ck_assert_int_eq(s.charge.outcome, FORKPOOL_ITEM_TIMED_OUT);
}

/* Behind an item, or before the first: no limit is stored, and the claim is held. */
START_TEST(stopped_between_items)
{
	publish(10 * MS, _i ? 1005 * MS : 0);
	stopped_until_killed(_i);
	fp_claim_finish(&s.b.claimers[0], &s.chunk);
}
END_TEST

static void submit_limited(struct line *host, int64_t timeout, int64_t deadline)
{
	struct fp_place at = line_ready(host);
	struct fp_task_ext *ext = line_extend(at.task);

	ext->timeout = timeout;
	ext->deadline = deadline;
	fp_lane_show(&at);
}

/* Behind the claim of a task, before its limit is stored: it never began, and will elsewhere. */
START_TEST(stopped_before_a_task)
{
	const struct fp_death death = { .id = 0, .pid = PID, .outcome = FORKPOOL_ITEM_TIMED_OUT };
	struct fp_attempts attempts = { 0 };
	struct fp_taken t = { 0 };
	struct line host;
	struct hand hand = { .at = { 0 } };

	line_open(&host, &s.b, LANE);
	hand_open(&hand, &s.b, 0);
	submit_limited(&host, 10 * MS, _i ? 1005 * MS : 0);
	ck_assert(hand_take(&hand, &host, &t));
	stopped_until_killed(_i);
	ck_assert_int_eq(fp_recover_dead(&s.b.crew, &attempts, &death), FP_RECOVERED_CLAIM);
	ck_assert_int_eq(fp_task_state(fp_load_rlx(&t.task->word)), FP_TASK_READY);
	line_close(&host);
	free(attempts.list);
}
END_TEST

/* The same above an item without limits, that waits for the task: it has lost its worker. */
START_TEST(stopped_above_an_item)
{
	struct fp_death death = { .id = 0, .pid = PID, .outcome = FORKPOOL_ITEM_TIMED_OUT };
	struct fp_attempts attempts = { 0 };
	struct hand hand = { .at = { 0 } };
	struct fp_taken t = { 0 };
	uint32_t room = 1;
	struct line host;

	publish(0, 0);
	fp_store_rlx(&worker()->base.pos, 3);
	line_open(&host, &s.b, LANE);
	hand_open(&hand, &s.b, 0);
	hand.r.claimer.frame = fp_nest_push(s.b.seg, 0, 1, &room);
	submit_limited(&host, 10 * MS, _i ? 1005 * MS : 0);
	ck_assert(hand_take(&hand, &host, &t));
	stopped_until_killed(_i);
	death.limit = s.charge.passed;
	death.frame = s.charge.frame;
	ck_assert_int_eq(fp_recover_dead(&s.b.crew, &attempts, &death), FP_RECOVERED_ITEM);
	ck_assert_int_eq(fp_task_state(fp_load_rlx(&t.task->word)), FP_TASK_READY);
	ck_assert_int_eq(s.status[3].outcome, FORKPOOL_ITEM_CRASHED);
	line_close(&host);
	free(attempts.list);
}
END_TEST

/* Nothing is lost by them. */
START_TEST(stopped_without_limits_or_claim)
{
	publish(0, 0);
	s.charge.stopped = 1;
	ck_assert_int_eq(look(s.now), FP_FOREVER);
	fp_claim_finish(&s.b.claimers[0], &s.chunk);
	publish(10 * MS, 0);
	fp_claim_finish(&s.b.claimers[0], &s.chunk);
	ck_assert_int_eq(look(2000 * MS), FP_FOREVER);
	ck_assert_int_eq(s.killed, 0);
}
END_TEST

/* ---- When to look ---------------------------------------------------------------------------- */

static void expect_look(int64_t timeout, int64_t deadline, int64_t next)
{
	publish(timeout, deadline);
	ck_assert_int_eq(look_at_jobs(), next);
	fp_claim_finish(&s.b.claimers[0], &s.chunk);
	ck_assert(bare_done(&s.b));
	ck_assert_int_eq(look_at_jobs(), FP_FOREVER);
}

START_TEST(looks_are_as_far_apart_as_they_may)
{
	expect_look(50 * MS, 0, 1050 * MS);
	expect_look(1, 0, 1001 * MS);
	expect_look(INT64_MAX, 0, FP_FOREVER);
	expect_look(0, 1070 * MS, 1070 * MS);
	expect_look(0, 900 * MS, 1001 * MS);
	expect_look(50 * MS, 1070 * MS, 1050 * MS);
	expect_look(50 * MS, 1020 * MS, 1020 * MS);
	expect_look(INT64_MAX, INT64_MAX, FP_FOREVER);
	expect_look(0, 0, FP_FOREVER);
}
END_TEST

/* ---- Killed jobs -------------------------------------------------------------------------------- */

static void kill_job(uint32_t slot, uint64_t gen, int killed)
{
	s.charge = (struct fp_charge){ 0 };
	s.killed = 0;
	fp_enforce_kill(&s.b.crew, 0, PID, &s.charge, &(struct fp_elem){ false, slot, gen });
	ck_assert_int_eq(s.killed, killed);
	ck_assert_uint_eq(fp_load_rlx(&worker()->condemned), killed);
	ck_assert_int_eq(s.charge.outcome, killed ? FORKPOOL_ITEM_CANCELLED : FORKPOOL_ITEM_OK);
	fp_store_rlx(&worker()->condemned, 0);
}

START_TEST(only_who_runs_the_job_is_killed)
{
	publish(0, 0);
	kill_job(BARE_SLOT + 1, s.b.gen, 0);
	kill_job(BARE_SLOT, s.b.gen - 1, 0);
	kill_job(BARE_SLOT, s.b.gen + 1, 0);
	kill_job(BARE_SLOT, s.b.gen, 1);
	/* Once. */
	fp_enforce_kill(&s.b.crew, 0, PID, &s.charge, &(struct fp_elem){ false, BARE_SLOT, s.b.gen });
	ck_assert_int_eq(s.killed, 1);
	fp_claim_finish(&s.b.claimers[0], &s.chunk);
	kill_job(BARE_SLOT, s.b.gen, 0);
}
END_TEST

START_TEST(killed_items_are_final)
{
	static const int outcomes[] = { FORKPOOL_ITEM_TIMED_OUT, FORKPOOL_ITEM_CANCELLED };
	const struct fp_death death = { .pid = PID, .outcome = outcomes[_i] };
	struct fp_attempts attempts = { 0 };
	uint64_t first;
	int outcome;

	s.desc.retries = 5;
	publish(0, 0);
	fp_store_rlx(&worker()->base.pos, 7);
	ck_assert_int_eq(fp_recover_dead(&s.b.crew, &attempts, &death), FP_RECOVERED_ITEM);
	ck_assert(fp_job_first(s.b.seg, BARE_SLOT, COUNT, &first, &outcome));
	ck_assert_uint_eq(first, 7);
	ck_assert_int_eq(outcome, outcomes[_i]);
	ck_assert_int_eq(s.status[7].outcome, outcomes[_i]);
	ck_assert_uint_eq(s.status[7].attempts, 1);
	ck_assert_uint_eq(attempts.n, 0);
	ck_assert(bare_turn(&s.b, 0, 0));
	ck_assert(fp_claim(&s.b.claimers[0], &s.chunk));
	ck_assert_uint_eq(s.chunk.begin, 8);
	fp_claim_finish(&s.b.claimers[0], &s.chunk);
	ck_assert(bare_done(&s.b));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("enforce");
	TCase *tc = test_case(suite, "worker");

	tcase_add_checked_fixture(tc, scene_open, scene_close);
	tcase_add_test(tc, limit_is_the_nearer_one);
	tcase_add_test(tc, nothing_begins_after_the_deadline);
	tcase_add_test(tc, condemned_workers_park);
	tc = test_case(suite, "limit");
	tcase_add_checked_fixture(tc, scene_open, scene_close);
	tcase_add_test(tc, flag_then_grace_then_kill);
	tcase_add_test(tc, the_next_item_starts_afresh);
	tcase_add_test(tc, who_may_not_be_killed_goes_on);
	tcase_add_test(tc, wild_limits_do_no_harm);
	tcase_add_loop_test(tc, stopped_between_items, 0, 2);
	tcase_add_loop_test(tc, stopped_before_a_task, 0, 2);
	tcase_add_loop_test(tc, stopped_above_an_item, 0, 2);
	tcase_add_test(tc, stopped_without_limits_or_claim);
	tcase_add_test(tc, looks_are_as_far_apart_as_they_may);
	tc = test_case(suite, "kill");
	tcase_add_checked_fixture(tc, scene_open, scene_close);
	tcase_add_test(tc, only_who_runs_the_job_is_killed);
	tcase_add_loop_test(tc, killed_items_are_final, 0, 2);
	return test_main(suite);
}
