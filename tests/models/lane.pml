/* SPDX-License-Identifier: MIT */
/*
 * A lane: its submitter goes round a ring of pages, workers follow with cursors,
 * claim, run and end tasks, and everybody may be killed between any two steps.
 * doc/design/tasks.md tells the protocol, doc/design/model.md what is checked;
 * `run` runs it.  Memory is sequentially consistent here.
 *
 * Pages of two slots; two pages are linked at first, others when they are needed.
 * The submitter puts N tasks into the lane, in batches of any length up to BATCH:
 * all are READY before the first is shown.  What has ended may be given up, or
 * not, at each look of the submitter.
 *
 * A worker that finds nothing waits until another look would find more: sleeping
 * and waking are idle.pml's, who waits for a task done.pml's.
 *
 * A stop is for good: one that ends is a delay, as every interleaving has them.  A
 * killed worker's id is used again, or is not.  With SK the submitter, a worker's
 * item then, is killed as well: what it left READY is cancelled, and the next life
 * takes its pages over.
 *
 * Workers from CURSORS on have no cursor: they claim anything that is READY, or go
 * away for ever; which is more than a cursor can do.
 *
 * With LEAP all workers have cursors, and these go on behind a slot that was filled
 * in their visit and claimed, without a look at what lies before it.  With HOP those that
 * are lapped go on behind the page that another one went through in order, if its last
 * slot says so; ROGUE times that hint is overwritten with anything.
 *
 * -D: W workers, CURSORS, LEAP, HOP, ROGUE, N tasks, NP pages at most, BATCH, CB kills, SB stops, SK
 * kills of the submitter, CAN cancels, RET retries, FINE=1 every load is a step, M
 * mutant, MIDWAY=1 begins with three pages, the submitter at the end of the third and
 * the first task READY in the second; LATE=1 with two that all have been gone through,
 * the submitter on the first one again, one cursor with it and one a lap behind.
 */
#ifndef W
#define W 2
#endif
#ifndef N
#define N 4
#endif
#ifndef NP
#define NP 3
#endif
#ifndef P0
#define P0 2
#endif
#ifndef BATCH
#define BATCH 1
#endif
#ifndef CB
#define CB 0
#endif
#ifndef SB
#define SB 0
#endif
#ifndef SK
#define SK 0
#endif
#ifndef CAN
#define CAN 0
#endif
#ifndef RET
#define RET 0
#endif
#ifndef CURSORS
#define CURSORS 1
#endif
#ifndef LEAP
#define LEAP 0
#endif
#ifndef HOP
#define HOP 0
#endif
#ifndef ROGUE
#define ROGUE 0
#endif
#ifndef MIDWAY
#define MIDWAY 0
#endif
#ifndef LATE
#define LATE 0
#endif
#ifndef FINE
#define FINE 0
#endif
#ifndef M
#define M 0
#endif

#define NO_PASS		1	/* a page with READY slots is filled, not passed over */
#define NO_EPOCH	2	/* the epoch is not raised when a task is READY again */
#define EARLY_EPOCH	3	/* ... before it is */
#define EARLY_TURN	4	/* the turn is stored before the word */
#define INTENT_LATE	5	/* the intent comes behind the claim */
#define LAPPED_ON	6	/* a cursor that was lapped goes on in order */
#define POS_KEPT	7	/* pos is not cleared before a claim */
#define TURN_BACK	8	/* a slot that was passed over meanwhile is shown with its old turn */
#define VISIT_LATE	9	/* who looks at all notes the visit when it has looked */
#define ADOPT_BLIND	10	/* a new life's page has the new visit and the old turns */
#define CANCEL_BLIND	11	/* a cancel is a look and a store */
#define ORPHAN_AGAIN	12	/* a dead submitter's task runs again */
#define TURN_NEW	13	/* ... with the turn of a page that was entered again */
#define NEW_PASSED	14	/* a new page looks as if it had been passed just before */
#define HIDDEN_TAKEN	15	/* who looks at all claims what was not shown */
#define HIDDEN_PASSED	16	/* ... or goes on behind it */
#define REFILLED	18	/* a cursor in order claims what was put there a lap later, and not shown */
#define NO_MARK		17	/* what is READY again looks like what was not shown */
#define LEAP_CANCELLED	19	/* a cursor leaps behind what was cancelled */
#define LEAP_BARE	20	/* ... behind what was claimed in an earlier visit, and passed in this one */
#define AGAIN_LATER	22	/* what is READY again is left for when the cursor goes on in order */
#define LEAP_OLD	21	/* ... behind what was claimed before its visit */

#define HOP_BLIND	23	/* who was lapped goes where the hint says, and looks at no slot */
#define HOP_OLD		24	/* ... or where its last slot was claimed in some other visit */

#define PS	2			/* slots in a page */
#define SLOT(p, i)	((p) * PS + (i) - 1)
#define NSLOT	(NP * PS)

#define FREE	0
#define READY	1
#define RUN	2
#define DONE	3
/* word {gen, state:2, who:2}, who of what is READY: 1 = again; of what is DONE: 3 = not by its worker; intent {gen, slot:4} + 1 */
#define WD(g, s, o)	(((g) << 4) | ((s) << 2) | (o))
#define GEN(w)	((w) >> 4)
#define ST(w)	(((w) >> 2) & 3)
#define WHO(w)	((w) & 3)
#define ENDED(w) (ST(w) == DONE || ST(w) == FREE)
#define INTENT(g, n)	((((g) << 4) | (n)) + 1)
#define BIT(x)	(1 << (x))
#define IS(set, x)	(((set) >> (x)) & 1)

#define NOT_RUN	3

/* The segment. */
byte word[NSLOT], turn[NSLOT];
bool bare[NSLOT];			/* in the turn: nothing was put there */
bool can[NSLOT];			/* flagged CANCEL */
byte att[NSLOT];
byte visit[NP], next[NP], at, epoch;
byte front;				/* {visit:5, page:2}: gone through in order */
byte intent[W];
bool pos[W];

/* Ghosts and fates. */
byte tid[NSLOT], began[N], runs[N], ended[N + LATE], sent;
bool overtaken, lives;			/* a page with READY slots was passed over; the submitter has died */
byte dead, gone, fz, cb = CB, sb = SB, sk = SK, cancels = CAN;
bool subdead;

#define END(n)	ended[tid[n]]++; assert(ended[tid[n]] == 1)

/* ---- Workers ----------------------------------------------------------------------- */

#define LIVE	(!IS(fz | dead | gone, id))
#if CB
#define KILL	atomic { cb > 0 && LIVE -> cb--; dead = dead | BIT(id); goto died }
#define S(x)	do :: atomic { LIVE -> x; break } :: KILL od
#else
#define KILL	false
#define S(x)	atomic { LIVE -> x }
#endif
/* The loads of one look; the steps of a claim, of which nobody but the nursery cares. */
#if FINE
#define LOADS
#else
#define LOADS	atomic
#endif
#if CB
#define STEPS
#else
#define STEPS	atomic
#endif

#define HERE	SLOT(page, index)
/* Another look would find what this one found: nothing. */
#define BLOCKED	(epoch == seen && (until -> STUCK : \
		 (index <= PS -> turn[HERE] < now : visit[next[page]] <= now)))

/* Looking at all: the slot comes in order, when it has looked at all. */
#define IN_ORDER(s)	(until == page + 1 && turn[s] == now || turn[s] > now && visit[page] > now)
/* ... is READY and was not shown; comes in order then. */
#define HIDDEN(s)	(M != HIDDEN_TAKEN && until && ST(word[s]) == READY && WHO(word[s]) == 0 && turn[s] < visit[page])
#define HIDDEN_LATER	(until == page + 1 || visit[page] > now || M == HIDDEN_PASSED)
#define STUCK	(index <= PS && HIDDEN(HERE) && !IN_ORDER(HERE) && !HIDDEN_LATER)

/* Filled in this visit, and claimed: two loads. */
#define FILLED_NOW(s)	((turn[s] == now || M == LEAP_OLD) && (!bare[s] || M == LEAP_BARE))
#define CLAIMED(s)	(ST(word[s]) == RUN || ST(word[s]) == DONE && (WHO(word[s]) != NOT_RUN || M == LEAP_CANCELLED))

/* What is begun for the first time is the oldest of all that nobody has begun. */
#define NOT_BEFORE(s)	assert(overtaken || lives || ST(word[s]) != READY || WHO(word[s]) != 0 || tid[s] >= tid[n])
#if NP > 2
#define OLDEST	NOT_BEFORE(0); NOT_BEFORE(1); NOT_BEFORE(2); NOT_BEFORE(3); NOT_BEFORE(4); NOT_BEFORE(5)
#elif NP > 1
#define OLDEST	NOT_BEFORE(0); NOT_BEFORE(1); NOT_BEFORE(2); NOT_BEFORE(3)
#else
#define OLDEST	NOT_BEFORE(0); NOT_BEFORE(1)
#endif

#define RUNS \
	assert(word[n] == WD(GEN(w), RUN, id) && runs[tid[n]] <= RET && !ended[tid[n]]); runs[tid[n]]++

#define PICK(s)	:: atomic { LIVE && ST(word[s]) == READY -> n = s; w = word[s]; break }

proctype worker(byte id)
{
	byte seen, page, index, now, until, e, x, w, n;

#if LATE
	atomic { seen = 1; index = 1; now = (id == 0 -> 3 : 1) };
#endif
seek:	atomic { if :: id >= CURSORS -> goto any :: else fi };

	/* The look for the next READY slot. */
	LOADS {
		S( if :: epoch != seen -> e = epoch; goto all :: else fi );
#if LEAP
		S( if
		   :: !until && index <= PS && FILLED_NOW(SLOT(page, PS)) -> x = 1
		   :: else -> x = 0
		   fi );
		S( if :: x && CLAIMED(SLOT(page, PS)) -> index = PS + 1 :: else fi; x = 0 );
#endif
		S( if :: index > PS -> goto leaf :: else fi;
		   if
		   :: until && STUCK -> goto wait
		   :: until && !STUCK
		   :: !until && turn[HERE] > now && visit[page] != now && M != LAPPED_ON -> goto lapped
		   :: !until && turn[HERE] < now -> goto wait
		   :: else
		   fi );
		S( n = HERE; w = word[n] );
		S( if :: ST(w) == READY && !until && visit[page] != now && M != LAPPED_ON && M != REFILLED ->
			w = 0; n = 0; goto lapped
		   :: else -> index++ fi;
		   if :: ST(w) == READY && !(until && (WHO(w) == 0 || M == AGAIN_LATER) && (IN_ORDER(n) || HIDDEN(n))) -> goto claim
		   :: else -> w = 0; n = 0; goto seek fi )
	};

	/* A lap behind. */
lapped:	LOADS {
#if HOP
		S( x = front; if :: x / 4 <= now -> x = 0; e = seen; goto all :: else fi );
		S( if :: M != HOP_BLIND && M != HOP_OLD && turn[SLOT(x % 4, PS)] != x / 4 || M != HOP_BLIND && M != LEAP_BARE && bare[SLOT(x % 4, PS)] -> x = 0; e = seen; goto all :: else fi );
		S( if
		   :: CLAIMED(SLOT(x % 4, PS)) || M == HOP_BLIND -> page = x % 4; now = x / 4; index = PS + 1; x = 0; goto seek
		   :: else -> x = 0; e = seen
		   fi )
#else
		S( e = seen )
#endif
	};

	/* At all slots, from the page behind the submitter's. */
all:	LOADS {
		S( x = at );
		S( if :: M != VISIT_LATE -> now = visit[x] :: else fi );
		S( page = next[x]; index = 1; until = x + 1; seen = e; e = 0; x = 0; goto seek )
	};

	/* Behind a page. */
leaf:	LOADS {
		S( x = next[page];
		   if
		   :: until == page + 1 ->
			until = 0; index = 1; x = 0;
			if :: M == VISIT_LATE -> now = visit[page] :: else fi;
			goto seek
		   :: else
		   fi );
		S( if
		   :: until -> page = x; index = (visit[x] > now && M != VISIT_LATE -> PS + 1 : 1); x = 0; goto seek
		   :: !until && visit[x] > now + 1 && M != LAPPED_ON -> x = 0; goto lapped
		   :: !until && visit[x] == now + 1 || visit[x] > now + 1 && M == LAPPED_ON ->
#if HOP
			if :: front / 4 < now -> front = now * 4 + page :: else fi;
#endif
			now = visit[x]; page = x; index = 1; x = 0; goto seek
		   :: else -> x = 0
		   fi )
	};

wait:	do
	:: atomic { LIVE && !BLOCKED -> goto seek }
	:: KILL
	od;

	/* Another one has any cursor, and may be away for ever. */
any:	do
	PICK(0)
	PICK(1)
	PICK(2)
	PICK(3)
#if NP > 2
	PICK(4)
	PICK(5)
#endif
	:: atomic { LIVE -> goto away }
	:: KILL
	od;

claim:	STEPS {
#if M != POS_KEPT
		S( pos[id] = 0 );
#endif
#if M != INTENT_LATE
		S( intent[id] = INTENT(GEN(w), n) );
#endif
		S( if :: word[n] == w -> assert(!can[n]); if :: id < CURSORS && WHO(w) == 0 -> OLDEST :: else fi; word[n] = WD(GEN(w), RUN, id) :: else -> w = 0; n = 0; goto seek fi );
#if M == INTENT_LATE
		S( intent[id] = INTENT(GEN(w), n) );
#endif
		S( pos[id] = 1; began[tid[n]]++ );
		S( RUNS )
	};
	S( word[n] = WD(GEN(w), DONE, id); END(n); w = 0; n = 0; goto seek );

died:	atomic {
		seen = 0; page = 0; index = 0; now = 0; until = 0; e = 0; x = 0; w = 0; n = 0;
		!IS(dead | gone, id) -> goto seek
	};
away:	skip
}

/* ---- The submitter ------------------------------------------------------------------ */

#define SUBKILL	atomic { sk > 0 && !subdead && left > 0 -> sk--; subdead = 1; goto died }
#if SK
#define T(x)	do :: atomic { !subdead -> x; break } :: SUBKILL od
#else
#define T(x)	atomic { x }
#endif

/* What has ended may have been given up. */
#define GIVE(p, i)	if :: !IS(free, SLOT(p, i)) && ENDED(word[SLOT(p, i)]) -> \
			if :: free = free | BIT(SLOT(p, i)) :: skip fi :: else fi
#define AHEAD(i)	(index < (i) && IS(free, SLOT(home, i)))
#define FREE_IN(p)	(IS(free, SLOT(p, 1)) || IS(free, SLOT(p, 2)))
#define IS_READY(p, i)	(!IS(free, SLOT(p, i)) && ST(word[SLOT(p, i)]) == READY)

active proctype submitter()
{
	byte home, index, now, h, k, i, n, pages, taken, left = N, batch, put;
	bool ready;
	byte bslot[BATCH], bturn[BATCH];
	int free;

	atomic {
		epoch > 0 -> free = 65535; pages = P0; taken = P0; now = P0;
		if :: LATE -> now = 3 :: else fi;
		if :: MIDWAY -> home = at; index = PS; free = free & ~BIT(SLOT(1, 2)); left-- :: else fi
	};

begin:	atomic {
		if
		:: left == 0 -> goto end
		:: left > 0 -> batch = 1
#if BATCH > 1
		:: left > 1 -> batch = 2
#endif
#if BATCH > 2
		:: left > 2 -> batch = 3
#endif
		fi;
		put = 0
	};

	/* A place. */
place:	T( GIVE(home, 1); GIVE(home, 2);
	   if :: AHEAD(1) -> i = 1 :: !AHEAD(1) && AHEAD(2) -> i = 2 :: else -> i = PS + 1 fi );
pass:	atomic {
		index++;
		if :: index >= i -> goto passed :: else fi
	};
	T( turn[SLOT(home, index)] = now; bare[SLOT(home, index)] = 1; goto pass );
passed:	atomic {
		if :: i <= PS -> goto fill :: else -> i = 0; n = 0 fi
	};

	/* The next page. */
leave:	atomic {
		if :: n >= pages -> goto link :: else fi;
		h = next[home]
	};
	T( GIVE(h, 1); GIVE(h, 2); ready = IS_READY(h, 1) );
	T( ready = ready || IS_READY(h, 2);
	   if
	   :: FREE_IN(h) && (!ready || M == NO_PASS) -> ready = 0; goto enter
	   :: else -> if :: (ready || n >= 2) && taken < NP -> ready = 0; goto link :: else -> ready = 0 fi
	   fi );
	T( if :: IS_READY(h, 1) || IS_READY(h, 2) -> overtaken = 1 :: else fi; turn[SLOT(h, 1)] = now + 1; bare[SLOT(h, 1)] = 1 );
	T( turn[SLOT(h, 2)] = now + 1; bare[SLOT(h, 2)] = 1 );
	T( now++; visit[h] = now; home = h; index = PS );
	T( at = h; h = 0; n++; goto leave );

	/* A new one, or no memory. */
link:	T( n = 0;
	   if :: taken == NP -> h = 0; left = 0; batch = 0; goto reveal :: else -> h = taken; taken++ fi );
	T( if :: M == NEW_PASSED -> turn[SLOT(h, 1)] = now; turn[SLOT(h, 2)] = now; visit[h] = now :: else fi;
	   pages++;
	   next[h] = next[home] );
	T( next[home] = h );

enter:
	T( now++; visit[h] = now; home = h; index = 0; n = 0 );
	T( at = home; h = 0; goto place );

	/* The task: READY; shown when the whole batch is. */
fill:	T( k = SLOT(home, i); free = free & ~BIT(k); assert(ENDED(word[k])); att[k] = 0; can[k] = 0; i = 0 );
#if M == EARLY_TURN
	T( turn[k] = now; bare[k] = 0 );
#endif
	T( tid[k] = sent; sent++; left--; word[k] = WD(GEN(word[k]) + 1, READY, 0);
	   bslot[put] = k; bturn[put] = now; put++; k = 0;
	   if :: put < batch -> goto place :: else fi );
reveal:	atomic { if :: put == 0 -> goto begin :: else -> put-- fi };
#if M != EARLY_TURN
	T( if
	   :: M == TURN_NEW -> turn[bslot[put]] = visit[bslot[put] / PS]; bare[bslot[put]] = 0
	   :: M == TURN_BACK || turn[bslot[put]] < bturn[put] -> turn[bslot[put]] = bturn[put]; bare[bslot[put]] = 0
	   :: else
	   fi;
	   bslot[put] = 0; bturn[put] = 0; goto reveal );
#else
	atomic { bslot[put] = 0; bturn[put] = 0; goto reveal };
#endif

	/* Killed; the next life takes its pages over, also one that was not linked. */
died:	atomic {
		subdead == 0 ->
		lives = 1; home = 0; index = 0; now = 0; h = 0; k = 0; i = 0; n = 0; ready = 0;
		pages = 0; batch = 0; put = 0; free = 65535;
		do :: k < BATCH -> bslot[k] = 0; bturn[k] = 0; k++ :: else -> break od; k = 0
	};
adopt:	T( if :: !ENDED(word[SLOT(pages, 1)]) -> free = free & ~BIT(SLOT(pages, 1)) :: else fi;
	   if :: !ENDED(word[SLOT(pages, 2)]) -> free = free & ~BIT(SLOT(pages, 2)) :: else fi;
	   if :: visit[pages] > now -> now = visit[pages] :: else fi;
	   if :: turn[SLOT(pages, 1)] > now -> now = turn[SLOT(pages, 1)] :: else fi;
	   if :: turn[SLOT(pages, 2)] > now -> now = turn[SLOT(pages, 2)] :: else fi );
	T( next[pages] = (pages -> next[home] : 0) );
	T( next[home] = pages; home = pages; pages++;
	   if :: pages < taken -> goto adopt :: else -> n = 0 fi );
age:	T( visit[n] = now );
	T( turn[SLOT(n, 1)] = now );
	T( turn[SLOT(n, 2)] = now; n++;
	   if :: n < pages -> goto age :: else -> n = 0 fi );
#if M != ADOPT_BLIND
	T( turn[SLOT(home, 1)] = now + 1; bare[SLOT(home, 1)] = 1 );
	T( turn[SLOT(home, 2)] = now + 1; bare[SLOT(home, 2)] = 1 );
#endif
	T( now++; visit[home] = now; index = PS );
	T( at = home );
	T( epoch++ );
	goto begin;

end:	skip
}

/* ---- The nursery -------------------------------------------------------------------- */

#define TURN(w)	:: atomic { IS(dead, w) -> v = w; goto buried }

active proctype nursery()
{
	byte v, n, w;

idle:
end:	do
	TURN(0)
#if W > 1
	TURN(1)
#endif
#if W > 2
	TURN(2)
#endif
#if SK
	:: subdead -> goto children
#endif
	od;

	/* A death: what the intent points at. */
buried:	atomic {
		if :: intent[v] == 0 -> goto again :: else -> n = (intent[v] - 1) & 15; w = word[n] fi;
		if :: ST(w) == RUN && WHO(w) == v && GEN(w) == (intent[v] - 1) >> 4 -> skip :: else -> goto again fi
	};
	if
	:: pos[v] && (att[n] >= RET || (can[n] && M != ORPHAN_AGAIN)) ->
		atomic { assert(began[tid[n]] == RET + 1 || can[n]); word[n] = WD(GEN(w), DONE, NOT_RUN); END(n); goto again }
	:: !pos[v] && can[n] && M != ORPHAN_AGAIN ->
		atomic { word[n] = WD(GEN(w), DONE, NOT_RUN); END(n); goto again }
	:: else
	fi;
#if M == EARLY_EPOCH
	epoch++;
#endif
	atomic { if :: pos[v] -> att[n]++ :: else fi; word[n] = WD(GEN(w), READY, (M == NO_MARK -> 0 : 1)) };
#if M != NO_EPOCH && M != EARLY_EPOCH
	epoch++;
#endif
again:	atomic {
		if :: gone = gone | BIT(v) :: skip fi;
		dead = dead & ~BIT(v); v = 0; n = 0; w = 0; goto idle
	};

	/* The submitter's: nobody shall run what nobody runs yet. */
children:
	atomic {
		w = word[n];
		if :: ST(w) == READY -> word[n] = WD(GEN(w), DONE, NOT_RUN); END(n)
		   :: ST(w) == RUN -> can[n] = 1
		   :: else
		fi;
		w = 0; n++;
		if :: n < NSLOT -> goto children :: else -> n = 0; subdead = 0; goto idle fi
	}
}

#if SB
#define STOP(x)	atomic { sb > 0 && !IS(dead | gone | fz, x) -> sb--; fz = fz | BIT(x) }
active proctype stopper()
{
end:	do
	:: STOP(0)
	od
}
#endif

#if ROGUE
#define CAN_BE(n, p)	:: front = (n) * 4 + (p)
active proctype rogue()
{
	byte left = ROGUE;

end:	do
	:: atomic {
		left > 0 -> left--;
		if
		CAN_BE(1, 0)
		CAN_BE(2, 0)
		CAN_BE(2, 1)
		CAN_BE(3, 0)
		CAN_BE(3, 1)
		CAN_BE(4, 1)
		fi
	   }
	od
}
#endif

#if CAN
#define CANCEL(n)	:: atomic { cancels > 0 && ST(word[n]) == READY -> cancels--; k = n; w = word[n] }
active proctype host()
{
	byte k, w;

end:	do
	:: if
	   CANCEL(0)
	   CANCEL(1)
	   CANCEL(2)
	   fi;
	   atomic { if :: word[k] == w || M == CANCEL_BLIND -> word[k] = WD(GEN(w), DONE, NOT_RUN); END(k) :: else fi; k = 0; w = 0 }
	od
}
#endif

/* At rest: nothing is READY while somebody could run it, nothing RUN but by one who was stopped, and all that was sent has ended once. */
init
{
	byte x;

	/* A lane that nobody has used. */
	atomic {
		visit[0] = P0; epoch = 1;
#if P0 > 1
		next[0] = 1; visit[1] = 1;
#endif
#if MIDWAY
		next[1] = 2; visit[0] = 1; visit[1] = 2; visit[2] = 3; at = 2; sent = 1;
		do :: x < NSLOT -> turn[x] = visit[x / PS]; x++ :: else -> break od; x = 0;
		word[SLOT(1, 2)] = WD(1, READY, 0);
#endif
#if LATE
		next[0] = 1; visit[0] = 3; visit[1] = 2; front = 2 * 4 + 1;
		do :: x < 2 * PS -> turn[x] = x / PS + 1; word[x] = WD(1, DONE, 0); tid[x] = N; x++ :: else -> break od; x = 0;
		ended[N] = 1;
#endif
		do :: x < W -> run worker(x); x++ :: else -> break od; x = 0
	};
	timeout;
	atomic {
		assert(!dead && !subdead);
		do
		:: x < NSLOT ->
			assert(ST(word[x]) != READY || (BIT(CURSORS) - 1 & ~(fz | gone)) == 0);
			assert(ST(word[x]) != RUN || IS(fz, WHO(word[x])));
			if :: ST(word[x]) != FREE -> assert(ended[tid[x]] == (ST(word[x]) == DONE)) :: else fi;
			x++
		:: else -> break
		od;
		x = 0
	}
}
