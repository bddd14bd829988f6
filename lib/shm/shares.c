/* SPDX-License-Identifier: MIT */
/*
 * What.  Each thread of the host allocates from slabs of its own, as a worker does:
 * so it needs no locked instruction either.  To workers and the nursery all of
 * them are one owner, the host.
 *
 * Usage.  Host threads.  A thread gets its share of a heap when it first allocates
 * there.  When the thread has ended, the next one that needs a share gets it, with
 * the slabs that it keeps; or those go, when memory is short.
 *
 * Invariants.
 * I1 Of a share nobody but its thread makes use, or, when that has ended, who holds
 *    the lock.
 * I2 A thread that has ended has said so (`ended`) from the destructor of its key,
 *    and has forgotten its seats before: what other destructors allocate later is
 *    from a share that it joins anew.
 * I3 What tells of the thread lives as long as the thread or a share refers to it.
 *
 * Ordering pairs.  SHARE-E1/E2 (end, take over), SHARE-R1 (the last reference).
 *
 * Progress.  The lock is taken to find a share, not to allocate from it.
 *
 * If the owner dies.  With the host everything ends.  In a child that it forked the
 * lock may be held for ever; there nobody takes it.
 */
#include "shm/shares.h"

#include <stdlib.h>

struct thread {
	fp_a32 holders;		/* the thread itself, and shares */
	fp_a32 ended;		/* set by the thread; read by who looks for a share */
};

struct fp_share {
	struct fp_share *next;
	struct thread *owner;
	struct fp_heap heap;
};

_Thread_local struct fp_seat fp_seats[FP_SEATS];
static _Thread_local struct thread *self __attribute__((tls_model("initial-exec")));

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;
static fp_a64 serials;

/* ---- Threads -------------------------------------------------------------------- */

static void let_be(struct thread *t)
{
	/* SHARE-R1: the last one frees it; pairs with itself. */
	if (fp_add_sc(&t->holders, UINT32_MAX) == 1)
		free(t);
}

static void thread_end(void *t)
{
	unsigned i;

	self = NULL;
	for (i = 0; i < FP_SEATS; i++)
		fp_seats[i] = (struct fp_seat){ 0 };
	/* SHARE-E1: after all it did with its shares; pairs with SHARE-E2. */
	fp_store_rel(&((struct thread *)t)->ended, 1);
	let_be(t);
}

static bool has_ended(const struct thread *t)
{
	/* SHARE-E2: its shares are as it left them; pairs with SHARE-E1. */
	return fp_load_acq(&t->ended);
}

static void key_make(void)
{
	have_key = pthread_key_create(&key, thread_end) == 0;
}

static struct thread *thread_self(void)
{
	struct thread *t = self;

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

/* ---- Shares ---------------------------------------------------------------------- */

void fp_shares_init(struct fp_shares *s, struct fp_units *units)
{
	*s = (struct fp_shares){
		/* SHARE-N1: no two get the same; 0 is nobody's; pairs with itself. */
		.serial = fp_add_sc(&serials, 1) + 1,
		.units = units,
	};
	pthread_mutex_init(&s->lock, NULL);
}

void fp_shares_fini(struct fp_shares *s)
{
	struct fp_share *share = s->list, *next;

	for (; share; share = next) {
		next = share->next;
		let_be(share->owner);
		fp_heap_forget(&share->heap);
		free(share);
	}
	s->list = NULL;
}

static void give_to(struct fp_share *share, struct thread *t)
{
	if (share->owner)
		let_be(share->owner);
	share->owner = t;
	/* SHARE-R2: one more; pairs with SHARE-R1. */
	fp_add_sc(&t->holders, 1);
}

static struct fp_share *find(struct fp_shares *s, struct thread *me)
{
	struct fp_share *share;

	for (share = s->list; share; share = share->next)
		if (share->owner == me)
			return share;
	for (share = s->list; share; share = share->next)
		if (has_ended(share->owner)) {
			give_to(share, me);
			return share;
		}
	return NULL;
}

static struct fp_share *add(struct fp_shares *s, struct thread *me)
{
	struct fp_share *share = calloc(1, sizeof(*share));

	if (!share)
		return NULL;
	fp_heap_join(&share->heap, s->units, &s->lock);
	give_to(share, me);
	share->next = s->list;
	return s->list = share;
}

struct fp_heap *fp_shares_join(struct fp_shares *s)
{
	struct thread *me = thread_self();
	struct fp_share *share;

	if (!me)
		return NULL;
	pthread_mutex_lock(&s->lock);
	share = find(s, me);
	if (!share)
		share = add(s, me);
	pthread_mutex_unlock(&s->lock);
	if (!share)
		return NULL;
	fp_seats[s->serial % FP_SEATS] = (struct fp_seat){ s->serial, &share->heap };
	return &share->heap;
}

void fp_shares_let_go(struct fp_shares *s)
{
	struct fp_share *share;

	pthread_mutex_lock(&s->lock);
	for (share = s->list; share; share = share->next)
		if (share->owner == self || has_ended(share->owner))
			fp_heap_let_go(&share->heap);
	pthread_mutex_unlock(&s->lock);
}
