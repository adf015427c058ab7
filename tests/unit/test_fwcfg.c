/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg: items by port and by DMA, the directory, and descriptors that point nowhere.
 */
#include "tests/unit/chip.h"

#include <endian.h>
#include <errno.h>

#include "dev/fwcfg.h"

#define DESCRIPTOR 0x1000
#define BUFFER     0x2000
#define RAM        (4 * MIB)

#define ERROR  1u
#define READ   2u
#define SKIP   4u
#define SELECT 8u
#define WRITE  16u

struct fixture {
	struct memory *memory;
	struct fwcfg *fwcfg;
};

static void select_key(struct fixture *f, uint16_t key)
{
	chip_write(fwcfg_access, f->fwcfg, 0, 2, key);
}

static uint64_t data(struct fixture *f, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= chip_read(fwcfg_access, f->fwcfg, 1, 1) << 8 * i;
	return value;
}

/* Runs a transfer; the result is the control field afterwards. */
static uint32_t dma(struct fixture *f, uint32_t control, uint32_t len, uint64_t address)
{
	struct {
		uint32_t control, len;
		uint64_t address;
	} d = { htobe32(control), htobe32(len), htobe64(address) };

	assert_int_equal(memory_write(f->memory, DESCRIPTOR, &d, sizeof(d)), 0);
	chip_write(fwcfg_dma_access, f->fwcfg, 0, 4, 0);
	chip_write(fwcfg_dma_access, f->fwcfg, 4, 4, htobe32(DESCRIPTOR));
	assert_int_equal(memory_read(f->memory, DESCRIPTOR, &d, sizeof(d)), 0);
	return be32toh(d.control);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err;

	assert_int_equal(memory_create(&f->memory, RAM, &err), 0);
	assert_int_equal(fwcfg_create(&f->fwcfg, f->memory, 3), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fwcfg_ops.destroy(f->fwcfg);
	memory_destroy(f->memory);
	free(f);
	return 0;
}

static void fixed_items_describe_the_machine(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(data(f, 4), load_le("QEMU", 4));
	select_key(f, FWCFG_ID);
	assert_int_equal(data(f, 4), 3);
	select_key(f, FWCFG_RAM_SIZE);
	assert_int_equal(data(f, 8), RAM);
	select_key(f, FWCFG_CPUS);
	assert_int_equal(data(f, 2), 3);
	assert_int_equal(data(f, 2), 0); /* past the end */
	select_key(f, FWCFG_MAX_CPUS);
	assert_int_equal(data(f, 2), 3);
	select_key(f, 0x7fff);
	assert_int_equal(data(f, 4), 0);
	select_key(f, 0xffff);
	assert_int_equal(data(f, 4), 0);
}

static void items_may_be_added_and_replaced(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fwcfg_add(f->fwcfg, FWCFG_CMDLINE_DATA, "abc", 4), 0);
	assert_int_equal(fwcfg_add(f->fwcfg, FWCFG_CMDLINE_DATA, "xyz", 4), 0);
	assert_int_equal(fwcfg_add(f->fwcfg, FWCFG_INITRD_DATA, NULL, 0), 0);
	select_key(f, FWCFG_CMDLINE_DATA);
	assert_int_equal(data(f, 4), load_le("xyz", 4));
	assert_int_equal(fwcfg_add(f->fwcfg, FWCFG_DIRECTORY, "", 1), -EINVAL);
	assert_int_equal(fwcfg_add(f->fwcfg, FWCFG_FIRST_FILE, "", 1), -EINVAL);
}

static void files_are_listed_by_name(void **state)
{
	struct fixture *f = *state;
	char name[FWCFG_NAME_SIZE + 1];

	assert_int_equal(fwcfg_add_file(f->fwcfg, "etc/b", "bb", 2), 0);
	assert_int_equal(fwcfg_add_file(f->fwcfg, "etc/c", "ccc", 3), 0);
	assert_int_equal(fwcfg_add_file(f->fwcfg, "etc/a", "a", 1), 0);
	assert_int_equal(fwcfg_add_file(f->fwcfg, "etc/b", "BBBB", 4), 0);
	select_key(f, FWCFG_DIRECTORY);
	assert_int_equal(be32toh((uint32_t)data(f, 4)), 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(be32toh((uint32_t)data(f, 4)), i == 1 ? 4 : i + 1);
		assert_int_equal(be16toh((uint16_t)data(f, 2)), FWCFG_FIRST_FILE + i);
		data(f, 2);
		for (unsigned j = 0; j < FWCFG_NAME_SIZE; j++)
			name[j] = (char)data(f, 1);
		assert_int_equal(name[4], 'a' + i);
	}
	select_key(f, FWCFG_FIRST_FILE + 1);
	assert_int_equal(data(f, 4), load_le("BBBB", 4));
	memset(name, 'n', FWCFG_NAME_SIZE);
	name[FWCFG_NAME_SIZE] = 0;
	assert_int_equal(fwcfg_add_file(f->fwcfg, name, "", 1), -ENAMETOOLONG);
	for (unsigned i = 3; i < FWCFG_FILES; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		assert_int_equal(fwcfg_add_file(f->fwcfg, name, "", 0), 0);
	}
	assert_int_equal(fwcfg_add_file(f->fwcfg, "one more", "", 0), -ENOSPC);
}

static void dma_reads_skips_and_pads(void **state)
{
	struct fixture *f = *state;
	uint8_t *buffer = memory_at(f->memory, BUFFER, 16);

	assert_int_equal(chip_read(fwcfg_dma_access, f->fwcfg, 0, 8), htobe64(0x51454d5520434647));
	assert_int_equal(chip_read(fwcfg_dma_access, f->fwcfg, 0, 4), load_le("QEMU", 4));
	assert_int_equal(fwcfg_add_file(f->fwcfg, "f", "0123456789", 10), 0);
	memset(buffer, 0xff, 16);
	assert_int_equal(dma(f, FWCFG_FIRST_FILE << 16 | SELECT | READ, 3, BUFFER), 0);
	assert_memory_equal(buffer, "012\xff", 4);
	assert_int_equal(dma(f, SKIP, 5, 0), 0);
	assert_int_equal(dma(f, READ, 8, BUFFER), 0);
	assert_memory_equal(buffer, "89\0\0\0\0\0\0\xff", 9);
	assert_int_equal(dma(f, SELECT | FWCFG_FIRST_FILE << 16, 0, 0), 0);
	assert_int_equal(data(f, 1), '0');
	assert_int_equal(dma(f, READ, 0, UINT64_MAX), 0);
	assert_int_equal(dma(f, SKIP, UINT32_MAX, 0), 0);
	assert_int_equal(data(f, 1), 0);
}

static void dma_outside_memory_is_an_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(dma(f, SELECT | READ, 4, RAM - 2), ERROR);
	assert_int_equal(dma(f, SELECT | READ, 4, UINT64_MAX - 1), ERROR);
	assert_int_equal(dma(f, SELECT | READ, UINT32_MAX, 0), ERROR);
	assert_int_equal(dma(f, SELECT | READ, 16, MEMORY_VGA_BASE), ERROR);
	assert_int_equal(dma(f, SELECT | WRITE, 4, BUFFER), ERROR);
	/* a descriptor outside memory: nothing to answer to */
	chip_write(fwcfg_dma_access, f->fwcfg, 0, 4, 0xffffffff);
	chip_write(fwcfg_dma_access, f->fwcfg, 4, 4, 0xffffffff);
	assert_int_equal(dma(f, SELECT | READ, 4, BUFFER), 0);
}

static void random_accesses_do_no_harm(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = chip_seed();

	assert_int_equal(fwcfg_add_file(f->fwcfg, "f", "0123456789", 10), 0);
	for (int i = 0; i < 200000; i++) {
		uint64_t d[2] = { chip_random(&seed) & chip_random(&seed),
				  htobe64(chip_random(&seed) % (2 * RAM)) };

		if (i % 16 == 0) {
			d[0] &= 0x0000ffff1f003f00 | chip_random(&seed) % 32 << 24;
			memory_write(f->memory, DESCRIPTOR, d, sizeof(d));
			chip_write(fwcfg_dma_access, f->fwcfg, 4, 4, htobe32(DESCRIPTOR));
		} else if (i % 2) {
			chip_random_access(fwcfg_access, f->fwcfg, FWCFG_PORTS, 2, &seed);
		} else {
			chip_random_access(fwcfg_dma_access, f->fwcfg, FWCFG_DMA_PORTS, 8, &seed);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fixed_items_describe_the_machine), TEST(items_may_be_added_and_replaced),
		TEST(files_are_listed_by_name),         TEST(dma_reads_skips_and_pads),
		TEST(dma_outside_memory_is_an_error),   TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
