/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: VMREAD and VMWRITE in hot code, where a few of them are other than the rest: encodings of
 * no field and of upper halves, no current VMCS, user mode; and entries of which one in some has
 * what must not be, in a field that was good before. SDM2: "VMREAD", "VMWRITE".
 */
#include "tests/bare/vmx/vmx.h"

#define WARM     200
#define CF       1u
#define ZF       0x40u
#define NO_FIELD 0x4034 /* of the controls, 32 bits wide */

static uint8_t *code;
static struct frame frame;
static uint64_t kept[512];

/* AL: CF or ZF of the write, AH: of the read; RDX and R9: what is read. */
CODE(moves, "vmwrite %rbx, %rcx; setbe %al; vmread %rcx, %rdx; setbe %ah; mov %rcx, %r11\n"
	    "vmread %r11, %r9; pushf; pop %rsi; ud2");

static const struct {
	uint32_t encoding;
	uint64_t mask;
} fields[] = {
	{ GUEST_ES, 0xffff },           { GUEST_PAT, ~0ull },        { PF_MATCH, 0xffffffff },
	{ GUEST_ES_LIMIT, 0xffffffff }, { GUEST_RSP, ~0ull },        { HOST_RSP, ~0ull },
	{ TSC_OFFSET, ~0ull },          { EXIT_REASON, 0xffffffff },
};
#define FIELDS (sizeof(fields) / sizeof(*fields))

static int64_t run(uint64_t encoding, uint64_t value)
{
	frame = frame_at(code);
	frame.rcx = encoding;
	frame.rbx = value;
	frame.rdx = frame.r9 = 5;
	frame.rflags |= CF | ZF | 0x890;
	return run_frame(&frame);
}

static bool has_failed(uint32_t flag)
{
	return (frame.rax & 0xffff) == 0x101 && frame.rdx == 5 && frame.r9 == 5 &&
	       (frame.rsi & 0x8d5) == flag;
}

static void test_fields(void)
{
	unsigned good = 0;

	vmx_fresh();
	PLACE(code, moves);
	for (unsigned i = 0; i < WARM; i++) {
		uint64_t value = 0x0123456789abcdefull * (2 * i + 1);
		uint64_t wanted = value & fields[i % FIELDS].mask;

		good += run(fields[i % FIELDS].encoding, value) == UD && frame.rdx == wanted &&
			frame.r9 == wanted && !(frame.rax & 0xffff) && !(frame.rsi & 0x8d5);
	}
	check(good == WARM, "hot VMWRITE and VMREAD: %u", good);
}

static void test_odd_ones(void)
{
	unsigned good = 0;

	for (unsigned i = 0; i < WARM; i++) {
		uint64_t value = 0x1122334455667788 + i;

		switch (i % 16) {
		case 3:
			good += run(NO_FIELD, value) == UD && has_failed(ZF) &&
				vmread(INSTRUCTION_ERROR) == 12;
			break;
		case 7:
			good += run(1ull << 32 | GUEST_RSP, value) == UD && has_failed(ZF);
			break;
		case 11:
			vmwrite(TSC_OFFSET, 0);
			good += run(TSC_OFFSET | 1, value) == UD && frame.rdx == (uint32_t)value &&
				vmread(TSC_OFFSET) == value << 32;
			break;
		case 13:
			vmx_clear(vmcs_region);
			good += run(GUEST_RSP, value) == UD && has_failed(CF);
			vmx_load(vmcs_region);
			break;
		default:
			good += run(GUEST_RSP, value) == UD && frame.r9 == value;
		}
	}
	check(good == WARM, "with other encodings, or no VMCS, at times: %u", good);
}

static void test_user(void)
{
	unsigned good = 0;

	make_user(code);
	for (unsigned i = 0; i < WARM; i++) {
		frame = user_frame_at(code, SEL_USER_CODE64);
		frame.rcx = GUEST_RSP;
		good += run_frame(&frame) == GP && frame.rip == (uintptr_t)code;
	}
	set_pte(code, 0, PTE_U);
	check(good == WARM, "#GP in user mode: %u", good);
}

/* ---- entries ---- */

GUEST_CODE(code_vmcall, "");

static const struct bad {
	const char *name;
	uint32_t encoding;
	uint64_t bits;  /* changed */
	uint32_t error; /* of the instruction; 0: the exit of a failed entry */
} bad[] = {
	{ "a control", PIN_CONTROLS, 1u << 31, 7 },
	{ "the event", ENTRY_INTERRUPTION, 0x80000100, 7 },
	{ "a host selector", HOST_ES + 2, 3, 8 },
	{ "the host's CR4", HOST_CR4, 1ull << 40, 8 },
	{ "the host's RIP", HOST_RIP, 1ull << 62, 8 },
	{ "the guest's CR3", GUEST_CR3, 1ull << 60, 0 },
	{ "the guest's CR4", GUEST_CR4, 1ull << 40, 0 },
	{ "the guest's RIP", GUEST_RIP, 1ull << 62, 0 },
	{ "RFLAGS", GUEST_RFLAGS, 1ull << 3, 0 },
	{ "a limit", GUEST_GDTR_LIMIT, 1u << 20, 0 },
	{ "rights", GUEST_ES_RIGHTS + 2 * SEG_TR, 1u << 8, 0 },
	{ "activity", GUEST_ACTIVITY, 9, 0 },
	{ "the link pointer", LINK_POINTER, 1, 0 },
};

static bool fails(const struct bad *b)
{
	uint32_t reason = vmx_enter();

	return b->error ? reason == NO_ENTRY && vmread(INSTRUCTION_ERROR) == b->error
			: reason == (ENTRY_FAILED | EXIT_BAD_GUEST);
}

/* By VMWRITE, and behind the processor's back: in the image in memory, while it is not current. */
static void spoil(const struct bad *b, bool in_memory)
{
	uint64_t good = vmread(b->encoding), *word = (uint64_t *)vmcs_region;

	vmwrite(b->encoding, good ^ b->bits);
	if (!in_memory)
		return;
	vmx_clear(vmcs_region);
	for (unsigned i = 0; i < sizeof(vmcs_region) / 8; i++)
		kept[i] = word[i];
	vmx_load(vmcs_region);
	vmwrite(b->encoding, good);
	vmx_is_launched = false;
	vmx_enter_at(code_vmcall);
	vmx_clear(vmcs_region);
	for (unsigned i = 0; i < sizeof(vmcs_region) / 8; i++)
		word[i] = kept[i];
	vmx_load(vmcs_region);
	vmx_is_launched = false;
}

static void test_entries(const struct bad *b)
{
	unsigned good = 0;

	vmx_set_up();
	for (unsigned i = 0; i < 8; i++) {
		uint64_t before;

		good += vmx_enter_at(code_vmcall) == EXIT_VMCALL;
		vmwrite(GUEST_RIP, ADDRESS(code_vmcall));
		before = vmread(b->encoding);
		spoil(b, i % 4 == 3);
		good += fails(b);
		vmwrite(b->encoding, before);
	}
	check(good == 16, "entries, every other of them fails: %s: %u", b->name, good);
}

void test_main(void)
{
	code = page_alloc();
	if (!vmx_begin())
		return;
	test_fields();
	test_odd_ones();
	test_user();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		test_entries(&bad[i]);
}
