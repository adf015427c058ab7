/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSR lists, and the change of translation: what VM entry and VM exit share.
 *
 * SDM3: "Loading MSRs", "Saving MSRs", "Caching Translation Information"
 */
#include "vmx/state.h"

#include "cpu/mmu/mmu.h"
#include "cpu/msr.h"

#define MSR_BIOS_UPDT_TRIG 0x79
#define MSR_BIOS_SIGN_ID   0x8b
#define MSR_SMM_MONITOR    0x9b
#define MSR_SMBASE         0x9e
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define X2APIC_MSRS        8 /* bits 31:8 of their numbers */

/* What is wrong with an entry before its MSR is touched. */
static bool is_usable(struct cpu *cpu, const struct vmx_msr_entry *entry)
{
	bool is_x2apic = irq_apic_base(cpu->soft->config.irq, cpu->index) & APIC_BASE_X2APIC;

	return !entry->reserved && !(is_x2apic && entry->index >> 8 == X2APIC_MSRS);
}

static bool load_entry(struct cpu *cpu, const struct vmx_msr_entry *entry)
{
	if (!is_usable(cpu, entry))
		return false;
	switch (entry->index) {
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_BIOS_UPDT_TRIG:
	case MSR_BIOS_SIGN_ID:
	case MSR_SMM_MONITOR:
		return false;
	default:
		return msr_write(cpu, entry->index, entry->value);
	}
}

unsigned vmx_load_msr_list(struct cpu *cpu, gpa_t list, uint32_t count)
{
	struct vmx_msr_entry entry;

	for (uint32_t n = 0; n < count; n++) {
		if (n == VMX_MSR_LIST_MAX ||
		    memory_read(cpu->soft->config.memory, list + n * sizeof(entry), &entry,
				sizeof(entry)) < 0 ||
		    !load_entry(cpu, &entry))
			return n + 1;
	}
	return 0;
}

bool vmx_store_msr_list(struct cpu *cpu, gpa_t list, uint32_t count)
{
	struct memory *mem = cpu->soft->config.memory;
	struct vmx_msr_entry entry;

	for (uint32_t n = 0; n < count; n++) {
		gpa_t at = list + n * sizeof(entry);

		if (n == VMX_MSR_LIST_MAX || memory_read(mem, at, &entry, sizeof(entry)) < 0)
			return false;
		if (!is_usable(cpu, &entry) || entry.index == MSR_SMBASE ||
		    !msr_read(cpu, entry.index, &entry.value))
			return false;
		memory_write(mem, at + offsetof(struct vmx_msr_entry, value), &entry.value,
			     sizeof(entry.value));
	}
	return true;
}

void vmx_translation_changed(struct cpu *cpu, bool has_vpid)
{
	if (!has_vpid)
		mmu_flush_vpid(cpu, 0, false);
	mmu_stage_changed(cpu);
	cpu_update_derived(cpu);
}
