/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions apart and together: see cpu/decode/encoding.h.
 *
 * What outside 64-bit mode is void or means something else is put right when an instruction is
 * taken apart: operand-size prefixes where the mode has another default, VEX.W where it is an
 * operand size, register bits that those modes ignore.
 */
#include "cpu/decode/encoding.h"

#define BYTE_LOCK         0xf0
#define BYTE_OPERAND_SIZE 0x66
#define BYTE_REPNE        0xf2
#define BYTE_REP          0xf3
#define BYTE_GS           0x65
#define BYTE_REX          0x40
#define BYTE_VEX2         0xc5
#define BYTE_VEX3         0xc4

#define RSP_NUMBER 4u /* as a base: needs SIB; as SIB's index: none */
#define RBP_NUMBER 5u /* as a base without displacement: means something else */

#define NO_GPR 16u

#define MOFFS_FIRST  0xa0 /* loads; then stores */
#define MOFFS_LAST   0xa3
#define MOFFS_STORES 2
#define MOV_FIRST    0x88 /* stores; then loads */

/* --- apart --------------------------------------------------------------------------------------
 */

static unsigned gpr_of(const ZydisDecodedOperand *operand)
{
	ZydisRegister reg = operand->reg.value;

	if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return NO_GPR;
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return HOST_HIGH(reg - ZYDIS_REGISTER_AH);
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return (unsigned)ZydisRegisterGetId(
			ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg));
	default:
		return NO_GPR;
	}
}

static bool has_memory(const ZydisDecodedInstruction *zydis)
{
	return (zydis->attributes & ZYDIS_ATTRIB_HAS_MODRM) && zydis->raw.modrm.mod != 3;
}

/* Integer instructions whose operand size a 66h prefix chooses, and the mode's default. */
static bool is_sized_by_prefix(const ZydisDecodedInstruction *zydis)
{
	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_CRC32:
	case ZYDIS_MNEMONIC_LZCNT:
	case ZYDIS_MNEMONIC_MOVBE:
	case ZYDIS_MNEMONIC_POPCNT:
	case ZYDIS_MNEMONIC_RDRAND:
	case ZYDIS_MNEMONIC_RDSEED:
	case ZYDIS_MNEMONIC_TZCNT:
		return true;
	default:
		return false;
	}
}

/* VEX instructions whose W is an operand size and thus void outside 64-bit mode. */
static bool is_sized_by_vex_w(const ZydisDecodedInstruction *zydis)
{
	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_VMOVD:
	case ZYDIS_MNEMONIC_VMOVQ:
	case ZYDIS_MNEMONIC_VCVTSI2SD:
	case ZYDIS_MNEMONIC_VCVTSI2SS:
	case ZYDIS_MNEMONIC_VCVTSD2SI:
	case ZYDIS_MNEMONIC_VCVTSS2SI:
	case ZYDIS_MNEMONIC_VCVTTSD2SI:
	case ZYDIS_MNEMONIC_VCVTTSS2SI:
	case ZYDIS_MNEMONIC_VPCMPESTRI:
	case ZYDIS_MNEMONIC_VPCMPESTRM:
	case ZYDIS_MNEMONIC_VPEXTRD:
	case ZYDIS_MNEMONIC_VPEXTRQ:
	case ZYDIS_MNEMONIC_VPINSRD:
	case ZYDIS_MNEMONIC_VPINSRQ:
		return true;
	default:
		return zydis->meta.isa_set == ZYDIS_ISA_SET_BMI1 ||
		       zydis->meta.isa_set == ZYDIS_ISA_SET_BMI2;
	}
}

static bool is_64(const ZydisDecodedInstruction *zydis)
{
	return zydis->machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
}

/*
 * The last of F2h and F3h counts. One that means nothing is left out, since it may come to mean
 * something: XCHG with R8 becomes PAUSE where R8 becomes RAX.
 */
static void take_legacy_prefixes(const ZydisDecodedInstruction *zydis, struct encoding *out)
{
	bool sized = is_sized_by_prefix(zydis);

	for (unsigned i = 0; i < zydis->raw.prefix_count; i++) {
		if (zydis->raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_IGNORED)
			continue;
		switch (zydis->raw.prefixes[i].value) {
		case BYTE_LOCK:
			out->prefixes |= PREFIX_LOCK;
			break;
		case BYTE_OPERAND_SIZE:
			out->prefixes |= sized ? 0 : PREFIX_66;
			break;
		case BYTE_REPNE:
			out->prefixes = (out->prefixes & ~PREFIX_F3) | PREFIX_F2;
			break;
		case BYTE_REP:
			out->prefixes = (out->prefixes & ~PREFIX_F2) | PREFIX_F3;
			break;
		default:
			break;
		}
	}
	if (sized && zydis->operand_width == 16)
		out->prefixes |= PREFIX_66;
}

static void take_vex(const ZydisDecodedInstruction *zydis, struct encoding *out)
{
	static const uint8_t prefix_of_pp[] = { 0, PREFIX_66, PREFIX_F3, PREFIX_F2 };

	out->flags |= ENCODING_VEX | (zydis->raw.vex.L ? ENCODING_L : 0);
	out->prefixes = prefix_of_pp[zydis->raw.vex.pp];
	out->vvvv = (zydis->raw.vex.vvvv ^ 0xf) & (is_64(zydis) ? 0xf : 0x7);
	if (zydis->raw.vex.W && (is_64(zydis) || !is_sized_by_vex_w(zydis)))
		out->flags |= ENCODING_W;
}

static bool take_map(const ZydisDecodedInstruction *zydis, struct encoding *out)
{
	switch (zydis->opcode_map) {
	case ZYDIS_OPCODE_MAP_DEFAULT:
		out->map = 0;
		return true;
	case ZYDIS_OPCODE_MAP_0F:
		out->map = 1;
		return true;
	case ZYDIS_OPCODE_MAP_0F38:
		out->map = 2;
		return true;
	case ZYDIS_OPCODE_MAP_0F3A:
		out->map = 3;
		return true;
	default:
		return false;
	}
}

/* The fourth bits of ModRM's registers; VEX has them inverted. */
static void take_modrm(const ZydisDecodedInstruction *zydis, struct encoding *out)
{
	bool is_vex = out->flags & ENCODING_VEX;
	unsigned r = is_vex ? !zydis->raw.vex.R : zydis->raw.rex.R;
	unsigned b = is_vex ? !zydis->raw.vex.B : zydis->raw.rex.B;

	if (!is_64(zydis))
		r = b = 0;
	out->flags |= ENCODING_MODRM;
	out->reg = (uint8_t)(zydis->raw.modrm.reg | r << 3);
	if (has_memory(zydis))
		out->flags |= ENCODING_MEM;
	else
		out->rm = (uint8_t)(zydis->raw.modrm.rm | b << 3);
}

static void take_register(const ZydisDecodedOperand *operand, unsigned gpr, struct encoding *out)
{
	bool is_byte = operand->size == 8;

	switch (operand->encoding) {
	case ZYDIS_OPERAND_ENCODING_MODRM_REG:
		out->flags |= ENCODING_GPR_REG | (is_byte ? ENCODING_BYTE_REG : 0);
		out->reg = (uint8_t)gpr;
		break;
	case ZYDIS_OPERAND_ENCODING_OPCODE:
		out->flags |= ENCODING_IN_OPCODE;
		out->opcode &= 0xf8;
		/* fallthrough */
	case ZYDIS_OPERAND_ENCODING_MODRM_RM:
		out->flags |= ENCODING_GPR_RM | (is_byte ? ENCODING_BYTE_RM : 0);
		out->rm = (uint8_t)gpr;
		break;
	case ZYDIS_OPERAND_ENCODING_NDSNDD:
		out->flags |= ENCODING_GPR_VVVV;
		out->vvvv = (uint8_t)gpr;
		break;
	default:
		break; /* implicit */
	}
}

static bool take_operands(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			  struct encoding *out)
{
	for (unsigned i = 0; i < zydis->operand_count; i++) {
		const ZydisDecodedOperand *operand = &operands[i];
		unsigned gpr = gpr_of(operand);

		if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (operand->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM ||
		     operand->mem.type == ZYDIS_MEMOP_TYPE_VSIB))
			return false;
		if (gpr != NO_GPR)
			take_register(operand, gpr, out);
		if (operand->encoding == ZYDIS_OPERAND_ENCODING_IS4 && !is_64(zydis))
			out->imm[0] &= 0x7f; /* the register's high bit */
	}
	return true;
}

static void take_immediates(const ZydisDecodedInstruction *zydis, const uint8_t *bytes,
			    struct encoding *out)
{
	for (unsigned n = 0; n < ARRAY_SIZE(zydis->raw.imm); n++) {
		unsigned len = zydis->raw.imm[n].size / 8;

		memcpy(out->imm + out->imm_bytes, bytes + zydis->raw.imm[n].offset, len);
		out->imm_bytes += (uint8_t)len;
	}
}

/* Opcodes of one byte that are something else, or nothing, in 64-bit mode. */
static bool is_only_32(const ZydisDecodedInstruction *zydis)
{
	switch (zydis->opcode) {
	case 0x06:
	case 0x07:
	case 0x0e:
	case 0x16:
	case 0x17:
	case 0x1e:
	case 0x1f:
	case 0x27:
	case 0x2f:
	case 0x37:
	case 0x3f:
	case 0x60 ... 0x63:
	case 0x82:
	case 0x9a:
	case 0xc4:
	case 0xc5:
	case 0xce:
	case 0xd4 ... 0xd6:
	case 0xea:
		return true;
	default:
		return false;
	}
}

/* INC and DEC in one byte, which 64-bit mode made REX of, have another encoding. */
static void lengthen_inc_dec(struct encoding *out)
{
	if (out->map || (out->opcode & 0xf0) != 0x40)
		return;
	out->reg = out->opcode >> 3 & 1;
	out->opcode = 0xff;
	out->flags = (uint16_t)((out->flags & ~ENCODING_IN_OPCODE) | ENCODING_MODRM);
}

/* MOV between the accumulator and an absolute address becomes the form with ModRM. */
static bool take_moffs(const ZydisDecodedInstruction *zydis, struct encoding *out)
{
	if (out->map || zydis->opcode < MOFFS_FIRST || zydis->opcode > MOFFS_LAST)
		return false;
	out->opcode = MOV_FIRST + ((zydis->opcode ^ MOFFS_STORES) & 3);
	out->flags |= ENCODING_MODRM | ENCODING_MEM;
	return true;
}

bool encoding_take_apart(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			 const uint8_t *bytes, struct encoding *out)
{
	memset(out, 0, sizeof(*out));
	out->opcode = zydis->opcode;
	if (zydis->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		take_vex(zydis, out);
	else if (zydis->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		take_legacy_prefixes(zydis, out);
	else
		return false;
	if (zydis->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return false;
	if (!(out->flags & ENCODING_VEX) && zydis->raw.rex.W)
		out->flags |= ENCODING_W;
	if (zydis->attributes & ZYDIS_ATTRIB_HAS_MODRM)
		take_modrm(zydis, out);
	take_immediates(zydis, bytes, out);
	if (!take_map(zydis, out) ||
	    !(take_moffs(zydis, out) || take_operands(zydis, operands, out)))
		return false;
	if (is_64(zydis))
		return true;
	if (out->map == 0 && !(out->flags & ENCODING_VEX) && is_only_32(zydis))
		return false;
	lengthen_inc_dec(out);
	return true;
}

void encoding_map_gprs(struct encoding *encoding, const uint8_t to[16])
{
	if ((encoding->flags & ENCODING_GPR_REG) && !HOST_IS_HIGH(encoding->reg))
		encoding->reg = to[encoding->reg];
	if ((encoding->flags & ENCODING_GPR_RM) && !HOST_IS_HIGH(encoding->rm))
		encoding->rm = to[encoding->rm];
	if (encoding->flags & ENCODING_GPR_VVVV)
		encoding->vvvv = to[encoding->vvvv];
}

/* --- together -----------------------------------------------------------------------------------
 */

struct writer {
	uint8_t *at;
};

static inline void put(struct writer *w, unsigned byte)
{
	*w->at++ = (uint8_t)byte;
}

/* The bits R, X and B of REX and VEX. */
struct extension {
	unsigned r, x, b;
};

static struct extension extension_of(const struct encoding *enc, const struct host_mem *mem)
{
	if (enc->flags & ENCODING_MEM)
		return (struct extension){ enc->reg >> 3 & 1, mem->index >> 3 & 1,
					   mem->base >> 3 & 1 };
	return (struct extension){ enc->reg >> 3 & 1, 0, enc->rm >> 3 & 1 };
}

/* Byte registers 4 to 7 are SPL to DIL with REX, AH to BH without. */
static bool is_low_byte(unsigned reg)
{
	return reg >= 4 && reg <= 7;
}

static bool needs_rex(const struct encoding *enc)
{
	return ((enc->flags & ENCODING_BYTE_REG) && is_low_byte(enc->reg)) ||
	       ((enc->flags & ENCODING_BYTE_RM) && is_low_byte(enc->rm));
}

static bool has_high_byte(const struct encoding *enc)
{
	return HOST_IS_HIGH(enc->reg) || HOST_IS_HIGH(enc->rm);
}

/* HOST_HIGH(n) is encoded as n + 4, which is its low three bits. */
_Static_assert((HOST_HIGH(0) & 15) == 4, "the number of AH, and no fourth bit");

static bool put_legacy(struct writer *w, const struct encoding *enc, const struct host_mem *mem)
{
	struct extension ext = extension_of(enc, mem);
	unsigned rex = (enc->flags & ENCODING_W ? 8 : 0) | ext.r << 2 | ext.x << 1 | ext.b;

	if (enc->prefixes & PREFIX_LOCK)
		put(w, BYTE_LOCK);
	if (enc->prefixes & PREFIX_66)
		put(w, BYTE_OPERAND_SIZE);
	if (enc->prefixes & PREFIX_F2)
		put(w, BYTE_REPNE);
	if (enc->prefixes & PREFIX_F3)
		put(w, BYTE_REP);
	if (rex || needs_rex(enc)) {
		if (has_high_byte(enc))
			return false;
		put(w, BYTE_REX | rex);
	}
	if (enc->map)
		put(w, 0x0f);
	if (enc->map > 1)
		put(w, enc->map == 2 ? 0x38 : 0x3a);
	put(w, enc->opcode | (enc->flags & ENCODING_IN_OPCODE ? enc->rm & 7u : 0));
	return true;
}

static void put_vex(struct writer *w, const struct encoding *enc, const struct host_mem *mem)
{
	struct extension ext = extension_of(enc, mem);
	unsigned pp = enc->prefixes & PREFIX_66   ? 1
		      : enc->prefixes & PREFIX_F3 ? 2
		      : enc->prefixes & PREFIX_F2 ? 3
						  : 0;
	unsigned tail = (enc->vvvv ^ 0xfu) << 3 | (enc->flags & ENCODING_L ? 4 : 0) | pp;

	if (enc->map == 1 && !ext.x && !ext.b && !(enc->flags & ENCODING_W)) {
		put(w, BYTE_VEX2);
		put(w, !ext.r << 7 | tail);
	} else {
		put(w, BYTE_VEX3);
		put(w, !ext.r << 7 | !ext.x << 6 | !ext.b << 5 | enc->map);
		put(w, (enc->flags & ENCODING_W ? 0x80u : 0) | tail);
	}
	put(w, enc->opcode);
}

static void put_disp(struct writer *w, int32_t disp, unsigned bytes)
{
	store_le(w->at, (uint32_t)disp, bytes);
	w->at += bytes;
}

/* No base: an absolute address needs SIB, since the short form is relative to RIP. */
static void put_baseless(struct writer *w, unsigned reg, const struct host_mem *mem)
{
	unsigned index = mem->index == HOST_NONE ? RSP_NUMBER : mem->index & 7u;

	put(w, reg << 3 | RSP_NUMBER);
	put(w, (unsigned)mem->scale_log2 << 6 | index << 3 | RBP_NUMBER);
	put_disp(w, mem->disp, 4);
}

static void put_mem(struct writer *w, unsigned reg, const struct host_mem *mem)
{
	unsigned base = mem->base & 7u, mod, bytes;

	if (mem->base == HOST_NONE) {
		put_baseless(w, reg, mem);
		return;
	}
	if (mem->base == HOST_RIP) {
		put(w, reg << 3 | RBP_NUMBER);
		put_disp(w, mem->disp, 4);
		return;
	}
	if (mem->disp == 0 && base != RBP_NUMBER)
		mod = 0, bytes = 0;
	else if (mem->disp == (int8_t)mem->disp)
		mod = 1, bytes = 1;
	else
		mod = 2, bytes = 4;
	if (mem->index == HOST_NONE && base != RSP_NUMBER) {
		put(w, mod << 6 | reg << 3 | base);
	} else {
		unsigned index = mem->index == HOST_NONE ? RSP_NUMBER : mem->index & 7u;

		put(w, mod << 6 | reg << 3 | RSP_NUMBER);
		put(w, (unsigned)mem->scale_log2 << 6 | index << 3 | base);
	}
	put_disp(w, mem->disp, bytes);
}

unsigned encoding_write(const struct encoding *encoding, struct host_mem mem,
			uint8_t out[ENCODING_MAX_BYTES])
{
	struct writer w = { out };

	if ((encoding->flags & ENCODING_MEM) && mem.is_gs)
		put(&w, BYTE_GS);
	if (encoding->flags & ENCODING_VEX)
		put_vex(&w, encoding, &mem);
	else if (!put_legacy(&w, encoding, &mem))
		return 0;
	if (encoding->flags & ENCODING_MEM)
		put_mem(&w, encoding->reg & 7u, &mem);
	else if (encoding->flags & ENCODING_MODRM)
		put(&w, 0xc0u | (encoding->reg & 7u) << 3 | (encoding->rm & 7u));
	memcpy(w.at, encoding->imm, encoding->imm_bytes);
	w.at += encoding->imm_bytes;
	return (unsigned)(w.at - out);
}
