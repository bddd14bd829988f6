/* SPDX-License-Identifier: MIT */
/*
 * What.  A job from its submitter's side: built in a slot, published by one store,
 * awaited on its word.
 *
 * Usage.  The host thread, or for a nested slot the worker, that holds the slot: fp_job_next_gen(),
 * fp_job_publish(), fp_job_wait(), then what the job left in the slot.
 *
 * Invariants.
 * I1 The slot belongs to one thread; it writes here only while the word does not
 *    say RUN.
 * I2 Nothing is cleared between jobs but the small table of sub-regions in use:
 *    words and hints of older generations are as good as empty.
 * I3 What is read back (progress, first) is bounded by what the host knows; the
 *    segment is not trusted.
 *
 * Ordering pairs.  JOB-P1/JOB-P2 (publication), JOB-D1/JOB-D2 (completion).
 *
 * If the owner dies.  Host threads do not die singly; with the host all ends.
 * Workers: task/nest.c.
 */
#include "task/job.h"

#include <errno.h>
#include <linux/futex.h>

#include <forkpool.h>

#include "os/sys.h"
#include "sync/idle.h"
#include "task/claim.h"
#include "task/outcome.h"

#define ITEMS_PER_TOP	32	/* fewer items do not get a region of their own */
#define LEAST_WORDS	8	/* of a top region, unless the items are very many */

uint64_t fp_job_max(const struct fp_geometry *geo)
{
	return geo->tops * FP_REGION_MAX;
}

uint64_t fp_job_next_gen(const struct fp_segment *seg, uint32_t slot, uint64_t gen)
{
	struct fp_slot s = fp_segment_slot(seg, slot);
	uint32_t i;

	if (++gen & FP_GEN_MASK)
		return gen;
	for (i = 0; i < s.words; i++)
		fp_store_rlx(&s.top[i], 0);
	for (i = 0; i <= seg->geo.tops; i++) {
		fp_store_rlx(&s.regions[i].claim_hint, 0);
		fp_store_rlx(&s.regions[i].done_hint, 0);
		fp_store_rlx(&s.regions[i].cost_hint, 0);
	}
	return gen + 1;
}

/* ---- Publish ---------------------------------------------------------------------- */

static uint32_t tops_for(const struct fp_segment *seg, const struct fp_slot *s,
			 const struct fp_job_desc *d)
{
	uint64_t pieces = fp_div_up(d->count, d->chunk ? d->chunk : ITEMS_PER_TOP);
	uint64_t tops = fp_min(fp_min(fp_segment_crew(seg), pieces), s->words / LEAST_WORDS);

	return (uint32_t)fp_max(tops, fp_div_up(d->count, FP_REGION_MAX));
}

static void build_regions(const struct fp_slot *s, uint64_t gen, uint32_t tops,
			  uint64_t count)
{
	uint64_t g = gen & FP_GEN_MASK, low = 0, next;
	uint32_t q;

	fp_store_rlx(&s->regions[0].name, fp_name(g, 0, 0));
	fp_store_rlx(&s->regions[0].extent, fp_tagged(g, tops));
	for (q = 1; q <= tops; q++) {
		struct fp_region *reg = &s->regions[q];

		next = (uint64_t)((unsigned __int128)count * q / tops);
		fp_store_rlx(&reg->name, fp_name(g, 0, q - 1));
		fp_store_rlx(&reg->extent, fp_tagged(g, next - low));
		fp_store_rlx(&reg->low, low);
		fp_store_rlx(&reg->batch, 0);
		/* JOB-R1: after the region's name, so that a late walk that finds this word finds the name changed; pairs with CLAIM-U3. */
		fp_store_rel(&s->root[q - 1], fp_word(g, FP_SPLIT, q, q));
		low = next;
	}
}

static void describe(struct fp_job *job, const struct fp_job_desc *d)
{
	fp_store_rlx(&job->fn, d->fn);
	fp_store_rlx(&job->chunk, d->chunk);
	fp_store_rlx(&job->stops, (d->flags & FP_JOB_STOP) != 0);
	fp_store_rlx(&job->timeout, (uint64_t)d->timeout);
	fp_store_rlx(&job->deadline, (uint64_t)d->deadline);
	fp_store_rlx(&job->parent, d->parent);
	fp_store_rlx(&job->prio, d->prio);
	fp_store_rlx(&job->notify, (d->flags & FP_JOB_NOTIFY) != 0);
	fp_store_rlx(&job->first, FP_FIRST_NONE);
	job->desc = *d;
}

static void forget_subs(const struct fp_segment *seg, struct fp_job *job)
{
	uint32_t i;

	for (i = 0; i <= (seg->geo.ids - 1) / 64; i++)
		if (fp_load_rlx(&job->used[i]))
			fp_store_rlx(&job->used[i], 0);
}

void fp_job_publish(const struct fp_segment *seg, uint32_t slot, uint64_t gen,
		    const struct fp_job_desc *d)
{
	struct fp_slot s = fp_segment_slot(seg, slot);
	struct fp_ctl *ctl = seg->ctl;
	uint32_t tops = tops_for(seg, &s, d);
	uint64_t bit = (uint64_t)1 << (slot % 64);
	fp_a64 *active = &ctl->active[slot / 64];

	describe(s.job, d);
	forget_subs(seg, s.job);
	fp_store_rlx(&s.job->tops, tops);
	build_regions(&s, gen, tops, d->count);
	if (!(fp_load_rlx(active) & bit))
		/* JOB-A1: before the word says RUN; a sleeper's last look sees both; pairs with JOB-A2. */
		fp_or_sc(active, bit);
	fp_kind_raise(ctl, FP_KIND_MAP, d->prio);
	/* JOB-P1: publishes all of the above; sc, since the look at who sleeps follows; pairs with JOB-P2. */
	fp_store_sc(&s.job->word, fp_job_word(gen, FP_JOB_RUN));
	fp_wake_workers(ctl, seg->geo.workers, fp_div_up(d->count, d->chunk ? d->chunk : 1));
	if (slot >= FP_SLOTS)
		fp_wake_waiting(ctl, seg->geo.workers);
}

/* ---- Wait -------------------------------------------------------------------------- */

/* The word, or 0 once there is something to return, which is in *ret. */
static uint64_t look(struct fp_ctl *ctl, struct fp_job *job, uint64_t gen, int *ret)
{
	/* JOB-D2: DONE makes the items' results visible; pairs with JOB-D1. */
	uint64_t w = fp_load_sc(&job->word);

	if (FP_JOB_GEN(w) == gen && (w & FP_JOB_RUN) && !(w & FP_JOB_ABANDON)) {
		if (!fp_life_ended(ctl))
			return w;
		*ret = -EOWNERDEAD;
	} else {
		*ret = FP_JOB_GEN(w) == gen && (w & FP_JOB_DONE) ? 0 : -ECANCELED;
	}
	return 0;
}

static bool spin_for(struct fp_job *job, uint64_t w, int64_t spin)
{
	int64_t until = fp_sys.clock() + spin;
	int i;

	do {
		for (i = 0; i < FP_SPIN_LOOKS; i++) {
			if (fp_load_rlx(&job->word) != w)
				return true;
			fp_pause();
		}
		/* The worker we wait for may have been put on this very CPU. */
		fp_sys.yield();
	} while (fp_sys.clock() < until);
	return false;
}

int fp_job_wait(const struct fp_segment *seg, uint32_t slot, uint64_t gen,
		int64_t deadline, int64_t spin)
{
	struct fp_ctl *ctl = seg->ctl;
	struct fp_job *job = fp_segment_slot(seg, slot).job;
	uint32_t life;
	uint64_t w;
	int ret = 0;

	while ((w = look(ctl, job, gen, &ret))) {
		if (spin > 0 && spin_for(job, w, spin))
			continue;
		spin = 0;
		life = fp_load_rlx(&ctl->life);
		if (life & FUTEX_OWNER_DIED)
			continue;
		/* JOB-W1: asks for a wake-up; whoever completes reads it in the same swap; pairs with JOB-D1. */
		if (!(w & FP_JOB_WAITER) && !fp_cas_sc(&job->word, &w, w | FP_JOB_WAITER))
			continue;
		if (fp_sys.futex_wait_two((fp_a32 *)&job->word, (uint32_t)w | FP_JOB_WAITER,
					  &ctl->life, life, deadline) == -ETIMEDOUT)
			return look(ctl, job, gen, &ret) ? -ETIMEDOUT : ret;
	}
	if (fp_life_ended(ctl))
		/* The kernel wakes one; that one wakes the rest, also when its own job was done in time. */
		fp_sys.futex_wake(&ctl->life, INT32_MAX);
	return ret;
}

int fp_job_poll(const struct fp_segment *seg, uint32_t slot, uint64_t gen)
{
	int ret = 0;

	return look(seg->ctl, fp_segment_slot(seg, slot).job, gen, &ret) ? -EAGAIN : ret;
}

bool fp_job_arm(const struct fp_segment *seg, uint32_t slot, uint64_t gen,
		struct fp_wait *ret)
{
	struct fp_job *job = fp_segment_slot(seg, slot).job;
	uint64_t w;
	int over;

	while ((w = look(seg->ctl, job, gen, &over))) {
		/* JOB-W2: as JOB-W1; pairs with JOB-D1. */
		if (!(w & FP_JOB_WAITER) && !fp_cas_sc(&job->word, &w, w | FP_JOB_WAITER))
			continue;
		*ret = (struct fp_wait){ (fp_a32 *)&job->word, (uint32_t)w | FP_JOB_WAITER };
		return true;
	}
	return false;
}

/* ---- Look -------------------------------------------------------------------------- */

/* Items of a running chunk that are behind its owner, where that runs it in its first frame. */
static uint64_t behind(const struct fp_segment *seg, uint32_t slot, uint32_t owner,
		       uint64_t begin, uint64_t end)
{
	struct fp_frame *frame;
	uint64_t pos;

	if (owner >= seg->geo.workers)
		return 0;
	frame = fp_segment_frame(seg, owner, 0);
	if (fp_intent_slot(fp_load_rlx(&frame->intent)) != slot)
		return 0;
	pos = fp_load_rlx(&frame->pos);
	return pos > begin && pos < end ? pos - begin : 0;
}

/* Items of a chunk that was split which did not go to the sub-region. */
static uint64_t before_split(const struct fp_segment *seg, const struct fp_slot *s,
			     uint32_t sub, uint64_t begin, uint64_t end)
{
	uint64_t low = sub < seg->geo.ids ? fp_load_rlx(&s->regions[sub].low) : 0;

	return low > begin && low <= end ? low - begin : 0;
}

static uint64_t region_progress(const struct fp_segment *seg, const struct fp_slot *s,
				uint32_t tops, uint32_t id)
{
	struct fp_region *reg = &s->regions[id];
	uint64_t gen = fp_word_gen(fp_load_rlx(&reg->name)), done = 0, start = 0;
	uint64_t low = fp_load_rlx(&reg->low), w;
	uint32_t words, k;
	fp_a64 *log = fp_slot_log(seg, s, id, tops, &words);

	for (k = 0; log && k < words; k++) {
		w = fp_load_rlx(&log[k]);
		if (fp_word_gen(w) != gen || fp_word_end(w) < start)
			break;
		if (fp_word_state(w) == FP_DONE)
			done += fp_word_end(w) - start;
		else if (fp_word_state(w) == FP_RUN)
			done += behind(seg, s->index, fp_word_owner(w), low + start,
				       low + fp_word_end(w));
		else
			done += before_split(seg, s, fp_word_owner(w), low + start,
					     low + fp_word_end(w));
		start = fp_word_end(w);
	}
	return done;
}

uint64_t fp_job_progress(const struct fp_segment *seg, uint32_t slot,
			 uint64_t gen, uint64_t count)
{
	struct fp_slot s = fp_segment_slot(seg, slot);
	uint32_t tops = fp_load_rlx(&s.job->tops), id;
	uint64_t done = 0;

	if (FP_JOB_GEN(fp_load_rlx(&s.job->word)) != gen || tops > seg->geo.tops)
		return 0;
	for (id = 1; id <= tops; id++)
		done += region_progress(seg, &s, tops, id);
	for (id = 1 + seg->geo.tops; id < seg->geo.ids; id++)
		if ((fp_load_rlx(&s.job->used[id / 64]) >> (id % 64) & 1) &&
		    fp_region_named(seg, &s, tops, id))
			done += region_progress(seg, &s, tops, id);
	return fp_min(done, count);
}

bool fp_job_first(const struct fp_segment *seg, uint32_t slot, uint64_t count,
		  uint64_t *index, int *outcome)
{
	uint64_t first = fp_load_rlx(&fp_segment_slot(seg, slot).job->first);
	int how = (int)(first & 0xff);

	if (first == FP_FIRST_NONE)
		return false;
	*index = fp_min(first >> 8, count - 1);
	*outcome = how > FORKPOOL_ITEM_OK && how <= FORKPOOL_ITEM_NOT_RUN
			? how : FORKPOOL_ITEM_CRASHED;
	return true;
}
