/* SPDX-License-Identifier: MIT */
/*
 * What.  Waiting and waking without futexes: a parking lot of sleepers, each a
 * place with a semaphore and the addresses of the words that are waited for.
 * The contract is in wait.h; doc/design/protocol.md has the reasons.
 *
 * Usage.  fp_lot_open() in each process, then the waits and the wake-ups, which
 * find the lot by the word's address.  Words that lie in no lot (a process's own)
 * are served by a lot that no other process sees.
 *
 * Invariants.
 * I1 A sleeper says what it waits for, then looks at the words, then sleeps; who
 *    wakes has changed the word, then looks for sleepers.  Between its two steps
 *    each adds to `turnstile`.  Of two that meet there, the later one sees what
 *    the earlier did before: the sleeper the new value, or the waker the sleeper.
 * I2 A sleeper is woken once for each time it lay down: by the swap of its state
 *    from WAITING to WOKEN, and the post that follows.  So n wake-ups go to n
 *    sleepers.  `turn` tells one time from the next.
 * I3 A post may be lost with the process that swapped the state, and may come
 *    too many; a wake-up of all posts to the WOKEN as well.  So that is what is
 *    to follow a death, as it is with futexes.
 * I4 A wait for one word has no end but a post.  A wait for several looks again
 *    after FP_LOOK_NS, since one of them may be a word that the kernel changes at
 *    a death, for which nobody posts.
 * I5 Nothing read from the lot is trusted: a garbled place costs a needless or a
 *    late wake-up.  How many places there are is not read from it.  glibc ends the
 *    program when the kernel refuses what a garbled semaphore makes it ask for, so
 *    each is looked at before it is used.
 * I6 With all places taken a sleeper naps and looks.
 *
 * Ordering pairs.  LOT-T1 with itself (I1); LOT-S1/LOT-W1 and LOT-K1/LOT-W2 (what
 * is waited for); LOT-W3/LOT-S2 (I2); PLACE-A1/PLACE-F1 (which lot).
 *
 * Progress.  Wake-ups are wait-free but for the system call; nobody waits for a
 * waker's next step, except that a sleeper sleeps.
 *
 * If the owner dies.  Its places stay taken until the nursery buries it.  A
 * wake-up that went to them is made good by the nursery's wake-up of all.  Model:
 * tests/models/lot.pml.
 */
#include "os/wait.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"

#define PLACES		1024u	/* lots of a process; as many as it may have pools */
#define OWN_SLEEPERS	64u	/* of words in no lot */
#define DRAIN_MOST	64	/* posts that came late; more are garbage */
#define NAP_NS		((int64_t)2000000)
#define SEM_COUNTS	8u	/* bytes; glibc on 64-bit machines */
#define EXIT_FIRST_NS	((int64_t)50000)

/* ---- What lies in the lot ------------------------------------------------------------- */

enum phase { FREE, TAKEN, WAITING, WOKEN };

/* state: {process id:32, turn:30, phase:2} */
#define STATE(pid, turn, phase)	((uint64_t)(pid) << 32 | ((turn) & TURN_MASK) << 2 | (phase))
#define PID(s)		((uint32_t)((s) >> 32))
#define TURN(s)		((s) >> 2 & TURN_MASK)
#define PHASE(s)	((enum phase)((s) & 3))
#define TURN_MASK	(((uint64_t)1 << 30) - 1)

/* Written by who took it, but state, WAITING to WOKEN, by who wakes it, and all by the nursery after a death. */
struct sleeper {
	FP_ALIGNED fp_a64 state;
	fp_a32 n;			/* words waited for */
	sem_t sem;
	fp_a64 words[FP_WAIT_MOST];	/* their addresses */
};

struct shared {
	FP_ALIGNED fp_a32 turnstile;	/* a meeting point (I1); its value means nothing */
	fp_a32 high;			/* places from here on were never taken; raised by sleepers, read by who wakes */
	fp_a32 first;			/* where who wakes some, not all, begins to look: each in turn; by who wakes */
	struct sleeper sleepers[];
};

static FP_ALIGNED char own_memory[sizeof(struct shared) + OWN_SLEEPERS * sizeof(struct sleeper)];

static const struct fp_lot own = { .mem = own_memory, .sleepers = OWN_SLEEPERS };

static struct sleeper *sleepers_of(const struct fp_lot *lot, uint32_t *high)
{
	struct shared *shared = lot->mem;

	*high = (uint32_t)fp_min(fp_load_rlx(&shared->high), lot->sleepers);
	return shared->sleepers;
}

size_t fp_lot_size(uint32_t sleepers)
{
	return sizeof(struct shared) + sleepers * sizeof(struct sleeper);
}

/* ---- Which lot ------------------------------------------------------------------------ */

/*
 * This process's lots.  What a process inherits bears another process id: it is
 * not looked at, and used again.  tag: {process id:32, version:32}; the other
 * fields are valid while the tag stays.
 */
static struct place {
	fp_a64 tag;
	void *_Atomic mem;
	fp_a64 base, size, word;
	fp_a32 sleepers;
} places[PLACES];

static fp_a32 places_high;

#define BUSY	UINT32_MAX	/* in the place of a process id */

static uint64_t next_tag(uint64_t tag, uint32_t pid)
{
	return (uint64_t)pid << 32 | (uint32_t)(tag + 1);
}

static void describe(struct place *p, const struct fp_lot *lot, uint64_t tag)
{
	/* PLACE-F1: all these after the tag says BUSY, so that who reads one of them finds the tag changed; pairs with PLACE-A1. */
	fp_store_rel(&p->mem, lot->mem);
	fp_store_rel(&p->base, (uintptr_t)lot->base);
	fp_store_rel(&p->size, lot->size);
	fp_store_rel(&p->sleepers, lot->sleepers);
	fp_store_rel(&p->word, 0);
	/* PLACE-T1: after the fields; pairs with PLACE-A2. */
	fp_store_rel(&p->tag, next_tag(tag, (uint32_t)getpid()));
}

static void raise_to(fp_a32 *high, uint32_t to)
{
	uint32_t is = fp_load_rlx(high);

	while (is < to)
		/* LOT-H1: its readers come by the turnstile, or know that the place is theirs; pairs with LOT-T1. */
		if (fp_cas_sc(high, &is, to))
			return;
}

int fp_lot_open(const struct fp_lot *lot)
{
	uint32_t i, me = (uint32_t)getpid();
	uint64_t tag;

	for (i = 0; i < PLACES; i++) {
		tag = fp_load_rlx(&places[i].tag);
		if (tag >> 32 == me || tag >> 32 == BUSY)
			continue;
		/* PLACE-T2: nobody else takes it; pairs with PLACE-T2. */
		if (!fp_cas_sc(&places[i].tag, &tag, next_tag(tag, BUSY)))
			continue;
		raise_to(&places_high, i + 1);
		describe(&places[i], lot, tag + 1);
		return 0;
	}
	return -EMFILE;
}

static struct place *place_of(const struct fp_lot *lot)
{
	uint32_t i, me = (uint32_t)getpid();

	for (i = 0; i < fp_load_rlx(&places_high); i++)
		if (fp_load_rlx(&places[i].tag) >> 32 == me &&
		    fp_load_rlx(&places[i].mem) == lot->mem)
			return &places[i];
	return NULL;
}

void fp_lot_share(const struct fp_lot *lot, const fp_a32 *word)
{
	struct place *p = place_of(lot);

	if (p)
		/* PLACE-F2: as PLACE-F1, but the tag stays: 0 was no word; pairs with PLACE-A1. */
		fp_store_rel(&p->word, (uintptr_t)word);
}

void fp_lot_close(const struct fp_lot *lot)
{
	struct place *p = place_of(lot);

	if (p)
		/* PLACE-T3: we are done with it; pairs with PLACE-T2. */
		fp_store_rel(&p->tag, next_tag(fp_load_rlx(&p->tag), 0));
}

/* Does the place serve the word?  Of a place that changes meanwhile nothing is believed: it is another pool's. */
static bool serves(struct place *p, uint32_t me, const fp_a32 *word, struct fp_lot *ret)
{
	/* PLACE-A2: before the fields; pairs with PLACE-T1. */
	uint64_t tag = fp_load_acq(&p->tag);
	uintptr_t shared;

	if (tag >> 32 != me)
		return false;
	/* PLACE-A1: all these before the second look at the tag; pairs with PLACE-F1. */
	ret->mem = fp_load_acq(&p->mem);
	ret->base = (const void *)(uintptr_t)fp_load_acq(&p->base);
	ret->size = fp_load_acq(&p->size);
	ret->sleepers = fp_load_acq(&p->sleepers);
	shared = fp_load_acq(&p->word);
	return fp_load_rlx(&p->tag) == tag &&
	       (shared == (uintptr_t)word || fp_inside(ret->base, ret->size, word, sizeof(*word)));
}

static struct fp_lot lot_of(const fp_a32 *word)
{
	uint32_t i, me = (uint32_t)getpid();
	struct fp_lot lot;

	for (i = 0; i < fp_load_rlx(&places_high); i++)
		if (serves(&places[i], me, word, &lot))
			return lot;
	return own;
}

/* ---- Sleep ---------------------------------------------------------------------------- */

static bool differs(const struct fp_wait *list, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (fp_load_rlx(list[i].word) != list[i].value)
			return true;
	return false;
}

static int nap(const struct fp_wait *list, unsigned n, int64_t deadline, int64_t ns)
{
	int64_t now = fp_sys.clock();

	if (differs(list, n))
		return -EAGAIN;
	if (deadline <= now)
		return -ETIMEDOUT;
	fp_sys.poll(NULL, 0, fp_earlier(deadline, fp_after(now, ns)));
	return -EINTR;
}

static void make_sem(sem_t *sem)
{
	memset(sem, 0, sizeof(*sem));
	sem_init(sem, 1, 0);
}

/* Is all of it but the counts (posts and waiters, the first 8 bytes) as sem_init() makes it? */
static bool is_sound(const sem_t *sem)
{
	sem_t fresh;

	make_sem(&fresh);
	return memcmp((const char *)sem + SEM_COUNTS, (const char *)&fresh + SEM_COUNTS,
		      sizeof(fresh) - SEM_COUNTS) == 0;
}

/* Posts for whoever lay there before would wake us for nothing. */
static void drain(struct sleeper *s)
{
	int i;

	for (i = 0; i < DRAIN_MOST; i++)
		if (sem_trywait(&s->sem))
			return;
	make_sem(&s->sem);
}

/* In a child that was forked the own lot's sleepers, but for those of its own, are not there. */
static bool is_free(const struct fp_lot *lot, uint64_t state, uint32_t me)
{
	return PHASE(state) == FREE || (lot->mem == own.mem && PID(state) != me);
}

static struct sleeper *take(const struct fp_lot *lot, uint64_t *turn)
{
	struct shared *shared = lot->mem;
	uint32_t i, me = (uint32_t)getpid();
	uint64_t was;

	for (i = 0; i < lot->sleepers; i++) {
		struct sleeper *s = &shared->sleepers[i];

		was = fp_load_rlx(&s->state);
		*turn = TURN(was + (1 << 2));
		/* LOT-S3: what its last holder did with it comes before; pairs with LOT-S2. */
		if (!is_free(lot, was, me) ||
		    !fp_cas_sc(&s->state, &was, STATE(me, *turn, TAKEN)))
			continue;
		if (TURN(was) == 0 || PHASE(was) != FREE || !is_sound(&s->sem))
			make_sem(&s->sem);
		drain(s);
		raise_to(&shared->high, i + 1);
		return s;
	}
	return NULL;
}

static void lie_down(const struct fp_lot *lot, struct sleeper *s, uint64_t turn,
		     const struct fp_wait *list, unsigned n)
{
	struct shared *shared = lot->mem;
	unsigned i;

	for (i = 0; i < n; i++)
		/* LOT-K1: after the place was taken, so that who reads a word of this turn fails to swap the state of another; pairs with LOT-W2. */
		fp_store_rel(&s->words[i], (uintptr_t)list[i].word);
	/* LOT-K2: as LOT-K1; pairs with LOT-W2. */
	fp_store_rel(&s->n, n);
	/* LOT-S1: after what is waited for; pairs with LOT-W1. */
	fp_store_rel(&s->state, STATE(getpid(), turn, WAITING));
	/* LOT-T1: between what each side says and what it looks at (I1); else both miss each other, and the sleeper sleeps on; pairs with itself. */
	fp_add_sc(&shared->turnstile, 1);
}

/* Gives the place back.  Was this sleeper among those that were woken? */
static bool get_up(struct sleeper *s, uint64_t turn)
{
	/* LOT-S2: tells who swaps the state later that nobody is there; pairs with LOT-W3. */
	return PHASE(fp_swap_sc(&s->state, STATE(0, turn, FREE))) == WOKEN;
}

/* 0 or -errno; a cancelled thread must not vanish in here. */
static int await_post(struct sleeper *s, int64_t deadline)
{
	struct timespec ts, *until = fp_timespec(&ts, deadline);
	int before, err;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	err = until ? sem_clockwait(&s->sem, CLOCK_MONOTONIC, until) : sem_wait(&s->sem);
	err = err ? -errno : 0;
	pthread_setcancelstate(before, NULL);
	return err;
}

static int sleep_in(const struct fp_lot *lot, const struct fp_wait *list, unsigned n,
		    int64_t deadline)
{
	int64_t until = n > 1 ? fp_earlier(deadline, fp_deadline(FP_LOOK_NS)) : deadline;
	struct sleeper *s;
	uint64_t turn;
	int err;

	s = take(lot, &turn);
	if (!s)
		return nap(list, n, deadline, NAP_NS);
	lie_down(lot, s, turn, list, n);
	err = differs(list, n) ? -EAGAIN : await_post(s, until);
	if (get_up(s, turn))
		return 0;
	return err == -ETIMEDOUT && until < deadline ? -EINTR : err;
}

int fp_wait_many(const struct fp_wait *list, unsigned n, int64_t deadline)
{
	struct fp_lot lot = own;
	int saved = errno, err;
	unsigned i;

	if (n == 0 || n > FP_WAIT_MOST)
		return -EINVAL;
	for (i = 0; i < n && lot.mem == own.mem; i++)
		lot = lot_of(list[i].word);
	err = sleep_in(&lot, list, n, deadline);
	errno = saved;
	return err;
}

int fp_wait_one(fp_a32 *word, uint32_t expected, int64_t deadline)
{
	const struct fp_wait one = { word, expected };

	return fp_wait_many(&one, 1, deadline);
}

int fp_wait_two(fp_a32 *a, uint32_t va, fp_a32 *b, uint32_t vb, int64_t deadline)
{
	const struct fp_wait two[] = { { a, va }, { b, vb } };

	return fp_wait_many(two, 2, deadline);
}

/* Nobody posts: naps that grow with the time that was spent, so that a wait takes little longer than it must. */
int fp_wait_exit(fp_a32 *word, uint32_t expected, int64_t deadline)
{
	const struct fp_wait one = { word, expected };
	int64_t ns = EXIT_FIRST_NS;
	int err;

	while ((err = nap(&one, 1, deadline, ns)) == -EINTR)
		ns = fp_earlier(2 * ns, FP_LOOK_NS);
	return err;
}

/* ---- Wake ----------------------------------------------------------------------------- */

static bool waits_for(struct sleeper *s, const fp_a32 *word)
{
	/* LOT-W2: before the swap of the state, which so fails where what is read here belongs to a later turn; pairs with LOT-K1 and LOT-K2. */
	uint32_t n = fp_load_acq(&s->n), i;

	for (i = 0; i < n && i < FP_WAIT_MOST; i++)
		if (fp_load_acq(&s->words[i]) == (uintptr_t)word)
			return true;
	return false;
}

static bool wake_sleeper(struct sleeper *s, const fp_a32 *word, bool all)
{
	/* LOT-W1: with what it waits for; pairs with LOT-S1. */
	uint64_t state = fp_load_acq(&s->state);

	if (PHASE(state) != WAITING && !(all && PHASE(state) == WOKEN))
		return false;
	if (!waits_for(s, word) || !is_sound(&s->sem))
		return false;
	if (PHASE(state) == WAITING &&
	    /* LOT-W3: this sleeper, in this turn, and nobody else wakes it (I2); pairs with LOT-S2. */
	    !fp_cas_sc(&s->state, &state, (state & ~(uint64_t)3) | WOKEN))
		return false;
	sem_post(&s->sem);
	return true;
}

int fp_wait_wake(fp_a32 *word, int count)
{
	const struct fp_lot lot = lot_of(word);
	struct shared *shared = lot.mem;
	struct sleeper *sleepers;
	uint32_t high, i, first = fp_load_rlx(&shared->first);
	bool all = count == INT_MAX;
	int saved = errno, woken = 0;

	/* LOT-T1 */
	fp_add_sc(&shared->turnstile, 1);
	sleepers = sleepers_of(&lot, &high);
	if (!all)
		fp_store_rlx(&shared->first, first + 1);
	for (i = 0; i < high && woken < count; i++)
		woken += wake_sleeper(&sleepers[(first % high + i) % high], word, all);
	errno = saved;
	return woken;
}

/* ---- Deaths ----------------------------------------------------------------------------- */

void fp_lot_bury(const struct fp_lot *lot, pid_t pid)
{
	struct shared *shared = lot->mem;
	uint64_t state;
	uint32_t i;

	/* Not up to `high`: it may have died before it raised that. */
	for (i = 0; i < lot->sleepers; i++) {
		struct sleeper *s = &shared->sleepers[i];

		state = fp_load_rlx(&s->state);
		if (PHASE(state) == FREE || PID(state) != (uint32_t)pid)
			continue;
		make_sem(&s->sem);
		/* LOT-B1: after its semaphore was made anew; pairs with LOT-S3. */
		fp_store_rel(&s->state, STATE(0, TURN(state), FREE));
	}
}
