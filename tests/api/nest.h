/* SPDX-License-Identifier: MIT */
/* What the tests of maps inside items share: trees of maps whose sums are known. */
#ifndef TESTS_NEST_H
#define TESTS_NEST_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "api/api.h"

/* Inside an item, where check's assertions can't be used: the line is the item's error. */
#define NEED(what) do { \
	if (!(what)) \
		return __LINE__; \
} while (0)

/* Where an item has the arrays of its own map. */
enum place { ON_STACK, BY_MALLOC, IN_SEGMENT, PLACES };

#define WIDTH_MOST	64

/* An item: the sum over a tree of so many levels below it, each width wide. */
struct node {
	uint32_t levels, width, place;
	uint32_t retries;
	uint64_t base;
};

/* As an array that is both in and out. */
struct cell {
	struct node node;
	uint64_t sum;
};

static inline uint64_t leaf_of(uint64_t base)
{
	base += 0x9e3779b97f4a7c15u;
	base = (base ^ base >> 30) * 0xbf58476d1ce4e5b9u;
	return base ^ base >> 31;
}

static inline struct node child_of(const struct node *n, uint64_t i)
{
	struct node child = *n;

	child.levels--;
	child.base = n->base * WIDTH_MOST + i + 1;
	return child;
}

static inline uint64_t sum_of(const struct node *n)
{
	struct node child;
	uint64_t sum = 0, i;

	if (!n->levels)
		return leaf_of(n->base);
	for (i = 0; i < n->width; i++) {
		child = child_of(n, i);
		sum += sum_of(&child);
	}
	return sum;
}

static inline void *nest_alloc(uint32_t place, size_t size)
{
	return place == IN_SEGMENT ? forkpool_shm_alloc(forkpool_current(), size) : malloc(size);
}

static inline void nest_free(uint32_t place, void *p)
{
	if (place == IN_SEGMENT)
		forkpool_shm_free(forkpool_current(), p);
	else
		free(p);
}

static inline int tree_item(void *arg, const void *in, void *out);

/* The children of n, in arrays that the caller provides. */
static inline int map_children(const struct node *n, struct node *in, uint64_t *out, uint64_t *sum)
{
	FORKPOOL_JOB_OPTS(opts, .retries = n->retries);
	uint64_t i, total = 0;
	int err;

	for (i = 0; i < n->width; i++)
		in[i] = child_of(n, i);
	err = forkpool_map(forkpool_current(), tree_item, in, sizeof(*in), out, sizeof(*out),
			   n->width, &opts);
	for (i = 0; i < n->width; i++)
		total += out[i];
	if (!err)
		*sum = total;
	return -err;
}

static inline int map_on_stack(const struct node *n, uint64_t *sum)
{
	struct node in[WIDTH_MOST];
	uint64_t out[WIDTH_MOST];

	return map_children(n, in, out, sum);
}

static inline int tree_item(void *arg, const void *in, void *out)
{
	const struct node *n = in;
	struct node *nodes;
	uint64_t *sums;
	int err = ENOMEM;

	(void)arg;
	if (!n->levels) {
		*(uint64_t *)out = leaf_of(n->base);
		return 0;
	}
	if (n->place == ON_STACK)
		return map_on_stack(n, out);
	nodes = nest_alloc(n->place, n->width * sizeof(*nodes));
	sums = nest_alloc(n->place, n->width * sizeof(*sums));
	if (nodes && sums)
		err = map_children(n, nodes, sums, out);
	nest_free(n->place, nodes);
	nest_free(n->place, sums);
	return err;
}

/* Host: maps count trees, and finds them right. */
static inline void check_trees(struct forkpool *pool, struct node n, size_t count)
{
	struct node *in = calloc(count, sizeof(*in));
	uint64_t *out = calloc(count, sizeof(*out));
	FORKPOOL_JOB_OPTS(opts, .retries = n.retries);
	size_t i;
	int err;

	for (i = 0; i < count; i++) {
		in[i] = n;
		in[i].base = n.base + i;
	}
	err = forkpool_map(pool, tree_item, in, sizeof(*in), out, sizeof(*out), count, &opts);
	ck_assert_msg(err == 0, "%u levels of %u: %s", n.levels, n.width, forkpool_strerror(err));
	for (i = 0; i < count; i++)
		if (out[i] != sum_of(&in[i]))
			ck_abort_msg("item %zu of %zu, %u levels of %u, is wrong", i, count,
				     n.levels, n.width);
	free(in);
	free(out);
}

/* All is as if nothing had happened. */
static inline void check_maps_work(struct forkpool *pool)
{
	check_trees(pool, (struct node){ .levels = 2, .width = 5 }, 10);
}

#endif
