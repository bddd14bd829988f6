#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The examples with event loops answer each request, in each of their loops that
# was built here.

set -eu

dir=${top_builddir:-..}/doc/examples

"$dir/04_epoll" 20 | grep -qx '20 requests, 20 answers, 0 wrong'

for name in 05_libuv 06_glib; do
	[ -x "$dir/$name" ] || continue
	"$dir/$name" 200 | grep -qx '200 jobs, 0 left, 0 wrong'
done
