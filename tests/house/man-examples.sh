#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The example programs of the manual pages compile without a warning and run.
#
# An example program is a block between .EX and .EE that has a main.  A page that
# is not just a link to another must have one.  Each is compiled against the
# public header, linked with the library as built, and must end quickly with
# status 0.
set -eu

top_srcdir=${top_srcdir:-$(dirname "$0")/../..}
top_builddir=${top_builddir:-$top_srcdir}
CC=${CC:-cc}
CFLAGS=${CFLAGS:-}
LIMIT_S=20

library=$top_builddir/lib/libforkpool.la
if [ ! -f "$library" ]; then
	echo "There is no $library: build first."
	exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# Writes each example program of PAGE to PREFIX1.c, PREFIX2.c ...
programs_extract()
{
	awk -v prefix="$2" '
	/^\.EX/ { inside = 1; text = ""; next }
	/^\.EE/ {
		inside = 0
		if (text ~ /int main\(/) {
			file = prefix (++count) ".c"
			printf "%s", text > file
			close(file)
		}
		next
	}
	inside {
		sub(/^\\&/, "")
		gsub(/\\-/, "-")
		gsub(/\\\(aq/, "\047")
		gsub(/\\\(ha/, "^")
		gsub(/\\\(ti/, "~")
		gsub(/\\\(ga/, "`")
		gsub(/\\e/, "\\")
		text = text $0 "\n"
	}' "$1"
}

# Compiles, links and runs PROGRAM, which is PROGRAM.c; what goes wrong is told.
program_check()
{
	# The flags are lists of words.
	# shellcheck disable=SC2086
	$CC $CFLAGS -std=gnu11 -Wall -Wextra -Werror -pthread \
		-I"$top_srcdir/include" -c "$1.c" -o "$1.o" || return 1
	# shellcheck disable=SC2086
	"$top_builddir/libtool" --silent --tag=CC --mode=link $CC $CFLAGS \
		-no-install -pthread "$1.o" "$library" -lm -o "$1" || return 1
	timeout -k 1 "$LIMIT_S" "$1" >"$1.out" 2>&1 </dev/null && return 0
	echo "$(basename "$1") ended with status $?:"
	cat "$1.out"
	return 1
}

failed=0
checked=0
for page in "$top_srcdir"/doc/man/*.[37]; do
	if grep -q '^\.so ' "$page"; then
		continue
	fi
	name=$(basename "$page")
	programs_extract "$page" "$dir/$name-"
	set -- "$dir/$name-"*.c
	if [ ! -f "$1" ]; then
		echo "$name has no example program."
		failed=$((failed + 1))
		continue
	fi
	for source in "$@"; do
		checked=$((checked + 1))
		program_check "${source%.c}" || {
			echo "The example $(basename "$source") fails."
			failed=$((failed + 1))
		}
	done
done

echo "$checked example programs, $failed failures."
[ "$checked" -gt 0 ] && [ "$failed" -eq 0 ]
