/* SPDX-License-Identifier: MIT */
/*
 * Peers: oneTBB's parallel_for with its default partitioner, which splits what others
 * ask for, and with the static one, in an arena of as many slots as there are workers
 * (the caller holds one of them).
 */
#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>

#include "bench.h"

namespace {

struct team {
	tbb::task_scheduler_handle handle;
	tbb::global_control limit;
	tbb::task_arena arena;

	explicit team(unsigned workers)
		: handle(tbb::attach{}),
		  limit(tbb::global_control::max_allowed_parallelism, workers),
		  arena(static_cast<int>(workers))
	{
	}
};

/* Each of WORKERS pieces waits for all the others, so every thread must come. */
bool all_answered(team &team, unsigned workers)
{
	std::atomic<unsigned> here{0};
	const int64_t limit = bench_clock() + BENCH_START_LIMIT;

	team.arena.execute([&] {
		tbb::parallel_for(0u, workers, [&](unsigned) {
			here++;
			while (here < workers && bench_clock() < limit)
				std::this_thread::yield();
		}, tbb::simple_partitioner());
	});
	return bench_clock() < limit;
}

void team_stop(void *arg)
{
	std::unique_ptr<team> gone(static_cast<team *>(arg));
	tbb::task_scheduler_handle handle = std::move(gone->handle);

	gone.reset();
	/* Waits until the threads have ended. */
	tbb::finalize(handle, std::nothrow);
}

void *team_start(const struct bench_peer *peer, unsigned workers, size_t)
{
	team *made = new team(workers);

	if (all_answered(*made, workers))
		return made;
	std::fprintf(stderr, "%s: can't start %u threads\n", peer->name, workers);
	team_stop(made);
	return nullptr;
}

template <class partitioner> void job_run(const struct bench_job &j, const partitioner &parts)
{
	using range = tbb::blocked_range<size_t>;

	if (j.range) {
		tbb::parallel_for(range(0, j.count), [j](const range &r) {
			j.range(j.arg, r.begin(), r.end());
		}, parts);
		return;
	}
	tbb::parallel_for(range(0, j.count), [j](const range &r) {
		bench_items_run(&j, r.begin(), r.size());
	}, parts);
}

int team_map(void *arg, const struct bench_job *job)
{
	static_cast<team *>(arg)->arena.execute([job] {
		job_run(*job, tbb::auto_partitioner());
	});
	return 0;
}

int team_map_static(void *arg, const struct bench_job *job)
{
	static_cast<team *>(arg)->arena.execute([job] {
		job_run(*job, tbb::static_partitioner());
	});
	return 0;
}

/* As maps inside items, three levels deep. */
int team_map_nested(void *arg, const struct bench_job *job)
{
	team *t = static_cast<team *>(arg);
	const bench_job j = *job;
	const size_t n = bench_width(j.count);

	t->arena.execute([&] {
		tbb::parallel_for(size_t(0), n, [j, n](size_t i) {
			tbb::parallel_for(size_t(0), n, [j, n, i](size_t k) {
				tbb::parallel_for(size_t(0), n, [j, n, i, k](size_t m) {
					const size_t item = (i * n + k) * n + m;

					j.fn(nullptr, j.in + item * j.in_size, j.out + item * j.out_size);
				});
			});
		});
	});
	return 0;
}

} /* namespace */

extern const struct bench_peer bench_tbb;
const struct bench_peer bench_tbb = {
	"tbb", BENCH_RANGES, 0, team_start, team_map, nullptr, team_stop,
};

extern const struct bench_peer bench_tbb_static;
const struct bench_peer bench_tbb_static = {
	"tbb-static", BENCH_RANGES | BENCH_VARIANT, 0, team_start, team_map_static, nullptr, team_stop,
};

extern const struct bench_peer bench_tbb_nested;
const struct bench_peer bench_tbb_nested = {
	"tbb-nested", BENCH_VARIANT | BENCH_NESTED, 0, team_start, team_map_nested, nullptr, team_stop,
};
