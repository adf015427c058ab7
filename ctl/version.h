/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration versions of VMs: which there are, and what they bring. */
#ifndef CTL_VERSION_H
#define CTL_VERSION_H

#include "ctl/machine.h"

/* What nested virtualization needs. */
#define VERSION_NESTED 8.0
/* And what it needs where the VM is shown AMD's extensions. */
#define VERSION_NESTED_AMD 9.3

const char *version_default(void);
bool version_is_supported(const char *version);

/* Whether the VM's version is at least that one. */
bool version_at_least(const struct machine *machine, double version);

#endif
