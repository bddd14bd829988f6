/* SPDX-License-Identifier: MIT */
/*
 * Who waits is held up behind each of its instructions, while what it waits for ends,
 * or is freed and its place used for another task.
 */
#include "unit/held.h"
#include "unit/places.h"

#include "api/tasks.h"

#define HOLDS_MOST	200u	/* of a longer wait every so many instructions */
#define TELL_STEPS	250u	/* from the end of an item to the first sleep behind it */
#define LEAST_STEPS	300u	/* of a join that has to sleep */
#define REST_MS		3	/* who has not stepped for so long sleeps */
#define ROUNDS		20	/* until a place was used again */
#define ROUND		(3 * PLACES)	/* tasks after which a place has come by again */

/* ---- Join ------------------------------------------------------------------------------ */

/* In shared memory: two tasks that do not end before they may. */
struct pair {
	atomic_int open[2];
};

static struct pair *pair;

static int until_told(void *arg, const void *in, void *out)
{
	(void)in;
	(void)out;
	while (!atomic_load((atomic_int *)arg))
		sleep_ms(1);
	return 0;
}

static struct forkpool_job *submit_open(struct forkpool *p, atomic_int *open)
{
	FORKPOOL_JOB_OPTS(opts, .arg = open, .arg_as_is = 1);
	struct forkpool_job *job = NULL;

	atomic_store(open, 0);
	ck_assert_int_eq(forkpool_submit(p, until_told, NULL, 0, 0, &opts, &job), 0);
	return job;
}

static void *join(void *p)
{
	int err;

	held_from_here();
	err = forkpool_join(p, HANG);
	held_until_here();
	return (void *)(intptr_t)err;
}

/* It has come to rest: it is held up, or sleeps. */
static unsigned await_rest(void)
{
	unsigned seen;

	do {
		seen = atomic_load(&held->steps);
		sleep_ms(REST_MS);
	} while (atomic_load(&held->steps) != seen);
	return seen;
}

/*
 * The task that was submitted last ends while the join is held up, or (0) sleeps; the
 * other one when it sleeps.  Returns how many steps it took until then.
 */
static unsigned hold_join(unsigned hold_at)
{
	struct forkpool *p = pool_new(2);
	struct forkpool_job *last;
	pthread_t thread;
	unsigned steps;
	void *err;

	submit_open(p, &pair->open[0]);
	last = submit_open(p, &pair->open[1]);
	ck_assert_int_eq(forkpool_close(p), 0);
	held_start(hold_at);
	ck_assert_int_eq(pthread_create(&thread, NULL, join, p), 0);
	steps = await_rest();
	atomic_store(&pair->open[1], 1);
	ck_assert_int_eq(forkpool_job_wait(last, HANG), 0);
	held_go();
	sleep_ms(REST_MS);
	atomic_store(&pair->open[0], 1);
	pthread_join(thread, &err);
	ck_assert_msg(!err, "held at %u: %s", hold_at, forkpool_strerror((int)(intptr_t)err));
	forkpool_destroy(p);
	return steps;
}

START_TEST(join_held_up_anywhere)
{
	struct sigaction before = held_handle();
	unsigned at, steps;

	pair = shared_new(sizeof(*pair));
	/* The first one resolves symbols; one that had to wait for a CPU seems to rest. */
	hold_join(0);
	do
		steps = hold_join(0);
	while (steps < LEAST_STEPS);
	for (at = 1; at < steps; at += steps / HOLDS_MOST + 1)
		hold_join(at);
	shared_free(pair, sizeof(*pair));
	sigaction(SIGTRAP, &before, NULL);
}
END_TEST

/* ---- Join, and an item that submits ------------------------------------------------------ */

/* An item and the task that it submits; workers are threads, so all of it is in one process. */
static struct {
	struct forkpool *pool;
	atomic_int begun, open, reused;
	atomic_uint place;
} family;

static int child(void *arg, const void *in, void *out)
{
	sigset_t trap;

	(void)arg;
	(void)in;
	(void)out;
	atomic_store(&family.begun, 1);
	while (!atomic_load(&family.open))
		sched_yield();
	sigemptyset(&trap);
	sigaddset(&trap, SIGTRAP);
	pthread_sigmask(SIG_UNBLOCK, &trap, NULL);
	held_from_here();
	return 0;
}

static int use_place_again(void)
{
	struct forkpool_job *job;
	bool there = false;
	unsigned i;
	int err;

	for (i = 0; i < ROUND && !there; i++) {
		NEED(!forkpool_submit(family.pool, nothing, NULL, 0, 0, NULL, &job));
		there = fp_handle_index(job) == atomic_load(&family.place);
		err = forkpool_job_wait(job, HANG);
		forkpool_job_free(job);
		NEED(!err);
	}
	atomic_fetch_add(&family.reused, there && held_still());
	return 0;
}

/* Its child has ended, and who ran that is held up before it has told anybody, or (not yet) goes on. */
static int parent(void *arg, const void *in, void *out)
{
	struct forkpool_job *job;
	int64_t until;
	int err;

	(void)arg;
	(void)in;
	(void)out;
	NEED(!forkpool_submit(family.pool, child, NULL, 0, 0, NULL, &job));
	atomic_store(&family.place, fp_handle_index(job));
	while (!forkpool_job_poll(job))
		if (atomic_load(&held->held))
			held_go();
	for (until = now_ms() + HELD_MS; !atomic_load(&held->held) && now_ms() < until;)
		sched_yield();
	forkpool_job_free(job);
	err = use_place_again();
	atomic_store(&held->on, 0);
	held_go();
	return err;
}

static bool is_asked(uint32_t place)
{
	return fp_load_rlx(&fp_segment_task(&family.pool->crew.seg, place)->asks) & FP_ASK_ANY;
}

static void *join_briefly(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)forkpool_join(family.pool, HANG / 3);
}

static void hold_child(unsigned hold_at)
{
	FORKPOOL_OPTS(opts, .workers = 2, .mode = FORKPOOL_THREADS);
	int64_t until = now_ms() + HANG_S * 1000;
	struct forkpool_job *job;
	pthread_t thread;
	void *err;
	int ret;

	atomic_store(&family.begun, 0);
	atomic_store(&family.open, 0);
	held_start(hold_at);
	ck_assert_int_eq(forkpool_create(&family.pool, &opts), 0);
	ck_assert_int_eq(forkpool_submit(family.pool, parent, NULL, 0, 0, NULL, &job), 0);
	await_value(&family.begun, 1);
	ck_assert_int_eq(forkpool_close(family.pool), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, join_briefly, NULL), 0);
	while (!is_asked(fp_handle_index(job)) && !is_asked(atomic_load(&family.place)) && now_ms() < until)
		sched_yield();
	sleep_ms(REST_MS);
	atomic_store(&family.open, 1);
	pthread_join(thread, &err);
	ck_assert_msg(!err, "held at %u: %s", hold_at, forkpool_strerror((int)(intptr_t)err));
	ret = forkpool_job_wait(job, HANG);
	ck_assert_msg(!ret, "held at %u: %s", hold_at, forkpool_strerror(ret));
	forkpool_destroy(family.pool);
}

START_TEST(child_held_up_anywhere)
{
	struct sigaction before = held_handle();
	unsigned at;

	atomic_store(&family.reused, 0);
	for (at = 1; at < TELL_STEPS; at++)
		hold_child(at);
	ck_assert_int_gt(atomic_load(&family.reused), 0);
	sigaction(SIGTRAP, &before, NULL);
}
END_TEST

/* ---- A group ----------------------------------------------------------------------------- */

/* When the gate is open it ends, and its worker steps on. */
static int end_in_steps(void *arg, const void *in, void *out)
{
	until_open(arg, in, out);
	held_handle();
	held_from_here();
	return 0;
}

static struct forkpool_job *submit_until_open(void *unused)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	struct forkpool_job *job = NULL;

	(void)unused;
	ck_assert_int_eq(forkpool_submit(pool, until_open, NULL, 0, 0, &opts, &job), 0);
	return job;
}

static atomic_int returned;

static void *wait_for_group(void *group)
{
	int err = forkpool_group_wait(group, -1);

	atomic_store(&returned, 1);
	return (void *)(intptr_t)err;
}

/*
 * The worker that has run a member is held up; meanwhile who has the job sees that it
 * has ended, frees it, and uses its place.  Who sleeps for the group is woken all the
 * same.
 */
static void hold_teller(unsigned hold_at)
{
	struct forkpool_group *group = NULL;
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	struct forkpool_job *member = NULL, *next = NULL;
	uint32_t place;
	pthread_t waiter;
	void *err;

	ck_assert_int_eq(forkpool_group_create(pool, &group), 0);
	opts.group = group;
	atomic_store(&gate->open, 0);
	atomic_store(&returned, 0);
	held_start(hold_at);
	ck_assert_int_eq(forkpool_submit(pool, end_in_steps, NULL, 0, 0, &opts, &member), 0);
	place = fp_handle_index(member);
	ck_assert_int_eq(pthread_create(&waiter, NULL, wait_for_group, group), 0);
	sleep_ms(REST_MS);
	atomic_store(&gate->open, 1);
	ck_assert(held_await());
	if (forkpool_job_poll(member) == 1) {
		forkpool_job_free(member);
		member = NULL;
		next = submit_at(place, submit_until_open, NULL);
	}
	atomic_store(&held->on, 0);
	held_go();
	await_value(&returned, 1);
	pthread_join(waiter, &err);
	ck_assert_msg(!err, "held at %u: %s", hold_at, forkpool_strerror((int)(intptr_t)err));
	atomic_store(&gate->open, 1);
	if (member)
		end(member);
	if (next)
		end(next);
	forkpool_group_free(group);
}

START_TEST(teller_held_up_anywhere)
{
	struct sigaction before = held_handle();
	unsigned at;

	places_start();
	for (at = 1; at < TELL_STEPS; at++)
		hold_teller(at);
	ck_assert_uint_gt(reused, 0);
	sigaction(SIGTRAP, &before, NULL);
}
END_TEST

/* ---- A cancel, or a kill ------------------------------------------------------------------- */

struct blow {
	struct forkpool_group *group;
	struct forkpool_job *job;	/* to be killed; NULL: the group is cancelled */
};

static void *strike(void *arg)
{
	const struct blow *blow = arg;
	int err;

	held_from_here();
	err = blow->job ? forkpool_job_kill(blow->job) : forkpool_group_cancel(blow->group);
	held_until_here();
	return (void *)(intptr_t)err;
}

static struct forkpool_job *submit_at_gate(void *unused)
{
	(void)unused;
	return submit_gated(pool);
}

static void await_run(uint32_t place)
{
	while (fp_task_state(fp_load_rlx(&fp_segment_task(&pool->crew.seg, place)->word)) != FP_TASK_RUN)
		sched_yield();
}

static unsigned timely;		/* the place was another task's while the striker was held up */

static uint64_t flags_at(uint32_t place)
{
	return fp_load_rlx(&fp_segment_task(&pool->crew.seg, place)->word) & FP_TASK_FLAGS;
}

/*
 * Who cancels a group, or kills a job, is held up; meanwhile the task ends, who has the
 * job frees it, and its place is used for another one: that keeps no flag of it, but one
 * of its own (too).
 */
static bool hold_cancel(unsigned hold_at, bool kill, bool too)
{
	struct forkpool_group *group = NULL;
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	struct forkpool_job *member = NULL, *next;
	struct blow blow;
	pthread_t thread;
	uint32_t place;
	bool was;
	int err;

	ck_assert_int_eq(forkpool_group_create(pool, &group), 0);
	opts.group = group;
	atomic_store(&gate->open, 0);
	atomic_store(&gate->saw_cancel, 0);
	ck_assert_int_eq(forkpool_submit(pool, until_open, NULL, 0, 0, &opts, &member), 0);
	place = fp_handle_index(member);
	/* Once it runs it comes to its end. */
	await_run(place);
	blow = (struct blow){ group, kill ? member : NULL };
	held_start(hold_at);
	ck_assert_int_eq(pthread_create(&thread, NULL, strike, &blow), 0);
	was = held_await();
	atomic_store(&gate->open, 1);
	err = forkpool_job_wait(member, HANG);
	ck_assert(!err || (kill && err == -FORKPOOL_ECANCELED));
	forkpool_job_free(member);
	next = submit_at(place, submit_at_gate, NULL);
	timely += fp_handle_index(next) == place && held_still();
	place = fp_handle_index(next);
	if (too) {
		await_run(place);
		forkpool_job_cancel(next);
	}
	held_go();
	pthread_join(thread, NULL);
	if (too) {
		err = forkpool_job_wait(next, HANG / 3);
		ck_assert_msg(!err || (kill && err == -FORKPOOL_ECANCELED), "held at %u: another task's own cancel: %s",
			      hold_at, forkpool_strerror(err));
		forkpool_job_free(next);
	} else {
		sleep_ms(REST_MS);
		ck_assert_msg(!atomic_load(&gate->saw_cancel), "held at %u: another task was cancelled", hold_at);
		ck_assert_msg(!flags_at(place), "held at %u: another task is flagged", hold_at);
		atomic_store(&gate->open, 1);
		end(next);
	}
	forkpool_group_free(group);
	return was;
}

START_TEST(cancel_held_up_anywhere)
{
	struct sigaction before = held_handle();
	bool kill = _i / 2, too = _i % 2;
	unsigned at, stride;

	places_start();
	timely = 0;
	ck_assert(!hold_cancel(0, kill, too) && !hold_cancel(0, kill, too));
	stride = atomic_load(&held->steps) / HOLDS_MOST + 1;
	for (at = 1; hold_cancel(at, kill, too); at += stride)
		;
	ck_assert_uint_gt(timely, 0);
	sigaction(SIGTRAP, &before, NULL);
}
END_TEST

/* ---- What an item has left behind ----------------------------------------------------------- */

/* In shared memory. */
struct left {
	atomic_int begun, look, saw, over;
	atomic_int parent_stays, until_cancelled;
};

static int stays(void *arg, const void *in, void *out)
{
	struct left *left = arg;

	(void)in;
	(void)out;
	while (atomic_load(&left->until_cancelled) && !forkpool_cancelled())
		sleep_ms(1);
	atomic_store(&left->begun, 1);
	while (!atomic_load(&left->look))
		sleep_ms(1);
	atomic_store(&left->saw, forkpool_cancelled());
	atomic_store(&left->over, 1);
	return 0;
}

static int leaves_one(void *arg, const void *in, void *out)
{
	FORKPOOL_JOB_OPTS(opts, .arg = arg);
	struct left *left = arg;
	int err;

	(void)in;
	(void)out;
	err = forkpool_submit(forkpool_current(), stays, NULL, 0, 0, &opts, NULL);
	while (atomic_load(&left->parent_stays))
		sleep_ms(1);
	return err;
}

static int arrive_until_open(void *arg, const void *in, void *out)
{
	atomic_store(&((struct gate *)arg)->arrived, 1);
	return until_open(arg, in, out);
}

static struct forkpool_job *map_until_open(void)
{
	FORKPOOL_JOB_OPTS(opts, .arg = gate);
	struct forkpool_job *job = NULL;

	atomic_store(&gate->open, 0);
	atomic_store(&gate->arrived, 0);
	ck_assert_int_eq(forkpool_map_async(pool, arrive_until_open, NULL, 0, NULL, 0, 1, &opts, &job), 0);
	await_value(&gate->arrived, 1);
	return job;
}

/* The item, of a task or a map, has ended, and its place is used for what is cancelled: what it has left is not. */
static void cancel_in_place(struct left *left, bool map)
{
	FORKPOOL_JOB_OPTS(opts, .arg = left);
	struct forkpool_job *job = NULL, *next;
	uint32_t place = 0;

	memset(left, 0, sizeof(*left));
	if (map) {
		ck_assert_int_eq(forkpool_map(pool, leaves_one, NULL, 0, NULL, 0, 1, &opts), 0);
	} else {
		ck_assert_int_eq(forkpool_submit(pool, leaves_one, NULL, 0, 0, &opts, &job), 0);
		place = fp_handle_index(job);
		end(job);
	}
	await_value(&left->begun, 1);
	next = map ? map_until_open() : submit_at(place, submit_until_open, NULL);
	if (!map)
		await_run(fp_handle_index(next));
	forkpool_job_cancel(next);
	atomic_store(&left->look, 1);
	await_value(&left->over, 1);
	ck_assert_int_eq(atomic_load(&left->saw), 0);
	atomic_store(&gate->open, 1);
	forkpool_job_wait(next, HANG);
	forkpool_job_free(next);
}

START_TEST(what_is_left_behind_sees_no_other_cancel)
{
	struct left *left = forkpool_shm_alloc(pool, sizeof(*left));
	int i;

	places_start();
	for (i = 0; i < ROUNDS && reused < 2; i++)
		cancel_in_place(left, _i);
	ck_assert_uint_gt(reused + (unsigned)_i, 0);
	forkpool_shm_free(pool, left);
}
END_TEST

/* Its parent was cancelled, and has ended since. */
START_TEST(what_has_seen_that_it_is_cancelled_sees_it_for_good)
{
	struct left *left = forkpool_shm_alloc(pool, sizeof(*left));
	FORKPOOL_JOB_OPTS(opts, .arg = left);
	struct forkpool_job *job = NULL;

	memset(left, 0, sizeof(*left));
	atomic_store(&left->parent_stays, 1);
	atomic_store(&left->until_cancelled, 1);
	ck_assert_int_eq(forkpool_submit(pool, leaves_one, NULL, 0, 0, &opts, &job), 0);
	await_run(fp_handle_index(job));
	forkpool_job_cancel(job);
	await_value(&left->begun, 1);
	atomic_store(&left->parent_stays, 0);
	forkpool_job_wait(job, HANG);
	atomic_store(&left->look, 1);
	await_value(&left->over, 1);
	ck_assert_int_eq(atomic_load(&left->saw), 1);
	forkpool_job_free(job);
	forkpool_shm_free(pool, left);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("waits");
	TCase *tc = test_case(suite, "held");

	if (!CAN_STEP || test_inline())
		return TEST_SKIP;
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, held_new, held_free);
	tcase_add_test(tc, join_held_up_anywhere);
	tcase_add_test(tc, child_held_up_anywhere);
	tc = test_case(suite, "freed");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, held_new, held_free);
	tcase_add_checked_fixture(tc, pool_open, pool_close);
	/* A worker that is a thread has all signals blocked, traps as well. */
	if (test_processes())
		tcase_add_test(tc, teller_held_up_anywhere);
	tcase_add_loop_test(tc, what_is_left_behind_sees_no_other_cancel, 0, 2);
	tcase_add_test(tc, what_has_seen_that_it_is_cancelled_sees_it_for_good);
	tcase_add_loop_test(tc, cancel_held_up_anywhere, 0, test_processes() ? 4 : 2);
	return test_main(suite);
}
