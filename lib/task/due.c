/* SPDX-License-Identifier: MIT */
/*
 * What.  Who completes a job whose submitter wants to be called (on_done) says so
 * in the segment, and wakes the host's event loop by an eventfd; but only the
 * first one after each look of the loop's makes the system call.
 *
 *	finisher:  DONE, due |= bit, state ARMED -> TOLD?  then write the eventfd
 *	loop:      read the eventfd, state = ARMED, take `due`, look at those jobs
 *
 * Usage.  fp_due_slot() by whoever completes a job; fp_due_repeat() by the nursery
 * after each death and stop; the rest by the host (engine/dispatch.c).
 *
 * Invariants.
 * I1 A bit is a hint to look at a job, so one too many does no harm, nor a write
 *    too many.
 * I2 The bit is set before the state is looked at; the loop stores ARMED before
 *    it takes the bits (DUE-S1 with DUE-A1).  So either the loop takes the bit,
 *    or the finisher finds ARMED and writes.
 *    The same holds for how many words of bits there are, where pages are new: the
 *    loop asks after ARMED (DUE-T6).
 * I3 The loop reads the eventfd before it stores ARMED: what was written for that
 *    comes after the read, and so stays to be read.
 * I4 A finisher that dies, or stops, after DONE and before its write is made up
 *    for by the nursery, which sets the bit again and writes whatever the state.
 * I5 A worker writes to the eventfd only while its descriptor is one of that kind:
 *    an item may have closed it and opened something else.  Where it is not, the
 *    nursery writes.
 *
 * Ordering pairs.  DUE-B1/DUE-T1 (bit, and the job's DONE with it), DUE-S1/DUE-A1.
 *
 * Progress.  Wait-free.
 *
 * If the owner dies.  A worker: I4.  The nursery: the loop watches the pool's end
 * beside the eventfd (engine/dispatch.c).  Model: tests/models/due.pml.
 */
#include "task/due.h"

#include <signal.h>

#include "os/sys.h"

_Static_assert(FP_SLOTS == 64, "the host's slots are one word of bits");

static void write_event(const struct fp_segment *seg)
{
	if (fp_sys.event_raise(seg->event.fd) == 0 || !seg->event.nursery)
		return;
	/* DUE-L1: before the nursery looks; pairs with DUE-L2. */
	fp_store_sc(&seg->ctl->due_lost, 1);
	/* To the nursery it is a reason to look, no more. */
	fp_sys.kill(seg->event.nursery, SIGCHLD);
}

void fp_due_raise(const struct fp_segment *seg)
{
	uint32_t armed = FP_DUE_ARMED;

	/* DUE-S1: after what was made due; pairs with DUE-A1. */
	if (fp_load_sc(&seg->ctl->due_state) == FP_DUE_ARMED &&
	    /* DUE-S2: one of several writes; pairs with DUE-A1. */
	    fp_cas_sc(&seg->ctl->due_state, &armed, FP_DUE_TOLD))
		write_event(seg);
}

void fp_due_slot(const struct fp_segment *seg, uint32_t slot)
{
	/* DUE-B1: after DONE, before the look at the state; pairs with DUE-T1. */
	fp_or_sc(&seg->ctl->due, (uint64_t)1 << (slot % FP_SLOTS));
	fp_due_raise(seg);
}

void fp_due_slot_again(const struct fp_segment *seg, const struct fp_slot *slot)
{
	/* DUE-N1: of the job that was completed, or a later one, which is then looked at for nothing; pairs with JOB-D1. */
	if (slot->index < FP_SLOTS && (fp_load_acq(&slot->job->word) & FP_JOB_DONE) &&
	    fp_load_rlx(&slot->job->notify))
		fp_due_slot(seg, slot->index);
}

void fp_due_repeat(const struct fp_segment *seg)
{
	/* DUE-S3: after the bits of what the dead may have completed; pairs with DUE-A1. */
	if (fp_load_sc(&seg->ctl->due_state) != FP_DUE_OFF)
		write_event(seg);
}

bool fp_due_was_lost(struct fp_ctl *ctl)
{
	/* DUE-L2: before the write; pairs with DUE-L1. */
	return fp_swap_sc(&ctl->due_lost, 0);
}

void fp_due_arm(const struct fp_segment *seg)
{
	/* DUE-A1: after the eventfd was read, before the bits are taken; pairs with DUE-S1, DUE-S2 and DUE-S3. */
	fp_store_sc(&seg->ctl->due_state, FP_DUE_ARMED);
}

uint64_t fp_due_take(struct fp_ctl *ctl)
{
	/* DUE-T1: after ARMED; with the bits the jobs' ends; pairs with DUE-B1. */
	return fp_due_any(ctl) ? fp_swap_sc(&ctl->due, 0) : 0;
}

static uint32_t words_of_pages(const struct fp_ctl *ctl)
{
	/* DUE-T6: after ARMED, as the bits: a page that is new since has a word of its own; pairs with TASK-P2. */
	return (uint32_t)fp_min(fp_load_sc(&ctl->task_pages) / 64 + 1, FP_TASK_PAGES / 64);
}

bool fp_due_any(struct fp_ctl *ctl)
{
	uint32_t i, words = words_of_pages(ctl);

	for (i = 0; i < words; i++)
		/* DUE-T3: as DUE-T1; pairs with DUE-B2. */
		if (fp_load_sc(&ctl->due_pages[i]))
			return true;
	/* DUE-T2: as DUE-T1; pairs with DUE-B1. */
	return fp_load_sc(&ctl->due) != 0;
}

/* ---- Tasks --------------------------------------------------------------------------- */

void fp_due_task(const struct fp_segment *seg, uint32_t number)
{
	uint32_t page = number / FP_PAGE_SLOTS;

	/* DUE-B3: before the page's bit, by which it is found; pairs with DUE-T4. */
	fp_or_sc(&fp_segment_page(seg, page)->due, (uint32_t)1 << (number % FP_PAGE_SLOTS));
	/* DUE-B2: as DUE-B1; pairs with DUE-T3. */
	fp_or_sc(&seg->ctl->due_pages[page / 64], (uint64_t)1 << (page % 64));
	fp_due_raise(seg);
}

static void visit_page(const struct fp_segment *seg, uint32_t page,
		       void (*visit)(void *ctx, uint32_t number), void *ctx)
{
	uint32_t slots;

	if (!page || page >= seg->geo.pages || !fp_load_rlx(fp_segment_owner(seg, page)))
		return;
	/* DUE-T4: after the page's bit was taken; pairs with DUE-B3. */
	slots = fp_swap_sc(&fp_segment_page(seg, page)->due, 0);
	for (; slots; slots &= slots - 1)
		visit(ctx, page * FP_PAGE_SLOTS + (uint32_t)__builtin_ctz(slots));
}

void fp_due_tasks(const struct fp_segment *seg, void (*visit)(void *ctx, uint32_t number), void *ctx)
{
	uint32_t i, words = words_of_pages(seg->ctl);
	uint64_t pages;

	for (i = 0; i < words; i++) {
		/* DUE-T7: as DUE-T1; pairs with DUE-B2. */
		if (!fp_load_sc(&seg->ctl->due_pages[i]))
			continue;
		/* DUE-T5: as DUE-T1; pairs with DUE-B2. */
		pages = fp_swap_sc(&seg->ctl->due_pages[i], 0);
		for (; pages; pages &= pages - 1)
			visit_page(seg, i * 64 + (uint32_t)__builtin_ctzll(pages), visit, ctx);
	}
}
