/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio PCI transport, with virtio-rng as the device at hand: identity, features, status,
 * queues, interrupts, access through configuration space, and drivers that break the rules.
 */
#include "tests/unit/virtio_driver.h"

#define VERSION_1 BIT(VIRTIO_F_VERSION_1)

struct fixture {
	struct driver d;
	struct virtio_rng *rng;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	driver_open(&f->d);
	assert_int_equal(virtio_rng_create(&f->rng, &f->d.place), 0);
	driver_probe(&f->d);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_rng_dev_ops.destroy(f->rng);
	driver_close(&f->d);
	free(f);
	return 0;
}

/* One buffer through the queue. */
static void expect_random_bytes(struct driver *d)
{
	struct driver_segment segment = { DRIVER_DATA, 64, true };
	static const uint8_t zeros[64];
	uint32_t len;
	uint16_t head;

	memset(memory_at(d->memory, DRIVER_DATA, 64), 0, 64);
	head = driver_add(d, 0, &segment, 1);
	driver_kick(d, 0);
	assert_int_equal(driver_wait(d, 0, &len), head);
	assert_int_equal(len, 64);
	assert_memory_not_equal(memory_at(d->memory, DRIVER_DATA, 64), zeros, 64);
}

static void test_identity(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(config_read(&f->d, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(config_read(&f->d, PCI_DEVICE_ID, 2), 0x1044);
	assert_true(config_read(&f->d, PCI_REVISION_ID, 1) >= 1);
	assert_int_equal(config_read(&f->d, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(mmio_read(&f->d, f->d.common + VIRTIO_PCI_COMMON_NUMQ, 2), 1);
}

static void test_features(void **state)
{
	struct fixture *f = *state;
	uint64_t offered = driver_features(&f->d);

	assert_true(offered & VERSION_1);
	assert_true(offered & BIT(VIRTIO_RING_F_EVENT_IDX));
	assert_true(offered & BIT(VIRTIO_RING_F_INDIRECT_DESC));
	assert_false(offered & BIT(VIRTIO_F_RING_PACKED));
	assert_true(driver_negotiate(&f->d, offered));
	assert_false(driver_negotiate(&f->d, offered & ~VERSION_1));
	assert_false(driver_negotiate(&f->d, offered | BIT(VIRTIO_F_RING_PACKED)));
	/* without FEATURES_OK there is no DRIVER_OK */
	driver_set_status(&f->d, 0xf & ~VIRTIO_CONFIG_S_FEATURES_OK);
	assert_false(driver_status(&f->d) & VIRTIO_CONFIG_S_DRIVER_OK);
	/* a third half of the features is empty */
	mmio_write(&f->d, f->d.common + VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	assert_int_equal(mmio_read(&f->d, f->d.common + VIRTIO_PCI_COMMON_DF, 4), 0);
}

static void test_requests_with_intx(void **state)
{
	struct fixture *f = *state;

	driver_start(&f->d, VERSION_1, 1);
	assert_false(driver_line(&f->d));
	expect_random_bytes(&f->d);
	assert_true(driver_line(&f->d));
	assert_int_equal(mmio_read(&f->d, f->d.isr, 1), 1);
	assert_false(driver_line(&f->d));
	assert_int_equal(mmio_read(&f->d, f->d.isr, 1), 0);
	for (int i = 0; i < 3 * DRIVER_QUEUE_SIZE; i++)
		expect_random_bytes(&f->d);
	driver_set_status(&f->d, 0);
	assert_false(driver_line(&f->d));
}

static void test_requests_with_msix(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->d;

	driver_enable_msix(d, 2);
	driver_start(d, VERSION_1, 1);
	expect_random_bytes(d);
	assert_int_equal(driver_messages(d, 1), 1);
	assert_false(driver_line(d));
	/* a vector that is not there reads back as none */
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	assert_int_equal(mmio_read(d, d->common + VIRTIO_PCI_COMMON_Q_MSIX, 2),
			 VIRTIO_MSI_NO_VECTOR);
	expect_random_bytes(d);
	assert_int_equal(driver_messages(d, 1), 1);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_MSIX, 2, 0);
	assert_int_equal(mmio_read(d, d->common + VIRTIO_PCI_COMMON_MSIX, 2), 0);
}

static void test_buffers_before_driver_ok(void **state)
{
	struct fixture *f = *state;
	struct driver_segment segment = { DRIVER_DATA, 16, true };

	assert_true(driver_negotiate(&f->d, VERSION_1));
	driver_setup_queue(&f->d, 0);
	driver_add(&f->d, 0, &segment, 1);
	driver_kick(&f->d, 0);
	assert_false(driver_has_used(&f->d, 0));
	driver_go(&f->d);
	driver_wait(&f->d, 0, NULL);
}

static void test_queue_registers(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->d;

	driver_negotiate(d, VERSION_1);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_SIZE, 2, 24); /* no power of two */
	assert_int_equal(mmio_read(d, d->common + VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_SIZE, 2, 512); /* too large */
	assert_int_equal(mmio_read(d, d->common + VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0x123456789abcdef0);
	assert_int_equal(mmio_read(d, d->common + VIRTIO_PCI_COMMON_Q_DESCLO, 8),
			 0x123456789abcdef0);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_SELECT, 2, 1); /* there is no queue 1 */
	assert_int_equal(mmio_read(d, d->common + VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_SELECT, 2, 0xffff);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(mmio_read(d, d->common + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	/* a queue that is enabled does not change */
	driver_setup_queue(d, 0);
	assert_int_equal(mmio_read(d, d->common + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0);
	assert_int_equal(mmio_read(d, d->common + VIRTIO_PCI_COMMON_Q_DESCLO, 4), DRIVER_RINGS);
}

static void test_bad_chain_needs_reset(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->d;
	struct driver_segment segment = { UINT64_MAX, 16, true };

	driver_enable_msix(d, 2);
	driver_start(d, VERSION_1, 1);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_MSIX, 2, 0);
	driver_add(d, 0, &segment, 1);
	driver_kick(d, 0);
	assert_true(driver_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(driver_messages(d, 0), 1); /* a change of configuration */
	segment.gpa = DRIVER_DATA;
	driver_add(d, 0, &segment, 1);
	driver_kick(d, 0);
	assert_false(driver_has_used(d, 0));
	driver_start(d, VERSION_1, 1);
	expect_random_bytes(d);
}

static void test_bad_ring_needs_reset(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->d;

	driver_negotiate(d, VERSION_1);
	driver_set_address(d, VIRTIO_PCI_COMMON_Q_DESCLO, 0x10000000);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_true(driver_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_set_status(d, 0);
	assert_int_equal(driver_status(d), 0);
}

/* All registers through the capability in configuration space. */
static void test_config_access(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->d;
	unsigned cap = d->cfg_capability, data = cap + sizeof(struct virtio_pci_cap);
	uint64_t base = d->common & ~0xfffull;

	config_write(d, cap + VIRTIO_PCI_CAP_BAR, 1, 0);
	config_write(d, cap + VIRTIO_PCI_CAP_OFFSET, 4, d->common - base + VIRTIO_PCI_COMMON_NUMQ);
	config_write(d, cap + VIRTIO_PCI_CAP_LENGTH, 4, 2);
	assert_int_equal(config_read(d, data, 2), 1);
	config_write(d, cap + VIRTIO_PCI_CAP_OFFSET, 4,
		     d->common - base + VIRTIO_PCI_COMMON_STATUS);
	config_write(d, cap + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	config_write(d, data, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(driver_status(d), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	/* what makes no sense does nothing */
	config_write(d, cap + VIRTIO_PCI_CAP_LENGTH, 4, 3);
	config_write(d, data, 4, 0);
	config_write(d, cap + VIRTIO_PCI_CAP_LENGTH, 4, 4);
	config_write(d, cap + VIRTIO_PCI_CAP_OFFSET, 4, 0xfffffffc);
	config_write(d, data, 4, 0);
	config_write(d, cap + VIRTIO_PCI_CAP_OFFSET, 4, 0x4000);
	config_read(d, data, 4);
	assert_int_equal(driver_status(d), VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

static void test_device_reset(void **state)
{
	struct fixture *f = *state;

	driver_start(&f->d, VERSION_1, 1);
	expect_random_bytes(&f->d);
	virtio_rng_dev_ops.reset(f->rng);
	assert_int_equal(driver_status(&f->d), 0);
	assert_false(driver_line(&f->d));
	driver_start(&f->d, VERSION_1, 1);
	expect_random_bytes(&f->d);
}

/* Noise on every register, with rings of noise behind it. */
static void test_random_accesses(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->d;
	unsigned seed = time(NULL);

	print_message("seed %u\n", seed);
	srandom(seed);
	for (int i = 0; i < 100000; i++) {
		uint64_t base = d->common & ~0xfffull;

		if (i % 1000 == 0) {
			uint8_t *rings = memory_at(d->memory, DRIVER_RINGS, 0x4000);

			driver_start(d, VERSION_1 | BIT(VIRTIO_RING_F_INDIRECT_DESC), 1);
			for (int j = 0; j < 0x4000; j++)
				rings[j] = random() % 4 ? 0 : random();
		}
		if (random() % 4)
			mmio_write(d, base + random() % 0x3ff8, 1u << random() % 4, random());
		else if (random() % 2)
			mmio_read(d, base + random() % 0x3ff8, 1u << random() % 4);
		else
			driver_kick(d, 0);
		config_write(d, d->cfg_capability + random() % 20, 1, random());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_features, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requests_with_intx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requests_with_msix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_buffers_before_driver_ok, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_registers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_chain_needs_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_ring_needs_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_config_access, setup, teardown),
		cmocka_unit_test_setup_teardown(test_device_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_accesses, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
