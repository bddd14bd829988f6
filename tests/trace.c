/* SPDX-License-Identifier: MIT */
#include "trace.h"

#ifdef __x86_64__

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#define INT3		0xccu
#define SYSCALL		0x050fu		/* the instruction, as a little-endian word */
#define POLL_NS		50000
#define ASLEEP_MS	2		/* in a call so long, and asleep: it waits for something */

static uintptr_t armed;			/* where the breakpoint is */
static long armed_was;			/* what was there */

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

/* Waits for the next report, at most ms; false: none came.  -1: without end. */
static bool await(pid_t pid, int ms, int *status)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	int64_t left = (int64_t)ms * 1000000;
	pid_t got;

	for (;;) {
		got = waitpid(pid, status, ms < 0 ? __WALL : __WALL | WNOHANG);
		must(got >= 0, "waitpid");
		if (got == pid)
			return true;
		if (left <= 0)
			return false;
		nanosleep(&pause, NULL);
		left -= POLL_NS;
	}
}

static bool is_asleep(pid_t pid)
{
	char path[64], line[512], *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	end = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	return end && end[1] && end[2] == 'S';
}

static void read_place(struct trace *t, struct user_regs_struct *regs)
{
	must(!ptrace(PTRACE_GETREGS, t->pid, NULL, regs), "ptrace: registers");
	t->pc = regs->rip;
}

static void poke(pid_t pid, uintptr_t at, long word)
{
	must(!ptrace(PTRACE_POKETEXT, pid, at, word), "ptrace: breakpoint");
}

bool trace_seize(struct trace *t, pid_t pid)
{
	int status;

	*t = (struct trace){ .pid = pid };
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL))
		return false;
	must(!ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), "ptrace: interrupt");
	must(await(pid, -1, &status), "seize");
	return WIFSTOPPED(status);
}

bool trace_possible(pid_t pid)
{
	struct trace t;

	if (!trace_seize(&t, pid))
		return false;
	trace_release(&t);
	return true;
}

void trace_arm(struct trace *t, uintptr_t fn)
{
	armed = fn;
	memcpy(&armed_was, (const void *)fn, sizeof(armed_was));
	poke(t->pid, fn, (armed_was & ~0xffL) | INT3);
	must(!ptrace(PTRACE_CONT, t->pid, NULL, NULL), "ptrace: continue");
}

bool trace_await(struct trace *t, int ms)
{
	struct user_regs_struct regs;
	int status;

	if (!await(t->pid, ms, &status)) {
		ptrace(PTRACE_INTERRUPT, t->pid, NULL, NULL);
		must(await(t->pid, -1, &status), "interrupt");
	}
	must(WIFSTOPPED(status), "a worker under trace ended by itself");
	poke(t->pid, armed, armed_was);
	read_place(t, &regs);
	if (regs.rip != armed + 1)
		return false;
	regs.rip = armed;
	must(!ptrace(PTRACE_SETREGS, t->pid, NULL, &regs), "ptrace: registers");
	t->pc = regs.rip;
	t->sp = regs.rsp;
	return true;
}

static enum trace_step arrive(struct trace *t)
{
	struct user_regs_struct regs;

	read_place(t, &regs);
	return t->pc == t->until || (!t->until && regs.rsp > t->sp) ? TRACE_ENDED
								      : TRACE_STEPPED;
}

enum trace_step trace_step(struct trace *t)
{
	uint16_t code;
	int status;

	memcpy(&code, (const void *)t->pc, sizeof(code));
	must(!ptrace(PTRACE_SINGLESTEP, t->pid, NULL, NULL), "ptrace: step");
	if (code != SYSCALL) {
		must(await(t->pid, -1, &status), "step");
		must(WIFSTOPPED(status), "a worker under trace ended by itself");
		return arrive(t);
	}
	while (!await(t->pid, ASLEEP_MS, &status)) {
		t->running = is_asleep(t->pid);
		if (t->running)
			return TRACE_ASLEEP;
	}
	must(WIFSTOPPED(status), "a worker under trace ended by itself");
	return arrive(t);
}

bool trace_awake(struct trace *t, int ms)
{
	int status;

	if (!await(t->pid, ms, &status))
		return false;
	must(WIFSTOPPED(status), "a worker under trace ended by itself");
	t->running = false;
	return arrive(t) == TRACE_STEPPED;
}

void trace_kill(struct trace *t)
{
	int status;

	kill(t->pid, SIGKILL);
	do
		must(await(t->pid, -1, &status), "kill");
	while (!WIFSIGNALED(status));
}

/*
 * A signal sent to a process that stands still under trace is delivered before
 * its next instruction; one that runs stands still for it, and is let go with it.
 */
void trace_stop(struct trace *t)
{
	int status, sig = 0;

	kill(t->pid, SIGSTOP);
	while (t->running && sig != SIGSTOP) {
		must(await(t->pid, -1, &status), "stop");
		must(WIFSTOPPED(status), "a worker under trace ended by itself");
		sig = WSTOPSIG(status);
		if (sig != SIGSTOP)
			must(!ptrace(PTRACE_CONT, t->pid, NULL, NULL), "ptrace: continue");
	}
	must(!ptrace(PTRACE_DETACH, t->pid, NULL, sig), "ptrace: detach");
}

void trace_release(struct trace *t)
{
	int status;

	if (t->running) {
		ptrace(PTRACE_INTERRUPT, t->pid, NULL, NULL);
		must(await(t->pid, -1, &status), "interrupt");
	}
	must(!ptrace(PTRACE_DETACH, t->pid, NULL, 0), "ptrace: detach");
}

#else

/* Single steps and breakpoints of other machines are not known here. */

bool trace_possible(pid_t pid)
{
	(void)pid;
	return false;
}

bool trace_seize(struct trace *t, pid_t pid)
{
	*t = (struct trace){ .pid = pid };
	return false;
}

void trace_arm(struct trace *t, uintptr_t fn)
{
	(void)t;
	(void)fn;
}

bool trace_await(struct trace *t, int ms)
{
	(void)t;
	return ms < 0;
}

enum trace_step trace_step(struct trace *t)
{
	(void)t;
	return TRACE_ENDED;
}

bool trace_awake(struct trace *t, int ms)
{
	return trace_await(t, ms);
}

void trace_kill(struct trace *t)
{
	(void)t;
}

void trace_stop(struct trace *t)
{
	(void)t;
}

void trace_release(struct trace *t)
{
	(void)t;
}

#endif
