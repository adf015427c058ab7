/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ELF kernels by the PVH protocol: the entry note, hvm_start_info, bad images. */
#include "boot_fixture.h"

#include <elf.h>
#include <errno.h>

#define LOAD_ADDRESS (16 * MIB)
#define ENTRY        (LOAD_ADDRESS + 0x40)
#define NOTE_AT      0x800
#define TEXT_AT      0x1000
#define TEXT_BYTES   0x300

struct note {
	uint32_t namesz, descsz, type;
	char name[4];
	uint64_t entry;
};

static void make_vmlinux(struct fixture *f)
{
	Elf64_Ehdr e = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
			 .e_type = ET_EXEC,
			 .e_machine = EM_X86_64,
			 .e_entry = 0xffffffff81000000,
			 .e_phoff = sizeof(e),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 2 };
	Elf64_Phdr p[2] = {
		{ .p_type = PT_LOAD,
		  .p_offset = TEXT_AT,
		  .p_paddr = LOAD_ADDRESS,
		  .p_filesz = TEXT_BYTES,
		  .p_memsz = 2 * TEXT_BYTES },
		{ .p_type = PT_NOTE, .p_offset = NOTE_AT, .p_filesz = 2 * sizeof(struct note) }
	};
	struct note n[2] = { { 4, 8, 6, "Xen", 0 }, { 4, 8, 18, "Xen", ENTRY } };

	memset(f->bytes, 0x77, sizeof(f->bytes));
	f->image.size_bytes = TEXT_AT + TEXT_BYTES;
	memcpy(f->bytes, &e, sizeof(e));
	memcpy(f->bytes + sizeof(e), p, sizeof(p));
	memcpy(f->bytes + NOTE_AT, n, sizeof(n));
}

static void loads(void **state)
{
	struct fixture *f = *state;
	static const uint8_t zeros[TEXT_BYTES];
	gpa_t info, module;

	make_vmlinux(f);
	f->image.initrd = &f->initrd;
	memset(memory_at(f->memory, LOAD_ADDRESS, 4096), 0xff, 4096);
	assert_int_equal(fixture_load_exact(f), 0);
	assert_guest_bytes(f, LOAD_ADDRESS, f->bytes + TEXT_AT, TEXT_BYTES);
	assert_guest_bytes(f, LOAD_ADDRESS + TEXT_BYTES, zeros, TEXT_BYTES);
	assert_protected_mode(&f->regs, ENTRY);

	info = f->regs.gpr[3];
	assert_int_equal(guest_number(f, info, 4), 0x336ec578);
	assert_int_equal(guest_number(f, info + 4, 4), 1);
	assert_guest_bytes(f, guest_number(f, info + 24, 8), "a=b c", 6);
	assert_int_equal(guest_number(f, info + 32, 8), f->image.rsdp);
	assert_int_equal(guest_number(f, info + 12, 4), 1);
	module = guest_number(f, info + 16, 8);
	assert_guest_bytes(f, guest_number(f, module, 8), FIXTURE_INITRD,
			   sizeof(FIXTURE_INITRD) - 1);
	assert_int_equal(guest_number(f, module + 8, 8), sizeof(FIXTURE_INITRD) - 1);
	assert_in_range(guest_number(f, info + 48, 4), 4, 8);
	assert_int_equal(guest_number(f, guest_number(f, info + 40, 8) + 8, 8), LAYOUT_LOW_RAM_END);
}

static void set_phdr(struct fixture *f, size_t field, uint64_t value)
{
	store_le(f->bytes + sizeof(Elf64_Ehdr) + field, value, 8);
}

static void refuses_bad_images(void **state)
{
	struct fixture *f = *state;

	make_vmlinux(f);
	f->bytes[NOTE_AT + sizeof(struct note) + 8] = 17;
	fixture_fails(f, -ENOEXEC, "without a PVH entry note");

	make_vmlinux(f);
	store_le(f->bytes + offsetof(Elf64_Ehdr, e_phoff), UINT64_MAX - 8, 8);
	fixture_fails(f, -ENOEXEC, "program headers outside the file");

	make_vmlinux(f);
	store_le(f->bytes + offsetof(Elf64_Ehdr, e_phnum), 0xffff, 2);
	fixture_fails(f, -ENOEXEC, "too many program headers");

	make_vmlinux(f);
	set_phdr(f, offsetof(Elf64_Phdr, p_filesz), UINT64_MAX);
	fixture_fails(f, -ENOEXEC, "truncated");

	make_vmlinux(f);
	set_phdr(f, offsetof(Elf64_Phdr, p_paddr), UINT64_MAX - 16);
	fixture_fails(f, -ENOEXEC, "dir/kernel");

	make_vmlinux(f);
	set_phdr(f, offsetof(Elf64_Phdr, p_memsz), FIXTURE_MEMORY);
	fixture_fails(f, -E2BIG, "not in the 64 MiB");
}

static void refuses_bad_notes(void **state)
{
	struct fixture *f = *state;

	make_vmlinux(f);
	store_le(f->bytes + NOTE_AT, UINT32_MAX, 4);
	fixture_fails(f, -ENOEXEC, "without a PVH entry note");
	make_vmlinux(f);
	store_le(f->bytes + NOTE_AT + sizeof(struct note) + 4, 1, 4);
	fixture_fails(f, -ENOEXEC, "without a PVH entry note");
}

static void refuses_truncated_images(void **state)
{
	struct fixture *f = *state;

	make_vmlinux(f);
	for (f->image.size_bytes = 0; f->image.size_bytes < TEXT_AT + TEXT_BYTES;
	     f->image.size_bytes += f->image.size_bytes < 0x200 ? 1 : 61)
		assert_int_equal(fixture_load_exact(f), -ENOEXEC);
}

static void refuses_other_files(void **state)
{
	struct fixture *f = *state;

	f->image.size_bytes = 4096;
	fixture_fails(f, -ENOEXEC, "not a kernel");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(loads, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(refuses_bad_images, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(refuses_bad_notes, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(refuses_truncated_images, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(refuses_other_files, fixture_setup,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
