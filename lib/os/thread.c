/* SPDX-License-Identifier: MIT */
/*
 * What.  Threads that come and go, and leave to the next one what they had.
 *
 * Usage.  Who keeps a list of things that are threads' own holds the thread of
 * each, and gives a thing whose thread has ended to another one.
 *
 * Invariants.
 * I1 A thread that has ended has said so from the destructor of its key, and has
 *    forgotten its seats before: what other destructors do later begins anew.
 * I2 What tells of a thread lives as long as the thread or somebody holds it.
 *
 * Ordering pairs.  THREAD-E1/E2 (end, take over), THREAD-R1 (the last reference).
 *
 * Progress.  Wait-free.  If the owner dies: with the process everything ends.
 */
#include "os/thread.h"

#include <pthread.h>
#include <stdlib.h>

struct fp_thread {
	fp_a32 holders;		/* the thread itself, and who holds it */
	fp_a32 ended;		/* set by the thread */
};

_Thread_local struct fp_seat fp_seats[FP_SEATS];
static _Thread_local struct fp_thread *self __attribute__((tls_model("initial-exec")));

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;
static fp_a64 serials;

uint64_t fp_serial_next(void)
{
	/* SERIAL-N1: no two get the same; pairs with itself. */
	return fp_add_sc(&serials, 1) + 1;
}

void fp_thread_hold(struct fp_thread *t)
{
	/* THREAD-R2: one more; pairs with THREAD-R1. */
	fp_add_sc(&t->holders, 1);
}

void fp_thread_let_be(struct fp_thread *t)
{
	/* THREAD-R1: the last one frees it; pairs with itself. */
	if (fp_add_sc(&t->holders, UINT32_MAX) == 1)
		free(t);
}

static void thread_end(void *t)
{
	unsigned i;

	self = NULL;
	for (i = 0; i < FP_SEATS; i++)
		fp_seats[i] = (struct fp_seat){ 0 };
	/* THREAD-E1: after all it did with what it had; pairs with THREAD-E2. */
	fp_store_rel(&((struct fp_thread *)t)->ended, 1);
	fp_thread_let_be(t);
}

bool fp_thread_ended(const struct fp_thread *t)
{
	/* THREAD-E2: what it had is as it left it; pairs with THREAD-E1. */
	return fp_load_acq(&t->ended);
}

static void key_make(void)
{
	have_key = pthread_key_create(&key, thread_end) == 0;
}

struct fp_thread *fp_thread_known(void)
{
	return self;
}

struct fp_thread *fp_thread_self(void)
{
	struct fp_thread *t = self;

	if (t)
		return t;
	pthread_once(&once, key_make);
	t = have_key ? calloc(1, sizeof(*t)) : NULL;
	if (!t)
		return NULL;
	fp_store_rlx(&t->holders, 1);
	if (pthread_setspecific(key, t)) {
		free(t);
		return NULL;
	}
	return self = t;
}
