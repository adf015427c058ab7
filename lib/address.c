/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IP addresses and prefixes in text: see lib/address.h. */
#include "lib/address.h"

#include <arpa/inet.h>
#include <stdlib.h>

unsigned address_bits(const struct address *a)
{
	return a->family == AF_INET ? 32 : 128;
}

bool address_parse(const char *text, struct address *out)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char host[64], *end;
	unsigned long length;

	*out = (struct address){ .family = memchr(text, ':', len) ? AF_INET6 : AF_INET };
	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = 0;
	if (inet_pton(out->family, host, out->bytes) != 1)
		return false;
	out->length = address_bits(out);
	if (!slash)
		return true;
	length = strtoul(slash + 1, &end, 10);
	if (slash[1] < '0' || slash[1] > '9' || *end || length > out->length)
		return false;
	out->length = (unsigned)length;
	return true;
}

static bool same_bits(const struct address *a, const struct address *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	return a->family == b->family && !memcmp(a->bytes, b->bytes, whole) &&
	       (!rest || !((a->bytes[whole] ^ b->bytes[whole]) & mask));
}

bool address_overlap(const struct address *a, const struct address *b)
{
	return same_bits(a, b, MIN(a->length, b->length));
}

bool address_holds(const struct address *prefix, const struct address *inner)
{
	return same_bits(prefix, inner, prefix->length);
}

bool address_is_network(const struct address *a)
{
	for (unsigned bit = a->length; bit < address_bits(a); bit++) {
		if (a->bytes[bit / 8] & (0x80 >> bit % 8))
			return false;
	}
	return true;
}
