/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of MSRs and what reading and writing them does. An MSR that has no row here, or whose
 * feature the CPU model lacks, is #GP(0). Those of the virtualization extension are its own
 * (virt_ops.msr), and come first.
 */
#include "cpu/msr.h"

#include "cpu/control.h"
#include "cpu/feature.h"
#include "cpu/kvmclock.h"
#include "cpu/mmu/mmu.h"
#include "cpu/model.h"
#include "cpu/mtrr.h"
#include "cpu/soft.h"
#include "cpu/virt.h"

#define APIC_BASE_ENABLE BIT(11)
#define APIC_BASE_PAGE   (~0xfffull)

#define PAT_RESET           0x0007040600070406ull
#define MISC_ENABLE_FAST    BIT(0) /* fast string operations */
#define MISC_ENABLE_NO_BTS  BIT(11)
#define MISC_ENABLE_NO_PEBS BIT(12)
#define MISC_ENABLE_MASK    0x0000004400dd1a89ull
#define FEATURE_CTL_LOCKED  BIT(0)
#define SPEC_CTRL_MASK      (BIT(0) | BIT(1) | BIT(10)) /* IBRS, STIBP, BHI_DIS_S */
#define PRED_CMD_IBPB       BIT(0)
#define DE_CFG_LFENCE       BIT(1) /* LFENCE serializes */
#define DE_CFG_FP_BACKUP    BIT(9)
#define HWCR_STATUS_WRITE   BIT(18) /* MCi_STATUS may be written */
#define HWCR_TSC_FREQ       BIT(24) /* the TSC counts at the P0 frequency */
#define HWCR_IGNORED        (BIT(3) | BIT(6) | BIT(8))
#define VM_CR_SVM_OFF       (BIT(3) /* locked */ | BIT(4))
#define OSVW_KNOWN          5 /* errata that OSVW speaks of: none applies */

#define MC_BANKS      10
#define MC_PER_BANK   4
#define MCG_CTL_P     BIT(8)
#define MC_ALL        (~0ull)
#define MC_BANK0_ERR  BIT(0) /* guests may clear these two bits of a MCi_CTL */
#define MC_BANK4_GART BIT(10)

/* ---- plain storage and constants ---- */

static uint64_t *storage(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
	return (uint64_t *)((uint8_t *)&cpu->msr + row->offset) + (msr - row->first);
}

bool msr_read_storage(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	*value = *storage(cpu, row, msr);
	return true;
}

bool msr_write_storage(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	*storage(cpu, row, msr) = value;
	return true;
}

static bool write_canonical(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
			    uint64_t value)
{
	return is_canonical(value) && msr_write_storage(cpu, row, msr, value);
}

static bool read_constant(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	(void)cpu;
	(void)msr;
	*value = row->value;
	return true;
}

static bool write_ignored(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	(void)cpu;
	(void)row;
	(void)msr;
	(void)value;
	return true;
}

/* ---- time ---- */

void msr_tsc_changed(struct cpu *cpu)
{
	uint64_t added = cpu->msr.tsc_offset - clock_host_tsc(cpu->soft->config.clock, 0);
	uint64_t limit = ~0ull;

	if (cpu->in_guest) {
		added += cpu->guest_tsc_offset;
		limit = cpu->guest_tsc_limit;
	}
	cpu->jit.tsc_added = added;
	cpu->jit.tsc_limit = cpu->cr4 & CR4_TSD ? 0 : limit;
}

static void set_tsc_offset(struct cpu *cpu, uint64_t offset)
{
	cpu->msr.tsc_offset = offset;
	irq_set_tsc_offset(cpu->soft->config.irq, cpu->index, offset);
	msr_tsc_changed(cpu);
	kvmclock_update(cpu);
}

static bool read_tsc(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	(void)row;
	(void)msr;
	*value = msr_tsc(cpu);
	return true;
}

static bool write_tsc(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	uint64_t delta = value - msr_tsc_root(cpu);

	(void)row;
	(void)msr;
	cpu->msr.tsc_adjust += delta;
	set_tsc_offset(cpu, cpu->msr.tsc_offset + delta);
	return true;
}

static bool write_tsc_adjust(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
			     uint64_t value)
{
	uint64_t delta = value - cpu->msr.tsc_adjust;

	(void)row;
	(void)msr;
	cpu->msr.tsc_adjust = value;
	set_tsc_offset(cpu, cpu->msr.tsc_offset + delta);
	return true;
}

/* ---- the local APIC ---- */

static void take_over_apic(struct cpu *cpu)
{
	uint64_t base = irq_apic_base(cpu->soft->config.irq, cpu->index);
	uint64_t page = NO_APIC_PAGE;

	if ((base & APIC_BASE_ENABLE) && !(base & APIC_BASE_X2APIC))
		page = base & APIC_BASE_PAGE;
	if (page == cpu->apic_page)
		return;
	cpu->apic_page = page;
	mmu_flush_everything(cpu);
}

static bool read_apic_base(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
			   uint64_t *value)
{
	(void)row;
	(void)msr;
	*value = irq_apic_base(cpu->soft->config.irq, cpu->index);
	return true;
}

static bool write_apic_base(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
			    uint64_t value)
{
	(void)row;
	(void)msr;
	if (!irq_set_apic_base(cpu->soft->config.irq, cpu->index, value))
		return false;
	take_over_apic(cpu);
	return true;
}

static bool read_apic(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	bool is_valid = true;

	(void)row;
	if (unlikely(cpu->in_guest) && cpu->virt->apic_msr(cpu, msr, false, value, &is_valid))
		return is_valid;
	return irq_apic_rdmsr(cpu->soft->config.irq, cpu->index, msr, value);
}

static bool write_apic(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	bool is_valid = true;

	(void)row;
	if (unlikely(cpu->in_guest) && cpu->virt->apic_msr(cpu, msr, true, &value, &is_valid))
		return is_valid;
	return irq_apic_wrmsr(cpu->soft->config.irq, cpu->index, msr, value);
}

/* ---- long mode ---- */

static bool read_efer(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	(void)row;
	(void)msr;
	*value = cpu->efer;
	return true;
}

static bool write_efer(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	(void)row;
	(void)msr;
	return control_write_efer(cpu, value);
}

/* IA32_FS_BASE and IA32_GS_BASE: neighbours, as the segments are. */
static bool read_base(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	*value = cpu->seg[FS + (msr - row->first)].base;
	return true;
}

static bool write_base(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	if (!is_canonical(value))
		return false;
	cpu->seg[FS + (msr - row->first)].base = value;
	return true;
}

/* SYSENTER_ESP and _EIP: AMD uses no more than 32 bits of them and does not look at the others. */
static bool write_sysenter(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	if (cpu->soft->config.vendor == CPU_AMD)
		return msr_write_storage(cpu, row, msr, value);
	return write_canonical(cpu, row, msr, value);
}

/* ---- machine check ---- */

static bool write_mcg_ctl(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	return (value == 0 || value == MC_ALL) && msr_write_storage(cpu, row, msr, value);
}

static bool write_mc_bank(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	bool ok = true;

	switch ((msr - row->first) % MC_PER_BANK) {
	case 0: /* CTL */
		ok = value == 0 || (value | MC_BANK0_ERR | MC_BANK4_GART) == MC_ALL;
		break;
	case 1: /* STATUS */
		ok = value == 0 || (cpu->msr.hwcr & HWCR_STATUS_WRITE);
		break;
	}
	return ok && msr_write_storage(cpu, row, msr, value);
}

/* ---- identity ---- */

static const struct cpu_model *model_of(const struct cpu *cpu)
{
	return model_find(cpu->soft->config.vendor);
}

static bool read_microcode(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
			   uint64_t *value)
{
	(void)row;
	(void)msr;
	*value = model_of(cpu)->microcode;
	return true;
}

static bool read_arch_capabilities(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
				   uint64_t *value)
{
	(void)row;
	(void)msr;
	*value = model_of(cpu)->arch_capabilities;
	return true;
}

/* The ratio of the TSC to 100 MHz. */
static bool read_platform_info(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
			       uint64_t *value)
{
	(void)row;
	(void)msr;
	*value = (clock_tsc_khz(cpu->soft->config.clock) / 100000 & 0xff) << 8;
	return true;
}

static bool read_top_mem(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	const struct memory *memory = cpu->soft->config.memory;

	(void)row;
	(void)msr;
	*value = MIN(memory->top, MEMORY_LOW_TOP);
	return true;
}

static bool read_top_mem2(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	const struct memory *memory = cpu->soft->config.memory;

	(void)row;
	(void)msr;
	*value = memory->top > MEMORY_HIGH_BASE ? memory->top : 0;
	return true;
}

/* ---- the table ---- */

/* clang-format off */
#define ALL   { MSR_ALWAYS, MSR_ALWAYS }
#define INTEL { MSR_ALWAYS, MSR_NEVER }
#define AMD   { MSR_NEVER, MSR_ALWAYS }
#define IF(feature)         { FEATURE_##feature, FEATURE_##feature }
#define IF_EACH(intel, amd) { intel, amd }

/* Storage, a constant, and what other code answers. */
#define STORED(number, count, name, who, field, writable, reset, write) \
	{ name, number, count, who, offsetof(struct cpu_msrs, field), writable, reset, \
	  msr_read_storage, write }
#define FIXED(number, name, who, value) \
	{ name, number, 1, who, 0, 0, value, read_constant, NULL }
#define LIVE(number, count, name, who, writable, read, write) \
	{ name, number, count, who, 0, writable, 0, read, write }

/* A register of struct pmu. */
#define PMU(number, count, name, field, writable, write) \
	{ name, number, count, INTEL, offsetof(struct pmu, field), writable, 0, pmu_read_control, write }

#define ANY   (~0ull)
#define LOW32 0xffffffffull
#define PHYS  (BIT(PHYSICAL_BITS) - 1)

static const struct msr_row rows[] = {
	LIVE(0x10, 1, "IA32_TIME_STAMP_COUNTER", IF(TSC), ANY, read_tsc, write_tsc),
	STORED(0x11, 1, "KVM_WALL_CLOCK", ALL, kvm_wall_clock, ANY, 0, kvmclock_write_wall_clock),
	STORED(0x12, 1, "KVM_SYSTEM_TIME", ALL, kvm_system_time, ANY, 0, kvmclock_write_system_time),
	FIXED(0x17, "IA32_PLATFORM_ID", INTEL, 0),
	LIVE(0x1b, 1, "IA32_APIC_BASE", IF(APIC), PHYS, read_apic_base, write_apic_base),
	FIXED(0x2a, "EBL_CR_POWERON", INTEL, 0),
	FIXED(0x34, "SMI_COUNT", INTEL, 0),
	FIXED(0x3a, "IA32_FEATURE_CONTROL", INTEL, FEATURE_CTL_LOCKED),
	STORED(0x3b, 1, "IA32_TSC_ADJUST", IF(TSC_ADJUST), tsc_adjust, ANY, 0, write_tsc_adjust),
	STORED(0x48, 1, "IA32_SPEC_CTRL", IF_EACH(FEATURE_SPEC_CTRL, FEATURE_AMD_IBRS), spec_ctrl,
	       SPEC_CTRL_MASK, 0, msr_write_storage),
	LIVE(0x49, 1, "IA32_PRED_CMD", IF_EACH(FEATURE_SPEC_CTRL, FEATURE_AMD_IBPB), PRED_CMD_IBPB,
	     NULL, write_ignored),
	LIVE(0x79, 1, "IA32_BIOS_UPDT_TRIG", INTEL, ANY, NULL, write_ignored),
	LIVE(0x8b, 1, "IA32_BIOS_SIGN_ID", ALL, ANY, read_microcode, write_ignored),
	LIVE(0xc1, PMU_GENERAL, "IA32_PMC", INTEL, ANY, pmu_read_general, pmu_write_general),
	LIVE(0xce, 1, "MSR_PLATFORM_INFO", INTEL, 0, read_platform_info, NULL),
	FIXED(0xfe, "IA32_MTRRCAP", IF(MTRR), MTRR_CAP),
	LIVE(0x10a, 1, "IA32_ARCH_CAPABILITIES", IF(ARCH_CAPABILITIES), 0, read_arch_capabilities, NULL),
	STORED(0x174, 1, "IA32_SYSENTER_CS", IF(SEP), sysenter_cs, ANY, 0, msr_write_storage),
	STORED(0x175, 1, "IA32_SYSENTER_ESP", IF(SEP), sysenter_esp, ANY, 0, write_sysenter),
	STORED(0x176, 1, "IA32_SYSENTER_EIP", IF(SEP), sysenter_eip, ANY, 0, write_sysenter),
	FIXED(0x179, "IA32_MCG_CAP", IF(MCA), MCG_CTL_P | MC_BANKS),
	STORED(0x17a, 1, "IA32_MCG_STATUS", IF(MCA), mcg_status, BIT(0) | BIT(1) | BIT(2), 0,
	       msr_write_storage),
	STORED(0x17b, 1, "IA32_MCG_CTL", IF(MCA), mcg_ctl, ANY, 0, write_mcg_ctl),
	PMU(0x186, PMU_GENERAL, "IA32_PERFEVTSEL", select, PMU_SELECT_WRITABLE, pmu_write_control),
	STORED(0x1a0, 1, "IA32_MISC_ENABLE", ALL, misc_enable, MISC_ENABLE_MASK,
	       MISC_ENABLE_FAST | MISC_ENABLE_NO_BTS | MISC_ENABLE_NO_PEBS, msr_write_storage),
	STORED(0x1d9, 1, "IA32_DEBUGCTL", ALL, debugctl, DEBUGCTL_OFFERED, 0, msr_write_storage),
	LIVE(0x200, 2 * MTRR_VARIABLE, "IA32_MTRR_PHYS", IF(MTRR), PHYS, mtrr_read_variable,
	     mtrr_write_variable),
	STORED(0x250, 1, "IA32_MTRR_FIX64K", IF(MTRR), mtrr_fixed[0], ANY, 0, mtrr_write_fixed),
	STORED(0x258, 2, "IA32_MTRR_FIX16K", IF(MTRR), mtrr_fixed[1], ANY, 0, mtrr_write_fixed),
	STORED(0x268, 8, "IA32_MTRR_FIX4K", IF(MTRR), mtrr_fixed[3], ANY, 0, mtrr_write_fixed),
	STORED(0x277, 1, "IA32_PAT", IF(PAT), pat, ANY, PAT_RESET, mtrr_write_pat),
	/* As firmware would leave it, since there may be none: all of memory write-back. */
	STORED(0x2ff, 1, "IA32_MTRR_DEF_TYPE", IF(MTRR), mtrr_def_type,
	       0xff | MTRR_DEF_FIXED | MTRR_DEF_ENABLE, MTRR_DEF_ENABLE | MTRR_TYPE_WB,
	       mtrr_write_default),
	LIVE(0x309, PMU_FIXED, "IA32_FIXED_CTR", INTEL, BIT(PMU_WIDTH_BITS) - 1, pmu_read_fixed,
	     pmu_write_fixed),
	PMU(0x38d, 1, "IA32_FIXED_CTR_CTRL", fixed_ctrl, PMU_FIXED_WRITABLE, pmu_write_control),
	PMU(0x38e, 1, "IA32_PERF_GLOBAL_STATUS", global_status, 0, NULL),
	PMU(0x38f, 1, "IA32_PERF_GLOBAL_CTRL", global_ctrl, PMU_GLOBAL_ENABLE, pmu_write_control),
	{ "IA32_PERF_GLOBAL_OVF_CTRL", 0x390, 1, INTEL, 0, PMU_OVERFLOW_CLEAR, 0, read_constant,
	  pmu_write_overflow },
	STORED(0x400, MC_BANKS * MC_PER_BANK, "IA32_MC", IF(MCA), mc_bank[0], ANY, 0, write_mc_bank),
	LIVE(0x6e0, 1, "IA32_TSC_DEADLINE", IF(TSC_DEADLINE), ANY, read_apic, write_apic),
	LIVE(0x800, 0x100, "IA32_X2APIC", IF(X2APIC), ANY, read_apic, write_apic),
	STORED(0xda0, 1, "IA32_XSS", IF(XSAVES), xss, 0, 0, msr_write_storage),
	STORED(0x4b564d00, 1, "KVM_WALL_CLOCK_NEW", ALL, kvm_wall_clock, ANY, 0,
	       kvmclock_write_wall_clock),
	STORED(0x4b564d01, 1, "KVM_SYSTEM_TIME_NEW", ALL, kvm_system_time, ANY, 0,
	       kvmclock_write_system_time),
	LIVE(0xc0000080, 1, "IA32_EFER", ALL, ANY, read_efer, write_efer),
	STORED(0xc0000081, 1, "IA32_STAR", IF(SYSCALL), star, ANY, 0, msr_write_storage),
	STORED(0xc0000082, 1, "IA32_LSTAR", IF(LM), lstar, ANY, 0, write_canonical),
	STORED(0xc0000083, 1, "IA32_CSTAR", IF(LM), cstar, ANY, 0, write_canonical),
	STORED(0xc0000084, 1, "IA32_FMASK", IF(SYSCALL), fmask, LOW32, 0, msr_write_storage),
	LIVE(0xc0000100, 2, "IA32_FS_BASE, IA32_GS_BASE", IF(LM), ANY, read_base, write_base),
	STORED(0xc0000102, 1, "IA32_KERNEL_GS_BASE", IF(LM), kernel_gs_base, ANY, 0, write_canonical),
	STORED(0xc0000103, 1, "IA32_TSC_AUX", IF(RDTSCP), tsc_aux, LOW32, 0, msr_write_storage),
	/* The four counters that every AMD processor has: they stay at zero. */
	{ "PERF_LEGACY", 0xc0010000, 8, AMD, 0, ANY, 0, read_constant, write_ignored },
	FIXED(0xc0010010, "SYSCFG", AMD, 0),
	STORED(0xc0010015, 1, "HWCR", AMD, hwcr, HWCR_STATUS_WRITE | HWCR_TSC_FREQ | HWCR_IGNORED,
	       HWCR_TSC_FREQ, msr_write_storage),
	LIVE(0xc001001a, 1, "TOP_MEM", AMD, 0, read_top_mem, NULL),
	LIVE(0xc001001d, 1, "TOP_MEM2", AMD, 0, read_top_mem2, NULL),
	{ "NB_CFG", 0xc001001f, 1, AMD, 0, ANY, 0, read_constant, write_ignored },
	FIXED(0xc0010114, "VM_CR", AMD, VM_CR_SVM_OFF),
	FIXED(0xc0010140, "OSVW_ID_LENGTH", IF(OSVW), OSVW_KNOWN),
	FIXED(0xc0010141, "OSVW_STATUS", IF(OSVW), 0),
	{ "DE_CFG", 0xc0011029, 1, AMD, 0, DE_CFG_LFENCE | DE_CFG_FP_BACKUP, DE_CFG_LFENCE,
	  read_constant, write_ignored },
};
/* clang-format on */

const struct msr_row *msr_table(unsigned *count)
{
	*count = ARRAY_SIZE(rows);
	return rows;
}

static bool is_offered(const struct cpu *cpu, const struct msr_row *row)
{
	uint16_t feature = row->feature[cpu->soft->config.vendor];

	return feature == MSR_ALWAYS || (feature != MSR_NEVER && cpu_has(cpu, feature));
}

static const struct msr_row *find(const struct cpu *cpu, uint32_t msr)
{
	unsigned low = 0, high = ARRAY_SIZE(rows);

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (msr < rows[middle].first)
			high = middle;
		else if (msr - rows[middle].first >= rows[middle].count)
			low = middle + 1;
		else
			return is_offered(cpu, &rows[middle]) ? &rows[middle] : NULL;
	}
	return NULL;
}

bool msr_read(struct cpu *cpu, uint32_t msr, uint64_t *value)
{
	const struct msr_row *row;
	bool is_valid;

	if (cpu->virt && cpu->virt->msr(cpu, msr, false, value, &is_valid))
		return is_valid;
	row = find(cpu, msr);
	return row && row->read && row->read(cpu, row, msr, value);
}

bool msr_write(struct cpu *cpu, uint32_t msr, uint64_t value)
{
	const struct msr_row *row;
	bool is_valid;

	if (cpu->virt && cpu->virt->msr(cpu, msr, true, &value, &is_valid))
		return is_valid;
	row = find(cpu, msr);
	return row && row->write && !(value & ~row->writable) && row->write(cpu, row, msr, value);
}

void msr_reset(struct cpu *cpu)
{
	memset(&cpu->msr, 0, sizeof(cpu->msr));
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].read == msr_read_storage)
			for (uint32_t n = 0; n < rows[i].count; n++)
				*storage(cpu, &rows[i], rows[i].first + n) = rows[i].value;
	pmu_reset(cpu);
	irq_set_tsc_offset(cpu->soft->config.irq, cpu->index, 0);
	msr_tsc_changed(cpu);
	take_over_apic(cpu);
}
