/* SPDX-License-Identifier: MIT */
/*
 * Peers for single tasks: oneTBB's.
 *
 * tbb-group: a task_group for each task, so that each can be waited for by itself; a
 * submitter that waits runs tasks meanwhile.
 * tbb-window: one task_group, waited for once in a window of tasks: less than what
 * the workload asks for, as no task's result is known before those of all.
 * tbb-enqueue: task_arena::enqueue, where other threads run all, and each task has a
 * word to wait on: a client spins a little, then sleeps.
 */
#include <array>
#include <memory>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include "peers.h"

namespace {

enum { GROUP, WINDOW, ENQUEUE };

struct team {
	tbb::task_scheduler_handle handle;
	tbb::global_control limit;
	tbb::task_arena arena;
	/* A window of them for each submitter; a round trip takes the first. */
	std::unique_ptr<tbb::task_group[]> group;

	/*
	 * The limit counts one thread beside the workers: a submitter, or the caller,
	 * which is one of the workers where there are no submitters.
	 */
	team(int variant, unsigned workers, unsigned submitters)
		: handle(tbb::attach{}),
		  limit(tbb::global_control::max_allowed_parallelism,
			workers + (submitters ? 1 : 0)),
		  arena(variant == ENQUEUE ? static_cast<int>(workers)
					   : static_cast<int>(workers + submitters),
			variant == ENQUEUE ? 0 : submitters ? submitters : 1),
		  group(new tbb::task_group[variant == GROUP && submitters
						    ? size_t(submitters) * BENCH_WINDOW : 1])
	{
	}
};

void *team_start(const struct bench_task_peer *peer, unsigned workers, unsigned submitters)
{
	return new team(peer->peer.variant, workers, submitters);
}

void team_stop(void *arg)
{
	std::unique_ptr<team> gone(static_cast<team *>(arg));
	tbb::task_scheduler_handle handle = std::move(gone->handle);

	gone.reset();
	/* Waits until the threads have ended. */
	tbb::finalize(handle, std::nothrow);
}

/* ---- Task groups -------------------------------------------------------------------- */

struct guest {
	team *host;
	bench_submitter *body;
	void *arg;
};

void guest_run(void *arg, unsigned submitter)
{
	const guest *g = static_cast<const guest *>(arg);

	g->host->arena.execute([g, submitter] { g->body(g->arg, submitter); });
}

/* The submitters are inside the arena, each in a slot kept for it. */
void group_run(void *arg, unsigned submitters, bench_submitter *body, void *body_arg)
{
	guest g = { static_cast<team *>(arg), body, body_arg };

	bench_submitters_run(submitters, guest_run, &g);
}

int group_stream(void *arg, unsigned submitter, const struct bench_stream *stream)
{
	const bench_stream s = *stream;
	const size_t window = s.count < BENCH_WINDOW ? s.count : BENCH_WINDOW;
	tbb::task_group *group = &static_cast<team *>(arg)->group[submitter * BENCH_WINDOW];

	for (size_t i = 0; i < s.count; i++) {
		tbb::task_group &one = group[i % window];

		if (i >= window)
			one.wait();
		one.run([fn = s.fn, in = &s.in[i], out = &s.out[i]] { fn(nullptr, in, out); });
	}
	for (size_t i = 0; i < window; i++)
		group[i].wait();
	return 0;
}

int group_call(void *arg, forkpool_fn *fn, const struct bench_task *in, uint64_t *out)
{
	tbb::task_group &one = static_cast<team *>(arg)->group[0];

	one.run([fn, in, out] { fn(nullptr, in, out); });
	one.wait();
	return 0;
}

int window_stream(void *, unsigned, const struct bench_stream *stream)
{
	const bench_stream s = *stream;
	tbb::task_group group;

	for (size_t i = 0; i < s.count; i++) {
		group.run([fn = s.fn, in = &s.in[i], out = &s.out[i]] { fn(nullptr, in, out); });
		if (i % BENCH_WINDOW == BENCH_WINDOW - 1)
			group.wait();
	}
	group.wait();
	return 0;
}

uint64_t fib(uint64_t n)
{
	uint64_t a, b;

	if (n < 2)
		return n;

	tbb::task_group group;

	group.run([&a, n] { a = fib(n - 1); });
	group.run([&b, n] { b = fib(n - 2); });
	group.wait();
	return a + b;
}

int group_fib(void *arg, uint64_t n, uint64_t *ret)
{
	static_cast<team *>(arg)->arena.execute([n, ret] { *ret = fib(n); });
	return 0;
}

/* ---- Enqueue --------------------------------------------------------------------------- */

int enqueue_stream(void *arg, unsigned, const struct bench_stream *stream)
{
	team *t = static_cast<team *>(arg);
	const bench_stream s = *stream;
	std::array<uint32_t, BENCH_WINDOW> flags;

	for (size_t i = 0; i < s.count; i++) {
		uint32_t *one = &flags[i % BENCH_WINDOW];

		/* Who must wait lets half of its window end, so that the sides seldom meet. */
		if (i >= BENCH_WINDOW && !bench_flag_raised(one)) {
			bench_flag_await(&flags[(i + BENCH_WINDOW / 2) % BENCH_WINDOW]);
			bench_flag_await(one);
		}
		*one = 0;
		t->arena.enqueue([fn = s.fn, in = &s.in[i], out = &s.out[i], one] {
			fn(nullptr, in, out);
			bench_flag_raise(one);
		});
	}
	for (size_t i = s.count < BENCH_WINDOW ? 0 : s.count - BENCH_WINDOW; i < s.count; i++)
		bench_flag_await(&flags[i % BENCH_WINDOW]);
	return 0;
}

} /* namespace */

extern const struct bench_task_peer bench_tbb_group;
const struct bench_task_peer bench_tbb_group = {
	{ "tbb-group", 0, GROUP, nullptr, nullptr, nullptr, nullptr }, 0,
	team_start, team_stop, group_run, group_stream, group_call, group_fib, nullptr,
};

extern const struct bench_task_peer bench_tbb_window;
const struct bench_task_peer bench_tbb_window = {
	{ "tbb-window", BENCH_VARIANT, WINDOW, nullptr, nullptr, nullptr, nullptr }, 0,
	team_start, team_stop, group_run, window_stream, group_call, nullptr, nullptr,
};

extern const struct bench_task_peer bench_tbb_enqueue;
const struct bench_task_peer bench_tbb_enqueue = {
	{ "tbb-enqueue", BENCH_ONE_RUNTIME, ENQUEUE, nullptr, nullptr, nullptr, nullptr }, 0,
	team_start, team_stop, nullptr, enqueue_stream, nullptr, nullptr, nullptr,
};
