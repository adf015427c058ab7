/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IP addresses and prefixes in text. */
#ifndef LIB_ADDRESS_H
#define LIB_ADDRESS_H

#include "lib/base.h"

struct address {
	int family; /* AF_INET, AF_INET6 */
	uint8_t bytes[16];
	unsigned length; /* of the prefix, in bits */
};

/* ADDRESS, or ADDRESS/BITS; without bits the whole address is the prefix. */
bool address_parse(const char *text, struct address *out);

/* Whether one holds the other or is the same. */
bool address_overlap(const struct address *a, const struct address *b);

/* Whether `inner` lies in the prefix. */
bool address_holds(const struct address *prefix, const struct address *inner);

/* Whether nothing is set behind the prefix: it names a network. */
bool address_is_network(const struct address *a);

unsigned address_bits(const struct address *a); /* 32 or 128 */

#endif
