/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bzImage loader: what a good kernel finds in memory and registers, and one error text for each
 * way in which a file can be bad.
 */
#include "boot_fixture.h"

#include <errno.h>
#include <unistd.h>

#define SETUP_BYTES   1024 /* one setup sector and the boot sector */
#define PAYLOAD_BYTES 8192
#define PREFERRED     (16 * MIB)
#define INIT_SIZE     (4 * MIB)
#define CMDLINE_MAX   255

static void put(struct fixture *f, unsigned offset, uint64_t value, unsigned bytes)
{
	store_le(f->bytes + offset, value, bytes);
}

static void make_kernel(struct fixture *f)
{
	f->image.size_bytes = SETUP_BYTES + PAYLOAD_BYTES;
	memset(f->bytes, 0, f->image.size_bytes);
	put(f, 0x1f1, 1, 1);
	put(f, 0x1f4, PAYLOAD_BYTES / 16, 4);
	put(f, 0x1fe, 0xaa55, 2);
	put(f, 0x201, 0x66, 1);
	memcpy(f->bytes + 0x202, "HdrS", 4);
	put(f, 0x206, 0x20f, 2);
	put(f, 0x22c, 0x7fffffff, 4);
	put(f, 0x230, 2 * MIB, 4);
	put(f, 0x234, 1, 1);
	put(f, 0x236, 1, 2);
	put(f, 0x238, CMDLINE_MAX, 4);
	put(f, 0x258, PREFERRED, 8);
	put(f, 0x260, INIT_SIZE, 4);
	for (unsigned i = 0; i < PAYLOAD_BYTES; i++)
		f->bytes[SETUP_BYTES + i] = (uint8_t)(i * 7);
}

static void loads(void **state)
{
	struct fixture *f = *state;
	gpa_t page, initrd;

	make_kernel(f);
	f->image.initrd = &f->initrd;
	assert_int_equal(fixture_load_exact(f), 0);
	assert_guest_bytes(f, PREFERRED, f->bytes + SETUP_BYTES, PAYLOAD_BYTES);

	page = f->regs.gpr[6];
	assert_int_equal(guest_number(f, page + 0x202, 4), 0x53726448);
	assert_int_equal(guest_number(f, page + 0x070, 8), f->image.rsdp);
	assert_guest_bytes(f, guest_number(f, page + 0x228, 4), "a=b c", 6);
	initrd = guest_number(f, page + 0x218, 4);
	assert_int_equal(guest_number(f, page + 0x21c, 4), sizeof(FIXTURE_INITRD) - 1);
	assert_guest_bytes(f, initrd, FIXTURE_INITRD, sizeof(FIXTURE_INITRD) - 1);
	assert_int_equal(initrd, FIXTURE_MEMORY - PAGE_BYTES);

	/* The memory map: RAM first, all of it, in order. */
	assert_in_range(guest_number(f, page + 0x1e8, 1), 4, 8);
	assert_int_equal(guest_number(f, page + 0x2d0, 8), 0);
	assert_int_equal(guest_number(f, page + 0x2d0 + 8, 8), LAYOUT_LOW_RAM_END);
	assert_int_equal(guest_number(f, page + 0x2d0 + 16, 4), 1);
	assert_int_equal(guest_number(f, page + 0x2d0 + 3 * 20, 8), MIB);
	assert_int_equal(guest_number(f, page + 0x2d0 + 3 * 20 + 8, 8), FIXTURE_MEMORY - MIB);
}

/* From its file, which is read piece by piece, and may be shorter then than it was at first. */
static void loads_from_its_file(void **state)
{
	struct fixture *f = *state;
	FILE *file = tmpfile();
	struct boot_source source = { .initrd = { .fd = -1 }, .cmdline = "a=b c" };

	assert_non_null(file);
	make_kernel(f);
	assert_int_equal(fwrite(f->bytes, 1, f->image.size_bytes, file), f->image.size_bytes);
	fflush(file);
	source.kernel =
		(struct boot_file){ "kernel", "dir/kernel", fileno(file), f->image.size_bytes };
	assert_int_equal(boot_load(&source, f->memory, 0, &f->regs, &f->err), 0);
	assert_guest_bytes(f, PREFERRED, f->bytes + SETUP_BYTES, PAYLOAD_BYTES);
	assert_int_equal(ftruncate(fileno(file), SETUP_BYTES + PAYLOAD_BYTES / 2), 0);
	assert_int_equal(boot_load(&source, f->memory, 0, &f->regs, &f->err), -EIO);
	assert_non_null(strstr(f->err.text, "became shorter"));
	fclose(file);
}

static void starts_in_64_bit_mode(void **state)
{
	struct fixture *f = *state;
	struct engine_registers *r = &f->regs;
	gpa_t pdpt, pd;

	make_kernel(f);
	assert_int_equal(fixture_load(f), 0);
	assert_int_equal(r->rip, PREFERRED + 0x200);
	assert_int_equal(r->rflags, 2);
	assert_int_equal(r->cr0 & 0x80000001, 0x80000001);
	assert_int_equal(r->efer, 0x500);
	assert_int_equal(r->cs.selector, 0x10);
	assert_true(r->cs.attributes & BIT(13));
	assert_int_equal(r->ds.selector, 0x18);
	/* The descriptors in memory say the same. */
	assert_int_equal(guest_number(f, r->gdtr.base + 0x10, 8), 0x00af9b000000ffff);
	assert_int_equal(guest_number(f, r->gdtr.base + 0x18, 8), 0x00cf93000000ffff);
	/* 3 GiB + 6 MiB maps to itself. */
	pdpt = guest_number(f, r->cr3, 8) & PAGE_MASK;
	pd = guest_number(f, pdpt + 3 * 8, 8) & PAGE_MASK;
	assert_int_equal(guest_number(f, pd + 3 * 8, 8), (3 * GIB + 6 * MIB) | 0x83);
}

static void falls_back_to_1_mib(void **state)
{
	struct fixture *f = *state;

	make_kernel(f);
	put(f, 0x258, FIXTURE_MEMORY - MIB, 8);
	assert_int_equal(fixture_load(f), 0);
	assert_int_equal(f->regs.rip, MIB + 0x200);
	put(f, 0x234, 0, 1); /* not relocatable */
	fixture_fails(f, -E2BIG, "dir/kernel");
}

static void refuses_bad_kernels(void **state)
{
	struct fixture *f = *state;

	make_kernel(f);
	put(f, 0x236, 0, 2);
	fixture_fails(f, -ENOEXEC, "64-bit");

	make_kernel(f);
	put(f, 0x260, FIXTURE_MEMORY, 4);
	fixture_fails(f, -E2BIG, "64");

	make_kernel(f);
	put(f, 0x258, 0x1000, 8);
	put(f, 0x234, 0, 1);
	fixture_fails(f, -ENOEXEC, "below 1 MiB");

	make_kernel(f);
	put(f, 0x258, UINT64_MAX - 4096, 8);
	put(f, 0x234, 0, 1);
	fixture_fails(f, -E2BIG, "dir/kernel");
}

static void refuses_truncated_kernels(void **state)
{
	struct fixture *f = *state;

	make_kernel(f);
	for (f->image.size_bytes = 0; f->image.size_bytes < SETUP_BYTES + PAYLOAD_BYTES;
	     f->image.size_bytes += f->image.size_bytes < 0x300 ? 1 : 97)
		assert_int_equal(fixture_load_exact(f), -ENOEXEC);
	make_kernel(f);
	f->image.size_bytes -= 100;
	fixture_fails(f, -ENOEXEC, "truncated: 100 bytes");
}

static void refuses_long_command_lines(void **state)
{
	struct fixture *f = *state;
	char text[CMDLINE_MAX + 2];

	make_kernel(f);
	memset(text, 'x', sizeof(text));
	text[CMDLINE_MAX] = 0;
	f->image.cmdline = text;
	assert_int_equal(fixture_load(f), 0);
	text[CMDLINE_MAX] = 'x';
	text[CMDLINE_MAX + 1] = 0;
	fixture_fails(f, -E2BIG, "--append");
}

static void refuses_big_initrds(void **state)
{
	struct fixture *f = *state;

	make_kernel(f);
	f->image.initrd = &f->initrd;
	f->initrd.size_bytes = FIXTURE_MEMORY;
	fixture_fails(f, -E2BIG, "initrd 'dir/initrd': too big");
	f->initrd.size_bytes = 100; /* more than there is */
	fixture_fails(f, -EIO, "initrd 'dir/initrd'");
}

static void initrd_keeps_clear_of_the_kernel(void **state)
{
	struct fixture *f = *state;
	gpa_t initrd;

	make_kernel(f);
	f->image.initrd = &f->initrd;
	put(f, 0x258, FIXTURE_MEMORY - 8 * MIB, 8);
	put(f, 0x260, 8 * MIB, 4);
	assert_int_equal(fixture_load(f), 0);
	initrd = guest_number(f, f->regs.gpr[6] + 0x218, 4);
	assert_int_equal(initrd, FIXTURE_MEMORY - 8 * MIB - PAGE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(loads, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(loads_from_its_file, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(starts_in_64_bit_mode, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(falls_back_to_1_mib, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(refuses_bad_kernels, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(refuses_truncated_kernels, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(refuses_long_command_lines, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(refuses_big_initrds, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(initrd_keeps_clear_of_the_kernel, fixture_setup,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
