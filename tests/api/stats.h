/* SPDX-License-Identifier: MIT */
/* What the tests of a pool's figures share: to read them, and to wait for one. */
#ifndef TESTS_STATS_H
#define TESTS_STATS_H

#include "api/jobs.h"

#define COUNT	200

static inline struct forkpool_stats stats_of(struct forkpool *p)
{
	struct forkpool_stats s = { .sz = sizeof(s) };

	ck_assert_int_eq(forkpool_stats(p, &s), 0);
	ck_assert_uint_eq(s.sz, sizeof(s));
	return s;
}

static inline struct forkpool_worker_stats worker_of(struct forkpool *p, unsigned id)
{
	struct forkpool_worker_stats s = { .sz = sizeof(s) };

	ck_assert_int_eq(forkpool_worker_stats(p, id, &s), 0);
	ck_assert_uint_eq(s.sz, sizeof(s));
	return s;
}

/* Until the condition holds, which may look at s. */
#define AWAIT_STATS(s, what) do { \
	int64_t until_ = now_ms() + HANG_S * 1000; \
	while ((s) = stats_of(pool), !(what)) { \
		if (now_ms() > until_) \
			ck_abort_msg("hangs until %s", #what); \
		sleep_ms(1); \
	} \
} while (0)

static inline void await_state(unsigned id, int state)
{
	int64_t until = now_ms() + HANG_S * 1000;

	while (worker_of(pool, id).state != state) {
		if (now_ms() > until)
			ck_abort_msg("worker %u stays in state %d", id, worker_of(pool, id).state);
		sleep_ms(1);
	}
}

static inline int short_item(void *arg, const void *in, void *out)
{
	volatile unsigned i;

	(void)arg;
	(void)in;
	(void)out;
	for (i = 0; i < 500; i++)
		;
	return 0;
}

#endif
