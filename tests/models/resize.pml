/* SPDX-License-Identifier: MIT */
/*
 * Workers come and go by resizes: what is asked, taken back and taken up, and how
 * the host learns the outcome.  doc/design/model.md says what is checked; `run`
 * runs it.  Memory is sequentially consistent here, as the code is where two
 * sides must see each other.
 *
 * The ids below are those that a resize adds or takes away; beside them there is
 * always one more worker, which does nothing of interest.  Orders come in turn, as
 * on the socket.  A worker may be killed before each of its steps (CB), its hook
 * may refuse (RB), and it may have run its share of items (LI) at any time.  One
 * that ends is reaped any number of steps later.
 *
 * `moved` and `w_moved` stand for counters: has it moved since the sleeper loaded
 * it?  To count and to wake is one step where nobody dies in between: between the
 * two nobody falls asleep.
 *
 * -D: IDS, FIRST of them wanted at create, RESIZES, CB, RB, LI, M mutant.
 */
#ifndef IDS
#define IDS 2
#endif
#ifndef FIRST
#define FIRST 0
#endif
#ifndef RESIZES
#define RESIZES 2
#endif
#ifndef CB
#define CB 0
#endif
#ifndef RB
#define RB 0
#endif
#ifndef LI
#define LI 0
#endif
#ifndef M
#define M 0
#endif

#define STORED_BACK	1	/* the nursery takes back by a store */
#define STORED_UP	2	/* the worker takes up by a store */
#define ANY_READY	3	/* the host takes one that leaves for ready */
#define GONE_KEPT	4	/* the nursery leaves the word of a dead one as it is */
#define EARLY_NO	5	/* a new life's word comes before its state */
#define OLD_ANSWER	6	/* one that was started for another resize answers */
#define ERROR_LATE	7	/* the number comes before the error */
#define LATE_COUNT	8	/* the host loads the counter after it has looked */
#define EARLY_WAKE	9	/* the nursery wakes before it asks */
#define NO_TELL		10	/* ... tells nobody when it has only taken back */

#define NO		0	/* leave */
#define ASKED		1
#define TAKEN		2

#define STARTING	0	/* state */
#define READY		1
#define REFUSED		2
#define LEFT		3

#define RESIZE		1	/* orders */
#define GROWN		2

/* In the segment. */
byte leave[IDS], state[IDS];
bool resizing;
byte resized, error;

bool moved, asleep;			/* `started`, and the host on it */
bool w_moved[IDS], w_asleep[IDS];	/* `event`, and the workers */

chan orders = [2] of { byte, byte, byte };
bool forked[IDS], ended[IDS];		/* what fork() and waitid() tell */
bool alive[IDS];			/* the nursery's: not reaped */
byte growth[IDS], wanted = FIRST, before, number;

/* Ghosts. */
bool fit[IDS];				/* ready in this growth, and not one that leaves */
bool answered[RESIZES + 1], failed[RESIZES + 1], done;
byte cb = CB, rb = RB, li = LI;

/* A step of a worker, or its death. */
#define S(x)	if :: atomic { x } :: atomic { cb > 0 -> cb--; goto died } fi
#define IF(c, x)	if :: c -> x :: else fi

proctype worker(byte id)
{
end:	atomic { forked[id] -> forked[id] = false; if :: rb > 0 -> goto refuse :: true fi };
	S( state[id] = READY; fit[id] = fit[id] || leave[id] == NO );
	S( moved = true );
	S( IF(resizing, asleep = false) );
look:	S( if
	   :: leave[id] == ASKED -> goto asked
	   :: leave[id] == NO
	   :: leave[id] == NO && li > 0 -> li--; goto share
	   fi );
	S( w_moved[id] = false );
	S( IF(leave[id] != NO, goto look) );
	S( w_asleep[id] = !w_moved[id] );
	if
	:: atomic { !w_asleep[id] -> goto look }
	:: atomic { cb > 0 -> cb--; w_asleep[id] = false; goto died }
	fi;
asked:
#if M == STORED_UP
	S( assert(leave[id] != NO); leave[id] = TAKEN; fit[id] = false );
#else
	S( if :: leave[id] == ASKED -> leave[id] = TAKEN; fit[id] = false :: else -> goto look fi );
#endif
	goto left;
share:	S( leave[id] = TAKEN );
left:	S( state[id] = LEFT );
died:	atomic { ended[id] = true; goto end };
refuse:	atomic { rb--; state[id] = REFUSED; ended[id] = true; goto end }
}

/* ---- The nursery ------------------------------------------------------------ */

inline wake()
{
	d_step { for (k : 0 .. IDS - 1) { w_moved[k] = true; w_asleep[k] = false } k = 0 }
}

inline set_wanted(n)
{
	wanted = n;
#if M == EARLY_WAKE
	wake();
#endif
	k = 0;
	do
	:: k < IDS ->
		atomic {
			if
#if M == STORED_BACK
			:: k < wanted && leave[k] != NO ->
				fit[k] = fit[k] || (leave[k] == ASKED && alive[k] && state[k] == READY);
				leave[k] = NO
#else
			:: k < wanted && leave[k] == ASKED ->
				leave[k] = NO; fit[k] = alive[k] && state[k] == READY
#endif
			:: k >= wanted && leave[k] == NO -> leave[k] = ASKED
			:: else
			fi;
			k++
		}
	:: else -> break
	od;
	k = 0;
#if M != EARLY_WAKE
	wake()
#endif
}

inline tell()
{
	d_step { moved = true; asleep = false }
}

inline answer(n, err)
{
	atomic { assert(!answered[n]); answered[n] = true; failed[n] = err };
#if M == ERROR_LATE
	resized = n;
	error = err;
#else
	error = err;
	resized = n;
#endif
	tell()
}

inline start(id)
{
#if M == EARLY_NO
	leave[id] = NO;
	state[id] = STARTING;
#else
	state[id] = STARTING;
	leave[id] = NO;
#endif
	atomic { growth[id] = (id >= before -> number : 0); alive[id] = true; forked[id] = true }
}

inline reap(id)
{
	alive[id] = false;
#if M != GONE_KEPT
	leave[id] = TAKEN;
#endif
	if
	:: growth[id] && number && (state[id] == STARTING || state[id] == REFUSED) &&
	   (growth[id] == number || M == OLD_ANSWER) ->
		assert(growth[id] == number);
		num = number; number = 0;
		set_wanted(before);
		answer(num, 1)
	:: else
	fi
}

inline obey()
{
	if
	:: cmd == RESIZE ->
		atomic {
			if
			:: want > wanted -> before = wanted; number = num;
				for (k : before .. IDS - 1) { fit[k] = false }
				k = 0
			:: else
			fi
		};
		set_wanted(want);
		if
		:: number -> if :: M != NO_TELL -> tell() :: else fi
		:: else -> answer(num, 0)
		fi
	:: cmd == GROWN && num == number ->
		atomic { for (k : before .. wanted - 1) { assert(fit[k]) } k = 0 };
		number = 0;
		answer(num, 0)
	:: else
	fi
}

active proctype nursery()
{
	byte id, k, cmd, num, want;

	atomic {
		for (id : 0 .. IDS - 1) {
			leave[id] = (id < FIRST -> NO : TAKEN);
			run worker(id)
		}
		id = 0
	};
end:	do
	:: orders?cmd,num,want -> obey(); atomic { cmd = 0; num = 0; want = 0 }
	:: atomic { ended[0] -> ended[0] = false }; reap(0); num = 0
	:: !alive[0] && 0 < wanted -> start(0)
#if IDS > 1
	:: atomic { ended[1] -> ended[1] = false }; reap(1); num = 0
	:: !alive[1] && 1 < wanted -> start(1)
#endif
	od
}

/* ---- The host ----------------------------------------------------------------- */

active proctype host()
{
	byte r, workers = FIRST, want, i, err;
	bool said, ready;

	for (r : 1 .. RESIZES) {
		select(want : 0 .. IDS);
		if
		:: want == workers -> resized = r; goto next
		:: else
		fi;
		resizing = true;
		orders!RESIZE,r,want;
		said = want < workers;
		do
		::
#if M != LATE_COUNT
			moved = false;
#endif
			atomic { IF(resized == r, break) };
			ready = !said;
			i = workers;
			do
			:: atomic { ready && i < want -> ready = (leave[i] == NO || M == ANY_READY) };
				atomic { ready = ready && state[i] == READY; i++ }
			:: else -> break
			od;
			atomic { i = 0; IF(ready, orders!GROWN(r, 0); said = true; ready = false) };
#if M == LATE_COUNT
			moved = false;
#endif
			asleep = !moved;
			!asleep
		od;
		err = error;
		resizing = false;
		assert(answered[r] && err == failed[r]);
		if :: !err -> workers = want :: else fi;
		/* What the pool believes is what is wanted. */
		assert(workers == wanted);
next:		atomic { i = 0; said = false; ready = false; want = 0; err = 0 }
	};
	done = true
}

/* At rest: every resize has had its answer, and there are as many as are wanted. */
init
{
	byte id;

	timeout;
	assert(done);
	for (id : 0 .. IDS - 1) {
		assert(alive[id] == (id < wanted) && !ended[id]);
		assert(!alive[id] || (state[id] == READY && leave[id] == NO))
	}
}
