/* SPDX-License-Identifier: MIT */
/*
 * Signals at random workers while maps run, and items that end their workers
 * themselves: no item is lost, none is reported wrongly, nothing hangs and
 * nothing is left behind.  FORKPOOL_TORTURE=1 makes
 * it take minutes.
 *
 * A death outside an item counts towards breaking the pool, and so it should;
 * so the storm aims at workers that are at work, which a look at the segment
 * tells, and stops between maps.  It still hits some outside.
 */
#include "test.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/pool.h"
#include "os/sys.h"
#include "proc/recover.h"

#define WORKERS		6
#define ITEMS		5000
#define ITEM_NS		100000
#define SECONDS		3
#define TORTURE		40	/* times as long */
#define STOPPED_NS	10000000
#define BOMBS_MOST	2000
#define NS_PER_S	1000000000

struct storm {
	struct forkpool *pool;
	const int *signals;	/* to choose from; SIGSTOP goes with a SIGCONT */
	unsigned choices;
	unsigned per_second;
	unsigned random;
	bool resizes;
	_Atomic bool mapping, over;
	_Atomic unsigned deadly;	/* signals sent that end a process */
};

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

/* ---- Victims ---------------------------------------------------------------------------- */

/* The parent of a process of that name (or one that starts so); 0 when it is another. */
static pid_t parent_if(pid_t pid, const char *name)
{
	char path[64], found[64] = "";
	FILE *file;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%*d (%63[^)]) %*c %d", found, &parent) != 2)
		parent = 0;
	fclose(file);
	return strncmp(found, name, strlen(name)) ? 0 : parent;
}

static bool is_ours(pid_t worker)
{
	pid_t nursery = parent_if(worker, "fp-worker-");
	pid_t keeper = nursery ? parent_if(nursery, "fp-nursery") : 0;

	return keeper && parent_if(keeper, "fp-keeper") == getpid();
}

/* Workers of this process's pool, by a walk through /proc; how many. */
static int find_workers(pid_t *list, int room)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int n = 0;

	while (dir && n < room && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]) && is_ours(atoi(entry->d_name)))
			list[n++] = atoi(entry->d_name);
	if (dir)
		closedir(dir);
	return n;
}

static bool inside_item(const struct storm *s, pid_t pid)
{
	const struct fp_crew *crew = &s->pool->crew;
	uint32_t id;

	for (id = 0; id < WORKERS; id++) {
		struct fp_worker *w = fp_segment_worker(&crew->seg, id);

		if (fp_load_rlx(&w->pid) == (uint32_t)pid)
			return fp_recover_busy(crew, id) &&
			       fp_load_rlx(&w->base.pos) != FP_POS_NONE;
	}
	return false;
}

/* A descriptor first, so that no other process can have got the number since. */
static void strike(struct storm *s, pid_t pid, int signal)
{
	int fd = fp_sys.pidfd(pid);

	if (fd < 0)
		return;
	if (is_ours(pid) && atomic_load(&s->mapping) && inside_item(s, pid)) {
		if (signal != SIGSTOP)
			atomic_fetch_add(&s->deadly, 1);
		fp_sys.pidfd_kill(fd, signal);
		if (signal == SIGSTOP) {
			pause_for(STOPPED_NS);
			fp_sys.pidfd_kill(fd, SIGCONT);
		}
	}
	fp_sys.close(fd);
}

static void *storm_main(void *arg)
{
	struct storm *s = arg;
	pid_t list[WORKERS];
	int n;

	while (!atomic_load(&s->over)) {
		pause_for(NS_PER_S / s->per_second);
		n = atomic_load(&s->mapping) ? find_workers(list, WORKERS) : 0;
		s->random = (unsigned)mix(s->random + 1u);
		if (n > 0)
			strike(s, list[s->random % (unsigned)n],
			       s->signals[(s->random >> 8) % s->choices]);
	}
	return NULL;
}

/* Meanwhile the crew grows and shrinks; a worker that is killed as it starts is a failure. */
static void *resize_main(void *arg)
{
	struct storm *s = arg;
	unsigned random = s->random;
	int err;

	while (!atomic_load(&s->over)) {
		random = (unsigned)mix(random + 1u);
		err = forkpool_resize(s->pool, 1 + random % WORKERS);
		if (err && err != -FORKPOOL_ECRASHED)
			return s;
		pause_for(random % (NS_PER_S / 200));
	}
	return NULL;
}

/* ---- Maps --------------------------------------------------------------------------------- */

static int item(void *arg, const void *in, void *out)
{
	int64_t until = fp_sys.clock() + ITEM_NS;
	uint64_t x = *(const uint64_t *)in;

	(void)arg;
	while (fp_sys.clock() < until)
		;
	*(uint64_t *)out = mix(x);
	return 0;
}

static bool expected(const struct storm *s, int signal)
{
	unsigned i;

	for (i = 0; i < s->choices; i++)
		if (s->signals[i] == signal && signal != SIGSTOP)
			return true;
	return false;
}

/* Each item is right, or reported as crashed of a signal that was sent; how many are. */
static unsigned check_items(const struct storm *s, const uint64_t *in,
			    const uint64_t *out, const struct forkpool_status *status)
{
	unsigned crashed = 0;
	int i;

	for (i = 0; i < ITEMS; i++) {
		ck_assert_int_gt(status[i].worker, 0);
		ck_assert_uint_ge(status[i].attempts, 1);
		if (status[i].outcome == FORKPOOL_ITEM_CRASHED) {
			ck_assert_msg(expected(s, status[i].code), "item %d: signal %d", i,
				      status[i].code);
			crashed++;
			continue;
		}
		ck_assert_msg(status[i].outcome == FORKPOOL_ITEM_OK && status[i].code == 0,
			      "item %d: outcome %d, code %d", i, status[i].outcome,
			      status[i].code);
		ck_assert_msg(out[i] == mix(in[i]), "item %d is wrong", i);
	}
	return crashed;
}

static void check_first(const struct forkpool_status *status, size_t first)
{
	size_t i;

	for (i = 0; i < first; i++)
		ck_assert_int_eq(status[i].outcome, FORKPOOL_ITEM_OK);
	ck_assert_int_eq(status[first].outcome, FORKPOOL_ITEM_CRASHED);
}

/* One map; how many items were lost. */
static unsigned run_map(struct storm *s, unsigned retries, unsigned round)
{
	static struct forkpool_status status[ITEMS];
	static uint64_t in[ITEMS], out[ITEMS];
	size_t first = ITEMS;
	unsigned crashed;
	int err, i;

	for (i = 0; i < ITEMS; i++)
		in[i] = mix(round * ITEMS + (unsigned)i);
	memset(out, 0, sizeof(out));
	atomic_store(&s->mapping, true);
	err = FORKPOOL_MAP(s->pool, item, in, out, ITEMS, .status = status,
			   .retries = retries, .first_failure = &first);
	atomic_store(&s->mapping, false);
	ck_assert_msg(err == 0 || (!retries && err == -FORKPOOL_ECRASHED),
		      "the map returned %d, %s", err, forkpool_strerror(err));
	crashed = check_items(s, in, out, status);
	ck_assert_int_eq(err != 0, crashed != 0);
	if (err)
		check_first(status, first);
	return crashed;
}

static int64_t length_of(int seconds)
{
	const char *torture = getenv("FORKPOOL_TORTURE");

	return (int64_t)seconds * NS_PER_S * (torture && atoi(torture) ? TORTURE : 1);
}

static void run_storm(const int *signals, unsigned choices, unsigned per_second,
		      unsigned retries, unsigned share)
{
	FORKPOOL_OPTS(opts, .workers = WORKERS, .max_items_per_worker = share);
	struct storm s = {
		.signals = signals, .choices = choices, .per_second = per_second,
		.random = (unsigned)time(NULL), .resizes = share,
	};
	unsigned crashed = 0, round = 0;
	pthread_t thread, resizer;
	void *bad = NULL;
	int64_t until;

	ck_assert_int_eq(forkpool_create(&s.pool, &opts), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, storm_main, &s), 0);
	if (s.resizes)
		ck_assert_int_eq(pthread_create(&resizer, NULL, resize_main, &s), 0);
	until = fp_sys.clock() + length_of(SECONDS);
	while (fp_sys.clock() < until || atomic_load(&s.deadly) == 0)
		crashed += run_map(&s, retries, round++);
	atomic_store(&s.over, true);
	pthread_join(thread, NULL);
	if (s.resizes)
		pthread_join(resizer, &bad);
	ck_assert_ptr_null(bad);
	forkpool_destroy(s.pool);
	ck_assert_uint_le(crashed, atomic_load(&s.deadly));
}

/* ---- Items that end their worker themselves --------------------------------------------------- */

struct bomb {
	unsigned fuse;		/* attempts that end the worker; then it is well */
	unsigned index;
};

struct bombs {
	unsigned *ran;		/* attempts of each item, in the segment */
	struct bomb *all;	/* for ranges */
};

static void light(const struct bombs *bombs, const struct bomb *bomb)
{
	if (++bombs->ran[bomb->index] > bomb->fuse)
		return;
	if (bomb->index % 3 == 0)
		exit((int)(bomb->index % 100));
	raise(bomb->index % 3 == 1 ? SIGKILL : SIGTERM);
}

static int bomb_item(void *arg, const void *in, void *out)
{
	const struct bomb *bomb = in;

	light(arg, bomb);
	*(unsigned *)out = bomb->index + 1;
	return 0;
}

static int bomb_range(void *arg, size_t begin, size_t end)
{
	const struct bombs *bombs = arg;
	size_t i;

	for (i = begin; i < end; i++)
		light(bombs, &bombs->all[i]);
	return 0;
}

/* Whether the item is lost. */
static bool check_bomb(const struct bomb *bomb, unsigned retries, unsigned out,
		       const struct forkpool_status *st)
{
	static const int outcomes[] = { FORKPOOL_ITEM_EXITED, FORKPOOL_ITEM_CRASHED,
					FORKPOOL_ITEM_CRASHED };
	const int codes[] = { (int)(bomb->index % 100), SIGKILL, SIGTERM };

	if (bomb->fuse <= retries) {
		ck_assert_int_eq(st->outcome, FORKPOOL_ITEM_OK);
		ck_assert_uint_eq(st->attempts, bomb->fuse + 1);
		ck_assert_uint_eq(out, bomb->index + 1);
		return false;
	}
	ck_assert_int_eq(st->outcome, outcomes[bomb->index % 3]);
	ck_assert_int_eq(st->code, codes[bomb->index % 3]);
	ck_assert_uint_eq(st->attempts, retries + 1);
	return true;
}

/*
 * The same in a range.  With retries a range is halved at no charge until the item is
 * alone, and each time its fuse gets shorter: so it may end well with a fuse that is
 * longer than its retries.  Without, it need not have run where its range crashed.
 */
static bool check_in_range(const struct bomb *bomb, unsigned retries, unsigned ran)
{
	if (!retries)
		return bomb->fuse;
	ck_assert_uint_ge(ran, fp_min(retries, bomb->fuse) + 1);
	return ran <= bomb->fuse;
}

/* Bombs in a fifth of the items, or in a row at the start. */
static void plant(struct bomb *bombs, unsigned *count, unsigned random)
{
	bool row = random % 2;
	unsigned i;

	*count = 20 + random / 2 % (row ? 100 : BOMBS_MOST - 20);
	for (i = 0; i < *count; i++) {
		random = (unsigned)mix(random + i + 1);
		bombs[i] = (struct bomb){
			.index = i,
			.fuse = row || random % 5 == 0 ? 1 + random / 5 % 3 : 0,
		};
	}
}

static void run_bombs(struct forkpool *pool, unsigned random, bool ranges)
{
	static struct forkpool_status status[BOMBS_MOST];
	static unsigned out[BOMBS_MOST];
	struct bomb *all = forkpool_shm_calloc(pool, BOMBS_MOST, sizeof(*all));
	unsigned *ran = forkpool_shm_calloc(pool, BOMBS_MOST, sizeof(*ran));
	const struct bombs bombs = { ran, all };
	unsigned retries = random % 4, count, i, lost = 0;
	FORKPOOL_JOB_OPTS(opts, .arg = (void *)&bombs, .arg_size = sizeof(bombs),
			  .retries = retries, .chunk = random / 4 % 3 * 50);
	int err;

	plant(all, &count, random / 16);
	opts.status = ranges ? NULL : status;
	err = ranges ? forkpool_for(pool, bomb_range, 0, count, &opts)
		     : forkpool_map(pool, bomb_item, all, sizeof(*all), out, sizeof(*out),
				    count, &opts);
	for (i = 0; i < count; i++) {
		if (ranges)
			lost += check_in_range(&all[i], retries, ran[i]);
		else
			lost += check_bomb(&all[i], retries, out[i], &status[i]);
	}
	ck_assert_int_eq(err, lost ? -FORKPOOL_ECRASHED : 0);
	forkpool_shm_free(pool, ran);
	forkpool_shm_free(pool, all);
}

static const unsigned crews[] = { 1, 2, WORKERS };

START_TEST(items_that_end_their_worker)
{
	FORKPOOL_OPTS(opts, .workers = crews[_i / 2], .arena_size = 1 << 20);
	unsigned random = (unsigned)time(NULL);
	struct forkpool *pool;
	int64_t until;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	until = fp_sys.clock() + length_of(1) / 2;
	do {
		random = (unsigned)mix(random + 1u);
		run_bombs(pool, random, _i % 2);
	} while (fp_sys.clock() < until);
	forkpool_destroy(pool);
}
END_TEST

/* ---- The tests ------------------------------------------------------------------------------ */

START_TEST(killed_items_run_again)
{
	static const int signals[] = { SIGKILL };

	run_storm(signals, 1, 20, 3, 0);
}
END_TEST

START_TEST(killed_items_are_reported)
{
	static const int signals[] = { SIGKILL };

	run_storm(signals, 1, 20, 0, 0);
}
END_TEST

START_TEST(all_kinds_of_signals)
{
	static const int signals[] = { SIGKILL, SIGSEGV, SIGSTOP };

	run_storm(signals, 3, 50, 0, 0);
}
END_TEST

START_TEST(resized_and_replaced_meanwhile)
{
	static const int signals[] = { SIGKILL, SIGSTOP };

	run_storm(signals, 2, 50, _i ? 3 : 0, 500);
}
END_TEST

int main(void)
{
	const struct rlimit no_cores = { 0, 0 };
	Suite *suite = suite_create("storm");
	TCase *tc = test_case(suite, "storm");

	if (!test_processes())
		return TEST_SKIP;
	setrlimit(RLIMIT_CORE, &no_cores);
	tcase_add_test(tc, killed_items_run_again);
	tcase_add_test(tc, killed_items_are_reported);
	tcase_add_test(tc, all_kinds_of_signals);
	tcase_add_loop_test(tc, resized_and_replaced_meanwhile, 0, 2);
	tc = test_case(suite, "bombs");
	tcase_add_loop_test(tc, items_that_end_their_worker, 0, 6);
	return test_main(suite);
}
