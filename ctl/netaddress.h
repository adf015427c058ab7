/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the cmdlets about the addresses of this host's adapters, and netsh, have in common. */
#ifndef CTL_NETADDRESS_H
#define CTL_NETADDRESS_H

#include "ctl/call.h"
#include "lib/address.h"

#include <arpa/inet.h>

/* An address without a prefix length, and its usual spelling. False: it is none. */
bool netaddress_parse(const char *text, struct address *out, char canonical[INET6_ADDRSTRLEN]);

/* -1, after the error that `target` is no good parameter: "'TARGET' WHY." */
int netaddress_incorrect(struct call *call, const char *target, const char *why);

/* Changes the list. 0, or -1 after call_error: then it stays as it is. */
typedef int netaddress_change_fn(struct call *call, json_t *list, const void *what);

/*
 * Changes the member (IPAddresses, DnsServers) of a switch's definition, under the store's lock,
 * also for the switch that runs. -1 after call_error.
 */
int netaddress_change(struct call *call, const char *switch_id, const char *member,
		      netaddress_change_fn *fn, const void *what);

#endif
