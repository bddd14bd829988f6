/* SPDX-License-Identifier: MIT */
/* Copying past the caches; see copy.c. */
#ifndef FP_BASE_COPY_H
#define FP_BASE_COPY_H

#include <stddef.h>

/* As memcpy(), for much that the caller does not read again soon. */
void fp_copy_past(void *to, const void *from, size_t size);

#endif
