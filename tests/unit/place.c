/* SPDX-License-Identifier: MIT */
/* Which worker moves to another CPU, and where to. */
#include "proc/place.h"

#include <errno.h>
#include <string.h>

#include "bare.h"
#include "os/sys.h"
#include "sync/idle.h"
#include "test.h"

#define WORKERS	70u	/* two words of a map */
#define NONE	(-1)

static struct {
	struct bare b;
	struct fp_ctl *ctl;
	struct fp_self self[WORKERS];
	cpu_set_t cpus;
	int here;			/* where the thread is that asks */
	int moved_to, moves, asked;
	int no_mask;			/* what the kernel says to who asks for the set; 0 = the set */
} s;

static int fake_cpu(void)
{
	return s.here;
}

static int fake_affinity(cpu_set_t *set)
{
	s.asked++;
	*set = s.cpus;
	return s.no_mask ? s.no_mask : (int)sizeof(*set);
}

static int fake_move(int cpu)
{
	s.moves++;
	s.moved_to = cpu;
	return 0;
}

static void begin(uint32_t crew, uint32_t cpus)
{
	uint32_t i;

	memset(&s, 0, sizeof(s));
	bare_open(&s.b, WORKERS);
	s.ctl = s.b.seg->ctl;
	fp_store_rlx(&s.ctl->crew, crew);
	fp_store_rlx(&s.ctl->cpus, cpus);
	for (i = 0; i < cpus; i++)
		CPU_SET(i, &s.cpus);
	for (i = 0; i < WORKERS; i++) {
		s.self[i].crew = &s.b.crew;
		s.self[i].id = i;
		s.self[i].runner.now = 1000000000;
	}
	s.moved_to = NONE;
	fp_sys.cpu = fake_cpu;
	fp_sys.affinity = fake_affinity;
	fp_sys.move = fake_move;
}

static void end(void)
{
	bare_close(&s.b);
	fp_sys = fp_sys_real;
}

/* Worker id, on that CPU, has found work; returns where it moves. */
static int settle(uint32_t id, int cpu)
{
	s.here = cpu;
	s.moved_to = NONE;
	fp_place_settle(&s.self[id]);
	return s.moved_to;
}

static int said(uint32_t id)
{
	return (int)fp_load_rlx(&s.ctl->cpu[id]) - 1;
}

START_TEST(who_comes_second_moves)
{
	begin(2, 2);
	ck_assert_int_eq(settle(0, 1), NONE);
	ck_assert_int_eq(said(0), 1);
	ck_assert_int_eq(settle(1, 1), 0);
	/* Said before it is there, so that the first one stays. */
	ck_assert_int_eq(said(1), 0);
	ck_assert_int_eq(settle(0, 1), NONE);
	ck_assert_int_eq(settle(1, 0), NONE);
	ck_assert_int_eq(s.moves, 1);
	end();
}
END_TEST

START_TEST(sleepers_are_in_nobodys_way)
{
	begin(3, 3);
	settle(0, 1);
	fp_park_prepare(s.ctl, 0);
	ck_assert_int_eq(settle(1, 1), NONE);
	settle(2, 2);
	fp_nest_park_prepare(s.ctl, 2);
	ck_assert_int_eq(settle(1, 2), NONE);
	/* Woken, and not there yet: it will be where it was. */
	fp_wake_workers(s.ctl, WORKERS, 1);
	ck_assert_int_eq(settle(1, 1), 0);
	end();
}
END_TEST

START_TEST(to_a_free_cpu)
{
	begin(70, 70);
	CPU_CLR(0, &s.cpus);
	settle(3, 1);
	settle(66, 2);
	settle(69, 4);
	ck_assert_int_eq(settle(65, 2), 3);
	end();
}
END_TEST

START_TEST(not_twice_in_a_row)
{
	begin(2, 2);
	settle(0, 1);
	ck_assert_int_eq(settle(1, 1), 0);
	ck_assert_int_eq(settle(1, 1), NONE);
	s.self[1].runner.now += 1000000000;
	ck_assert_int_eq(settle(1, 1), 0);
	end();
}
END_TEST

START_TEST(where_there_is_no_room)
{
	const unsigned bound[] = { 1 };

	/* More workers than CPUs: nobody asks for more than where he is. */
	begin(3, 2);
	settle(0, 1);
	ck_assert_int_eq(settle(1, 1), NONE);
	ck_assert_int_eq(s.asked, 0);
	end();
	/* A narrower mask than the pool had; one that can't be had; a CPU that is not known. */
	begin(2, 2);
	settle(0, 1);
	CPU_CLR(0, &s.cpus);
	ck_assert_int_eq(settle(1, 1), NONE);
	s.self[1].runner.now += 1000000000;
	s.no_mask = -EINVAL;
	ck_assert_int_eq(settle(1, 1), NONE);
	ck_assert_int_eq(s.asked, 2);
	ck_assert_int_eq(settle(1, -1), NONE);
	ck_assert_int_eq(said(1), 1);
	end();
	/* Bound. */
	begin(2, 2);
	s.b.crew.cpus = bound;
	s.b.crew.cpus_count = 1;
	settle(0, 1);
	ck_assert_int_eq(settle(1, 1), NONE);
	ck_assert_int_eq(said(1), -1);
	end();
}
END_TEST

/* What a worker has broken there does no harm. */
START_TEST(nonsense_and_the_dead)
{
	begin(2, 2);
	fp_store_rlx(&s.ctl->cpu[0], UINT32_MAX);
	ck_assert_int_eq(settle(1, 1), NONE);
	fp_store_rlx(&s.ctl->cpu[0], CPU_SETSIZE + 7);
	fp_store_rlx(&s.ctl->cpu[2], 2);
	ck_assert_int_eq(settle(1, 1), 0);
	fp_place_forget(s.ctl, 2);
	s.self[1].runner.now += 1000000000;
	ck_assert_int_eq(settle(1, 1), NONE);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("place");
	TCase *tc = test_case(suite, "place");

	tcase_add_test(tc, who_comes_second_moves);
	tcase_add_test(tc, sleepers_are_in_nobodys_way);
	tcase_add_test(tc, to_a_free_cpu);
	tcase_add_test(tc, not_twice_in_a_row);
	tcase_add_test(tc, where_there_is_no_room);
	tcase_add_test(tc, nonsense_and_the_dead);
	return test_main(suite);
}
