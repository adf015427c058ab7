/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that read or write one piece of the vCPU's state: the TSC, CR2 and the like,
 * selectors, the bases of FS and GS, PKRU, fields of the VMCS. What a hypervisor may intercept, or
 * the mode forbid, goes the slow way.
 */
#include "cpu/flags.h"
#include "cpu/jit/gen.h"
#include "cpu/mmu/mmu.h"
#include "cpu/virt.h"

#define UPPER_BITS 16 /* of an address, which is_canonical looks at */

static struct host_mem field(size_t offset)
{
	return mem_cpu(offset);
}

#define CPU(name) field(offsetof(struct cpu, name))

/* --- the TSC -------------------------------------------------------------------------------------
 */

static void emit_rdtsc(struct gen *g, bool waits)
{
	static const uint8_t lfence[] = { 0x0f, 0xae, 0xe8 }, rdtsc[] = { 0x0f, 0x31 };

	if (waits)
		emit_bytes(&g->e, lfence, sizeof(lfence));
	emit_bytes(&g->e, rdtsc, sizeof(rdtsc));
}

/*
 * R11 = the host's TSC. From cpu->jit.tsc_limit on there is more to reading it; the slow way finds
 * RAX and RDX as they were.
 */
static void read_host_tsc(struct gen *g, bool waits)
{
	struct emitter *e = &g->e;

	gen_take_r11(g);
	emit_mov_rr(e, 8, R9, RAX);
	emit_mov_rr(e, 8, R10, RDX);
	emit_rdtsc(g, waits);
	emit_shift_ri(e, SHIFT_SHL, 8, RDX, 32);
	emit_lea(e, 8, R11, mem_index(RDX, RAX, 0, 0));
	emit_mov_rr(e, 8, RAX, R9);
	emit_mov_rr(e, 8, RDX, R10);
	emit_alu_rm(e, ALU_CMP, 8, R11, CPU(jit.tsc_limit));
	gen_slow_if(g, COND_AE);
}

/* RDTSC and RDTSCP. */
bool gen_rdtsc(struct gen *g)
{
	bool has_aux = g->insn->mnemonic == ZYDIS_MNEMONIC_RDTSCP;
	struct emitter *e = &g->e;

	gen_flags_spare(g);
	read_host_tsc(g, has_aux);
	emit_alu_rm(e, ALU_ADD, 8, R11, CPU(jit.tsc_added));
	emit_mov_rr(e, 4, RAX, R11);
	emit_shift_ri(e, SHIFT_SHR, 8, R11, 32);
	emit_mov_rr(e, 8, RDX, R11);
	if (has_aux)
		emit_mov_rm(e, 4, RCX, CPU(msr.tsc_aux));
	return true;
}

/* --- what CR4 enables ----------------------------------------------------------------------------
 */

static void require_cr4(struct gen *g, uint64_t bit)
{
	gen_flags_spare(g);
	emit_test_mi(&g->e, 4, CPU(cr4), (int32_t)bit);
	gen_slow_if(g, COND_E);
}

bool gen_rdpkru(struct gen *g)
{
	require_cr4(g, CR4_PKE);
	emit_test_rr(&g->e, 4, RCX, RCX);
	gen_slow_if(g, COND_NE);
	emit_mov_rm(&g->e, 4, RAX, CPU(pkru));
	emit_mov_ri(&g->e, RDX, 0);
	return true;
}

/*
 * MOV from a segment register to a general one. Kernels that change their own code serialize each
 * time, by an IRETQ for which they push SS and CS.
 */
bool gen_read_selector(struct gen *g)
{
	unsigned n = g->insn->dst / REG_OFFSET(1);

	if (g->insn->flags & INSN_MEM)
		return false;
	emit_movzx_rm(&g->e, 2, R9, field(offsetof(struct cpu, seg[g->insn->src].selector)));
	if (g->insn->size != 2)
		gen_write(g, n, R9);
	else if (gen_is_homed(n))
		emit_mov_mr(&g->e, 2, gen_home(n), R9);
	else
		emit_mov_rr(&g->e, 2, gen_pinned(n), R9);
	return true;
}

static struct host_mem base_of(ZydisMnemonic mnemonic)
{
	bool is_fs = mnemonic == ZYDIS_MNEMONIC_RDFSBASE || mnemonic == ZYDIS_MNEMONIC_WRFSBASE;

	return is_fs ? CPU(seg[FS].base) : CPU(seg[GS].base);
}

bool gen_read_base(struct gen *g)
{
	unsigned n = g->insn->dst / REG_OFFSET(1);

	require_cr4(g, CR4_FSGSBASE);
	emit_mov_rm(&g->e, g->insn->size, R9, base_of(g->insn->mnemonic));
	gen_write(g, n, R9);
	return true;
}

/* An address that is not canonical goes the slow way. */
bool gen_write_base(struct gen *g)
{
	unsigned n = g->insn->dst / REG_OFFSET(1);

	require_cr4(g, CR4_FSGSBASE);
	gen_read(g, R9, n);
	if (g->insn->size == 4)
		emit_mov_rr(&g->e, 4, R9, R9);
	emit_mov_rr(&g->e, 8, R10, R9);
	emit_shift_ri(&g->e, SHIFT_SHL, 8, R10, UPPER_BITS);
	emit_shift_ri(&g->e, SHIFT_SAR, 8, R10, UPPER_BITS);
	emit_alu_rr(&g->e, ALU_CMP, 8, R10, R9);
	gen_slow_if(g, COND_NE);
	emit_mov_mr(&g->e, 8, base_of(g->insn->mnemonic), R9);
	return true;
}

/* --- control registers ---------------------------------------------------------------------------
 */

/* MOV from a control register. Those but CR2 a hypervisor may have a say in. */
bool gen_read_control(struct gen *g)
{
	static const int32_t from[] = {
		[0] = offsetof(struct cpu, cr0),
		[2] = offsetof(struct cpu, cr2),
		[3] = offsetof(struct cpu, cr3),
		[4] = offsetof(struct cpu, cr4),
	};
	unsigned n = g->insn->src;

	if (g->word != 8 || g->tlb_class == TLB_USER || n >= ARRAY_SIZE(from) || !from[n])
		return false;
	gen_flags_spare(g);
	emit_alu_mi(&g->e, ALU_CMP, 1, CPU(cpl), 0);
	gen_slow_if(g, COND_NE);
	if (n != 2) {
		emit_alu_mi(&g->e, ALU_CMP, 1, CPU(in_guest), 0);
		gen_slow_if(g, COND_NE);
	}
	emit_mov_rm(&g->e, 8, R9, field((size_t)from[n]));
	gen_write(g, g->insn->dst / REG_OFFSET(1), R9);
	return true;
}

/* --- VMREAD and VMWRITE --------------------------------------------------------------------------
 */

/* R10 = the field of the encoding in the guest register: struct virt_fields. R9 = that. */
static bool find_field(struct gen *g, unsigned encoding)
{
	struct emitter *e = &g->e;

	if (g->word != 8 || g->tlb_class == TLB_USER || (g->insn->flags & INSN_MEM))
		return false;
	gen_flags_spare(g);
	emit_alu_mi(e, ALU_CMP, 1, CPU(cpl), 0);
	gen_slow_if(g, COND_NE);
	emit_mov_rm(e, 8, R9, CPU(virt_fields));
	emit_test_rr(e, 8, R9, R9);
	gen_slow_if(g, COND_E);
	gen_read(g, R10, encoding);
	emit_test_ri(e, 8, R10, ~(int32_t)VIRT_ENCODING_MASK);
	gen_slow_if(g, COND_NE);
	emit_shift_ri(e, SHIFT_SHR, 4, R10, 1);
	emit_movzx_rm(e, 1, R10, mem_index(R9, R10, 0, offsetof(struct virt_fields, index)));
	emit_test_rr(e, 4, R10, R10);
	gen_slow_if(g, COND_E);
	return true;
}

static struct host_mem of_field(unsigned base)
{
	return mem_index(base, R10, 3, -(int32_t)sizeof(uint64_t));
}

/* VMsucceed */
static void succeed(struct gen *g)
{
	emit_mov_mi(&g->e, 2, CPU(status), flags_to_status(0));
	g->where = IN_STATUS;
}

bool gen_vmread(struct gen *g)
{
	if (!find_field(g, g->insn->src / REG_OFFSET(1)))
		return false;
	emit_mov_rm(&g->e, 8, R9, mem_at(R9, offsetof(struct virt_fields, value)));
	emit_mov_rm(&g->e, 8, R9, of_field(R9));
	gen_write(g, g->insn->dst / REG_OFFSET(1), R9);
	succeed(g);
	return true;
}

bool gen_vmwrite(struct gen *g)
{
	if (!find_field(g, g->insn->dst / REG_OFFSET(1)))
		return false;
	gen_take_r11(g);
	gen_read(g, R11, g->insn->src / REG_OFFSET(1));
	emit_mov_rm(&g->e, 8, R9, mem_at(R9, offsetof(struct virt_fields, mask)));
	emit_alu_rm(&g->e, ALU_AND, 8, R11, of_field(R9));
	emit_mov_rm(&g->e, 8, R9, CPU(virt_fields));
	emit_mov_rm(&g->e, 8, R9, mem_at(R9, offsetof(struct virt_fields, value)));
	emit_mov_mr(&g->e, 8, of_field(R9), R11);
	succeed(g);
	return true;
}
