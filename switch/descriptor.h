/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A struct net on a descriptor of which each read and each write is one frame: a TAP, or a packet
 * socket. With a header in front of each frame where the descriptor has one
 * (VIRTIO: "Device Operation" of the network device).
 */
#ifndef SWITCH_DESCRIPTOR_H
#define SWITCH_DESCRIPTOR_H

#include "net/net.h"

/* Takes the descriptor, which must not block; index is the caller's. -errno: it is closed. */
int descriptor_open(struct net *out, uv_loop_t *loop, int fd, bool has_header, unsigned index);

/* What it was opened with; 0 for a net of another kind. */
unsigned descriptor_index(const struct net *net);

#endif
