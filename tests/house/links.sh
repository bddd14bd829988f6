#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the Markdown pages link to in the tree is there.
cd "${top_srcdir:-.}" || exit 99

bad=$(find . -name '*.md' ! -path './build*' ! -path './.git/*' | sort |
	while read -r page; do
	grep -oE '\]\([^)]+\)' "$page" | sed 's/^](//; s/)$//; s/#.*//' |
		while read -r target; do
		case $target in
		'' | http://* | https://* | mailto:*) continue ;;
		esac
		[ -e "$(dirname "$page")/$target" ] ||
			echo "$page links to $target, which is not there"
	done
done)

[ -z "$bad" ] || { printf '%s\n' "$bad"; exit 1; }
