/* SPDX-License-Identifier: MIT */
/*
 * Options structs begin with size_t sz, the size the program was compiled with.
 * A program may be newer than the library: then what the library does not know
 * must be zero.  It can't be older than the first version, which is this one.
 */
#include "api/options.h"

#include <errno.h>
#include <string.h>

#define ABSURD	4096	/* no options struct will ever be as large */

int fp_options_copy(void *ret, size_t known, const void *opts)
{
	const char *bytes = opts;
	size_t sz, i;

	if (!opts) {
		memset(ret, 0, known);
		return 0;
	}
	memcpy(&sz, opts, sizeof(sz));
	if (sz < known)
		return -EINVAL;
	if (sz > ABSURD)
		return -E2BIG;
	for (i = known; i < sz; i++)
		if (bytes[i])
			return -E2BIG;
	memcpy(ret, opts, known);
	return 0;
}
