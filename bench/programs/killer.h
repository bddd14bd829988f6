/* SPDX-License-Identifier: MIT */
/*
 * A thread that kills one worker of a pool, chosen at random among those with an
 * item at work: no part of a port, but the proof that it stands that.
 */
#ifndef PROGRAMS_KILLER_H
#define PROGRAMS_KILLER_H

#include <forkpool.h>

void killer_start(struct forkpool *pool);

/*
 * Says on stdout whom it killed and what the pool counted.  Returns ERR, how the map
 * meanwhile ended, or where that is 0 and nobody was killed, an error.
 */
int killer_stop(int err);

#endif
