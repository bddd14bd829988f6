#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The first example prints the right squares, once from its loop and once from
# its pool, in a pipe too; its items are made short here.

set -eu

program=${top_builddir:-..}/doc/examples/01_for_loop

# In a pipe the loop's lines come first, and nothing is printed twice.
out=$("$program" 50 | cat)

squares=$(printf '%s\n' "$out" | grep ' = ' | sort)
want='  1 x 1 = 1
  1 x 1 = 1
  2 x 2 = 4
  2 x 2 = 4
  3 x 3 = 9
  3 x 3 = 9
  4 x 4 = 16
  4 x 4 = 16'
[ "$squares" = "$want" ] || {
	echo "wrong squares:"
	printf '%s\n' "$out"
	exit 1
}

times=$(printf '%s\n' "$out" | sed -n '5p; 10p' | sed 's/[0-9.]* s$//')
[ "$times" = "$(printf 'plain loop: \npool: ')" ] || {
	echo "the times are not where they belong:"
	printf '%s\n' "$out"
	exit 1
}
