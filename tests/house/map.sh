#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The version map, the functions that forkpool.h declares, and what the shared
# library exports are the same list.
src=${top_srcdir:-.}
lib=${top_builddir:-.}/lib/.libs/libforkpool.so
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT

awk '/^global:/ { on = 1; next } /^local:/ { on = 0 }
     on { gsub(/[ \t;]/, ""); if ($0 != "") print }' \
	"$src/lib/libforkpool.map" | sort >"$dir/map"

# Comments, preprocessor lines (continued ones too), typedefs and the header's own
# inline functions, which end in _, fall away.
awk '
	{
		out = ""
		for (i = 1; i <= length($0); i++) {
			two = substr($0, i, 2)
			if (!comment && two == "/*") { comment = 1; i++ }
			else if (comment && two == "*/") { comment = 0; i++ }
			else if (!comment) out = out substr($0, i, 1)
		}
		if (macro || out ~ /^[ \t]*#/) {
			macro = (out ~ /\\$/)
			next
		}
		print out
	}' "$src/include/forkpool.h" |
	grep -v '^typedef' |
	grep -oE 'forkpool_[a-z_0-9]*[a-z0-9]\(' | tr -d '(' | sort >"$dir/header"

diff -u "$dir/header" "$dir/map" || {
	echo "forkpool.h (-) and libforkpool.map (+) differ"
	exit 1
}
if [ ! -e "$lib" ]; then
	echo "no shared library was built: exports not checked"
	exit 0
fi
${NM:-nm} -D --defined-only "$lib" | awk '$2 != "A" { print $3 }' |
	sed 's/@.*//' | sort >"$dir/exports"
diff -u "$dir/map" "$dir/exports" || {
	echo "libforkpool.map (-) and the exports of the library (+) differ"
	exit 1
}
