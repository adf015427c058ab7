/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a kernel leaves for a network card to do with a frame, done here: a checksum, and cutting a
 * large TCP segment into those of a wire. VIRTIO: "Network Device", "Device Operation", whose
 * header says what is left.
 */
#ifndef SWITCH_SEGMENT_H
#define SWITCH_SEGMENT_H

#include "lib/base.h"

#include <linux/virtio_net.h>

typedef void segment_fn(void *self, const void *frame, size_t bytes);

/*
 * Calls fn with each frame that goes on the wire; frame is changed. Nothing, where the header asks
 * for what does not fit the frame, or for another thing than TCP.
 */
void segment_frame(const struct virtio_net_hdr *header, uint8_t *frame, size_t bytes,
		   segment_fn *fn, void *self);

#endif
