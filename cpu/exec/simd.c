/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SIMD instructions that are not run on the host as they are: those that reach memory element by
 * element (masked moves, gathers), those with an implicit address, and those whose effect is on
 * state that is not in the host's registers (MXCSR's checks, VZEROUPPER).
 *
 * Masked elements are not accessed and do not fault. SDM2: "VMASKMOV - Conditional SIMD Packed
 * Loads and Stores", "VGATHERDPD/VGATHERQPD".
 */
#include "cpu/exec/exec.h"

#include "cpu/exec/vector.h"
#include "cpu/segment.h"

#define MMX_BYTES 8u
#define XMM_BYTES 16u
#define YMM_BYTES 32u

static void check(struct cpu *cpu, const struct insn *insn)
{
	if (insn->flags & INSN_VEX)
		vector_check_avx(cpu);
	else
		vector_check_sse(cpu);
}

/* --- MXCSR --------------------------------------------------------------------------------------
 */

void simd_ldmxcsr(struct cpu *cpu, const struct insn *insn)
{
	uint32_t mxcsr;

	check(cpu, insn);
	mxcsr = (uint32_t)mmu_load(cpu, insn_linear(cpu, insn, 4, false), 4, insn->seg);
	if (mxcsr & ~MXCSR_DEFINED)
		cpu_raise_code(cpu, EXC_GP, 0);
	vector_set_mxcsr(cpu, mxcsr);
}

void simd_stmxcsr(struct cpu *cpu, const struct insn *insn)
{
	check(cpu, insn);
	mmu_store(cpu, insn_linear(cpu, insn, 4, true), 4, vector_mxcsr(cpu), insn->seg);
}

/* --- VZEROUPPER, VZEROALL -----------------------------------------------------------------------
 */

static unsigned vector_count(const struct cpu *cpu)
{
	return cpu->mode == MODE_64 ? 16 : 8;
}

/* Whole registers are stored, so that a load of one that follows closely finds it in one store. */
void simd_vzeroupper(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	vector_check_avx(cpu);
	for (unsigned i = 0; i < vector_count(cpu); i++)
		__asm__ volatile("vmovaps %0, %%xmm0\n\tvmovaps %%ymm0, %0"
				 : "+m"(cpu->vector.ymm[i])
				 :
				 : "xmm0");
}

void simd_vzeroall(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	vector_check_avx(cpu);
	memset(cpu->vector.ymm, 0, vector_count(cpu) * YMM_BYTES);
}

/* --- masked moves -------------------------------------------------------------------------------
 */

static bool is_selected(const uint8_t *mask, unsigned offset, unsigned element)
{
	return mask[offset + element - 1] & 0x80;
}

/* Memory to register: elements that the mask does not select become zero. */
static void masked_load(struct cpu *cpu, const struct insn *insn, unsigned element)
{
	unsigned bytes = insn->mem_bytes;
	gva_t addr;
	const uint8_t *mask = cpu->vector.ymm[insn->src];
	uint8_t result[YMM_BYTES] = { 0 };

	vector_check_avx(cpu);
	addr = insn_linear(cpu, insn, bytes, false);
	for (unsigned i = 0; i < bytes; i += element)
		if (is_selected(mask, i, element))
			store_le(result + i, mmu_load(cpu, addr + i, element, insn->seg), element);
	memcpy(cpu->vector.ymm[insn->dst], result, YMM_BYTES);
}

/* Register to memory, all selected elements or none. */
static void masked_store(struct cpu *cpu, gva_t addr, const uint8_t *value, const uint8_t *mask,
			 unsigned bytes, unsigned element, unsigned seg)
{
	for (unsigned i = 0; i < bytes; i += element)
		if (is_selected(mask, i, element))
			mmu_check(cpu, addr + i, element, true, seg);
	for (unsigned i = 0; i < bytes; i += element)
		if (is_selected(mask, i, element))
			mmu_store(cpu, addr + i, element, load_le(value + i, element), seg);
}

static void masked_move(struct cpu *cpu, const struct insn *insn, unsigned element)
{
	if (insn->mem_operand != 0) {
		masked_load(cpu, insn, element);
		return;
	}
	vector_check_avx(cpu);
	masked_store(cpu, insn_linear(cpu, insn, insn->mem_bytes, true),
		     cpu->vector.ymm[insn->src2], cpu->vector.ymm[insn->src], insn->mem_bytes,
		     element, insn->seg);
}

void simd_maskmov4(struct cpu *cpu, const struct insn *insn)
{
	masked_move(cpu, insn, 4);
}

void simd_maskmov8(struct cpu *cpu, const struct insn *insn)
{
	masked_move(cpu, insn, 8);
}

/* MASKMOVDQU, MASKMOVQ: bytes to DS:rDI, which no operand names. */
insn_fn *simd_maskmov_di_select(const ZydisDecodedInstruction *zydis,
				const ZydisDecodedOperand *operands, struct insn *insn)
{
	for (unsigned i = 0; i < zydis->operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			insn->seg = (uint8_t)ZydisRegisterGetId(operands[i].mem.segment);
	insn->base = REG_OFFSET(RDI);
	return zydis->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ? simd_maskmovq : simd_maskmovdqu;
}

void simd_maskmovdqu(struct cpu *cpu, const struct insn *insn)
{
	check(cpu, insn);
	masked_store(cpu, insn_linear(cpu, insn, XMM_BYTES, true), cpu->vector.ymm[insn->dst],
		     cpu->vector.ymm[insn->src], XMM_BYTES, 1, insn->seg);
}

void simd_maskmovq(struct cpu *cpu, const struct insn *insn)
{
	const uint8_t *st = cpu->vector.fx + FX_ST;
	gva_t addr;
	unsigned top;

	vector_check_mmx(cpu);
	vector_copy_x87(cpu);
	addr = insn_linear(cpu, insn, MMX_BYTES, true);
	/* The image has ST(i) in order, and MMi is physical register i. */
	top = (unsigned)bits(load_le(cpu->vector.fx + FX_FSW, 2), 13, 11);
	masked_store(cpu, addr, st + (insn->dst - top) % 8 * FX_ST_STRIDE,
		     st + (insn->src - top) % 8 * FX_ST_STRIDE, MMX_BYTES, 1, insn->seg);
	__asm__ volatile("movd %%mm0, %0" : "=r"(top)); /* what MMX does to TOP and tags */
}

/* --- gathers ------------------------------------------------------------------------------------
 */

/* insn: dst, the destination; src, the vector of indices; src2, the mask. */
insn_fn *simd_gather_select(const ZydisDecodedInstruction *zydis,
			    const ZydisDecodedOperand *operands, struct insn *insn)
{
	(void)zydis;
	insn->src = (uint8_t)ZydisRegisterGetId(operands[1].mem.index);
	insn->size = (uint8_t)(operands[0].size / 8);
	insn->src_size =
		ZydisRegisterGetClass(operands[1].mem.index) == ZYDIS_REGCLASS_YMM ? 32 : 16;
	if (insn->dst == insn->src || insn->dst == insn->src2 || insn->src == insn->src2)
		return NULL;
	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_VGATHERDPS:
	case ZYDIS_MNEMONIC_VPGATHERDD:
		return simd_gather_d4;
	case ZYDIS_MNEMONIC_VGATHERQPS:
	case ZYDIS_MNEMONIC_VPGATHERQD:
		return simd_gather_q4;
	case ZYDIS_MNEMONIC_VGATHERDPD:
	case ZYDIS_MNEMONIC_VPGATHERDQ:
		return simd_gather_d8;
	default:
		return simd_gather_q8;
	}
}

static uint64_t gather_address(struct cpu *cpu, const struct insn *insn, int64_t index,
			       unsigned element)
{
	uint64_t ea = *(uint64_t *)reg_at(cpu, insn->base) + ((uint64_t)index << insn->scale_log2) +
		      (uint64_t)insn->disp;

	return segment_linear(cpu, insn->seg, ea & size_mask(insn->addr_size), element, false);
}

/* Elements that were loaded before a fault stay, with their mask bits clear: the instruction goes
 * on from there. */
static void gather(struct cpu *cpu, const struct insn *insn, unsigned index_bytes, unsigned element)
{
	uint8_t *result = cpu->vector.ymm[insn->dst], *mask = cpu->vector.ymm[insn->src2];
	const uint8_t *indices = cpu->vector.ymm[insn->src];
	unsigned count = MIN(insn->size / element, insn->src_size / index_bytes);

	vector_check_avx(cpu);
	for (unsigned i = 0; i < count; i++) {
		int64_t index = index_bytes == 4 ? (int32_t)load_le(indices + i * index_bytes, 4)
						 : (int64_t)load_le(indices + i * index_bytes, 8);

		if (is_selected(mask, i * element, element)) {
			gva_t addr = gather_address(cpu, insn, index, element);

			store_le(result + i * element, mmu_load(cpu, addr, element, insn->seg),
				 element);
		}
		memset(mask + i * element, 0, element);
	}
	memset(mask, 0, YMM_BYTES);
	memset(result + count * element, 0, YMM_BYTES - count * element);
}

void simd_gather_d4(struct cpu *cpu, const struct insn *insn)
{
	gather(cpu, insn, 4, 4);
}

void simd_gather_q4(struct cpu *cpu, const struct insn *insn)
{
	gather(cpu, insn, 8, 4);
}

void simd_gather_d8(struct cpu *cpu, const struct insn *insn)
{
	gather(cpu, insn, 4, 8);
}

void simd_gather_q8(struct cpu *cpu, const struct insn *insn)
{
	gather(cpu, insn, 8, 8);
}
