/* SPDX-License-Identifier: MIT */
/* The host's side of the shared heap; see arena.c. */
#ifndef FP_SHM_ARENA_H
#define FP_SHM_ARENA_H

#include "shm/shares.h"

struct fp_arena {
	struct fp_units units;
	struct fp_room room;
	struct fp_shares shares;
	pthread_mutex_t giving;		/* one thread at a time gives memory back */
	fp_a64 idle;			/* pages freed since the last count: a guess */
	fp_a64 keep;			/* pages that free units may have */
};

/* The heap at `at`, all of it free, with no memory taken yet.  0 or -errno. */
int fp_arena_create(struct fp_arena **ret, const struct fp_heap_place *at);
void fp_arena_destroy(struct fp_arena *arena);		/* NULL is fine */

/*
 * size bytes at a multiple of align (a power of two); room for them has been
 * taken in the file when this returns.  0 or -ENOMEM, -EINVAL.  *zeroed is set
 * when the bytes are known to be zero; zeroed may be NULL.
 */
int fp_arena_alloc(struct fp_arena *arena, size_t align, size_t size,
		   void **ret, int *zeroed);

/* 0, or -EINVAL when ptr is not what alloc gave, or was freed before. */
int fp_arena_free(struct fp_arena *arena, void *ptr);

/* A map has got size bytes in all, which it frees soon, and the next one will want again. */
void fp_arena_expect(struct fp_arena *arena, size_t size);

/* Gives back all memory that is kept for later. */
void fp_arena_trim(struct fp_arena *arena);

/* The most bytes that one fp_arena_alloc() at page alignment could find room for now (addresses, not memory). */
size_t fp_arena_largest(struct fp_arena *arena);

#endif
