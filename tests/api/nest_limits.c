/* SPDX-License-Identifier: MIT */
/*
 * Items at their limit, and jobs that are killed, with maps inside: what hangs
 * below ends too, in whichever worker it runs, and nobody else is harmed.
 */
#include "api/nest.h"

#define OUTER	6
#define BAD	3		/* the item that maps, and whose items hang */

static struct forkpool *pool;
static atomic_int *arrived;	/* items that hang; in the segment */

static void setup(void)
{
	pool = pool_new(2);
	arrived = forkpool_shm_calloc(pool, 1, sizeof(*arrived));
	ck_assert_ptr_nonnull(arrived);
}

static void teardown(void)
{
	forkpool_destroy(pool);
}

/* Ends by a signal only. */
static int hang(void *arg, const void *in, void *out)
{
	(void)in;
	(void)out;
	atomic_fetch_add((atomic_int *)arg, 1);
	for (;;)
		pause();
	return 0;
}

static int map_and_hang_if_bad(void *arg, const void *in, void *out)
{
	FORKPOOL_JOB_OPTS(opts, .arg = arg);
	const int *i = in;

	*(int *)out = 2 * *i;
	if (*i != BAD)
		return 0;
	return -forkpool_map(forkpool_current(), hang, NULL, 0, NULL, 0, 4, &opts);
}

struct hanging {
	int in[OUTER], out[OUTER];
	struct forkpool_status status[OUTER];
	struct forkpool_job_opts opts;
};

static void hanging_init(struct hanging *h)
{
	int i;

	*h = (struct hanging){
		.opts = { .sz = sizeof(h->opts), .status = h->status, .arg = arrived },
	};
	for (i = 0; i < OUTER; i++)
		h->in[i] = i;
}

static int hanging_map(struct hanging *h)
{
	return forkpool_map(pool, map_and_hang_if_bad, h->in, sizeof(*h->in), h->out, sizeof(*h->out),
			    OUTER, &h->opts);
}

/* Wherever what it had mapped hangs, the item ends at its limit, and no other item is harmed. */
START_TEST(a_limit_ends_all_below)
{
	struct hanging h;
	int round, i;

	for (round = 0; round < 2; round++) {
		hanging_init(&h);
		atomic_store(arrived, 0);
		h.opts.timeout = 1000 * MS;
		ck_assert_int_eq(hanging_map(&h), -FORKPOOL_ETIMEDOUT);
		for (i = 0; i < OUTER; i++) {
			if (i == BAD) {
				ck_assert_int_eq(h.status[i].outcome, FORKPOOL_ITEM_TIMED_OUT);
				continue;
			}
			ck_assert_int_eq(h.status[i].outcome, FORKPOOL_ITEM_OK);
			ck_assert_uint_eq(h.status[i].attempts, 1);
			ck_assert_int_eq(h.out[i], 2 * i);
		}
		ck_assert_int_ge(*arrived, 1);
		check_maps_work(pool);
	}
}
END_TEST

START_TEST(a_deadline_ends_all_below)
{
	struct hanging h;

	hanging_init(&h);
	h.opts.deadline = 100 * MS;
	ck_assert_int_eq(hanging_map(&h), -FORKPOOL_ETIMEDOUT);
	check_maps_work(pool);
}
END_TEST

START_TEST(a_killed_job_ends_all_below)
{
	struct forkpool_job *job = NULL;
	struct hanging h;
	int round;

	for (round = 0; round < 5; round++) {
		hanging_init(&h);
		atomic_store(arrived, 0);
		ck_assert_int_eq(forkpool_map_async(pool, map_and_hang_if_bad, h.in, sizeof(*h.in), h.out,
						    sizeof(*h.out), OUTER, &h.opts, &job), 0);
		await_value(arrived, 1);
		ck_assert_int_eq(forkpool_job_kill(job), 0);
		ck_assert_int_eq(forkpool_job_wait(job, HANG_S * 1000 * MS), -FORKPOOL_ECANCELED);
		ck_assert_int_eq(h.status[BAD].outcome, FORKPOOL_ITEM_CANCELLED);
		forkpool_job_free(job);
		check_maps_work(pool);
	}
}
END_TEST

int main(void)
{
	Suite *suite;
	TCase *limits;

	if (!test_processes())
		return TEST_SKIP;
	suite = suite_create("nest_limits");
	limits = test_case(suite, "limits");
	tcase_add_checked_fixture(limits, setup, teardown);
	tcase_add_test(limits, a_limit_ends_all_below);
	tcase_add_test(limits, a_deadline_ends_all_below);
	tcase_add_test(limits, a_killed_job_ends_all_below);
	return test_main(suite);
}
