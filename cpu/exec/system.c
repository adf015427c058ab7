/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System instructions: MSRs, CPUID, time, caches and TLB, protection keys, segment bases, HLT,
 * hypercalls. SDM2: the instruction's own page.
 */
#include "cpu/cpuid.h"
#include "cpu/exec/exec.h"
#include "cpu/exec/host.h"
#include "cpu/exec/privileged.h"
#include "cpu/feature.h"
#include "cpu/msr.h"
#include "cpu/segment.h"
#include "cpu/virt.h"

static void write_edx_eax(struct cpu *cpu, uint64_t value)
{
	cpu->gpr[RAX] = (uint32_t)value;
	cpu->gpr[RDX] = value >> 32;
}

static uint64_t read_edx_eax(const struct cpu *cpu)
{
	return cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX];
}

/* ---- CPUID, MSRs, time ---- */

void system_cpuid(struct cpu *cpu, const struct insn *insn)
{
	struct cpuid_result r;

	(void)insn;
	virt_intercept(cpu, INTERCEPT_CPUID, 0);
	r = cpuid_query(cpu, (uint32_t)cpu->gpr[RAX], (uint32_t)cpu->gpr[RCX]);
	cpu->gpr[RAX] = r.eax;
	cpu->gpr[RBX] = r.ebx;
	cpu->gpr[RCX] = r.ecx;
	cpu->gpr[RDX] = r.edx;
}

void system_rdmsr(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value;

	(void)insn;
	require_cpl0(cpu);
	virt_intercept(cpu, INTERCEPT_RDMSR, (uint32_t)cpu->gpr[RCX]);
	if (!msr_read(cpu, (uint32_t)cpu->gpr[RCX], &value))
		cpu_raise_code(cpu, EXC_GP, 0);
	write_edx_eax(cpu, value);
}

void system_wrmsr(struct cpu *cpu, const struct insn *insn)
{
	require_cpl0(cpu);
	virt_intercept(cpu, INTERCEPT_WRMSR, (uint32_t)cpu->gpr[RCX]);
	if (!msr_write(cpu, (uint32_t)cpu->gpr[RCX], read_edx_eax(cpu)))
		cpu_raise_code(cpu, EXC_GP, 0);
	insn_advance(cpu, insn);
}

static void check_tsd(struct cpu *cpu)
{
	if (unlikely((cpu->cr4 & CR4_TSD) && cpu->cpl))
		cpu_raise_code(cpu, EXC_GP, 0);
}

void system_rdtsc(struct cpu *cpu, const struct insn *insn)
{
	uint64_t tsc = msr_tsc(cpu);

	(void)insn;
	check_tsd(cpu);
	virt_intercept(cpu, INTERCEPT_RDTSC, 0);
	write_edx_eax(cpu, tsc);
}

/* SDM2: "RDTSCP": it waits for the loads before it, which plain RDTSC on the host does not. */
void system_rdtscp(struct cpu *cpu, const struct insn *insn)
{
	uint64_t tsc;

	asm volatile("lfence" : : : "memory");
	tsc = msr_tsc(cpu);
	(void)insn;
	virt_require(cpu, INTERCEPT_RDTSCP);
	check_tsd(cpu);
	virt_intercept(cpu, INTERCEPT_RDTSCP, 0);
	write_edx_eax(cpu, tsc);
	cpu->gpr[RCX] = (uint32_t)cpu->msr.tsc_aux;
}

void system_rdpid(struct cpu *cpu, const struct insn *insn)
{
	virt_require(cpu, INTERCEPT_RDTSCP);
	reg_write(cpu, insn->dst, native_size(cpu), cpu->msr.tsc_aux);
}

void system_rdpmc(struct cpu *cpu, const struct insn *insn)
{
	bool is_intel = cpu->soft->config.vendor == CPU_INTEL; /* others have no counters */
	uint64_t value;

	(void)insn;
	if (!(cpu->cr4 & CR4_PCE) && !cpu_in_real_mode(cpu))
		require_cpl0(cpu);
	virt_intercept(cpu, INTERCEPT_RDPMC, 0);
	if (!is_intel || !pmu_read(cpu, (uint32_t)cpu->gpr[RCX], &value))
		cpu_raise_code(cpu, EXC_GP, 0);
	write_edx_eax(cpu, value);
}

/* RDRAND and RDSEED are the host's. */
static void random_number(struct cpu *cpu, const struct insn *insn)
{
	virt_intercept(
		cpu, insn->mnemonic == ZYDIS_MNEMONIC_RDRAND ? INTERCEPT_RDRAND : INTERCEPT_RDSEED,
		0);
	host_run(cpu, insn);
}

insn_fn *system_select_random(const ZydisDecodedInstruction *zydis,
			      const ZydisDecodedOperand *operands, struct insn *insn)
{
	return hosted_select(zydis, operands, insn) ? random_number : NULL;
}

/* ---- caches and TLB ---- */

/* INVD, WBINVD, WBNOINVD: there are no caches to write back. */
void system_wbinvd(struct cpu *cpu, const struct insn *insn)
{
	require_cpl0(cpu);
	virt_intercept(
		cpu, insn->mnemonic == ZYDIS_MNEMONIC_INVD ? INTERCEPT_INVD : INTERCEPT_WBINVD, 0);
}

/* CLFLUSH and relatives fault as a load of one byte does. */
void system_clflush(struct cpu *cpu, const struct insn *insn)
{
	mmu_check(cpu, insn_linear(cpu, insn, 1, false), 1, false, insn->seg);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Linear address of a memory operand that is not accessed: no limit, no rights. */
static gva_t linear_unchecked(struct cpu *cpu, const struct insn *insn)
{
	uint64_t ea = insn_ea(cpu, insn);

	if (!cpu_in_64bit_mode(cpu))
		return (uint32_t)(cpu->seg[insn->seg].base + ea);
	return insn->seg == FS || insn->seg == GS ? cpu->seg[insn->seg].base + ea : ea;
}

void system_invlpg(struct cpu *cpu, const struct insn *insn)
{
	gva_t addr = linear_unchecked(cpu, insn);

	require_cpl0(cpu);
	virt_intercept(cpu, INTERCEPT_INVLPG, addr);
	if (is_canonical(addr))
		mmu_flush_address(cpu, addr);
	insn_advance(cpu, insn);
}

enum invpcid_type { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL, INVPCID_NONGLOBAL };

struct invpcid_descriptor {
	uint64_t pcid, addr;
};

static void invalidate(struct cpu *cpu, uint64_t type, const struct invpcid_descriptor *d)
{
	switch (type) {
	case INVPCID_ADDRESS:
		mmu_flush_pcid_address(cpu, (unsigned)d->pcid, d->addr);
		break;
	case INVPCID_CONTEXT:
		mmu_flush_pcid(cpu, (unsigned)d->pcid);
		break;
	case INVPCID_ALL:
		mmu_flush_all(cpu);
		break;
	case INVPCID_NONGLOBAL:
		mmu_flush_nonglobal(cpu);
		break;
	}
}

void system_invpcid(struct cpu *cpu, const struct insn *insn)
{
	uint64_t type = reg_read(cpu, insn->dst, native_size(cpu));
	struct invpcid_descriptor d;
	bool is_bad;

	virt_require(cpu, INTERCEPT_INVPCID);
	require_cpl0(cpu);
	virt_intercept(cpu, INTERCEPT_INVPCID, 0);
	if (type > INVPCID_NONGLOBAL)
		cpu_raise_code(cpu, EXC_GP, 0);
	mmu_read_bytes(cpu, insn_linear(cpu, insn, sizeof(d), false), &d, sizeof(d), insn->seg);
	is_bad = d.pcid > CR3_PCID;
	if (type <= INVPCID_CONTEXT)
		is_bad |= d.pcid != 0 && !(cpu->cr4 & CR4_PCIDE);
	if (type == INVPCID_ADDRESS)
		is_bad |= !is_canonical(d.addr);
	if (is_bad)
		cpu_raise_code(cpu, EXC_GP, 0);
	invalidate(cpu, type, &d);
	insn_advance(cpu, insn);
}

/* ---- SMAP, protection keys ---- */

static void write_ac(struct cpu *cpu, uint32_t ac)
{
	if (cpu->cpl)
		cpu_raise(cpu, EXC_UD);
	cpu->rflags = (cpu->rflags & ~(uint32_t)RFLAGS_AC) | ac;
	mmu_privilege_changed(cpu);
}

void system_stac(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	write_ac(cpu, RFLAGS_AC);
}

void system_clac(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	write_ac(cpu, 0);
}

static void check_pkru(struct cpu *cpu)
{
	require_cr4(cpu, CR4_PKE);
	if ((uint32_t)cpu->gpr[RCX])
		cpu_raise_code(cpu, EXC_GP, 0);
}

void system_rdpkru(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	check_pkru(cpu);
	write_edx_eax(cpu, cpu->pkru);
}

void system_wrpkru(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	check_pkru(cpu);
	if ((uint32_t)cpu->gpr[RDX])
		cpu_raise_code(cpu, EXC_GP, 0);
	mmu_write_pkru(cpu, (uint32_t)cpu->gpr[RAX]);
}

/* ---- FS and GS bases ---- */

void system_swapgs(struct cpu *cpu, const struct insn *insn)
{
	uint64_t base = cpu->seg[GS].base;

	(void)insn;
	require_cpl0(cpu);
	cpu->seg[GS].base = cpu->msr.kernel_gs_base;
	cpu->msr.kernel_gs_base = base;
}

static void read_base(struct cpu *cpu, const struct insn *insn, unsigned seg)
{
	require_cr4(cpu, CR4_FSGSBASE);
	reg_write(cpu, insn->dst, insn->size, cpu->seg[seg].base);
}

static void write_base(struct cpu *cpu, const struct insn *insn, unsigned seg)
{
	uint64_t base = reg_read(cpu, insn->dst, insn->size);

	require_cr4(cpu, CR4_FSGSBASE);
	if (!is_canonical(base))
		cpu_raise_code(cpu, EXC_GP, 0);
	cpu->seg[seg].base = base;
}

void system_rdfsbase(struct cpu *cpu, const struct insn *insn)
{
	read_base(cpu, insn, FS);
}

void system_rdgsbase(struct cpu *cpu, const struct insn *insn)
{
	read_base(cpu, insn, GS);
}

void system_wrfsbase(struct cpu *cpu, const struct insn *insn)
{
	write_base(cpu, insn, FS);
}

void system_wrgsbase(struct cpu *cpu, const struct insn *insn)
{
	write_base(cpu, insn, GS);
}

/* ---- HLT, hypercalls ---- */

void system_hlt(struct cpu *cpu, const struct insn *insn)
{
	require_cpl0(cpu);
	virt_intercept(cpu, INTERCEPT_HLT, 0);
	cpu->activity = CPU_HALTED;
	cpu_attention_set(cpu, ATTENTION_HALT);
	insn_advance(cpu, insn);
}

#define KVM_EPERM  1
#define KVM_ENOSYS 1000

/*
 * VMCALL and VMMCALL: who shows KVM's leaves must answer; no call is implemented. A nested guest's
 * own hypervisor is the one to be called, by the instruction that the processor has.
 */
void system_hypercall(struct cpu *cpu, const struct insn *insn)
{
	int64_t result = cpu->cpl ? -KVM_EPERM : -KVM_ENOSYS;

	(void)insn;
	if (cpu->in_guest)
		cpu_raise(cpu, EXC_UD);
	reg_write(cpu, REG_OFFSET(RAX), native_size(cpu), (uint64_t)result);
}

/* ---- the virtualization extension ---- */

void system_vmcall(struct cpu *cpu, const struct insn *insn)
{
	if (cpu->virt)
		cpu->virt->execute(cpu, insn);
	else
		system_hypercall(cpu, insn);
}

/* decode knows them only where the extension is shown */
void system_virt(struct cpu *cpu, const struct insn *insn)
{
	cpu->virt->execute(cpu, insn);
}
