/* SPDX-License-Identifier: MIT */
/*
 * A task is cancelled, or killed, by who may be late: others have freed it meanwhile,
 * and its place is used for the next one.  doc/design/tasks.md tells the protocol,
 * doc/design/model.md what is checked; `run` runs it.
 *
 * One place, and G tasks there one behind the other; each runs, and its worker may die.
 * Each of C cancellers has the handle of one of them, and uses it at any time; he may
 * stop for ever between any two steps, since nobody waits for him.  A task that the
 * first one has left behind (detached) looks whether that was cancelled.
 *
 * The worker's DONE is a plain store, which may lie in its store buffer: the others
 * still see it run.
 *
 * -D: G tasks, C cancellers, CB deaths of workers, M mutant.
 */
#ifndef G
#define G 3
#endif
#ifndef C
#define C 2
#endif
#ifndef CB
#define CB 1
#endif
#ifndef M
#define M 0
#endif

#define TAKE_BACK	1	/* the flag lies beside the word, and is taken back if that has become another task's */
#define NO_TAKE_BACK	2	/* ... or stays there */
#define NO_GEN		3	/* set on whatever runs there */
#define STORED		4	/* by a store, behind a look at the word */
#define OVER		5	/* the nursery stores READY over a flag */
#define ON_READY	6	/* on what waits as well, which is claimed by a swap of READY alone */
#define BLIND_CHILD	7	/* who looks at the flags does not look whose they are */

#define FREE	0
#define READY	1
#define RUN	2
#define DONE	3
#define BIT(x)	(1 << (x))
#define IS(set, x)	(((set) >> (x)) & 1)

byte st, gen;			/* the word, */
bool flag;			/* and its flag */
bool buf;			/* the worker's DONE is on its way */
bool dead;

byte wanted, sure;		/* tasks that somebody began to cancel; and was told that they are flagged */
byte again;			/* tasks that were READY again behind that */

#define GOES_ON(g)	(gen == g && st != DONE)
#define TOLD(g)		sure = sure | BIT(g)

proctype canceller()
{
	byte g, was;
	bool f;

	/* Any task that there is a handle of. */
	atomic {
		gen > 0;
		g = 1;
		do :: g < gen -> g++ :: break od;
		wanted = wanted | BIT(g)
	};
#if M == TAKE_BACK || M == NO_TAKE_BACK
	atomic { if :: GOES_ON(g) :: else -> goto over fi };
	atomic { f = flag; flag = 1 };
	atomic { if :: GOES_ON(g) -> TOLD(g); goto over :: gen == g && st == DONE -> goto over :: else fi };
#if M == TAKE_BACK
	atomic { if :: !f -> flag = 0 :: else fi };
#endif
#else
	do
	:: atomic { !GOES_ON(g) -> goto over }
	:: GOES_ON(g) ->
		/* READY -> DONE. */
		atomic { if :: gen == g && st == READY && M != ON_READY -> st = DONE; flag = 0; goto over :: else fi };
#if M == STORED
		atomic { if :: gen == g && st == RUN -> was = gen :: else -> was = 0 fi };
		atomic { if :: was -> flag = 1; if :: GOES_ON(g) -> TOLD(g) :: else fi; goto over :: else fi };
#elif M == NO_GEN
		atomic { if :: st == RUN -> flag = 1; TOLD(g); goto over :: else fi };
#elif M == ON_READY
		atomic { if :: gen == g && (st == RUN || st == READY) -> flag = 1; TOLD(g); goto over :: else fi };
#else
		atomic { if :: gen == g && st == RUN -> flag = 1; TOLD(g); goto over :: else fi };
#endif
	od;
#endif
over:	atomic { g = 0; was = 0; f = 0 }
}

active proctype submitter()
{
end:	do
	:: atomic { gen < G && (st == FREE || st == DONE) -> gen++; st = READY; flag = 0 }
	od
}

active proctype worker()
{
	byte cb = CB;

end:	do
	:: atomic { st == READY && !dead && (M != ON_READY || !flag) -> st = RUN }
	:: atomic { st == RUN && !dead && !buf -> buf = 1 }
	:: atomic { buf -> buf = 0; st = DONE;
#if M != TAKE_BACK && M != NO_TAKE_BACK
		    flag = 0
#endif
		  }
	:: atomic { st == RUN && !dead && cb > 0 -> cb--; if :: buf -> buf = 0; st = DONE; flag = 0 :: else -> dead = 1 fi }
	od
}

/* It makes READY what it has seen without a flag. */
active proctype nursery()
{
end:	do
	:: dead ->
		if
		:: atomic { flag -> st = DONE; flag = 0; dead = 0 }
		:: !flag ->
#if M == OVER
			atomic { if :: IS(sure, gen) -> again = again | BIT(gen) :: else fi; st = READY; flag = 0; dead = 0 }
#else
			atomic { if :: !flag -> st = READY; dead = 0 :: else -> st = DONE; flag = 0; dead = 0 fi }
#endif
		fi
	od
}

/* What the first task has left. */
active proctype child()
{
end:	atomic {
#if M == BLIND_CHILD
		flag ->
#else
		flag && gen == 1 ->
#endif
		assert(IS(wanted, 1))
	}
}

/* No task has another one's flag; and who was told so has his task flagged, until it ends; it does not begin again. */
active proctype watch()
{
end:	atomic {
		(st == READY || st == RUN) && (flag && !IS(wanted, gen) || IS(sure, gen) && !flag) ||
		again || M == ON_READY && st == READY && flag ->
		assert(false)
	}
}

init
{
	byte x;

	atomic { do :: x < C -> run canceller(); x++ :: else -> break od; x = 0 }
}
