/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk over the null disk: each request type, what is refused, several requests in flight,
 * a reset among them.
 */
#define DRIVER_MEMORY GIB /* sparse; see test_more_ranges_than_a_number_holds */
#include "tests/unit/virtio_driver.h"

#include <linux/virtio_blk.h>

#define SECTORS   64
#define FEATURES  (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BLK_F_MQ))
#define HEADER    DRIVER_DATA
#define STATUS    (DRIVER_DATA + 0x800)
#define DATA      (DRIVER_DATA + 0x1000)
#define SLOT_SIZE 0x4000 /* guest memory for one of several requests in flight */

struct fixture {
	struct driver d;
	struct block disk;
	struct virtio_blk *blk;
};

static void create(struct fixture *f, bool readonly)
{
	driver_open(&f->d);
	assert_int_equal(block_null_open(&f->disk, SECTORS * 512), 0);
	f->disk.readonly = readonly;
	assert_int_equal(virtio_blk_create(&f->blk, &f->d.place, &f->disk, 2, "serial-1234"), 0);
	driver_probe(&f->d);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	create(f, false);
	driver_start(&f->d, FEATURES, 2);
	*state = f;
	return 0;
}

static int setup_readonly(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	create(f, true);
	driver_start(&f->d, FEATURES, 2);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_blk_dev_ops.destroy(f->blk);
	block_close(&f->disk);
	driver_close(&f->d);
	free(f);
	return 0;
}

static void *at(struct fixture *f, uint64_t gpa)
{
	return memory_at(f->d.memory, gpa, 1);
}

/* Puts a request of one data segment into the ring; `base` is where its memory begins. */
static void add_request(struct fixture *f, unsigned queue, uint64_t base, uint32_t type,
			uint64_t sector, uint32_t bytes, bool to_guest)
{
	struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	struct driver_segment segments[3] = {
		{ base, sizeof(header), false },
		{ base + 0x1000, bytes, to_guest },
		{ base + 0x800, 1, true },
	};

	memcpy(at(f, base), &header, sizeof(header));
	*(uint8_t *)at(f, base + 0x800) = 0xee;
	if (!bytes)
		segments[1] = segments[2];
	driver_add(&f->d, queue, segments, bytes ? 3 : 2);
}

static unsigned request(struct fixture *f, uint32_t type, uint64_t sector, uint32_t bytes,
			bool to_guest)
{
	add_request(f, 0, DRIVER_DATA, type, sector, bytes, to_guest);
	driver_kick(&f->d, 0);
	driver_wait(&f->d, 0, NULL);
	return *(uint8_t *)at(f, STATUS);
}

static unsigned read_sectors(struct fixture *f, uint64_t sector, uint32_t bytes)
{
	return request(f, VIRTIO_BLK_T_IN, sector, bytes, true);
}

static unsigned write_sectors(struct fixture *f, uint64_t sector, uint32_t bytes)
{
	return request(f, VIRTIO_BLK_T_OUT, sector, bytes, false);
}

static void test_config(void **state)
{
	struct fixture *f = *state;
	uint64_t config = f->d.device;

	assert_int_equal(mmio_read(&f->d, config, 8), SECTORS);
	assert_int_equal(
		mmio_read(&f->d, config + offsetof(struct virtio_blk_config, num_queues), 2), 2);
	assert_int_equal(mmio_read(&f->d, f->d.common + VIRTIO_PCI_COMMON_NUMQ, 2), 2);
	assert_true(mmio_read(&f->d, config + offsetof(struct virtio_blk_config, seg_max), 4) + 2 <=
		    256);
	mmio_write(&f->d, config, 8, 1);
	assert_int_equal(mmio_read(&f->d, config, 8), SECTORS);
	assert_true(driver_features(&f->d) & BIT(VIRTIO_BLK_F_FLUSH));
	assert_false(driver_features(&f->d) & BIT(VIRTIO_BLK_F_RO));
}

static void test_write_and_read(void **state)
{
	struct fixture *f = *state;
	uint32_t len;

	memset(at(f, DATA), 0x5a, 1024);
	assert_int_equal(write_sectors(f, SECTORS - 2, 1024), VIRTIO_BLK_S_OK);
	memset(at(f, DATA), 0, 1024);
	add_request(f, 1, DRIVER_DATA, VIRTIO_BLK_T_IN, SECTORS - 1, 512, true);
	driver_kick(&f->d, 1);
	driver_wait(&f->d, 1, &len);
	assert_int_equal(len, 513);
	assert_int_equal(*(uint8_t *)at(f, STATUS), VIRTIO_BLK_S_OK);
	assert_int_equal(*(uint8_t *)at(f, DATA + 511), 0x5a);
	assert_int_equal(*(uint8_t *)at(f, DATA + 512), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
}

static void test_out_of_range(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_sectors(f, SECTORS, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read_sectors(f, SECTORS - 1, 1024), VIRTIO_BLK_S_IOERR);
	assert_int_equal(write_sectors(f, UINT64_MAX, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(write_sectors(f, UINT64_MAX / 512 + 1, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(write_sectors(f, 0, 500), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read_sectors(f, 0, 512), VIRTIO_BLK_S_OK);
}

static void test_unknown_type(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(request(f, 0x77, 0, 512, true), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(f, VIRTIO_BLK_T_SECURE_ERASE, 0, 512, false), VIRTIO_BLK_S_UNSUPP);
}

static void test_get_id(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(request(f, VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES, true),
			 VIRTIO_BLK_S_OK);
	assert_string_equal(at(f, DATA), "serial-1234");
}

static unsigned range_request(struct fixture *f, uint32_t type, uint64_t sector, uint32_t sectors,
			      uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = { sector, sectors, flags };

	memcpy(at(f, DATA), &range, sizeof(range));
	return request(f, type, 0, sizeof(range), false);
}

static void test_discard_and_write_zeroes(void **state)
{
	struct fixture *f = *state;

	memset(at(f, DATA), 0x77, 1024);
	assert_int_equal(write_sectors(f, 4, 1024), VIRTIO_BLK_S_OK);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 4, 1, 1), VIRTIO_BLK_S_OK);
	assert_int_equal(read_sectors(f, 4, 1024), VIRTIO_BLK_S_OK);
	assert_int_equal(*(uint8_t *)at(f, DATA + 511), 0);
	assert_int_equal(*(uint8_t *)at(f, DATA + 512), 0x77);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_DISCARD, 0, SECTORS, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_DISCARD, 0, 1, 1), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_DISCARD, 1, SECTORS, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_WRITE_ZEROES, UINT64_MAX, 2, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, 15, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, 0x1000, false), VIRTIO_BLK_S_IOERR);
}

/* 2^32 + 1 ranges, which 32 bits would take for one: the same memory again and again. */
static void test_more_ranges_than_a_number_holds(void **state)
{
	enum { REPEATED = 64, DESCRIPTORS = REPEATED + 3 };
	const uint64_t most = GIB - 2 * MIB;
	const uint64_t rest = (BIT(32) + 1) * 16 - REPEATED * most;
	struct fixture *f = *state;
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_DISCARD };
	struct vring_desc table[DESCRIPTORS], *indirect;
	struct driver_segment segment = { DATA, sizeof(table), false };

	table[0] = (struct vring_desc){ HEADER, sizeof(header), VRING_DESC_F_NEXT, 1 };
	for (unsigned i = 1; i <= REPEATED; i++)
		table[i] = (struct vring_desc){ MIB, most, VRING_DESC_F_NEXT, i + 1 };
	table[REPEATED + 1] = (struct vring_desc){ MIB, rest, VRING_DESC_F_NEXT, REPEATED + 2 };
	table[REPEATED + 2] = (struct vring_desc){ STATUS, 1, VRING_DESC_F_WRITE, 0 };
	driver_start(&f->d, FEATURES | BIT(VIRTIO_RING_F_INDIRECT_DESC), 2);
	memcpy(at(f, HEADER), &header, sizeof(header));
	memcpy(at(f, DATA), table, sizeof(table));
	*(uint8_t *)at(f, STATUS) = 0xee;
	indirect = memory_at(f->d.memory, f->d.queue[0].desc, sizeof(*indirect));
	driver_add(&f->d, 0, &segment, 1);
	indirect->flags = VRING_DESC_F_INDIRECT;
	driver_kick(&f->d, 0);
	driver_wait(&f->d, 0, NULL);
	assert_int_equal(*(uint8_t *)at(f, STATUS), VIRTIO_BLK_S_IOERR);
}

static void test_readonly(void **state)
{
	struct fixture *f = *state;

	assert_true(driver_features(&f->d) & BIT(VIRTIO_BLK_F_RO));
	assert_false(driver_features(&f->d) & BIT(VIRTIO_BLK_F_DISCARD));
	assert_int_equal(write_sectors(f, 0, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read_sectors(f, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
}

/* Header and status in pieces, data in odd ones. */
static void test_framing(void **state)
{
	struct fixture *f = *state;
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN, .sector = 1 };
	struct driver_segment segments[] = {
		{ HEADER, 5, false },      { HEADER + 5, 11, false }, { DATA, 100, true },
		{ DATA + 100, 412, true }, { STATUS, 1, true },
	};

	memset(at(f, DATA), 0x3c, 512);
	assert_int_equal(write_sectors(f, 1, 512), VIRTIO_BLK_S_OK);
	memset(at(f, DATA), 0, 512);
	memcpy(at(f, HEADER), &header, sizeof(header));
	driver_add(&f->d, 0, segments, ARRAY_SIZE(segments));
	driver_kick(&f->d, 0);
	driver_wait(&f->d, 0, NULL);
	assert_int_equal(*(uint8_t *)at(f, STATUS), VIRTIO_BLK_S_OK);
	assert_int_equal(*(uint8_t *)at(f, DATA + 511), 0x3c);
}

static void test_no_room_for_status(void **state)
{
	struct fixture *f = *state;
	struct driver_segment segments[] = { { HEADER, 16, false }, { DATA, 512, false } };

	driver_add(&f->d, 0, segments, 2);
	driver_kick(&f->d, 0);
	driver_wait_status(&f->d, VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_start(&f->d, FEATURES, 2);
	assert_int_equal(read_sectors(f, 0, 512), VIRTIO_BLK_S_OK);
}

static void test_many_in_flight(void **state)
{
	struct fixture *f = *state;

	driver_enable_msix(&f->d, 3);
	driver_start(&f->d, FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX), 2);
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < 8; i++) {
			uint64_t base = DRIVER_DATA + i * SLOT_SIZE;

			memset(at(f, base + 0x1000), round + i, 512);
			add_request(f, i % 2, base, VIRTIO_BLK_T_OUT, i, 512, false);
			driver_kick(&f->d, i % 2);
		}
		for (unsigned i = 0; i < 8; i++)
			driver_wait(&f->d, i % 2, NULL);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(*(uint8_t *)at(f, DRIVER_DATA + i * SLOT_SIZE + 0x800),
					 VIRTIO_BLK_S_OK);
		assert_int_equal(read_sectors(f, 7, 512), VIRTIO_BLK_S_OK);
		assert_int_equal(*(uint8_t *)at(f, DATA), (uint8_t)(round + 7));
	}
	assert_true(driver_messages(&f->d, 1) > 0);
	assert_true(driver_messages(&f->d, 2) > 0);
}

/* After the reset nothing of the requests before it reaches the rings. */
static void test_reset_in_flight(void **state)
{
	struct fixture *f = *state;

	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 4; i++)
			add_request(f, 0, DRIVER_DATA + i * SLOT_SIZE, VIRTIO_BLK_T_IN, i, 512,
				    true);
		driver_kick(&f->d, 0);
		driver_set_status(&f->d, 0);
		memset(memory_at(f->d.memory, DRIVER_RINGS, 0x4000), 0, 0x4000);
		assert_int_equal(driver_status(&f->d), 0);
		driver_start(&f->d, FEATURES, 2);
		assert_false(driver_has_used(&f->d, 0));
	}
	assert_int_equal(read_sectors(f, 0, 512), VIRTIO_BLK_S_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_config, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_and_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_range, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_type, setup, teardown),
		cmocka_unit_test_setup_teardown(test_get_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_discard_and_write_zeroes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_ranges_than_a_number_holds, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_readonly, setup_readonly, teardown),
		cmocka_unit_test_setup_teardown(test_framing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room_for_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_in_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_in_flight, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
