/* SPDX-License-Identifier: MIT */
/*
 * Options structs begin with size_t sz, the size the program was compiled with.
 * An older program has fewer fields: those it lacks are zero, as if it had left
 * them out.  A newer one has more: what this library does not know must be zero.
 * The kernel's openat2() and clone3() keep the same rule.
 */
#include "api/options.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

#define ABSURD	4096	/* no options struct will ever be as large */

int fp_options_copy(void *ret, size_t first, size_t known, const void *opts)
{
	const char *bytes = opts;
	size_t sz, i;

	if (!opts) {
		memset(ret, 0, known);
		return 0;
	}
	memcpy(&sz, opts, sizeof(sz));
	if (sz < first)
		return -EINVAL;
	if (sz > ABSURD)
		return -E2BIG;
	for (i = known; i < sz; i++)
		if (bytes[i])
			return -E2BIG;
	memset(ret, 0, known);
	memcpy(ret, opts, fp_min(sz, known));
	return 0;
}
