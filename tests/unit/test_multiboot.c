/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The multiboot loader: both ways to say load addresses, the information block, bad headers. */
#include "boot_fixture.h"

#include <elf.h>
#include <errno.h>
#include <unistd.h>

#define LOAD_ADDRESS (4 * MIB)
#define HEADER_AT    64

static void put_header(struct fixture *f, unsigned at, uint32_t flags)
{
	store_le(f->bytes + at, 0x1badb002, 4);
	store_le(f->bytes + at + 4, flags, 4);
	store_le(f->bytes + at + 8, -(0x1badb002 + flags), 4);
}

/* File bytes 32 to 8191 go to LOAD_ADDRESS, a page of zeros follows. */
static void make_kludge(struct fixture *f)
{
	memset(f->bytes, 0x5a, sizeof(f->bytes));
	f->image.size_bytes = 8192;
	put_header(f, HEADER_AT, 0x10000);
	store_le(f->bytes + HEADER_AT + 12, LOAD_ADDRESS + HEADER_AT - 32, 4);
	store_le(f->bytes + HEADER_AT + 16, LOAD_ADDRESS, 4);
	store_le(f->bytes + HEADER_AT + 20, LOAD_ADDRESS + 8192 - 32, 4);
	store_le(f->bytes + HEADER_AT + 24, LOAD_ADDRESS + 8192 + 4096, 4);
	store_le(f->bytes + HEADER_AT + 28, LOAD_ADDRESS + 0x100, 4);
}

/* A 32-bit executable of one segment of `paddr`, with the header in its text. */
static void make_elf(struct fixture *f, uint32_t paddr, uint32_t memsz)
{
	Elf32_Ehdr e = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1 },
			 .e_type = ET_EXEC,
			 .e_machine = EM_386,
			 .e_entry = paddr + 0x18,
			 .e_phoff = sizeof(e),
			 .e_phentsize = sizeof(Elf32_Phdr),
			 .e_phnum = 1 };
	Elf32_Phdr p = { .p_type = PT_LOAD,
			 .p_offset = 0x1000,
			 .p_vaddr = 0xc0000000,
			 .p_paddr = paddr,
			 .p_filesz = 0x200,
			 .p_memsz = memsz };

	memset(f->bytes, 0x33, sizeof(f->bytes));
	f->image.size_bytes = 0x1200;
	memcpy(f->bytes, &e, sizeof(e));
	memcpy(f->bytes + sizeof(e), &p, sizeof(p));
	put_header(f, 0x1000, 0);
}

static void loads_by_header(void **state)
{
	struct fixture *f = *state;
	static const uint8_t zeros[4096];

	make_kludge(f);
	memset(memory_at(f->memory, LOAD_ADDRESS, 16384), 0xff, 16384);
	assert_int_equal(fixture_load_exact(f), 0);
	assert_guest_bytes(f, LOAD_ADDRESS, f->bytes + 32, 8192 - 32);
	assert_guest_bytes(f, LOAD_ADDRESS + 8192 - 32, zeros, sizeof(zeros));
	assert_protected_mode(&f->regs, LOAD_ADDRESS + 0x100);
}

static void loads_by_elf(void **state)
{
	struct fixture *f = *state;
	static const uint8_t zeros[0x800];

	make_elf(f, LOAD_ADDRESS, 0xa00);
	memset(memory_at(f->memory, LOAD_ADDRESS, 0xa00), 0xff, 0xa00);
	assert_int_equal(fixture_load_exact(f), 0);
	assert_guest_bytes(f, LOAD_ADDRESS, f->bytes + 0x1000, 0x200);
	assert_guest_bytes(f, LOAD_ADDRESS + 0x200, zeros, sizeof(zeros));
	assert_protected_mode(&f->regs, LOAD_ADDRESS + 0x18);
}

static void fills_the_information_block(void **state)
{
	struct fixture *f = *state;
	gpa_t info, module, map;

	make_elf(f, LOAD_ADDRESS, 0x200);
	f->image.initrd = &f->initrd;
	assert_int_equal(fixture_load(f), 0);
	assert_int_equal(f->regs.gpr[0], 0x2badb002);
	info = f->regs.gpr[3];
	assert_in_range(info, 0x1000, 640 * KIB - 1);
	assert_int_equal(guest_number(f, info, 4) & 0x4d, 0x4d);
	assert_int_equal(guest_number(f, info + 8, 4), FIXTURE_MEMORY / KIB - 1024);
	assert_guest_bytes(f, guest_number(f, info + 16, 4), "kernel a=b c", 13);
	assert_int_equal(guest_number(f, info + 20, 4), 1);
	module = guest_number(f, info + 24, 4);
	assert_in_range(guest_number(f, module, 4), 0x1000, 640 * KIB - 1);
	assert_int_equal(guest_number(f, module + 4, 4) - guest_number(f, module, 4),
			 sizeof(FIXTURE_INITRD) - 1);
	assert_guest_bytes(f, guest_number(f, module, 4), FIXTURE_INITRD,
			   sizeof(FIXTURE_INITRD) - 1);
	assert_guest_bytes(f, guest_number(f, module + 8, 4), "initrd", 7);
	map = guest_number(f, info + 48, 4);
	assert_int_equal(guest_number(f, info + 44, 4) % 24, 0);
	assert_int_equal(guest_number(f, map, 4), 20);
	assert_int_equal(guest_number(f, map + 4, 8), 0);
	assert_int_equal(guest_number(f, map + 12, 8), LAYOUT_LOW_RAM_END);
}

static void low_kernels_keep_their_place(void **state)
{
	struct fixture *f = *state;

	make_elf(f, 0x8000, 0x97000); /* up to 9f000h */
	assert_int_equal(fixture_load(f), 0);
	assert_in_range(f->regs.gpr[3], 0x2000, 0x7fff);
	assert_guest_bytes(f, 0x8000, f->bytes + 0x1000, 0x200);
	make_elf(f, 0x1000, 0x200);
	fixture_fails(f, -ENOEXEC, "wants to lie at 0x1000");
	make_elf(f, 0x2000, 0x9d800);
	fixture_fails(f, -E2BIG, "no room");
}

static void big_modules_go_high(void **state)
{
	struct fixture *f = *state;
	gpa_t info;

	make_elf(f, LOAD_ADDRESS, 0x200);
	f->image.initrd = &f->initrd;
	f->initrd.size_bytes = MIB;
	assert_int_equal(ftruncate(f->initrd.fd, MIB), 0);
	assert_int_equal(fixture_load(f), 0);
	info = f->regs.gpr[3];
	assert_int_equal(guest_number(f, guest_number(f, info + 24, 4), 4), FIXTURE_MEMORY - MIB);
	f->initrd.size_bytes = FIXTURE_MEMORY;
	fixture_fails(f, -E2BIG, "initrd 'dir/initrd': too big");
}

static void refuses_bad_images(void **state)
{
	struct fixture *f = *state;

	make_kludge(f);
	put_header(f, HEADER_AT, 0x10008);
	fixture_fails(f, -ENOEXEC, "unknown multiboot features");

	make_kludge(f);
	store_le(f->bytes + HEADER_AT + 16, LOAD_ADDRESS + 4096, 4);
	fixture_fails(f, -ENOEXEC, "bad load address");

	make_kludge(f);
	store_le(f->bytes + HEADER_AT + 20, LOAD_ADDRESS - 1, 4);
	fixture_fails(f, -ENOEXEC, "bad end addresses");

	make_kludge(f);
	f->image.size_bytes = 4096;
	fixture_fails(f, -ENOEXEC, "truncated");

	make_kludge(f);
	f->image.size_bytes = HEADER_AT + 16;
	assert_int_equal(fixture_load_exact(f), -ENOEXEC);

	make_elf(f, 0xfffff000, 0x2000);
	fixture_fails(f, -E2BIG, "not in the 64 MiB");

	make_elf(f, LOAD_ADDRESS, 0x100); /* smaller than in the file */
	fixture_fails(f, -ENOEXEC, "larger in the file");

	make_elf(f, 0x90000, 0x20000); /* reaches into the graphics hole */
	fixture_fails(f, -E2BIG, "dir/kernel");

	memset(f->bytes, 0, sizeof(f->bytes));
	put_header(f, HEADER_AT, 0);
	fixture_fails(f, -ENOEXEC, "no ELF header");
}

static void finds_headers_in_the_first_8_kib_only(void **state)
{
	struct fixture *f = *state;

	memset(f->bytes, 0, sizeof(f->bytes));
	f->image.size_bytes = 16384;
	put_header(f, 8192 - 12, 0);
	assert_true(multiboot_probe(&f->image));
	memset(f->bytes, 0, sizeof(f->bytes));
	put_header(f, 8192, 0);
	assert_false(multiboot_probe(&f->image));
	put_header(f, 100, 0);
	f->bytes[108] ^= 1; /* a wrong checksum */
	assert_false(multiboot_probe(&f->image));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(loads_by_header, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(loads_by_elf, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(fills_the_information_block, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(low_kernels_keep_their_place, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(big_modules_go_high, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(refuses_bad_images, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(finds_headers_in_the_first_8_kib_only,
						fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
