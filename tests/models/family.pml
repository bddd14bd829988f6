/* SPDX-License-Identifier: MIT */
/*
 * Tasks of items: an item submits and waits, and whoever submits, runs, waits or
 * helps may be killed or stopped between any two steps.  doc/design/nesting.md and
 * death.md tell the protocol, doc/design/model.md what is checked; `run` runs it.
 * Memory is sequentially consistent here.
 *
 * The host's task P submits C1 and (WIDE) C2, and waits for each; C1 submits G; with
 * DEEP=1 G submits H.  So a worker that waits for C1, run elsewhere, may run G, and
 * what waits for G may run H.  Each submission is a slot of its own: generations are
 * left out, as are lanes and cursors (lane.pml) and the delay between DONE and the
 * look at the asks (done.pml).  Idle workers find work without being woken
 * (wake.pml); those who sleep in items are modelled step by step.  A worker that
 * waits takes whatever may be taken, in any order.
 *
 * A stop is a report, after which the worker goes on (late, as in every
 * interleaving) or never again, unless it is killed.
 *
 * With JOB=1 P is one of two items of a map, and waits for what it has submitted, or
 * leaves it, detached; the other item does nothing.  They are claimed as tasks are
 * (claimlog.pml has chunks).
 *
 * -D: W workers; WIDE, DEEP, JOB; CB kills, SB stops; RET retries of P, RC of the others;
 * FAR=1 what items submit uses their memory; BACKOFF=1 an id is not used again after
 * a death; M mutant.
 */
#ifndef W
#define W 2
#endif
#ifndef WIDE
#define WIDE 1
#endif
#ifndef DEEP
#define DEEP 0
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
#ifndef RC
#define RC 0
#endif
#ifndef FAR
#define FAR 0
#endif
#ifndef JOB
#define JOB 0
#endif
#ifndef BACKOFF
#define BACKOFF 0
#endif
#ifndef M
#define M 0
#endif

#define ANY_READY	1	/* who waits takes any task */
#define NOT_CANCELLED	2	/* children of the dead stay READY */
#define BOTTOM_UP	3	/* frames are settled from the lowest on */
#define ALL_WAIT	4	/* far children of any frame hold up all frames */
#define ORPHAN_AGAIN	5	/* a dead item's child is made READY again */
#define FAR_FORGOTTEN	6	/* far children hold up frame 0 only, and those of items settled meanwhile nobody */
#define LATER_SILENT	7	/* nobody is woken for frames that are settled in later rounds */
#define TAGS_AGAIN	8	/* the tags of a new life are those of the one before */
#define NOT_AWAITED	9	/* far children hold up nothing */
#define NO_RECHECK	10	/* who sleeps does not look again behind its bit */
#define NO_BROADCAST	11	/* the nursery wakes nobody */
#define BLIND_WAITER	12	/* who sleeps does not ask */
#define NO_ASK_CANCEL	13	/* a dead item's child that runs elsewhere is not marked */
#define NOT_TOLD	14	/* nobody is told for the dead and the stopped, nor of what items submit (harmless) */
#define JOB_RUNS	15	/* what an item of a map submitted is a child while the map runs, whatever the dead worker held */
#define SEE_LEAP	16	/* not a mutant: fails when who waits runs what another one has submitted */
#define SEE_LATER	17	/* not a mutant: fails when a frame has to wait */
#define SEE_ORPHAN	18	/* not a mutant: fails when an orphan ends in a live worker */

#define ROOTS	(1 + JOB)
#define N	(ROOTS + (1 + RET) * (1 + WIDE + (1 + RC) * (1 + DEEP * (1 + RC))))
#define D	(3 + DEEP)
#define FREE	0
#define READY	1
#define DONE	2
#define RUN	4		/* + worker */
#define HOST	7

#define P	0		/* kinds */
#define C1	1
#define C2	2
#define G	3
#define H	4

#define BIT(x)	(1 << (x))
#define IS(set, x)	(((set) >> (x)) & 1)
#define FR(w, f)	((w) * D + (f))

/* Slots: the word; what is written once; asks. */
byte word[N], kind[N], par[N], lane[N], fr[N], tag[N], att[N], n;
short asks, cancel;

/* Workers: their frames; what frame 0 has not given back. */
byte depth[W], intent[W * D];
bool pos[W * D];

/* Who sleeps in an item: the bit, who loaded the event before it moved, who is in the kernel, on which word. */
byte asleep, moved = 7, queue, on[W];

/* Ghosts and fates. */
byte begun[N];
short orphan, left;	/* left: detached */
byte dead, seen, gone, fz, rep, cb = CB, sb = SB;

#define LIVE	(!IS(fz | dead | gone, id))
#define KILL	atomic { id < W && cb > 0 && !IS(dead | gone, id) -> \
			cb--; dead = dead | BIT(id); fz = fz & ~BIT(id); queue = queue & ~BIT(id); goto died }
#define S(x)	do :: atomic { LIVE -> x; break } :: KILL od

#define RETRIES(x)	(kind[x] == P -> RET : RC)
#define WAKE_MAPS	moved = 7; queue = 0

/* Who waits for x sleeps on its word, if it has asked. */
#define TOLD(x)	if :: IS(asks, x) && lane[x] != HOST && on[lane[x]] == (x) + 1 -> queue = queue & ~BIT(lane[x]) :: else fi

/* Was x, or what it descends from, submitted by item t of worker w? */
#if M == TAGS_AGAIN
#define SAME(x, t)	true
#else
#define SAME(x, t)	(tag[x] == begun[t])
#endif
#define BY(x, t, w)	(lane[x] == (w) && par[x] == (t) && SAME(x, t))
#define UP(x)	par[x]
#define CHAIN(x)	((x) && word[UP(x)] != DONE)
#define DESCENDS(x, t, w)	(lane[x] != HOST && (BY(x, t, w) || (CHAIN(x) && lane[UP(x)] != HOST && (BY(UP(x), t, w) || \
				 (CHAIN(UP(x)) && lane[UP(UP(x))] != HOST && BY(UP(UP(x)), t, w))))))
#define IT(f)	(intent[FR(id, f)] - 1)
#if M == ANY_READY
#define MINE(x)	(word[x] == READY)
#else
#define MINE(x)	(word[x] == READY && DESCENDS(x, IT(d), id))
#endif

#if N == 3
#define ANY	(MINE(0) || MINE(1) || MINE(2))
#define EACH(X)	X(0) X(1) X(2)
#elif N == 4
#define ANY	(MINE(0) || MINE(1) || MINE(2) || MINE(3))
#define EACH(X)	X(0) X(1) X(2) X(3)
#elif N == 5
#define ANY	(MINE(0) || MINE(1) || MINE(2) || MINE(3) || MINE(4))
#define EACH(X)	X(0) X(1) X(2) X(3) X(4)
#elif N == 6
#define ANY	(MINE(0) || MINE(1) || MINE(2) || MINE(3) || MINE(4) || MINE(5))
#define EACH(X)	X(0) X(1) X(2) X(3) X(4) X(5)
#elif N == 7
#define ANY	(MINE(0) || MINE(1) || MINE(2) || MINE(3) || MINE(4) || MINE(5) || MINE(6))
#define EACH(X)	X(0) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define ANY	(MINE(0) || MINE(1) || MINE(2) || MINE(3) || MINE(4) || MINE(5) || MINE(6) || MINE(7))
#define EACH(X)	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#endif

#define TRY(x)	:: atomic { LIVE && word[x] == READY -> y = x; break }
#define HELP(x)	:: atomic { LIVE && word[a[d]] != DONE && MINE(x) -> y = x; d++; goto claim }

/* Does x descend, by what really happened, from the item in frame d - 1? */
#define REAL(x, t)	(par[x] == (t) && tag[x] == begun[t])
#define TRUE_CHILD(x, t)	(lane[x] != HOST && (REAL(x, t) || (lane[UP(x)] != HOST && (REAL(UP(x), t) || \
				 (lane[UP(UP(x))] != HOST && REAL(UP(UP(x)), t))))))

#define MY	FR(id, d)
#define SUBMIT(k, to)	S( assert(n < N); kind[n] = k; par[n] = IT(d); lane[n] = id; fr[n] = d; tag[n] = begun[IT(d)]; \
			   to = n; word[n] = READY; n++ ); \
			S( if :: asleep && M != NOT_TOLD -> asleep = 0; WAKE_MAPS :: else fi )

#if JOB
#define LEFT(x)	if :: REAL(x, IT(d)) && lane[x] != HOST -> left = left | BIT(x) :: else fi;
#define LEAVE	EACH(LEFT) skip
#else
#define LEAVE	skip
#endif

proctype worker(byte id)
{
	byte d, y, a[D], b[D];		/* a, b: the tasks that the item there has to wait for */

start:	S( intent[FR(id, 0)] = 0; depth[id] = 1 );

	/* With nothing to wait for: any task, in frame 0. */
top:	do
	EACH(TRY)
	:: KILL
	od;

claim:	S( pos[MY] = 0; intent[MY] = y + 1 );
	S( if :: word[y] == READY -> word[y] = RUN + id; y = 0; assert(!IS(orphan, IT(d)))
	      :: else -> y = 0; goto pop fi );

	/* The item: what is above another one descends from it. */
	S( assert(word[IT(d)] == RUN + id);
	   assert(d == 0 || TRUE_CHILD(IT(d), IT(d - 1)));
	   assert(M != SEE_LEAP || d == 0 || lane[IT(d)] == id);
	   pos[MY] = 1; begun[IT(d)]++; assert(begun[IT(d)] <= 1 + RETRIES(IT(d)));
	   if :: kind[IT(d)] == P || kind[IT(d)] == C1 || (DEEP && kind[IT(d)] == G) -> skip :: else -> goto finish fi );

	SUBMIT((kind[IT(d)] == P -> C1 : (kind[IT(d)] == C1 -> G : H)), a[d]);
#if WIDE
	if :: kind[IT(d)] == P -> SUBMIT(C2, b[d]) :: else fi;
#endif

#if JOB
	S( if :: kind[IT(d)] == P -> a[d] = 0; b[d] = 0; goto finish :: skip fi );
#endif

	/* Waits for a[d], in a new frame. */
again:	S( if :: word[a[d]] == DONE -> goto next :: else fi );
	S( intent[FR(id, d + 1)] = 0; pos[FR(id, d + 1)] = 0; depth[id] = d + 2 );
wait:	do
	:: atomic { LIVE && word[a[d]] == DONE -> goto close }
	EACH(HELP)
	:: atomic { LIVE && word[a[d]] != DONE && !ANY -> break }
	:: KILL
	od;

	/* Nothing to do: the bit, the event, another look, WAITER, sleep on both. */
	S( asleep = asleep | BIT(id) );
	S( moved = moved & ~BIT(id) );
#if M != NO_RECHECK
	S( if :: ANY -> goto unpark :: else fi );
#endif
#if M != BLIND_WAITER
	S( if :: word[a[d]] == DONE -> goto unpark :: else -> asks = asks | BIT(a[d]) fi );
#endif
	S( if :: word[a[d]] == DONE -> goto unpark :: else fi );
	S( if :: word[a[d]] == DONE || IS(moved, id) -> goto unpark
	      :: else -> queue = queue | BIT(id); on[id] = a[d] + 1 fi );
	do
	:: atomic { LIVE && !IS(queue, id) -> on[id] = 0; break }
	:: KILL
	od;
unpark:	S( asleep = asleep & ~BIT(id); moved = moved | BIT(id); goto wait );

close:	S( depth[id] = d + 1 );
next:	S( a[d] = b[d]; b[d] = 0; if :: a[d] -> goto again :: else fi );

	/* The item ends; who waits for it is told. */
finish:	S( assert(word[IT(d)] == RUN + id); assert(M != SEE_ORPHAN || !IS(orphan, IT(d))); word[IT(d)] = DONE;
	   LEAVE );
	S( if :: d == 0 || lane[IT(d)] != id -> TOLD(IT(d)) :: else fi );
pop:	atomic {
		if
		:: d == 0 -> goto top
		:: else -> d--; goto wait
		fi
	};

died:	atomic {
		!IS(dead | gone, id) ->
		d = 0; y = 0; on[id] = 0; moved = moved | BIT(id);
		a[0] = 0; b[0] = 0; a[1] = 0; b[1] = 0; a[2] = 0; b[2] = 0;
#if DEEP
		a[3] = 0; b[3] = 0;
#endif
		goto start
	}
}

/* ---- The nursery ------------------------------------------------------------------ */

/* Was x submitted by an item of v that has not ended? */
#if !JOB
#define CHILD(x, v)	(lane[x] == (v) && word[par[x]] == RUN + (v))
#elif M == JOB_RUNS
#define CHILD(x, v)	(lane[x] == (v) && (kind[par[x]] != P -> word[par[x]] == RUN + (v) : word[0] != DONE || word[1] != DONE))
#else
/* Of a map nobody knows which of its items it was, but the frame says whether it is one that is at work there. */
#define THERE(x, v)	intent[FR(v, fr[x])]
#define CHILD(x, v)	(lane[x] == (v) && (kind[par[x]] != P -> word[par[x]] == RUN + (v) : \
			 fr[x] < depth[v] && THERE(x, v) && THERE(x, v) <= ROOTS && word[THERE(x, v) - 1] == RUN + (v)))
#endif
#define BUSY(x)	(word[x] >= RUN && word[x] != RUN + v)

/* The frames that wait for a far child: those up to that of its item. */
#if FAR && M != NOT_AWAITED
#define BARS(x, v, f)	(CHILD(x, v) && word[x] >= RUN && word[x] != RUN + (v) && fr[x] >= (f))
#else
#define BARS(x, v, f)	false
#endif
#if N == 3
#define BARRED(v, f)	(BARS(0, v, f) || BARS(1, v, f) || BARS(2, v, f))
#elif N == 4
#define BARRED(v, f)	(BARS(0, v, f) || BARS(1, v, f) || BARS(2, v, f) || BARS(3, v, f))
#elif N == 5
#define BARRED(v, f)	(BARS(0, v, f) || BARS(1, v, f) || BARS(2, v, f) || BARS(3, v, f) || BARS(4, v, f))
#elif N == 6
#define BARRED(v, f)	(BARS(0, v, f) || BARS(1, v, f) || BARS(2, v, f) || BARS(3, v, f) || BARS(4, v, f) || BARS(5, v, f))
#elif N == 7
#define BARRED(v, f)	(BARS(0, v, f) || BARS(1, v, f) || BARS(2, v, f) || BARS(3, v, f) || BARS(4, v, f) || BARS(5, v, f) || BARS(6, v, f))
#else
#define BARRED(v, f)	(BARS(0, v, f) || BARS(1, v, f) || BARS(2, v, f) || BARS(3, v, f) || BARS(4, v, f) || BARS(5, v, f) || BARS(6, v, f) || BARS(7, v, f))
#endif

/* May the frame f of v be settled, with what is at work elsewhere now? */
#if M == ALL_WAIT
#define HELD_UP(v, f)	BARRED(v, 0)
#elif M == FAR_FORGOTTEN
#define HELD_UP(v, f)	((f) == 0 && BARRED(v, 0))
#else
#define HELD_UP(v, f)	BARRED(v, f)
#endif

/* Looked at every 10 ms; here, when there is something to be done. */
#define TURN(w)	:: atomic { IS(dead, w) && !IS(seen, w) -> v = w; seen = seen | BIT(w); asleep = asleep & ~BIT(w); \
			    rep = rep & ~BIT(w); first = 1; goto round } \
		:: atomic { IS(seen, w) && !HELD_UP(w, depth[w] - 1) -> v = w; goto round } \
		:: atomic { IS(rep, w) && !IS(dead, w) -> v = w; rep = rep & ~BIT(w); goto stopped }

#define V	FR(v, f)
#define X	(intent[V] - 1)
#if M == ORPHAN_AGAIN
#define ORPHAN	false
#else
#define ORPHAN	(CHILD(X, v) || IS(cancel, X))
#endif
#define AGAIN	(!ORPHAN && (!pos[V] || att[X] < RETRIES(X)))

/* What the item had allocated is freed with frame 0. */
#define CHECK_MEMORY	x = 0; do :: x < N -> assert(!FAR || lane[x] != v || f || IS(left, x) || !BUSY(x)); x++ :: else -> break od; x = 0
/* Whose item has died: none of these may begin from now on. */
#define MARK_ORPHANS	x = 0; do :: x < N -> \
				if :: intent[V] && pos[V] && word[X] == RUN + v && lane[x] != HOST && word[x] != FREE && \
				      par[x] == X && tag[x] == begun[X] -> orphan = orphan | BIT(x) :: else fi; \
				x++ :: else -> break od; x = 0

active proctype nursery()
{
	byte id = W, v, f, x;
	bool first, some, late;

turn:
end:	do
	TURN(0)
#if W > 1
	TURN(1)
#endif
#if W > 2
	TURN(2)
#endif
	od;

	/* A round: children first. */
round:
#if M != NOT_CANCELLED
	do
	:: x < N ->
		S( if :: CHILD(x, v) && word[x] == READY -> word[x] = DONE; TOLD(x) :: else fi );
		S( if :: CHILD(x, v) && BUSY(x) && M != NO_ASK_CANCEL -> cancel = cancel | BIT(x) :: else fi; x++ )
	:: else -> break
	od;
#endif
	S( x = 0; f = (M == BOTTOM_UP -> 0 : depth[v] - 1) );

	/* Then frames, as far as they may be settled. */
frame:	S( if :: HELD_UP(v, f) -> assert(M != SEE_LATER); late = 1; goto settled :: else fi );
	S( if :: intent[V] && word[X] == DONE && M != NOT_TOLD -> TOLD(X)
	      :: else fi );
	S( CHECK_MEMORY; MARK_ORPHANS;
	   if :: intent[V] && word[X] == RUN + v ->
		if :: AGAIN -> assert(!IS(orphan, X)); att[X] = att[X] + pos[V]; word[X] = READY
		   :: else -> word[X] = DONE; TOLD(X) fi
	      :: else fi;
	   intent[V] = 0; pos[V] = 0; some = 1 );
#if M == BOTTOM_UP
	S( f++; if :: f < depth[v] -> goto frame :: else -> depth[v] = 1 fi );
#else
	S( if :: f -> depth[v] = f; f--; goto frame :: else fi );
#endif

	/* All is settled, and the id is used again; or there will be another round. */
settled:
	S( if :: M != NO_BROADCAST && (first || !late || (some && M != LATER_SILENT)) -> WAKE_MAPS :: else fi );
	atomic {
		if :: late :: else -> gone = gone | (BACKOFF << v); seen = seen & ~BIT(v); dead = dead & ~BIT(v) fi;
		v = 0; f = 0; first = 0; some = 0; late = 0; goto turn
	};

	/* A stop: of what the worker had marked DONE in any frame is told. */
stopped:
#if M != NOT_TOLD
	S( if :: f < depth[v] -> skip :: else -> goto awake fi );
	S( if :: intent[V] && word[X] == DONE -> TOLD(X) :: else fi; f++; goto stopped );
awake:
#endif
	S( WAKE_MAPS );
	atomic { v = 0; f = 0; goto turn };
died:	skip
}

#if SB
#define STOP(x)	atomic { sb > 0 && !IS(dead | gone | fz, x) -> sb--; rep = rep | BIT(x); queue = queue & ~BIT(x); \
		if :: fz = fz | BIT(x) :: skip fi }
active proctype stopper()
{
end:	do
	:: STOP(0)
#if W > 1
	:: STOP(1)
#endif
	od
}
#endif

/* At rest: all has ended, or one stopped for good holds a task; nobody sleeps on what is DONE. */
init
{
	byte x, held;

	atomic {
		do :: n < ROOTS -> word[n] = READY; kind[n] = (n -> C2 : P); lane[n] = HOST; n++ :: else -> break od;
		do :: x < W -> depth[x] = 1; run worker(x); x++ :: else -> break od; x = 0
	};
	timeout;
	atomic {
		do :: x < N -> if :: word[x] >= RUN && IS(fz, word[x] - RUN) -> held = 1 :: else fi; x++ :: else -> break od;
		x = 0;
		held = held | (gone == BIT(W) - 1);
		assert(held || !dead);
		do
		:: x < N -> assert(held || word[x] == FREE || word[x] == DONE); x++
		:: else -> break
		od;
		x = 0;
		assert(held || (word[0] == DONE && word[ROOTS - 1] == DONE));
		do
		:: x < W -> assert(!IS(queue, x) || word[on[x] - 1] != DONE); x++
		:: else -> break
		od;
		x = 0
	}
}
