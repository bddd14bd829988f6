/* SPDX-License-Identifier: MIT */
/*
 * Which pages of the arena have memory, as far as this process, the host, has taken it.
 *
 * Room is taken in the file before a page is handed out, so that a full file
 * system is an error of the allocation and not a SIGBUS when somebody writes.
 * A byte for each page notes what has been taken and is not asked for again.
 *
 * Whoever holds the units may call this for its pages without a lock: bytes, not
 * bits, keep neighbours apart.
 */
#ifndef FP_SHM_ROOM_H
#define FP_SHM_ROOM_H

#include <stdint.h>
#include <sys/types.h>

struct fp_room {
	int fd;
	off_t off;		/* of page 0 in the file */
	uint32_t count;
	unsigned char *taken;
};

/* COUNT pages, none of them taken; 0 or -errno. */
int fp_room_init(struct fp_room *r, int fd, off_t off, uint32_t count);
void fp_room_fini(struct fp_room *r);

/* How many of the N pages from FIRST on are taken. */
uint32_t fp_room_count(const struct fp_room *r, uint32_t first, uint32_t n);

/* Takes them all, or none more than before; 0 or -errno. */
int fp_room_take(struct fp_room *r, uint32_t first, uint32_t n);

/* Gives back what they have, whoever took it; 0 or -errno. */
int fp_room_give(struct fp_room *r, uint32_t first, uint32_t n);

#endif
