/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding: operands, sizes, segments and flags of struct insn in the three modes; what is no
 * instruction, too long or cut off; and that no bytes at all upset it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "cpu/decode/decode.h"
#include "cpu/exec/exec.h"
#include "cpu/exec/host.h"
#include "cpu/soft.h"

#define START 16 /* where in its block each instruction lies */

struct fixture {
	struct soft soft;
	struct decoder *decoder;
};

static struct fixture *fixture_create(enum cpu_vendor vendor)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	memset(f->soft.features, 0xff, sizeof(f->soft.features));
	f->soft.config.vendor = vendor;
	f->soft.host_code = host_code_create();
	f->decoder = decoder_create(&f->soft);
	assert_non_null(f->decoder);
	return f;
}

static int setup(void **state)
{
	*state = fixture_create(CPU_INTEL);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	decoder_destroy(f->decoder);
	host_code_destroy(f->soft.host_code);
	free(f);
	return 0;
}

/* Decodes the bytes, with NOPs after them, and checks that they are taken whole. */
#define DECODE(f, mode, ...) \
	decode(f, mode, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static struct insn decode(struct fixture *f, enum cpu_mode mode, const uint8_t *bytes, size_t n)
{
	uint8_t padded[2 * INSN_MAX_BYTES];
	struct insn insn;

	memset(padded, 0x90, sizeof(padded));
	memcpy(padded, bytes, n);
	assert_int_equal(decode_insn(f->decoder, mode, padded, INSN_MAX_BYTES, START, &insn), n);
	assert_int_equal(insn.length, n);
	assert_int_equal(insn.start, START);
	assert_int_equal(insn.next, START + n);
	assert_int_not_equal(insn.exec, 0);
	return insn;
}

/* The handler of bytes that may be no instruction. */
static insn_fn *handler(struct fixture *f, enum cpu_mode mode, const uint8_t *bytes, size_t n)
{
	uint8_t padded[2 * INSN_MAX_BYTES];
	struct insn insn;

	memset(padded, 0x90, sizeof(padded));
	memcpy(padded, bytes, n);
	assert_true(decode_insn(f->decoder, mode, padded, INSN_MAX_BYTES, 0, &insn) > 0);
	return insn_handler(&insn);
}

#define HANDLER(f, mode, ...) \
	handler(f, mode, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void registers_are_offsets(void **state)
{
	struct insn insn = DECODE(*state, MODE_64, 0x4d, 0x01, 0xd8); /* add r8, r11 */

	assert_int_equal(insn.dst, REG_OFFSET(R8));
	assert_int_equal(insn.src, REG_OFFSET(R11));
	assert_int_equal(insn.size, 8);
	assert_false(insn.flags & INSN_MEM);
	assert_int_equal(insn.status_read, 0);
	assert_int_equal(insn.status_written, 0xdd);      /* CF PF OF AF ZF SF */
	insn = DECODE(*state, MODE_32, 0x66, 0x01, 0xd8); /* add ax, bx */
	assert_int_equal(insn.size, 2);
	insn = DECODE(*state, MODE_16, 0x01, 0xd8); /* add ax, bx */
	assert_int_equal(insn.size, 2);
	insn = DECODE(*state, MODE_16, 0x66, 0x11, 0xd8); /* adc eax, ebx */
	assert_int_equal(insn.size, 4);
	assert_int_equal(insn.status_read, RFLAGS_CF);
}

static void high_bytes_are_odd_offsets(void **state)
{
	struct insn insn = DECODE(*state, MODE_64, 0x88, 0xe3); /* mov bl, ah */

	assert_int_equal(insn.dst, REG_OFFSET(RBX));
	assert_int_equal(insn.src, REG_OFFSET(RAX) + 1);
	insn = DECODE(*state, MODE_64, 0x40, 0x88, 0xe3); /* mov bl, spl */
	assert_int_equal(insn.src, REG_OFFSET(RSP));
	insn = DECODE(*state, MODE_64, 0x0f, 0xb6, 0xc7); /* movzx eax, bh */
	assert_int_equal(insn.src, REG_OFFSET(RBX) + 1);
	assert_int_equal(insn.size, 4);
	assert_int_equal(insn.src_size, 1);
}

static void memory_operands(void **state)
{
	/* mov rax, [rbx + 4 * rcx - 16] */
	struct insn insn = DECODE(*state, MODE_64, 0x48, 0x8b, 0x44, 0x8b, 0xf0);

	assert_int_equal(insn.flags & (INSN_MEM | INSN_FLAT), INSN_MEM | INSN_FLAT);
	assert_int_equal(insn.mem_operand, 1);
	assert_int_equal(insn.base, REG_OFFSET(RBX));
	assert_int_equal(insn.index, REG_OFFSET(RCX));
	assert_int_equal(insn.scale_log2, 2);
	assert_int_equal(insn.disp, -16);
	assert_int_equal(insn.seg, DS);
	assert_int_equal(insn.mem_bytes, 8);
	/* mov gs:[0x28], eax */
	insn = DECODE(*state, MODE_64, 0x65, 0x89, 0x04, 0x25, 0x28, 0, 0, 0);
	assert_int_equal(insn.flags & (INSN_MEM | INSN_FLAT), INSN_MEM);
	assert_int_equal(insn.seg, GS);
	assert_int_equal(insn.base, REG_NONE);
	assert_int_equal(insn.index, REG_NONE);
	assert_int_equal(insn.disp, 0x28);
	/* In 64-bit mode the other overrides are ignored, but SS is the default with RBP. */
	insn = DECODE(*state, MODE_64, 0x2e, 0x8b, 0x45, 0x00);
	assert_int_equal(insn.seg, SS);
	assert_true(insn.flags & INSN_FLAT);
	/* mov ax, es:[bx + si + 5] */
	insn = DECODE(*state, MODE_16, 0x26, 0x8b, 0x40, 0x05);
	assert_int_equal(insn.base, REG_OFFSET(RBX));
	assert_int_equal(insn.index, REG_OFFSET(RSI));
	assert_int_equal(insn.addr_size, 2);
	assert_int_equal(insn.seg, ES);
	assert_false(insn.flags & INSN_FLAT);
	/* lea accesses nothing */
	insn = DECODE(*state, MODE_64, 0x8d, 0x03);
	assert_int_equal(insn.mem_bytes, 0);
}

static void rip_is_relative_to_the_block(void **state)
{
	/* add dword [rip + 0x10], 0x11223344 */
	struct insn insn =
		DECODE(*state, MODE_64, 0x81, 0x05, 0x10, 0, 0, 0, 0x44, 0x33, 0x22, 0x11);

	assert_int_equal(insn.base, REG_RIP);
	assert_int_equal(insn.disp, 0x10 + START + 10);
	assert_true(insn.flags & INSN_FLAT);
	assert_int_equal(insn.imm, 0x11223344);
	/* mov eax, [eip - 1] */
	insn = DECODE(*state, MODE_64, 0x67, 0x8b, 0x05, 0xff, 0xff, 0xff, 0xff);
	assert_int_equal(insn.base, REG_RIP);
	assert_int_equal(insn.disp, -1 + START + 7);
	assert_false(insn.flags & INSN_FLAT);
	assert_int_equal(insn.addr_size, 4);
}

static void immediates(void **state)
{
	struct insn insn = DECODE(*state, MODE_64, 0x48, 0x83, 0xc0, 0xff); /* add rax, -1 */

	assert_int_equal(insn.imm, -1);
	insn = DECODE(*state, MODE_64, 0xd1, 0xe0); /* shl eax, 1 */
	assert_int_equal(insn.imm, 1);
	insn = DECODE(*state, MODE_64, 0xc2, 0x00, 0x80); /* ret 0x8000 */
	assert_int_equal(insn.imm, 0x8000);
	insn = DECODE(*state, MODE_64, 0xc8, 0x34, 0x12, 0x05); /* enter 0x1234, 5 */
	assert_int_equal(insn.imm, 0x51234);
	insn = DECODE(*state, MODE_64, 0x48, 0xa1, 8, 7, 6, 5, 4, 3, 2, 1); /* mov rax, [moffs] */
	assert_int_equal(insn.disp, 0x0102030405060708);
	insn = DECODE(*state, MODE_64, 0x48, 0xb8, 8, 7, 6, 5, 4, 3, 2, 1); /* mov rax, imm64 */
	assert_true(insn.flags & INSN_WIDE);
	assert_int_equal(insn.disp, 0x0102030405060708);
	insn = DECODE(*state, MODE_64, 0x48, 0xb8, 0, 0, 0, 0x80, 0, 0, 0, 0); /* 31 bits and one */
	assert_true(insn.flags & INSN_WIDE);
	assert_int_equal(insn.disp, 0x80000000);
	insn = DECODE(*state, MODE_64, 0x48, 0xc7, 0xc0, 0, 0, 0, 0x80); /* mov rax, -2**31 */
	assert_false(insn.flags & INSN_WIDE);
	assert_int_equal(insn.imm, INT32_MIN);
	insn = DECODE(*state, MODE_32, 0xea, 4, 3, 2, 1, 6, 5); /* jmp 0506:01020304 */
	assert_int_equal(insn.disp, 0x050601020304);
	insn = DECODE(*state, MODE_64, 0x6a, 0x80); /* push -128 */
	assert_int_equal(insn.imm, -128);
	assert_int_equal(insn.size, 8);
}

static void prefixes(void **state)
{
	struct insn insn = DECODE(*state, MODE_64, 0xf3, 0x65, 0xa4); /* rep movsb from gs */

	assert_int_equal(insn.flags & (INSN_REP | INSN_REPNE), INSN_REP);
	assert_int_equal(insn.seg, GS);
	assert_int_equal(insn.size, 1);
	insn = DECODE(*state, MODE_32, 0x67, 0xf2, 0xae); /* repne scasb, 16-bit addresses */
	assert_int_equal(insn.flags & (INSN_REP | INSN_REPNE), INSN_REPNE);
	assert_int_equal(insn.addr_size, 2);
	insn = DECODE(*state, MODE_64, 0xf0, 0x48, 0x0f, 0xb1, 0x0b); /* lock cmpxchg [rbx], rcx */
	assert_true(insn.flags & INSN_LOCK);
	assert_int_equal(insn.mem_operand, 0);
}

static void branches_end_blocks(void **state)
{
	struct insn insn = DECODE(*state, MODE_64, 0x74, 0xfe); /* je to itself */

	assert_true(insn.flags & INSN_ENDS_BLOCK);
	assert_int_equal(insn.imm, -2);
	assert_int_equal(insn.size, 8);
	assert_int_equal(insn.status_read, RFLAGS_ZF);
	insn = DECODE(*state, MODE_16, 0xe8, 0xfd, 0xff); /* call to itself */
	assert_int_equal(insn.size, 2);
	insn = DECODE(*state, MODE_32, 0xff, 0xe0); /* jmp eax */
	assert_int_equal(insn.size, 4);
}

/* 66 before a near branch in 64-bit mode: Intel ignores it, AMD does not. */
static void vendors_differ_on_branch_sizes(void **state)
{
	struct fixture *amd = fixture_create(CPU_AMD);
	void *amd_state = amd;
	struct insn insn = DECODE(*state, MODE_64, 0x66, 0xe9, 1, 0, 0, 0);

	assert_int_equal(insn.size, 8);
	insn = DECODE(amd, MODE_64, 0x66, 0xe9, 1, 0);
	assert_int_equal(insn.size, 2);
	teardown(&amd_state);
}

static void what_is_no_instruction_raises_ud(void **state)
{
	assert_ptr_equal(HANDLER(*state, MODE_64, 0x06), flag_undefined); /* push es */
	assert_ptr_not_equal(HANDLER(*state, MODE_32, 0x06), flag_undefined);
	assert_ptr_equal(HANDLER(*state, MODE_64, 0x60), flag_undefined);             /* pusha */
	assert_ptr_equal(HANDLER(*state, MODE_64, 0x0f, 0x0b), flag_undefined);       /* ud2 */
	assert_ptr_equal(HANDLER(*state, MODE_64, 0xf0, 0x89, 0x03), flag_undefined); /* lock mov */
	assert_ptr_equal(HANDLER(*state, MODE_64, 0xf0, 0x01, 0xc3),
			 flag_undefined); /* on register */
	assert_ptr_equal(HANDLER(*state, MODE_64, 0x8d, 0xc0),
			 flag_undefined); /* lea of register */
	assert_ptr_equal(HANDLER(*state, MODE_64, 0x0f, 0xff, 0xc0), flag_undefined); /* ud0 */
}

static void lengths_at_the_edges(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[2 * INSN_MAX_BYTES];
	struct insn insn;

	memset(bytes, 0x2e, sizeof(bytes));
	bytes[14] = 0x90;
	assert_int_equal(decode_insn(f->decoder, MODE_64, bytes, 15, 0, &insn), 15);
	assert_ptr_equal(insn_handler(&insn), flag_nop);
	bytes[14] = 0x00; /* add [rax], al would be the 16th byte */
	bytes[15] = 0x00;
	assert_int_equal(decode_insn(f->decoder, MODE_64, bytes, 16, 0, &insn), 15);
	assert_ptr_equal(insn_handler(&insn), flag_too_long);
	for (unsigned avail = 1; avail < 15; avail++)
		assert_int_equal(decode_insn(f->decoder, MODE_64, bytes, avail, 0, &insn), 0);
}

/* With hints that this CPU lacks, as older processors: NOPs. */
static void hints_are_nops(void **state)
{
	assert_ptr_equal(HANDLER(*state, MODE_64, 0xf3, 0x0f, 0x1e, 0xfa), flag_nop); /* endbr64 */
	assert_ptr_equal(HANDLER(*state, MODE_64, 0x0f, 0x1f, 0x44, 0, 0), flag_nop);
	assert_ptr_equal(HANDLER(*state, MODE_64, 0x0f, 0x18, 0x00), flag_nop); /* prefetchnta */
	assert_ptr_not_equal(HANDLER(*state, MODE_64, 0xf3, 0x90), flag_undefined);
}

/* F3 90 is PAUSE, but with REX.B an XCHG. */
static void pause_with_rex_b_is_an_exchange(void **state)
{
	struct insn insn = DECODE(*state, MODE_64, 0xf3, 0x49, 0x90); /* xchg r8, rax */

	assert_ptr_equal(insn_handler(&insn), atomic_xchg);
	assert_int_equal(insn.dst, REG_OFFSET(R8));
	assert_int_equal(insn.src, REG_OFFSET(RAX));
	assert_int_equal(insn.size, 8);
	assert_ptr_not_equal(HANDLER(*state, MODE_64, 0xf3, 0x48, 0x90), atomic_xchg);
}

static void any_bytes_decode(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 0x9e3779b97f4a7c15;

	for (unsigned n = 0; n < 100000; n++) {
		uint8_t bytes[INSN_MAX_BYTES];
		unsigned avail = 1 + n % INSN_MAX_BYTES, length;
		struct insn insn;

		for (unsigned i = 0; i < sizeof(bytes); i++) {
			seed = seed * 6364136223846793005 + 1442695040888963407;
			bytes[i] = (uint8_t)(seed >> 56);
		}
		length = decode_insn(f->decoder, n % 3, bytes, avail, 0, &insn);
		assert_true(length <= avail);
		assert_true(length > 0 || avail < INSN_MAX_BYTES);
		if (length)
			assert_int_not_equal(insn.exec, 0);
		assert_in_range(insn.seg, 0, SEGMENTS - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(registers_are_offsets, setup, teardown),
		cmocka_unit_test_setup_teardown(high_bytes_are_odd_offsets, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_operands, setup, teardown),
		cmocka_unit_test_setup_teardown(rip_is_relative_to_the_block, setup, teardown),
		cmocka_unit_test_setup_teardown(immediates, setup, teardown),
		cmocka_unit_test_setup_teardown(prefixes, setup, teardown),
		cmocka_unit_test_setup_teardown(branches_end_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(vendors_differ_on_branch_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_instruction_raises_ud, setup, teardown),
		cmocka_unit_test_setup_teardown(lengths_at_the_edges, setup, teardown),
		cmocka_unit_test_setup_teardown(hints_are_nops, setup, teardown),
		cmocka_unit_test_setup_teardown(pause_with_rex_b_is_an_exchange, setup, teardown),
		cmocka_unit_test_setup_teardown(any_bytes_decode, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
