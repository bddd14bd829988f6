/* SPDX-License-Identifier: MIT */
/*
 * A machine with as many CPUs as one likes, in one thread of this one.  Threads
 * of the program are its CPUs' work; what they do to memory and ask of the kernel
 * takes time there by a list of costs, and is counted.  See machine.c.
 */
#ifndef BENCH_SCALE_MACHINE_H
#define BENCH_SCALE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_CPUS	640u

/* What things take, ns. */
struct machine_costs {
	double access;		/* a load or store of a line that is at hand, with the instructions around it */
	double locked;		/* a locked instruction, beyond that */
	double transfer;	/* a line that another CPU has, until it is here */
	double far;		/* the same from another socket, times transfer */
	double share;		/* how long a line is busy with one who only reads it */
	double memory;		/* a line that nobody has */
	double pause;		/* a turn of a loop that spins */
	double clock;		/* a look at the clock */
	double call;		/* a system call that does nothing */
	double wake;		/* a call that wakes a sleeper: the waker's part */
	double latency;		/* from there until the sleeper runs */
	double fence;		/* membarrier(2) */
	unsigned socket;	/* CPUs to a socket; 0 = all in one */
};

/* What the CPUs did. */
struct machine_counts {
	uint64_t accesses;	/* to what is not a stack */
	uint64_t locked;	/* instructions */
	uint64_t failed;	/* compare-and-swaps */
	uint64_t taken;		/* lines that another CPU had, to write them */
	uint64_t fetched;	/* lines that another CPU had, to read them */
	uint64_t calls;		/* of the kernel */
	uint64_t wakes;		/* sleepers that were woken */
	double waited;		/* ns, for lines that were busy with others */
};

enum machine_kind { MACHINE_LOAD, MACHINE_STORE, MACHINE_LOCKED };

/*
 * Runs fn(arg) on the first CPU, and what that starts on others, until it returns.
 * The library is told of so many CPUs.  False: all sleep, and nobody will wake them.
 */
bool machine_run(const struct machine_costs *costs, unsigned cpus, void (*fn)(void *arg), void *arg);

/* One more CPU with a thread of the host, from now on; then until it has ended. */
unsigned machine_spawn(void (*fn)(void *arg), void *arg);
void machine_await(unsigned cpu);

/* The calling CPU computes, or has begun a turn of a loop that spins. */
void machine_work(double ns);
void machine_pause(void);

double machine_now(void);
void machine_count(struct machine_counts *ret);

/* From the hooks of the compiler: a piece of memory is touched; a compare-and-swap has failed. */
void machine_access(const volatile void *p, size_t size, enum machine_kind kind);
void machine_failed(void);

#endif
