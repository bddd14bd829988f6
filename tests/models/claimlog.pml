/* SPDX-License-Identifier: MIT */
/*
 * The claim log: how the items of a map are claimed, run, split, finished and
 * recovered, with workers that are killed or stopped between any two steps.
 * doc/design/model.md says what is checked, with which bounds, and what was
 * seen; `run` runs it.  Memory is sequentially consistent here.
 *
 * A job has a tree of regions.  Region 0 is the root; 1..RT are the top
 * regions; then one sub-region for each worker and NN for the nursery.  Each
 * has A = {gen, parent region, index}, B = {gen, len}, lo, and a log of words
 * {gen, state, owner or region, end}.  A word of another generation is empty.
 *
 * Steps.  S(x) is one step: somebody else may run, and the process may be
 * killed, before and after it, not within.  NEXT cuts a step in two when
 * FINE=1; without it reads that a later check proves to be of one generation
 * are taken together.  A stop that ends is no more than a delay, which every
 * interleaving has anyway, plus a report to the nursery; so only a stop that
 * never ends freezes the worker here.
 *
 * -D: W workers, N1 R1 N2 R2 items and top regions of job 1 and 2, LW words
 * a log, NN nursery entries, CB kills, SB stops, POL=1 retries (RET of them),
 * SPL=0 no split by workers, FINE=1, LOOSE=1 workers try any region as long
 * as some region is open, POST=1 the check after the claim as a step with its
 * undo (else it is asserted never to fail), LIFT=1 recovery re-opens a region
 * of its own in place when only the dead one's chunk is left there, CAN jobs
 * that the host may cancel.
 * M=number of a mutant below.
 */
#ifndef W
#define W 2
#endif
#ifndef N1
#define N1 2
#endif
#ifndef R1
#define R1 1
#endif
#ifndef N2
#define N2 2
#endif
#ifndef R2
#define R2 1
#endif
#ifndef JOBS
#define JOBS 2
#endif
#ifndef LW
#define LW 2
#endif
#ifndef CB
#define CB 0
#endif
#ifndef SB
#define SB 0
#endif
#ifndef NN
#define NN CB
#endif
#ifndef POL
#define POL 0
#endif
#ifndef RET
#define RET 1
#endif
#ifndef SPL
#define SPL 1
#endif
#ifndef FINE
#define FINE 0
#endif
#ifndef LOOSE
#define LOOSE 0
#endif
#ifndef POST
#define POST 0
#endif
#ifndef LIFT
#define LIFT 0
#endif
#ifndef CAN
#define CAN 0
#endif
#ifndef M
#define M 0
#endif

/* Mutants: each leaves out one thing that the protocol needs. */
#define NO_PRECHECK	1	/* claim without the check before the swap */
#define NO_PRE_JOB	2	/* ... without its look at the job word */
#define NO_PRE_A	3	/* ... without its look at A */
#define NO_PRE_PARENT	4	/* ... without its look at the parent word */
#define POS_KEPT	5	/* pos is not cleared before the claim */
#define INTENT_LATE	6	/* intent after the claim */
#define NO_STOP_WALK	7	/* nothing is done at the report of a stop */
#define NO_HELP		8	/* an entry is reused without the helping walk */
#define UP_NOT_DONE	9	/* walk returns when the parent is DONE already */
#define NO_WALK_A	10	/* walk does not look at A again */
#define UP_NOT_LOST	11	/* walk returns when its swap fails */
#define ROOT_FIRST	12	/* host fills the root's words before the headers */
#define NO_DEAD_WALK	13	/* nothing is done for a dead one whose word is DONE */
#define LATE_CRASH	14	/* the crash is recorded after the rest is published */
#define SEE_REUSE	15	/* not a mutant: fails when an entry is reused in a job */
#define SEE_LIFT	16	/* not a mutant: fails when a region is re-opened in place */
#define NO_NAME		17	/* a sub-region is used before its parent names it */
#define LO_LAST		18	/* with LIFT: B is written before lo */
#define INTENT_LEFT	20	/* with LIFT: the dead one's intent is left as it is */
#define NO_SPLIT_LOOK	21	/* with CAN: who splits does not look whether the job is cancelled */
#define NO_DEAD_LOOK	22	/* ... nor does the nursery after a death or stop */
#define LATE_CANCEL	23	/* what is cancelled is not recorded before its word is DONE */
#define NO_PRE_REGION	19	/* claim without looking at A and the parent word again */

#define RUN	1
#define DONE	2
#define SPLIT	3
#define RT	2
#define SUB(w)	(RT + 1 + (w))
#define NQ	(RT + 1 + W + NN)
#if LW > RT
#define LS LW
#else
#define LS RT
#endif
#define NMAX	7

/* word {gen:3, state:2, owner:4, end:3}; A {gen:3, parent:4, index:2}; B {gen:3, len:3} */
#define WD(g, s, o, e)	(((g) << 9) | ((s) << 7) | ((o) << 3) | (e))
#define GEN(w)	((w) >> 9)
#define STT(w)	(((w) >> 7) & 3)
#define OWN(w)	(((w) >> 3) & 15)
#define END(w)	((w) & 7)
#define MKA(g, q, k)	(((g) << 6) | ((q) << 2) | (k))
#define AGEN(a)	((a) >> 6)
#define AQ(a)	(((a) >> 2) & 15)
#define AK(a)	((a) & 3)
#define MKB(g, n)	(((g) << 3) | (n))
#define BGEN(b)	((b) >> 3)
#define BLEN(b)	((b) & 7)
#define WORD(q, k)	L[(q) * LS + (k)]
#define PARENT(a)	WORD(AQ(a), AK(a))
#define NAMES(w, q)	(STT(w) == SPLIT && OWN(w) == (q))

/* the segment */
short L[NQ * LS];
short A[NQ];
byte B[NQ], lo[NQ];
byte jgen, jst = DONE;			/* the job word */
byte pos[W];
short intent[W];			/* as A: {gen, region, index}, one word */

/* who is where, and what may still go wrong */
byte fz, dead, rep, cb = CB, sb = SB;
bool fin;

/* ghosts: read by assertions only */
#if CAN
bool can;				/* of the job word */
byte cans = CAN;
byte cn[NMAX];			/* ghost: cancelled */
#endif
byte jN, ex[NMAX], cr[NMAX], att[NMAX], cur[W], completions;
#if M == SEE_REUSE
byte used[NQ];
#endif

#define LIVE	(!(((fz | dead) >> id) & 1))
#define KILL	atomic { id < W && cb > 0 && !fin && !((dead >> id) & 1) -> \
			cb--; dead = dead | (1 << id); fz = fz & ~(1 << id); goto died }
#define S(x)	do :: atomic { LIVE -> x; break } :: KILL od
#if FINE
#define NEXT	skip; break } :: KILL od; do :: atomic { LIVE ->
#else
#define NEXT
#endif
#define CHECK(c, otherwise)	if :: (c) :: else -> otherwise fi

#if LW == 1
#define ROOM(q)	(GEN(WORD(q, 0)) != AGEN(A[q]))
#elif LW == 2
#define ROOM(q)	(GEN(WORD(q, 0)) != AGEN(A[q]) || (END(WORD(q, 0)) != BLEN(B[q]) && GEN(WORD(q, 1)) != AGEN(A[q])))
#else
#define ROOM(q)	(GEN(WORD(q, 0)) != AGEN(A[q]) || (END(WORD(q, 0)) != BLEN(B[q]) && (GEN(WORD(q, 1)) != AGEN(A[q]) || \
		(END(WORD(q, 1)) != BLEN(B[q]) && GEN(WORD(q, 2)) != AGEN(A[q])))))
#endif
#if M == NO_NAME
#define NAMED(q, w)	(NAMES(w, q) || ((q) > RT && STT(w) == RUN && AGEN(A[q]) == BGEN(B[q]) && AGEN(A[q])))
#else
#define NAMED(q, w)	NAMES(w, q)
#endif
#define OPEN(q)	(jst == RUN && NAMED(q, PARENT(A[q])) && AGEN(A[q]) == BGEN(B[q]) && ROOM(q))

#if W + NN > 6
#define ANYX	|| OPEN(8) || OPEN(9)
#elif W + NN > 5
#define ANYX	|| OPEN(8)
#else
#define ANYX
#endif
#if W + NN > 4
#define ANY5	|| OPEN(7) ANYX
#else
#define ANY5
#endif
#if W + NN > 3
#define ANY4	|| OPEN(6) ANY5
#else
#define ANY4
#endif
#if W + NN > 2
#define ANY3	|| OPEN(5) ANY4
#else
#define ANY3
#endif
#define ANYOPEN	(OPEN(1) || OPEN(2) || OPEN(3) || OPEN(4) ANY3)

#if CAN
#define CLAIMABLE	(!can)
#define NOT_RUN(i)	(cn[i])
#else
#define CLAIMABLE	true
#define NOT_RUN(i)	false
#endif
#define SETTLED_ITEM(i)	(ex[i] || cr[i] || NOT_RUN(i))

#if LOOSE
#define TRY(r)	:: atomic { LIVE && CLAIMABLE && ANYOPEN -> g = jgen; q = r; break }
#else
#define TRY(r)	:: atomic { LIVE && CLAIMABLE && OPEN(r) -> g = jgen; q = r; break }
#endif

#if POST
#define POST_ASSERT	skip
#else
#define POST_ASSERT	p = 0; assert(jst == RUN && jgen == g)
#endif

#define WCLEAR	wq = 0; wg = 0; wa = 0; wp = 0; wl = 0; wk = 0
#define CLEAR	g = 0; q = 0; a = 0; p = 0; w = 0; ln = 0; base = 0; k = 0; st = 0; b = 0; WCLEAR
#define GIVE_UP	CLEAR; goto top

/*
 * Walk: settle region wq of generation wg when it is complete, and go upward.
 * Idempotent, by anybody.  `out` leaves the walk, inside the step.
 */
#if M == UP_NOT_LOST
#define LOST(out)	out
#else
#define LOST(out)	skip
#endif
#if M == UP_NOT_DONE
#define UP_DONE(out)	out
#else
#define UP_DONE(out)	skip
#endif
#if M == NO_WALK_A
#define SAME_A	true
#else
#define SAME_A	(A[wq] == wa)
#endif
#define COMPLETE_TO(k)	(GEN(WORD(wq, k)) == wg && STT(WORD(wq, k)) == DONE)

#define JOB_DONE(g_) \
	if :: jst == RUN && jgen == g_ -> \
		jst = DONE; completions++; \
		do :: wk < jN -> assert(SETTLED_ITEM(wk)); wk++ :: else -> break od \
	   :: else fi

#define WALK_LOAD(lbl, out) \
lbl:	S( wa = A[wq]; CHECK(AGEN(wa) == wg, out) ); \
	S( wl = BLEN(B[wq]); NEXT wp = (wq -> PARENT(wa) : 0) );
#define WALK_SETTLE(lbl, out) \
	S( if :: wq == 0 -> wk = 0; JOB_DONE(wg); out \
	      :: wq && NAMES(wp, wq) -> \
		if :: PARENT(wa) == wp -> PARENT(wa) = WD(GEN(wp), DONE, 0, END(wp)) \
		   :: else -> LOST(out) fi \
	      :: wq && STT(wp) == DONE -> UP_DONE(out) \
	      :: else -> out fi; \
	   wq = AQ(wa); wg = GEN(wp); wa = 0; wp = 0; wl = 0; wk = 0; goto lbl );

#if FINE
#define WALK(lbl, out) \
	WALK_LOAD(lbl, out) \
	S( CHECK(SAME_A, out) ); \
lbl##_scan: S( CHECK(COMPLETE_TO(wk), out); \
	   if :: END(WORD(wq, wk)) == wl -> wk = 0 \
	      :: else -> wk++; CHECK(wk < LS, out); goto lbl##_scan fi ); \
	WALK_SETTLE(lbl, out)
#else
#define WALK(lbl, out) \
	WALK_LOAD(lbl, out) \
	S( CHECK(SAME_A, out); \
	   do :: wk < LS && COMPLETE_TO(wk) -> \
		if :: END(WORD(wq, wk)) == wl -> break :: else -> wk++ fi \
	      :: else -> out od; \
	   wk = 0 ); \
	WALK_SETTLE(lbl, out)
#endif

/*
 * Cancel: what is open of a cancelled job is claimed region by region, all of it
 * at once, and finished without being run; by the host and the nursery as NOBODY,
 * by a worker as any claim.  One pass is made here, the library makes them until
 * one finds nothing.
 */
#define NOBODY	15
#define MARK(from, to) \
	wk = from; \
	do :: wk < to -> assert(POL || !ex[base + wk]); cn[base + wk] = 1; wk++ :: else -> wk = 0; break od
#define PASS	a = 0; p = 0; w = 0; ln = 0; base = 0; k = 0; st = 0

#define REST(lbl, o, out) \
	S( q = 1 ); \
lbl:	S( CHECK(q < NQ && jst == RUN && can, PASS; g = 0; q = 0; out); g = jgen; \
	   a = A[q]; CHECK(q > RT || AGEN(a) == g, goto lbl##_next); \
	   NEXT p = PARENT(a); CHECK(NAMES(p, q), goto lbl##_next); \
	   NEXT CHECK(BGEN(B[q]) == AGEN(a), goto lbl##_next); ln = BLEN(B[q]); \
	   NEXT base = lo[q] ); \
lbl##_scan: S( w = WORD(q, k); \
	   if :: GEN(w) == AGEN(a) -> \
		st = END(w); k++; w = 0; CHECK(k < LW && st < ln, goto lbl##_next); goto lbl##_scan \
	      :: else fi ); \
	S( if :: id < W -> pos[id] = 0; intent[id] = MKA(AGEN(a), q, k) :: else fi; \
	   NEXT CHECK(PARENT(a) == p && A[q] == a && jst == RUN && jgen == g && can, goto lbl##_next) ); \
	S( CHECK(WORD(q, k) == w, PASS; goto lbl); \
	   WORD(q, k) = WD(AGEN(a), RUN, o, ln); w = WORD(q, k); a = 0; p = 0; \
	   if :: id < W -> cur[id] = 0 :: else fi; \
	   assert(jst == RUN && jgen == g) ); \
	S( if :: M != LATE_CANCEL -> MARK(st, ln) :: else fi ); \
	S( assert(WORD(q, k) == w); WORD(q, k) = WD(GEN(w), DONE, 0, ln); wq = q; wg = GEN(w) ); \
	WALK(lbl##_walk, WCLEAR; goto lbl##_next) \
lbl##_next: S( PASS; q++; goto lbl )

#if M == SEE_REUSE
#define REUSED(e)	assert(used[e] != jgen); used[e] = jgen
#else
#define REUSED(e)	skip
#endif

/* Is the owner's entry free, and what did its last parent become? */
#define LOOK(e) \
	p = PARENT(A[e]); CHECK(!NAMES(p, e), p = 0; goto item); \
	if :: STT(p) == DONE && M != NO_HELP -> wq = AQ(A[e]); wg = GEN(p); p = 0; goto help \
	   :: else -> p = 0; goto init_sub fi
#if FINE
#define SPLIT_LOOK	goto look
#else
#define SPLIT_LOOK	LOOK(SUB(id))
#endif

proctype worker(byte id)
{
	byte g, q, ln, base, k, st, b, wq, wg, wl, wk;
	short a, p, w, wa, wp;

top:	/* Load the job word, choose a region.  Looking and parking are left out: it blocks when nothing is open. */
	do
	TRY(1)
	TRY(2)
	TRY(3)
	TRY(4)
#if W + NN > 2
	TRY(5)
#endif
#if W + NN > 3
	TRY(6)
#endif
#if W + NN > 4
	TRY(7)
#endif
#if W + NN > 5
	TRY(8)
#endif
#if W + NN > 6
	TRY(9)
#endif
	:: KILL
	od;

	/* What is there to claim? */
	S( a = A[q]; CHECK(q > RT || AGEN(a) == g, GIVE_UP);
	   NEXT p = PARENT(a); CHECK(NAMED(q, p), GIVE_UP);
	   NEXT CHECK(BGEN(B[q]) == AGEN(a), GIVE_UP); ln = BLEN(B[q]);
	   NEXT base = lo[q] );
scan:	S( w = WORD(q, k);
	   if :: GEN(w) == AGEN(a) ->
		st = END(w); k++; w = 0; CHECK(k < LW && st < ln, GIVE_UP); goto scan
	      :: else fi );

	/* Intent, check, claim. */
	S( if :: M != POS_KEPT -> pos[id] = 0 :: else fi;
	   NEXT if :: M != INTENT_LATE -> intent[id] = MKA(AGEN(a), q, k) :: else fi;
	   NEXT if :: M != NO_PRECHECK && M != NO_PRE_PARENT && M != NO_PRE_REGION && M != NO_NAME -> CHECK(PARENT(a) == p, GIVE_UP) :: else fi;
	   NEXT if :: M != NO_PRECHECK && M != NO_PRE_A && M != NO_PRE_REGION -> CHECK(A[q] == a, GIVE_UP) :: else fi;
	   NEXT if :: M != NO_PRECHECK && M != NO_PRE_JOB -> CHECK(jst == RUN && jgen == g && CLAIMABLE, GIVE_UP) :: else fi );
	S( CHECK(WORD(q, k) == w, GIVE_UP);
	   b = st + (ln - st + LW - k - 1) / (LW - k);
	   do :: b < ln -> b++ :: break od;
	   WORD(q, k) = WD(AGEN(a), RUN, id, b);
	   cur[id] = 0; p = w; w = WORD(q, k); a = 0; ln = 0;
	   POST_ASSERT );
#if POST
	S( if :: jst == RUN && jgen == g -> p = 0; goto claimed :: else fi );
	S( if :: WORD(q, k) == w -> WORD(q, k) = p :: else fi; GIVE_UP );
claimed:
#endif
#if M == INTENT_LATE
	S( intent[id] = MKA(GEN(w), q, k) );
#endif

item:
#if CAN
	S( if :: can -> goto unrun :: else fi );
#endif
	S( pos[id] = base + st + 1; cur[id] = pos[id] );
	S( assert(jst == RUN && jgen == g);
	   assert(!cr[base + st] && !NOT_RUN(base + st));
	   ex[base + st]++;
	   assert(POL || ex[base + st] <= 1);
	   st++;
	   if :: st < b -> goto item
	      :: st < b && SPL -> SPLIT_LOOK
	      :: st == b -> skip fi );
#if FINE
	goto finish;
look:	S( LOOK(SUB(id)) );
#endif
#if CAN
	goto finish;
unrun:	S( MARK(st, b) );
#endif
#if FINE || CAN
finish:
#endif

	/* Finish. */
	S( assert(WORD(q, k) == w);
	   WORD(q, k) = WD(GEN(w), DONE, 0, b);
	   wq = q; wg = GEN(w); cur[id] = 0; g = 0; q = 0; k = 0; st = 0; b = 0; base = 0; w = 0 );
	WALK(walk, GIVE_UP)

	/* Split: first settle what the entry's last parent may still owe. */
	WALK(help, WCLEAR; goto init_sub)
init_sub:
	S( A[SUB(id)] = MKA(AGEN(A[SUB(id)]) + 1, q, k);
	   REUSED(SUB(id));
	   NEXT lo[SUB(id)] = base + st;
	   NEXT B[SUB(id)] = MKB(AGEN(A[SUB(id)]), b - st) );
	S( assert(WORD(q, k) == w);
	   WORD(q, k) = WD(GEN(w), SPLIT, SUB(id), b);
#if CAN
	   cur[id] = 0; CLEAR );
	S( CHECK(can && M != NO_SPLIT_LOOK, GIVE_UP) );
	REST(rest, id, GIVE_UP)
#else
	   cur[id] = 0; GIVE_UP );
#endif

died:	atomic { CLEAR; goto top }
}

/*
 * A region of the nursery's own, closed, all of whose words are DONE but the
 * dead one's: the nursery may give it a new generation and what is left.
 */
#define SETTLED(j)	((j) == k || (GEN(WORD(q, j)) == GEN(w) && STT(WORD(q, j)) == DONE))
#define CLOSED(j)	(END(WORD(q, j)) == BLEN(B[q]))
#if LW == 1
#define LIFTABLE	(q > RT + W)
#elif LW == 2
#define LIFTABLE	(q > RT + W && SETTLED(0) && (CLOSED(0) || SETTLED(1)))
#else
#define LIFTABLE	(q > RT + W && SETTLED(0) && (CLOSED(0) || (SETTLED(1) && (CLOSED(1) || SETTLED(2)))))
#endif

#if LIFT
#define PREFER_LIFT	LIFTABLE
#else
#define PREFER_LIFT	false
#endif
#define NURSERY_FREE(e)	(!PREFER_LIFT && !NAMES(PARENT(A[e]), e))

active proctype nursery()
{
	byte id = W, v, q, k, from, to, e, wq, wg, wl, wk;
	short i, w, wa, wp;
	bool isdead;
#if CAN
	byte g, ln, base, st;
	short a, p;
#endif

idle:
end:	atomic {
		dead != 0 || rep != 0 ->
		do :: ((dead | rep) >> v) & 1 -> break :: else -> v++ od;
		isdead = (dead >> v) & 1;
		rep = rep & ~(1 << v)
	};
	S( i = intent[v]; q = AQ(i); k = AK(i); NEXT w = WORD(q, k) );
	if
	:: AGEN(i) && GEN(w) == AGEN(i) && STT(w) == DONE && !(M == NO_STOP_WALK && !isdead) && !(M == NO_DEAD_WALK && isdead) ->
		atomic { wq = q; wg = GEN(w); goto walk }
	:: isdead && AGEN(i) && GEN(w) == AGEN(i) && STT(w) == RUN && OWN(w) == v ->
		goto recover
	:: else -> goto settled
	fi;

recover:
	/* The chunk is RUN by the dead: nobody else changes it, its region or pos. */
	S( from = (k -> END(WORD(q, (k -> k - 1 : 0))) : 0); to = END(w);
	   if :: pos[v] > lo[q] + from && pos[v] <= lo[q] + to ->
		assert(pos[v] == cur[v]);
		if :: POL && att[pos[v] - 1] < RET -> att[pos[v] - 1]++; from = pos[v] - 1 - lo[q]
		   :: else ->
			assert(!cr[pos[v] - 1]);
			if :: M != LATE_CRASH -> cr[pos[v] - 1] = 1 :: else fi;
			from = pos[v] - lo[q]
		fi
	      :: else -> assert(cur[v] == 0)
	   fi );
	if
	:: from >= to ->
		S( WORD(q, k) = WD(GEN(w), DONE, 0, to); wq = q; wg = GEN(w) );
#if M == LATE_CRASH
		S( if :: pos[v] && !(POL && ex[pos[v] - 1]) -> cr[pos[v] - 1] = 1 :: else fi );
#endif
		goto walk
	:: else
	fi;
	/* Wait for a free entry, or until a region of the nursery's own can be opened again. */
	do
#if LIFT
	:: atomic { LIFTABLE -> goto lift }
#endif
#if NN == 0
	:: atomic { false -> skip }
#else
	:: atomic { NURSERY_FREE(RT + 1 + W) -> e = RT + 1 + W; break }
#if NN > 1
	:: atomic { NURSERY_FREE(RT + 2 + W) -> e = RT + 2 + W; break }
#endif
#if NN > 2
	:: atomic { NURSERY_FREE(RT + 3 + W) -> e = RT + 3 + W; break }
#endif
#endif
	od;
	atomic {
		if :: STT(PARENT(A[e])) == DONE && M != NO_HELP -> wq = AQ(A[e]); wg = GEN(PARENT(A[e]))
		   :: else -> goto init_sub fi
	};
	WALK(help, WCLEAR; goto init_sub)
init_sub:
	S( A[e] = MKA(AGEN(A[e]) + 1, q, k);
	   REUSED(e);
	   NEXT lo[e] = lo[q] + from;
	   NEXT B[e] = MKB(AGEN(A[e]), to - from) );
	S( WORD(q, k) = WD(GEN(w), SPLIT, e, to) );
#if M == LATE_CRASH
	S( if :: from && pos[v] -> cr[pos[v] - 1] = 1 :: else fi );
#endif
	goto settled;

#if LIFT
lift:	S( assert(M != SEE_LIFT);
	   to = to - from; from = lo[q] + from; A[q] = MKA(GEN(w) + 1, AQ(A[q]), AK(A[q])) );
#if M == LO_LAST
	S( B[q] = MKB(AGEN(A[q]), to) );
	S( lo[q] = from );
#else
	S( lo[q] = from );
	S( B[q] = MKB(AGEN(A[q]), to) );
#endif
	/* The dead one's word keeps its old value: its intent must not lead there again. */
	S( if :: M != INTENT_LEFT -> intent[v] = 0 :: else fi );
	goto settled;
#endif

	WALK(walk, goto settled)
died:
settled:
#if CAN
	/* What the dead or we have given back may be a cancelled job's. */
	S( WCLEAR; q = 0; k = 0; w = 0; CHECK(jst == RUN && can && M != NO_DEAD_LOOK, goto reuse) );
	REST(rest, NOBODY, goto reuse)
reuse:
#endif
	/* A dead one's id is used again only now. */
	atomic {
		if :: isdead -> dead = dead & ~(1 << v) :: else fi;
		isdead = 0; v = 0; i = 0; q = 0; k = 0; w = 0; from = 0; to = 0; e = 0; WCLEAR;
		goto idle
	}
}

#if CAN
#define CLEAR_CANCELLED(i)	cn[i] = 0
#define NOT_CANCELLED	can = 0

active proctype canceller()
{
	byte id = W + 1, g, q, ln, base, k, st, wq, wg, wl, wk;
	short a, p, w, wa, wp;

idle:
end:	atomic { jst == RUN && !can && cans > 0 -> cans--; can = 1 };
	REST(rest, NOBODY, goto idle)
died:	skip
}
#else
#define CLEAR_CANCELLED(i)	skip
#define NOT_CANCELLED	skip
#endif

#define HEADER(r, n, t) \
	A[r] = MKA(jgen + 1, 0, (r) - 1); \
	lo[r] = (((r) - 1) * (n)) / (t); \
	B[r] = MKB(jgen + 1, ((r) * (n)) / (t) - lo[r])
#define ROOT_WORD(r, n, t)	WORD(0, (r) - 1) = WD(jgen + 1, SPLIT, r, ((r) * (n)) / (t))

active proctype host()
{
	byte i, n, t, r;

	do
	:: jgen < JOBS ->
		atomic { n = (jgen -> N2 : N1); t = (jgen -> R2 : R1); A[0] = MKA(jgen + 1, 0, 0); B[0] = MKB(jgen + 1, n); r = 1 };
#if M == ROOT_FIRST
		do :: atomic { r <= t -> ROOT_WORD(r, n, t); r++ } :: atomic { r > t -> r = 1; break } od;
#endif
		do :: atomic { r <= t -> HEADER(r, n, t); r++ } :: atomic { r > t -> r = 1; break } od;
#if M != ROOT_FIRST
		do :: atomic { r <= t -> ROOT_WORD(r, n, t); r++ } :: atomic { r > t -> r = 1; break } od;
#endif
		atomic {
			do :: i < NMAX -> ex[i] = 0; cr[i] = 0; att[i] = 0; CLEAR_CANCELLED(i); i++ :: else -> break od;
			i = 0; jN = n; n = 0; t = 0; r = 0;
			NOT_CANCELLED;
			jgen++; jst = RUN
		};
		atomic {
			jst == DONE ->
			assert(completions == jgen);
			do :: i < jN ->
				assert(SETTLED_ITEM(i));
				assert(!(POL && cr[i]) || att[i] >= RET);
				i++
			   :: else -> break od;
			i = 0
		}
	:: else -> break
	od;
	fin = true
}

#if SB
#define STOP(x)	atomic { sb > 0 && !fin && !((dead >> x) & 1) && !((fz >> x) & 1) -> \
			sb--; rep = rep | (1 << x); if :: fz = fz | (1 << x) :: skip fi }
active proctype stopper()
{
	do
	:: STOP(0)
	:: STOP(1)
#if W > 2
	:: STOP(2)
#endif
	:: atomic { sb == 0 || fin -> break }
	od
}
#endif

/*
 * At rest: all is done, or what is missing is in a chunk that a stopped
 * worker holds, or nobody is left.
 */
init
{
	byte i, q, k, c, held, left;

	atomic { do :: i < W -> run worker(i); i++ :: else -> break od; i = 0 };
	timeout;
	atomic {
		do :: fin || q == NQ -> break
		   :: else ->
			k = 0;
			do :: k < LW ->
				if :: STT(WORD(q, k)) == RUN && GEN(WORD(q, k)) == AGEN(A[q]) && ((fz >> OWN(WORD(q, k))) & 1) ->
					c = (k -> END(WORD(q, (k -> k - 1 : 0))) : 0);
					do :: c < END(WORD(q, k)) -> held = held | (1 << (lo[q] + c)); c++ :: else -> break od
				   :: else fi;
				k++
			   :: else -> break od;
			q++
		od;
		do :: i < jN -> if :: !SETTLED_ITEM(i) -> left = left | (1 << i) :: else fi; i++ :: else -> break od;
		assert(fin || fz == (1 << W) - 1 || (held && (left & ~held) == 0 && dead == 0))
	}
}
