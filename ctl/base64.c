/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Base64: see ctl/base64.h. */
#include "ctl/base64.h"

#include "ctl/text.h"

#include <stdlib.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *bytes, size_t len)
{
	const uint8_t *in = bytes;
	char *out = alloc_zeroed((len + 2) / 3 * 4 + 1), *p = out;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t word = (uint32_t)in[i] << 16;

		word |= i + 1 < len ? (uint32_t)in[i + 1] << 8 : 0;
		word |= i + 2 < len ? in[i + 2] : 0;
		*p++ = digits[word >> 18];
		*p++ = digits[word >> 12 & 63];
		*p++ = i + 1 < len ? digits[word >> 6 & 63] : '=';
		*p++ = i + 2 < len ? digits[word & 63] : '=';
	}
	return out;
}

char *base64_decode(const char *text, size_t *len)
{
	char *out = alloc_zeroed(strlen(text) / 4 * 3 + 4);
	uint32_t word = 0;
	unsigned count = 0;

	*len = 0;
	for (; *text && *text != '='; text++) {
		const char *digit = strchr(digits, *text);

		if (!digit) {
			free(out);
			return NULL;
		}
		word = word << 6 | (uint32_t)(digit - digits);
		if (++count % 4 == 0) {
			out[(*len)++] = (char)(word >> 16);
			out[(*len)++] = (char)(word >> 8);
			out[(*len)++] = (char)word;
		}
	}
	if (count % 4 >= 2)
		out[(*len)++] = (char)(word >> (count % 4 == 2 ? 4 : 10));
	if (count % 4 == 3)
		out[(*len)++] = (char)(word >> 2);
	out[*len] = 0;
	return out;
}
