/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What VM entry and VM exit share: segment registers by number, as the VMCS has their fields, and
 * the lists of MSRs.
 */
#ifndef VMX_STATE_H
#define VMX_STATE_H

#include "cpu/soft.h"
#include "vmx/vmx.h"

/* Segment registers in the order of each group of their fields: enum ES to GS, then these. */
enum { VMCS_LDTR = SEGMENTS, VMCS_TR, VMCS_SEGMENTS };

_Static_assert(GUEST_TR_SELECTOR - GUEST_ES_SELECTOR == VMCS_TR, "fields by segment number");
_Static_assert(GUEST_TR_BASE - GUEST_ES_BASE == VMCS_TR, "fields by segment number");
_Static_assert(GUEST_TR_LIMIT - GUEST_ES_LIMIT == VMCS_TR, "fields by segment number");
_Static_assert(GUEST_TR_AR - GUEST_ES_AR == VMCS_TR, "fields by segment number");
_Static_assert(GUEST_SS_AR - GUEST_ES_AR == SS, "fields by segment number");

static inline struct segment *vmx_segment(struct cpu *cpu, unsigned n)
{
	if (n < SEGMENTS)
		return &cpu->seg[n];
	return n == VMCS_LDTR ? &cpu->ldtr : &cpu->tr;
}

/* The bits of CR0 that entry and exit load; CD and NW stay, ET is one. */
#define VMX_CR0_LOADED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_PG)

/* One entry of an MSR list. SDM3: "VM-Entry Controls for MSRs" */
struct vmx_msr_entry {
	uint32_t index, reserved;
	uint64_t value;
};

_Static_assert(sizeof(struct vmx_msr_entry) == 16, "as it lies in guest memory");

#define VMX_MSR_LIST_MAX 512 /* entries; IA32_VMX_MISC says so */

/* Loads the MSRs of a list. 0, or the number, from 1, of the entry that could not be loaded. */
unsigned vmx_load_msr_list(struct cpu *cpu, gpa_t list, uint32_t count);
/* Stores MSRs into a list. false: one could not be stored. */
bool vmx_store_msr_list(struct cpu *cpu, gpa_t list, uint32_t count);

/*
 * Translation after CR0, CR3, CR4, EFER, DR7 and the second stage have been set up: selects the TLB
 * bank, and flushes what has no VPID of its own. `has_vpid` is of the guest that comes or leaves.
 */
void vmx_translation_changed(struct cpu *cpu, bool has_vpid);

#endif
