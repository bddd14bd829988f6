/* SPDX-License-Identifier: MIT */
/*
 * Copying what the next reader is another CPU's: stores that go to memory past the
 * caches need not read the line first, leave the caches to others, and spare the
 * reader lines that another CPU's cache holds changed, which cost several times as
 * much as memory where the two CPUs share no cache.  libc does so above a size of
 * its own, many MiB, and for one call at a time.
 */
#include "base/copy.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <emmintrin.h>

#define BLOCK	((size_t)64)	/* a line */
#define AHEAD	1024		/* bytes; past the end a prefetch does nothing */

static void copy_block(char *to, const char *from)
{
	const __m128i *src = (const __m128i *)(const void *)from;
	__m128i *dst = (__m128i *)(void *)to;
	__m128i a = _mm_loadu_si128(src), b = _mm_loadu_si128(src + 1);
	__m128i c = _mm_loadu_si128(src + 2), d = _mm_loadu_si128(src + 3);

	_mm_stream_si128(dst, a);
	_mm_stream_si128(dst + 1, b);
	_mm_stream_si128(dst + 2, c);
	_mm_stream_si128(dst + 3, d);
}

void fp_copy_past(void *to, const void *from, size_t size)
{
	size_t head = -(uintptr_t)to % BLOCK, i;

	if (head > size)
		head = size;
	memcpy(to, from, head);
	for (i = head; size - i >= BLOCK; i += BLOCK) {
		_mm_prefetch((const char *)from + i + AHEAD, _MM_HINT_T0);
		copy_block((char *)to + i, (const char *)from + i);
	}
	/* Before whatever the caller publishes next: such stores keep no order. */
	_mm_sfence();
	memcpy((char *)to + i, (const char *)from + i, size - i);
}

#else

void fp_copy_past(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
}

#endif
