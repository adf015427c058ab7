/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every class of user instructions, natively and in the interpreter (tests/insn/check.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "cpu/decode/isa.h"
#include "tests/insn/check.h"

static bool is_special_register(const ZydisDecodedOperand *operand)
{
	if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	switch (ZydisRegisterGetClass(operand->reg.value)) {
	case ZYDIS_REGCLASS_SEGMENT:
	case ZYDIS_REGCLASS_CONTROL:
	case ZYDIS_REGCLASS_DEBUG:
	case ZYDIS_REGCLASS_TEST:
		return true;
	default:
		return false;
	}
}

/* What depends on privilege, or shows state that a process does not own. */
static bool is_of_system(const ZydisDecodedInstruction *zydis)
{
	if (zydis->meta.isa_set == ZYDIS_ISA_SET_I286PROTECTED ||
	    zydis->meta.isa_set == ZYDIS_ISA_SET_I286REAL)
		return true;
	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_CLI:
	case ZYDIS_MNEMONIC_STI:
	case ZYDIS_MNEMONIC_CLTS:
	case ZYDIS_MNEMONIC_STAC:
	case ZYDIS_MNEMONIC_CLAC:
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_CPUID:
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_BOUND:
		return true;
	default:
		return false;
	}
}

static bool is_integer(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	for (unsigned i = 0; i < zydis->operand_count; i++)
		if (is_special_register(&operands[i]))
			return false;
	if (is_of_system(zydis) || isa_class_of(zydis) != ISA_NOT_HOSTED)
		return false;
	switch (zydis->meta.category) {
	case ZYDIS_CATEGORY_BINARY:
	case ZYDIS_CATEGORY_BITBYTE:
	case ZYDIS_CATEGORY_CMOV:
	case ZYDIS_CATEGORY_CONVERT:
	case ZYDIS_CATEGORY_DATAXFER:
	case ZYDIS_CATEGORY_DECIMAL:
	case ZYDIS_CATEGORY_FLAGOP:
	case ZYDIS_CATEGORY_LOGICAL:
	case ZYDIS_CATEGORY_MISC:
	case ZYDIS_CATEGORY_NOP:
	case ZYDIS_CATEGORY_POP:
	case ZYDIS_CATEGORY_PUSH:
	case ZYDIS_CATEGORY_ROTATE:
	case ZYDIS_CATEGORY_SEMAPHORE:
	case ZYDIS_CATEGORY_SETCC:
	case ZYDIS_CATEGORY_SHIFT:
	case ZYDIS_CATEGORY_STRINGOP:
		return true;
	default:
		return false;
	}
}

static bool has_mandatory_prefix(const ZydisDecodedInstruction *zydis)
{
	for (unsigned i = 0; i < zydis->raw.prefix_count; i++)
		if (zydis->raw.prefixes[i].value == 0x66 || zydis->raw.prefixes[i].value == 0xf2 ||
		    zydis->raw.prefixes[i].value == 0xf3)
			return true;
	return false;
}

/* Near branches. What prefixes do to them differs between vendors. */
static bool is_branch(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	/* CALL RSP would push onto the code that it calls. */
	if (operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    ZydisRegisterGetId(operands[0].reg.value) == RSP)
		return false;
	return isa_class_of(zydis) == ISA_NOT_HOSTED &&
	       zydis->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE &&
	       zydis->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR && !has_mandatory_prefix(zydis) &&
	       zydis->mnemonic != ZYDIS_MNEMONIC_XBEGIN && zydis->mnemonic != ZYDIS_MNEMONIC_XABORT;
}

static bool is_bmi(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	enum isa_class class = isa_class_of(zydis);

	(void)operands;
	return (class == ISA_GPR || class == ISA_GPR_VEX) &&
	       zydis->mnemonic != ZYDIS_MNEMONIC_RDRAND && zydis->mnemonic != ZYDIS_MNEMONIC_RDSEED;
}

static bool is_sse(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	(void)operands;
	return isa_class_of(zydis) == ISA_SSE || isa_class_of(zydis) == ISA_SSE_MMX;
}

static bool is_avx(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	bool is_wide_32 = zydis->machine_mode != ZYDIS_MACHINE_MODE_LONG_64 && zydis->raw.vex.W;

	(void)operands;
	/* Host processors disagree on VEX.W of these outside 64-bit mode. */
	if (is_wide_32 && (zydis->mnemonic == ZYDIS_MNEMONIC_VPINSRD ||
			   zydis->mnemonic == ZYDIS_MNEMONIC_VPEXTRD))
		return false;
	return isa_class_of(zydis) == ISA_AVX;
}

static bool is_mmx(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	(void)operands;
	return isa_class_of(zydis) == ISA_MMX;
}

/* Images with pointers to instructions are tested in test_x87.c. */
static bool is_x87(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	(void)operands;
	return isa_class_of(zydis) == ISA_X87 && zydis->mnemonic != ZYDIS_MNEMONIC_FNSTENV &&
	       zydis->mnemonic != ZYDIS_MNEMONIC_FNSAVE;
}

/* Everything but branches: before one another. */
static bool is_mixed(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	return is_integer(zydis, operands) || is_bmi(zydis, operands) || is_sse(zydis, operands) ||
	       is_avx(zydis, operands) || is_mmx(zydis, operands) || is_x87(zydis, operands);
}

static void run_class(void **state)
{
	const struct insn_class *class = *state;

	switch (insn_check(class)) {
	case INSN_CANNOT_RUN:
		print_message("skip: this host does not run %u-bit code so\n", class->mode_bits);
		skip();
		break;
	case INSN_DIFFERENT:
		fail();
		break;
	default:
		break;
	}
}

int main(void)
{
	static struct insn_class classes[] = {
		{ "integer_64", 64, 60000, is_integer, 0 },
		{ "integer_32", 32, 40000, is_integer, 0 },
		{ "branch_64", 64, 8000, is_branch, 0 },
		{ "branch_32", 32, 6000, is_branch, 0 },
		{ "bmi_64", 64, 12000, is_bmi, 0 },
		{ "bmi_32", 32, 8000, is_bmi, 0 },
		{ "sse_64", 64, 40000, is_sse, 0 },
		{ "sse_32", 32, 10000, is_sse, 0 },
		{ "avx_64", 64, 50000, is_avx, 0 },
		{ "avx_32", 32, 10000, is_avx, 0 },
		{ "mmx_64", 64, 10000, is_mmx, 0 },
		{ "mmx_32", 32, 5000, is_mmx, 0 },
		{ "x87_64", 64, 20000, is_x87, 0 },
		{ "x87_32", 32, 10000, is_x87, 0 },
		{ "integers_64", 64, 30000, is_integer, 4 },
		{ "mixed_64", 64, 40000, is_mixed, 5 },
	};
	struct CMUnitTest tests[ARRAY_SIZE(classes)];

	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++)
		tests[i] = (struct CMUnitTest){ .name = classes[i].name,
						.test_func = run_class,
						.initial_state = &classes[i] };
	setvbuf(stdout, NULL, _IOLBF, 0);
	return _cmocka_run_group_tests("insn", tests, ARRAY_SIZE(tests), NULL, NULL);
}
