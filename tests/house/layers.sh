#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A file in lib/ includes its own header, its own room and lower rooms.  shm and
# sync stand side by side; sync knows of shm only how the segment is laid out.
# Public and system headers are everybody's.
cd "${top_srcdir:-.}/lib" || exit 99

bad=$(awk '
	BEGIN {
		split("base os shm sync task proc engine api", rooms)
		split("0 1 2 2 3 4 5 6", levels)
		for (i in rooms)
			level[rooms[i]] = levels[i]
	}
	FNR == 1 {
		split(FILENAME, part, "/")
		room = part[2]
		if (!(room in level))
			print FILENAME ": no such room"
	}
	/^[ \t]*#[ \t]*include[ \t]*"/ {
		split($0, quoted, "\"")
		name = quoted[2]
		if (name == "forkpool.h" || name == "config.h")
			next
		if (name !~ /\//) {
			print FILENAME ":" FNR ": " name " needs its room"
			next
		}
		split(name, part, "/")
		if (!(part[1] in level))
			print FILENAME ":" FNR ": " name ": no such room"
		else if (part[1] != room && level[part[1]] >= level[room] &&
			 !(room == "sync" && name == "shm/layout.h"))
			print FILENAME ":" FNR ": " room "/ may not know " name
		seen[FILENAME, "./" name] = 1
	}
	END {
		for (i = 1; i < ARGC; i++) {
			own = ARGV[i]
			if (sub(/\.c$/, ".h", own) && (getline line <own) >= 0 &&
			    !((ARGV[i], own) in seen))
				print ARGV[i] ": does not include its own header"
		}
	}' ./*/*.c ./*/*.h)

[ -z "$bad" ] || { printf '%s\n' "$bad"; exit 1; }
