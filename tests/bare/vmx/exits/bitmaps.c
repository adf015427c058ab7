/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, exits: I/O instructions, RDMSR and WRMSR, by control and by bitmap.
 */
#include "tests/bare/vmx/vmx.h"

static uint8_t bitmaps[2][4096] __attribute__((aligned(4096)));

GUEST_CODE(code_out, "out %ax, %dx");
GUEST_CODE(code_out32, "out %eax, %dx");
GUEST_CODE(code_out_immediate, "out %al, $0x80");
GUEST_CODE(code_in, "in $0x71, %al");
GUEST_CODE(code_ins, "lea vmx_memory, %rdi; insb");
GUEST_CODE(code_outs, "mov $2, %ecx; lea vmx_memory, %rsi; rep outsl");
GUEST_CODE(code_outs_fs, "mov %rsp, %rsi; outsb %fs:(%esi), (%dx)");

/* ---- ports ---- */

static void set_port(unsigned port, bool exits)
{
	uint8_t *byte = &bitmaps[port >> 15][(port & 0x7fff) / 8];

	*byte = exits ? *byte | 1 << port % 8 : *byte & ~(1 << port % 8);
}

static bool exits_at_port(const void *code, uint16_t port, uint64_t qualification)
{
	guest.rdx = port;
	return vmx_enter_at(code) == EXIT_IO && vmread(EXIT_QUALIFICATION) == qualification;
}

static void test_io_information(void)
{
	vmx_fresh();
	vmx_set_proc(PROC_IO, 0);
	check(exits_at_port(code_in, 0, 0x710048), "IN from an immediate port");
	check(vmread(EXIT_LENGTH) == 2, "of 2 bytes");
	check(exits_at_port(code_out_immediate, 0, 0x800040), "OUT to an immediate port");
	check(exits_at_port(code_out, 0x3f8, 0x3f80001), "OUT of 2 bytes");
	check(exits_at_port(code_out32, 0xcf8, 0xcf80003), "OUT of 4 bytes");
	check(exits_at_port(code_ins, 0x80, 0x800018) &&
		      vmread(GUEST_LINEAR) == ADDRESS(vmx_memory) &&
		      (vmread(EXIT_INFORMATION) & 0x380) == 0x100,
	      "INS, with its address");
	check(exits_at_port(code_outs, 0x80, 0x800033) &&
		      vmread(GUEST_LINEAR) == ADDRESS(vmx_memory) &&
		      vmread(EXIT_INFORMATION) == 0x18100,
	      "REP OUTS, with its address and information");
	check(exits_at_port(code_outs_fs, 0x80, 0x800010) && vmread(EXIT_INFORMATION) == 0x20080,
	      "OUTS with a segment and a 32-bit address");
	check(vmx_skip() == EXIT_VMCALL, "the guest goes on behind it");
}

static void test_io_bitmaps(void)
{
	vmx_fresh();
	vmwrite(IO_BITMAP_A, ADDRESS(bitmaps[0]));
	vmwrite(IO_BITMAP_B, ADDRESS(bitmaps[1]));
	vmx_set_proc(PROC_IO | PROC_IO_BITMAPS, 0);
	guest.rdx = 0x80;
	check(vmx_enter_at(code_out) == EXIT_VMCALL, "bitmaps overrule unconditional exits");
	set_port(0x81, true);
	check(exits_at_port(code_out, 0x80, 0x800001), "an access of several ports exits by each");
	check(exits_at_port(code_out, 0x81, 0x810001), "and the first");
	guest.rdx = 0x82;
	check(vmx_enter_at(code_out) == EXIT_VMCALL, "but not by those beside");
	set_port(0x81, false);
	set_port(0x8000, true);
	check(exits_at_port(code_out32, 0x7ffe, 0x7ffe0003), "across both bitmaps");
	set_port(0x8000, false);
	check(exits_at_port(code_out, 0xffff, 0xffff0001), "one that wraps around exits always");
}

/* ---- MSRs ---- */

GUEST_CODE(code_rdmsr, "rdmsr");
GUEST_CODE(code_wrmsr, "wrmsr");

#define STAR        0xc0000081
#define SYSENTER_CS 0x174

static uint32_t access_msr(uint32_t msr, bool is_write)
{
	guest.rcx = msr;
	guest.rax = guest.rdx = 0;
	return vmx_enter_at(is_write ? code_wrmsr : code_rdmsr);
}

/* In one of the four maps of the page at a time. */
static void test_msr_bitmaps(void)
{
	static const struct {
		uint32_t msr, offset;
		bool is_write;
	} maps[] = {
		{ SYSENTER_CS, 0, false },
		{ STAR, 1024, false },
		{ SYSENTER_CS, 2048, true },
		{ STAR, 3072, true },
	};

	vmx_fresh();
	check(access_msr(STAR, false) == EXIT_RDMSR && vmread(EXIT_LENGTH) == 2,
	      "RDMSR exits without bitmaps");
	check(access_msr(STAR, true) == EXIT_WRMSR, "and WRMSR");
	vmwrite(MSR_BITMAP, ADDRESS(bitmaps[0]));
	vmx_set_proc(PROC_MSR_BITMAPS, 0);
	for (unsigned i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		uint32_t msr = maps[i].msr, bit = msr & 0x1fff;
		bool is_write = maps[i].is_write;
		uint8_t *byte = &bitmaps[0][maps[i].offset + bit / 8];

		check(access_msr(msr, is_write) == EXIT_VMCALL, "no bit, no exit");
		*byte = 1 << bit % 8;
		check(access_msr(msr, is_write) == (is_write ? EXIT_WRMSR : EXIT_RDMSR),
		      "%x, %s: exits by its bit", msr, is_write ? "write" : "read");
		check(access_msr(msr, !is_write) == EXIT_VMCALL, "and by no other");
		*byte = 0;
	}
	check(access_msr(0x2000, false) == EXIT_RDMSR, "beyond the maps: exits");
	check(access_msr(0xc0002000, true) == EXIT_WRMSR, "beyond the high maps: exits");
	check(access_msr(0x40000000, false) == EXIT_RDMSR, "between them: exits");
}

/* They read as all ones. */
static void test_bitmaps_outside_memory(void)
{
	vmx_fresh();
	vmwrite(IO_BITMAP_A, 1ull << 40);
	vmwrite(IO_BITMAP_B, 1ull << 40);
	vmwrite(MSR_BITMAP, 1ull << 40);
	vmx_set_proc(PROC_IO_BITMAPS | PROC_MSR_BITMAPS, 0);
	check(exits_at_port(code_in, 0, 0x710048), "an I/O bitmap that is not memory: exits");
	check(access_msr(STAR, false) == EXIT_RDMSR && access_msr(STAR, true) == EXIT_WRMSR,
	      "so do MSRs");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_io_information();
	test_io_bitmaps();
	test_msr_bitmaps();
	test_bitmaps_outside_memory();
}
