/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A struct net on a descriptor of which each read and each write is one frame, as a TAP's.
 */
#ifndef SWITCH_DESCRIPTOR_H
#define SWITCH_DESCRIPTOR_H

#include "net/net.h"

/* Takes the descriptor, which must not block; index is the caller's. -errno: it is closed. */
int descriptor_open(struct net *out, uv_loop_t *loop, int fd, unsigned index);

/* What it was opened with; 0 for a net of another kind. */
unsigned descriptor_index(const struct net *net);

#endif
