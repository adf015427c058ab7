/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why frames were dropped: see switch/drop.h. */
#include "switch/drop.h"

#define SPOOFING_ON "Set-VMNetworkAdapter -MacAddressSpoofing On"
#define ACCESS_VLAN "Set-VMNetworkAdapterVlan -Access -VlanId %u"

static const struct drop_text texts[DROP_REASONS] = {
	[DROP_SPOOFED_SOURCE] = { "SpoofedSource",
				  "its source address is not the network adapter's, and "
				  "MacAddressSpoofing is Off",
				  SPOOFING_ON, false },
	[DROP_MULTICAST_SOURCE] = { "MulticastSource",
				    "its source is the address of a group, which no sender has",
				    NULL, false },
	[DROP_NO_SOURCE] = { "NoSource", "its source address is zero", NULL, false },
	[DROP_DHCP_GUARD] = { "DhcpGuard", "it is a DHCP server's message, and DhcpGuard is On",
			      "Set-VMNetworkAdapter -DhcpGuard Off", false },
	[DROP_ROUTER_GUARD] = { "RouterGuard",
				"it is a router's advertisement or redirection, and RouterGuard "
				"is On",
				"Set-VMNetworkAdapter -RouterGuard Off", false },
	[DROP_UNREADABLE] = { "Unreadable",
			      "its headers are cut short or too many to tell whether DhcpGuard or "
			      "RouterGuard forbids it",
			      "Set-VMNetworkAdapter -DhcpGuard Off -RouterGuard Off", false },
	[DROP_VLAN_TAG] = { "VlanTag", "its VLAN tag is not one that the network adapter may send",
			    NULL, false }, /* switch/requests.c knows the trunk that would */
	[DROP_VLAN_OTHER] = { "OtherVlan",
			      "the network adapter with its destination address is not in VLAN %u",
			      ACCESS_VLAN, true },
	[DROP_VLAN_NONE] = { "InVlan",
			     "the network adapter with its destination address is in a VLAN, and "
			     "the frame is in none",
			     "Set-VMNetworkAdapterVlan -Untagged", true },
	[DROP_UNKNOWN] = { "UnknownDestination",
			   "no network adapter has its destination address, and none with "
			   "MacAddressSpoofing On is there to get frames for unknown ones",
			   SPOOFING_ON, true },
	[DROP_NOT_CONNECTED] = { "NotConnected",
				 "the network adapter with its destination address is not "
				 "connected: its virtual machine does not run",
				 NULL, false },
	[DROP_TRUNCATED] = { "Truncated", "it ends before its header does", NULL, false },
	[DROP_OVERSIZED] = { "Oversized", "it is longer than a frame can be", NULL, false },
	[DROP_FOR_BRIDGES] = { "ForBridges",
			       "its destination is bridges themselves (spanning tree, pause and "
			       "the like), and no bridge passes such frames on",
			       NULL, false },
	[DROP_QUEUE_FULL] = { "QueueFull", "the receiver does not take its frames fast enough",
			      NULL, true },
	[DROP_NO_NAT] = { "NoNat",
			  "it is for another network, and no New-NetNat on the host has a prefix "
			  "with its source address and an adapter in it",
			  NULL, false },
};

const struct drop_text *drop_text(enum drop_reason reason)
{
	return &texts[reason];
}

static bool is_same(const struct drop *a, const struct drop *b)
{
	return a->reason == b->reason && a->type == b->type && a->vlan == b->vlan &&
	       !memcmp(a->source, b->source, sizeof(a->source)) &&
	       !memcmp(a->destination, b->destination, sizeof(a->destination));
}

void drop_add(struct drop_ring *ring, enum drop_reason reason, const struct frame *frame,
	      unsigned vlan, size_t bytes, uint64_t now_ns)
{
	struct drop *last = &ring->record[(ring->count - 1) % DROP_RECORDS];
	struct drop drop = { .reason = reason,
			     .first_ns = now_ns,
			     .last_ns = now_ns,
			     .count = 1,
			     .vlan = (uint16_t)vlan,
			     .bytes = bytes };

	if (frame) {
		memcpy(drop.source, frame_source(frame), sizeof(drop.source));
		memcpy(drop.destination, frame_destination(frame), sizeof(drop.destination));
		drop.type = frame->type;
	}
	ring->by_reason[reason]++;
	if (!ring->count || !is_same(last, &drop)) {
		ring->record[ring->count++ % DROP_RECORDS] = drop;
		return;
	}
	last->count++;
	last->last_ns = now_ns;
	last->bytes = bytes;
}

const struct drop *drop_at(const struct drop_ring *ring, unsigned i)
{
	uint64_t first = ring->count > DROP_RECORDS ? ring->count - DROP_RECORDS : 0;

	return first + i < ring->count ? &ring->record[(first + i) % DROP_RECORDS] : NULL;
}
