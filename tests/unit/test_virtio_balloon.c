/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-balloon: pages that go back to the host, targets, statistics, and a driver that lies.
 */
#include "tests/unit/virtio_driver.h"

#include <errno.h>
#include <linux/virtio_balloon.h>

#define INFLATE  0
#define DEFLATE  1
#define STATS    2
#define QUEUES   3
#define FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BALLOON_F_STATS_VQ))
#define PAGE     (2 * MIB) /* of the guest's, somewhere */

struct fixture {
	struct driver d;
	struct virtio_balloon *balloon;
	unsigned heard;
	gpa_t heard_at;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	driver_open(&f->d);
	assert_int_equal(virtio_balloon_create(&f->balloon, &f->d.place, false), 0);
	driver_probe(&f->d);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_balloon_dev_ops.destroy(f->balloon);
	driver_close(&f->d);
	free(f);
	return 0;
}

/* Passes a chain of these page numbers and waits for it. */
static void pass(struct fixture *f, unsigned queue, const uint32_t *pfn, size_t count)
{
	struct driver_segment segment = { DRIVER_DATA, count * sizeof(*pfn), false };

	memory_write(f->d.memory, DRIVER_DATA, pfn, count * sizeof(*pfn));
	driver_add(&f->d, queue, &segment, 1);
	driver_kick(&f->d, queue);
	driver_wait(&f->d, queue, NULL);
}

static uint8_t *at(struct fixture *f, gpa_t gpa)
{
	return memory_at(f->d.memory, gpa, PAGE_BYTES);
}

static void test_pages_go_back(void **state)
{
	struct fixture *f = *state;
	const uint32_t up[] = { PAGE >> 12, (PAGE >> 12) + 1, (PAGE >> 12) + 2 };
	const uint32_t down[] = { (PAGE >> 12) + 9, (PAGE >> 12) + 8, (PAGE >> 12) + 6 };

	driver_start(&f->d, FEATURES, QUEUES);
	memset(memory_at(f->d.memory, PAGE, 16 * PAGE_BYTES), 0x5a, 16 * PAGE_BYTES);
	pass(f, INFLATE, up, ARRAY_SIZE(up));
	pass(f, INFLATE, down, ARRAY_SIZE(down));
	for (unsigned i = 0; i < 16; i++) {
		bool gone = i < 3 || i == 6 || i == 8 || i == 9;

		assert_int_equal(at(f, PAGE)[i * PAGE_BYTES], gone ? 0 : 0x5a);
		assert_int_equal(at(f, PAGE)[i * PAGE_BYTES + PAGE_BYTES - 1], gone ? 0 : 0x5a);
	}
	pass(f, DEFLATE, up, ARRAY_SIZE(up));
	*at(f, PAGE) = 1; /* and can be used again */
	assert_int_equal(*at(f, PAGE), 1);
}

static bool hear(void *self, gpa_t gpa, uint64_t len)
{
	struct fixture *f = self;

	(void)len;
	f->heard++;
	f->heard_at = gpa;
	return false;
}

/* Translations of code in such a page must go. */
static void test_watched_page(void **state)
{
	struct fixture *f = *state;
	const uint32_t pfn = PAGE >> 12;

	f->d.memory->on_written = hear;
	f->d.memory->on_written_self = f;
	f->d.memory->watched[pfn] = 1;
	driver_start(&f->d, FEATURES, QUEUES);
	pass(f, INFLATE, &pfn, 1);
	assert_int_equal(f->heard, 1);
	assert_int_equal(f->heard_at, PAGE);
}

static void test_bad_pages(void **state)
{
	struct fixture *f = *state;
	const uint32_t pfns[] = { UINT32_MAX,          0xa0, /* no RAM */
				  DRIVER_MEMORY >> 12, PAGE >> 12, 0x100000, 0xfffff };
	struct driver_segment odd = { DRIVER_DATA, 7, false }, none = { DRIVER_DATA, 8, true };

	driver_start(&f->d, FEATURES, QUEUES);
	memset(at(f, PAGE), 1, PAGE_BYTES);
	pass(f, INFLATE, pfns, ARRAY_SIZE(pfns));
	assert_int_equal(*at(f, PAGE), 0);
	driver_add(&f->d, INFLATE, &odd, 1);
	driver_add(&f->d, INFLATE, &none, 1);
	driver_kick(&f->d, INFLATE);
	driver_wait(&f->d, INFLATE, NULL);
	driver_wait(&f->d, INFLATE, NULL);
	assert_false(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static uint64_t config(struct fixture *f, size_t offset)
{
	return mmio_read(&f->d, f->d.device + offset, 4);
}

static unsigned generation(struct fixture *f)
{
	return mmio_read(&f->d, f->d.common + VIRTIO_PCI_COMMON_CFGGENERATION, 1);
}

static void test_target(void **state)
{
	struct fixture *f = *state;
	struct virtio_balloon_report report;
	unsigned before;

	virtio_balloon_set_target(f->balloon, 4 * MIB); /* before there is a driver */
	driver_enable_msix(&f->d, QUEUES + 1);
	mmio_write(&f->d, f->d.common + VIRTIO_PCI_COMMON_MSIX, 2, 0);
	driver_start(&f->d, FEATURES, QUEUES);
	mmio_write(&f->d, f->d.common + VIRTIO_PCI_COMMON_MSIX, 2, 0);
	assert_int_equal(config(f, 0), 4 * MIB >> 12);
	assert_int_equal(driver_messages(&f->d, 0), 0);
	before = generation(f);
	virtio_balloon_set_target(f->balloon, 2 * MIB);
	virtio_balloon_set_target(f->balloon, 2 * MIB); /* nothing new */
	assert_int_equal(driver_messages(&f->d, 0), 1);
	assert_int_equal(config(f, 0), 2 * MIB >> 12);
	assert_int_not_equal(generation(f), before);
	mmio_write(&f->d, f->d.device + 4, 4, 512);
	virtio_balloon_report(f->balloon, &report);
	assert_true(report.has_driver);
	assert_int_equal(report.held_bytes, 2 * MIB);
	virtio_balloon_dev_ops.reset(f->balloon);
	virtio_balloon_report(f->balloon, &report);
	assert_false(report.has_driver);
	assert_int_equal(config(f, 0), 2 * MIB >> 12);
	assert_int_equal(report.held_bytes, 0);
}

static void test_lies_in_config(void **state)
{
	struct fixture *f = *state;
	struct virtio_balloon_report report;

	driver_start(&f->d, FEATURES, QUEUES);
	mmio_write(&f->d, f->d.device, 4, 77); /* the device's own */
	mmio_write(&f->d, f->d.device + 8, 4, 77);
	mmio_write(&f->d, f->d.device + 0xffc, 4, 77);
	mmio_write(&f->d, f->d.device + 4, 1, 77);
	assert_int_equal(config(f, 0), 0);
	assert_int_equal(config(f, 4), 0);
	assert_int_equal(config(f, 8), 0);
	mmio_write(&f->d, f->d.device + 4, 4, UINT32_MAX);
	virtio_balloon_report(f->balloon, &report);
	assert_int_equal(report.held_bytes, DRIVER_MEMORY);
}

static void say_available(struct fixture *f, uint64_t bytes, uint32_t extra)
{
	struct virtio_balloon_stat stats[] = { { VIRTIO_BALLOON_S_MEMFREE, 1 },
					       { VIRTIO_BALLOON_S_AVAIL, bytes },
					       { 0xffff, 2 } };
	struct driver_segment segment = { DRIVER_DATA, sizeof(stats) + extra, false };

	memory_write(f->d.memory, DRIVER_DATA, stats, sizeof(stats));
	driver_add(&f->d, STATS, &segment, 1);
	driver_kick(&f->d, STATS);
}

static void test_statistics(void **state)
{
	struct fixture *f = *state;
	struct virtio_balloon_report report;

	virtio_balloon_ask(f->balloon); /* there is nobody to ask */
	driver_start(&f->d, FEATURES, QUEUES);
	mmio_write(&f->d, f->d.device + 4, 4, 256);
	say_available(f, 3 * MIB, 0);
	assert_false(driver_has_used(&f->d, STATS)); /* until it is asked */
	virtio_balloon_report(f->balloon, &report);
	assert_int_equal(report.samples, 1);
	assert_int_equal(report.available_bytes, 3 * MIB);
	assert_int_equal(report.sample_held_bytes, MIB);
	virtio_balloon_ask(f->balloon);
	driver_wait(&f->d, STATS, NULL);
	say_available(f, UINT64_MAX, 5);
	virtio_balloon_report(f->balloon, &report);
	assert_int_equal(report.samples, 2);
	assert_int_equal(report.available_bytes, DRIVER_MEMORY);
	say_available(f, MIB, 0); /* a second chain: the first one goes back */
	driver_wait(&f->d, STATS, NULL);
	virtio_balloon_dev_ops.reset(f->balloon);
	virtio_balloon_ask(f->balloon); /* that chain is no more */
	virtio_balloon_report(f->balloon, &report);
	assert_int_equal(report.samples, 0);
}

static void test_release(void **state)
{
	struct fixture *f = *state;
	struct memory *mem = f->d.memory;

	assert_int_equal(memory_release(mem, PAGE + 1, PAGE_BYTES), -EFAULT);
	assert_int_equal(memory_release(mem, PAGE, PAGE_BYTES - 1), -EFAULT);
	assert_int_equal(memory_release(mem, DRIVER_MEMORY - PAGE_BYTES, 2 * PAGE_BYTES), -EFAULT);
	assert_int_equal(memory_release(mem, MEMORY_VGA_BASE, PAGE_BYTES), -EFAULT);
	assert_int_equal(memory_release(mem, DRIVER_MEMORY - PAGE_BYTES, PAGE_BYTES), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pages_go_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watched_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_target, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lies_in_config, setup, teardown),
		cmocka_unit_test_setup_teardown(test_statistics, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
