/* SPDX-License-Identifier: MIT */
/* Options structs of any version; see options.c. */
#ifndef FP_API_OPTIONS_H
#define FP_API_OPTIONS_H

#include <stddef.h>

/*
 * Copies a user's options struct into ret, which is of this library's version
 * (known bytes).  opts NULL: all zero.  0; -EINVAL: sz smaller than any version
 * was; -E2BIG: bytes that this version does not know are not zero.
 */
int fp_options_copy(void *ret, size_t known, const void *opts);

#endif
