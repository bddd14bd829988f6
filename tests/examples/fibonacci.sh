#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fibonacci numbers by tasks are right, and so is the count of the tasks.

set -eu

program=${top_builddir:-..}/doc/examples/08_fibonacci

expect()
{
	out=$("$program" "$1")
	case $out in
	"fibonacci($1) = $2, by $3 tasks in "*) ;;
	*)
		echo "it says: $out"
		exit 1
		;;
	esac
}

expect 0 0 1
expect 1 1 1
expect 2 1 3
expect 20 6765 21891
