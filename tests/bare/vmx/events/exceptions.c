/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: exceptions, each by its bit of the exception bitmap, with what the exit says of it.
 */
#include "tests/bare/vmx/vmx.h"

#define FAULT_ADDRESS 0xffff800000001000ull

GUEST_CODE(code_de, "xor %ecx, %ecx; div %ecx");
GUEST_CODE(code_int1, ".byte 0xf1");
GUEST_CODE(code_int3, "int3");
GUEST_CODE(code_ud, "ud2");
GUEST_CODE(code_nm, "mov %cr0, %rax; or $8, %rax; mov %rax, %cr0; fninit");
GUEST_CODE(code_np, "mov $0x58, %eax; mov %eax, %fs");
GUEST_CODE(code_ss, "mov $1, %ebp; shl $63, %rbp; mov (%rbp), %eax");
GUEST_CODE(code_gp, "mov $0xffc8, %eax; mov %eax, %fs");
GUEST_CODE(code_fault, "mov $0xffff800000001000, %rax; mov %al, (%rax)");
GUEST_CODE(code_step, "pushf; orl $0x100, (%rsp); popf; nop; nop");
GUEST_CODE(code_watched, "mov $vmx_memory, %eax; mov %rax, %dr0; mov $0xf0402, %eax;"
			 "mov %rax, %dr7; mov vmx_memory, %rbx; nop");

static const struct exception {
	const char *name;
	const void *code;
	uint32_t information; /* less VALID */
	uint64_t error, qualification;
	uint32_t length; /* of software exceptions */
	unsigned before; /* bytes of code before the instruction */
} exceptions[] = {
	{ "#DE", code_de, TYPE_FAULT | DE, 0, 0, 0, 2 },
	{ "INT1", code_int1, TYPE_INT1 | DB, 0, 0, 1, 0 },
	{ "INT3", code_int3, TYPE_SOFT_TRAP | BP, 0, 0, 1, 0 },
	{ "#UD", code_ud, TYPE_FAULT | UD, 0, 0, 0, 0 },
	{ "#NM", code_nm, TYPE_FAULT | NM, 0, 0, 0, 10 },
	{ "#NP", code_np, TYPE_FAULT | HAS_ERROR | NP, SEL_FREE, 0, 0, 5 },
	{ "#SS", code_ss, TYPE_FAULT | HAS_ERROR | SS, 0, 0, 0, 9 },
	{ "#GP", code_gp, TYPE_FAULT | HAS_ERROR | GP, 0xffc8, 0, 0, 5 },
	{ "#PF", code_fault, TYPE_FAULT | HAS_ERROR | PF, 2, FAULT_ADDRESS, 0, 10 },
	{ "#DB by a step", code_step, TYPE_FAULT | DB, 0, 0x4000, 0, 10 },
	{ "#DB by a watched address", code_watched, TYPE_FAULT | DB, 0, 1, 0, 24 },
};

static bool is_as_told(const struct exception *e)
{
	return vmread(EXIT_INTERRUPTION) == (VALID | e->information) &&
	       (!(e->information & HAS_ERROR) || vmread(EXIT_INTERRUPTION_ERROR) == e->error) &&
	       vmread(EXIT_QUALIFICATION) == e->qualification &&
	       (!e->length || vmread(EXIT_LENGTH) == e->length) && !(vmread(IDT_VECTORING) & VALID);
}

static void skip_int(struct frame *frame)
{
	vmx_count(frame);
	frame->rip = frame->rbx;
	frame->rflags &= ~RFLAGS_TF;
	WRITE_DR(7, 0x400);
}

GUEST_CODE(code_end, "");

static void test_exception(const struct exception *e)
{
	unsigned vector = e->information & 0xff;
	bool is_fault = vector != DB && vector != BP;
	uint32_t reason;

	vmx_fresh();
	gdt[SEL_FREE / 8] = 0x00cf13000000ffff; /* not present */
	vmwrite(EXCEPTION_BITMAP, 1u << vector);
	vmx_set_exit(EXITC_SAVE_DEBUG);
	WRITE_CR(2, 0x1234);
	WRITE_DR(6, 0xffff0ff0);
	reason = vmx_enter_at(e->code);
	check(reason == EXIT_EXCEPTION && is_as_told(e), "%s exits", e->name);
	check(vmread(GUEST_RIP) == ADDRESS(e->code) + e->before, "%s: at %lx", e->name,
	      vmread(GUEST_RIP) - ADDRESS(e->code));
	check(!!(vmread(GUEST_RFLAGS) & RFLAGS_RF) == is_fault, "%s: RF", e->name);
	check(READ_CR(2) == 0x1234 && READ_DR(6) == 0xffff0ff0, "%s: CR2 and DR6 are as before",
	      e->name);

	vmx_fresh();
	vmwrite(EXCEPTION_BITMAP, ~(1u << vector));
	vmwrite(PF_MASK, 0);
	set_handler(vector, skip_int);
	guest.rbx = ADDRESS(code_end);
	vmx_enter_at(e->code);
	check(vmx_handled == 1, "%s without its bit is the guest's", e->name);
	set_handler(vector, NULL);
	WRITE_DR(7, 0x400);
}

/* The bitmap's bit 14 counts where the error code fits, its opposite where it does not. */
static void test_page_faults(void)
{
	vmx_fresh();
	set_handler(PF, skip_int);
	guest.rbx = ADDRESS(code_end);
	vmwrite(PF_MASK, 3);
	for (unsigned match = 0; match < 4; match++) {
		for (unsigned bit = 0; bit < 2; bit++) {
			bool exits = bit == (match == 2);

			vmwrite(EXCEPTION_BITMAP, bit << PF);
			vmwrite(PF_MATCH, match);
			check(vmx_enter_at(code_fault) == (exits ? EXIT_EXCEPTION : EXIT_VMCALL),
			      "#PF with error code 2, match %u, bit %u", match, bit);
		}
	}
	set_handler(PF, NULL);
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	for (unsigned i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
		test_exception(&exceptions[i]);
	test_page_faults();
}
