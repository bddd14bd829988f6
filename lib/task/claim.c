/* SPDX-License-Identifier: MIT */
/*
 * What.  The claim log.  A job's items lie in regions; a region has a log of
 * claim words; the compare-and-swap that claims the next chunk writes the next
 * empty word {generation, RUN, owner, end}.  Chunk k is [end(k-1), end(k)), so
 * its length is free at the moment of the claim (size.h), and the words are all
 * that recovery needs to know.
 *
 *	root  [ SPLIT:1 | SPLIT:2 ]                    one word for each top region
 *	1     [ DONE 0..40 | RUN:w0 40..90 | - | - ]   a log, claimed up to 90
 *	2     [ DONE 0..8 | SPLIT:70 8..60 | RUN:w0 .. ]
 *	70    [ RUN:w2 0..20 | - ]                     the rest of a chunk that w1 gave back
 *
 * Usage.  fp_claimer_open(), then fp_claim(), run, fp_claim_finish() or
 * fp_claim_split(), until fp_claim() says no.  The nursery uses fp_walk() and
 * fp_sub_fill() for the dead (proc/recover.c).
 *
 * Invariants.
 * I1 A word of another generation is empty.  So a log is never cleared between
 *    jobs (but when the generation wraps, by the host).
 * I2 A region other than the root exists if and only if its parent's word reads
 *    {SPLIT, its id}.  A word goes empty -> RUN -> DONE, or RUN -> SPLIT -> DONE,
 *    never back, so a parent's word that is unchanged names the same region.
 * I3 RUN -> DONE and RUN -> SPLIT are stored by the owner alone, or by the
 *    nursery once the owner is proven dead.
 * I4 Before the swap: pos = none, then the intent.  After it and until the walk
 *    has ended the intent stays.  A death at any point is so either not yet
 *    a claim, or a RUN word that the intent points at, or a DONE word whose walk
 *    anybody repeats.
 * I5 Right before the swap the parent's word, the region's name and the job's
 *    word are loaded once more: unchanged means that everything read since was
 *    of one generation, so the word swapped from is truly empty.
 * I6 After the swap the job's word is loaded with its full generation: it
 *    catches a claimer that slept while the short generation wrapped.
 * I7 A sub-region's entry is made anew only when its parent's word no longer
 *    names it, and after its maker has walked from the parent up: a finisher
 *    that died between completing the entry and going on can't lose the rest.
 * I8 The nursery may open a region of its own anew in place, under the same
 *    parent's word, when the dead worker's word is the last that is not DONE: so
 *    deaths in what was given back do not nest without bound.
 *
 * Ordering pairs.  CLAIM-C1/-F1 (chunk handed on), CLAIM-P1/-P2 (sub-region
 * published), CLAIM-F1/-F2 (two finishers: one of them sees all DONE), JOB-D1/
 * JOB-D2 (completion).
 *
 * Progress.  A claim is lock-free: a failed swap means somebody claimed.  The
 * walk is wait-free in the length of the logs.  Nobody waits for a peer; who has lost
 * swaps pauses before the next.
 *
 * If the owner dies.  See doc/design/death.md; model: tests/models/claimlog.pml.
 *
 * References.  The owner in the claimed word: iceoryx2's index set, nginx's
 * shmtx; the log in place of a formula is ours, doc/design/protocol.md.
 */
#include "task/claim.h"

#include <limits.h>
#include <string.h>

#include "os/sys.h"
#include "shm/stats.h"
#include "task/due.h"
#include "task/size.h"

#define BACK_OFF_MOST	10u	/* doublings of a pause: some 25 us, half of what a chunk takes */

/* ---- Words ----------------------------------------------------------------------- */

fp_a64 *fp_claim_word(const struct fp_segment *seg, const struct fp_slot *slot,
		      uint32_t tops, uint32_t id, uint32_t index)
{
	uint32_t words;
	fp_a64 *log = fp_slot_log(seg, slot, id, tops, &words);

	return log && index < words ? log + index : NULL;
}

static bool names(uint64_t word, uint32_t id)
{
	return fp_word_state(word) == FP_SPLIT && fp_word_owner(word) == id;
}

bool fp_region_named(const struct fp_segment *seg, const struct fp_slot *slot,
		     uint32_t tops, uint32_t id)
{
	uint64_t name = fp_load_rlx(&slot->regions[id].name);
	fp_a64 *up = fp_claim_word(seg, slot, tops, fp_name_parent(name),
				   fp_name_index(name));

	return up && names(fp_load_rlx(up), id);
}

/* ---- Completion -------------------------------------------------------------------- */

void fp_job_wake(struct fp_job *job)
{
	/* The low half comes first: only little-endian machines are known here. */
	fp_sys.futex_wake((fp_a32 *)&job->word, INT_MAX);
}

static void complete_job(const struct fp_segment *seg, const struct fp_slot *slot,
			 uint64_t jobgen)
{
	struct fp_job *job = slot->job;
	/* JOB-D4: whether a callback is wanted is read after it, and before the swap, so of this job; pairs with JOB-P1. */
	uint64_t w = fp_load_acq(&job->word);
	bool notify;

	while (FP_JOB_GEN(w) == jobgen && (w & FP_JOB_RUN)) {
		notify = fp_load_rlx(&job->notify);
		/* JOB-D1: everything the items wrote is visible to who sees DONE; pairs with JOB-D2. */
		if (!fp_cas_sc(&job->word, &w, fp_job_word(jobgen, FP_JOB_DONE | (w & FP_JOB_CANCEL))))
			continue;
		if (w & FP_JOB_WAITER)
			fp_job_wake(job);
		if (notify)
			fp_due_slot(seg, slot->index);
		return;
	}
}

/* Are all words of the log DONE, up to the region's length? */
static bool settled(struct fp_region *reg, fp_a64 *log, uint32_t words,
		    uint64_t gen, uint64_t len)
{
	/* CLAIM-H2: what the words before the hint say has been seen by who stored it; without it their items' results need not be visible; pairs with CLAIM-H1. */
	uint64_t hint = fp_load_acq(&reg->done_hint);
	uint32_t from = fp_word_gen(hint) == gen ? (uint32_t)fp_tagged_value(hint) : 0;
	uint32_t k;

	for (k = from; k < words; k++) {
		/* CLAIM-F2: after our own DONE (sc): of two finishers one sees the other's; pairs with CLAIM-F1. */
		uint64_t w = fp_load_sc(&log[k]);

		if (fp_word_gen(w) != gen || fp_word_state(w) != FP_DONE)
			break;
		if (fp_word_end(w) == len)
			return true;
	}
	if (k != from && k < words)
		/* CLAIM-H1: hands on what CLAIM-F2 saw; pairs with CLAIM-H2. */
		fp_store_rel(&reg->done_hint, fp_tagged(gen, k));
	return false;
}

/*
 * One step up from region *id of generation *gen.  True when there is a parent
 * to go on with, in the same places.
 */
static bool walk_up(const struct fp_segment *seg, const struct fp_slot *slot,
		    uint32_t tops, uint32_t *id, uint64_t *gen)
{
	struct fp_region *reg = &slot->regions[*id];
	/* CLAIM-U1: the entry as its maker published it; pairs with CLAIM-P1. */
	uint64_t name = fp_load_acq(&reg->name);
	/* CLAIM-U2: of the same generation, or we return; pairs with CLAIM-P1. */
	uint64_t extent = fp_load_acq(&reg->extent);
	uint32_t words;
	fp_a64 *log = fp_slot_log(seg, slot, *id, tops, &words);
	fp_a64 *up = fp_claim_word(seg, slot, tops, fp_name_parent(name),
				   fp_name_index(name));
	uint64_t p;

	if (!log || !up || fp_word_gen(name) != *gen || fp_word_gen(extent) != *gen)
		return false;
	/* CLAIM-U3: what names the region; pairs with CLAIM-P1. */
	p = fp_load_acq(up);
	/* CLAIM-U4: still the same entry, so p was read in its lifetime; pairs with CLAIM-P2. */
	if (fp_load_acq(&reg->name) != name || fp_word_owner(p) != *id)
		return false;
	if (fp_word_state(p) == FP_SPLIT) {
		if (!settled(reg, log, words, *gen, fp_tagged_value(extent)))
			return false;
		/* CLAIM-F3: as CLAIM-F1, one level up; pairs with CLAIM-F2. */
		fp_cas_sc(up, &p, fp_word(fp_word_gen(p), FP_DONE, *id, fp_word_end(p)));
	} else if (fp_word_state(p) != FP_DONE) {
		return false;
	}
	*gen = fp_word_gen(p);
	*id = fp_name_parent(name);
	return true;
}

void fp_walk(const struct fp_segment *seg, const struct fp_slot *slot,
	     uint32_t tops, uint64_t jobgen, uint32_t id, uint64_t gen)
{
	uint32_t words, most = seg->geo.ids;
	fp_a64 *root = fp_slot_log(seg, slot, 0, tops, &words);

	/* A tree has no more levels than regions; the host does not go round in a ring that a worker made. */
	for (; id != 0; most--)
		if (most == 0 || !walk_up(seg, slot, tops, &id, &gen))
			return;
	if (root && gen == (jobgen & FP_GEN_MASK) &&
	    settled(&slot->regions[0], root, words, gen, tops))
		complete_job(seg, slot, jobgen);
}

void fp_claim_finish(struct fp_claimer *c, const struct fp_chunk *chunk)
{
	uint64_t w = fp_load_rlx(chunk->word);

	/* CLAIM-F1: the items' results before it; and before the look at the others' words; pairs with CLAIM-F2. */
	fp_swap_sc(chunk->word, fp_word(chunk->gen, FP_DONE, c->id, fp_word_end(w)));
	fp_walk(c->seg, &c->slot, c->tops, FP_JOB_GEN(c->run), chunk->region,
		chunk->gen);
}

/* ---- Sub-regions ----------------------------------------------------------------- */

/* May its maker make it anew?  Completes what it last belonged to first (I7). */
static bool sub_free(const struct fp_segment *seg, const struct fp_slot *slot,
		     uint32_t tops, uint64_t jobgen, uint32_t id)
{
	uint64_t name = fp_load_rlx(&slot->regions[id].name);
	fp_a64 *up;
	uint64_t p;

	if (fp_word_gen(name) == 0)
		return true;
	up = fp_claim_word(seg, slot, tops, fp_name_parent(name), fp_name_index(name));
	if (!up)
		return true;
	/* CLAIM-P2: before the entry is overwritten; pairs with CLAIM-U4. */
	p = fp_load_acq(up);
	if (names(p, id))
		return false;
	if (fp_word_state(p) == FP_DONE)
		fp_walk(seg, slot, tops, jobgen, fp_name_parent(name), fp_word_gen(p));
	return true;
}

/* Generation after the entry's; clears the log when it wraps. */
static uint64_t next_gen(const struct fp_segment *seg, const struct fp_slot *slot,
			 uint32_t tops, uint32_t id)
{
	uint64_t gen = (fp_word_gen(fp_load_rlx(&slot->regions[id].name)) + 1) & FP_GEN_MASK;
	uint32_t words, k;
	fp_a64 *log = fp_slot_log(seg, slot, id, tops, &words);

	if (gen)
		return gen;
	for (k = 0; k < words; k++)
		fp_store_rlx(&log[k], 0);
	return 1;
}

void fp_sub_fill(const struct fp_segment *seg, const struct fp_slot *slot,
		 uint32_t tops, uint32_t id, const struct fp_sub *sub)
{
	struct fp_region *reg = &slot->regions[id];
	uint64_t gen = next_gen(seg, slot, tops, id);

	/* CLAIM-P1: name first, so that a reader of what follows finds the name changed; published by the SPLIT store; pairs with CLAIM-C2. */
	fp_store_sc(&reg->name, fp_name(gen, sub->parent, sub->index));
	/* CLAIM-P6: not before the name; pairs with CLAIM-C5. */
	fp_store_rel(&reg->low, sub->low);
	fp_store_rlx(&reg->batch, sub->batch);
	fp_store_rlx(&reg->claim_hint, 0);
	fp_store_rlx(&reg->done_hint, 0);
	fp_store_rlx(&reg->cost_hint, 0);
	/* CLAIM-P5: after all else: with it an entry that is still named (the nursery's, re-opened) can be claimed from; pairs with CLAIM-C5. */
	fp_store_rel(&reg->extent, fp_tagged(gen, sub->len));
	/* CLAIM-P3: before the region can be named, so that nobody passes it over; pairs with CLAIM-C3. */
	fp_or_sc(&slot->job->used[id / 64], (uint64_t)1 << (id % 64));
}

uint32_t fp_sub_find(const struct fp_segment *seg, const struct fp_slot *slot,
		     uint32_t tops, uint64_t jobgen, uint32_t first, uint32_t n)
{
	uint32_t id;

	for (id = first; id < first + n; id++)
		if (sub_free(seg, slot, tops, jobgen, id))
			return id;
	return 0;
}

bool fp_claim_split(struct fp_claimer *c, struct fp_chunk *chunk, uint64_t at)
{
	const struct fp_geometry *geo = &c->seg->geo;
	struct fp_region *reg = &c->slot.regions[chunk->region];
	const struct fp_sub sub = {
		.parent = chunk->region,
		.index = chunk->index,
		.low = at,
		.len = chunk->end - at,
		.batch = fp_load_rlx(&reg->batch),
	};
	uint32_t id = fp_sub_find(c->seg, &c->slot, c->tops, FP_JOB_GEN(c->run),
				  fp_first_sub(geo, c->id), geo->own);
	uint64_t w;

	if (!id)
		return false;
	fp_sub_fill(c->seg, &c->slot, c->tops, id, &sub);
	w = fp_load_rlx(chunk->word);
	if (c->items)
		fp_stat_add(c->items, at - chunk->begin);
	/* CLAIM-P4: publishes the entry, and lies before the look at who sleeps; pairs with CLAIM-C2. */
	fp_store_sc(chunk->word, fp_word(chunk->gen, FP_SPLIT, id, fp_word_end(w)));
	chunk->end = at;
	return true;
}

/* ---- Claim -------------------------------------------------------------------------- */

bool fp_claimer_open(struct fp_claimer *c, uint32_t slot)
{
	struct fp_slot s = fp_segment_slot(c->seg, slot);
	/* JOB-P2: the job's description is visible when the word says RUN; sc: this is also the look between IDLE-S1 and sleep; pairs with JOB-P1. */
	uint64_t w = fp_load_sc(&s.job->word) & ~(uint64_t)FP_JOB_WAITER;
	uint64_t fn;

	if ((w & 0xff) != (c->rest ? FP_JOB_RUN | FP_JOB_CANCEL : FP_JOB_RUN))
		return false;
	c->slot = s;
	c->run = w;
	c->tops = fp_load_rlx(&s.job->tops);
	if (c->tops == 0 || c->tops > c->seg->geo.tops)
		return false;
	fn = fp_load_rlx(&s.job->fn);
	if (fn != c->fn) {
		c->fn = fn;
		c->cost = 0;
		c->last_len = 1;
	}
	return true;
}

/* A region as a claimer sees it. */
struct view {
	uint32_t id;
	struct fp_region *reg;
	fp_a64 *up, *log;
	uint64_t name, parent, gen;
	uint64_t len, low;
	uint32_t words;
};

/* Reads region id.  False unless it is named by its parent, all of one generation. */
static bool look(const struct fp_claimer *c, uint32_t id, struct view *v)
{
	uint64_t extent;

	v->id = id;
	v->reg = &c->slot.regions[id];
	/* CLAIM-C2: the entry as published; checked against its parent's word below and in unchanged(); sc: a sleeper's last look passes here; pairs with CLAIM-P4. */
	v->name = fp_load_sc(&v->reg->name);
	v->gen = fp_word_gen(v->name);
	v->up = fp_claim_word(c->seg, &c->slot, c->tops, fp_name_parent(v->name),
			      fp_name_index(v->name));
	v->log = fp_slot_log(c->seg, &c->slot, id, c->tops, &v->words);
	if (!v->up || !v->log || !v->gen)
		return false;
	/* CLAIM-C4: the word that names the region; sc: a sleeper's last look passes here; pairs with CLAIM-P4. */
	v->parent = fp_load_sc(v->up);
	if (!names(v->parent, id))
		return false;
	/* CLAIM-C5: extent before low; acquire keeps both before the reads of unchanged(); pairs with CLAIM-P5 and CLAIM-P6. */
	extent = fp_load_acq(&v->reg->extent);
	v->low = fp_load_acq(&v->reg->low);
	v->len = fp_tagged_value(extent);
	return fp_word_gen(extent) == v->gen;
}

/* Was all that was read since look() of one generation? (I5) */
static bool unchanged(const struct fp_claimer *c, const struct view *v)
{
	/* CLAIM-C6: the last reads before the swap; pairs with CLAIM-P4. */
	return fp_load_acq(v->up) == v->parent &&
	       fp_load_acq(&v->reg->name) == v->name &&
	       (fp_load_acq(&c->slot.job->word) & ~(uint64_t)FP_JOB_WAITER) == c->run;
}

/*
 * Finds the first empty word: its index, what it holds, and where its chunk
 * starts.  False when the log is closed.
 */
static bool find_empty(const struct view *v, uint32_t *index, uint64_t *found,
		       uint64_t *start)
{
	uint64_t hint = fp_load_rlx(&v->reg->claim_hint), w;
	uint32_t k = fp_word_gen(hint) == v->gen ? (uint32_t)fp_tagged_value(hint) : 0;

	*start = 0;
	if (k > 0 && k <= v->words) {
		/* CLAIM-C7: the hint counts only with a word of ours before it; pairs with CLAIM-C1. */
		w = fp_load_acq(&v->log[k - 1]);
		if (fp_word_gen(w) == v->gen)
			*start = fp_word_end(w);
		else
			k = 0;
	} else {
		k = 0;
	}
	for (; k < v->words && *start < v->len; k++) {
		/* CLAIM-C8: what the swap starts from; pairs with CLAIM-C1. */
		w = fp_load_sc(&v->log[k]);
		if (fp_word_gen(w) != v->gen) {
			*index = k;
			*found = w;
			return true;
		}
		*start = fp_word_end(w);
	}
	return false;
}

static uint64_t choose_len(const struct fp_claimer *c, const struct view *v,
			   uint64_t rest, uint32_t words_left, bool home)
{
	uint64_t hint = fp_load_rlx(&v->reg->cost_hint);
	struct fp_size in = {
		.rest = rest,
		.words_left = words_left,
		.cost = c->cost,
		.last_len = c->last_len,
		.failed = c->failed,
		.chunk = fp_load_rlx(&c->slot.job->chunk),
		.workers = fp_segment_crew(c->seg),
		.home = home,
	};

	if (!home && fp_word_gen(hint) == v->gen && fp_tagged_value(hint))
		in.cost = fp_tagged_value(hint);
	return fp_size_choose(&in);
}

/* The swap, with what must stand before it and be looked at after it. */
static int try_swap(struct fp_claimer *c, const struct view *v, uint32_t index,
		    uint64_t found, uint64_t end)
{
	uint64_t mine = fp_word(v->gen, FP_RUN, c->id, end);

	fp_store_rlx(&c->frame->pos, FP_POS_NONE);
	fp_store_rlx(&c->frame->intent, fp_intent(v->gen, c->slot.index, v->id, index));
	if (!unchanged(c, v))
		return -1;
	/* CLAIM-C1: the claim; pos and intent before it; pairs with CLAIM-C8. */
	if (!fp_cas_sc(&v->log[index], &found, mine))
		return 0;
	/* CLAIM-C9: I6; pairs with JOB-P1. */
	if (((fp_load_acq(&c->slot.job->word) ^ c->run) & ~(uint64_t)FP_JOB_ASKED) == 0)
		return 1;
	/* CLAIM-C10: takes the void claim back; pairs with CLAIM-C8. */
	fp_cas_sc(&v->log[index], &mine, found);
	return -1;
}

/*
 * After a lost swap.  Each loser's next try takes the line away from whoever is about to
 * win, so that with many of them a claim takes as long as all their tries together.
 */
static void back_off(const struct fp_claimer *c)
{
	uint32_t n = (uint32_t)1 << fp_min(c->failed, BACK_OFF_MOST);

	for (; n; n--)
		fp_pause();
}

static bool claim_in(struct fp_claimer *c, uint32_t id, bool home,
		     struct fp_chunk *chunk)
{
	uint64_t found, start, len;
	struct view v;
	uint32_t k;
	int got;

	if (!look(c, id, &v))
		return false;
	for (;;) {
		if (!find_empty(&v, &k, &found, &start))
			return false;
		if (!chunk)
			return true;
		len = v.len - start;
		if (!c->rest)
			len = choose_len(c, &v, len, v.words - k, home);
		got = try_swap(c, &v, k, found, start + len);
		if (got > 0)
			break;
		c->failed++;
		if (got < 0)
			return false;
		back_off(c);
	}
	fp_store_rlx(&v.reg->claim_hint, fp_tagged(v.gen, k + 1));
	*chunk = (struct fp_chunk){
		.region = id,
		.index = k,
		.gen = v.gen,
		.word = &v.log[k],
		.begin = v.low + start,
		.end = v.low + start + len,
	};
	return true;
}

/*
 * Tries the sub-regions with ids in [from, to) that the job may have, the highest
 * first: the nursery takes the lowest that is free, so those inside others tend to
 * come before them, and be finished, and be free again.
 */
static bool claim_in_subs(struct fp_claimer *c, uint32_t from, uint32_t to,
			  struct fp_chunk *chunk)
{
	uint32_t i, id;

	for (i = (to - 1) / 64 + 1; i-- > from / 64;) {
		/* CLAIM-C3: set before the region could be named; pairs with CLAIM-P3. */
		uint64_t bits = fp_load_sc(&c->slot.job->used[i]);

		for (; bits; bits &= ~((uint64_t)1 << (id % 64))) {
			id = i * 64 + 63 - (uint32_t)__builtin_clzll(bits);
			if (id >= from && id < to && claim_in(c, id, false, chunk))
				return true;
		}
	}
	return false;
}

static bool claim_in_tops(struct fp_claimer *c, struct fp_chunk *chunk)
{
	uint32_t workers = fp_segment_crew(c->seg), tops = c->tops, i;
	uint32_t home = tops >= workers ? (uint32_t)((uint64_t)c->id * tops / workers)
					: c->id % tops;

	for (i = 0; i < tops; i++)
		if (claim_in(c, 1 + (home + i) % tops, i == 0 && tops >= workers, chunk))
			return true;
	return false;
}

bool fp_claim(struct fp_claimer *c, struct fp_chunk *chunk)
{
	const struct fp_geometry *geo = &c->seg->geo;
	uint32_t subs = 1 + geo->tops, spares = geo->ids - geo->spares;
	/* What was split off lies before what was never claimed: stop_on_error wants it early. */
	bool subs_first = fp_load_rlx(&c->slot.job->stops);

	/* The nursery's first: it has no others once they are used up. */
	return claim_in_subs(c, spares, geo->ids, chunk) ||
	       (subs_first && claim_in_subs(c, subs, spares, chunk)) ||
	       claim_in_tops(c, chunk) ||
	       (!subs_first && claim_in_subs(c, subs, spares, chunk));
}
