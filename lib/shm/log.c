/* SPDX-License-Identifier: MIT */
/*
 * What.  A small ring of records from the nursery to the host's log.  The newest
 * stay, older ones are overwritten and counted.
 *
 * Usage.  fp_log_put() by the nursery when something happens; fp_log_take() by
 * host threads when they enter or leave a call.
 *
 * Invariants.
 * I1 Record i lies in place i % FP_LOG_RECORDS and is complete once `next` is
 *    above i; its place is written again only once `next` is i + FP_LOG_RECORDS.
 *    So a copy is whole if `next` was above i before, and is less than i +
 *    FP_LOG_RECORDS after it.
 * I2 A record is taken by a swap of the host's own count, after it was copied: at
 *    most once, and nobody holds a lock.
 * I3 The host believes nothing: `next` only says how many records to look at, a
 *    bounded number, and records are numbers that are checked before use.
 *
 * Ordering pairs.  LOG-N1/LOG-H1, LOG-N2/LOG-H2.
 *
 * Progress.  Neither side waits.  A reader that is overtaken all the time gives up
 * until the next call.
 *
 * If the owner dies.  The nursery: a record that was not complete is never seen.
 */
#include "shm/log.h"

#define SANE	((uint64_t)1 << 32)	/* more has never been written since the last look */
#define TRIES	4

void fp_log_put(struct fp_log *log, const struct fp_log_entry *e)
{
	uint64_t next = fp_load_rlx(&log->next);
	fp_a64 *at = log->records[next % FP_LOG_RECORDS];

	/* LOG-N2: after `next` came to where it is, which tells those who read this place; pairs with LOG-H2. */
	fp_store_sc(&at[0], (uint64_t)e->id << 32 | e->kind);
	/* LOG-N3: as LOG-N2; pairs with LOG-H2. */
	fp_store_sc(&at[1], (uint64_t)(uint32_t)e->code << 32 | e->pid);
	/* LOG-N4: as LOG-N2; pairs with LOG-H2. */
	fp_store_sc(&at[2], e->value);
	/* LOG-N1: after the record; pairs with LOG-H1. */
	fp_store_sc(&log->next, next + 1);
}

static void copy(struct fp_log *log, uint64_t from, unsigned n, struct fp_log_entry *list)
{
	uint64_t who, how;
	unsigned i;

	for (i = 0; i < n; i++) {
		fp_a64 *at = log->records[(from + i) % FP_LOG_RECORDS];

		/* LOG-H3: before LOG-H2; pairs with LOG-N2. */
		who = fp_load_sc(&at[0]);
		/* LOG-H4: as LOG-H3; pairs with LOG-N3. */
		how = fp_load_sc(&at[1]);
		list[i] = (struct fp_log_entry){
			.kind = (uint32_t)who,
			.id = (uint32_t)(who >> 32),
			.pid = (uint32_t)how,
			.code = (int32_t)(how >> 32),
			/* LOG-H5: as LOG-H3; pairs with LOG-N4. */
			.value = fp_load_sc(&at[2]),
		};
	}
}

unsigned fp_log_take(struct fp_log *log, fp_a64 *taken, struct fp_log_entry *list,
		     unsigned room, uint64_t *lost)
{
	const uint64_t kept = FP_LOG_RECORDS - 1;
	uint64_t was, from, next;
	unsigned n, i;

	for (i = 0; i < TRIES; i++) {
		was = from = fp_load_rlx(taken);
		/* LOG-H1: with the records below it; pairs with LOG-N1. */
		next = fp_load_sc(&log->next);
		if (next == from)
			return 0;
		if (next - from > SANE) {
			/* LOG-H6: nonsense: look on from there; pairs with LOG-H7. */
			fp_cas_sc(taken, &was, next);
			return 0;
		}
		if (next - from > kept)
			from = next - kept;
		n = (unsigned)fp_min(next - from, room);
		copy(log, from, n, list);
		/* LOG-H2: whether any of them has been overwritten meanwhile; pairs with LOG-N2. */
		if (fp_load_sc(&log->next) - from > kept)
			continue;
		*lost = from - was;
		/* LOG-H7: ours, unless another thread was faster; pairs with LOG-H6. */
		if (fp_cas_sc(taken, &was, from + n))
			return n;
	}
	return 0;
}
