/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions in VMX non-root operation that cause VM exits, and what is recorded of them: exit
 * qualification, instruction information, guest linear address.
 *
 * The handlers in cpu/exec ask after their own checks of privilege, so what comes here would have
 * been executed.
 *
 * SDM3: "Instructions That Cause VM Exits", "Changes to Instruction Behavior in VMX Non-Root
 * Operation", "Basic VM-Exit Information", "Information for VM Exits Due to Instruction Execution".
 */
#include <Zydis/Zydis.h>

#include "cpu/msr.h"
#include "cpu/segment.h"
#include "vmx/vmx.h"

/* ---- instruction information ---- */

#define INFO_REG1_SHIFT      3
#define INFO_ADDR_SIZE_SHIFT 7
#define INFO_IS_REGISTER     BIT(10)
#define INFO_OPERAND_SHIFT   11 /* size: 0 is 16 bits, 1 is 32, 2 is 64 */
#define INFO_SEGMENT_SHIFT   15
#define INFO_INDEX_SHIFT     18
#define INFO_INDEX_INVALID   BIT(22)
#define INFO_BASE_SHIFT      23
#define INFO_BASE_INVALID    BIT(27)
#define INFO_REG2_SHIFT      28
#define INFO_IDENTITY_SHIFT  28

/* 2, 4 or 8 bytes as 0, 1, 2 */
static uint32_t size_code(unsigned bytes)
{
	return (uint32_t)__builtin_ctz(bytes) - 1;
}

/* Number of the general register at this offset. */
static uint32_t gpr_of(unsigned offset)
{
	return offset / 8;
}

static uint32_t memory_information(const struct insn *insn)
{
	uint32_t info = size_code(insn->addr_size) << INFO_ADDR_SIZE_SHIFT |
			(uint32_t)insn->seg << INFO_SEGMENT_SHIFT;

	if (insn->index < REG_NONE)
		info |= insn->scale_log2 | gpr_of(insn->index) << INFO_INDEX_SHIFT;
	else
		info |= INFO_INDEX_INVALID;
	if (insn->base < REG_NONE)
		info |= gpr_of(insn->base) << INFO_BASE_SHIFT;
	else
		info |= INFO_BASE_INVALID;
	return info;
}

/* The r/m operand, whose register is at `offset` where it is not in memory. */
static uint32_t operand_information(const struct insn *insn, unsigned offset)
{
	if (insn->flags & INSN_MEM)
		return memory_information(insn);
	return INFO_IS_REGISTER | gpr_of(offset) << INFO_REG1_SHIFT;
}

/* The last two bits say which of the four it was. */
static uint32_t table_identity(const struct insn *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_SIDT:
	case ZYDIS_MNEMONIC_STR:
		return 1;
	case ZYDIS_MNEMONIC_LGDT:
	case ZYDIS_MNEMONIC_LLDT:
		return 2;
	case ZYDIS_MNEMONIC_LIDT:
	case ZYDIS_MNEMONIC_LTR:
		return 3;
	default: /* SGDT, SLDT */
		return 0;
	}
}

static uint32_t table_information(const struct insn *insn, enum vmx_exit_reason reason)
{
	uint32_t identity = table_identity(insn) << INFO_IDENTITY_SHIFT;

	if (reason == EXIT_LDTR_TR)
		return operand_information(insn, insn->dst) | identity;
	return memory_information(insn) | size_code(insn->size == 2 ? 2 : 4) << INFO_OPERAND_SHIFT |
	       identity;
}

static uint32_t insn_information(const struct insn *insn, enum vmx_exit_reason reason)
{
	switch (reason) {
	case EXIT_GDTR_IDTR:
	case EXIT_LDTR_TR:
		return table_information(insn, reason);
	case EXIT_RDRAND:
	case EXIT_RDSEED:
		return gpr_of(insn->dst) << INFO_REG1_SHIFT | size_code(insn->size)
								      << INFO_OPERAND_SHIFT;
	case EXIT_VMREAD: /* r/m, field */
		return operand_information(insn, insn->dst) | gpr_of(insn->src) << INFO_REG2_SHIFT;
	case EXIT_VMWRITE: /* field, r/m */
		return operand_information(insn, insn->src) | gpr_of(insn->dst) << INFO_REG2_SHIFT;
	case EXIT_INVEPT:
	case EXIT_INVVPID:
	case EXIT_INVPCID:
		return memory_information(insn) | gpr_of(insn->dst) << INFO_REG2_SHIFT;
	case EXIT_IO: /* INS, OUTS */
		return size_code(insn->addr_size) << INFO_ADDR_SIZE_SHIFT |
		       (uint32_t)insn->seg << INFO_SEGMENT_SHIFT;
	case EXIT_VMCLEAR:
	case EXIT_VMPTRLD:
	case EXIT_VMPTRST:
	case EXIT_VMXON:
	case EXIT_XSAVES:
	case EXIT_XRSTORS:
		return memory_information(insn);
	default:
		return 0;
	}
}

/* The displacement, with RIP where that is the base. */
static uint64_t displacement(const struct cpu *cpu, const struct insn *insn)
{
	if (!(insn->flags & INSN_MEM))
		return 0;
	return (insn->base == REG_RIP ? cpu->rip : 0) + (uint64_t)insn->disp;
}

void vmx_exit_with_operands(struct cpu *cpu, enum vmx_exit_reason reason)
{
	vmcs_set(cpu, EXIT_INSTRUCTION_INFORMATION, insn_information(cpu->insn, reason));
	vmx_exit(cpu, reason, displacement(cpu, cpu->insn));
}

/* ---- MSRs ---- */

#define MSR_RANGE     0x2000u     /* MSRs that each of the bitmap's quarters speaks of */
#define MSR_HIGH      0xc0000000u /* where the high range begins */
#define MSR_MAP_HIGH  1024        /* bytes from the map of the low range */
#define MSR_MAP_WRITE 2048

static bool is_msr_intercepted(const struct cpu *cpu, uint32_t msr, bool is_write)
{
	const struct vmx *vmx = vmx_of(cpu);
	const uint8_t *map = vmx->msr_bitmap;

	if (!map)
		return true;
	if (is_write)
		map += MSR_MAP_WRITE;
	if (msr - MSR_HIGH < MSR_RANGE)
		map += MSR_MAP_HIGH;
	else if (msr >= MSR_RANGE)
		return true;
	msr %= MSR_RANGE;
	return map[msr / 8] >> msr % 8 & 1;
}

static void intercept_msr(struct cpu *cpu, uint32_t msr, bool is_write)
{
	if (is_msr_intercepted(cpu, msr, is_write))
		vmx_exit(cpu, is_write ? EXIT_WRMSR : EXIT_RDMSR, 0);
}

/* ---- I/O ---- */

#define PORTS_PER_BITMAP 0x8000u
#define PORTS            0x10000u

#define IO_IN_SHIFT        3
#define IO_STRING_SHIFT    4
#define IO_REP_SHIFT       5
#define IO_IMMEDIATE_SHIFT 6
#define IO_PORT_SHIFT      16

static bool is_port_in_bitmap(const struct vmx *vmx, unsigned port)
{
	const uint8_t *map = vmx->io_bitmap[port / PORTS_PER_BITMAP];

	port %= PORTS_PER_BITMAP;
	return !map || (map[port / 8] >> port % 8 & 1);
}

/* Bitmaps overrule the unconditional exit. An access that wraps around exits. */
static bool is_io_intercepted(const struct cpu *cpu, const struct virt_io *io)
{
	const struct vmx *vmx = vmx_of(cpu);

	if (!(vmx->proc & PROC_IO_BITMAPS))
		return vmx->proc & PROC_UNCONDITIONAL_IO;
	for (unsigned port = io->port; port < io->port + (unsigned)io->size; port++)
		if (port >= PORTS || is_port_in_bitmap(vmx, port))
			return true;
	return false;
}

static void intercept_io(struct cpu *cpu, const struct virt_io *io)
{
	if (!is_io_intercepted(cpu, io))
		return;
	if (io->is_string) {
		vmcs_set(cpu, GUEST_LINEAR_ADDRESS, io->linear);
		vmcs_set(cpu, EXIT_INSTRUCTION_INFORMATION, insn_information(cpu->insn, EXIT_IO));
	}
	vmx_exit(cpu, EXIT_IO,
		 (io->size - 1u) | (unsigned)io->is_in << IO_IN_SHIFT |
			 (unsigned)io->is_string << IO_STRING_SHIFT |
			 (unsigned)io->is_rep << IO_REP_SHIFT |
			 (unsigned)io->is_immediate << IO_IMMEDIATE_SHIFT |
			 (uint64_t)io->port << IO_PORT_SHIFT);
}

/* ---- control and debug registers ---- */

enum cr_access { CR_WRITE, CR_READ, CR_CLTS, CR_LMSW };

#define CR_ACCESS_SHIFT    4
#define CR_LMSW_MEM        BIT(6)
#define CR_GPR_SHIFT       8
#define CR_LMSW_SHIFT      16
#define CR8_MAX            15
#define MSW_BITS           (CR0_PE | CR0_MP | CR0_EM | CR0_TS)
#define INTERCEPT_REGISTER 0xf

static _Noreturn void exit_cr(struct cpu *cpu, unsigned n, enum cr_access access, unsigned gpr)
{
	vmx_exit(cpu, EXIT_CR_ACCESS, n | access << CR_ACCESS_SHIFT | gpr << CR_GPR_SHIFT);
}

/* What the guest may change, it changes; the rest stays the hypervisor's. */
static uint64_t merge(uint64_t real, uint64_t value, uint64_t mask)
{
	return (real & mask) | (value & ~mask);
}

static void exit_lmsw(struct cpu *cpu, uint64_t operand)
{
	uint64_t qualification = CR_LMSW << CR_ACCESS_SHIFT | operand << CR_LMSW_SHIFT;

	if (cpu->insn->flags & INSN_MEM) {
		qualification |= CR_LMSW_MEM;
		vmcs_set(cpu, GUEST_LINEAR_ADDRESS, insn_linear(cpu, cpu->insn, 2, false));
	}
	vmx_exit(cpu, EXIT_CR_ACCESS, qualification);
}

/* LMSW can set PE but not clear it, so it is no attempt to where it is clear in the operand. */
static uint64_t lmsw(struct cpu *cpu, uint64_t operand)
{
	uint64_t mask = vmcs_get(cpu, CR0_MASK), shadow = vmcs_get(cpu, CR0_SHADOW);
	uint64_t changed = (operand ^ shadow) & mask & MSW_BITS;

	if (!(operand & CR0_PE))
		changed &= ~CR0_PE;
	if (changed)
		exit_lmsw(cpu, operand);
	return merge(cpu->cr0, (operand & MSW_BITS) | (cpu->cr0 & (~MSW_BITS | CR0_PE)), mask);
}

static uint64_t write_masked(struct cpu *cpu, unsigned n, uint64_t value, unsigned gpr)
{
	uint64_t mask = vmcs_get(cpu, n ? CR4_MASK : CR0_MASK);
	uint64_t shadow = vmcs_get(cpu, n ? CR4_SHADOW : CR0_SHADOW);

	if ((value ^ shadow) & mask)
		exit_cr(cpu, n, CR_WRITE, gpr);
	return merge(n ? cpu->cr4 : cpu->cr0, value, mask);
}

static bool is_cr3_target(const struct cpu *cpu, uint64_t value)
{
	unsigned count = (unsigned)MIN(vmcs_get(cpu, CR3_TARGET_COUNT), (uint64_t)VMX_CR3_TARGETS);

	for (unsigned i = 0; i < count; i++)
		if (vmcs_get(cpu, CR3_TARGET0 + i) == value)
			return true;
	return false;
}

uint64_t vmx_cr_write(struct cpu *cpu, unsigned n, uint64_t value, unsigned gpr, bool is_lmsw)
{
	const struct vmx *vmx = vmx_of(cpu);

	if (is_lmsw)
		return lmsw(cpu, value);
	switch (n) {
	case 3:
		if ((vmx->proc & PROC_CR3_LOAD) && !is_cr3_target(cpu, value))
			exit_cr(cpu, n, CR_WRITE, gpr);
		return value;
	case 8:
		if (vmx->proc & PROC_CR8_LOAD)
			exit_cr(cpu, n, CR_WRITE, gpr);
		if (value > CR8_MAX)
			cpu_raise_code(cpu, EXC_GP, 0);
		if (!(vmx->proc & PROC_TPR_SHADOW))
			return value;
		vmx_apic_set_cr8(cpu, value);
		return VIRT_CR_DONE;
	default:
		return write_masked(cpu, n, value, gpr);
	}
}

uint64_t vmx_cr_read(struct cpu *cpu, unsigned n)
{
	if (n == 8)
		return vmx_of(cpu)->proc & PROC_TPR_SHADOW
			       ? vmx_apic_cr8(cpu)
			       : irq_tpr(cpu->soft->config.irq, cpu->index) >> 4;
	return merge(n ? cpu->cr4 : cpu->cr0, vmcs_get(cpu, n ? CR4_SHADOW : CR0_SHADOW),
		     ~vmcs_get(cpu, n ? CR4_MASK : CR0_MASK));
}

static void intercept_cr_read(struct cpu *cpu, uint64_t info)
{
	unsigned n = info & INTERCEPT_REGISTER;
	uint32_t control = n == 3 ? PROC_CR3_STORE : PROC_CR8_STORE;

	if (vmx_of(cpu)->proc & control)
		exit_cr(cpu, n, CR_READ, (unsigned)(info >> INTERCEPT_GPR_SHIFT));
}

static void intercept_clts(struct cpu *cpu)
{
	if (vmcs_get(cpu, CR0_MASK) & vmcs_get(cpu, CR0_SHADOW) & CR0_TS)
		exit_cr(cpu, 0, CR_CLTS, 0);
}

/* The qualification has the same layout as `info`. */
static void intercept_dr(struct cpu *cpu, uint64_t info)
{
	if (vmx_of(cpu)->proc & PROC_MOV_DR)
		vmx_exit(cpu, EXIT_DR_ACCESS, info);
}

/* ---- PAUSE ---- */

/* A loop of PAUSEs no further apart than the gap, for longer than the window. */
static bool is_pause_loop(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);
	uint64_t now = msr_tsc_root(cpu), last = vmx->last_pause_tsc;

	if (!(vmx->proc2 & PROC2_PAUSE_LOOP) || cpu->cpl)
		return false;
	vmx->last_pause_tsc = now;
	if (!last || now - last > vmcs_get(cpu, PLE_GAP))
		vmx->first_pause_tsc = now;
	return now - vmx->first_pause_tsc > vmcs_get(cpu, PLE_WINDOW);
}

static void intercept_pause(struct cpu *cpu)
{
	if ((vmx_of(cpu)->proc & PROC_PAUSE) || is_pause_loop(cpu))
		vmx_exit(cpu, EXIT_PAUSE, 0);
}

/* ---- the others ---- */

#define TASK_SELECTOR    0xffffull
#define TASK_CAUSE_SHIFT 30

static void intercept_task(struct cpu *cpu, uint64_t info)
{
	static const uint8_t source[] = {
		[TASK_CALL] = 0, [TASK_IRET] = 1, [TASK_JUMP] = 2, [TASK_GATE] = 3
	};

	vmx_exit(cpu, EXIT_TASK_SWITCH,
		 (info & TASK_SELECTOR) | (uint64_t)source[info >> TASK_CAUSE_SHIFT]
						  << TASK_CAUSE_SHIFT);
}

/* XSAVES and XRSTORS exit for components that IA32_XSS enables and the bitmap names. */
static bool is_xss_intercepted(const struct cpu *cpu)
{
	uint64_t asked = (uint32_t)cpu->gpr[RAX] | cpu->gpr[RDX] << 32;

	return asked & cpu->msr.xss & vmcs_get(cpu, XSS_EXIT_BITMAP);
}

/* Instructions that exit by one control alone, or always. */
struct simple {
	uint32_t proc, proc2; /* the control; neither: always */
	uint8_t reason;
	bool has_qualification; /* it is `info` */
	bool has_operands;      /* instruction information and displacement */
	uint32_t enable;        /* secondary control without which there is no such instruction */
};

static const struct simple simple[] = {
	[INTERCEPT_CPUID] = { .reason = EXIT_CPUID },
	[INTERCEPT_HLT] = { .proc = PROC_HLT, .reason = EXIT_HLT },
	[INTERCEPT_INVD] = { .reason = EXIT_INVD },
	[INTERCEPT_WBINVD] = { .proc2 = PROC2_WBINVD, .reason = EXIT_WBINVD },
	[INTERCEPT_INVLPG] = { .proc = PROC_INVLPG,
			       .reason = EXIT_INVLPG,
			       .has_qualification = true },
	[INTERCEPT_INVPCID] = { .proc = PROC_INVLPG,
				.reason = EXIT_INVPCID,
				.has_operands = true,
				.enable = PROC2_INVPCID },
	[INTERCEPT_RDPMC] = { .proc = PROC_RDPMC, .reason = EXIT_RDPMC },
	[INTERCEPT_RDTSC] = { .proc = PROC_RDTSC, .reason = EXIT_RDTSC },
	[INTERCEPT_RDTSCP] = { .proc = PROC_RDTSC, .reason = EXIT_RDTSCP, .enable = PROC2_RDTSCP },
	[INTERCEPT_RDRAND] = { .proc2 = PROC2_RDRAND, .reason = EXIT_RDRAND, .has_operands = true },
	[INTERCEPT_RDSEED] = { .proc2 = PROC2_RDSEED, .reason = EXIT_RDSEED, .has_operands = true },
	[INTERCEPT_MONITOR] = { .proc = PROC_MONITOR, .reason = EXIT_MONITOR },
	[INTERCEPT_MWAIT] = { .proc = PROC_MWAIT, .reason = EXIT_MWAIT, .has_qualification = true },
	[INTERCEPT_XSETBV] = { .reason = EXIT_XSETBV },
	[INTERCEPT_XSAVES] = { .reason = EXIT_XSAVES,
			       .has_operands = true,
			       .enable = PROC2_XSAVES },
	[INTERCEPT_XRSTORS] = { .reason = EXIT_XRSTORS,
				.has_operands = true,
				.enable = PROC2_XSAVES },
	[INTERCEPT_VMCALL] = { .reason = EXIT_VMCALL },
	[INTERCEPT_TRIPLE_FAULT] = { .reason = EXIT_TRIPLE_FAULT },
	[INTERCEPT_INIT] = { .reason = EXIT_INIT },
	[INTERCEPT_SIPI] = { .reason = EXIT_SIPI, .has_qualification = true },
};

static void intercept_simple(struct cpu *cpu, const struct simple *s, uint64_t info)
{
	const struct vmx *vmx = vmx_of(cpu);

	if ((s->proc || s->proc2) && !(vmx->proc & s->proc) && !(vmx->proc2 & s->proc2))
		return;
	if (s->has_operands)
		vmx_exit_with_operands(cpu, s->reason);
	vmx_exit(cpu, s->reason, s->has_qualification ? info : 0);
}

static void require_enabled(struct cpu *cpu, uint64_t what)
{
	uint32_t enable = simple[what].enable;

	if (enable && !(vmx_of(cpu)->proc2 & enable))
		cpu_raise(cpu, EXC_UD);
}

static void intercept_table(struct cpu *cpu)
{
	bool is_selector = cpu->insn->mnemonic == ZYDIS_MNEMONIC_LLDT ||
			   cpu->insn->mnemonic == ZYDIS_MNEMONIC_LTR ||
			   cpu->insn->mnemonic == ZYDIS_MNEMONIC_SLDT ||
			   cpu->insn->mnemonic == ZYDIS_MNEMONIC_STR;

	if (vmx_of(cpu)->proc2 & PROC2_DESCRIPTOR_TABLE)
		vmx_exit_with_operands(cpu, is_selector ? EXIT_LDTR_TR : EXIT_GDTR_IDTR);
}

void vmx_intercept(struct cpu *cpu, enum virt_intercept what, uint64_t info)
{
	switch (what) {
	case INTERCEPT_MISSING:
		require_enabled(cpu, info);
		break;
	case INTERCEPT_RDMSR:
	case INTERCEPT_WRMSR:
		intercept_msr(cpu, (uint32_t)info, what == INTERCEPT_WRMSR);
		break;
	case INTERCEPT_IO:
		intercept_io(cpu, (const struct virt_io *)(uintptr_t)info);
		break;
	case INTERCEPT_CR_READ:
		intercept_cr_read(cpu, info);
		break;
	case INTERCEPT_CLTS:
		intercept_clts(cpu);
		break;
	case INTERCEPT_DR:
		intercept_dr(cpu, info);
		break;
	case INTERCEPT_PAUSE:
		intercept_pause(cpu);
		break;
	case INTERCEPT_TABLE:
		intercept_table(cpu);
		break;
	case INTERCEPT_TASK:
		intercept_task(cpu, info);
		break;
	case INTERCEPT_RDTSC:
	case INTERCEPT_RDTSCP:
		vmx_timer_check(cpu);
		intercept_simple(cpu, &simple[what], info);
		break;
	case INTERCEPT_XSAVES:
	case INTERCEPT_XRSTORS:
		if (!is_xss_intercepted(cpu))
			break;
		/* fall through */
	default:
		intercept_simple(cpu, &simple[what], info);
	}
}
