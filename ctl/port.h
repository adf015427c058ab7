/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the cable of a VM's adapter leads: to a port of its switch, to the default switch, nowhere.
 * A VM's process is told when it starts and whenever that changes.
 */
#ifndef CTL_PORT_H
#define CTL_PORT_H

#include "ctl/machine.h"

/* The adapter as `nidus run --net` takes it. For free(). */
char *port_network(const json_t *adapter);

/*
 * Before a VM starts: what its adapters are connected to must be there. -1 after call_error; the
 * text says which VM fails to start.
 */
int port_prepare(struct call *call, struct machine *machine);

/* A running VM's adapter leads elsewhere: its process moves the cable. -1 after call_error. */
int port_move(struct call *call, struct machine *machine, const json_t *adapter);

#endif
