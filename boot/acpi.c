/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI tables, one function each. They are built in a blob whose first byte is LAYOUT_ACPI and
 * copied to the guest in one go.
 *
 * Source: ACPI 6.5: "Fixed ACPI Description Table (FADT)", "Multiple APIC Description Table
 * (MADT)"; PCI Firmware: "MCFG Table Description"; IA-PC HPET: "The ACPI 2.0 HPET Description Table
 * (HPET)".
 */
#include "boot/acpi.h"

#include "boot/dsdt.h"
#include "boot/layout.h"
#include "dev/acpi_pm.h"
#include "dev/hpet.h"
#include "dev/pci/pci.h"
#include "vm/irq.h"

#include <errno.h>
#include <stdlib.h>

#define OEM_ID       "NIDUS "
#define OEM_TABLE_ID "NIDUS   "
#define CREATOR_ID   "NIDU"

#define HEADER_LENGTH     4
#define HEADER_CHECKSUM   9
#define RSDP_V1_BYTES     20
#define RSDP_BYTES        36
#define RSDP_CHECKSUM     8
#define RSDP_EXT_CHECKSUM 32
#define FACS_BYTES        64
#define FACS_VERSION      2

#define GAS_MEMORY    0
#define GAS_IO        1
#define GAS_BYTE      1
#define GAS_WORD      2
#define GAS_DWORD     3
#define GAS_UNDEFINED 0

/* FADT */
#define FADT_REVISION       6
#define PROFILE_SERVER      4
#define LATENCY_UNSUPPORTED 0xfff
#define CMOS_CENTURY        0x32
#define BOOT_LEGACY_DEVICES BIT(0)
#define BOOT_8042           BIT(1)
#define BOOT_NO_VGA         BIT(2)
#define FADT_WBINVD         BIT(0)
#define FADT_C1             BIT(2)
#define FADT_NO_SLEEP_KEY   BIT(5)
#define FADT_NO_FIXED_RTC   BIT(6)
#define FADT_TIMER_32BIT    BIT(8)
#define FADT_RESET_REGISTER BIT(10)

/* MADT */
#define LAPIC_BASE         0xfee00000u
#define MADT_PC_COMPATIBLE 1
#define MADT_ENABLED       1
#define MADT_LAPIC         0
#define MADT_IOAPIC        1
#define MADT_OVERRIDE      2
#define MADT_LAPIC_NMI     4
#define MADT_ALL_CPUS      0xff
#define FLAGS_BUS_DEFAULT  0
#define FLAGS_LEVEL_HIGH   0x0d
#define PIT_GSI            2 /* where ISA line 0 arrives */

struct tables {
	struct blob blob;
	const struct acpi_config *config;
	gpa_t facs, dsdt, fadt, madt, mcfg, hpet;
};

static gpa_t here(const struct tables *t)
{
	return LAYOUT_ACPI + t->blob.len;
}

static gpa_t begin(struct tables *t, const char *signature, uint8_t revision)
{
	struct blob *b = &t->blob;
	gpa_t gpa;

	blob_align(b, 16);
	gpa = here(t);
	blob_text(b, signature);
	blob_number(b, 0, 4); /* length */
	blob_number(b, revision, 1);
	blob_number(b, 0, 1); /* checksum */
	blob_text(b, OEM_ID);
	blob_text(b, OEM_TABLE_ID);
	blob_number(b, 1, 4);
	blob_text(b, CREATOR_ID);
	blob_number(b, 1, 4);
	return gpa;
}

static void end(struct tables *t, gpa_t gpa)
{
	size_t start = gpa - LAYOUT_ACPI, len = t->blob.len - start;

	blob_patch(&t->blob, start + HEADER_LENGTH, len, 4);
	blob_patch(&t->blob, start + HEADER_CHECKSUM, blob_checksum(&t->blob, start, len), 1);
}

/* A generic address structure. */
static void address(struct blob *b, uint8_t space, unsigned bytes, uint8_t access, uint64_t at)
{
	blob_number(b, space, 1);
	blob_number(b, bytes * 8, 1);
	blob_number(b, 0, 1);
	blob_number(b, access, 1);
	blob_number(b, at, 8);
}

static void no_address(struct blob *b)
{
	address(b, GAS_MEMORY, 0, GAS_UNDEFINED, 0);
}

static void add_facs(struct tables *t)
{
	struct blob *b = &t->blob;
	const uint8_t rest[FACS_BYTES - 33] = { 0 };

	blob_align(b, FACS_BYTES);
	t->facs = here(t);
	blob_text(b, "FACS");
	blob_number(b, FACS_BYTES, 4);
	for (int i = 0; i < 4; i++) /* signature, waking vector, global lock, flags */
		blob_number(b, 0, 4);
	blob_number(b, 0, 8); /* 64-bit waking vector */
	blob_number(b, FACS_VERSION, 1);
	blob_append(b, rest, sizeof(rest));
}

static void add_dsdt(struct tables *t)
{
	t->dsdt = begin(t, "DSDT", 2);
	dsdt_append(&t->blob, t->config);
	end(t, t->dsdt);
}

static void fadt_blocks(struct blob *b)
{
	blob_number(b, ACPI_PM_BASE + ACPI_PM1_EVT, 4);
	blob_number(b, 0, 4);
	blob_number(b, ACPI_PM_BASE + ACPI_PM1_CNT, 4);
	blob_number(b, 0, 4);
	blob_number(b, 0, 4); /* PM2 */
	blob_number(b, ACPI_PM_BASE + ACPI_PM_TMR, 4);
	blob_number(b, ACPI_PM_BASE + ACPI_GPE0, 4);
	blob_number(b, 0, 4);
	blob_number(b, 4, 1); /* lengths: PM1 event, PM1 control, PM2, timer, GPE0, GPE1 */
	blob_number(b, 2, 1);
	blob_number(b, 0, 1);
	blob_number(b, 4, 1);
	blob_number(b, ACPI_GPE0_BYTES, 1);
	blob_number(b, 0, 1);
	blob_number(b, 0, 2); /* GPE1 base, C-state control */
}

static void fadt_extended_blocks(struct blob *b)
{
	address(b, GAS_IO, 4, GAS_WORD, ACPI_PM_BASE + ACPI_PM1_EVT);
	no_address(b);
	address(b, GAS_IO, 2, GAS_WORD, ACPI_PM_BASE + ACPI_PM1_CNT);
	no_address(b);
	no_address(b); /* PM2 */
	address(b, GAS_IO, 4, GAS_DWORD, ACPI_PM_BASE + ACPI_PM_TMR);
	address(b, GAS_IO, ACPI_GPE0_BYTES, GAS_BYTE, ACPI_PM_BASE + ACPI_GPE0);
	no_address(b); /* GPE1 */
	no_address(b); /* sleep control and status of hardware-reduced machines */
	no_address(b);
}

static void add_fadt(struct tables *t)
{
	struct blob *b = &t->blob;

	t->fadt = begin(t, "FACP", FADT_REVISION);
	blob_number(b, t->facs, 4);
	blob_number(b, t->dsdt, 4);
	blob_number(b, 0, 1);
	blob_number(b, PROFILE_SERVER, 1);
	blob_number(b, ACPI_SCI_GSI, 2);
	blob_number(b, 0, 8); /* no SMI command port: always in ACPI mode */
	fadt_blocks(b);
	blob_number(b, LATENCY_UNSUPPORTED, 2); /* C2, C3 */
	blob_number(b, LATENCY_UNSUPPORTED, 2);
	blob_number(b, 0, 4); /* cache flush size and stride */
	blob_number(b, 0, 4); /* duty cycle, alarm registers */
	blob_number(b, CMOS_CENTURY, 1);
	blob_number(b, BOOT_LEGACY_DEVICES | BOOT_8042 | BOOT_NO_VGA, 2);
	blob_number(b, 0, 1);
	blob_number(b,
		    FADT_WBINVD | FADT_C1 | FADT_NO_SLEEP_KEY | FADT_NO_FIXED_RTC |
			    FADT_TIMER_32BIT | FADT_RESET_REGISTER,
		    4);
	address(b, GAS_IO, 1, GAS_BYTE, ACPI_RESET_PORT);
	blob_number(b, ACPI_RESET_VALUE, 1);
	blob_number(b, 0, 2); /* ARM */
	blob_number(b, 0, 1); /* minor revision */
	blob_number(b, 0, 8); /* FACS: the 32-bit field holds */
	blob_number(b, t->dsdt, 8);
	fadt_extended_blocks(b);
	blob_number(b, 0, 8); /* hypervisor vendor */
	end(t, t->fadt);
}

static void madt_override(struct blob *b, unsigned isa_line, unsigned gsi, unsigned flags)
{
	blob_number(b, MADT_OVERRIDE, 1);
	blob_number(b, 10, 1);
	blob_number(b, 0, 1); /* bus ISA */
	blob_number(b, isa_line, 1);
	blob_number(b, gsi, 4);
	blob_number(b, flags, 2);
}

static void add_madt(struct tables *t)
{
	struct blob *b = &t->blob;

	t->madt = begin(t, "APIC", 5);
	blob_number(b, LAPIC_BASE, 4);
	blob_number(b, MADT_PC_COMPATIBLE, 4);
	for (unsigned i = 0; i < t->config->cpus; i++) {
		blob_number(b, MADT_LAPIC, 1);
		blob_number(b, 8, 1);
		blob_number(b, i, 1); /* processor UID, as in the DSDT */
		blob_number(b, i, 1); /* APIC ID */
		blob_number(b, MADT_ENABLED, 4);
	}
	blob_number(b, MADT_IOAPIC, 1);
	blob_number(b, 12, 1);
	blob_number(b, 0, 2); /* ID, reserved */
	blob_number(b, IOAPIC_BASE, 4);
	blob_number(b, 0, 4); /* its first GSI */
	madt_override(b, 0, PIT_GSI, FLAGS_BUS_DEFAULT);
	madt_override(b, ACPI_SCI_GSI, ACPI_SCI_GSI, FLAGS_LEVEL_HIGH);
	blob_number(b, MADT_LAPIC_NMI, 1);
	blob_number(b, 6, 1);
	blob_number(b, MADT_ALL_CPUS, 1);
	blob_number(b, FLAGS_BUS_DEFAULT, 2);
	blob_number(b, 1, 1); /* LINT1 */
	end(t, t->madt);
}

static void add_mcfg(struct tables *t)
{
	struct blob *b = &t->blob;

	t->mcfg = begin(t, "MCFG", 1);
	blob_number(b, 0, 8);
	blob_number(b, PCI_ECAM_BASE, 8);
	blob_number(b, 0, 2); /* segment */
	blob_number(b, 0, 1); /* first and last bus */
	blob_number(b, PCI_ECAM_BYTES / MIB - 1, 1);
	blob_number(b, 0, 4);
	end(t, t->mcfg);
}

static void add_hpet(struct tables *t)
{
	struct blob *b = &t->blob;

	t->hpet = begin(t, "HPET", 1);
	blob_number(b, HPET_BLOCK_ID, 4);
	address(b, GAS_MEMORY, 8, GAS_UNDEFINED, HPET_BASE);
	blob_number(b, 0, 1); /* number */
	blob_number(b, 0, 2); /* minimum tick */
	blob_number(b, 0, 1);
	end(t, t->hpet);
}

/* RSDT with 4-byte or XSDT with 8-byte pointers to all tables. */
static gpa_t add_root(struct tables *t, const char *signature, unsigned pointer_bytes)
{
	const gpa_t tables[] = { t->fadt, t->madt, t->mcfg, t->hpet };
	gpa_t gpa = begin(t, signature, 1);

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		blob_number(&t->blob, tables[i], pointer_bytes);
	end(t, gpa);
	return gpa;
}

static gpa_t add_rsdp(struct tables *t)
{
	gpa_t rsdt = add_root(t, "RSDT", 4), xsdt = add_root(t, "XSDT", 8), gpa;
	struct blob *b = &t->blob;
	size_t start;

	blob_align(b, 16);
	gpa = here(t);
	start = b->len;
	blob_text(b, "RSD PTR ");
	blob_number(b, 0, 1); /* checksum */
	blob_text(b, OEM_ID);
	blob_number(b, 2, 1); /* revision */
	blob_number(b, rsdt, 4);
	blob_number(b, RSDP_BYTES, 4);
	blob_number(b, xsdt, 8);
	blob_number(b, 0, 4); /* extended checksum, reserved */
	blob_patch(b, start + RSDP_CHECKSUM, blob_checksum(b, start, RSDP_V1_BYTES), 1);
	blob_patch(b, start + RSDP_EXT_CHECKSUM, blob_checksum(b, start, RSDP_BYTES), 1);
	return gpa;
}

int acpi_write_tables(struct memory *memory, const struct acpi_config *config, gpa_t *rsdp,
		      struct error *err)
{
	struct tables t = { .config = config };

	t.blob.size = LAYOUT_ACPI_END - LAYOUT_ACPI;
	t.blob.bytes = malloc(t.blob.size);
	if (!t.blob.bytes)
		return error_set(err, -ENOMEM, "ACPI tables: out of memory");
	add_facs(&t);
	add_dsdt(&t);
	add_fadt(&t);
	add_madt(&t);
	add_mcfg(&t);
	add_hpet(&t);
	*rsdp = add_rsdp(&t);
	memory_write(memory, LAYOUT_ACPI, t.blob.bytes, t.blob.len);
	free(t.blob.bytes);
	if (t.blob.full)
		return error_set(err, -ENOSPC, "ACPI tables: too large");
	return 0;
}
