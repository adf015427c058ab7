/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-mem and the memory that grows under it: blocks in and out, what a driver may not ask for,
 * resets.
 */
#define DRIVER_GROWTH (1 * GIB)
#include "tests/unit/virtio_driver.h"

#include <errno.h>
#include <linux/virtio_mem.h>
#include <stdio.h>

#define FEATURES BIT(VIRTIO_F_VERSION_1)
#define BLOCK    (2 * MIB)
#define BASE     MEMORY_HIGH_BASE

struct fixture {
	struct driver d;
	struct virtio_mem *mem;
	uint64_t grown_bytes;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	driver_open(&f->d);
	assert_int_equal(virtio_mem_create(&f->mem, &f->d.place), 0);
	driver_probe(&f->d);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_mem_dev_ops.destroy(f->mem);
	driver_close(&f->d);
	free(f);
	return 0;
}

/* One request with that much of it, and its answer. */
static struct virtio_mem_resp ask_part(struct fixture *f, unsigned type, uint64_t addr,
				       unsigned blocks, uint32_t bytes)
{
	struct virtio_mem_req request = { .type = (uint16_t)type,
					  .u.plug = { addr, (uint16_t)blocks, { 0 } } };
	struct virtio_mem_resp response = { .type = 99 };
	struct driver_segment segments[] = { { DRIVER_DATA, bytes, false },
					     { DRIVER_DATA + 64, sizeof(response), true } };

	memory_write(f->d.memory, DRIVER_DATA, &request, sizeof(request));
	driver_add(&f->d, 0, segments, 2);
	driver_kick(&f->d, 0);
	driver_wait(&f->d, 0, NULL);
	memory_read(f->d.memory, DRIVER_DATA + 64, &response, sizeof(response));
	return response;
}

static unsigned ask(struct fixture *f, unsigned type, uint64_t addr, unsigned blocks)
{
	return ask_part(f, type, addr, blocks, sizeof(struct virtio_mem_req)).type;
}

static unsigned state_of(struct fixture *f, uint64_t addr, unsigned blocks)
{
	struct virtio_mem_resp response =
		ask_part(f, VIRTIO_MEM_REQ_STATE, addr, blocks, sizeof(struct virtio_mem_req));

	assert_int_equal(response.type, VIRTIO_MEM_RESP_ACK);
	return response.u.state.state;
}

static uint64_t plugged(struct fixture *f)
{
	struct virtio_mem_report report;

	virtio_mem_report(f->mem, &report);
	return report.plugged_bytes;
}

static uint64_t config(struct fixture *f, size_t offset)
{
	return mmio_read(&f->d, f->d.device + offset, 4) |
	       mmio_read(&f->d, f->d.device + offset + 4, 4) << 32;
}

#define CONFIG(f, field) config(f, offsetof(struct virtio_mem_config, field))

static void blocks_come_and_go(void **state)
{
	struct fixture *f = *state;
	uint8_t *p;

	driver_start(&f->d, FEATURES, 1);
	assert_int_equal(CONFIG(f, block_size), BLOCK);
	assert_int_equal(CONFIG(f, addr), BASE);
	assert_int_equal(CONFIG(f, region_size), DRIVER_GROWTH);
	assert_int_equal(CONFIG(f, requested_size), 0);
	assert_false(memory_is_ram(f->d.memory, BASE, 1));
	assert_int_equal(virtio_mem_request(f->mem, 8 * MIB), 0);
	assert_int_equal(CONFIG(f, requested_size), 8 * MIB);
	assert_true(CONFIG(f, usable_region_size) >= 8 * MIB);
	assert_int_equal(ask(f, VIRTIO_MEM_REQ_PLUG, BASE, 3), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(plugged(f), 6 * MIB);
	assert_int_equal(CONFIG(f, plugged_size), 6 * MIB);
	assert_int_equal(state_of(f, BASE, 3), VIRTIO_MEM_STATE_PLUGGED);
	assert_int_equal(state_of(f, BASE, 4), VIRTIO_MEM_STATE_MIXED);
	assert_int_equal(state_of(f, BASE + 3 * BLOCK, 1), VIRTIO_MEM_STATE_UNPLUGGED);
	p = memory_at(f->d.memory, BASE, 3 * BLOCK);
	assert_non_null(p);
	p[0] = p[BLOCK] = p[2 * BLOCK] = 1;
	assert_int_equal(virtio_mem_request(f->mem, 4 * MIB), 0);
	assert_int_equal(ask(f, VIRTIO_MEM_REQ_UNPLUG, BASE + BLOCK, 1), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(p[0] + 2 * p[BLOCK] + 4 * p[2 * BLOCK], 5);
	assert_int_equal(ask(f, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(p[0] + p[BLOCK] + p[2 * BLOCK], 0);
	assert_int_equal(plugged(f), 0);
}

static void bad_requests(void **state)
{
	struct fixture *f = *state;
	uint64_t usable;

	assert_int_equal(virtio_mem_request(f->mem, 8 * MIB), 0);
	driver_start(&f->d, FEATURES, 1);
	usable = CONFIG(f, usable_region_size);
	assert_int_equal(ask(f, VIRTIO_MEM_REQ_PLUG, BASE, 5), VIRTIO_MEM_RESP_NACK);
	assert_int_equal(ask(f, VIRTIO_MEM_REQ_PLUG, BASE, 2), VIRTIO_MEM_RESP_ACK);
	for (unsigned type = VIRTIO_MEM_REQ_PLUG; type <= VIRTIO_MEM_REQ_STATE; type++) {
		if (type == VIRTIO_MEM_REQ_UNPLUG_ALL)
			continue;
		assert_int_equal(ask(f, type, BASE, 0), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(ask(f, type, BASE + 4096, 1), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(ask(f, type, BASE - BLOCK, 1), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(ask(f, type, BASE + usable, 1), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(ask(f, type, BASE + usable - BLOCK, 2), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(ask(f, type, UINT64_MAX - BLOCK + 1, 1), VIRTIO_MEM_RESP_ERROR);
		assert_int_equal(ask(f, type, BASE, UINT16_MAX), VIRTIO_MEM_RESP_ERROR);
	}
	assert_int_equal(ask(f, VIRTIO_MEM_REQ_PLUG, BASE + BLOCK, 2), VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(ask(f, VIRTIO_MEM_REQ_UNPLUG, BASE + BLOCK, 2), VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(ask(f, 77, BASE, 1), VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(ask_part(f, VIRTIO_MEM_REQ_PLUG, BASE, 1, 7).type, VIRTIO_MEM_RESP_ERROR);
	mmio_write(&f->d, f->d.device + offsetof(struct virtio_mem_config, requested_size), 4,
		   1u << 30);
	assert_int_equal(CONFIG(f, requested_size), 8 * MIB);
	assert_int_equal(plugged(f), 4 * MIB);
	assert_false(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void resets(void **state)
{
	struct fixture *f = *state;
	struct virtio_mem_report report;

	assert_int_equal(virtio_mem_request(f->mem, 8 * MIB), 0);
	driver_start(&f->d, FEATURES, 1);
	assert_int_equal(ask(f, VIRTIO_MEM_REQ_PLUG, BASE, 4), VIRTIO_MEM_RESP_ACK);
	*(uint8_t *)memory_at(f->d.memory, BASE, 1) = 1;
	mmio_write(&f->d, f->d.common + VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(plugged(f), 8 * MIB); /* the device alone: memory stays */
	assert_int_equal(*(uint8_t *)memory_at(f->d.memory, BASE, 1), 1);
	virtio_mem_dev_ops.reset(f->mem);
	virtio_mem_report(f->mem, &report);
	assert_false(report.has_driver);
	assert_int_equal(report.plugged_bytes, 0);
	assert_int_equal(report.requested_bytes, 8 * MIB);
	assert_int_equal(*(uint8_t *)memory_at(f->d.memory, BASE, 1), 0);
}

static int hear(void *self, gpa_t gpa, uint64_t len)
{
	struct fixture *f = self;

	if (f->grown_bytes >= DRIVER_GROWTH / 2)
		return -ENOSPC;
	assert_int_equal(gpa, BASE + f->grown_bytes);
	assert_false(memory_is_ram(f->d.memory, gpa, 1));
	f->grown_bytes += len;
	return 0;
}

/* An engine hears of growth before the guest can see it, and can refuse it. */
static void growth(void **state)
{
	struct fixture *f = *state;

	f->d.memory->on_grown = hear;
	f->d.memory->on_grown_self = f;
	assert_int_equal(memory_grow(f->d.memory, 0), 0);
	assert_int_equal(memory_grow(f->d.memory, 1), 0);
	assert_true(f->grown_bytes >= MEMORY_GROW_STEP);
	assert_int_equal(memory_grow(f->d.memory, DRIVER_GROWTH / 2), 0);
	assert_int_equal(f->grown_bytes, DRIVER_GROWTH / 2);
	assert_true(memory_is_ram(f->d.memory, BASE, DRIVER_GROWTH / 2));
	assert_int_equal(virtio_mem_request(f->mem, DRIVER_GROWTH), -ENOSPC);
	assert_int_equal(virtio_mem_request(f->mem, DRIVER_GROWTH + BLOCK), -ERANGE);
	assert_false(memory_is_ram(f->d.memory, BASE, DRIVER_GROWTH / 2 + 1));
	assert_int_equal(CONFIG(f, requested_size), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(blocks_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(resets, setup, teardown),
		cmocka_unit_test_setup_teardown(growth, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
