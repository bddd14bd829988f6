/* SPDX-License-Identifier: MIT */
#include "area.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "os/sys.h"
#include "test.h"

#define FILE_OFF	(3 * FP_PAGE)	/* the arena does not begin its file */

void area_map(struct area *x, int fd, size_t size)
{
	size_t unit = fp_units_size(size);
	void *base;

	x->fd = fd;
	x->size = size;
	x->ctl_size = fp_units_ctl_size(size);
	x->limit = 0;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fp_sys.truncate(fd, (off_t)(FILE_OFF + size + x->ctl_size)), 0);
	/* Room for a unit, so that the base can be a multiple of one. */
	ck_assert_int_eq(fp_sys.map(&base, NULL, size + unit, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), 0);
	x->map = base;
	base = (void *)fp_round_up((uintptr_t)base, unit);
	ck_assert_int_eq(fp_sys.map(&base, base, size, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, FILE_OFF), 0);
	x->base = base;
	ck_assert_int_eq(fp_sys.map(&base, NULL, x->ctl_size, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_NORESERVE, fd, (off_t)(FILE_OFF + size)), 0);
	/* All at once, so that it can be told from what the arena takes. */
	ck_assert_int_eq(fp_sys.allocate(fd, (off_t)(FILE_OFF + size), (off_t)x->ctl_size), 0);
	x->place = (struct fp_heap_place){
		.limit = &x->limit, .ctl = base, .base = x->base, .size = size, .fd = fd,
		.ctl_off = (off_t)(FILE_OFF + size), .off = FILE_OFF,
	};
	ck_assert_int_eq(fp_arena_create(&x->arena, &x->place), 0);
}

void area_open(struct area *x, size_t size)
{
	area_map(x, fp_sys.memfd("arena"), size);
}

void area_close(struct area *x)
{
	fp_arena_destroy(x->arena);
	fp_sys.unmap(x->map, x->size + fp_units_size(x->size));
	fp_sys.unmap(x->place.ctl, x->ctl_size);
	fp_sys.close(x->fd);
	fp_sys = fp_sys_real;
}

size_t area_taken(const struct area *x)
{
	struct stat st;

	ck_assert_int_eq(fstat(x->fd, &st), 0);
	return (size_t)st.st_blocks * 512 - x->ctl_size;
}
