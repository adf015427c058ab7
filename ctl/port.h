/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the cable of a VM's adapter leads: to a port of its switch, to the default switch, nowhere.
 * A VM's process is told when it starts and whenever that changes.
 */
#ifndef CTL_PORT_H
#define CTL_PORT_H

#include "ctl/machine.h"

/* The adapter as `nidus run --net` takes it. For free(). */
char *port_network(struct store *store, const json_t *adapter);

/*
 * Before a VM starts: the switches of its adapters run and know them. -1 after call_error; the text
 * says that the VM fails to start.
 */
int port_prepare(struct call *call, struct machine *machine);

/* A running VM's adapter leads elsewhere: its process moves the cable. -1 after call_error. */
int port_move(struct call *call, struct machine *machine, const json_t *adapter);

/*
 * A setting of an adapter has changed: its switch is told, where one runs or the VM needs one. -1
 * after call_error.
 */
int port_apply(struct call *call, const struct machine *machine, const json_t *adapter);

/*
 * Puts into the object of a running VM's adapter what its switch knows of it: Status, and what it
 * has sent and received, seen from the adapter.
 */
void port_show(struct store *store, const json_t *adapter, json_t *object);

/* The adapter has left the switch of that name ("" or NULL: none). */
void port_forget(struct store *store, const char *switch_name, const json_t *adapter);

#endif
