#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The programs that are ported from OpenMP (doc/porting.md) come to the right
# result in each of their versions: EP's published sums, also when a worker is
# killed meanwhile, and the same picture of the Mandelbrot set.
set -eu

dir=${top_builddir:-..}/bench/programs
ROWS=97

work=$(mktemp -d "${TMPDIR:-/tmp}/programs-test.XXXXXX")
trap 'trap "" HUP INT TERM; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail()
{
	echo "FAIL: $*"
	cat "$work/out" "$work/errors"
	exit 1
}

# run STATUS PROGRAM OPTION...: what it said is in $work/out and $work/errors.
run()
{
	want=$1 program=$2 status=0
	shift 2
	"$dir/$program" "$@" >"$work/out" 2>"$work/errors" || status=$?
	[ "$status" -eq "$want" ] ||
		fail "$program $*: exit status $status, not $want"
}

said()
{
	grep -q -e "$2" "$work/$1" || fail "there is no '$2' in what it said"
}

# same NAME WORD: the line that begins with WORD is the same, whoever printed it.
same()
{
	grep -e "^  $2 " "$work/out" >"$work/new" || fail "it printed no $2"
	[ -e "$work/$1" ] || cp "$work/new" "$work/$1"
	cmp -s "$work/$1" "$work/new" || fail "$1: not as before: $(cat "$work/$1")"
}

# OpenMP's runtime library knows nothing of ThreadSanitizer, which suspects it.
versions="forkpool pipe"
case ${CFLAGS:-} in
*fsanitize=thread*) ;;
*) [ ! -x "$dir/ep-omp" ] || versions="omp $versions" ;;
esac

# ---- EP

for version in $versions; do
	run 0 "ep-$version" -c S -w 2
	said out "^ep-$version: class S, 2 workers, [0-9.]* s\$"
	said out '^  verified$'
	same ep-counts counts
	# In OpenMP's reduction the order of the sum is nobody's choice.
	[ "$version" = omp ] || same ep-sums sums
done

# The last bit does not depend on who worked.
for workers in 1 3 8; do
	run 0 ep-forkpool -w $workers
	said out '^  verified$'
	same ep-sums sums
	same ep-counts counts
done

# A pool of processes outlives a worker, and its result is none the worse.
if [ "${FORKPOOL_MODE:-processes}" = processes ]; then
	run 0 ep-forkpool -w 2 --kill
	said out '^killed worker [01] (process [0-9]*) at work; deaths 1, '
	said out '^  verified$'
	same ep-sums sums
else
	run 1 ep-forkpool -w 2 --kill
	said errors '^killer: '
fi

# Who writes a pool on pipes has to think of that.
run 1 ep-pipe -w 2 --kill
said errors '^pipes: a worker died'

# ---- The Mandelbrot set

for version in $versions; do
	run 0 "mandelbrot-$version" -r $ROWS -w 3 -o "$work/$version.pgm"
	said out "^mandelbrot-$version: $ROWS rows, 3 workers, "
	said out '^  verified$'
	same mandelbrot-sum checksum
	[ -e "$work/first.pgm" ] || cp "$work/$version.pgm" "$work/first.pgm"
	cmp "$work/$version.pgm" "$work/first.pgm" || fail "$version: another picture"
done
[ "$(head -n 3 "$work/first.pgm" | tr '\n' ' ')" = "P5 1024 $ROWS 255 " ] ||
	fail "this is no picture: $(head -c 15 "$work/first.pgm")"
run 1 mandelbrot-pipe -r 1 -o "$work/none/picture.pgm"
said errors 'No such file'

# ---- Wrong command lines

for version in $versions; do
	for options in -x '-c Q' '-c' '-w 0' '-w 2x' '-w 99999999999999999999' 'more'; do
		# The options are a list of words.
		# shellcheck disable=SC2086
		run 2 "ep-$version" $options
		said errors "^usage: ep-$version "
	done
	run 2 "mandelbrot-$version" -r 0
	said errors "^usage: mandelbrot-$version "
done
