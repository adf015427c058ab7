/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a port may do: the settings of one network adapter, as Set-VMNetworkAdapter and
 * Set-VMNetworkAdapterVlan make them. They may change between any two frames.
 */
#ifndef SWITCH_POLICY_H
#define SWITCH_POLICY_H

#include "lib/error.h"
#include "switch/frame.h"

#include <jansson.h>

enum switch_vlan_mode {
	SWITCH_VLAN_UNTAGGED, /* frames without tag: in no VLAN */
	SWITCH_VLAN_ACCESS,   /* frames without tag: in VLAN `id` */
	SWITCH_VLAN_TRUNK, /* frames with the tag of an allowed VLAN; those without are in `id` */
};

enum switch_mirroring {
	SWITCH_MIRROR_NONE,
	SWITCH_MIRROR_SOURCE,      /* copies of its frames, in and out, go to ... */
	SWITCH_MIRROR_DESTINATION, /* ... these */
};

struct switch_vlan {
	enum switch_vlan_mode mode;
	uint16_t id;                            /* 0 to VLAN_MAX; a trunk's native one */
	uint64_t allowed[(VLAN_MAX + 64) / 64]; /* of a trunk: a bit a VLAN; 0 is none */
};

struct switch_policy {
	uint8_t mac[FRAME_MAC_BYTES]; /* the adapter's; all zero: it has none, as an uplink */
	/*
	 * Off: frames leave with the adapter's address as source, and none comes that is for
	 * another. On: any unicast source, which is learned, and frames for unknown addresses come.
	 */
	bool spoofing;
	bool dhcp_guard;   /* no DHCP server's messages from it */
	bool router_guard; /* no router advertisements and redirections from it */
	enum switch_mirroring mirroring;
	struct switch_vlan vlan;
	uint64_t max_bits_per_second; /* that the port may send; 0: no limit */
};

/* A new adapter's. */
void switch_policy_init(struct switch_policy *policy);

bool switch_vlan_is_allowed(const struct switch_vlan *vlan, unsigned id);

/* Those allowed: "1-100,200". NULL: out of memory. */
json_t *switch_vlan_list(const struct switch_vlan *vlan);

/*
 * Changes what the object has members for and leaves the rest:
 *
 *   mac           12 hexadecimal digits, or with a colon or dash between bytes; "" for none
 *   spoofing, dhcp_guard, router_guard   true or false
 *   mirroring     "None", "Source", "Destination"
 *   vlan          {"mode": "Untagged"}, {"mode": "Access", "id": N} or
 *                 {"mode": "Trunk", "native": N, "allowed": "1-100,200"}
 *   max_bits_per_second   a number; 0 for no limit
 *
 * -EINVAL with a text that names the member; *policy is then as it was.
 */
int switch_policy_change(struct switch_policy *policy, const json_t *object, struct error *err);

/* An object with all those members. NULL: out of memory. */
json_t *switch_policy_object(const struct switch_policy *policy);

#endif
