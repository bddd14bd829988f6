/* SPDX-License-Identifier: MIT */
/*
 * Single tasks, from many threads and from items, while workers are killed and
 * stopped: each task completes once, with the right result, after as many runs as
 * its retries allow; one that was killed more often is reported so.  Nothing hangs,
 * and nothing is left behind.  FORKPOOL_TORTURE=1 makes it 10^7 tasks, and minutes.
 *
 * Deaths outside items count towards breaking the pool, and so they should.  So a
 * victim is stopped first, looked at, and killed if it is inside an item, else let
 * go; but for one in so many, which is killed wherever it is.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/pool.h"
#include "os/sys.h"
#include "proc/recover.h"
#include "task/check.h"

#define WORKERS		8u
#define THREADS		8u
#define WINDOW		512u	/* unfinished tasks of a thread */
#define BATCH		48u
#define SMALL		80000u
#define LARGE		10000000u
#define RETRIES		3u
#define KILLS_A_SECOND	20
#define BLIND		24u	/* one kill in so many hits wherever the worker is */
#define TRIES		400u	/* until one is found inside an item */
#define STOPPED_NS	5000000
#define CAP_MS		120000	/* nothing takes so long, but a hang */
#define NS_PER_S	1000000000

static struct {
	struct forkpool *pool;
	_Atomic uint8_t *runs;		/* in the segment; of each task */
	uint32_t tasks;
	unsigned kill, stop;		/* of ten signals */
	uint64_t random;
	_Atomic bool over;
	_Atomic unsigned kills, stops, blind, crashed, again;
	_Atomic uint64_t ran;
} h;

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void pause_for(int64_t ns)
{
	const struct timespec time = { ns / NS_PER_S, ns % NS_PER_S };

	nanosleep(&time, NULL);
}

static bool large(void)
{
	const char *torture = getenv("FORKPOOL_TORTURE");

	return torture && atoi(torture);
}

/* ---- The storm -------------------------------------------------------------------------- */

/* The state letter of a process: 'T' when it is stopped; 0 when there is none. */
static char state_of(pid_t pid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(file);
	return state;
}

static bool stands(pid_t pid)
{
	int64_t until = fp_sys.clock() + NS_PER_S;
	char state;

	do {
		state = state_of(pid);
		if (state == 'T')
			return true;
		pause_for(10000);
	} while (state && state != 'Z' && fp_sys.clock() < until);
	return false;
}

static bool inside_item(uint32_t id)
{
	return fp_recover_busy(&h.pool->crew, id) &&
	       fp_load_rlx(&fp_segment_worker(&h.pool->crew.seg, id)->base.pos) != FP_POS_NONE;
}

/* True when it was killed. */
static bool kill_one(uint32_t id, pid_t pid, int fd)
{
	bool dies;

	if (mix(h.random) % BLIND == 0) {
		atomic_fetch_add(&h.blind, 1);
		atomic_fetch_add(&h.kills, 1);
		fp_sys.pidfd_kill(fd, SIGKILL);
		return true;
	}
	if (!inside_item(id))
		return false;
	fp_sys.pidfd_kill(fd, SIGSTOP);
	dies = stands(pid) && inside_item(id);
	fp_sys.pidfd_kill(fd, dies ? SIGKILL : SIGCONT);
	atomic_fetch_add(&h.kills, dies);
	return dies;
}

/* True when that was all for now. */
static bool strike(uint32_t id)
{
	bool struck = false;

	pid_t pid = (pid_t)fp_load_rlx(&fp_segment_worker(&h.pool->crew.seg, id)->pid);
	int fd = pid > 0 ? fp_sys.pidfd(pid) : -1;

	if (fd < 0)
		return false;
	/* The descriptor is the worker's if the number still is. */
	if (fp_load_rlx(&fp_segment_worker(&h.pool->crew.seg, id)->pid) == (uint32_t)pid) {
		if (h.random % 10 < h.kill) {
			struck = kill_one(id, pid, fd);
		} else if (h.random % 10 < h.kill + h.stop) {
			atomic_fetch_add(&h.stops, 1);
			fp_sys.pidfd_kill(fd, SIGSTOP);
			pause_for(STOPPED_NS);
			fp_sys.pidfd_kill(fd, SIGCONT);
			struck = true;
		}
	}
	fp_sys.close(fd);
	return struck;
}

static void *storm_main(void *unused)
{
	unsigned tries;

	(void)unused;
	while (!atomic_load(&h.over)) {
		pause_for(NS_PER_S / KILLS_A_SECOND);
		h.random = mix(h.random + 1);
		for (tries = 0; tries < TRIES && !atomic_load(&h.over); tries++) {
			if (strike((uint32_t)((h.random >> 16) + tries) % WORKERS))
				break;
			if (tries % WORKERS == WORKERS - 1)
				pause_for(20000);
		}
	}
	return NULL;
}

static void storm_open(unsigned kill, unsigned stop, size_t arena)
{
	FORKPOOL_OPTS(opts, .workers = WORKERS, .arena_size = arena);

	memset(&h, 0, sizeof(h));
	h.kill = kill;
	h.stop = stop;
	h.random = (uint64_t)time(NULL);
	ck_assert_int_eq(forkpool_create(&h.pool, &opts), 0);
}

static void expect_sound(void)
{
	char text[200];
	const char *bad = fp_check(&h.pool->crew.seg, text, sizeof(text));

	ck_assert_msg(!bad, "%s", bad);
}

static void storm_close(const char *what, int64_t began)
{
	expect_sound();
	if (large()) {
		printf("%s: %.1f s, %llu tasks, %u kills (%u blind), %u stops, %u tasks ran again, %u crashed\n",
		       what, (double)(fp_sys.clock() - began) / 1e9,
		       (unsigned long long)atomic_load(&h.ran), atomic_load(&h.kills),
		       atomic_load(&h.blind), atomic_load(&h.stops), atomic_load(&h.again),
		       atomic_load(&h.crashed));
		fflush(stdout);
	}
	forkpool_destroy(h.pool);
}

/* ---- Tasks from many threads ------------------------------------------------------------------ */

static int count_and_mix(void *arg, const void *in, void *out)
{
	_Atomic uint8_t *runs = arg;
	uint64_t i = *(const uint64_t *)in, x = i;
	unsigned rounds;

	atomic_fetch_add(&runs[i], 1);
	for (rounds = 0; rounds < 100 + i % 100; rounds++)
		x = mix(x + rounds);
	/* Now and then one that takes long enough to be hit. */
	if (i % 4096 == 0)
		usleep(1000);
	((uint64_t *)out)[0] = mix(i);
	((uint64_t *)out)[1] = x;
	return 0;
}

static void expect_task(struct forkpool_job *job, uint64_t i)
{
	int err = forkpool_job_wait(job, CAP_MS * (int64_t)1000000);
	struct forkpool_status st;
	const uint64_t *out;
	unsigned runs = atomic_load(&h.runs[i]);

	ck_assert_msg(err == 0 || err == -FORKPOOL_ECRASHED, "task %llu ends with %d, %s",
		      (unsigned long long)i, err, forkpool_strerror(err));
	ck_assert_int_eq(forkpool_job_status(job, 0, &st), 0);
	ck_assert_msg(runs <= st.attempts && st.attempts <= 1 + RETRIES,
		      "task %llu: %u runs, %u attempts", (unsigned long long)i, runs, st.attempts);
	if (err) {
		ck_assert(st.outcome == FORKPOOL_ITEM_CRASHED && st.code == SIGKILL);
		ck_assert_uint_eq(st.attempts, 1 + RETRIES);
		atomic_fetch_add(&h.crashed, 1);
	} else {
		out = forkpool_job_result(job);
		ck_assert_uint_ge(runs, 1);
		ck_assert_msg(out && out[0] == mix(i), "task %llu is wrong", (unsigned long long)i);
	}
	if (st.attempts > 1)
		atomic_fetch_add(&h.again, 1);
	forkpool_job_free(job);
	atomic_fetch_add(&h.ran, 1);
}

struct producer {
	pthread_t thread;
	uint64_t from, to;
	struct forkpool_job *jobs[WINDOW];	/* a ring */
};

/* One by one, or now and then many at once. */
static uint64_t produce(struct producer *p, uint64_t next, uint64_t room)
{
	FORKPOOL_JOB_OPTS(opts, .arg = (void *)(uintptr_t)h.runs, .retries = RETRIES,
			  .priority = next % 1000 == 0 ? FORKPOOL_PRIORITY_HIGH : FORKPOOL_PRIORITY_NORMAL);
	struct forkpool_job *jobs[BATCH];
	uint64_t in[BATCH];
	unsigned n = next % 7 == 0 && room >= BATCH ? BATCH : 1, i;

	for (i = 0; i < n; i++)
		in[i] = next + i;
	if (n == 1)
		ck_assert_int_eq(forkpool_submit(h.pool, count_and_mix, in, sizeof(in[0]), 16, &opts,
						 jobs), 0);
	else
		ck_assert_int_eq(forkpool_submit_many(h.pool, count_and_mix, in, sizeof(in[0]), 16, n,
						      &opts, jobs), (int)n);
	for (i = 0; i < n; i++)
		p->jobs[(next + i) % WINDOW] = jobs[i];
	return next + n;
}

static void *producer_main(void *arg)
{
	struct producer *p = arg;
	uint64_t next = p->from, done = p->from, room, i;

	while (done < p->to) {
		room = p->to - next < WINDOW - (next - done) ? p->to - next : WINDOW - (next - done);
		if (room) {
			next = produce(p, next, room);
			continue;
		}
		/* Half of them, so that it need not sleep for each. */
		for (i = 0; i < WINDOW / 2 && done < next; i++, done++)
			expect_task(p->jobs[done % WINDOW], done);
	}
	return NULL;
}

static void many_tasks(const char *what, unsigned kill, unsigned stop, uint32_t tasks)
{
	struct producer *all;
	int64_t began = fp_sys.clock();
	pthread_t storm;
	uint32_t i;

	storm_open(kill, stop, ((size_t)16 << 20) + tasks);
	h.tasks = tasks;
	h.runs = forkpool_shm_calloc(h.pool, tasks, 1);
	all = calloc(THREADS, sizeof(*all));
	ck_assert(h.runs && all);
	ck_assert_int_eq(pthread_create(&storm, NULL, storm_main, NULL), 0);
	for (i = 0; i < THREADS; i++) {
		all[i].from = (uint64_t)tasks * i / THREADS;
		all[i].to = (uint64_t)tasks * (i + 1) / THREADS;
		ck_assert_int_eq(pthread_create(&all[i].thread, NULL, producer_main, &all[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(all[i].thread, NULL);
	atomic_store(&h.over, true);
	pthread_join(storm, NULL);
	ck_assert_uint_eq(atomic_load(&h.ran), tasks);
	free(all);
	storm_close(what, began);
}

START_TEST(killed_tasks_run_again)
{
	many_tasks("tasks, killed", 10, 0, large() ? LARGE : SMALL);
}
END_TEST

START_TEST(stopped_tasks_go_on)
{
	many_tasks("tasks, stopped", 0, 10, large() ? LARGE / 10 : SMALL / 2);
}
END_TEST

START_TEST(both_at_once)
{
	many_tasks("tasks, killed and stopped", 5, 5, large() ? LARGE / 10 : SMALL / 2);
}
END_TEST

/* ---- Trees of tasks --------------------------------------------------------------------------- */

#define FIB_FAILED	9

static uint64_t fib_of(uint32_t n)
{
	uint64_t a = 0, b = 1, sum;

	for (; n; n--) {
		sum = a + b;
		a = b;
		b = sum;
	}
	return a;
}

/* A child each; one that crashed too often makes its parent fail. */
static int fib(void *arg, const void *in, void *out)
{
	FORKPOOL_JOB_OPTS(opts, .retries = RETRIES);
	struct forkpool *pool = forkpool_current();
	uint32_t n = *(const uint32_t *)in, i, child;
	struct forkpool_job *jobs[2];
	uint64_t sum = 0;
	const uint64_t *r;
	int bad = 0;

	(void)arg;
	if (n < 2) {
		*(uint64_t *)out = n;
		return 0;
	}
	for (i = 0; i < 2; i++) {
		child = n - 1 - i;
		if (forkpool_submit(pool, fib, &child, sizeof(child), sizeof(sum), &opts, &jobs[i]))
			return FIB_FAILED;
	}
	for (i = 2; i-- > 0;) {
		bad |= forkpool_job_wait(jobs[i], -1);
		r = forkpool_job_result(jobs[i]);
		sum += r ? *r : 0;
		forkpool_job_free(jobs[i]);
	}
	*(uint64_t *)out = sum;
	return bad ? FIB_FAILED : 0;
}

/* The tree's root, until it was not killed too often; how often it was. */
static unsigned grow(uint32_t n)
{
	FORKPOOL_JOB_OPTS(opts, .retries = RETRIES);
	uint64_t sum = 0;
	unsigned failed;
	int err;

	for (failed = 0; failed < 1000; failed++) {
		err = forkpool_call(h.pool, fib, &n, sizeof(n), &sum, sizeof(sum), &opts);
		ck_assert_msg(err == 0 || err == -FORKPOOL_ECRASHED || err == -FORKPOOL_EFAILED,
			      "fib(%u) ends with %d, %s", n, err, forkpool_strerror(err));
		if (!err)
			break;
	}
	ck_assert_int_eq(err, 0);
	ck_assert_msg(sum == fib_of(n), "fib(%u) is %llu", n, (unsigned long long)sum);
	return failed;
}

static void *grow_main(void *arg)
{
	int64_t until = *(int64_t *)arg;
	uint32_t n = 10;

	do {
		atomic_fetch_add(&h.crashed, grow(n));
		atomic_fetch_add(&h.ran, 1);
		n = 10 + (n + 1) % 8;
	} while (fp_sys.clock() < until);
	return NULL;
}

START_TEST(trees)
{
	int64_t began = fp_sys.clock(), until = began + (large() ? 60 : 1) * (int64_t)NS_PER_S;
	pthread_t storm, growers[3];
	unsigned i;

	storm_open(_i == 1 ? 0 : 7, _i == 0 ? 0 : 3, (size_t)16 << 20);
	ck_assert_int_eq(pthread_create(&storm, NULL, storm_main, NULL), 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&growers[i], NULL, grow_main, &until), 0);
	for (i = 0; i < 3; i++)
		pthread_join(growers[i], NULL);
	atomic_store(&h.over, true);
	pthread_join(storm, NULL);
	storm_close("trees", began);
}
END_TEST

/* ---- Producers that die -------------------------------------------------------------------------- */

#define CHILDREN	6u
#define FAR_SIZE	3000u
#define CHILD_NS	2000000

struct family {
	_Atomic uint32_t lives, began, ended;
	size_t in_size;
	uint32_t deaths;	/* of the parent, before it is well */
};

static int child(void *arg, const void *in, void *out)
{
	struct family *f = arg;
	int64_t until = fp_sys.clock() + CHILD_NS;
	const unsigned char *bytes = in;

	atomic_fetch_add(&f->began, 1);
	/* The memory is there as long as this runs, whatever became of its parent. */
	while (fp_sys.clock() < until && bytes[0] == bytes[f->in_size - 1])
		;
	memcpy(out, in, f->in_size);
	atomic_fetch_add(&f->ended, 1);
	return bytes[0] == bytes[f->in_size - 1] ? 0 : 1;
}

static int parent(void *arg, const void *unused, void *out)
{
	FORKPOOL_JOB_OPTS(opts, .arg = arg, .retries = 1);
	struct forkpool *pool = forkpool_current();
	struct forkpool_job *jobs[CHILDREN];
	unsigned char in[FAR_SIZE];
	struct family *f = arg;
	uint32_t life = atomic_fetch_add(&f->lives, 1), i, began = atomic_load(&f->began);
	int64_t until = fp_sys.clock() + 20 * (int64_t)CHILD_NS;
	int err = 0;

	(void)unused;
	memset(in, (int)life + 1, sizeof(in));
	for (i = 0; i < CHILDREN; i++)
		if (forkpool_submit(pool, child, in, f->in_size, f->in_size, &opts, &jobs[i]))
			return 1;
	if (life < f->deaths) {
		/* Some run elsewhere by then, others lie there. */
		while (atomic_load(&f->began) < began + 1 + life && fp_sys.clock() < until)
			fp_sys.yield();
		raise(SIGKILL);
	}
	for (i = 0; i < CHILDREN; i++) {
		err |= forkpool_job_wait(jobs[i], -1);
		err |= !forkpool_job_result(jobs[i]) ||
		       memcmp(forkpool_job_result(jobs[i]), in, f->in_size);
		forkpool_job_free(jobs[i]);
	}
	*(uint32_t *)out = life;
	return err != 0;
}

static void heap_count(struct fp_heap_count *ret)
{
	const struct fp_heap_place place = fp_segment_heap(&h.pool->crew.seg, false);
	struct fp_units units;

	fp_units_view(&units, &place, FP_HEAP_NURSERY);
	fp_heap_count(&units, ret);
}

/* Memory that children of the dead use is freed with the parent, before it runs again. */
static void expect_heap(const struct fp_heap_count *before)
{
	int64_t until = fp_sys.clock() + CAP_MS * (int64_t)1000000;
	struct fp_heap_count now;

	do {
		heap_count(&now);
		if (now.runs == before->runs && now.objects == before->objects && !now.passing)
			return;
		pause_for(1000000);
	} while (fp_sys.clock() < until);
	ck_abort_msg("%d runs and %d objects are left", (int)(now.runs - before->runs),
		     (int)(now.objects - before->objects));
}

#define FAMILIES	4u

static void families(size_t in_size, uint32_t deaths)
{
	struct family *f = forkpool_shm_calloc(h.pool, FAMILIES, sizeof(*f));
	struct forkpool_job *jobs[FAMILIES];
	struct fp_heap_count before;
	uint32_t i;

	ck_assert_ptr_nonnull(f);
	heap_count(&before);
	for (i = 0; i < FAMILIES; i++) {
		FORKPOOL_JOB_OPTS(opts, .arg = &f[i], .retries = RETRIES);

		f[i].in_size = in_size;
		f[i].deaths = deaths;
		ck_assert_int_eq(forkpool_submit(h.pool, parent, NULL, 0, sizeof(uint32_t), &opts, &jobs[i]), 0);
	}
	for (i = 0; i < FAMILIES; i++) {
		int err = forkpool_job_wait(jobs[i], CAP_MS * (int64_t)1000000);
		const uint32_t *life = forkpool_job_result(jobs[i]);

		ck_assert_msg(!err, "in_size %u: %d, %s", (unsigned)in_size, err, forkpool_strerror(err));
		ck_assert_uint_eq(*life, deaths);
		ck_assert_uint_eq(atomic_load(&f[i].lives), deaths + 1);
		ck_assert_uint_ge(atomic_load(&f[i].ended), CHILDREN);
		forkpool_job_free(jobs[i]);
	}
	expect_heap(&before);
	expect_sound();
	/* Children of the dead whose memory is in the slots may still run. */
	for (i = 0; i < FAMILIES; i++)
		while (atomic_load(&f[i].began) != atomic_load(&f[i].ended))
			pause_for(1000000);
	forkpool_shm_free(h.pool, f);
	atomic_fetch_add(&h.ran, FAMILIES);
}

START_TEST(producers_die)
{
	static const size_t sizes[] = { 16, FAR_SIZE };
	int64_t began = fp_sys.clock(), until = began + (large() ? 60 : 1) * (int64_t)NS_PER_S / 2;

	storm_open(0, 0, (size_t)16 << 20);
	do {
		families(sizes[_i], 1);
		families(sizes[_i], 3);
	} while (fp_sys.clock() < until);
	storm_close(_i ? "families with memory" : "families", began);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tasks");
	TCase *tc;

	if (!test_processes())
		return TEST_SKIP;
	tc = test_case(suite, "tasks");
	tcase_add_test(tc, killed_tasks_run_again);
	tcase_add_test(tc, stopped_tasks_go_on);
	tcase_add_test(tc, both_at_once);
	tc = test_case(suite, "trees");
	tcase_add_loop_test(tc, trees, 0, 3);
	tc = test_case(suite, "families");
	tcase_add_loop_test(tc, producers_die, 0, 2);
	return test_main(suite);
}
