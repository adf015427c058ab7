/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tags at a port's door: which VLAN a frame that comes in is in, and how it goes out. */
#ifndef SWITCH_TAG_H
#define SWITCH_TAG_H

#include "switch/policy.h"

#include <sys/uio.h>

#define TAG_PARTS_MAX 3
#define TAG_REFUSED   -1

/* The VLAN of a frame from such a port, or TAG_REFUSED: its tag is not one for this port. */
int tag_vlan_of(const struct switch_vlan *vlan, const struct frame *frame);

/* What its tag says, allowed or not; 0 without. */
unsigned tag_vlan_id(const struct frame *frame);

/* Whether frames of the VLAN go to such a port. */
bool tag_is_for(const struct switch_vlan *vlan, unsigned id);

/*
 * The frame in pieces as such a port gets it: with a tag, without, or as it is. tag: room for one,
 * which lives as long as the pieces. Returns their number, and the sum of their lengths in *bytes.
 */
unsigned tag_parts(const struct switch_vlan *vlan, unsigned id, const struct frame *frame,
		   uint8_t tag[FRAME_TAG_BYTES], struct iovec parts[TAG_PARTS_MAX], size_t *bytes);

#endif
