/* SPDX-License-Identifier: MIT */
/*
 * A submitter whose lane is full sleeps until tasks have ended.  Workers may be
 * killed or stopped between any two steps.  doc/design/model.md says what is
 * checked; `run` runs it.
 *
 * The lane has room for DEPTH tasks; its submitter has N.  A worker's DONE stays in
 * its store buffer until its next locked instruction, as in done.pml.  Behind any
 * task a worker may go away to other work, for ever, once its last locked
 * instruction there is over; one that finds nothing wakes who waits for room.
 *
 * -D: W workers, N, DEPTH, WANTED ends that are waited for, CB kills, SB stops, M mutant.
 */
#ifndef W
#define W 2
#endif
#ifndef N
#define N 4
#endif
#ifndef DEPTH
#define DEPTH 2
#endif
#ifndef WANTED
#define WANTED 1
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

#define EARLY_ROOM	1	/* a worker looks at `wanted` before the locked instruction */
#define CLEAR_LATE	2	/* `wanted` is cleared behind the wake-up */
#define NO_DEATH_ROOM	3	/* the nursery does nothing after a death */
#define NO_STOP_ROOM	4	/* ... after a stop */
#define COUNT_FIRST	5	/* the submitter counts before it asks */
#define SEEN_LATE	6	/* ... and notes `room` behind the count */
#define NOT_IDLE	7	/* who finds nothing does not wake it (harmless: the ends are enough) */
#define LOST_END	9	/* an end that two workers count at once counts once */
#define NURSERY_ASKS	8	/* the nursery wakes only who still has `wanted` set */

#define BIT(x)	(1 << (x))
#define IS(set, x)	(((set) >> (x)) & 1)

byte ready, running, unseen;		/* tasks of the lane: READY, RUN, DONE in a store buffer */
byte wanted, room;
bool asleep;
byte buf, mine;				/* whose DONE is in the buffer; who runs a task */
byte dead, fz, rep, gone, away, cb = CB, sb = SB;
bool over;

#define USED	(ready + running + unseen)
#define DRAIN(id)	if :: IS(buf, id) -> unseen--; buf = buf & ~BIT(id) :: else fi
#define LIVE	(!IS(fz | dead | gone, id))
#define KILL	atomic { cb > 0 && !IS(dead | gone, id) -> cb--; DRAIN(id); \
			dead = dead | BIT(id); fz = fz & ~BIT(id); goto died }
#define S(x)	do :: atomic { LIVE -> x; break } :: KILL od

/* fp_lane_room() */
#define ROOM(at_once, out) \
	S( w = wanted; \
	   if \
	   :: w == 0 -> goto out \
	   :: M != LOST_END && w > 1 && !(at_once) -> wanted--; goto out \
	   :: else \
	   fi ); \
	S( if :: w > 1 && !(at_once) -> if :: wanted == w -> wanted-- :: else fi; goto out :: else fi ); \
	if \
	:: M != CLEAR_LATE -> S( wanted = 0 ); S( room++ ); S( asleep = 0 ) \
	:: M == CLEAR_LATE -> S( room++ ); S( asleep = 0 ); S( wanted = 0 ) \
	fi

proctype worker(byte id)
{
	byte w;
	bool untold;

	/* A claim, which is a locked instruction; or the exchange that stands in for it. */
next:	do
	:: atomic { LIVE && ready > 0 -> DRAIN(id); ready--; running++; mine = mine | BIT(id); break }
	:: atomic { LIVE && untold -> DRAIN(id); break }
	:: atomic { LIVE && !untold && ready == 0 && wanted && M != NOT_IDLE -> goto idle }
	:: KILL
	od;
#if M != EARLY_ROOM
	if :: untold -> ROOM(0, told) :: !untold fi;
#endif
told:	atomic { w = 0; untold = 0;
		if :: IS(mine, id) -> goto work :: else fi;
		if :: goto next :: away = away | BIT(id); goto end fi };
work:	S( running--; mine = mine & ~BIT(id); unseen++; buf = buf | BIT(id); untold = 1 );
#if M == EARLY_ROOM
	ROOM(0, early);
early:	atomic { w = 0; goto next };
#else
	goto next;
#endif

idle:	ROOM(1, none);
none:	atomic { w = 0; goto next };

died:	atomic {
		w = 0; untold = 0;
		!IS(dead | gone, id) -> goto next
	};
end:	skip
}

active proctype submitter()
{
	byte left = N, seen;

put:	do
	:: atomic { left > 0 && USED < DEPTH -> ready++; left-- }
	:: atomic { left > 0 && USED >= DEPTH -> break }
	:: atomic { left == 0 -> over = 1; goto end }
	od;
#if M == COUNT_FIRST
	if :: USED < DEPTH -> goto put :: else fi;
#endif
#if M != SEEN_LATE
	seen = room;
#endif
	wanted = WANTED;
#if M != COUNT_FIRST
	if :: USED < DEPTH -> goto awake :: else fi;
#endif
#if M == SEEN_LATE
	seen = room;
#endif
	atomic { if :: room == seen -> asleep = 1 :: else fi; seen = 0 };
	!asleep;
awake:	wanted = 0;
	seen = 0;
	goto put;
end:	skip
}

/* Ends what the dead one ran, and wakes, whatever `wanted` says. */
#define TURN(w)	:: atomic { IS(dead, w) -> v = w; death = 1; rep = rep & ~BIT(w); break } \
		:: atomic { IS(rep, w) -> v = w; rep = rep & ~BIT(w); break }

active proctype nursery()
{
	byte v;
	bool death;

end:	do
	:: do
	   TURN(0)
#if W > 1
	   TURN(1)
#endif
	   od;
	   atomic { if :: death && IS(mine, v) -> running--; mine = mine & ~BIT(v) :: else fi };
	   if
	   :: death && M == NO_DEATH_ROOM || !death && M == NO_STOP_ROOM || M == NURSERY_ASKS && !wanted
	   :: else -> room++; asleep = 0
	   fi;
	   atomic { if :: death -> dead = dead & ~BIT(v); gone = gone | BIT(v) :: else fi; death = 0; v = 0 }
	od
}

#if SB
#define id x
#define STOP(x)	atomic { sb > 0 && !IS(dead | gone | fz | away, x) -> DRAIN(x); sb--; fz = fz | BIT(x); rep = rep | BIT(x) }
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

#define FLUSH(x)	:: atomic { IS(buf, x) -> unseen--; buf = buf & ~BIT(x) }
active proctype memory()
{
end:	do
	FLUSH(0)
#if W > 1
	FLUSH(1)
#endif
	od
}

/* At rest: nobody sleeps for room before an empty lane, or while somebody who is not busy elsewhere finds nothing in it. */
init
{
	byte x;

	atomic { do :: x < W -> run worker(x); x++ :: else -> break od; x = 0 };
	timeout;
	assert(!asleep || USED > 0);
	assert(!asleep || USED >= DEPTH || WANTED > 1 && (gone | away | fz));
	assert(over || asleep)
}
