#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Instructions per item in all of the workers, under callgrind: of a run with many
# items less those of one with few, so that starts and ends don't count; the items'
# own are in it.  Workers are threads here, and valgrind runs one at a time: so how
# often they find no work, and sleep, varies.
# Usage: instructions.sh [WORKERS...], in the directory bench of a build.
command -v valgrind >/dev/null || { echo 'instructions: no valgrind'; exit 0; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
[ $# -gt 0 ] || set -- 1 2 4 8 16 32 64

# Of all threads but the first, which submits and waits; and of that one.
total() {	# LOAD WORKERS ITEMS
	rm -f "$dir"/*
	../libtool --mode=execute valgrind -q --tool=callgrind --separate-threads=yes --fair-sched=yes \
		--callgrind-out-file="$dir/out" ./scale/counts --once "$1" "$2" "$3" 2>"$dir/err" ||
		{ cat "$dir/err" >&2; exit 1; }
	awk '/^totals:/ { if (FILENAME ~ /-01$/) host += $2; else workers += $2 }
		END { printf "%d %d", workers, host }' "$dir"/out-*
}

for load in map-empty map-1us tasks-empty tasks-1us; do
	few=2000 many=22000
	# A short map of nothing is all start and end, which cost once a map and not an item.
	[ $load = map-empty ] && few=2000000 many=4000000
	echo "$load: instructions per item"
	for workers; do
		a=$(total $load "$workers" $few) || exit 1
		b=$(total $load "$workers" $many) || exit 1
		echo "$workers $a $b" | awk -v items=$((many - few)) \
			'{ printf "%8d workers %10.1f in workers %10.1f in the host\n", $1, ($4 - $2) / items, ($5 - $3) / items }'
	done
done
