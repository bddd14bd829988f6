/* SPDX-License-Identifier: MIT */
/*
 * Random maps and ranges from several threads on one pool, every result
 * checked.  FORKPOOL_MODE says what the workers are (processes where it is
 * empty); FORKPOOL_TORTURE=1 makes it take minutes; FORKPOOL_SEED=n repeats a
 * run's choices.
 */
#include "test.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <forkpool.h>

#define THREADS		3
#define SECONDS		1.5	/* for each number of workers */
#define TORTURE		60	/* times as long */
#define ARENA		((size_t)64 << 20)
#define COUNT_MAX	100000
#define WORDS_MAX	8	/* of 64 bits in an item's input or output */
#define NESTED_COUNT	4

/* What the items are told. */
struct order {
	uint64_t salt;
	uint64_t begin;		/* ranges: the first index */
	uint32_t in_words, out_words;
	uint32_t fail_one_in;	/* 0 = no item fails */
	uint32_t cost;		/* an item turns a loop up to so many times */
	bool nested;		/* an item maps a little itself */
	uint8_t *ran;		/* in the segment: how often each item ran */
};

/* A map with all that belongs to it. */
struct trial {
	struct forkpool *pool;
	struct order order;
	size_t count;
	bool in_segment, out_segment, stop;
	int arg_how;		/* 0 copied, 1 in the segment */
	uint64_t *in, *out;
	struct order *arg;
	struct forkpool_status *status;
	struct forkpool_job_opts opts;
	size_t first_bad;	/* by the serial loop; count = none */
	size_t first;		/* as the call said */
	int err;
};

struct stream {
	struct forkpool *pool;
	pthread_t thread;
	uint64_t state;
	struct timespec until;
	unsigned long maps;
	char bad[256];		/* the first thing that was wrong */
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* ---- Items ---------------------------------------------------------------------------- */

static int item_code(const struct order *o, uint64_t index)
{
	uint64_t h = mix(o->salt ^ index);

	return o->fail_one_in && h % o->fail_one_in == 0 ? 1 + (int)(h >> 40) % 100 : 0;
}

static uint64_t item_input(const struct order *o, uint64_t index, unsigned word)
{
	return word ? mix(o->salt + index * WORDS_MAX + word) : index;
}

static uint64_t item_output(const struct order *o, uint64_t index, unsigned word)
{
	uint64_t sum = o->salt;
	unsigned j;

	for (j = 0; j < o->in_words; j++)
		sum = mix(sum ^ item_input(o, index, j));
	return sum + word;
}

static void turn_loop(const struct order *o, uint64_t index)
{
	volatile uint64_t left = o->cost ? mix(index) % o->cost : 0;

	while (left)
		left--;
}

static int twice(void *arg, const void *in, void *out)
{
	(void)arg;
	*(int *)out = 2 * *(const int *)in;
	return 0;
}

/* A map inside an item runs in the worker itself. */
static int nested_code(void)
{
	int in[NESTED_COUNT] = { 1, 2, 3, 4 }, out[NESTED_COUNT], i;
	int err = FORKPOOL_MAP(forkpool_current(), twice, in, out, NESTED_COUNT);

	for (i = 0; i < NESTED_COUNT; i++)
		if (err || out[i] != 2 * in[i])
			return -1;
	return 0;
}

static int item(void *arg, const void *in, void *out)
{
	const struct order *o = arg;
	const uint64_t *x = in;
	uint64_t *y = out, sum = o->salt, index = x ? x[0] : 0;
	unsigned j;

	for (j = 0; j < o->in_words; j++)
		sum = mix(sum ^ x[j]);
	for (j = 0; j < o->out_words; j++)
		y[j] = sum + j;
	turn_loop(o, index);
	if (o->ran && x)
		o->ran[index]++;
	if (o->nested && nested_code())
		return -1;
	return x ? item_code(o, index) : 0;
}

static int range(void *arg, size_t begin, size_t end)
{
	const struct order *o = arg;
	int code = 0;
	size_t i;

	for (i = begin; i < end; i++) {
		turn_loop(o, i);
		o->ran[i - o->begin]++;
		if (!code)
			code = item_code(o, i - o->begin);
	}
	return code;
}

/* ---- Choices --------------------------------------------------------------------------- */

static uint64_t draw(struct stream *s, uint64_t below)
{
	s->state = mix(s->state);
	return s->state % below;
}

static bool chance(struct stream *s, unsigned one_in)
{
	return draw(s, one_in) == 0;
}

/* Small ones as often as large ones. */
static size_t draw_count(struct stream *s)
{
	uint64_t count = draw(s, (uint64_t)2 << draw(s, 17));

	return count < COUNT_MAX ? count : COUNT_MAX;
}

static void choose(struct stream *s, struct trial *t, bool ranges)
{
	struct order *o = &t->order;

	*t = (struct trial){ .pool = s->pool, .count = draw_count(s) };
	o->salt = mix(s->state);
	o->in_words = (uint32_t)draw(s, WORDS_MAX + 1);
	o->out_words = (uint32_t)draw(s, WORDS_MAX + 1);
	o->begin = ranges ? draw(s, 1000) : 0;
	if (chance(s, 3))
		o->fail_one_in = 1 + (uint32_t)draw(s, chance(s, 2) ? 10 : COUNT_MAX);
	if (chance(s, 4))
		o->cost = (uint32_t)draw(s, t->count > 1000 ? 1000 : 100000);
	o->nested = !ranges && chance(s, 10);
	t->stop = chance(s, 3);
	t->in_segment = chance(s, 2);
	t->out_segment = chance(s, 2);
	t->arg_how = (int)draw(s, 2);
	t->opts = (struct forkpool_job_opts){
		.sz = sizeof(t->opts),
		.stop_on_error = t->stop,
		.retries = (unsigned)draw(s, 3),
		.first_failure = &t->first,
		.chunk = chance(s, 4) ? 1 + draw(s, 1 + draw(s, 1000)) : 0,
	};
}

/* ---- Arrays ------------------------------------------------------------------------------ */

static void *take(struct trial *t, size_t size, bool segment)
{
	return segment ? forkpool_shm_alloc(t->pool, size ? size : 1)
		       : malloc(size ? size : 1);
}

static void give(struct trial *t, void *p)
{
	if (forkpool_shm_owns(t->pool, p))
		forkpool_shm_free(t->pool, p);
	else
		free(p);
}

static bool trial_arrays(struct stream *s, struct trial *t, bool ranges)
{
	struct order *o = &t->order;
	size_t i;
	unsigned j;

	if (ranges || chance(s, 2))
		o->ran = forkpool_shm_calloc(t->pool, t->count + 1, sizeof(*o->ran));
	if (!ranges && chance(s, 2)) {
		t->status = take(t, t->count * sizeof(*t->status), chance(s, 2));
		t->opts.status = t->status;
	}
	t->arg = take(t, sizeof(*t->arg), t->arg_how == 1);
	t->in = take(t, t->count * o->in_words * sizeof(*t->in), t->in_segment);
	t->out = take(t, t->count * o->out_words * sizeof(*t->out), t->out_segment);
	if (!t->arg || !t->in || !t->out || (ranges && !o->ran))
		return false;
	*t->arg = *o;
	t->opts.arg = t->arg;
	t->opts.arg_size = t->arg_how == 0 ? sizeof(*t->arg) : 0;
	for (i = 0; i < t->count; i++)
		for (j = 0; j < o->in_words; j++)
			t->in[i * o->in_words + j] = item_input(o, i, j);
	return true;
}

static void trial_free(struct trial *t)
{
	give(t, t->order.ran);
	give(t, t->status);
	give(t, t->arg);
	give(t, t->in);
	give(t, t->out);
}

/* ---- Checks ------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3)))
static bool wrong(struct stream *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->bad, sizeof(s->bad), format, args);
	va_end(args);
	return false;
}

/* What the serial loop would find first. */
static void find_first_bad(struct trial *t, bool ranges)
{
	size_t i;

	for (i = 0; i < t->count; i++)
		if ((ranges || t->order.in_words) && item_code(&t->order, i))
			break;
	t->first_bad = i;
}

static bool check_call(struct stream *s, const struct trial *t, bool ranges)
{
	bool fails = t->first_bad < t->count;
	size_t first = t->first - t->order.begin;

	if (t->err != (fails ? -FORKPOOL_EFAILED : 0))
		return wrong(s, "%zu items returned %d", t->count, t->err);
	if (!fails)
		return true;
	/* A range's failure is known by where the range begins. */
	if (ranges ? first > t->first_bad : first != t->first_bad)
		return wrong(s, "first failure %zu, not %zu", first, t->first_bad);
	return true;
}

/* Exactly once; behind the failure that stopped the map at most once. */
static bool check_ran(struct stream *s, const struct trial *t, bool ranges)
{
	size_t sure = t->count, i;

	if (!t->order.ran || (!ranges && !t->order.in_words))
		return true;
	if (t->stop && t->err)
		sure = t->first - t->order.begin + 1;
	for (i = 0; i < t->count; i++)
		if (t->order.ran[i] > 1 || (i < sure && t->order.ran[i] == 0))
			return wrong(s, "item %zu of %zu ran %d times", i, t->count,
				     t->order.ran[i]);
	return true;
}

static bool check_status(struct stream *s, const struct trial *t, size_t i)
{
	const struct forkpool_status *st = &t->status[i];
	int code = t->order.in_words ? item_code(&t->order, i) : 0;
	int outcome = code ? FORKPOOL_ITEM_FAILED : FORKPOOL_ITEM_OK;

	if (st->outcome == FORKPOOL_ITEM_NOT_RUN) {
		if (!t->stop || i <= t->first_bad || st->attempts || st->worker || st->code)
			return wrong(s, "item %zu was left out", i);
		return true;
	}
	if (st->outcome != outcome || st->code != code || st->attempts != 1 || st->worker <= 0)
		return wrong(s, "item %zu: outcome %d, code %d (not %d), attempts %u", i,
			     st->outcome, st->code, code, st->attempts);
	return true;
}

static bool check_item(struct stream *s, const struct trial *t, size_t i)
{
	const struct order *o = &t->order;
	size_t sure = t->stop && t->err ? t->first : t->count;
	unsigned j;

	if (t->status && !check_status(s, t, i))
		return false;
	if (i >= sure || (o->in_words && item_code(o, i)))
		return true;
	for (j = 0; j < o->out_words; j++)
		if (t->out[i * o->out_words + j] !=
		    item_output(o, o->in_words ? i : 0, j))
			return wrong(s, "item %zu of %zu, word %u is wrong", i, t->count, j);
	return true;
}

/* ---- One trial ------------------------------------------------------------------------------ */

static bool run_map(struct stream *s)
{
	struct trial t;
	bool good = true;
	size_t i;

	choose(s, &t, false);
	if (trial_arrays(s, &t, false)) {
		t.err = forkpool_map(t.pool, item, t.order.in_words ? t.in : NULL,
				     t.order.in_words * sizeof(*t.in),
				     t.order.out_words ? t.out : NULL,
				     t.order.out_words * sizeof(*t.out), t.count, &t.opts);
		find_first_bad(&t, false);
		good = check_call(s, &t, false) && check_ran(s, &t, false);
		for (i = 0; good && i < t.count; i++)
			good = check_item(s, &t, i);
		s->maps++;
	}
	trial_free(&t);
	return good;
}

static bool run_ranges(struct stream *s)
{
	struct trial t;
	bool good = true;

	choose(s, &t, true);
	if (trial_arrays(s, &t, true)) {
		t.err = forkpool_for(t.pool, range, t.order.begin,
				     t.order.begin + t.count, &t.opts);
		find_first_bad(&t, true);
		good = check_call(s, &t, true) && check_ran(s, &t, true);
		s->maps++;
	}
	trial_free(&t);
	return good;
}

static bool over(const struct stream *s)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > s->until.tv_sec ||
	       (now.tv_sec == s->until.tv_sec && now.tv_nsec >= s->until.tv_nsec);
}

static void *stream_main(void *arg)
{
	struct stream *s = arg;

	while (!over(s))
		if (!(chance(s, 3) ? run_ranges(s) : run_map(s)))
			break;
	return NULL;
}

/* ---- The tests ------------------------------------------------------------------------------- */

static uint64_t seed(void)
{
	const char *text = getenv("FORKPOOL_SEED");

	return text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
}

static struct timespec end_time(void)
{
	const char *torture = getenv("FORKPOOL_TORTURE");
	double seconds = SECONDS * (torture && atoi(torture) ? TORTURE : 1);
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now.tv_nsec += (long)((seconds - (long)seconds) * 1e9);
	now.tv_sec += (long)seconds + now.tv_nsec / 1000000000;
	now.tv_nsec %= 1000000000;
	return now;
}

static void storm(unsigned workers)
{
	FORKPOOL_OPTS(opts, .workers = workers, .arena_size = ARENA);
	struct stream streams[THREADS];
	struct forkpool *pool;
	uint64_t base = seed();
	int i;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	for (i = 0; i < THREADS; i++) {
		streams[i] = (struct stream){
			.pool = pool, .state = mix(base + (unsigned)i), .until = end_time(),
		};
		ck_assert_int_eq(pthread_create(&streams[i].thread, NULL, stream_main,
						&streams[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(streams[i].thread, NULL);
	forkpool_destroy(pool);
	for (i = 0; i < THREADS; i++) {
		ck_assert_msg(!streams[i].bad[0], "thread %d, FORKPOOL_SEED=%llu: %s", i,
			      (unsigned long long)base, streams[i].bad);
		ck_assert_uint_gt(streams[i].maps, 0);
	}
}

START_TEST(one_worker)
{
	storm(1);
}
END_TEST

START_TEST(a_few_workers)
{
	storm(3);
}
END_TEST

START_TEST(more_workers_than_a_word_has_bits)
{
	storm(70);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("map");
	TCase *tc = test_case(suite, "random");

	tcase_add_test(tc, one_worker);
	tcase_add_test(tc, a_few_workers);
	tcase_add_test(tc, more_workers_than_a_word_has_bits);
	return test_main(suite);
}
