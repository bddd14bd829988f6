/* SPDX-License-Identifier: MIT */
/* Options structs of other versions: what is missing is zero, what is unknown must be. */
#include "api/options.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "test.h"

/* Of three versions: up to a, up to b, and this library's. */
struct opts {
	size_t sz;
	long a;
	long b;
	long c;
};

#define FIRST	FP_END_OF(struct opts, a)

struct newer {
	struct opts known;
	char tail[64];
};

/* A copy of the first sz bytes, all others being told apart from zero. */
static int copy(struct opts *ret, size_t sz)
{
	struct newer from;

	memset(&from, 0x55, sizeof(from));
	memset(from.tail, 0, sz > sizeof(struct opts) ? sz - sizeof(struct opts) : 0);
	from.known.sz = sz;
	memset(ret, 0xaa, sizeof(*ret));
	return fp_options_copy(ret, FIRST, sizeof(*ret), &from);
}

START_TEST(what_is_missing_is_zero)
{
	unsigned char bytes[sizeof(struct opts)];
	struct opts opts;
	size_t sz, i;

	for (sz = FIRST; sz <= sizeof(struct newer); sz++) {
		ck_assert_int_eq(copy(&opts, sz), 0);
		memcpy(bytes, &opts, sizeof(bytes));
		for (i = sizeof(size_t); i < sizeof(bytes); i++)
			ck_assert_msg(bytes[i] == (i < sz ? 0x55 : 0), "%zu bytes: byte %zu is %x",
				      sz, i, bytes[i]);
	}
}
END_TEST

START_TEST(none_at_all)
{
	const struct opts zero = { 0 };
	struct opts opts;

	memset(&opts, 0xaa, sizeof(opts));
	ck_assert_int_eq(fp_options_copy(&opts, FIRST, sizeof(opts), NULL), 0);
	ck_assert_mem_eq(&opts, &zero, sizeof(opts));
}
END_TEST

START_TEST(smaller_than_any)
{
	struct opts opts;
	size_t sz;

	for (sz = 0; sz < FIRST; sz++) {
		ck_assert_int_eq(copy(&opts, sz), -EINVAL);
		ck_assert_int_eq(opts.a, (long)0xaaaaaaaaaaaaaaaa);
	}
}
END_TEST

START_TEST(unknown_bytes)
{
	struct newer from = { .known.sz = sizeof(from) };
	struct opts opts;
	size_t i;

	ck_assert_int_eq(fp_options_copy(&opts, FIRST, sizeof(opts), &from), 0);
	for (i = 0; i < sizeof(from.tail); i++) {
		from.tail[i] = 1;
		ck_assert_int_eq(fp_options_copy(&opts, FIRST, sizeof(opts), &from), -E2BIG);
		from.tail[i] = 0;
	}
	from.known.sz = SIZE_MAX;
	ck_assert_int_eq(fp_options_copy(&opts, FIRST, sizeof(opts), &from), -E2BIG);
}
END_TEST

/* What the library fills: no byte behind sz, all up to it, and sz itself stays. */
START_TEST(outputs)
{
	unsigned char bytes[sizeof(struct newer)];
	struct newer ret;
	struct opts opts;
	size_t sz, i;

	memset(&opts, 0x55, sizeof(opts));
	for (sz = 0; sz <= sizeof(ret); sz++) {
		memset(&ret, 0xaa, sizeof(ret));
		ret.known.sz = sz;
		ck_assert_int_eq(fp_output_check(&ret, FIRST), sz < FIRST ? -EINVAL : 0);
		if (sz < FIRST)
			continue;
		fp_output_copy(&ret, sizeof(opts), &opts);
		ck_assert_uint_eq(ret.known.sz, sz);
		memcpy(bytes, &ret, sizeof(bytes));
		for (i = sizeof(size_t); i < sizeof(bytes); i++)
			ck_assert_msg(bytes[i] == (i >= sz ? 0xaa : i < sizeof(opts) ? 0x55 : 0),
				      "%zu bytes: byte %zu is %x", sz, i, bytes[i]);
	}
	ret.known.sz = SIZE_MAX;
	ck_assert_int_eq(fp_output_check(&ret, FIRST), -E2BIG);
}
END_TEST

/* Programs exist that have them: these numbers never change. */
START_TEST(first_versions)
{
	ck_assert_uint_eq(FP_OPTS_FIRST, 48);
	ck_assert_uint_eq(FP_JOB_OPTS_FIRST, 80);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");
	TCase *tc = test_case(suite, "versions");

	tcase_add_test(tc, what_is_missing_is_zero);
	tcase_add_test(tc, none_at_all);
	tcase_add_test(tc, smaller_than_any);
	tcase_add_test(tc, unknown_bytes);
	tcase_add_test(tc, outputs);
	tcase_add_test(tc, first_versions);
	return test_main(suite);
}
