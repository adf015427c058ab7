/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small AML builder: appends the byte code of ACPI objects to a blob. Names are given as in AML:
 * segments of four characters, "_SB_", "\\_S5_", "PCI0".
 *
 * What has a body is opened and closed: aml_device_begin returns a mark for aml_end.
 *
 * Source: ACPI: "ACPI Machine Language (AML) Specification"; "Resource Data Types for ACPI".
 */
#ifndef BOOT_AML_H
#define BOOT_AML_H

#include "boot/blob.h"

typedef size_t aml_mark;

aml_mark aml_scope_begin(struct blob *aml, const char *name);
aml_mark aml_device_begin(struct blob *aml, const char *name);
aml_mark aml_package_begin(struct blob *aml, unsigned elements);
void aml_end(struct blob *aml, aml_mark mark);

void aml_name(struct blob *aml, const char *name); /* Name(name, …): the object follows */
void aml_integer(struct blob *aml, uint64_t value);
void aml_eisa_id(struct blob *aml, const char *id); /* "PNP0501" */
void aml_string(struct blob *aml, const char *text);

/* Name(name, value) in one. */
void aml_name_integer(struct blob *aml, const char *name, uint64_t value);
void aml_name_eisa_id(struct blob *aml, const char *name, const char *id);
void aml_name_string(struct blob *aml, const char *name, const char *text);

/* A buffer of resource descriptors. */
aml_mark aml_resources_begin(struct blob *aml);
void aml_resources_end(struct blob *aml, aml_mark mark);
void aml_resource_io(struct blob *aml, uint16_t base, uint8_t ports);
void aml_resource_irq(struct blob *aml, unsigned irq); /* edge, active high, exclusive */
void aml_resource_memory(struct blob *aml, uint32_t base, uint32_t size_bytes);

/* A window that a bridge passes on: [first, last], both ends inclusive. */
void aml_resource_window_bus(struct blob *aml, uint16_t first, uint16_t last);
void aml_resource_window_io(struct blob *aml, uint16_t first, uint16_t last);
void aml_resource_window_memory32(struct blob *aml, uint32_t first, uint32_t last);
void aml_resource_window_memory64(struct blob *aml, uint64_t first, uint64_t last);

#endif
