/* SPDX-License-Identifier: MIT */
/* A heap on a file of its own, for tests that look inside. */
#ifndef TESTS_AREA_H
#define TESTS_AREA_H

#include "shm/arena.h"

#define KIB		((size_t)1 << 10)
#define MIB		((size_t)1 << 20)
#define GIB		((size_t)1 << 30)
#define WALL		(64 * KIB)	/* a unit of a large arena */

struct area {
	int fd;
	char *base, *map;
	size_t size, ctl_size;
	fp_a64 limit;
	struct fp_heap_place place;
	struct fp_arena *arena;
};

/* On this file, which it closes; or on a memfd. */
void area_map(struct area *x, int fd, size_t size);
void area_open(struct area *x, size_t size);
void area_close(struct area *x);

/* Bytes of the arena that the file has memory for, but for control words. */
size_t area_taken(const struct area *x);

#endif
