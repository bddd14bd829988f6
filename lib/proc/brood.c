/* SPDX-License-Identifier: MIT */
/*
 * What.  The nursery's workers, taken together: killed, woken, told from what items
 * forked.
 *
 * Usage.  By the nursery.  A child is ALIVE from the fork until waitid() has reported
 * its end, so its process id is its own.
 *
 * Ordering pairs.  KILL-J1/KILL-J2, KILL-K1/KILL-K2 (what is to be killed).
 *
 * Progress.  Nothing here waits.
 *
 * If the owner (the nursery) dies: its workers do.
 */
#include "proc/brood.h"

#include <signal.h>

#include "os/sys.h"
#include "sync/idle.h"
#include "task/nest.h"

#define ORPHANS		256

static bool is_alive(const struct fp_brood *b, uint32_t id)
{
	return b->children[id].state == FP_CHILD_ALIVE;
}

void fp_brood_kill(const struct fp_brood *b)
{
	uint32_t id;

	for (id = 0; id < b->crew->seg.geo.workers; id++)
		if (is_alive(b, id))
			fp_sys.kill(b->children[id].pid, SIGKILL);
}

void fp_brood_kill_busy(const struct fp_brood *b)
{
	uint32_t id;

	for (id = 0; id < b->crew->seg.geo.workers; id++)
		if (is_alive(b, id) && fp_recover_busy(b->crew, id))
			fp_sys.kill(b->children[id].pid, SIGKILL);
}

/* Where no worker lives, nobody sleeps. */
void fp_brood_wake(const struct fp_brood *b)
{
	uint32_t end = b->crew->seg.geo.workers;

	while (end && !is_alive(b, end - 1))
		end--;
	fp_wake_all(b->crew->seg.ctl, end);
}

static bool is_worker(const struct fp_brood *b, pid_t pid)
{
	uint32_t id;

	for (id = 0; id < b->crew->seg.geo.workers; id++)
		if (is_alive(b, id) && b->children[id].pid == pid)
			return true;
	return false;
}

FP_APART void fp_brood_kill_orphans(const struct fp_brood *b)
{
	pid_t list[ORPHANS];
	int i, found = fp_sys.children(list, ORPHANS);

	for (i = 0; i < found; i++)
		if (!is_worker(b, list[i]))
			fp_sys.kill(list[i], SIGKILL);
}

/* ---- What is to be killed ------------------------------------------------------------- */

static void kill_all_at(const struct fp_brood *b, const struct fp_elem *what)
{
	struct fp_child *child;
	uint32_t id;

	for (id = 0; id < b->crew->seg.geo.workers; id++) {
		child = &b->children[id];
		if (child->state == FP_CHILD_ALIVE)
			fp_enforce_kill(b->crew, id, child->pid, &child->charge, what);
	}
}

/* Of the host. */
static void kill_jobs(const struct fp_brood *b)
{
	fp_a64 *killed = b->crew->seg.ctl->killed;
	uint32_t slot;

	for (slot = 0; slot < FP_SLOTS; slot++)
		if (fp_load_rlx(&killed[slot]))
			/* KILL-J2: taken, before the look who runs it; pairs with KILL-J1. */
			kill_all_at(b, &(struct fp_elem){ false, slot, fp_swap_sc(&killed[slot], 0) });
}

void fp_brood_kill_wanted(const struct fp_brood *b)
{
	struct fp_ctl *ctl = b->crew->seg.ctl;
	struct fp_elem what;
	uint32_t id;

	/* KILL-K2: with it the flags of the tasks; pairs with KILL-K1 and KILL-K3. */
	if (!fp_load_rlx(&ctl->kills) || !fp_swap_sc(&ctl->kills, 0))
		return;
	kill_jobs(b);
	for (id = 0; id < b->crew->seg.geo.workers; id++)
		if (is_alive(b, id) && fp_recover_held(b->crew, id, &what) &&
		    fp_nest_to_kill(&b->crew->seg, &what))
			kill_all_at(b, &what);
}

void fp_brood_kill_jobs_of(const struct fp_brood *b, uint32_t id)
{
	uint32_t slot = 0;
	uint64_t gen;

	for (; fp_nest_orphans(&b->crew->seg, id, &slot, &gen); slot++)
		kill_all_at(b, &(struct fp_elem){ false, slot, gen });
}
