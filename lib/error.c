/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one text that goes up with a negative errno: see lib/error.h. */
#include "lib/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list args;

	if (!err)
		return code;
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return code;
}
