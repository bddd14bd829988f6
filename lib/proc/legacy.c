/* SPDX-License-Identifier: MIT */
/*
 * The host's descriptors and stdio buffers, as the nursery finds them after the
 * fork: what workers are not to have goes here, once, before any of them is forked.
 */
#include "proc/legacy.h"

#include <limits.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <unistd.h>

#include "os/sys.h"

#define EVENT_LEAST	224

/* The lowest descriptor from there on that stays open; INT_MAX when none does. */
static int next_kept(const struct fp_nursery_args *args, int from)
{
	const struct fp_crew *crew = args->crew;
	int next = INT_MAX;
	size_t i;

	if (args->host >= from)
		next = args->host;
	if (args->control >= from && args->control < next)
		next = args->control;
	if (args->event->fd >= from && args->event->fd < next)
		next = args->event->fd;
	for (i = 0; i < crew->keep_count; i++)
		if (crew->keep[i] >= from && crew->keep[i] < next)
			next = crew->keep[i];
	return next;
}

void fp_legacy_event(struct fp_event *event)
{
	int fd = event->fd < 0 ? -1 : fp_sys.copy_above(event->fd, EVENT_LEAST);

	if (fd >= 0)
		event->fd = fd;
	event->nursery = getpid();
}

void fp_legacy_close(const struct fp_nursery_args *args)
{
	int from = 3, next;

	while ((next = next_kept(args, from)) != INT_MAX) {
		if (next > from)
			fp_sys.close_range((unsigned)from, (unsigned)next - 1);
		from = next + 1;
	}
	fp_sys.close_range((unsigned)from, ~0u);
}

/* Does it hold nothing?  Purging writes to it all the same, and each page written after a fork is copied. */
static bool is_empty(const FILE *f)
{
#ifdef __GLIBC__
	return f->_mode <= 0 && !f->_IO_save_base && f->_IO_read_ptr == f->_IO_read_end &&
	       f->_IO_write_ptr == f->_IO_write_base;
#else
	(void)f;
	return false;
#endif
}

static void purge(FILE *f)
{
	if (!is_empty(f))
		__fpurge(f);
}

void fp_legacy_stdio(void)
{
	purge(stdin);
	purge(stdout);
	purge(stderr);
}
