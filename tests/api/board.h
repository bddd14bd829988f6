/* SPDX-License-Identifier: MIT */
/* What items share with tests where one of them does not end as the others do. */
#ifndef TESTS_BOARD_H
#define TESTS_BOARD_H

#include <stdatomic.h>

#include "api/api.h"

#define BOARD_ITEMS	1000

/* Made before the pool. */
static struct board {
	atomic_int runs[BOARD_ITEMS];
	atomic_int starts;		/* calls of worker_init */
	atomic_int left_behind;		/* pid of a grandchild */
	int bad;			/* the item that does not end as the others do; -1 = none */
	int way;			/* how not */
	int deaths;			/* so often */
} *board;

static inline void board_open(void)
{
	board = shared_new(sizeof(*board));
	board->bad = -1;
}

static inline void board_close(void)
{
	shared_free(board, sizeof(*board));
}

/* Nothing has run so far; in[i] is i. */
static inline void board_begin(int *in, int n)
{
	int i;

	for (i = 0; i < n; i++)
		in[i] = i;
	memset(board->runs, 0, sizeof(board->runs));
}

/* All but the bad one have run once, and doubled their input. */
static inline void board_check_others(const int *out, const struct forkpool_status *status, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		if (i == board->bad)
			continue;
		CHECK_EACH(out[i] == 2 * i);
		CHECK_EACH(status[i].outcome == FORKPOOL_ITEM_OK);
		CHECK_EACH(status[i].code == 0);
		CHECK_EACH(status[i].attempts == 1);
		CHECK_EACH(status[i].worker > 0);
		CHECK_EACH(board->runs[i] == 1);
	}
}

#endif
