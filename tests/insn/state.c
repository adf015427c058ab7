/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random registers and memory; what must be tamed so that most cases do not just fault is here.
 */
#include "tests/insn/state.h"

#include "cpu/exec/vector.h"

#define MIDDLE       (NATIVE_DATA_BYTES / 2)
#define REP_MAX      40
#define OPERAND_ROOM 64 /* bytes of memory made random at an operand */

#define FSW_B BIT(15)

void state_fill(struct random *r, uint8_t *data)
{
	for (unsigned i = 0; i < NATIVE_DATA_BYTES; i += 32)
		random_lanes(r, data + i, 32);
}

/* --- registers ----------------------------------------------------------------------------------
 */

/* FSW as the processor keeps it: ES and B follow from the flags and FCW's masks. */
static uint16_t consistent_fsw(uint16_t fsw, uint16_t fcw)
{
	bool is_pending = fsw & ~fcw & FCW_MASKS;

	return (uint16_t)((fsw & ~(FSW_ES | FSW_B)) | (is_pending ? FSW_ES | FSW_B : 0));
}

static void randomize_x87(struct random *r, uint8_t *fx)
{
	uint16_t fcw = (uint16_t)((random_bits(r) & 0xf00) | 0x40 | FCW_MASKS);
	/* Condition codes and TOP at random; now and then exception flags. */
	uint16_t fsw = (uint16_t)(random_bits(r) & (random_percent(r, 10) ? 0x7f7f : 0x7f00));
	uint32_t mxcsr = MXCSR_MASKS;

	if (random_percent(r, 15))
		fcw &= (uint16_t) ~(random_bits(r) & FCW_MASKS);
	if (random_percent(r, 50))
		mxcsr |= random_bits(r) & MXCSR_DEFINED;
	if (random_percent(r, 10))
		mxcsr &= (uint32_t)random_bits(r);
	memset(fx, 0, FX_BYTES);
	store_le(fx + FX_FCW, fcw, 2);
	store_le(fx + FX_FSW, consistent_fsw(fsw, fcw), 2);
	fx[FX_FTW] = random_percent(r, 80) ? 0xff : (uint8_t)random_bits(r);
	for (unsigned i = 0; i < 8; i++)
		random_extended(r, fx + FX_ST + 16 * i);
	store_le(fx + FX_MXCSR, mxcsr, 4);
}

static void randomize_registers(struct random *r, struct registers *regs)
{
	for (unsigned i = 0; i < 16; i++)
		regs->gpr[i] = random_integer(r);
	regs->rflags = RFLAGS_ONE | (random_bits(r) & (RFLAGS_STATUS | RFLAGS_DF));
	memset(regs->private, 0, sizeof(regs->private));
	for (unsigned i = 0; i < 16; i++)
		random_lanes(r, regs->ymm[i], 32);
	randomize_x87(r, regs->fx);
}

/* --- memory operands ----------------------------------------------------------------------------
 */

/* An address for an operand: mostly aligned, sometimes across the pages or over an edge. */
static uint32_t random_address(struct random *r, unsigned bytes)
{
	uint32_t offset = random_below(r, NATIVE_DATA_BYTES - MAX(bytes, 1));
	unsigned kind = random_below(r, 100);

	if (kind < 70)
		offset = (uint32_t)align_down(offset, 64) +
			 16 * random_below(r, 3); /* aligned for all but 32 bytes */
	else if (kind < 74)
		offset = MIDDLE - random_below(r, MAX(bytes, 2));
	else if (kind < 76)
		offset = NATIVE_DATA_BYTES - bytes; /* the last byte is the page's */
	else if (kind < 77)
		offset = NATIVE_DATA_BYTES - random_below(r, MAX(bytes, 2));
	else if (kind < 78)
		offset = 0u - random_below(r, MAX(bytes, 2));
	return NATIVE_DATA + offset;
}

static int gpr_number(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return ZydisRegisterGetId(
			ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg));
	default:
		return -1;
	}
}

/* Small indices in a vector register, elements of 4 or 8 bytes alike. */
static void shrink_vector_index(struct random *r, struct registers *regs, ZydisRegister index)
{
	uint8_t *ymm = regs->ymm[ZydisRegisterGetId(index)];
	unsigned element = random_percent(r, 50) ? 4 : 8;

	for (unsigned i = 0; i < 32; i += element)
		store_le(ymm + i, random_below(r, 64), element);
}

/* What is added to the base register or, without one, to the displacement. */
static uint64_t index_part(struct random *r, struct registers *regs,
			   const ZydisDecodedOperandMem *mem)
{
	int index = gpr_number(mem->index);

	if (mem->type == ZYDIS_MEMOP_TYPE_VSIB) {
		shrink_vector_index(r, regs, mem->index);
		return 0;
	}
	if (index < 0)
		return 0;
	if (mem->base == ZYDIS_REGISTER_NONE || random_percent(r, 50))
		regs->gpr[index] = random_below(r, 256);
	return regs->gpr[index] * mem->scale;
}

/* Makes an explicit operand have the address `target`, or nearly so. */
static void aim(struct random *r, struct instance *instance, struct registers *regs,
		const ZydisDecodedOperandMem *mem, uint32_t target)
{
	const ZydisDecodedInstruction *zydis = &instance->zydis;
	int base = gpr_number(mem->base);
	uint64_t rest;

	if (base >= 0 && mem->base == mem->index) {
		regs->gpr[base] = (uint64_t)((target - mem->disp.value) / (mem->scale + 1));
		return;
	}
	rest = target - index_part(r, regs, mem);
	if (base >= 0) {
		regs->gpr[base] = rest - (uint64_t)mem->disp.value;
	} else {
		if (mem->base != ZYDIS_REGISTER_NONE) /* RIP */
			rest -= NATIVE_SLOT + zydis->length;
		store_le(instance->bytes + zydis->raw.disp.offset, rest, zydis->raw.disp.size / 8);
	}
}

/* Where in `data` an explicit operand has come to lie, or NULL unless `bytes` of it do. */
static uint8_t *locate(const struct instance *instance, const struct registers *regs,
		       const ZydisDecodedOperandMem *mem, uint8_t *data, unsigned bytes)
{
	int base = gpr_number(mem->base), index = gpr_number(mem->index);
	uint64_t ea = (uint64_t)mem->disp.value, offset;

	if (base < 0) /* its displacement was aimed after it was decoded */
		ea = load_le(instance->bytes + instance->zydis.raw.disp.offset,
			     MIN(instance->zydis.raw.disp.size / 8, 4));
	if (base < 0 && mem->base != ZYDIS_REGISTER_NONE)
		ea += NATIVE_SLOT + instance->zydis.length;
	if (base >= 0)
		ea += regs->gpr[base];
	if (index >= 0)
		ea += regs->gpr[index] * mem->scale;
	offset = (uint32_t)ea - NATIVE_DATA;
	return offset <= NATIVE_DATA_BYTES - bytes ? data + offset : NULL;
}

/* A hidden operand's address is in one register: near the middle, since its size is not known. */
static void aim_hidden(struct random *r, struct registers *regs, const ZydisDecodedOperandMem *mem)
{
	int base = gpr_number(mem->base);

	if (base >= 0)
		regs->gpr[base] = NATIVE_DATA + MIDDLE - 512 + random_below(r, 1024);
}

static void randomize_at(struct random *r, uint8_t *data, uint32_t address)
{
	uint32_t offset = address - NATIVE_DATA;

	if (offset < NATIVE_DATA_BYTES - OPERAND_ROOM)
		random_lanes(r, data + offset, OPERAND_ROOM);
}

/* --- instructions that need something of their own -----------------------------------------------
 */

/* A bit string's offset moves its address. */
static void limit_bit_offset(struct instance *instance, struct registers *regs)
{
	const ZydisDecodedOperand *operands = instance->operands;
	int reg = operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER
			  ? gpr_number(operands[1].reg.value)
			  : -1;

	if (operands[0].type != ZYDIS_OPERAND_TYPE_MEMORY || reg < 0 ||
	    gpr_number(operands[0].mem.base) == reg || gpr_number(operands[0].mem.index) == reg)
		return;
	regs->gpr[reg] = (uint64_t)((int64_t)(regs->gpr[reg] << 53) >> 53);
}

static bool is_in_address(const struct instance *instance, unsigned gpr)
{
	const ZydisDecodedOperandMem *mem = &instance->operands[0].mem;

	return gpr_number(mem->base) == (int)gpr || gpr_number(mem->index) == (int)gpr;
}

/* Quotients that fit, most of the time. */
static void tame_division(struct random *r, struct instance *instance, struct registers *regs)
{
	if (is_in_address(instance, RDX) || is_in_address(instance, RAX))
		return;
	if (random_percent(r, 70))
		regs->gpr[RDX] = 0;
	else if (random_percent(r, 50))
		regs->gpr[RDX] = (uint64_t)((int64_t)regs->gpr[RAX] >> 63);
	if (random_percent(r, 70))
		regs->gpr[RAX] &= 0x3fff;
}

/* What CMPXCHG and its like will find to be equal. */
static void expect(struct instance *instance, struct registers *regs, const uint8_t *operand,
		   unsigned bytes)
{
	bool is_pair = instance->zydis.mnemonic != ZYDIS_MNEMONIC_CMPXCHG;
	unsigned half = is_pair ? bytes / 2 : bytes;

	if (!is_in_address(instance, RAX))
		regs->gpr[RAX] = load_le(operand, half);
	if (is_pair && !is_in_address(instance, RDX))
		regs->gpr[RDX] = load_le(operand + half, half);
}

static void prepare_mnemonic(struct random *r, struct instance *instance, struct registers *regs,
			     uint8_t *operand)
{
	switch (instance->zydis.mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTC:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTS:
		limit_bit_offset(instance, regs);
		break;
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		tame_division(r, instance, regs);
		break;
	case ZYDIS_MNEMONIC_CMPXCHG:
	case ZYDIS_MNEMONIC_CMPXCHG8B:
	case ZYDIS_MNEMONIC_CMPXCHG16B:
		if (operand && random_percent(r, 50))
			expect(instance, regs, operand, instance->operands[0].size / 8);
		break;
	case ZYDIS_MNEMONIC_ENTER: /* the size of the frame: below 512 */
		instance->bytes[instance->zydis.raw.imm[0].offset + 1] &= 1;
		/* fall through */
	case ZYDIS_MNEMONIC_LEAVE:
		regs->gpr[RBP] = NATIVE_DATA + MIDDLE + random_below(r, 256);
		break;
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR: /* AMD's misaligned-SSE bit depends on the host */
		if (operand)
			store_le(operand,
				 load_le(operand, 4) &
					 (random_percent(r, 90) ? 0xffff : ~(uint32_t)BIT(17)),
				 4);
		break;
	default:
		break;
	}
}

/* Branches go to NATIVE_TARGET, by whichever way they find it. */
static void aim_branch(struct instance *instance, struct registers *regs, uint8_t *data,
		       uint8_t *operand)
{
	const ZydisDecodedInstruction *zydis = &instance->zydis;
	unsigned relative_bytes = zydis->raw.imm[0].size / 8;

	if (zydis->meta.branch_type == ZYDIS_BRANCH_TYPE_NONE)
		return;
	if (zydis->raw.imm[0].is_relative)
		store_le(instance->bytes + zydis->raw.imm[0].offset,
			 NATIVE_TARGET - (NATIVE_SLOT + zydis->length), relative_bytes);
	else if (zydis->mnemonic == ZYDIS_MNEMONIC_RET)
		store_le(data + (regs->gpr[RSP] - NATIVE_DATA), NATIVE_TARGET, 8);
	else if (operand)
		store_le(operand, NATIVE_TARGET, instance->operands[0].size / 8);
	else if (instance->operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
		regs->gpr[gpr_number(instance->operands[0].reg.value)] = NATIVE_TARGET;
}

static bool is_repeated(const ZydisDecodedInstruction *zydis)
{
	return zydis->attributes &
	       (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
}

void state_randomize(struct random *r, struct instance *instance, unsigned mode_bits,
		     struct registers *regs, uint8_t *data)
{
	const ZydisDecodedInstruction *zydis = &instance->zydis;
	uint8_t *operand = NULL;

	(void)mode_bits;
	randomize_registers(r, regs);
	for (unsigned i = zydis->operand_count_visible; i < zydis->operand_count; i++)
		if (instance->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			aim_hidden(r, regs, &instance->operands[i].mem);
	for (unsigned i = 0; i < zydis->operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &instance->operands[i];
		uint32_t target = random_address(r, op->size / 8);

		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		if (op->mem.type == ZYDIS_MEMOP_TYPE_AGEN && random_percent(r, 50))
			continue;
		aim(r, instance, regs, &op->mem, target);
		randomize_at(r, data, target);
		operand = locate(instance, regs, &op->mem, data, MAX(op->size / 8, 1));
	}
	if (is_repeated(zydis))
		regs->gpr[RCX] = random_below(r, REP_MAX);
	prepare_mnemonic(r, instance, regs, operand);
	aim_branch(instance, regs, data, operand);
}
