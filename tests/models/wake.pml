/* SPDX-License-Identifier: MIT */
/*
 * Parking and waking: no wake-up is lost, with workers that are killed or
 * stopped between any two steps.  doc/design/model.md says what is checked;
 * `run` runs it.  Memory is sequentially consistent here, as the code is where
 * two sides must see each other, but for the host's store.
 *
 * The claim log is abstract: a job has UNITS units of work, each one word
 * {gen, state, owner}, claimed by a swap; the owner of unit 0 may publish a
 * late unit while somebody is hungry (SPL=1), as a split does.  The intent is
 * the unit last claimed.
 *
 * Each worker sleeps on an event of its own: `moved` has those whose event moved
 * on since they read it, `queue` those asleep in the kernel.  Who wakes takes the
 * bit away, raises the event, wakes: a step each.  Who is stopped leaves the queue,
 * and only then its stop is reported; when continued it tries the wait again.
 *
 * The host's publication is a plain store: `buf` says that it is not visible yet.
 * It becomes so at any time, at a fence of the host's, and at membarrier(2) by a
 * worker that is about to sleep, but not before the host has joined (`light`), which it
 * does before any of its publications; until then it fences behind each.  The host wakes one at most, and nobody where
 * there are as many lookers as units.  MEET=1: the units are published one
 * after the other, one looker is enough to wake nobody, and who runs unit 0 waits
 * until somebody runs unit 1, as if its item took for ever.
 *
 * -D: W workers, JOBS, UNITS a job, SPL, CB kills, SB stops, BACKOFF=1 an id is
 * not used again after a death (as when crash loops are slowed down), M mutant.
 */
#ifndef W
#define W 2
#endif
#ifndef JOBS
#define JOBS 2
#endif
#ifndef UNITS
#define UNITS 1
#endif
#ifndef SPL
#define SPL 1
#endif
#ifndef CB
#define CB 0
#endif
#ifndef SB
#define SB 0
#endif
#ifndef M
#define M 0
#endif
#ifndef BACKOFF
#define BACKOFF 0
#endif
#ifndef MEET
#define MEET 0
#endif

#define NO_BROADCAST		1	/* the nursery wakes nobody after a death */
#define NO_STOP_BROADCAST	2	/* ... after a stop */
#define NO_RECHECK		3	/* a worker sleeps without a last look */
#define NO_COMPLETER_WAKE	4	/* the nursery does not wake the host for a completer that died */
#define NO_STOP_WALK		5	/* ... nor for one that was stopped */
#define EARLY_BROADCAST		6	/* the nursery wakes before it has put the rest back */
#define NO_EVENT		7	/* a publisher wakes without counting the event */
#define LATE_EVENT		8	/* a worker loads the event counter after its second look */
#define EARLY_LOOK		9	/* the host looks at the sleepers before it publishes */
#define BLIND_WAITER		10	/* the host sleeps without setting WAITER */
#define BITS_KEPT		11	/* the nursery leaves the bits of the dead set */
#define NO_HEAVY		12	/* a worker does not fence between the bit and the last look */
#define EARLY_RECHECK		13	/* ... and looks before it sets the bit */
#define NO_MORE			14	/* who has found something does not look for more */
#define MORE_FIRST		15	/* ... or looks before it clears its bit */
#define COUNT_UNFENCED		16	/* the host counts lookers without a fence */
#define STOPPED_KEPT		17	/* the nursery leaves the bits of the stopped set */
#define JOIN_LATE		18	/* the host joins after its first publication without a fence */
#define EARLY_FENCES		19	/* a worker looks whether anybody has joined before it sets the bit */

#define NU	(UNITS + SPL)
#define NONE	0
#define FREE	1
#define RUN	2
#define DONE	3

/* a unit {gen:2, state:2, owner:2}; the job word is jgen, jst, waiter as one */
#define UW(g, s, o)	(((g) << 4) | ((s) << 2) | (o))
#define UGEN(u)	((u) >> 4)
#define UST(u)	(((u) >> 2) & 3)
#define UOWN(u)	((u) & 3)

byte unit[2];
byte jgen, jst = DONE;
bool waiter;
byte moved = (1 << W) - 1;				/* whose event moved on since he read it */
byte buf;
bool light;				/* sleepers fence for the host */
byte hungry, asleep;
byte iu[W], ig[W];			/* intent */

byte queue;				/* asleep in the kernel, each on his event */
bool hqueue;				/* the host, on the job word */
byte fz, dead, gone, settling, rep, cb = CB, sb = SB;
bool fin;
byte completions;

#define BIT(x)	(1 << (x))
#define MOVED	((moved >> id) & 1)
#define LIVE	(!(((fz | dead | gone) >> id) & 1))
#define KILL	atomic { id < W && cb > 0 && !fin && !(((dead | gone) >> id) & 1) -> \
			cb--; dead = dead | BIT(id); moved = moved | BIT(id); fz = fz & ~BIT(id); settling = settling & ~BIT(id); \
			queue = queue & ~BIT(id); goto died }
#define S(x)	do :: atomic { LIVE -> x; break } :: KILL od

#define OPENU(i)	((i) < NU && jst == RUN && UGEN(unit[i]) == jgen && UST(unit[i]) == FREE)
#if UNITS + SPL == 1
#define WORK	OPENU(0)
#else
#define WORK	(OPENU(0) || OPENU(1))
#endif
#if UNITS + SPL == 1
#define ALLDONE(g)	(unit[0] == UW(g, DONE, 0))
#else
#define ALLDONE(g)	(unit[0] == UW(g, DONE, 0) && unit[1] == UW(g, DONE, 0))
#endif

/* The host's store becomes visible. */
#define FLUSH	if :: buf == 2 -> buf = 0; unit[1] = UW(jgen, FREE, 0) \
		   :: buf == 1 -> buf = 0; unit[0] = UW(jgen + 1, FREE, 0); \
			unit[1] = UW(jgen + 1, (UNITS > 1 && !MEET -> FREE : NONE), 0); \
			jgen++; jst = RUN; waiter = 0 \
		   :: else fi

#if M == NO_EVENT
#define RAISE(v)	skip
#else
#define RAISE(v)	moved = moved | BIT(v)
#endif

/* Wakes one of x: takes its bit, raises its event, wakes it. */
#define WAKE_ONE \
	do :: x == 0 -> break \
	   :: x != 0 -> \
		S( v = (x & 1 -> 0 : (x & 2 -> 1 : 2)); x = x & ~BIT(v); \
		   if :: asleep & BIT(v) -> asleep = asleep & ~BIT(v); x = 0 :: else -> v = NOBODY fi ); \
		if :: v != NOBODY -> S( RAISE(v) ); S( queue = queue & ~BIT(v) ) :: else fi; \
		v = 0 \
	od

#define NOBODY	7
#define LOOKERS	(hungry & ~asleep)
#define COUNT(m)	(((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1))

#define TAKE(n)	i = n; g = jgen; iu[id] = n; ig[id] = g; unit[n] = UW(g, RUN, id)
#define TRY(where, not)	if :: OPENU(0) -> TAKE(0); goto where :: OPENU(1) -> TAKE(1); goto where :: else -> not fi

proctype worker(byte id)
{
	byte g, i, x, v;

look:	S( TRY(work, skip) );

	/* Hungry: looks on, then parks. */
seek:	S( hungry = hungry | BIT(id) );
	S( TRY(found, skip) );
#if M == EARLY_RECHECK
	S( TRY(found, skip) );
#endif
#if M != LATE_EVENT
	S( moved = moved & ~BIT(id) );
#endif
#if M == EARLY_FENCES
	S( x = light );
#endif
	S( asleep = asleep | BIT(id) );
#if M != NO_HEAVY
#if M != EARLY_FENCES
	S( x = light );
#endif
	S( if :: x -> FLUSH; x = 0 :: else fi );
#endif
#if M != NO_RECHECK && M != EARLY_RECHECK
	S( TRY(unpark, skip) );
#endif
#if M == LATE_EVENT
	S( moved = moved & ~BIT(id) );
#endif
sleep:	S( if :: MOVED -> goto awake :: else -> queue = queue | BIT(id) fi );
	do
	:: atomic { LIVE && !((queue >> id) & 1) -> break }
	:: KILL
	od;
	/* It was woken, or stopped and continued: then the kernel tries the wait again. */
	S( if :: (settling >> id) & 1 -> settling = settling & ~BIT(id); goto sleep
	      :: else fi );
awake:	S( asleep = asleep & ~BIT(id); moved = moved | BIT(id); goto seek );

unpark:	S( asleep = asleep & ~BIT(id); moved = moved | BIT(id) );
found:
#if M == MORE_FIRST
	S( x = (WORK -> 1 : 0) );
	S( hungry = hungry & ~BIT(id) );
	S( if :: x != 0 && LOOKERS == 0 -> x = asleep :: else -> x = 0 fi );
	WAKE_ONE;
#else
	S( hungry = hungry & ~BIT(id) );
#if M != NO_MORE
	S( x = asleep );
	S( if :: x != 0 && LOOKERS != 0 -> x = 0 :: else fi );
	S( if :: WORK -> skip :: else -> x = 0 fi );
	S( if :: x != 0 -> x = asleep :: else fi );
	WAKE_ONE;
#endif
#endif

work:
	/* Run; when somebody is hungry, half of it becomes a unit of its own. */
#if SPL
	S( if :: i == 0 && UGEN(unit[UNITS]) == g && UST(unit[UNITS]) == NONE && hungry -> unit[UNITS] = UW(g, FREE, 0)
	      :: i == 0 && UGEN(unit[UNITS]) == g && UST(unit[UNITS]) == NONE -> unit[UNITS] = UW(g, DONE, 0); goto finish
	      :: else -> goto finish fi );
	/* After a store that all see at once. */
	S( x = asleep );
	WAKE_ONE;
#endif
#if MEET
	do
	:: atomic { LIVE && (i == 1 || UST(unit[1]) > FREE || jgen != g) -> break }
	:: KILL
	od;
#endif
finish:	S( assert(unit[i] == UW(g, RUN, id)); unit[i] = UW(g, DONE, 0) );
	S( if :: ALLDONE(g) -> skip :: else -> g = 0; i = 0; goto look fi );
	S( if :: jst == RUN && jgen == g -> x = waiter; jst = DONE; waiter = 0; completions++
	      :: else -> g = 0; i = 0; goto look fi );
	S( if :: x -> hqueue = 0 :: else fi; x = 0; g = 0; i = 0; goto look );

died:	atomic { g = 0; i = 0; x = 0; v = 0; goto look }
}

active proctype nursery()
{
	byte id = W, v, g, i;
	bool isdead, again;

idle:
end:	atomic {
		dead != 0 || rep != 0 ->
		do :: ((dead | rep) >> v) & 1 -> break :: else -> v++ od;
		isdead = (dead >> v) & 1;
		rep = rep & ~BIT(v)
	};
#if M == EARLY_BROADCAST
	S( moved = (1 << W) - 1 );
	S( queue = 0 );
#endif
	if
	:: (isdead && M == BITS_KEPT) || (!isdead && M == STOPPED_KEPT) -> skip
	:: else ->
		S( hungry = hungry & ~BIT(v) );
		S( asleep = asleep & ~BIT(v) )
	fi;
	/* A dead one's unit goes back; one that is DONE is finished for it. */
	S( g = ig[v]; i = iu[v];
	   if :: isdead && g && unit[i] == UW(g, RUN, v) -> unit[i] = UW(g, FREE, 0)
	      :: g && unit[i] == UW(g, DONE, 0) && !(M == NO_STOP_WALK && !isdead) -> again = 1
	      :: else fi );
	if
	:: again ->
		S( again = ALLDONE(g) );
		S( if :: again && jst == RUN && jgen == g ->
			jst = DONE; completions++;
			if :: waiter -> hqueue = 0 :: else fi;
			waiter = 0; again = 0
		      :: else fi );
		/* The job was complete already: its completer may not have woken the host. */
		S( if :: again && M != NO_COMPLETER_WAKE && jst == DONE && jgen == g -> hqueue = 0 :: else fi );
		again = 0
	:: else
	fi;
	/* The new worker looks for work before anything else; with a back-off it does not come. */
	S( if :: isdead -> dead = dead & ~BIT(v); gone = gone | (BACKOFF << v) :: else fi );
	if
	:: M == EARLY_BROADCAST || (M == NO_BROADCAST && isdead) || (M == NO_STOP_BROADCAST && !isdead) -> skip
	:: else ->
		S( moved = (1 << W) - 1 );
		S( queue = 0 )
	fi;
	atomic {
		isdead = 0; v = 0; g = 0; i = 0;
		goto idle
	};
died:	skip
}

#if M == JOIN_LATE
#define JOIN		skip
#define LIGHT		light = 1
#define OWN_FENCE	skip
#else
#define JOIN		if :: atomic { !light -> light = 1 } :: skip fi
#define LIGHT		skip
#define OWN_FENCE	atomic { if :: !light -> FLUSH :: else fi }
#endif
#if M == EARLY_LOOK
#define STORE_AND_LOOK(n)	JOIN; x = asleep; buf = n; OWN_FENCE
#else
#define STORE_AND_LOOK(n)	JOIN; buf = n; OWN_FENCE; x = asleep; LIGHT
#endif
#if M == COUNT_UNFENCED
#define FENCE	skip
#else
#define FENCE	atomic { FLUSH }
#endif

/* To ask for a wake-up, or to publish more, comes after all stores before it. */
#define PUBLISH(n) \
		STORE_AND_LOOK(n); \
		if \
		:: x -> \
			FENCE; \
			if :: COUNT(LOOKERS) < (MEET -> 1 : UNITS) -> x = asleep :: else -> x = 0 fi; \
			WAKE_ONE \
		:: else \
		fi; \
		atomic { FLUSH }

/* The store buffer drains when it likes. */
active proctype drain()
{
	do
	:: atomic { buf != 0 -> FLUSH }
	:: atomic { fin -> break }
	od
}

active proctype host()
{
	byte id = W, x, v;

	do
	:: jgen < JOBS ->
		PUBLISH(1);
#if MEET
		PUBLISH(2);
#endif
		/* Wait. */
		do
		:: atomic { jst == DONE -> break }
		:: atomic { jst == RUN ->
			if :: M != BLIND_WAITER -> waiter = 1 :: else fi };
		   atomic { if :: jst == RUN && (waiter || M == BLIND_WAITER) -> hqueue = 1 :: else fi };
		   atomic { !hqueue }
		od;
		assert(completions == jgen)
	:: else -> break
	od;
	fin = true;
	goto out;
died:	skip;
out:	skip
}

/*
 * A stop.  One that never ends freezes the worker; it may eat a wake-up until
 * it has left the queue, and the report follows then.  One that ends is a
 * delay, a report, and for a sleeper one more try of the wait, to which
 * `settling` sends it.
 */
#if SB
#define STOP(x)	atomic { sb > 0 && !fin && !(((dead | gone) >> x) & 1) && !((fz >> x) & 1) -> sb--; \
		if :: fz = fz | BIT(x); unreported = unreported | BIT(x) \
		   :: rep = rep | BIT(x); \
		      if :: (queue >> x) & 1 -> queue = queue & ~BIT(x); settling = settling | BIT(x) :: else fi fi }
#define SETTLE(x) atomic { (unreported >> x) & 1 -> unreported = unreported & ~BIT(x); \
		if :: (fz >> x) & 1 -> rep = rep | BIT(x); queue = queue & ~BIT(x) :: else fi }
active proctype stopper()
{
	byte unreported;

	do
	:: STOP(0)
	:: STOP(1)
	:: SETTLE(0)
	:: SETTLE(1)
#if W > 2
	:: STOP(2)
	:: SETTLE(2)
#endif
	:: atomic { (sb == 0 || fin) && !unreported -> break }
	od
}
#endif

/* At rest: all is done, or a stopped worker holds what is missing, or nobody is left. */
init
{
	byte i, held;

	atomic { do :: i < W -> run worker(i); i++ :: else -> break od; i = 0 };
	timeout;
	atomic {
		do :: i < NU ->
			if :: UST(unit[i]) == RUN && UGEN(unit[i]) == jgen && (fz >> UOWN(unit[i])) & 1 -> held = held + 1
			   :: else fi;
			i++
		   :: else -> break od;
		/* Nothing open may be left to sleepers, and the host may not sleep on a job that is done. */
		assert(fin || (fz | gone) == (1 << W) - 1 || (held && !WORK && dead == 0));
		assert(fin || jst == RUN)
	}
}
