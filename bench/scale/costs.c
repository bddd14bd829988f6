/* SPDX-License-Identifier: MIT */
/*
 * What things cost on this machine, for simulate: prints JSON, ns each, the least
 * disturbed of several runs.  With two CPUs that may be used they are those two that
 * come first; with one, what needs two keeps the simulation's own figures.
 */
#include <forkpool.h>

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TRIES		9
#define STEPS		200000
#define SLEEPS		200
#define SETTLE_NS	200000		/* until who was told to sleep does */
#define CLAIMS		10000
#define LINES		(1u << 20)	/* of memory that no cache holds: 64 MiB */

/* Two lines apart: processors fetch pairs. */
static struct {
	_Alignas(128) _Atomic uint64_t a;
	_Alignas(128) _Atomic uint64_t b;
	_Alignas(128) _Atomic uint32_t word;
	_Alignas(128) _Atomic int64_t woken;
	_Alignas(128) _Atomic int stop;
} at;

static int cpu[2] = { -1, -1 };

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void find_cpus(void)
{
	cpu_set_t set;
	int i, n = 0;

	sched_getaffinity(0, sizeof(set), &set);
	for (i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = i;
}

static void bind_to(int which)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu[which], &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* ---- Alone ---------------------------------------------------------------------------- */

static void step_nothing(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

static void step_swap(void)
{
	uint64_t was = atomic_load_explicit(&at.a, memory_order_relaxed);

	atomic_compare_exchange_strong(&at.a, &was, was + 1);
}

static void step_add(void)
{
	atomic_fetch_add(&at.a, 1);
}

static void step_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

static void step_clock(void)
{
	now();
}

static void step_call(void)
{
	syscall(SYS_getppid);
}

static void step_fence(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

static double step_cost(void (*step)(void), int steps)
{
	double least = 1e18, took;
	int64_t begin;
	int t, i;

	for (t = 0; t < TRIES; t++) {
		begin = now();
		for (i = 0; i < steps; i++)
			step();
		took = (double)(now() - begin) / steps;
		least = took < least ? took : least;
	}
	return least;
}

/* Lines of memory in an order that nobody foresees. */
static double memory_cost(void)
{
	volatile uint32_t *next;
	uint32_t i = 0, n, at_line = 0;
	const size_t size = (size_t)LINES * 64;
	double took, least = 1e18;
	int64_t begin;
	int t;

	next = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (next == MAP_FAILED)
		return 80;
	madvise((void *)next, size, MADV_HUGEPAGE);
	for (n = 0; n < LINES; n++) {
		at_line = (uint32_t)((n * (uint64_t)2654435761u + 12345) % LINES);
		next[(size_t)i * 16] = at_line;
		i = at_line;
	}
	for (t = 0; t < TRIES; t++) {
		begin = now();
		for (n = 0; n < STEPS / 10; n++)
			i = next[(size_t)i * 16] % LINES;
		took = (double)(now() - begin) / (STEPS / 10);
		least = took < least ? took : least;
	}
	munmap((void *)next, size);
	return least;
}

/* ---- Two CPUs --------------------------------------------------------------------------- */

static void *other_add(void *arg)
{
	(void)arg;
	bind_to(1);
	while (!atomic_load_explicit(&at.stop, memory_order_relaxed))
		step_add();
	return NULL;
}

/* Answers each odd number with the next one. */
static void *other_answer(void *arg)
{
	uint64_t seen;

	(void)arg;
	bind_to(1);
	while (!atomic_load_explicit(&at.stop, memory_order_relaxed)) {
		seen = atomic_load_explicit(&at.b, memory_order_acquire);
		if (seen & 1)
			atomic_store_explicit(&at.b, seen + 1, memory_order_release);
	}
	return NULL;
}

static void *other_sleep(void *arg)
{
	uint32_t seen;

	(void)arg;
	bind_to(1);
	while (!atomic_load(&at.stop)) {
		seen = atomic_load(&at.word);
		atomic_store(&at.woken, 0);
		syscall(SYS_futex, &at.word, FUTEX_WAIT, seen, NULL, NULL, 0);
		atomic_store(&at.woken, now());
		while (atomic_load(&at.woken) && !atomic_load(&at.stop))
			step_pause();
	}
	return NULL;
}

static void step_answer(void)
{
	uint64_t asked = atomic_load_explicit(&at.b, memory_order_relaxed) + 1;
	int64_t until = now() + 1000000;

	atomic_store_explicit(&at.b, asked, memory_order_release);
	/* The other one may not have begun, or not run. */
	while (atomic_load_explicit(&at.b, memory_order_acquire) == asked && now() < until)
		;
	atomic_store_explicit(&at.b, (asked + 1) & ~(uint64_t)1, memory_order_relaxed);
}

static double with_other(void *(*other)(void *), void (*step)(void), int steps)
{
	pthread_t thread;
	double took;

	atomic_store(&at.stop, 0);
	if (pthread_create(&thread, NULL, other, NULL))
		return -1;
	bind_to(0);
	took = step_cost(step, steps);
	atomic_store(&at.stop, 1);
	pthread_join(thread, NULL);
	return took;
}

static void nap(int64_t ns)
{
	struct timespec ts = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	nanosleep(&ts, NULL);
}

static int by_size(const void *a, const void *b)
{
	const double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

static void wake_one(void)
{
	atomic_fetch_add(&at.word, 1);
	syscall(SYS_futex, &at.word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* The waker's call, and the time from its begin until the sleeper runs; medians. */
static void wake_costs(double *call, double *latency)
{
	static double calls[SLEEPS], latencies[SLEEPS];
	pthread_t thread;
	int64_t begin, end;
	int i;

	atomic_store(&at.stop, 0);
	if (pthread_create(&thread, NULL, other_sleep, NULL))
		return;
	bind_to(0);
	for (i = 0; i < SLEEPS; i++) {
		nap(SETTLE_NS);
		begin = now();
		wake_one();
		end = now();
		/* It may not have been asleep by then. */
		while (!atomic_load(&at.woken))
			if (now() - begin > 50 * SETTLE_NS)
				wake_one();
		calls[i] = (double)(end - begin);
		latencies[i] = (double)(atomic_load(&at.woken) - begin);
		atomic_store(&at.woken, 0);
	}
	atomic_store(&at.stop, 1);
	wake_one();
	pthread_join(thread, NULL);
	qsort(calls, SLEEPS, sizeof(*calls), by_size);
	qsort(latencies, SLEEPS, sizeof(*latencies), by_size);
	*call = calls[SLEEPS / 2];
	*latency = latencies[SLEEPS / 2];
}

/* ---- The library -------------------------------------------------------------------------- */

static int nothing(void *arg, const void *in, void *out)
{
	(void)arg, (void)in, (void)out;
	return 0;
}

/* A chunk of one empty item, with one worker. */
static double claim_cost(void)
{
	FORKPOOL_OPTS(opts, .workers = 1);
	FORKPOOL_JOB_OPTS(job, .chunk = 1);
	struct forkpool *pool;
	double least = 1e18, took;
	int64_t begin;
	int t, err;

	if (forkpool_create(&pool, &opts))
		return -1;
	for (t = 0; t < 5 * TRIES; t++) {
		begin = now();
		err = forkpool_map(pool, nothing, NULL, 0, NULL, 0, CLAIMS, &job);
		took = (double)(now() - begin) / CLAIMS;
		if (!err && took < least)
			least = took;
	}
	forkpool_destroy(pool);
	return least;
}

static void print(const char *name, double ns, const char *end)
{
	printf("  \"%s\": %.2f%s\n", name, ns, end);
}

static void print_two(void)
{
	double call = 1500, latency = 27000, lone;

	lone = step_cost(step_call, STEPS / 10);
	print("contended_add", with_other(other_add, step_add, STEPS), ",");
	print("transfer", with_other(other_answer, step_answer, STEPS / 10) / 2, ",");
	wake_costs(&call, &latency);
	print("wake", call > lone ? call - lone : 0, ",");
	print("latency", latency > call ? latency - call : 0, ",");
}

int main(void)
{
	double claim = claim_cost(), nothing_at_all;

	find_cpus();
	if (cpu[0] >= 0)
		bind_to(0);
	nothing_at_all = step_cost(step_nothing, STEPS);
	printf("{\n");
	print("claim", claim, ",");
	print("locked", step_cost(step_swap, STEPS) - nothing_at_all, ",");
	print("add", step_cost(step_add, STEPS) - nothing_at_all, ",");
	print("pause", step_cost(step_pause, STEPS) - nothing_at_all, ",");
	print("clock", step_cost(step_clock, STEPS) - nothing_at_all, ",");
	print("call", step_cost(step_call, STEPS / 10), ",");
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
	print("fence", step_cost(step_fence, STEPS / 100), ",");
	if (cpu[1] >= 0)
		print_two();
	print("memory", memory_cost(), "");
	printf("}\n");
	return 0;
}
