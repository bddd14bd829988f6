/* SPDX-License-Identifier: MIT */
/* What a map is told: options, bad arguments, and errors of items. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/api.h"

static struct forkpool *pool;

static void pool_open(void)
{
	pool = pool_new(2);
}

static void pool_close(void)
{
	forkpool_destroy(pool);
}

static int nothing(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return 0;
}

/* ---- Bad arguments ---------------------------------------------------------------- */

static int map_of(const void *in, size_t in_size, void *out, size_t out_size, size_t count)
{
	return forkpool_map(pool, nothing, in, in_size, out, out_size, count, NULL);
}

START_TEST(bad_arguments)
{
	char a[64] = { 0 };

	ck_assert_int_eq(forkpool_map(NULL, nothing, a, 1, a, 1, 1, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_map(pool, NULL, a, 1, a, 1, 1, NULL), -EINVAL);
	ck_assert_int_eq(forkpool_map(pool, NULL, a, 1, a, 1, 0, NULL), -EINVAL);
	ck_assert_int_eq(map_of(NULL, 1, NULL, 0, 1), -EINVAL);
	ck_assert_int_eq(map_of(NULL, 0, NULL, 1, 1), -EINVAL);
	ck_assert_int_eq(map_of(NULL, 1, NULL, 1, 0), 0);
	ck_assert_int_eq(map_of(a, SIZE_MAX, NULL, 0, 2), -EINVAL);
	ck_assert_int_eq(map_of(NULL, 0, a, (size_t)1 << 33, (size_t)1 << 33), -EINVAL);
	ck_assert_int_eq(map_of(a, SIZE_MAX / 2 + 1, NULL, 0, 2), -EINVAL);
	ck_assert_int_eq(map_of(a, SIZE_MAX, NULL, 0, 1), -EINVAL);
	ck_assert_int_eq(map_of(a, (size_t)1 << 62, a, 1, 3), -EINVAL);
	ck_assert_int_eq(map_of(NULL, 0, NULL, 0, SIZE_MAX), -EINVAL);
}
END_TEST

static int map_with(const void *opts)
{
	int in[4] = { 0 }, out[4];

	return forkpool_map(pool, nothing, in, sizeof(*in), out, sizeof(*out), 4, opts);
}

START_TEST(retries_need_in_and_out_apart)
{
	int a[100] = { 0 }, *shared = forkpool_shm_calloc(pool, 100, sizeof(int));

	ck_assert_int_eq(FORKPOOL_MAP(pool, nothing, a, a, 50, .retries = 1), -EINVAL);
	ck_assert_int_eq(FORKPOOL_MAP(pool, nothing, a, a + 49, 50, .retries = 1), -EINVAL);
	ck_assert_int_eq(FORKPOOL_MAP(pool, nothing, a + 49, a, 50, .retries = 1), -EINVAL);
	ck_assert_int_eq(FORKPOOL_MAP(pool, nothing, shared, shared, 50, .retries = 1), -EINVAL);
	ck_assert_int_eq(FORKPOOL_MAP(pool, nothing, a, a + 50, 50, .retries = 1), 0);
	ck_assert_int_eq(FORKPOOL_MAP(pool, nothing, a + 50, a, 50, .retries = 1), 0);
	ck_assert_int_eq(FORKPOOL_MAP(pool, nothing, shared, a, 100, .retries = 1), 0);
	forkpool_shm_free(pool, shared);
}
END_TEST

/* ---- arg ------------------------------------------------------------------------------ */

static char at_create[] = "as it was";	/* workers see its content at create */

static int tell_arg(void *arg, const void *in, void *out)
{
	(void)in;
	snprintf(out, 32, "%s", arg ? (char *)arg : "none");
	return 0;
}

static void check_arg(const struct forkpool_job_opts *opts, const char *expected)
{
	char out[3][32];
	int i;

	ck_assert_int_eq(forkpool_map(pool, tell_arg, NULL, 0, out, 32, 3, opts), 0);
	for (i = 0; i < 3; i++)
		ck_assert_str_eq(out[i], expected);
}

START_TEST(arg_copied_shared_or_as_it_was)
{
	char own[32] = "own", *shared = forkpool_shm_alloc(pool, 32);
	FORKPOOL_JOB_OPTS(copied, .arg = own, .arg_size = sizeof(own));
	FORKPOOL_JOB_OPTS(in_segment, .arg = shared);
	FORKPOOL_JOB_OPTS(both, .arg = shared, .arg_size = 32);
	FORKPOOL_JOB_OPTS(as_is, .arg = at_create, .arg_as_is = 1);

	snprintf(shared, 32, "shared");
	check_arg(NULL, "none");
	check_arg(&copied, "own");
	check_arg(&in_segment, "shared");
	check_arg(&both, "shared");
	check_arg(&as_is, "as it was");
	forkpool_shm_free(pool, shared);
}
END_TEST

START_TEST(arg_that_workers_cannot_see)
{
	char own[32] = "own";
	FORKPOOL_JOB_OPTS(own_alone, .arg = own);
	FORKPOOL_JOB_OPTS(size_alone, .arg_size = 8);
	FORKPOOL_JOB_OPTS(absurd, .arg = own, .arg_size = SIZE_MAX);

	ck_assert_int_eq(map_with(&own_alone), -EINVAL);
	ck_assert_int_eq(map_with(&size_alone), -EINVAL);
	ck_assert_int_lt(map_with(&absurd), 0);
}
END_TEST

/* ---- Programs of other versions ----------------------------------------------------- */

/* The structs as forkpool.h first had them. */
struct first_opts {
	size_t sz;
	unsigned workers;
	int mode;
	size_t arena_size;
	int (*worker_init)(void *worker_arg, unsigned id, void **state);
	void (*worker_exit)(void *worker_arg, unsigned id, void *state);
	void *worker_arg;
};

struct first_job_opts {
	size_t sz;
	void *arg;
	size_t arg_size;
	int arg_as_is;
	size_t chunk;
	struct forkpool_status *status;
	size_t *first_failure;
	int stop_on_error;
	unsigned retries;
	void (*on_progress)(size_t done, size_t count, void *user);
	void *user;
};

#define OTHER	256	/* bytes that a struct of a version to come may have */

/* Calls of programs that were compiled with such a struct: opts, of sz bytes. */
typedef int call_fn(const void *opts);

static int create_of_version(const void *opts)
{
	struct forkpool *own = NULL;
	int err = forkpool_create(&own, opts);

	forkpool_destroy(own);
	return err;
}

/* Behind the sz bytes nothing can be read. */
static int call_at_edge(call_fn *call, const void *opts, size_t known, size_t sz, char last)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *pages = shared_new(2 * page), *at = pages + page - sz;
	int err;

	memcpy(at, opts, known < sz ? known : sz);
	memcpy(at, &sz, sizeof(sz));
	if (last)
		pages[page - 1] = last;
	ck_assert_int_eq(mprotect(pages + page, page, PROT_NONE), 0);
	err = call(at);
	shared_free(pages, 2 * page);
	return err;
}

static void check_versions(call_fn *call, const void *opts, size_t first)
{
	struct { size_t sz; } absurd = { SIZE_MAX };
	size_t sz;

	for (sz = first; sz <= OTHER; sz += sizeof(size_t))
		ck_assert_int_eq(call_at_edge(call, opts, first, sz, 0), 0);
	ck_assert_int_eq(call_at_edge(call, opts, first, OTHER, 1), -E2BIG);
	ck_assert_int_eq(call_at_edge(call, opts, first, first - 1, 0), -EINVAL);
	ck_assert_int_eq(call_at_edge(call, opts, first, sizeof(size_t), 0), -EINVAL);
	ck_assert_int_eq(call(&absurd), -E2BIG);
	absurd.sz = 0;
	ck_assert_int_eq(call(&absurd), -EINVAL);
}

START_TEST(map_options_of_other_versions)
{
	const struct first_job_opts opts = { .chunk = 1 };

	ck_assert_int_eq(map_with(NULL), 0);
	check_versions(map_with, &opts, sizeof(opts));
}
END_TEST

START_TEST(pool_options_of_other_versions)
{
	const struct first_opts opts = { .workers = 1, .mode = FORKPOOL_INLINE, .arena_size = 1 };

	check_versions(create_of_version, &opts, sizeof(opts));
}
END_TEST

/* ---- Failures --------------------------------------------------------------------------- */

#define MANY	20000

static int fail_odd(void *arg, const void *in, void *out)
{
	int i = *(const int *)in;

	(void)arg;
	*(int *)out = i;
	return i % 1000 == 501 ? i - 600 : 0;	/* negative, too */
}

START_TEST(failures_are_written_down_and_stop_nothing)
{
	static int in[MANY], out[MANY];
	static struct forkpool_status status[MANY];
	size_t first = 99;
	int i;

	for (i = 0; i < MANY; i++)
		in[i] = i;
	ck_assert_int_eq(FORKPOOL_MAP(pool, fail_odd, in, out, MANY, .status = status,
				      .first_failure = &first), -FORKPOOL_EFAILED);
	ck_assert_uint_eq(first, 501);
	for (i = 0; i < MANY; i++) {
		bool bad = i % 1000 == 501;

		CHECK_EACH(out[i] == i);
		CHECK_EACH(status[i].outcome == (bad ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_OK));
		CHECK_EACH(status[i].code == (bad ? i - 600 : 0));
		CHECK_EACH(status[i].attempts == 1);
		CHECK_EACH(status[i].worker > 0);
	}
}
END_TEST

START_TEST(outputs_of_a_good_map)
{
	int in[100] = { 0 }, out[100];
	struct forkpool_status status[100];
	size_t first = 77, i;

	memset(status, 0xff, sizeof(status));
	ck_assert_int_eq(FORKPOOL_MAP(pool, fail_odd, in, out, 100, .status = status,
				      .first_failure = &first), 0);
	ck_assert_uint_eq(first, 77);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(status[i].outcome, FORKPOOL_ITEM_OK);
		ck_assert_int_eq(status[i].code, 0);
		ck_assert_uint_eq(status[i].attempts, 1);
	}
}
END_TEST

/* The first fails late, a later one at once. */
static int fail_late(void *arg, const void *in, void *out)
{
	int i = *(const int *)in;

	(void)arg;
	(void)out;
	if (i == 3)
		sleep_ms(50);
	return i == 3 ? 33 : i > 40;
}

START_TEST(the_first_by_index_counts)
{
	struct forkpool_status status[64];
	int in[64], i, stop;

	for (i = 0; i < 64; i++)
		in[i] = i;
	for (stop = 0; stop < 2; stop++) {
		size_t first = 0;

		ck_assert_int_eq(forkpool_map(pool, fail_late, in, sizeof(*in), NULL, 0, 64,
			&(struct forkpool_job_opts){ .sz = sizeof(struct forkpool_job_opts),
				.status = status, .first_failure = &first, .stop_on_error = stop }),
			-FORKPOOL_EFAILED);
		ck_assert_uint_eq(first, 3);
		ck_assert_int_eq(status[3].code, 33);
		for (i = 0; i < 3; i++)
			ck_assert_int_eq(status[i].outcome, FORKPOOL_ITEM_OK);
	}
}
END_TEST

/* ---- stop_on_error ---------------------------------------------------------------------- */

struct stop {
	int at;			/* the item that fails */
	int slow_from;		/* from here on items take a while */
	atomic_int ran;
	atomic_char seen[MANY];
};

static int stop_item(void *arg, const void *in, void *out)
{
	struct stop *s = arg;
	int i = *(const int *)in;

	(void)out;
	atomic_fetch_add(&s->ran, 1);
	atomic_fetch_add(&s->seen[i], 1);
	if (i >= s->slow_from)
		sleep_ms(1);
	return i == s->at;
}

/* Returns how many items ran. */
static int check_stop(struct forkpool *p, int at, int slow_from, size_t chunk)
{
	struct stop *s = forkpool_shm_calloc(p, 1, sizeof(*s));
	static struct forkpool_status status[MANY];
	static int in[MANY];
	size_t first = 0;
	FORKPOOL_JOB_OPTS(opts, .arg = s, .chunk = chunk, .status = status,
			  .first_failure = &first, .stop_on_error = 1);
	int i, ran;

	for (i = 0; i < MANY; i++)
		in[i] = i;
	s->at = at;
	s->slow_from = slow_from;
	ck_assert_int_eq(forkpool_map(p, stop_item, in, sizeof(*in), NULL, 0, MANY, &opts),
			 -FORKPOOL_EFAILED);
	ck_assert_int_eq(first, at);
	for (i = 0; i < MANY; i++) {
		CHECK_EACH(s->seen[i] <= 1);
		CHECK_EACH(status[i].outcome == (i == at ? FORKPOOL_ITEM_FAILED :
			   s->seen[i] ? FORKPOOL_ITEM_OK : FORKPOOL_ITEM_NOT_RUN));
		CHECK_EACH(status[i].attempts == (unsigned)s->seen[i]);
		CHECK_EACH(i > at || s->seen[i]);
	}
	ran = s->ran;
	forkpool_shm_free(p, s);
	return ran;
}

START_TEST(stop_on_error_ends_as_the_serial_loop)
{
	ck_assert_int_lt(check_stop(pool, 0, 1, 0), MANY / 4);
	ck_assert_int_lt(check_stop(pool, 3000, 3001, 0), MANY * 3 / 4);
	check_stop(pool, MANY - 1, MANY, 0);
	check_stop(pool, 7000, MANY, 1);
	check_stop(pool, 7000, MANY, MANY);
}
END_TEST

/* With one worker, it is the serial loop. */
START_TEST(stop_on_error_starts_nothing_behind)
{
	struct forkpool *one = pool_new(1);

	ck_assert_int_eq(check_stop(one, 0, MANY, 0), 1);
	ck_assert_int_eq(check_stop(one, 12345, MANY, 0), 12346);
	ck_assert_int_eq(check_stop(one, 12345, MANY, 1000), 12346);
	ck_assert_int_eq(check_stop(one, 12345, MANY, MANY), 12346);
	forkpool_destroy(one);
}
END_TEST

/* ---- on_progress ------------------------------------------------------------------------ */

struct progress {
	pthread_t thread;
	size_t count, last;
	int calls, bad;
};

static void on_progress(size_t done, size_t count, void *user)
{
	struct progress *p = user;

	p->bad += !pthread_equal(pthread_self(), p->thread) || count != p->count ||
		  done < p->last || done > count;
	p->last = done;
	p->calls++;
}

static int slow(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	sleep_ms(2);
	return 0;
}

static void check_progress(forkpool_fn *fn, size_t count, int least)
{
	struct progress p = { .thread = pthread_self(), .count = count };
	FORKPOOL_JOB_OPTS(opts, .on_progress = on_progress, .user = &p);

	ck_assert_int_eq(forkpool_map(pool, fn, NULL, 0, NULL, 0, count, &opts), 0);
	ck_assert_int_eq(p.bad, 0);
	ck_assert_int_ge(p.calls, least);
	ck_assert_uint_eq(p.last, count);
}

START_TEST(progress_only_grows)
{
	check_progress(slow, 400, 2);
	check_progress(nothing, 1, 1);
	check_progress(nothing, 1000000, 1);
}
END_TEST

/* ---- A map inside an item ----------------------------------------------------------------- */

static int fail_third(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)out;
	return *(const int *)in == 3 ? 8 : 0;
}

static int inner(void *arg, const void *in, void *out)
{
	int numbers[6] = { 0, 1, 2, 3, 3, 5 };
	struct forkpool_status st[6];
	size_t first = 0;
	FORKPOOL_JOB_OPTS(opts, .status = st, .first_failure = &first, .stop_on_error = 1);
	int err = forkpool_map(forkpool_current(), fail_third, numbers, sizeof(int), NULL, 0, 6, &opts);

	(void)arg;
	(void)in;
	*(int *)out = err;
	/* Of those behind it, another worker may have begun some before. */
	return first != 3 || st[3].code != 8 || st[2].outcome != FORKPOOL_ITEM_OK ||
	       st[4].outcome != (st[4].attempts ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_NOT_RUN) ||
	       st[5].outcome != (st[5].attempts ? FORKPOOL_ITEM_OK : FORKPOOL_ITEM_NOT_RUN);
}

START_TEST(failures_inside_an_item)
{
	int out[20], i;

	ck_assert_int_eq(forkpool_map(pool, inner, NULL, 0, out, sizeof(*out), 20, NULL), 0);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(out[i], -FORKPOOL_EFAILED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");
	TCase *tc = test_case(suite, "options");

	tcase_add_checked_fixture(tc, pool_open, pool_close);
	tcase_add_test(tc, bad_arguments);
	tcase_add_test(tc, map_options_of_other_versions);
	tcase_add_test(tc, pool_options_of_other_versions);
	tcase_add_test(tc, retries_need_in_and_out_apart);
	tcase_add_test(tc, arg_copied_shared_or_as_it_was);
	tcase_add_test(tc, arg_that_workers_cannot_see);
	tcase_add_test(tc, failures_are_written_down_and_stop_nothing);
	tcase_add_test(tc, outputs_of_a_good_map);
	tcase_add_test(tc, the_first_by_index_counts);
	tcase_add_test(tc, stop_on_error_ends_as_the_serial_loop);
	tcase_add_test(tc, stop_on_error_starts_nothing_behind);
	tcase_add_test(tc, progress_only_grows);
	tcase_add_test(tc, failures_inside_an_item);
	return test_main(suite);
}
