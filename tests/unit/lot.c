/* SPDX-License-Identifier: MIT */
/*
 * Waiting and waking by semaphores.  The parking lot is linked into this program
 * in every build, also where the library waits by futexes.
 */
#include "os/wait.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "test.h"

#define MS		((int64_t)1000000)
#define CAP_NS		(20000 * MS)	/* nothing takes so long */
#define SLEEPERS	4
#define ROUNDS		2000
#define KEYS		FP_WAIT_MOST

/* What processes share: words, and their lot. */
struct area {
	fp_a32 words[KEYS];
	fp_a32 ready, up[SLEEPERS + 2];
	FP_ALIGNED char lot[];
};

static struct area *area;
static struct fp_lot lot;
static size_t area_size;

static void lot_begin(void)
{
	void *p;

	area_size = fp_round_up(sizeof(*area) + fp_lot_size(SLEEPERS), FP_PAGE);
	ck_assert_int_eq(fp_sys.map(&p, NULL, area_size, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0), 0);
	area = p;
	lot = (struct fp_lot){ area->lot, SLEEPERS, area, sizeof(*area) };
	ck_assert_int_eq(fp_lot_open(&lot), 0);
}

static void lot_end(void)
{
	fp_lot_close(&lot);
	fp_sys.unmap(area, area_size);
}

static void nap(void)
{
	fp_sys.poll(NULL, 0, fp_deadline(MS / 10));
}

/* Until the word has this value. */
static void await(fp_a32 *word, uint32_t value)
{
	int64_t until = fp_sys.clock() + CAP_NS;

	while (fp_load_sc(word) != value) {
		ck_assert(fp_sys.clock() < until);
		nap();
	}
}

/* Wakes so many there, as soon as so many wait. */
static void wake_some(fp_a32 *word, int count)
{
	int64_t until = fp_sys.clock() + CAP_NS;
	int woken = 0;

	while (woken < count) {
		ck_assert(fp_sys.clock() < until);
		woken += fp_wait_wake(word, count - woken);
		nap();
	}
	ck_assert_int_eq(woken, count);
}

/* ---- One process ---------------------------------------------------------------------- */

START_TEST(values_and_deadlines)
{
	fp_a32 own[2] = { 1, 2 }, *a = _i ? own : area->words, *b = a + 1;
	int64_t start = fp_sys.clock();

	fp_store_sc(a, 1);
	fp_store_sc(b, 2);
	errno = 4711;
	ck_assert_int_eq(fp_wait_one(a, 0, FP_FOREVER), -EAGAIN);
	ck_assert_int_eq(fp_wait_one(a, 1, -5), -ETIMEDOUT);
	ck_assert_int_eq(fp_wait_one(a, 1, start + 3 * MS), -ETIMEDOUT);
	ck_assert(fp_sys.clock() >= start + 3 * MS);
	ck_assert_int_eq(fp_wait_two(a, 1, b, 0, FP_FOREVER), -EAGAIN);
	ck_assert_int_eq(fp_wait_two(a, 1, b, 2, 0), -ETIMEDOUT);
	ck_assert_int_eq(fp_wait_two(a, 1, b, 2, FP_FOREVER), -EINTR);
	ck_assert(fp_sys.clock() >= start + 50 * MS);
	ck_assert_int_eq(fp_wait_exit(a, 0, FP_FOREVER), -EAGAIN);
	ck_assert_int_eq(fp_wait_exit(a, 1, start), -ETIMEDOUT);
	ck_assert_int_eq(fp_wait_wake(a, INT32_MAX), 0);
	ck_assert_int_eq(errno, 4711);
}
END_TEST

struct sleeper {
	pthread_t thread;
	fp_a32 *word;
	uint32_t index;
	int err;
};

/* One wait, whatever ends it. */
static void *sleep_once(void *arg)
{
	struct sleeper *s = arg;

	s->err = fp_wait_one(s->word, 0, fp_deadline(CAP_NS));
	/* Only woken by a post: the words do not change here. */
	fp_store_sc(&area->up[s->index], 1);
	return NULL;
}

static void sleeper_start(struct sleeper *s, uint32_t index, fp_a32 *word)
{
	*s = (struct sleeper){ .word = word, .index = index };
	ck_assert_int_eq(pthread_create(&s->thread, NULL, sleep_once, s), 0);
}

static uint32_t count_up(void)
{
	uint32_t i, n = 0;

	for (i = 0; i < SLEEPERS + 2; i++)
		n += fp_load_sc(&area->up[i]);
	return n;
}

/* n wake-ups reach n sleepers, and no others. */
START_TEST(as_many_as_asked_for)
{
	struct sleeper s[SLEEPERS];
	uint32_t i;

	for (i = 0; i < SLEEPERS; i++)
		sleeper_start(&s[i], i, &area->words[i == 3]);
	for (i = 1; i <= 3; i++) {
		wake_some(&area->words[0], 1);
		while (count_up() < i)
			nap();
		ck_assert_uint_eq(count_up(), i);
	}
	ck_assert_uint_eq(fp_load_sc(&area->up[3]), 0);
	ck_assert_int_eq(fp_wait_wake(&area->words[0], 1), 0);
	wake_some(&area->words[1], 1);
	for (i = 0; i < SLEEPERS; i++) {
		pthread_join(s[i].thread, NULL);
		ck_assert_int_eq(s[i].err, 0);
	}
}
END_TEST

static void *sleep_on_many(void *arg)
{
	struct fp_wait list[KEYS];
	fp_a32 *own = arg;
	unsigned i;

	for (i = 0; i < KEYS; i++)
		list[i] = (struct fp_wait){ &area->words[i], 0 };
	/* Of the process's own, but waited for with the others. */
	list[0].word = own;
	while (fp_wait_many(list, KEYS, fp_deadline(CAP_NS)) == -EINTR)
		;
	return NULL;
}

/* Any of many words, one that lies elsewhere among them. */
START_TEST(any_of_many)
{
	static fp_a32 own;
	pthread_t thread;

	fp_lot_share(&lot, &own);
	ck_assert_int_eq(pthread_create(&thread, NULL, sleep_on_many, &own), 0);
	wake_some(_i ? &area->words[KEYS - 1] : &own, 1);
	pthread_join(thread, NULL);
}
END_TEST

/* With more sleepers than places the others look again and again. */
START_TEST(more_sleepers_than_places)
{
	struct sleeper s[SLEEPERS + 2];
	uint32_t i;

	for (i = 0; i < SLEEPERS + 2; i++)
		sleeper_start(&s[i], i, &area->words[0]);
	while (count_up() < 2)
		nap();
	for (i = 0; i < SLEEPERS; i++) {
		ck_assert_uint_eq(count_up(), 2 + i);
		wake_some(&area->words[0], 1);
		while (count_up() == 2 + i)
			nap();
	}
	for (i = 0; i < SLEEPERS + 2; i++) {
		pthread_join(s[i].thread, NULL);
		ck_assert(s[i].err == 0 || s[i].err == -EINTR);
	}
}
END_TEST

/* Whatever stands there: no crash, no hang; waits end, if late. */
START_TEST(garbage)
{
	size_t i, size = fp_lot_size(SLEEPERS), each = (size - FP_LINE) / SLEEPERS;
	unsigned seed = 1 + (unsigned)_i;

	for (i = 0; i < size; i++)
		area->lot[i] = (char)(_i == 0 ? 0xff : rand_r(&seed) >> 8);
	/* Free places, used before, no post, no waiters: only what the C library keeps behind those is garbage. */
	for (i = 0; i < SLEEPERS && _i % 2; i++) {
		memset(area->lot + FP_LINE + i * each, 0, 24);
		area->lot[FP_LINE + i * each] = 1 << 2;
	}
	fp_wait_wake(&area->words[0], INT32_MAX);
	fp_wait_wake(&area->words[0], 1);
	fp_wait_two(&area->words[0], 0, &area->words[1], 0, fp_deadline(10 * MS));
	fp_lot_bury(&lot, getpid());
	ck_assert_int_eq(fp_wait_two(&area->words[0], 1, &area->words[1], 0, FP_FOREVER), -EAGAIN);
	memset(area->lot, 0, size);
}
END_TEST

/* ---- Several -------------------------------------------------------------------------- */

/* The child of a process that had a lot has none: what it does with those words is its own affair. */
START_TEST(lots_are_not_inherited)
{
	siginfo_t info = { 0 };
	pid_t pid = fork();
	uint32_t i;

	if (pid == 0) {
		/* More than there are places: what was inherited is used again. */
		for (i = 0; i < 1024; i++)
			if (fp_lot_open(&lot))
				_exit(1);
		_exit(fp_lot_open(&lot) == -EMFILE ? 0 : 2);
	}
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
	ck_assert_int_eq(info.si_status, 0);
}
END_TEST

static _Noreturn void child_sleeps(fp_a32 *word)
{
	if (fp_lot_open(&lot))
		_exit(1);
	fp_add_sc(&area->ready, 1);
	while (fp_load_sc(word) == 0)
		fp_wait_one(word, 0, FP_FOREVER);
	_exit(0);
}

/* Killed asleep, one after the other: buried, their places serve again. */
START_TEST(the_dead_are_buried)
{
	siginfo_t info = { 0 };
	pid_t pid;
	int i;

	for (i = 0; i < 3 * SLEEPERS; i++) {
		pid = fork();
		if (pid == 0)
			child_sleeps(&area->words[0]);
		/* It sleeps, and is woken for nothing. */
		wake_some(&area->words[0], 1);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
		fp_lot_bury(&lot, pid);
		ck_assert_int_eq(fp_wait_wake(&area->words[0], INT32_MAX), 0);
	}
	/* All places are free. */
	fp_store_sc(&area->ready, 0);
	for (i = 0; i < SLEEPERS; i++)
		if (fork() == 0)
			child_sleeps(&area->words[1]);
	await(&area->ready, SLEEPERS);
	fp_store_sc(&area->words[1], 1);
	for (i = 0; i < SLEEPERS; i++) {
		while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0) {
			fp_wait_wake(&area->words[1], INT32_MAX);
			nap();
		}
		ck_assert_int_eq(info.si_status, 0);
		info.si_pid = 0;
	}
}
END_TEST

/* Passes a token back and forth, each turn a sleep and a wake-up: one that is lost is the end of it. */
static bool play(fp_a32 *mine, fp_a32 *other)
{
	uint32_t round;

	for (round = 0; round < ROUNDS; round++) {
		fp_store_sc(other, round + 1);
		fp_wait_wake(other, 1);
		while (fp_load_sc(mine) == round)
			if (fp_wait_one(mine, round, fp_deadline(CAP_NS)) == -ETIMEDOUT)
				return false;
	}
	return true;
}

START_TEST(nothing_is_lost_between_processes)
{
	siginfo_t info = { 0 };
	pid_t pid = fork();

	if (pid == 0)
		_exit(fp_lot_open(&lot) || !play(&area->words[0], &area->words[1]));
	ck_assert(play(&area->words[1], &area->words[0]));
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
	ck_assert_int_eq(info.si_status, 0);
}
END_TEST

static void *play_main(void *arg)
{
	fp_a32 *mine = arg;

	return play(mine, &area->words[(mine - area->words) ^ 1]) ? NULL : arg;
}

/* Two pairs of threads, who take each other's places and find each other's late posts there. */
START_TEST(nothing_is_lost_between_threads)
{
	pthread_t threads[SLEEPERS];
	void *lost;
	uint32_t i;

	for (i = 0; i < SLEEPERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, play_main, &area->words[i]), 0);
	for (i = 0; i < SLEEPERS; i++) {
		pthread_join(threads[i], &lost);
		ck_assert_ptr_null(lost);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lot");
	TCase *one = test_case(suite, "one"), *several = test_case(suite, "several");

	tcase_add_checked_fixture(one, lot_begin, lot_end);
	tcase_add_checked_fixture(several, lot_begin, lot_end);
	tcase_add_loop_test(one, values_and_deadlines, 0, 2);
	tcase_add_test(one, as_many_as_asked_for);
	tcase_add_loop_test(one, any_of_many, 0, 2);
	tcase_add_test(one, more_sleepers_than_places);
	tcase_add_loop_test(one, garbage, 0, 20);
	tcase_add_test(one, nothing_is_lost_between_threads);
	tcase_add_test(several, lots_are_not_inherited);
	tcase_add_test(several, the_dead_are_buried);
	tcase_add_test(several, nothing_is_lost_between_processes);
	return test_main(suite);
}
