/* SPDX-License-Identifier: MIT */
/* Large maps on private arrays go through in pieces, some of them at the same time: it must not show. */
#include <pthread.h>
#include <signal.h>

#include "api/api.h"

#define COUNT	((size_t)640)		/* items: 20 MiB each way */
#define WORDS	((size_t)4096)
#define WORKERS	4u

struct item {
	uint64_t words[WORDS];
};

static struct item *in, *out;
static struct forkpool_status *status;
static struct forkpool *pool;

static uint64_t word_of(uint64_t index, size_t k)
{
	return (index + 1) * 0x9e3779b97f4a7c15u ^ k;
}

static void fill(struct item *items)
{
	size_t i, k;

	for (i = 0; i < COUNT; i++)
		for (k = 0; k < WORDS; k++)
			items[i].words[k] = word_of(i, k);
}

static bool is_inverted(const struct item *item, size_t index)
{
	size_t k;

	for (k = 0; k < WORDS; k++)
		if (item->words[k] != ~word_of(index, k))
			return false;
	return true;
}

static void begin(void)
{
	in = malloc(COUNT * sizeof(*in));
	out = calloc(COUNT, sizeof(*out));
	status = calloc(COUNT, sizeof(*status));
	ck_assert(in && out && status);
	fill(in);
	pool = pool_new(WORKERS);
}

static void end(void)
{
	forkpool_destroy(pool);
	free(in);
	free(out);
	free(status);
}

/* What items are told: who of them is to do what. */
struct plan {
	size_t fail_from, fail_each;	/* these fail with 7 */
	size_t crash_at, crash_each;	/* these kill their worker, the first time */
	long nap_ms;			/* of every NAPth item */
	int stuck;			/* all wait for ever */
};

#define NONE	SIZE_MAX
#define NAP	40

static bool is_one(size_t index, size_t from, size_t each)
{
	return from != NONE && index >= from && (index - from) % each == 0;
}

static int invert(void *arg, const void *from, void *to)
{
	const struct plan *plan = arg;
	const struct item *x = from;
	struct item *y = to;
	size_t index, k;

	for (index = 0; word_of(index, 0) != x->words[0]; index++)
		;
	if (plan->nap_ms && index % NAP == 0)
		sleep_ms(plan->nap_ms);
	while (plan->stuck)
		sleep_ms(1000);
	if (is_one(index, plan->crash_at, plan->crash_each))
		raise(SIGKILL);
	for (k = 0; k < WORDS; k++)
		y->words[k] = ~x->words[k];
	return is_one(index, plan->fail_from, plan->fail_each) ? 7 : 0;
}

static const struct plan PLAIN = { NONE, 1, NONE, 1, 0, 0 };

#define MAP_PLAN(plan, ...) \
	FORKPOOL_MAP(pool, invert, in, out, COUNT, .arg = (void *)(plan), .arg_size = sizeof(*(plan)), \
		     .status = status, __VA_ARGS__)

static void check_all(void)
{
	size_t i;

	for (i = 0; i < COUNT; i++) {
		CHECK_EACH(is_inverted(&out[i], i));
		CHECK_EACH(status[i].outcome == FORKPOOL_ITEM_OK && status[i].attempts == 1);
	}
}

START_TEST(each_result_in_its_place)
{
	static const size_t chunks[] = { 0, 1, 7, 300, SIZE_MAX };
	size_t i;

	for (i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
		memset(out, 0, COUNT * sizeof(*out));
		ck_assert_int_eq(MAP_PLAN(&PLAIN, .chunk = chunks[i]), 0);
		check_all();
	}
}
END_TEST

START_TEST(the_first_failure_is_the_one_of_least_index)
{
	struct plan plan = PLAIN;
	size_t first = 0, i;

	plan.fail_from = 333;
	plan.fail_each = 100;
	/* Pieces behind it end before it does. */
	plan.nap_ms = 20;
	ck_assert_int_eq(MAP_PLAN(&plan, .first_failure = &first), -FORKPOOL_EFAILED);
	ck_assert_uint_eq(first, 333);
	for (i = 0; i < COUNT; i++) {
		bool bad = i == 333 || i == 433 || i == 533 || i == 633;

		CHECK_EACH(bad || is_inverted(&out[i], i));
		CHECK_EACH(status[i].outcome == (bad ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_OK));
		CHECK_EACH(status[i].code == (bad ? 7 : 0));
	}
}
END_TEST

START_TEST(an_error_stops_what_is_behind_it)
{
	struct plan plan = PLAIN;
	size_t first = 0, i, not_run = 0;

	plan.fail_from = 5;
	plan.fail_each = COUNT;
	ck_assert_int_eq(MAP_PLAN(&plan, .first_failure = &first, .stop_on_error = 1),
			 -FORKPOOL_EFAILED);
	ck_assert_uint_eq(first, 5);
	for (i = 0; i < COUNT; i++) {
		not_run += status[i].outcome == FORKPOOL_ITEM_NOT_RUN;
		/* Where nothing ran the caller's bytes stay. */
		CHECK_EACH(status[i].outcome != FORKPOOL_ITEM_NOT_RUN || out[i].words[1] == 0);
	}
	ck_assert_uint_gt(not_run, 0);
}
END_TEST

START_TEST(a_dear_item_does_not_hold_up_the_rest)
{
	struct plan plan = PLAIN;

	plan.nap_ms = 10;
	ck_assert_int_eq(MAP_PLAN(&plan, .chunk = 1), 0);
	check_all();
}
END_TEST

START_TEST(crashed_items_alone_are_lost)
{
	struct plan plan = PLAIN;
	size_t first = 0, i;

	if (!test_processes())
		return;
	plan.crash_at = 100;
	plan.crash_each = 200;
	ck_assert_int_eq(MAP_PLAN(&plan, .first_failure = &first), -FORKPOOL_ECRASHED);
	ck_assert_uint_eq(first, 100);
	for (i = 0; i < COUNT; i++) {
		bool bad = i == 100 || i == 300 || i == 500;

		CHECK_EACH(bad || is_inverted(&out[i], i));
		CHECK_EACH(status[i].outcome == (bad ? FORKPOOL_ITEM_CRASHED : FORKPOOL_ITEM_OK));
		CHECK_EACH(status[i].attempts == 1);
	}
}
END_TEST

/* ---- What is common to all pieces --------------------------------------------------------- */

static int where_arg_is(void *arg, const void *from, void *to)
{
	(void)from;
	*(void **)to = arg;
	return 0;
}

START_TEST(all_items_share_the_copy_of_arg)
{
	const struct plan plan = PLAIN;
	void **at = (void **)(void *)out;
	size_t i;

	ck_assert_int_eq(forkpool_map(pool, where_arg_is, in, sizeof(*in), out, sizeof(void *), COUNT,
				      &(struct forkpool_job_opts){ .sz = sizeof(struct forkpool_job_opts),
				      .arg = (void *)&plan, .arg_size = sizeof(plan) }), 0);
	for (i = 1; i < COUNT; i++)
		CHECK_EACH(at[i] == at[0]);
	ck_assert_ptr_nonnull(at[0]);
}
END_TEST

struct reports {
	size_t last, calls;
	bool wrong;
};

static void note_report(size_t done, size_t count, void *user)
{
	struct reports *r = user;

	r->wrong |= done < r->last || done > count || count != COUNT;
	r->last = done;
	r->calls++;
}

START_TEST(progress_never_goes_back)
{
	struct plan plan = PLAIN;
	struct reports reports = { 0, 0, false };

	/* Some reports come before the last one. */
	plan.nap_ms = 60;
	ck_assert_int_eq(MAP_PLAN(&plan, .on_progress = note_report, .user = &reports), 0);
	check_all();
	ck_assert(!reports.wrong);
	ck_assert_uint_eq(reports.last, COUNT);
	if (!test_inline())
		ck_assert_uint_gt(reports.calls, 1);
}
END_TEST

START_TEST(a_deadline_cuts_all_pieces)
{
	struct plan plan = PLAIN;
	size_t i, run = 0, cut = 0;

	if (!test_processes())
		return;
	plan.stuck = 1;
	ck_assert_int_eq(MAP_PLAN(&plan, .deadline = 200 * MS), -FORKPOOL_ETIMEDOUT);
	for (i = 0; i < COUNT; i++) {
		cut += status[i].outcome == FORKPOOL_ITEM_NOT_RUN;
		run += status[i].outcome == FORKPOOL_ITEM_TIMED_OUT;
	}
	ck_assert_uint_le(run, WORKERS);
	ck_assert_uint_eq(run + cut, COUNT);
	ck_assert_int_eq(MAP_PLAN(&PLAIN, .deadline = HANG_S * 1000 * MS), 0);
	check_all();
}
END_TEST

static void *terminate(void *unused)
{
	sleep_ms(100);
	ck_assert_int_eq(forkpool_terminate(pool), 0);
	return unused;
}

START_TEST(the_end_of_the_pool_ends_all_pieces)
{
	struct plan plan = PLAIN;
	pthread_t thread;
	size_t i, cancelled = 0;

	if (!test_processes())
		return;
	plan.stuck = 1;
	ck_assert_int_eq(pthread_create(&thread, NULL, terminate, NULL), 0);
	ck_assert_int_eq(MAP_PLAN(&plan, .chunk = 1), -FORKPOOL_ECANCELED);
	pthread_join(thread, NULL);
	for (i = 0; i < COUNT; i++)
		cancelled += status[i].outcome == FORKPOOL_ITEM_CANCELLED;
	ck_assert_uint_eq(cancelled, COUNT);
}
END_TEST

/* ---- Arrays that share memory ----------------------------------------------------------- */

static int add(void *arg, const void *from, void *to)
{
	(void)arg;
	((struct item *)to)->words[0] = ~((const struct item *)from)->words[0];
	((struct item *)to)->words[WORDS - 1] = ~((const struct item *)from)->words[WORDS - 1];
	return 0;
}

/* All inputs are read before an output is written, wherever the arrays lie. */
START_TEST(outputs_over_other_inputs)
{
	static const size_t shifts[] = { 0, 1, 200 };
	struct item *both = malloc((COUNT + 200) * sizeof(*both));
	size_t s, i;

	ck_assert_ptr_nonnull(both);
	for (s = 0; s < 3 && !test_inline(); s++) {
		/* First behind its input, then before it. */
		fill(both);
		ck_assert_int_eq(FORKPOOL_MAP(pool, add, both, both + shifts[s], COUNT), 0);
		for (i = 0; i < COUNT; i++)
			CHECK_EACH(both[shifts[s] + i].words[0] == ~word_of(i, 0) &&
				   both[shifts[s] + i].words[WORDS - 1] == ~word_of(i, WORDS - 1));
		fill(both + shifts[s]);
		ck_assert_int_eq(FORKPOOL_MAP(pool, add, both + shifts[s], both, COUNT), 0);
		for (i = 0; i < COUNT; i++)
			CHECK_EACH(both[i].words[0] == ~word_of(i, 0));
	}
	free(both);
}
END_TEST

static int widen(void *arg, const void *from, void *to)
{
	uint64_t x = *(const uint64_t *)from;

	(void)arg;
	((uint64_t *)to)[0] = x;
	((uint64_t *)to)[1] = ~x;
	return 0;
}

START_TEST(outputs_wider_than_inputs_in_their_place)
{
	const size_t count = (size_t)1 << 20;
	uint64_t *both = malloc(2 * count * sizeof(*both));
	size_t i;

	ck_assert_ptr_nonnull(both);
	for (i = 0; i < count; i++)
		both[i] = i;
	if (!test_inline()) {
		ck_assert_int_eq(forkpool_map(pool, widen, both, 8, both, 16, count, NULL), 0);
		for (i = 0; i < count; i++)
			CHECK_EACH(both[2 * i] == i && both[2 * i + 1] == ~(uint64_t)i);
	}
	free(both);
}
END_TEST

/* ---- Many at once --------------------------------------------------------------------------- */

#define THREADS	12

static int invert_word(void *arg, const void *from, void *to)
{
	(void)arg;
	*(uint64_t *)to = ~((const struct item *)from)->words[0];
	return 0;
}

static void *map_some(void *arg)
{
	uint64_t *results = arg;
	int i, err = 0;

	for (i = 0; i < 3 && !err; i++)
		err = forkpool_map(pool, invert_word, in, sizeof(*in), results, sizeof(*results), COUNT,
				   NULL);
	return err ? results : NULL;
}

START_TEST(threads_map_much_at_the_same_time)
{
	pthread_t threads[THREADS];
	uint64_t *results = (uint64_t *)(void *)out;
	size_t t, i;
	void *bad;

	for (t = 0; t < THREADS; t++)
		ck_assert_int_eq(pthread_create(&threads[t], NULL, map_some, results + t * COUNT), 0);
	for (t = 0; t < THREADS; t++) {
		ck_assert_int_eq(pthread_join(threads[t], &bad), 0);
		ck_assert_ptr_null(bad);
		for (i = 0; i < COUNT; i++)
			CHECK_EACH(results[t * COUNT + i] == ~word_of(i, 0));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("large");
	TCase *items = test_case(suite, "items"), *common = test_case(suite, "common");
	TCase *overlap = test_case(suite, "overlap"), *threads = test_case(suite, "threads");

	tcase_add_checked_fixture(items, begin, end);
	tcase_add_test(items, each_result_in_its_place);
	tcase_add_test(items, the_first_failure_is_the_one_of_least_index);
	tcase_add_test(items, an_error_stops_what_is_behind_it);
	tcase_add_test(items, a_dear_item_does_not_hold_up_the_rest);
	tcase_add_test(items, crashed_items_alone_are_lost);
	tcase_add_checked_fixture(common, begin, end);
	tcase_add_test(common, all_items_share_the_copy_of_arg);
	tcase_add_test(common, progress_never_goes_back);
	tcase_add_test(common, a_deadline_cuts_all_pieces);
	tcase_add_test(common, the_end_of_the_pool_ends_all_pieces);
	tcase_add_checked_fixture(overlap, begin, end);
	tcase_add_test(overlap, outputs_over_other_inputs);
	tcase_add_test(overlap, outputs_wider_than_inputs_in_their_place);
	tcase_add_checked_fixture(threads, begin, end);
	tcase_add_test(threads, threads_map_much_at_the_same_time);
	tcase_set_timeout(items, 0);
	tcase_set_timeout(common, 0);
	tcase_set_timeout(overlap, 0);
	tcase_set_timeout(threads, 0);
	return test_main(suite);
}
