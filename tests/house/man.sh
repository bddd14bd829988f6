#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each exported function has a man page, which says what STYLE asks of it and
# is named in doc/Makefile.am.
cd "${top_srcdir:-.}" || exit 99
status=0

names=$(awk '/^global:/ { on = 1; next } /^local:/ { on = 0 }
	     on { gsub(/[ \t;]/, ""); print }' lib/libforkpool.map)
for name in $names; do
	page=doc/man/$name.3
	if [ ! -e "$page" ]; then
		echo "$page is missing"
		status=1
		continue
	fi
	grep -q "man/$name\.3" doc/Makefile.am || {
		echo "doc/Makefile.am does not name $page"
		status=1
	}
	# A page that only points to another one (.so man3/other.3) has no text.
	grep -q '^\.so ' "$page" && continue
	for section in NAME SYNOPSIS 'RETURN VALUE' ERRORS EXAMPLE; do
		grep -qE "^\.S[Hh] \"?$section" "$page" || {
			echo "$page has no section $section"
			status=1
		}
	done
done
exit $status
