#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each source names its licence in its first three lines.
cd "${top_srcdir:-.}" || exit 99

bad=$(find quickstart .ci configure.ac Makefile.am include lib tests bench doc \
	-type f \( -name '*.[ch]' -o -name '*.cc' -o -name '*.cpp' \
	-o -name '*.sh' -o -name '*.am' -o -name '*.ac' -o -name '*.in' \
	-o -name '*.map' -o -name '*.pml' -o -name '*.[37]' \
	-o -name quickstart -o -path '.ci/*' \) ! -name Makefile.in |
	while read -r file; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: MIT' ||
			echo "$file: no SPDX line"
	done)

[ -z "$bad" ] || { printf '%s\n' "$bad"; exit 1; }
