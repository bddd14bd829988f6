/* SPDX-License-Identifier: MIT */
/*
 * Callbacks: each job's is called once, whoever completes the job, finds it done,
 * or dies on the way, and the event loop sleeps only when none is due.
 * doc/design/model.md says what is checked; `run` runs it.  Memory is sequentially
 * consistent here, as the code is where two sides must see each other
 * (lib/task/due.c, lib/engine/dispatch.c).
 *
 * One finisher for each job, which may be killed after any step; the nursery then
 * completes the job, or repeats what the finisher may not have said.  A submitter
 * makes each job known to the host after it was published.  A waiter (WAIT=1) may
 * find job 0 done before the loop does.  The loops ask for the descriptor at any
 * time, sleep until the eventfd is written to, and dispatch.  With NEW=1 the jobs are
 * tasks in pages that are new, each with a word of bits of its own, which the loop
 * looks at from when it has seen that there is such a page.
 *
 * -D: N jobs (1 or 2), L loops, WAIT, NEW, CB kills, M mutant.
 */
#ifndef N
#define N 2
#endif
#ifndef L
#define L 1
#endif
#ifndef WAIT
#define WAIT 0
#endif
#ifndef NEW
#define NEW 0
#endif
#ifndef CB
#define CB 0
#endif
#ifndef M
#define M 0
#endif

#define LOOK_FIRST	1	/* the state is looked at before the bit is set */
#define NO_REPEAT	2	/* the nursery does nothing for a job that is DONE */
#define NO_WRITE	3	/* it sets the bit, and looks at the state as all do */
#define READ_LATE	4	/* the loop reads the eventfd after it has taken the bits */
#define ARM_LATE	5	/* it arms after that */
#define NO_LOOK_BACK	6	/* the submitter does not look whether the job is done by then */
#define BLIND_ASK	7	/* who asks for the descriptor does not look what is due */
#define LIMIT_EARLY	8	/* the loop counts what it is to call before it has gathered */
#define CALL_ALL	9	/* it calls what it finds, without a reservation */
#define PAGES_EARLY	10	/* it asks what pages there are before it arms, as a relaxed load may */

#define OFF	0
#define ARMED	1
#define TOLD	2

bool done[N], known[N], gathered[N];
byte called[N];
byte due, state, queue, pushed, taken;
bool ev, asked;
byte dead, cb = CB;
#if NEW
byte pages;
#define SEE_PAGES	atomic { seen = pages };
#define IN_SIGHT	(due & seen)
#else
#define SEE_PAGES
#define IN_SIGHT	due
#endif

#define BIT(j)	(1 << (j))
#define KILL	atomic { mortal && cb > 0 -> cb--; dead = dead | BIT(j); goto died }
#define S(x)	do :: atomic { x; break } :: KILL od

#define RAISE \
	S( x = state ); \
	if :: x == ARMED -> S( x = (state == ARMED); if :: x -> state = TOLD :: else fi ); \
		if :: x -> S( ev = 1 ) :: else fi \
	   :: else fi

#define PUSH(k)	atomic { queue = queue | BIT(k) }; atomic { pushed++ }

#define GATHER(k) \
	atomic { g = (known[k] && done[k] && !gathered[k]); if :: g -> gathered[k] = 1 :: else fi }; \
	if :: g -> PUSH(k) :: else fi

/* The last two steps of who completes a job. */
#if M == LOOK_FIRST
#define SAY	S( x = state ); S( due = due | BIT(j) ); \
		if :: x == ARMED -> S( x = (state == ARMED); if :: x -> state = TOLD :: else fi ); \
			if :: x -> S( ev = 1 ) :: else fi \
		   :: else fi
#else
#define SAY	S( due = due | BIT(j) ); RAISE
#endif

proctype finisher(byte j)
{
	byte x;
	bool mortal = 1;

	S( done[j] = 1 );
	SAY;
died:	skip
}

active proctype nursery()
{
	byte j, x;
	bool mortal, was;

idle:
end:	atomic { dead != 0 -> if :: dead & 1 -> j = 0 :: else -> j = 1 fi; was = done[j] };
	if
	:: was && M == NO_REPEAT -> skip
	:: else ->
		S( done[j] = 1 );
		SAY;
#if M != NO_WRITE
		if :: M != NO_REPEAT -> S( if :: state != OFF -> ev = 1 :: else fi ) :: else fi
#endif
	fi;
	atomic { dead = dead & ~BIT(j); j = 0; x = 0; was = 0; goto idle };
died:	skip
}

proctype submitter(byte j)
{
	byte x;
	bool mortal;

#if NEW
	atomic { pages = pages | BIT(j) };
#endif
	run finisher(j);
	atomic { known[j] = 1 };
#if M != NO_LOOK_BACK
	atomic { x = done[j] };
	if :: x -> SAY :: else fi;
#endif
died:	skip
}

#if WAIT
active proctype waiter()
{
	byte j, x;
	bool mortal, g;

	atomic { known[0] && done[0] };
	GATHER(0);
	if :: g -> RAISE :: else fi;
died:	skip
}
#endif

proctype loop(bool first)
{
	byte j, x, bits, limit, seen;
	bool mortal, g;

	if
	:: first ->
#if M == PAGES_EARLY
		SEE_PAGES
#endif
		atomic { state = ARMED; asked = 1 };
#if M != BLIND_ASK
#if M != PAGES_EARLY
		SEE_PAGES
#endif
		atomic { x = (IN_SIGHT || pushed != taken) };
		if :: x -> RAISE :: else fi
#endif
	:: else -> atomic { asked }
	fi;
	atomic { x = 0; seen = 0 };

sleep:
end:	atomic { ev };
#if M != READ_LATE
	atomic { ev = 0 };
#endif
#if M == PAGES_EARLY
	SEE_PAGES
#endif
#if M != ARM_LATE
	atomic { state = ARMED };
#endif
#if M != PAGES_EARLY
	SEE_PAGES
#endif
#if M == LIMIT_EARLY
	atomic { limit = pushed };
#endif
	atomic { bits = IN_SIGHT; due = due & ~bits };
#if M == ARM_LATE
	atomic { state = ARMED };
#endif
#if M == READ_LATE
	atomic { ev = 0 };
#endif
	if :: bits & 1 -> GATHER(0) :: else fi;
#if N > 1
	if :: bits & 2 -> GATHER(1) :: else fi;
#endif
#if M != LIMIT_EARLY
	atomic { limit = pushed; bits = 0; g = 0 };
#endif
	do
#if M == CALL_ALL
	:: atomic { queue == 0 -> break }
	:: atomic { queue != 0 -> if :: queue & 1 -> j = 0 :: else -> j = 1 fi };
	   atomic { queue = queue & ~BIT(j); taken++; called[j]++ }
#else
	:: atomic { taken >= limit -> break }
	:: atomic { taken < limit -> taken++ };
	   atomic {
		assert(queue != 0);
		if :: queue & 1 -> j = 0 :: queue & 2 -> j = 1 fi;
		queue = queue & ~BIT(j); called[j]++
	   }
#endif
	od;
	atomic { j = 0; x = 0; bits = 0; limit = 0; seen = 0; g = 0; goto sleep };
died:	skip
}

/* At rest each job has been called, once. */
init
{
	byte i;

	atomic {
		do :: i < N -> run submitter(i); i++ :: else -> break od; i = 0;
		run loop(1);
#if L > 1
		run loop(0)
#endif
	};
	timeout;
	atomic {
		do :: i < N -> assert(done[i] && called[i] == 1); i++ :: else -> break od;
		assert(!dead && !ev && queue == 0)
	}
}
