/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Learned addresses: see switch/mac.h. A table of sets, as a processor's cache is: an address can
 * be in one set only, whose number comes from a hash with a random key, so that a guest cannot aim
 * at a set of its choice.
 */
#include "switch/mac.h"

#include "switch/frame.h"

#include <stdlib.h>
#include <sys/random.h>

#define WAYS   8
#define SETS   (MAC_ENTRIES / WAYS)
#define FACTOR 0x9e3779b97f4a7c15ull /* spreads what it is multiplied with over the high bits */

_Static_assert((SETS & (SETS - 1)) == 0, "a set's number is made of bits of the hash");

struct entry {
	uint64_t key; /* address and VLAN */
	uint64_t seen_ns;
	uint16_t port;
	bool is_used;
};

struct mac_table {
	uint64_t seed;
	struct entry set[SETS][WAYS];
	uint32_t learned[MAC_TABLE_PORTS]; /* entries of a port */
};

struct mac_table *mac_create(void)
{
	struct mac_table *table = calloc(1, sizeof(*table));

	if (table && getrandom(&table->seed, sizeof(table->seed), 0) < 0)
		table->seed = (uintptr_t)table;
	return table;
}

void mac_destroy(struct mac_table *table)
{
	free(table);
}

static uint64_t make_key(unsigned vlan, const uint8_t *mac)
{
	return mac_number(mac) | (uint64_t)vlan << 48;
}

static unsigned set_of(const struct mac_table *table, uint64_t key)
{
	uint64_t hash = (key ^ table->seed) * FACTOR;

	hash = (hash ^ hash >> 32) * FACTOR;
	return hash >> 54 & (SETS - 1);
}

static bool is_old(const struct entry *entry, uint64_t now_ns)
{
	return now_ns - entry->seen_ns > MAC_AGE_NS;
}

static void drop_entry(struct mac_table *table, struct entry *entry)
{
	if (entry->is_used)
		table->learned[entry->port]--;
	entry->is_used = false;
}

/* The entry for something new of this port: a free one, else the oldest that it may take. */
static struct entry *make_room(struct mac_table *table, struct entry *set, unsigned port,
			       uint64_t now_ns)
{
	bool only_own = table->learned[port] >= MAC_PER_PORT_MAX;
	struct entry *oldest = NULL;

	for (unsigned i = 0; i < WAYS; i++) {
		struct entry *e = &set[i];

		if (e->is_used && is_old(e, now_ns))
			drop_entry(table, e);
		if (only_own && !(e->is_used && e->port == port))
			continue;
		if (!e->is_used)
			return e;
		if (!oldest || e->seen_ns < oldest->seen_ns)
			oldest = e;
	}
	return oldest;
}

void mac_learn(struct mac_table *table, unsigned vlan, const uint8_t *mac, unsigned port,
	       uint64_t now_ns)
{
	uint64_t key = make_key(vlan, mac);
	struct entry *set = table->set[set_of(table, key)], *e = NULL;

	for (unsigned i = 0; i < WAYS && !e; i++) {
		if (set[i].is_used && set[i].key == key)
			e = &set[i];
	}
	if (e && e->port == port) {
		e->seen_ns = now_ns;
		return;
	}
	if (!e)
		e = make_room(table, set, port, now_ns);
	if (!e)
		return;
	drop_entry(table, e);
	*e = (struct entry){ key, now_ns, (uint16_t)port, true };
	table->learned[port]++;
}

int mac_find(const struct mac_table *table, unsigned vlan, const uint8_t *mac, uint64_t now_ns)
{
	uint64_t key = make_key(vlan, mac);
	const struct entry *set = table->set[set_of(table, key)];

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].is_used && set[i].key == key && !is_old(&set[i], now_ns))
			return set[i].port;
	}
	return MAC_PORT_NONE;
}

void mac_forget_port(struct mac_table *table, unsigned port)
{
	for (unsigned s = 0; s < SETS && table->learned[port]; s++) {
		for (unsigned i = 0; i < WAYS; i++) {
			if (table->set[s][i].port == port)
				drop_entry(table, &table->set[s][i]);
		}
	}
}
