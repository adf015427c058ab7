/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a switch reads in an Ethernet frame: addresses, the VLAN tag, the type of what is inside,
 * and whether that is something that guards keep back. A frame is hostile; nothing is read behind
 * its end. IEEE 802.1Q: "Format of the tag header".
 */
#ifndef SWITCH_FRAME_H
#define SWITCH_FRAME_H

#include "lib/base.h"

#define FRAME_HEADER_BYTES 14
#define FRAME_BYTES_MAX    65554 /* with a VLAN tag; four less without */
#define FRAME_TAG_BYTES    4
#define FRAME_MAC_BYTES    6

#define ETHERTYPE_VLAN 0x8100
#define VLAN_MAX       4094 /* 4095 is reserved; 0 stands for no VLAN */

struct frame {
	const uint8_t *data; /* destination, source, tag or type: borrowed */
	uint32_t bytes;
	uint16_t type;    /* behind the tag */
	uint16_t tag;     /* priority (3 bits), drop eligible, VLAN (12 bits), where there is one */
	bool has_tag;     /* of ETHERTYPE_VLAN */
	uint32_t payload; /* where it begins */
};

/* False: the frame ends before its header does. bytes: FRAME_BYTES_MAX at most. */
bool frame_parse(struct frame *frame, const void *data, size_t bytes);

static inline const uint8_t *frame_destination(const struct frame *frame)
{
	return frame->data;
}

static inline const uint8_t *frame_source(const struct frame *frame)
{
	return frame->data + FRAME_MAC_BYTES;
}

static inline bool mac_is_multicast(const uint8_t *mac)
{
	return mac[0] & 1;
}

static inline bool mac_is_zero(const uint8_t *mac)
{
	return !(mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]);
}

/* The address as a number, for comparing. */
static inline uint64_t mac_number(const uint8_t *mac)
{
	return load_le(mac, FRAME_MAC_BYTES);
}

/* To bridges themselves (01-80-C2-00-00-00 to -0F), which no bridge passes on. */
bool frame_is_for_bridges(const struct frame *frame);

/* What a guard keeps back; what cannot be told for sure is called what it may be. */
enum frame_kind {
	FRAME_PLAIN,
	FRAME_DHCP_SERVER, /* a DHCP or DHCPv6 server's message */
	FRAME_ROUTER,      /* a router's advertisement or redirection, IPv4 or IPv6 */
	FRAME_UNREADABLE,  /* IP that hides what it carries: cut short, or too many headers */
};

enum frame_kind frame_kind(const struct frame *frame);

#endif
