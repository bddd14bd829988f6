/* SPDX-License-Identifier: MIT */
/*
 * Comes before each file of the library that is built for the machine of machine.h:
 * a pause takes time there, and no other instruction shows where one is.
 */
#ifndef BENCH_SCALE_PAUSE_H
#define BENCH_SCALE_PAUSE_H

void machine_pause(void);
#define __builtin_ia32_pause	machine_pause

#endif
