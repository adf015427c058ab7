/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a switch can be asked about the ports that lead to the host: the port "host" of the host's
 * adapter (switch/host.h), and the port "uplink" of an external switch's card (switch/tap.h). The
 * requests set_port and remove_port are for them too.
 */
#ifndef SWITCH_UPLINKS_H
#define SWITCH_UPLINKS_H

#include "switch/server.h"

#define UPLINKS_HOST_PORT   "host"
#define UPLINKS_DEVICE_PORT "uplink"

/*
 * set_host: mac, in_kernel (a TAP where there is the right to one), and the members of
 * switch/gateway.h. Answers in_kernel and interface (the kernel's name, "" in user space). Where
 * something cannot be had the rest holds, and the error names it.
 */
int uplinks_set_host(void *server, const json_t *arguments, json_t *answer, struct error *err);

/* set_uplink: device, the kernel's name of a card or bridge. */
int uplinks_set_device(void *server, const json_t *arguments, json_t *answer, struct error *err);

#endif
