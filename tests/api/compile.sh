#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The header compiles as C11 and as C++ without a warning, and FORKPOOL_MAP()
# refuses void * at compile time.
include=${top_srcdir:-.}/include
status=0

# The rest of the arguments is a compiler; the source comes on stdin.  What must
# fail gets no warnings made errors, or it might fail for another reason.
expect() {	# yes|no WHAT LANGUAGE COMPILER...
	expected=$1 what=$2 language=$3
	shift 3
	[ "$expected" = no ] || set -- "$@" -Wall -Wextra -Werror -pedantic
	if text=$("$@" -I"$include" -x "$language" -fsyntax-only - 2>&1); then
		found=yes
	else
		found=no
	fi
	[ $found = "$expected" ] && return 0
	echo "$what: compiles: $found, expected: $expected"
	echo "$text"
	return 1
}

program() {	# TYPE OF in, TYPE OF out, OPTIONS
	cat <<-END
	#include <forkpool.h>
	static int item(void *arg, const void *in, void *out)
	{
		(void)arg; (void)in; (void)out;
		return 0;
	}
	int test(struct forkpool *p, $1 in, $2 out);
	int test(struct forkpool *p, $1 in, $2 out)
	{
		FORKPOOL_OPTS(opts);
		FORKPOOL_JOB_OPTS(job, .retries = 2);
		(void)opts; (void)job;
		return FORKPOOL_MAP(p, item, in, out, 4 $3);
	}
	END
}

c="${CC:-cc} -std=c11"
# shellcheck disable=SC2086	# a compiler may be several words
{
	program 'const int *' 'double *' | expect yes 'typed pointers' c $c || status=1
	program 'int *' 'int *' ', .retries = 2, .chunk = 3' | expect yes 'options' c $c || status=1
	program 'void *' 'int *' | expect no 'void * in' c $c || status=1
	program 'const void *' 'int *' | expect no 'const void * in' c $c || status=1
	program 'int *' 'void *' | expect no 'void * out' c $c || status=1
	program 'int *' 'int *' ', .nonsense = 2' | expect no 'unknown option' c $c || status=1
}

cxx=${CXX:-c++}
command -v "${cxx%% *}" >/dev/null 2>&1 || exit $status
for std in c++11 c++17; do
	# shellcheck disable=SC2086
	expect yes "$std" c++ $cxx -std=$std <<-END || status=1
	#include <forkpool.h>
	int test();
	int test()
	{
		forkpool_opts opts = forkpool_opts();
		forkpool *pool;
		opts.sz = sizeof(opts);
		opts.workers = 2;
		return forkpool_create(&pool, &opts) ? 1 : forkpool_close(pool);
	}
	END
done
exit $status
