/* SPDX-License-Identifier: MIT */
/*
 * What.  Limits in time, as a worker sees them: until when the item at work may
 * run, and the boundary behind it that a condemned worker does not pass.
 *
 * Usage.  In a job with limits fp_limit_begin() before an item, fp_limit_end()
 * behind it; in every job fp_limit_boundary() between a claim and its first item.
 *
 * Invariants.
 * I1 `limit` is not 0 exactly while the item it was stored for may be running:
 *    stored after pos, cleared before anything that comes after the item.  Where
 *    items lie on top of each other (task/nest.c) it is the earliest limit of
 *    them all; behind the top one that of the others is back.
 * I2 The worker clears `limit` (or takes its claim word out of RUN) and then
 *    reads `condemned`; the nursery stores `condemned` and then reads `limit`
 *    (or the claim word).  So if the nursery still finds the item at work, the
 *    worker finds itself condemned behind that item, and a kill that comes late
 *    finds it parked there, or before the first item of its next chunk: never
 *    in the item that comes next.
 * I3 Jobs without limits store nothing here and read `condemned` once a chunk.
 *
 * Ordering pairs.  LIMIT-E1/LIMIT-N3, and LIMIT-N2/LIMIT-E2, are the two sides of I2.
 *
 * Progress.  A parked worker waits for the nursery, its parent, which decides
 * without waiting for anything: it kills it, or lets it go.
 *
 * If the owner dies.  Parked or not, the item at pos is its suspect; the nursery
 * clears these words before the id is used again.  With the nursery the worker
 * dies, parked or not.  Model: tests/models/condemn.pml.
 */
#include "task/limit.h"

#include "os/sys.h"

bool fp_limit_begin(const struct fp_bounds *b, int64_t timeout, int64_t deadline, uint64_t pos)
{
	int64_t now = fp_sys.clock(), limit = FP_FOREVER;

	if (deadline && now >= deadline)
		return false;
	if (timeout)
		limit = fp_after(now, timeout);
	if (deadline)
		limit = fp_earlier(limit, deadline);
	fp_store_rlx(&b->frame->pos, pos);
	fp_store_rlx(&b->frame->limit, (uint64_t)limit);
	/* LIMIT-B1: after pos, so that who finds this limit finds this item; pairs with LIMIT-N1. */
	fp_store_rel(&b->me->limit, b->outer ? fp_min(b->outer, (uint64_t)limit) : (uint64_t)limit);
	return true;
}

void fp_limit_end(const struct fp_bounds *b)
{
	/* LIMIT-E1: before the look at `condemned` (I2); else a kill could come in the next item; pairs with LIMIT-N3. */
	fp_store_sc(&b->me->limit, b->outer);
	fp_limit_boundary(b->me);
}

FP_TRIP void fp_limit_boundary(struct fp_worker *me)
{
	/* LIMIT-E2: after LIMIT-E1, or after CLAIM-F1 and CLAIM-P4 (I2); pairs with LIMIT-N2. */
	while (fp_unlikely(fp_load_sc(&me->condemned)))
		fp_sys.futex_wait(&me->condemned, 1, FP_FOREVER);
}

bool fp_limit_passed(const struct fp_worker *me)
{
	uint64_t expired = fp_load_rlx(&me->expired);

	/* A flag for an item that had ended by then names another limit. */
	return expired && expired == fp_load_rlx(&me->limit);
}
