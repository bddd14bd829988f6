/* SPDX-License-Identifier: MIT */
/*
 * Pools that are programs of other makers.
 *
 * The runner starts such a program once for a pool and talks to it in lines over
 * two pipes; items and results lie in memory that both map.  The program finds
 * descriptors REQUESTS, ANSWERS and MEMORY open.  It answers each line with one:
 * "ok", maybe with a number, or "error" and what is wrong.
 *
 *   start KIND WORKERS SIZE		a pool; SIZE bytes of memory are there
 *   map BODY IN_SIZE OUT_SIZE COUNT IN OUT		a loop; IN and OUT are offsets
 *   stream BODY IN_SIZE OUT_SIZE COUNT IN OUT WINDOW
 *				the same, each item submitted by itself, at most
 *				WINDOW unfinished
 *   trips BODY IN_SIZE OUT_SIZE COUNT IN OUT NS WARM IDLE LIMIT
 *				one item after the other, each after IDLE ns, WARM
 *				of them untimed; the times of the others go to NS
 *				as 32-bit numbers; ends LIMIT ns after the first
 *				(0 = never); answers how many
 *   stop				the pool goes, the program stays
 *   quit				so does an end of the requests
 *
 * BODY is a name for bench_body().  The first page of the memory is the
 * program's own.
 */
#ifndef BENCH_FOREIGN_H
#define BENCH_FOREIGN_H

#include "bench.h"

/* Descriptors of the program. */
#define FOREIGN_REQUESTS	3
#define FOREIGN_ANSWERS		4
#define FOREIGN_MEMORY		5
/* What the program keeps for itself at the start of the memory. */
#define FOREIGN_OWN		4096

struct foreign;

/*
 * How a program is started.  It runs in a child; RUN is to exec and returns when
 * that fails.
 */
struct foreign_program {
	int death_signal;		/* what the program gets when the runner dies */
	int keep;			/* it outlives its pool, for the next one */
	int (*find)(void);		/* before; negative: something is missing */
	void (*run)(const char *bodies, unsigned workers);
};

/* NULL after a line on stderr that says why NAME is left out. */
struct foreign *foreign_start(const struct foreign_program *program, const char *name,
			      const char *kind, unsigned workers, size_t shared);
void foreign_stop(void *foreign);

/* Both as in struct bench_peer. */
int foreign_map(void *foreign, const struct bench_job *job);
void *foreign_alloc(void *foreign, size_t size);

/* Both as in struct bench_task_peer, for one submitter. */
int foreign_stream(void *foreign, unsigned submitter, const struct bench_stream *stream);
int foreign_trips(void *foreign, struct bench_trips *trips);

/*
 * Chooses an interpreter, one with joblib if there is any.  The environment names
 * it as PYTHON from then on, here and in programs that this one starts; where it
 * does before, that one it is.
 */
int foreign_python_find(void);

#endif
