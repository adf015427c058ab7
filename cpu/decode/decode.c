/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zydis's view of an instruction turned into ours.
 *
 * Zydis decides lengths, operands, sizes and what is valid in which mode (LOCK, registers that do
 * not exist, encodings that 64-bit mode took away). The table says which handler runs it, isa.c
 * whether the CPU model has it.
 */
#include "cpu/decode/decode.h"

#include <stdlib.h>

#include "cpu/decode/isa.h"
#include "cpu/decode/table.h"
#include "cpu/exec/exec.h"
#include "cpu/exec/host.h"
#include "cpu/soft.h"

#define FAR_POINTER_SELECTOR_SHIFT 32
#define SECOND_IMMEDIATE_SHIFT     16

static const struct {
	ZydisMachineMode machine;
	ZydisStackWidth stack;
} zydis_modes[] = {
	[MODE_16] = { ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
	[MODE_32] = { ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
	[MODE_64] = { ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	[MODE_FLAT] = { ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
};

/* Without CET, MPX and CLDEMOTE their encodings are the hint NOPs that they were made from. */
static void zydis_init(ZydisDecoder *zydis, enum cpu_mode mode, enum cpu_vendor vendor)
{
	ZydisDecoderInit(zydis, zydis_modes[mode].machine, zydis_modes[mode].stack);
	ZydisDecoderEnableMode(zydis, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	ZydisDecoderEnableMode(zydis, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
	ZydisDecoderEnableMode(zydis, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	ZydisDecoderEnableMode(zydis, ZYDIS_DECODER_MODE_LZCNT, ZYAN_TRUE);
	ZydisDecoderEnableMode(zydis, ZYDIS_DECODER_MODE_TZCNT, ZYAN_TRUE);
	if (vendor == CPU_AMD)
		ZydisDecoderEnableMode(zydis, ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_TRUE);
}

struct decoder *decoder_create(struct soft *soft)
{
	struct decoder *decoder = calloc(1, sizeof(*decoder));

	if (!decoder)
		return NULL;
	decoder->soft = soft;
	for (unsigned mode = 0; mode < MODES; mode++)
		zydis_init(&decoder->zydis[mode], mode, soft->config.vendor);
	insn_rows_index(decoder);
	return decoder;
}

void decoder_destroy(struct decoder *decoder)
{
	free(decoder);
}

/* A register operand in the form that struct insn promises. */
static uint8_t register_operand(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return REG_OFFSET(reg - ZYDIS_REGISTER_AH) + 1;
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return REG_OFFSET(ZydisRegisterGetId(
			ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg)));
	default:
		return (uint8_t)ZydisRegisterGetId(reg);
	}
}

static uint8_t address_register(ZydisRegister reg)
{
	switch (reg) {
	case ZYDIS_REGISTER_NONE:
		return REG_NONE;
	case ZYDIS_REGISTER_RIP:
	case ZYDIS_REGISTER_EIP:
	case ZYDIS_REGISTER_IP:
		return REG_RIP;
	default:
		return register_operand(reg);
	}
}

static bool is_vector_index(const ZydisDecodedOperandMem *mem)
{
	return mem->type == ZYDIS_MEMOP_TYPE_VSIB;
}

static void set_memory(struct insn *insn, const ZydisDecodedInstruction *zydis,
		       const ZydisDecodedOperand *operand)
{
	const ZydisDecodedOperandMem *mem = &operand->mem;

	insn->base = address_register(mem->base);
	insn->index = is_vector_index(mem) ? REG_NONE : address_register(mem->index);
	insn->scale_log2 = mem->scale ? (uint8_t)__builtin_ctz(mem->scale) : 0;
	insn->disp = mem->disp.value;
	if (insn->base == REG_RIP)
		insn->disp += insn->next;
	insn->seg = (uint8_t)ZydisRegisterGetId(mem->segment);
	insn->mem_bytes = mem->type == ZYDIS_MEMOP_TYPE_AGEN ? 0 : operand->size / 8;
	insn->flags |= INSN_MEM;
	if (zydis->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 && insn->addr_size == 8 &&
	    insn->seg != FS && insn->seg != GS)
		insn->flags |= INSN_FLAT;
}

static void set_immediate(struct insn *insn, const ZydisDecodedOperand *operand,
			  unsigned immediates)
{
	int64_t value = operand->imm.value.s;

	if (immediates) {
		insn->imm |= (int32_t)value << SECOND_IMMEDIATE_SHIFT;
		return;
	}
	insn->imm = (int32_t)value;
	if (operand->size == 64 && value != insn->imm) {
		insn->disp = value;
		insn->flags |= INSN_WIDE;
	}
}

static void set_operand(struct insn *insn, const ZydisDecodedInstruction *zydis,
			const ZydisDecodedOperand *operand, unsigned n, unsigned immediates)
{
	uint8_t *const regs[] = { &insn->dst, &insn->src, &insn->src2 };

	switch (operand->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		if (n < ARRAY_SIZE(regs))
			*regs[n] = register_operand(operand->reg.value);
		break;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		insn->mem_operand = n & 3;
		set_memory(insn, zydis, operand);
		break;
	case ZYDIS_OPERAND_TYPE_POINTER:
		insn->disp =
			(int64_t)((uint64_t)operand->ptr.segment << FAR_POINTER_SELECTOR_SHIFT |
				  operand->ptr.offset);
		break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		set_immediate(insn, operand, immediates);
		break;
	default:
		break;
	}
}

static void set_operands(struct insn *insn, const ZydisDecodedInstruction *zydis,
			 const ZydisDecodedOperand *operands)
{
	unsigned immediates = 0;

	for (unsigned n = 0; n < zydis->operand_count_visible; n++) {
		set_operand(insn, zydis, &operands[n], n, immediates);
		immediates += operands[n].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	}
}

/* String instructions and XLAT name no operand: `seg` is that of the one that may be overridden. */
static void set_hidden_segment(struct insn *insn, const ZydisDecodedInstruction *zydis,
			       const ZydisDecodedOperand *operands)
{
	for (unsigned n = zydis->operand_count_visible; n < zydis->operand_count; n++) {
		ZydisRegister base = operands[n].type == ZYDIS_OPERAND_TYPE_MEMORY
					     ? operands[n].mem.base
					     : ZYDIS_REGISTER_NONE;
		unsigned offset = address_register(base);

		if (offset == REG_OFFSET(RSI) || offset == REG_OFFSET(RBX))
			insn->seg = (uint8_t)ZydisRegisterGetId(operands[n].mem.segment);
	}
}

static void set_sizes(struct insn *insn, const ZydisDecodedInstruction *zydis,
		      const ZydisDecodedOperand *operands)
{
	bool has_first = zydis->operand_count_visible > 0 &&
			 (operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER ||
			  operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY);

	insn->size = (uint8_t)((has_first ? operands[0].size : zydis->operand_width) / 8);
	if (zydis->operand_count_visible > 1)
		insn->src_size = operands[1].size / 8 & 63;
}

static uint16_t prefix_flags(const ZydisDecodedInstruction *zydis)
{
	ZydisInstructionAttributes a = zydis->attributes;
	uint16_t flags = 0;

	if (a & ZYDIS_ATTRIB_HAS_LOCK)
		flags |= INSN_LOCK;
	if (a & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
		flags |= INSN_REP;
	if (a & ZYDIS_ATTRIB_HAS_REPNE)
		flags |= INSN_REPNE;
	if (zydis->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		flags |= INSN_VEX;
	if (zydis->raw.imm[0].is_relative)
		flags |= INSN_DIRECT_BRANCH;
	return flags;
}

/* RFLAGS bits 7:0 with OF as bit 3. */
static uint8_t status_bits(uint64_t rflags)
{
	return (uint8_t)((rflags & RFLAGS_STATUS & 0xff) | (rflags & RFLAGS_OF ? BIT(3) : 0));
}

static void set_status_use(struct insn *insn, const ZydisAccessedFlags *use)
{
	if (!use)
		return;
	insn->status_read = status_bits(use->tested);
	insn->status_written =
		status_bits(use->modified | use->set_0 | use->set_1 | use->undefined);
}

/* MOVSD and CMPSD name a string instruction and an SSE one; the table's row is the former's. */
static bool is_sse_namesake(const ZydisDecodedInstruction *zydis)
{
	return zydis->meta.isa_set == ZYDIS_ISA_SET_SSE2 &&
	       (zydis->mnemonic == ZYDIS_MNEMONIC_MOVSD || zydis->mnemonic == ZYDIS_MNEMONIC_CMPSD);
}

static insn_fn *choose(const struct decoder *decoder, const ZydisDecodedInstruction *zydis,
		       const ZydisDecodedOperand *operands, const uint8_t *bytes, struct insn *insn)
{
	const struct insn_row *row = insn_row_find(decoder, zydis->mnemonic);

	if (!isa_is_offered(decoder->soft, zydis))
		return NULL;
	if (isa_class_of(zydis) != ISA_NOT_HOSTED) {
		insn->flags |= INSN_STUB;
		insn->fop = 0;
		insn->host = host_code_find(decoder->soft->host_code, zydis, operands, bytes) &
			     HOST_STUBS_MAX;
	}
	if (!row || is_sse_namesake(zydis))
		return hosted_select(zydis, operands, insn);
	insn->flags |= row->flags;
	return row->exec ? row->exec : row->select(zydis, operands, insn);
}

static void make_fault(struct insn *insn, insn_fn *raise, unsigned length)
{
	insn->exec = insn_exec_of(raise);
	insn->flags = INSN_ENDS_BLOCK;
	insn->length = length & 15;
	insn->next = (uint16_t)(insn->start + length);
}

static void fill(const struct decoder *decoder, const ZydisDecodedInstruction *zydis,
		 const ZydisDecodedOperand *operands, const uint8_t *bytes, struct insn *insn)
{
	insn_fn *exec;

	insn->length = zydis->length & 15;
	insn->next = (uint16_t)(insn->start + zydis->length);
	insn->mnemonic = (uint16_t)zydis->mnemonic;
	insn->addr_size = zydis->address_width / 8 & 15;
	insn->flags = prefix_flags(zydis);
	set_sizes(insn, zydis, operands);
	set_operands(insn, zydis, operands);
	set_hidden_segment(insn, zydis, operands);
	set_status_use(insn, zydis->cpu_flags);
	exec = choose(decoder, zydis, operands, bytes, insn);
	if (exec)
		insn->exec = insn_exec_of(exec);
	else
		make_fault(insn, flag_undefined, zydis->length);
}

unsigned decode_with_zydis(const struct decoder *decoder, enum cpu_mode mode, const uint8_t *bytes,
			   unsigned avail, unsigned start, struct insn *out,
			   ZydisDecodedInstruction *zydis, ZydisDecodedOperand *operands,
			   bool *is_valid)
{
	ZyanStatus status;

	avail = MIN(avail, INSN_MAX_BYTES);
	memset(out, 0, sizeof(*out));
	out->start = (uint16_t)start;
	out->base = out->index = REG_NONE;
	out->seg = DS;
	status = ZydisDecoderDecodeFull(&decoder->zydis[mode], bytes, avail, zydis, operands);
	*is_valid = ZYAN_SUCCESS(status);
	if (*is_valid)
		fill(decoder, zydis, operands, bytes, out);
	else if (status != ZYDIS_STATUS_NO_MORE_DATA && status != ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
		make_fault(out, flag_undefined, 1);
	else if (avail < INSN_MAX_BYTES)
		return 0;
	else
		make_fault(out, flag_too_long, INSN_MAX_BYTES);
	return out->length;
}

unsigned decode_insn(const struct decoder *decoder, enum cpu_mode mode, const uint8_t *bytes,
		     unsigned avail, unsigned start, struct insn *out)
{
	ZydisDecodedInstruction zydis;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	bool is_valid;

	return decode_with_zydis(decoder, mode, bytes, avail, start, out, &zydis, operands,
				 &is_valid);
}
