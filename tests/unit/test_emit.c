/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The emitter: what it writes is decoded by Zydis and compared with what was asked for, for every
 * register and every form of address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "cpu/jit/emit.h"

#define CODE_BYTES 512

static const unsigned sizes[] = { 1, 2, 4, 8 };

struct bench {
	ZydisDecoder decoder;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
	uint8_t code[CODE_BYTES] __attribute__((aligned(64)));
	struct emitter e;
};

static void restart(struct bench *b)
{
	emit_init(&b->e, b->code, b->code + sizeof(b->code));
}

static void bench_init(struct bench *b)
{
	ZydisDecoderInit(&b->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	restart(b);
}

/* Decodes the one instruction that was emitted, and starts anew. */
static void take(struct bench *b, ZydisMnemonic mnemonic)
{
	size_t len = (size_t)(b->e.at - b->e.start);

	assert_false(b->e.failed);
	assert_true(ZYAN_SUCCESS(
		ZydisDecoderDecodeFull(&b->decoder, b->code, len, &b->insn, b->operand)));
	assert_int_equal(b->insn.length, len);
	assert_int_equal(b->insn.mnemonic, mnemonic);
	restart(b);
}

static ZydisRegister register_of(unsigned size, unsigned n)
{
	static const ZydisRegister first[] = { [1] = ZYDIS_REGISTER_AL,
					       [2] = ZYDIS_REGISTER_AX,
					       [4] = ZYDIS_REGISTER_EAX,
					       [8] = ZYDIS_REGISTER_RAX };

	if (HOST_IS_HIGH(n))
		return ZYDIS_REGISTER_AH + (n - HOST_HIGH(0));
	/* Zydis has AH to BH between BL and SPL. */
	return first[size] + n + (size == 1 && n > RBX ? 4 : 0);
}

static void is_register(const struct bench *b, unsigned i, unsigned size, unsigned n)
{
	assert_int_equal(b->operand[i].type, ZYDIS_OPERAND_TYPE_REGISTER);
	assert_int_equal(b->operand[i].reg.value, register_of(size, n));
}

static void is_immediate(const struct bench *b, unsigned i, int64_t value)
{
	assert_int_equal(b->operand[i].type, ZYDIS_OPERAND_TYPE_IMMEDIATE);
	assert_int_equal(b->operand[i].imm.value.s, value);
}

static ZydisRegister address_register(unsigned n)
{
	return n == HOST_NONE  ? ZYDIS_REGISTER_NONE
	       : n == HOST_RIP ? ZYDIS_REGISTER_RIP
			       : register_of(8, n);
}

static void is_memory(const struct bench *b, unsigned i, unsigned size, struct host_mem mem)
{
	const ZydisDecodedOperandMem *found = &b->operand[i].mem;

	assert_int_equal(b->operand[i].type, ZYDIS_OPERAND_TYPE_MEMORY);
	assert_int_equal(found->base, address_register(mem.base));
	assert_int_equal(found->index, address_register(mem.index));
	if (mem.index != HOST_NONE)
		assert_int_equal(found->scale, 1u << mem.scale_log2);
	assert_int_equal(found->disp.value, mem.disp);
	assert_int_equal(found->segment == ZYDIS_REGISTER_GS, mem.is_gs);
	if (size)
		assert_int_equal(b->operand[i].size, 8 * size);
}

static void every_address_is_encoded(void **state)
{
	static const int32_t disps[] = { 0, 1, -1, 127, -128, 128, -129, INT32_MAX, INT32_MIN };
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned base = 0; base <= HOST_RIP; base++)
		for (unsigned index = 0; index <= HOST_NONE; index++)
			for (unsigned i = 0; i < 8 * ARRAY_SIZE(disps); i++) {
				struct host_mem mem = { (uint8_t)base, (uint8_t)index, i & 3, i & 4,
							disps[i / 8] };

				if (index == RSP || (base == HOST_RIP && index != HOST_NONE))
					continue;
				emit_mov_rm(&b.e, 8, R13, mem);
				take(&b, ZYDIS_MNEMONIC_MOV);
				is_register(&b, 0, 8, R13);
				is_memory(&b, 1, 8, mem);
			}
}

typedef void rr_fn(struct emitter *e, unsigned size, unsigned dst, unsigned src);
typedef void rm_fn(struct emitter *e, unsigned size, unsigned dst, struct host_mem src);
typedef void mr_fn(struct emitter *e, unsigned size, struct host_mem dst, unsigned src);

static const struct host_mem some_memory = { R12, R9, 3, false, 0x1234 };

/* Two registers, in all sizes from `smallest` on. */
static void check_rr(rr_fn *emit, ZydisMnemonic mnemonic, unsigned smallest)
{
	struct bench b;

	bench_init(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes) * 256; i++) {
		unsigned size = sizes[i / 256], dst = i / 16 % 16, src = i % 16;

		if (size < smallest)
			continue;
		emit(&b.e, size, dst, src);
		take(&b, mnemonic);
		is_register(&b, 0, size, dst);
		is_register(&b, 1, size, src);
	}
}

static void check_rm(rm_fn *emit, ZydisMnemonic mnemonic, unsigned smallest)
{
	struct bench b;

	bench_init(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes) * 16; i++) {
		if (sizes[i / 16] < smallest)
			continue;
		emit(&b.e, sizes[i / 16], i % 16, some_memory);
		take(&b, mnemonic);
		is_register(&b, 0, sizes[i / 16], i % 16);
		is_memory(&b, 1, sizes[i / 16], some_memory);
	}
}

static void check_mr(mr_fn *emit, ZydisMnemonic mnemonic)
{
	struct bench b;

	bench_init(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes) * 16; i++) {
		emit(&b.e, sizes[i / 16], some_memory, i % 16);
		take(&b, mnemonic);
		is_memory(&b, 0, sizes[i / 16], some_memory);
		is_register(&b, 1, sizes[i / 16], i % 16);
	}
}

static void moves_of_registers_and_memory(void **state)
{
	(void)state;
	check_rr(emit_mov_rr, ZYDIS_MNEMONIC_MOV, 1);
	check_rm(emit_mov_rm, ZYDIS_MNEMONIC_MOV, 1);
	check_mr(emit_mov_mr, ZYDIS_MNEMONIC_MOV);
	check_rr(emit_xchg_rr, ZYDIS_MNEMONIC_XCHG, 1);
	check_rr(emit_test_rr, ZYDIS_MNEMONIC_TEST, 1);
}

static void high_bytes_where_there_is_no_rex(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned n = RAX; n <= RBX; n++) {
		emit_mov_rr(&b.e, 1, HOST_HIGH(n), RBX);
		take(&b, ZYDIS_MNEMONIC_MOV);
		is_register(&b, 0, 1, HOST_HIGH(n));
		is_register(&b, 1, 1, RBX);
		emit_movzx_rm(&b.e, 1, n, mem_at(RSP, 8));
		take(&b, ZYDIS_MNEMONIC_MOVZX);
		is_memory(&b, 1, 1, mem_at(RSP, 8));
	}
	emit_mov_rr(&b.e, 1, HOST_HIGH(RAX), RSI); /* SIL needs REX */
	assert_true(b.e.failed);
	restart(&b);
	emit_mov_mr(&b.e, 1, mem_at(R9, 0), HOST_HIGH(RCX));
	assert_true(b.e.failed);
	assert_ptr_equal(b.e.at, b.e.start);
}

static void immediates_take_the_shortest_form(void **state)
{
	static const struct {
		uint64_t value;
		unsigned length;
	} moves[] = { { 0, 5 },
		      { 0x7fffffff, 5 },
		      { 0xffffffff, 5 },
		      { ~0ull, 7 },
		      { 0xffffffff80000000, 7 },
		      { 0x100000000, 10 },
		      { 0xffffffff7fffffff, 10 } };
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(moves); i++) {
		emit_mov_ri(&b.e, RCX, moves[i].value);
		take(&b, ZYDIS_MNEMONIC_MOV);
		is_register(&b, 0, b.insn.length == 5 ? 4 : 8, RCX);
		assert_int_equal(b.insn.length == 5 ? (uint32_t)b.operand[1].imm.value.u
						    : b.operand[1].imm.value.u,
				 moves[i].value);
		assert_int_equal(b.insn.length, moves[i].length);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		emit_mov_mi(&b.e, sizes[i], some_memory, -2);
		take(&b, ZYDIS_MNEMONIC_MOV);
		is_memory(&b, 0, sizes[i], some_memory);
		is_immediate(&b, 1, -2);
	}
}

static void extensions(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned size = 1; size <= 2; size++) {
		emit_movzx_rm(&b.e, size, R8, some_memory);
		take(&b, ZYDIS_MNEMONIC_MOVZX);
		is_register(&b, 0, 4, R8);
		is_memory(&b, 1, size, some_memory);
	}
	emit_movzx_rm(&b.e, 4, R8, some_memory);
	take(&b, ZYDIS_MNEMONIC_MOV);
	is_register(&b, 0, 4, R8);
}

static const ZydisMnemonic alu_mnemonics[] = { ZYDIS_MNEMONIC_ADD, ZYDIS_MNEMONIC_OR,
					       ZYDIS_MNEMONIC_ADC, ZYDIS_MNEMONIC_SBB,
					       ZYDIS_MNEMONIC_AND, ZYDIS_MNEMONIC_SUB,
					       ZYDIS_MNEMONIC_XOR, ZYDIS_MNEMONIC_CMP };

static void arithmetic_of_two_operands(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned op = ALU_ADD; op <= ALU_CMP; op++)
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			unsigned size = sizes[i];

			emit_alu_rr(&b.e, op, size, RSI, R9);
			take(&b, alu_mnemonics[op]);
			is_register(&b, 0, size, RSI);
			is_register(&b, 1, size, R9);
			emit_alu_rm(&b.e, op, size, RDI, mem_gs(R10, 0x100));
			take(&b, alu_mnemonics[op]);
			is_register(&b, 0, size, RDI);
			is_memory(&b, 1, size, mem_gs(R10, 0x100));
			emit_alu_mr(&b.e, op, size,
				    (struct host_mem){ R10, HOST_NONE, 0, true, 64 }, RBP);
			take(&b, alu_mnemonics[op]);
			is_memory(&b, 0, size, (struct host_mem){ R10, HOST_NONE, 0, true, 64 });
			is_register(&b, 1, size, RBP);
			emit_alu_ri(&b.e, op, size, RBP, -5);
			take(&b, alu_mnemonics[op]);
			is_register(&b, 0, size, RBP);
			is_immediate(&b, 1, -5);
			emit_alu_mi(&b.e, op, size, some_memory, 100);
			take(&b, alu_mnemonics[op]);
			is_memory(&b, 0, size, some_memory);
			is_immediate(&b, 1, 100);
			if (size < 4)
				continue;
			emit_alu_ri(&b.e, op, size, R11, 0x12345);
			take(&b, alu_mnemonics[op]);
			is_register(&b, 0, size, R11);
			is_immediate(&b, 1, 0x12345);
		}
}

static void tests_of_bits(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		emit_test_ri(&b.e, sizes[i], RDI, 0x40);
		take(&b, ZYDIS_MNEMONIC_TEST);
		is_register(&b, 0, sizes[i], RDI);
		is_immediate(&b, 1, 0x40);
		emit_test_mi(&b.e, sizes[i], some_memory, 0x40);
		take(&b, ZYDIS_MNEMONIC_TEST);
		is_memory(&b, 0, sizes[i], some_memory);
		is_immediate(&b, 1, 0x40);
	}
}

static void shifts(void **state)
{
	static const ZydisMnemonic mnemonics[] = {
		[SHIFT_ROL] = ZYDIS_MNEMONIC_ROL, [SHIFT_ROR] = ZYDIS_MNEMONIC_ROR,
		[SHIFT_RCL] = ZYDIS_MNEMONIC_RCL, [SHIFT_RCR] = ZYDIS_MNEMONIC_RCR,
		[SHIFT_SHL] = ZYDIS_MNEMONIC_SHL, [SHIFT_SHR] = ZYDIS_MNEMONIC_SHR,
		[SHIFT_SAR] = ZYDIS_MNEMONIC_SAR
	};
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(mnemonics); i++) {
		unsigned size = sizes[i % 4], op = i / 4;

		if (!mnemonics[op])
			continue;
		for (unsigned count = 1; count < 4; count++) {
			emit_shift_ri(&b.e, op, size, RSI, count);
			take(&b, mnemonics[op]);
			is_register(&b, 0, size, RSI);
			is_immediate(&b, 1, count);
		}
	}
	emit_rorx(&b.e, 8, R9, R12, 6);
	take(&b, ZYDIS_MNEMONIC_RORX);
	is_register(&b, 0, 8, R9);
	is_register(&b, 1, 8, R12);
	is_immediate(&b, 2, 6);
	emit_rorx(&b.e, 4, RAX, RCX, 6);
	take(&b, ZYDIS_MNEMONIC_RORX);
	is_register(&b, 0, 4, RAX);
	is_register(&b, 1, 4, RCX);
}

static void addresses_themselves(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	emit_lea(&b.e, 8, R9, (struct host_mem){ RBX, RCX, 2, true, 8 });
	take(&b, ZYDIS_MNEMONIC_LEA);
	is_register(&b, 0, 8, R9);
	is_memory(&b, 1, 0, mem_index(RBX, RCX, 2, 8));
}

static void conditions(void **state)
{
	static const ZydisMnemonic sets[] = {
		ZYDIS_MNEMONIC_SETO,   ZYDIS_MNEMONIC_SETNO,  ZYDIS_MNEMONIC_SETB,
		ZYDIS_MNEMONIC_SETNB,  ZYDIS_MNEMONIC_SETZ,   ZYDIS_MNEMONIC_SETNZ,
		ZYDIS_MNEMONIC_SETBE,  ZYDIS_MNEMONIC_SETNBE, ZYDIS_MNEMONIC_SETS,
		ZYDIS_MNEMONIC_SETNS,  ZYDIS_MNEMONIC_SETP,   ZYDIS_MNEMONIC_SETNP,
		ZYDIS_MNEMONIC_SETL,   ZYDIS_MNEMONIC_SETNL,  ZYDIS_MNEMONIC_SETLE,
		ZYDIS_MNEMONIC_SETNLE,
	};
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned cc = COND_O; cc <= COND_G; cc++) {
		emit_set_r(&b.e, cc, RSI);
		take(&b, sets[cc]);
		is_register(&b, 0, 1, RSI);
	}
}

static void plain_instructions(void **state)
{
	static const struct {
		void (*emit)(struct emitter *e);
		ZydisMnemonic mnemonic;
	} rows[] = {
		{ emit_lahf, ZYDIS_MNEMONIC_LAHF },
		{ emit_sahf, ZYDIS_MNEMONIC_SAHF },
		{ emit_ret, ZYDIS_MNEMONIC_RET },
	};
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		rows[i].emit(&b.e);
		take(&b, rows[i].mnemonic);
	}
	for (unsigned n = 1; n <= 8; n++) {
		emit_nops(&b.e, n);
		take(&b, ZYDIS_MNEMONIC_NOP);
		assert_int_equal(b.insn.length, n);
	}
	emit_nops(&b.e, 21);
	assert_int_equal(b.e.at - b.e.start, 21);
	emit_align(&b.e, 16, 0);
	assert_int_equal(b.e.at - b.e.start, 32);
	emit_align(&b.e, 8, 3);
	assert_int_equal(b.e.at - b.e.start, 35);
}

/* Whatever comes next can be replaced by a jump at once, and is what it would be elsewhere. */
static void what_may_be_replaced_is_long_enough(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned before = 0; before < 8; before++)
		for (unsigned kind = 0; kind < 5; kind++) {
			uint8_t *at, *end;

			emit_nops(&b.e, before);
			emit_patchable(&b.e);
			at = b.e.at;
			assert_true((uintptr_t)at % 8 <= 8 - EMIT_PATCHED_BYTES);
			switch (kind) {
			case 0:
				emit_ret(&b.e);
				break;
			case 1:
				emit_mov_rr(&b.e, 4, RAX, RDX);
				break;
			case 2:
				emit_lea(&b.e, 8, R9, mem_at(R8, -8));
				break;
			case 3:
				emit_land(&b.e, emit_jcc(&b.e, COND_E, true));
				break;
			default:
				assert_int_equal((uintptr_t)emit_jcc_patchable(&b.e, COND_E).at % 4,
						 0);
				break;
			}
			assert_false(b.e.failed);
			assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
				&b.decoder, NULL, at, (size_t)(b.e.at - at), &b.insn)));
			assert_true(b.insn.length >= EMIT_PATCHED_BYTES);
			end = b.e.at;
			emit_ret(&b.e);
			assert_int_equal(b.e.at - end, 1);
			emit_patch_call(at, at + 64);
			assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
				&b.decoder, NULL, at, EMIT_PATCHED_BYTES, &b.insn)));
			assert_int_equal(b.insn.mnemonic, ZYDIS_MNEMONIC_CALL);
			assert_int_equal(b.insn.raw.imm[0].value.s, 64 - EMIT_PATCHED_BYTES);
			assert_int_equal(*end, 0xc3);
			restart(&b);
		}
}

/* Where the jump at `at` goes. */
static const uint8_t *target_of(struct bench *b, const uint8_t *at)
{
	ZyanU64 target;

	assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(
		&b->decoder, at, (size_t)(b->code + CODE_BYTES - at), &b->insn, b->operand)));
	assert_true(ZYAN_SUCCESS(
		ZydisCalcAbsoluteAddress(&b->insn, &b->operand[0], (uintptr_t)at, &target)));
	return (const uint8_t *)(uintptr_t)target;
}

static void jumps_go_where_they_should(void **state)
{
	struct emit_jump jump[4];
	struct bench b;

	(void)state;
	bench_init(&b);
	jump[0] = emit_jmp(&b.e, true);
	jump[1] = emit_jcc(&b.e, COND_E, true);
	jump[2] = emit_jmp(&b.e, false);
	jump[3] = emit_jcc(&b.e, COND_G, false);
	emit_nops(&b.e, 50);
	for (unsigned i = 0; i < ARRAY_SIZE(jump); i++)
		emit_land(&b.e, jump[i]);
	assert_false(b.e.failed);
	for (const uint8_t *at = b.code; at < b.code + 15; at += b.insn.length)
		assert_ptr_equal(target_of(&b, at), b.e.at);
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *at = b.e.at;

		if (i == 2)
			emit_call_to(&b.e, b.code);
		else
			emit_jmp_to(&b.e, b.code);
		assert_ptr_equal(target_of(&b, at), b.code);
		assert_int_equal(b.insn.length, i == 2 ? 5 : i == 3 ? 5 : 2);
		emit_nops(&b.e, i == 2 ? 100 : 0);
	}
	assert_false(b.e.failed);
}

static void short_jumps_fail_where_they_do_not_reach(void **state)
{
	struct emit_jump jump;
	struct bench b;

	(void)state;
	bench_init(&b);
	jump = emit_jmp(&b.e, true);
	emit_nops(&b.e, 127);
	emit_land(&b.e, jump);
	assert_false(b.e.failed);
	emit_nops(&b.e, 1);
	emit_land(&b.e, jump);
	assert_true(b.e.failed);
}

static void patchable_jumps_are_aligned(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned i = 0; i < 8; i++) {
		uint8_t *jmp, *jcc;

		restart(&b);
		emit_nops(&b.e, i);
		emit_patchable(&b.e);
		jmp = b.e.at;
		emit_call_to(&b.e, b.code);
		jcc = emit_jcc_patchable(&b.e, COND_NE).at;
		assert_int_equal((uintptr_t)jcc % 4, 0);
		assert_ptr_equal(target_of(&b, jmp), b.code);
		emit_patch_jmp(jmp, b.code + 300);
		assert_ptr_equal(target_of(&b, jmp), b.code + 300);
		emit_patch(jcc, b.code + 400);
		assert_ptr_equal(target_of(&b, jcc - 2), b.code + 400);
	}
}

/* With NOPs in between, and not with anything else. */
static void jumps_to_what_is_next_are_nops(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned between = 0; between < 8; between++) {
		uint8_t *jmp;

		restart(&b);
		emit_patchable(&b.e);
		jmp = b.e.at;
		emit_call_to(&b.e, b.code);
		emit_nops(&b.e, between);
		emit_patch_jmp(jmp, b.e.at);
		assert_int_equal(jmp[0], 0x0f);
		assert_true(emit_goes_to(jmp, b.e.at));
		assert_false(emit_goes_to(jmp, b.code + 300));
		emit_patch_call(jmp, b.code + 300);
		assert_ptr_equal(target_of(&b, jmp), b.code + 300);
		emit_set_r(&b.e, COND_O, RAX);
		emit_patch_jmp(jmp, b.e.at);
		assert_ptr_equal(target_of(&b, jmp), b.e.at);
		assert_true(emit_goes_to(jmp, b.e.at));
	}
}

static void indirect_jumps(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	emit_jmp_r(&b.e, R11);
	take(&b, ZYDIS_MNEMONIC_JMP);
	is_register(&b, 0, 8, R11);
	emit_jmp_m(&b.e, mem_cpu(0x88));
	take(&b, ZYDIS_MNEMONIC_JMP);
	is_memory(&b, 0, 8, mem_cpu(0x88));
}

static void nothing_is_written_beyond_the_end(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	for (unsigned room = 0; room < 40; room++) {
		memset(b.code, 0xcc, sizeof(b.code));
		emit_init(&b.e, b.code, b.code + room);
		emit_mov_ri(&b.e, RAX, 0x123456789abcdef);
		emit_alu_mi(&b.e, ALU_ADD, 8, some_memory, 0x12345678);
		emit_land(&b.e, emit_jcc(&b.e, COND_E, false));
		emit_jcc_patchable(&b.e, COND_NE);
		for (unsigned i = room; i < sizeof(b.code); i++)
			assert_int_equal(b.code[i], 0xcc);
		assert_true(b.e.at <= b.e.end);
		assert_int_equal(b.e.failed, room < 36);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_address_is_encoded),
		cmocka_unit_test(moves_of_registers_and_memory),
		cmocka_unit_test(high_bytes_where_there_is_no_rex),
		cmocka_unit_test(immediates_take_the_shortest_form),
		cmocka_unit_test(extensions),
		cmocka_unit_test(arithmetic_of_two_operands),
		cmocka_unit_test(tests_of_bits),
		cmocka_unit_test(shifts),
		cmocka_unit_test(addresses_themselves),
		cmocka_unit_test(conditions),
		cmocka_unit_test(plain_instructions),
		cmocka_unit_test(jumps_go_where_they_should),
		cmocka_unit_test(short_jumps_fail_where_they_do_not_reach),
		cmocka_unit_test(patchable_jumps_are_aligned),
		cmocka_unit_test(jumps_to_what_is_next_are_nops),
		cmocka_unit_test(what_may_be_replaced_is_long_enough),
		cmocka_unit_test(indirect_jumps),
		cmocka_unit_test(nothing_is_written_beyond_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
