/* SPDX-License-Identifier: MIT */
/* Copying past the caches copies what it is to, and nothing beside. */
#include "base/copy.h"

#include <stdlib.h>
#include <string.h>

#include "test.h"

#define ROOM	1024
#define MOST	300	/* bytes; more than some blocks and their edges */

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

/* A prefetch beyond the end of what is mapped does nothing. */
START_TEST(up_to_the_last_byte)
{
	size_t size = (size_t)1 << 20;
	char *src = malloc(size), *dst = malloc(size);

	ck_assert(src && dst);
	memset(src, 5, size);
	fp_copy_past(dst, src, size);
	ck_assert_int_eq(memcmp(src, dst, size), 0);
	free(src);
	free(dst);
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
