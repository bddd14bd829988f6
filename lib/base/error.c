/* SPDX-License-Identifier: MIT */
/*
 * Texts of errors.  Constant strings only, so that any thread may ask at any
 * time, and in a signal handler too: glibc's strerrordesc_np() for errno's.
 */
#include "base/error.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include <forkpool.h>

static const char *own_text(int err)
{
	switch (err) {
	case FORKPOOL_EFAILED:
		return "An item's function returned an error";
	case FORKPOOL_ECRASHED:
		return "An item lost its worker process";
	case FORKPOOL_ETIMEDOUT:
		return "An item or a job ran past its limit";
	case FORKPOOL_ECANCELED:
		return "The job was cancelled";
	case FORKPOOL_ECLOSED:
		return "The pool is closed";
	case FORKPOOL_EBROKEN:
		return "The pool is broken";
	}
	return NULL;
}

const char *fp_strerror(int err)
{
	const char *text;

	if (err < 0)
		err = err == INT_MIN ? INT_MAX : -err;
	text = own_text(err);
	if (!text)
		text = strerrordesc_np(err);
	return text ? text : "Unknown error";
}
