/* SPDX-License-Identifier: MIT */
/* Who is woken, how often, and who fences. */
#include "sync/idle.h"

#include <errno.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bare.h"
#include "os/sys.h"
#include "sync/fence.h"
#include "test.h"

#define WORKERS		130u	/* three words of a map, the last one not full */
#define MOST_CALLS	8
#define ROUNDS		20000u
#define DUEL_NS		500000000	/* on a busy machine a round takes long */
#define OVER		UINT32_MAX
#define NEEDED		(MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED)

static struct {
	struct bare b;
	struct fp_ctl *ctl;
	unsigned woken[WORKERS], others;	/* calls for each worker's event; and for anything else */
	int how_many;			/* wait there at most, as each call for a worker's says */
	/* membarrier(2): what it says to the query, to others, and what it was asked. */
	int has, ret, calls, asked[MOST_CALLS];
	unsigned naps;
} s;

static int note_wake(fp_a32 *word, int count)
{
	uint32_t id;

	for (id = 0; id < WORKERS; id++)
		if (word == &fp_ctl_worker(s.ctl, id)->event) {
			s.woken[id]++;
			ck_assert_int_eq(count, s.how_many);
			/* Raised before. */
			ck_assert_uint_ne(fp_load_rlx(word), 0);
			return 0;
		}
	s.others++;
	return 0;
}

static int note_barrier(int command)
{
	ck_assert_int_lt(s.calls, MOST_CALLS);
	s.asked[s.calls++] = command;
	return command == MEMBARRIER_CMD_QUERY ? s.has : s.ret;
}

static int note_poll(struct pollfd *fds, nfds_t n, int64_t deadline)
{
	(void)fds;
	ck_assert_uint_eq(n, 0);
	ck_assert_int_lt(deadline, FP_FOREVER);
	s.naps++;
	return 0;
}

static void begin(void)
{
	memset(&s, 0, sizeof(s));
	bare_open(&s.b, WORKERS);
	s.ctl = s.b.seg->ctl;
	s.has = NEEDED;
	s.how_many = 1;
	fp_sys.futex_wake = note_wake;
	fp_sys.membarrier = note_barrier;
	fp_sys.poll = note_poll;
}

static void end(void)
{
	bare_close(&s.b);
	fp_sys = fp_sys_real;
}

static bool has_bit(const fp_a64 *map, uint32_t id)
{
	return fp_load_rlx(&map[id / 64]) >> (id % 64) & 1;
}

static unsigned wakes(void)
{
	unsigned n = 0;
	uint32_t id;

	for (id = 0; id < WORKERS; id++)
		n += s.woken[id];
	return n;
}

/* ---- Waking --------------------------------------------------------------------------- */

START_TEST(each_is_woken_once)
{
	begin();
	fp_park_prepare(s.ctl, 3);
	fp_park_prepare(s.ctl, 64);
	fp_park_prepare(s.ctl, WORKERS - 1);
	ck_assert(fp_asleep_any(s.ctl, WORKERS));
	fp_wake_workers(s.ctl, WORKERS, 1);
	ck_assert_uint_eq(wakes(), 1);
	ck_assert_uint_eq(s.woken[3], 1);
	ck_assert(!has_bit(s.ctl->asleep, 3));
	ck_assert(has_bit(s.ctl->asleep, 64));
	fp_wake_workers(s.ctl, WORKERS, 100);
	ck_assert_uint_eq(wakes(), 3);
	ck_assert_uint_eq(s.woken[WORKERS - 1], 1);
	ck_assert(!fp_asleep_any(s.ctl, WORKERS));
	/* They do not run yet, and nobody calls the kernel for them again. */
	fp_wake_workers(s.ctl, WORKERS, 100);
	ck_assert_uint_eq(wakes(), 3);
	ck_assert_uint_eq(s.others, 0);
	end();
}
END_TEST

static int expect_changed(fp_a32 *word, uint32_t ticket, int64_t deadline)
{
	ck_assert(deadline == FP_FOREVER);
	ck_assert_ptr_eq(word, &fp_ctl_worker(s.ctl, 5)->event);
	ck_assert_uint_ne(fp_load_rlx(word), ticket);
	s.naps++;
	return -EAGAIN;
}

START_TEST(on_its_way_in)
{
	uint32_t ticket;

	begin();
	fp_sys.futex_wait = expect_changed;
	ticket = fp_park_prepare(s.ctl, 5);
	fp_wake_workers(s.ctl, WORKERS, 1);
	fp_park(s.ctl, 5, ticket);
	ck_assert_uint_eq(s.naps, 1);
	/* Anew each time, and taken back by itself. */
	fp_park_prepare(s.ctl, 5);
	ck_assert(has_bit(s.ctl->asleep, 5));
	fp_park_cancel(s.ctl, 5);
	fp_wake_workers(s.ctl, WORKERS, 1);
	ck_assert_uint_eq(wakes(), 1);
	end();
}
END_TEST

/* A waker died behind the bit of worker 7; so the bit says nothing. */
START_TEST(all_without_their_bits)
{
	uint32_t id, ticket;

	begin();
	ticket = fp_park_prepare(s.ctl, 7);
	fp_park_cancel(s.ctl, 7);
	/* Else the one that was to be woken, but for a lost post, is left out. */
	s.how_many = INT_MAX;
	fp_wake_all(s.ctl, WORKERS);
	ck_assert_uint_ne(fp_load_rlx(&fp_ctl_worker(s.ctl, 7)->event), ticket);
	for (id = 0; id < WORKERS; id++)
		ck_assert_uint_eq(s.woken[id], 1);
	/* Those inside items. */
	ck_assert_uint_eq(s.others, 1);
	ck_assert_uint_eq(fp_load_rlx(&s.ctl->nest_event), 1);
	end();
}
END_TEST

/* The maps are not trusted: there is no such worker. */
START_TEST(nobody_is_meant)
{
	begin();
	fp_store_rlx(&s.ctl->asleep[2], ~(uint64_t)0 << (WORKERS % 64));
	fp_store_rlx(&s.ctl->hungry[2], ~(uint64_t)0 << (WORKERS % 64));
	fp_wake_workers(s.ctl, WORKERS, 1000);
	ck_assert_uint_eq(wakes() + s.others, 0);
	fp_store_rlx(&s.ctl->asleep[2], 0);
	ck_assert_uint_eq(fp_idle_lookers(s.ctl, WORKERS), 0);
	fp_store_rlx(&s.ctl->hungry[2], 0);
	end();
}
END_TEST

START_TEST(who_looks)
{
	begin();
	ck_assert_uint_eq(fp_idle_lookers(s.ctl, WORKERS), 0);
	ck_assert(!fp_wake_needed(s.ctl, WORKERS));
	fp_hungry_set(s.ctl, 0);
	fp_hungry_set(s.ctl, WORKERS - 1);
	ck_assert_uint_eq(fp_idle_lookers(s.ctl, WORKERS), 2);
	fp_park_prepare(s.ctl, 0);
	ck_assert_uint_eq(fp_idle_lookers(s.ctl, WORKERS), 1);
	ck_assert(!fp_wake_needed(s.ctl, WORKERS));
	fp_park_prepare(s.ctl, WORKERS - 1);
	ck_assert(fp_wake_needed(s.ctl, WORKERS));
	/* Who was woken looks before it runs. */
	fp_wake_workers(s.ctl, WORKERS, 1);
	ck_assert_uint_eq(s.woken[0], 1);
	ck_assert_uint_eq(fp_idle_lookers(s.ctl, WORKERS), 1);
	fp_hungry_clear(s.ctl, 0);
	ck_assert(fp_wake_needed(s.ctl, WORKERS));
	fp_idle_stopped(s.ctl, WORKERS - 1);
	ck_assert(!fp_wake_needed(s.ctl, WORKERS));
	ck_assert_uint_eq(fp_idle_lookers(s.ctl, WORKERS), 0);
	end();
}
END_TEST

/* Where all workers are awake, or as many as there are CPUs, one that has nothing to do is in the way. */
START_TEST(who_may_spin)
{
	begin();
	fp_store_rlx(&s.ctl->crew, 3);
	fp_store_rlx(&s.ctl->cpus, 2);
	ck_assert(!fp_idle_may_spin(s.ctl, WORKERS, 0));
	ck_assert(fp_idle_may_spin(s.ctl, WORKERS, 1));
	ck_assert(fp_idle_may_spin(s.ctl, WORKERS, INT64_MAX));
	ck_assert(!fp_idle_may_spin(s.ctl, WORKERS, -1));
	fp_park_prepare(s.ctl, 0);
	ck_assert(!fp_idle_may_spin(s.ctl, WORKERS, -1));
	fp_nest_park_prepare(s.ctl, 2);
	ck_assert(fp_idle_may_spin(s.ctl, WORKERS, -1));
	ck_assert(!fp_idle_may_spin(s.ctl, WORKERS, 0));
	/* Woken. */
	fp_wake_workers(s.ctl, WORKERS, 1);
	ck_assert(!fp_idle_may_spin(s.ctl, WORKERS, -1));
	/* In the last word, and bits of workers that there are not. */
	fp_store_rlx(&s.ctl->crew, WORKERS);
	fp_store_rlx(&s.ctl->cpus, WORKERS - 1);
	ck_assert(!fp_idle_may_spin(s.ctl, WORKERS, -1));
	fp_nest_park_prepare(s.ctl, WORKERS - 1);
	ck_assert(fp_idle_may_spin(s.ctl, WORKERS, -1));
	fp_nest_park_cancel(s.ctl, WORKERS - 1);
	fp_nest_park_cancel(s.ctl, 2);
	fp_store_rlx(&s.ctl->asleep[WORKERS / 64], (uint64_t)-1 << WORKERS % 64);
	ck_assert(!fp_idle_may_spin(s.ctl, WORKERS, -1));
	fp_store_rlx(&s.ctl->asleep[WORKERS / 64], 0);
	/* More CPUs than workers. */
	fp_store_rlx(&s.ctl->cpus, WORKERS + 1);
	ck_assert(fp_idle_may_spin(s.ctl, WORKERS, -1));
	end();
}
END_TEST

/* So long as it says, whether others' CPUs count or not. */
START_TEST(how_long_to_spin)
{
	const int64_t long_time = INT64_C(3600000000000);
	int64_t before = fp_sys.clock();

	ck_assert_int_ge(fp_idle_spin_end(long_time), before + long_time);
	ck_assert_int_ge(fp_idle_spin_end(-long_time), before + long_time);
	ck_assert_int_le(fp_idle_spin_end(-long_time), fp_sys.clock() + long_time);
	ck_assert_int_le(fp_idle_spin_end(0), fp_sys.clock());
}
END_TEST

/* A look that claims nothing. */
START_TEST(is_there_more)
{
	const struct fp_job_desc desc = { .fn = 1, .count = 2, .chunk = 1 };
	struct fp_chunk chunk;
	int i;

	begin();
	bare_publish(&s.b, &desc);
	for (i = 0; i < 2; i++) {
		ck_assert(bare_turn(&s.b, 0, 0));
		ck_assert(fp_claim(&s.b.claimers[0], NULL));
		ck_assert(fp_claim(&s.b.claimers[0], NULL));
		ck_assert(fp_claim(&s.b.claimers[0], &chunk));
		if (i == 1)
			ck_assert(!fp_claim(&s.b.claimers[0], NULL));
		fp_claim_finish(&s.b.claimers[0], &chunk);
	}
	ck_assert(bare_done(&s.b));
	end();
}
END_TEST

/* ---- Fences --------------------------------------------------------------------------- */

/* In a process of its own: registration is once a process. */
static void alone(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* ck_assert() would go on with the parent's tests. */
#define EXPECT(ok)	do { if (!(ok)) _exit(__LINE__ & 0x7f ? __LINE__ & 0x7f : 1); } while (0)

static void registers_once(void)
{
	fp_fence_open(s.ctl);
	EXPECT(s.asked[0] == MEMBARRIER_CMD_QUERY);
	EXPECT(fp_load_rlx(&s.ctl->fences) == FP_FENCES_NEW);
	fp_fence_join(s.ctl);
	fp_fence_join(s.ctl);
	EXPECT(s.calls == 2);
	EXPECT(s.asked[1] == MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
	fp_fence_heavy(s.ctl);
	EXPECT(s.calls == 3 && s.asked[2] == MEMBARRIER_CMD_GLOBAL_EXPEDITED);
	EXPECT(fp_load_rlx(&s.ctl->fences) == FP_FENCES_KERNEL && !s.naps);
}

/* Before anybody has joined the sleeper need not fence, nor can it be taken back. */
static void nobody_joined(void)
{
	fp_fence_open(s.ctl);
	s.calls = 0;
	fp_fence_heavy(s.ctl);
	fp_fence_enter(s.ctl);
	fp_fence_heavy(s.ctl);
	EXPECT(s.calls == 1 && fp_load_rlx(&s.ctl->fences) == FP_FENCES_NEW);
	fp_fence_join(s.ctl);
	fp_fence_heavy(s.ctl);
	EXPECT(fp_load_rlx(&s.ctl->fences) == FP_FENCES_KERNEL);
	EXPECT(s.asked[s.calls - 1] == MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

static void kernel_without_it(void)
{
	s.has = MEMBARRIER_CMD_GLOBAL;
	fp_fence_open(s.ctl);
	fp_fence_join(s.ctl);
	fp_fence_heavy(s.ctl);
	EXPECT(s.calls == 1);
	EXPECT(fp_load_rlx(&s.ctl->fences) == FP_FENCES_OWN);
}

static void no_such_call(void)
{
	s.has = -ENOSYS;
	fp_fence_open(s.ctl);
	EXPECT(fp_load_rlx(&s.ctl->fences) == FP_FENCES_OWN);
}

/* Others are registered, and count on the sleeper still. */
static void not_registered(void)
{
	s.ret = -EPERM;
	fp_fence_join(s.ctl);
	EXPECT(fp_load_rlx(&s.ctl->fences) == FP_FENCES_BOTH);
	s.ret = 0;
	fp_fence_heavy(s.ctl);
	EXPECT(s.calls == 2 && s.asked[1] == MEMBARRIER_CMD_GLOBAL_EXPEDITED && !s.naps);
	/* Each pool is told; the kernel is asked once. */
	fp_store_rlx(&s.ctl->fences, FP_FENCES_KERNEL);
	fp_fence_join(s.ctl);
	EXPECT(s.calls == 2 && fp_load_rlx(&s.ctl->fences) == FP_FENCES_BOTH);
}

static void filtered_later(void)
{
	fp_fence_join(s.ctl);
	s.ret = -EPERM;
	fp_fence_heavy(s.ctl);
	EXPECT(fp_load_rlx(&s.ctl->fences) == FP_FENCES_BOTH && s.naps == 1);
}

/* A worker registers each time; where it can't, others are told. */
static void worker_enters(void)
{
	fp_fence_enter(s.ctl);
	fp_fence_enter(s.ctl);
	EXPECT(s.calls == 2 && s.asked[1] == MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
	EXPECT(fp_load_rlx(&s.ctl->fences) == FP_FENCES_NEW);
	s.ret = -EPERM;
	fp_fence_enter(s.ctl);
	EXPECT(s.calls == 3 && fp_load_rlx(&s.ctl->fences) == FP_FENCES_BOTH);
	fp_store_rlx(&s.ctl->fences, FP_FENCES_OWN);
	fp_fence_enter(s.ctl);
	EXPECT(s.calls == 3);
}

/* A child does not believe what it has inherited. */
static void child_registers(void)
{
	int status;

	fp_fence_join(s.ctl);
	EXPECT(s.calls == 1);
	if (fork() == 0) {
		fp_fence_join(s.ctl);
		_exit(s.calls == 2 ? 0 : 1);
	}
	EXPECT(wait(&status) > 0 && status == 0);
}

static void (*const alone_cases[])(void) = {
	registers_once, nobody_joined, kernel_without_it, no_such_call, not_registered, filtered_later,
	worker_enters, child_registers,
};

START_TEST(who_fences)
{
	begin();
	alone(alone_cases[_i]);
	end();
}
END_TEST

/*
 * A publisher with a plain store and the light side against a sleeper with the
 * heavy one: not both miss the other.  With the kernel's fence, without it, and where
 * the publisher joins just before.
 */
static struct {
	_Alignas(FP_LINE) fp_a32 published, saw_bit;
	_Alignas(FP_LINE) fp_a32 bit, saw_work;
	_Alignas(FP_LINE) fp_a32 round, ended;
	bool late;
} duel;

/* Close to each other where there are two CPUs, and not for long where there is one. */
static bool await_value(fp_a32 *word, uint32_t value)
{
	uint32_t is, looks = 0;

	while ((is = fp_load_sc(word)) != value && is != OVER)
		if (++looks % 1000 == 0)
			fp_sys.yield();
	return is == value;
}

static void *publisher(void *unused)
{
	uint32_t i;

	(void)unused;
	for (i = 1; await_value(&duel.round, i); i++) {
		if (duel.late)
			fp_fence_join(s.ctl);
		fp_store_rel(&duel.published, i);
		fp_fence_light(s.ctl);
		fp_store_rlx(&duel.saw_bit, fp_load_rlx(&duel.bit) == i);
		fp_store_sc(&duel.ended, i);
	}
	return NULL;
}

START_TEST(not_both_miss)
{
	unsigned missed = 0;
	pthread_t thread;
	uint32_t i, looks;
	int64_t until = fp_deadline(DUEL_NS);

	begin();
	fp_sys = fp_sys_real;
	memset(&duel, 0, sizeof(duel));
	fp_fence_open(s.ctl);
	if (_i == 1)
		fp_store_rlx(&s.ctl->fences, FP_FENCES_OWN);
	else
		fp_fence_join(s.ctl);
	duel.late = _i == 2;
	ck_assert_int_eq(pthread_create(&thread, NULL, publisher, NULL), 0);
	for (i = 1; i <= ROUNDS && fp_sys.clock() < until; i++) {
		if (duel.late)
			fp_store_rlx(&s.ctl->fences, FP_FENCES_NEW);
		fp_store_sc(&duel.round, i);
		/* So that they meet. */
		for (looks = i % 32; looks; looks--)
			fp_pause();
		fp_swap_sc(&duel.bit, i);
		fp_fence_heavy(s.ctl);
		fp_store_rlx(&duel.saw_work, fp_load_sc(&duel.published) == i);
		await_value(&duel.ended, i);
		missed += !fp_load_rlx(&duel.saw_bit) && !fp_load_rlx(&duel.saw_work);
	}
	fp_store_sc(&duel.round, OVER);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(missed, 0);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("idle");
	TCase *tc = test_case(suite, "wake");

	tcase_add_test(tc, each_is_woken_once);
	tcase_add_test(tc, on_its_way_in);
	tcase_add_test(tc, all_without_their_bits);
	tcase_add_test(tc, nobody_is_meant);
	tcase_add_test(tc, who_looks);
	tcase_add_test(tc, who_may_spin);
	tcase_add_test(tc, how_long_to_spin);
	tcase_add_test(tc, is_there_more);

	tc = test_case(suite, "fence");
	tcase_add_loop_test(tc, who_fences, 0, sizeof(alone_cases) / sizeof(*alone_cases));
	tcase_add_loop_test(tc, not_both_miss, 0, 3);
	return test_main(suite);
}
