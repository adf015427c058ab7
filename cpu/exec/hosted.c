/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Handlers of the instructions that the host itself runs: SSE to SSE4.2, AVX, AVX2, FMA, F16C, AES,
 * PCLMULQDQ, SHA, MMX, BMI, ADX, POPCNT, LZCNT, CRC32, MOVBE, RDRAND. For each class of guards (see
 * cpu/decode/isa.h) there is one handler for register forms, one for a memory operand that is read
 * and one for one that is written. x87 is in cpu/exec/x87.c, SIMD that needs C in cpu/exec/simd.c.
 */
#include "cpu/exec/exec.h"

#include "cpu/decode/isa.h"
#include "cpu/exec/host.h"
#include "cpu/exec/vector.h"

/* Room for any operand at any alignment within a line. */
struct bounce {
	uint8_t bytes[HOST_LINE_BYTES + HOST_MAX_OPERAND_BYTES];
} __attribute__((aligned(HOST_LINE_BYTES)));

static void *bounce_at(struct bounce *bounce, gva_t addr)
{
	return bounce->bytes + addr % HOST_LINE_BYTES;
}

/* Whether the memory operand must be aligned to its size. SDM2: "Exceptions Type 1" to "Type 5" */
static bool needs_alignment(const struct insn *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_VMOVAPD:
	case ZYDIS_MNEMONIC_VMOVAPS:
	case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVNTDQA:
	case ZYDIS_MNEMONIC_VMOVNTPD:
	case ZYDIS_MNEMONIC_VMOVNTPS:
		return true;
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_PCMPISTRM:
	case ZYDIS_MNEMONIC_SHA1MSG1 ... ZYDIS_MNEMONIC_SHA256RNDS2: /* depends on the host */
		return false;
	default:
		return !(insn->flags & INSN_VEX) && insn->mem_bytes == 16;
	}
}

/* In a page of RAM the host finds misalignment itself; otherwise it comes before page faults. */
static void check_alignment(struct cpu *cpu, const struct insn *insn, gva_t addr)
{
	if (addr % insn->mem_bytes && needs_alignment(insn))
		cpu_raise_code(cpu, EXC_GP, 0);
}

void host_run_read_slow(struct cpu *cpu, const struct insn *insn, gva_t addr)
{
	void *operand;
	struct bounce bounce;

	check_alignment(cpu, insn, addr);
	operand = mmu_span(cpu, addr, insn->mem_bytes, false, insn->seg);
	if (!operand) {
		operand = bounce_at(&bounce, addr);
		mmu_read_bytes(cpu, addr, operand, insn->mem_bytes, insn->seg);
	}
	host_stub_of(cpu, insn)(cpu, operand);
}

void host_run_write_slow(struct cpu *cpu, const struct insn *insn, gva_t addr)
{
	void *operand;
	struct bounce bounce;

	check_alignment(cpu, insn, addr);
	operand = mmu_span(cpu, addr, insn->mem_bytes, true, insn->seg);
	if (operand) {
		host_stub_of(cpu, insn)(cpu, operand);
		return;
	}
	mmu_check(cpu, addr, insn->mem_bytes, true, insn->seg);
	operand = bounce_at(&bounce, addr);
	if (cpu->vector.x87_may_fault) /* an unmasked x87 exception keeps a store from memory */
		mmu_read_bytes(cpu, addr, operand, insn->mem_bytes, insn->seg);
	host_stub_of(cpu, insn)(cpu, operand);
	mmu_write_bytes(cpu, addr, operand, insn->mem_bytes, insn->seg);
}

static inline void check_gpr(struct cpu *cpu)
{
	(void)cpu;
}

/* Host processors disagree on what conversions from memory to XMM do to x87: the host decides. */
static inline void check_sse_mmx_memory(struct cpu *cpu)
{
	vector_check_sse(cpu);
	vector_load_x87(cpu);
}

static inline void check_sse_mmx(struct cpu *cpu)
{
	vector_check_sse(cpu);
	vector_check_mmx(cpu);
}

#define HANDLERS(name, check)                                                  \
	static void name##_registers(struct cpu *cpu, const struct insn *insn) \
	{                                                                      \
		check(cpu);                                                    \
		host_run(cpu, insn);                                           \
	}                                                                      \
	static void name##_read(struct cpu *cpu, const struct insn *insn)      \
	{                                                                      \
		check(cpu);                                                    \
		host_run_read(cpu, insn);                                      \
	}                                                                      \
	static void name##_write(struct cpu *cpu, const struct insn *insn)     \
	{                                                                      \
		check(cpu);                                                    \
		host_run_write(cpu, insn);                                     \
	}

HANDLERS(gpr, check_gpr)
HANDLERS(gpr_vex, vector_check_vex)
HANDLERS(mmx, vector_check_mmx)
HANDLERS(sse, vector_check_sse)
HANDLERS(avx, vector_check_avx)

static void sse_mmx_registers(struct cpu *cpu, const struct insn *insn)
{
	check_sse_mmx(cpu);
	host_run(cpu, insn);
}

static void sse_mmx_read(struct cpu *cpu, const struct insn *insn)
{
	if (insn->mnemonic == ZYDIS_MNEMONIC_CVTPI2PS || insn->mnemonic == ZYDIS_MNEMONIC_CVTPI2PD)
		check_sse_mmx_memory(cpu);
	else
		check_sse_mmx(cpu);
	host_run_read(cpu, insn);
}

enum form { FORM_REGISTERS, FORM_READ, FORM_WRITE, FORMS };

static insn_fn *const handlers[][FORMS] = {
	[ISA_GPR] = { gpr_registers, gpr_read, gpr_write },
	[ISA_GPR_VEX] = { gpr_vex_registers, gpr_vex_read, gpr_vex_write },
	[ISA_X87] = { x87_registers, x87_read, x87_write },
	[ISA_MMX] = { mmx_registers, mmx_read, mmx_write },
	[ISA_SSE] = { sse_registers, sse_read, sse_write },
	[ISA_SSE_MMX] = { sse_mmx_registers, sse_mmx_read, NULL },
	[ISA_AVX] = { avx_registers, avx_read, avx_write },
};

/* FORMS: no stub can do it (implicit or vector addresses, read and written, too large). */
static enum form form_of(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			 const struct insn *insn)
{
	enum form form = FORM_REGISTERS;

	for (unsigned i = 0; i < zydis->operand_count; i++) {
		const ZydisDecodedOperand *operand = &operands[i];

		if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		if (operand->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM ||
		    operand->mem.type != ZYDIS_MEMOP_TYPE_MEM || !insn->mem_bytes ||
		    insn->mem_bytes > HOST_MAX_OPERAND_BYTES)
			return FORMS;
		if (operand->actions == ZYDIS_OPERAND_ACTION_READ)
			form = FORM_READ;
		else if (operand->actions == ZYDIS_OPERAND_ACTION_WRITE)
			form = FORM_WRITE;
		else
			return FORMS;
	}
	return form;
}

insn_fn *hosted_select(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		       struct insn *insn)
{
	enum isa_class class = isa_class_of(zydis);
	enum form form = form_of(zydis, operands, insn);

	if (class == ISA_NOT_HOSTED || form == FORMS)
		return NULL;
	if (class == ISA_X87)
		x87_set_opcode(zydis, insn);
	insn->flags |= INSN_HOSTED;
	return handlers[class][form];
}
