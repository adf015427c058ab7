/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All frames of one of the host's network cards as a struct net: those for others too, and none
 * that the host itself sends by it. packet(7).
 */
#ifndef SWITCH_CARD_H
#define SWITCH_CARD_H

#include "net/net.h"

/* index: the kernel's number of the card. -EPERM: it takes CAP_NET_RAW. */
int card_open(struct net *out, uv_loop_t *loop, unsigned index);

/* The number that it was opened with; 0 for a net of another kind. */
unsigned card_index(const struct net *net);

#endif
