/* SPDX-License-Identifier: MIT */
/* Copying past the caches copies what it is to, and nothing beside. */
#include "base/copy.h"

#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "os/sys.h"
#include "test.h"

#define ROOM	1024
#define MOST	300	/* bytes; more than some blocks and their edges */
#define BLOCK	((size_t)1 << 20)

static unsigned char from[ROOM], to[ROOM], want[ROOM];

START_TEST(any_size_from_anywhere_to_anywhere)
{
	size_t i, size, src, dst;

	for (i = 0; i < ROOM; i++)
		from[i] = (unsigned char)(i * 31 + i / 256);
	for (size = 0; size <= MOST; size++)
		for (dst = 0; dst < 64; dst += 3)
			for (src = 0; src < 64; src += 7) {
				memset(to, 0xee, ROOM);
				memset(want, 0xee, ROOM);
				memcpy(want + dst, from + src, size);
				fp_copy_past(to + dst, from + src, size);
				if (memcmp(to, want, ROOM))
					ck_abort_msg("%zu bytes from %zu to %zu", size, src, dst);
			}
}
END_TEST

/* Memory behind which there is none. */
static unsigned char *block_map(void)
{
	void *p;

	ck_assert_int_eq(fp_sys.map(&p, NULL, BLOCK + FP_PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 0);
	ck_assert_int_eq(mprotect((char *)p + BLOCK, FP_PAGE, PROT_NONE), 0);
	return p;
}

/* A prefetch beyond the end of what is mapped does nothing; a read or a store there would end the test. */
START_TEST(up_to_the_last_byte)
{
	unsigned char *src = block_map(), *dst = block_map();

	memset(src, 5, BLOCK);
	fp_copy_past(dst, src, BLOCK);
	ck_assert_int_eq(memcmp(src, dst, BLOCK), 0);
	/* From within a line. */
	fp_copy_past(dst + 3, src + 3, BLOCK - 3);
	ck_assert_int_eq(memcmp(src, dst, BLOCK), 0);
	fp_sys.unmap(src, BLOCK + FP_PAGE);
	fp_sys.unmap(dst, BLOCK + FP_PAGE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("copy");
	TCase *tc = test_case(suite, "copy");

	tcase_add_test(tc, any_size_from_anywhere_to_anywhere);
	tcase_add_test(tc, up_to_the_last_byte);
	return test_main(suite);
}
