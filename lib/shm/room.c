/* SPDX-License-Identifier: MIT */
#include "shm/room.h"

#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "os/sys.h"

/* One call takes this much: large calls hold locks in the kernel for long. */
#define PIECE_PAGES	((8u << 20) / FP_PAGE)

enum { BARE, TAKEN };

int fp_room_init(struct fp_room *r, int fd, off_t off, uint32_t count)
{
	void *taken;
	int err = fp_sys.map(&taken, NULL, count, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (err)
		return err;
	*r = (struct fp_room){ .fd = fd, .off = off, .count = count, .taken = taken };
	return 0;
}

void fp_room_fini(struct fp_room *r)
{
	if (r->taken)
		fp_sys.unmap(r->taken, r->count);
	r->taken = NULL;
}

uint32_t fp_room_count(const struct fp_room *r, uint32_t first, uint32_t n)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += r->taken[first + i];
	return sum;
}

/* The first page of [AT, END) in STATE; END if there is none. */
static uint32_t find(const struct fp_room *r, uint32_t at, uint32_t end,
		     int state)
{
	const unsigned char *p = memchr(r->taken + at, state, end - at);

	return p ? (uint32_t)(p - r->taken) : end;
}

static int file_call(const struct fp_room *r, int (*call)(int, off_t, off_t),
		     uint32_t first, uint32_t end)
{
	return call(r->fd, r->off + (off_t)first * FP_PAGE,
		    (off_t)(end - first) * FP_PAGE);
}

/* Gives back what a failed take got; its pages are not marked yet. */
static void undo(const struct fp_room *r, uint32_t at, uint32_t end)
{
	uint32_t stop;

	for (at = find(r, at, end, BARE); at < end; at = find(r, stop, end, BARE)) {
		stop = find(r, at, end, TAKEN);
		file_call(r, fp_sys.punch, at, stop);
	}
}

int fp_room_take(struct fp_room *r, uint32_t first, uint32_t n)
{
	uint32_t end = first + n, at, stop;
	int err;

	for (at = find(r, first, end, BARE); at < end;
	     at = find(r, stop, end, BARE)) {
		stop = find(r, at, fp_min(end, (uint64_t)at + PIECE_PAGES), TAKEN);
		err = file_call(r, fp_sys.allocate, at, stop);
		if (err) {
			undo(r, first, stop);
			return err;
		}
	}
	memset(r->taken + first, TAKEN, n);
	return 0;
}

int fp_room_give(struct fp_room *r, uint32_t first, uint32_t n)
{
	int err = file_call(r, fp_sys.punch, first, first + n);

	if (!err)
		memset(r->taken + first, BARE, n);
	return err;
}
