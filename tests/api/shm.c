/* SPDX-License-Identifier: MIT */
/* Shared memory: given, refused, seen by workers at one address, and given back. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
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

static void check_refused(void *p, int err)
{
	ck_assert_ptr_null(p);
	ck_assert_int_eq(errno, err);
	errno = 0;
}

START_TEST(any_size)
{
	static const size_t sizes[] = { 0, 1, 8, 15, 16, 100, 4095, 4096, 4097, 1 << 20, 100 << 20 };
	char *p[11];
	unsigned i, k;

	for (i = 0; i < 11; i++) {
		p[i] = forkpool_shm_alloc(pool, sizes[i]);
		ck_assert_ptr_nonnull(p[i]);
		ck_assert_uint_eq((uintptr_t)p[i] % _Alignof(max_align_t), 0);
		ck_assert_int_eq(forkpool_shm_owns(pool, p[i]), 1);
		memset(p[i], (int)i, sizes[i]);
	}
	for (i = 0; i < 11; i++)
		for (k = 0; k < sizes[i]; k += 97)
			CHECK_EACH(p[i][k] == (char)i);
	for (i = 0; i < 11; i++)
		forkpool_shm_free(pool, p[i]);
	forkpool_shm_free(pool, NULL);
}
END_TEST

START_TEST(too_much)
{
	size_t tib = (size_t)1 << 40;

	errno = 0;
	check_refused(forkpool_shm_alloc(pool, tib), ENOMEM);
	check_refused(forkpool_shm_alloc(pool, SIZE_MAX), ENOMEM);
	check_refused(forkpool_shm_alloc(pool, SIZE_MAX - 4095), ENOMEM);
	check_refused(forkpool_shm_calloc(pool, tib, 1), ENOMEM);
	check_refused(forkpool_shm_calloc(pool, SIZE_MAX / 2, 3), ENOMEM);
	check_refused(forkpool_shm_calloc(pool, (size_t)1 << 33, (size_t)1 << 31), ENOMEM);
	check_refused(forkpool_shm_aligned_alloc(pool, 4096, tib), ENOMEM);
	check_refused(forkpool_shm_aligned_alloc(pool, 1 << 30, SIZE_MAX), ENOMEM);
	forkpool_shm_free(pool, forkpool_shm_alloc(pool, 1000));
}
END_TEST

START_TEST(alignments)
{
	size_t align;
	void *p;

	for (align = 1; align <= 1 << 20; align *= 2) {
		p = forkpool_shm_aligned_alloc(pool, align, 100);
		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq((uintptr_t)p % align, 0);
		memset(p, 1, 100);
		forkpool_shm_free(pool, p);
	}
	errno = 0;
	check_refused(forkpool_shm_aligned_alloc(pool, 0, 8), EINVAL);
	check_refused(forkpool_shm_aligned_alloc(pool, 3, 8), EINVAL);
	check_refused(forkpool_shm_aligned_alloc(pool, 48, 8), EINVAL);
	check_refused(forkpool_shm_aligned_alloc(pool, SIZE_MAX, 8), EINVAL);
	check_refused(forkpool_shm_aligned_alloc(pool, (size_t)1 << 31, 8), EINVAL);
}
END_TEST

START_TEST(no_pool)
{
	int x;

	errno = 0;
	check_refused(forkpool_shm_alloc(NULL, 8), EINVAL);
	check_refused(forkpool_shm_calloc(NULL, 8, 8), EINVAL);
	check_refused(forkpool_shm_aligned_alloc(NULL, 8, 8), EINVAL);
	forkpool_shm_free(NULL, &x);
	ck_assert_int_eq(forkpool_shm_owns(NULL, &x), 0);
	ck_assert_int_eq(forkpool_shm_owns(pool, &x), 0);
	ck_assert_int_eq(forkpool_shm_owns(pool, NULL), 0);
	ck_assert_int_eq(forkpool_shm_owns(pool, pool), 0);
}
END_TEST

static bool all_zero(const char *p, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (p[i])
			return false;
	return true;
}

START_TEST(calloc_is_zero_where_others_were)
{
	static const size_t sizes[] = { 1, 24, 1000, 5000, 3 << 20 };
	char *p, *q;
	int i, round;

	for (i = 0; i < 5; i++) {
		for (round = 0; round < 20; round++) {
			p = forkpool_shm_alloc(pool, sizes[i]);
			memset(p, 0xff, sizes[i]);
			forkpool_shm_free(pool, p);
			q = forkpool_shm_calloc(pool, sizes[i], 1);
			ck_assert(all_zero(q, sizes[i]));
			memset(q, 0xff, sizes[i]);
			forkpool_shm_free(pool, q);
		}
	}
	p = forkpool_shm_calloc(pool, 0, 8);
	ck_assert_ptr_nonnull(p);
	forkpool_shm_free(pool, p);
}
END_TEST

/* What is freed twice, or was never ours, changes nothing. */
START_TEST(wrong_frees_are_harmless)
{
	char *small = forkpool_shm_alloc(pool, 40), *large = forkpool_shm_alloc(pool, 100000);
	char *keep = forkpool_shm_alloc(pool, 40), *keep_large = forkpool_shm_alloc(pool, 100000);
	char own[64], *p[100];
	int i, k;

	memset(keep, 7, 40);
	memset(keep_large, 8, 100000);
	for (i = 0; i < 3; i++) {
		forkpool_shm_free(pool, small);
		forkpool_shm_free(pool, large);
		forkpool_shm_free(pool, own);
		forkpool_shm_free(pool, keep + 1);
		forkpool_shm_free(pool, keep_large + 4096);
		forkpool_shm_free(pool, keep_large + 17);
	}
	for (i = 0; i < 100; i++) {
		p[i] = forkpool_shm_alloc(pool, i % 2 ? 40 : 100000);
		memset(p[i], i, i % 2 ? 40 : 100000);
		for (k = 0; k < i; k++)
			CHECK_EACH(p[k] != p[i]);
	}
	for (i = 0; i < 100; i++)
		CHECK_EACH(p[i][0] == (char)i && p[i][39] == (char)i);
	CHECK_EACH(keep[39] == 7 && keep_large[99999] == 8);
}
END_TEST

/* ---- Workers -------------------------------------------------------------------------- */

struct node {
	struct node *next;
	int value, doubled;
};

static int walk(void *arg, const void *in, void *out)
{
	struct node *node;
	int sum = 0;

	(void)in;
	for (node = arg; node; node = node->next) {
		sum += node->value;
		node->doubled = 2 * node->value;
	}
	*(int *)out = sum;
	return 0;
}

START_TEST(workers_follow_pointers)
{
	struct node *list = NULL, *node;
	int sum = 0, i;
	FORKPOOL_JOB_OPTS(opts, .arg = NULL);

	for (i = 1; i <= 1000; i++) {
		node = forkpool_shm_alloc(pool, sizeof(*node));
		*node = (struct node){ .next = list, .value = i };
		list = node;
	}
	opts.arg = list;
	ck_assert_int_eq(forkpool_map(pool, walk, NULL, 0, &sum, sizeof(sum), 1, &opts), 0);
	ck_assert_int_eq(sum, 500500);
	for (node = list; node; node = node->next)
		CHECK_EACH(node->doubled == 2 * node->value);
}
END_TEST

/* Allocates its result, and hands the pointer back. */
static int make_string(void *arg, const void *in, void *out)
{
	size_t size = *(const size_t *)in;
	struct forkpool *p = forkpool_current();
	char *block = forkpool_shm_alloc(p, size), *passing = forkpool_shm_calloc(p, size, 2);

	(void)arg;
	if (!block || !passing || passing[0] || passing[2 * size - 1] ||
	    !forkpool_shm_owns(p, block))
		return 1;
	forkpool_shm_free(p, passing);
	memset(block, (int)size, size);
	*(char **)out = block;
	return 0;
}

START_TEST(items_allocate_their_results)
{
	enum { N = 300 };
	static size_t sizes[N];
	char *out[N];
	size_t i, k;

	for (i = 0; i < N; i++)
		sizes[i] = i % 10 ? i * 7 + 1 : i * 3000 + 1;
	ck_assert_int_eq(FORKPOOL_MAP(pool, make_string, sizes, out, N), 0);
	for (i = 0; i < N; i++) {
		CHECK_EACH(forkpool_shm_owns(pool, out[i]));
		for (k = 0; k < sizes[i]; k++)
			CHECK_EACH(out[i][k] == (char)sizes[i]);
	}
	for (i = 0; i < N; i++)
		for (k = 0; k < i; k++)
			CHECK_EACH(out[i] + sizes[i] <= out[k] || out[k] + sizes[k] <= out[i]);
	for (i = 0; i < N; i++)
		forkpool_shm_free(pool, out[i]);
}
END_TEST

static int free_one(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	void *block = *(void *const *)in;
	int own;

	(void)arg;
	(void)out;
	/* Twice, and what was never a block. */
	forkpool_shm_free(p, block);
	forkpool_shm_free(p, block);
	forkpool_shm_free(p, &own);
	forkpool_shm_free(p, (char *)block + 1);
	forkpool_shm_free(p, NULL);
	return 0;
}

/* All of the arena, by blocks that somebody else allocated and somebody else freed. */
START_TEST(anybody_frees)
{
	enum { N = 200 };
	static size_t sizes[N];
	char *out[N];
	void *all;
	int i, round;

	for (i = 0; i < N; i++)
		sizes[i] = i % 2 ? 100 : 200000;
	for (round = 0; round < 20; round++) {
		ck_assert_int_eq(FORKPOOL_MAP(pool, make_string, sizes, out, N), 0);
		ck_assert_int_eq(forkpool_map(pool, free_one, out, sizeof(out[0]), NULL, 0, N, NULL), 0);
	}
	/* What is left is at most what the workers keep for the next time. */
	all = forkpool_shm_alloc(pool, 200 << 20);
	ck_assert_ptr_nonnull(all);
	forkpool_shm_free(pool, all);
}
END_TEST

static int try_the_impossible(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	void *none;
	int wrong = 0;

	(void)in;
	(void)out;
	errno = 0;
	wrong += forkpool_shm_alloc(p, (size_t)1 << 40) || errno != ENOMEM;
	errno = 0;
	wrong += forkpool_shm_calloc(p, SIZE_MAX / 2, 3) || errno != ENOMEM;
	errno = 0;
	wrong += forkpool_shm_aligned_alloc(p, 3, 8) || errno != EINVAL;
	wrong += !forkpool_shm_owns(p, arg) || forkpool_shm_owns(p, &wrong);
	none = forkpool_shm_alloc(p, 0);
	wrong += !none;
	forkpool_shm_free(p, none);
	none = forkpool_shm_aligned_alloc(p, 1 << 20, 10);
	wrong += !none || (uintptr_t)none % (1 << 20);
	forkpool_shm_free(p, none);
	return wrong;
}

START_TEST(workers_get_the_same_errors)
{
	char *p = forkpool_shm_alloc(pool, 40);
	FORKPOOL_JOB_OPTS(opts, .arg = p);

	ck_assert_int_eq(forkpool_map(pool, try_the_impossible, NULL, 0, NULL, 0, 5, &opts), 0);
	forkpool_shm_free(pool, p);
}
END_TEST

/* Some die with what they have allocated. */
static int allocate_and_maybe_die(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	size_t i = *(const size_t *)in;
	char *large = forkpool_shm_alloc(p, 3 << 20), *small = forkpool_shm_alloc(p, 100);

	if (!large || !small)
		return 1;
	large[0] = small[0] = (char)i;
	if (i % (size_t)(uintptr_t)arg == 0)
		raise(SIGKILL);
	*(char **)out = small;
	forkpool_shm_free(p, large);
	return 0;
}

/* 256 MiB would not last for these, were they not freed. */
START_TEST(what_a_dead_item_allocated_is_gone)
{
	enum { N = 400 };
	static size_t in[N];
	static struct forkpool_status st[N];
	char *out[N];
	size_t i;
	FORKPOOL_JOB_OPTS(opts, .arg = (void *)2, .arg_as_is = 1, .status = st);

	if (!test_processes())
		return;
	for (i = 0; i < N; i++)
		in[i] = i;
	ck_assert_int_eq(forkpool_map(pool, allocate_and_maybe_die, in, sizeof(in[0]), out,
				      sizeof(out[0]), N, &opts), -FORKPOOL_ECRASHED);
	for (i = 0; i < N; i++) {
		ck_assert_int_eq(st[i].outcome, i % 2 ? FORKPOOL_ITEM_OK : FORKPOOL_ITEM_CRASHED);
		if (i % 2)
			CHECK_EACH(out[i][0] == (char)i);
	}
	for (i = 1; i < N; i += 2)
		forkpool_shm_free(pool, out[i]);
}
END_TEST

static int hold_in_hook(void *arg, unsigned id, void **state)
{
	(void)id;
	*state = forkpool_shm_alloc(forkpool_current(), 1000);
	if (*state)
		*(char *)*state = *(char *)arg;
	return *state ? 0 : -ENOMEM;
}

static void release_in_hook(void *arg, unsigned id, void *state)
{
	(void)arg;
	(void)id;
	forkpool_shm_free(forkpool_current(), state);
}

static int read_state(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	*(char *)out = *(char *)forkpool_worker_state();
	return 0;
}

START_TEST(hooks_allocate)
{
	static char seven = 7;
	char out[20];
	struct forkpool *p;
	int i;
	FORKPOOL_OPTS(opts, .workers = 2, .worker_init = hold_in_hook,
		      .worker_exit = release_in_hook, .worker_arg = &seven);

	ck_assert_int_eq(forkpool_create(&p, &opts), 0);
	ck_assert_int_eq(forkpool_map(p, read_state, NULL, 0, out, 1, 20, NULL), 0);
	for (i = 0; i < 20; i++)
		CHECK_EACH(out[i] == 7);
	ck_assert_int_eq(forkpool_close(p), 0);
	ck_assert_int_eq(forkpool_join(p, -1), 0);
	forkpool_destroy(p);
}
END_TEST

START_TEST(backings)
{
	int backing, huge;
	struct forkpool *p, *none = pool;
	char *block;

	for (backing = FORKPOOL_BACKING_AUTO; backing <= FORKPOOL_BACKING_MEMFD; backing++)
		for (huge = 0; huge <= 1; huge++) {
			FORKPOOL_OPTS(opts, .workers = 1, .arena_size = 8 << 20,
				      .huge_pages = huge, .backing = backing);

			ck_assert_int_eq(forkpool_create(&p, &opts), 0);
			block = forkpool_shm_calloc(p, 1, 5 << 20);
			ck_assert_ptr_nonnull(block);
			block[(5 << 20) - 1] = 1;
			forkpool_destroy(p);
		}
	FORKPOOL_OPTS(bad, .backing = 3);
	ck_assert_int_eq(forkpool_create(&none, &bad), -EINVAL);
	FORKPOOL_OPTS(negative, .huge_pages = -1);
	ck_assert_int_eq(forkpool_create(&none, &negative), -EINVAL);
	/* /dev/shm has less room than that; a memfd does not ask. */
	FORKPOOL_OPTS(large, .workers = 1, .arena_size = (size_t)1 << 42,
		      .backing = FORKPOOL_BACKING_SHM);
	ck_assert_int_eq(forkpool_create(&none, &large), -ENOSPC);
	ck_assert_ptr_eq(none, pool);
}
END_TEST

/* ---- Threads ---------------------------------------------------------------------------- */

static void *allocate_much(void *arg)
{
	int *wrong = arg, i, k;
	char *p[50];

	for (i = 0; i < 100; i++) {
		for (k = 0; k < 50; k++) {
			size_t size = (size_t)(k * k * (i % 4 + 1) * 4 + 1);

			p[k] = forkpool_shm_alloc(pool, size);
			if (!p[k]) {
				++*wrong;
				return NULL;
			}
			p[k][0] = p[k][size - 1] = (char)k;
		}
		for (k = 0; k < 50; k++) {
			*wrong += p[k][0] != k;
			forkpool_shm_free(pool, p[k]);
		}
	}
	return NULL;
}

START_TEST(threads_allocate_at_the_same_time)
{
	pthread_t threads[4];
	int wrong[4] = { 0 }, i;

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, allocate_much, &wrong[i]), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(wrong[i], 0);
	}
}
END_TEST

START_TEST(all_of_the_arena)
{
	void *p[600];
	int i, n, round, first = 0;

	for (round = 0; round < 2; round++) {
		for (n = 0; n < 600; n++) {
			p[n] = forkpool_shm_alloc(pool, 1 << 20);
			if (!p[n])
				break;
		}
		ck_assert_int_ge(n, 250);
		ck_assert_int_le(n, 256);
		ck_assert(round == 0 || n == first);
		first = n;
		for (i = 0; i < n; i++)
			forkpool_shm_free(pool, p[i]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shm");
	TCase *tc = test_case(suite, "shm");

	tcase_add_checked_fixture(tc, pool_open, pool_close);
	tcase_add_test(tc, any_size);
	tcase_add_test(tc, too_much);
	tcase_add_test(tc, alignments);
	tcase_add_test(tc, no_pool);
	tcase_add_test(tc, calloc_is_zero_where_others_were);
	tcase_add_test(tc, wrong_frees_are_harmless);
	tcase_add_test(tc, workers_follow_pointers);
	tcase_add_test(tc, items_allocate_their_results);
	tcase_add_test(tc, anybody_frees);
	tcase_add_test(tc, workers_get_the_same_errors);
	tcase_add_test(tc, what_a_dead_item_allocated_is_gone);
	tcase_add_test(tc, hooks_allocate);
	tcase_add_test(tc, backings);
	tcase_add_test(tc, threads_allocate_at_the_same_time);
	tcase_add_test(tc, all_of_the_arena);
	return test_main(suite);
}
