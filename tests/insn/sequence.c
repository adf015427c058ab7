/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions to go before another one: random ones, of which those are taken that do no harm.
 */
#include "tests/insn/sequence.h"

#include "cpu/cpu.h"

#define TRIES 12 /* random instructions looked at for each that is wanted */

/* A set of general registers. */
static unsigned gpr_bit(ZydisRegister reg)
{
	ZydisRegister wide = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	return ZydisRegisterGetClass(wide) == ZYDIS_REGCLASS_GPR64 ? 1u << ZydisRegisterGetId(wide)
								   : 0;
}

static bool has_memory(const struct instance *insn)
{
	for (unsigned i = 0; i < insn->zydis.operand_count; i++)
		if (insn->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return true;
	return false;
}

/* All that an instruction with a memory operand reads, for it may be part of the address. */
static unsigned protected_gprs(const struct instance *insn)
{
	unsigned set = 1u << RSP;

	if (!has_memory(insn))
		return set;
	for (unsigned i = 0; i < insn->zydis.operand_count; i++) {
		const ZydisDecodedOperand *operand = &insn->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER)
			set |= gpr_bit(operand->reg.value);
		if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY)
			set |= gpr_bit(operand->mem.base) | gpr_bit(operand->mem.index);
	}
	return set;
}

static unsigned written_gprs(const struct instance *insn)
{
	unsigned set = 0;

	for (unsigned i = 0; i < insn->zydis.operand_count; i++)
		if (insn->operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (insn->operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			set |= gpr_bit(insn->operands[i].reg.value);
	return set;
}

/* Shifts by zero write no flag. */
static bool may_keep_flags(const struct instance *insn)
{
	return insn->zydis.meta.category == ZYDIS_CATEGORY_SHIFT ||
	       insn->zydis.meta.category == ZYDIS_CATEGORY_ROTATE ||
	       insn->zydis.meta.category == ZYDIS_CATEGORY_STRINGOP;
}

static bool append(struct sequence *s, const struct instance *insn)
{
	const ZydisAccessedFlags *use = insn->zydis.cpu_flags;
	uint64_t written = use ? use->modified | use->set_0 | use->set_1 : 0;

	if (use && (use->tested & s->undefined))
		return false;
	if (use && !may_keep_flags(insn))
		s->undefined &= ~written;
	s->undefined |= use ? use->undefined : 0;
	s->written |= written;
	s->insn[s->count++] = *insn;
	memcpy(s->bytes + s->length, insn->bytes, insn->zydis.length);
	s->length += insn->zydis.length;
	return true;
}

static bool is_harmless(const struct instance *insn, unsigned protected)
{
	/* PAUSE is XCHG with R8 at times, which Zydis does not know. */
	return !has_memory(insn) && insn->zydis.mnemonic != ZYDIS_MNEMONIC_PAUSE &&
	       insn->zydis.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE &&
	       !(written_gprs(insn) & protected);
}

void sequence_make(const struct form_table *forms, struct random *r, const struct instance *last,
		   unsigned before, struct sequence *out)
{
	unsigned protected = protected_gprs(last), room = SEQUENCE_MAX_BYTES - last->zydis.length;
	struct instance insn;

	*out = (struct sequence){ .count = 0 };
	for (unsigned i = 0; i < before * TRIES && out->count < before; i++) {
		form_instantiate(forms, r, &insn);
		if (out->length + insn.zydis.length <= room && is_harmless(&insn, protected))
			append(out, &insn);
	}
	if (append(out, last))
		return;
	*out = (struct sequence){ .count = 0 };
	append(out, last);
}
