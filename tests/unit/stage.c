/* SPDX-License-Identifier: MIT */
/* What maps on private arrays take in the segment, and leave there. */
#include "api/api.h"

#include "os/sys.h"

#define ITEM		((size_t)1 << 20)
#define ITEMS		44		/* with what comes out more than is kept without maps */
#define ARENA		((size_t)1 << 30)
#define MAPS		4
#define LITTLE		((size_t)32 << 20)	/* of 88 MiB */
#define POOLS		20

/* The host's; workers take memory in another way. */
static atomic_int calls;
static atomic_size_t taken;

static int count_allocate(int fd, off_t off, off_t len)
{
	atomic_fetch_add(&calls, 1);
	atomic_fetch_add(&taken, (size_t)len);
	return fp_sys_real.allocate(fd, off, len);
}

static int count_punch(int fd, off_t off, off_t len)
{
	atomic_fetch_add(&calls, 1);
	return fp_sys_real.punch(fd, off, len);
}

static struct forkpool *pool;
static char *in, *out;

static void begin(void)
{
	FORKPOOL_OPTS(opts, .workers = 2, .arena_size = ARENA);

	atomic_store(&taken, 0);
	fp_sys.allocate = count_allocate;
	fp_sys.punch = count_punch;
	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	in = malloc(ITEMS * ITEM);
	out = malloc(ITEMS * ITEM);
	ck_assert(in && out);
}

static void end(void)
{
	forkpool_destroy(pool);
	fp_sys = fp_sys_real;
	free(in);
	free(out);
}

static int copy(void *arg, const void *from, void *to)
{
	(void)arg;
	memcpy(to, from, ITEM);
	return 0;
}

static void prepare(int byte)
{
	memset(in, byte, ITEMS * ITEM);
	memset(out, 0, ITEMS * ITEM);
}

/* All at once. */
static void map_async(int byte)
{
	struct forkpool_job *job;

	prepare(byte);
	ck_assert_int_eq(forkpool_map_async(pool, copy, in, ITEM, out, ITEM, ITEMS, NULL, &job), 0);
	ck_assert_int_eq(forkpool_job_wait(job, -1), 0);
	ck_assert_int_eq(memcmp(in, out, ITEMS * ITEM), 0);
	forkpool_job_free(job);
}

static void map_in_pieces(int byte)
{
	prepare(byte);
	ck_assert_int_eq(forkpool_map(pool, copy, in, ITEM, out, ITEM, ITEMS, NULL), 0);
	ck_assert_int_eq(memcmp(in, out, ITEMS * ITEM), 0);
}

/* Where items run inline nothing is copied. */
START_TEST(the_next_map_takes_no_memory)
{
	void *p;
	int i;

	map_async(1);
	atomic_store(&calls, 0);
	for (i = 2; i <= MAPS; i++)
		map_async(i);
	ck_assert_int_eq(atomic_load(&calls), 0);
	if (test_inline())
		return;
	/* Nor does who else wants a block. */
	p = forkpool_shm_alloc(pool, ITEMS * ITEM);
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(atomic_load(&calls), 0);
	forkpool_shm_free(pool, p);
}
END_TEST

/* Where others keep the CPUs busy workers may seem to starve, and pieces grow: but not each time. */
START_TEST(a_map_in_pieces_takes_little)
{
	int i;

	map_in_pieces(1);
	if (!test_inline())
		ck_assert_uint_gt(atomic_load(&taken), 0);
	for (i = 2; i <= POOLS && atomic_load(&taken) > LITTLE; i++) {
		end();
		begin();
		map_in_pieces(i);
	}
	ck_assert_uint_le(atomic_load(&taken), LITTLE);
	map_in_pieces(0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stage");
	TCase *tc = test_case(suite, "memory");

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_test(tc, the_next_map_takes_no_memory);
	tcase_add_test(tc, a_map_in_pieces_takes_little);
	return test_main(suite);
}
