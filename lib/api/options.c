/* SPDX-License-Identifier: MIT */
/*
 * Options structs begin with size_t sz, the size the program was compiled with.
 * An older program has fewer fields: those it lacks are zero, as if it had left
 * them out.  A newer one has more: what this library does not know must be zero.
 * The kernel's openat2() and clone3() keep the same rule.  Structs that the library
 * fills begin with sz as well: an older program gets the fields that it has, and in
 * a newer one what this library does not know is zero.
 */
#include "api/options.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

#define ABSURD	4096	/* no such struct will ever be as large */

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

int fp_output_check(const void *ret, size_t first)
{
	size_t sz;

	memcpy(&sz, ret, sizeof(sz));
	if (sz < first)
		return -EINVAL;
	return sz > ABSURD ? -E2BIG : 0;
}

void fp_output_copy(void *ret, size_t known, const void *from)
{
	size_t sz;

	memcpy(&sz, ret, sizeof(sz));
	memset((char *)ret + sizeof(sz), 0, sz - sizeof(sz));
	memcpy((char *)ret + sizeof(sz), (const char *)from + sizeof(sz),
	       fp_min(sz, known) - sizeof(sz));
}
