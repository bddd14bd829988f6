/* SPDX-License-Identifier: MIT */
/*
 * A worker killed, or stopped, at every instruction of leaving the pool and of
 * coming up in it.
 *
 * A resize has worker 1 leave, or start.  It is brought to the beginning of that,
 * taken k instructions further, and killed or stopped there.  Then the other
 * worker must do a map alone; every resize must get its answer; and the pool must
 * come to have two workers again, both at rest.  k = 0, 1, 2 ... to the end of the
 * path; a sample of them, unless FORKPOOL_TORTURE is set.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/pool.h"
#include "os/sys.h"
#include "sync/idle.h"
#include "task/run.h"
#include "test.h"
#include "trace.h"

#define SAMPLES		8u		/* points of a path in the small form */
#define MOST_STEPS	100000u		/* longer paths are an endless loop */
#define CAP_MS		20000		/* nothing takes so long */
#define CAP_NS		(CAP_MS * (int64_t)1000000)
#define VICTIM		1u
#define COUNT		20

#define FN(fn)		((uintptr_t)(fn))

enum path { LEAVE, COME_UP };
enum end { KILLED, STOPPED };

static const char *const path_names[] = { "leave", "come up" };
static const char *const end_names[] = { "killed", "stopped" };

/* Where a worker that starts is met: outside the segment, made before the pool. */
static struct door {
	atomic_int closed, pid;
	atomic_int ran[COUNT];
} *door;

static struct {
	struct forkpool *pool;
	struct fp_segment *seg;
	pid_t killed;
	enum path path;
	enum end end;
	unsigned k, points, failed_growths;
	pthread_t thread;
} h;

#define EXPECT(ok, format, ...) \
	ck_assert_msg((ok), "%s, %s at step %u: " format, path_names[h.path], \
		      end_names[h.end], h.k, __VA_ARGS__)

/* Waits for what comes soon, or fails. */
#define AWAIT(what) do { \
	int64_t until_ = fp_sys.clock() + CAP_NS; \
	while (!(what)) { \
		EXPECT(fp_sys.clock() < until_, "%s", #what); \
		sleep_a_little(); \
	} \
} while (0)

static void sleep_a_little(void)
{
	const struct timespec pause = { .tv_nsec = 100000 };

	nanosleep(&pause, NULL);
}

/* ---- Workers ---------------------------------------------------------------------------- */

/* The path of one that starts begins here, at the end of its hook. */
static __attribute__((noinline)) void go_in(void)
{
	__asm__ volatile("" ::: "memory");
}

static int wait_at_door(void *arg, unsigned id, void **state)
{
	(void)arg;
	(void)state;
	/* Where yama keeps processes from tracing each other. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (id != VICTIM || !atomic_load(&door->closed))
		return 0;
	atomic_store(&door->pid, getpid());
	while (atomic_load(&door->closed))
		sleep_a_little();
	go_in();
	return 0;
}

static int item(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)out;
	atomic_fetch_add(&door->ran[*(const int *)in], 1);
	return 0;
}

static bool pool_make(void)
{
	FORKPOOL_OPTS(opts, .workers = 2, .mode = FORKPOOL_PROCESSES, .arena_size = 1 << 20,
		      .worker_init = wait_at_door, .spin = -1);

	door = mmap(NULL, sizeof(*door), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (door == MAP_FAILED || forkpool_create(&h.pool, &opts))
		return false;
	h.seg = &h.pool->crew.seg;
	h.killed = 0;
	return true;
}

static void pool_open(void)
{
	ck_assert(pool_make());
}

static void pool_close(void)
{
	forkpool_destroy(h.pool);
	munmap(door, sizeof(*door));
}

static pid_t pid_of(uint32_t id)
{
	return (pid_t)fp_load_rlx(&fp_segment_worker(h.seg, id)->pid);
}

static bool at_rest(uint32_t id)
{
	struct fp_worker *w = fp_segment_worker(h.seg, id);

	/* As the worker itself stores it. */
	return pid_of(id) && pid_of(id) != h.killed && fp_load_acq(&w->leave) == FP_LEAVE_NO &&
	       fp_load_acq(&w->state) == FP_WORKER_READY &&
	       (fp_load_sc(&h.seg->ctl->asleep[0]) >> id & 1);
}

static void check_map(void)
{
	int in[COUNT], i, err;

	for (i = 0; i < COUNT; i++) {
		in[i] = i;
		atomic_store(&door->ran[i], 0);
	}
	err = forkpool_map(h.pool, item, in, sizeof(*in), NULL, 0, COUNT, NULL);
	EXPECT(!err, "the map ends with %d", err);
	for (i = 0; i < COUNT; i++)
		EXPECT(atomic_load(&door->ran[i]) == 1, "item %d ran %d times", i, door->ran[i]);
}

static void resize(unsigned workers)
{
	int err = forkpool_resize(h.pool, workers);

	EXPECT(!err, "resize to %u returns %d", workers, err);
}

/* ---- To the beginning of a path ------------------------------------------------------------ */

static void *grow(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)forkpool_resize(h.pool, 2);
}

/* One that sleeps is told to leave. */
static bool begin_to_leave(struct trace *t)
{
	if (!trace_seize(t, pid_of(VICTIM)))
		return false;
	trace_arm(t, FN(fp_run_leave));
	t->until = FN(_exit);
	resize(1);
	return trace_await(t, CAP_MS);
}

/* Its place is empty; one is started there. */
static bool begin_to_come_up(struct trace *t)
{
	pid_t old = pid_of(VICTIM);

	resize(1);
	AWAIT(kill(old, 0));
	atomic_store(&door->pid, 0);
	atomic_store(&door->closed, 1);
	ck_assert_int_eq(pthread_create(&h.thread, NULL, grow, NULL), 0);
	AWAIT(atomic_load(&door->pid));
	if (!trace_seize(t, atomic_load(&door->pid)))
		return false;
	trace_arm(t, FN(go_in));
	t->until = FN(fp_park_prepare);
	atomic_store(&door->closed, 0);
	return trace_await(t, CAP_MS);
}

/* Up to k steps; how many there were before the path ended. */
static unsigned go_on(struct trace *t, unsigned k)
{
	unsigned n;

	for (n = 0; n < k; n++) {
		EXPECT(n < MOST_STEPS, "%s", "the path does not end");
		if (trace_step(t) != TRACE_STEPPED)
			return n;
	}
	return n;
}

/* ---- One point --------------------------------------------------------------------------------- */

static void end_it(struct trace *t)
{
	if (h.end == KILLED) {
		h.killed = t->pid;
		trace_kill(t);
		return;
	}
	trace_stop(t);
	check_map();
	kill(t->pid, SIGCONT);
}

/* What the growth says to the end of one that it has started: no worker, or another. */
static void end_growth(void)
{
	void *ret;
	int err;

	pthread_join(h.thread, &ret);
	err = (int)(intptr_t)ret;
	EXPECT(!err || (h.end == KILLED && err == -FORKPOOL_ECRASHED), "the growth returns %d", err);
	h.failed_growths += err != 0;
}

static unsigned visit(unsigned k)
{
	struct trace t;
	unsigned n;

	h.k = k;
	AWAIT(at_rest(0) && at_rest(VICTIM));
	EXPECT(h.path == LEAVE ? begin_to_leave(&t) : begin_to_come_up(&t), "%s", "does not come by");
	n = go_on(&t, k);
	end_it(&t);
	if (h.path == COME_UP)
		end_growth();
	resize(2);
	check_map();
	h.points++;
	return n;
}

/* ---- All points --------------------------------------------------------------------------------- */

/* Of a path, or a sample: each must be reached, or else the path has ended. */
START_TEST(resized_anywhere)
{
	bool large = getenv("FORKPOOL_TORTURE") != NULL;
	unsigned len, k, stride;

	h.path = _i / 2 ? COME_UP : LEAVE;
	h.end = _i % 2 ? STOPPED : KILLED;
	len = visit(MOST_STEPS);
	stride = large ? 1 : len / SAMPLES + 1;
	for (k = 0; visit(k) >= k; k += stride)
		;
	if (large)
		printf("%s, %s: %u steps\n", path_names[h.path], end_names[h.end], len);
}
END_TEST

static bool possible(void)
{
	bool ok;

	if (!test_processes() || !pool_make())
		return false;
	/* The nursery stores it, maybe after the worker has said that it is ready. */
	while (!pid_of(0))
		sleep_a_little();
	ok = trace_possible(pid_of(0));
	pool_close();
	return ok;
}

int main(void)
{
	Suite *suite = suite_create("resize_anywhere");
	TCase *tc;
	int status;

	if (!possible())
		return TEST_SKIP;
	tc = test_case(suite, "resize");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, pool_open, pool_close);
	tcase_add_loop_test(tc, resized_anywhere, 0, 4);
	status = test_main(suite);
	printf("%u points; %u growths failed and were made again\n", h.points, h.failed_growths);
	return status;
}
