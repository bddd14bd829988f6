/* SPDX-License-Identifier: MIT */
/* What the programs share that has nothing to do with how they run their loop. */
#ifndef PROGRAMS_PROGRAM_H
#define PROGRAMS_PROGRAM_H

/* The exit status after a wrong command line. */
#define PROGRAM_USAGE	2

/* How many workers there are where nobody says it: the CPUs that this process may use. */
unsigned program_cpus(void);

/* Seconds of a clock that never goes backwards. */
double program_clock(void);

/* A number from 1 to MOST.  Returns 0, or -1 with a word on stderr. */
int program_number(const char *text, unsigned most, unsigned *ret);

/* The name of the program without its directory. */
const char *program_name(const char *path);

#endif
