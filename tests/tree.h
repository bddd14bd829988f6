/* SPDX-License-Identifier: MIT */
/* Recorded trees of /proc and /sys, for tests of what reads them below a root. */
#ifndef TESTS_TREE_H
#define TESTS_TREE_H

/* The root, between the two that follow: a fixture. */
extern char tree[64];

void tree_begin(void);
void tree_end(void);

/* A file in the tree, and the directories above it. */
void tree_put(const char *path, const char *text);

#endif
