/* SPDX-License-Identifier: MIT */
/*
 * Limits in time: a worker is killed for an item past its limit, or for a job
 * that is killed, and is never killed in an item that comes after.
 * doc/design/model.md says what is checked; `run` runs it.  Memory is
 * sequentially consistent here, as the code is where two sides must see each
 * other.
 *
 * The words are a worker's own, so one worker is enough.  It takes turns at a
 * chunk of A, with ITEMS items that have limits, and a chunk of B, with one item
 * without.  Limits are due whenever the nursery likes.  A signal that was sent
 * comes any number of steps later.  A stranger may kill the worker (CB) and may
 * stop it for good (SB); one that goes on was delayed, as in every interleaving.
 *
 * -D: ITEMS, ROUNDS of A and B, KJ kills of job A, CB, SB, M mutant.
 */
#ifndef ITEMS
#define ITEMS 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef KJ
#define KJ 1
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

#define NO_BOUNDARY		1	/* the worker does not look behind an item */
#define EARLY_BOUNDARY		2	/* ... looks, and clears its limit then */
#define NO_RECHECK		3	/* the nursery does not look again once it has condemned */
#define LATE_CONDEMN		4	/* ... looks again, and condemns then */
#define NO_ACQUIT		5	/* ... does not let go who is not killed */
#define NO_CHUNK_BOUNDARY	6	/* the worker does not look before a chunk */
#define KEPT			7	/* the nursery leaves the word of a dead one set */
#define ANY_LIMIT		8	/* ... takes any limit for the one it had found */

#define NOTHING	0
#define B	15			/* the item without a limit; those of A count from 1, on and on */

/* The worker's line in the segment, and A's claim word. */
byte pos, limit, condemned;
bool a_runs;

/* Ghosts: what runs; what a kill was sent for: one item, or any of A. */
byte at, target;
bool sent, any_of_a;
bool alive = true, ended, frozen, fin;
byte cb = CB, sb = SB, kj = KJ;

byte item, left, round;			/* where a new worker goes on */
byte last;				/* item of A that ran */

#define FITS(x)	(!sent || (any_of_a && (x) != B) || (x) == target)
#define S(x)	do :: atomic { alive && !frozen -> x; break } :: atomic { !alive -> goto died } od

/* A kill that was sent comes: in what it was sent for, or in nothing. */
active proctype signals()
{
end:	do
	:: atomic { sent && alive -> assert(at == NOTHING || FITS(at)); alive = false; at = NOTHING; frozen = false }
	:: atomic { cb > 0 && alive && !fin -> cb--; alive = false; at = NOTHING; frozen = false }
	:: atomic { sb > 0 && alive && !fin && !frozen -> sb--; frozen = true }
	od
}

#define PARK	do :: atomic { alive && !frozen && !condemned -> break } :: atomic { !alive -> goto died } od

proctype worker()
{
	do
	:: round == ROUNDS -> break
	:: else ->
		/* A chunk of A: claimed, its items run, settled. */
		if
		:: left ->
			S( pos = 0 );
			S( a_runs = true );
#if M != NO_CHUNK_BOUNDARY
			PARK;
#endif
			do
			:: left ->
				S( pos = item );
				S( limit = item );
				S( assert(FITS(item) && item > last); at = item; last = item );
				S( at = NOTHING );
#if M == EARLY_BOUNDARY
				PARK;
#endif
				S( limit = 0 );
#if M != NO_BOUNDARY && M != EARLY_BOUNDARY
				PARK;
#endif
				S( item++; left-- )
			:: else -> break
			od;
			S( a_runs = false )
		:: else
		fi;
		/* One of B. */
#if M != NO_CHUNK_BOUNDARY
		PARK;
#endif
		S( assert(FITS(B)); at = B );
		S( at = NOTHING; round++; left = ITEMS )
	od;
	S( fin = true );
died:	ended = true
}

active proctype nursery()
{
	byte found;

	atomic { item = 1; left = ITEMS; run worker() };
end:	do
	/* Reaped: the item at work is settled, the rest goes on in a new worker. */
	:: atomic { !alive && ended ->
		if :: a_runs && pos == item -> item++; left-- :: else fi;
		limit = 0; a_runs = false; sent = false; any_of_a = false; target = 0;
		if :: M != KEPT -> condemned = 0 :: else fi;
		alive = true; ended = false; run worker() }
	/* A limit is found, and is due. */
	:: atomic { limit && !sent -> found = limit };
#if M == LATE_CONDEMN
		if :: atomic { limit == found -> skip } :: atomic { limit != found -> goto next } fi;
#endif
		condemned = 1;
		if
		:: atomic { (limit == found || M == NO_RECHECK || M == LATE_CONDEMN ||
			     (M == ANY_LIMIT && limit)) -> sent = alive; target = found }
		:: atomic { !(limit == found || M == NO_RECHECK || M == LATE_CONDEMN ||
			     (M == ANY_LIMIT && limit)) ->
			if :: M != NO_ACQUIT -> condemned = 0 :: else fi }
		fi;
next:		found = 0
	/* The host has killed job A. */
	:: atomic { kj > 0 && a_runs && !sent -> kj-- };
		condemned = 1;
		if
		:: atomic { (a_runs || M == NO_RECHECK) -> sent = alive; any_of_a = true }
		:: atomic { !(a_runs || M == NO_RECHECK) ->
			if :: M != NO_ACQUIT -> condemned = 0 :: else fi }
		fi
	od
}

/* At rest: all has run, or the worker was stopped for good where no limit holds. */
init
{
	timeout;
	assert(fin || (frozen && !sent))
}
