#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each atomic of lib/ that is not relaxed bears a label that names its partner;
# CONTRIBUTING.md has the grammar.  This fails on
#	an atomic without a label on its line or in the 6 lines above,
#	a label used but not defined, defined twice, or defined and not used,
#	a definition that names no partner, or one that does not exist,
#	an atomic that goes round base/atomic.h.
cd "${top_srcdir:-.}/lib" || exit 99

bad=$(awk '
	function complain(text)
	{
		print FILENAME ":" FNR ": " text
	}
	function define(label, rest)
	{
		if (label in defined)
			complain(label " is defined already in " defined[label])
		defined[label] = FILENAME ":" FNR
		body[label] = rest
		current = label
	}
	# Notes each label of a line; a label with a colon is a definition, whose
	# text lasts until the comment ends or the next definition begins.
	function scan(line, label)
	{
		if (current != "")
			body[current] = body[current] " " line
		while (match(line, /[A-Z][A-Z0-9]*-[A-Z][0-9]+/)) {
			label = substr(line, RSTART, RLENGTH)
			line = substr(line, RSTART + RLENGTH)
			if (line ~ /^[A-Za-z0-9_]/)
				continue
			last = FNR
			near[FNR] = near[FNR] " " label
			mentioned[label] = FILENAME ":" FNR
			if (line ~ /^:/)
				define(label, line)
		}
	}
	# The partners that a definition names, between spaces.
	function partners(label, text, list)
	{
		text = body[label]
		if (!match(text, /pairs with /))
			return ""
		text = substr(text, RSTART + RLENGTH)
		sub(/[.;:].*/, "", text)
		if (text ~ /^itself/)
			return label
		while (match(text, /[A-Z][A-Z0-9]*-[A-Z][0-9]+/)) {
			list = list " " substr(text, RSTART, RLENGTH)
			text = substr(text, RSTART + RLENGTH)
		}
		return list
	}
	FNR == 1 {
		current = ""
		last = -100
		split("", near)
	}
	FILENAME == "./base/atomic.h" {
		next
	}
	/(^|[^a-z_])(__atomic_|__sync_|atomic_[a-z_]+\(|memory_order_)/ {
		complain("goes round base/atomic.h")
	}
	{
		text = $0
		gsub(/[ \t*]+/, " ", text)
		scan(text)
		if ($0 ~ /\*\// || $0 ~ /^[ \t]*\*?[ \t]*$/)
			current = ""
	}
	/fp_[a-z]+_(acq|rel|sc)[ \t]*\(/ && !/^[ \t]*\*/ {
		if (FNR - last > 6)
			complain("this atomic has no label: " $0)
		for (i = FNR - 6; i <= FNR; i++) {
			n = split(near[i], labels, " ")
			for (j = 1; j <= n; j++)
				used[labels[j]] = 1
		}
	}
	END {
		for (label in mentioned)
			if (!(label in defined))
				print mentioned[label] ": " label " is defined nowhere"
		for (label in defined) {
			if (!(label in used))
				print defined[label] ": no atomic bears " label
			n = split(partners(label), labels, " ")
			if (!n)
				print defined[label] ": " label " names no partner"
			for (j = 1; j <= n; j++)
				if (!(labels[j] in defined))
					print defined[label] ": " label " pairs with " labels[j] ", which does not exist"
		}
	}' ./*/*.c ./*/*.h)

[ -z "$bad" ] || { printf '%s\n' "$bad"; exit 1; }
