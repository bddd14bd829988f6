/* SPDX-License-Identifier: MIT */
/* Whatever kind of process the host is, a pool works there and leaves no trace in it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "api/api.h"

#define NOBODY	65534

static int square(void *arg, const void *in, void *out)
{
	const int *x = in;
	int *y = out;

	(void)arg;
	*y = *x * *x;
	return 0;
}

static int die(void *arg, const void *in, void *out)
{
	(void)arg;
	(void)in;
	(void)out;
	raise(SIGKILL);
	return 0;
}

static struct forkpool *must_create(void)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = 1 << 20);
	struct forkpool *pool = NULL;

	MUST(forkpool_create(&pool, &opts) == 0);
	return pool;
}

static void must_work(struct forkpool *pool)
{
	int in[100], out[100], i;

	for (i = 0; i < 100; i++)
		in[i] = i;
	MUST(FORKPOOL_MAP(pool, square, in, out, 100) == 0);
	for (i = 0; i < 100; i++)
		MUST(out[i] == i * i);
}

/* ---- Children and SIGCHLD --------------------------------------------------------- */

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void must_see_nothing(void)
{
	int status;

	MUST(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
	MUST(signals == 0);
}

/* A pool's whole life, with deaths. */
static void must_live_unseen(void)
{
	struct forkpool *pool = must_create();

	must_see_nothing();
	must_work(pool);
	MUST(forkpool_map(pool, die, NULL, 0, NULL, 0, 5, NULL) == -FORKPOOL_ECRASHED);
	must_work(pool);
	must_see_nothing();
	forkpool_destroy(pool);
	must_see_nothing();
	sleep_ms(10);
	must_see_nothing();
}

static void host_with_handler(void *flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = *(int *)flags }, now;

	MUST(sigaction(SIGCHLD, &sa, NULL) == 0);
	must_live_unseen();
	MUST(sigaction(SIGCHLD, NULL, &now) == 0 && now.sa_handler == on_signal);
}

static void host_that_ignores(void *unused)
{
	(void)unused;
	signal(SIGCHLD, SIG_IGN);
	must_live_unseen();
}

static void host_that_masks(void *unused)
{
	sigset_t all, after;

	(void)unused;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	must_live_unseen();
	sigprocmask(SIG_SETMASK, NULL, &after);
	MUST(sigismember(&after, SIGTERM) && sigismember(&after, SIGCHLD));
	MUST(sigpending(&after) == 0 && !sigismember(&after, SIGCHLD));
}

static void host_that_reaps(void *unused)
{
	(void)unused;
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	signal(SIGCHLD, on_signal);
	must_live_unseen();
}

static void host_pid_1(void *unused)
{
	pid_t pid;
	int status;

	(void)unused;
	if (unshare(CLONE_NEWPID))
		_exit(TEST_SKIP);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		MUST(getpid() == 1);
		signal(SIGCHLD, on_signal);
		must_live_unseen();
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 98);
}

START_TEST(no_child_is_seen)
{
	int flags[] = { 0, SA_NOCLDWAIT, SA_RESTART | SA_NOCLDSTOP }, i;

	for (i = 0; i < 3; i++)
		ck_assert_int_eq(child_run(host_with_handler, &flags[i]), 0);
	ck_assert_int_eq(child_run(host_that_ignores, NULL), 0);
	ck_assert_int_eq(child_run(host_that_masks, NULL), 0);
	ck_assert_int_eq(child_run(host_that_reaps, NULL), 0);
}
END_TEST

START_TEST(the_host_may_be_pid_1)
{
	int status = child_run(host_pid_1, NULL);

	ck_assert(status == 0 || status == TEST_SKIP);
}
END_TEST

/* ---- Later forks, and threads that end ---------------------------------------------- */

static void use_parents_pool(void *arg)
{
	struct forkpool *pool = arg, *own;
	int a[4] = { 0 };

	MUST(FORKPOOL_MAP(pool, square, a, a, 4) == -EINVAL);
	MUST(FORKPOOL_MAP(pool, square, a, a, 0) == -EINVAL);
	MUST(forkpool_for(pool, NULL, 0, 0, NULL) == -EINVAL);
	MUST(forkpool_close(pool) == -EINVAL);
	MUST(forkpool_join(pool, 0) == -EINVAL);
	MUST(forkpool_terminate(pool) == -EINVAL);
	errno = 0;
	MUST(!forkpool_shm_alloc(pool, 8) && errno == EINVAL);
	errno = 0;
	MUST(!forkpool_shm_calloc(pool, 1, 8) && errno == EINVAL);
	forkpool_shm_free(pool, a);
	MUST(!forkpool_shm_owns(pool, a));
	own = must_create();
	must_work(own);
	forkpool_destroy(pool);
	must_work(own);
	forkpool_destroy(own);
}

START_TEST(a_child_forked_later)
{
	struct forkpool *pool = pool_new(2);
	char *shared = forkpool_shm_calloc(pool, 1, 8);
	int i;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(child_run(use_parents_pool, pool), 0);
		must_work(pool);
	}
	ck_assert_int_eq(shared[0], 0);
	forkpool_destroy(pool);
}
END_TEST

static void *create_and_end(void *ret)
{
	*(struct forkpool **)ret = must_create();
	return NULL;
}

START_TEST(a_thread_that_made_a_pool_may_end)
{
	struct forkpool *pool = NULL;
	pthread_t thread;
	int i;

	ck_assert_int_eq(pthread_create(&thread, NULL, create_and_end, &pool), 0);
	pthread_join(thread, NULL);
	for (i = 0; i < 5; i++) {
		must_work(pool);
		ck_assert_int_eq(forkpool_map(pool, die, NULL, 0, NULL, 0, 2, NULL), -FORKPOOL_ECRASHED);
	}
	forkpool_destroy(pool);
}
END_TEST

/* ---- Little to live on ------------------------------------------------------------------ */

static void without_stdio(void *which)
{
	int fd, mask = *(int *)which;

	for (fd = 0; fd < 3; fd++)
		if (mask >> fd & 1)
			close(fd);
	must_live_unseen();
	for (fd = 0; fd < 3; fd++)
		if (mask >> fd & 1)
			MUST(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
}

START_TEST(descriptors_0_1_2_may_be_closed)
{
	int mask;

	for (mask = 1; mask < 8; mask++)
		ck_assert_int_eq(child_run(without_stdio, &mask), 0);
}
END_TEST

struct limit {
	int what;
	rlim_t value;
};

/* Whatever the limit, there is a pool that works, or an error. */
static void with_limit(void *arg)
{
	const struct limit *l = arg;
	struct rlimit lim = { l->value, l->value };
	struct forkpool *pool = NULL;
	FORKPOOL_OPTS(opts, .workers = 3, .arena_size = 1 << 20);
	int in[10] = { 4 }, out[10], err;

	if (l->what == RLIMIT_NPROC)
		MUST(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	MUST(setrlimit(l->what, &lim) == 0);
	err = forkpool_create(&pool, &opts);
	must_see_nothing();
	if (err) {
		MUST(err < 0 && !pool);
		_exit(1);
	}
	MUST(FORKPOOL_MAP(pool, square, in, out, 10) == 0 && out[0] == 16);
	forkpool_destroy(pool);
	must_see_nothing();
}

static void check_limit(int what, rlim_t value, bool may_work)
{
	struct limit l = { what, value };
	int status = child_run(with_limit, &l);

	ck_assert_msg(status == 1 || (may_work && status == 0), "limit %d of %lu: %d",
		      what, (unsigned long)value, status);
}

START_TEST(limits_are_errors)
{
	rlim_t n;

	for (n = 0; n < 16; n++)
		check_limit(RLIMIT_NOFILE, n, n > 4);
	check_limit(RLIMIT_FSIZE, 0, false);
	check_limit(RLIMIT_FSIZE, 4096, false);
	check_limit(RLIMIT_FSIZE, 1 << 20, false);
	if (geteuid() == 0)
		for (n = 0; n < 8; n++)
			check_limit(RLIMIT_NPROC, n, n > 4);
}
END_TEST

static void with_default_arena(void *unused)
{
	struct rlimit lim = { 64 << 20, 64 << 20 };
	struct forkpool *pool = NULL;

	(void)unused;
	MUST(setrlimit(RLIMIT_FSIZE, &lim) == 0);
	MUST(forkpool_create(&pool, NULL) == 0);
	must_work(pool);
	forkpool_destroy(pool);
}

START_TEST(the_default_arena_fits_the_limit)
{
	ck_assert_int_eq(child_run(with_default_arena, NULL), 0);
}
END_TEST

/* ---- /dev/shm ------------------------------------------------------------------------------ */

/* arg: mount options of a tmpfs over `where`, in a name space of the child's own. */
struct shm {
	const char *where, *options;
	unsigned long flags;
};

static void with_shm(void *arg)
{
	const struct shm *s = arg;
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = 8 << 20);
	struct forkpool *pool;
	char *big;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", s->where, "tmpfs", s->flags, s->options))
		_exit(TEST_SKIP);
	MUST(forkpool_create(&pool, &opts) == 0);
	must_work(pool);
	big = forkpool_shm_alloc(pool, 4 << 20);
	MUST(big);
	memset(big, 1, 4 << 20);
	MUST(forkpool_map(pool, die, NULL, 0, NULL, 0, 2, NULL) == -FORKPOOL_ECRASHED);
	must_work(pool);
	forkpool_destroy(pool);
	must_see_nothing();
}

START_TEST(dev_shm_may_be_small_or_missing)
{
	struct shm kinds[] = {
		{ "/dev/shm", "size=64k", 0 },
		{ "/dev/shm", "size=4k,nr_inodes=2", 0 },
		{ "/dev/shm", "size=1g", MS_RDONLY },
		{ "/dev", "size=64k", 0 },
	};
	int i, status;

	for (i = 0; i < 4; i++) {
		status = child_run(with_shm, &kinds[i]);
		ck_assert_msg(status == 0 || status == TEST_SKIP, "%s %s: %d", kinds[i].where,
			      kinds[i].options, status);
	}
}
END_TEST

int main(void)
{
	Suite *suite;
	TCase *unseen, *later, *little;

	if (!test_processes())
		return TEST_SKIP;
	suite = suite_create("host");
	unseen = test_case(suite, "unseen");
	later = test_case(suite, "later");
	little = test_case(suite, "little");
	tcase_add_test(unseen, no_child_is_seen);
	tcase_add_test(unseen, the_host_may_be_pid_1);
	tcase_add_test(later, a_child_forked_later);
	tcase_add_test(later, a_thread_that_made_a_pool_may_end);
	tcase_add_test(little, descriptors_0_1_2_may_be_closed);
	tcase_add_test(little, limits_are_errors);
	tcase_add_test(little, the_default_arena_fits_the_limit);
	tcase_add_test(little, dev_shm_may_be_small_or_missing);
	return test_main(suite);
}
