/* SPDX-License-Identifier: MIT */
/* What peers share among themselves. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "bench.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Flags of threads ------------------------------------------------------- */

/*
 * A word of 0 that one thread raises once and one other thread awaits: that one
 * spins for some 20 us, and then sleeps.
 */
void bench_flag_raise(uint32_t *flag);
int bench_flag_raised(const uint32_t *flag);
void bench_flag_await(uint32_t *flag);

/* ---- Memory of processes ------------------------------------------------------ */

/* A mapping that processes forked later share, given out piece by piece. */
struct bench_arena {
	char *base;
	size_t size, used;
};

/* Room for BYTES in PIECES pieces.  Returns 0 or a negative error. */
int bench_arena_open(struct bench_arena *arena, size_t bytes, unsigned pieces);

/* A piece, zeroed and on pages of its own; NULL when there is no room. */
void *bench_arena_alloc(struct bench_arena *arena, size_t size);

void bench_arena_close(struct bench_arena *arena);

/* ---- POSIX message queues --------------------------------------------------------- */

/*
 * A queue of messages of SIZE bytes, without a name; DEPTH becomes how many it
 * takes.  Returns a descriptor or a negative error.
 */
int bench_queue_open(size_t size, unsigned *depth);
int bench_queue_send(int queue, const void *from, size_t len);

/* As send, but when the queue is full it returns -EAGAIN. */
int bench_queue_offer(int queue, const void *from, size_t len);

/* Returns the message's length; ROOM is no less than SIZE was. */
ssize_t bench_queue_receive(int queue, void *to, size_t room);
void bench_queue_close(int queue);

#ifdef __cplusplus
}
#endif

#endif
