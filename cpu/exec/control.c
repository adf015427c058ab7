/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions on control, debug and extended control registers and on descriptor tables. What may
 * be written to them is cpu/control.c's business; here are privilege and operands.
 * SDM2: "MOV - Move to/from Control Registers", "LGDT/LIDT", "SGDT", "LMSW", "SMSW", "XSETBV".
 */
#include "cpu/control.h"

#include "cpu/exec/exec.h"
#include "cpu/exec/privileged.h"
#include "cpu/exec/vector.h"
#include "cpu/feature.h"
#include "cpu/segment.h"
#include "cpu/soft.h"
#include "cpu/virt.h"

#define MSW_BITS       (CR0_PE | CR0_MP | CR0_EM | CR0_TS) /* what LMSW can change */
#define TABLE_BYTES    10                                  /* limit and a 64-bit base */
#define TABLE_LIMIT    2
#define XCR_XINUSE     1 /* XGETBV: components in use; XCR0 is 0 */
#define BASE_MASK_16   0xffffffull
#define OPERAND_16_BIT 16

/* ---- control and debug registers ---- */

static bool has_intercept(unsigned cr)
{
	return cr == 0 || cr == 3 || cr == 4 || cr == 8;
}

static void write_cr(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value = reg_read(cpu, insn->src, native_size(cpu));

	require_cpl0(cpu);
	if (unlikely(cpu->in_guest) && has_intercept(insn->dst)) {
		value = cpu->virt->cr_write(cpu, insn->dst, value, insn->src / 8, false);
		if (value == VIRT_CR_DONE) {
			insn_advance(cpu, insn);
			return;
		}
	}
	switch (insn->dst) {
	case 0:
		control_write_cr0(cpu, value);
		break;
	case 2:
		cpu->cr2 = value;
		break;
	case 3:
		control_write_cr3(cpu, value);
		break;
	case 4:
		control_write_cr4(cpu, value);
		break;
	case 8:
		control_write_cr8(cpu, value);
		break;
	default:
		cpu_raise(cpu, EXC_UD);
	}
	insn_advance(cpu, insn);
}

static uint64_t cr_value(struct cpu *cpu, unsigned n, unsigned gpr)
{
	switch (n) {
	case 0:
		return virt_cr_read(cpu, n, cpu->cr0);
	case 2:
		return cpu->cr2;
	case 3:
		virt_intercept(cpu, INTERCEPT_CR_READ, n | gpr << INTERCEPT_GPR_SHIFT);
		return cpu->cr3;
	case 4:
		return virt_cr_read(cpu, n, cpu->cr4);
	case 8:
		virt_intercept(cpu, INTERCEPT_CR_READ, n | gpr << INTERCEPT_GPR_SHIFT);
		return cpu->in_guest ? cpu->virt->cr_read(cpu, n) : control_read_cr8(cpu);
	default:
		cpu_raise(cpu, EXC_UD);
	}
}

static void read_cr(struct cpu *cpu, const struct insn *insn)
{
	require_cpl0(cpu);
	reg_write(cpu, insn->dst, native_size(cpu), cr_value(cpu, insn->src, insn->dst / 8));
}

/* The exit comes before what privilege, CR4.DE and DR7.GD raise. */
static void intercept_dr(struct cpu *cpu, unsigned n, unsigned gpr, unsigned is_read)
{
	virt_intercept(cpu, INTERCEPT_DR,
		       n | is_read << INTERCEPT_READ_SHIFT | gpr << INTERCEPT_GPR_SHIFT);
}

static void write_dr(struct cpu *cpu, const struct insn *insn)
{
	intercept_dr(cpu, insn->dst, insn->src / 8, false);
	require_cpl0(cpu);
	control_write_dr(cpu, insn->dst, reg_read(cpu, insn->src, native_size(cpu)));
	insn_advance(cpu, insn);
}

static void read_dr(struct cpu *cpu, const struct insn *insn)
{
	intercept_dr(cpu, insn->src, insn->dst / 8, true);
	require_cpl0(cpu);
	reg_write(cpu, insn->dst, native_size(cpu), control_read_dr(cpu, insn->src));
}

insn_fn *control_select_mov(const ZydisDecodedInstruction *zydis,
			    const ZydisDecodedOperand *operands, struct insn *insn)
{
	ZydisRegisterClass to = ZydisRegisterGetClass(operands[0].reg.value);
	ZydisRegisterClass from = ZydisRegisterGetClass(operands[1].reg.value);

	(void)zydis;
	if (operands[0].type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return NULL;
	if (from == ZYDIS_REGCLASS_CONTROL)
		return read_cr;
	if (from == ZYDIS_REGCLASS_DEBUG)
		return read_dr;
	insn->flags |= INSN_ENDS_BLOCK;
	if (to == ZYDIS_REGCLASS_CONTROL)
		return write_cr;
	return to == ZYDIS_REGCLASS_DEBUG ? write_dr : NULL;
}

void control_clts(struct cpu *cpu, const struct insn *insn)
{
	uint64_t seen;

	(void)insn;
	require_cpl0(cpu);
	if (likely(!cpu->in_guest)) {
		cpu->cr0 &= ~CR0_TS;
		return;
	}
	virt_intercept(cpu, INTERCEPT_CLTS, 0);
	seen = cpu->virt->cr_read(cpu, 0) & ~CR0_TS;
	cpu->cr0 = cpu->virt->cr_write(cpu, 0, seen, 0, false);
}

/* PE can be set but not cleared. */
void control_lmsw(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value;

	require_cpl0(cpu);
	if (insn->flags & INSN_MEM)
		value = mmu_load(cpu, insn_linear(cpu, insn, 2, false), 2, insn->seg);
	else
		value = reg_read(cpu, insn->dst, 2);
	if (unlikely(cpu->in_guest))
		value = cpu->virt->cr_write(cpu, 0, value, 0, true);
	else
		value = (value & MSW_BITS) | (cpu->cr0 & (~MSW_BITS | CR0_PE));
	control_write_cr0(cpu, value);
	insn_advance(cpu, insn);
}

static void check_umip(struct cpu *cpu)
{
	if (cpu->cpl && (cpu->cr4 & CR4_UMIP))
		cpu_raise_code(cpu, EXC_GP, 0);
}

void control_smsw(struct cpu *cpu, const struct insn *insn)
{
	uint64_t cr0 = virt_cr_read(cpu, 0, cpu->cr0);

	check_umip(cpu);
	if (insn->flags & INSN_MEM)
		mmu_store(cpu, insn_linear(cpu, insn, 2, true), 2, cr0, insn->seg);
	else
		reg_write(cpu, insn->dst, insn->size, cr0);
}

/* ---- GDTR and IDTR ---- */

/* LGDT and LIDT; insn->imm is the mask of the base: 24 bits with a 16-bit operand size. */
static void load_table(struct cpu *cpu, const struct insn *insn, struct table_register *table)
{
	unsigned base_bytes = native_size(cpu);
	unsigned bytes = TABLE_LIMIT + base_bytes;
	uint8_t buf[TABLE_BYTES];
	uint64_t base;

	require_cpl0(cpu);
	virt_intercept(cpu, INTERCEPT_TABLE, 0);
	mmu_read_bytes(cpu, insn_linear(cpu, insn, bytes, false), buf, bytes, insn->seg);
	base = load_le(buf + TABLE_LIMIT, base_bytes) & (uint64_t)insn->imm;
	if (!is_canonical(base))
		cpu_raise_code(cpu, EXC_GP, 0);
	table->limit = (uint16_t)load_le(buf, TABLE_LIMIT);
	table->base = base;
}

static void store_table(struct cpu *cpu, const struct insn *insn,
			const struct table_register *table)
{
	unsigned base_bytes = native_size(cpu);
	unsigned bytes = TABLE_LIMIT + base_bytes;
	uint8_t buf[TABLE_BYTES];

	check_umip(cpu);
	virt_intercept(cpu, INTERCEPT_TABLE, 0);
	store_le(buf, table->limit, TABLE_LIMIT);
	store_le(buf + TABLE_LIMIT, table->base, base_bytes);
	mmu_write_bytes(cpu, insn_linear(cpu, insn, bytes, true), buf, bytes, insn->seg);
}

static void lgdt(struct cpu *cpu, const struct insn *insn)
{
	load_table(cpu, insn, &cpu->gdtr);
}

static void lidt(struct cpu *cpu, const struct insn *insn)
{
	load_table(cpu, insn, &cpu->idtr);
}

insn_fn *control_select_load_table(const ZydisDecodedInstruction *zydis,
				   const ZydisDecodedOperand *operands, struct insn *insn)
{
	bool is_short = zydis->operand_width == OPERAND_16_BIT &&
			zydis->machine_mode != ZYDIS_MACHINE_MODE_LONG_64;

	(void)operands;
	insn->imm = is_short ? (int32_t)BASE_MASK_16 : -1;
	return zydis->mnemonic == ZYDIS_MNEMONIC_LGDT ? lgdt : lidt;
}

void control_sgdt(struct cpu *cpu, const struct insn *insn)
{
	store_table(cpu, insn, &cpu->gdtr);
}

void control_sidt(struct cpu *cpu, const struct insn *insn)
{
	store_table(cpu, insn, &cpu->idtr);
}

/* ---- extended control registers ---- */

void control_xgetbv(struct cpu *cpu, const struct insn *insn)
{
	uint32_t n = (uint32_t)cpu->gpr[RCX];
	uint64_t value = cpu->xcr0;

	(void)insn;
	require_cr4(cpu, CR4_OSXSAVE);
	if (n == XCR_XINUSE && cpu_has(cpu, FEATURE_XGETBV1))
		value &= xsave_in_use(cpu);
	else if (n != 0)
		cpu_raise_code(cpu, EXC_GP, 0);
	cpu->gpr[RAX] = (uint32_t)value;
	cpu->gpr[RDX] = value >> 32;
}

void control_xsetbv(struct cpu *cpu, const struct insn *insn)
{
	require_cr4(cpu, CR4_OSXSAVE);
	require_cpl0(cpu);
	virt_intercept(cpu, INTERCEPT_XSETBV, 0);
	if ((uint32_t)cpu->gpr[RCX] != 0)
		cpu_raise_code(cpu, EXC_GP, 0);
	control_write_xcr0(cpu, cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX]);
	insn_advance(cpu, insn);
}
