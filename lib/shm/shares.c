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
 * I2 What other destructors allocate after the thread has ended (os/thread.c) is
 *    from a share that it joins anew.
 *
 * Progress.  The lock is taken to find a share, not to allocate from it.
 *
 * If the owner dies.  With the host everything ends.  In a child that it forked the
 * lock may be held for ever; there nobody takes it.
 */
#include "shm/shares.h"

#include <stdlib.h>

struct fp_share {
	struct fp_share *next;
	struct fp_thread *owner;
	struct fp_heap heap;
};

/* ---- Shares ---------------------------------------------------------------------- */

void fp_shares_init(struct fp_shares *s, struct fp_units *units)
{
	*s = (struct fp_shares){
		.serial = fp_serial_next(),
		.units = units,
	};
	pthread_mutex_init(&s->lock, NULL);
}

void fp_shares_fini(struct fp_shares *s)
{
	struct fp_share *share = s->list, *next;

	for (; share; share = next) {
		next = share->next;
		fp_thread_let_be(share->owner);
		fp_heap_forget(&share->heap);
		free(share);
	}
	s->list = NULL;
}

static void give_to(struct fp_share *share, struct fp_thread *t)
{
	if (share->owner)
		fp_thread_let_be(share->owner);
	share->owner = t;
	fp_thread_hold(t);
}

static struct fp_share *find(struct fp_shares *s, struct fp_thread *me)
{
	struct fp_share *share;

	for (share = s->list; share; share = share->next)
		if (share->owner == me)
			return share;
	for (share = s->list; share; share = share->next)
		if (fp_thread_ended(share->owner)) {
			give_to(share, me);
			return share;
		}
	return NULL;
}

static struct fp_share *add(struct fp_shares *s, struct fp_thread *me)
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
	struct fp_thread *me = fp_thread_self();
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
	fp_seat_take(s->serial, &share->heap);
	return &share->heap;
}

void fp_shares_let_go(struct fp_shares *s)
{
	struct fp_share *share;

	pthread_mutex_lock(&s->lock);
	for (share = s->list; share; share = share->next)
		if (share->owner == fp_thread_known() || fp_thread_ended(share->owner))
			fp_heap_let_go(&share->heap);
	pthread_mutex_unlock(&s->lock);
}
