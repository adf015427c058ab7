/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VMCS that passes every check of VM entry: a 64-bit guest of a 64-bit host, with the least that
 * each control must be. For tests that spoil it or enter it.
 */
#ifndef TESTS_UNIT_VMCS_H
#define TESTS_UNIT_VMCS_H

#include "cpu/soft.h"
#include "vmx/vmx.h"

#define AR_CODE64 (SEG_P | SEG_S | SEG_CODE | SEG_WRITABLE | SEG_ACCESSED | SEG_L | SEG_G)
#define AR_CODE32 ((AR_CODE64 & ~SEG_L) | SEG_DB)
#define AR_DATA   (SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_DB | SEG_G)
#define AR_TSS    (SEG_P | SYS_TSS_BUSY)

static inline void vmcs_set_guest(struct cpu *cpu)
{
	for (unsigned n = 0; n < SEGMENTS; n++) {
		vmcs_set(cpu, GUEST_ES_SELECTOR + n, 0x10);
		vmcs_set(cpu, GUEST_ES_LIMIT + n, 0xffffffff);
		vmcs_set(cpu, GUEST_ES_AR + n, AR_DATA);
	}
	vmcs_set(cpu, GUEST_CS_SELECTOR, 0x8);
	vmcs_set(cpu, GUEST_CS_AR, AR_CODE64);
	vmcs_set(cpu, GUEST_TR_SELECTOR, 0x18);
	vmcs_set(cpu, GUEST_TR_LIMIT, 0x67);
	vmcs_set(cpu, GUEST_TR_AR, AR_TSS);
	vmcs_set(cpu, GUEST_LDTR_AR, SEG_UNUSABLE);
	vmcs_set(cpu, GUEST_CR0, CR0_PE | CR0_NE | CR0_PG | CR0_ET);
	vmcs_set(cpu, GUEST_CR4, CR4_PAE | CR4_VMXE);
	vmcs_set(cpu, GUEST_RFLAGS, RFLAGS_ONE);
	vmcs_set(cpu, GUEST_DR7, DR7_INIT);
	vmcs_set(cpu, VMCS_LINK_POINTER, NO_VMCS);
}

static inline void vmcs_set_host(struct cpu *cpu)
{
	static const uint16_t selectors[] = {
		HOST_ES_SELECTOR, HOST_CS_SELECTOR, HOST_SS_SELECTOR, HOST_DS_SELECTOR,
		HOST_FS_SELECTOR, HOST_GS_SELECTOR, HOST_TR_SELECTOR,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(selectors); i++)
		vmcs_set(cpu, selectors[i], 0x10);
	vmcs_set(cpu, HOST_CR0, CR0_PE | CR0_NE | CR0_PG | CR0_ET);
	vmcs_set(cpu, HOST_CR4, CR4_PAE | CR4_VMXE);
}

/* The least that each control must be, and a 64-bit guest of a 64-bit host. */
static inline void vmcs_set_controls(struct cpu *cpu)
{
	static const uint16_t controls[] = { PIN_CONTROLS, PROC_CONTROLS, PROC_CONTROLS2,
					     EXIT_CONTROLS, ENTRY_CONTROLS };

	for (unsigned i = 0; i < ARRAY_SIZE(controls); i++)
		vmcs_set(cpu, controls[i], (uint32_t)vmx_caps_controls(cpu, controls[i]));
	vmcs_set(cpu, EXIT_CONTROLS, vmcs_get(cpu, EXIT_CONTROLS) | EXITC_HOST_64);
	vmcs_set(cpu, ENTRY_CONTROLS, vmcs_get(cpu, ENTRY_CONTROLS) | ENTRYC_IA32E);
}

static inline void vmcs_set_good(struct cpu *cpu, gpa_t addr)
{
	memset(&vmx_of(cpu)->vmcs, 0, sizeof(vmx_of(cpu)->vmcs));
	vmx_of(cpu)->current = addr;
	vmcs_set_controls(cpu);
	vmcs_set_host(cpu);
	vmcs_set_guest(cpu);
}

#endif
