/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The header of a frame: see switch/frame.h. switch/guard.c looks further in. */
#include "switch/frame.h"

#include "switch/packet.h"

#define TYPE_OFFSET   (2 * FRAME_MAC_BYTES)
#define BRIDGES_GROUP 0x0000c28001ull /* 01-80-C2-00-00, the first byte lowest */
#define BRIDGES_BITS  40
#define BRIDGES_LAST  0x0f

bool frame_parse(struct frame *frame, const void *data, size_t bytes)
{
	if (bytes < FRAME_HEADER_BYTES)
		return false;
	*frame = (struct frame){
		.data = data,
		.bytes = (uint32_t)bytes,
		.type = (uint16_t)load_be16((const uint8_t *)data + TYPE_OFFSET),
		.payload = FRAME_HEADER_BYTES,
	};
	if (frame->type != ETHERTYPE_VLAN)
		return true;
	if (bytes < FRAME_HEADER_BYTES + FRAME_TAG_BYTES)
		return false;
	frame->has_tag = true;
	frame->tag = (uint16_t)load_be16(frame->data + TYPE_OFFSET + 2);
	frame->type = (uint16_t)load_be16(frame->data + TYPE_OFFSET + FRAME_TAG_BYTES);
	frame->payload += FRAME_TAG_BYTES;
	return true;
}

bool frame_is_for_bridges(const struct frame *frame)
{
	uint64_t to = mac_number(frame_destination(frame));

	return (to & (BIT(BRIDGES_BITS) - 1)) == BRIDGES_GROUP &&
	       to >> BRIDGES_BITS <= BRIDGES_LAST;
}
