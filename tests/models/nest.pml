/* SPDX-License-Identifier: MIT */
/*
 * Nested maps: an item maps on the workers and waits, and whoever runs, waits or
 * helps may be killed or stopped between any two steps.  doc/design/nesting.md
 * tells the protocol, doc/design/model.md what is checked; `run` runs it.  Memory
 * is sequentially consistent here.
 *
 * The claim log is abstract (claimlog.pml has it): an item is one word
 * {gen, state, owner}, and a claim is one step that finds the job's word and the
 * item's as they were when it looked.  Idle workers find work without being woken
 * (wake.pml has that); those who sleep in a nested map are modelled step by step.
 *
 * Slot 0 has the host's job, of level 0, with N0 items; slots 1 to NS are for
 * nested jobs of NI items.  Items of a level below LEVELS map.  A worker has a
 * frame for each level.
 *
 * A stop is a report, after which the worker goes on (late, as in every
 * interleaving) or never again, unless it is killed.
 *
 * -D: W workers, N0, NI, NS, LEVELS; CB kills, SB stops; RET0, RET1 retries of the
 * host's items and of nested ones; BACKOFF=1 an id is not used again after a death;
 * M mutant.
 */
#ifndef W
#define W 2
#endif
#ifndef N0
#define N0 1
#endif
#ifndef NI
#define NI 2
#endif
#ifndef NS
#define NS 2
#endif
#ifndef LEVELS
#define LEVELS 1
#endif
#ifndef CB
#define CB 0
#endif
#ifndef SB
#define SB 0
#endif
#ifndef RET0
#define RET0 1
#endif
#ifndef RET1
#define RET1 0
#endif
#ifndef BACKOFF
#define BACKOFF 0
#endif
#ifndef M
#define M 0
#endif

#define SETTLE_EARLY	1	/* a frame is settled before the jobs of its item are done */
#define FREE_RUNNING	2	/* a dead one's slot is given back while its job runs */
#define ANY_WORK	3	/* who waits takes any item */
#define DEPTH_LATE	4	/* depth is stored once the frame holds a claim */
#define INTENT_KEPT	5	/* the intent of a new frame is not cleared (harmless without a wrap) */
#define BOTTOM_UP	6	/* frames are settled from the lowest on */
#define NOT_CANCELLED	7	/* the jobs of the dead run on */
#define NO_RECHECK	8	/* who sleeps does not look again behind its bit */
#define NO_BROADCAST	9	/* the nursery does not wake those who sleep in maps */
#define REST_KEPT	10	/* what a frame gives back to a cancelled job stays open */
#define ANY_FRAME	11	/* a frame is settled when no job of any frame runs */
#define EARLY_AGAIN	12	/* an id is used again with frames unsettled */
#define ORPHANS_KEPT	13	/* slots of the dead are not given back */
#define MEND_EARLY	14	/* all blocks of the dead are freed with its highest frame */
#define BLIND_WAITER	15	/* who sleeps does not say so in the job's word */
#define NO_STOP_WALK	16	/* nothing is done at the report of a stop */
#define SEE_HELP	17	/* not a mutant: fails when a worker runs a job of another one's item in a frame above 0 */
#define SEE_SERIAL	18	/* not a mutant: fails when no slot is free */

#define D	(LEVELS + 1)
#define NQ	(NS + 1)
#define FREE	0
#define RUN	1
#define DONE	2

/* item word {gen:4, state:2, owner:2}; intent {gen:4, slot:2, item:1, valid:1} */
#define WD(g, s, o)	(((g) << 4) | ((s) << 2) | (o))
#define ITEM(s, i)	cw[(s) * 2 + (i)]
#define COUNT(s)	((s) -> NI : N0)
#define INTENT(g, s, i)	(((g) << 4) | ((s) << 2) | ((i) << 1) | 1)
#define IGEN(x)	((x) >> 4)
#define ISLOT(x)	(((x) >> 2) & 3)
#define IITEM(x)	(((x) >> 1) & 1)
#define FR(w, f)	((w) * D + (f))
#define BIT(x)	(1 << (x))

/* Slots: the job's word, its items, its description; whose they are. */
byte jg[NQ], jst[NQ], cw[NQ * 2];
bool can[NQ], waiter[NQ];
byte own[NQ], pslot[NQ], pgen[NQ], level[NQ], frame[NQ];

/* Workers: their frames. */
byte depth[W], intent[W * D], pos[W * D];
byte block[W * D];			/* what the item there has allocated: {gen, slot} of its job */

/* Who sleeps in a map: the bit, who loaded the event before it moved, who is in the kernel. */
byte asleep, moved = 7, queue;

/* Ghosts and fates. */
byte dead, seen, gone, fz, rep, cb = CB, sb = SB;
byte att[NQ * 2], next[W], maker[NQ];	/* maker: whose frame the block of this job's parent is of */
byte completions, ended[2];
bool fin;

#define IS(set, x)	(((set) >> (x)) & 1)
#define LIVE	(!IS(fz | dead | gone, id))
#define KILL	atomic { id < W && cb > 0 && !fin && !IS(dead | gone, id) -> \
			cb--; dead = dead | BIT(id); fz = fz & ~BIT(id); queue = queue & ~BIT(id); goto died }
#define S(x)	do :: atomic { LIVE -> x; break } :: KILL od

#define CLAIMABLE(s, i)	(jst[s] == RUN && !can[s] && (i) < COUNT(s) && ITEM(s, i) == WD(jg[s], FREE, 0))

/* Does the job in slot s descend from that in slot t? */
#define UP(s)	pslot[s]
#define UP_OK(s)	(jg[UP(s)] == pgen[s])
#define DESCENDS(s, t)	((s) == (t) || ((s) && UP_OK(s) && (UP(s) == (t) || \
			 (UP(s) && UP_OK(UP(s)) && UP(UP(s)) == (t)))))
#if M == ANY_WORK
#define MINE(s)	true
#else
#define MINE(s)	((s) && DESCENDS(s, map[d]))
#endif
#define OFFER(s)	(MINE(s) && (CLAIMABLE(s, 0) || CLAIMABLE(s, 1)))
#if NS == 1
#define OFFERS	(OFFER(0) || OFFER(1))
#elif NS == 2
#define OFFERS	(OFFER(0) || OFFER(1) || OFFER(2))
#else
#define OFFERS	(OFFER(0) || OFFER(1) || OFFER(2) || OFFER(3))
#endif

/* All words of job {q, qg} DONE?  Then the job is, and who waits is woken. */
#define SETTLED(q, qg)	(ITEM(q, 0) >> 2 == WD(qg, DONE, 0) >> 2 && \
			 (COUNT(q) == 1 || ITEM(q, 1) >> 2 == WD(qg, DONE, 0) >> 2))
#define WALK(q, qg) \
	S( ok = SETTLED(q, qg) ); \
	S( if :: ok && jst[q] == RUN && jg[q] == qg -> \
		jst[q] = DONE; woken = waiter[q]; waiter[q] = 0; \
		if :: q == 0 -> completions++ :: else fi \
	      :: else fi; ok = 0 ); \
	S( if :: woken && own[q] -> queue = queue & ~BIT(own[q] - 1) :: else fi; woken = 0 )
#define WAKE_MAPS	moved = 7; queue = 0

#define ENDS(s, i)	if :: (s) == 0 -> ended[i]++ :: else fi

#define TRY(s_, i_)	:: atomic { LIVE && CLAIMABLE(s_, i_) -> s = s_; i = i_; g = jg[s_]; break }
#define HELP(s_, i_)	:: atomic { LIVE && jst[map[d]] == RUN && MINE(s_) && CLAIMABLE(s_, i_) -> \
				s = s_; i = i_; g = jg[s_]; d++; goto claim }

#define MY	FR(id, d)

proctype worker(byte id)
{
	byte d, s, i, g, map[D];
	bool ok, woken;

start:	S( intent[FR(id, 0)] = 0; depth[id] = 1 );

	/* With nothing to wait for: any item, in frame 0. */
top:	do
	TRY(0, 0)
	TRY(0, 1)
	TRY(1, 0)
	TRY(1, 1)
#if NS > 1
	TRY(2, 0)
	TRY(2, 1)
#endif
#if NS > 2
	TRY(3, 0)
	TRY(3, 1)
#endif
	:: KILL
	od;

claim:	S( pos[MY] = 0; intent[MY] = INTENT(g, s, i) );
	S( if :: jg[s] == g && CLAIMABLE(s, i) -> ITEM(s, i) = WD(g, RUN, id)
	      :: else -> goto pop fi );
#if M == DEPTH_LATE
	S( depth[id] = d + 1 );
#endif

	S( pos[MY] = i + 1 );
	/* The item runs: its job is there, it descends from the one waited for, and it may write where its parent allocated. */
	S( assert(jst[s] == RUN && jg[s] == g && ITEM(s, i) == WD(g, RUN, id));
	   assert(d == 0 || (s && DESCENDS(s, map[d - 1])));
	   assert(M != SEE_HELP || d == 0 || own[s] == id + 1);
	   assert(s == 0 || block[maker[s]] == WD(g, 0, s));
	   if :: level[s] < LEVELS -> skip :: else -> goto finish fi );

	/* Map: a slot, or else serially. */
	S( if :: own[1] == 0 -> map[d] = 1
#if NS > 1
	      :: own[1] && own[2] == 0 -> map[d] = 2
#endif
#if NS > 2
	      :: own[1] && own[2] && own[3] == 0 -> map[d] = 3
#endif
	      :: else -> assert(M != SEE_SERIAL); goto finish fi;
	   assert(jst[map[d]] != RUN);
	   own[map[d]] = id + 1 );
	S( block[MY] = WD(jg[map[d]] + 1, 0, map[d]); maker[map[d]] = MY;
	   pslot[map[d]] = s; pgen[map[d]] = g; level[map[d]] = level[s] + 1; frame[map[d]] = d;
	   ITEM(map[d], 0) = WD(jg[map[d]] + 1, FREE, 0); ITEM(map[d], 1) = WD(jg[map[d]] + 1, FREE, 0);
	   att[map[d] * 2] = 0; att[map[d] * 2 + 1] = 0 );
#if M != INTENT_KEPT
	S( intent[FR(id, d + 1)] = 0 );
#endif
#if M != DEPTH_LATE
	S( depth[id] = d + 2 );
#endif
	S( assert(jst[map[d]] != RUN && own[map[d]] == id + 1);
	   jg[map[d]]++; jst[map[d]] = RUN; can[map[d]] = 0; waiter[map[d]] = 0; s = 0; i = 0; g = 0 );
	S( if :: asleep -> WAKE_MAPS :: else fi );

	/* Until it is done: help. */
wait:	do
	:: atomic { LIVE && jst[map[d]] == DONE -> goto gather }
#if M == ANY_WORK
	HELP(0, 0)
	HELP(0, 1)
#endif
	HELP(1, 0)
	HELP(1, 1)
#if NS > 1
	HELP(2, 0)
	HELP(2, 1)
#endif
#if NS > 2
	HELP(3, 0)
	HELP(3, 1)
#endif
	:: atomic { LIVE && jst[map[d]] != DONE && !OFFERS -> break }
	:: KILL
	od;

	/* Nothing to do: the bit, the event, another look, WAITER, sleep on both. */
	S( asleep = asleep | BIT(id) );
	S( moved = moved & ~BIT(id) );
#if M != NO_RECHECK
	S( if :: jst[map[d]] == DONE || OFFERS -> goto unpark :: else fi );
#endif
	S( if :: jst[map[d]] == DONE -> goto unpark
	      :: else -> if :: M != BLIND_WAITER -> waiter[map[d]] = 1 :: else fi fi );
	S( if :: jst[map[d]] == DONE || IS(moved, id) -> goto unpark
	      :: else -> queue = queue | BIT(id) fi );
	do
	:: atomic { LIVE && !IS(queue, id) -> break }
	:: KILL
	od;
unpark:	S( asleep = asleep & ~BIT(id); moved = moved | BIT(id); goto wait );

gather:	S( assert(own[map[d]] == id + 1 && !can[map[d]] && block[MY] == WD(jg[map[d]], 0, map[d]));
	   block[MY] = 0 );
	S( own[map[d]] = 0; map[d] = 0 );
	S( depth[id] = d + 1;
	   g = IGEN(intent[MY]); s = ISLOT(intent[MY]); i = IITEM(intent[MY]) );

	/* The item ends. */
finish:	S( assert(ITEM(s, i) == WD(g, RUN, id)); ITEM(s, i) = WD(g, DONE, id); ENDS(s, i) );
	WALK(s, g);
pop:	atomic {
		s = 0; i = 0; g = 0;
		if
		:: d == 0 -> goto top
		:: else -> d--; goto wait
		fi
	};

died:	atomic {
		!IS(dead | gone, id) ->
		d = 0; s = 0; i = 0; g = 0; map[0] = 0; map[1] = 0; ok = 0; woken = 0;
#if LEVELS > 1
		map[2] = 0;
#endif
		goto start
	}
}

/* ---- The nursery ------------------------------------------------------------------ */

#define BUSY_AT(x, w, f) (own[x] == (w) + 1 && jst[x] == RUN && (frame[x] == (f) || M == ANY_FRAME))
#if NS == 1
#define BUSY(w, f)	BUSY_AT(1, w, f)
#elif NS == 2
#define BUSY(w, f)	(BUSY_AT(1, w, f) || BUSY_AT(2, w, f))
#else
#define BUSY(w, f)	(BUSY_AT(1, w, f) || BUSY_AT(2, w, f) || BUSY_AT(3, w, f))
#endif
#if M == BOTTOM_UP
#define FRAME(w)	next[w]
#define UNSETTLED(w)	(next[w] < depth[w])
#else
#define FRAME(w)	(depth[w] - 1)
#define UNSETTLED(w)	(depth[w] > 0)
#endif
#define BURIED(w)	IS(seen, w)
#define MAY_SETTLE(w)	(UNSETTLED(w) && (M == SETTLE_EARLY || !BUSY(w, FRAME(w))))
#define ORPHAN(x, w)	(own[x] == (w) + 1 && (jst[x] != RUN || M == FREE_RUNNING))
#if NS == 1
#define OWNS(w)		(own[1] == (w) + 1)
#elif NS == 2
#define OWNS(w)		(own[1] == (w) + 1 || own[2] == (w) + 1)
#else
#define OWNS(w)		(own[1] == (w) + 1 || own[2] == (w) + 1 || own[3] == (w) + 1)
#endif
#define MAY_START(w)	(M == EARLY_AGAIN || (!UNSETTLED(w) && (!OWNS(w) || M == ORPHANS_KEPT)))

#define GIVE(x, w)	:: atomic { BURIED(w) && M != ORPHANS_KEPT && ORPHAN(x, w) -> own[x] = 0 }
#if NS == 1
#define GIVES(w)	GIVE(1, w)
#elif NS == 2
#define GIVES(w)	GIVE(1, w) GIVE(2, w)
#else
#define GIVES(w)	GIVE(1, w) GIVE(2, w) GIVE(3, w)
#endif
#define TURN(w)	:: atomic { IS(dead, w) && !IS(seen, w) -> v = w; seen = seen | BIT(w); goto reaped } \
		:: atomic { BURIED(w) && MAY_SETTLE(w) -> v = w; goto settle } \
		:: atomic { BURIED(w) && MAY_START(w) -> v = w; goto again } \
		:: atomic { IS(rep, w) -> v = w; rep = rep & ~BIT(w); goto stopped } \
		GIVES(w)

/* What is open of a cancelled job is claimed and settled unrun. */
#define SHUT(x, i)	S( if :: can[x] && jst[x] == RUN && ITEM(x, i) == WD(jg[x], FREE, 0) -> \
				ITEM(x, i) = WD(jg[x], DONE, 3) :: else fi )
#define REST(x)	SHUT(x, 0); SHUT(x, 1); g = jg[x]; WALK(x, g)

#define V	FR(v, f)
#define HELD	(intent[V] && jst[s] == RUN && jg[s] == g && ITEM(s, i) == WD(g, RUN, v))
#define LAST	((s -> RET1 : RET0) < att[s * 2 + i])

/* What the item there had allocated is freed: no child of it may be at work. */
#define AT_WORK(x, fr)	(jst[x] == RUN && maker[x] == (fr) && (ITEM(x, 0) >> 2 == WD(jg[x], RUN, 0) >> 2 || \
			 ITEM(x, 1) >> 2 == WD(jg[x], RUN, 0) >> 2))
#if NS == 1
#define ANY_AT_WORK(fr)	AT_WORK(1, fr)
#elif NS == 2
#define ANY_AT_WORK(fr)	(AT_WORK(1, fr) || AT_WORK(2, fr))
#else
#define ANY_AT_WORK(fr)	(AT_WORK(1, fr) || AT_WORK(2, fr) || AT_WORK(3, fr))
#endif
#define FREE_BLOCK(fr)	assert(!ANY_AT_WORK(fr)); block[fr] = 0

active proctype nursery()
{
	byte id = W, v, f, s, i, g, x;
	bool ok, woken, crashed;

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

	/* A death: its jobs are cancelled. */
reaped:	S( asleep = asleep & ~BIT(v); next[v] = 0; x = 1 );
#if M != NOT_CANCELLED
cancel:	S( if :: own[x] == v + 1 && jst[x] == RUN -> can[x] = 1 :: else -> goto cancelled fi );
	REST(x);
cancelled: S( x++; g = 0; if :: x <= NS -> goto cancel :: else -> x = 0 fi );
#endif
	goto wake;

	/* A frame of a dead one: its item is finished, again, or crashed. */
settle:	S( f = FRAME(v); g = IGEN(intent[V]); s = ISLOT(intent[V]); i = IITEM(intent[V]) );
	S( if :: intent[V] && ITEM(s, i) == WD(g, DONE, v) -> goto walk
	      :: HELD -> if :: pos[V] == i + 1 -> att[s * 2 + i]++; crashed = LAST :: else fi
	      :: else -> goto settled fi );
	S( FREE_BLOCK(V) );
#if M == MEND_EARLY
	S( FREE_BLOCK(v * D) );
#endif
	S( assert(HELD);
	   if :: crashed -> ITEM(s, i) = WD(g, DONE, v); ENDS(s, i) :: else -> ITEM(s, i) = WD(g, FREE, 0) fi;
	   crashed = 0 );
#if M != REST_KEPT
	S( if :: can[s] -> skip :: else -> goto walk fi );
	SHUT(s, i);
#endif
walk:	WALK(s, g);
settled:
#if M == BOTTOM_UP
	S( next[v]++; f = 0; g = 0; s = 0; i = 0 );
#else
	S( depth[v]--; f = 0; g = 0; s = 0; i = 0 );
#endif
wake:
#if M != NO_BROADCAST
	S( WAKE_MAPS );
#endif
	atomic { v = 0; x = 0; goto turn };

	/* All is settled: the id is used again. */
again:	S( assert(M == BOTTOM_UP || depth[v] == 0);
	   do :: x < D -> assert(block[v * D + x] == 0); x++ :: else -> break od; x = 0;
	   do :: x < NQ * 2 -> assert(jst[x / 2] != RUN || cw[x] != WD(jg[x / 2], RUN, v)); x++ :: else -> break od; x = 0;
	   depth[v] = 0; gone = gone | (BACKOFF << v); seen = seen & ~BIT(v); dead = dead & ~BIT(v); v = 0; goto turn );

	/* A stop: what the worker had marked DONE is finished for it, in each frame. */
stopped:
#if M != NO_STOP_WALK
	S( if :: f < depth[v] -> g = IGEN(intent[V]); s = ISLOT(intent[V]); i = IITEM(intent[V])
	      :: else -> f = 0; g = 0; s = 0; i = 0; goto wake fi );
	S( if :: g && ITEM(s, i) == WD(g, DONE, v) -> skip :: else -> f++; goto stopped fi );
	WALK(s, g);
	S( f++; goto stopped );
#else
	goto wake;
#endif
died:	skip
}

#if SB
#define STOP(x)	atomic { sb > 0 && !fin && !IS(dead | gone | fz, x) -> sb--; rep = rep | BIT(x); \
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

/* At rest: all is done and nothing is left; or one stopped for good holds an item; or nobody is left. */
init
{
	byte x, held;

	atomic {
		jg[0] = 1; ITEM(0, 0) = WD(1, FREE, 0); ITEM(0, 1) = WD(1, FREE, 0); jst[0] = RUN;
		do :: x < W -> run worker(x); x++ :: else -> break od; x = 0
	};
	do
	:: atomic { !fin && jst[0] == DONE -> fin = true }
	:: timeout -> break
	od;
	atomic {
		do :: x < NQ * 2 ->
			if :: jst[x / 2] == RUN && cw[x] >> 2 == WD(jg[x / 2], RUN, 0) >> 2 && IS(fz, cw[x] & 3) -> held = 1
			   :: else fi;
			x++
		   :: else -> break od;
		x = 0;
		assert(fin || held || gone == BIT(W) - 1);
		assert(dead == 0 || held);
		if
		:: fin ->
			assert(completions == 1 && ended[0] == 1 && ended[1] == N0 - 1);
			do :: x < NS -> x++; assert(fz || (own[x] == 0 && jst[x] != RUN)) :: else -> break od
		:: else
		fi
	}
}
