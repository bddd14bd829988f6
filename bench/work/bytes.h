/* SPDX-License-Identifier: MIT */
/* The sum of some bytes, as fast as one core reads them. */
#ifndef BENCH_WORK_BYTES_H
#define BENCH_WORK_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static inline uint64_t bytes_sum_plain(const unsigned char *p, size_t size)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < size; i++)
		sum += p[i];
	return sum;
}

#if defined(__x86_64__)
/* size is a multiple of 64. */
__attribute__((target("avx2"))) static uint64_t bytes_sum_avx2(const unsigned char *p, size_t size)
{
	const __m256i *v = (const __m256i *)(const void *)p;
	const __m256i zero = _mm256_setzero_si256();
	__m256i a = zero, b = zero;
	uint64_t part[4];
	size_t i;

	for (i = 0; i < size / sizeof(*v); i += 2) {
		a = _mm256_add_epi64(a, _mm256_sad_epu8(_mm256_loadu_si256(v + i), zero));
		b = _mm256_add_epi64(b, _mm256_sad_epu8(_mm256_loadu_si256(v + i + 1), zero));
	}
	a = _mm256_add_epi64(a, b);
	memcpy(part, &a, sizeof(part));
	return part[0] + part[1] + part[2] + part[3];
}
#endif

static inline uint64_t bytes_sum(const unsigned char *p, size_t size)
{
#if defined(__x86_64__)
	if (size % 64 == 0 && __builtin_cpu_supports("avx2"))
		return bytes_sum_avx2(p, size);
#endif
	return bytes_sum_plain(p, size);
}

#endif
