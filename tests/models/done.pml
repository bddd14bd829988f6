/* SPDX-License-Identifier: MIT */
/*
 * The end of a task and who waits for it: the word is stored without a locked
 * instruction, asks are looked at behind the next one.  Workers may be killed or
 * stopped between any two steps.  doc/design/tasks.md tells the protocol,
 * doc/design/model.md what is checked; `run` runs it.
 *
 * A worker's DONE store may stay in its store buffer until its next locked
 * instruction; a kill or a stop writes the buffer back, since the kernel is entered.
 * All else is sequentially consistent.
 *
 * N tasks are READY; a worker claims any, or nothing, which is also what it does when
 * it leaves or goes to a map (its intent is then written over).  One waiter for each
 * task, or with ANY=1 one for any of them.
 *
 * -D: W workers, N tasks, ANY, CB kills, SB stops, RET retries, M mutant.
 */
#ifndef W
#define W 2
#endif
#ifndef N
#define N 2
#endif
#ifndef ANY
#define ANY 0
#endif
#ifndef CB
#define CB 0
#endif
#ifndef SB
#define SB 0
#endif
#ifndef RET
#define RET 0
#endif
#ifndef M
#define M 0
#endif

#define NO_SPAN		1	/* a claim does not say which task is untold */
#define EARLY_TELL	2	/* asks are looked at before the locked instruction */
#define LOOK_FIRST	3	/* who waits for any looks before he asks (for one it does no harm: the kernel looks again) */
#define NO_DEATH_TELL	4	/* the nursery does not tell for the dead */
#define NO_STOP_TELL	5	/* ... for the stopped */
#define SPAN_EARLY	6	/* the span is cleared before all are told */
#define COUNT_LATE	7	/* `done` is raised behind the wake-up */
#define SEEN_LATE	8	/* who waits for any loads `done` behind its looks */
#define NO_LOCK		9	/* without a next claim there is no locked instruction */
#define OVER_UNTOLD	10	/* a map's claim goes over the intent before all are told */
#define INTENT_ONLY	11	/* the nursery leaves out the span */
#define SPAN_ONLY	12	/* ... the intent */
#define NO_END_TELL	13	/* ... those who wait for what it ends itself */
#define SPAN_LATE	14	/* the span comes behind the intent */

#define READY	1
#define RUN	2
#define DONE	3
#define WD(s, o)	(((o) << 2) | (s))
#define ST(w)	((w) & 3)
#define BIT(x)	(1 << (x))
#define IS(set, x)	(((set) >> (x)) & 1)

byte word[N], asks, anys, att[N];	/* asks, anys: the bits of each task */
byte intent[W], span[W], buf[W];	/* buf: the task whose DONE has not been written back, + 1 */
bool pos[W];
byte raised;				/* ctl.done */

byte asleep, ends;			/* in the kernel, on a word; the waiter for any */
bool any_asleep;
byte dead, gone, fz, rep, cb = CB, sb = SB;

#define DRAIN(id)	if :: buf[id] -> word[buf[id] - 1] = WD(DONE, 0); buf[id] = 0 :: else fi
#define LIVE	(!IS(fz | dead | gone, id))
#define KILL	atomic { id < W && cb > 0 && !IS(dead | gone, id) -> \
			cb--; DRAIN(id); dead = dead | BIT(id); fz = fz & ~BIT(id); goto died }
#define S(x)	do :: atomic { LIVE -> x; break } :: KILL od

/* Tells of a task; as fp_task_told(). */
#define TOLD(n) \
	S( a = IS(asks, n) | IS(anys, n) << 1 ); \
	S( if :: a & 1 -> asleep = asleep & ~BIT(n) :: else fi ); \
	if \
	:: M != COUNT_LATE && (a & 2) -> S( raised++ ); S( any_asleep = 0 ) \
	:: M == COUNT_LATE && (a & 2) -> S( any_asleep = 0 ); S( raised++ ) \
	:: !(a & 2) \
	fi; \
	a = 0

#define CLAIM(i)	:: atomic { LIVE && word[i] == READY -> n = i; break }

proctype worker(byte id)
{
	byte n, a, untold;

next:	do
	CLAIM(0)
	CLAIM(1)
#if N > 2
	CLAIM(2)
#endif
	:: atomic { LIVE && untold -> goto other }
	:: KILL
	od;

	S( pos[id] = 0 );
#if M != NO_SPAN && M != SPAN_LATE
	S( span[id] = untold );
#endif
	S( intent[id] = n + 1 );
#if M == SPAN_LATE
	S( span[id] = untold );
#endif
	S( DRAIN(id);
	   if :: word[n] == READY -> word[n] = WD(RUN, id) :: else -> goto other fi );
#if M != EARLY_TELL
	if
	:: untold -> TOLD(untold - 1)
	:: !untold
	fi;
#endif
	S( untold = 0; pos[id] = 1 );
	S( assert(word[n] == WD(RUN, id)); buf[id] = n + 1; untold = n + 1; n = 0 );
#if M == EARLY_TELL
	TOLD(untold - 1);
#endif
	goto next;

	/* Not another task: before a map's claim, or sleep. */
other:	if :: !untold -> goto over :: untold fi;
#if M == OVER_UNTOLD
	S( intent[id] = 0 );
#endif
#if M != NO_LOCK
	S( DRAIN(id); span[id] = untold );
#else
	S( span[id] = untold );
#endif
#if M == SPAN_EARLY
	S( span[id] = 0 );
#endif
	TOLD(untold - 1);
	S( span[id] = 0 );
over:	S( untold = 0; n = 0;
	   if :: intent[id] = 0 :: skip fi;
	   goto next );

died:	atomic {
		n = 0; a = 0; untold = 0;
		!IS(dead | gone, id) -> goto next
	}
}

/* ---- Who waits -------------------------------------------------------------------------- */

#define ENDED(n)	(ST(word[n]) == DONE)

#if !ANY
proctype waiter(byte n)
{
	byte w;

again:	if :: ENDED(n) -> goto come :: else fi;
	asks = asks | BIT(n);
	w = word[n];
	if :: ST(w) == DONE -> goto come :: else fi;
	atomic { if :: word[n] == w -> asleep = asleep | BIT(n) :: else fi; w = 0 };
	!IS(asleep, n);
	goto again;
come:	atomic { w = 0; ends++ }
}
#else
#if M != LOOK_FIRST
#define ASK(n) \
	anys = anys | BIT(n); \
	if :: ENDED(n) -> goto come :: else fi
#else
#define ASK(n) \
	if :: ENDED(n) -> goto come :: else fi; \
	anys = anys | BIT(n)
#endif

proctype waiter(byte n)
{
	byte seen;

again:	if :: ENDED(0) || ENDED(1) -> goto come :: else fi;
#if M != SEEN_LATE
	seen = raised;
#endif
	ASK(0);
	ASK(1);
#if M == SEEN_LATE
	seen = raised;
#endif
	atomic { if :: raised == seen -> any_asleep = 1 :: else fi; seen = 0 };
	!any_asleep;
	goto again;
come:	atomic { seen = 0; ends = N }
}
#endif

/* ---- The nursery ---------------------------------------------------------------------------- */

#define TURN(w)	:: atomic { IS(dead, w) -> v = w; death = 1; rep = rep & ~BIT(w); break } \
		:: atomic { IS(rep, w) -> v = w; rep = rep & ~BIT(w); break }

active proctype nursery()
{
	byte id = W, v, n, a, t;
	bool death;

idle:
end:	do
	TURN(0)
#if W > 1
	TURN(1)
#endif
	od;

	atomic { n = intent[v]; if :: death && M == NO_DEATH_TELL || !death && M == NO_STOP_TELL -> goto told :: else fi };
#if M != INTENT_ONLY
	S( t = (n -> span[v] : 0) );
	if :: t -> TOLD(t - 1) :: !t fi;
#endif
#if M != SPAN_ONLY
	if :: n && ENDED(n - 1) -> TOLD(n - 1) :: else fi;
#endif
told:	if
	:: death && n && word[n - 1] == WD(RUN, v) ->
		if
		:: atomic { !pos[v] || att[n - 1] < RET -> att[n - 1] = att[n - 1] + pos[v]; word[n - 1] = READY }
		:: atomic { pos[v] && att[n - 1] >= RET -> word[n - 1] = WD(DONE, 0) };
#if M != NO_END_TELL
		   TOLD(n - 1)
#endif
		fi
	:: else
	fi;
	atomic {
		if :: death -> intent[v] = 0; span[v] = 0; dead = dead & ~BIT(v); if :: gone = gone | BIT(v) :: skip fi :: else fi;
		death = 0; v = 0; n = 0; t = 0; goto idle
	};
died:	skip
}

#if SB
#define STOP(x)	atomic { sb > 0 && !IS(dead | gone | fz, x) -> DRAIN(x); sb--; rep = rep | BIT(x); \
		if :: fz = fz | BIT(x) :: skip fi }
#define id x
active proctype stopper()
{
end:	do
	:: STOP(0)
#if W > 1
	:: STOP(1)
#endif
	od
}
#undef id
#endif

#define FLUSH(x)	:: atomic { buf[x] -> word[buf[x] - 1] = WD(DONE, 0); buf[x] = 0 }

/* The store buffer. */
active proctype memory()
{
end:	do
	FLUSH(0)
#if W > 1
	FLUSH(1)
#endif
	od
}

/* At rest: nobody sleeps who waits for a task that is DONE. */
init
{
	byte x;

	atomic {
		do :: x < N -> word[x] = READY; if :: !ANY || x == 0 -> run waiter(x) :: else fi; x++ :: else -> break od;
		x = 0;
		do :: x < W -> run worker(x); x++ :: else -> break od; x = 0
	};
	timeout;
	atomic {
		assert(!dead);
		do
		:: x < N ->
			assert(!ENDED(x) || !IS(asleep, x));
			assert(!ENDED(x) || !any_asleep);
			assert(ENDED(x) || (fz | gone) == BIT(W) - 1 || (ST(word[x]) == RUN && IS(fz, word[x] >> 2)));
			x++
		:: else -> break
		od;
		x = 0
	}
}
