/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a running switch is told about the host: its adapter's addresses, what of New-NetNat and
 * its static mappings is for that switch, and the card of an external switch. All of it when it
 * starts, and again with each change.
 */
#ifndef CTL_SWITCHHOST_H
#define CTL_SWITCHHOST_H

#include "ctl/store.h"

/*
 * The definitions in the store hold for the switch from now on. 0 where it does not run. -errno
 * with a text: something cannot be had, and the rest holds.
 */
int switchhost_tell(struct store *store, const json_t *definition, struct error *err);

/* The same for each switch there is; the first error. */
int switchhost_tell_all(struct store *store, struct error *err);

#endif
