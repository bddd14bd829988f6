/* SPDX-License-Identifier: MIT */
/* Maps whose items end in order: every count, size and place gives the right results. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/api.h"

static int square(void *arg, const void *in, void *out)
{
	const int *x = in;
	unsigned *y = out;

	(void)arg;
	*y = (unsigned)*x * (unsigned)*x;
	return 0;
}

/* ---- Counts --------------------------------------------------------------------- */

static void check_count(struct forkpool *pool, size_t count)
{
	int *in = calloc(count + 1, sizeof(*in));
	unsigned *out = calloc(count + 1, sizeof(*out));
	size_t i;

	for (i = 0; i < count; i++)
		in[i] = (int)i - 7;
	out[count] = 4711;
	ck_assert_int_eq(FORKPOOL_MAP(pool, square, in, out, count), 0);
	for (i = 0; i < count; i++)
		if (out[i] != (unsigned)in[i] * (unsigned)in[i])
			ck_abort_msg("item %zu of %zu: %u", i, count, out[i]);
	ck_assert_uint_eq(out[count], 4711);
	free(in);
	free(out);
}

START_TEST(any_count)
{
	static const size_t counts[] = { 0, 1, 2, 31, 32, 33, 63, 64, 65, 1000, 1000000 };
	static const unsigned workers[] = { 1, 2, 5 };
	unsigned i, w;

	for (w = 0; w < 3; w++) {
		struct forkpool *pool = pool_new(workers[w]);

		for (i = 0; i < sizeof(counts) / sizeof(*counts); i++)
			check_count(pool, counts[i]);
		forkpool_destroy(pool);
	}
}
END_TEST

START_TEST(a_thousand_small_maps)
{
	struct forkpool *pool = pool_new(2);
	size_t i;

	for (i = 0; i < 1000; i++)
		check_count(pool, i % 50);
	forkpool_destroy(pool);
}
END_TEST

static int count_up(void *arg, const void *in, void *out)
{
	atomic_size_t *n = arg;

	atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
	return in || out;
}

START_TEST(items_without_data)
{
	struct forkpool *pool = pool_new(2);
	atomic_size_t *n = forkpool_shm_calloc(pool, 1, sizeof(*n));
	FORKPOOL_JOB_OPTS(opts, .arg = n);

	ck_assert_int_eq(forkpool_map(pool, count_up, NULL, 0, NULL, 0, 3000000, &opts), 0);
	ck_assert_uint_eq(atomic_load(n), 3000000);
	/* Arrays without a size are not looked at. */
	ck_assert_int_eq(forkpool_map(pool, count_up, &opts, 0, n, 0, 10, &opts), 0);
	ck_assert_uint_eq(atomic_load(n), 3000010);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Sizes and places -------------------------------------------------------------- */

struct sizes {
	size_t in, out;
};

static unsigned char in_byte(size_t item, size_t k)
{
	return (unsigned char)(item * 31 + k * 7 + (k >> 8));
}

/* Checks that in is whole, and fills out with what its first byte says. */
static int fill(void *arg, const void *in, void *out)
{
	const struct sizes *sizes = arg;
	const unsigned char *from = in;
	size_t k;

	if (!in != !sizes->in || !out != !sizes->out)
		return 1;
	for (k = 1; k < sizes->in; k++)
		if (from[k] != (unsigned char)(from[0] + k * 7 + (k >> 8)))
			return 2;
	if (out)
		memset(out, from ? from[0] ^ 0x5a : 0xa5, sizes->out);
	return 0;
}

/* Memory of our own, or the pool's; not at the start of its block, and watched on both sides. */
struct array {
	char *block, *data;
	size_t bytes;
	bool shared;
};

#define MARGIN	64

static void array_make(struct array *a, struct forkpool *pool, size_t bytes, bool shared)
{
	a->bytes = bytes;
	a->shared = shared;
	a->block = shared ? forkpool_shm_alloc(pool, bytes + 2 * MARGIN) : malloc(bytes + 2 * MARGIN);
	ck_assert_ptr_nonnull(a->block);
	a->data = a->block + MARGIN;
	memset(a->block, 0xee, bytes + 2 * MARGIN);
}

static void array_end(struct array *a, struct forkpool *pool)
{
	size_t i;

	for (i = 0; i < MARGIN; i++) {
		ck_assert_int_eq((unsigned char)a->block[i], 0xee);
		ck_assert_int_eq((unsigned char)a->data[a->bytes + i], 0xee);
	}
	if (a->shared)
		forkpool_shm_free(pool, a->block);
	else
		free(a->block);
}

static void check_out(const char *out, const struct sizes *sizes, size_t count)
{
	size_t i, k;

	for (i = 0; i < count; i++)
		for (k = 0; k < sizes->out; k++)
			if ((unsigned char)out[i * sizes->out + k] !=
			    (sizes->in ? in_byte(i, 0) ^ 0x5a : 0xa5))
				ck_abort_msg("item %zu, byte %zu", i, k);
}

static void check_sizes(struct forkpool *pool, struct sizes sizes, size_t count, int place)
{
	struct array in, out;
	FORKPOOL_JOB_OPTS(opts, .arg = &sizes, .arg_size = sizeof(sizes));
	size_t i, k;

	array_make(&in, pool, sizes.in * count, place & 1);
	array_make(&out, pool, sizes.out * count, place & 2);
	for (i = 0; i < count; i++)
		for (k = 0; k < sizes.in; k++)
			in.data[i * sizes.in + k] = (char)in_byte(i, k);
	ck_assert_int_eq(forkpool_map(pool, fill, in.data, sizes.in, out.data, sizes.out, count, &opts), 0);
	check_out(out.data, &sizes, count);
	array_end(&in, pool);
	array_end(&out, pool);
}

START_TEST(any_size_anywhere)
{
	static const size_t sizes[] = { 0, 1, 8, 13, 4096, 1 << 20 };
	struct forkpool *pool = pool_new(2);
	unsigned i, o, place;

	for (i = 0; i < 6; i++)
		for (o = 0; o < 6; o++)
			for (place = 0; place < 4; place++)
				check_sizes(pool, (struct sizes){ sizes[i], sizes[o] },
					    i == 5 || o == 5 ? 2 : 101, place);
	forkpool_destroy(pool);
}
END_TEST

static int add_one(void *arg, const void *in, void *out)
{
	(void)arg;
	*(int *)out = *(const int *)in + 1;
	return 0;
}

START_TEST(in_place)
{
	struct forkpool *pool = pool_new(2);
	int *shared = forkpool_shm_calloc(pool, 5000, sizeof(int));
	int own[5000] = { 0 }, i;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(FORKPOOL_MAP(pool, add_one, shared, shared, 5000), 0);
		ck_assert_int_eq(FORKPOOL_MAP(pool, add_one, own, own, 5000), 0);
	}
	for (i = 0; i < 5000; i++)
		CHECK_EACH(shared[i] == 3 && own[i] == 3);
	forkpool_shm_free(pool, shared);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(any_chunk)
{
	static const size_t chunks[] = { 1, 2, 7, 64, 100000, 1 << 30, SIZE_MAX };
	struct forkpool *pool = pool_new(3);
	static int in[100000];
	static unsigned out[100000];
	unsigned c, i;

	for (c = 0; c < sizeof(chunks) / sizeof(*chunks); c++) {
		for (i = 0; i < 100000; i++)
			in[i] = (int)(i + c);
		ck_assert_int_eq(FORKPOOL_MAP(pool, square, in, out, 100000, .chunk = chunks[c]), 0);
		for (i = 0; i < 100000; i++)
			CHECK_EACH(out[i] == (i + c) * (i + c));
	}
	forkpool_destroy(pool);
}
END_TEST

/* ---- Small arenas -------------------------------------------------------------------- */

static struct forkpool *pool_small(size_t arena)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = arena);
	struct forkpool *pool;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	return pool;
}

#define PIECES	((size_t)1 << 20)	/* items of 32 bytes: 32 MiB each way */

struct wide {
	uint64_t a[4];
};

static int wide_turn(void *arg, const void *in, void *out)
{
	const struct wide *x = in;
	struct wide *y = out;

	(void)arg;
	*y = (struct wide){ { x->a[3], x->a[2], x->a[1], x->a[0] } };
	return x->a[0] % 100003 == 100002 ? 5 : 0;
}

static bool wide_right(const struct wide *y, size_t i)
{
	return y->a[0] == 3 * i && y->a[1] == i * i && y->a[2] == ~i && y->a[3] == i;
}

START_TEST(arrays_far_larger_than_the_arena)
{
	struct wide *in = malloc(PIECES * sizeof(*in)), *out = malloc(PIECES * sizeof(*out));
	struct forkpool_status *status = malloc(PIECES * sizeof(*status));
	struct forkpool *pool = pool_small(1 << 20);
	size_t first = 0, i;

	for (i = 0; i < PIECES; i++)
		in[i] = (struct wide){ { i, ~i, i * i, 3 * i } };
	ck_assert_int_eq(FORKPOOL_MAP(pool, wide_turn, in, out, PIECES, .status = status,
				      .first_failure = &first), -FORKPOOL_EFAILED);
	ck_assert_uint_eq(first, 100002);
	for (i = 0; i < PIECES; i++) {
		bool bad = i % 100003 == 100002;

		CHECK_EACH(bad || wide_right(&out[i], i));
		CHECK_EACH(status[i].outcome == (bad ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_OK));
		CHECK_EACH(status[i].code == (bad ? 5 : 0));
		CHECK_EACH(status[i].attempts == 1);
	}
	forkpool_destroy(pool);
	free(in);
	free(out);
	free(status);
}
END_TEST

START_TEST(pieces_end_where_an_error_stops)
{
	struct wide *in = calloc(PIECES, sizeof(*in)), *out = calloc(PIECES, sizeof(*out));
	struct forkpool_status *status = malloc(PIECES * sizeof(*status));
	struct forkpool *pool = pool_small(1 << 20);
	size_t first = 0, i, not_run = 0;

	for (i = 0; i < PIECES; i++)
		in[i].a[0] = i;
	ck_assert_int_eq(FORKPOOL_MAP(pool, wide_turn, in, out, PIECES, .status = status,
				      .first_failure = &first, .stop_on_error = 1), -FORKPOOL_EFAILED);
	ck_assert_uint_eq(first, 100002);
	for (i = 0; i < first; i++)
		CHECK_EACH(status[i].outcome == FORKPOOL_ITEM_OK);
	for (; i < PIECES; i++)
		not_run += status[i].outcome == FORKPOOL_ITEM_NOT_RUN;
	ck_assert_uint_gt(not_run, PIECES - first - 100000);
	forkpool_destroy(pool);
	free(in);
	free(out);
	free(status);
}
END_TEST

START_TEST(not_one_item_has_room)
{
	struct forkpool *pool;
	struct forkpool_status status = { .outcome = 99 };
	struct sizes sizes = { 1 << 20, 0 };
	FORKPOOL_JOB_OPTS(opts, .arg = &sizes, .arg_size = sizeof(sizes), .status = &status);
	char *big;

	/* There the arrays are used as they are. */
	if (test_inline())
		return;
	pool = pool_small(64 << 10);
	big = calloc(1, 1 << 20);
	ck_assert_int_eq(forkpool_map(pool, fill, big, 1 << 20, NULL, 0, 1, &opts), -ENOMEM);
	ck_assert_int_eq(forkpool_map(pool, fill, NULL, 0, big, 1 << 20, 1, &opts), -ENOMEM);
	ck_assert_int_eq(status.outcome, 99);
	opts.arg = big;
	opts.arg_size = 1 << 20;
	ck_assert_int_eq(forkpool_map(pool, fill, NULL, 0, NULL, 0, 1, &opts), -ENOMEM);
	/* And nothing of it is kept. */
	ck_assert_ptr_nonnull(forkpool_shm_alloc(pool, 60 << 10));
	free(big);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Many threads at once ------------------------------------------------------------- */

static int times(void *arg, const void *in, void *out)
{
	*(int *)out = *(const int *)in * *(int *)arg;
	return 0;
}

static int plus(void *arg, const void *in, void *out)
{
	*(int *)out = *(const int *)in + *(int *)arg;
	return 0;
}

struct user {
	struct forkpool *pool;
	pthread_t thread;
	int id, rounds, wrong;
};

static void *user_main(void *arg)
{
	struct user *u = arg;
	forkpool_fn *fn = u->id % 2 ? times : plus;
	int in[500], out[500], i, r;

	for (r = 0; r < u->rounds && !u->wrong; r++) {
		for (i = 0; i < 500; i++)
			in[i] = i + r;
		u->wrong = FORKPOOL_MAP(u->pool, fn, in, out, 500, .arg = &u->id,
					.arg_size = sizeof(u->id));
		for (i = 0; i < 500 && !u->wrong; i++)
			u->wrong = out[i] != (u->id % 2 ? in[i] * u->id : in[i] + u->id);
	}
	return NULL;
}

static void check_users(int n, int rounds)
{
	struct forkpool *pool = pool_new(2);
	struct user users[80];
	int i;

	for (i = 0; i < n; i++) {
		users[i] = (struct user){ .pool = pool, .id = i, .rounds = rounds };
		ck_assert_int_eq(pthread_create(&users[i].thread, NULL, user_main, &users[i]), 0);
	}
	for (i = 0; i < n; i++) {
		pthread_join(users[i].thread, NULL);
		ck_assert_int_eq(users[i].wrong, 0);
	}
	forkpool_destroy(pool);
}

START_TEST(threads_map_at_the_same_time)
{
	check_users(8, 100);
	check_users(70, 10);
}
END_TEST

/* ---- A map inside an item ---------------------------------------------------------------- */

static int sum_of_squares(void *arg, const void *in, void *out)
{
	int numbers[100], i, n = *(const int *)in;
	unsigned squares[100], sum = 0;
	int err;

	(void)arg;
	for (i = 0; i < n; i++)
		numbers[i] = i;
	err = FORKPOOL_MAP(forkpool_current(), square, numbers, squares, (size_t)n);
	for (i = 0; i < n; i++)
		sum += squares[i];
	*(unsigned *)out = sum;
	return err;
}

START_TEST(a_map_inside_an_item)
{
	struct forkpool *pool = pool_new(2);
	unsigned out[50];
	int in[50], i;

	for (i = 0; i < 50; i++)
		in[i] = i;
	ck_assert_int_eq(FORKPOOL_MAP(pool, sum_of_squares, in, out, 50), 0);
	for (i = 0; i < 50; i++)
		ck_assert_uint_eq(out[i], i ? (i - 1) * i * (2 * i - 1) / 6 : 0);
	forkpool_destroy(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("map");
	TCase *results = test_case(suite, "results"), *small = test_case(suite, "small");
	TCase *threads = test_case(suite, "threads");

	tcase_add_test(results, any_count);
	tcase_add_test(results, a_thousand_small_maps);
	tcase_add_test(results, items_without_data);
	tcase_add_test(results, any_size_anywhere);
	tcase_add_test(results, in_place);
	tcase_add_test(results, any_chunk);
	tcase_add_test(results, a_map_inside_an_item);
	tcase_add_test(small, arrays_far_larger_than_the_arena);
	tcase_add_test(small, pieces_end_where_an_error_stops);
	tcase_add_test(small, not_one_item_has_room);
	tcase_add_test(threads, threads_map_at_the_same_time);
	return test_main(suite);
}
