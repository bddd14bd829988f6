#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A test that no Makefile.am names is never run: each file of tests/ROOM/ is
# named in tests/Makefile.am, and each example and page in doc/Makefile.am, else it
# is not in a distribution.
cd "${top_srcdir:-.}" || exit 99
status=0

expect_named() {	# FILE WORD MAKEFILE
	grep -qE "(^|[[:space:]/=])$2([[:space:]]|\$)" "$3" || {
		echo "$3 does not name $1"
		status=1
	}
}

for file in tests/*.[ch] tests/*/*.[ch] tests/*/*.sh tests/*/*.pml; do
	[ -e "$file" ] || continue
	word=${file#tests/}
	expect_named "$file" "${word%.c}(\.c)?" tests/Makefile.am
done
for file in doc/examples/*.c doc/design/*.md; do
	[ -e "$file" ] || continue
	expect_named "$file" "${file#doc/}" doc/Makefile.am
done
exit $status
