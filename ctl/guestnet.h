/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest says of its network, by its agent. */
#ifndef CTL_GUESTNET_H
#define CTL_GUESTNET_H

#include "ctl/machine.h"

/*
 * The addresses of all its interfaces: an object with an array of texts for each MAC address (12
 * digits in upper case), IPv4 first. Empty where no agent listens or answers. New reference.
 */
json_t *guestnet_addresses(struct store *store, const struct machine *machine);

#endif
