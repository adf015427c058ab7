/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The addresses that a switch has learned: where frames came from that had them as source, for each
 * VLAN. It has room for so many and no more; a port that makes up addresses pushes out its own.
 * The addresses of adapters themselves are not in it: switch/core.h knows them.
 */
#ifndef SWITCH_MAC_H
#define SWITCH_MAC_H

#include "lib/base.h"

#define MAC_AGE_NS       300000000000ull /* IEEE 802.1Q: "Aging Time" */
#define MAC_ENTRIES      8192
#define MAC_PER_PORT_MAX 1024
#define MAC_PORT_NONE    -1
#define MAC_TABLE_PORTS  1024

struct mac_table;

/* NULL: out of memory. */
struct mac_table *mac_create(void);
void mac_destroy(struct mac_table *table); /* accepts NULL */

/* The address is behind the port (0 to MAC_TABLE_PORTS - 1) now. */
void mac_learn(struct mac_table *table, unsigned vlan, const uint8_t *mac, unsigned port,
	       uint64_t now_ns);

/* A port, or MAC_PORT_NONE where none is known or it was last heard too long ago. */
int mac_find(const struct mac_table *table, unsigned vlan, const uint8_t *mac, uint64_t now_ns);

/* Nothing is behind the port any more. */
void mac_forget_port(struct mac_table *table, unsigned port);

#endif
