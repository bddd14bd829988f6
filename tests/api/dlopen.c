/* SPDX-License-Identifier: MIT */
/* A program that loads the library at run time, uses it, and unloads it. */
#include <dlfcn.h>
#include <limits.h>

#include "api/api.h"

struct calls {
	int (*create)(struct forkpool **, const struct forkpool_opts *);
	int (*map)(struct forkpool *, forkpool_fn *, const void *, size_t, void *, size_t,
		   size_t, const struct forkpool_job_opts *);
	unsigned (*worker_id)(void);
	void (*destroy)(struct forkpool *);
};

static struct calls calls;

static void *library_open(void)
{
	const char *top = getenv("top_builddir");
	char path[PATH_MAX];
	void *lib;

	snprintf(path, sizeof(path), "%s/lib/.libs/libforkpool.so", top ? top : "..");
	lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return NULL;
	calls.create = (__typeof__(calls.create))dlsym(lib, "forkpool_create");
	calls.map = (__typeof__(calls.map))dlsym(lib, "forkpool_map");
	calls.worker_id = (__typeof__(calls.worker_id))dlsym(lib, "forkpool_worker_id");
	calls.destroy = (__typeof__(calls.destroy))dlsym(lib, "forkpool_destroy");
	return lib;
}

/* The worker's number is what thread-local storage holds. */
static int id_item(void *arg, const void *in, void *out)
{
	(void)arg;
	*(unsigned *)out = *(const unsigned *)in + (calls.worker_id() < 2);
	return 0;
}

static void check_map(void)
{
	unsigned in[1000], out[1000] = { 0 }, i;
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = 1 << 20);
	struct forkpool *pool;

	for (i = 0; i < 1000; i++)
		in[i] = i;
	ck_assert_int_eq(calls.create(&pool, &opts), 0);
	ck_assert_int_eq(calls.map(pool, id_item, in, sizeof(*in), out, sizeof(*out), 1000,
				   NULL), 0);
	for (i = 0; i < 1000; i++)
		CHECK_EACH(out[i] == i + 1);
	calls.destroy(pool);
}

START_TEST(loaded_and_unloaded)
{
	void *lib;
	int i;

	for (i = 0; i < 3; i++) {
		lib = library_open();
		ck_assert_ptr_nonnull(lib);
		check_map();
		ck_assert_int_eq(dlclose(lib), 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dlopen");
	TCase *tc = test_case(suite, "dlopen");

	/* Linked nodelete, it stays mapped from the first time on, and the guard must not mind. */
	if (!library_open())
		return TEST_SKIP;
	tcase_add_test(tc, loaded_and_unloaded);
	return test_main(suite);
}
