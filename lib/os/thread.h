/* SPDX-License-Identifier: MIT */
/* What a thread of this process has of its own, and that it has ended; see thread.c. */
#ifndef FP_OS_THREAD_H
#define FP_OS_THREAD_H

#include <stddef.h>

#include "base/atomic.h"

struct fp_thread;

/* This thread; NULL: no memory. */
struct fp_thread *fp_thread_self(void);

/* This thread if it has ever asked for itself, else NULL. */
struct fp_thread *fp_thread_known(void);

/* Something is a thread's: it is told apart from others, and can be asked, until let go. */
void fp_thread_hold(struct fp_thread *t);
void fp_thread_let_be(struct fp_thread *t);

/* Has it ended?  Then what it held is as it left it. */
bool fp_thread_ended(const struct fp_thread *t);

/* A number that no other thing of this process has; not 0. */
uint64_t fp_serial_next(void);

/* What a thread remembers of things with serials, so that it need not search; forgotten at its end. */
#define FP_SEATS	8u
struct fp_seat {
	uint64_t serial;
	void *what;
};
extern _Thread_local struct fp_seat fp_seats[FP_SEATS] __attribute__((tls_model("initial-exec")));

static inline void *fp_seat_find(uint64_t serial)
{
	const struct fp_seat *seat = &fp_seats[serial % FP_SEATS];

	return __builtin_expect(seat->serial == serial, 1) ? seat->what : NULL;
}

static inline void fp_seat_take(uint64_t serial, void *what)
{
	fp_seats[serial % FP_SEATS] = (struct fp_seat){ serial, what };
}

#endif
