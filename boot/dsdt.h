/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The body of the DSDT: the devices that a guest cannot find by itself. */
#ifndef BOOT_DSDT_H
#define BOOT_DSDT_H

#include "boot/acpi.h"
#include "boot/blob.h"

void dsdt_append(struct blob *aml, const struct acpi_config *config);

#endif
