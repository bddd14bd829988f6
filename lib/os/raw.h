/* SPDX-License-Identifier: MIT */
/*
 * System calls that touch nothing but registers: no errno, no page of the C
 * library.
 *
 * Needed in the keeper, which shares the memory of the host and the
 * thread-local storage of the thread that made it, and so must not as much as
 * write errno.  Good in workers, each of which would fault in, and keep, the
 * pages of libc where the wrappers lie.
 */
#ifndef FP_OS_RAW_H
#define FP_OS_RAW_H

/* Where this thread's thread-local storage is. */
static inline char *fp_thread_pointer(void)
{
	char *tp;

#if defined(__x86_64__)
	__asm__("mov %%fs:0, %0" : "=r"(tp));
#elif defined(__aarch64__)
	__asm__("mrs %0, tpidr_el0" : "=r"(tp));
#endif
	return tp;
}

static inline long fp_raw6(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ __volatile__("syscall"
			     : "=a"(ret)
			     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			     : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ __volatile__("svc 0"
			     : "+r"(x0)
			     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			     : "memory");
	return x0;
#else
#error "forkpool knows x86-64 and aarch64"
#endif
}

/* fp_raw(number, up to six arguments, numbers or pointers): the kernel's result or -errno. */
#define fp_raw(...)	FP_RAW_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define FP_RAW_(nr, a, b, c, d, e, f, ...) \
	fp_raw6((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
