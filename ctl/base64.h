/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Base64, as JSON carries bytes. Source: RFC 4648, "Base 64 Encoding". */
#ifndef CTL_BASE64_H
#define CTL_BASE64_H

#include "lib/base.h"

char *base64_encode(const void *bytes, size_t len); /* for free() */

/* The bytes with a NUL behind them, for free(); NULL where the text is no Base64. */
char *base64_decode(const char *text, size_t *len);

#endif
