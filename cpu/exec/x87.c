/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87: run on the host's x87 registers, where the guest's state is live (cpu/exec/vector.h).
 *
 * What differs from the host: exceptions are looked for before each waiting instruction and raised
 * here, so the host never raises one; and the pointers to the last instruction and its operand are
 * the guest's, kept in cpu->vector and put into every image that shows them.
 *
 * SDM1: "Programming with the x87 FPU"; SDM1: "x87 FPU Exception Handling in Software" for FERR.
 */
#include "cpu/exec/exec.h"

#include "cpu/exec/host.h"
#include "cpu/exec/vector.h"
#include "cpu/feature.h"
#include "cpu/soft.h"

#define FERR_LINE 13

#define ENV16_BYTES     14
#define ENV32_BYTES     28
#define REGISTERS_BYTES 80 /* follow the environment in the image of FNSAVE */
#define SAVE32_BYTES    (ENV32_BYTES + REGISTERS_BYTES)

#define FOP_MASK        0x7ffu
#define MODRM_MOD_SHIFT 6
#define MODRM_REG_SHIFT 3
#define REAL_HIGH_SHIFT 12 /* where the real-mode formats have address bits 16 up */

/* The 32-bit protected-mode environment: the one that 64-bit code reads and writes. */
struct environment {
	uint32_t fcw, fsw, ftw, fip, fcs_fop, fdp, fds;
};

_Static_assert(sizeof(struct environment) == ENV32_BYTES, "FLDENV and FNSTENV use it");

/* --- exceptions ---------------------------------------------------------------------------------
 */

static uint16_t take_fsw(void)
{
	uint16_t fsw;

	__asm__ volatile("fnstsw %0" : "=m"(fsw));
	return fsw;
}

static uint16_t take_fcw(void)
{
	uint16_t fcw;

	__asm__ volatile("fnstcw %0" : "=m"(fcw));
	return fcw;
}

static void set_ferr(struct cpu *cpu, bool level)
{
	if (cpu->vector.ferr == level)
		return;
	cpu->vector.ferr = level;
	irq_set_line(cpu->soft->config.irq, FERR_LINE, level);
}

void x87_update_faults(struct cpu *cpu)
{
	bool is_pending = take_fsw() & FSW_ES;

	cpu->vector.x87_may_fault = is_pending || (~take_fcw() & FCW_MASKS);
	if (!is_pending)
		set_ferr(cpu, false);
}

/* Without CR0.NE the processor stops before the instruction until IRQ 13 is served. */
void x87_raise_pending(struct cpu *cpu)
{
	if (!(take_fsw() & FSW_ES))
		return;
	if (cpu->cr0 & CR0_NE)
		cpu_raise(cpu, EXC_MF);
	set_ferr(cpu, true);
	cpu_resume(cpu);
}

static inline void check_waiting(struct cpu *cpu)
{
	vector_check_x87(cpu);
	if (unlikely(cpu->vector.x87_may_fault))
		x87_raise_pending(cpu);
}

/* --- instructions that the host runs ------------------------------------------------------------
 */

void x87_set_opcode(const ZydisDecodedInstruction *zydis, struct insn *insn)
{
	unsigned modrm = zydis->raw.modrm.mod << MODRM_MOD_SHIFT |
			 zydis->raw.modrm.reg << MODRM_REG_SHIFT | zydis->raw.modrm.rm;

	insn->fop = (zydis->opcode << 8 | modrm) & FOP_MASK;
}

static inline void note_instruction(struct cpu *cpu, const struct insn *insn)
{
	cpu->vector.fop = insn->fop;
	cpu->vector.fip = insn_rip(cpu, insn);
	cpu->vector.fcs = cpu->seg[CS].selector;
}

static inline void note_operand(struct cpu *cpu, const struct insn *insn)
{
	note_instruction(cpu, insn);
	cpu->vector.fdp = insn_ea(cpu, insn);
	cpu->vector.fds = cpu->seg[insn->seg].selector;
}

void x87_registers(struct cpu *cpu, const struct insn *insn)
{
	check_waiting(cpu);
	host_run(cpu, insn);
	note_instruction(cpu, insn);
}

void x87_read(struct cpu *cpu, const struct insn *insn)
{
	check_waiting(cpu);
	host_run_read(cpu, insn);
	note_operand(cpu, insn);
}

void x87_write(struct cpu *cpu, const struct insn *insn)
{
	check_waiting(cpu);
	host_run_write(cpu, insn);
	note_operand(cpu, insn);
}

/* --- control instructions: they leave the pointers alone -----------------------------------------
 */

void x87_wait(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		cpu_raise(cpu, EXC_NM);
	vector_load_x87(cpu);
	if (cpu->vector.x87_may_fault)
		x87_raise_pending(cpu);
}

/* What was for the 8087 and the 287 only. */
void x87_nop(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	vector_check_x87(cpu);
}

void x87_fldcw(struct cpu *cpu, const struct insn *insn)
{
	check_waiting(cpu);
	host_run_read(cpu, insn);
	x87_update_faults(cpu);
}

void x87_fnstcw(struct cpu *cpu, const struct insn *insn)
{
	vector_check_x87(cpu);
	host_run_write(cpu, insn);
}

void x87_fnstsw(struct cpu *cpu, const struct insn *insn)
{
	vector_check_x87(cpu);
	if (insn->flags & INSN_MEM)
		host_run_write(cpu, insn);
	else
		host_run(cpu, insn);
}

void x87_fnclex(struct cpu *cpu, const struct insn *insn)
{
	vector_check_x87(cpu);
	host_run(cpu, insn);
	x87_update_faults(cpu);
}

static void clear_pointers(struct cpu *cpu)
{
	cpu->vector.fip = cpu->vector.fdp = 0;
	cpu->vector.fcs = cpu->vector.fds = cpu->vector.fop = 0;
}

void x87_fninit(struct cpu *cpu, const struct insn *insn)
{
	vector_check_x87(cpu);
	host_run(cpu, insn);
	clear_pointers(cpu);
	x87_update_faults(cpu);
}

/* --- environments -------------------------------------------------------------------------------
 */

/* Real and v8086 mode have linear addresses in their formats, without selectors. */
static bool has_linear_format(const struct cpu *cpu)
{
	return !cpu_in_protected_mode(cpu);
}

static uint16_t shown_selector(const struct cpu *cpu, uint16_t selector)
{
	return cpu_has(cpu, FEATURE_ZERO_FCS_FDS) ? 0 : selector;
}

static uint32_t linear(uint16_t selector, uint64_t offset)
{
	return ((uint32_t)selector << 4) + (uint32_t)offset;
}

/* Puts the guest's pointers into an environment that the host has written. */
static void show_pointers(const struct cpu *cpu, struct environment *env)
{
	const struct vector_state *v = &cpu->vector;

	if (has_linear_format(cpu)) {
		env->fip = linear(v->fcs, v->fip);
		env->fdp = linear(v->fds, v->fdp);
		env->fcs_fop = (uint32_t)v->fop << 16;
		env->fds = 0;
	} else {
		env->fip = (uint32_t)v->fip;
		env->fdp = (uint32_t)v->fdp;
		env->fcs_fop = shown_selector(cpu, v->fcs) | (uint32_t)v->fop << 16;
		env->fds = shown_selector(cpu, v->fds);
	}
	env->fds |= 0xffff0000u;
}

/* The guest's format, of `bytes` (14 or 28), from ours. */
static void pack(const struct cpu *cpu, const struct environment *env, unsigned bytes, uint8_t *out)
{
	unsigned w = bytes / 7;
	uint32_t fop = env->fcs_fop >> 16, high = w == 4 ? 0xffff0000u : 0;

	store_le(out, env->fcw | high, w);
	store_le(out + w, env->fsw | high, w);
	store_le(out + 2 * w, env->ftw | high, w);
	if (has_linear_format(cpu)) {
		store_le(out + 3 * w, (env->fip & 0xffff) | high, w);
		store_le(out + 4 * w, (env->fip >> 16) << REAL_HIGH_SHIFT | fop, w);
		store_le(out + 5 * w, (env->fdp & 0xffff) | high, w);
		store_le(out + 6 * w, (env->fdp >> 16) << REAL_HIGH_SHIFT, w);
	} else {
		store_le(out + 3 * w, env->fip, w);
		store_le(out + 4 * w, env->fcs_fop, w);
		store_le(out + 5 * w, env->fdp, w);
		store_le(out + 6 * w, env->fds, w);
	}
}

/* The control, status and tag words for the host; the pointers for cpu->vector. */
static void unpack(struct cpu *cpu, const uint8_t *in, unsigned bytes, struct environment *env)
{
	struct vector_state *v = &cpu->vector;
	unsigned w = bytes / 7;
	uint32_t fcs_fop = (uint32_t)load_le(in + 4 * w, w), fds = (uint32_t)load_le(in + 6 * w, w);

	memset(env, 0, sizeof(*env));
	env->fcw = (uint16_t)load_le(in, w);
	env->fsw = (uint16_t)load_le(in + w, w);
	env->ftw = (uint16_t)load_le(in + 2 * w, w);
	v->fip = load_le(in + 3 * w, w);
	v->fdp = load_le(in + 5 * w, w);
	if (has_linear_format(cpu)) {
		v->fip = (v->fip & 0xffff) | (uint64_t)(fcs_fop >> REAL_HIGH_SHIFT) << 16;
		v->fdp = (v->fdp & 0xffff) | (uint64_t)(fds >> REAL_HIGH_SHIFT) << 16;
		v->fop = fcs_fop & FOP_MASK;
		v->fcs = v->fds = 0;
	} else {
		v->fcs = (uint16_t)fcs_fop;
		v->fds = (uint16_t)fds;
		v->fop = w == 4 ? (fcs_fop >> 16) & FOP_MASK : 0;
	}
}

void x87_fnstenv(struct cpu *cpu, const struct insn *insn)
{
	unsigned bytes = insn->mem_bytes;
	gva_t addr = insn_linear(cpu, insn, bytes, true);
	struct environment env;
	uint8_t image[ENV32_BYTES];

	vector_check_x87(cpu);
	mmu_check(cpu, addr, bytes, true, insn->seg);
	__asm__ volatile("fnstenv %0" : "=m"(env));
	show_pointers(cpu, &env);
	pack(cpu, &env, bytes, image);
	mmu_write_bytes(cpu, addr, image, bytes, insn->seg);
	x87_update_faults(cpu);
}

void x87_fldenv(struct cpu *cpu, const struct insn *insn)
{
	unsigned bytes = insn->mem_bytes;
	struct environment env;
	uint8_t image[ENV32_BYTES];

	check_waiting(cpu);
	mmu_read_bytes(cpu, insn_linear(cpu, insn, bytes, false), image, bytes, insn->seg);
	unpack(cpu, image, bytes, &env);
	__asm__ volatile("fldenv %0" : : "m"(env));
	x87_update_faults(cpu);
}

void x87_fnsave(struct cpu *cpu, const struct insn *insn)
{
	unsigned bytes = insn->mem_bytes, head = bytes - REGISTERS_BYTES;
	gva_t addr = insn_linear(cpu, insn, bytes, true);
	struct {
		struct environment env;
		uint8_t registers[REGISTERS_BYTES];
	} host;
	uint8_t image[SAVE32_BYTES];

	vector_check_x87(cpu);
	mmu_check(cpu, addr, bytes, true, insn->seg);
	__asm__ volatile("fnsave %0" : "=m"(host));
	show_pointers(cpu, &host.env);
	pack(cpu, &host.env, head, image);
	memcpy(image + head, host.registers, REGISTERS_BYTES);
	mmu_write_bytes(cpu, addr, image, bytes, insn->seg);
	clear_pointers(cpu);
	x87_update_faults(cpu);
}

void x87_frstor(struct cpu *cpu, const struct insn *insn)
{
	unsigned bytes = insn->mem_bytes, head = bytes - REGISTERS_BYTES;
	struct {
		struct environment env;
		uint8_t registers[REGISTERS_BYTES];
	} host;
	uint8_t image[SAVE32_BYTES];

	check_waiting(cpu);
	mmu_read_bytes(cpu, insn_linear(cpu, insn, bytes, false), image, bytes, insn->seg);
	unpack(cpu, image, head, &host.env);
	memcpy(host.registers, image + head, REGISTERS_BYTES);
	__asm__ volatile("frstor %0" : : "m"(host));
	x87_update_faults(cpu);
}
