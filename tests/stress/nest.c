/* SPDX-License-Identifier: MIT */
/*
 * Workers are killed at random while items map, three levels deep: every result
 * is right, each item of the host's map has ended once, nothing hangs, and
 * nothing is left in the heap.  FORKPOOL_TORTURE=1 makes it take minutes.
 *
 * A death outside an item may count towards breaking the pool, so each item says
 * on a board which process it is in, and only what stands there is killed.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/pool.h"
#include "os/sys.h"
#include "shm/mend.h"

#define WORKERS		4
#define OUTER		40
#define WIDTH		6		/* items of each nested map */
#define LEVELS		3		/* maps from the host to the leaves */
#define LEAF_NS		30000
#define SECONDS		3
#define TORTURE		40		/* times as long */
#define KILLS_PER_S	20
#define RETRIES		1000
#define NS_PER_S	1000000000
#define CAP		(30ll * NS_PER_S)

/* Made before the pool. */
struct board {
	_Atomic pid_t at_work[WORKERS];	/* by worker; 0 = in no item */
	_Atomic unsigned starts[OUTER];	/* of the items of the host's map */
};

struct storm {
	struct forkpool *pool;
	struct board *board;
	unsigned random;
	_Atomic bool over;
	_Atomic unsigned kills;
};

struct node {
	uint32_t level;
	uint64_t base;
};

static struct board *board;

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void pause_for(int64_t ns)
{
	const struct timespec time = { ns / NS_PER_S, ns % NS_PER_S };

	nanosleep(&time, NULL);
}

static int64_t length(void)
{
	const char *torture = getenv("FORKPOOL_TORTURE");

	return (int64_t)SECONDS * NS_PER_S * (torture && atoi(torture) ? TORTURE : 1);
}

/* ---- Items ------------------------------------------------------------------------------------ */

static struct node child_of(const struct node *n, uint64_t i)
{
	return (struct node){ n->level + 1, n->base * WIDTH + i + 1 };
}

static uint64_t sum_of(const struct node *n)
{
	struct node child;
	uint64_t sum = 0, i;

	if (n->level == LEVELS - 1)
		return mix(n->base);
	for (i = 0; i < WIDTH; i++) {
		child = child_of(n, i);
		sum += sum_of(&child);
	}
	return sum;
}

/* The memory of a leaf's result, as long as it needs it, is shared, too. */
static int leaf(uint64_t base, uint64_t *sum)
{
	int64_t until = fp_sys.clock() + LEAF_NS;
	uint64_t *block = forkpool_shm_alloc(forkpool_current(), 8 + base % 3000);

	if (!block)
		return 1;
	*block = mix(base);
	while (fp_sys.clock() < until)
		;
	*sum = *block;
	forkpool_shm_free(forkpool_current(), block);
	return 0;
}

static int tree(void *arg, const void *in, void *out);

static int branch(const struct node *n, uint64_t *sum)
{
	struct node children[WIDTH];
	uint64_t *sums = forkpool_shm_calloc(forkpool_current(), WIDTH, sizeof(*sums)), total = 0;
	int err, i;

	if (!sums)
		return 2;
	for (i = 0; i < WIDTH; i++)
		children[i] = child_of(n, (uint64_t)i);
	err = FORKPOOL_MAP(forkpool_current(), tree, children, sums, WIDTH, .retries = RETRIES);
	for (i = 0; i < WIDTH; i++)
		total += sums[i];
	forkpool_shm_free(forkpool_current(), sums);
	*sum = total;
	return err ? 3 : 0;
}

static int tree(void *arg, const void *in, void *out)
{
	const struct node *n = in;
	_Atomic pid_t *at_work = &board->at_work[forkpool_worker_id()];
	pid_t before = atomic_load(at_work);
	int err;

	(void)arg;
	atomic_store(at_work, getpid());
	if (n->level == 0)
		atomic_fetch_add(&board->starts[n->base], 1);
	err = n->level == LEVELS - 1 ? leaf(n->base, out) : branch(n, out);
	/* What a worker that was killed has left there was not us. */
	atomic_store(at_work, before == getpid() ? before : 0);
	return err;
}

/* ---- The storm ------------------------------------------------------------------------------------ */

/* The board may name one that has died, whose number somebody else has got since. */
static bool is_worker(pid_t pid)
{
	char path[32], name[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = 0;
	fclose(file);
	return strncmp(name, "fp-worker-", 10) == 0;
}

/* A descriptor first, so that nobody can get the number while we look. */
static void strike(struct storm *s, unsigned id)
{
	pid_t pid = atomic_load(&s->board->at_work[id]);
	int fd = pid ? fp_sys.pidfd(pid) : -1;

	if (fd < 0)
		return;
	if (is_worker(pid) && atomic_load(&s->board->at_work[id]) == pid && !fp_sys.pidfd_kill(fd, SIGKILL))
		atomic_fetch_add(&s->kills, 1);
	fp_sys.close(fd);
}

static void *storm_main(void *arg)
{
	struct storm *s = arg;

	while (!atomic_load(&s->over)) {
		pause_for(NS_PER_S / KILLS_PER_S);
		s->random = (unsigned)mix(s->random);
		strike(s, s->random % WORKERS);
	}
	return NULL;
}

static void run_map(struct storm *s, unsigned round)
{
	struct node in[OUTER];
	uint64_t out[OUTER] = { 0 };
	struct forkpool_status status[OUTER];
	int err, i;

	for (i = 0; i < OUTER; i++) {
		in[i] = (struct node){ 0, (uint64_t)i };
		atomic_store(&s->board->starts[i], 0);
	}
	err = FORKPOOL_MAP(s->pool, tree, in, out, OUTER, .status = status, .retries = RETRIES);
	for (i = 0; i < OUTER; i++) {
		ck_assert_msg(status[i].outcome == FORKPOOL_ITEM_OK, "round %u, item %d: outcome %d, code %d",
			      round, i, status[i].outcome, status[i].code);
		ck_assert_msg(out[i] == sum_of(&in[i]), "round %u, item %d is wrong", round, i);
		/* It may be charged for a death right before its function, or behind it. */
		ck_assert_uint_le(atomic_load(&s->board->starts[i]), status[i].attempts);
	}
	ck_assert_msg(err == 0, "the map: %s", forkpool_strerror(err));
}

/* ---- What is left ----------------------------------------------------------------------------------- */

static struct fp_heap_count heap_of(const struct storm *s)
{
	const struct fp_heap_place place = fp_segment_heap(&s->pool->crew.seg, false);
	struct fp_heap_count count;
	struct fp_units units;

	fp_units_view(&units, &place, FP_HEAP_NURSERY);
	fp_heap_count(&units, &count);
	return count;
}

/* The last deaths may still be being mended. */
static void check_heap(const struct storm *s, const struct fp_heap_count *before)
{
	int64_t until = fp_sys.clock() + CAP;
	struct fp_heap_count now;

	do {
		now = heap_of(s);
		if (now.runs == before->runs && now.objects == before->objects && !now.passing)
			return;
		pause_for(NS_PER_S / 100);
	} while (fp_sys.clock() < until);
	ck_abort_msg("%lld runs and %lld objects are left, %d pass", (long long)(now.runs - before->runs),
		     (long long)(now.objects - before->objects), (int)now.passing);
}

START_TEST(workers_die_while_items_map)
{
	FORKPOOL_OPTS(opts, .workers = WORKERS, .arena_size = 64 << 20);
	struct storm s = { .random = (unsigned)time(NULL) };
	struct fp_heap_count before;
	unsigned round = 0;
	pthread_t thread;
	int64_t until;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	s.board = board;
	ck_assert_int_eq(forkpool_create(&s.pool, &opts), 0);
	before = heap_of(&s);
	ck_assert_int_eq(pthread_create(&thread, NULL, storm_main, &s), 0);
	until = fp_sys.clock() + length();
	while (fp_sys.clock() < until || atomic_load(&s.kills) == 0)
		run_map(&s, round++);
	atomic_store(&s.over, true);
	pthread_join(thread, NULL);
	run_map(&s, round);
	check_heap(&s, &before);
	forkpool_destroy(s.pool);
	munmap(board, sizeof(*board));
}
END_TEST

int main(void)
{
	Suite *suite;
	TCase *storm;

	if (!test_processes())
		return TEST_SKIP;
	suite = suite_create("nest");
	storm = test_case(suite, "storm");
	tcase_add_test(storm, workers_die_while_items_map);
	return test_main(suite);
}
