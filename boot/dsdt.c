/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The name space: \_SB with the processors, the PCI host bridge (windows, interrupt routes, the ISA
 * devices below it), the HPET, and the ranges that nobody else may take; and \_S5.
 */
#include "boot/dsdt.h"

#include "boot/aml.h"
#include "dev/acpi_pm.h"
#include "dev/fwcfg.h"
#include "dev/hpet.h"
#include "dev/pci/pci.h"

#include <stdio.h>

#define PCI_PINS      4
#define ANY_FUNCTION  0xffffull
#define LAST_PCI_BUS  255
#define ADR(slot, fn) ((uint64_t)(slot) << 16 | (fn))

static void append_processors(struct blob *aml, unsigned cpus)
{
	for (unsigned i = 0; i < cpus; i++) {
		char name[8];
		aml_mark device;

		snprintf(name, sizeof(name), "C%03u", i % 1000);
		device = aml_device_begin(aml, name);
		aml_name_string(aml, "_HID", "ACPI0007");
		aml_name_integer(aml, "_UID", i);
		aml_end(aml, device);
	}
}

static void append_routes(struct blob *aml)
{
	aml_mark routes;

	aml_name(aml, "_PRT");
	routes = aml_package_begin(aml, (PCI_SLOTS - 1) * PCI_PINS); /* slot 0 has no pins */
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++) {
		for (unsigned pin = 0; pin < PCI_PINS; pin++) {
			aml_mark route = aml_package_begin(aml, 4);

			aml_integer(aml, ADR(slot, ANY_FUNCTION));
			aml_integer(aml, pin);
			aml_integer(aml, 0); /* no link device: a fixed interrupt */
			aml_integer(aml, PCI_INTX_GSI(slot, pin));
			aml_end(aml, route);
		}
	}
	aml_end(aml, routes);
}

static void append_windows(struct blob *aml)
{
	aml_mark resources;

	aml_name(aml, "_CRS");
	resources = aml_resources_begin(aml);
	aml_resource_window_bus(aml, 0, LAST_PCI_BUS);
	aml_resource_io(aml, PCI_PORTS_BASE, PCI_PORTS_BYTES);
	aml_resource_window_io(aml, 0, PCI_PORTS_BASE - 1);
	aml_resource_window_io(aml, PCI_PORTS_BASE + PCI_PORTS_BYTES, UINT16_MAX);
	aml_resource_window_memory32(aml, PCI_WINDOW_BASE, PCI_WINDOW_BASE + PCI_WINDOW_BYTES - 1);
	aml_resource_window_memory64(aml, PCI_WINDOW64_BASE,
				     PCI_WINDOW64_BASE + PCI_WINDOW64_BYTES - 1);
	aml_resources_end(aml, resources);
}

/* Devices at the ports of old. A second range of 0 ports and IRQ 0 mean none. */
static const struct isa_device {
	const char *name, *id;
	unsigned uid;
	struct {
		uint16_t base;
		uint8_t count;
	} ports[2];
	unsigned irq;
} isa_devices[] = {
	{ "COM1", "PNP0501", 1, { { 0x3f8, 8 } }, 4 },
	{ "COM2", "PNP0501", 2, { { 0x2f8, 8 } }, 3 },
	{ "RTC_", "PNP0B00", 0, { { 0x70, 2 } }, 8 },
	{ "KBD_", "PNP0303", 0, { { 0x60, 1 }, { 0x64, 1 } }, 1 },
};

static void append_isa_device(struct blob *aml, const struct isa_device *d)
{
	aml_mark device = aml_device_begin(aml, d->name), resources;

	aml_name_eisa_id(aml, "_HID", d->id);
	aml_name_integer(aml, "_UID", d->uid);
	aml_name(aml, "_CRS");
	resources = aml_resources_begin(aml);
	for (size_t i = 0; i < ARRAY_SIZE(d->ports); i++) {
		if (d->ports[i].count)
			aml_resource_io(aml, d->ports[i].base, d->ports[i].count);
	}
	aml_resource_irq(aml, d->irq);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

static void append_host_bridge(struct blob *aml)
{
	aml_mark bridge = aml_device_begin(aml, "PCI0"), isa;

	aml_name_eisa_id(aml, "_HID", "PNP0A08");
	aml_name_eisa_id(aml, "_CID", "PNP0A03");
	aml_name_integer(aml, "_UID", 0);
	aml_name_integer(aml, "_SEG", 0);
	aml_name_integer(aml, "_BBN", 0);
	append_windows(aml);
	append_routes(aml);
	isa = aml_device_begin(aml, "ISA_");
	aml_name_integer(aml, "_ADR", ADR(PCI_SLOT_ISA, 0));
	for (size_t i = 0; i < ARRAY_SIZE(isa_devices); i++)
		append_isa_device(aml, &isa_devices[i]);
	aml_end(aml, isa);
	aml_end(aml, bridge);
}

static void append_hpet(struct blob *aml)
{
	aml_mark device = aml_device_begin(aml, "HPET"), resources;

	aml_name_eisa_id(aml, "_HID", "PNP0103");
	aml_name_integer(aml, "_UID", 0);
	aml_name(aml, "_CRS");
	resources = aml_resources_begin(aml);
	aml_resource_memory(aml, HPET_BASE, HPET_SIZE);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

/* The configuration window and the ports of chips without a device of their own. */
static void append_reserved(struct blob *aml)
{
	aml_mark device = aml_device_begin(aml, "MBRD"), resources;

	aml_name_eisa_id(aml, "_HID", "PNP0C02");
	aml_name_integer(aml, "_UID", 0);
	aml_name(aml, "_CRS");
	resources = aml_resources_begin(aml);
	aml_resource_memory(aml, PCI_ECAM_BASE, PCI_ECAM_BYTES);
	aml_resource_io(aml, ACPI_PM_BASE, ACPI_PM_SIZE);
	aml_resource_io(aml, FWCFG_PORT, FWCFG_DMA_PORT + FWCFG_DMA_PORTS - FWCFG_PORT);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

static void append_s5(struct blob *aml)
{
	aml_mark package;

	aml_name(aml, "\\_S5_");
	package = aml_package_begin(aml, 4);
	aml_integer(aml, ACPI_SLP_TYP_S5);
	for (int i = 0; i < 3; i++)
		aml_integer(aml, 0);
	aml_end(aml, package);
}

void dsdt_append(struct blob *aml, const struct acpi_config *config)
{
	aml_mark sb = aml_scope_begin(aml, "\\_SB_");

	append_processors(aml, config->cpus);
	append_host_bridge(aml);
	append_hpet(aml);
	append_reserved(aml);
	aml_end(aml, sb);
	append_s5(aml);
}
