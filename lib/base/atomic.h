/* SPDX-License-Identifier: MIT */
/*
 * Atomics by the name of their order.
 *
 * What lies in the segment is shared between processes, so only lock-free C11
 * atomics are used on it.  The names say the order, so that each use can be
 * checked against the label beside it; there are no fences (ThreadSanitizer
 * does not know them): where two sides must each see the other, both use the
 * sequentially consistent forms.
 *
 * Both, also behind a swap: on x86 that is a fence, on aarch64 it need not be, and a
 * relaxed load that follows may be done before the swap is seen by others, as may a
 * relaxed store.  What may be relaxed is what comes after a load that is not, or after
 * a fence of sync/fence.h.
 */
#ifndef FP_BASE_ATOMIC_H
#define FP_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint32_t fp_a32;
typedef _Atomic uint64_t fp_a64;

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
	       "32 and 64 bit atomics must be lock-free");
_Static_assert(sizeof(fp_a32) == 4 && sizeof(fp_a64) == 8,
	       "atomics must have the size of what they hold");

#define fp_load_rlx(p)		atomic_load_explicit((p), memory_order_relaxed)
#define fp_load_acq(p)		atomic_load_explicit((p), memory_order_acquire)
#define fp_load_sc(p)		atomic_load_explicit((p), memory_order_seq_cst)
#define fp_store_rlx(p, v)	atomic_store_explicit((p), (v), memory_order_relaxed)
#define fp_store_rel(p, v)	atomic_store_explicit((p), (v), memory_order_release)
#define fp_store_sc(p, v)	atomic_store_explicit((p), (v), memory_order_seq_cst)
#define fp_swap_sc(p, v)	atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define fp_or_sc(p, v)		atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define fp_and_sc(p, v)		atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)
#define fp_add_sc(p, v)		atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)

/* Compare-and-swap, strong; *EXPECTED becomes what was found. */
#define fp_cas_sc(p, expected, v) \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), \
		memory_order_seq_cst, memory_order_seq_cst)

static inline void fp_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
