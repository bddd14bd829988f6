#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The merge sort sorts, whatever the length; it looks at its result itself.

set -eu

program=${top_builddir:-..}/doc/examples/07_merge_sort

for n in 1 2 4096 4097 300001; do
	out=$("$program" $n)
	printf '%s\n' "$out" | grep -q "^sorted $n numbers in " &&
		printf '%s\n' "$out" | grep -q '^in order, and none is lost: ' || {
		echo "with $n numbers it says:"
		printf '%s\n' "$out"
		exit 1
	}
done
