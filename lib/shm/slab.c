/* SPDX-License-Identifier: MIT */
#include "shm/slab.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "os/sys.h"

#define NO_SLAB		UINT32_MAX

/* Up to here every multiple of the grain is a class, then four for each doubling. */
#define LINEAR_CLASSES	8
#define SUB_CLASSES	4

static size_t class_size(int class)
{
	int above = class - LINEAR_CLASSES;

	if (above < 0)
		return (class + 1) * FP_SLAB_GRAIN;
	return (size_t)(SUB_CLASSES + 1 + above % SUB_CLASSES) *
	       (FP_SLAB_GRAIN * LINEAR_CLASSES / SUB_CLASSES)
		       << above / SUB_CLASSES;
}

int fp_slab_class(size_t align, size_t size)
{
	int class = 0;

	if (size > class_size(FP_SLAB_CLASSES - 1))
		return -1;
	while (class < FP_SLAB_CLASSES &&
	       (class_size(class) < size || class_size(class) % align))
		class++;
	return class < FP_SLAB_CLASSES ? class : -1;
}

/* ---- The table ------------------------------------------------------------ */

/* The kernel's fresh zeros say that no slab is there. */
int fp_slabs_init(struct fp_slabs *s, const void *base, size_t size)
{
	uintptr_t low = (uintptr_t)base / FP_SLAB_SIZE;
	size_t count = ((uintptr_t)base + size - 1) / FP_SLAB_SIZE - low + 1;
	void *table;
	int err = fp_sys.map(&table, NULL, count * sizeof(struct fp_slab),
			     PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (err)
		return err;
	*s = (struct fp_slabs){
		.table = table, .count = count, .base = low * FP_SLAB_SIZE,
	};
	for (int i = 0; i < FP_SLAB_CLASSES; i++)
		s->open[i] = NO_SLAB;
	return 0;
}

void fp_slabs_fini(struct fp_slabs *s)
{
	if (s->table)
		fp_sys.unmap(s->table, s->count * sizeof(struct fp_slab));
	s->table = NULL;
}

struct fp_slab *fp_slab_find(struct fp_slabs *s, const void *ptr)
{
	struct fp_slab *slab = &s->table[((uintptr_t)ptr - s->base) / FP_SLAB_SIZE];

	return slab->size ? slab : NULL;
}

static uintptr_t slab_address(const struct fp_slabs *s, uint32_t id)
{
	return s->base + (uintptr_t)id * FP_SLAB_SIZE;
}

/* ---- Lists ---------------------------------------------------------------- */

static void list_add(struct fp_slabs *s, int class, uint32_t id)
{
	uint32_t next = s->open[class];

	s->table[id].prev = NO_SLAB;
	s->table[id].next = next;
	if (next != NO_SLAB)
		s->table[next].prev = id;
	s->open[class] = id;
}

static void list_remove(struct fp_slabs *s, int class, uint32_t id)
{
	uint32_t prev = s->table[id].prev, next = s->table[id].next;

	if (next != NO_SLAB)
		s->table[next].prev = prev;
	if (prev != NO_SLAB)
		s->table[prev].next = next;
	else
		s->open[class] = next;
}

/* ---- Objects -------------------------------------------------------------- */

/* The first COUNT bits become ones, the rest of their last word zeros. */
static void bits_fill(uint64_t *words, uint32_t count)
{
	memset(words, 0xff, count / 64 * sizeof(*words));
	if (count % 64)
		words[count / 64] = (1ull << count % 64) - 1;
}

void fp_slab_add(struct fp_slabs *s, int class, void *pages)
{
	uint32_t id = ((uintptr_t)pages - s->base) / FP_SLAB_SIZE;
	struct fp_slab *slab = &s->table[id];

	slab->size = class_size(class);
	slab->class = class;
	slab->free_count = FP_SLAB_SIZE / slab->size;
	slab->hint = 0;
	bits_fill(slab->free, slab->free_count);
	list_add(s, class, id);
}

static uint32_t slab_pop(struct fp_slab *slab)
{
	uint32_t word = slab->hint, bit;

	while (!slab->free[word])
		word++;
	bit = __builtin_ctzll(slab->free[word]);
	slab->free[word] &= slab->free[word] - 1;
	slab->hint = word;
	slab->free_count--;
	return word * 64 + bit;
}

void *fp_slab_take(struct fp_slabs *s, int class)
{
	uint32_t id = s->open[class];
	struct fp_slab *slab;
	uintptr_t ptr;

	if (id == NO_SLAB)
		return NULL;
	slab = &s->table[id];
	ptr = slab_address(s, id) + (uintptr_t)slab_pop(slab) * slab->size;
	if (!slab->free_count)
		list_remove(s, class, id);
	return (void *)ptr;
}

int fp_slab_give(struct fp_slabs *s, struct fp_slab *slab, void *ptr,
		 void **empty)
{
	uint32_t id = slab - s->table, total = FP_SLAB_SIZE / slab->size;
	uint32_t offset = (uintptr_t)ptr - slab_address(s, id);
	uint32_t object = offset / slab->size, word = object / 64;
	uint64_t bit = 1ull << object % 64;

	if (offset % slab->size || object >= total || slab->free[word] & bit)
		return -EINVAL;
	slab->free[word] |= bit;
	slab->hint = fp_min(slab->hint, word);
	if (!slab->free_count++)
		list_add(s, slab->class, id);
	if (slab->free_count == total) {
		list_remove(s, slab->class, id);
		slab->size = 0;
		*empty = (void *)slab_address(s, id);
	}
	return 0;
}
