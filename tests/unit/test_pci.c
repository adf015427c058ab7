/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI host: configuration space by both ways, BARs that move, INTx sharing, MSI-X masking.
 * The two functions of vm/irq.h that PCI calls are fakes here.
 */
#include "dev/pci/pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SLOT        3
#define BAR0_BYTES  0x1000
#define BAR2_BYTES  0x100000
#define MSIX_BAR    1
#define VECTORS     70
#define MSI_ADDRESS 0xfee01000ull

struct irq {
	bool line[IRQ_LINES];
	unsigned messages;
	uint64_t last_address;
	uint32_t last_data;
};

void irq_set_line(struct irq *irq, unsigned gsi, bool level)
{
	assert_true(gsi < IRQ_LINES);
	irq->line[gsi] = level;
}

void irq_send_msi(struct irq *irq, uint64_t address, uint32_t data)
{
	irq->messages++;
	irq->last_address = address;
	irq->last_data = data;
}

struct fixture {
	struct irq irq;
	unsigned resets;
	struct power power;
	struct pci_host *host;
	struct pci_device dev;
	struct dev_access last; /* what a BAR saw last */
	unsigned last_bar;
};

static void count_reset(void *self, enum power_event event, unsigned status)
{
	struct fixture *f = self;

	assert_int_equal(event, POWER_RESET);
	assert_int_equal(status, 0);
	f->resets++;
}

static void bar0_access(void *self, struct dev_access *a)
{
	struct fixture *f = self;

	f->last = *a;
	f->last_bar = 0;
	a->value = 0x1234;
}

static void bar2_access(void *self, struct dev_access *a)
{
	struct fixture *f = self;

	f->last = *a;
	f->last_bar = 2;
	a->value = 0x5678;
}

static int setup(void **state)
{
	static const struct pci_identity identity = {
		.vendor = 0x1af4, .device = 0x1042, .class_code = 0x018000, .has_intx = true
	};
	struct fixture *f = calloc(1, sizeof(*f));
	struct pci_bar bar0 = { .size_bytes = BAR0_BYTES, .access = bar0_access, .self = f };
	struct pci_bar bar2 = {
		.size_bytes = BAR2_BYTES, .is_64bit = true, .access = bar2_access, .self = f
	};

	f->power = (struct power){ count_reset, f };
	assert_int_equal(pci_create(&f->host, &f->irq, &f->power), 0);
	pci_device_init(&f->dev, &identity);
	assert_int_equal(pci_add_bar(&f->dev, 0, &bar0), 0);
	assert_int_equal(pci_add_bar(&f->dev, 2, &bar2), 0);
	assert_int_equal(pci_add_msix(&f->dev, MSIX_BAR, VECTORS), 0);
	assert_int_equal(pci_attach(f->host, SLOT, &f->dev), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_device_finish(&f->dev);
	pci_destroy(f->host);
	free(f);
	return 0;
}

static uint64_t call(dev_access_fn *fn, void *self, uint64_t offset, unsigned size, bool is_write,
		     uint64_t value)
{
	struct dev_access a = {
		.offset = offset, .size = size, .is_write = is_write, .value = value
	};

	fn(self, &a);
	return a.value;
}

static uint64_t ecam_offset(unsigned slot, unsigned reg)
{
	return slot << 15 | reg;
}

static uint64_t cfg_read(struct fixture *f, unsigned slot, unsigned reg, unsigned size)
{
	return call(pci_ecam_access, f->host, ecam_offset(slot, reg), size, false, 0);
}

static void cfg_write(struct fixture *f, unsigned slot, unsigned reg, unsigned size, uint64_t value)
{
	call(pci_ecam_access, f->host, ecam_offset(slot, reg), size, true, value);
}

static uint64_t port_read(struct fixture *f, unsigned slot, unsigned reg, unsigned size)
{
	call(pci_port_access, f->host, 0, 4, true, 0x80000000u | slot << 11 | (reg & 0xfc));
	return call(pci_port_access, f->host, 4 + (reg & 3), size, false, 0);
}

static uint64_t window(struct fixture *f, uint64_t addr, unsigned size, bool is_write, uint64_t v)
{
	if (addr >= PCI_WINDOW64_BASE)
		return call(pci_window64_access, f->host, addr - PCI_WINDOW64_BASE, size, is_write,
			    v);
	return call(pci_window_access, f->host, addr - PCI_WINDOW_BASE, size, is_write, v);
}

static void test_identity(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(cfg_read(f, 0, PCI_VENDOR_ID, 4), 0x29c08086);
	assert_int_equal(cfg_read(f, 0, PCI_CLASS_DEVICE, 2), 0x0600);
	assert_int_equal(cfg_read(f, PCI_SLOT_ISA, PCI_VENDOR_ID, 4), 0x29188086);
	assert_int_equal(port_read(f, SLOT, PCI_VENDOR_ID, 4), 0x10421af4);
	assert_int_equal(port_read(f, SLOT, PCI_DEVICE_ID, 2), 0x1042);
	assert_int_equal(port_read(f, SLOT, PCI_DEVICE_ID + 1, 1), 0x10);
	assert_int_equal(cfg_read(f, SLOT, PCI_VENDOR_ID, 8),
			 0x10421af4 | (uint64_t)0x100000 << 32);
	assert_int_equal(cfg_read(f, SLOT, 0x100, 4), 0);
	assert_int_equal(cfg_read(f, 5, PCI_VENDOR_ID, 4), 0xffffffff);
	/* other functions and other buses */
	assert_int_equal(call(pci_ecam_access, f->host, SLOT << 15 | 1 << 12, 4, false, 0),
			 0xffffffff);
	assert_int_equal(call(pci_ecam_access, f->host, 1 << 20, 4, false, 0), 0xffffffff);
}

static void test_ports(void **state)
{
	struct fixture *f = *state;

	call(pci_port_access, f->host, 0, 4, true, 0x80000000);
	assert_int_equal(call(pci_port_access, f->host, 0, 4, false, 0), 0x80000000);
	/* a byte write does not reach the address register */
	call(pci_port_access, f->host, 3, 1, true, 0);
	assert_int_equal(call(pci_port_access, f->host, 0, 4, false, 0), 0x80000000);
	/* without the enable bit there is nothing */
	call(pci_port_access, f->host, 0, 4, true, 0);
	assert_int_equal(call(pci_port_access, f->host, 4, 4, false, 0), 0xffffffff);
	assert_int_equal(call(pci_port_access, f->host, 2, 4, false, 0), 0xffffffff);
}

static void test_reset_control(void **state)
{
	struct fixture *f = *state;

	call(pci_port_access, f->host, 1, 1, true, 0x02);
	assert_int_equal(f->resets, 0);
	assert_int_equal(call(pci_port_access, f->host, 1, 1, false, 0), 0x02);
	call(pci_port_access, f->host, 1, 1, true, 0x06);
	assert_int_equal(f->resets, 1);
}

static void test_bar_sizing(void **state)
{
	struct fixture *f = *state;

	cfg_write(f, SLOT, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(cfg_read(f, SLOT, PCI_BASE_ADDRESS_0, 4), 0xfffff000);
	cfg_write(f, SLOT, PCI_BASE_ADDRESS_2, 4, 0xffffffff);
	cfg_write(f, SLOT, PCI_BASE_ADDRESS_3, 4, 0xffffffff);
	assert_int_equal(cfg_read(f, SLOT, PCI_BASE_ADDRESS_2, 4), 0xfff00004);
	assert_int_equal(cfg_read(f, SLOT, PCI_BASE_ADDRESS_3, 4), 0xffffffff);
	cfg_write(f, SLOT, PCI_BASE_ADDRESS_4, 4, 0xffffffff);
	assert_int_equal(cfg_read(f, SLOT, PCI_BASE_ADDRESS_4, 4), 0);
	/* read-only registers stay */
	cfg_write(f, SLOT, PCI_VENDOR_ID, 4, 0xffffffff);
	assert_int_equal(cfg_read(f, SLOT, PCI_VENDOR_ID, 4), 0x10421af4);
}

static void test_bar_moves(void **state)
{
	struct fixture *f = *state;
	uint64_t at = PCI_WINDOW_BASE + 0x10000;

	cfg_write(f, SLOT, PCI_BASE_ADDRESS_0, 4, at);
	assert_int_equal(window(f, at, 4, false, 0), 0xffffffff); /* decoding is off */
	cfg_write(f, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(window(f, at + 8, 4, false, 0), 0x1234);
	assert_int_equal(f->last.offset, 8);
	window(f, at + BAR0_BYTES - 2, 2, true, 0xabcd);
	assert_int_equal(f->last.offset, BAR0_BYTES - 2);
	assert_int_equal(f->last.value, 0xabcd);
	assert_true(f->last.is_write);
	assert_int_equal(window(f, at + BAR0_BYTES - 2, 4, false, 0), 0xffffffff);
	assert_int_equal(window(f, at - 1, 1, false, 0), 0xff);

	cfg_write(f, SLOT, PCI_BASE_ADDRESS_0, 4, at + 0x100000);
	assert_int_equal(window(f, at, 2, false, 0), 0xffff);
	assert_int_equal(window(f, at + 0x100000, 2, false, 0), 0x1234);
	/* outside of the windows nothing answers */
	cfg_write(f, SLOT, PCI_BASE_ADDRESS_0, 4, 0x1000);
	assert_int_equal(window(f, at + 0x100000, 2, false, 0), 0xffff);
}

static void test_bar_64(void **state)
{
	struct fixture *f = *state;
	uint64_t at = PCI_WINDOW64_BASE + 3 * BAR2_BYTES;

	cfg_write(f, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	cfg_write(f, SLOT, PCI_BASE_ADDRESS_2, 4, at & 0xffffffff);
	cfg_write(f, SLOT, PCI_BASE_ADDRESS_3, 4, at >> 32);
	assert_int_equal(window(f, at + 0x10, 8, false, 0), 0x5678);
	assert_int_equal(f->last_bar, 2);
	assert_int_equal(f->last.offset, 0x10);
	pci_reset(f->host);
	assert_int_equal(window(f, at, 4, false, 0), 0xffffffff);
	assert_int_equal(cfg_read(f, SLOT, PCI_BASE_ADDRESS_2, 4), 4);
}

static void test_assign(void **state)
{
	struct fixture *f = *state;
	uint64_t bar0, bar2;

	assert_int_equal(pci_assign_bars(f->host), 0);
	bar0 = cfg_read(f, SLOT, PCI_BASE_ADDRESS_0, 4);
	bar2 = cfg_read(f, SLOT, PCI_BASE_ADDRESS_2, 8) & ~0xfull;
	assert_int_equal(window(f, bar0, 4, false, 0), 0x1234);
	assert_int_equal(window(f, bar2, 4, false, 0), 0x5678);
}

static void test_bad_bars(void **state)
{
	struct pci_device dev;
	struct pci_identity identity = { 0 };
	struct pci_bar bar = { .size_bytes = 24 };
	struct fixture *f = *state;

	pci_device_init(&dev, &identity);
	assert_int_equal(pci_add_bar(&dev, 0, &bar), -EINVAL);
	bar.size_bytes = 16;
	assert_int_equal(pci_add_bar(&dev, PCI_BARS, &bar), -EINVAL);
	bar.is_64bit = true;
	assert_int_equal(pci_add_bar(&dev, PCI_BARS - 1, &bar), -EINVAL);
	assert_int_equal(pci_add_bar(&dev, 0, &bar), 0);
	assert_int_equal(pci_add_bar(&dev, 1, &bar), -EINVAL);
	assert_int_equal(pci_attach(f->host, SLOT, &dev), -EEXIST);
	assert_int_equal(pci_attach(f->host, PCI_SLOTS, &dev), -EINVAL);
	pci_device_finish(&dev);
}

static void test_intx(void **state)
{
	static const struct pci_identity identity = { .vendor = 1, .has_intx = true };
	struct fixture *f = *state;
	struct pci_device other;
	unsigned gsi = PCI_INTX_GSI(SLOT, 0);

	assert_int_equal(gsi, PCI_INTX_GSI(SLOT + PCI_INTX_GSIS, 0));
	pci_device_init(&other, &identity);
	assert_int_equal(pci_attach(f->host, SLOT + PCI_INTX_GSIS, &other), 0);
	pci_set_intx(&f->dev, true);
	assert_true(f->irq.line[gsi]);
	assert_true(cfg_read(f, SLOT, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	pci_set_intx(&other, true);
	pci_set_intx(&f->dev, false);
	assert_true(f->irq.line[gsi]); /* shared: the other still asserts */
	pci_set_intx(&other, false);
	assert_false(f->irq.line[gsi]);

	cfg_write(f, SLOT, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	pci_set_intx(&f->dev, true);
	assert_false(f->irq.line[gsi]);
	cfg_write(f, SLOT, PCI_COMMAND, 2, 0);
	assert_true(f->irq.line[gsi]);
	pci_reset(f->host);
	assert_false(f->irq.line[gsi]);
	assert_false(cfg_read(f, SLOT, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	pci_device_finish(&other);
}

static unsigned find_capability(struct fixture *f, uint8_t id)
{
	unsigned at = cfg_read(f, SLOT, PCI_CAPABILITY_LIST, 1);

	assert_true(cfg_read(f, SLOT, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	while (at && cfg_read(f, SLOT, at, 1) != id)
		at = cfg_read(f, SLOT, at + 1, 1);
	assert_int_not_equal(at, 0);
	return at;
}

static uint64_t enable_msix(struct fixture *f, uint16_t flags)
{
	unsigned at = find_capability(f, PCI_CAP_ID_MSIX);

	assert_int_equal(cfg_read(f, SLOT, at + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE,
			 VECTORS - 1);
	cfg_write(f, SLOT, at + PCI_MSIX_FLAGS, 2, flags);
	cfg_write(f, SLOT, PCI_BASE_ADDRESS_0 + 4 * MSIX_BAR, 4, PCI_WINDOW_BASE);
	cfg_write(f, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	return PCI_WINDOW_BASE;
}

static void write_entry(struct fixture *f, uint64_t table, unsigned v, uint32_t control)
{
	window(f, table + v * 16, 8, true, MSI_ADDRESS);
	window(f, table + v * 16 + 8, 4, true, 0x40 + v);
	window(f, table + v * 16 + 12, 4, true, control);
}

static void test_msix(void **state)
{
	struct fixture *f = *state;
	uint64_t table, pba;

	assert_false(pci_msix_enabled(&f->dev));
	pci_msix_notify(&f->dev, 0);
	table = enable_msix(f, PCI_MSIX_FLAGS_ENABLE);
	assert_true(pci_msix_enabled(&f->dev));
	pba = table +
	      (cfg_read(f, SLOT, find_capability(f, PCI_CAP_ID_MSIX) + PCI_MSIX_PBA, 4) & ~7u);
	assert_int_equal(window(f, pba, 8, false, 0), 0); /* while off nothing becomes pending */

	write_entry(f, table, 65, 0);
	pci_msix_notify(&f->dev, 65);
	assert_int_equal(f->irq.messages, 1);
	assert_int_equal(f->irq.last_address, MSI_ADDRESS);
	assert_int_equal(f->irq.last_data, 0x40 + 65);
	pci_msix_notify(&f->dev, VECTORS);
	assert_int_equal(f->irq.messages, 1);

	/* masked after reset: pending, then sent once when unmasked */
	pci_msix_notify(&f->dev, 2);
	pci_msix_notify(&f->dev, 2);
	assert_int_equal(f->irq.messages, 1);
	assert_int_equal(window(f, pba, 8, false, 0), 4);
	write_entry(f, table, 2, 0);
	assert_int_equal(f->irq.messages, 2);
	assert_int_equal(window(f, pba, 8, false, 0), 0);
}

static void test_msix_function_mask(void **state)
{
	struct fixture *f = *state;
	uint64_t table = enable_msix(f, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);

	write_entry(f, table, 0, 0);
	write_entry(f, table, 1, 0);
	pci_msix_notify(&f->dev, 0);
	pci_msix_notify(&f->dev, 1);
	assert_int_equal(f->irq.messages, 0);
	enable_msix(f, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(f->irq.messages, 2);
	pci_reset(f->host);
	assert_false(pci_msix_enabled(&f->dev));
}

/* Whatever is written anywhere: no crash, and nothing but the device's own ranges answers. */
static void test_random_accesses(void **state)
{
	struct fixture *f = *state;
	unsigned seed = 12345;

	print_message("seed %u\n", seed);
	srandom(seed);
	for (int i = 0; i < 100000; i++) {
		static dev_access_fn *const fns[] = { pci_ecam_access, pci_window_access,
						      pci_window64_access };
		unsigned size = 1u << random() % 4;
		uint64_t offset = random() % 4 ? ecam_offset(SLOT, random() % 256)
					       : (uint64_t)random() % (PCI_WINDOW_BYTES - 8);

		call(fns[random() % 3], f->host, offset, size, random() % 2,
		     (uint64_t)random() << 32 | random());
		call(pci_port_access, f->host, random() % 5, 1u << random() % 3, random() % 2,
		     random());
		pci_msix_notify(&f->dev, random() % (VECTORS + 2));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_control, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_sizing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_64, setup, teardown),
		cmocka_unit_test_setup_teardown(test_assign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_bars, setup, teardown),
		cmocka_unit_test_setup_teardown(test_intx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_msix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_msix_function_mask, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_accesses, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
