#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The third example scales all pictures but those that are trouble, says why it
# left each of them, and leaves nothing half-written.
set -eu

dir=$(cd "${top_builddir:-..}/doc/examples" && pwd)
resize=$dir/03_resize_images
[ -x "$resize" ] || {
	echo "03_resize_images was not built: no libjpeg or libpng"
	exit 77
}

COUNT=12

work=$(mktemp -d "${TMPDIR:-/tmp}/resize-test.XXXXXX")
trap 'trap "" HUP INT TERM; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"

fail()
{
	echo "FAIL: $*"
	exit 1
}

# run STATUS OPTION...: what it said is in report.
run()
{
	want=$1 status=0
	shift
	"$resize" "$@" >report 2>errors || status=$?
	cat report errors
	[ "$status" -eq "$want" ] || fail "$*: exit status $status, not $want"
}

said()
{
	grep -q -e "$1" report || fail "the report has no '$1'"
}

mkdir in out again
"$dir/make_images" $COUNT in

# ---- With trouble

# Where a worker can't die, the pictures that take one with them stay out.
case ${FORKPOOL_MODE:-processes} in
processes) all="--faults -t 5" left=4 ;;
*) all="" left=2; rm in/trouble-crash.jpg in/trouble-hang.jpg ;;
esac
# The options are a list of words.
# shellcheck disable=SC2086
run 1 $all -s 100x80 in out
said "^$COUNT of $((COUNT + left)) pictures now fit 100x80"
said "trouble-cut.jpg .*broken"
said "trouble-text.png .*neither"
if [ $left = 4 ]; then
	said "trouble-crash.jpg .*crashed the decoder: Seg"
	said "trouble-hang.jpg .*took longer than 5 s"
fi
[ "$(find out -type f | wc -l)" -eq $COUNT ] || fail "out holds $(ls -A out)"

# ---- Without

rm -f in/trouble-*
run 0 -p 2 out again
said "^$COUNT of $COUNT"
cmp out/good-0001.png again/good-0001.png || fail "a picture that fits was changed"

# ---- Errors

run 2 in
run 2 -s 0x0 in out
run 2 -t 0 in out
run 2 nowhere out
