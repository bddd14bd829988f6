/* SPDX-License-Identifier: MIT */
/*
 * Another process under the microscope: brought to the start of a function,
 * taken on one instruction at a time, killed, stopped or let go there.
 *
 * For x86-64.  All calls come from one thread.  The process is a fork of this
 * one, so its code lies where ours lies.
 */
#ifndef TESTS_TRACE_H
#define TESTS_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct trace {
	pid_t pid;
	uintptr_t until;	/* a step that arrives here ends the path; 0 = none */
	uint64_t sp;		/* at the path's start: above it the function has returned */
	uint64_t pc;		/* where it is */
	bool running;		/* it is in a system call that has not returned */
};

enum trace_step {
	TRACE_STEPPED,
	TRACE_ENDED,		/* the path: returned, or at `until` */
	TRACE_ASLEEP,		/* in a system call; trace_awake() waits for its return */
};

/* Is there a way to do this here, to process pid? */
bool trace_possible(pid_t pid);

/* Takes hold of a process; it stands still.  False: it is gone. */
bool trace_seize(struct trace *t, pid_t pid);

/* Lets it run until it is about to execute fn: arm, do what makes it go there, await. */
void trace_arm(struct trace *t, uintptr_t fn);
bool trace_await(struct trace *t, int ms);

enum trace_step trace_step(struct trace *t);
bool trace_awake(struct trace *t, int ms);

/* The ends; the process is let go. */
void trace_kill(struct trace *t);
void trace_stop(struct trace *t);
void trace_release(struct trace *t);

#endif
