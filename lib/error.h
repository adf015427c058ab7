/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors of the host's or the operator's making: 0 or -errno goes up, and with it ONE text that
 * names the thing and the reason. Whoever knows the name of the thing writes the text; main prints
 * it.
 */
#ifndef LIB_ERROR_H
#define LIB_ERROR_H

#include "lib/base.h"

struct error {
	char text[512]; /* "" while there is no error */
};

/*
 * Writes the text and returns `code` (a negative errno), so that a caller can
 * `return error_set(err, -EINVAL, "disk '%s': …", path);`. A NULL err only returns the code.
 */
int error_set(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
