/* SPDX-License-Identifier: MIT */
/*
 * What.  The library is built with -fsanitize=thread, and linked with these in the
 * place of the sanitizer's own functions: the compiler calls one for each access to
 * memory, so that nothing the library does there escapes, and no line of it is
 * written for this.
 *
 * All of the machine's CPUs are one thread here, so plain accesses do, and each is
 * whole: an order of memory that is weaker than the order of the program isn't shown.
 */
#include <string.h>

#include "machine.h"

/* Names that the compiler chooses. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

#define PLAIN(n) \
	void __tsan_read##n(void *p) { machine_access(p, n, MACHINE_LOAD); } \
	void __tsan_write##n(void *p) { machine_access(p, n, MACHINE_STORE); } \
	void __tsan_unaligned_read##n(void *p) { machine_access(p, n, MACHINE_LOAD); } \
	void __tsan_unaligned_write##n(void *p) { machine_access(p, n, MACHINE_STORE); } \
	void __tsan_volatile_read##n(void *p) { machine_access(p, n, MACHINE_LOAD); } \
	void __tsan_volatile_write##n(void *p) { machine_access(p, n, MACHINE_STORE); }

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *p, size_t size) { machine_access(p, size, MACHINE_LOAD); }
void __tsan_write_range(void *p, size_t size) { machine_access(p, size, MACHINE_STORE); }

void __tsan_init(void) { }
void __tsan_func_entry(void *pc) { (void)pc; }
void __tsan_func_exit(void) { }

/* Clang's. */
void *__tsan_memcpy(void *to, const void *from, size_t size)
{
	machine_access(from, size, MACHINE_LOAD);
	machine_access(to, size, MACHINE_STORE);
	return memcpy(to, from, size);
}

void *__tsan_memmove(void *to, const void *from, size_t size)
{
	machine_access(from, size, MACHINE_LOAD);
	machine_access(to, size, MACHINE_STORE);
	return memmove(to, from, size);
}

void *__tsan_memset(void *to, int byte, size_t size)
{
	machine_access(to, size, MACHINE_STORE);
	return memset(to, byte, size);
}

/* The machine may turn to another CPU in machine_access(), and only there: what follows is one step. */

#define CHANGE(bits, type, name, op) \
	type __tsan_atomic##bits##_##name(volatile type *p, type v, int order) \
	{ \
		type was; \
		\
		(void)order; \
		machine_access(p, sizeof(*p), MACHINE_LOCKED); \
		was = *p; \
		*p = op; \
		return was; \
	}

#define ATOMIC(bits, type) \
	type __tsan_atomic##bits##_load(const volatile type *p, int order) \
	{ \
		(void)order; \
		machine_access(p, sizeof(*p), MACHINE_LOAD); \
		return *p; \
	} \
	void __tsan_atomic##bits##_store(volatile type *p, type v, int order) \
	{ \
		/* On x86 that is an exchange; elsewhere as dear. */ \
		machine_access(p, sizeof(*p), order == __ATOMIC_SEQ_CST ? MACHINE_LOCKED : MACHINE_STORE); \
		*p = v; \
	} \
	CHANGE(bits, type, exchange, v) \
	CHANGE(bits, type, fetch_add, (type)(was + v)) \
	CHANGE(bits, type, fetch_sub, (type)(was - v)) \
	CHANGE(bits, type, fetch_and, (type)(was & v)) \
	CHANGE(bits, type, fetch_or, (type)(was | v)) \
	CHANGE(bits, type, fetch_xor, (type)(was ^ v)) \
	/* Clang's; the two after it are GCC's. */ \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *p, type expected, type v, int order, int other) \
	{ \
		type was; \
		\
		(void)order, (void)other; \
		machine_access(p, sizeof(*p), MACHINE_LOCKED); \
		was = *p; \
		if (was == expected) \
			*p = v; \
		else \
			machine_failed(); \
		return was; \
	} \
	int __tsan_atomic##bits##_compare_exchange_strong(volatile type *p, type *expected, type v, int order, int other) \
	{ \
		type wanted = *expected; \
		\
		*expected = __tsan_atomic##bits##_compare_exchange_val(p, wanted, v, order, other); \
		return *expected == wanted; \
	} \
	int __tsan_atomic##bits##_compare_exchange_weak(volatile type *p, type *expected, type v, int order, int other) \
	{ \
		return __tsan_atomic##bits##_compare_exchange_strong(p, expected, v, order, other); \
	}

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void __tsan_atomic_thread_fence(int order) { (void)order; }
void __tsan_atomic_signal_fence(int order) { (void)order; }
