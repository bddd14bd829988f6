/* SPDX-License-Identifier: MIT */
/* What the nursery tells the host's log; see log.c. */
#ifndef FP_SHM_LOG_H
#define FP_SHM_LOG_H

#include "shm/layout.h"

/* The numbers of the segment's words; what they mean depends on the kind. */
struct fp_log_entry {
	uint32_t kind;		/* enum fp_log_kind */
	uint32_t id, pid;	/* of a worker */
	int32_t code;		/* a signal, an exit status, or -errno */
	uint64_t value;
};

/* The nursery, and nobody else. */
void fp_log_put(struct fp_log *log, const struct fp_log_entry *entry);

/*
 * Any host thread: takes up to room entries that no other thread takes; *taken is
 * the host's own count of those taken so far.  How many; *lost is how many before
 * them were overwritten.
 */
unsigned fp_log_take(struct fp_log *log, fp_a64 *taken, struct fp_log_entry *list,
		     unsigned room, uint64_t *lost);

#endif
