#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The main job on real input: the for loop; a parallel gzip of a file made from
# what lies on this machine, measured beside gzip and pigz and checked; and
# pictures, some of them trouble, scaled by libjpeg and libpng.
#
#	main-job.sh BUILD_DIR

set -eu
LC_ALL=C
export LC_ALL

MIB=1048576
SIZE=$((64 * MIB))	# of the input, at least
PICTURES=200
ROUNDS=3		# timed runs of each packer, in turn; the median counts

fail()
{
	echo "main-job: $*" >&2
	exit 1
}

[ $# -eq 1 ] || fail "usage: main-job.sh BUILD_DIR"
loop=$1/doc/examples/01_for_loop
pgzip=$1/doc/examples/02_pgzip
resize=$1/doc/examples/03_resize_images
procs=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)

work=$(mktemp -d "${TMPDIR:-/tmp}/main-job.XXXXXX")
trap 'trap "" HUP INT TERM; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Milliseconds on a clock; whole seconds where date knows no finer ones.
now()
{
	case $(date +%N) in
	*[!0-9]* | '') echo "$(date +%s)000" ;;
	*) date +%s%N | sed 's/......$//' ;;
	esac
}

size_of()
{
	wc -c <"$1" | tr -d ' '
}

# Something of everything: programs, documents, data, libraries.
input_make()
{
	part=$((SIZE / 4))
	for dir in /usr/bin /usr/share/doc /usr/share /usr/lib; do
		[ -d "$dir" ] || continue
		find "$dir" -type f -exec cat {} + 2>/dev/null |
			head -c "$part" >>"$1" || :
	done
	[ -s "$1" ] || fail "found nothing to pack in /usr"
	while [ "$(size_of "$1")" -lt "$SIZE" ]; do
		cp "$1" "$1.half"
		cat "$1.half" >>"$1"
		rm "$1.half"
	done
}

# time_packer NAME COMMAND...: packs the input once and notes the milliseconds.
time_packer()
{
	name=$1
	shift
	start=$(now)
	"$@" <"$work/input" >"$work/$name.gz" || fail "$name failed"
	echo $(($(now) - start)) >>"$work/$name.ms"
}

check_packed()
{
	gzip -t "$work/$1.gz" || fail "$1: gzip -t finds its output broken"
	gzip -dc "$work/$1.gz" | cmp - "$work/input" ||
		fail "$1: what was unpacked is not what was packed"
}

# table_line NAME LABEL: what was measured and how small it got.
table_line()
{
	sort -n "$work/$1.ms" | awk -v label="$2" \
		-v size="$(size_of "$work/input")" \
		-v packed="$(size_of "$work/$1.gz")" '
		{ ms[NR] = $1 }
		END {
			s = ms[int((NR + 1) / 2)] / 1000
			if (s <= 0)
				s = 0.001
			printf "  %-18s %8.2f %8.1f %12d %8.3f\n", label, s,
				size / 1048576 / s, packed, size / packed
		}'
}

loop_run()
{
	[ -x "$loop" ] || fail "$loop is not there: run make first"
	"$loop" >"$work/loop" || fail "01_for_loop failed"
	cat "$work/loop"
	awk '/^plain loop:/ { a = $3 }
	     /^pool:/ { b = $2 }
	     END {
		if (b <= 0)
			exit 1
		printf "  %-18s %8s\n  %-18s %8.2f\n  %-18s %8.2f\n  %-18s %8.2f\n",
			"four items", "seconds", "plain loop", a,
			"pool of 8", b, "speed-up", a / b
	     }' "$work/loop" >"$work/loop.table" || fail "01_for_loop printed no times"
}

# Every packer once, then again: what else the machine does hits them alike.
pack_run()
{
	input_make "$work/input"
	i=0
	while [ "$i" -lt "$ROUNDS" ]; do
		[ "$i" -gt 0 ] || time_packer gzip gzip -6 -n -c
		[ -z "$pigz" ] || time_packer pigz pigz -6 -n -c -p "$procs"
		time_packer pgzip "$pgzip" -6 -c -p "$procs"
		i=$((i + 1))
	done
	check_packed pgzip
}

pack_table()
{
	echo "  $(($(size_of "$work/input") / MIB)) MiB, level 6, $procs processes"
	printf '  %-18s %8s %8s %12s %8s\n' '' seconds MiB/s bytes ratio
	table_line gzip gzip
	if [ -n "$pigz" ]; then
		table_line pigz pigz
	else
		echo "  pigz               is not installed"
	fi
	table_line pgzip pgzip
	echo "  pgzip: gzip -t and cmp say that its output is right"
}

# Status 1 is right: four pictures are trouble.
resize_run()
{
	mkdir "$work/in" "$work/out"
	"$1/doc/examples/make_images" $PICTURES "$work/in" || fail "make_images failed"
	status=0
	start=$(now)
	"$resize" --faults -t 3 "$work/in" "$work/out" || status=$?
	echo $(($(now) - start)) >"$work/resize.ms"
	[ "$status" -eq 1 ] || fail "03_resize_images ended with status $status"
	[ "$(find "$work/out" -type f | wc -l)" -eq $PICTURES ] ||
		fail "03_resize_images left more than the four"
}

resize_table()
{
	awk -v n=$PICTURES '{
		printf "  %d pictures scaled in %.2f s; one that hangs was given up after 3 s\n", n, $1 / 1000
	}' "$work/resize.ms"
}

echo "== 01_for_loop"
loop_run
echo "== 02_pgzip"
pigz=$(command -v pigz || :)
if [ -x "$pgzip" ]; then
	pack_run
else
	echo "  was not built: zlib was not found"
fi
echo "== 03_resize_images"
if [ -x "$resize" ]; then
	resize_run "$1"
else
	echo "  was not built: libjpeg or libpng was not found"
fi
echo "== The main job"
cat "$work/loop.table"
[ ! -x "$pgzip" ] || pack_table
[ ! -x "$resize" ] || resize_table
