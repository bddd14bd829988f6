/* SPDX-License-Identifier: MIT */
/* A directory for a recorded tree; see tree.h. */
#include "tree.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "test.h"

char tree[64];

void tree_begin(void)
{
	const char *dir = getenv("TMPDIR");

	snprintf(tree, sizeof(tree), "%s/fp-tree-XXXXXX", dir ? dir : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(tree));
}

static int tree_remove(const char *path, const struct stat *st, int what,
		       struct FTW *at)
{
	(void)st;
	(void)what;
	(void)at;
	return remove(path);
}

void tree_end(void)
{
	ck_assert_int_eq(nftw(tree, tree_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void tree_put(const char *path, const char *text)
{
	char full[8192];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", tree, path);
	for (char *p = full + strlen(tree) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		ck_assert(!mkdir(full, 0700) || errno == EEXIST);
		*p = '/';
	}
	f = fopen(full, "we");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}
