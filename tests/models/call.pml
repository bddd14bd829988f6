/* SPDX-License-Identifier: MIT */
/*
 * The callback of a task, whose place is used for the next one: it is called once
 * when its task has ended, or never if the job was freed before.  due.pml has how a
 * dispatch learns that something ended; here is what it does with what it finds
 * (lib/engine/callback.c).  doc/design/model.md says what is checked; `run` runs it.
 * Memory is sequentially consistent here.
 *
 * One place, and a submitter that puts one task after the other there: READY, the
 * callback WANTED, shown.  It frees the job at any time, or leaves that to the
 * callback, or to nobody.  A worker ends the task and sets its bit.  Dispatches take
 * the bit, load the state, load the word, swap, and call whatever is in the queue,
 * of which the callback is a part: it must not be there twice.
 *
 * -D: T tasks, L dispatches, M mutant.
 */
#ifndef T
#define T 2
#endif
#ifndef L
#define L 2
#endif
#ifndef M
#define M 0
#endif

#define UNTAGGED	1	/* the state has no serial */
#define WORD_FIRST	2	/* the word is loaded before the state */
#define WANT_EARLY	3	/* WANTED before READY: the word is the task's before */
#define WANT_LATE	4	/* WANTED after it was shown */
#define GIVEN_QUEUED	5	/* the place is used again while the callback is in the queue */
#define NO_AWAIT	6	/* who frees does not wait for the callback that is being made */
#define GIVEN_LEFT	7	/* freed in its callback, the place is used again at once */
#define NO_GIVE_UP	8	/* who takes what was freed from the queue does not give the place up */

#define WANTED	1
#define QUEUED	2
#define MAKING	3
#define LEFT	4
#define MADE	5
#define DROPPED	6

#if M == UNTAGGED
#define STATE(s, phase)	(phase)
#else
#define STATE(s, phase)	((s) << 3 | (phase))
#endif
#define PHASE(state)	((state) & 7)

#define READY(t)	((t) << 1)
#define DONE(t)		((t) << 1 | 1)

byte state, word, job, shown;
bool due, queued, given;
bool freed[T + 1], by_callback[T + 1];
byte called[T + 1];

/* A swap; `ok` says whether it was made. */
#define CHANGE(s, from, to) \
	atomic { ok = (state == STATE(s, from)); if :: ok -> state = STATE(s, to) :: else fi }

active proctype submitter()
{
	byte t = 1;
	bool ok;

	do
	:: t > T -> break
	:: else ->
#if M == WANT_EARLY
		atomic { job = t; state = STATE(t, WANTED) };
#endif
		atomic { word = READY(t); given = 0 };
#if M != WANT_EARLY && M != WANT_LATE
		atomic { job = t; state = STATE(t, WANTED) };
#endif
		shown = t;
#if M == WANT_LATE
		atomic { job = t; state = STATE(t, WANTED) };
#endif
		if
		:: skip ->
			/* fp_callback_drop(), outside of any callback. */
			CHANGE(t, WANTED, DROPPED);
			if
			:: ok -> given = 1
			:: else ->
				CHANGE(t, QUEUED, DROPPED);
				if
				:: ok ->
#if M == GIVEN_QUEUED
					given = 1
#else
					skip
#endif
				:: else ->
#if M != NO_AWAIT
					atomic { PHASE(state) != MAKING };
#endif
					given = 1
				fi
			fi;
			freed[t] = 1
		:: atomic { by_callback[t] = 1 }
		:: goto out
		fi;
		atomic { given && word == DONE(t) -> t++; ok = 0 }
	od;
out:	skip
}

active proctype worker()
{
	byte t = 1;

	do
	:: t > T -> break
	:: else ->
		atomic { shown == t -> word = DONE(t) };
		atomic { due = 1; t++ }
	od
}

proctype dispatch()
{
	byte s, w, t;
	bool ok;

look:
end:	if
	:: atomic { due -> due = 0 };
#if M == WORD_FIRST
		w = word;
		s = state;
#else
		s = state;
		w = word;
#endif
		if
		:: PHASE(s) == WANTED && (w & 1) ->
			atomic { ok = (state == s); if :: ok -> state = s - WANTED + QUEUED :: else fi };
			if :: ok -> atomic { assert(!queued); queued = 1 } :: else fi
		:: else
		fi
	:: atomic { queued -> queued = 0; t = job };
		CHANGE(t, QUEUED, MAKING);
		if
		:: ok ->
			atomic {
				assert(job == t && word == DONE(t) && !freed[t]);
				called[t]++;
				assert(called[t] == 1)
			};
			if
			:: by_callback[t] ->
#if M == GIVEN_LEFT
				given = 1;
#else
				CHANGE(t, MAKING, LEFT);
#endif
				freed[t] = 1
			:: else -> assert(!freed[t])
			fi;
			atomic { s = state; state = STATE(t, MADE) };
			if :: PHASE(s) == LEFT -> given = 1 :: else fi
		:: else ->
#if M != NO_GIVE_UP
			given = 1
#else
			skip
#endif
		fi
	fi;
	atomic { s = 0; w = 0; t = 0; ok = 0; goto look }
}

/* At rest each task that was shown has been called, once, or was freed; and the place is free with it. */
init
{
	byte i;

	atomic {
		do :: i < L -> run dispatch(); i++ :: else -> break od;
		i = 1
	};
	timeout;
	atomic {
		assert(!due && !queued);
		do
		:: i <= shown -> assert(called[i] || freed[i]); assert(!freed[i] || given || i < shown); i++
		:: else -> break
		od
	}
}
