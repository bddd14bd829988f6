/* SPDX-License-Identifier: MIT */
/*
 * The workloads: their bodies, what they work on, and the table of them all.
 *
 * Peers call the bodies through pointers; this file is apart from theirs and
 * the bodies are noinline, so that no peer gets its loop merged with a body.
 */
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "bench.h"

#define BODY	__attribute__((noinline))

/* Steps of a linear congruential generator: 890 take about 1 us, 89,000 about 100 us. */
#define LCG_FACTOR	UINT64_C(6364136223846793005)
#define LCG_ADD		UINT64_C(1442695040888963407)
#define STEPS_SMALL	890
#define STEPS_MEDIUM	89000
/* One item in so many is dear, and costs so many times more. */
#define DEAR_EVERY	100
#define DEAR_TIMES	100

#define PAYLOAD		((size_t)64 << 10)

/* ---- W1: one hash of eight bytes ---------------------------------------------- */

static inline uint64_t splitmix64(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

BODY static int hash_item(void *arg, const void *in, void *out)
{
	(void)arg;
	*(uint64_t *)out = splitmix64(*(const uint64_t *)in);
	return 0;
}

BODY static int hash_range(void *arg, size_t begin, size_t end)
{
	const struct bench_arrays *a = arg;
	const uint64_t *in = a->in;
	uint64_t *out = a->out;
	size_t i;

	for (i = begin; i < end; i++)
		out[i] = splitmix64(in[i]);
	return 0;
}

static void seeds_fill(void *in, size_t count)
{
	uint64_t *seed = in;
	size_t i;

	for (i = 0; i < count; i++)
		seed[i] = i;
}

/* ---- W2, W3: dependent steps ---------------------------------------------------- */

static inline uint64_t lcg(uint64_t x, uint64_t steps)
{
	while (steps--)
		x = x * LCG_FACTOR + LCG_ADD;
	return x;
}

BODY static int lcg_item(void *arg, const void *in, void *out)
{
	(void)arg;
	*(uint64_t *)out = lcg(*(const uint64_t *)in, STEPS_SMALL);
	return 0;
}

struct steps {
	uint64_t seed, steps;
};

BODY static int steps_item(void *arg, const void *in, void *out)
{
	const struct steps *s = in;

	(void)arg;
	*(uint64_t *)out = lcg(s->seed, s->steps);
	return 0;
}

static void uniform_fill(void *in, size_t count)
{
	struct steps *s = in;
	size_t i;

	for (i = 0; i < count; i++)
		s[i] = (struct steps){ i, STEPS_MEDIUM };
}

static void growing_fill(void *in, size_t count)
{
	struct steps *s = in;
	size_t i;

	for (i = 0; i < count; i++)
		s[i] = (struct steps){ i, 2 * STEPS_MEDIUM * i / count };
}

/* In each stretch of DEAR_EVERY items one, at a place that follows no pattern, is dear. */
static void dear_fill(void *in, size_t count)
{
	struct steps *s = in;
	size_t i;

	for (i = 0; i < count; i++) {
		int dear = i % DEAR_EVERY == splitmix64(i / DEAR_EVERY) % DEAR_EVERY;

		s[i] = (struct steps){ i, STEPS_MEDIUM * (dear ? DEAR_TIMES : 1) };
	}
}

/* ---- W4, W5: a task of its own -------------------------------------------------- */

BODY static int task_item(void *arg, const void *in, void *out)
{
	const struct bench_task *task = in;

	(void)arg;
	*(uint64_t *)out = splitmix64(task->a) ^ task->b;
	return 0;
}

static void tasks_fill(void *in, size_t count)
{
	struct bench_task *task = in;
	size_t i;

	for (i = 0; i < count; i++)
		task[i] = (struct bench_task){ i, ~i };
}

/* ---- W6: the sum of 64 KiB of bytes ----------------------------------------------- */

static uint64_t bytes_sum_plain(const unsigned char *p)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < PAYLOAD; i++)
		sum += p[i];
	return sum;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t bytes_sum_avx2(const unsigned char *p)
{
	const __m256i *v = (const __m256i *)(const void *)p;
	const __m256i zero = _mm256_setzero_si256();
	__m256i a = zero, b = zero;
	uint64_t part[4];
	size_t i;

	for (i = 0; i < PAYLOAD / sizeof(*v); i += 2) {
		a = _mm256_add_epi64(a, _mm256_sad_epu8(_mm256_loadu_si256(v + i), zero));
		b = _mm256_add_epi64(b, _mm256_sad_epu8(_mm256_loadu_si256(v + i + 1), zero));
	}
	a = _mm256_add_epi64(a, b);
	memcpy(part, &a, sizeof(part));
	return part[0] + part[1] + part[2] + part[3];
}
#endif

static inline uint64_t bytes_sum(const unsigned char *p)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return bytes_sum_avx2(p);
#endif
	return bytes_sum_plain(p);
}

BODY static int bytes_item(void *arg, const void *in, void *out)
{
	(void)arg;
	*(uint64_t *)out = bytes_sum(in);
	return 0;
}

static void bytes_fill(void *in, size_t count)
{
	seeds_fill(in, count * PAYLOAD / sizeof(uint64_t));
}

/* ---- W8: items that sleep ----------------------------------------------------------- */

BODY static int sleep_item(void *arg, const void *in, void *out)
{
	int64_t ns;

	(void)arg;
	memcpy(&ns, in, sizeof(ns));
	bench_sleep(ns);
	memcpy(out, in, sizeof(ns));
	return 0;
}

BODY static int sleep_answer(void *arg, const void *in, void *out)
{
	(void)arg;
	memcpy(out, in, sizeof(int64_t));
	return 0;
}

static void sleep_fill(void *in, size_t count, int64_t ns)
{
	int64_t *p = in;
	size_t i;

	for (i = 0; i < count; i++)
		p[i] = ns;
}

static void sleep_long_fill(void *in, size_t count)
{
	sleep_fill(in, count, bench_opt.quick ? BENCH_SLEEP_LONG / 10 : BENCH_SLEEP_LONG);
}

static void sleep_short_fill(void *in, size_t count)
{
	sleep_fill(in, count, BENCH_SLEEP_SHORT);
}

/* ---- Nothing -------------------------------------------------------------------------- */

BODY int bench_empty(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return 0;
}

/* ---- The table ------------------------------------------------------------------------ */

#define W3(which, text) { \
	.name = "w3-" #which, .title = "W3 medium map: 10^4 items of 100 us, " text, \
	.unit = BENCH_MS_PER_MAP, .fn = steps_item, .fill = which##_fill, \
	.in_size = sizeof(struct steps), .out_size = sizeof(uint64_t), \
	.count = 10000, .quick_div = 20, .per_item_div = 1, .slow_div = 1 }

#define TINY(items, maps) { \
	.name = "tiny-" #items, .title = "map of " #items " empty items, hot, 1 worker", \
	.unit = BENCH_US_PER_MAP, .workers = 1, .fn = bench_empty, .count = (items), \
	.quick_div = 1, .per_item_div = 1, .batch = (maps), \
	.skip = BENCH_SERIAL | BENCH_COPIES }

#define W4(which, text, threads, ...) { \
	.name = which, .title = "W4 single tasks: 10^6 of 16 bytes in, 8 out, " text, \
	.run = bench_stream_run, .fn = task_item, .fill = tasks_fill, \
	.in_size = sizeof(struct bench_task), .out_size = sizeof(uint64_t), \
	.count = 1000000, .quick_div = 10, .per_item_div = 10, .submitters = (threads), \
	.skip = BENCH_BARE, __VA_ARGS__ }

#define W5(which, text, trips, ...) { \
	.name = which, .title = "W5 round trip, " text, .run = bench_trip_run, \
	.fn = task_item, .fill = tasks_fill, .in_size = sizeof(struct bench_task), \
	.out_size = sizeof(uint64_t), .count = (trips), .quick_div = 2, .slow_div = 1, \
	.submitters = 1, \
	.sweep = { 1 }, __VA_ARGS__ }

#define COMMANDS(which, text, runs, ...) { \
	.name = which, .title = "commands: " text, .run = bench_commands_run, \
	.base = "xargs", .count = (runs), .quick_div = 20, .rounds_max = 5, __VA_ARGS__ }

#define IDLE	INT64_C(10000000)

const struct bench_workload bench_workloads[] = {
	{ .name = "w1", .title = "W1 tiny map: 10^7 items, splitmix64 of 8 bytes",
	  .unit = BENCH_NS_PER_ITEM, .base = "omp-static", .fn = hash_item,
	  .fill = seeds_fill, .in_size = sizeof(uint64_t), .out_size = sizeof(uint64_t),
	  .count = 10000000, .quick_div = 5, .per_item_div = 100, .slow_div = 1 },
	{ .name = "w1-range", .title = "W1 with the loop inlined in the user's range",
	  .unit = BENCH_NS_PER_ITEM, .base = "omp-static", .range = hash_range,
	  .fill = seeds_fill, .in_size = sizeof(uint64_t), .out_size = sizeof(uint64_t),
	  .count = 10000000, .quick_div = 5, .per_item_div = 1 },
	{ .name = "w2", .title = "W2 small map: 10^6 items of 1 us",
	  .unit = BENCH_MS_PER_MAP, .fn = lcg_item, .fill = seeds_fill,
	  .in_size = sizeof(uint64_t), .out_size = sizeof(uint64_t),
	  .count = 1000000, .quick_div = 20, .per_item_div = 10, .slow_div = 1 },
	{ .name = "nested", .title = "nested: 50 x 50 x 50 items of 1 us, flat and as maps in maps",
	  .unit = BENCH_MS_PER_MAP, .base = "forkpool", .fn = lcg_item, .fill = seeds_fill,
	  .in_size = sizeof(uint64_t), .out_size = sizeof(uint64_t),
	  .count = 125000, .quick_div = 8, .per_item_div = 1,
	  .skip = BENCH_PER_ITEM | BENCH_COPIES, .nested = 1 },
	W3(uniform, "uniform"),
	W3(growing, "cost growing with the index"),
	W3(dear, "1 % of them 100 times dearer"),
	W4("w4", "1 submitter", 1, .sweep = { 1, 2 }, .slow_div = 100),
	W4("w4-threads", "4 submitters", 4, .sweep = { 2 }, .base = "forkpool-1"),
	W5("w5-hot", "back to back", 20000, .base = "spin-bare",
	   .skip = BENCH_VARIANT),
	W5("w5-cold", "after 10 ms idle", 20, .base = "futex-wake", .idle = IDLE,
	   .skip = BENCH_SPINS | BENCH_VARIANT),
	W5("w5-cold-apart", "after 10 ms idle, submitter and worker on a CPU each", 20,
	   .base = "futex-wake", .idle = IDLE, .apart = 1,
	   .skip = BENCH_SPINS | BENCH_VARIANT),
	{ .name = "fib", .title = "Fibonacci(27), a task per call",
	  .unit = BENCH_MS_PER_MAP, .base = "tbb-group", .run = bench_fib_run,
	  .count = 27, .skip = BENCH_BARE },
	{ .name = "w6", .title = "W6 payload: 10^4 items of 64 KiB, byte sum",
	  .unit = BENCH_GB_PER_S, .base = "tbb", .fn = bytes_item, .fill = bytes_fill,
	  .in_size = PAYLOAD, .out_size = sizeof(uint64_t),
	  .count = 10000, .quick_div = 10, .per_item_div = 1, .slow_div = 10 },
	{ .name = "w7", .title = "W7 start and stop", .base = "shm-item",
	  .skip = BENCH_SERIAL | BENCH_VARIANT, .run = bench_lifecycle_run, .slow_div = 1,
	  /* Two points tell what a pool costs and what each worker costs. */
	  .sweep = { 2, 8 } },
	{ .name = "w8-long", .title = "W8 sleep: 4 items of 2 s on 8 workers",
	  .unit = BENCH_MS_PER_MAP, .skip = BENCH_SERIAL | BENCH_VARIANT, .workers = 8,
	  .fn = sleep_item, .answer = sleep_answer, .fill = sleep_long_fill,
	  .in_size = sizeof(int64_t), .out_size = sizeof(int64_t),
	  .count = 4, .quick_div = 1, .per_item_div = 1, .slow_div = 1, .rounds_max = 3,
	  .cold = 1 },
	{ .name = "w8-short", .title = "W8 sleep: 200 items of 20 ms on 8 workers",
	  .unit = BENCH_MS_PER_MAP, .skip = BENCH_SERIAL | BENCH_VARIANT, .workers = 8,
	  .fn = sleep_item, .answer = sleep_answer, .fill = sleep_short_fill,
	  .in_size = sizeof(int64_t), .out_size = sizeof(int64_t),
	  .count = 200, .quick_div = 5, .per_item_div = 1, .slow_div = 1, .rounds_max = 3,
	  .cold = 1 },
	TINY(10, 2000),
	TINY(1000, 200),
	COMMANDS("commands", "10^3 runs of a program that only prints", 1000),
	COMMANDS("commands-work", "200 runs of a program that works for 2 ms", 200,
		 .steps = 2000 * STEPS_SMALL),
	{ .name = "heap", .title = "the shared heap against malloc",
	  .run = bench_heap_run },
	{ .name = "create-dirty", .title = "start beside 1 GiB of dirty private memory",
	  .base = "shm-item", .skip = BENCH_SERIAL | BENCH_VARIANT | BENCH_FOREIGN,
	  .run = bench_dirty_run, .on_request = 1 },
	{ .name = "idle", .title = "context switches of an idle pool in 10 s",
	  .skip = BENCH_SERIAL | BENCH_VARIANT, .run = bench_idle_run, .slow_div = 1,
	  .rounds_max = 1, .on_request = 1 },
	{ .name = NULL },
};
