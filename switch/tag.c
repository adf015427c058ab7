/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VLANs: see switch/tag.h. A tag with VLAN 0 says a priority and nothing more (IEEE 802.1Q:
 * "Priority-tagged frame"): such a frame is in no VLAN, as one without a tag.
 *
 * A tag behind the tag is payload, and must not become the tag: where the outer one is taken off,
 * it would lead a trunk's other end, or a station that skips priority tags, into a VLAN of the
 * sender's choice.
 */
#include "switch/tag.h"

#define TAG_VLAN_MASK 0x0fff
#define ADDRESSES     (2 * FRAME_MAC_BYTES) /* bytes in front of the tag */

unsigned tag_vlan_id(const struct frame *frame)
{
	return frame->has_tag ? frame->tag & TAG_VLAN_MASK : 0;
}

static bool has_inner_tag(const struct frame *frame)
{
	return frame->has_tag && frame->type == ETHERTYPE_VLAN;
}

int tag_vlan_of(const struct switch_vlan *vlan, const struct frame *frame)
{
	unsigned id = tag_vlan_id(frame);

	if (!id && has_inner_tag(frame))
		return TAG_REFUSED;
	if (!id)
		return vlan->mode == SWITCH_VLAN_UNTAGGED ? 0 : vlan->id;
	if (vlan->mode == SWITCH_VLAN_TRUNK && switch_vlan_is_allowed(vlan, id))
		return (int)id;
	return TAG_REFUSED;
}

bool tag_is_for(const struct switch_vlan *vlan, unsigned id)
{
	if (vlan->mode == SWITCH_VLAN_UNTAGGED)
		return id == 0;
	return id == vlan->id ||
	       (vlan->mode == SWITCH_VLAN_TRUNK && switch_vlan_is_allowed(vlan, id));
}

static struct iovec part(const void *p, size_t bytes)
{
	return (struct iovec){ (void *)(uintptr_t)p, bytes };
}

static void make_tag(uint8_t tag[FRAME_TAG_BYTES], unsigned id, const struct frame *frame)
{
	unsigned control = id | (frame->has_tag ? frame->tag & ~TAG_VLAN_MASK : 0);

	tag[0] = ETHERTYPE_VLAN >> 8;
	tag[1] = ETHERTYPE_VLAN & 0xff;
	tag[2] = (uint8_t)(control >> 8);
	tag[3] = (uint8_t)control;
}

unsigned tag_parts(const struct switch_vlan *vlan, unsigned id, const struct frame *frame,
		   uint8_t tag[FRAME_TAG_BYTES], struct iovec parts[TAG_PARTS_MAX], size_t *bytes)
{
	bool wants_tag =
		vlan->mode == SWITCH_VLAN_TRUNK && (id != vlan->id || has_inner_tag(frame));
	size_t rest = ADDRESSES + (frame->has_tag ? FRAME_TAG_BYTES : 0);
	unsigned count = 0;

	*bytes = frame->bytes;
	if (wants_tag ? tag_vlan_id(frame) == id : !frame->has_tag) {
		parts[0] = part(frame->data, frame->bytes);
		return 1;
	}
	parts[count++] = part(frame->data, ADDRESSES);
	if (wants_tag) {
		make_tag(tag, id, frame);
		parts[count++] = part(tag, FRAME_TAG_BYTES);
	}
	parts[count++] = part(frame->data + rest, frame->bytes - rest);
	*bytes = frame->bytes - rest + ADDRESSES + (wants_tag ? FRAME_TAG_BYTES : 0);
	return count;
}
