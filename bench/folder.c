/* SPDX-License-Identifier: MIT */
/*
 * A folder for what programs of other makers leave in TMPDIR when they are ended:
 * one for the whole run, made before the first of them starts.
 */
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

/* Folders are left open at most so deep. */
#define DEPTH		16

static char folder[PATH_MAX];

void bench_folder_make(void)
{
	const char *parent = getenv("TMPDIR");

	if (folder[0])
		return;
	snprintf(folder, sizeof(folder), "%s/forkpool-bench-XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(folder)) {
		perror(folder);
		folder[0] = '\0';
		return;
	}
	setenv("TMPDIR", folder, 1);
	/* Which else is below /dev/shm, whatever TMPDIR says. */
	setenv("JOBLIB_TEMP_FOLDER", folder, 1);
	setenv("OMPI_MCA_btl_vader_backing_directory", folder, 1);
	setenv("OMPI_MCA_btl_sm_backing_directory", folder, 1);
}

static int entry_remove(const char *path, const struct stat *about, int kind, struct FTW *where)
{
	(void)about;
	(void)kind;
	(void)where;
	if (remove(path))
		perror(path);
	return 0;
}

void bench_folder_remove(void)
{
	if (folder[0])
		nftw(folder, entry_remove, DEPTH, FTW_DEPTH | FTW_PHYS);
}
