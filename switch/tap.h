/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ways into the kernel's networks, each a struct net for server_plug_net. All need rights:
 * CAP_NET_ADMIN for a TAP, CAP_NET_RAW for a card.
 */
#ifndef SWITCH_TAP_H
#define SWITCH_TAP_H

#include "lib/address.h"
#include "net/net.h"
#include "switch/frame.h"

/*
 * The host's adapter on a switch as a network interface of the kernel's, up, with this hardware
 * address. Interfaces have names of 15 characters: this one is called vEth- and the beginning of
 * the switch's name, or vEthN where that is taken, and has vEthernet (NAME) as its alias. It goes
 * away with the process, and takes no router advertisements. -EPERM, -EACCES or -ENOENT (no
 * /dev/net/tun) where there is no right to it.
 */
int tap_open_host(struct net *out, uv_loop_t *loop, const char *switch_name,
		  const uint8_t mac[FRAME_MAC_BYTES], struct error *err);

/* The kernel's number of it, and of an uplink's interface. 0: it is neither. */
unsigned tap_index(const struct net *tap);

/* Gives it an address with its network, or takes it off. 0 too where it is already so. */
int tap_add_address(unsigned index, const struct address *address, struct error *err);
int tap_remove_address(unsigned index, const struct address *address, struct error *err);

/*
 * An existing interface of the host's: a TAP in it where it is a bridge, else its own frames, all
 * of them. -EPERM where there is no right to it; err says which right.
 */
int tap_open_uplink(struct net *out, uv_loop_t *loop, const char *device, struct error *err);

#endif
