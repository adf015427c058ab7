/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This host: its settings, and what of it matters for nested virtualization. */
#ifndef CTL_HOST_H
#define CTL_HOST_H

#include "ctl/store.h"

/*
 * The settings with their defaults filled in: NestingPolicy (Documented, Preview),
 * HypervisorLoadOptions, VirtualizationBasedSecurity and the rest of what Get-VMHost shows.
 */
json_t *host_settings(struct store *store);

/* Whether the stricter list of the preview holds: from there on where extensions are on. */
bool host_is_preview(struct store *store);

/* Whether the load options leave nesting on: no OFFERNESTEDVIRT=FALSE. */
bool host_offers_nesting(struct store *store);

/* "GenuineIntel", "AuthenticAMD" or another. */
#define HOST_VENDOR_SIZE 13
void host_vendor(char vendor[HOST_VENDOR_SIZE]);

/*
 * What runs virtual machines here: KvmEngine and SoftEngine, each "Available" or "Not available:"
 * and the reason. They are tried, which may take a second. nested: VMs with virtualization
 * extensions.
 */
json_t *host_engines(bool nested);

#endif
