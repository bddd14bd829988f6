/* SPDX-License-Identifier: MIT */
/* The workers as their nursery knows them; see brood.c. */
#ifndef FP_PROC_BROOD_H
#define FP_PROC_BROOD_H

#include "proc/enforce.h"
#include "proc/recover.h"

enum fp_child_state { FP_CHILD_NONE, FP_CHILD_ALIVE, FP_CHILD_UNSETTLED };

struct fp_child {
	enum fp_child_state state;
	pid_t pid;
	int64_t due;			/* NONE: start then; UNSETTLED: try again then */
	struct fp_death death;		/* UNSETTLED */
	uint64_t chunks;		/* settled under this id before it started */
	uint32_t growth;		/* number of the resize that it started for; 0 = none */
	struct fp_charge charge;
};

/* The nursery's own. */
struct fp_brood {
	const struct fp_crew *crew;
	struct fp_child *children;	/* one for each id that there may be */
};

/* Kills all that live; or those who hold a claim. */
void fp_brood_kill(const struct fp_brood *b);
void fp_brood_kill_busy(const struct fp_brood *b);

/* Wakes all that may sleep. */
void fp_brood_wake(const struct fp_brood *b);

/* What items forked and left behind has become our child; it ends with them. */
void fp_brood_kill_orphans(const struct fp_brood *b);

/* Kills whatever is to be killed, for the host or for items that submitted it. */
void fp_brood_kill_wanted(const struct fp_brood *b);

/* What we killed an item of worker id for goes for what it has published as well: nobody waits for that any more. */
void fp_brood_kill_jobs_of(const struct fp_brood *b, uint32_t id);

#endif
