/* SPDX-License-Identifier: MIT */
/*
 * The parking lot of the semaphore build: no wake-up is lost, with sleepers and
 * wakers that are killed between any two steps.  doc/design/model.md says what is
 * checked; `run` runs it.  Memory is sequentially consistent here; lot.c says by
 * which means it is where it must be.
 *
 * Each waker makes one unit of work, moves the event word on, and wakes one.  A
 * sleeper loads the event word, looks for work, and lies down if there is none;
 * with a unit it is busy for good, which it spends asleep on another word that
 * never changes, in whatever place it finds.  So each wake-up must reach a
 * sleeper of its own, and that on the right word.  The nursery buries the dead
 * and then wakes all.
 *
 * -D: S sleepers, K wakers, CB kills, M mutant.
 */
#ifndef S
#define S 2
#endif
#ifndef K
#define K 2
#endif
#ifndef CB
#define CB 0
#endif
#ifndef M
#define M 0
#endif

#define NO_RECHECK	1	/* a sleeper does not look at the word once it lies there */
#define EARLY_RECHECK	2	/* it looks before */
#define EARLY_SCAN	3	/* a waker looks for sleepers before it changes the word */
#define NO_SWAP		4	/* it posts without a swap of the state */
#define NO_TURN		5	/* the swap does not tell one turn from the next */
#define LATE_DRAIN	6	/* old posts are taken back when the sleeper can be seen */
#define LATE_KEY	7	/* what it waits for is said when it can be seen */
#define ONLY_WAITING	8	/* the nursery leaves out those whom a dead waker had swapped */
#define NO_BROADCAST	9	/* the nursery wakes nobody */

#define FREE	0
#define TAKEN	1
#define WAITING	2
#define WOKEN	3

#define EVENT	1
#define OTHER	2

byte event, units;
byte phase[S], turn[S], owner[S], key[S], sem[S];	/* places: one for each sleeper */
bool dead[S + K], busy[S];
byte deaths, cb = CB, left = K;

/* One look at a place: whom it found there in ph and tu; wakes it if it waits for the event. */
#define LOOK(all) \
	atomic { ph = phase[p]; if :: ph == WAITING -> tu = turn[p] :: else fi }; \
	if \
	:: atomic { (ph == WAITING || (all && ph == WOKEN)) && key[p] == EVENT } -> \
		if \
		:: atomic { ph == WAITING && M != NO_SWAP && phase[p] == WAITING && \
			    (M == NO_TURN || turn[p] == tu) -> phase[p] = WOKEN } -> post = true \
		:: atomic { ph == WAITING && M != NO_SWAP && \
			    !(phase[p] == WAITING && (M == NO_TURN || turn[p] == tu)) } -> skip \
		:: atomic { ph == WOKEN || M == NO_SWAP } -> post = true \
		fi; \
		if :: atomic { post -> sem[p]++; woken++; post = false } :: atomic { !post } fi \
	:: atomic { !((ph == WAITING || (all && ph == WOKEN)) && key[p] == EVENT) } -> skip \
	fi

proctype sleeper(byte id)
{
	byte p, what, seen;
	bool moved;

	{ do
	:: seen = event;
	atomic {
		if :: units > 0 && !busy[id] -> units--; busy[id] = true :: else fi;
		what = (busy[id] -> OTHER : EVENT);
		if :: busy[id] -> seen = 0 :: else fi
	};
	/* Lie down.  While the place is TAKEN nobody else looks at what it says. */
	atomic {
		p = 0;
		do :: phase[p] == FREE -> break :: else -> p++ od;
		phase[p] = TAKEN; turn[p]++; owner[p] = id;
#if M != LATE_DRAIN
		sem[p] = 0;
#endif
#if M != LATE_KEY
		key[p] = what
#endif
	};
#if M == EARLY_RECHECK
	moved = event != seen;
#endif
	phase[p] = WAITING;
#if M == LATE_KEY
	key[p] = what;
#endif
#if M == LATE_DRAIN
	sem[p] = 0;
#endif
#if M != EARLY_RECHECK
	moved = event != seen;
#endif
	if
	:: atomic { M != NO_RECHECK && what == EVENT && moved -> skip }
	:: atomic { (M == NO_RECHECK || what != EVENT || !moved) && sem[p] > 0 -> sem[p]-- }
	fi;
	atomic { phase[p] = FREE; p = 0; what = 0; seen = 0; moved = false }
	od } unless { dead[id] };
	deaths++
}

proctype waker(byte id)
{
	byte p, ph, tu, woken;
	bool post;

	{
	atomic { units++; if :: M != EARLY_SCAN -> event++ :: else fi };
	do
	:: atomic { p < S && !woken } -> LOOK(false); atomic { p++; ph = 0; tu = 0 }
	:: atomic { p == S || woken -> break }
	od;
#if M == EARLY_SCAN
	event++;
#endif
	atomic { left--; p = 0; woken = 0; goto out }
	} unless { dead[id] };
	deaths++;
out:	skip
}

active proctype nursery()
{
	byte p, ph, tu, woken, q;
	bool post;

end:	do
	:: atomic { deaths > 0 -> deaths-- };
		/* Each of the dead, as often as somebody died: those buried before have no place. */
		for (q : 0 .. S - 1) {
			atomic { if :: phase[q] != FREE && dead[owner[q]] -> sem[q] = 0; phase[q] = FREE :: else fi }
		};
#if M != NO_BROADCAST
		event++;
		p = 0;
		do
		:: atomic { p < S } -> LOOK(M != ONLY_WAITING); atomic { p++; ph = 0; tu = 0 }
		:: atomic { p == S -> break }
		od;
#endif
		atomic { woken = 0; p = 0; q = 0 }
	od
}

active proctype killer()
{
	byte v;

end:	do
	:: atomic { cb > 0 && left > 0 ->
		cb--;
		v = 0;
		do :: v < S + K - 1 -> v++ :: break od;
		if :: !dead[v] -> dead[v] = true :: else fi;
		v = 0 }
	od
}

/* At rest: no work is left, or nobody who could do it. */
init
{
	byte i;
	bool idle;

	atomic {
		for (i : 0 .. S - 1) { run sleeper(i) }
		for (i : 0 .. K - 1) { run waker(S + i) }
	};
	timeout;
	atomic {
		for (i : 0 .. S - 1) {
			if :: !dead[i] && !busy[i] -> idle = true :: else fi
		}
		assert(units == 0 || !idle)
	}
}
