/* SPDX-License-Identifier: MIT */
/* Texts of errors of either kind; see error.c. */
#ifndef FP_BASE_ERROR_H
#define FP_BASE_ERROR_H

/* Never NULL; err of either sign. */
const char *fp_strerror(int err);

#endif
