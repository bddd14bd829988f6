/* SPDX-License-Identifier: MIT */
/*
 * How far the run is, on a terminal: one line on stderr that is gone at the end.
 * Each run of a workload counts alike, and within it the rounds.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.h"

#define BAR		24
#define REDRAW		INT64_C(200000000)	/* ns; each drawing wakes the terminal */

static struct {
	unsigned done, all, rounds;
	double within;		/* share of the run under way; it never falls back */
	int64_t start, drawn;
	int terminal;
} plan;

void bench_progress_plan(unsigned done, unsigned all, unsigned rounds)
{
	plan.done = done;
	plan.all = all;
	plan.rounds = rounds;
	plan.within = 0;
	plan.terminal = isatty(STDERR_FILENO);
	if (!plan.start)
		plan.start = bench_clock();
}

static unsigned columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return size.ws_col;
}

static void left_print(char *ret, size_t size, double share)
{
	double passed = (double)(bench_clock() - plan.start) / 1e9;
	double left = passed * (1 - share) / share;

	/* Too early to tell. */
	if (share < 0.01)
		snprintf(ret, size, "--:--");
	else if (left >= 3600)
		snprintf(ret, size, "%d h %02d min", (int)left / 3600, (int)left / 60 % 60);
	else
		snprintf(ret, size, "%d:%02d", (int)left / 60, (int)left % 60);
}

static void bar_draw(const char *workload, const char *peer, unsigned round)
{
	static const char full[BAR + 1] = "########################";
	double share = (plan.done + plan.within) / plan.all;
	int filled = (int)(share * BAR);
	char line[256], left[32];

	left_print(left, sizeof(left), share);
	snprintf(line, sizeof(line), "[%.*s%*s] %3d %%  %s, round %u of %u, %s; %s left",
		 filled, full, BAR - filled, "", (int)(100 * share), workload, round,
		 plan.rounds, peer, left);
	fprintf(stderr, "\r%.*s\033[K", (int)columns() - 1, line);
}

void bench_progress(const char *workload, const char *peer, unsigned round)
{
	double within = plan.rounds ? (double)round / (plan.rounds + 1) : 0;

	if (workload)
		bench_noise_sample(peer, round);
	if (!plan.terminal || !plan.all)
		return;
	if (!workload) {
		fprintf(stderr, "\r\033[K");
		plan.drawn = 0;
		return;
	}
	if (within > plan.within)
		plan.within = within < 1 ? within : 1;
	if (bench_clock() - plan.drawn < REDRAW)
		return;
	plan.drawn = bench_clock();
	bar_draw(workload, peer, round);
}
