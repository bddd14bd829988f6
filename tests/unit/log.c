/* SPDX-License-Identifier: MIT */
/* The ring of log records: full, overrun, read by many at once, scribbled on. */
#include "shm/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <forkpool.h>

#include "engine/pool.h"
#include "os/sys.h"
#include "test.h"

#define ROOM	16u
#define MANY	200000u
#define READERS	2

static struct fp_log ring;
static fp_a64 taken;

static void ring_open(void)
{
	memset(&ring, 0, sizeof(ring));
	fp_store_rlx(&taken, 0);
}

/* All of record i can be told from i. */
static struct fp_log_entry entry_of(uint32_t i)
{
	return (struct fp_log_entry){ .kind = i, .id = ~i, .pid = i * 3, .code = -(int32_t)i,
				      .value = (uint64_t)i << 32 | i };
}

static void put(uint32_t i)
{
	const struct fp_log_entry e = entry_of(i);

	fp_log_put(&ring, &e);
}

static bool whole(const struct fp_log_entry *e)
{
	struct fp_log_entry expected = entry_of(e->kind);

	return e->id == expected.id && e->pid == expected.pid && e->code == expected.code &&
	       e->value == expected.value;
}

/* Takes all there is; from `first` on, after so many lost. */
static void expect(uint32_t first, uint32_t n, uint64_t expected_lost)
{
	struct fp_log_entry list[ROOM];
	uint64_t lost = 0;
	uint32_t i, got;

	while (n) {
		got = fp_log_take(&ring, &taken, list, ROOM, &lost);
		ck_assert_uint_eq(got, n < ROOM ? n : ROOM);
		ck_assert_uint_eq(lost, expected_lost);
		for (i = 0; i < got; i++) {
			ck_assert_uint_eq(list[i].kind, first + i);
			ck_assert(whole(&list[i]));
		}
		first += got;
		n -= got;
		expected_lost = 0;
	}
	ck_assert_uint_eq(fp_log_take(&ring, &taken, list, ROOM, &lost), 0);
}

START_TEST(in_order)
{
	uint32_t i;

	expect(0, 0, 0);
	for (i = 0; i < 40; i++)
		put(i);
	expect(0, 40, 0);
	put(40);
	expect(40, 1, 0);
}
END_TEST

START_TEST(the_newest_are_kept)
{
	uint32_t i;

	for (i = 0; i < FP_LOG_RECORDS - 1; i++)
		put(i);
	expect(0, FP_LOG_RECORDS - 1, 0);
	for (; i < 1000; i++)
		put(i);
	expect(1000 - (FP_LOG_RECORDS - 1), FP_LOG_RECORDS - 1,
	       1000 - 2 * (FP_LOG_RECORDS - 1));
}
END_TEST

struct reader {
	pthread_t thread;
	unsigned char *seen;
	fp_a32 *over;
	unsigned bad;
	uint64_t got, lost;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct fp_log_entry list[ROOM];
	uint64_t lost = 0;
	unsigned n, i;
	bool over;

	do {
		over = fp_load_acq(r->over);
		n = fp_log_take(&ring, &taken, list, ROOM, &lost);
		r->lost += n ? lost : 0;
		for (i = 0; i < n; i++) {
			if (!whole(&list[i]) || list[i].kind >= MANY || r->seen[list[i].kind]++)
				r->bad++;
			r->got++;
		}
	} while (!over || n);
	return NULL;
}

/* Each record is read whole, by one thread at most, and accounted for. */
START_TEST(many_readers)
{
	struct reader readers[READERS];
	fp_a32 over = 0;
	uint64_t sum = 0;
	uint32_t i, k;

	for (i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .seen = calloc(MANY, 1), .over = &over };
		ck_assert_ptr_nonnull(readers[i].seen);
		ck_assert_int_eq(pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]), 0);
	}
	for (i = 0; i < MANY; i++) {
		put(i);
		if (i % 32 == 0)
			fp_sys.yield();
	}
	fp_store_rel(&over, 1);
	for (i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		ck_assert_uint_eq(readers[i].bad, 0);
		sum += readers[i].got + readers[i].lost;
	}
	ck_assert_uint_eq(sum, MANY);
	for (i = 0; i < MANY; i++)
		for (k = 1; k < READERS; k++)
			if (readers[0].seen[i] && readers[k].seen[i])
				ck_abort_msg("record %u was read twice", i);
	for (i = 0; i < READERS; i++)
		free(readers[i].seen);
}
END_TEST

START_TEST(nonsense_in_next)
{
	static const uint64_t values[] = { UINT64_MAX, 1ull << 63, 1ull << 40, 12345, 0, 1, UINT64_MAX - 63 };
	struct fp_log_entry list[ROOM];
	uint64_t lost;
	unsigned i, k, n;

	for (i = 0; i < sizeof(values) / sizeof(*values); i++) {
		fp_store_rlx(&ring.next, values[i]);
		/* It comes to rest, after as many as the ring holds at most. */
		for (k = n = 0; k < 10; k++)
			n += fp_log_take(&ring, &taken, list, ROOM, &lost);
		ck_assert_uint_lt(n, FP_LOG_RECORDS);
		ck_assert_uint_eq(fp_log_take(&ring, &taken, list, ROOM, &lost), 0);
		ck_assert_uint_eq(fp_load_rlx(&taken), values[i]);
	}
	for (i = 0; i < 5; i++)
		put(i);
	expect(0, 5, 0);
}
END_TEST

/* ---- A worker that scribbles on it ------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static int scribble(void *arg, const void *in, void *out)
{
	struct fp_log *log = &fp_self->crew->seg.ctl->log;
	uint64_t random = *(const unsigned *)in + 1, next;
	bool jumps = random % 8 == 0;
	unsigned i;

	(void)arg;
	(void)out;
	for (i = 0; i < 1000; i++) {
		random = mix(random + i);
		next = fp_load_rlx(&log->next) + random / 3 % 100;
		if (random % 3 == 0)
			fp_store_rlx(&log->next, jumps && random % 9 == 0 ? random : next);
		else
			fp_store_rlx(&log->records[random % FP_LOG_RECORDS][random / 64 % 3],
				     random % 5 ? (random >> 32) % 9 : random);
	}
	return 0;
}

static void count_line(void *log_arg, int level, const char *text)
{
	unsigned *lines = log_arg;

	ck_assert_int_ge(level, FORKPOOL_LOG_ERROR);
	ck_assert_int_le(level, FORKPOOL_LOG_INFO);
	ck_assert_uint_lt(strlen(text), 256);
	ck_assert_ptr_null(strchr(text, '\n'));
	++*lines;
}

START_TEST(a_hostile_worker)
{
	unsigned lines = 0, before, in[4], i;
	FORKPOOL_OPTS(opts, .workers = 2, .mode = FORKPOOL_PROCESSES, .arena_size = 1 << 20,
		      .log = count_line, .log_arg = &lines);
	struct forkpool *pool;

	if (!test_processes())
		return;
	ck_assert_int_eq(forkpool_create(&pool, &opts), 0);
	for (i = 0; i < 500; i++) {
		in[0] = in[1] = in[2] = in[3] = i;
		before = lines;
		ck_assert_int_eq(FORKPOOL_MAP(pool, scribble, in, in, 4), 0);
		/* As it enters and as it leaves: so many records, and one line on those that are lost. */
		ck_assert_uint_le(lines - before, 2 * (ROOM + 1));
	}
	ck_assert_uint_gt(lines, 0);
	forkpool_destroy(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = test_case(suite, "ring");

	tcase_add_checked_fixture(tc, ring_open, NULL);
	tcase_add_test(tc, in_order);
	tcase_add_test(tc, the_newest_are_kept);
	tcase_add_test(tc, many_readers);
	tcase_add_test(tc, nonsense_in_next);
	tc = test_case(suite, "hostile");
	tcase_add_test(tc, a_hostile_worker);
	return test_main(suite);
}
