#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the second example packs, gunzip unpacks: sizes around a block and a
# window, content of every kind, all ways of calling it, and its errors.

set -eu

pgzip=$(cd "${top_builddir:-..}/doc/examples" && pwd)/02_pgzip
[ -x "$pgzip" ] || {
	echo "02_pgzip was not built: no zlib"
	exit 77
}

BLOCK=131072
WINDOW=$((8 * BLOCK))	# with one worker

work=$(mktemp -d "${TMPDIR:-/tmp}/pgzip-test.XXXXXX")
trap 'trap "" HUP INT TERM; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"

fail()
{
	echo "FAIL: $*"
	exit 1
}

# round_trip FILE OPTION...: from stdin to stdout.
round_trip()
{
	file=$1
	shift
	"$pgzip" "$@" <"$file" >packed.gz || fail "$file $*: exit status $?"
	gzip -t packed.gz || fail "$file $*: gzip -t"
	gzip -dc packed.gz | cmp - "$file" || fail "$file $*: cmp"
}

# refused TEXT COMMAND...: fails with status 1 and says TEXT.
refused()
{
	text=$1
	shift
	status=0
	"$@" >/dev/null 2>errors || status=$?
	[ "$status" -eq 1 ] || fail "$*: exit status $status"
	grep -q -e "$text" errors || fail "$*: said $(cat errors)"
}

# ---- Round trips

head -c $((9 * WINDOW + 12345)) /dev/zero >zeros
head -c $((3 * WINDOW + 777)) /dev/urandom >random
awk 'BEGIN { for (i = 0; i < 400000; i++) print i, i * i % 9973, "line" }' >text

for size in 0 1 $((BLOCK - 1)) "$BLOCK" $((BLOCK + 1)) "$WINDOW" \
	$((WINDOW + 1)) $((2 * WINDOW)); do
	head -c "$size" text >"text-$size"
	round_trip "text-$size" -p 1
	round_trip "text-$size" -p 3
	head -c "$size" random >"random-$size"
	round_trip "random-$size" -p 2
done
for file in zeros random text; do
	round_trip "$file"
	round_trip "$file" -p 1
	round_trip "$file" -p 3
	round_trip "$file" -1
	round_trip "$file" -9 -p 2
done

# The same input gives the same bytes, whoever packs it.
"$pgzip" -p 1 <text-$WINDOW >one.gz
"$pgzip" -p 1 <text-$WINDOW | cmp - one.gz || fail "packed differently twice"
"$pgzip" -p 3 <text-$WINDOW | cmp - one.gz || fail "three workers pack differently"
[ "$("$pgzip" -9 <text | wc -c)" -lt "$("$pgzip" -1 <text | wc -c)" ] ||
	fail "level 9 is not smaller than level 1"

# Input that comes in dribs.
{ cat text-1; sleep 0.1; cat text; } | "$pgzip" | gzip -dc >out
cat text-1 text | cmp - out || fail "input from a slow pipe"

# ---- Files

cp text file
chmod 640 file
"$pgzip" -k file
[ -e file ] || fail "-k did not keep the file"
gzip -dc file.gz | cmp - file || fail "FILE.gz"
[ "$(stat -c '%a %Y' file.gz)" = "$(stat -c '%a %Y' file)" ] ||
	fail "FILE.gz has another mode or time"

echo old >file.gz
refused 'file.gz: File exists' "$pgzip" file
[ "$(cat file.gz)" = old ] || fail "an existing output was overwritten"
[ -e file ] || fail "the input of a failed run is gone"
rm file.gz

"$pgzip" -c file | gzip -dc | cmp - text || fail "-c"
[ ! -e file.gz ] || fail "-c wrote a file"
[ -e file ] || fail "-c removed the file"
"$pgzip" file
[ ! -e file ] || fail "FILE is still there"
gzip -dc file.gz | cmp - text || fail "FILE.gz, FILE removed"
rm file.gz

# ---- Errors

ln -s text link
refused 'link: ' "$pgzip" link
refused 'no-such-file: No such file' "$pgzip" no-such-file
refused 'not a regular file' "$pgzip" "$work"
refused 'not a number' "$pgzip" -p 0 text
refused 'not a number' "$pgzip" -p 2x text
refused 'usage: ' "$pgzip" -Z
refused 'one FILE' "$pgzip" text random
refused 'stdin: Is a directory' sh -c "'$pgzip' <."
if [ -c /dev/full ]; then
	refused 'stdout: No space left' sh -c "'$pgzip' <text >/dev/full"
fi
"$pgzip" -h | grep -q '^usage: ' || fail "-h"

# A reader that leaves early: an error, not a hang, though more input may come.
mkfifo endless
exec 3<>endless
{
	status=0
	cat random random endless | "$pgzip" -p 1 2>errors || status=$?
	echo "$status" >status
} 3>&- | head -c 1 >/dev/null 3>&- &
packer=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	! grep -q 'Broken pipe' errors || break
	sleep 0.5
done
exec 3>&-
wait "$packer"
[ "$(cat status)" = 1 ] || fail "broken pipe: exit status $(cat status)"
grep -q 'stdout: Broken pipe' errors || fail "broken pipe: said $(cat errors)"

# A signal in the middle of a file that would take minutes.
truncate -s 16G huge
status=0
"$pgzip" -1 -p 1 huge &
packer=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ ! -s huge.gz ] || break
	sleep 0.1
done
[ -s huge.gz ] || fail "a large file: no output after seconds"
kill -TERM "$packer"
wait "$packer" || status=$?
[ "$status" -eq 143 ] || fail "SIGTERM: exit status $status"
[ ! -e huge.gz ] || fail "SIGTERM: the unfinished output is still there"
[ -e huge ] || fail "SIGTERM: the input is gone"
