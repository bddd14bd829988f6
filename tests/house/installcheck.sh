#!/bin/sh
# SPDX-License-Identifier: MIT
#
# installcheck.sh DESTDIR LIBDIR INCLUDEDIR: a program outside the tree is
# compiled, linked through pkg-config with what `make install` left, and run:
# with the shared library and with the static one, where each was installed, and
# linked statically as a whole, where the other libraries can be.
destdir=$1 libdir=$2 includedir=$3
CC=${CC:-cc} PKG_CONFIG=${PKG_CONFIG:-pkg-config}
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
ran=0

die() {
	echo "installcheck: $*" >&2
	exit 1
}

cat >"$dir/program.c" <<'PROGRAM'
#include <forkpool.h>
#include <stdio.h>

static int square(void *arg, const void *in, void *out)
{
	const int *x = in;
	int *y = out;

	(void)arg;
	*y = *x * *x;
	return 0;
}

int main(void)
{
	int in[4] = { 1, 2, 3, 4 }, out[4] = { 0 };
	struct forkpool *pool;
	FORKPOOL_OPTS(opts, .workers = 2, .pin = FORKPOOL_PIN_COMPACT);
	int err = forkpool_create(&pool, &opts);

	if (!err) {
		err = FORKPOOL_MAP(pool, square, in, out, 4);
		forkpool_destroy(pool);
	}
	if (err)
		fprintf(stderr, "%s\n", forkpool_strerror(err));
	printf("%d %d %d %d\n", out[0], out[1], out[2], out[3]);
	return err != 0;
}
PROGRAM

[ -r "$destdir$includedir/forkpool.h" ] || die "forkpool.h is not installed"
PKG_CONFIG_PATH=$destdir$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
[ -z "$destdir" ] || { PKG_CONFIG_SYSROOT_DIR=$destdir; export PKG_CONFIG_SYSROOT_DIR; }

# try KIND LIBS...: flags of several words are meant to be split.
try() {
	kind=$1
	shift
	# shellcheck disable=SC2046,SC2086
	$CC $CFLAGS -o "$dir/$kind" "$dir/program.c" \
		$($PKG_CONFIG --cflags forkpool) "$@" $LDFLAGS ||
		die "the $kind program does not build"
	text=$(LD_LIBRARY_PATH="$destdir$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
		"$dir/$kind") || die "the $kind program failed"
	[ "$text" = "1 4 9 16" ] || die "the $kind program printed: $text"
	echo "installcheck: the $kind program works"
	ran=$((ran + 1))
}

libs=$($PKG_CONFIG --libs forkpool) || die "pkg-config does not know forkpool"
# shellcheck disable=SC2086
[ ! -e "$destdir$libdir/libforkpool.so" ] || try shared $libs
if [ -e "$destdir$libdir/libforkpool.a" ]; then
	libs=$($PKG_CONFIG --libs --static forkpool) || die "pkg-config --static failed"
	# shellcheck disable=SC2046,SC2086
	try static $(echo "$libs" | sed 's/-lforkpool/-l:libforkpool.a/')
	echo 'int main(void) { return 0; }' >"$dir/empty.c"
	# shellcheck disable=SC2001,SC2046,SC2086
	if $CC $CFLAGS -static -o "$dir/empty" "$dir/empty.c" \
		$(echo "$libs" | sed 's/-lforkpool//') $LDFLAGS 2>"$dir/missing"; then
		# shellcheck disable=SC2086
		try whole -static $libs
	else
		echo "installcheck: no program that is static as a whole, for want of other libraries:"
		cat "$dir/missing"
	fi
fi
[ "$ran" -gt 0 ] || die "no library is installed in $destdir$libdir"
