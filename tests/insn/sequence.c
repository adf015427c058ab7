/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions to go before another one: random ones, of which those are taken that do no harm.
 */
#include "tests/insn/sequence.h"

#include "cpu/cpu.h"
#include "cpu/decode/encoding.h"

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

/* Whether the memory operand can be had with another instruction. */
static const ZydisDecodedOperandMem *shared_operand(const struct instance *last)
{
	for (unsigned i = 0; i < last->zydis.operand_count_visible; i++) {
		const ZydisDecodedOperandMem *mem = &last->operands[i].mem;

		if (last->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    mem->type == ZYDIS_MEMOP_TYPE_MEM && mem->base != ZYDIS_REGISTER_RIP &&
		    gpr_bit(mem->base) && mem->segment != ZYDIS_REGISTER_FS &&
		    mem->segment != ZYDIS_REGISTER_GS)
			return mem;
	}
	return NULL;
}

static uint8_t number_of(ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_NONE ? HOST_NONE : (uint8_t)ZydisRegisterGetId(reg);
}

/* Bit strings reach anywhere; of MXCSR's bits the host has one more. */
static bool is_unfit_for_sharing(const struct instance *insn)
{
	switch (insn->zydis.mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTC:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR:
		return true;
	default:
		return false;
	}
}

/* Gives an instruction a memory operand next to that of `last`, in 64-bit code. */
static bool share_operand(const struct form_table *forms, struct random *r,
			  const struct instance *last, struct instance *insn)
{
	static const int32_t distances[] = { 0, 1, 4, 8, 16, 32, 64, 4096 };
	const ZydisDecodedOperandMem *from = shared_operand(last);
	int32_t distance = distances[random_below(r, ARRAY_SIZE(distances))];
	uint8_t bytes[ENCODING_MAX_BYTES];
	struct encoding encoding;
	struct host_mem mem;
	unsigned length;

	if (!from || is_unfit_for_sharing(insn) || last->zydis.address_width != 64 ||
	    !shared_operand(insn) || insn->zydis.address_width != 64 ||
	    !encoding_take_apart(&insn->zydis, insn->operands, insn->bytes, &encoding))
		return false;
	mem = (struct host_mem){ number_of(from->base), number_of(from->index),
				 (uint8_t)(from->scale ? __builtin_ctz(from->scale) : 0), false,
				 (int32_t)from->disp.value +
					 (random_percent(r, 50) ? distance : -distance) };
	length = encoding_write(&encoding, mem, bytes);
	if (!length || length > sizeof(insn->bytes))
		return false;
	memset(insn->bytes, 0x90, sizeof(insn->bytes));
	memcpy(insn->bytes, bytes, length);
	form_decode(forms, insn);
	return insn->zydis.length == length;
}

/* ADD to the register that `last` has as a base, or what it was. */
static void move_base(const struct form_table *forms, struct random *r, const struct instance *last,
		      struct instance *insn)
{
	const ZydisDecodedOperandMem *mem = shared_operand(last);
	uint8_t base = mem ? number_of(mem->base) : RSP;
	uint8_t add[] = { 0x48 | (base >> 3), 0x83, 0xc0 | (base & 7), random_below(r, 64) & 0xf8 };

	if (base == RSP || last->zydis.machine_mode != ZYDIS_MACHINE_MODE_LONG_64 ||
	    !random_percent(r, 10))
		return;
	memset(insn->bytes, 0x90, sizeof(insn->bytes));
	memcpy(insn->bytes, add, sizeof(add));
	form_decode(forms, insn);
}

static bool is_move_of_base(const struct instance *insn)
{
	return insn->zydis.length == 4 && insn->bytes[1] == 0x83 && insn->bytes[2] >= 0xc0 &&
	       insn->bytes[2] < 0xc8;
}

static bool is_harmless(const struct instance *insn, unsigned protected)
{
	if (is_move_of_base(insn))
		return true;
	/* PAUSE is XCHG with R8 at times, which Zydis does not know. */
	return (!has_memory(insn) || shared_operand(insn)) &&
	       insn->zydis.mnemonic != ZYDIS_MNEMONIC_PAUSE &&
	       insn->zydis.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE &&
	       !(written_gprs(insn) & protected);
}

void sequence_make(const struct form_table *forms, struct random *r, const struct instance *last,
		   unsigned before, struct sequence *out)
{
	unsigned protected = protected_gprs(last), room = SEQUENCE_MAX_BYTES - last->zydis.length;
	struct instance insn;

	/* Nothing changes what has been made fit in its operand. */
	if (is_unfit_for_sharing(last))
		before = 0;
	*out = (struct sequence){ .count = 0 };
	for (unsigned i = 0; i < before * TRIES && out->count < before; i++) {
		form_instantiate(forms, r, &insn);
		if (has_memory(&insn) && !share_operand(forms, r, last, &insn))
			continue;
		move_base(forms, r, last, &insn);
		if (out->length + insn.zydis.length <= room && is_harmless(&insn, protected))
			append(out, &insn);
	}
	if (append(out, last))
		return;
	*out = (struct sequence){ .count = 0 };
	append(out, last);
}
