/* SPDX-License-Identifier: MIT */
/* Small arithmetic: cache lines, rounding, overflow, checked ranges. */
#ifndef FP_BASE_BITS_H
#define FP_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Two lines: the processor fetches pairs. */
#define FP_LINE		128
#define FP_ALIGNED	_Alignas(FP_LINE)

#define FP_PAGE		4096u

#define fp_likely(x)	__builtin_expect(!!(x), 1)
#define fp_unlikely(x)	__builtin_expect(!!(x), 0)

/*
 * For functions that end the process on the keeper's stack: AddressSanitizer
 * does not know that stack, and would say so on standard error.
 */
#define FP_UNKNOWN_STACK	__attribute__((no_sanitize("address")))

#if defined(__SANITIZE_THREAD__)
#define FP_THREAD_SANITIZER	1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FP_THREAD_SANITIZER	1
#endif
#endif
#ifndef FP_THREAD_SANITIZER
#define FP_THREAD_SANITIZER	0
#endif

/* Has a frame of its own, so that its buffers don't make the caller's stack deeper, on which others run as well. */
#define FP_APART	__attribute__((noinline))

/* Lies beside all that a round trip of a task takes: behind a sleep each page and each line of code comes from memory. */
#define FP_TRIP	__attribute__((hot))

#define fp_container(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

static inline size_t fp_round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static inline uint64_t fp_div_up(uint64_t n, uint64_t by)
{
	return n / by + (n % by != 0);
}

static inline uint64_t fp_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t fp_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The time ns after t; the last there is, where that lies beyond it. */
static inline int64_t fp_after(int64_t t, int64_t ns)
{
	int64_t sum;

	return __builtin_add_overflow(t, ns, &sum) ? INT64_MAX : sum;
}

static inline int64_t fp_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static inline bool fp_mul_overflows(size_t a, size_t b, size_t *product)
{
	return __builtin_mul_overflow(a, b, product);
}

/* Does [ptr, ptr + size) lie inside [base, base + len)? */
static inline bool fp_inside(const void *base, size_t len, const void *ptr,
			     size_t size)
{
	uintptr_t off = (uintptr_t)ptr - (uintptr_t)base;

	return (uintptr_t)ptr >= (uintptr_t)base && size <= len &&
	       off <= len - size;
}

/* Do [a, a + alen) and [b, b + blen) share a byte? */
static inline bool fp_overlap(const void *a, size_t alen, const void *b,
			      size_t blen)
{
	return alen && blen && (uintptr_t)a < (uintptr_t)b + blen &&
	       (uintptr_t)b < (uintptr_t)a + alen;
}

#endif
