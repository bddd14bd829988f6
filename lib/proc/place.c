/* SPDX-License-Identifier: MIT */
/*
 * What.  Workers that share a CPU while another one is idle: a guest's scheduler puts
 * them there.  It takes a CPU that sleeps for one that the hypervisor has withdrawn, and
 * so wakes each worker where it ran last, or where the waker runs; the next balancing
 * is 2 to 20 ms away.
 *
 * Usage.  A worker that has slept and found work calls fp_place_settle() before it
 * runs it.  Not those that are bound, nor where there are more workers than CPUs.
 *
 * Invariants.
 * I1 A worker says where it is, or where it goes, before it looks where the others are:
 *    of two on one CPU at least one sees the other, and the second to look sees where
 *    the first one goes.
 * I2 Nobody waits for what is said here: an entry that is wrong costs a move.
 *
 * Ordering pairs.  PLACE-C1/PLACE-C2.
 *
 * Progress.  After a sleep it asks which CPU this is, mostly without a system call.  Who
 * shares one makes four for a move (it asks twice where it may go, is bound, and let
 * go), and that once in SETTLE_STAY_NS.
 *
 * If the owner dies.  The nursery forgets where it was.
 */
#include "proc/place.h"

#include "os/sys.h"

#define SETTLE_STAY_NS	((int64_t)10000000)	/* no other move of this worker before that; place.h */
#define NOWHERE	0u

static void say(struct fp_ctl *ctl, uint32_t id, uint32_t cpu)
{
	if (fp_load_rlx(&ctl->cpu[id]) != cpu + 1)
		/* PLACE-C1: before the look where others are; pairs with PLACE-C2. */
		fp_store_sc(&ctl->cpu[id], cpu + 1);
}

/* Workers other than this one that run, or were woken: those of one word of a bitmap. */
static uint64_t others_in(const struct fp_self *self, uint32_t word)
{
	struct fp_ctl *ctl = self->crew->seg.ctl;
	uint32_t workers = self->crew->seg.geo.workers - word * 64;
	uint64_t mask = workers >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << workers) - 1;

	mask &= ~fp_load_rlx(&ctl->asleep[word]) & ~fp_load_rlx(&ctl->nest_asleep[word]);
	if (word == self->id / 64)
		mask &= ~((uint64_t)1 << (self->id % 64));
	return mask;
}

/* Takes the CPUs of other workers out of the set; was `cpu` one of them? */
static bool without_taken(const struct fp_self *self, uint32_t cpu, cpu_set_t *set)
{
	struct fp_ctl *ctl = self->crew->seg.ctl;
	bool shared = false;
	uint64_t mask;
	uint32_t i, at;

	for (i = 0; i <= (self->crew->seg.geo.workers - 1) / 64; i++)
		for (mask = others_in(self, i); mask; mask &= mask - 1) {
			/* PLACE-C2: after PLACE-C1 of our own; pairs with PLACE-C1. */
			at = fp_load_sc(&ctl->cpu[i * 64 + (uint32_t)__builtin_ctzll(mask)]);
			shared |= at == cpu + 1;
			if (set && at != NOWHERE && at <= CPU_SETSIZE)
				CPU_CLR(at - 1, set);
		}
	return shared;
}

static void move_to_free(struct fp_self *self, uint32_t cpu)
{
	cpu_set_t set;
	uint32_t i;

	if (fp_sys.affinity(&set) < 0)
		return;
	CPU_CLR(cpu, &set);
	without_taken(self, cpu, &set);
	for (i = 0; i < CPU_SETSIZE && !CPU_ISSET(i, &set); i++)
		;
	if (i == CPU_SETSIZE)
		return;
	say(self->crew->seg.ctl, self->id, i);
	fp_sys.move((int)i);
}

FP_TRIP void fp_place_settle(struct fp_self *self)
{
	struct fp_ctl *ctl = self->crew->seg.ctl;
	uint32_t workers = fp_segment_crew(&self->crew->seg);
	int cpu = fp_sys.cpu();

	if (cpu < 0 || self->crew->cpus_count)
		return;
	say(ctl, self->id, (uint32_t)cpu);
	if (workers < 2 || workers > fp_load_rlx(&ctl->cpus) || self->runner.now < self->stay_until ||
	    !without_taken(self, (uint32_t)cpu, NULL))
		return;
	self->stay_until = self->runner.now + SETTLE_STAY_NS;
	move_to_free(self, (uint32_t)cpu);
}

void fp_place_forget(struct fp_ctl *ctl, uint32_t id)
{
	fp_store_rlx(&ctl->cpu[id], NOWHERE);
}
