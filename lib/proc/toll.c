/* SPDX-License-Identifier: MIT */
/*
 * What.  Workers that die outside items, in start, in a hook or idle, might do so
 * for ever.  So from the second in a row on they are started later and later, and
 * when there were too many in a window, or in a row without any progress however
 * slowly, the pool is broken.
 *
 * Usage.  By the nursery alone.
 *
 * If the owner dies: the pool is broken.
 */
#include "proc/toll.h"

#include <string.h>

#define MS		((int64_t)1000000)
#define WINDOW		(10 * 1000 * MS)
#define BASE		5	/* deaths in a window: this, and ... */
#define EACH		2	/* ... for each worker, are put up with */
#define ROW		3	/* times workers, without any progress */
#define BACKOFF_FIRST	(10 * MS)
#define BACKOFF_MOST	(1000 * MS)

uint32_t fp_toll_room(uint32_t workers)
{
	return BASE + EACH * workers;
}

void fp_toll_init(struct fp_toll *toll, int64_t *times, uint32_t room)
{
	*toll = (struct fp_toll){ .times = times, .room = room };
}

void fp_toll_clear(struct fp_toll *toll)
{
	memset(toll->times, 0, toll->room * sizeof(*toll->times));
	toll->row = 0;
}

void fp_toll_progress(struct fp_toll *toll)
{
	toll->row = 0;
}

static int64_t backoff(uint32_t row)
{
	int64_t wait = BACKOFF_FIRST;

	if (row <= 1)
		return 0;
	while (--row > 1 && wait < BACKOFF_MOST)
		wait *= 2;
	return wait < BACKOFF_MOST ? wait : BACKOFF_MOST;
}

int64_t fp_toll_death(struct fp_toll *toll, uint32_t workers, uint64_t settled,
		      int64_t now, bool *enough)
{
	uint32_t most = fp_toll_room(workers);
	int64_t oldest = toll->times[(toll->next + toll->room - most) % toll->room];

	toll->row = settled == toll->progress ? toll->row + 1 : 1;
	toll->progress = settled;
	toll->times[toll->next] = now;
	toll->next = (toll->next + 1) % toll->room;
	*enough = (oldest && now - oldest < WINDOW) || toll->row >= ROW * workers;
	return backoff(toll->row);
}
