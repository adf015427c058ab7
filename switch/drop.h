/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why frames were dropped: the reasons, with the words and the cmdlet that would allow it, and the
 * last drops of a port. Frames of one kind that follow each other make one record.
 */
#ifndef SWITCH_DROP_H
#define SWITCH_DROP_H

#include "switch/frame.h"

enum drop_reason {
	DROP_SPOOFED_SOURCE,
	DROP_MULTICAST_SOURCE,
	DROP_NO_SOURCE,
	DROP_DHCP_GUARD,
	DROP_ROUTER_GUARD,
	DROP_UNREADABLE,
	DROP_VLAN_TAG,   /* a tag on a port that takes none, or of a VLAN that its trunk has not */
	DROP_VLAN_OTHER, /* to an adapter in another VLAN */
	DROP_VLAN_NONE,  /* in no VLAN, to an adapter in one */
	DROP_UNKNOWN,    /* to an address that nobody is known to have */
	DROP_NOT_CONNECTED,
	DROP_TRUNCATED,
	DROP_OVERSIZED,
	DROP_FOR_BRIDGES,
	DROP_QUEUE_FULL,
	DROP_NO_NAT,
	DROP_REASONS
};

struct drop_text {
	const char *name;  /* for programs */
	const char *words; /* for people: why. %u, in the remedy too, stands for the VLAN */
	/*
	 * What would allow it, without the words that select the adapter, which come behind the
	 * first: "Set-VMNetworkAdapter -MacAddressSpoofing On". NULL: nothing would.
	 */
	const char *remedy;
	bool is_receiver; /* the remedy is for the adapter that was to get the frame */
};

const struct drop_text *drop_text(enum drop_reason reason);

struct drop {
	enum drop_reason reason;
	uint64_t first_ns, last_ns;
	uint64_t count;
	uint8_t source[FRAME_MAC_BYTES], destination[FRAME_MAC_BYTES]; /* zero: too short a frame */
	uint16_t type, vlan;
	size_t bytes; /* of the last one */
};

#define DROP_RECORDS 64

struct drop_ring {
	struct drop record[DROP_RECORDS];
	uint64_t count; /* that there have been; record[(count - 1) % DROP_RECORDS] is the last */
	uint64_t by_reason[DROP_REASONS]; /* frames */
};

/* frame: NULL where it was too short or too long to be read. */
void drop_add(struct drop_ring *ring, enum drop_reason reason, const struct frame *frame,
	      unsigned vlan, size_t bytes, uint64_t now_ns);

/* The i-th of the records that are left, the oldest first; NULL behind the last. */
const struct drop *drop_at(const struct drop_ring *ring, unsigned i);

#endif
