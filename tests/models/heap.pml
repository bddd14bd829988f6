/* SPDX-License-Identifier: MIT */
/*
 * The shared heap: nothing is lost and nothing is given twice, with workers that
 * are killed between any two steps.  doc/design/heap.md tells the protocol; `run`
 * runs this.  A stop is a step that comes late, so every search has it: nobody
 * waits for anybody here.  Memory is sequentially consistent.
 *
 * PART 1, runs: NU units; a worker frees a block of anybody, or makes one of two
 * units: head, body, publish, end of the item.  What it made in an item that it
 * does not end is freed by the nursery.
 *
 * PART 2, slabs: one unit, two words of one object each.  A worker makes it a slab
 * or keeps it again, takes over what others have freed, allocates with plain stores
 * and lets it go; frees as its owner or as anybody; and gives it back when it is
 * empty.  An item may hand on what it allocated before it ends, and end before or
 * after it lets the slab go.
 *
 * A dead worker's mending runs in its own process, after the death, step by step.
 *
 * -D: PART, W workers, CB kills, R rounds of each worker, M mutant.
 */
#ifndef PART
#define PART 1
#endif
#ifndef W
#define W 2
#endif
#ifndef CB
#define CB 0
#endif
#ifndef R
#define R 2
#endif
#ifndef M
#define M 0
#endif

#define HEAD_FREE_FIRST		1	/* a run is freed from its first unit on */
#define BLIND_MEND		2	/* the nursery frees units that don't point back */
#define BODY_FIRST		3	/* a run is claimed from its last unit on */
#define NO_LEAVE		4	/* freed without a swap that only one can win */
#define NO_LEAVE_MEND		5	/* the nursery leaves half-freed runs */
#define NO_KEEP_LOOK	6	/* who seals does not look at keep */
#define NO_SECOND_LOOK	7	/* who opens a slab again does not look once more */
#define FRESH_LATE	8	/* fresh after the bit */
#define NOTE_EARLY	9	/* the note before fresh is clear */
#define NO_SEAL_MEND	10	/* the nursery leaves slabs that the dead were sealing */
#define NO_LOOK_BACK	11	/* an owner that finds its slab sealed goes without another look */
#define NO_EMPTY_MEND	12	/* the nursery leaves empty slabs */
#define KEEP_NO_TAG	13	/* keep is set and cleared whatever slab is there */
#define TAG_LATE	14	/* the tag is read after the word says whose slab it is */
#define NO_SEALED_LOOK	15	/* who seals does not look once more whether it is empty */
#define HARVEST_EARLY	16	/* freed is cleared before used */
#define BLIND_DROP	17	/* the nursery frees in whatever slab is there */
#define NO_LAST_LOOK	18	/* who frees does not look whether the slab is empty */

#define FREE	0
#define CLAIM	1
#define BODY	2
#define RUN	3
#define LEAVE	4
#define SLAB	5
#define SEAL	6
#define NURSERY	7
#define NONE	9

byte kills = CB;
byte ended;

/* Between two steps the worker may die; its mending does not. */
#define STEP	if :: atomic { kills > 0 && !buried -> kills--; buried = true; goto dead } :: true fi

#if PART == 1
#ifndef NU
#define NU 3
#endif
byte kind[NU], by[NU], val[NU], note[NU];
bool used[NU];			/* somebody has been given this memory */

inline clear(h)
{
#if M == HEAD_FREE_FIRST
	atomic { assert(!used[h]); kind[h] = FREE }
	STEP;
#endif
	atomic {
		if
		:: kind[h + 1] == BODY && val[h + 1] == h -> assert(!used[h + 1]); kind[h + 1] = FREE
		:: else
		fi
	}
#if M != HEAD_FREE_FIRST
	STEP;
	atomic { assert(!used[h]); kind[h] = FREE }
#endif
}

proctype worker(byte me)
{
	byte round, s, item, i;
	bool ok, buried;

	do
	:: round < R ->
		round++;
		item = W * round + me + 2;
		ok = false;
		if
		:: s = 0
		:: s = 1
		fi;
		STEP;
		if
		:: atomic { kind[s] == RUN && note[s] >= 100 ->	/* somebody handed it on */
#if M != NO_LEAVE
			kind[s] = LEAVE; by[s] = me;
			used[s] = false; used[s + 1] = false; }
#else
			skip }
			STEP;
			atomic { assert(used[s]); kind[s] = LEAVE; by[s] = me;
				used[s] = false; used[s + 1] = false }
#endif
			STEP;
			clear(s)
#if M == BODY_FIRST
		:: atomic { kind[s + 1] == FREE -> kind[s + 1] = BODY; by[s + 1] = me; val[s + 1] = s }
			STEP;
			atomic {
				if
				:: kind[s] == FREE -> kind[s] = CLAIM; by[s] = me; ok = true
				:: else -> kind[s + 1] = FREE
				fi
			}
#else
		:: atomic { kind[s] == FREE -> kind[s] = CLAIM; by[s] = me }
			STEP;
			atomic {
				if
				:: kind[s + 1] == FREE -> kind[s + 1] = BODY; by[s + 1] = me; val[s + 1] = s; ok = true
				:: else
				fi
			}
#endif
			STEP;
			if
			:: !ok ->
#if M != BODY_FIRST
				clear(s)
#else
				skip
#endif
			:: else ->
				note[s] = item;
				STEP;
				atomic {
					kind[s] = RUN;
					assert(!used[s] && !used[s + 1]);
					used[s] = true; used[s + 1] = true
				}
				STEP;
				/* The item ends, and its block is anybody's. */
				atomic { note[s] = 100 + item; item = NONE }
			fi
		:: else
		fi;
		item = NONE
	:: else -> break
	od;
	goto out;
dead:
	i = 0;
	do
	:: i < NU - 1 ->
		ok = false;
		atomic {
			if
#if M == NO_LEAVE_MEND
			:: by[i] == me && kind[i] == CLAIM -> ok = true
#else
			:: by[i] == me && (kind[i] == CLAIM || kind[i] == LEAVE) -> ok = true
#endif
			:: by[i] == me && kind[i] == RUN && note[i] == item ->
				kind[i] = LEAVE; by[i] = NURSERY; ok = true;
				used[i] = false; used[i + 1] = false
			:: else
			fi
		}
		if
		:: ok ->
#if M == BLIND_MEND
			atomic { assert(!used[i + 1]); kind[i + 1] = FREE }
			atomic { assert(!used[i]); kind[i] = FREE }
#else
			clear(i)
#endif
		:: else
		fi;
		i++
	:: else -> break
	od;
out:
	ended++
}

init {
	byte i;

	atomic {
		do
		:: i < W -> run worker(i); i++
		:: else -> break
		od;
		i = 0
	}
	ended == W;
	do
	:: i < NU ->
		assert(kind[i] == FREE || kind[i] == RUN || kind[i] == BODY);
		assert(used[i] == (kind[i] != FREE));
		assert(kind[i] != BODY || kind[val[i]] == RUN);
		i++
	:: else -> break
	od
}
#endif

#if PART == 2
byte kind, by, owner;
byte keep;		/* = tag: the owner allocates here */
byte tag, note;
bool used[2], fresh[2];	/* the owner's words */
byte ft[2];		/* everybody's: the tag */
bool fb[2];		/* and whether it was freed */
byte user[2];		/* who has been given the object: NONE, an item, EARLY, DONE */

#define EARLY	(90 + me)	/* our item handed it on, and has not ended */
#define DONE	100	/* the item has ended */

#define IN_USE(k) (used[k] && !fb[k])
#define KEPT	(keep == tag && tag != 0)

#if M == KEEP_NO_TAG
#define LET_GO(t) keep = 0
#else
#define LET_GO(t) atomic { if :: keep == t -> keep = 0 :: else fi }
#endif

/* From SEAL by us: gives the slab back, or opens it again. */
inline retire_on()
{
	if
#if M != NO_KEEP_LOOK
	:: KEPT -> sealed = false
#else
	:: false
#endif
	:: else ->
		sealed = true;
#if M != NO_SEALED_LOOK
		STEP;
		if
		:: IN_USE(0) -> sealed = false
		:: else ->
			STEP;
			sealed = !IN_USE(1)
		fi
#endif
	fi;
	STEP;
	if
	:: sealed ->
		atomic { assert(user[0] == NONE && user[1] == NONE); kind = FREE; by = 0 }
	:: else ->
		atomic { kind = SLAB; by = owner }
	fi
}

/* Where we see it empty and nobody keeps it; once more after it was opened again. */
inline retire()
{
	do
	:: true ->
		go = false;
		STEP;
		if
		:: kind != SLAB || KEPT -> break
		:: else
		fi;
		STEP;
		if
		:: IN_USE(0) || IN_USE(1) -> break
		:: else
		fi;
		STEP;
		atomic {
			if
			:: kind == SLAB -> owner = by; kind = SEAL; by = me; go = true
			:: else
			fi
		}
		if
		:: !go -> break
		:: else
		fi;
		STEP;
		retire_on();
#if M == NO_SECOND_LOOK
		break
#else
		if
		:: sealed -> break
		:: else
		fi
#endif
	od
}

inline note_it()
{
	if
	:: note != item ->
#if M == NOTE_EARLY
		note = item; STEP;
#else
		note = 0; STEP;
#endif
		fresh[0] = false; STEP;
		fresh[1] = false; STEP;
		note = item; STEP
	:: else
	fi
}

/* In the slab that we keep: what others have freed. */
inline harvest()
{
	k = 0;
	do
	:: k < 2 ->
		if
		:: fb[k] ->
#if M == HARVEST_EARLY
			fb[k] = false; STEP;
			used[k] = false; STEP
#else
			used[k] = false; STEP;
			fb[k] = false; STEP
#endif
		:: else
		fi;
		k++
	:: else -> break
	od
}

inline end_item()
{
	atomic {
		k = 0;
		do
		:: k < 2 ->
			if
			:: mine && got[k] && (user[k] == item || user[k] == EARLY) -> user[k] = DONE
			:: else
			fi;
			got[k] = false;
			k++
		:: else -> break
		od;
		item = NONE
	}
}

proctype worker(byte me)
{
	byte round, item, mine, o, t, k;
	bool sealed, go, had, buried, got[2];

	item = NONE;
	do
	:: round < R ->
		round++;
		item = W * round + me + 10;
		STEP;
		if
		:: true ->	/* frees what has been handed on, in a slab that it does not keep */
			if
			:: o = 0
			:: o = 1
			fi;
			had = false;
			atomic {
				if
				:: user[o] >= 90 ->
					assert(IN_USE(o) && kind != FREE && kind != CLAIM);
					user[o] = NONE; had = true;
					fb[o] = true
				:: else
				fi
			}
			STEP;
			if
#if M != NO_LAST_LOOK
			:: had -> retire()
#endif
			:: else
			fi
		:: true ->	/* allocates */
			mine = 0;
#if M != TAG_LATE
			t = tag; STEP;
#endif
			if
			:: kind == SLAB && by == me ->
#if M == TAG_LATE
				STEP; t = tag;
#endif
				STEP;
#if M == KEEP_NO_TAG
				keep = tag;
#else
				atomic {
					if
					:: keep < t -> keep = t
					:: else
					fi
				}
#endif
				STEP;
				if
				:: kind == SLAB && by == me -> mine = tag
				:: else -> LET_GO(t); STEP;
#if M != NO_LOOK_BACK
					retire()
#endif
				fi;
				if
				:: mine -> harvest()
				:: else
				fi
			:: atomic { kind == FREE -> kind = CLAIM; by = me }
				STEP;
				tag++; STEP;
				k = 0;
				do
				:: k < 2 ->
					atomic { ft[k] = tag; fb[k] = false }
					STEP;
					atomic { used[k] = false; fresh[k] = false }
					STEP;
					k++
				:: else -> break
				od;
				note = 0; STEP;
				keep = tag; STEP;
				kind = SLAB; mine = tag
			:: else
			fi;
			STEP;
			if
			:: mine ->
				if
				:: o = 0
				:: o = 1
				fi;
				if
				:: !used[o] && !fb[o] ->
					STEP;
					note_it();
					atomic {
						assert(user[o] == NONE && kind != FREE && kind != CLAIM);
						used[o] = true; user[o] = item; got[o] = true;
#if M == FRESH_LATE
					}
					STEP;
					fresh[o] = true;
#else
						fresh[o] = true
					}
#endif
					STEP;
					if
					:: true ->
						atomic {
							if
							:: user[o] == item -> user[o] = EARLY
							:: else
							fi
						}
						STEP
					:: true
					fi
				/* Frees with a plain store, since it keeps the slab. */
				:: atomic { user[o] == DONE ->
						assert(IN_USE(o));
						user[o] = NONE; used[o] = false }
					STEP
				:: else
				fi;
				if
				:: end_item(); STEP
				:: true
				fi;
				LET_GO(mine);
				STEP;
				retire();
				STEP;
				if
				:: item != NONE -> end_item()
				:: else
				fi
			:: else
			fi
		fi;
		item = NONE
	:: else -> break
	od;
	goto out;
dead:
	/* Its slab, and that which another one is sealing; what it was sealing. */
	go = false;
	t = tag;
	if
	:: (kind == SLAB && by == me) || (kind == SEAL && owner == me) ->
		if
		:: note == item && item != NONE ->
			o = 0;
			do
			:: o < 2 ->
				had = used[o] && fresh[o];
				atomic {
					if
#if M == BLIND_DROP
					:: had && !fb[o] ->
#else
					:: had && !fb[o] && ft[o] == t ->
#endif
						assert(user[o] == item || user[o] == EARLY);
						fb[o] = true;
						user[o] = NONE
					:: else
					fi
				}
				o++
			:: else -> break
			od
		:: else
		fi;
		had = true
	:: else -> had = false
	fi;
	if
#if M != NO_SEAL_MEND
	:: kind == SEAL && by == me -> retire_on()
#endif
	:: kind == CLAIM && by == me -> kind = FREE
	:: else
	fi;
	if
	:: had -> LET_GO(t)
	:: else
	fi;
	me = NURSERY;
#if M != NO_EMPTY_MEND
	retire();	/* whosever it is: the dead may have cleared the last bit */
#endif
out:
	ended++
}

init {
	byte i;

	atomic {
		user[0] = NONE; user[1] = NONE;
		do
		:: i < W -> run worker(i); i++
		:: else -> break
		od
	}
	ended == W;
	assert(kind == FREE || kind == SLAB);
	assert(kind == SLAB || (user[0] == NONE && user[1] == NONE));
	if
	:: kind == SLAB ->
		assert((IN_USE(0) || IN_USE(1)) && !KEPT);
		assert(ft[0] == tag && ft[1] == tag);
		assert(IN_USE(0) == (user[0] == DONE) && IN_USE(1) == (user[1] == DONE))
	:: else
	fi
}
#endif
