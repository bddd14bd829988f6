/* SPDX-License-Identifier: MIT */
/*
 * Pools that end in every way while threads work on them: closed, joined,
 * terminated, nursery or keeper killed; and created while other threads fork.
 * Every call returns, with an error that fits.  FORKPOOL_TORTURE=1 makes it
 * take minutes.
 */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <forkpool.h>

#include "engine/pool.h"
#include "os/sys.h"

#define MAPPERS		4
#define JOINERS		2
#define COUNT		300
#define NS_PER_MS	1000000
#define ROUNDS		60
#define TORTURE		60	/* times as many */

enum how { JOIN, TERMINATE, KILL_NURSERY, KILL_KEEPER, HOWS };

struct scene {
	struct forkpool *pool;
	enum how how;
	_Atomic int bad;		/* an error that does not fit */
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static int rounds(void)
{
	const char *torture = getenv("FORKPOOL_TORTURE");

	return ROUNDS * (torture && atoi(torture) ? TORTURE : 1);
}

static void pause_for(int64_t ns)
{
	const struct timespec time = { .tv_nsec = ns };

	nanosleep(&time, NULL);
}

/* ---- Ends ---------------------------------------------------------------------------------- */

static int item(void *arg, const void *in, void *out)
{
	int64_t until = fp_sys.clock() + *(const unsigned *)in % 64 * 500;

	(void)arg;
	while (fp_sys.clock() < until)
		;
	*(unsigned *)out = *(const unsigned *)in + 1;
	return 0;
}

static bool fits(const struct scene *s, int err)
{
	switch (s->how) {
	case JOIN:
		return err == -FORKPOOL_ECLOSED;
	case TERMINATE:
		return err == -FORKPOOL_ECLOSED || err == -FORKPOOL_ECANCELED;
	default:
		return err == -FORKPOOL_EBROKEN;
	}
}

static void *mapper(void *arg)
{
	struct scene *s = arg;
	unsigned in[COUNT], out[COUNT], n = COUNT, i;
	int err;

	for (i = 0; i < COUNT; i++)
		in[i] = i;
	while ((err = FORKPOOL_MAP(s->pool, item, in, out, n)) == 0) {
		for (i = 0; i < n; i++)
			if (out[i] != in[i] + 1)
				s->bad = -EILSEQ;
		n = 1 + n * 7 % COUNT;
	}
	if (!fits(s, err))
		s->bad = err;
	return NULL;
}

static void *joiner(void *arg)
{
	struct scene *s = arg;
	int err = forkpool_join(s->pool, -1);

	if (err)
		s->bad = err;
	return NULL;
}

static void end_pool(struct scene *s, uint64_t random)
{
	pthread_t threads[JOINERS];
	int i;

	switch (s->how) {
	case JOIN:
		forkpool_close(s->pool);
		break;
	case TERMINATE:
		forkpool_terminate(s->pool);
		break;
	case KILL_NURSERY:
		fp_sys.kill(s->pool->spawn.nursery_pid, SIGKILL);
		break;
	default:
		fp_sys.kill(s->pool->spawn.keeper_pid, SIGKILL);
	}
	if (random % 2 == 0)
		return;
	forkpool_close(s->pool);
	for (i = 0; i < JOINERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, joiner, s), 0);
	if (random % 4 == 1)
		forkpool_terminate(s->pool);
	for (i = 0; i < JOINERS; i++)
		pthread_join(threads[i], NULL);
}

/* close() may come before the others notice that the pool is broken. */
static bool fits_after_close(const struct scene *s)
{
	return s->bad == 0 || s->bad == -FORKPOOL_ECLOSED || s->bad == -FORKPOOL_ECANCELED;
}

static void one_end(enum how how, uint64_t random)
{
	FORKPOOL_OPTS(opts, .workers = 1 + random % 3, .arena_size = 1 << 20);
	struct scene s = { .how = how };
	pthread_t threads[MAPPERS];
	int i;

	ck_assert_int_eq(forkpool_create(&s.pool, &opts), 0);
	for (i = 0; i < MAPPERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, mapper, &s), 0);
	pause_for(random >> 8 & 0x7fffff);
	end_pool(&s, random >> 4);
	for (i = 0; i < MAPPERS; i++)
		pthread_join(threads[i], NULL);
	forkpool_destroy(s.pool);
	ck_assert_msg((random >> 4) % 2 ? fits_after_close(&s) : s.bad == 0,
		      "end %d: %s", how, forkpool_strerror(s.bad));
}

START_TEST(ends_under_work)
{
	uint64_t random = (uint64_t)time(NULL);
	int i;

	if (_i >= KILL_NURSERY && !test_processes())
		return;
	for (i = 0; i < rounds(); i++)
		one_end(_i, random = mix(random));
}
END_TEST

/* ---- Beginnings ------------------------------------------------------------------------------- */

static _Atomic bool forks_over;

/* Children that live for a while, with all descriptors of pools half made. */
static void *forker(void *arg)
{
	pid_t pid;

	while (!forks_over) {
		pid = fork();
		if (pid == 0) {
			pause_for(5 * NS_PER_MS);
			_exit(0);
		}
		pause_for(NS_PER_MS);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	return arg;
}

START_TEST(created_while_threads_fork)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = 1 << 20);
	unsigned in[] = { 1, 2, 3 }, out[3];
	struct forkpool *pool;
	pthread_t threads[2];
	int i;

	forks_over = false;
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, forker, NULL), 0);
	for (i = 0; i < rounds(); i++) {
		ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
		ck_assert_int_eq(FORKPOOL_MAP(pool, item, in, out, 3), 0);
		ck_assert_uint_eq(out[2], 4);
		forkpool_destroy(pool);
	}
	forks_over = true;
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ends");
	TCase *tc = test_case(suite, "ends");

	tcase_add_loop_test(tc, ends_under_work, 0, HOWS);
	tcase_add_test(tc, created_while_threads_fork);
	return test_main(suite);
}
