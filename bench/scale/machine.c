/* SPDX-License-Identifier: MIT */
/*
 * What.  The machine: CPUs with a clock each, memory in lines that travel between
 * them, and a kernel in which threads sleep and are woken.  The library itself runs
 * on it, in thread mode: its own instructions, in the order that their costs make.
 *
 * Threads are contexts (ucontext) with stacks and thread-local storage of their own.
 * At each access to memory the CPU's clock moves on; when another CPU's clock is
 * behind, that one runs.  So a run is the same each time, as far as memory lies where it lay.
 *
 * Memory.  A line is with those who have read it since it was last written, and
 * then with the writer alone (MESI, in caches without a bound).  To read a line
 * that others have takes a transfer; so does writing it, but a plain store lets
 * its CPU go on, up to STORES of them, while a locked instruction waits for all
 * stores before it.  A line that is on its way to one is busy for the next.
 *
 * The kernel is the library's table of system calls, with the entries that wait,
 * wake and tell the time replaced; threads and mutexes by the linker's --wrap.
 *
 * Not shown: the items' own memory, what stands between two accesses (it is in the
 * cost of an access), caches that overflow, predictions, stores out of order, and a
 * kernel whose own locks contend.
 */
#include "machine.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "os/sys.h"

#define STACK		((size_t)128 << 10)
#define LINE		64u
#define TABLE		(1u << 18)	/* lines that may be known, a power of two */
#define HOLDERS		(MACHINE_CPUS / 64)
#define STORES		10u		/* on their way at the same time */
#define SLACK		4.0		/* ns that a CPU may be ahead of others */
#define NEVER		1e300
#define START		30000.0		/* ns until a new thread runs */

struct line {
	uintptr_t number;		/* 0 = none */
	double busy;			/* until then */
	uint64_t holders[HOLDERS];	/* CPUs that have it */
};

struct cpu {
	ucontext_t context;
	char *stack, *tls;
	void (*fn)(void *arg);
	void *arg;
	double now;
	double wakes;			/* when it runs next: now, or the end of its sleep */
	bool sleeps, ended;
	const void *words[FP_WAIT_MOST];	/* it sleeps on */
	unsigned nwords;
	bool woken;
	double drained;			/* when all its stores have arrived */
	double stores[STORES];
	unsigned next_store;
};

static struct machine_costs cost;
static struct machine_counts counts;
static struct cpu *cpus;
static unsigned cpu_count, told_cpus, current;
static double horizon;			/* the current CPU may run up to here */
static struct line *table;
static unsigned known;			/* lines in it */
static char *stacks;
static char *tls_place, *tls_first;
static size_t tls_size;
static ucontext_t outside;
static bool stuck;

/* ---- CPUs ----------------------------------------------------------------------- */

static int find_tls(struct dl_phdr_info *info, size_t size, void *arg)
{
	int i;

	(void)size, (void)arg;
	/* The program comes first, and the library is part of it. */
	for (i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_TLS) {
			tls_size = info->dlpi_phdr[i].p_memsz;
			tls_place = info->dlpi_tls_data;
		}
	return 1;
}

/* The CPU whose clock is most behind, among those that do not sleep for ever. */
static unsigned behind(void)
{
	unsigned i, least = current;
	double first = NEVER, second = NEVER;

	for (i = 0; i < cpu_count; i++) {
		double t = cpus[i].ended ? NEVER : cpus[i].wakes;

		if (t < first) {
			second = first;
			first = t;
			least = i;
		} else if (t < second) {
			second = t;
		}
	}
	horizon = second + SLACK;
	stuck = first >= NEVER;
	return least;
}

static void turn_to(unsigned next)
{
	unsigned before = current;

	if (next == before)
		return;
	memcpy(cpus[before].tls, tls_place, tls_size);
	memcpy(tls_place, cpus[next].tls, tls_size);
	current = next;
	swapcontext(&cpus[before].context, &cpus[next].context);
}

/* Lets those run whose clocks are behind. */
static void schedule(void)
{
	unsigned next = behind();

	if (stuck) {
		memcpy(tls_place, tls_first, tls_size);
		setcontext(&outside);
	}
	turn_to(next);
}

static void pass(double ns)
{
	struct cpu *me = &cpus[current];

	me->now += ns;
	me->wakes = me->now;
	if (me->now > horizon)
		schedule();
}

static void cpu_main(void)
{
	cpus[current].fn(cpus[current].arg);
	cpus[current].ended = true;
	if (current == 0) {
		memcpy(tls_place, tls_first, tls_size);
		setcontext(&outside);
	}
	schedule();
}

unsigned machine_spawn(void (*fn)(void *arg), void *arg)
{
	struct cpu *c = &cpus[cpu_count];

	if (cpu_count == MACHINE_CPUS) {
		fprintf(stderr, "machine: too many CPUs\n");
		exit(1);
	}
	memset(c, 0, sizeof(*c));
	c->fn = fn;
	c->arg = arg;
	c->now = c->wakes = cpu_count ? cpus[current].now + START : 0;
	c->stack = stacks + STACK * cpu_count;
	c->tls = malloc(tls_size + 1);
	if (!c->tls)
		abort();
	memcpy(c->tls, tls_first, tls_size);
	getcontext(&c->context);
	c->context.uc_stack.ss_sp = c->stack;
	c->context.uc_stack.ss_size = STACK;
	makecontext(&c->context, cpu_main, 0);
	if (c->wakes + SLACK < horizon)
		horizon = c->wakes + SLACK;
	return cpu_count++;
}

void machine_await(unsigned cpu)
{
	while (!cpus[cpu].ended)
		pass(cost.call * 5);
}

void machine_work(double ns)
{
	pass(ns);
}

void machine_pause(void)
{
	pass(cost.pause);
}

double machine_now(void)
{
	return cpus[current].now;
}

void machine_count(struct machine_counts *ret)
{
	*ret = counts;
}

void machine_failed(void)
{
	counts.failed++;
}

/* ---- Memory ----------------------------------------------------------------------- */

static struct line *line_of(uintptr_t number)
{
	uint32_t i = (uint32_t)(number * 0x9e3779b97f4a7c15u >> 40) & (TABLE - 1);

	while (table[i].number && table[i].number != number)
		i = (i + 1) & (TABLE - 1);
	if (!table[i].number) {
		table[i].number = number;
		if (++known > TABLE / 4 * 3) {
			fprintf(stderr, "machine: too many lines\n");
			exit(1);
		}
	}
	return &table[i];
}

static bool has(const struct line *l, unsigned cpu)
{
	return l->holders[cpu / 64] >> (cpu % 64) & 1;
}

/* How far a line comes: 0 = from memory, else the nearest CPU that has it. */
static double distance(const struct line *l, bool *others)
{
	unsigned i, b, socket = cost.socket ? current / cost.socket : 0;
	bool near = false, far = false;
	uint64_t left;

	for (i = 0; i < HOLDERS; i++)
		for (left = l->holders[i]; left; left &= left - 1) {
			b = i * 64 + (unsigned)__builtin_ctzll(left);
			if (b == current)
				continue;
			if (cost.socket && b / cost.socket != socket)
				far = true;
			else
				near = true;
		}
	*others = near || far;
	if (!*others)
		return has(l, current) ? 0 : cost.memory;
	return far && !near ? cost.transfer * cost.far : cost.transfer;
}

static double await_line(const struct line *l, double now)
{
	if (l->busy <= now)
		return now;
	counts.waited += l->busy - now;
	return l->busy;
}

static void load(struct cpu *me, struct line *l)
{
	bool others;
	double far;

	if (has(l, current))
		return;
	far = distance(l, &others);
	counts.fetched += others;
	me->now = await_line(l, me->now);
	l->busy = me->now + cost.share;
	me->now += far;
	l->holders[current / 64] |= (uint64_t)1 << (current % 64);
}

/* When the line is here, alone. */
static double take(const struct cpu *me, struct line *l)
{
	bool others;
	double far = distance(l, &others), done = me->now;

	if (far > 0) {
		counts.taken += others;
		done = (l->busy > me->now ? l->busy : me->now) + far;
		l->busy = done;
	}
	memset(l->holders, 0, sizeof(l->holders));
	l->holders[current / 64] = (uint64_t)1 << (current % 64);
	return done;
}

static void store(struct cpu *me, struct line *l)
{
	double done = take(me, l), *slot = &me->stores[me->next_store];

	if (done <= me->now)
		return;
	if (*slot > me->now)
		me->now = *slot;
	*slot = done;
	me->next_store = (me->next_store + 1) % STORES;
	if (done > me->drained)
		me->drained = done;
}

static void change(struct cpu *me, struct line *l)
{
	double before, done;

	if (me->drained > me->now)
		me->now = me->drained;
	before = me->now;
	done = take(me, l);
	if (done - before > cost.transfer)
		counts.waited += done - before - cost.transfer;
	me->now = done + cost.locked;
}

static bool is_own(const char *p)
{
	return (p >= stacks && p < stacks + STACK * MACHINE_CPUS) ||
	       (p >= tls_place && p < tls_place + tls_size);
}

void machine_access(const volatile void *p, size_t size, enum machine_kind kind)
{
	uintptr_t first = (uintptr_t)p / LINE, last = ((uintptr_t)p + (size ? size : 1) - 1) / LINE, n;
	struct cpu *me;

	if (!cpus)
		return;
	if (is_own((const char *)(uintptr_t)p)) {
		counts.locked += kind == MACHINE_LOCKED;
		return pass(kind == MACHINE_LOCKED ? cost.access + cost.locked : cost.access);
	}
	/* First those who are behind, then the access. */
	pass(cost.access);
	counts.accesses++;
	counts.locked += kind == MACHINE_LOCKED;
	for (n = first; n <= last; n++) {
		me = &cpus[current];
		if (kind == MACHINE_LOAD)
			load(me, line_of(n));
		else if (kind == MACHINE_STORE)
			store(me, line_of(n));
		else
			change(me, line_of(n));
	}
	cpus[current].wakes = cpus[current].now;
}

/* ---- The kernel --------------------------------------------------------------------- */

static void enter(double more)
{
	counts.calls++;
	pass(cost.call + more);
}

static int64_t vm_clock(void)
{
	pass(cost.clock);
	return (int64_t)cpus[current].now;
}

/* Sleeps on the words that stand in words[]. */
static int sleep_until(int64_t deadline)
{
	struct cpu *me = &cpus[current];

	me->sleeps = true;
	me->woken = false;
	me->wakes = deadline == FP_FOREVER ? NEVER : (double)deadline > me->now ? (double)deadline : me->now;
	schedule();
	me->sleeps = false;
	me->nwords = 0;
	me->now = me->wakes;
	return me->woken ? 0 : -ETIMEDOUT;
}

static int vm_wait_many(const struct fp_wait *list, unsigned n, int64_t deadline)
{
	struct cpu *me;
	unsigned i;

	enter(0);
	me = &cpus[current];
	for (i = 0; i < n; i++) {
		if (*list[i].word != list[i].value)
			return -EAGAIN;
		me->words[i] = list[i].word;
	}
	me->nwords = n;
	return sleep_until(deadline);
}

static int vm_wait(fp_a32 *word, uint32_t expected, int64_t deadline)
{
	const struct fp_wait one = { word, expected };

	return vm_wait_many(&one, 1, deadline);
}

static int vm_wait_two(fp_a32 *a, uint32_t va, fp_a32 *b, uint32_t vb, int64_t deadline)
{
	const struct fp_wait two[2] = { { a, va }, { b, vb } };

	return vm_wait_many(two, 2, deadline);
}

static bool sleeps_on(const struct cpu *c, const void *word)
{
	unsigned i;

	for (i = 0; c->sleeps && !c->woken && i < c->nwords; i++)
		if (c->words[i] == word)
			return true;
	return false;
}

static int vm_wake(fp_a32 *word, int count)
{
	unsigned i;
	int n = 0;

	enter(0);
	for (i = 0; i < cpu_count && n < count; i++) {
		struct cpu *c = &cpus[i];

		if (!sleeps_on(c, word))
			continue;
		c->woken = true;
		pass(cost.wake);
		c->wakes = cpus[current].now + cost.latency;
		if (c->wakes + SLACK < horizon)
			horizon = c->wakes + SLACK;
		counts.wakes++;
		n++;
	}
	return n;
}

/* Takes its time, but does not count: only who has nothing to do yields. */
static int vm_yield(void)
{
	pass(cost.call);
	return 0;
}

static int vm_membarrier(int command)
{
	int has = fp_sys_real.membarrier(command);

	enter(cost.fence);
	return has;
}

/* Each thread has a CPU of its own. */
static int vm_cpu(void)
{
	return (int)current;
}

static int vm_move(int cpu)
{
	(void)cpu;
	return -EINVAL;
}

static int vm_bind(unsigned cpu)
{
	(void)cpu;
	return 0;
}

static int vm_poll(struct pollfd *fds, nfds_t n, int64_t deadline)
{
	(void)fds, (void)n;
	enter(0);
	sleep_until(deadline);
	return 0;
}

static void kernel_setup(void)
{
	fp_sys.clock = vm_clock;
	fp_sys.futex_wait = fp_sys.futex_wait_exit = vm_wait;
	fp_sys.futex_wait_two = vm_wait_two;
	fp_sys.futex_wait_many = vm_wait_many;
	fp_sys.futex_wake = vm_wake;
	fp_sys.yield = vm_yield;
	fp_sys.membarrier = vm_membarrier;
	fp_sys.cpu = vm_cpu;
	fp_sys.move = vm_move;
	fp_sys.bind = vm_bind;
	fp_sys.poll = vm_poll;
}

/* ---- What the linker leads here ------------------------------------------------------- */

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_join(pthread_t thread, void **ret);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);
unsigned __wrap_fp_cpus_affinity(void);
unsigned __wrap_fp_cpus_recent(const char *root, unsigned affinity);

struct thread {
	void *(*fn)(void *);
	void *arg;
};

static void thread_main(void *arg)
{
	struct thread t = *(struct thread *)arg;

	free(arg);
	t.fn(t.arg);
}

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct thread *t = malloc(sizeof(*t));

	(void)attr;
	if (!t)
		return EAGAIN;
	*t = (struct thread){ fn, arg };
	*ret = (pthread_t)machine_spawn(thread_main, t);
	return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret)
{
	(void)ret;
	machine_await((unsigned)thread);
	return 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
	while (pthread_mutex_trylock(lock) == EBUSY)
		pass(cost.call);
	return 0;
}

unsigned __wrap_fp_cpus_affinity(void)
{
	return told_cpus;
}

unsigned __wrap_fp_cpus_recent(const char *root, unsigned affinity)
{
	(void)root;
	return affinity;
}

/* ---- A run ----------------------------------------------------------------------------- */

static void *room(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		fprintf(stderr, "machine: no memory\n");
		exit(1);
	}
	return p;
}

bool machine_run(const struct machine_costs *costs, unsigned ncpus, void (*fn)(void *arg), void *arg)
{
	volatile bool begun = false;
	unsigned i;
	bool ended;

	cost = *costs;
	counts = (struct machine_counts){ 0 };
	told_cpus = ncpus;
	cpu_count = current = known = 0;
	horizon = NEVER;
	table = room(sizeof(*table) * TABLE);
	stacks = room(STACK * MACHINE_CPUS);
	dl_iterate_phdr(find_tls, NULL);
	tls_first = malloc(tls_size + 1);
	memcpy(tls_first, tls_place, tls_size);
	kernel_setup();
	cpus = room(sizeof(*cpus) * MACHINE_CPUS);
	machine_spawn(fn, arg);
	getcontext(&outside);
	if (!begun) {
		begun = true;
		setcontext(&cpus[0].context);
	}
	ended = cpus[0].ended;
	fp_sys = fp_sys_real;
	for (i = 0; i < cpu_count; i++)
		free(cpus[i].tls);
	munmap(cpus, sizeof(*cpus) * MACHINE_CPUS);
	cpus = NULL;
	munmap(table, sizeof(*table) * TABLE);
	munmap(stacks, STACK * MACHINE_CPUS);
	free(tls_first);
	return ended;
}
