/* SPDX-License-Identifier: MIT */
/* Maps inside items: any depth, place and option gives what a map by the host gives. */
#include "api/nest.h"

/* Runs fn as so many items; what it returns, not 0, is the line that is wrong. */
static void check_items(struct forkpool *pool, forkpool_fn *fn, void *arg, size_t count)
{
	struct forkpool_status *st = calloc(count, sizeof(*st));
	FORKPOOL_JOB_OPTS(opts, .arg = arg, .status = st);
	int err = forkpool_map(pool, fn, NULL, 0, NULL, 0, count, &opts);
	size_t i;

	for (i = 0; i < count; i++)
		if (st[i].outcome != FORKPOOL_ITEM_OK)
			ck_abort_msg("item %zu: outcome %d, line %d", i, st[i].outcome, st[i].code);
	ck_assert_int_eq(err, 0);
	free(st);
}

static void check_in_pool(forkpool_fn *fn, size_t count)
{
	struct forkpool *pool = pool_new(2);

	check_items(pool, fn, NULL, count);
	forkpool_destroy(pool);
}

/* ---- Depth and place ----------------------------------------------------------------- */

START_TEST(any_depth)
{
	static const struct { uint32_t levels, width; size_t count; } shapes[] = {
		{ 1, 1, 1 }, { 1, 50, 50 }, { 1, 3, 500 }, { 2, 8, 20 }, { 2, 30, 10 }, { 9, 2, 4 },
		{ 9, 1, 20 },
	};
	static const unsigned workers[] = { 1, 2, 5 };
	struct forkpool *pool;
	unsigned s, w, place;

	for (w = 0; w < 3; w++) {
		pool = pool_new(workers[w]);
		for (s = 0; s < sizeof(shapes) / sizeof(*shapes); s++)
			for (place = 0; place < PLACES; place++)
				check_trees(pool, (struct node){
					.levels = shapes[s].levels, .width = shapes[s].width,
					.place = place, .base = s,
				}, shapes[s].count);
		forkpool_destroy(pool);
	}
}
END_TEST

static int cell_item(void *arg, const void *in, void *out)
{
	const struct cell *const me = in;
	struct cell children[8], *result = out;
	uint64_t sum = 0;
	uint32_t i;

	(void)arg;
	if (!me->node.levels) {
		sum = leaf_of(me->node.base);
	} else {
		for (i = 0; i < me->node.width; i++)
			children[i].node = child_of(&me->node, i);
		NEED(FORKPOOL_MAP(forkpool_current(), cell_item, children, children, me->node.width) == 0);
		for (i = 0; i < me->node.width; i++)
			sum += children[i].sum;
	}
	/* All of it: where in is copied, out is other memory. */
	*result = (struct cell){ .node = me->node, .sum = sum };
	return 0;
}

START_TEST(in_place)
{
	struct forkpool *pool = pool_new(2);
	struct cell cells[20];
	int i;

	for (i = 0; i < 20; i++)
		cells[i].node = (struct node){ .levels = 3, .width = 4, .base = (uint64_t)i };
	ck_assert_int_eq(FORKPOOL_MAP(pool, cell_item, cells, cells, 20), 0);
	for (i = 0; i < 20; i++)
		ck_assert_uint_eq(cells[i].sum, sum_of(&cells[i].node));
	forkpool_destroy(pool);
}
END_TEST

static int square(void *arg, const void *in, void *out)
{
	const uint32_t *x = in;

	(void)arg;
	*(uint32_t *)out = *x * *x;
	return 0;
}

/* A hundred thousand items that do nearly nothing; or none, or one. */
static int many_tiny(void *arg, const void *in, void *out)
{
	uint32_t n = *(const uint32_t *)in, i;
	uint32_t *x = calloc(n + 1, sizeof(*x)), *y = calloc(n + 1, sizeof(*y));

	(void)arg;
	NEED(x && y);
	for (i = 0; i < n; i++)
		x[i] = i;
	y[n] = 4711;
	NEED(FORKPOOL_MAP(forkpool_current(), square, x, y, n) == 0);
	for (i = 0; i < n; i++)
		NEED(y[i] == i * i);
	NEED(y[n] == 4711);
	free(x);
	free(y);
	*(uint32_t *)out = n;
	return 0;
}

START_TEST(any_count)
{
	struct forkpool *pool = pool_new(2);
	uint32_t counts[] = { 100000, 0, 100000, 1, 100000, 2, 100000, 100000, 63, 64, 65, 100000,
			      100000, 100000, 100000, 100000 };
	uint32_t out[sizeof(counts) / sizeof(*counts)];
	size_t n = sizeof(counts) / sizeof(*counts), i;

	ck_assert_int_eq(FORKPOOL_MAP(pool, many_tiny, counts, out, n), 0);
	for (i = 0; i < n; i++)
		ck_assert_uint_eq(out[i], counts[i]);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Options --------------------------------------------------------------------------- */

#define COUNT	50

static int odd_ones_fail(void *arg, const void *in, void *out)
{
	int i = *(const int *)in;

	(void)arg;
	*(int *)out = 2 * i;
	return i % 10 == 3 ? 100 + i : 0;
}

static void count_in(int *in)
{
	int i;

	for (i = 0; i < COUNT; i++)
		in[i] = i;
}

static int failing(void *arg, const void *in, void *out)
{
	struct forkpool_status st[COUNT];
	int x[COUNT], y[COUNT], i;
	size_t first = 4711;

	(void)arg;
	(void)in;
	(void)out;
	count_in(x);
	NEED(FORKPOOL_MAP(forkpool_current(), odd_ones_fail, x, y, COUNT, .status = st,
			  .first_failure = &first) == -FORKPOOL_EFAILED);
	NEED(first == 3);
	for (i = 0; i < COUNT; i++) {
		NEED(st[i].outcome == (i % 10 == 3 ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_OK));
		NEED(st[i].code == (i % 10 == 3 ? 100 + i : 0));
		NEED(st[i].attempts == 1 && st[i].worker > 0);
		NEED(i % 10 == 3 || y[i] == 2 * i);
	}
	first = 4711;
	NEED(FORKPOOL_MAP(forkpool_current(), odd_ones_fail, x, y, 3, .first_failure = &first) == 0);
	NEED(first == 4711);
	return 0;
}

static int stopping(void *arg, const void *in, void *out)
{
	struct forkpool_status st[COUNT];
	int x[COUNT], y[COUNT], i;
	size_t first = 4711;

	(void)arg;
	(void)in;
	(void)out;
	count_in(x);
	NEED(FORKPOOL_MAP(forkpool_current(), odd_ones_fail, x + 4, y, COUNT - 4, .status = st,
			  .first_failure = &first, .stop_on_error = 1) == -FORKPOOL_EFAILED);
	NEED(first == 9);
	for (i = 0; i < 9; i++)
		NEED(st[i].outcome == FORKPOOL_ITEM_OK && y[i] == 2 * (i + 4));
	NEED(st[9].outcome == FORKPOOL_ITEM_FAILED && st[9].code == 113);
	for (i = 10; i < COUNT - 4; i++)
		NEED(st[i].outcome == FORKPOOL_ITEM_NOT_RUN || st[i].outcome == FORKPOOL_ITEM_OK ||
		     st[i].outcome == FORKPOOL_ITEM_FAILED);
	return 0;
}

struct factors {
	int by, plus;
};

static struct factors at_create = { 3, 1 };

static int scale(void *arg, const void *in, void *out)
{
	const struct factors *f = arg;

	*(int *)out = *(const int *)in * f->by + f->plus;
	return 0;
}

static int scaled_by(const struct forkpool_job_opts *opts)
{
	int x[COUNT], y[COUNT], i;

	count_in(x);
	NEED(forkpool_map(forkpool_current(), scale, x, sizeof(*x), y, sizeof(*y), COUNT, opts) == 0);
	for (i = 0; i < COUNT; i++)
		NEED(y[i] == 3 * i + 1);
	return 0;
}

static int arguments(void *arg, const void *in, void *out)
{
	struct factors mine = at_create, *shared = forkpool_shm_alloc(forkpool_current(), sizeof(*shared));
	FORKPOOL_JOB_OPTS(copied, .arg = &mine, .arg_size = sizeof(mine));
	FORKPOOL_JOB_OPTS(as_is, .arg = &at_create, .arg_as_is = 1);
	FORKPOOL_JOB_OPTS(in_segment, .arg = shared);
	int wrong;

	(void)arg;
	(void)in;
	(void)out;
	NEED(shared);
	*shared = mine;
	wrong = scaled_by(&copied);
	if (!wrong)
		wrong = scaled_by(&as_is);
	if (!wrong)
		wrong = scaled_by(&in_segment);
	forkpool_shm_free(forkpool_current(), shared);
	return wrong;
}

static int chunks(void *arg, const void *in, void *out)
{
	static const size_t sizes[] = { 1, 7, COUNT, 1000 };
	unsigned i;
	int wrong = 0;

	(void)arg;
	(void)in;
	(void)out;
	for (i = 0; i < 4 && !wrong; i++) {
		FORKPOOL_JOB_OPTS(opts, .arg = &at_create, .arg_as_is = 1, .chunk = sizes[i], .dont_wait = 1);

		wrong = scaled_by(&opts);
	}
	return wrong;
}

struct progress {
	size_t last, calls;
};

static void on_progress(size_t done, size_t count, void *user)
{
	struct progress *p = user;

	if (done >= p->last && done <= count)
		p->last = done;
	p->calls++;
}

static int progress(void *arg, const void *in, void *out)
{
	struct progress p = { 0, 0 };
	FORKPOOL_JOB_OPTS(opts, .arg = &at_create, .arg_as_is = 1, .on_progress = on_progress, .user = &p);
	int wrong = scaled_by(&opts);

	(void)arg;
	(void)in;
	(void)out;
	NEED(wrong || (p.last == COUNT && p.calls > 0));
	return wrong;
}

START_TEST(options)
{
	static forkpool_fn *const fns[] = { failing, stopping, arguments, chunks, progress };
	unsigned i;

	for (i = 0; i < 5; i++)
		check_in_pool(fns[i], 30);
}
END_TEST

/* ---- Ranges -------------------------------------------------------------------------------- */

#define RANGE_BEGIN	1000u
#define RANGE_END	6000u

static int mark_range(void *arg, size_t begin, size_t end)
{
	atomic_uint *marks = arg;

	for (; begin < end; begin++)
		atomic_fetch_add_explicit(&marks[begin - RANGE_BEGIN], 1, memory_order_relaxed);
	return 0;
}

static int fail_range(void *arg, size_t begin, size_t end)
{
	(void)arg;
	return begin <= 3333 && 3333 < end ? 5 : 0;
}

static int ranges(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	atomic_uint *marks = forkpool_shm_calloc(p, RANGE_END - RANGE_BEGIN, sizeof(*marks));
	FORKPOOL_JOB_OPTS(opts, .arg = marks);
	struct forkpool_status st[1];
	size_t first = 0, i;
	FORKPOOL_JOB_OPTS(fails, .first_failure = &first, .chunk = 100);
	FORKPOOL_JOB_OPTS(status, .status = st);

	(void)arg;
	(void)in;
	(void)out;
	NEED(marks);
	NEED(forkpool_for(p, mark_range, RANGE_BEGIN, RANGE_END, &opts) == 0);
	for (i = 0; i < RANGE_END - RANGE_BEGIN; i++)
		NEED(atomic_load(&marks[i]) == 1);
	NEED(forkpool_for(p, fail_range, RANGE_BEGIN, RANGE_END, &fails) == -FORKPOOL_EFAILED);
	NEED(first > 3233 && first <= 3333);
	NEED(forkpool_for(p, fail_range, 5, 5, NULL) == 0);
	NEED(forkpool_for(p, fail_range, 6, 5, NULL) == -EINVAL);
	NEED(forkpool_for(p, fail_range, 5, 6, &status) == -EINVAL);
	forkpool_shm_free(p, marks);
	return 0;
}

START_TEST(ranges_inside_items)
{
	check_in_pool(ranges, 30);
}
END_TEST

/* ---- Errors -------------------------------------------------------------------------------- */

struct large_opts {
	struct forkpool_job_opts opts;
	uint64_t newer;
};

static int mistakes(void *arg, const void *in, void *out)
{
	struct forkpool *p = forkpool_current();
	struct large_opts large = { .opts = { .sz = sizeof(large) }, .newer = 1 };
	int x[4] = { 1, 2, 3, 4 }, y[4] = { 5, 6, 7, 8 };
	FORKPOOL_JOB_OPTS(private_arg, .arg = x);
	FORKPOOL_JOB_OPTS(no_arg, .arg_size = 4);
	FORKPOOL_JOB_OPTS(again, .retries = 1);
	FORKPOOL_JOB_OPTS(negative, .deadline = -1);

	(void)arg;
	(void)in;
	(void)out;
	NEED(forkpool_map(p, NULL, x, 4, y, 4, 4, NULL) == -EINVAL);
	NEED(forkpool_map(p, square, NULL, 4, y, 4, 4, NULL) == -EINVAL);
	NEED(forkpool_map(p, square, x, 4, NULL, 4, 4, NULL) == -EINVAL);
	NEED(forkpool_map(p, square, x, SIZE_MAX / 2, y, 4, 4, NULL) == -EINVAL);
	NEED(forkpool_map(p, square, x, 4, y, 4, 4, &private_arg) == -EINVAL);
	NEED(forkpool_map(p, square, x, 4, y, 4, 4, &no_arg) == -EINVAL);
	NEED(forkpool_map(p, square, x, 4, x, 4, 4, &again) == -EINVAL);
	NEED(forkpool_map(p, square, x, 4, y, 4, 4, &negative) == -EINVAL);
	NEED(forkpool_map(p, square, x, 4, y, 4, 4, &large.opts) == -E2BIG);
	NEED(y[0] == 5 && y[1] == 6 && y[2] == 7 && y[3] == 8);
	NEED(forkpool_map(p, square, x, 4, y, 4, 4, NULL) == 0 && y[3] == 16);
	return 0;
}

START_TEST(mistakes_are_errors)
{
	check_in_pool(mistakes, 30);
}
END_TEST

/* ---- Threads, hooks ------------------------------------------------------------------------- */

struct user {
	pthread_t thread;
	struct forkpool *pool;
	uint64_t base;
};

static void *map_some_trees(void *arg)
{
	const struct user *u = arg;
	unsigned i;

	for (i = 0; i < 6; i++)
		check_trees(u->pool, (struct node){ .levels = 1 + i % 3, .width = 5, .place = i % PLACES,
						    .base = u->base + i }, 10);
	return NULL;
}

START_TEST(threads_map_at_the_same_time)
{
	struct forkpool *pool = pool_new(3);
	struct user users[12];
	uint64_t i;

	for (i = 0; i < 12; i++) {
		users[i] = (struct user){ .pool = pool, .base = i * 1000 };
		ck_assert_int_eq(pthread_create(&users[i].thread, NULL, map_some_trees, &users[i]), 0);
	}
	for (i = 0; i < 12; i++)
		pthread_join(users[i].thread, NULL);
	forkpool_destroy(pool);
}
END_TEST

/* A hook is no item, but it may map. */
static int map_in_hook(void *arg, unsigned id, void **state)
{
	int x[COUNT], y[COUNT], i;

	(void)arg;
	(void)id;
	*state = NULL;
	count_in(x);
	if (FORKPOOL_MAP(forkpool_current(), scale, x, y, COUNT, .arg = &at_create, .arg_as_is = 1))
		return -EPROTO;
	for (i = 0; i < COUNT; i++)
		if (y[i] != 3 * i + 1)
			return -EPROTO;
	return 0;
}

START_TEST(hooks_map)
{
	FORKPOOL_OPTS(opts, .workers = 2, .worker_init = map_in_hook);
	struct forkpool *pool;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	check_trees(pool, (struct node){ .levels = 2, .width = 4 }, 8);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Too deep ------------------------------------------------------------------------------ */

#define LEVELS_LEAST	500	/* that there must be ... */
#define LEVELS_MOST	4000	/* ... and by then there must be an end, however many workers help */

struct shaft {
	atomic_uint deepest, refused, wrong;
};

static void note_depth(struct shaft *s, uint32_t level)
{
	unsigned deepest = atomic_load(&s->deepest);

	while (deepest < level && !atomic_compare_exchange_weak(&s->deepest, &deepest, level))
		;
}

/* Maps itself until the library says no; then that item fails, and all above it. */
static int dig(void *arg, const void *in, void *out)
{
	struct shaft *s = arg;
	uint32_t level = *(const uint32_t *)in, below = level + 1;
	struct forkpool_status st = { 0 };
	FORKPOOL_JOB_OPTS(opts, .arg = s, .status = &st);
	int err;

	(void)out;
	note_depth(s, level);
	if (level >= LEVELS_MOST)
		return 0;
	err = forkpool_map(forkpool_current(), dig, &below, sizeof(below), NULL, 0, 1, &opts);
	if (err == -ELOOP)
		atomic_fetch_add(&s->refused, 1);
	else if (err != -FORKPOOL_EFAILED || st.outcome != FORKPOOL_ITEM_FAILED || st.code != ELOOP)
		atomic_fetch_add(&s->wrong, 1);
	return ELOOP;
}

static void check_end(struct forkpool *pool)
{
	struct shaft *s = forkpool_shm_calloc(pool, 1, sizeof(*s));
	FORKPOOL_JOB_OPTS(opts, .arg = s);
	uint32_t in[3] = { 1, 1, 1 };

	ck_assert_int_eq(forkpool_map(pool, dig, in, sizeof(*in), NULL, 0, 3, &opts), -FORKPOOL_EFAILED);
	ck_assert_uint_eq(s->refused, 3);
	ck_assert_uint_eq(s->wrong, 0);
	ck_assert_uint_ge(s->deepest, LEVELS_LEAST);
	ck_assert_uint_lt(s->deepest, LEVELS_MOST);
	forkpool_shm_free(pool, s);
}

START_TEST(there_is_an_end)
{
	struct forkpool *pool;
	unsigned workers;

	for (workers = 1; workers <= 3; workers++) {
		pool = pool_new(workers);
		check_end(pool);
		check_trees(pool, (struct node){ .levels = 3, .width = 4 }, 8);
		check_end(pool);
		forkpool_destroy(pool);
	}
}
END_TEST

/* ---- On the workers ------------------------------------------------------------------------ */

/* Comes to an end only when another item of the same map has begun. */
static int meet(void *arg, const void *in, void *out)
{
	atomic_int *here = arg;
	int64_t until = now_ms() + HANG_S * 1000;

	(void)in;
	(void)out;
	atomic_fetch_add(here, 1);
	while (atomic_load(here) < 2) {
		if (now_ms() > until)
			return ETIMEDOUT;
		sleep_ms(1);
	}
	return 0;
}

static int map_meeting(void *arg, const void *in, void *out)
{
	FORKPOOL_JOB_OPTS(opts, .arg = arg, .chunk = 1);

	(void)in;
	(void)out;
	return forkpool_map(forkpool_current(), meet, NULL, 0, NULL, 0, 4, &opts) ? __LINE__ : 0;
}

#define POPULATE_WRITE	23	/* as madvise() has it; older headers lack the name */

/* Before Linux 5.14 it is not, and such maps run in the worker that asks. */
static bool memory_is_for_workers(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool yes;

	ck_assert(p != MAP_FAILED);
	yes = madvise(p, page, POPULATE_WRITE) == 0;
	munmap(p, page);
	return yes;
}

/* The host's map has one item, so the other worker can come from nowhere else. */
START_TEST(nested_items_run_at_the_same_time)
{
	struct forkpool *pool;
	atomic_int *here;

	if (test_inline() || !memory_is_for_workers())
		return;
	pool = pool_new(2);
	here = forkpool_shm_calloc(pool, 1, sizeof(*here));
	check_items(pool, map_meeting, here, 1);
	forkpool_destroy(pool);
}
END_TEST

/* ---- Another pool ------------------------------------------------------------------------------- */

static struct forkpool *other;

static int twice(void *arg, const void *in, void *out)
{
	(void)arg;
	*(int *)out = 2 * *(const int *)in;
	return 0;
}

static int map_on_the_other(void *arg, const void *in, void *out)
{
	int x[COUNT], y[COUNT], i;

	(void)arg;
	(void)in;
	(void)out;
	count_in(x);
	NEED(FORKPOOL_MAP(other, twice, x, y, COUNT) == 0);
	for (i = 0; i < COUNT; i++)
		NEED(y[i] == 2 * i);
	return 0;
}

/* An item that runs in the program itself maps there as any thread of it. */
START_TEST(an_item_maps_on_another_pool)
{
	FORKPOOL_OPTS(opts, .workers = 2, .mode = _i, .arena_size = 1 << 20);
	struct forkpool *outer;

	other = pool_new(2);
	ck_assert_int_eq(forkpool_create(&outer, &opts), 0);
	ck_assert_int_eq(forkpool_map(outer, map_on_the_other, NULL, 0, NULL, 0, 3, NULL), 0);
	forkpool_destroy(outer);
	forkpool_destroy(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nest");
	TCase *results = test_case(suite, "results"), *opts = test_case(suite, "options");
	TCase *callers = test_case(suite, "callers");

	tcase_add_test(results, any_depth);
	tcase_add_test(results, in_place);
	tcase_add_test(results, any_count);
	tcase_add_test(opts, options);
	tcase_add_test(opts, ranges_inside_items);
	tcase_add_test(opts, mistakes_are_errors);
	tcase_add_test(callers, threads_map_at_the_same_time);
	tcase_add_test(callers, hooks_map);
	tcase_add_test(callers, there_is_an_end);
	tcase_add_test(callers, nested_items_run_at_the_same_time);
	tcase_add_loop_test(callers, an_item_maps_on_another_pool, FORKPOOL_THREADS, FORKPOOL_INLINE + 1);
	return test_main(suite);
}
