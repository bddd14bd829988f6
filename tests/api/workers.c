/* SPDX-License-Identifier: MIT */
/* What the options say of workers: where they run, how long they look for work, what they keep open. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "api/api.h"

#define WORKERS	5

/* ---- pin ------------------------------------------------------------------------------ */

struct board {
	atomic_int arrived;
	cpu_set_t sets[WORKERS];
};

static struct board *board;

static void board_open(void)
{
	board = shared_new(sizeof(*board));
}

static void board_close(void)
{
	shared_free(board, sizeof(*board));
}

static int note_set(void *arg, unsigned id, void **state)
{
	(void)arg;
	(void)state;
	if (sched_getaffinity(0, sizeof(board->sets[id]), &board->sets[id]))
		return -errno;
	atomic_fetch_add(&board->arrived, 1);
	return 0;
}

static int nothing(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	return 0;
}

static void check_works(struct forkpool *pool)
{
	ck_assert_int_eq(forkpool_map(pool, nothing, NULL, 0, NULL, 0, 100, NULL), 0);
}

static void check_pin(int pin, int mode)
{
	FORKPOOL_OPTS(opts, .workers = WORKERS, .mode = mode, .arena_size = 1 << 20, .pin = pin,
		      .worker_init = note_set);
	cpu_set_t own, after, all;
	struct forkpool *pool;
	int i, cpus;

	CPU_ZERO(&all);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(own), &own), 0);
	cpus = CPU_COUNT(&own);
	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(atomic_load(&board->arrived), WORKERS);
	for (i = 0; i < WORKERS; i++) {
		CPU_OR(&all, &all, &board->sets[i]);
		ck_assert_int_eq(CPU_COUNT(&board->sets[i]), pin ? 1 : cpus);
		/* In turn, where there are fewer CPUs. */
		if (pin && i >= cpus)
			ck_assert(CPU_EQUAL(&board->sets[i], &board->sets[i - cpus]));
	}
	ck_assert_int_eq(CPU_COUNT(&all), pin && cpus > WORKERS ? WORKERS : cpus);
	CPU_AND(&all, &all, &own);
	ck_assert_int_eq(CPU_COUNT(&all), pin && cpus > WORKERS ? WORKERS : cpus);
	check_works(pool);
	forkpool_destroy(pool);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
	ck_assert(CPU_EQUAL(&own, &after));
}

START_TEST(bound_to_one_cpu_each)
{
	static const int modes[] = { FORKPOOL_PROCESSES, FORKPOOL_THREADS };
	int mode = modes[_i / 3];

	if (mode == FORKPOOL_PROCESSES && !test_processes())
		return;
	check_pin(_i % 3, mode);
}
END_TEST

START_TEST(bound_within_the_mask)
{
	cpu_set_t own, one;
	int cpu = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(own), &own), 0);
	while (!CPU_ISSET(cpu, &own))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	check_pin(FORKPOOL_PIN_SPREAD, test_processes() ? FORKPOOL_PROCESSES : FORKPOOL_THREADS);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(own), &own), 0);
}
END_TEST

/* Who does not ask for bound workers does not carry what tells where CPUs lie. */
START_TEST(not_bound_without_hwloc)
{
	FORKPOOL_OPTS(opts, .workers = 1, .arena_size = 1 << 20);
	struct forkpool *pool;
	char line[4096];
	int found = 0;
	FILE *maps;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	maps = fopen("/proc/self/maps", "re");
	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps))
		found += strstr(line, "/libhwloc") != NULL;
	fclose(maps);
	ck_assert_int_eq(found, 0);
	forkpool_destroy(pool);
}
END_TEST

START_TEST(unknown_pins)
{
	static const int pins[] = { -1, 3, INT32_MAX, INT32_MIN };
	struct forkpool *mark = (struct forkpool *)&mark, *pool = mark;
	unsigned i;

	for (i = 0; i < 4; i++) {
		FORKPOOL_OPTS(opts, .workers = 1, .pin = pins[i]);

		ck_assert_int_eq(forkpool_create(&pool, &opts), -EINVAL);
	}
	ck_assert_ptr_eq(pool, mark);
}
END_TEST

/* ---- spin -------------------------------------------------------------------------------- */

static int64_t cpu_ms_of(pid_t pid)
{
	char path[64];
	unsigned long user = 0, system = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		user = system = 0;
	fclose(f);
	return (int64_t)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
}

static int give_pid(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	*(pid_t *)out = getpid();
	return 0;
}

/* One worker: does it spend CPU time although it has nothing to do? */
static void check_spin(int64_t spin, bool spins)
{
	FORKPOOL_OPTS(opts, .workers = 1, .mode = FORKPOOL_PROCESSES, .arena_size = 1 << 20,
		      .spin = spin);
	struct forkpool *pool;
	int64_t until, before;
	pid_t pid;

	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	ck_assert_int_eq(forkpool_map(pool, give_pid, NULL, 0, &pid, sizeof(pid), 1, NULL), 0);
	before = cpu_ms_of(pid);
	until = now_ms() + (spins ? HANG_S * 1000 : 300);
	/* However little of the machine is left for it. */
	while (now_ms() < until && cpu_ms_of(pid) - before < 20)
		sleep_ms(10);
	ck_assert_int_eq(now_ms() < until, spins);
	check_works(pool);
	/* One that looks for work for ever sees all the same that it is to leave. */
	ck_assert_int_eq(forkpool_resize(pool, 2), 0);
	ck_assert_int_eq(forkpool_resize(pool, 1), 0);
	ck_assert_int_eq(forkpool_close(pool), 0);
	ck_assert_int_eq(forkpool_join(pool, -1), 0);
	forkpool_destroy(pool);
}

START_TEST(how_long_it_looks_for_work)
{
	struct forkpool *pool;
	FORKPOOL_OPTS(bad, .workers = 1, .spin = -2);
	FORKPOOL_OPTS(worse, .workers = 1, .spin = INT64_MIN);

	ck_assert_int_eq(forkpool_create(&pool, &bad), -EINVAL);
	ck_assert_int_eq(forkpool_create(&pool, &worse), -EINVAL);
	if (!test_processes())
		return;
	check_spin(-1, false);
	check_spin(0, false);
	check_spin(1000, false);
	check_spin(INT64_MAX, true);
	check_spin(10 * HANG_S * 1000 * MS, true);
}
END_TEST

/* ---- keep_fds ------------------------------------------------------------------------------ */

#define KEPT	4

static int count_open(void *arg, const void *in, void *out)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int n = 0;

	(void)arg;
	(void)in;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(dir))
			n++;
	if (dir)
		closedir(dir);
	*(int *)out = n;
	return !dir;
}

/* Each one is the pipe's end that it was in the host. */
static int write_each(void *arg, const void *in, void *out)
{
	const int *fds = arg, *which = in;
	char byte = (char)('a' + *which);

	(void)out;
	return write(fds[*which], &byte, 1) != 1;
}

static void open_pipes(int ends[KEPT], int keep[KEPT])
{
	static const int at[KEPT] = { 3, 900, 100, 101 };
	int pipes[2], i;

	for (i = 0; i < KEPT; i++) {
		ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
		ends[i] = fcntl(pipes[0], F_DUPFD_CLOEXEC, 20);
		close(pipes[0]);
		/* 3 may be somebody's. */
		keep[i] = fcntl(pipes[1], F_DUPFD_CLOEXEC, at[i]);
		close(pipes[1]);
		ck_assert_int_ge(keep[i], 0);
	}
}

START_TEST(descriptors_are_kept)
{
	int ends[KEPT], keep[KEPT], listed[KEPT + 3], in[KEPT], open = -1, i;
	FORKPOOL_OPTS(opts, .workers = 1, .mode = FORKPOOL_PROCESSES, .arena_size = 1 << 20,
		      .keep_fds = listed, .keep_fds_count = KEPT + 3);
	struct forkpool *pool;
	char byte;

	if (!test_processes())
		return;
	open_pipes(ends, keep);
	memcpy(listed, keep, sizeof(keep));
	/* Once more, and one that is kept anyway. */
	listed[KEPT] = keep[1];
	listed[KEPT + 1] = 1;
	listed[KEPT + 2] = 2;
	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	memset(listed, -1, sizeof(listed));
	for (i = 0; i < KEPT; i++) {
		in[i] = i;
		/* Our own copy is not needed any more. */
		close(keep[i]);
	}
	ck_assert_int_eq(forkpool_map(pool, count_open, NULL, 0, &open, sizeof(open), 1, NULL), 0);
	/* And the eventfd of callbacks. */
	ck_assert_int_eq(open, KEPT + 1);
	ck_assert_int_eq(forkpool_map(pool, write_each, in, sizeof(*in), NULL, 0, KEPT,
			&(const struct forkpool_job_opts){ .sz = sizeof(struct forkpool_job_opts),
							   .arg = keep, .arg_size = sizeof(keep) }), 0);
	for (i = 0; i < KEPT; i++) {
		ck_assert_int_eq(read(ends[i], &byte, 1), 1);
		ck_assert_int_eq(byte, 'a' + i);
	}
	forkpool_destroy(pool);
	/* With the pool the last copy is gone. */
	for (i = 0; i < KEPT; i++) {
		ck_assert_int_eq(read(ends[i], &byte, 1), 0);
		close(ends[i]);
	}
}
END_TEST

START_TEST(descriptors_that_are_not_open)
{
	static const int bad[] = { -1, 1000000, INT32_MIN, INT32_MAX };
	struct forkpool *mark = (struct forkpool *)&mark, *pool = mark;
	FORKPOOL_OPTS(none, .workers = 1, .keep_fds_count = 1);
	int list[2] = { 0 };
	unsigned i;

	ck_assert_int_eq(forkpool_create(&pool, &none), -EINVAL);
	for (i = 0; i < 4; i++) {
		FORKPOOL_OPTS(opts, .workers = 1, .keep_fds = list, .keep_fds_count = 2);

		list[1] = bad[i];
		ck_assert_int_eq(forkpool_create(&pool, &opts), -EBADF);
	}
	ck_assert_ptr_eq(pool, mark);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("workers");
	/* First: what is loaded stays. */
	TCase *tc = test_case(suite, "lean");

	tcase_add_test(tc, not_bound_without_hwloc);
	tc = test_case(suite, "pin");
	tcase_add_checked_fixture(tc, board_open, board_close);
	tcase_add_loop_test(tc, bound_to_one_cpu_each, 0, 6);
	tcase_add_test(tc, bound_within_the_mask);
	tcase_add_test(tc, unknown_pins);
	tc = test_case(suite, "spin");
	tcase_add_test(tc, how_long_it_looks_for_work);
	tc = test_case(suite, "keep_fds");
	tcase_add_test(tc, descriptors_are_kept);
	tcase_add_test(tc, descriptors_that_are_not_open);
	return test_main(suite);
}
