/* SPDX-License-Identifier: MIT */
/*
 * The leak guard: what a test leaves behind is found, before = after.
 *
 * It looks at what a pool takes from the system: child processes (zombies and
 * children without an exit signal too), the pool's own processes wherever they
 * hang in the tree, threads, open descriptors, shared and named mappings, and
 * names in /dev/shm.  Memory of malloc is the sanitizers' business.
 */
#ifndef TESTS_GUARD_H
#define TESTS_GUARD_H

/* Notes what there is.  Aborts where /proc can't be read. */
void guard_begin(void);

/*
 * NULL when nothing is there that was not there at guard_begin(), else a text
 * that lists it, valid until the next call.  What is about to vanish gets a
 * second for it.
 */
const char *guard_end(void);

#endif
